"""The prior of tasks' noise under which held-out rows are likeliest."""

import numpy as np
from scipy.optimize import minimize
from scipy.special import digamma, gammaln

from ._task_noise import MAX_INVERSE_SHAPE, MAX_TAIL, NoisePrior

PULL = 0.003  # towards a spread of 1, times its squared logarithm: where rows say nothing of it
BOUNDS = [(-8, 8), (1e-4, MAX_INVERSE_SHAPE), (0, MAX_TAIL), (-6, 6), (-3, 3)]
STARTS = [0, 0.1, 0.1, 0, 0], [-1.5, 0.45, 0.1, 0, 0]  # two: it may have two valleys


def fit_noise_prior(rows):
    """The prior of largest mean predictive log density, of each output by itself.

    Each row counts by itself, not jointly with the others of its task: the errors of a task's
    rows go together in more ways than the features tell, and a joint density would stretch the
    posterior to explain them.

    Parameters
    ----------
    rows : HeldOutRows

    Returns
    -------
    NoisePrior
        With entries that are not finite if errors are not.
    """
    found = [_fit(rows.output(number)) for number in range(rows.error.shape[1])]
    return NoisePrior(*(np.concatenate(parts, axis=-1) for parts in zip(*found, strict=True)))


def _fit(rows):
    """Of a single output."""
    variance = rows.share @ (rows.error**2 / (1 + rows.width[:, None]))  # (1,)
    unit = np.maximum(variance, np.finfo(float).tiny)
    if not np.isfinite(unit).all():
        return _as_prior(np.zeros(5), unit)
    scaled = rows._replace(squares=rows.squares / unit, error=rows.error / np.sqrt(unit))
    found = [
        minimize(_objective, start, (scaled,), jac=True, method="L-BFGS-B", bounds=BOUNDS)
        for start in STARTS
    ]
    return _as_prior(min(found, key=lambda each: each.fun).x, unit)


def _as_prior(x, unit):
    log_variance, inverse_shape, tail, *log_spread = x[:, None]
    return NoisePrior(unit * np.exp(log_variance), inverse_shape, tail, np.array(log_spread))


def _objective(x, rows):
    """What is minimised, and its gradient, of a prior of one output as numbers (5,)."""
    prior = _as_prior(x, np.ones(1))
    noise = prior.given(rows.n, rows.squares)
    spread, n = noise.spread[:, 0], rows.n
    density = _density(noise, rows)
    by_variance, by_heaviness, by_spread = (  # of each task
        np.bincount(rows.task, rows.share * derivative, len(n)) for derivative in density[1:]
    )
    u, squares = x[1], rows.squares[:, 0]
    divisor = 1 - u + 0.5 * u * n
    d_log_spread = by_spread * spread
    gradient = [
        by_variance @ (prior.variance * (1 - u) / divisor),
        by_variance
        @ ((0.5 * squares - prior.variance - noise.variance[:, 0] * (0.5 * n - 1)) / divisor)
        + by_heaviness @ (0.5 / divisor**2),
        by_heaviness.sum(),
        d_log_spread.sum(),
        d_log_spread @ np.log1p(n),
    ]
    value = rows.share @ density[0] - PULL * x[3:] @ x[3:]
    return -value, np.append([0, 0, 0], 2 * PULL * x[3:]) - gradient


def _density(noise, rows):
    """Log density of rows (rows,), and its derivatives by their tasks' noise."""
    variance, heaviness, spread = (array[:, 0] for array in noise)
    df, task = 2 + 1 / heaviness, rows.task
    constant = gammaln(0.5 * df + 0.5) - gammaln(0.5 * df) - 0.5 * np.log(np.pi / heaviness)
    d_constant = 0.5 * (digamma(0.5 * df + 0.5) - digamma(0.5 * df) - heaviness)
    wide = 1 + spread[task] * rows.width
    total, h, power = variance[task] * wide, heaviness[task], 0.5 * (df[task] + 1)
    q = h * rows.error[:, 0] ** 2 / total
    log_q, pulled = np.log1p(q), power * q / (1 + q)
    density = constant[task] - 0.5 * np.log(total) - power * log_q
    by_total = (pulled - 0.5) / total
    by_df = d_constant[task] - 0.5 * log_q + h * pulled
    return density, by_total * wide, -by_df / h**2, by_total * variance[task] * rows.width
