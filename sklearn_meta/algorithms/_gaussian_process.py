"""Gaussian processes on features, a batch of tasks at once: evidence, and adapted tasks.

With D the roots of the row weights, C the prior covariance over the noise and r the
residuals, ``A = I + D C D``: a row of weight w counts as w rows, and one of weight 0 drops
out of everything. All is in double precision inside, since little noise makes A large. See
Rasmussen and Williams, "Gaussian Processes for Machine Learning", 2006, sections 2.2, 2.7,
5.4.
"""

from typing import NamedTuple

import numpy as np

from ..network import affine
from ..tasks import pad, ragged_rows


class Kernel(NamedTuple):
    """``signal * exp(-|f - f'|^2 / (2 length_scale^2))``, and noise on every row."""

    signal: float
    length_scale: float
    noise: float

    @property
    def ratio(self):
        return self.signal / self.noise

    def distances(self, F, other):
        """Squared distances over the squared length scale, (tasks, n, m)."""
        F, other = (part.astype(float) / self.length_scale for part in (F, other))
        squares = np.einsum("tnp,tnp->tn", F, F)[..., None]
        others = np.einsum("tmp,tmp->tm", other, other)[:, None]
        return np.maximum(squares + others - 2 * (F @ other.mT), 0)

    def covariance(self, distances):
        """Over the noise."""
        return self.ratio * np.exp(-0.5 * distances)


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
    prior, distances = _prior(kernel, F, root)
    eye = np.eye(prior.shape[-1])
    inverse = np.linalg.solve(prior + eye, np.broadcast_to(eye, prior.shape))
    solved = inverse @ (root * residual)  # (tasks, n, k)
    scaled = solved / (n_outputs * kernel.noise)
    quadratic = (root * residual * scaled).sum(axis=(1, 2), keepdims=True)
    log_det = np.linalg.slogdet(prior + eye)[1][:, None, None]
    constant = n_rows * np.log(2 * np.pi * kernel.noise)
    losses = 0.5 * share * (quadratic + log_det + constant)
    share = share / len(F)
    d_log = 0.5 * share * (inverse - scaled @ solved.mT) * prior  # by each log covariance
    pull = d_log / kernel.length_scale**2
    d_features = 2 * (pull @ F - pull.sum(axis=-1, keepdims=True) * F)
    return Evidence(
        losses=losses[:, 0, 0],
        d_features=d_features.astype(F.dtype, copy=False),
        d_residual=(share * root * scaled).astype(F.dtype, copy=False),
        d_log_ratio=d_log.sum(),
        d_log_length_scale=(d_log * distances).sum(),
        d_log_noise=0.5 * (share * (n_rows - quadratic)).sum(),
    )


class GaussianProcesses(NamedTuple):
    """Tasks that were learned: a Gaussian process each, on the features of their rows.

    Parameters
    ----------
    layers : list of (weights, bias)
        Shared by all tasks; the output layer is the mean function.
    kernel : Kernel
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
    features: np.ndarray
    residual: np.ndarray
    weight: np.ndarray
    alpha: np.ndarray
    offsets: np.ndarray

    @classmethod
    def fit(cls, layers, kernel, F, residual, weight):
        """The tasks of padded rows (tasks, n, p), residuals (tasks, n, k), weights."""
        root = np.sqrt(weight.astype(float))[..., None]
        prior, _ = _prior(kernel, F, root)
        alpha = root * np.linalg.solve(prior + np.eye(prior.shape[-1]), root * residual)
        there = weight > 0
        rows = (part[there] for part in (F, residual, weight, alpha.astype(F.dtype)))
        return cls(layers, kernel, *rows, _offsets(there.sum(axis=1)))

    def take(self, tasks):
        """Some of the tasks, by an array of their numbers, in that order."""
        rows, sizes = ragged_rows(self.offsets, tasks)
        parts = (part[rows] for part in self._rows)
        return GaussianProcesses(self.layers, self.kernel, *parts, _offsets(sizes))

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
        rows = map(np.concatenate, zip(*(part._rows for part in parts), strict=True))
        sizes = np.concatenate([np.diff(part.offsets) for part in parts])
        return GaussianProcesses(parts[0].layers, parts[0].kernel, *rows, _offsets(sizes))

    def outputs(self, network, X, logit_mask=None):
        """Outputs before the link of rows X (tasks, rows, features), (tasks, rows, outputs)."""
        F, own, _, alpha = self._padded(network, X)
        covariance = self.kernel.covariance(self.kernel.distances(F, own))
        z = affine(F, *self.layers[-1]) + covariance @ alpha
        if not network.loss.quadratic:
            z *= label_gain(count_outputs(network, logit_mask)) / self.spread(network, X)
        z = z.astype(X.dtype, copy=False)
        return z if logit_mask is None else z + logit_mask

    def spread(self, network, X):
        """Predictive variance of rows X, noise and all, (tasks, rows, 1)."""
        F, own, weight, _ = self._padded(network, X)
        root = np.sqrt(weight)
        prior, _ = _prior(self.kernel, own, root)
        cross = root * self.kernel.covariance(self.kernel.distances(own, F))  # (tasks, n, m)
        solved = np.linalg.solve(prior + np.eye(prior.shape[-1]), cross)
        explained = (cross * solved).sum(axis=1)[..., None]
        return self.kernel.noise * (1 + np.maximum(self.kernel.ratio - explained, 0))

    def _padded(self, network, X):
        """Features of X, and of the support; the support's weights and alpha, 0 on padding."""
        F = network.hidden(self.layers, X)[-1]
        index, filled = pad(np.arange(len(self.weight)), np.diff(self.offsets), float)
        filled = filled[..., None]
        weight = self.weight[index][..., None] * filled
        return F, self.features[index], weight, self.alpha[index] * filled

    @property
    def _rows(self):
        return self.features, self.residual, self.weight, self.alpha


def count_outputs(network, logit_mask):
    """That each task has, an int or (tasks, 1, 1)."""
    if logit_mask is None:
        return network.n_outputs
    return (logit_mask == 0).sum(axis=-1, keepdims=True)


def label_gain(n_outputs):
    """Logits are this times the predicted labels over their variance.

    Labels are 2 for the class and 0 for others, less their mean: +-1 in a single output. By
    Bayes' rule the log-odds of two classes are those of the predictive densities of their
    labels, ``2 * mean / variance`` of a single one. Of k classes, the labels move in k - 1
    dimensions, in each of which they have k / (k - 1) times the variance of one label.
    """
    return np.where(n_outputs == 1, 2, 2 - 2 / n_outputs)


def _prior(kernel, F, root):
    """``D C D`` (tasks, n, n), and the distances it comes from."""
    distances = kernel.distances(F, F)
    return root * kernel.covariance(distances) * root.mT, distances


def _offsets(sizes):
    return np.concatenate([[0], np.cumsum(sizes)])
