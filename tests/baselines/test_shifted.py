"""Shifted: a pooled model, and what tasks left out say of its residuals."""

import numpy as np
import pytest
from conftest import make_problem
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression, PoissonRegressor, Ridge
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_meta.baselines import Pooled, Shifted
from sklearn_meta.baselines._shifts import variance_components


def intercepts(seed=0, n_tasks=40):
    """Rows of tasks that differ by an intercept."""
    rng = np.random.RandomState(seed)
    groups = np.repeat(np.arange(n_tasks), rng.randint(3, 12, n_tasks))
    X = rng.normal(size=(len(groups), 2))
    z = X @ [1.0, -0.5] + 1.5 * rng.normal(size=n_tasks)[groups]
    return X, z + 0.5 * rng.normal(size=len(z)), groups


def test_it_is_the_pooled_model_and_the_shrunken_mean_residual():
    X, y, groups = intercepts()
    shifted = Shifted(Ridge()).fit(X, y, groups)
    left_out = cross_val_predict(Ridge(), X, y, groups=groups, cv=GroupKFold(5))
    components = variance_components(y - left_out, np.ones(len(y)), groups, 40)
    np.testing.assert_allclose(shifted.spread_, components.spread)
    np.testing.assert_allclose(shifted.noise_, components.noise)
    pooled = Ridge().fit(X, y).predict(X)
    for task in range(40):
        mine = groups == task
        shrinkage = components.spread / (components.spread + components.noise / mine.sum())
        expected = pooled[mine] + shrinkage * np.mean(y[mine] - pooled[mine])
        np.testing.assert_allclose(shifted.predict(X[mine], groups[mine]), expected)


@pytest.mark.parametrize("kind", ["numbers", "counts", "two classes", "three classes"])
def test_it_beats_the_pooled_model_where_tasks_differ_by_an_intercept(kind):
    X, z, groups = intercepts()
    rng = np.random.RandomState(1)
    y, estimator = {
        "numbers": lambda: (z, make_pipeline(StandardScaler(), Ridge())),
        "counts": lambda: (rng.poisson(np.exp(z)), PoissonRegressor()),
        "two classes": lambda: (z > 0, LogisticRegression()),
        "three classes": lambda: (np.digitize(z, [-1, 1]), LogisticRegression()),
    }[kind]()
    support = np.arange(len(y)) % 2 == 0
    new = groups >= 25
    scores = []
    for cls in (Pooled, Shifted):
        fitted = cls(estimator).fit(X[~new], y[~new], groups[~new])
        fitted.fit_adapt(X[new & support], y[new & support], groups[new & support])
        query = new & ~support
        scores.append(fitted.score(X[query], y[query], groups=groups[query]))
    assert scores[1] > scores[0] + 0.05


def test_the_link_goes_by_estimator_and_loss():
    X, z, groups = intercepts()
    y = np.random.RandomState(1).poisson(np.exp(z))
    poisson = HistGradientBoostingRegressor(loss="poisson", max_iter=10)
    of_auto, of_log = (
        Shifted(poisson, link=link).fit(X, y, groups).predict(X, groups) for link in ("auto", "log")
    )
    of_identity = Shifted(poisson, link="identity").fit(X, y, groups).predict(X, groups)
    np.testing.assert_array_equal(of_auto, of_log)
    assert not np.allclose(of_auto, of_identity)
    np.testing.assert_array_equal(
        Shifted(make_pipeline(PoissonRegressor())).fit(X, y, groups).predict(X, groups),
        Shifted(PoissonRegressor(), link="log").fit(X, y, groups).predict(X, groups),
    )


def test_of_one_task_nothing_is_known_of_others():
    X, y, _ = intercepts()
    shifted = Shifted(Ridge()).fit(X, y)
    assert shifted.spread_ == 0
    np.testing.assert_array_equal(shifted.predict(X), Ridge().fit(X, y).predict(X))


def test_links_that_will_not_do():
    X, y, groups = intercepts()
    with pytest.raises(ValueError, match="link='logit' is for classes, got Ridge"):
        Shifted(Ridge(), link="logit").fit(X, y, groups)
    with pytest.raises(ValueError, match="link='log' is for numbers, got LogisticRegression"):
        Shifted(LogisticRegression(), link="log").fit(X, y > 0, groups)
    with pytest.raises(ValueError, match="link='log' expects numbers of 0 or more"):
        Shifted(Ridge(), link="log").fit(X, y, groups)
    with pytest.raises(ValueError, match="'link' parameter"):
        Shifted(Ridge(), link="cube").fit(X, y, groups)


def test_a_class_that_a_fold_lacks():
    X, y, groups = make_problem("multiclass").rows
    y = np.where(groups == "t00", y, np.minimum(y, 1))
    shifted = Shifted(LogisticRegression()).fit(X, y, groups)
    np.testing.assert_allclose(shifted.predict_proba(X, groups).sum(axis=1), 1)
