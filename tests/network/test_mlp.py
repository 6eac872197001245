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
    at = run(network, vector, batch)
    return network.gradient(at.inputs, at.deltas, per_task=True)


def hessian_vector_product(network, vector, batch, direction):
    return network.hessian_vector_product(run(network, vector, batch), batch, direction)


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
@given(problems(), st.integers(0, 1000))
def test_hessian_vector_product_against_central_differences(problem, seed):
    network, vector, batch = problem
    rng, eps = np.random.RandomState(seed), 1e-6
    direction = rng.standard_normal((len(batch.X), network.layout.size))
    ahead = task_gradients(network, vector + eps * direction, batch)
    behind = task_gradients(network, vector - eps * direction, batch)
    exact = hessian_vector_product(network, vector, batch, direction)
    assert_close(exact, (ahead - behind) / (2 * eps), 1e-6)


@few_examples
@given(problems())
def test_hessian_is_symmetric_and_linear(problem):
    network, vector, batch = problem
    rng = np.random.RandomState(0)
    U, V = rng.standard_normal((2, len(batch.X), network.layout.size))
    HU = hessian_vector_product(network, vector, batch, U)
    HV = hessian_vector_product(network, vector, batch, V)
    np.testing.assert_allclose((U * HV).sum(axis=1), (V * HU).sum(axis=1), atol=1e-9)
    both = hessian_vector_product(network, vector, batch, U - 3 * V)
    np.testing.assert_allclose(both, HU - 3 * HV, atol=1e-9)


@few_examples
@given(problems())
def test_a_padded_batch_is_a_loop_over_its_tasks(problem):
    network, vector, batch = problem
    direction = np.random.RandomState(0).standard_normal((len(batch.X), network.layout.size))
    vectors = np.broadcast_to(vector, direction.shape)
    losses = run(network, vector, batch).losses
    gradients = task_gradients(network, vector, batch)
    products = hessian_vector_product(network, vector, batch, direction)
    for i, task in enumerate(tasks_of(batch)):
        np.testing.assert_allclose(run(network, vectors[i], task).losses, losses[[i]], rtol=1e-12)
        assert_close(gradients[[i]], task_gradients(network, vectors[i], task), 1e-12)
        product = hessian_vector_product(network, vectors[i], task, direction[[i]])
        assert_close(products[[i]], product, 1e-12)


@few_examples
@given(problems())
def test_the_summed_gradient_is_the_sum_of_the_tasks(problem):
    network, vector, batch = problem
    at = run(network, vector, batch)
    total = network.gradient(at.inputs, at.deltas, per_task=False)
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
    direction = rng.standard_normal((3, network.layout.size))
    at, gradients = run(network, vector, batch), task_gradients(network, vector, batch)
    products = hessian_vector_product(network, vector, batch, direction)
    for i, task in enumerate(tasks_of(batch)):
        k = i + 2
        smaller = MLP([2, *hidden, k], "tanh", "log_loss")
        part = TaskBatch(task.X, task.y[..., :k], task.weight)
        small_vector, small_direction = (
            keep_outputs(network, flat, k) for flat in (vector, direction[i])
        )
        expected = task_gradients(smaller, small_vector, part)[0]
        product = hessian_vector_product(smaller, small_vector, part, small_direction[None])[0]
        np.testing.assert_allclose(at.losses[i], run(smaller, small_vector, part).losses[0])
        assert_close(keep_outputs(network, gradients[i], k), expected, 1e-12)
        assert_close(keep_outputs(network, products[i], k), product, 1e-12)
        for name in network.names[-1]:
            for flat in (gradients[i], products[i]):
                assert not network.layout.view(flat, name)[..., k:].any()


def keep_outputs(network, flat, k):
    *layers, (weights, bias) = network.layers(flat)
    kept = [*layers, (weights[:, :k], bias[:k])]
    return np.concatenate([part.ravel() for layer in kept for part in layer])


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
    direction = rng.standard_normal((3, network.layout.size))
    nothing = TaskBatch(batch.X[:, :0], batch.y[:, :0], batch.weight[:, :0])
    for empty in (nothing, batch._replace(weight=0 * batch.weight)):
        assert not run(network, vector, empty).losses.any()
        assert not task_gradients(network, vector, empty).any()
        assert not hessian_vector_product(network, vector, empty, direction).any()


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
    gradient = network.gradient(at.inputs, at.deltas, per_task=True)
    results = [
        *at.inputs,
        at.mean,
        *at.deltas,
        at.losses,
        gradient,
        network.gradient(at.inputs, at.deltas, per_task=False),
        network.hessian_vector_product(at, batch, gradient),
        network.outputs(at.layers, batch.X),
    ]
    assert {result.dtype for result in results} == {np.dtype(dtype)}


@every_case
def test_single_precision_is_near_double_precision(case):
    network = make_network(case)
    rng = np.random.RandomState(0)
    vector, batch = rng.standard_normal(network.layout.size), ragged_batch(rng, network, SIZES)
    direction = rng.standard_normal((3, network.layout.size))
    exact = hessian_vector_product(network, vector, batch, direction)
    single = [part.astype(np.float32) for part in (vector, direction)]
    rough = hessian_vector_product(network, single[0], cast(batch, np.float32), single[1])
    assert_close(rough, exact, 1e-5)


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
