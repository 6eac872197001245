import numpy as np
import pytest
from helpers import (
    CASES,
    assert_close,
    cast,
    central_difference,
    make_network,
    plain_loss,
    ragged_batch,
    sklearn_mlp,
    tasks_of,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.neural_network import MLPClassifier, MLPRegressor

from sklearn_meta.network import MLP
from sklearn_meta.tasks import TaskBatch

every_case = pytest.mark.parametrize("case", CASES)
few_examples = settings(deadline=None, derandomize=True, max_examples=60, database=None)
SIZES = [5, 1, 3]


@st.composite
def problems(draw, activations=("identity", "relu", "tanh", "logistic")):
    """A random network, weights that tasks share or not, and a ragged weighted batch."""
    loss, n_outputs = draw(st.sampled_from([*CASES.values(), ("log_loss", 4), ("poisson", 2)]))
    units = draw(st.lists(st.integers(1, 5), min_size=1, max_size=4))
    network = MLP([*units, n_outputs], draw(st.sampled_from(activations)), loss)
    rng = np.random.RandomState(draw(st.integers(0, 2**31)))
    sizes = draw(st.lists(st.integers(1, 7), min_size=1, max_size=4))
    lead = draw(st.sampled_from([(), (len(sizes),)]))
    vector = 0.6 * rng.standard_normal((*lead, network.layout.size))
    return network, vector, ragged_batch(rng, network, sizes)


def run(network, vector, batch):
    return network.run(network.layers(vector), batch)


def task_gradients(network, vector, batch):
    """(tasks, size)"""
    at = run(network, vector, batch)
    return np.stack(
        [
            network.gradient([A[[i]] for A in at.inputs], [D[[i]] for D in at.deltas])
            for i in range(len(batch.X))
        ]
    )


def sklearn_loss_and_gradient(network, layers, task):
    """By scikit-learn's own backpropagation, in the units of our losses."""
    n_layers, k = len(layers), network.n_outputs
    mlp = sklearn_mlp(network, layers)
    X, y, weight = task.X[0], task.y[0], task.weight[0]
    room = [None] * n_layers, [None] * n_layers, [None] * n_layers
    loss, coefs, intercepts = mlp._backprop(X, y, weight, [X, *room[0]], *room)
    flat = [part.ravel() for pair in zip(coefs, intercepts, strict=True) for part in pair]
    # its squared error has the factor 1/2, and neither gradient is averaged over outputs
    factor = {"squared_error": 2, "poisson": 2 / k}.get(network.loss_name, 1)
    slope = {"squared_error": 2 / k, "poisson": 2 / k}.get(network.loss_name, 1)
    return factor * loss, slope * np.concatenate(flat)


@few_examples
@given(problems())
def test_forward_loss_and_gradient_are_scikit_learns(problem):
    network, vector, batch = problem
    at, gradients = run(network, vector, batch), task_gradients(network, vector, batch)
    vectors = np.broadcast_to(vector, (len(batch.X), network.layout.size))
    for i, task in enumerate(tasks_of(batch)):
        layers = network.layers(vectors[i])
        mlp = sklearn_mlp(network, layers)
        mean = at.mean[i, batch.weight[i] > 0]
        if hasattr(mlp, "predict_proba"):
            expected = mlp.predict_proba(task.X[0])[:, -network.n_outputs :]
        else:
            expected = mlp.predict(task.X[0]).reshape(mean.shape)
        np.testing.assert_allclose(mean, expected, rtol=1e-12, atol=1e-14)
        loss, gradient = sklearn_loss_and_gradient(network, layers, task)
        np.testing.assert_allclose(at.losses[i], loss, rtol=1e-9, atol=1e-12)
        assert_close(gradients[i], gradient, 1e-12)


@few_examples
@given(problems())
def test_gradient_against_central_differences(problem):
    network, vector, batch = problem
    numeric = central_difference(lambda vector: run(network, vector, batch).losses, vector)
    assert_close(task_gradients(network, vector, batch), numeric, 1e-6)


@few_examples
@given(problems())
def test_a_padded_batch_is_a_loop_over_its_tasks(problem):
    network, vector, batch = problem
    vectors = np.broadcast_to(vector, (len(batch.X), network.layout.size))
    losses = run(network, vector, batch).losses
    gradients = task_gradients(network, vector, batch)
    for i, task in enumerate(tasks_of(batch)):
        np.testing.assert_allclose(run(network, vectors[i], task).losses, losses[[i]], rtol=1e-12)
        assert_close(gradients[[i]], task_gradients(network, vectors[i], task), 1e-12)


@few_examples
@given(problems())
def test_the_summed_gradient_is_the_sum_of_the_tasks(problem):
    network, vector, batch = problem
    at = run(network, vector, batch)
    total = network.gradient(at.inputs, at.deltas)
    assert_close(total, task_gradients(network, vector, batch).sum(axis=0), 1e-12)


@every_case
def test_losses_are_those_of_a_loop_over_rows(case):
    network = make_network(case)
    rng = np.random.RandomState(0)
    vector, batch = rng.standard_normal(network.layout.size), ragged_batch(rng, network, SIZES)
    layers = network.layers(vector)
    expected = []
    for task in tasks_of(batch):
        z = np.tanh(task.X[0] @ layers[0][0] + layers[0][1])
        z = np.tanh(z @ layers[1][0] + layers[1][1]) @ layers[2][0] + layers[2][1]
        expected.append(plain_loss(network.loss_name, z, task.y[0], task.weight[0]))
    np.testing.assert_allclose(run(network, vector, batch).losses, expected, rtol=1e-12)


@pytest.mark.parametrize("hidden", [(), (4,), (4, 3)])
def test_masked_outputs_are_as_if_they_were_not_there(hidden):
    """Tasks with 2, 3 and 4 of 4 classes, against networks of 2, 3 and 4 outputs."""
    rng = np.random.RandomState(0)
    network = MLP([2, *hidden, 4], "tanh", "log_loss")
    vector = rng.standard_normal(network.layout.size)
    batch = ragged_batch(rng, network, [5, 4, 6], n_classes=[2, 3, 4])
    at, gradients = run(network, vector, batch), task_gradients(network, vector, batch)
    for i, task in enumerate(tasks_of(batch)):
        k = i + 2
        smaller = MLP([2, *hidden, k], "tanh", "log_loss")
        part = TaskBatch(task.X, task.y[..., :k], task.weight)
        small_vector = keep_outputs(network, vector, k)
        expected = task_gradients(smaller, small_vector, part)[0]
        np.testing.assert_allclose(at.losses[i], run(smaller, small_vector, part).losses[0])
        assert_close(keep_outputs(network, gradients[i], k), expected, 1e-12)
        for name in network.names[-1]:
            assert not network.layout.view(gradients[i], name)[..., k:].any()


def keep_outputs(network, flat, k):
    *layers, (weights, bias) = network.layers(flat)
    return network.flat([*layers, (weights[:, :k], bias[:k])])


def test_outputs_add_the_mask_to_the_logits():
    network = make_network("softmax")
    rng = np.random.RandomState(0)
    layers = network.layers(rng.standard_normal(network.layout.size))
    batch = ragged_batch(rng, network, SIZES, n_classes=[2, 3, 2])
    at = network.run(layers, batch)
    z = network.outputs(layers, batch.X, batch.logit_mask)
    np.testing.assert_allclose(network.loss.mean(z), at.mean, rtol=1e-15)
    assert not at.mean[[0, 2], :, 2].any()
    assert at.mean[1].all()
    np.testing.assert_array_equal(network.outputs(layers, batch.X)[1], z[1])


@every_case
def test_a_task_without_rows_has_no_gradient(case):
    network = make_network(case)
    rng = np.random.RandomState(0)
    vector, batch = rng.standard_normal(network.layout.size), ragged_batch(rng, network, SIZES)
    nothing = TaskBatch(batch.X[:, :0], batch.y[:, :0], batch.weight[:, :0])
    for empty in (nothing, batch._replace(weight=0 * batch.weight)):
        assert not run(network, vector, empty).losses.any()
        assert not task_gradients(network, vector, empty).any()


@pytest.mark.parametrize("activation", ["identity", "relu", "tanh", "logistic"])
@every_case
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("lead", [(), (3,)])
def test_dtype_is_kept(case, activation, dtype, lead):
    network = make_network(case, activation=activation)
    rng = np.random.RandomState(0)
    vector = rng.standard_normal((*lead, network.layout.size)).astype(dtype)
    batch = cast(ragged_batch(rng, network, SIZES), dtype)
    at = run(network, vector, batch)
    results = [
        *at.inputs,
        at.mean,
        *at.deltas,
        at.losses,
        network.gradient(at.inputs, at.deltas),
        network.outputs(at.layers, batch.X),
    ]
    assert {result.dtype for result in results} == {np.dtype(dtype)}


@every_case
def test_single_precision_is_near_double_precision(case):
    network = make_network(case)
    rng = np.random.RandomState(0)
    vector, batch = rng.standard_normal(network.layout.size), ragged_batch(rng, network, SIZES)
    exact = task_gradients(network, vector, batch)
    rough = task_gradients(network, vector.astype(np.float32), cast(batch, np.float32))
    assert_close(rough, exact, 1e-5)


@few_examples
@given(problems())
def test_layers_and_flat_are_inverse(problem):
    network, vector, _ = problem
    for one in np.atleast_2d(vector):
        np.testing.assert_array_equal(network.flat(network.layers(one)), one)


def test_a_gradient_without_deltas_is_0():
    """Of the layers behind those that have some, where a head is learned otherwise."""
    network = make_network("squared_error")
    rng = np.random.RandomState(0)
    vector, batch = rng.standard_normal(network.layout.size), ragged_batch(rng, network, SIZES)
    at = run(network, vector, batch)
    whole = network.layers(network.gradient(at.inputs, at.deltas))
    body = network.layers(network.gradient(at.inputs, at.deltas[:-1]))
    for layer, expected in zip(body[:-1], whole[:-1], strict=True):
        np.testing.assert_array_equal(layer[0], expected[0])
        np.testing.assert_array_equal(layer[1], expected[1])
    assert not body[-1][0].any()
    assert not body[-1][1].any()


@pytest.mark.parametrize("activation", ["identity", "relu", "tanh", "logistic"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_initial_weights_are_scikit_learns(activation, dtype):
    network = MLP([3, 5, 4, 1], activation, "squared_error")
    vector = network.init_vector(np.random.RandomState(7), dtype)
    mlp = MLPRegressor(
        hidden_layer_sizes=(5, 4),
        activation=activation,
        solver="sgd",
        learning_rate_init=1e-300,
        random_state=7,
    ).partial_fit(np.zeros((2, 3), dtype), np.zeros(2, dtype))
    assert vector.dtype == dtype
    for (weights, bias), coefs, intercepts in zip(
        network.layers(vector), mlp.coefs_, mlp.intercepts_, strict=True
    ):
        np.testing.assert_array_equal(weights, coefs)
        np.testing.assert_array_equal(bias, intercepts)


def test_initial_weights_of_a_classifier_are_scikit_learns():
    network = MLP([3, 4, 3], "relu", "log_loss")
    vector = network.init_vector(np.random.RandomState(7), np.float64)
    mlp = MLPClassifier((4,), solver="sgd", learning_rate_init=1e-300, random_state=7)
    mlp.partial_fit(np.zeros((3, 3)), [0, 1, 2], classes=[0, 1, 2])
    np.testing.assert_array_equal(network.layers(vector)[1][0], mlp.coefs_[1])
