"""Tasks learned by Gaussian processes: conditioned once, and asked as often as needed.

Notation as in `_kernels`.
"""

from dataclasses import dataclass, field, replace

import numpy as np

from .._ragged import PER_ROW, Joinable, as_offsets, blocks
from ..network import affine, solve
from ._joint_posterior import JointPosterior
from ._kernels import Kernel
from ._task_noise import TaskNoise

MAX_CELLS = 2**22  # of covariances at once


@dataclass(frozen=True)
class GaussianProcesses(Joinable):
    """Adapted tasks: a Gaussian process each, on the features of their rows.

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
    features: np.ndarray = field(metadata=PER_ROW)
    residual: np.ndarray = field(metadata=PER_ROW)
    weight: np.ndarray = field(metadata=PER_ROW)
    alpha: np.ndarray = field(metadata=PER_ROW)
    offsets: np.ndarray

    @classmethod
    def condition(cls, layers, kernel, gain, F, residual, weight):
        """The tasks of padded rows (tasks, n, p), residuals (tasks, n, k), weights."""
        there = weight > 0
        rows = F[there], residual[there], weight[there], np.empty_like(residual[there])
        tasks = cls(layers, kernel, gain, *rows, as_offsets(np.count_nonzero(there, axis=1)))
        for block in tasks._blocks():
            index, root = tasks._rows(block)
            system = _system(kernel, tasks.features[index], root)
            alpha = root * solve(system, root * tasks.residual[index])
            tasks.alpha[index[root[..., 0] > 0]] = alpha[root[..., 0] > 0]
        return tasks

    def task(self, number):
        """One task, as a batch of one."""
        return self.take(np.array([number]))

    def finite(self, n_tasks):
        """Mask of the tasks all of whose numbers are finite, (tasks,)."""
        finite = np.ones(n_tasks, bool)
        wrong = ~np.isfinite(np.hstack([self.features, self.alpha])).all(axis=1)
        finite[np.repeat(np.arange(n_tasks), self.sizes)[wrong]] = False
        return finite

    def outputs(self, network, X, logit_mask=None):
        """Outputs before the link of rows X (tasks, rows, features), (tasks, rows, outputs)."""
        F = network.hidden(self.layers, X)[-1]
        z = affine(F, *self.layers[-1])
        for block in self._blocks(X.shape[1]):
            index, filled = self.padded(block)
            own, alpha = self.features[index], self.alpha[index] * filled[..., None].astype(float)
            for rows in _slices(X.shape[1], MAX_CELLS // max(1, own.shape[1])):
                z[block, rows] += self.kernel.covariance(F[block, rows], own) @ alpha
        z *= self.gain
        return z if logit_mask is None else z + logit_mask

    def std(self, network, X, logit_mask=None):
        """Predictive standard deviation of targets, noise and all, (tasks, rows, outputs).

        Raises
        ------
        ValueError
            Of class probabilities, which have none here.
        """
        if not network.loss.quadratic:
            raise ValueError(
                "return_std of class probabilities needs BayesianHead; DeepKernelGP, which "
                "regresses on labels, has none"
            )
        F = network.hidden(self.layers, X)[-1]
        variance = np.empty((*X.shape[:2], 1))
        for block in self._blocks(X.shape[1]):
            index, root = self._rows(block)
            own, n = self.features[index], index.shape[1]
            for rows in _slices(X.shape[1], max(n, MAX_CELLS // max(1, n))):
                cross = root * self.kernel.covariance(own, F[block, rows])  # (tasks, n, m)
                solved = solve(_system(self.kernel, own, root), cross)
                explained = (cross * solved).sum(axis=1)[..., None]
                variance[block, rows] = self.kernel.variance(F[block, rows]) - explained
        std = np.sqrt(self.kernel.noise * (1 + np.maximum(variance, 0)))
        return np.repeat(std.astype(X.dtype, copy=False), network.n_outputs, axis=-1)

    def jointly(self, network, X, logit_mask=None):
        """The only task at several rows at once, X (rows, features): a JointPosterior."""
        z = self.outputs(network, X[None])[0].astype(float)
        F = network.hidden(self.layers, X[None])[-1]
        index, root = self._rows(np.array([0]))
        own = self.features[index]
        cross = root * self.kernel.covariance(own, F)
        covariance = self.kernel.covariance(F, F)
        covariance -= cross.mT @ solve(_system(self.kernel, own, root), cross)
        values, vectors = np.linalg.eigh(covariance)
        rooted = np.sqrt(np.maximum(values, 0)) * vectors  # it may be singular
        noise = TaskNoise.alike(np.full(network.n_outputs, self.kernel.noise), 1)
        return JointPosterior(network.loss, z, rooted, noise)

    def with_gain(self, gain):
        return replace(self, gain=gain)

    def _blocks(self, n_rows=1):
        """Task numbers in blocks whose covariances with `n_rows` rows fit into memory."""
        sizes = self.sizes
        return blocks(sizes, np.maximum(sizes, 1) * np.maximum(sizes, n_rows), MAX_CELLS)

    def _rows(self, tasks):
        """Row numbers (tasks, longest), and the roots of weights, 0 on padding, with an axis."""
        index, filled = self.padded(tasks)
        return index, np.sqrt(self.weight[index] * filled.astype(float))[..., None]


def _system(kernel, F, root):
    """``I + D C D``, (tasks, n, n)."""
    system = kernel.covariance(F, F)  # in place: of many rows it is large
    system *= root
    system *= root.mT
    np.einsum("tnn->tn", system)[...] += 1
    return system


def _slices(n_rows, most):
    """Of rows, so many at once."""
    most = max(1, most)
    return [slice(start, start + most) for start in range(0, n_rows, most)]
