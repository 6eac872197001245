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

from sklearn_meta.algorithms import CAVIA, Joint
from sklearn_meta.network import MLP, Params

every_case = pytest.mark.parametrize("case", CASES)


def draw(case, algorithm):
    network = make_network(case)
    rng = np.random.RandomState(0)
    support, query = (ragged_batch(rng, network, sizes) for sizes in ((6, 3, 5), (4, 7, 2)))
    return network, make_params(algorithm, network), support, query


def with_context(network, params):
    """The network that reads its context as further features, and its layers."""
    n_context = len(params["context_weights"])
    units = [network.layer_units[0] + n_context, *network.layer_units[1:]]
    (weights, bias), *others = network.layers(params.vector)
    wide = MLP(units, network.activation, network.loss_name)
    return wide, [(np.vstack([weights, params["context_weights"]]), bias), *others]


def reads(batch, context):
    """The batch of one task with the context (n_context,) beside the features of every row."""
    columns = np.broadcast_to(context, (*batch.X.shape[:2], len(context)))
    return batch._replace(X=np.concatenate([batch.X, columns], axis=-1))


def plain_context(network, params, task, inner_lr, n_steps):
    """Gradient descent on one task's context, with the gradient by central differences."""
    wide, layers = with_context(network, params)

    def loss(context):
        return wide.run(layers, reads(task, context)).losses[0]

    context = np.zeros(len(params["context_weights"]))
    for _ in range(n_steps):
        context = context - inner_lr * central_difference(loss, context)
    return context


@every_case
def test_adapting_is_gradient_descent_on_further_inputs(case):
    algorithm = CAVIA(n_context=3, inner_lr=0.5, inner_steps=3)
    network, params, support, query = draw(case, algorithm)
    z = algorithm.learn(network, params, support).outputs(network, query.X)
    wide, layers = with_context(network, params)
    for i, task in enumerate(tasks_of(support)):
        context = plain_context(network, params, task, 0.5, 3)
        expected = wide.outputs(layers, reads(query, context).X)[i]
        np.testing.assert_allclose(z[i], expected, rtol=1e-7, atol=1e-8)


def test_a_task_has_its_own_first_bias_and_shares_the_rest():
    network, params, support, _ = draw("softmax", CAVIA())
    adapted = CAVIA().learn(network, params, support)
    (weights, bias), *others = adapted.layers
    (start, start_bias), *shared = network.layers(params.vector)
    assert bias.shape == (3, len(start_bias))
    assert np.all(np.abs(bias - start_bias).max(axis=1) > 1e-3)
    np.testing.assert_array_equal(weights, start)
    for layer, expected in zip(others, shared, strict=True):
        np.testing.assert_array_equal(layer[0], expected[0])
        np.testing.assert_array_equal(layer[1], expected[1])


@every_case
def test_without_steps_it_is_joint_training_on_the_query(case):
    algorithm = CAVIA(inner_steps=0)
    network, params, support, query = draw(case, algorithm)
    loss, gradient = algorithm.meta_gradient(network, params, support, query)
    nothing = query._replace(X=query.X[:, :0], y=query.y[:, :0], weight=query.weight[:, :0])
    expected_loss, expected = Joint().meta_gradient(
        network, Params(params.vector[: network.layout.size], network.layout), nothing, query
    )
    np.testing.assert_allclose(loss, expected_loss, rtol=1e-12)
    assert_close(gradient[: network.layout.size], expected, 1e-12)
    assert not gradient[network.layout.size :].any()


@every_case
def test_first_order_holds_the_gradients_at_the_first_layer_fixed(case):
    """The context is then the steps' gradients, as they are, times the weights of the context."""
    algorithm = CAVIA(n_context=3, inner_lr=0.5, inner_steps=2, first_order=True)
    network, params, support, query = draw(case, algorithm)
    wide, layers = with_context(network, params)
    descents = []
    for task in tasks_of(support):
        steps = [plain_context(network, params, task, 0.5, n) for n in range(2)]
        runs = [wide.run(layers, reads(task, context)) for context in steps]
        descents.append(-0.5 * sum(at.deltas[0].sum(axis=(0, 1)) for at in runs))  # (h,)

    def loss(vector):
        moved = Params(vector, params.layout)
        wide, layers = with_context(network, moved)
        episodes = zip(tasks_of(query), descents, strict=True)
        contexts = ((rows, moved["context_weights"] @ descent) for rows, descent in episodes)
        return np.mean([wide.run(layers, reads(*part)).losses[0] for part in contexts])

    found, gradient = algorithm.meta_gradient(network, params, support, query)
    np.testing.assert_allclose(found, loss(params.vector), rtol=1e-7)
    assert_close(gradient, central_difference(loss, params.vector), 1e-6)


def test_adapt_steps_are_for_new_tasks_only():
    plain, longer = CAVIA(inner_steps=1), CAVIA(inner_steps=1, adapt_steps=3)
    network, params, support, query = draw("squared_error", plain)
    gradients = [a.meta_gradient(network, params, support, query)[1] for a in (plain, longer)]
    np.testing.assert_array_equal(*gradients)
    found, expected = (a.learn(network, params, support) for a in (longer, CAVIA(inner_steps=3)))
    np.testing.assert_array_equal(found.layers[0][1], expected.layers[0][1])
