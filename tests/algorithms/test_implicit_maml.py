import numpy as np
import pytest
from helpers import (
    CASES,
    assert_close,
    central_difference,
    make_network,
    make_params,
    ragged_batch,
    tasks_of,
)
from scipy.sparse.linalg import cg

from sklearn_meta.algorithms import ImplicitMAML
from sklearn_meta.algorithms.implicit_maml import conjugate_gradients, krylov_solution
from sklearn_meta.network import Params

every_case = pytest.mark.parametrize("case", CASES)
TO_THE_END = ImplicitMAML(penalty=3.0, inner_lr=0.1, inner_steps=150, cg_steps=40)


def draw(case, hidden=(3,)):
    network = make_network(case, hidden)
    rng = np.random.RandomState(0)
    support, query = (ragged_batch(rng, network, sizes) for sizes in ((6, 3, 5), (4, 7, 2)))
    return network, make_params(ImplicitMAML(), network), support, query


def penalised_loss(network, start, layers, task, penalty):
    moved = network.flat(layers) - start
    return network.run(layers, task).losses[0] + penalty / 2 * moved @ moved


def ridge(network, vector, task):
    """Of a linear network: the minimum of the penalised loss, and the loss's Hessian, exactly.

    With k outputs, both are of each output's weights and bias, (d + 1, k) and (d + 1, d + 1).
    """
    F = np.append(task.X[0], np.ones((task.X.shape[1], 1)), axis=1)
    start = np.vstack(network.layers(vector)[0])  # (d + 1, k)
    scaled = 2 / network.n_outputs * (task.weight[0] / task.weight.sum())[:, None] * F
    H = F.T @ scaled
    penalty = TO_THE_END.penalty * np.eye(len(H))
    return np.linalg.solve(H + penalty, scaled.T @ task.y[0] + penalty @ start), H


@pytest.mark.parametrize("case", ["squared_error", "two_outputs"])
def test_a_linear_network_is_a_ridge_regression_towards_the_start(case):
    network, params, support, _ = draw(case, ())
    adapted = TO_THE_END.learn(network, params, support)
    for i, task in enumerate(tasks_of(support)):
        expected, _ = ridge(network, params.vector, task)
        assert_close(np.vstack(adapted.task(i).layers[0]), expected, 1e-10)


@pytest.mark.parametrize("case", ["squared_error", "two_outputs"])
def test_meta_gradient_of_a_linear_network_in_closed_form(case):
    network, params, support, query = draw(case, ())
    _, gradient = TO_THE_END.meta_gradient(network, params, support, query)
    expected = 0
    for task, rows in zip(tasks_of(support), tasks_of(query), strict=True):
        W, H = ridge(network, params.vector, task)
        at = network.run([(W[:-1], W[-1])], rows)
        of_query = np.vstack(network.layers(network.gradient(at.inputs, at.deltas))[0])
        expected += np.linalg.solve(np.eye(len(H)) + H / TO_THE_END.penalty, of_query) / 3
    assert_close(np.vstack(network.layers(gradient)[0]), expected, 1e-10)


@every_case
def test_meta_gradient_is_that_of_the_inner_problem_solved_to_the_end(case):
    network, params, support, query = draw(case)

    def loss(vector):
        moved = Params(vector, params.layout)
        return TO_THE_END.meta_gradient(network, moved, support, query)[0]

    _, gradient = TO_THE_END.meta_gradient(network, params, support, query)
    assert_close(gradient, central_difference(loss, params.vector), 1e-6)


@every_case
def test_no_rate_is_too_large(case):
    """Each task halves its own, alone as in a batch, until its penalised loss falls."""
    network, params, support, _ = draw(case)
    algorithm = ImplicitMAML(inner_lr=20.0, penalty=1.0, inner_steps=25)
    adapted = algorithm.learn(network, params, support)
    for i, task in enumerate(tasks_of(support)):
        layers = adapted.task(i).layers
        before, after = (
            penalised_loss(network, params.vector, part, task, 1.0)
            for part in (network.layers(params.vector), layers)
        )
        assert after < before
        alone = algorithm.learn(network, params, task).task(0).layers
        assert_close(network.flat(layers), network.flat(alone), 1e-10)


def test_small_steps_are_plain_gradient_descent():
    network, params, support, _ = draw("softmax")
    adapted = ImplicitMAML(inner_lr=0.01, penalty=2.0, inner_steps=4).learn(
        network, params, support
    )
    for i, task in enumerate(tasks_of(support)):
        vector = params.vector
        for _ in range(4):
            at = network.run(network.layers(vector), task)
            pull = 2.0 * (vector - params.vector)
            vector = vector - 0.01 * (network.gradient(at.inputs, at.deltas) + pull)
        assert_close(network.flat(adapted.task(i).layers), vector, 1e-12)


def systems(n_tasks=3, size=6):
    """Symmetric positive definite matrices (tasks, size, size) and right-hand sides."""
    rng = np.random.RandomState(0)
    A = rng.standard_normal((n_tasks, size, size))
    return A @ A.mT + np.eye(size), rng.standard_normal((n_tasks, size))


def solve(A, B, n_steps):
    return conjugate_gradients(lambda V: np.einsum("tij,tj->ti", A, V), B, n_steps)


@pytest.mark.parametrize("n_steps", [1, 2, 4])
def test_conjugate_gradients_are_scipys(n_steps):
    A, B = systems()
    for X, a, b in zip(solve(A, B, n_steps), A, B, strict=True):
        expected, _ = cg(a, b, x0=b, maxiter=n_steps, rtol=0)
        np.testing.assert_allclose(X, expected, rtol=1e-10)


def test_conjugate_gradients_end_at_the_solution():
    A, B = systems()
    expected = np.linalg.solve(A, B[..., None])[..., 0]
    np.testing.assert_allclose(solve(A, B, 50), expected, rtol=1e-9)


def test_what_is_solved_or_not_positive_definite_stays():
    A, B = systems()
    A[0], A[2] = np.eye(6), -np.eye(6)
    X = solve(A, B, 50)
    np.testing.assert_array_equal(X[[0, 2]], B[[0, 2]])
    np.testing.assert_allclose(X[1], np.linalg.solve(A[1], B[1]), rtol=1e-9)


@pytest.mark.parametrize("n_steps", [1, 2, 4, 50])
def test_krylov_solution_is_where_conjugate_gradients_are(n_steps):
    A, B = systems()
    for X, a, b in zip(solve(A, B, n_steps), A, B, strict=True):
        np.testing.assert_allclose(krylov_solution(a, b, n_steps), X, rtol=1e-8)


def test_krylov_solution_with_enough_steps_solves_the_system():
    A, B = systems()
    for a, b in zip(A, B, strict=True):
        np.testing.assert_allclose(krylov_solution(a, b, 6), np.linalg.solve(a, b), rtol=1e-9)


@pytest.mark.parametrize("n_steps", [1, 3, 50])
def test_both_stop_where_a_system_is_not_positive_definite(n_steps):
    A, B = systems(n_tasks=20)
    A -= 2 * np.eye(6)
    for X, a, b in zip(solve(A, B, n_steps), A, B, strict=True):
        np.testing.assert_allclose(krylov_solution(a, b, n_steps), X, rtol=1e-6, atol=1e-9)


@every_case
def test_definition_is_the_inverse_of_the_dense_system(case):
    """Descended and solved to the end: (I + H / penalty)^-1 times the query gradient."""
    network, params, support, query = draw(case)
    adapted, expected = TO_THE_END.learn(network, params, support), []
    for i, (task, rows) in enumerate(zip(tasks_of(support), tasks_of(query), strict=True)):
        end = network.flat(adapted.task(i).layers)

        def gradient(vector, batch):
            at = network.run(network.layers(vector), batch)
            return network.gradient(at.inputs, at.deltas)

        H = central_difference(lambda vector, task=task, g=gradient: g(vector, task), end)
        system = np.eye(len(H)) + H / TO_THE_END.penalty
        expected.append(np.linalg.solve(system, gradient(end, rows)))
    found = TO_THE_END.gradient_definition(network, params, support, query)
    assert_close(found, np.mean(expected, axis=0), 1e-8)
