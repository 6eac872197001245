"""Unseen sinusoids, the error on them, and training with the published settings."""

import time
from functools import cache

import numpy as np
from sklearn.neural_network import MLPRegressor

from sklearn_meta import MetaLearner
from sklearn_meta.datasets import Sinusoids

N_UNSEEN = 600
VARIED = 0.8, 1.2  # frequencies of the Meta-SGD paper's tasks
SAY = "  {:46s} {:.4f} +- {:.4f}  {}"


@cache
def unseen_tasks(n_shots, frequency=(1.0, 1.0), seed=2026):
    """Support of `n_shots` random rows a task and the query grid, (tasks, rows)."""
    rng = np.random.default_rng(seed)
    amplitude = rng.uniform(0.1, 5, (N_UNSEEN, 1))
    phase = rng.uniform(0, np.pi, (N_UNSEEN, 1))
    x = rng.uniform(-5, 5, (N_UNSEEN, n_shots))
    w = rng.uniform(*frequency, (N_UNSEEN, 1))
    grid = np.broadcast_to(np.linspace(-5, 5, 100), (N_UNSEEN, 100))
    wave = [amplitude * np.sin(w * (points - phase)) for points in (x, grid)]
    return x, wave[0], grid, wave[1]


def mean_squared_error(meta, n_shots=10, frequency=(1.0, 1.0)):
    """Mean over unseen tasks, and half the width of its 95% interval."""
    x, y, grid, truth = unseen_tasks(n_shots, frequency)
    ids = np.arange(N_UNSEEN) + 10**6
    meta.fit_adapt(x.reshape(-1, 1), y.ravel(), groups=np.repeat(ids, x.shape[1]))
    predicted = meta.predict(grid.reshape(-1, 1), groups=np.repeat(ids, grid.shape[1]))
    errors = ((predicted.reshape(truth.shape) - truth) ** 2).mean(axis=1)
    return errors.mean(), 1.96 * errors.std() / np.sqrt(N_UNSEEN)


def fit(algorithm, tasks, *, hidden=(40, 40), alpha=0.0, label="", **parameters):
    """A MetaLearner trained with the papers' habits: no decay, no held-out tasks, x and y as is.

    An inner rate of 0.01 is for x from -5 to 5: with x standardised its steps are shorter.
    """
    parameters = {"meta_batch_size": 25, "early_stopping": False, "random_state": 0} | parameters
    mlp = MLPRegressor(hidden_layer_sizes=hidden, alpha=alpha)
    start = time.perf_counter()
    parameters = {"normalize_y": False, "standardize": False} | parameters
    meta = MetaLearner(mlp, algorithm, **parameters).fit(tasks)
    seconds = time.perf_counter() - start
    print(f"{label or meta.algorithm_} [{meta.n_iter_} meta-steps, {seconds:.0f} s]", flush=True)
    return meta


def from_pytorch(algorithm):
    """The class of algorithm, with the initial weights and biases that PyTorch draws.

    They are U(-1, 1) / sqrt(fan in), as in the source of the figures: smaller behind the first
    layer than scikit-learn's. With FOMAML that decides.
    """

    class FromPyTorch(algorithm):
        def init_params(self, network, random_state, dtype):
            params = super().init_params(network, random_state, dtype)
            for names, fan_in in zip(network.names, network.layer_units, strict=False):
                for name in names:
                    draw = random_state.uniform(-1, 1, params[name].shape)
                    params[name][...] = draw / np.sqrt(fan_in)
            return params

    return FromPyTorch


def report(label, meta, aim="", n_shots=10, frequency=(1.0, 1.0)):
    """A line with the error on the unseen tasks; returns the error."""
    error, half = mean_squared_error(meta, n_shots, frequency)
    print(SAY.format(label, error, half, aim), flush=True)
    return error


def sinusoids(n_rows, frequency=(1.0, 1.0)):
    return Sinusoids(n_rows=n_rows, frequency=frequency)
