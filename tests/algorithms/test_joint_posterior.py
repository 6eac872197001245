"""Against SciPy's multivariate distributions, quadrature, and sums over draws."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import expit, logsumexp
from scipy.stats import multivariate_normal, multivariate_t, nbinom, poisson

from sklearn_meta.algorithms._counts import log_mass
from sklearn_meta.algorithms._joint_posterior import JointClasses, JointPosterior
from sklearn_meta.algorithms._task_noise import TaskNoise
from sklearn_meta.network import LOSSES, ClassRows
from sklearn_meta.network._losses import softmax

SQUARED, POISSON, BINARY = (LOSSES[n] for n in ("squared_error", "poisson", "binary_log_loss"))
N_DRAWS = 40_000


def noise_of(variance, heaviness, spread=1.0):
    return TaskNoise(*(np.atleast_2d(part).astype(float) for part in (variance, heaviness, spread)))


def make_posterior(loss, m, p, noise, n_outputs=1, width=1.0):
    rng = np.random.default_rng(m)
    blocks = 1 if loss.quadratic else n_outputs
    root = width * rng.normal(size=(blocks, m, p))
    return JointPosterior(loss, rng.normal(size=(m, n_outputs)), root, noise)


@pytest.mark.parametrize(("m", "p"), [(1, 4), (3, 4), (6, 4)])
def test_density_of_one_noise_is_scipys_multivariate_normal(m, p):
    posterior = make_posterior(SQUARED, m, p, noise_of(0.3, 0, 1.7))
    y = posterior.z + 0.5
    root = posterior.root[0]
    covariance = 0.3 * (np.eye(m) + 1.7 * root @ root.T)
    expected = multivariate_normal.logpdf(y[:, 0], posterior.z[:, 0], covariance)
    np.testing.assert_allclose(posterior.log_density(y), expected)
    np.testing.assert_allclose(posterior.covariance()[..., 0], covariance)


@pytest.mark.parametrize(("m", "p"), [(1, 4), (3, 4), (6, 4)])
def test_density_is_scipys_multivariate_t_of_each_output(m, p):
    noise = noise_of([0.3, 2.0], [0.1, 0.4], [1.7, 0.5])
    posterior = make_posterior(SQUARED, m, p, noise, n_outputs=2)
    y, covariance = posterior.z + np.array([0.5, -1]), posterior.covariance()
    expected = 0
    for k, df in enumerate(noise.degrees_of_freedom[0]):
        shape = covariance[..., k] * (df - 2) / df
        expected += multivariate_t.logpdf(y[:, k], posterior.z[:, k], shape, df)
    np.testing.assert_allclose(posterior.log_density(y), expected)


@pytest.mark.parametrize("heaviness", [0, 0.1])
def test_draws_have_the_mean_and_the_covariance(heaviness):
    posterior = make_posterior(SQUARED, 3, 4, noise_of(0.3, heaviness, 1.7))
    drawn = posterior.draw(N_DRAWS, np.random.default_rng(0), noise=True)[..., 0]
    expected = posterior.covariance()[..., 0]
    deviations = drawn - posterior.z[:, 0]
    error = deviations.std(axis=0) / np.sqrt(N_DRAWS)
    assert np.abs(deviations.mean(axis=0) / error).max() < 4.5
    products = deviations[:, :, None] * deviations[:, None]
    error = products.std(axis=0) / np.sqrt(N_DRAWS)
    assert np.abs((products.mean(axis=0) - expected) / error).max() < 4.5


def test_without_noise_only_the_function_is_drawn():
    posterior = make_posterior(SQUARED, 3, 2, noise_of(0.3, 0))
    drawn = posterior.draw(50, np.random.default_rng(0), noise=False)[..., 0] - posterior.z[:, 0]
    assert np.linalg.matrix_rank(drawn, tol=1e-9) == 2  # as many as there are features


def test_heavy_draws_scale_all_rows_together():
    """Of two rows whose noise is all there is, squares go together where the scale is drawn."""
    posterior = make_posterior(SQUARED, 2, 1, noise_of(1.0, 0.25), width=0.0)
    drawn = posterior.draw(N_DRAWS, np.random.default_rng(0), noise=True)[..., 0] - posterior.z.T
    squares = np.minimum(drawn**2, 9)
    assert abs(np.corrcoef(drawn.T)[0, 1]) < 0.03
    assert np.corrcoef(squares.T)[0, 1] > 0.05


def test_density_of_a_single_class_is_the_integral():
    """Laplace's approximation, of a posterior that is not wide."""
    posterior = make_posterior(BINARY, 1, 1, None, width=0.7)
    (z,), (width,) = posterior.z[0], posterior.root[0, 0]

    def integrand(v):
        return expit(z + width * v) * np.exp(-0.5 * v**2) / np.sqrt(2 * np.pi)

    expected = np.log(quad(integrand, -10, 10)[0])
    assert posterior.log_density(np.ones((1, 1))) == pytest.approx(expected, abs=5e-3)


def test_density_of_several_classes_is_the_mean_over_draws():
    posterior = make_posterior(BINARY, 4, 3, None, width=0.5)
    y = np.array([1.0, 0, 1, 1])[:, None]
    z = posterior.draw(N_DRAWS, np.random.default_rng(0), noise=True)
    each = (y * z - np.logaddexp(0, z)).sum(axis=(1, 2))
    expected = logsumexp(each) - np.log(N_DRAWS)
    assert posterior.log_density(y) == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize("dispersion", [0.5, 1.0, 2.0])
def test_probability_of_counts_is_how_often_they_are_drawn(dispersion):
    """Of one row and of two, in units of a half."""
    unit = np.array([0.5])
    posterior = make_posterior(POISSON, 2, 2, noise_of(unit * dispersion, 0), width=0.4)
    drawn = posterior.draw(N_DRAWS, np.random.default_rng(0), noise=True, unit=unit)[..., 0]
    for counts in ([0, 0], [1, 0], [2, 3]):
        y = unit * np.array(counts, float)
        frequency = np.isclose(drawn, y).all(axis=1).mean()
        mass = unit[0] ** 2 * np.exp(posterior.log_density(y[:, None], unit=unit))
        assert mass == pytest.approx(frequency, rel=0.1, abs=0.002)


@pytest.mark.parametrize("dispersion", [0.5, 3.0])
def test_probabilities_of_counts_sum_to_one(dispersion):
    posterior = make_posterior(POISSON, 1, 2, noise_of(dispersion, 0), width=0.2)
    unit = np.ones(1)
    each = [posterior.log_density(np.full((1, 1), c), unit=unit) for c in np.arange(60.0)]
    assert np.exp(each).sum() == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("dispersion", [0.7, 1.8])
def test_derivatives_of_the_mass_of_counts(dispersion):
    counts, z, h = np.array([0.0, 1, 5]), np.array([-1.0, 0.5, 2]), 1e-4
    value, slope, curvature = log_mass(counts, z, dispersion)
    above, below = (log_mass(counts, z + step, dispersion)[0] for step in (h, -h))
    np.testing.assert_allclose(slope, (above - below) / (2 * h), rtol=1e-5)
    np.testing.assert_allclose(curvature, (above - 2 * value + below) / h**2, rtol=1e-4)
    r = np.exp(z) / (dispersion - 1)
    distribution = nbinom(r, 1 / dispersion) if dispersion > 1 else poisson(np.exp(z))
    np.testing.assert_allclose(value, distribution.logpmf(counts))


def test_draws_of_counts_have_the_means_that_are_predicted():
    posterior = make_posterior(POISSON, 3, 4, noise_of(0.5, 0), width=0.3)
    mean = np.exp(posterior.z)[:, 0]
    drawn = posterior.draw(N_DRAWS, np.random.default_rng(0), noise=False)[..., 0]
    error = drawn.std(axis=0) / np.sqrt(N_DRAWS)
    assert np.abs((drawn.mean(axis=0) - mean) / error).max() < 4.5
    for unit in (None, np.array([0.25])):
        noisy = posterior.draw(N_DRAWS, np.random.default_rng(0), noise=True, unit=unit)[..., 0]
        np.testing.assert_allclose(noisy.mean(axis=0), mean, rtol=0.05)
        own = noisy.var(axis=0) - drawn.var(axis=0)  # the dispersion's
        np.testing.assert_allclose(own, 0.5 * mean, rtol=0.35)


def test_density_of_competing_classes_is_the_mean_over_draws():
    rng = np.random.default_rng(0)
    rows = ClassRows(rng.normal(size=(6, 4)), softmax(rng.normal(size=(6, 3))), np.ones(6))
    Q = 0.5 * rng.normal(size=(5, 4))
    posterior = JointClasses(LOSSES["log_loss"], rng.normal(size=(5, 3)), Q, rows)
    y = np.eye(3)[[0, 1, 2, 1, 0]]
    z = posterior.draw(N_DRAWS, np.random.default_rng(0), noise=True)
    each = -posterior.loss.row_losses(z, y).sum(axis=1)
    expected = logsumexp(each) - np.log(N_DRAWS)
    assert posterior.log_density(y) == pytest.approx(expected, abs=0.03)


def test_covariance_of_counts_is_that_of_draws():
    posterior = make_posterior(POISSON, 2, 2, noise_of(1.0, 0), width=0.05)
    unit = np.ones(1)
    drawn = posterior.draw(N_DRAWS, np.random.default_rng(0), noise=True, unit=unit)[..., 0]
    np.testing.assert_allclose(np.cov(drawn.T), posterior.covariance()[..., 0], atol=0.06)


def test_a_minimum_that_is_not_found_is_nan():
    rows = ClassRows(np.ones((2, 2)), np.full((2, 2), 0.5), np.ones(2))
    posterior = JointClasses(LOSSES["log_loss"], np.zeros((1, 2)), np.full((1, 2), 1e20), rows)
    assert np.isnan(posterior.log_density(np.eye(2)[:1]))
    posterior = make_posterior(POISSON, 1, 2, noise_of(1.0, 0), width=1e20)
    assert np.isnan(posterior.log_density(np.ones((1, 1)), unit=np.ones(1)))
