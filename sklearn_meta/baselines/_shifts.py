"""The shrunken shift of a task: variance between tasks by REML, modes by Newton's method.

Arrays have a column for each output, or class against the others; a row of data has the number
of its task.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import expit, logit

SMALL = 1e-6  # how near a probability comes to 0 or 1; a count to 0, by the mean of all
RATIOS = np.log([1e-8, 1e8])  # of variances, between which to search
PRECISE = {"xatol": 1e-9, "maxiter": 500}
MAX_STEPS, SAME = 100, 1e-10  # of Newton's method
MAX_ROUNDS, SETTLED = 50, 1e-6  # of penalised quasi-likelihood


class Identity:
    """Numbers: the pooled prediction plus the shift."""

    noise = None

    @staticmethod
    def clip(mean, level):
        return mean

    @staticmethod
    def link(mean):
        return mean

    mean = link


class Log:
    """Counts: the pooled prediction times the exponential of the shift; noise is dispersion."""

    noise = None
    link, mean = np.log, np.exp

    @staticmethod
    def clip(mean, level):
        return np.maximum(mean, SMALL * np.where(level > 0, level, 1))

    @staticmethod
    def variance(mean):
        return mean


class Logit:
    """Classes: log-odds of the pooled probability plus the shift."""

    noise = 1.0
    link, mean = logit, expit

    @staticmethod
    def clip(mean, level):
        return np.clip(mean, SMALL, 1 - SMALL)

    @staticmethod
    def variance(mean):
        return mean * (1 - mean)


LINKS = {"identity": Identity, "log": Log, "logit": Logit}


@dataclass(frozen=True, eq=False)
class Shifts:
    """How tasks are shifted against a pooled model.

    Parameters
    ----------
    link : Identity, Log or Logit
    level : ndarray of shape (outputs,)
        Mean target.
    spread, noise : ndarray of shape (outputs,)
        Variances of the shift, and of a row, on the scale of the link.
    """

    link: type
    level: np.ndarray
    spread: np.ndarray
    noise: np.ndarray

    @classmethod
    def fit(cls, link, Y, pooled, task, n_tasks):
        """From targets Y (rows, outputs) and what a model predicts of them that saw other tasks."""
        level = Y.mean(axis=0)
        found = [
            _components(link, *of_output, task, n_tasks)
            for of_output in zip(Y.T, link.clip(pooled, level).T, level, strict=True)
        ]
        return cls(link, level, *np.array([(c.spread, c.noise) for c in found]).T)

    def of_tasks(self, Y, pooled, task, n_tasks):
        """The shift of each task, (tasks, outputs), from its rows; 0 of tasks without."""
        ratio = self.spread / np.where(self.noise > 0, self.noise, 1)
        pooled = self.link.clip(pooled, self.level)
        if self.link is Identity:
            count = np.bincount(task, minlength=n_tasks)[:, None]
            return ratio * sums(Y - pooled, task, n_tasks) / (1 + ratio * count)
        offset = self.link.link(pooled)
        return modes(self.link, Y, offset, task, n_tasks, ratio)

    def apply(self, pooled, shift):
        """Predictions (rows, outputs) of a pooled model, each row shifted."""
        if self.link is Identity:
            return pooled + shift
        if self.link is Log:
            return pooled * np.exp(shift)
        odds = logit(self.link.clip(pooled, self.level)) + shift
        shifted = expit(odds)
        if shifted.shape[1] > 1:
            shifted /= shifted.sum(axis=1, keepdims=True)
        return np.where((shift == 0).all(axis=1, keepdims=True), pooled, shifted)


class Components(NamedTuple):
    """Variance components of a one-way random-effects model."""

    mean: float
    spread: float  # variance between tasks
    noise: float  # variance within, of a row of weight 1


def variance_components(z, weight, task, n_tasks, noise=None):
    """Of z = mean + effect of the task + error / sqrt(weight), by restricted maximum likelihood.

    The likelihood depends on sums a task only: of weights W, and of weighted squares about the
    task's mean. With the ratio g = spread / noise, W / (1 + g W) is the precision of a task's mean.

    Parameters
    ----------
    z, weight, task : ndarray of shape (rows,)
    n_tasks : int
    noise : float or None, default=None
        The variance of errors, where it is known.

    Returns
    -------
    Components
        With a spread of 0 where tasks are fewer than 2, or none has 2 rows: nothing tells the
        spread from the noise then (unless that is known).

    References
    ----------
    H. D. Patterson, R. Thompson. "Recovery of inter-block information when block sizes are
    unequal". Biometrika 1971. https://doi.org/10.1093/biomet/58.3.545
    """
    W = np.bincount(task, weight, n_tasks)
    means = np.bincount(task, weight * z, n_tasks) / np.where(W > 0, W, 1)
    within = np.sum(weight * (z - means[task]) ** 2)
    W, means, n_rows = W[W > 0], means[W > 0], len(z)

    def at(ratio):
        """Mean, noise and -2 log restricted likelihood, up to a constant."""
        precision = W / (1 + ratio * W)
        mean = precision @ means / precision.sum()
        squares = within + precision @ (means - mean) ** 2
        of_noise = squares / max(1, n_rows - 1) if noise is None else noise
        fit = (n_rows - 1) * np.log(of_noise) + squares / of_noise if of_noise > 0 else -np.inf
        return mean, of_noise, fit + np.log1p(ratio * W).sum() + np.log(precision.sum())

    ratio, (_, of_noise, without) = 0.0, at(0.0)
    if len(W) > 1 and of_noise > 0 and (noise is not None or n_rows > len(W)):
        bounds = RATIOS + np.log(n_rows / W.sum())  # of rows of mean weight
        found = minimize_scalar(
            lambda log: at(np.exp(log))[2], bounds=bounds, method="bounded", options=PRECISE
        )
        ratio = float(np.exp(found.x)) if found.fun < without else 0.0
    mean, of_noise, _ = at(ratio)
    return Components(float(mean), float(ratio * of_noise), float(of_noise))


def modes(link, Y, offset, task, n_tasks, ratio):
    """The shift b of each task that maximises its penalised likelihood, (tasks, outputs).

    That is log p(y | offset + b) / noise - b^2 / (2 spread), of which `ratio` (outputs,) is
    spread / noise. A step of Newton's method of at most 1 always ascends, since the third
    derivatives of these likelihoods are no larger than the second.
    """
    shift = np.zeros((n_tasks, Y.shape[1]))
    for _ in range(MAX_STEPS):
        mean = link.mean(offset + shift[task])
        slope = ratio * sums(Y - mean, task, n_tasks) - shift
        curvature = ratio * sums(link.variance(mean), task, n_tasks) + 1
        step = np.clip(slope / curvature, -1, 1)
        shift += step
        if np.abs(step).max(initial=0) < SAME:
            break
    return shift


def sums(values, task, n_tasks):
    """Of values (rows, outputs) for each task, (tasks, outputs)."""
    return np.stack([np.bincount(task, column, n_tasks) for column in values.T], axis=1)


def _components(link, y, pooled, level, task, n_tasks):
    """By REML; of classes and counts by penalised quasi-likelihood, REML of the working response.

    N. E. Breslow, D. G. Clayton. "Approximate inference in generalized linear mixed models". JASA
    1993.
    """
    if link is Identity:
        return variance_components(y - pooled, np.ones(len(y)), task, n_tasks)
    offset, shift, before = link.link(pooled), np.zeros(n_tasks), np.inf
    for _ in range(MAX_ROUNDS):
        mean = link.clip(link.mean(offset + shift[task]), level)  # where it saturates
        weight = link.variance(mean)
        working = shift[task] + (y - mean) / weight
        found = variance_components(working, weight, task, n_tasks, link.noise)
        if abs(found.spread - before) <= SETTLED * found.spread:
            break
        before, about = found.spread, offset + found.mean
        ratio = np.array([found.spread / found.noise if found.noise > 0 else 0.0])
        shift = found.mean + modes(link, y[:, None], about[:, None], task, n_tasks, ratio)[:, 0]
    return found
