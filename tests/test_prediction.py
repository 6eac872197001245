"""What a fitted MetaLearner predicts, for whom, and how it is scored."""

import pickle

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import is_classifier
from sklearn.exceptions import NotFittedError
from sklearn.metrics import accuracy_score, r2_score
from sklearn.neural_network import MLPClassifier, MLPRegressor

import sklearn_meta
from sklearn_meta import MetaLearner, TaskCollection
from sklearn_meta._evaluation import evaluate


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
    "numpy ints, then Python's": (np.array([7, 8, 9]), lambda ids: ids.tolist()),
    "small ints, then large": (np.array([7, 8, 9], np.uint8), lambda ids: ids.astype(np.int64)),
    "floats, then ints": (np.array([7.0, 8.0, 9.0]), lambda ids: ids.astype(int)),
    "strings, then objects": (np.array(["a", "b", "c"]), lambda ids: ids.astype(object)),
    "categories, then strings": (pd.Categorical(["a", "b", "c"]), np.asarray),
    "pandas strings, then lists": (pd.array(["a", "b", "c"], dtype="string"), list),
    "nullable ints, then ints": (pd.array([7, 8, 9], dtype="Int64"), lambda ids: ids.astype(int)),
    "days, then nanoseconds": (DAYS, lambda ids: ids.astype("M8[ns]")),
    "nanoseconds, then microseconds": (DAYS.astype("M8[ns]"), lambda ids: ids.astype("M8[us]")),
    "datetimes, then a series": (DAYS.astype("M8[us]"), pd.Series),
    "tuples": (pd.MultiIndex.from_tuples([("x", 1), ("x", 2), ("y", 1)]), lambda ids: ids),
}


@pytest.mark.parametrize("kind", SAME_IDS)
def test_ids_are_found_whatever_their_type(regression, kind):
    ids, later = SAME_IDS[kind]
    X, y, groups = regression.rows
    place = np.unique(groups, return_inverse=True)[1] % 3
    expected = regression.meta().fit(X, y, place).predict(X, place)
    meta = regression.meta(handle_unknown="error").fit(X, y, ids[place])
    assert_array_equal(meta.predict(X, later(ids[place])), expected)
    assert len(meta.fit_adapt(X, y, later(ids[place])).tasks_) == 3


def test_a_number_is_not_its_string(regression):
    X, y, groups = regression.rows
    place = np.unique(groups, return_inverse=True)[1]
    meta = regression.meta(handle_unknown="error").fit(X, y, place)
    match = "groups are text, as '3', but the known tasks are named by numbers, as 0"
    with pytest.raises(ValueError, match=match):
        meta.predict(X[:1], ["3"])
    meta.fit_adapt(X[:5], y[:5], ["3"] * 5)
    assert list(meta.tasks_) == [*range(12), "3"]
    assert_allclose(meta.predict(X, ["3"] * len(X)), meta.adapt(X[:5], y[:5]).predict(X))


@pytest.mark.parametrize(
    "labels",
    [["no", "yes"], [False, True], [-1, 1], [0.0, 2.0], np.array(["no", "yes"], object)],
)
def test_labels_come_back_as_they_were(labels):
    rng = np.random.RandomState(0)
    X, labels = rng.normal(size=(60, 2)), np.asarray(labels)
    y = labels[(X[:, 0] > 0).astype(int)]
    meta = MetaLearner(MLPClassifier(hidden_layer_sizes=()), max_iter=300, random_state=0)
    predicted = meta.fit(X, y, np.arange(60) // 10).predict(X, np.arange(60) // 10)
    assert predicted.dtype == meta.classes_.dtype == labels.dtype
    assert_array_equal(meta.classes_, labels)
    assert np.mean(predicted == y) > 0.8
    assert_array_equal(meta.adapt(X, y).classes_, labels)


def test_probabilities_belong_to_the_classes(multiclass, algorithm):
    meta = multiclass.meta(algorithm).fit(multiclass.tasks)
    X, _, groups = multiclass.rows
    proba = meta.predict_proba(X, groups)
    assert proba.shape == (len(X), 3)
    assert_allclose(proba.sum(axis=1), 1)
    assert_array_equal(meta.classes_[proba.argmax(axis=1)], meta.predict(X, groups))
    assert_array_equal(meta.predict_log_proba(X, groups), np.log(proba))


def test_each_task_has_the_columns_of_its_own_classes(own_labels, algorithm):
    meta = own_labels.meta(algorithm).fit(own_labels.tasks)
    X, y, groups = own_labels.rows
    classes = np.unique(y)
    assert_array_equal(meta.classes_, classes)
    proba = meta.predict_proba(X, groups)
    assert proba.shape == (len(X), len(classes))
    for name, (rows, target) in zip(own_labels.tasks.task_ids, own_labels.tasks, strict=True):
        alone = meta.adapt(rows, target)
        expected = np.zeros((len(rows), len(classes)))
        expected[:, np.isin(classes, alone.classes_)] = alone.predict_proba(rows)
        assert_allclose(proba[groups == name], expected, rtol=1e-9, atol=1e-12)
    X, y = own_labels.new
    meta.fit_adapt(X, y)
    assert_array_equal(meta.classes_, np.unique(y))
    assert meta.predict_proba(X).shape == (len(X), len(np.unique(y)))


@pytest.mark.parametrize("problem", ["regression", "multi-output", "poisson"], indirect=True)
def test_std_of_targets(problem):
    meta = problem.meta().fit(problem.tasks)
    X, y, groups = problem.rows
    mean, std = meta.predict(X, groups, return_std=True)
    assert_array_equal(mean, meta.predict(X, groups))
    assert std.shape == y.shape
    assert (std > 0).all()
    for name, (rows, target) in zip(problem.tasks.task_ids, problem.tasks, strict=True):
        alone = sklearn_meta.adapt(meta, rows, target).predict(rows, return_std=True)[1]
        assert_allclose(std[groups == name], alone, rtol=1e-9)
    assert_array_equal(
        meta.predict(X, ["nobody"] * len(X), return_std=True)[1],
        meta.predict(X, return_std=True)[1],
    )


def test_std_shrinks_as_rows_come_in(regression):
    meta = regression.meta().fit(regression.tasks)
    X, y = regression.new
    stds = [meta.predict(X, return_std=True)[1]]
    for n_rows in (1, 3, len(X)):
        stds.append(meta.fit_adapt(X[:n_rows], y[:n_rows]).predict(X, return_std=True)[1])
    assert (np.diff(stds, axis=0) <= 1e-12).all()
    assert (stds[-1] < stds[0]).all()


@pytest.mark.parametrize("problem", ["binary", "multiclass"], indirect=True)
def test_std_of_probabilities(problem):
    meta = problem.meta().fit(problem.tasks)
    X, _, groups = problem.rows
    proba, std = meta.predict_proba(X, groups, return_std=True)
    assert_array_equal(proba, meta.predict_proba(X, groups))
    assert std.shape == proba.shape
    assert (std > 0).all()
    if proba.shape[1] == 2:
        assert_allclose(std[:, 0], std[:, 1])
    unknown = meta.predict_proba(X, return_std=True)[1]
    assert std.mean() < unknown.mean()


@pytest.mark.parametrize(("scale", "shift"), [(1e9, 0), (1e-9, 0), (3, 500)])
def test_a_change_of_unit_of_y_changes_nothing_else(regression, algorithm, scale, shift):
    X, y, groups = regression.rows
    meta = regression.meta(algorithm)
    expected = scale * meta.fit(X, y, groups).predict(X, groups) + shift
    meta.fit(X, scale * y + shift, groups)
    assert_allclose(meta.predict(X, groups), expected, rtol=1e-6)


def test_float32_in_float32_out(problem, algorithm):
    X, y, groups = problem.rows
    X = X.astype(np.float32)
    meta = problem.meta(algorithm).fit(X, y, groups)
    adapted = meta.adapt(X[:6], y[:6]) if not problem.params else meta.adapt(*problem.new)
    # targets may lie far from 0, where single precision has no digits left for what differs
    of_targets = np.float32 if is_classifier(meta) else np.float64
    for mlp in (meta.estimator_, adapted):
        *hidden, head = (coef.dtype for coef in getattr(mlp, "coefs_", [np.empty(0, of_targets)]))
        assert set(hidden) <= {np.dtype("f4")}
        assert head == of_targets
    assert numbers(meta, X, groups).dtype == of_targets
    if algorithm == "bayesian_head":
        method = meta.predict_proba if is_classifier(meta) else meta.predict
        assert method(X, groups, return_std=True)[1].dtype == of_targets


def test_predictions_have_the_shape_of_y(shared_problem, algorithm):
    meta = shared_problem.meta(algorithm).fit(shared_problem.tasks)
    X, y = shared_problem.new
    for predicted in (meta.predict(X), meta.estimator_.predict(X), meta.adapt(X, y).predict(X)):
        assert predicted.shape == y.shape


def test_score_of_rows_is_that_of_predict(shared_problem, algorithm):
    meta = shared_problem.meta(algorithm).fit(shared_problem.tasks)
    X, y, groups = shared_problem.rows
    weight = np.random.RandomState(0).uniform(size=len(X))
    metric = accuracy_score if is_classifier(meta) else r2_score
    assert meta.score(X, y) == metric(y, meta.predict(X))
    expected = metric(y, meta.predict(X, groups), sample_weight=weight)
    assert meta.score(X, y, sample_weight=weight, groups=groups) == expected


def score_one_by_one(meta, tasks, masks):
    """The mean over tasks of the score that adaptation to the masked rows has on the others."""
    scores = []
    for (X, y), mask in zip(tasks, masks, strict=True):
        scores.append(meta.adapt(X[mask], y[mask]).score(X[~mask], y[~mask]))
    return np.mean(scores)


def test_score_of_tasks_adapts_to_their_marked_rows(problem, algorithm):
    meta = problem.meta(algorithm).fit(problem.tasks)
    X, y, groups = problem.rows
    is_support = np.ones(len(X), bool)
    is_support[problem.tasks.offsets[:-1]] = False  # the first rows and the last are query
    is_support[problem.tasks.offsets[1:] - 1] = False
    shared = problem.tasks.shared_labels
    tasks = TaskCollection.from_arrays(X, y, groups, is_support=is_support, shared_labels=shared)
    expected = score_one_by_one(meta, tasks, np.split(is_support, tasks.offsets[1:-1]))
    assert meta.score(tasks) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("n_shots", [3, (2, 4), [2, 4], "auto"], ids=str)
def test_score_of_tasks_adapts_to_their_first_half(regression, algorithm, n_shots):
    """Whatever the shots of training."""
    meta = regression.meta(algorithm, n_shots=n_shots, support_order="first").fit(regression.tasks)
    masks = [np.arange(len(y)) < len(y) // 2 for _, y in regression.tasks]
    expected = score_one_by_one(meta, regression.tasks, masks)
    assert meta.score(regression.tasks) == pytest.approx(expected, rel=1e-9)
    assert meta.score(list(regression.tasks)) == pytest.approx(expected, rel=1e-9)


def test_score_of_tasks_adapts_to_half_of_each_class(own_labels, algorithm):
    """One row at least."""
    meta = own_labels.meta(algorithm, n_shots=1, support_order="first").fit(own_labels.tasks)
    masks = [
        np.array(
            [np.sum(y[:i] == label) < max(1, np.sum(y == label) // 2) for i, label in enumerate(y)]
        )
        for _, y in own_labels.tasks
    ]
    expected = score_one_by_one(meta, own_labels.tasks, masks)
    assert meta.score(own_labels.tasks) == pytest.approx(expected, rel=1e-9)


def test_score_of_tasks_repeats(problem):
    meta = problem.meta().fit(problem.tasks)
    assert meta.score(problem.tasks) == meta.score(problem.tasks)


def test_tasks_of_very_different_sizes(regressing):
    rng = np.random.RandomState(0)
    groups = np.repeat(np.arange(300), [3000] + [2] * 299)
    X = rng.normal(size=(len(groups), 2))
    y = X[:, 0] * np.cos(groups)
    meta = MetaLearner(
        MLPRegressor(hidden_layer_sizes=(4,)), regressing, max_iter=3, random_state=0
    )
    predicted = meta.fit(X, y, groups).predict(X, groups)
    for task in (0, 1, 299):
        rows = groups == task
        alone = meta.adapt(X[rows], y[rows]).predict(X[rows])
        assert_allclose(predicted[rows], alone, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize(
    ("rows", "target"),
    [
        (lambda X: X, lambda y: np.full_like(y, 7)),
        (lambda X: np.full_like(X, 1), lambda y: y),  # far from 1, a fixed inner rate is too large
        (lambda X: np.repeat(X[:1], len(X), axis=0), lambda y: np.full_like(y, 7)),
        (lambda X: X, lambda y: y.astype(int)),
        (lambda X: X > 0, lambda y: y > 10),
    ],
    ids=["constant y", "constant X", "identical rows", "whole y", "true or false"],
)
def test_plain_data_is_learned_without_a_warning(regression, algorithm, rows, target):
    X, y, groups = regression.rows
    X, y = rows(X), target(y)
    meta = regression.meta(algorithm, max_iter=300).fit(X, y, groups)
    error = np.abs(meta.predict(X, groups) - y)
    assert error.mean() <= np.abs(y - y.mean()).mean() + 0.5


def test_columns_are_known_by_name(task_frame, regressing):
    X, y = task_frame[["a", "b", "c", "store"]], task_frame["y"]
    meta = MetaLearner(MLPRegressor(), regressing, task_feature="store", max_iter=3).fit(X, y)
    assert_array_equal(meta.feature_names_in_, ["a", "b", "c", "store"])
    assert meta.n_features_in_ == 4
    with pytest.raises(ValueError, match="same order"):
        meta.predict(X[["c", "b", "a", "store"]])
    adapted = meta.adapt(X[:5], y[:5])
    assert_array_equal(adapted.feature_names_in_, ["a", "b", "c"])
    assert_array_equal(meta.estimator_.feature_names_in_, ["a", "b", "c"])
    with pytest.raises(ValueError, match="feature names"):
        adapted.predict(X[["c", "b", "a"]])


@pytest.mark.parametrize(
    "attribute", ["predict", "predict_proba", "predict_log_proba", "adapt", "fit_adapt", "score"]
)
def test_before_fit_there_is_nothing_to_predict_with(multiclass, attribute):
    X, y = multiclass.new
    method = getattr(multiclass.meta(), attribute)
    arguments = (X,) if attribute.startswith("predict") else (X, y)
    with pytest.raises(NotFittedError, match="MetaLearner instance is not fitted"):
        method(*arguments)


def test_what_a_regressor_lacks(regression):
    meta = regression.meta().fit(regression.tasks)
    for name in ("predict_proba", "predict_log_proba", "classes_"):
        assert not hasattr(meta, name)


def test_one_warning_counts_the_rows_of_unknown_tasks(shared_problem):
    """And points at the line that asked; the numbers are the prior's."""
    meta = shared_problem.meta(handle_unknown="warn").fit(shared_problem.tasks)
    X, _, groups = shared_problem.rows
    groups = np.where(np.arange(len(X)) < 5, "nobody", groups)
    match = r"the prior predicts 5 of \d+ rows.*task 'nobody' was never adapted. Adapt it first"
    with pytest.warns(UserWarning, match=match) as caught:
        warned = meta.predict(X, groups)
    assert [warning.filename for warning in caught] == [__file__]
    assert_array_equal(warned, meta.set_params(handle_unknown="prior").predict(X, groups))


def test_rows_that_name_no_task_get_the_prior_with_a_word(regression):
    """As with a stock scorer: what was fitted with groups is asked without them."""
    X, y, groups = regression.rows
    meta = regression.meta(handle_unknown="warn").fit(X, y, groups)
    with pytest.warns(UserWarning, match="the rows name no task.*fit_adapt; pass groups, or"):
        meta.score(X, y)
    meta.fit_adapt(X[:5], y[:5])
    meta.predict(X)  # no word: there is a task without an id now


def test_ids_of_another_kind_than_all_known_are_an_error(regression):
    X, y, groups = regression.rows
    numbers = np.unique(groups, return_inverse=True)[1]
    meta = regression.meta(handle_unknown="prior").fit(X, y, numbers)
    for asked in (numbers.astype(str), list(map(str, numbers)), pd.Series(map(str, numbers))):
        with pytest.raises(ValueError, match="groups are text, as '0', but the known tasks are"):
            meta.predict(X, asked)
    assert_allclose(meta.predict(X, numbers.astype(float)), meta.predict(X, numbers))


def test_score_of_tasks_asks_about_rare_classes_too():
    """Half of a task's rows are its support, of whatever class where labels are shared."""
    rng = np.random.RandomState(0)
    X = rng.standard_normal((240, 2))
    y = np.tile(np.repeat([0, 1], [20, 4]), 10)
    tasks = TaskCollection.from_arrays(X, y, np.repeat(np.arange(10), 24))
    meta = MetaLearner(MLPClassifier(hidden_layer_sizes=(4,)), max_iter=5, random_state=0)
    found = evaluate(meta.fit(tasks)._served.learned, tasks)
    np.testing.assert_array_equal(np.bincount(found.task), np.full(10, 12))
    assert np.sum(tasks.y[found.row] == 1) > 10
