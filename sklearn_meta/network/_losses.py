"""Losses with their canonical links: the gradient at the outputs is `mean - y` in all.

With ``nll`` a row's negative log-likelihood up to a constant, the loss is
``factor * nll``: squared error and Poisson deviance (``factor = 2 / n_outputs``, so that
no 1/2 is left and outputs are averaged), log-loss (``factor = 1``). See McCullagh and
Nelder, "Generalized Linear Models", 1989, sections 2.2 and 2.3.
"""

from typing import NamedTuple

import numpy as np
from scipy.special import expit, logit, xlogy


class Loss(NamedTuple):
    """A loss over network outputs z (..., rows, outputs), before the link."""

    mean: callable  # z -> the expected target
    link: callable  # the expected target -> z
    row_losses: callable  # (z, y) -> (..., rows)
    curvature: callable  # (mean, dz) -> Hessian of nll in z, times dz
    diagonal: callable  # mean -> its diagonal part; under softmax `diag(mean) - mean mean'`
    deviance: bool = False  # averaged over outputs, with a dispersion of its own
    quadratic: bool = False  # in z
    coupled: bool = False  # the outputs of a row compete

    def factor(self, n_outputs):
        return 2.0 / n_outputs if self.deviance else 1.0

    def task_losses(self, z, batch):
        """Mean loss over the rows of each task, (tasks,)."""
        return np.einsum("tn,tn->t", self.row_losses(z, batch.y), batch.share)

    def mean_loss(self, z, batch):
        """Mean over tasks of the mean loss over rows."""
        return np.vdot(self.row_losses(z, batch.y), batch.share) / len(z)

    def scale(self, batch, weight=1.0):
        """What a row's ``mean - y`` counts in the gradient of `weight` times its task's loss.

        (tasks, rows, 1)
        """
        return (weight * self.factor(batch.y.shape[-1])) * batch.share[..., None]

    def delta(self, mean, batch, scale=None):
        """Gradient of each task's mean loss at the outputs, (tasks, rows, outputs)."""
        delta = mean - batch.y
        delta *= self.scale(batch) if scale is None else scale
        return delta


def softmax(z):
    p = np.exp(z - z.max(axis=-1, keepdims=True))
    p /= p.sum(axis=-1, keepdims=True)
    return p


def _squared_error(z, y):
    error = z - y
    return np.vecdot(error, error) / z.shape[-1]


def _softmax_loss(z, y):
    top = z.max(axis=-1)
    log_norm = top + np.log(np.exp(z - top[..., None]).sum(axis=-1))
    return log_norm - (y * z).sum(axis=-1)


def _softmax_curvature(mean, dz):
    return mean * (dz - np.vecdot(mean, dz)[..., None])


def _poisson_deviance(z, y):
    return 2 * (xlogy(y, y) - y * z - y + np.exp(z)).mean(axis=-1)


LOSSES = {
    "squared_error": Loss(
        mean=lambda z: z,
        link=lambda mean: mean,
        row_losses=_squared_error,
        curvature=lambda mean, dz: dz,
        diagonal=np.ones_like,
        deviance=True,
        quadratic=True,
    ),
    "poisson": Loss(
        mean=np.exp,
        link=np.log,
        row_losses=_poisson_deviance,
        curvature=lambda mean, dz: mean * dz,
        diagonal=lambda mean: mean,
        deviance=True,
    ),
    "binary_log_loss": Loss(
        mean=expit,
        link=logit,
        row_losses=lambda z, y: (np.logaddexp(0, z) - y * z).sum(axis=-1),
        curvature=lambda mean, dz: mean * (1 - mean) * dz,
        diagonal=lambda mean: mean * (1 - mean),
    ),
    "log_loss": Loss(
        mean=softmax,
        link=np.log,
        row_losses=_softmax_loss,
        curvature=_softmax_curvature,
        diagonal=lambda mean: mean,
        coupled=True,
    ),
}
