"""What a task keeps of its support, and that the width of its posterior follows from it."""

import pickle

import numpy as np
import pytest
from helpers import CASES, make_network, make_params, ragged_batch, tasks_of
from sklearn.neural_network import MLPRegressor

from sklearn_meta import MetaLearner, TaskCollection
from sklearn_meta.algorithms import BayesianHead
from sklearn_meta.algorithms._bayesian_tasks import BayesianTasks, SupportRows

every_case = pytest.mark.parametrize("case", CASES)
SIZES = [2, 300, 0, 200]  # the second and fourth task have more numbers than a factor


def learn(case, sizes=SIZES, n_classes=None, hidden=(3,)):
    """Adapted tasks, their network, and the support."""
    network = make_network(case, hidden, n_features=5, exchangeable=n_classes is not None)
    params = make_params(BayesianHead(), network)
    support = ragged_batch(np.random.RandomState(0), network, sizes, n_classes)
    return BayesianHead().learn(network, params, support), network, params, support


def n_numbers(task):
    return task.support.X.size + task.support.weight.size + task.factors.rows.size


@every_case
def test_a_task_keeps_its_rows_or_a_factor_whichever_is_less(case):
    tasks, network, _, support = learn(case)
    k, p = network.n_outputs, network.n_features + 1
    size = k * p if case == "softmax" else p
    factor = size**2 * (k if case == "poisson" else 1)
    for number, weight in enumerate(support.weight):
        rows = np.count_nonzero(weight) * (5 + 1)
        assert n_numbers(tasks.take(np.array([number]))) == min(rows, factor)
    assert (tasks.factors.sizes > 0).tolist() == [False, True, False, True]


@every_case
@pytest.mark.parametrize("n_classes", [None, [2, 3, 2, 3]])
def test_std_is_the_same_from_rows_as_from_the_factor(case, n_classes):
    n_classes = n_classes if case == "softmax" else None
    tasks, network, params, support = learn(case, n_classes=n_classes)
    X = np.random.RandomState(1).standard_normal((4, 6, 5))
    std = tasks.std(network, X, support.logit_mask)
    assert std.shape == (4, 6, network.n_outputs)
    scale = tasks.scale
    for number, alone in enumerate(tasks_of(support)):
        learned = BayesianHead().learn(network, params, alone)
        kept = BayesianTasks.condition(network, learned.weights, scale, learned.noise, alone)
        rows = kept._replace(  # whatever is less
            support=whole_support(alone),
            factors=kept.factors.select(np.zeros(len(kept.factors.rows), bool)),
        )
        plain = rows.std(network, X[[number]], alone.logit_mask)
        np.testing.assert_allclose(std[[number]], plain, rtol=1e-8)


def whole_support(batch):
    offsets = np.array([0, batch.X.shape[1]])
    return SupportRows(batch.X[0], batch.weight[0], offsets)


@every_case
def test_take_and_concatenate_carry_rows_and_factors(case):
    tasks, network, _, _ = learn(case)
    X = np.random.RandomState(1).standard_normal((4, 6, 5))
    order = np.array([3, 0, 2, 1])
    joined = BayesianTasks.concatenate([tasks.take(order[:1]), tasks.take(order[1:])])
    np.testing.assert_allclose(
        joined.std(network, X[order]), tasks.std(network, X)[order], rtol=1e-12
    )
    if tasks.noise is not None:
        found, expected = joined.degrees_of_freedom(), tasks.degrees_of_freedom()
        np.testing.assert_array_equal(found, expected[order])
    np.testing.assert_allclose(
        joined.outputs(network, X[order]), tasks.outputs(network, X)[order], rtol=1e-12
    )


def test_a_pickle_holds_no_training_rows_where_a_factor_is_less():
    """Large tasks and a small network: next to nothing of the data, and no target."""
    rng = np.random.RandomState(0)
    X, groups = rng.standard_normal((40_000, 20)), np.repeat(np.arange(20), 2000)
    y = X[:, 0] + rng.standard_normal(40_000)
    meta = MetaLearner(MLPRegressor(hidden_layer_sizes=(8,)), n_members=1, max_iter=20)
    pickled = pickle.dumps(meta.fit(X, y, groups))
    assert len(pickled) < X.nbytes / 50
    later = pickle.loads(pickled)
    for found, expected in zip(
        later.predict(X[:50], groups[:50], return_std=True),
        meta.predict(X[:50], groups[:50], return_std=True),
        strict=True,
    ):
        np.testing.assert_array_equal(found, expected)


def test_targets_are_kept_nowhere():
    """A mark in the targets of small tasks, whose rows are kept, is in no pickle."""
    rng = np.random.RandomState(0)
    tasks = TaskCollection.from_arrays(
        rng.standard_normal((60, 2)), rng.standard_normal(60), np.repeat(np.arange(10), 6)
    )
    mlp = MLPRegressor(hidden_layer_sizes=(8,))
    meta = MetaLearner(mlp, standardize=False, max_iter=20, random_state=0)
    pickled = pickle.dumps(meta.fit(tasks))
    standardised = (tasks.y - tasks.y.mean()) / tasks.y.std()
    for row in range(60):
        assert tasks.X[row].tobytes() in pickled
        assert tasks.y[row].tobytes() not in pickled
        assert standardised[row].tobytes() not in pickled
