"""What a fitted MetaLearner predicts, for whom, and how it is scored."""

import pickle

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import is_classifier
from sklearn.exceptions import NotFittedError
from sklearn.metrics import accuracy_score, r2_score
from sklearn.neural_network import MLPRegressor

import sklearn_meta
from sklearn_meta import MetaLearner, TaskCollection


def numbers(model, X, *groups):
    """Predictions as numbers: of a classifier, class probabilities."""
    method = model.predict_proba if is_classifier(model) else model.predict
    return method(X, *groups)


def test_known_tasks_are_served_and_unknown_ones_get_the_prior(shared_problem, algorithm):
    meta = shared_problem.meta(algorithm).fit(shared_problem.tasks)
    before = pickle.dumps(meta)
    parts = {
        "t04": (shared_problem.tasks[4], meta.adapt(*shared_problem.tasks[4])),
        "nobody": (shared_problem.new, meta.estimator_),
        "t01": (shared_problem.tasks[1], meta.adapt(*shared_problem.tasks[1])),
    }
    X = np.concatenate([X for (X, _), _ in parts.values()])
    groups = np.concatenate([[name] * len(X) for name, ((X, _), _) in parts.items()])
    order = np.random.RandomState(0).permutation(len(X))
    predicted = numbers(meta, X[order], groups[order])
    for name, ((X, _), expert) in parts.items():
        rows = groups[order] == name
        expected = numbers(expert, X)[np.argsort(np.argsort(order[rows]))]
        assert_allclose(predicted[rows], expected, rtol=1e-9, atol=1e-12)
    again = pickle.loads(before)
    assert_array_equal(again.predict(X), meta.predict(X))


def test_rows_alone_are_predicted_as_among_others(problem, algorithm):
    meta = problem.meta(algorithm).fit(problem.tasks)
    X, _, groups = problem.rows
    together = meta.predict(X, groups)
    for i in range(0, len(X), 7):
        alone = meta.predict(X[i : i + 1], groups[i : i + 1])
        if is_classifier(meta):
            assert_array_equal(alone, together[i : i + 1])
        else:
            assert_allclose(alone, together[i : i + 1], rtol=1e-9)


def test_unknown_tasks_can_be_an_error_that_names_them(regression, algorithm):
    meta = regression.meta(algorithm, handle_unknown="error").fit(regression.tasks)
    X, y = regression.new
    with pytest.raises(ValueError, match=r"task 'nobody' was never adapted"):
        meta.predict(X[:2], ["t01", "nobody"])
    with pytest.raises(ValueError, match="rows name no task"):
        meta.predict(X)
    assert len(meta.fit_adapt(X, y).predict(X)) == len(X)


def test_where_tasks_have_their_own_classes_the_prior_knows_none(own_labels, algorithm):
    meta = own_labels.meta(algorithm).fit(own_labels.tasks)
    X, _ = own_labels.new
    for method in (meta.predict, meta.predict_proba):
        with pytest.raises(ValueError, match=r"task 'nobody'.*classes"):
            method(X, ["nobody"] * len(X))
        with pytest.raises(ValueError, match=r"no task.*classes"):
            method(X)


DAYS = np.datetime64("2020-01-01") + np.arange(3)
SAME_IDS = {
    "numpy ints, then Python's": ([7, 8, 9], lambda ids: [int(i) for i in ids]),
    "small ints, then large": (np.array([7, 8, 9], np.uint8), lambda ids: ids.astype(np.int64)),
    "floats, then ints": ([7.0, 8.0, 9.0], lambda ids: ids.astype(int)),
    "strings, then objects": (["a", "b", "c"], lambda ids: ids.astype(object)),
    "categories, then strings": (pd.Categorical(["a", "b", "c"]), np.asarray),
    "pandas strings, then numpy's": (pd.array(["a", "b", "c"], "string"), lambda i: i.astype(str)),
    "nullable ints, then ints": (pd.array([7, 8, 9], "Int64"), lambda ids: ids.astype(int)),
    "days, then nanoseconds": (DAYS, lambda ids: ids.astype("M8[ns]")),
    "nanoseconds, then microseconds": (
        DAYS.astype("M8[ns]"),
        lambda ids: ids.astype("M8[us]"),
    ),
    "timestamps, then a series": (DAYS.astype("M8[us]"), pd.Series),
    "tuples": (pd.MultiIndex.from_tuples([("x", 1), ("x", 2), ("y", 1)]), lambda ids: ids),
    "booleans": ([False, True, True], lambda ids: ids.astype(object)),
}


@pytest.mark.parametrize("kind", SAME_IDS)
def test_ids_are_found_whatever_their_type(regression, kind):
    ids, later = SAME_IDS[kind]
    X, y, groups = regression.rows
    place = np.unique(groups, return_inverse=True)[1] % 3
    meta = regression.meta(handle_unknown="error").fit(X, y, ids[place] if hasattr(ids, "take") else np.array(ids)[place])
    same = later(np.asarray(ids)[place])
    by_place = regression.meta().fit(X, y, np.array([0, 1, 1])[place] if kind == "booleans" else place)
    expected = by_place.predict(X, by_place.tasks_[0] if 0 else (np.array([0, 1, 1])[place] if kind == "booleans" else place))
    assert_array_equal(meta.predict(X, same), expected)
    n_tasks = len(meta.tasks_)
    assert len(meta.fit_adapt(X, y, same).tasks_) == n_tasks


def test_a_number_is_not_its_string(regression):
    X, y, groups = regression.rows
    place = np.unique(groups, return_inverse=True)[1]
    meta = regression.meta(handle_unknown="error").fit(X, y, place)
    with pytest.raises(ValueError, match="task '3' was never adapted"):
        meta.predict(X[:1], ["3"])
    meta.fit_adapt(X[:5], y[:5], ["3"] * 5)
    assert list(meta.tasks_) == [*range(12), "3"]
    assert_allclose(meta.predict(X[:3], ["3"] * 3), meta.adapt(X[:5], y[:5]).predict(X[:3]))


@pytest.mark.parametrize(
    "labels",
    [["no", "yes"], [False, True], [-1, 1], [0.0, 2.0], np.array(["no", "yes"], object)],
)
def test_labels_come_back_as_they_were(regression, labels):
    X, y, groups = regression.rows
    labels = np.asarray(labels)
    target = labels[(y > 10).astype(int)]
    meta = MetaLearner(sklearn_classifier(), max_iter=20, random_state=0).fit(X, target, groups)
    predicted = meta.predict(X, groups)
    assert predicted.dtype == meta.classes_.dtype == labels.dtype
    assert_array_equal(np.unique(predicted), labels)
    adapted = meta.adapt(X[:9], target[:9])
    assert adapted.predict(X).dtype == labels.dtype
