"""Kernels on features, and the marginal likelihood of a batch of tasks.

With D the roots of the row weights, C the prior covariance over the noise and r the
residuals, ``A = I + D C D``: a row of weight w counts as w rows, and one of weight 0 drops
out of everything. All is in double precision inside, since little noise makes A large. See
Rasmussen and Williams, "Gaussian Processes for Machine Learning", 2006, sections 2.2, 2.7,
5.4.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..network import solve


@dataclass(frozen=True)
class Kernel:
    """A covariance of features, and noise on every row."""

    ratio: float  # of the signal's variance to the noise's
    length_scale: float
    noise: float

    @property
    def signal(self):
        return self.ratio * self.noise

    def scaled(self, F):
        return F.astype(float) / self.length_scale


class Linear(Kernel):
    """``signal * (1 + f . f' / length_scale^2)``."""

    def variance(self, F):
        """Over the noise, (tasks, n, 1)."""
        return self.ratio * (1 + (self.scaled(F) ** 2).sum(axis=-1, keepdims=True))

    def covariance(self, F, other):
        """Over the noise, (tasks, n, m)."""
        covariance = self.scaled(F) @ self.scaled(other).mT
        covariance += 1
        covariance *= self.ratio
        return covariance

    def adjoint(self, F, covariance, d_covariance):
        """Gradients at F and at the log of the length scale, from that at F's covariance."""
        d_features = 2 * self.ratio * (d_covariance @ self.scaled(F)) / self.length_scale
        return d_features, -2 * (d_covariance * (covariance - self.ratio)).sum()

    def to_sklearn(self):
        """scikit-learn's kernel that is the same."""
        from sklearn.gaussian_process import kernels  # takes long to load

        slope = kernels.ConstantKernel(self.signal / self.length_scale**2, "fixed")
        linear = slope * kernels.DotProduct(self.length_scale, "fixed")
        return linear + kernels.WhiteKernel(self.noise, "fixed")


class RBF(Kernel):
    """``signal * exp(-|f - f'|^2 / (2 length_scale^2))``."""

    def variance(self, F):
        """Over the noise."""
        return self.ratio

    def covariance(self, F, other):
        """Over the noise, (tasks, n, m)."""
        covariance = self._distances(F, other)
        covariance *= -0.5
        np.exp(covariance, out=covariance)
        covariance *= self.ratio
        return covariance

    def adjoint(self, F, covariance, d_covariance):
        """Gradients at F and at the log of the length scale, from that at F's covariance."""
        d_log = d_covariance * covariance
        rows = self.scaled(F)
        d_rows = 2 * (d_log @ rows - d_log.sum(axis=-1, keepdims=True) * rows)
        return d_rows / self.length_scale, (d_log * self._distances(F, F)).sum()

    def to_sklearn(self):
        """scikit-learn's kernel that is the same."""
        from sklearn.gaussian_process import kernels  # takes long to load

        signal = kernels.ConstantKernel(self.signal, "fixed")
        return signal * kernels.RBF(self.length_scale, "fixed") + kernels.WhiteKernel(
            self.noise, "fixed"
        )

    def _distances(self, F, other):
        F, other = self.scaled(F), self.scaled(other)
        squares = np.einsum("tnp,tnp->tn", F, F)[..., None]
        others = np.einsum("tmp,tmp->tm", other, other)[:, None]
        distances = F @ other.mT  # in place from here on: it may be the largest array there is
        distances *= -2
        distances += squares
        distances += others
        return np.maximum(distances, 0, out=distances)


KERNELS = {"linear": Linear, "rbf": RBF}


class Evidence(NamedTuple):
    """Negative log marginal likelihood over rows and outputs, and its gradients."""

    losses: np.ndarray  # (tasks,)
    d_features: np.ndarray  # (tasks, n, p)
    d_residual: np.ndarray  # (tasks, n, k)
    d_log_ratio: float
    d_log_length_scale: float
    d_log_noise: float


def evidence(kernel, F, residual, weight, n_outputs):
    """The evidence of a batch of tasks; gradients are of the mean over tasks.

    Parameters
    ----------
    kernel : Kernel
    F : ndarray of shape (tasks, n, p)
    residual : ndarray of shape (tasks, n, k)
        Targets less the mean function; 0 for an output that a task does not have.
    weight : ndarray of shape (tasks, n)
    n_outputs : int or ndarray of shape (tasks, 1, 1)
        That each task has.

    Returns
    -------
    Evidence
    """
    root = np.sqrt(weight.astype(float))[..., None]
    n_rows = (root * root).sum(axis=1, keepdims=True)  # (tasks, 1, 1)
    share = 1 / np.where(n_rows > 0, n_rows, 1)
    covariance = kernel.covariance(F, F)
    eye = np.eye(covariance.shape[-1])
    A = eye + root * covariance * root.mT
    inverse = solve(A, np.broadcast_to(eye, A.shape))
    solved = inverse @ (root * residual)  # (tasks, n, k)
    scaled = solved / (n_outputs * kernel.noise)
    quadratic = (root * residual * scaled).sum(axis=(1, 2), keepdims=True)
    log_det = np.linalg.slogdet(A)[1][:, None, None]
    constant = n_rows * np.log(2 * np.pi * kernel.noise)
    losses = 0.5 * share * (quadratic + log_det + constant)
    share = share / len(F)
    d_covariance = 0.5 * share * root * (inverse - scaled @ solved.mT) * root.mT
    d_features, d_log_length_scale = kernel.adjoint(F, covariance, d_covariance)
    return Evidence(
        losses=losses[:, 0, 0],
        d_features=d_features.astype(F.dtype, copy=False),
        d_residual=(share * root * scaled).astype(F.dtype, copy=False),
        d_log_ratio=(d_covariance * covariance).sum(),
        d_log_length_scale=d_log_length_scale,
        d_log_noise=0.5 * (share * (n_rows - quadratic)).sum(),
    )
