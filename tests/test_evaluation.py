import numpy as np
import pytest
from conftest import make_problem
from helpers import make_network, make_params, plain_loss, ragged_batch, tasks_of

from sklearn_meta._evaluation import (
    constant_loss,
    evaluate,
    mean_query_loss,
    query_losses,
)
from sklearn_meta.algorithms import ALGORITHMS

every_algorithm = pytest.mark.parametrize("name", ALGORITHMS)


def losses_of(algorithm, network, params, support, query):
    """Each task's mean loss over its query rows, (tasks,)."""
    adapted = algorithm.learn(network, params, support)
    _, losses = query_losses(adapted, network, query)
    means = (losses * query.share).sum(axis=1)
    mean = mean_query_loss(algorithm, network, params, support, query)
    np.testing.assert_allclose(mean, means.mean(), rtol=1e-12)
    return means


@every_algorithm
@pytest.mark.parametrize("case", ["squared_error", "poisson", "binary", "softmax"])
def test_query_losses_are_a_loop_over_tasks(name, case):
    algorithm, network = ALGORITHMS[name](), make_network(case)
    params = make_params(algorithm, network)
    rng = np.random.RandomState(0)
    support, query = (ragged_batch(rng, network, sizes) for sizes in ((6, 3, 5), (4, 7, 2)))
    losses = losses_of(algorithm, network, params, support, query)
    for i, (task, rows) in enumerate(zip(tasks_of(support), tasks_of(query), strict=True)):
        z = algorithm.learn(network, params, task).outputs(network, rows.X)[0]
        alone = plain_loss(network.loss_name, z, rows.y[0], rows.weight[0])
        np.testing.assert_allclose(losses[i], alone, rtol=1e-10)


@every_algorithm
def test_query_losses_of_tasks_with_classes_of_their_own(name):
    algorithm, network = ALGORITHMS[name](), make_network("softmax", exchangeable=True)
    params, rng = make_params(algorithm, network), np.random.RandomState(0)
    support, query = (ragged_batch(rng, network, sizes, [2, 3, 2]) for sizes in ([5] * 3, [4] * 3))
    losses = losses_of(algorithm, network, params, support, query)
    for i, (task, rows) in enumerate(zip(tasks_of(support), tasks_of(query), strict=True)):
        k = [2, 3, 2][i]
        z = algorithm.learn(network, params, task).outputs(network, rows.X, rows.logit_mask)[0]
        alone = plain_loss("log_loss", z[:, :k], rows.y[0, :, :k], rows.weight[0])
        np.testing.assert_allclose(losses[i], alone, rtol=1e-10)


KINDS = ["regression", "multi-output", "poisson", "binary", "multiclass", "own labels"]
SPLITS = [{}, {"n_shots": 2}, {"n_shots": (1, 3), "support_order": "first"}, {"random_state": 5}]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("options", SPLITS, ids=str)
def test_query_rows_are_predicted_as_by_fit_adapt_on_the_others(kind, options):
    """Task by task, the rows that are no query being its support, for no class is capped."""
    problem = make_problem(kind)
    meta = problem.meta().fit(problem.tasks)
    tasks = problem.tasks[:5]
    found = evaluate(meta._served.learned, tasks, **options)
    assert np.all(np.diff(found.row) > 0)
    np.testing.assert_array_equal(
        found.task, np.searchsorted(tasks.offsets, found.row, "right") - 1
    )
    is_query = np.isin(np.arange(tasks.n_rows), found.row)
    for i in range(5):
        rows = np.arange(tasks.offsets[i], tasks.offsets[i + 1])
        support, query = rows[~is_query[rows]], rows[is_query[rows]]
        adapted = meta.adapt(tasks.X[support], tasks.y[support])
        predicted = found.predicted[found.task == i]
        if hasattr(meta, "classes_"):
            np.testing.assert_array_equal(predicted, adapted.predict(tasks.X[query]))
        else:
            np.testing.assert_allclose(predicted, adapted.predict(tasks.X[query]), rtol=1e-9)


def test_losses_of_regression_are_squared_errors_of_the_standardised_target():
    problem = make_problem("regression")
    meta = problem.meta().fit(problem.tasks)
    found = evaluate(meta._served.learned, problem.tasks)
    error = (problem.tasks.y[found.row] - found.predicted) / problem.tasks.y.std()
    np.testing.assert_allclose(found.loss, error**2, rtol=1e-9)


def test_losses_of_classes_are_log_losses():
    problem = make_problem("multiclass")
    meta = problem.meta().fit(problem.tasks)
    tasks = problem.tasks[:1]
    found = evaluate(meta._served.learned, tasks)
    support = np.setdiff1d(np.arange(tasks.n_rows), found.row)
    meta.fit_adapt(tasks.X[support], tasks.y[support])
    proba = meta.predict_proba(tasks.X[found.row])
    codes = np.searchsorted(meta.classes_, tasks.y[found.row])
    np.testing.assert_allclose(found.loss, -np.log(proba[np.arange(len(proba)), codes]), rtol=1e-9)


def test_half_of_the_rows_are_support_or_those_that_are_marked(regression):
    meta = regression.meta().fit(regression.tasks)
    tasks = regression.tasks
    found = evaluate(meta._served.learned, tasks)
    np.testing.assert_array_equal(np.bincount(found.task), tasks.sizes - tasks.sizes // 2)
    first = np.arange(tasks.n_rows) - np.repeat(tasks.offsets[:-1], tasks.sizes) < 3
    marked = type(tasks)(tasks.X, tasks.y, tasks.offsets, tasks.task_ids, is_support=first)
    np.testing.assert_array_equal(
        evaluate(meta._served.learned, marked).row, np.flatnonzero(~first)
    )


def test_the_split_is_the_seeds(regression):
    meta = regression.meta().fit(regression.tasks)
    seeds = [
        evaluate(meta._served.learned, regression.tasks, random_state=s).row for s in (0, 0, 1)
    ]
    np.testing.assert_array_equal(seeds[0], seeds[1])
    assert not np.array_equal(seeds[0], seeds[2])


def test_threads_change_nothing(regression):
    meta = regression.meta("maml").fit(regression.tasks)
    one, two = (evaluate(meta._served.learned, regression.tasks, n_jobs=n) for n in (1, 2))
    for part, other in zip(one, two, strict=True):
        np.testing.assert_array_equal(part, other)


@pytest.mark.parametrize("kind", KINDS)
def test_constant_loss_is_the_least_that_one_prediction_for_all_can_have(kind):
    """Of the rows that the mean is of; a step away in any output has more."""
    problem = make_problem(kind)
    meta = problem.meta(max_iter=2).fit(problem.tasks)
    encoded, network = (
        meta._served.learned.encoder.encode(problem.tasks),
        meta._served.learned.network,
    )
    batch = encoded.arrays.full_batch(np.arange(len(problem.tasks)))
    batch = batch._replace(weight=batch.weight / batch.weight.sum(axis=1, keepdims=True))
    mean = np.einsum("tn,tnk->k", batch.weight, batch.y) / len(batch.X)  # tasks count alike
    least = constant_loss(network, mean, batch)
    if kind == "own labels":
        n_classes = np.array([len(classes) for classes in encoded.classes])
        np.testing.assert_allclose(least, np.log(n_classes).mean(), rtol=1e-9)
        return
    z = network.loss.link(mean)
    np.testing.assert_allclose(network.loss.mean(z), mean, rtol=1e-9)
    for output in range(len(mean)):
        for move in (0.01, -0.01):
            moved = np.broadcast_to(z + move * (np.arange(len(z)) == output), batch.y.shape)
            assert network.loss.mean_loss(moved, batch) > least
