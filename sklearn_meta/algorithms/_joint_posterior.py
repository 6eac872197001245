"""What a task of a Bayesian head says of several rows at once."""

from typing import NamedTuple

import numpy as np
from scipy.linalg import cholesky, solve_triangular
from scipy.optimize import minimize
from scipy.special import gammaln

from ..network import ClassFactor, ClassRows, Loss, add_to_diagonal, posterior_mode
from ..tasks._batch import TaskBatch
from ._counts import draw_amounts, draw_counts, log_mass

GRADIENT = 1e-4  # of the whitened weights at the mode: the density is exact to half its square
HOPELESS = 1e14  # condition of a minimum, at which double precision does not find it


class JointPosterior(NamedTuple):
    """The outputs of rows whose outputs do not compete: ``z + root @ normals``.

    Parameters
    ----------
    loss : Loss
    z : ndarray of shape (m, k)
        The outputs at the mode.
    root : ndarray of shape (1 or k, m, p)
        As of `root_from_rows`.
    noise : TaskNoise or None
        Of the one task.
    """

    loss: Loss
    z: np.ndarray
    root: np.ndarray
    noise: object

    def draw(self, n_draws, generator, noise, unit=None):
        """Targets, their means, or of classes outputs, (n_draws, m, k)."""
        (m, k), p = self.z.shape, self.root.shape[-1]
        scale = np.ones((n_draws, 1, k)) if self.noise is None else self._scales(n_draws, generator)
        normals = generator.standard_normal((k, p, n_draws))
        moved = (self.root @ normals).transpose(2, 1, 0)  # (n_draws, m, k)
        if self.loss.quadratic:
            moved = np.sqrt(self.noise.spread) * moved
            if noise:
                moved += generator.standard_normal((n_draws, m, k))
        drawn = self.z + scale * moved
        if self.noise is None or self.loss.quadratic:
            return drawn
        mean, dispersion = np.exp(drawn - self._above), self.noise.variance[0]
        mean[:, ~np.isfinite(np.exp(self.z))] = np.inf  # their mean is what is predicted
        if not noise:
            return mean
        if unit is None:
            return draw_amounts(mean, dispersion, generator)
        return unit * draw_counts(mean / unit, dispersion / unit, generator)

    def covariance(self):
        """Of the targets, (m, m, k)."""
        of_outputs = np.moveaxis(self.root @ self.root.mT, 0, -1)  # (m, m, 1 or k)
        variance, spread = self.noise.variance[0], self.noise.spread[0]
        if self.loss.quadratic:
            return variance * (spread * of_outputs + np.eye(len(self.z))[..., None])
        mean = self.loss.mean(self.z)
        covariance = mean[:, None] * mean * of_outputs
        np.einsum("mmk->mk", covariance)[...] += mean
        return variance * covariance

    def log_density(self, y, logit_mask=None, unit=None):
        """Of the targets y (m, k), together."""
        if self.noise is None:
            return self._of_two_classes(y)
        if not self.loss.quadratic:
            parts = y.T, self.z.T, self._above.T, self.root, unit, self.noise.variance[0]
            return sum(_of_counts(*output) for output in zip(*parts, strict=True))
        spread = np.sqrt(self.noise.spread[0])
        root = np.broadcast_to(self.root, (len(spread), *self.root.shape[1:]))
        parts = zip((y - self.z).T, spread[:, None, None] * root, strict=True)
        squares, log_det = np.array([_whitened(*part) for part in parts]).T
        variance, heaviness = self.noise.variance[0], self.noise.heaviness[0]
        return log_density_t(len(y), squares, log_det, variance, heaviness).sum()

    def _scales(self, n_draws, generator):
        """Roots of the variances, (n_draws, 1, k): one for all rows of a draw."""
        variance, heaviness = self.noise.variance, self.noise.heaviness  # (1, k)
        degrees = 2 + 1 / np.where(heaviness > 0, heaviness, 1)
        drawn = generator.chisquare(degrees, (n_draws, len(degrees[0])))
        shrunken = np.where(heaviness > 0, (degrees - 2) / drawn, 1)
        return np.sqrt(variance * shrunken)[:, None]

    @property
    def _above(self):
        """By how much logarithms are drawn too high for their means to be the predicted ones."""
        variance = np.square(self.root).sum(axis=-1).T  # (m, k)
        return 0.5 * self.noise.variance[0] * variance

    def _of_two_classes(self, y):
        """Laplace's approximation, whose prior is this posterior."""
        z, y = self.z[None], y[None]  # (1, m, 1)
        batch = TaskBatch(self.root, y, np.ones(y.shape[:2]))
        mode = posterior_mode(self.loss, self.root, z, batch)
        found = z + self.root @ mode.U
        energy = self.loss.row_losses(found, y).sum() + 0.5 * np.square(mode.U).sum()
        rooted = np.sqrt(self.loss.diagonal(self.loss.mean(found))) * self.root
        return -energy - 0.5 * _whitened(np.zeros(len(rooted[0])), rooted[0])[1]


class JointClasses(NamedTuple):
    """The outputs of rows whose outputs compete.

    Parameters
    ----------
    loss : Loss
    z : ndarray of shape (m, k)
        The outputs at the mode.
    Q : ndarray of shape (m, p)
        Whitened features.
    posterior : ClassRows or ClassFactor
    """

    loss: Loss
    z: np.ndarray
    Q: np.ndarray
    posterior: ClassRows | ClassFactor

    def draw(self, n_draws, generator, noise, unit=None):
        """Outputs, (n_draws, m, k)."""
        shape = self.Q.shape[1], self.z.shape[1]
        return self.z + self.Q @ self.posterior.draw(n_draws, shape, generator)

    def log_density(self, y, logit_mask=None, unit=None):
        """Of the targets y (m, k), together; NaN where they are too hard."""
        if not np.square(self.Q).sum() < HOPELESS:
            return np.nan
        at_mode = self.z if logit_mask is None else self.z + logit_mask
        shape = self.Q.shape[1], self.z.shape[1]

        def objective(U):
            U = U.reshape(shape)
            z, pulled = at_mode + self.Q @ U, self.posterior.times(U)
            energy = self.loss.row_losses(z, y).sum() + 0.5 * np.vdot(U, pulled)
            return energy, (pulled + self.Q.T @ (self.loss.mean(z) - y)).ravel()

        def curved(U, direction):
            mean = self.loss.mean(at_mode + self.Q @ U.reshape(shape))
            direction = direction.reshape(shape)
            rows = self.loss.curvature(mean, self.Q @ direction)
            return (self.posterior.times(direction) + self.Q.T @ rows).ravel()

        found = _least(objective, curved, np.prod(shape))
        if not found.success:
            return np.nan
        mean = self.loss.mean(at_mode + self.Q @ found.x.reshape(shape))
        after = self.posterior.plus(self.Q, mean)
        return -found.fun - 0.5 * (after.log_det() - self.posterior.log_det())


def log_density_t(n, squares, log_det, variance, heaviness):
    """Log density of n numbers that are together Student's t, or where it is 0, Gaussian.

    Parameters
    ----------
    n : int
    squares : ndarray of shape (k,)
        ``r' C^-1 r`` of the deviations r and the covariance ``variance * C``.
    log_det : ndarray of shape (k,)
        Of C.
    variance, heaviness : ndarray of shape (k,)
        As of TaskNoise.

    Returns
    -------
    ndarray of shape (k,)
    """
    squares = squares / variance
    heavy = np.where(heaviness > 0, heaviness, 1)
    half = 1 + 0.5 / heavy  # of the degrees of freedom
    density = gammaln(half + 0.5 * n) - gammaln(half) + 0.5 * n * np.log(heavy)
    density -= (half + 0.5 * n) * np.log1p(heavy * squares)
    gaussian = -0.5 * squares - 0.5 * n * np.log(2)
    density = np.where(heaviness > 0, density, gaussian)
    return density - 0.5 * (log_det + n * np.log(np.pi * variance))


def _whitened(r, root):
    """``r' C^-1 r`` and the log determinant of ``C = I + root root'``."""
    m, p = root.shape
    small = root @ root.T if m <= p else root.T @ root
    L = cholesky(add_to_diagonal(small, 1), lower=True, check_finite=False)
    inner = solve_triangular(L, r if m <= p else root.T @ r, lower=True, check_finite=False)
    squares = inner @ inner if m <= p else r @ r - inner @ inner
    return squares, 2 * np.log(np.diag(L)).sum()


def _of_counts(y, z, above, root, unit, dispersion):
    """Log density of one output's counts of units, by Laplace's approximation."""
    if not dispersion * np.square(root).sum() < HOPELESS:
        return np.nan
    counts, root = np.rint(y / unit), np.sqrt(dispersion) * root
    start = z - above - np.log(unit)

    def at(v):
        return log_mass(counts, start + root @ v, dispersion / unit)

    def objective(v):
        value, slope, _ = at(v)
        return 0.5 * v @ v - value.sum(), v - root.T @ slope

    def curved(v, direction):
        return direction - root.T @ (at(v)[2] * (root @ direction))

    found = _least(objective, curved, root.shape[1])
    if not found.success:
        return np.nan
    hessian = np.eye(root.shape[1]) - root.T @ (at(found.x)[2][:, None] * root)
    return -found.fun - 0.5 * np.linalg.slogdet(hessian)[1] - len(y) * np.log(unit)


def _least(objective, curved, n):
    """SciPy's result of minimising a function of n numbers from 0 on, by Newton's method."""
    options = {"gtol": GRADIENT, "maxiter": 1000}
    return minimize(
        objective, np.zeros(n), jac=True, hessp=curved, method="trust-ncg", options=options
    )
