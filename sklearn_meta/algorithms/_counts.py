"""Targets of a Poisson loss around their means: counts, and other numbers not below 0.

Of variance ``dispersion * mean``: counts are negative-binomial, or where the dispersion is no more
than 1, Poisson. What is drawn and what is scored is one distribution.
"""

import numpy as np
from scipy.special import digamma, gammaln, polygamma, xlogy

LARGEST = 1e18  # beyond, a whole number may overflow


def draw_counts(mean, dispersion, generator):
    """Counts (..., outputs) of these means; dispersions (outputs,). Infinite beyond `LARGEST`."""
    excess = np.broadcast_to(dispersion - 1, mean.shape)
    over = excess > 0
    rate = mean.copy()
    rate[over] = excess[over] * generator.gamma(mean[over] / excess[over])
    countable = rate < LARGEST
    return np.where(countable, generator.poisson(np.where(countable, rate, 0)), np.inf)


def draw_amounts(mean, dispersion, generator):
    """Numbers that are not whole, gamma-distributed, of these means (..., outputs)."""
    return dispersion * generator.gamma(mean / dispersion)


def log_mass(counts, log_mean, dispersion):
    """Log probability of counts, and its first two derivatives by the logarithms of the means.

    Parameters
    ----------
    counts, log_mean : ndarray of shape (rows,)
    dispersion : float

    Returns
    -------
    value, slope, curvature : ndarrays of shape (rows,)
    """
    mean, excess = np.exp(log_mean), dispersion - 1
    if excess <= 0:
        value = xlogy(counts, mean) - mean - gammaln(counts + 1)
        return value, counts - mean, -mean
    r = mean / excess
    value = gammaln(counts + r) - gammaln(r) - gammaln(counts + 1)
    value += counts * np.log(excess / dispersion) - r * np.log(dispersion)
    slope = r * (digamma(counts + r) - digamma(r) - np.log(dispersion))
    return value, slope, slope + r**2 * (polygamma(1, counts + r) - polygamma(1, r))
