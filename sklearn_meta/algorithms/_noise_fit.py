"""The prior of tasks' noise under which pairs of held-out rows are likeliest."""

import numpy as np
from scipy.optimize import minimize

from ._task_noise import MAX_INVERSE_SHAPE, MAX_TAIL, NoisePrior, TaskNoise

PULL = 0.003  # towards a spread of 1, times its squared logarithm: where rows say nothing of it
BOUNDS = [(-8, 8), (1e-4, MAX_INVERSE_SHAPE), (0, MAX_TAIL), (-6, 6), (-3, 3)]
STARTS = [0, 0.1, 0.1, 0, 0], [-1.5, 0.45, 0.1, 0, 0]  # two: it may have two valleys


def fit_noise_prior(pairs):
    """The prior of largest mean predictive log density of pairs, of each output by itself.

    Single rows cannot tell noise from a wide posterior, which pairs can, whose errors go together.
    All rows of a task jointly could, too; but errors go together in more ways than the features
    tell, and the posterior would be stretched to explain them.

    Parameters
    ----------
    pairs : HeldOutPairs

    Returns
    -------
    NoisePrior
        One Gaussian noise where no task has two rows; not finite if errors are not.
    """
    found = [_fit(pairs.output(number)) for number in range(pairs.error.shape[2])]
    return NoisePrior(*(np.concatenate(parts, axis=-1) for parts in zip(*found, strict=True)))


def _fit(pairs):
    """Of a single output."""
    variance = pairs.share @ (pairs.error[0] ** 2 / (1 + pairs.width[0]))
    unit = np.maximum(variance, np.finfo(float).tiny)
    if not np.isfinite(unit) or pairs.lone.all():
        return _as_prior(np.zeros(5), unit)
    pairs = pairs.of_two()
    scaled = pairs._replace(squares=pairs.squares / unit, error=pairs.error / np.sqrt(unit))
    found = [
        minimize(_objective, start, (scaled,), jac=True, method="L-BFGS-B", bounds=BOUNDS)
        for start in STARTS
    ]
    return _as_prior(min(found, key=lambda each: each.fun).x, unit)


def _as_prior(x, unit):
    log_variance, inverse_shape, tail, *log_spread = x[:, None]
    return NoisePrior(unit * np.exp(log_variance), inverse_shape, tail, np.array(log_spread))


def _objective(x, pairs):
    """What is minimised, and its gradient, of a prior of one output as numbers (5,)."""
    prior, n, squares = _as_prior(x, 1.0), pairs.n, pairs.squares
    noise = TaskNoise(*(array[:, 0] for array in prior.given(n, squares[:, None])))
    density, *by_noise = _density(noise, pairs)
    by_variance, by_heaviness, by_spread = (  # of each task
        np.bincount(pairs.task, pairs.share * derivative, len(n)) for derivative in by_noise
    )
    u, log_spread, variance = x[1], x[3:], prior.variance[0]
    divisor = 1 - u + 0.5 * u * n
    by_u = (0.5 * squares - variance - noise.variance * (0.5 * n - 1)) / divisor
    d_log_spread = by_spread * noise.spread
    gradient = [
        by_variance @ (variance * (1 - u) / divisor),
        by_variance @ by_u + by_heaviness @ (0.5 / divisor**2),
        by_heaviness.sum(),
        d_log_spread.sum(),
        d_log_spread @ np.log1p(n),
    ]
    value = pairs.share @ density - PULL * log_spread @ log_spread
    return -value, np.append([0, 0, 0], 2 * PULL * log_spread) - gradient


def _density(noise, pairs):
    """Half the log density of pairs (pairs,), and its derivatives by their tasks' noise.

    Student's t in two dimensions, of the covariance ``variance * (I + spread * [[v, c], [c, w]])``.
    """
    variance, heaviness, spread = (array[pairs.task] for array in noise)
    (first, second), (v, w, c) = pairs.error, pairs.width
    a, b, between = 1 + spread * v, 1 + spread * w, spread * c
    determinant = np.maximum(a * b - between**2, 1)  # as it is, up to rounding
    squares = (b * first**2 - 2 * between * first * second + a * second**2) / determinant
    far = heaviness * squares / variance
    power, log_far = 2 + 0.5 / heaviness, np.log1p(far)
    density = np.log1p(2 * heaviness) - np.log(2 * np.pi * variance) - 0.5 * np.log(determinant)
    density -= power * log_far
    pulled = power * far / (1 + far)
    by_variance = (pulled - 1) / variance
    by_heaviness = 2 / (1 + 2 * heaviness) + 0.5 * log_far / heaviness**2 - pulled / heaviness
    d_determinant = v * b + w * a - 2 * between * c
    d_squares = w * first**2 - 2 * c * first * second + v * second**2 - squares * d_determinant
    pull = power * heaviness / ((1 + far) * variance)
    by_spread = -(0.5 * d_determinant + pull * d_squares) / determinant
    return 0.5 * density, 0.5 * by_variance, 0.5 * by_heaviness, 0.5 * by_spread
