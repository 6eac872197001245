"""Adaptation as an estimator, and of whatever ends in a MetaLearner."""

import copy
import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import BaseEstimator, ClassifierMixin, clone, is_classifier, is_regressor
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import BaggingRegressor
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV, KFold, StratifiedKFold, cross_val_score
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_meta import FewShotLearner, adapt
from sklearn_meta.algorithms import MAML


def numbers(model, X):
    return model.predict_proba(X) if is_classifier(model) else model.predict(X)


def test_its_fit_is_adaptation(problem, algorithm):
    meta = problem.meta(algorithm).fit(problem.tasks)
    before = pickle.dumps(meta)
    X, y = problem.new
    learner = clone(meta.learner_).fit(X, y)
    assert isinstance(learner, FewShotLearner)
    assert pickle.dumps(meta) == before
    adapted = meta.adapt(X, y)
    assert_allclose(numbers(learner, X), numbers(adapted, X), rtol=1e-10, atol=1e-12)
    assert learner.score(X, y) == pytest.approx(adapted.score(X, y), rel=1e-10)
    assert learner.n_features_in_ == 3
    again = pickle.loads(pickle.dumps(learner))
    assert_array_equal(numbers(again, X), numbers(learner, X))


def test_every_fit_starts_from_the_meta_learned(regression, algorithm):
    learner = regression.meta(algorithm).fit(regression.tasks).learner_
    X, y = regression.new
    first = learner.fit(X, y).predict(X)
    learner.fit(X[:2], -y[:2])
    assert_array_equal(learner.fit(X, y).predict(X), first)


def test_kind_and_methods_are_those_of_what_it_holds(regression, multiclass):
    X, y = multiclass.new
    regressor = regression.meta().fit(regression.tasks).learner_
    classifier = multiclass.meta().fit(multiclass.tasks).learner_
    assert is_regressor(regressor)
    assert is_classifier(classifier)
    assert not hasattr(regressor, "predict_proba")
    assert_array_equal(classifier.fit(X, y).classes_, [0, 1, 2])
    assert_array_equal(classifier.predict_log_proba(X), np.log(classifier.predict_proba(X)))


def test_std(regression):
    meta = regression.meta().fit(regression.tasks)
    X, y = regression.new
    mean, std = meta.learner_.fit(X[:4], y[:4]).predict(X, return_std=True)
    expected = meta.fit_adapt(X[:4], y[:4]).predict(X, return_std=True)
    assert_array_equal(mean, expected[0])
    assert_array_equal(std, expected[1])


def test_before_fit_it_cannot_predict(regression):
    learner = regression.meta().fit(regression.tasks).learner_
    with pytest.raises(NotFittedError, match="FewShotLearner instance is not fitted"):
        learner.predict(regression.new[0])
    with pytest.raises(NotFittedError, match="MetaLearner instance is not fitted"):
        regression.meta().learner_  # noqa: B018


def test_it_says_what_it_must_hold(regression):
    X, y = regression.new
    with pytest.raises((TypeError, NotFittedError), match="MetaLearner"):
        FewShotLearner(MLPRegressor()).fit(X, y)
    meta = regression.meta().fit(regression.tasks)
    expected = FewShotLearner(FrozenEstimator(meta)).fit(X, y).predict(X)
    assert_array_equal(FewShotLearner(meta).fit(X, y).predict(X), expected)


def test_cross_validation_within_one_task(regression, algorithm):
    meta = regression.meta(algorithm).fit(regression.tasks)
    X, y = regression.tasks[5]
    cv = KFold(3, shuffle=True, random_state=0)
    expected = [meta.adapt(X[a], y[a]).score(X[b], y[b]) for a, b in cv.split(X)]
    assert_allclose(cross_val_score(meta.learner_, X, y, cv=cv), expected)


def test_bagging_within_one_task(regression, algorithm):
    meta = regression.meta(algorithm).fit(regression.tasks)
    X, y = regression.new
    bag = BaggingRegressor(meta.learner_, n_estimators=4, random_state=0, n_jobs=2).fit(X, y)
    members = [meta.adapt(X[rows], y[rows]).predict(X) for rows in bag.estimators_samples_]
    assert_allclose(bag.predict(X), np.mean(members, axis=0))


class ByHand(ClassifierMixin, BaseEstimator):
    """Adaptation for comparison: a fitted MLPClassifier at each fit."""

    def __init__(self, frozen):
        self.frozen = frozen

    def fit(self, X, y):
        self.adapted_ = self.frozen.estimator.adapt(X, y)
        self.classes_ = self.adapted_.classes_
        return self

    def predict_proba(self, X):
        return self.adapted_.predict_proba(X)


def test_calibration_within_one_task(multiclass, algorithm):
    meta = multiclass.meta(algorithm).fit(multiclass.tasks)
    X, y, _ = multiclass.rows
    X, y = X[:30], y[:30]
    cv = StratifiedKFold(2)
    calibrated = CalibratedClassifierCV(meta.learner_, cv=cv).fit(X, y)
    by_hand = CalibratedClassifierCV(ByHand(FrozenEstimator(meta)), cv=cv).fit(X, y)
    assert_allclose(calibrated.predict_proba(X), by_hand.predict_proba(X), rtol=1e-6)


def test_adapt_leaves_a_meta_learner_as_it_was(regression, algorithm):
    meta = regression.meta(algorithm).fit(regression.tasks)
    X, y = regression.new
    before = pickle.dumps(meta)
    adapted = adapt(meta, X, y)
    assert pickle.dumps(meta) == before
    assert_array_equal(adapted.predict(X), copy.copy(meta).fit_adapt(X, y).predict(X))
    assert_allclose(meta.predict(X), meta.estimator_.predict(X))
    several = adapt(meta, X, y, groups=["u"] * 4 + ["v"] * (len(X) - 4))
    assert {"u", "v"} == set(several.tasks_) - set(meta.tasks_)


def test_adapt_a_pipeline(regression, algorithm):
    X, y, groups = regression.rows
    pipeline = make_pipeline(StandardScaler(), regression.meta(algorithm))
    pipeline.fit(X, y, metalearner__groups=groups)
    before = pickle.dumps(pipeline)
    new_X, new_y = regression.new
    adapted = adapt(pipeline, new_X[:5], new_y[:5])
    assert pickle.dumps(pipeline) == before
    scaler, meta = pipeline[0], pipeline[-1]
    expected = meta.adapt(scaler.transform(new_X[:5]), new_y[:5]).predict(scaler.transform(new_X))
    assert_allclose(adapted.predict(new_X), expected)
    prior = meta.estimator_.predict(scaler.transform(new_X))
    assert_allclose(pipeline.predict(new_X), prior)


@pytest.mark.parametrize("piped", [False, True])
def test_adapt_a_search(regression, piped):
    X, y, groups = regression.rows
    X = np.column_stack([X, np.unique(groups, return_inverse=True)[1]])
    meta = regression.meta(MAML(), task_feature=-1)
    prefix = "metalearner__" if piped else ""
    model = make_pipeline("passthrough", meta) if piped else meta
    search = GridSearchCV(model, {f"{prefix}algorithm__inner_lr": [0.01, 0.1]}, cv=2).fit(X, y)
    new_X = np.column_stack([regression.new[0], np.full(len(regression.new[0]), 99)])
    before = pickle.dumps(search)
    adapted = adapt(search, new_X[:5], regression.new[1][:5])
    assert pickle.dumps(search) == before
    best = search.best_estimator_[-1] if piped else search.best_estimator_
    expected = best.adapt(new_X[:5], regression.new[1][:5]).predict(new_X[:, :3])
    assert_allclose(adapted.predict(new_X), expected)


@pytest.mark.parametrize(
    "other",
    [
        LinearRegression(),
        make_pipeline(StandardScaler(), LinearRegression()),
        TransformedTargetRegressor(LinearRegression()),
    ],
)
def test_adapt_takes_nothing_else(regression, other):
    X, y = regression.new
    with pytest.raises(TypeError, match=r"must be a MetaLearner, .*got .*Regress"):
        adapt(other.fit(X, y), X, y)
    with pytest.raises(NotFittedError, match="MetaLearner"):
        adapt(regression.meta(), X, y)
