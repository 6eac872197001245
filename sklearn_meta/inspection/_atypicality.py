"""How likely the prior finds the rows of tasks, each task's all together."""

from dataclasses import replace

import numpy as np

from .._ragged import as_offsets, runs, within
from ..algorithms import BayesianHead
from ..network import TaskWeights
from ..tasks._draws import draw_ordered
from ._tasks import has_std, prior_asked

LOG_2PI = np.log(2 * np.pi)


def log_densities(learned, arrays):
    """The mean log density per row of each task under the prior, (tasks,).

    In units in which the network sees targets; up to a constant where there is no density.
    """
    network = learned.network
    if isinstance(learned.algorithm, BayesianHead) and network.loss.quadratic:
        return _joint(learned, arrays) / arrays.sizes
    rows = _of_rows(learned, arrays)
    return np.add.reduceat(rows, arrays.offsets[:-1]) / arrays.sizes


def log_densities_of_draws(learned, arrays, n, first, random_state):
    """The same of `n` rows of each task that has as many, its first or any."""
    tasks = np.flatnonzero(arrays.sizes >= n)
    sizes, counts = arrays.sizes[tasks], np.full(len(tasks), n)
    places = within(counts) if first else draw_ordered(sizes, counts, random_state)
    rows = np.repeat(arrays.offsets[tasks], counts) + places
    drawn = replace(
        arrays,
        X=arrays.X[rows],
        y=arrays.y[rows],
        offsets=as_offsets(counts),
        is_support=None,
        weight=None,
    )
    return log_densities(learned, drawn)


def _joint(learned, arrays):
    """Log density of all rows of each task, a Gaussian each output: (tasks,)."""
    network, params = learned.network, learned.params
    prior = learned.algorithm.prior(network, params)
    scale = np.exp(-0.5 * params["log_precision"])
    total = np.empty(len(arrays))
    for n in np.unique(arrays.sizes):
        tasks = np.flatnonzero(arrays.sizes == n)
        rows = runs(arrays.offsets[tasks], arrays.sizes[tasks]).reshape(-1, n)
        X = arrays.X[rows]
        F = network.hidden(prior.layers, X)[-1]
        Q = np.concatenate([F, np.ones((*X.shape[:2], 1))], axis=-1) * scale
        residual = arrays.y[rows] - TaskWeights(prior.layers).outputs(network, X)
        total[tasks] = gaussian_log_density(Q, residual, np.exp(params["log_noise"]))
    return total


def gaussian_log_density(Q, residual, noise):
    """Log density of residuals with the covariance ``noise * (Q Q' + I)``, summed over outputs.

    Parameters
    ----------
    Q : ndarray of shape (tasks, n, p)
    residual : ndarray of shape (tasks, n, outputs)
    noise : ndarray of shape (outputs,)

    Returns
    -------
    ndarray of shape (tasks,)
    """
    n, p = Q.shape[1:]
    Q, residual = Q.astype(float), residual.astype(float)
    side = Q if n <= p else Q.mT
    factor = np.linalg.cholesky(side @ side.mT + np.eye(min(n, p)))
    log_det = 2 * np.log(np.einsum("tii->ti", factor)).sum(axis=1)[:, None]
    if n <= p:
        squares = (np.linalg.solve(factor, residual) ** 2).sum(axis=1)  # (tasks, outputs)
    else:  # of the ridge solution: what is left, and its length
        mode = np.linalg.solve(factor.mT, np.linalg.solve(factor, side @ residual))
        squares = ((residual - Q @ mode) ** 2).sum(axis=1) + (mode**2).sum(axis=1)
    return -0.5 * (squares / noise + log_det + n * (LOG_2PI + np.log(noise))).sum(axis=1)


def _of_rows(learned, arrays):
    """Log density of each row by itself, or minus half the deviance, (rows,)."""
    network, asked = learned.network, prior_asked(arrays.X)
    z = learned.outputs(asked)
    starts, counts = np.array([0]), np.array([len(z)])
    y = arrays.batch(np.array([0]), starts, counts).y[0] if len(z) else arrays.y
    if network.loss.quadratic and has_std(learned):
        std = learned.std(asked)
        return -(0.5 * ((y - z) / std) ** 2 + np.log(std) + 0.5 * LOG_2PI).sum(axis=1)
    loss = network.loss.row_losses(z[None], y[None])[0]
    return -loss / network.loss.factor(z.shape[-1])
