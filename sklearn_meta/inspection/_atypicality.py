"""How likely the prior finds the rows of tasks, each task's all together."""

from dataclasses import replace

import numpy as np
from scipy.special import gammaln

from .._ragged import as_offsets, runs, within
from ..algorithms import BayesianHead
from ..algorithms._task_noise import NoisePrior
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
    """Log density of all rows of each task, by the prior of its head and of its noise: (tasks,).

    Tails of a task's own rows, beyond those that its unknown noise gives, are left out.
    """
    network, params = learned.network, learned.params
    prior = learned.algorithm.prior(network, params)
    scale = np.exp(-0.5 * params["log_precision"])
    noise = NoisePrior.of(params)
    wide, inverse_shape = np.exp(0.5 * noise.log_spread[0]), noise.bounded[0]  # (outputs,)
    total = np.zeros(len(arrays))
    for n in np.unique(arrays.sizes):
        tasks = np.flatnonzero(arrays.sizes == n)
        rows = runs(arrays.offsets[tasks], arrays.sizes[tasks]).reshape(-1, n)
        X = arrays.X[rows]
        F = network.hidden(prior.layers, X)[-1]
        Q = np.concatenate([F, np.ones((*X.shape[:2], 1))], axis=-1) * scale
        residual = arrays.y[rows] - TaskWeights(prior.layers).outputs(network, X)
        for k, variance in enumerate(noise.variance):
            found = log_density(Q * wide[k], residual[..., k], variance, inverse_shape[k])
            total[tasks] += found
    return total


def log_density(Q, residual, variance, inverse_shape):
    """Log density of residuals with the covariance ``variance * (Q Q' + I)``.

    That of a Gaussian, or of Student's t where the variance is an inverse-gamma's mean.

    Parameters
    ----------
    Q : ndarray of shape (tasks, n, p)
    residual : ndarray of shape (tasks, n)
    variance, inverse_shape : float
        Of the inverse-gamma distribution; a shape of 2 at least, or 0: the variance is known.

    Returns
    -------
    ndarray of shape (tasks,)
    """
    n = Q.shape[1]
    squares, log_det = _quadratic(Q.astype(float), residual.astype(float)[..., None])
    squares, log_det = squares / variance, log_det + n * np.log(variance)
    if inverse_shape == 0:
        return -0.5 * (squares + log_det + n * LOG_2PI)
    df = 2 / inverse_shape
    constant = gammaln(0.5 * (df + n)) - gammaln(0.5 * df) - 0.5 * n * np.log(np.pi * (df - 2))
    return constant - 0.5 * log_det - 0.5 * (df + n) * np.log1p(squares / (df - 2))


def _quadratic(Q, residual):
    """``r' (Q Q' + I)^-1 r`` of residuals (tasks, n, 1), and the matrix's log determinant."""
    n, p = Q.shape[1:]
    side = Q if n <= p else Q.mT
    factor = np.linalg.cholesky(side @ side.mT + np.eye(min(n, p)))
    log_det = 2 * np.log(np.einsum("tii->ti", factor)).sum(axis=1)
    if n <= p:
        squares = np.linalg.solve(factor, residual) ** 2
    else:  # of the ridge solution: what is left, and its length
        mode = np.linalg.solve(factor.mT, np.linalg.solve(factor, side @ residual))
        squares = np.concatenate([residual - Q @ mode, mode], axis=1) ** 2
    return squares.sum(axis=(1, 2)), log_det


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
