"""Gaussian processes on features, a batch of tasks at once: evidence, and adapted tasks.

With D the roots of the row weights, C the prior covariance over the noise and r the
residuals, ``A = I + D C D``: a row of weight w counts as w rows, and one of weight 0 drops
out of everything. All is in double precision inside, since little noise makes A large. See
Rasmussen and Williams, "Gaussian Processes for Machine Learning", 2006, sections 2.2, 2.7,
5.4.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..network import affine
from ..tasks import blocks, pad, ragged_rows


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
        return self.ratio * (1 + self.scaled(F) @ self.scaled(other).mT)

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
        return self.ratio * np.exp(-0.5 * self._distances(F, other))

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
        return np.maximum(squares + others - 2 * (F @ other.mT), 0)


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
    inverse = np.linalg.solve(A, np.broadcast_to(eye, A.shape))
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


MAX_CELLS = 2**22  # of covariances at once
ROWS = "features", "residual", "weight", "alpha"


class GaussianProcesses(NamedTuple):
    """Tasks that were learned: a Gaussian process each, on the features of their rows.

    Parameters
    ----------
    layers : list of (weights, bias)
        Shared by all tasks; the output layer is the mean function.
    kernel : Kernel
    gain : float
        Outputs are this times the posterior mean.
    features : ndarray of shape (rows, p)
        Support rows of weight above 0, those of a task together.
    residual : ndarray of shape (rows, k)
        Targets less the mean function.
    weight : ndarray of shape (rows,)
    alpha : ndarray of shape (rows, k)
        The posterior mean is the mean function plus the covariance over the noise times
        alpha.
    offsets : ndarray of shape (tasks + 1,)
    """

    layers: list
    kernel: Kernel
    gain: float
    features: np.ndarray
    residual: np.ndarray
    weight: np.ndarray
    alpha: np.ndarray
    offsets: np.ndarray

    @classmethod
    def fit(cls, layers, kernel, gain, F, residual, weight):
        """The tasks of padded rows (tasks, n, p), residuals (tasks, n, k), weights."""
        there = weight > 0
        rows = F[there], residual[there], weight[there], np.empty_like(residual[there])
        tasks = cls(layers, kernel, gain, *rows, _offsets(there.sum(axis=1)))
        for block in tasks._blocks():
            index, filled = tasks._index(block)
            root = np.sqrt(tasks.weight[index] * filled)[..., None]
            system = _system(kernel, tasks.features[index], root)
            alpha = root * np.linalg.solve(system, root * tasks.residual[index])
            tasks.alpha[index[filled > 0]] = alpha[filled > 0]
        return tasks

    def take(self, tasks):
        """Some of the tasks, by an array of their numbers, in that order."""
        rows, sizes = ragged_rows(self.offsets, tasks)
        parts = {name: getattr(self, name)[rows] for name in ROWS}
        return self._replace(**parts, offsets=_offsets(sizes))

    def task(self, number):
        """One task, as a batch of one."""
        return self.take(np.array([number]))

    def finite(self, n_tasks):
        """Mask of the tasks all of whose numbers are finite, (tasks,)."""
        finite = np.ones(n_tasks, bool)
        wrong = ~np.isfinite(np.hstack([self.features, self.alpha])).all(axis=1)
        finite[np.repeat(np.arange(n_tasks), np.diff(self.offsets))[wrong]] = False
        return finite

    @staticmethod
    def concatenate(parts):
        """The tasks of several batches in one."""
        joined = {name: np.concatenate([getattr(part, name) for part in parts]) for name in ROWS}
        sizes = np.concatenate([np.diff(part.offsets) for part in parts])
        return parts[0]._replace(**joined, offsets=_offsets(sizes))

    def outputs(self, network, X, logit_mask=None):
        """Outputs before the link of rows X (tasks, rows, features), (tasks, rows, outputs)."""
        F = network.hidden(self.layers, X)[-1]
        z = affine(F, *self.layers[-1])
        for block in self._blocks(X.shape[1]):
            index, filled = self._index(block)
            covariance = self.kernel.covariance(F[block], self.features[index])
            z[block] += covariance @ (self.alpha[index] * filled[..., None])
        z *= self.gain
        return z if logit_mask is None else z + logit_mask

    def predict_std(self, network, X):
        """Predictive standard deviation of rows X, noise and all, (tasks, rows, 1)."""
        F = network.hidden(self.layers, X)[-1]
        variance = np.empty((*X.shape[:2], 1))
        for block in self._blocks(X.shape[1]):
            index, filled = self._index(block)
            root = np.sqrt(self.weight[index] * filled)[..., None]
            own = self.features[index]
            cross = root * self.kernel.covariance(own, F[block])  # (tasks, n, m)
            solved = np.linalg.solve(_system(self.kernel, own, root), cross)
            explained = (cross * solved).sum(axis=1)[..., None]
            variance[block] = self.kernel.variance(F[block]) - explained
        std = np.sqrt(self.kernel.noise * (1 + np.maximum(variance, 0)))
        return std.astype(X.dtype, copy=False)

    def _blocks(self, n_rows=1):
        """Task numbers in blocks whose covariances with `n_rows` rows fit into memory."""
        sizes = np.diff(self.offsets)
        return blocks(sizes, np.maximum(sizes, 1) * np.maximum(sizes, n_rows), MAX_CELLS)

    def _index(self, tasks):
        """Rows of these tasks as a rectangle (tasks, longest), and 0 where it is padding."""
        starts = self.offsets[tasks]
        index, filled = pad(starts, self.offsets[tasks + 1] - starts)
        return index, filled.astype(float)


def count_outputs(network, logit_mask):
    """That each task has, an int or (tasks, 1, 1)."""
    if logit_mask is None:
        return network.n_outputs
    return (logit_mask == 0).sum(axis=-1, keepdims=True)


def _system(kernel, F, root):
    """``I + D C D``, (tasks, n, n)."""
    return np.eye(F.shape[1]) + root * kernel.covariance(F, F) * root.mT


def _offsets(sizes):
    return np.concatenate([[0], np.cumsum(sizes)])
