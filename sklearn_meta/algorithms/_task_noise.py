"""Noise that each task has its own of: what is known of it before and after the support rows."""

from typing import NamedTuple

import numpy as np

OF_TASK_NOISE = "inverse_shape", "tail", "log_spread"  # among parameters, beside "log_noise"
MAX_INVERSE_SHAPE = 0.5  # a shape of 2 at least: the variance exists, and can be found
MAX_TAIL = 1.0


class NoisePrior(NamedTuple):
    """What is meta-learned of the tasks' noise, by output; all but the variance may be 0.

    The variance of a task's noise is inverse-gamma over tasks. Whatever the numbers, it is one:
    what lies beyond its bounds is taken for these.

    Parameters
    ----------
    variance : ndarray of shape (outputs,)
        The mean over tasks.
    inverse_shape : ndarray of shape (outputs,)
        0: all tasks have the same noise.
    tail : ndarray of shape (outputs,)
        How heavy the tails are of a task's own noise; 0: it is Gaussian.
    log_spread : ndarray of shape (2, outputs)
        Logarithm of what the posterior's variances are multiplied by, with no support rows; and
        its slope in the logarithm of 1 and their number.
    """

    variance: np.ndarray
    inverse_shape: np.ndarray
    tail: np.ndarray
    log_spread: np.ndarray

    @classmethod
    def of(cls, params):
        """What the parameters of a Bayesian head of squared error say."""
        return cls(np.exp(params["log_noise"]), *(params[name] for name in OF_TASK_NOISE))

    def given(self, n, squares):
        """The noise of tasks, given their support rows.

        Parameters
        ----------
        n : ndarray of shape (tasks,)
            Support rows, that is their weights' sum.
        squares : ndarray of shape (tasks, outputs)
            Of the support's residuals from the prior mean, over their covariance, in which the
            noise counts as 1.

        Returns
        -------
        TaskNoise
        """
        n = n[:, None]
        u, tail = self.bounded
        variance = (self.variance * (1 - u) + 0.5 * u * squares) / (1 - u + 0.5 * u * n)
        heaviness = u / (2 * (1 - u) + u * n) + tail
        spread = np.exp(self.log_spread[0] + self.log_spread[1] * np.log1p(n))
        return TaskNoise(variance, heaviness, spread)

    @property
    def bounded(self):
        """Inverse shape and tail."""
        u = np.clip(self.inverse_shape, 0, MAX_INVERSE_SHAPE)
        return u, np.clip(self.tail, 0, MAX_TAIL)


class TaskNoise(NamedTuple):
    """The noise of tasks that were learned, and how wide it makes their posteriors.

    Parameters
    ----------
    variance : ndarray of shape (tasks, outputs)
        The posterior mean.
    heaviness : ndarray of shape (tasks, outputs)
        ``1 / (degrees of freedom - 2)`` of the predictive distribution; 0: it is Gaussian.
    spread : ndarray of shape (tasks, outputs)
        What variances of outputs, in units of the noise's, are multiplied by.
    """

    variance: np.ndarray
    heaviness: np.ndarray
    spread: np.ndarray

    @classmethod
    def alike(cls, variance, n_tasks):
        """Of so many tasks, all the same, Gaussian, and as wide as the posterior has it."""
        variance = np.broadcast_to(variance, (n_tasks, len(variance)))
        return cls(variance, np.zeros_like(variance), np.ones_like(variance))

    @property
    def degrees_of_freedom(self):
        """Of the predictive Student's t distribution, infinite where it is Gaussian."""
        with np.errstate(divide="ignore"):
            return 2 + 1 / self.heaviness

    def take(self, tasks):
        return TaskNoise(*(array[tasks] for array in self))

    @classmethod
    def concatenate(cls, parts):
        return cls(*map(np.concatenate, zip(*parts, strict=True)))
