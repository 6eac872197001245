"""Laplace's posterior of one task's output weights, where the outputs of a row compete.

In whitened coordinates, as in `_gaussian_head`: U is (p, k), and its precision
``H = I + sum_rows weight * (f f') x (diag(mean) - mean mean')``. Formed, it would have
``(k p)^2`` entries; but for what couples the classes it is block diagonal.
"""

from typing import NamedTuple

import numpy as np
from scipy.linalg import cho_solve, cholesky, solve_triangular

from ._gaussian_head import add_to_diagonal
from ._losses import LOSSES
from ._posterior_covariance import output_covariance, precision_factor

MAX_CELLS = 2**23  # of weights drawn at once
LOSS = LOSSES["log_loss"]


class ClassRows(NamedTuple):
    """The posterior as the rows that it is given by.

    Parameters
    ----------
    F : ndarray of shape (n, p)
        Whitened features, in double precision.
    mean : ndarray of shape (n, k)
        Probabilities of the classes, at the mode.
    weight : ndarray of shape (n,)
        Above 0.
    """

    F: np.ndarray
    mean: np.ndarray
    weight: np.ndarray

    def plus(self, Q, mean):
        """Given further rows, each of weight 1."""
        pairs = zip(self, (Q, mean, np.ones(len(Q))), strict=True)
        return ClassRows(*(np.concatenate(pair) for pair in pairs))

    def times(self, U):
        """The precision times U (..., p, k)."""
        return U + self.F.T @ self._curved(self.F @ U)

    def covariance(self, Q):
        """Of the outputs of each of the rows Q (m, p), (m, k, k).

        Rasmussen and Williams, "Gaussian Processes for Machine Learning", 2006, algorithm 3.4.
        """
        if self._is_tall:
            return self._formed().covariance(Q)
        k, m = self.mean.shape[1], len(Q)
        cross = self.F @ Q.T  # (n, m)
        explained, total = np.empty((k, *cross.shape)), np.zeros((len(self.F),) * 2)
        for output, (E, _) in enumerate(self._by_class()):
            explained[output] = E @ cross
            total += E
        covariance = np.zeros((m, k, k))
        own = np.vecdot(Q, Q) - np.einsum("nm,knm->km", cross, explained)
        np.einsum("mkk->mk", covariance)[...] = own.T
        if len(cross):
            L = cholesky(total, lower=True, check_finite=False)
            wide = explained.transpose(1, 2, 0).reshape(len(cross), m * k)
            shared = solve_triangular(L, wide, lower=True, check_finite=False).reshape(-1, m, k)
            shared = shared.transpose(1, 2, 0)  # (m, k, n)
            covariance += shared @ shared.mT
        return covariance

    def log_det(self):
        """Of the precision."""
        if self._is_tall:
            return self._formed().log_det()
        n, log_det, total = len(self.F), 0.0, np.zeros((len(self.F),) * 2)
        for E, of_class in self._by_class():
            log_det += of_class
            total += E
        return log_det + np.linalg.slogdet(total)[1] - np.log(self.weight).sum() if n else 0.0

    def draw(self, n_draws, shape, generator):
        """Deviations from the mode, (n_draws, p, k) for a shape (p, k): of as many functions.

        With ``A A'`` a row's ``diag(mean) - mean mean'``, and the e standard normal, the solution
        of ``H U = e_0 + sum_rows sqrt(weight) f (A e)'`` has the covariance ``H^-1``.
        """
        if self._is_tall:
            return self._formed().draw(n_draws, shape, generator)
        drawn = generator.standard_normal((n_draws, *shape))
        most = max(1, MAX_CELLS // max(np.prod(shape), self.mean.size))
        for start in range(0, n_draws, most):
            some = drawn[start : start + most]
            normals = generator.standard_normal((len(some), *self.mean.shape))
            normals *= np.sqrt(self.weight)[:, None]
            some += self.F.T @ _half(self.mean, normals)
            some -= self.F.T @ self._solved(self.F @ some)
        return drawn

    def _solved(self, rows):
        """``(W^-1 + F F')^-1 rows`` (m, n, k), W the Hessians of the rows."""
        total = np.zeros((len(self.F),) * 2)
        solved = np.empty_like(rows)
        for output, (E, _) in enumerate(self._by_class()):
            solved[..., output] = rows[..., output] @ E
            total += E
        L = cholesky(total, lower=True, check_finite=False)
        shared = cho_solve((L, True), solved.sum(axis=-1).T, check_finite=False).T  # (m, n)
        for output, (E, _) in enumerate(self._by_class()):
            solved[..., output] -= shared @ E
        return solved

    @property
    def _is_tall(self):
        """Whether it has so many rows that the precision is the smaller matrix."""
        return len(self.F) > self.F.shape[1] * self.mean.shape[1]

    def _curved(self, rows):
        return self.weight[:, None] * LOSS.curvature(self.mean, rows)

    def _formed(self):
        return ClassFactor(precision_factor(LOSS, *(part[None] for part in self))[0, 0])

    def _by_class(self):
        """Of each class, with D its weights: ``(D^-1 + F F')^-1``, and log det ``I + F' D F``."""
        n, p = self.F.shape
        gram = self.F @ self.F.T if n <= p else None
        for mean in self.mean.T:
            D = self.weight * mean
            root = np.sqrt(D)
            rooted = root[:, None] * self.F
            inner = root[:, None] * gram * root if n <= p else rooted.T @ rooted
            L = cholesky(add_to_diagonal(inner, 1), lower=True, check_finite=False)
            if n <= p:
                E = root[:, None] * cho_solve((L, True), np.diag(root), check_finite=False)
            else:
                wide = (root[:, None] * rooted).T
                half = solve_triangular(L, wide, lower=True, check_finite=False)
                E = add_to_diagonal(-(half.T @ half), D)
            yield E, 2 * np.log(np.diag(L)).sum()


class ClassFactor(NamedTuple):
    """The posterior as the Cholesky factor of its precision, (k * p, k * p), outputs first."""

    L: np.ndarray

    def plus(self, Q, mean):
        """Given further rows, each of weight 1."""
        more = precision_factor(LOSS, Q[None], mean[None], np.ones((1, len(Q))))[0, 0]
        precision = add_to_diagonal(self.L @ self.L.T + more @ more.T, -1)
        return ClassFactor(cholesky(precision, lower=True, check_finite=False))

    def times(self, U):
        """The precision times U (p, k)."""
        return (self.L @ (self.L.T @ U.T.ravel())).reshape(U.T.shape).T

    def covariance(self, Q):
        """Of the outputs of each of the rows Q (m, p), (m, k, k)."""
        n_outputs = len(self.L) // Q.shape[1]
        return output_covariance(self.L[None, None], Q[None], n_outputs)[0]

    def log_det(self):
        """Of the precision."""
        return 2 * np.log(np.diag(self.L)).sum()

    def draw(self, n_draws, shape, generator):
        """Deviations from the mode, (n_draws, p, k)."""
        normals = generator.standard_normal((len(self.L), n_draws))
        drawn = solve_triangular(self.L, normals, lower=True, trans="T", check_finite=False)
        return drawn.T.reshape(n_draws, *shape[::-1]).mT


def _half(mean, normals):
    """A times normals (..., n, k), ``A = diag(sqrt(mean)) - mean sqrt(mean)'``."""
    root = np.sqrt(mean)
    return root * normals - mean * np.vecdot(root, normals)[..., None]
