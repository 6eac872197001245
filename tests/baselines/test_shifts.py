"""The shrunken shift of a task against statsmodels, and SciPy on formulas written out."""

import warnings

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit

from sklearn_meta.baselines._shifts import (
    Identity,
    Log,
    Logit,
    Shifts,
    modes,
    variance_components,
)

N_TASKS = 30


def residuals(seed, spread=2.0, mean=0.5):
    """Of ragged tasks: the rows' tasks, and residuals."""
    rng = np.random.RandomState(seed)
    task = np.repeat(np.arange(N_TASKS), rng.randint(1, 12, N_TASKS))
    effects = rng.normal(scale=np.sqrt(spread), size=N_TASKS)
    return task, mean + effects[task] + rng.normal(size=len(task))


def mixed_lm(task, r):
    from statsmodels.regression.mixed_linear_model import MixedLM

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return MixedLM(r, np.ones((len(r), 1)), groups=task).fit(
            reml=True, method="bfgs", gtol=1e-9
        )


@pytest.mark.parametrize("seed", range(3))
def test_components_and_effects_are_those_of_statsmodels(seed):
    task, r = residuals(seed)
    expected = mixed_lm(task, r)
    found = variance_components(r, np.ones(len(r)), task, N_TASKS)
    spread = float(expected.cov_re[0, 0])
    np.testing.assert_allclose(found.spread, spread, rtol=1e-3)
    np.testing.assert_allclose(found.noise, expected.scale, rtol=1e-3)
    np.testing.assert_allclose(found.mean, expected.fe_params[0], rtol=1e-3)
    shifts = Shifts(Identity, np.zeros(1), np.array([found.spread]), np.array([found.noise]))
    about_mean = shifts.of_tasks(r[:, None] - found.mean, np.zeros((len(r), 1)), task, N_TASKS)
    effects = [expected.random_effects[i].iloc[0] for i in range(N_TASKS)]
    np.testing.assert_allclose(about_mean[:, 0], effects, rtol=5e-3, atol=1e-4)


def test_the_components_have_the_highest_restricted_likelihood():
    """By the likelihood as the textbook writes it, with dense covariances, in weighted rows."""
    task, r = residuals(0)
    weight = np.random.RandomState(1).uniform(0.5, 3, len(r))

    def nll(logs):
        spread, noise = np.exp(logs)
        V = spread * (task[:, None] == task) + np.diag(noise / weight)
        one, (_, of_V) = np.ones(len(r)), np.linalg.slogdet(V)
        information = one @ np.linalg.solve(V, one)
        mean = one @ np.linalg.solve(V, r) / information
        return 0.5 * (of_V + np.log(information) + (r - mean) @ np.linalg.solve(V, r - mean))

    found = variance_components(r, weight, task, N_TASKS)
    best = minimize(nll, np.zeros(2), method="Nelder-Mead", options={"xatol": 1e-7, "fatol": 1e-10})
    np.testing.assert_allclose([found.spread, found.noise], np.exp(best.x), rtol=1e-4)
    known = variance_components(r, weight, task, N_TASKS, noise=1.5)
    best = minimize(lambda log: nll([log[0], np.log(1.5)]), [0.0], method="Nelder-Mead")
    np.testing.assert_allclose(known.spread, np.exp(best.x[0]), rtol=1e-3)


def test_components_do_not_depend_on_units():
    task, r = residuals(0)
    one = variance_components(r, np.ones(len(r)), task, N_TASKS)
    other = variance_components(1e6 * r, np.ones(len(r)), task, N_TASKS)
    np.testing.assert_allclose([other.spread, other.noise], 1e12 * np.array(one[1:]), rtol=1e-5)
    heavier = variance_components(r, np.full(len(r), 1e-9), task, N_TASKS)
    np.testing.assert_allclose(heavier.spread, one.spread, rtol=1e-5)


@pytest.mark.parametrize(
    ("task", "r"),
    [
        ([0, 0, 0], [1.0, 2.0, 4.0]),  # one task
        ([0, 1, 2], [1.0, 2.0, 4.0]),  # a row each
        ([0, 0, 1, 1], [0.0, 0.0, 0.0, 0.0]),  # nothing is left
        ([0, 0, 1, 1], [-1.0, 1.0, -1.0, 1.0]),  # tasks do not differ
    ],
)
def test_where_nothing_tells_tasks_apart_there_is_no_spread(task, r):
    found = variance_components(np.array(r), np.ones(len(r)), np.array(task), max(task) + 1)
    assert found.spread == 0
    assert np.isfinite(found).all()


@pytest.mark.parametrize("link", [Log, Logit])
def test_the_mode_is_that_of_the_penalised_likelihood(link):
    rng = np.random.RandomState(0)
    task, offset = np.repeat([0, 2, 3], [1, 7, 40]), 3 * rng.normal(size=(48, 2))
    Y = (rng.poisson(30, (48, 2)) if link is Log else rng.randint(2, size=(48, 2))).astype(float)
    spread, noise = np.array([0.5, 50.0]), np.array([1.0, 2.0])
    found = modes(link, Y, offset, task, 4, spread / noise)
    for i in range(4):
        for k in range(2):
            y, o = Y[task == i, k], offset[task == i, k]

            def penalised(b, y=y, o=o, k=k):
                eta = o + b
                nll = np.exp(eta) - y * eta if link is Log else np.logaddexp(0, eta) - y * eta
                return nll.sum() / noise[k] + b[0] ** 2 / (2 * spread[k])

            best = minimize(penalised, [0.0], method="BFGS", options={"gtol": 1e-9})
            np.testing.assert_allclose(found[i, k], best.x[0], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("link", [Log, Logit])
def test_penalised_quasi_likelihood_finds_the_spread(link):
    rng = np.random.RandomState(0)
    n_tasks, rows = 300, 40
    task = np.repeat(np.arange(n_tasks), rows)
    offset, effects = rng.normal(size=len(task)), rng.normal(scale=0.7, size=n_tasks)
    mean = (np.exp if link is Log else expit)(offset + effects[task])
    y = (rng.poisson(mean) if link is Log else rng.random_sample(len(mean)) < mean).astype(float)
    pooled = link.mean(offset)[:, None]
    shifts = Shifts.fit(link, y[:, None], pooled, task, n_tasks)
    np.testing.assert_allclose(np.sqrt(shifts.spread), 0.7, rtol=0.1)
    np.testing.assert_allclose(shifts.noise, 1, rtol=0.05)
    found = shifts.of_tasks(y[:, None], pooled, task, n_tasks)
    assert np.corrcoef(found[:, 0], effects)[0, 1] > 0.85


def test_counts_that_vary_more_than_poissons_have_a_dispersion():
    rng = np.random.RandomState(0)
    task, mean = np.repeat(np.arange(200), 20), np.full((4000, 1), 10.0)
    y = rng.negative_binomial(5, 1 / 3, 4000).astype(float)  # mean 10, variance 30
    shifts = Shifts.fit(Log, y[:, None], mean, task, 200)
    np.testing.assert_allclose(shifts.noise, 3, rtol=0.1)
    assert shifts.spread < 0.01


@pytest.mark.parametrize("link", [Identity, Log, Logit])
def test_no_shift_leaves_the_pooled_prediction_as_it_is(link):
    pooled = np.array([[0.2, 0.5, 0.3], [0.0, 1.0, 0.0]])
    shifts = Shifts(link, np.full(3, 1 / 3), np.ones(3), np.ones(3))
    assert np.array_equal(shifts.apply(pooled, np.zeros((2, 3))), pooled)
    shifted = shifts.apply(pooled, np.full((2, 3), 0.5))
    assert not np.array_equal(shifted, pooled)
    if link is Logit:
        np.testing.assert_allclose(shifted.sum(axis=1), 1)
