"""The fit of tasks' noise: its density against SciPy's, its gradient by finite differences."""

import numpy as np
import pytest
from scipy.optimize import approx_fprime
from scipy.stats import multivariate_t

from sklearn_meta.algorithms._held_out_pairs import HeldOutPairs
from sklearn_meta.algorithms._noise_fit import _as_prior, _objective, fit_noise_prior

X = np.array([-0.3, 0.3, 0.2, 0.4, -0.2])  # log variance, inverse shape, tail, log spread, slope


def draw(n_tasks=5, n_rows=6, seed=0):
    rng = np.random.RandomState(seed)
    task = np.repeat(np.arange(n_tasks), n_rows)
    half = rng.standard_normal((len(task), 2, 2))
    covariance = half @ half.mT
    width = np.stack([covariance[:, 0, 0], covariance[:, 1, 1], covariance[:, 0, 1]])
    share = rng.uniform(size=len(task))
    return HeldOutPairs(
        rng.randint(0, 10, n_tasks).astype(float),
        rng.chisquare(5, (n_tasks, 2)),
        task,
        rng.standard_normal((2, len(task), 2)),
        width,
        share / share.sum(),
        np.zeros(len(task), bool),
    )


def test_the_objective_is_scipys_density_in_a_loop():
    pairs = draw().output(0)
    noise = _as_prior(X, 1.0).given(pairs.n, pairs.squares[:, None])
    total = 0
    for i, (t, share) in enumerate(zip(pairs.task, pairs.share, strict=True)):
        v, w, c = pairs.width[:, i]
        covariance = noise.variance[t] * (np.eye(2) + noise.spread[t] * np.array([[v, c], [c, w]]))
        df = noise.degrees_of_freedom[t, 0]
        density = multivariate_t(np.zeros(2), covariance * (df - 2) / df, df)
        total += 0.5 * share * density.logpdf(pairs.error[:, i])
    value, _ = _objective(X, pairs)
    assert value == pytest.approx(0.003 * (0.4**2 + 0.2**2) - total)


@pytest.mark.parametrize("x", [X, np.array([1.0, 1e-4, 0.0, -2.0, 0.5]), X * [1, 1, 0, 1, 1]])
def test_the_gradient_is_that_of_the_objective(x):
    pairs = draw().output(1)
    numeric = approx_fprime(x, lambda x: _objective(x, pairs)[0], 1e-7)
    np.testing.assert_allclose(_objective(x, pairs)[1], numeric, atol=1e-5)


def test_what_is_found_does_not_depend_on_the_unit_of_targets():
    pairs = draw()
    found = fit_noise_prior(pairs)
    large = fit_noise_prior(pairs._replace(error=1e6 * pairs.error, squares=1e12 * pairs.squares))
    np.testing.assert_allclose(large.variance, 1e12 * found.variance, rtol=1e-6)
    for one, other in zip(large[1:], found[1:], strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_outputs_are_fitted_by_themselves():
    pairs = draw()
    both = fit_noise_prior(pairs)
    alone = fit_noise_prior(
        pairs._replace(squares=pairs.squares[:, 1:], error=pairs.error[..., 1:])
    )
    for one, other in zip(both, alone, strict=True):
        np.testing.assert_array_equal(one[..., 1:], other)


def test_tasks_of_one_row_have_one_gaussian_noise():
    pairs = draw()
    found = fit_noise_prior(pairs._replace(lone=np.ones(len(pairs.task), bool)))
    relative = pairs.error[0] ** 2 / (1 + pairs.width[0])[:, None]
    np.testing.assert_allclose(found.variance, pairs.share @ relative)
    assert not found.inverse_shape.any()
    assert not found.tail.any()
    assert not found.log_spread.any()
