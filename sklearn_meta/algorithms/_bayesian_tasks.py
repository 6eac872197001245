"""Tasks that a Bayesian head has learned: their networks, and how sure they are."""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from .._ragged import PER_ROW, Joinable, as_offsets
from ..network import (
    ClassFactor,
    ClassRows,
    TaskWeights,
    covariance_from_rows,
    factor_shape,
    output_covariance,
    precision_factor,
    root_from_factor,
    root_from_rows,
    variance_from_rows,
)
from ._joint_posterior import JointClasses, JointPosterior
from ._task_noise import TaskNoise


@dataclass(frozen=True)
class SupportRows(Joinable):
    """Rows that tasks were learned from, those of weight above 0."""

    X: np.ndarray = field(metadata=PER_ROW)  # (rows, features)
    weight: np.ndarray = field(metadata=PER_ROW)  # (rows,)
    offsets: np.ndarray


@dataclass(frozen=True)
class PrecisionFactors(Joinable):
    """Cholesky factors of posterior precisions, block under block; some tasks have none."""

    rows: np.ndarray = field(metadata=PER_ROW)  # (blocks * size of each task that has one, size)
    offsets: np.ndarray


class BayesianTasks(NamedTuple):
    """Adapted tasks with the posterior of their output layers.

    The width of a posterior follows from a task's support rows (and no targets) or from the
    factor of its precision; each task keeps whichever has fewer numbers.

    Parameters
    ----------
    weights : TaskWeights
    scale : ndarray of shape (p,)
        Prior standard deviations of the output layer, in units of the noise, the bias last.
    noise : TaskNoise or None
        Variances, or dispersions; None for classes.
    support : SupportRows
    factors : PrecisionFactors
    """

    weights: TaskWeights
    scale: np.ndarray
    noise: TaskNoise | None
    support: SupportRows
    factors: PrecisionFactors

    @classmethod
    def condition(cls, network, weights, scale, noise, support):
        """The tasks of a padded batch of support rows."""
        there = support.weight > 0
        offsets = as_offsets(np.count_nonzero(there, axis=1))
        rows = SupportRows(support.X[there], support.weight[there], offsets)
        blocks, size, _ = factor_shape(network.loss, len(scale), network.n_outputs)
        none = PrecisionFactors(np.empty((0, size)), np.zeros_like(offsets))
        tasks = cls(weights, scale, noise, rows, none)
        large = rows.sizes * (rows.X.shape[1] + 1) > blocks * size * size
        return tasks._factored(network, large, support) if large.any() else tasks

    def outputs(self, network, X, logit_mask=None):
        """Outputs before the link of rows X (tasks, rows, features), (tasks, rows, outputs)."""
        return self.weights.outputs(network, X, logit_mask)

    def take(self, tasks):
        """Some of the tasks, by an array of their numbers, in that order."""
        return self._replace(
            weights=self.weights.take(tasks),
            noise=self.noise and self.noise.take(tasks),
            support=self.support.take(tasks),
            factors=self.factors.take(tasks),
        )

    def task(self, number):
        """One task's network."""
        return self.weights.task(number)

    def finite(self, n_tasks):
        """Mask of the tasks all of whose weights are finite, (tasks,)."""
        return self.weights.finite(n_tasks)

    @classmethod
    def concatenate(cls, parts):
        """The tasks of several batches in one."""
        weights, _, noise, support, factors = zip(*parts, strict=True)
        return parts[0]._replace(
            weights=TaskWeights.concatenate(weights),
            noise=noise[0] and TaskNoise.concatenate(noise),
            support=SupportRows.concatenate(support),
            factors=PrecisionFactors.concatenate(factors),
        )

    def std(self, network, X, logit_mask=None):
        """Predictive standard deviation of rows X (tasks, rows, features).

        Returns
        -------
        ndarray of shape (tasks, rows, outputs)
            Of targets, noise and all, or of class probabilities.
        """
        return self._by_kind(BayesianTasks._std, network, X, logit_mask, network.n_outputs)

    def variance_over_noise(self, network, X):
        """Of outputs that do not compete, (tasks, rows, outputs)."""
        return self._by_kind(BayesianTasks._covariance, network, X, None, network.n_outputs)

    def degrees_of_freedom(self):
        """Of the predictive Student's t distributions of squared error, (tasks, outputs).

        Infinite where they are Gaussian; always above 2, so that `std` is theirs. The density at
        y is that of ``scipy.stats.t(df, mean, std * sqrt((df - 2) / df))``.
        """
        return self.noise.degrees_of_freedom

    def inverse_df(self, network, X, logit_mask=None):
        """One over the degrees of freedom of rows' predictive distributions, where `std` is.

        (tasks, rows, outputs); 0: Gaussian.
        """
        inverse = 1 / self.degrees_of_freedom()[:, None] if network.loss.quadratic else 0
        return np.broadcast_to(inverse, (*X.shape[:2], network.n_outputs)).astype(X.dtype)

    def jointly(self, network, X, logit_mask=None):
        """The only task at several rows at once, X (rows, features): a JointPosterior."""
        z = self.outputs(network, X[None], logit_mask)[0].astype(float)
        Q = self._whiten(network, X[None])[0].astype(float)
        if network.loss.coupled:
            posterior = self._class_posterior(network, logit_mask)
            return JointClasses(network.loss, z, Q, posterior)
        if len(self.factors.rows):
            root = root_from_factor(self._factor(network)[0], Q)
        else:
            rows = (part[0] for part in self._support_at_mode(network, None))
            root = root_from_rows(network.loss, *rows, Q)
        return JointPosterior(network.loss, z, root, self.noise)

    def _by_kind(self, function, network, X, logit_mask, width):
        """A function of those tasks that have a factor and of those that have none."""
        has_factor = self.factors.sizes > 0
        kinds = [np.flatnonzero(has_factor), np.flatnonzero(~has_factor)]
        if network.loss.coupled:  # one by one: a Hessian of all outputs is large
            kinds = np.arange(len(X))[:, None]
        result = np.empty((*X.shape[:2], width), X.dtype)
        for tasks in kinds:
            if len(tasks):
                mask = None if logit_mask is None else logit_mask[tasks]
                result[tasks] = function(self.take(tasks), network, X[tasks], mask)
        return result

    def _std(self, network, X, logit_mask):
        loss = network.loss
        if loss.quadratic:
            spread, covariance = (
                self.noise.spread[:, None],
                self._covariance(network, X, logit_mask),
            )
            return np.sqrt(self.noise.variance[:, None] * (1 + spread * np.maximum(covariance, 0)))
        covariance = self._covariance(network, X, logit_mask)
        mean = loss.mean(self.outputs(network, X, logit_mask))
        if loss.deviance:
            return np.sqrt(self.noise.variance[:, None] * (mean + mean**2 * covariance))
        if loss.coupled:  # from logits to probabilities
            half = loss.curvature(mean[:, :, None], covariance)
            both = loss.curvature(mean[:, :, None], half.mT)
            variance = np.maximum(np.einsum("tmkk->tmk", both), 0)
        else:
            variance = loss.diagonal(mean) ** 2 * covariance
        most = mean * (1 - mean)  # the variance of a number between 0 and 1 with this mean
        return np.sqrt(np.minimum(variance, most))

    def _covariance(self, network, X, logit_mask):
        """Of outputs over the noise, (tasks, rows, 1 or k), or if coupled (tasks, rows, k, k)."""
        Q = self._whiten(network, X)
        if network.loss.coupled:
            posterior = self._class_posterior(network, logit_mask)
            return posterior.covariance(Q[0].astype(float))[None].astype(Q.dtype)
        if len(self.factors.rows):
            return output_covariance(self._factor(network), Q, network.n_outputs)
        F, mean, weight = self._support_at_mode(network, logit_mask)
        if network.loss.quadratic:
            return variance_from_rows(F, weight, Q)[..., None]
        return covariance_from_rows(network.loss, F, mean, weight, Q)

    def _class_posterior(self, network, logit_mask):
        """Of the only task."""
        if len(self.factors.rows):
            return ClassFactor(self._factor(network)[0, 0])
        rows = (part[0].astype(float) for part in self._support_at_mode(network, logit_mask))
        return ClassRows(*rows)

    def _factor(self, network):
        """(tasks, blocks, size, size), where all tasks have one."""
        shape = factor_shape(network.loss, len(self.scale), network.n_outputs)
        return self.factors.rows.reshape(-1, *shape)

    def _support_at_mode(self, network, logit_mask):
        """Whitened features, expected targets and weights of the support."""
        rows, weight = self._padded_support()
        F = self._whiten(network, rows)
        return F, network.loss.mean(self._exact_outputs(network, rows, logit_mask)), weight

    def _factored(self, network, large, support):
        """These tasks with a factor instead of rows where there are many."""
        tasks = np.flatnonzero(large)
        some = self.take(tasks)
        mask = None if support.logit_mask is None else support.logit_mask[tasks]
        factor = precision_factor(network.loss, *some._support_at_mode(network, mask))
        _, blocks, size, _ = factor.shape
        return self._replace(
            support=self.support.select(np.repeat(~large, self.support.sizes)),
            factors=PrecisionFactors(factor.reshape(-1, size), as_offsets(large * (blocks * size))),
        )

    def _exact_outputs(self, network, X, logit_mask):
        """In double precision: shares that sum to 1 in single leave no posterior precision."""
        return self.outputs(network, X, logit_mask).astype(float, copy=False)

    def _padded_support(self):
        """Rows (tasks, n, features) and their weights (tasks, n), 0 on padding."""
        index, filled = self.support.padded()
        return self.support.X[index], self.support.weight[index] * filled

    def _whiten(self, network, X):
        """Features over the square root of the prior precisions, (tasks, rows, p)."""
        F = network.hidden(self.weights.layers, X)[-1]
        ones = np.ones((*X.shape[:2], 1), X.dtype)
        return np.concatenate([F, ones], axis=-1) * self.scale
