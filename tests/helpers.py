"""Plain references that tests of several floors share, and what they take from the checker.

Networks, ragged weighted batches and comparisons are those of `sklearn_meta.testing`.
"""

import numpy as np
import pytest
import sklearn
from scipy.special import expit, xlogy
from scipy.special import softmax as scipy_softmax
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.utils.fixes import parse_version

from sklearn_meta.algorithms._definitions import central_difference
from sklearn_meta.testing._cases import TARGETS as CASES
from sklearn_meta.testing._cases import (
    cast,
    draw_params,
    draw_targets,
    make_network,
    ragged_batch,
    tasks_of,
)
from sklearn_meta.testing._compare import assert_close
from sklearn_meta.training import Checkpoint

__all__ = [
    "CASES",
    "PRESETS",
    "assert_close",
    "cast",
    "central_difference",
    "draw_targets",
    "interrupted_fit",
    "make_network",
    "make_params",
    "needs_hidden",
    "needs_loss",
    "needs_sklearn",
    "plain_loss",
    "plain_mean",
    "plain_nll",
    "ragged_batch",
    "sklearn_mlp",
    "tasks_of",
]

PRESETS = ("anil", "boil", "fomaml", "meta_sgd")  # of MAML, whose code they share


def needs_loss(algorithm, loss):
    """Skip the test where the algorithm by its nature cannot learn with this loss."""
    if loss not in algorithm.losses:
        name = algorithm.__name__ if isinstance(algorithm, type) else type(algorithm).__name__
        pytest.skip(f"{name} does not learn with {loss}")


def needs_hidden(algorithm, hidden):
    """Skip the test where the algorithm moves hidden layers only, and there are none."""
    if getattr(algorithm, "adapt_layers", "all") == "body" and not np.size(hidden):
        pytest.skip(f"{type(algorithm).__name__} needs a hidden layer")


def needs_sklearn(version, why):
    """A mark of a test that skips it with what scikit-learn itself cannot do before a version."""
    older = parse_version(sklearn.__version__) < parse_version(version)
    return pytest.mark.skipif(older, reason=f"scikit-learn before {version}: {why}")


def make_params(algorithm, network, seed=0, dtype=np.float64):
    """Parameters off their starting values; what is held at 0 stays there."""
    needs_loss(algorithm, network.loss_name)
    needs_hidden(algorithm, network.layer_units[1:-1])
    return draw_params(algorithm, network, seed, dtype)


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


def interrupted_fit(meta, tasks, monkeypatch, n_evaluations=5):
    """Killed after so many evaluations, as far as its checkpoint can tell."""
    n, save = [], Checkpoint.save

    def dying(checkpoint, saved):
        save(checkpoint, saved)
        n.append(1)
        if len(n) == 1 + n_evaluations:  # the first is before training
            raise SystemExit

    with monkeypatch.context() as patched:
        patched.setattr(Checkpoint, "save", dying)
        with pytest.raises(SystemExit):
            meta.fit(tasks)
