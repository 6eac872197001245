"""Adaptation as an estimator, and the tools of scikit-learn that take one."""

import pickle

import numpy as np
import pytest
import sklearn
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import BaseEstimator, ClassifierMixin, clone, is_classifier, is_regressor
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import (
    AdaBoostClassifier,
    AdaBoostRegressor,
    BaggingClassifier,
    BaggingRegressor,
    StackingClassifier,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import (
    KFold,
    StratifiedKFold,
    cross_val_predict,
    cross_val_score,
)
from sklearn.neural_network import MLPClassifier, MLPRegressor

from sklearn_meta import FewShotLearner, MetaLearner


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


def some_of_three(labels, seen, n_rows=60):
    """What learns three shared classes, and a new task with some of them only."""
    rng = np.random.RandomState(0)
    X = rng.normal(size=(600, 3))
    labels, codes = np.asarray(labels), X.argmax(axis=1)
    mlp = MLPClassifier(hidden_layer_sizes=(8,))
    meta = MetaLearner(mlp, max_iter=100, n_members=1, random_state=0)
    meta.fit(X[:400], labels[codes[:400]], np.arange(400) // 20)
    rows = 400 + np.flatnonzero(np.isin(codes[400:], seen))[:n_rows]
    return meta, X[rows], labels[codes[rows]]


def test_classes_are_those_that_it_has_seen_or_all_shared():
    meta, X, y = some_of_three(["a", "b", "c"], [0, 2])
    seen, shared = meta.learner_.fit(X, y), meta.learner_.set_params(classes="shared").fit(X, y)
    assert_array_equal(seen.classes_, ["a", "c"])
    assert_array_equal(shared.classes_, ["a", "b", "c"])
    adapted = meta.adapt(X, y)
    expected = adapted.predict_proba(X)
    assert_allclose(shared.predict_proba(X), expected, rtol=1e-10)
    expected = expected[:, [0, 2]] / expected[:, [0, 2]].sum(axis=1, keepdims=True)
    assert_allclose(seen.predict_proba(X), expected, rtol=1e-10)
    assert_array_equal(seen.predict(X), seen.classes_[expected.argmax(axis=1)])
    assert shared.score(X, y) == adapted.score(X, y)


@pytest.mark.parametrize(("labels", "seen"), [([0, 1], 1), ([0, 1, 2], 2)])
def test_a_single_class_that_it_has_seen_is_certain(labels, seen):
    rng = np.random.RandomState(0)
    X = rng.normal(size=(60, len(labels)))
    meta = MetaLearner(MLPClassifier(hidden_layer_sizes=(4,)), max_iter=3, random_state=0)
    meta.fit(X, X.argmax(axis=1), np.arange(60) // 10)
    learner = meta.learner_.fit(X[:4], np.full(4, seen))
    assert_array_equal(learner.classes_, [seen])
    assert_array_equal(learner.predict_proba(X), np.ones((60, 1)))
    assert_array_equal(learner.predict(X), np.full(60, seen))
    assert_array_equal(learner.predict_log_proba(X), np.zeros((60, 1)))


def test_classes_seen_with_weight_0_only_are_not_seen():
    meta, X, y = some_of_three([0, 1, 2], [0, 1, 2])
    learner = meta.learner_.fit(X, y, sample_weight=(y != 1).astype(float))
    assert_array_equal(learner.classes_, [0, 2])


@pytest.mark.parametrize("labels", [[0, 1, 2], [3, 5, 7], ["a", "b", "c"]], ids=str)
@pytest.mark.parametrize("seen", [[0, 1, 2], [1, 2], [0, 2], [0, 1]], ids=str)
def test_tools_that_number_classes(labels, seen):
    """They are told the labels, and then adapt as if they passed them on."""
    meta, X, y = some_of_three(labels, seen)
    plain = meta.learner_.fit(X, y)
    learner = meta.learner_.set_params(classes=np.unique(y))
    expected = plain.predict(X)

    voting = VotingClassifier([("one", learner), ("two", learner)]).fit(X, y)
    assert_array_equal(voting.predict(X), expected)
    voting.set_params(voting="soft").fit(X, y)
    assert_allclose(voting.predict_proba(X), plain.predict_proba(X))

    bag = BaggingClassifier(learner, 3, bootstrap=False, random_state=0).fit(X, y)
    assert_allclose(bag.predict_proba(X), plain.predict_proba(X))
    assert_array_equal(bag.predict(X), expected)

    cv = StratifiedKFold(3)
    proba = cross_val_predict(learner, X, y, cv=cv, method="predict_proba")
    for train, test in cv.split(X, y):
        by_hand = meta.learner_.fit(X[train], y[train]).predict_proba(X[test])
        assert_allclose(proba[test], by_hand)

    stacked = StackingClassifier([("learner", learner)], LogisticRegression(), cv=cv).fit(X, y)
    inputs = proba if len(seen) > 2 else proba[:, 1:]
    final = LogisticRegression().fit(inputs, np.unique(y, return_inverse=True)[1])
    assert_allclose(stacked.final_estimator_.coef_, final.coef_)
    inputs = plain.predict_proba(X) if len(seen) > 2 else plain.predict_proba(X)[:, 1:]
    assert_array_equal(stacked.predict(X), np.unique(y)[final.predict(inputs)])


@pytest.mark.parametrize("labels", [[0, 1, 2], [3, 5, 7], ["a", "b", "c"]], ids=str)
@pytest.mark.parametrize("seen", [[0, 1, 2], [1, 2]], ids=str)
def test_tools_that_do_not(labels, seen):
    meta, X, y = some_of_three(labels, seen)
    calibrated = CalibratedClassifierCV(meta.learner_, cv=2).fit(X, y)
    by_hand = CalibratedClassifierCV(Restricted(FrozenEstimator(meta)), cv=2).fit(X, y)
    assert_allclose(calibrated.predict_proba(X), by_hand.predict_proba(X), rtol=1e-6)
    cv = StratifiedKFold(3)
    expected = [
        np.mean(meta.learner_.fit(X[train], y[train]).predict(X[test]) == y[test])
        for train, test in cv.split(X, y)
    ]
    assert_array_equal(cross_val_score(meta.learner_, X, y, cv=cv), expected)


def test_boosting_a_classifier_passes_weights_that_sum_to_1():
    meta, X, y = some_of_three([0, 1, 2], [0, 1, 2])
    boosted = AdaBoostClassifier(meta.learner_, n_estimators=2).fit(X, y)
    expected = meta.learner_.fit(X, y, np.full(len(y), 1 / len(y))).predict_proba(X)
    assert_allclose(boosted.estimators_[0].predict_proba(X), expected)


class Restricted(ClassifierMixin, BaseEstimator):
    """Adaptation for comparison: the classes seen only, their probabilities renormalised."""

    def __init__(self, frozen):
        self.frozen = frozen

    def fit(self, X, y):
        self.adapted_, self.classes_ = self.frozen.estimator.adapt(X, y), np.unique(y)
        return self

    def predict_proba(self, X):
        proba = self.adapted_.predict_proba(X)[:, np.isin(self.adapted_.classes_, self.classes_)]
        return proba / proba.sum(axis=1, keepdims=True)


def test_bags_that_miss_a_class():
    meta, X, y = some_of_three([0, 1, 2], [0, 1, 2], n_rows=6)
    learner = meta.learner_.set_params(classes=[0, 1, 2])
    bag = BaggingClassifier(learner, 10, max_samples=2, random_state=0).fit(X, y)
    assert {len(member.classes_) for member in bag.estimators_} >= {1, 2}
    expected = np.zeros((len(X), 3))
    for member, rows in zip(bag.estimators_, bag.estimators_samples_, strict=True):
        assert_array_equal(member.classes_, np.unique(y[rows]))
        expected[:, member.classes_] += meta.learner_.fit(X[rows], y[rows]).predict_proba(X) / 10
    assert_allclose(bag.predict_proba(X), expected)


def test_classes_of_its_own_may_be_numbered(own_labels):
    meta = own_labels.meta().fit(own_labels.tasks)
    X, y = own_labels.new
    voting = VotingClassifier([("one", meta.learner_)]).fit(X, y)
    assert_array_equal(voting.predict(X), meta.learner_.fit(X, y).predict(X))
    assert_array_equal(meta.learner_.fit(X, y).classes_, np.unique(y))


@pytest.mark.parametrize(
    ("labels", "tool"),
    [
        (["a", "b", "c"], VotingClassifier([("one", None)])),
        ([3, 5, 7], BaggingClassifier()),
        ([0, 2, 5], BaggingClassifier()),
    ],
    ids=str,
)
def test_numbered_classes_that_are_no_labels_are_named(labels, tool):
    meta, X, y = some_of_three(labels, [0, 1, 2])
    name = "one" if isinstance(tool, VotingClassifier) else "estimator"
    tool.set_params(**{name: meta.learner_})
    with pytest.raises(ValueError, match=r"no training task had.*number the classes.*set_params"):
        tool.fit(X, y)


CLASSES = {
    "no such word": ("all", ValueError, "classes='all'; expected 'seen', 'shared' or an array"),
    "not sorted": ([2, 0], ValueError, r"classes must be sorted, each once, got \[2, 0\]"),
    "labels, not numbers": ([1, 2], ValueError, r"y has 2; .*their numbers, 0 to 1"),
}


@pytest.mark.parametrize("case", CLASSES)
def test_the_classes_parameter(case):
    classes, error, match = CLASSES[case]
    meta, X, y = some_of_three([0, 1, 2], [1, 2])
    with pytest.raises(error, match=match):
        meta.learner_.set_params(classes=classes).fit(X, y)


def test_a_regressor_has_no_classes(regression):
    learner = regression.meta().fit(regression.tasks).learner_
    assert not hasattr(learner.fit(*regression.new), "classes_")
    with pytest.raises(ValueError, match=r"classes is for classifiers, got \[1, 2\]"):
        learner.set_params(classes=[1, 2]).fit(*regression.new)


def test_voting_and_boosting_of_regressors(regression, regressing):
    meta = regression.meta(regressing).fit(regression.tasks)
    X, y = regression.new
    weight = np.random.RandomState(0).randint(1, 4, len(y))
    repeated = np.repeat(X, weight, axis=0), np.repeat(y, weight)
    voting = VotingRegressor([("meta", meta.learner_), ("line", LinearRegression())])
    found = voting.fit(X, y, sample_weight=weight).predict(X)
    expected = [meta.adapt(*repeated).predict(X), LinearRegression().fit(*repeated).predict(X)]
    assert_allclose(found, np.mean(expected, axis=0), rtol=1e-7)
    boosted = AdaBoostRegressor(meta.learner_, n_estimators=3, random_state=0).fit(X, y)
    assert np.isfinite(boosted.predict(X)).all()
    assert boosted.score(X, y) >= min(member.score(X, y) for member in boosted.estimators_)


def test_weights_are_routed_without_being_asked_for(regression):
    meta = regression.meta().fit(regression.tasks)
    X, y = regression.new
    weight = np.random.RandomState(0).uniform(0, 2, len(y))
    expected = meta.learner_.fit(X, y, weight).predict(X)
    with sklearn.config_context(enable_metadata_routing=True):
        voting = VotingRegressor([("meta", meta.learner_)]).fit(X, y, sample_weight=weight)
        assert_array_equal(voting.predict(X), expected)
        scores = cross_val_score(
            meta.learner_, X, y, cv=2, params={"sample_weight": weight}, error_score="raise"
        )
    for score, (train, test) in zip(scores, KFold(2).split(X), strict=True):
        fitted = meta.learner_.fit(X[train], y[train], weight[train])
        assert score == fitted.score(X[test], y[test], sample_weight=weight[test])


def test_no_rows_and_no_weight_are_named(regression):
    learner = regression.meta().fit(regression.tasks).learner_
    X, y = regression.new
    with pytest.raises(ValueError, match=r"0 sample\(s\)"):
        learner.fit(X[:0], y[:0])
    with pytest.raises(ValueError, match="weights must contain at least one non-zero"):
        learner.fit(X, y, sample_weight=0 * y)


def test_task_ids_are_ignored_within_one_task(task_frame):
    X, y = task_frame.drop(columns="y"), task_frame["y"]
    mlp = MLPRegressor(hidden_layer_sizes=(4,))
    meta = MetaLearner(mlp, task_feature="store", max_iter=3, random_state=0).fit(X, y)
    one, bare = X.assign(store="new")[:6], X[["a", "b", "c"]]
    learners = [meta.learner_.fit(rows, y[:6]) for rows in (one, bare[:6])]
    expected = meta.adapt(one, y[:6]).predict(bare)
    for learner in learners:
        for rows in (X, bare):
            assert_allclose(learner.predict(rows), expected)
    with pytest.raises(ValueError, match=r"learns one task, X has rows of \['t00', 't01'"):
        meta.learner_.fit(X, y)
