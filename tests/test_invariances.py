"""What must make no difference to what is learned and predicted, with every algorithm.

How tasks are handed over: not beyond rounding. Where, and in how many threads and processes, the
same is done: not by a bit. (The same fit again, pickles and memory maps: `test_meta_learner.py`;
`n_jobs`: `test_learned.py`.)
"""

import os
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context

import joblib
import numpy as np
import pytest
from conftest import make_problem
from helpers import make_network, make_params, ragged_batch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone, is_classifier
from threadpoolctl import threadpool_limits

import sklearn_meta
from sklearn_meta.algorithms import ALGORITHMS
from sklearn_meta.network import Params

N_TASKS, N_ROWS = 4, 30
ROUNDING = {"rtol": 1e-7, "atol": 1e-9}
MODELS = [
    (name, "multi-output" if "squared_error" in cls.losses else "multiclass")
    for name, cls in ALGORITHMS.items()
] + [("bayesian_head", "multiclass")]


def fit(name, kind):
    problem = make_problem(kind)
    return problem.meta(name, max_iter=5).fit(problem.tasks)


@pytest.fixture(scope="module", params=MODELS, ids=" ".join)
def meta(request):
    return fit(*request.param)


@pytest.fixture(scope="module")
def every_meta():
    return [fit(*model) for model in MODELS]


def pool(meta):
    """Rows to make tasks of, with two numbers each or one of three classes."""
    rng = np.random.RandomState(1)
    X, y = rng.normal(size=(N_ROWS, 3)), rng.normal(size=(N_ROWS, 2))
    return X, np.arange(N_ROWS) % 3 if is_classifier(meta) else y


def trained_on(meta):
    return make_problem("multiclass" if is_classifier(meta) else "multi-output")


def predict(meta, X, groups=None):
    """Predictions as numbers: of a classifier, class probabilities."""
    method = meta.predict_proba if is_classifier(meta) else meta.predict
    return method(X) if groups is None else method(X, groups)


def learn(meta, rows, names):
    """A copy of the meta-learner that has learned tasks made of these rows."""
    X, y = pool(meta)
    return sklearn_meta.adapt(meta, X[rows], y[rows], names)


def answers(meta, names):
    """What each of these tasks, an array of their names, predicts of every row."""
    X, _ = pool(meta)
    return predict(meta, np.tile(X, (len(names), 1)), np.repeat(names, len(X)))


# numbers of rows, and of each the number of its task
SUPPORTS = st.lists(
    st.tuples(st.integers(0, N_ROWS - 1), st.integers(0, N_TASKS - 1)), min_size=1, max_size=20
).map(lambda pairs: np.array(pairs).T)
few = settings(max_examples=4, deadline=None)


@few
@given(support=SUPPORTS, data=st.data())
def test_the_order_of_rows_and_tasks(meta, support, data):
    """Where an algorithm takes a task's rows in turn, the order of tasks alone."""
    rows, names = support
    order = np.array(data.draw(st.permutations(range(len(rows)))))
    if meta.algorithm_.row_order_matters:
        order = np.argsort(
            np.array(data.draw(st.permutations(range(N_TASKS))))[names], kind="stable"
        )
    found, expected = learn(meta, rows[order], names[order]), learn(meta, rows, names)
    tasks = np.unique(names)
    assert_allclose(answers(found, tasks), answers(expected, tasks), **ROUNDING)


NAMES = {
    "text": np.array(["Zoë", "", "10", "9"]),
    "numbers": np.array([7, -3, 10**12, 0]),
    "fractions": np.array([0.5, -1e300, 1e-300, 3]),
    "dates": np.array(["1969-12-31", "2024-02-29", "1066-10-14", "2024-03-01"], "M8[D]"),
    "pairs": np.fromiter([("a", 1), ("a", 0), ("", 2), ("b", -1)], object),
}


@few
@given(support=SUPPORTS, kind=st.sampled_from(list(NAMES)))
def test_what_tasks_are_called(meta, support, kind):
    rows, places = support
    names, tasks = NAMES[kind], np.unique(places)
    renamed, expected = learn(meta, rows, names[places]), learn(meta, rows, places)
    assert_allclose(answers(renamed, names[tasks]), answers(expected, tasks), **ROUNDING)


@few
@given(support=SUPPORTS)
def test_tasks_at_once_or_one_by_one(meta, support):
    """In turn, and each by itself as a plain estimator."""
    (rows, names), (X, y) = support, pool(meta)
    tasks, one_by_one, alone = np.unique(names), meta, []
    for task in tasks:
        of_task = rows[names == task]
        one_by_one = learn(one_by_one, of_task, np.full(len(of_task), task))
        alone.append(predict(meta.adapt(X[of_task], y[of_task]), X))
    expected = answers(learn(meta, rows, names), tasks)
    assert_allclose(answers(one_by_one, tasks), expected, **ROUNDING)
    assert_allclose(np.concatenate(alone), expected, **ROUNDING)


@few
@given(support=SUPPORTS, asked=SUPPORTS)
def test_rows_to_predict_alone_or_among_others(meta, support, asked):
    """Of tasks that were learned and of others, which get the prior."""
    (rows, names), learned, (X, _) = asked, learn(meta, *support), pool(meta)
    together = predict(learned, X[rows], names)
    for i in range(len(rows)):
        alone = predict(learned, X[rows[[i]]], names[[i]])
        assert_allclose(alone[0], together[i], **ROUNDING)


def test_single_precision(meta):
    """To as many digits as training and adaptation leave of it."""
    X, y, groups = trained_on(meta).rows
    single = clone(meta).fit(X.astype(np.float32), y, groups)
    scale = np.ptp(predict(meta, X, groups), axis=0)
    found = predict(single, X.astype(np.float32), groups)
    assert_allclose(found / scale, predict(meta, X, groups) / scale, rtol=1e-3, atol=1e-3)
    # of one model, the rows to predict alone
    rounded = X.astype(np.float32)
    expected = predict(meta, rounded.astype(float), groups) / scale
    assert_allclose(predict(meta, rounded, groups) / scale, expected, rtol=1e-5, atol=1e-5)


def permuted(network, vector, order):
    """A network's flat weights for features in that order, whatever numbers are in their place."""
    places = Params(np.arange(network.layout.size), network.layout)
    first = places[network.names[0][0]]
    rows = [*order, *range(len(order), len(first))]  # of an encoder, the targets come behind
    first[...] = first[rows]
    return vector[places.vector]


@pytest.mark.parametrize("targets", ["two_outputs", "softmax"])
@pytest.mark.parametrize("name", ALGORITHMS)
def test_the_order_of_columns(name, targets):
    """Where the weights go along: those that training starts from are drawn in order."""
    algorithm, network = ALGORITHMS[name](), make_network(targets, n_features=4)
    rng, order = np.random.RandomState(0), [2, 0, 3, 1]
    params = make_params(algorithm, network)
    moved = params.copy()
    of_features = [network]
    if name == "neural_process":
        of_features.append(algorithm._encoder(network))
    names = list(params.layout.shapes)[2 * len(network.names) :]

    def in_order(vector):
        vector = vector.copy()
        size = network.layout.size
        vector[:size] = permuted(network, vector[:size], order)
        own = Params(vector, params.layout)
        for each in of_features:
            for array in (own[n] for n in names if own[n].shape == (each.layout.size,)):
                array[...] = permuted(each, array, order)
        return vector

    moved.vector[...] = in_order(params.vector)
    support, query = (ragged_batch(rng, network, sizes) for sizes in ([6, 3, 5], [4, 7, 2]))
    other = [batch._replace(X=batch.X[..., order]) for batch in (support, query)]
    found = algorithm.learn(network, moved, other[0]).outputs(network, other[1].X)
    expected = algorithm.learn(network, params, support).outputs(network, query.X)
    assert_allclose(found, expected, **ROUNDING)
    _, gradient = algorithm.meta_gradient(network, moved, *other)
    _, expected = algorithm.meta_gradient(network, params, support, query)
    assert_allclose(gradient, in_order(expected), **ROUNDING)


def work(meta, seed=0):
    """What a meta-learner does when it is put to use, in arrays."""
    X, y = pool(meta)
    rows = np.random.RandomState(seed).permutation(N_ROWS)[:20]
    adapted = meta.adapt(X[rows], y[rows])
    learned = sklearn_meta.adapt(meta, X[rows], y[rows], np.arange(20) % N_TASKS)
    return [predict(adapted, X), answers(learned, np.arange(N_TASKS)), answers(meta, meta.tasks_)]


def assert_same_bits(found, expected):
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        for array, as_before in zip(one, other, strict=True):
            assert_array_equal(array, as_before)


def test_sixteen_threads(meta):
    """At once, on one meta-learner; warnings are filtered as before."""
    filters = list(warnings.filters)
    expected, start = [work(meta, seed) for seed in range(4)], threading.Barrier(16)

    def together(number):
        start.wait(60)
        return work(meta, number % 4)

    with threadpool_limits(2, user_api="blas"), ThreadPoolExecutor(16) as threads:
        assert_same_bits(list(threads.map(together, range(16))), 4 * expected)
    assert warnings.filters == filters


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes cannot be forked here")
def test_a_forked_process(every_meta):
    """Which trains, too: its parent has used BLAS before."""
    refitted = clone(every_meta[0])
    tasks = make_problem(MODELS[0][1]).tasks
    here, there = get_context("fork").Pipe()

    def child():
        done = [work(meta) for meta in every_meta]
        there.send([*done, work(refitted.fit(tasks))])

    expected = [work(meta) for meta in every_meta]
    process = get_context("fork").Process(target=child)
    process.start()
    found = here.recv() if here.poll(60) else []
    process.join(10)
    assert_same_bits(found, [*expected, expected[0]])


def in_workers(metas, parallel):
    """As `work` learns several tasks and has them predict; no call needs this file imported."""
    adapt, names = joblib.delayed(sklearn_meta.adapt), np.arange(N_ROWS) % N_TASKS
    learned = parallel(adapt(meta, *pool(meta), names) for meta in metas)
    return parallel(joblib.delayed(each.predict)(pool(each)[0], names) for each in learned)


def assert_workers_agree(metas, parallel):
    expected = in_workers(metas, joblib.Parallel(n_jobs=1))
    for found, as_here in zip(in_workers(metas, parallel), expected, strict=True):
        assert_array_equal(found, as_here)


def test_processes_of_joblib(every_meta):
    """Whose arrays are memory-mapped, so that they cannot be written to."""
    with joblib.Parallel(n_jobs=2, backend="loky", max_nbytes=1) as parallel:
        assert_workers_agree(every_meta, parallel)


def test_workers_of_dask(every_meta):
    distributed = pytest.importorskip("distributed", reason="dask is not installed")
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    with distributed.Client(**options), joblib.parallel_config("dask"):
        assert_workers_agree(every_meta, joblib.Parallel())
