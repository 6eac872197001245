"""Intervals and sets of classes: their quantiles, and what is promised of new tasks."""

import pickle

import numpy as np
import pytest
from conftest import make_problem
from helpers import make_network, make_params
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import is_classifier
from sklearn.neural_network import MLPClassifier, MLPRegressor

from sklearn_meta import MetaLearner, _conformal
from sklearn_meta._conformal import Conformal, Unseen, weighted_quantiles
from sklearn_meta.algorithms import BayesianHead
from sklearn_meta.datasets import Sinusoids
from sklearn_meta.tasks._batch import TaskArrays

HALF = {"validation_fraction": 0.5}  # of 12 tasks: 6 are held out, which allow 6 / 7


def bounds(model, X, *groups, coverage=0.8):
    """Lower and upper ones, or the set of classes twice."""
    if is_classifier(model):
        return (model.predict_set(X, *groups, coverage=coverage),) * 2
    return model.predict_interval(X, *groups, coverage=coverage)


def plain_quantile(scores, level):
    """Of a list of tasks' scores: the least to which enough weight lies."""
    weighted = [(s, 1 / len(own) / (len(scores) + 1)) for own in scores for s in own]
    total = 0
    for score, weight in sorted(weighted):
        total += weight
        if total >= level - 1e-9:
            return score
    return np.inf


@pytest.mark.parametrize("n_tasks", [1, 9, 30])
def test_quantiles_are_those_of_a_plain_loop(n_tasks):
    rng = np.random.RandomState(n_tasks)
    scores = [rng.gamma(1, size=(rng.randint(1, 8), 2)) for _ in range(n_tasks)]
    task = np.repeat(10 * np.arange(n_tasks), [len(own) for own in scores])
    order = rng.permutation(len(task))
    found = weighted_quantiles(np.concatenate(scores)[order], task[order])
    assert found.shape == (1000, 2)
    for k in range(2):
        own = [task[:, k].tolist() for task in scores]
        for level in (0.001, 0.25, 0.5, 0.9, 0.95, 1):
            assert found[round(1000 * level) - 1, k] == plain_quantile(own, level)


@pytest.mark.parametrize("n_tasks", [1, 3, 4, 9, 19])
def test_n_tasks_allow_a_coverage_of_n_of_n_plus_1(n_tasks):
    table = weighted_quantiles(np.arange(n_tasks)[:, None], np.arange(n_tasks))
    conformal, most = Conformal(np.array([0]), n_tasks, table[None]), n_tasks / (n_tasks + 1)
    assert conformal.quantile(most, np.zeros(1)) == [[n_tasks - 1]]
    with pytest.raises(ValueError, match=rf"takes {n_tasks + 1} tasks .* found {n_tasks}: .*most"):
        conformal.quantile(most + 0.001, np.zeros(1))


def test_between_sizes_the_larger_quantile_counts():
    table = np.repeat(np.array([4.0, 1.0, 3.0])[:, None, None], 1000, axis=1)
    conformal = Conformal(np.array([0, 2, 10]), 1000, table)
    n_shots = np.array([0, 1, 2, 3, 9, 10, 11, 500])
    assert conformal.quantile(0.9, n_shots)[:, 0].tolist() == [4, 4, 1, 3, 3, 3, 3, 3]
    own_classes = Conformal(np.array([1, 2]), 1000, table[:2])
    assert own_classes.quantile(0.9, np.arange(4))[:, 0].tolist() == [4, 4, 1, 1]


def ragged_tasks(sizes, seed=0, **fields):
    """Regression tasks of so many rows, the number of each in its first feature."""
    rng = np.random.RandomState(seed)
    X = np.column_stack([np.arange(sum(sizes)), rng.normal(size=sum(sizes))])
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    return TaskArrays(X, rng.normal(size=(sum(sizes), 1)), offsets, **fields)


def unseen_tasks(arrays, support_order="random"):
    network = make_network("squared_error")
    params = make_params(BayesianHead(), network)
    return Unseen(network, params, arrays, np.arange(len(arrays)), support_order)


@pytest.mark.parametrize("marked", [False, True])
@pytest.mark.parametrize("order", ["random", "first"])
@pytest.mark.parametrize("size", [0, 2, 5])
def test_held_out_tasks_are_learned_from_exactly_as_many_rows(size, order, marked):
    sizes = np.array([2, 3, 5, 6, 9, 40])
    arrays = ragged_tasks(sizes)
    n_marked = sizes.copy()
    if marked:
        n_marked = (sizes + 1) // 2
        mark = np.concatenate([np.arange(n) < m for n, m in zip(sizes, n_marked, strict=True)])
        arrays = ragged_tasks(sizes, is_support=mark)
    found = _conformal._episodes(unseen_tasks(arrays, order), size, 3, np.random.RandomState(0))
    seen = []
    for numbers, n_shots, support, query in found:
        assert np.all(n_shots == size)
        for i, task in enumerate(numbers):
            rows, asked = (part.X[i, part.weight[i] > 0, 0] for part in (support, query))
            first, last = arrays.offsets[task], arrays.offsets[task + 1]
            both = np.concatenate([rows, asked])
            assert len(rows) == size
            assert 1 <= len(asked) <= 20
            assert len(set(both)) == len(both)
            assert np.all((both >= first) & (both < last))
            if order == "first":
                assert_array_equal(rows, first + np.arange(size))
            if marked:
                assert np.all(mark[rows.astype(int)])
                assert not np.any(mark[asked.astype(int)])
            seen.append(task)
    large = (sizes > size) & (n_marked >= size)
    assert sorted(seen) == sorted(3 * np.flatnonzero(large).tolist())


def test_a_size_that_few_tasks_exceed_is_left_out():
    few = unseen_tasks(ragged_tasks([4] * 30 + [12] * 18))
    assert Conformal.of(BayesianHead(), [few]).sizes.tolist() == [0, 1, 2]
    more = unseen_tasks(ragged_tasks([4] * 30 + [12] * 19))
    conformal = Conformal.of(BayesianHead(), [more])
    assert conformal.sizes.tolist() == [0, 1, 2, 5, 10]
    assert conformal.n_tasks == 49
    # 19 tasks do for 0.95; beyond, it is the higher of their highest score and the size before
    table = conformal.quantiles[..., 0]
    assert np.all(np.isfinite(table[:, :980]))
    assert np.all(np.isinf(table[:, 980:]))
    assert np.all(np.diff(table[:, :980], axis=1) >= 0)
    assert np.all(table[3:, 950:980] >= np.maximum(table[2:-1, 950:980], table[3:, 949:950]))


def test_tasks_held_out_by_several_networks_are_put_together(monkeypatch):
    whole = unseen_tasks(ragged_tasks([8] * 40))
    parts = [whole._replace(tasks=whole.tasks[i::4]) for i in range(4)]
    conformal = Conformal.of(BayesianHead(), parts)
    assert conformal.n_tasks == 40
    assert_allclose(
        conformal.quantiles[:, 499],
        Conformal.of(BayesianHead(), [whole]).quantiles[:, 499],
        rtol=0.2,
    )
    # arrays of their own, in which a number means another task
    others = [whole._replace(arrays=ragged_tasks([8] * 40, seed)) for seed in range(2)]
    assert Conformal.of(BayesianHead(), others).n_tasks == 80
    monkeypatch.setattr(_conformal, "MOST_TASKS", 20)
    assert Conformal.of(BayesianHead(), parts).n_tasks == 20


def test_what_diverges_counts_as_infinitely_far():
    class Diverging(BayesianHead):
        def learn(self, network, params, support):
            tasks = super().learn(network, params, support)
            for layer in tasks.weights.layers[-1]:
                layer[support.X[:, :, 0].min(axis=1, initial=1e9) < 80] = np.nan
            return tasks

    conformal = Conformal.of(Diverging(), [unseen_tasks(ragged_tasks([8] * 40))])
    table = conformal.quantiles[:, :, 0]
    assert np.all(np.isfinite(table[0, :975]))
    # 10 of 40 tasks, as soon as they have rows
    assert np.all(np.isfinite(table[1:, :731]))
    assert np.all(np.isinf(table[1:, 731:]))


def simulated(n_tasks, rng):
    """Tasks with levels, slopes, noises and sizes of their own, that no network fits."""
    sizes = rng.randint(5, 12, n_tasks)
    task = np.repeat(np.arange(n_tasks), sizes)
    x = rng.normal(size=len(task))
    level, slope = rng.standard_t(4, size=(2, n_tasks))
    noise = np.exp(rng.normal(size=n_tasks))
    y = level[task] + slope[task] * np.abs(x) + noise[task] * rng.normal(size=len(task))
    return x[:, None], y, task


@pytest.mark.parametrize("kind", ["bayesian_head", "members", "maml", "classes"])
def test_over_new_tasks_the_coverage_is_what_was_asked_for(kind):
    """A promise on average over trainings, too: a z-test over these, of both sides."""
    rng, coverage, found = np.random.RandomState(0), 0.8, {0: [], 3: []}
    mlp = (MLPClassifier if kind == "classes" else MLPRegressor)(hidden_layer_sizes=(4,))
    algorithm = "maml" if kind == "maml" else "bayesian_head"
    for _ in range(10 if kind == "members" else 25):
        X, y, task = simulated(80, rng)
        y = np.digitize(y, [-1, 1]) if kind == "classes" else y
        known = task < 40
        meta = MetaLearner(mlp, algorithm, max_iter=5, random_state=0, adapt_training_tasks=False)
        meta.set_params(n_members="auto" if kind == "members" else 1)
        meta.set_params(handle_unknown="prior", **HALF).fit(X[known], y[known], task[known])
        rank = np.concatenate([np.arange(n) for n in np.bincount(task)])
        for k, coverages in found.items():
            shown, asked = ~known & (rank < k), ~known & (rank >= k)
            if k:
                meta.fit_adapt(X[shown], y[shown], task[shown])
            lower, upper = bounds(meta, X[asked], task[asked], coverage=coverage)
            inside = lower[np.arange(len(lower)), y[asked]] if kind == "classes" else None
            if inside is None:
                inside = (lower <= y[asked]) & (y[asked] <= upper)
            own = [inside[task[asked] == name].mean() for name in range(40, 80)]
            coverages.append(np.mean(own))
    for coverages in found.values():
        error = np.std(coverages, ddof=1) / np.sqrt(len(coverages))
        assert np.mean(coverages) > coverage - 2.5 * error
        if kind in ("bayesian_head", "maml"):  # members do worse than all of them; classes tie
            assert np.mean(coverages) < coverage + 1 / 21 + 2.5 * error


def test_bounds_hold_what_is_predicted_and_grow_with_the_coverage(problem, algorithm):
    meta = problem.meta(algorithm, max_iter=3, **HALF).fit(problem.tasks)
    X, y = problem.new
    meta.fit_adapt(X[:6], y[:6])
    narrow, wide = (bounds(meta, X, coverage=c) for c in (0.4, 0.8))
    if is_classifier(meta):
        assert narrow[0].shape == meta.predict_proba(X).shape
        assert narrow[0].dtype == bool
        best = np.searchsorted(meta.classes_, meta.predict(X))
        assert np.all(narrow[0][np.arange(len(X)), best])
        assert np.all(narrow[0] <= wide[0])
        return
    predicted = meta.predict(X)
    assert all(bound.shape == predicted.shape for bound in (*narrow, *wide))
    in_order = wide[0], narrow[0], predicted, narrow[1], wide[1]
    assert np.all(np.diff(in_order, axis=0) >= 0)
    assert np.all(wide[0] < wide[1])
    if meta.estimator.loss == "poisson":
        assert np.all(wide[0] >= 0)


def test_known_tasks_have_the_bounds_of_their_own_number_of_rows(problem):
    """Served together, beside some that were learned later, or each by itself: the same."""
    params = HALF | {"adapt_training_tasks": False, "n_jobs": 2}
    meta = problem.meta(**params).fit(problem.tasks)
    shown = problem.tasks.select(problem.tasks.groups < "t09")
    few = problem.tasks.select(np.arange(problem.tasks.n_rows) % 2 == 0)
    if problem.params:
        few = shown
    meta.fit_adapt(few[:4]).fit_adapt(few[4:9]).fit_adapt(shown[3:5])
    X, _, groups = problem.rows
    served = np.isin(groups, meta.tasks_)
    together = bounds(meta, X[served], groups[served])
    assert len(np.unique(meta._served.known.n_shots(meta._served.known.find(groups[served])))) > 1
    for name in meta.tasks_:
        source = shown if name in ("t03", "t04") else few
        meta.fit_adapt(*source[list(source.task_ids).index(name)])
        rows = groups[served] == name
        for found, expected in zip(together, bounds(meta, X[served][rows]), strict=True):
            if problem.params:  # columns of all tasks' classes
                found = found[:, np.isin(np.unique(few[:9].y), meta.classes_)]
            assert_allclose(found[rows], expected, rtol=1e-7)


def test_bounds_are_the_quantile_times_the_predictive_std():
    problem = make_problem("multi-output")
    meta = problem.meta(**HALF).fit(problem.tasks)
    X, y = problem.new
    weight = np.r_[np.ones(4), np.zeros(len(y) - 4)]  # of rows that count there are 4
    mean, std = meta.fit_adapt(X, y, sample_weight=weight).predict(X, return_std=True)
    quantile = meta._served.learned.conformal.quantile(0.8, np.full(len(X), 4))
    lower, upper = meta.predict_interval(X, coverage=0.8)
    assert_allclose(upper - mean, quantile * std, rtol=1e-6)
    assert_allclose(mean - lower, quantile * std, rtol=1e-6)
    of_learner = meta.learner_.fit(X, y, sample_weight=weight).predict_interval(X, coverage=0.8)
    assert_array_equal(of_learner, (lower, upper))


def test_without_a_std_residuals_are_as_they_are_and_of_counts_by_the_root():
    regression, counts = make_problem("regression"), make_problem("poisson")
    lower, upper = bounds(regression.meta("maml", **HALF).fit(regression.tasks), regression.new[0])
    assert_allclose(upper - lower, (upper - lower)[0], rtol=1e-6)
    meta = counts.meta("maml", **HALF).fit(counts.tasks)
    X, mean = counts.new[0], meta.predict(counts.new[0])
    lower, upper = bounds(meta, X)
    assert_allclose((upper - mean) / np.sqrt(mean), (upper[0] - mean[0]) / np.sqrt(mean[0]))
    assert_allclose(lower, np.maximum(2 * mean - upper, 0), atol=1e-12)


def test_the_same_seed_gives_the_same_bounds_and_so_do_threads_and_a_pickle(shared_problem):
    meta = shared_problem.meta(**HALF).fit(shared_problem.tasks)
    X, _, groups = shared_problem.rows
    expected = bounds(meta, X, groups)
    again = shared_problem.meta(n_jobs=2, **HALF).fit(shared_problem.tasks)
    for model in (again, pickle.loads(pickle.dumps(meta))):
        assert_array_equal(bounds(model, X, groups), expected)


def test_a_learner_has_sets_of_the_classes_it_was_given(multiclass):
    meta = multiclass.meta(**HALF).fit(multiclass.tasks)
    X, y = multiclass.new
    some = y < 2
    learner = meta.learner_.fit(X[some], y[some])
    there = learner.predict_set(X, coverage=0.8)
    assert there.shape == learner.predict_proba(X).shape == (len(X), 2)
    assert np.all(there.any(axis=1))
    assert not hasattr(learner, "predict_interval")


def test_new_tasks_of_a_distribution_are_held_out():
    for early_stopping in (True, False):
        meta = MetaLearner(MLPRegressor(hidden_layer_sizes=(4,)), max_iter=2, random_state=0)
        meta.set_params(early_stopping=early_stopping, handle_unknown="prior").fit(Sinusoids())
        lower, upper = meta.predict_interval([[0.0]], coverage=0.95)
        assert np.isfinite(lower)
        assert lower < upper


def test_where_no_task_was_held_out_the_error_says_why(regression):
    X, _, groups = regression.rows
    known = regression.meta(early_stopping=False).fit(regression.tasks)
    few = regression.meta(validation_fraction=0.01).fit(regression.tasks)
    streamed = regression.meta(**HALF).fit(regression.tasks)
    assert np.all(np.isfinite(streamed.predict_interval(X, groups, coverage=0.5)))
    streamed.partial_fit(regression.tasks)
    for meta in (known, few, streamed):
        with pytest.raises(ValueError, match=r"there are none: partial_fit and early_stopping=F"):
            meta.predict_interval(X, groups, coverage=0.5)


def test_where_too_few_were_held_out_the_error_counts_them(regression):
    meta = regression.meta(**HALF).fit(regression.tasks)
    X, _, groups = regression.rows
    message = r"coverage=0.9 takes 9 tasks .* found 6: .* a coverage of at most 0.857"
    with pytest.raises(ValueError, match=message):
        meta.predict_interval(X, groups)
    assert len(meta.predict_interval(X, groups, coverage=0.857)) == 2


@pytest.mark.parametrize("coverage", [0, 1, 0.9995, -0.5, "0.9", None, True, np.nan])
def test_a_coverage_is_a_number_between_0_and_1(regression, multiclass, coverage):
    for problem, name in ((regression, "predict_interval"), (multiclass, "predict_set")):
        meta = problem.meta(max_iter=2, **HALF).fit(problem.tasks)
        with pytest.raises(ValueError, match=rf"'coverage' parameter of {name} must be"):
            getattr(meta, name)(problem.new[0], coverage=coverage)


def test_intervals_are_of_numbers_and_sets_of_classes(regression, multiclass, own_labels):
    for meta in (regression.meta(), regression.meta().fit(regression.tasks)):
        assert hasattr(meta, "predict_interval")
        assert not hasattr(meta, "predict_set")
    for meta in (multiclass.meta(), multiclass.meta().fit(multiclass.tasks)):
        assert hasattr(meta, "predict_set")
        assert not hasattr(meta, "predict_interval")
    meta = own_labels.meta(**HALF).fit(own_labels.tasks)
    with pytest.raises(ValueError, match=r"task 'nobody'.*classes"):
        meta.predict_set(own_labels.new[0], ["nobody"] * len(own_labels.new[0]))


def test_an_interrupt_while_quantiles_are_found_loses_nothing(regression, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(_conformal, "weighted_quantiles", interrupted)
    with pytest.warns(UserWarning, match="no intervals or sets of classes: it was interrupted"):
        meta = regression.meta(**HALF).fit(regression.tasks)
    monkeypatch.undo()
    X, _, groups = regression.rows
    expected = regression.meta(**HALF).fit(regression.tasks).predict(X, groups)
    assert_array_equal(meta.predict(X, groups), expected)
