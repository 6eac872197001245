"""What every algorithm must do, whatever it is."""

import numpy as np
import pytest
from helpers import (
    CASES,
    assert_close,
    cast,
    central_difference,
    make_network,
    make_params,
    needs_exact_gradient,
    ragged_batch,
    tasks_of,
)
from sklearn.base import clone

from sklearn_meta.algorithms import ALGORITHMS, MetaAlgorithm
from sklearn_meta.network import MLP, Params

every_algorithm = pytest.mark.parametrize("name", ALGORITHMS)
every_case = pytest.mark.parametrize("case", CASES)
every_setting = pytest.mark.parametrize(  # n_classes where tasks have classes of their own
    ("case", "n_classes"),
    [*((case, None) for case in CASES), ("binary", [2, 2, 2]), ("softmax", [2, 3, 2])],
    ids=[*CASES, "own_binary", "own_softmax"],
)
both_dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])


SMALL = {  # an inner rate at which adaptation goes far, few parameters, and none that starts at 0
    "inner_lr": 0.1,
    "init_penalty": 0.5,
    "encoder_layer_sizes": (4, 3),
    "representation_size": 3,
}


def make_algorithm(name):
    """With those of the small parameters that it has."""
    algorithm = ALGORITHMS[name]()
    own = algorithm.get_params()
    return algorithm.set_params(**{name: SMALL[name] for name in SMALL if name in own})


def draw(
    name, case, n_classes=None, activation="tanh", hidden=(4, 3), sizes=((6, 3, 5), (4, 7, 2))
):
    """An algorithm, a network, parameters, and an episode of ragged weighted tasks."""
    network = make_network(case, hidden, activation, exchangeable=n_classes is not None)
    algorithm = make_algorithm(name)
    rng = np.random.RandomState(0)
    masks = n_classes if case == "softmax" else None
    support, query = (ragged_batch(rng, network, part, masks) for part in sizes)
    return algorithm, network, make_params(algorithm, network), support, query


def free_entries(params):
    """Entries that are learned: an output layer of classes of their own may be held at 0."""
    return params.vector != 0


def test_names():
    assert {name: cls.__name__ for name, cls in ALGORITHMS.items()} == {
        "bayesian_head": "BayesianHead",
        "deep_kernel_gp": "DeepKernelGP",
        "joint": "Joint",
        "maml": "MAML",
        "prototypes": "Prototypes",
        "ridge_head": "RidgeHead",
        "neural_process": "NeuralProcess",
        "fomaml": "FOMAML",
        "anil": "ANIL",
        "boil": "BOIL",
        "meta_sgd": "MetaSGD",
        "reptile": "Reptile",
        "implicit_maml": "ImplicitMAML",
        "cavia": "CAVIA",
        "proto_maml": "ProtoMAML",
    }


@every_algorithm
def test_it_is_a_scikit_learn_estimator_with_keyword_parameters(name):
    algorithm = make_algorithm(name)
    assert isinstance(algorithm, MetaAlgorithm)
    assert clone(algorithm).get_params() == algorithm.get_params()
    assert set(algorithm._parameter_constraints) == set(algorithm.get_params())


@every_algorithm
@every_setting
def test_meta_gradient_against_central_differences(name, case, n_classes):
    algorithm, network, params, support, query = draw(name, case, n_classes)
    needs_exact_gradient(algorithm)

    def loss(vector):
        return algorithm.meta_gradient(network, Params(vector, params.layout), support, query)[0]

    _, gradient = algorithm.meta_gradient(network, params, support, query)
    numeric = central_difference(loss, params.vector)
    free = free_entries(params)
    assert_close(gradient[free], numeric[free], 1e-6)
    assert not gradient[~free].any()


@every_algorithm
@pytest.mark.parametrize("hidden", [(), (5,)])
@pytest.mark.parametrize("activation", ["identity", "relu", "logistic"])
@pytest.mark.parametrize("case", ["two_outputs", "softmax"])
def test_meta_gradient_of_other_networks(name, case, activation, hidden):
    algorithm, network, params, support, query = draw(
        name, case, activation=activation, hidden=hidden
    )
    needs_exact_gradient(algorithm)

    def loss(vector):
        return algorithm.meta_gradient(network, Params(vector, params.layout), support, query)[0]

    _, gradient = algorithm.meta_gradient(network, params, support, query)
    numeric = central_difference(loss, params.vector)
    free = free_entries(params)
    assert_close(gradient[free], numeric[free], 1e-6)


@every_algorithm
@every_setting
def test_meta_gradient_of_a_padded_batch_is_a_loop_over_its_tasks(name, case, n_classes):
    algorithm, network, params, support, query = draw(name, case, n_classes)
    loss, gradient = algorithm.meta_gradient(network, params, support, query)
    alone = [
        algorithm.meta_gradient(network, params, *episode)
        for episode in zip(tasks_of(support), tasks_of(query), strict=True)
    ]
    np.testing.assert_allclose(loss, np.mean([loss for loss, _ in alone]), rtol=1e-12)
    assert_close(gradient, np.mean([gradient for _, gradient in alone], axis=0), 1e-12)


@every_algorithm
@every_setting
def test_adapt_of_a_padded_batch_is_a_loop_over_its_tasks(name, case, n_classes):
    algorithm, network, params, support, _ = draw(name, case, n_classes)
    together = algorithm.adapt(network, params, support)
    for i, task in enumerate(tasks_of(support)):
        alone = algorithm.adapt(network, params, task)
        parts = arrays_of(together.task(i)), arrays_of(alone.task(0))
        for part, expected in zip(*parts, strict=True):
            assert_close(part, expected, 1e-12)


def arrays_of(adapted):
    """Every array that an adapted task holds, however they are nested."""
    if isinstance(adapted, (list, tuple)):
        return [array for part in adapted for array in arrays_of(part)]
    return [adapted] if isinstance(adapted, np.ndarray) else []


@every_algorithm
@pytest.mark.parametrize("n_classes", [[2, 3, 4], [2, 2, 3]])
def test_absent_classes_are_as_if_they_were_not_there(name, n_classes):
    """Tasks with 2 to 4 of 4 classes, against networks of 2 to 4 outputs."""
    algorithm = make_algorithm(name)
    rng = np.random.RandomState(0)
    network = MLP([2, 3, 4], "tanh", "log_loss", True)
    params = make_params(algorithm, network)
    support = ragged_batch(rng, network, [6, 3, 5], n_classes)
    adapted = algorithm.adapt(network, params, support)
    X = rng.standard_normal((3, 7, 2))
    z = adapted.outputs(network, X, support.logit_mask)
    for i, task in enumerate(tasks_of(support)):
        k = n_classes[i]
        smaller = MLP([2, 3, k], "tanh", "log_loss", True)
        part = task._replace(y=task.y[..., :k], logit_mask=None)
        alone = algorithm.adapt(smaller, narrow(smaller, params, k), part)
        expected = alone.outputs(smaller, X[[i]])[0]
        np.testing.assert_allclose(z[i, :, :k], expected, rtol=1e-10, atol=1e-12)
        assert np.all(z[i, :, k:] < -1e300)


def narrow(network, params, k):
    """Parameters of a network with the first k outputs only."""
    shapes = network.layout.shapes
    own = [name for name in params.layout.shapes if name not in shapes]
    place = Params(np.arange(params.layout.size), params.layout)
    kept = np.concatenate(
        [place[name][..., : k if name in network.names[-1] else None].ravel() for name in shapes]
    )
    n_entries = params.layout.slices[network.names[-1][1]].stop  # of the wider network
    parts = [
        params[name][kept] if params[name].shape == (n_entries,) else params[name] for name in own
    ]
    layout = network.layout.extend(
        {name: part.shape for name, part in zip(own, parts, strict=True)}
    )
    return Params(np.concatenate([params.vector[kept], *map(np.ravel, parts)]), layout)


@every_algorithm
@every_setting
def test_order_of_tasks_does_not_matter(name, case, n_classes):
    algorithm, network, params, support, query = draw(name, case, n_classes)
    order = np.array([2, 0, 1])
    moved = [
        type(batch)(*(p if p is None else p[order] for p in batch)) for batch in (support, query)
    ]
    loss, gradient = algorithm.meta_gradient(network, params, support, query)
    moved_loss, moved_gradient = algorithm.meta_gradient(network, params, *moved)
    np.testing.assert_allclose(moved_loss, loss, rtol=1e-12)
    assert_close(moved_gradient, gradient, 1e-12)


@every_algorithm
@every_case
def test_no_support_rows_leave_the_prior(name, case):
    algorithm, network, params, support, _ = draw(name, case)
    X = np.random.RandomState(1).standard_normal((3, 7, 2))
    prior = algorithm.prior(network, params).outputs(network, X)
    nothing = support._replace(X=support.X[:, :0], y=support.y[:, :0], weight=support.weight[:, :0])
    for empty in (nothing, support._replace(weight=0 * support.weight)):
        adapted = algorithm.adapt(network, params, empty)
        np.testing.assert_allclose(adapted.outputs(network, X), prior, rtol=1e-13)


@every_algorithm
@every_setting
def test_inputs_are_left_as_they_were(name, case, n_classes):
    """joblib hands its workers arrays that cannot be written to."""
    algorithm, network, params, support, query = draw(name, case, n_classes)
    before = algorithm.get_params()
    for array in (params.vector, *support, *query):
        if array is not None:
            array.flags.writeable = False
    _, first = algorithm.meta_gradient(network, params, support, query)
    algorithm.adapt(network, params, support)
    algorithm.calibrate(network, params, support, query)
    _, second = algorithm.meta_gradient(network, params, support, query)
    np.testing.assert_array_equal(first, second)
    assert algorithm.get_params() == before


@every_algorithm
@every_setting
@both_dtypes
def test_dtype_is_kept(name, case, n_classes, dtype):
    algorithm, network, params, support, query = draw(name, case, n_classes)
    exact_loss, exact_gradient = algorithm.meta_gradient(network, params, support, query)
    params = make_params(algorithm, network, dtype=dtype)
    assert params.vector.dtype == dtype
    support, query = cast_masked(support, dtype), cast_masked(query, dtype)
    loss, gradient = algorithm.meta_gradient(network, params, support, query)
    z = algorithm.adapt(network, params, support).outputs(network, query.X, query.logit_mask)
    calibrated = algorithm.calibrate(network, params, support, query)
    assert {part.dtype for part in (loss, gradient, calibrated.vector, z)} == {np.dtype(dtype)}
    np.testing.assert_allclose(loss, exact_loss, rtol=1e-4)
    assert_close(gradient, exact_gradient, 1e-3)


def cast_masked(batch, dtype):
    """The batch in another precision, its mask as large as that precision has it."""
    mask = batch.logit_mask
    if mask is not None:
        mask = np.where(mask < 0, np.finfo(dtype).min / 8, 0)
    return cast(batch._replace(logit_mask=mask), dtype)


@every_algorithm
def test_initial_weights_are_the_networks(name):
    network, algorithm = make_network("softmax"), make_algorithm(name)
    params = algorithm.init_params(network, np.random.RandomState(3), np.float64)
    expected = network.init_vector(np.random.RandomState(3), np.float64)
    expected *= free_entries(params)[: network.layout.size]
    np.testing.assert_array_equal(params.vector[: network.layout.size], expected)
    assert list(params.layout.shapes)[: 2 * len(network.names)] == list(network.layout.shapes)
