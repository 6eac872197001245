"""Pooled is the estimator inside, fitted to all rows."""

import numpy as np
import pytest
from conftest import make_problem
from sklearn.base import clone, is_classifier
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression, PoissonRegressor, Ridge

from sklearn_meta.baselines import Pooled

OF = {
    "regression": [Ridge(), HistGradientBoostingRegressor(max_iter=5)],
    "multi-output": [Ridge()],
    "poisson": [PoissonRegressor()],
    "multiclass": [LogisticRegression(), HistGradientBoostingClassifier(max_iter=5)],
}
CASES = [(kind, estimator) for kind, estimators in OF.items() for estimator in estimators]


@pytest.mark.parametrize(("kind", "estimator"), CASES)
def test_it_predicts_what_the_estimator_does(kind, estimator):
    problem = make_problem(kind)
    X, y, groups = problem.rows
    expected = clone(estimator).fit(X, y)
    X_new, y_new = problem.new
    pooled = Pooled(estimator).fit(X, y, groups).fit_adapt(X_new, y_new)
    for of in (None, np.full(len(X_new), "t00"), np.full(len(X_new), "new")):
        np.testing.assert_array_equal(pooled.predict(X_new, of), expected.predict(X_new))
        if is_classifier(estimator):
            found = pooled.predict_proba(X_new, of)
            np.testing.assert_array_equal(found, expected.predict_proba(X_new))
