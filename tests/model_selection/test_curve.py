import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.metrics import r2_score

from sklearn_meta.model_selection import FewShotCurve
from sklearn_meta.model_selection._scores import MeanScore, R2Score

N_TASKS = 60


def curve_of(results, n_shots=(0, 2, 5), served=None, contestants=("ours", "line", "trees")):
    first = next(iter(results.values()))
    n_tasks = first.of_tasks().shape[-1]
    served = np.ones((len(n_shots), n_tasks), bool) if served is None else served
    ids, n_query = np.arange(n_tasks), np.full(n_tasks, 4)
    return FewShotCurve(list(contestants), n_shots, ids, n_query, served, results)


@pytest.fixture
def values():
    """Scores (contestants, n_shots, tasks); ours gains by rows, the baselines do not."""
    rng = np.random.default_rng(0)
    of_task = rng.normal(size=N_TASKS)
    gains = np.array([[0.0, 0.5, 1.0], [0.0, 0.0, 0.0], [0.3, 0.3, 0.3]])[..., None]
    return of_task + gains + 0.3 * rng.normal(size=(3, 3, N_TASKS))


@pytest.fixture
def curve(values):
    return curve_of({"score": MeanScore(values)})


def plain_r2(seed=0, n_outputs=1):
    """Query rows of some tasks, three predictions of each, and what is summed of them."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(2, 9, N_TASKS)
    shape = sizes.sum(), n_outputs
    task = np.repeat(np.arange(N_TASKS), sizes)
    y = rng.normal(size=N_TASKS)[task][:, None] + rng.normal(size=shape) + 100
    predicted = y + rng.normal(size=(3, *shape)) * np.array([0.5, 1, 2])[:, None, None]
    errors = np.zeros((3, 1, N_TASKS, n_outputs))
    for i in range(3):
        np.add.at(errors[i, 0], task, (y - predicted[i]) ** 2)
    moments = np.zeros((3, N_TASKS, n_outputs))
    for power in range(3):
        np.add.at(moments[power], task, (y - 100) ** power)
    return task, y, predicted, R2Score(errors, moments)


def test_the_mean_of_scores_and_its_interval_are_those_of_scipy(curve, values):
    np.testing.assert_allclose(curve.mean(), values.mean(axis=-1))
    for key in np.ndindex(3, 3):
        found = stats.bootstrap(
            (values[key],), np.mean, n_resamples=9999, method="percentile", random_state=0
        ).confidence_interval
        width = found.high - found.low
        np.testing.assert_allclose(curve.interval()[key], found, atol=0.06 * width)


@pytest.mark.parametrize("n_outputs", [1, 2])
def test_r2_is_that_of_all_rows_and_its_interval_that_of_scipy(n_outputs):
    task, y, predicted, result = plain_r2(n_outputs=n_outputs)
    curve = curve_of({"r2": result}, n_shots=(3,))
    for i in range(3):
        expected = r2_score(y, predicted[i])
        np.testing.assert_allclose(curve.mean()[i, 0], expected, rtol=1e-9)
        np.testing.assert_allclose(curve.scores["r2"][i, 0].mean(), expected, rtol=1e-9)
        sums = [
            np.array([values[task == t].sum(axis=0) for t in range(N_TASKS)])
            for values in (np.ones_like(y), y, y**2, (y - predicted[i]) ** 2)
        ]
        found = stats.bootstrap(
            [of_output for values in sums for of_output in values.T],
            r2_of_sums,
            paired=True,
            n_resamples=9999,
            method="percentile",
            random_state=0,
        ).confidence_interval
        width = found.high - found.low
        np.testing.assert_allclose(curve.interval()[i, 0], found, atol=0.06 * width)


def r2_of_sums(*sums, axis=-1):
    n, total, squares, error = np.split(np.array(sums).sum(axis=axis), 4)  # (outputs, ...)
    return np.mean(1 - error / (squares - total**2 / n), axis=0)


def test_differences_are_paired(curve, values):
    gain = values[0, 2] - values[2, 2]
    found = curve.difference(other="trees", n_shots=5)
    expected = stats.bootstrap(
        (gain,), np.mean, n_resamples=9999, method="percentile", random_state=0
    )
    low, high = expected.confidence_interval
    assert (found.mean, found.n_tasks) == (pytest.approx(gain.mean()), N_TASKS)
    np.testing.assert_allclose(found[1:3], (low, high), atol=0.06 * (high - low))
    apart = curve.interval()[0, 2, 1] - curve.interval()[0, 2, 0]
    assert found.high - found.low < 0.6 * apart  # what tasks share cancels
    assert curve.difference("line", "ours", n_shots=5).mean < 0
    assert curve.difference(n_shots=5, other_shots=0).word == "better"
    assert curve.difference(other="trees", n_shots=0).word == "worse"
    assert curve.difference("line", "line", n_shots=5) == (0, 0, 0, N_TASKS)


def test_a_difference_is_of_the_tasks_that_both_have(values):
    values[0, 2, :10] = values[1, 2, 5:20] = np.nan
    curve = curve_of({"score": MeanScore(values)})
    found = curve.difference(other="line", n_shots=5)
    assert found.n_tasks == N_TASKS - 20
    np.testing.assert_allclose(found.mean, np.mean((values[0, 2] - values[1, 2])[20:]))


def test_the_share_that_is_hurt(curve, values):
    worse = values[0, 2] < values[0, 0]
    found = curve.hurt_at(5)
    assert found.share == pytest.approx(worse.mean())
    np.testing.assert_allclose(found.by, (values[0, 0] - values[0, 2])[worse].mean())
    exact = stats.binom.ppf([0.025, 0.975], N_TASKS, worse.mean()) / N_TASKS
    np.testing.assert_allclose(found[1:3], exact, atol=0.04)
    np.testing.assert_array_equal(curve.hurt()[2], found[:3])
    best = curve.hurt_at(5, against="baseline")
    assert best.share == pytest.approx(np.mean(values[0, 2] < values[2, 2]))
    assert np.isnan(curve.hurt_at(0)).all()
    assert curve.hurt_at(5, contestant="line").share == pytest.approx(
        np.mean(values[1, 2] < values[1, 0])
    )


def test_the_best_baseline_and_from_when_it_pays(curve):
    assert curve.best_baseline(5) == "trees"
    assert curve.against_baseline(5).mean == curve.difference(other="trees", n_shots=5).mean
    assert curve.pays_from() == 2
    assert "ours pays from 2 rows on" in curve.verdict()
    assert "0 rows: worse than the best baseline, trees, by" in curve.verdict()


def test_the_verdict_is_against_us_where_it_must_be(values):
    values[2] += 3
    curve = curve_of({"score": MeanScore(values)})
    assert curve.pays_from() is None
    assert "ours is not worth it: trees is better with 0, 2 and 5 rows." in repr(curve)
    assert repr(curve).count(": worse than the best baseline, trees, by") == 3


def test_no_difference_is_said(values):
    values[:] = values[:1, :1] + 1e-3 * np.random.default_rng(1).normal(size=values.shape)
    curve = curve_of({"score": MeanScore(values)})
    assert "no better than the best baseline with any row shown" in curve.verdict()
    assert curve.verdict().count("no different from") == 5  # three baselines, two priors


def test_what_pays_with_some_rows_only(values):
    values[2, 2] += 3
    curve = curve_of({"score": MeanScore(values)})
    assert "better than each baseline with 2 rows" in curve.verdict()
    assert "trees is better with 0 and 5 rows" in curve.verdict()


def test_better_on_average_is_not_enough_if_most_are_hurt(values):
    values[1:] -= 3
    values[0, 1:] = values[0, 0] - 0.1
    values[0, 1:, :10] += 30
    curve = curve_of({"score": MeanScore(values)})
    assert curve.hurt_at(5).share == pytest.approx(50 / 60)
    assert curve.against_prior(5).word == "better"
    assert curve.pays_from() is None
    assert "ours is better than each baseline with 0, 2 and 5 rows, but does not pay" in repr(curve)


def test_alone_it_is_compared_with_no_rows(values):
    curve = curve_of({"score": MeanScore(values[:1])}, contestants=["ours"])
    assert curve.best_baseline(5) is None
    assert curve.against_baseline(5) is None
    assert curve.pays_from() == 2
    assert "better there than no adaptation." in repr(curve)
    helpless = curve_of({"score": MeanScore(0 * values[:1])}, contestants=["ours"])
    assert "what ours is shown of a task does not help it" in repr(helpless)


def test_without_a_zero_there_is_no_prior_to_compare_with(values):
    curve = curve_of({"score": MeanScore(values[:, 1:])}, n_shots=(2, 5))
    assert np.isnan(curve.hurt()).all()
    assert curve.against_prior(5) is None
    assert "hurts" not in repr(curve)


def test_small_tasks_are_said(values):
    served = np.ones((3, N_TASKS), bool)
    served[2, :50] = False
    values[:, 2, :50] = np.nan
    curve = curve_of({"score": MeanScore(values)}, served=served)
    np.testing.assert_array_equal(curve.too_small, [0, 0, 50])
    assert "50 of 60 tasks are too small for 5 rows." in repr(curve)
    assert curve.difference(n_shots=5, other_shots=0).n_tasks == 10


def test_few_tasks_are_said(values):
    assert "Only 6 tasks: the intervals are rough." in repr(
        curve_of({"score": MeanScore(values[..., :6])})
    )
    assert "rough" not in repr(curve_of({"score": MeanScore(values)}))


def test_the_frame_has_all_numbers(curve):
    frame = curve.to_frame()
    assert isinstance(frame, pd.DataFrame)
    assert len(frame) == 9
    row = frame.query("contestant == 'trees' and n_shots == 5").iloc[0]
    assert (row["mean"], row["n_tasks"], row["too_small"]) == (curve.mean()[2, 2], N_TASKS, 0)
    assert (row["low"], row["high"]) == tuple(curve.interval()[2, 2])
    gain = curve.difference(other="trees", n_shots=5)
    assert (row["gain"], row["gain_low"], row["gain_high"]) == gain[:3]


def test_several_scores(values):
    curve = curve_of({"a": MeanScore(values), "b": MeanScore(-values)})
    np.testing.assert_array_equal(curve.mean(), curve.mean("a"))
    np.testing.assert_array_equal(curve.mean("b"), -curve.mean("a"))
    assert curve.best_baseline(5, "b") == "line"
    assert len(curve.to_frame()) == 18
    assert "a on 60 held-out tasks" in repr(curve)
    assert "b on 60 held-out tasks" in repr(curve)


def test_it_pickles_without_its_draws(curve):
    curve.interval()
    again = pickle.loads(pickle.dumps(curve))
    assert len(pickle.dumps(curve)) < 3 * values_size(curve)
    np.testing.assert_array_equal(again.interval(), curve.interval())


def values_size(curve):
    return curve.results["score"].values.nbytes


def test_a_score_that_is_missing_everywhere_is_no_warning(values):
    values[1] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        text = repr(curve_of({"score": MeanScore(values)}))
    assert "Failed, or has no score, on some tasks: line (0, 2 and 5 rows)." in text


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda c: c.mean("r2"), "scoring='r2' was not judged, only"),
        (lambda c: c.difference(other="forest", n_shots=5), "no contestant 'forest' among"),
        (lambda c: c.difference(n_shots=3), "n_shots=3 was not tried, only"),
        (lambda c: c.hurt(against="all"), "against must be 'prior' or 'baseline'"),
    ],
)
def test_what_is_not_there_is_named(call, match, curve):
    with pytest.raises(ValueError, match=match):
        call(curve)


def test_who_is_shown_rows_and_does_not_learn_is_not_hurt_by_them():
    """Larger numbers of shots have fewer tasks, whose targets vary less."""
    served = np.ones((2, N_TASKS), bool)
    served[1, 40:] = False
    errors = np.broadcast_to(np.ones((N_TASKS, 1)), (1, 2, N_TASKS, 1)).copy()
    errors[:, ~served] = np.nan
    squares = np.where(np.arange(N_TASKS) < 40, 2.0, 500.0)[:, None]
    moments = np.stack([np.full((N_TASKS, 1), 5.0), np.zeros((N_TASKS, 1)), squares])
    curve = curve_of({"r2": R2Score(errors, moments)}, (0, 5), served, ["ours"])
    assert curve.hurt_at(5) == (0, 0, 0, 0)
    better = errors.copy()
    better[:, 1, :40] = np.where(np.arange(40) < 10, 1.5, 0.5)[:, None]
    curve = curve_of({"r2": R2Score(better, moments)}, (0, 5), served, ["ours"])
    assert curve.hurt_at(5).share == 0.25
    assert curve.hurt_at(5).by == pytest.approx(40 * 0.5 / 80)  # of R2 of these tasks


def test_one_task_has_no_interval_and_decides_nothing(values):
    served = np.ones((3, N_TASKS), bool)
    served[2, 1:] = False
    values[:, 2, 1:] = np.nan
    values[0, 2, 0] = -30
    curve = curve_of({"score": MeanScore(values)}, served=served)
    assert np.isnan(curve.interval()[:, 2]).all()
    assert curve.difference(other="trees", n_shots=5).word == "unknown"
    assert curve.pays_from() == 2
    assert "nan" not in repr(curve)


def test_a_printed_verdict_is_as_wide_as_a_page_and_says_the_same(values):
    curve = curve_of({"score": MeanScore(values)})
    printed = repr(curve).partition("\n\n")[2]
    assert printed.split() == curve.verdict().split()
    assert max(map(len, printed.split("\n"))) <= 88 < max(map(len, curve.verdict().split("\n")))
    new = [line for line in printed.split("\n") if not line.startswith("    ")]
    assert len(new) == curve.verdict().count("\n") + 1  # a sentence begins where one did


def test_the_verdict_claims_only_what_was_compared(values):
    alone = curve_of({"score": MeanScore(values[:1, 2:])}, (5,), contestants=["ours"])
    assert "Verdict: none, for there is nothing to compare ours with." in repr(alone)
    no_zero = curve_of({"score": MeanScore(values[:, 1:])}, (2, 5))
    assert "it is better there than each baseline." in repr(no_zero)
    failed = values.copy()
    failed[1:] = np.nan
    assert "it is better there than no adaptation." in repr(curve_of({"score": MeanScore(failed)}))
    ours_failed = values.copy()
    ours_failed[0, 1] = np.nan
    assert "nan" not in repr(curve_of({"score": MeanScore(ours_failed)}))
    values[0] += 3
    none_shown = curve_of({"score": MeanScore(values[:, :1])}, (0,))
    assert "ours is better than each baseline with 0 rows" in repr(none_shown)
