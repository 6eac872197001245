import numpy as np
import pytest
from helpers import (
    CASES,
    assert_close,
    make_network,
    make_params,
    plain_loss,
    ragged_batch,
    sklearn_mlp,
    tasks_of,
)

from sklearn_meta.algorithms import MAML, Joint

every_case = pytest.mark.parametrize("case", CASES)


def draw(case, sizes=((6, 3, 5), (4, 7, 2)), hidden=(4, 3)):
    network = make_network(case, hidden)
    rng = np.random.RandomState(0)
    support, query = (ragged_batch(rng, network, part) for part in sizes)
    return network, make_params(MAML(), network), support, query


def plain_steps(network, vector, task, inner_lr, n_steps):
    """scikit-learn's SGD on all rows at once, in the units of our losses."""
    k = network.n_outputs
    factor = {"squared_error": 2 / k, "poisson": 2 / k}.get(network.loss_name, 1)
    mlp = sklearn_mlp(network, network.layers(vector), learning_rate_init=factor * inner_lr)
    y = task.y[0].argmax(axis=1) if k == 3 else task.y[0, :, 0] if k == 1 else task.y[0]
    weight = task.weight[0]
    for _ in range(n_steps):
        mlp.partial_fit(task.X[0], y, sample_weight=weight)
    return list(zip(mlp.coefs_, mlp.intercepts_, strict=True))


@every_case
@pytest.mark.parametrize("hidden", [(), (4, 3)])
def test_adapting_is_scikit_learns_gradient_descent(case, hidden):
    network, params, support, _ = draw(case, hidden=hidden)
    adapted = MAML(inner_lr=0.07, inner_steps=4).adapt(network, params, support)
    for i, task in enumerate(tasks_of(support)):
        expected = plain_steps(network, params.vector, task, 0.07, 4)
        for layer, plain in zip(adapted.task(i), expected, strict=True):
            np.testing.assert_allclose(layer[0], plain[0], rtol=0, atol=1e-9)
            np.testing.assert_allclose(layer[1], plain[1], rtol=0, atol=1e-9)


def test_adapt_steps_are_for_new_tasks_only():
    network, params, support, query = draw("squared_error")
    meta = MAML(inner_lr=0.1, inner_steps=2, adapt_steps=5)
    plain = MAML(inner_lr=0.1, inner_steps=5)
    for layer, expected in zip(
        meta.adapt(network, params, support).layers,
        plain.adapt(network, params, support).layers,
        strict=True,
    ):
        np.testing.assert_array_equal(layer[0], expected[0])
    _, gradient = meta.meta_gradient(network, params, support, query)
    plain = MAML(inner_lr=0.1, inner_steps=2)
    _, expected = plain.meta_gradient(network, params, support, query)
    np.testing.assert_array_equal(gradient, expected)


@every_case
def test_loss_is_that_of_the_adapted_network_on_the_query(case):
    network, params, support, query = draw(case)
    loss, _ = MAML(inner_lr=0.1).meta_gradient(network, params, support, query)
    losses = []
    for task, rows in zip(tasks_of(support), tasks_of(query), strict=True):
        layers = plain_steps(network, params.vector, task, 0.1, 5)
        z = network.outputs(layers, rows.X)[0]
        losses.append(plain_loss(network.loss_name, z, rows.y[0], rows.weight[0]))
    np.testing.assert_allclose(loss, np.mean(losses), rtol=1e-9)


@every_case
def test_first_order_is_the_query_gradient_at_the_adapted_weights(case):
    network, params, support, query = draw(case)
    algorithm = MAML(inner_lr=0.1, first_order=True)
    loss, gradient = algorithm.meta_gradient(network, params, support, query)
    expected = []
    for task, rows in zip(tasks_of(support), tasks_of(query), strict=True):
        at = network.run(algorithm.adapt(network, params, task).layers, rows)
        expected.append(network.gradient(at.inputs, at.deltas, per_task=False))
    assert_close(gradient, np.mean(expected, axis=0), 1e-12)
    exact, _ = MAML(inner_lr=0.1).meta_gradient(network, params, support, query)
    assert loss == exact


@every_case
def test_what_first_order_leaves_out_vanishes_linearly_with_inner_lr(case):
    network, params, support, query = draw(case)
    gaps = []
    for inner_lr in (1e-4, 1e-5):
        first, second = (
            MAML(inner_lr=inner_lr, first_order=order).meta_gradient(
                network, params, support, query
            )[1]
            for order in (True, False)
        )
        gaps.append(np.linalg.norm(first - second))
    assert gaps[0] > 1e-8
    np.testing.assert_allclose(gaps[0] / gaps[1], 10, rtol=1e-2)


@every_case
def test_without_steps_or_support_it_is_joint(case):
    network, params, _, query = draw(case)
    nothing = query._replace(X=query.X[:, :0], y=query.y[:, :0], weight=query.weight[:, :0])
    episode = network, params, nothing, query
    loss, gradient = MAML(inner_steps=0).meta_gradient(*episode)
    expected_loss, expected = Joint().meta_gradient(*episode)
    np.testing.assert_allclose(loss, expected_loss, rtol=1e-14)
    assert_close(gradient, expected, 1e-13)
