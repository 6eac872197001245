"""Networks, ragged weighted batches and plain references that tests of several floors share."""

import numpy as np
import pytest
from scipy.special import expit, xlogy
from scipy.special import softmax as scipy_softmax
from sklearn.neural_network import MLPClassifier, MLPRegressor

from sklearn_meta.algorithms import ImplicitMAML, Reptile
from sklearn_meta.network import MLP, Params
from sklearn_meta.tasks import TaskBatch

PRESETS = ("anil", "boil", "fomaml", "meta_sgd")  # of MAML, whose code they share
CASES = {  # loss, outputs
    "squared_error": ("squared_error", 1),
    "two_outputs": ("squared_error", 2),
    "poisson": ("poisson", 1),
    "binary": ("binary_log_loss", 1),
    "softmax": ("log_loss", 3),
}


def make_network(case, hidden=(4, 3), activation="tanh", n_features=2, exchangeable=False):
    loss, n_outputs = CASES[case]
    return MLP([n_features, *hidden, n_outputs], activation, loss, exchangeable)


def needs_loss(algorithm, loss):
    """Skip the test where the algorithm by its nature cannot learn with this loss."""
    if loss not in algorithm.losses:
        name = algorithm.__name__ if isinstance(algorithm, type) else type(algorithm).__name__
        pytest.skip(f"{name} does not learn with {loss}")


def needs_hidden(algorithm, hidden):
    """Skip the test where the algorithm moves hidden layers only, and there are none."""
    if getattr(algorithm, "adapt_layers", "all") == "body" and not np.size(hidden):
        pytest.skip(f"{type(algorithm).__name__} needs a hidden layer")


def needs_exact_gradient(algorithm):
    """Skip the test where the meta-gradient is an approximation by its nature."""
    if getattr(algorithm, "first_order", False) or isinstance(algorithm, (Reptile, ImplicitMAML)):
        pytest.skip(f"{type(algorithm).__name__} has an approximate meta-gradient")


def make_params(algorithm, network, seed=0, dtype=np.float64):
    """Parameters off their starting values; what is held at 0 stays there."""
    needs_loss(algorithm, network.loss_name)
    needs_hidden(algorithm, network.layer_units[1:-1])
    rng = np.random.RandomState(seed)
    params = algorithm.init_params(network, rng, dtype)
    moved = 0.1 * rng.standard_normal(params.layout.size) * (params.vector != 0)
    return Params((params.vector + moved).astype(dtype), params.layout)


def draw_targets(rng, loss, shape, n_outputs):
    """Targets (*shape, outputs) that the loss can have."""
    if loss == "squared_error":
        return rng.standard_normal((*shape, n_outputs))
    if loss == "poisson":
        return rng.poisson(2.0, (*shape, n_outputs)).astype(float)
    if loss == "binary_log_loss":
        return rng.randint(2, size=(*shape, n_outputs)).astype(float)
    return np.eye(n_outputs)[rng.randint(n_outputs, size=shape)]


def ragged_batch(rng, network, sizes, n_classes=None):
    """Random row weights, every fifth row 0; the padding holds rows that must not matter."""
    shape = len(sizes), max(sizes)
    X = rng.standard_normal((*shape, network.layer_units[0]))
    y = draw_targets(rng, network.loss_name, shape, network.n_outputs)
    filled = np.arange(shape[1]) < np.array(sizes)[:, None]
    weight = rng.uniform(0.5, 2, shape) * filled
    weight[:, 4::5] = 0
    if n_classes is None:
        return TaskBatch(X, y, weight)
    absent = np.arange(network.n_outputs) >= np.array(n_classes)[:, None]  # (tasks, outputs)
    codes = rng.randint(10**6, size=shape) % np.array(n_classes)[:, None]
    y[filled] = np.eye(network.n_outputs)[codes][filled]
    return TaskBatch(X, y, weight, np.where(absent, np.finfo(float).min / 8, 0.0)[:, None])


def cast(batch, dtype):
    return TaskBatch(*(None if part is None else part.astype(dtype) for part in batch))


def tasks_of(batch):
    """Each task as a batch of its own, without its padding and rows of weight 0."""
    for i, weight in enumerate(batch.weight):
        rows = weight > 0
        mask = None if batch.logit_mask is None else batch.logit_mask[i : i + 1]
        parts = (part[i : i + 1, rows] for part in batch[:3])
        yield TaskBatch(*parts, mask)


def sklearn_mlp(network, layers, **options):
    """scikit-learn's MLP of the same shape, with these weights."""
    k = network.n_outputs
    options = {
        "hidden_layer_sizes": network.layer_units[1:-1],
        "activation": network.activation,
        "solver": "sgd",
        "momentum": 0,
        "alpha": 0,
        "shuffle": False,
        **options,
    }
    if "log_loss" in network.loss_name:
        classes = np.arange(max(k, 2))
        mlp = MLPClassifier(**options)
        mlp.partial_fit(np.zeros((len(classes), network.layer_units[0])), classes, classes=classes)
    else:
        mlp = MLPRegressor(loss=network.loss_name, **options)
        mlp.partial_fit(np.zeros((1, network.layer_units[0])), np.ones((1, k) if k > 1 else 1))
    mlp.coefs_ = [weights.copy() for weights, _ in layers]
    mlp.intercepts_ = [bias.copy() for _, bias in layers]
    return mlp


def plain_mean(loss, z):
    """Expected targets by the textbook's links."""
    links = {"squared_error": lambda z: z, "poisson": np.exp, "binary_log_loss": expit}
    return scipy_softmax(z, axis=-1) if loss == "log_loss" else links[loss](z)


def plain_nll(loss, z, y):
    """Negative log-likelihood summed over rows (n, k), up to a constant."""
    mean = plain_mean(loss, z)
    if loss == "squared_error":
        return 0.5 * np.sum((y - mean) ** 2)
    if loss == "poisson":
        return np.sum(xlogy(y, y) - xlogy(y, mean) - y + mean)
    if loss == "binary_log_loss":
        return -np.sum(xlogy(y, mean) + xlogy(1 - y, 1 - mean))
    return -np.sum(xlogy(y, mean))


def plain_loss(loss, z, y, weight):
    """Weighted mean over rows of one task's loss, row by row."""
    factor = 2 / z.shape[1] if loss in ("squared_error", "poisson") else 1
    total = sum(w * plain_nll(loss, z[i : i + 1], y[i : i + 1]) for i, w in enumerate(weight))
    return factor * total / weight.sum()


def central_difference(function, vector, eps=1e-5):
    """Derivative of the function's values by each entry on the vector's last axis, put last."""
    columns = []
    for i in range(vector.shape[-1]):
        ahead, behind = vector.copy(), vector.copy()
        ahead[..., i] += eps
        behind[..., i] -= eps
        columns.append((function(ahead) - function(behind)) / (2 * eps))
    return np.stack(columns, axis=-1)


def assert_close(actual, desired, tolerance):
    """Equal up to `tolerance` times the largest entry."""
    scale = max(np.abs(desired).max(initial=0), 1e-2)
    np.testing.assert_allclose(actual, desired, rtol=0, atol=tolerance * scale)
