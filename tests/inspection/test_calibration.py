from dataclasses import replace

import numpy as np
import pytest
from conftest import make_problem
from scipy.stats import norm
from scipy.stats import t as student_t
from sklearn.calibration import calibration_curve

from sklearn_meta import TaskCollection
from sklearn_meta._learned import Learned
from sklearn_meta.inspection import CalibrationDisplay
from sklearn_meta.inspection._tasks import learn_split
from sklearn_meta.tasks._batch import TaskArrays

pytestmark = pytest.mark.usefixtures("figures")


def support_of(tasks, learned, n_shots):
    """Masks of the support and of the query, as documented: by the sampler of `score`."""
    from sklearn_meta.tasks._episodes import EpisodeSampler

    arrays = learned.encoder.encode(tasks).arrays
    return EpisodeSampler(arrays, n_shots, None, "random").split(np.random.RandomState(0))


@pytest.mark.parametrize("algorithm", ["bayesian_head", "deep_kernel_gp"])
@pytest.mark.parametrize("n_shots", [0, 3])
def test_coverage_is_a_loop_over_tasks(regression, algorithm, n_shots):
    tasks = regression.tasks
    meta = regression.meta(algorithm).fit(tasks)
    display = CalibrationDisplay.from_estimator(meta, tasks, n_shots=n_shots)
    is_support, is_query = support_of(tasks, meta._served.learned, n_shots)
    for i, (start, end) in enumerate(zip(tasks.offsets[:-1], tasks.offsets[1:], strict=True)):
        X, y = tasks.X[start:end], tasks.y[start:end]
        support, query = is_support[start:end], is_query[start:end]
        meta.fit_adapt(X[support], y[support])
        mean, std = meta.predict(X[query], return_std=True)
        predictive = norm(mean, std)
        if algorithm == "bayesian_head":
            ((df,),) = meta._served.current.parts[0].batch.adapted.degrees_of_freedom()
            predictive = student_t(df, mean, std * np.sqrt((df - 2) / df))
        for level, share in zip(display.expected, display.observed[i], strict=True):
            low, high = predictive.interval(level)
            inside = np.mean((low <= y[query]) & (y[query] <= high))
            assert share == pytest.approx(inside)
    np.testing.assert_allclose(display.mean_line_.get_ydata(), display.observed.mean(axis=0))
    np.testing.assert_array_equal(display.mean_line_.get_xdata(), np.linspace(0, 1, 21))


def test_coverage_of_tasks_that_are_kept_as_rows(regression, monkeypatch):
    tasks, meta = regression.tasks, regression.meta().fit(regression.tasks)
    there = CalibrationDisplay.from_estimator(meta, tasks)
    monkeypatch.setattr(Learned, "_can_keep", lambda *args: False)
    plain = TaskArrays.task_blocks
    monkeypatch.setattr(TaskArrays, "task_blocks", lambda self, *args: plain(self, 1, 1, 40))
    kept = CalibrationDisplay.from_estimator(meta, tasks)
    np.testing.assert_array_equal(kept.observed, there.observed)


def test_what_is_drawn(regression):
    meta = regression.meta().fit(regression.tasks)
    display = CalibrationDisplay.from_estimator(meta, *regression.rows)
    assert len(display.task_lines_) == len(regression.tasks)
    assert display.mean_line_.get_linewidth() > display.task_lines_[0].get_linewidth()
    assert display.diagonal_.get_linestyle() == "--"
    assert display.ax_.get_xlim() == display.ax_.get_ylim() == (0, 1)
    assert display.ax_.get_xlabel() == "nominal coverage"
    assert display.interval_lines_ is None
    labels = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert labels == ["calibrated", "a task each", "mean over tasks"]


@pytest.mark.parametrize("kind", ["multi-output", "poisson"])
def test_other_targets(kind):
    problem = make_problem(kind)
    meta = problem.meta().fit(problem.tasks)
    display = CalibrationDisplay.from_estimator(meta, problem.tasks)
    assert np.all(np.diff(display.observed, axis=1) >= 0)
    assert display.observed[:, -1] == pytest.approx(1)


@pytest.mark.parametrize("kind", ["binary", "multiclass"])
def test_reliability_is_that_of_scikit_learn(kind):
    problem = make_problem(kind)
    tasks, meta = problem.tasks, problem.meta().fit(problem.tasks)
    display = CalibrationDisplay.from_estimator(meta, tasks, n_shots=2)
    is_support, is_query = support_of(tasks, meta._served.learned, 2)
    happened, forecast = [], []
    for start, end in zip(tasks.offsets[:-1], tasks.offsets[1:], strict=True):
        X, y = tasks.X[start:end], tasks.y[start:end]
        support, query = is_support[start:end], is_query[start:end]
        proba = meta.fit_adapt(X[support], y[support]).predict_proba(X[query])
        one_hot = y[query][:, None] == meta.classes_
        columns = slice(1, None) if kind == "binary" else slice(None)
        happened.append(one_hot[:, columns].ravel())
        forecast.append(proba[:, columns].ravel())
    happened, forecast = np.concatenate(happened), np.concatenate(forecast)
    observed, expected = calibration_curve(happened, forecast, n_bins=10)
    there = np.isfinite(display.observed_mean)
    np.testing.assert_allclose(display.observed_mean[there], observed)
    np.testing.assert_allclose(display.expected_mean[there], expected)
    low, high = display.interval[there].T
    assert np.all((low <= observed + 1e-12) & (observed - 1e-12 <= high))
    assert display.ax_.get_xlabel() == "predicted probability"


def test_intervals_are_those_of_scipy():
    from scipy.stats import binomtest

    from sklearn_meta.inspection._calibration import _wilson

    for k, n in ((0, 5), (3, 7), (10, 10)):
        found = _wilson(np.array([n]), np.array([k / n]))[0]
        expected = binomtest(k, n).proportion_ci(method="wilson")
        np.testing.assert_allclose(found, expected, atol=1e-12)


def test_classes_of_their_own(own_labels):
    meta = own_labels.meta().fit(own_labels.tasks)
    display = CalibrationDisplay.from_estimator(meta, own_labels.tasks, n_shots=1)
    there = np.isfinite(display.observed_mean)
    assert there.any()
    assert np.all(np.abs(display.expected_mean[there] - 0.5) <= 0.5)


@pytest.mark.parametrize("order", ["first", "random"])
def test_the_support_comes_in_the_order_that_the_learner_was_told(regression, order):
    meta = regression.meta(max_iter=2, support_order=order).fit(regression.tasks)
    drawn = {
        name: CalibrationDisplay.from_estimator(meta, regression.tasks, n_shots=3, **options)
        for name, options in {
            "as told": {},
            "first": {"support_order": "first"},
            "random": {"support_order": "random"},
        }.items()
    }
    np.testing.assert_array_equal(drawn["as told"].observed, drawn[order].observed)
    assert np.any(drawn["first"].observed != drawn["random"].observed)


def test_no_std(regression):
    meta = regression.meta("maml", max_iter=2).fit(regression.tasks)
    with pytest.raises(ValueError, match=r"needs predictions with a standard deviation; .*MAML"):
        CalibrationDisplay.from_estimator(meta, regression.tasks)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"n_shots": -1}, "n_shots=-1; expected a number of rows from 0"),
        ({"n_shots": "many"}, "n_shots='many'"),
        ({"support_order": "last"}, "The 'support_order' parameter"),
        ({"random_state": "x"}, "The 'random_state' parameter"),
        ({"ax": 3}, "ax must be matplotlib Axes, got 3"),
    ],
)
def test_bad_parameters(regression, params, message):
    meta = regression.meta(max_iter=2).fit(regression.tasks)
    with pytest.raises(ValueError, match=message):
        CalibrationDisplay.from_estimator(meta, regression.tasks, **params)


def test_a_single_row_is_judged_without_support(regression):
    meta = regression.meta(max_iter=2).fit(regression.tasks)
    tasks = TaskCollection.from_arrays(*(part[:1] for part in regression.rows))
    X, y = np.concatenate([tasks.X, regression.new[0]]), np.append(tasks.y, regression.new[1])
    both = TaskCollection.from_arrays(X, y, ["one"] + ["new"] * len(regression.new[1]))
    with pytest.warns(UserWarning, match="1 of 2 tasks have one row"):
        display = CalibrationDisplay.from_estimator(meta, both)
    assert display.task_ids.tolist() == ["new"]


def test_blocks_are_learned_from_whole(regression):
    tasks = regression.tasks
    word = np.random.RandomState(0).randint(3, size=tasks.n_rows)
    tasks = replace(tasks, blocks=word)
    meta = regression.meta().fit(tasks)
    asked = learn_split(meta, tasks, 1, "random", 0).rows
    blocks = list(zip(tasks.groups, word, strict=True))
    of_query = {blocks[row] for row in asked}
    assert sorted(asked) == [row for row, block in enumerate(blocks) if block in of_query]
    counts = [len({w for g, w in set(blocks) - of_query if g == task}) for task in tasks.task_ids]
    assert counts == [1] * len(tasks)
