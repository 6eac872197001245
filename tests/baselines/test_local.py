"""Local is a loop over tasks."""

import numpy as np
import pytest
from conftest import make_problem
from sklearn.base import clone, is_classifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_meta.baselines import Local

CASES = [
    ("regression", make_pipeline(StandardScaler(), Ridge())),
    ("multi-output", Ridge()),
    ("multiclass", LogisticRegression()),
    ("own labels", LogisticRegression()),
]


@pytest.mark.parametrize(("kind", "estimator"), CASES)
def test_it_is_a_loop_over_tasks(kind, estimator):
    tasks = make_problem(kind).tasks
    shuffled = np.random.RandomState(0).permutation(tasks.n_rows)
    local = Local(estimator).fit(tasks)
    found = np.empty_like(tasks.y)
    found[shuffled] = local.predict(tasks.X[shuffled], tasks.groups[shuffled])
    final, scaler = estimator, None
    if isinstance(estimator, Pipeline):  # the steps before the last see the rows of all tasks
        scaler, final = StandardScaler().fit(tasks.X), estimator[-1]
    for i, (X, y) in enumerate(tasks):
        rows = slice(tasks.offsets[i], tasks.offsets[i + 1])
        X = X if scaler is None else scaler.transform(X)
        model = clone(final).fit(X, y)
        np.testing.assert_array_equal(found[rows], model.predict(X))
        if is_classifier(estimator):
            proba = local.predict_proba(X, tasks.groups[rows])
            columns = np.searchsorted(local.classes_, model.classes_)
            np.testing.assert_array_equal(proba[:, columns], model.predict_proba(X))
            np.testing.assert_allclose(proba.sum(axis=1), 1)


def test_rows_of_one_class_are_predicted_to_be_of_it():
    X, y, groups = make_problem("binary").rows
    local = Local(LogisticRegression()).fit(X, y, groups).fit_adapt(X[:3], ["yes"] * 3)
    np.testing.assert_array_equal(local.predict_proba(X), np.tile([0.0, 1.0], (len(X), 1)))


def test_too_few_rows_get_the_training_mean():
    X, y, groups = make_problem("regression").rows
    local = Local(KNeighborsRegressor(n_neighbors=5)).fit(X, y, groups)
    np.testing.assert_allclose(local.fit_adapt(X[:4], y[:4]).predict(X), y.mean())
    found = local.fit_adapt(X[:5], y[:5]).predict(X)
    np.testing.assert_allclose(found, y[:5].mean())


def test_what_is_wrong_with_few_rows_is_no_matter_of_their_number():
    X, y, groups = make_problem("regression").rows
    with pytest.raises(ValueError, match="NaN"):
        Local(Ridge()).fit(X, y, groups).fit_adapt(np.full((2, 3), np.nan), y[:2])
    local = Local(Ridge(alpha=-1.0), adapt_training_tasks=False).fit(X, y, groups)
    with pytest.raises(ValueError, match="'alpha'"):
        local.fit_adapt(X[:2], y[:2])


def test_classes_of_their_own():
    problem = make_problem("own labels")
    tasks, (X, y) = problem.tasks, problem.new
    local = Local(LogisticRegression(), adapt_training_tasks=False).fit(tasks)
    with pytest.raises(ValueError, match="the prior knows no classes: each task has its own"):
        local.predict(X)
    local.fit_adapt(tasks[:2]).fit_adapt(X, y)
    assert list(local.classes_) == list(np.unique(y))
    assert local.predict_proba(X).shape == (len(X), len(np.unique(y)))
    of_two = np.unique(tasks[:2].y)
    assert local.predict_proba(X, np.full(len(X), "t00")).shape == (len(X), len(of_two))
    with pytest.raises(ValueError, match="task 't05' was never learned"):
        local.predict(X, np.full(len(X), "t05"))
