from itertools import pairwise

import numpy as np
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import get_scorer

from sklearn_meta.model_selection._answers import Answers
from sklearn_meta.model_selection._scores import (
    ROW_SCORES,
    MeanScore,
    R2Score,
    judge,
    resolve_scoring,
)

OFFSETS = np.array([0, 30, 55, 90])


def fitted(name):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(90, 2))
    if name.startswith("neg_mean"):
        y = X[:, 0] + rng.normal(size=90)
        return LinearRegression().fit(X, y), X, y
    y = np.array(["a", "b", "c"])[np.digitize(X[:, 0] + rng.normal(size=90), [-0.5, 0.5])]
    return LogisticRegression().fit(X, y), X, y


@pytest.mark.parametrize("name", ROW_SCORES)
def test_scores_of_rows_are_scikit_learns(name):
    estimator, X, y = fitted(name)
    answers, scorer = Answers([(estimator, X, {})]), get_scorer(name)
    at_once = judge(name, answers, X, y, OFFSETS)
    each = [scorer(estimator, X[a:b], y[a:b]) for a, b in pairwise(OFFSETS)]
    np.testing.assert_allclose(at_once[:, 0], each)
    np.testing.assert_allclose(judge(scorer, answers, X, y, OFFSETS)[:, 0], each)


def test_a_class_that_was_never_seen_has_the_least_likelihood():
    estimator = LogisticRegression().fit([[0.0], [1.0]], ["a", "c"])
    answers = Answers([(estimator, np.zeros((2, 1)), {})])
    found = judge(
        "neg_log_loss", answers, np.zeros((2, 1)), np.array(["b", "z"]), np.array([0, 1, 2])
    )
    np.testing.assert_allclose(found, np.log(np.finfo(float).eps))


def test_each_method_is_asked_once_of_all_rows():
    class Counting(DummyClassifier):
        asked = 0

        def predict(self, X):
            Counting.asked += 1
            return super().predict(X)

    X, y = np.zeros((6, 1)), np.array([0, 1, 1, 1, 0, 1])
    answers = Answers([(Counting().fit(X, y), X, {})])
    for name in ("accuracy", get_scorer("accuracy"), get_scorer("f1")):
        judge(name, answers, X, y, np.array([0, 2, 4, 6]))
    assert Counting.asked == 1


def test_a_scorer_that_asks_about_other_rows_is_told_so():
    estimator, X, y = fitted("accuracy")

    def nosy(estimator, X, y):
        return estimator.predict(X[:1])

    with pytest.raises(ValueError, match=r"all query rows of a task at once: .* 30, .* about 1"):
        judge(nosy, Answers([(estimator, X, {})]), X, y, OFFSETS)


def test_a_scorer_of_probabilities_needs_them():
    X = np.zeros((4, 1))
    answers = Answers([(LinearRegression().fit(X, X[:, 0]), X, {})])
    with pytest.raises(AttributeError, match="predict_proba"):
        judge(get_scorer("neg_log_loss"), answers, X, X[:, 0], np.array([0, 4]))


def test_missing_scores_are_filled():
    served = np.array([[True, True, False]])
    values = np.array([[[1.0, np.nan, np.nan]]])
    np.testing.assert_array_equal(
        MeanScore(values).filled(served, -1.0).values, [[[1, -1, np.nan]]]
    )
    assert np.isnan(MeanScore(values).filled(served, np.nan).values[0, 0, 1])
    moments = np.array([[2.0, 2, 2], [1, -1, 0], [3, 3, 3]])[..., None]
    filled = R2Score(np.full((1, 1, 3, 1), np.nan), moments).filled(np.ones((1, 3), bool), 0.25)
    everywhere = np.ones(3, bool)
    np.testing.assert_allclose(filled.over(np.ones((1, 3)), 0, 0, everywhere), 0.25)


def test_what_is_no_name_is_a_scorer():
    scorers = resolve_scoring({"a": "r2", "b": "explained_variance"}, None)
    assert scorers["a"] == "r2"
    assert callable(scorers["b"])
    assert list(resolve_scoring(None, LinearRegression())) == ["r2"]
    assert list(resolve_scoring(None, LogisticRegression())) == ["accuracy"]
