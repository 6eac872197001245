"""Input that will not do: the message names the culprit, and nothing is changed."""

import pickle
import re
import warnings
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Ridge
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_meta import MetaLearner, TaskCollection
from sklearn_meta.algorithms import ALGORITHMS, MAML
from sklearn_meta.datasets import Sinusoids


def check_error(meta, call, error, match, **params):
    """The call raises, and the estimator, fitted before, is what it was."""
    meta.set_params(**params)
    before = pickle.dumps(meta)
    with pytest.raises(error, match=match):
        call(meta)
    assert pickle.dumps(meta) == before


def changed(values, row, value):
    values = values.astype(object) if value is None else values.copy()
    values[row] = value
    return values


def first_frames(tasks, *columns):
    """The first tasks as dataframes with these column names."""
    return [
        (pd.DataFrame(X, columns=list(names)), y)
        for names, (X, y) in zip(columns, tasks, strict=False)
    ]


class Wrong:
    """A distribution that does not keep to what it was asked for."""

    def __init__(self, answer):
        self.answer = answer

    def sample(self, n_tasks, random_state=None):
        return self.answer


class WronglySplit(Sinusoids):
    """A distribution whose parts are not what they should be."""

    def __init__(self, parts):
        super().__init__()
        self.parts = parts

    def split(self, fraction, random_state=None):
        return self.parts


# Every case: what is called, with a meta-learner fitted to (X, y, groups); the error; its message.
# Task "t01" has its first row at place `t01` of the rows.
ROWS = {
    "y missing": (lambda m, X, y, g: m.fit(X), ValueError, "requires y to be passed"),
    "y missing at adaptation": (lambda m, X, y, g: m.fit_adapt(X), ValueError, "requires y"),
    "NaN in X": (
        lambda m, X, y, g: m.fit(changed(X, (g == "t01").argmax() + 2, np.nan), y, g),
        ValueError,
        "X contains NaN in task 't01', its row 2",
    ),
    "infinity in X": (
        lambda m, X, y, g: m.fit_adapt(changed(X, (g == "t01").argmax() + 2, np.inf), y, g),
        ValueError,
        "X contains infinity in task 't01', its row 2",
    ),
    "NaN in X, no task named": (
        lambda m, X, y, g: m.predict(changed(X, 5, np.nan)),
        ValueError,
        "X contains NaN in row 5",
    ),
    "NaN in y": (
        lambda m, X, y, g: m.fit(X, changed(y, (g == "t01").argmax() + 2, np.nan), g),
        ValueError,
        "y contains NaN in task 't01', its row 2",
    ),
    "y of another length": (
        lambda m, X, y, g: m.fit(X, y[:5], g),
        ValueError,
        r"y has 5 entries, expected \d+",
    ),
    "groups of another length": (
        lambda m, X, y, g: m.fit(X, y, g[:5]),
        ValueError,
        r"groups has 5 entries, expected \d+",
    ),
    "groups of another length in predict": (
        lambda m, X, y, g: m.predict(X, g[:5]),
        ValueError,
        r"groups has 5 entries, expected \d+",
    ),
    "a number for groups": (lambda m, X, y, g: m.fit(X, y, 3), ValueError, "groups"),
    "two columns of groups": (
        lambda m, X, y, g: m.fit(X, y, np.column_stack([g, g])),
        ValueError,
        "groups",
    ),
    "groups with None": (
        lambda m, X, y, g: m.fit(X, y, changed(g, 4, None)),
        ValueError,
        "groups has no task id in row 4",
    ),
    "groups with NaN": (
        lambda m, X, y, g: m.fit(X, y, changed(np.arange(len(g)) // 9.0, 4, np.nan)),
        ValueError,
        "groups has no task id in row 4",
    ),
    "groups with NaT": (
        lambda m, X, y, g: m.fit(X, y, changed(np.array(["2020"] * len(g), "M8[D]"), 4, "NaT")),
        ValueError,
        "groups has no task id in row 4",
    ),
    "groups with pandas NA": (
        lambda m, X, y, g: m.fit(X, y, changed(pd.Series(g, dtype="string"), 4, pd.NA)),
        ValueError,
        "groups has no task id in row 4",
    ),
    "dates in X": (
        lambda m, X, y, g: m.fit(np.full(X.shape, "NaT", "M8[s]"), y, g),
        ValueError,
        r"X has dates or durations of datetime64\[s\], expected numbers",
    ),
    "NaT among objects in X": (
        lambda m, X, y, g: m.predict(changed(X.astype(object), 3, np.datetime64("NaT"))),
        ValueError,
        "X has dates or durations such as 'NaT', expected numbers",
    ),
    "dates in y": (
        lambda m, X, y, g: m.fit_adapt(X, np.full(len(X), "NaT", "M8[s]"), g),
        ValueError,
        r"y has dates or durations of datetime64\[s\], expected numbers",
    ),
    "masked X": (
        lambda m, X, y, g: m.fit(np.ma.masked_greater(X, 0), y, g),
        ValueError,
        "X has masked entries, expected all to be there",
    ),
    "a structured array": (
        lambda m, X, y, g: m.fit(np.zeros(len(X), [("a", float)]), y, g),
        ValueError,
        "X has named fields",
    ),
    "a dict for X": (lambda m, X, y, g: m.fit({}, y, g), TypeError, r"X must be .*, got \{\}"),
    "a distribution's class": (lambda m, X, y, g: m.fit(Sinusoids), TypeError, "class Sinusoids"),
    "ragged y": (
        lambda m, X, y, g: m.fit(X, [[1.0], [1.0, 2.0]] * (len(X) // 2), g),
        ValueError,
        "y must be numbers: setting an array element with a sequence",
    ),
    "words in y": (
        lambda m, X, y, g: m.fit(X, ["x"] * len(X), g),
        ValueError,
        "y must be numbers: could not convert string to float: 'x'",
    ),
    "dates for weights": (
        lambda m, X, y, g: m.fit_adapt(X, y, g, np.zeros(len(X), "m8[s]")),
        ValueError,
        "sample_weight has dates or durations",
    ),
    "a NaN for all weights": (
        lambda m, X, y, g: m.fit_adapt(X, y, g, np.nan),
        ValueError,
        "sample_weight is nan, expected a finite number",
    ),
    "weights of no rows": (
        lambda m, X, y, g: m.fit_adapt(X, y, g, [1.0]),
        ValueError,
        r"sample_weight has 1 entries, expected \d+ as X has rows",
    ),
    "targets to score of another length": (
        lambda m, X, y, g: m.score(X, y[:5]),
        ValueError,
        r"y has 5 entries, expected \d+ as X has rows",
    ),
    "NaN to score": (
        lambda m, X, y, g: m.score(X, changed(y, 5, np.nan)),
        ValueError,
        "y contains NaN in row 5",
    ),
    "scores that overflow": (
        lambda m, X, y, g: m.score(X, 1e200 * y),
        ValueError,
        r"r2_score overflows: y is up to .*e\+201, .* scale them",
    ),
    "return_std of two": (
        lambda m, X, y, g: m.predict(X, return_std=[True, False]),
        ValueError,
        "'return_std'",
    ),
    "groups with NaT among objects": (
        lambda m, X, y, g: m.predict(X, changed(g.astype(object), 4, np.datetime64("NaT"))),
        ValueError,
        "groups has no task id in row 4",
    ),
    "an unhashable id": (
        lambda m, X, y, g: m.fit(X, y, np.array([[1]] * (len(X) - 1) + [{}], dtype=object)),
        ValueError,
        "groups",
    ),
    "groups with integers and pandas NA": (
        lambda m, X, y, g: m.fit_adapt(X[:9], y[:9], pd.array([1] * 4 + [pd.NA] + [2] * 4)),
        ValueError,
        "groups has no task id in row 4",
    ),
    "mixed groups": (
        lambda m, X, y, g: m.fit(X, y, np.array([1, *g[1:].tolist()], dtype=object)),
        ValueError,
        r"groups mixes \['int', 'str'\]",
    ),
    "tasks of one row": (
        lambda m, X, y, g: clone(m).set_params(n_shots=2).fit(X, y, np.arange(len(X))),
        ValueError,
        "task 0 has n_samples=1, one row, and no other task has more",
    ),
    "one row": (lambda m, X, y, g: m.fit(X[:1], y[:1], g[:1]), ValueError, "n_samples=1"),
    "no rows": (lambda m, X, y, g: m.fit(X[:0], y[:0], g[:0]), ValueError, r"0 sample\(s\)"),
    "no rows to adapt to, but targets": (
        lambda m, X, y, g: m.adapt(X[:0], y[:1]),
        ValueError,
        "y has 1 entries, expected 0",
    ),
    "no rows to predict": (lambda m, X, y, g: m.predict(X[:0]), ValueError, r"0 sample\(s\)"),
    "no columns": (lambda m, X, y, g: m.fit(X[:, :0], y, g), ValueError, r"0 feature\(s\)"),
    "sparse X": (lambda m, X, y, g: m.fit(sparse.csr_array(X), y, g), TypeError, "[Ss]parse"),
    "sparse X in predict": (
        lambda m, X, y, g: m.predict(sparse.csr_array(X), g),
        TypeError,
        "[Ss]parse",
    ),
    "3-d X": (lambda m, X, y, g: m.fit(X[:, :, None], y, g), ValueError, "dim 3"),
    "1-d X": (lambda m, X, y, g: m.fit(X[:, 0], y, g), ValueError, "Expected 2D array"),
    "complex X": (lambda m, X, y, g: m.fit(X + 1j, y, g), ValueError, "Complex"),
    "words in X": (
        lambda m, X, y, g: m.fit(np.full(X.shape, "a"), y, g),
        ValueError,
        "could not convert string",
    ),
    "fewer columns": (
        lambda m, X, y, g: m.fit_adapt(X[:, :2], y, g),
        ValueError,
        "X has 2 features, but MetaLearner is expecting 3",
    ),
    "more outputs than were trained": (
        lambda m, X, y, g: m.fit_adapt(X, np.column_stack([y, y]), g),
        ValueError,
        r"y has 2 (columns|outputs), expected 1",
    ),
    "more outputs in partial_fit": (
        lambda m, X, y, g: m.partial_fit(X, np.column_stack([y, y]), g),
        ValueError,
        r"y has 2 (columns|outputs), expected 1",
    ),
    "several tasks for adapt": (
        lambda m, X, y, g: m.adapt(TaskCollection.from_arrays(X, y, g), None),
        ValueError,
        "one task, got 12 tasks",
    ),
    "no y to score by": (lambda m, X, y, g: m.score(X), ValueError, "y"),
}


@pytest.mark.parametrize("case", ROWS)
def test_rows(regression, case):
    call, error, match = ROWS[case]
    meta = regression.meta().fit(regression.tasks)
    check_error(meta, lambda meta: call(meta, *regression.rows), error, match)


TASKS = {
    "empty list": (lambda m, tasks: m.fit([]), ValueError, "at least one task|empty|no tasks"),
    "empty collection": (lambda m, tasks: m.fit(tasks[:0]), ValueError, "at least one task"),
    "list of anything": (lambda m, tasks: m.fit([1, 2]), ValueError, r"list of \(X, y\)"),
    "no rows in a task": (
        lambda m, tasks: m.fit([tasks[0], (tasks[1][0][:0], tasks[1][1][:0])]),
        ValueError,
        "task 1 has 0 rows",
    ),
    "other numbers of columns": (
        lambda m, tasks: m.fit([tasks[0], (tasks[1][0][:, :2], tasks[1][1])]),
        ValueError,
        "X of task 1 has 2 columns, expected 3.* as in task 0",
    ),
    "other names of columns": (
        lambda m, tasks: m.fit(first_frames(tasks, "abc", "abd")),
        ValueError,
        "task 1.*'d'",
    ),
    "y of another length": (
        lambda m, tasks: m.fit([tasks[0], (tasks[1][0][:5], tasks[1][1][:4])]),
        ValueError,
        "y of task 1 has 4 entries, expected 5",
    ),
    "y of other dimensions": (
        lambda m, tasks: m.fit([tasks[0], (tasks[1][0], np.c_[tasks[1][1], tasks[1][1]])]),
        ValueError,
        "y of task 1",
    ),
    "1-d X in a task": (
        lambda m, tasks: m.fit([(X[:, 0], y) for X, y in tasks]),
        ValueError,
        r"X of task 0 has the shape \(\d+,\)",
    ),
    "NaN in a task": (
        lambda m, tasks: m.fit([tasks[0], (changed(tasks[1][0], 3, np.nan), tasks[1][1])]),
        ValueError,
        "X contains NaN in task 1, its row 3",
    ),
    "a task of one row alone": (
        lambda m, tasks: m.fit([(tasks[1][0][:1], tasks[1][1][:1])]),
        ValueError,
        "task 0 has n_samples=1",
    ),
    "y besides tasks": (
        lambda m, tasks: m.fit(tasks, tasks.y),
        ValueError,
        "y must be None where X is a task collection",
    ),
    "groups besides tasks": (
        lambda m, tasks: m.fit(tasks, groups=tasks.groups),
        ValueError,
        "groups must be None where X is a task collection",
    ),
    "y besides a distribution": (
        lambda m, tasks: m.fit(Sinusoids(), tasks.y),
        ValueError,
        "y must be None",
    ),
    "a distribution that gives too few": (
        lambda m, tasks: m.fit(Wrong(tasks)),
        ValueError,
        r"sample.*12 tasks",
    ),
    "a distribution that gives none": (
        lambda m, tasks: m.fit(Wrong(None)),
        ValueError,
        r"sample|requires y",
    ),
    "one part only": (
        lambda m, tasks: m.fit(WronglySplit([Sinusoids()])),
        ValueError,
        r"split\(0.1, ...\) of the distribution gave \[<.*Sinusoids.*>\], expected two distr",
    ),
    "parts that are tasks": (
        lambda m, tasks: m.fit(WronglySplit((tasks, tasks))),
        ValueError,
        r"split\(0.1, ...\) of the distribution gave \(TaskCollection.*, expected two distr",
    ),
    "a part that is no pair": (
        lambda m, tasks: m.fit(WronglySplit(Sinusoids())),
        ValueError,
        r"split\(0.1, ...\) of the distribution gave <.*Sinusoids.*>, expected two distributions",
    ),
    "the same part twice": (
        lambda m, tasks: m.fit(WronglySplit([Sinusoids()] * 2)),
        ValueError,
        r"split\(0.1, ...\) of the distribution gave the same distribution twice",
    ),
    "a part that gives too few to validate on": (
        lambda m, tasks: m.fit(WronglySplit((Sinusoids(), Wrong(tasks)))),
        ValueError,
        r"sample\(500, ...\) of the distribution gave 12 tasks",
    ),
    "sample_weight for tasks": (
        lambda m, tasks: m.score(tasks, sample_weight=np.ones(12)),
        ValueError,
        "sample_weight weighs rows",
    ),
    "tasks to score of one row": (
        lambda m, tasks: m.score([(X[:1], y[:1]) for X, y in tasks]),
        ValueError,
        "R2 needs a task with 2 or more query rows; found none",
    ),
    "tasks to score with one query row": (
        lambda m, tasks: m.score([(X[:2], y[:2]) for X, y in tasks]),
        ValueError,
        "R2 needs a task with 2 or more query rows",
    ),
    "tasks to predict": (lambda m, tasks: m.predict(tasks), (TypeError, ValueError), "rows"),
    "support only": (
        lambda m, tasks: m.fit(
            TaskCollection.from_arrays(
                tasks.X, tasks.y, tasks.groups, is_support=tasks.groups == "t01"
            )
        ),
        ValueError,
        "task 't01' has no query row by is_support",
    ),
}


@pytest.mark.parametrize("case", TASKS)
def test_tasks(regression, case):
    call, error, match = TASKS[case]
    meta = regression.meta().fit(regression.tasks)
    check_error(meta, lambda meta: call(meta, regression.tasks), error, match)


PARAMETERS = {
    "unknown algorithm": (
        {"algorithm": "mamal"},
        ValueError,
        f"'mamal'.*{'.*'.join(sorted(ALGORITHMS))}",
    ),
    "algorithm by class": ({"algorithm": MAML}, TypeError, "name or an instance"),
    "something else as algorithm": ({"algorithm": StandardScaler()}, ValueError, "'algorithm'"),
    "algorithm's parameter": ({"algorithm": MAML(inner_lr=-1)}, ValueError, "'inner_lr'.*MAML"),
    "a linear estimator": ({"estimator": Ridge()}, TypeError, r"MLPRegressor.*got Ridge\(\)"),
    "a pipeline that ends in none": (
        {"estimator": make_pipeline(StandardScaler(), Ridge())},
        TypeError,
        "Pipeline that ends in",
    ),
    "no estimator": ({"estimator": None}, ValueError, "'estimator'"),
    "the network's parameter": ({"estimator__activation": "gelu"}, ValueError, "'activation'"),
    "a layer of no units": ({"estimator__hidden_layer_sizes": (5, 0)}, ValueError, r"\(5, 0\)"),
    "n_shots='many'": ({"n_shots": "many"}, ValueError, "'n_shots'.*'many'"),
    "n_shots=(5, 2)": ({"n_shots": (5, 2)}, ValueError, r"n_shots=\(5, 2\).*low <= high"),
    "n_shots=(1, 2, 3)": ({"n_shots": (1, 2, 3)}, ValueError, r"n_shots=\(1, 2, 3\)"),
    "n_query=2**70": ({"n_query": 2**70}, ValueError, "'n_query'.*at most 2147483647"),
    "n_query=True": ({"n_query": True}, ValueError, "'n_query'.*True"),
    "a fraction as meta_lr": ({"meta_lr": Fraction(1, 2)}, ValueError, "'meta_lr'"),
    "units that are no number": (
        {"estimator__hidden_layer_sizes": ("4",)},
        ValueError,
        r"hidden_layer_sizes must be whole numbers of units > 0, got \('4',\)",
    ),
    "half a unit": (
        {"estimator__hidden_layer_sizes": (2.5,)},
        ValueError,
        r"hidden_layer_sizes .* got \(2.5,\)",
    ),
    "an empty Pipeline": ({"estimator": Pipeline([])}, ValueError, "estimator must end in an MLP"),
    "a step's class": (
        {"estimator": Pipeline([("scale", StandardScaler), ("mlp", MLPRegressor())])},
        TypeError,
        "estimator has the class StandardScaler as step 'scale', expected an instance",
    ),
    "n_shots=-1": ({"n_shots": -1}, ValueError, "'n_shots'.*-1"),
    "max_iter=0": ({"max_iter": 0}, ValueError, "'max_iter'.*0"),
    "validation_fraction=1": ({"validation_fraction": 1.0}, ValueError, "'validation_fraction'"),
    "handle_unknown": ({"handle_unknown": "guess"}, ValueError, "'handle_unknown'.*'guess'"),
    "task_feature that is no column": (
        {"task_feature": "store"},
        ValueError,
        r"task_feature='store' is no column of X; it has \[0, 1, 2\]",
    ),
    "task_feature out of range": (
        {"task_feature": 3},
        ValueError,
        "task_feature=3 is out of range: X has 3 columns",
    ),
    "steps that explode": ({"algorithm": MAML(inner_lr=1e9)}, ValueError, "diverged.*inner_lr"),
}


@pytest.mark.parametrize("case", PARAMETERS)
def test_parameters(regression, case):
    params, error, match = PARAMETERS[case]
    meta = regression.meta().fit(regression.tasks)
    X, y, groups = regression.rows
    groups = None if "task_feature" in params else groups
    check_error(meta, lambda meta: meta.fit(X, y, groups), error, match, **params)


@pytest.mark.parametrize(
    "values",
    [
        {"n_query": "x" * 5000},
        {"n_shots": list(range(5000))},
        {"task_feature": "x" * 5000},
        {"algorithm": "x" * 5000},
        {"estimator__hidden_layer_sizes": ["x"] * 5000},
    ],
    ids=lambda values: next(iter(values)),
)
def test_long_values_are_cut_in_messages(regression, values):
    X, y, _ = regression.rows
    meta = regression.meta().set_params(**values)
    with pytest.raises(ValueError, match=next(iter(values)).removeprefix("estimator__")) as seen:
        meta.fit(X, y)
    assert len(str(seen.value)) < 1000


@pytest.mark.parametrize("values", [{"estimator": Ridge()}, {"estimator": None}])
@pytest.mark.parametrize("task_feature", [None, "b", 0, 7])
def test_what_was_fitted_counts_until_the_next_fit(regression, values, task_feature):
    meta = regression.meta().fit(regression.tasks)
    X, y = regression.new
    expected, adapted = meta.predict(X), meta.adapt(X, y).predict(X)
    meta.set_params(**values, task_feature=task_feature)
    np.testing.assert_array_equal(meta.predict(X), expected)
    np.testing.assert_array_equal(meta.adapt(X, y).predict(X), adapted)
    with pytest.raises((TypeError, ValueError), match="estimator"):
        meta.fit(regression.tasks)


def test_parameters_that_count_after_fit_are_checked_then(regression):
    meta = regression.meta().fit(regression.tasks)
    X, y = regression.new
    for name, call in {
        "handle_unknown": lambda m: m.predict(X),
        "n_jobs": lambda m: m.fit_adapt(X, y),
        "support_order": lambda m: m.score(regression.tasks),
    }.items():
        check_error(clone_fitted(meta), call, ValueError, f"'{name}'", **{name: "half"})


def clone_fitted(meta):
    return pickle.loads(pickle.dumps(meta))


@pytest.mark.parametrize("method", ["partial_fit", "fit"])
def test_training_goes_on_with_the_same_task_column(regression, method):
    meta = regression.meta(warm_start=True).fit(regression.tasks)
    X, y, _ = regression.rows
    match = "goes on with task_feature=None, found 0; fit anew"
    check_error(meta, lambda m: getattr(m, method)(X, y), ValueError, match, task_feature=0)


def test_groups_besides_task_feature(task_frame):
    X, y = task_frame.drop(columns="y"), task_frame["y"]
    meta = MetaLearner(MLPRegressor(), task_feature="store", max_iter=3).fit(X, y)
    for call in (lambda m: m.fit(X, y, X["store"]), lambda m: m.predict(X, X["store"])):
        check_error(meta, call, ValueError, "groups must be None where task_feature='store'")


def test_task_feature_must_be_there_in_training(task_frame):
    X, y = task_frame.drop(columns="y"), task_frame["y"]
    meta = MetaLearner(MLPRegressor(), task_feature="store", max_iter=3).fit(X, y)
    for call in (lambda m: m.fit(X[["a", "b", "c"]], y), lambda m: m.partial_fit(X[[*"abc"]], y)):
        check_error(meta, call, ValueError, "store")


@pytest.mark.parametrize(
    ("convert", "error", "match"),
    [
        (sparse.csr_array, TypeError, "[Ss]parse"),
        (lambda X: X[:, :1], ValueError, r"0 feature\(s\)"),
        (lambda X: X[:, 0], (TypeError, ValueError), "2D array|number of features"),
        (lambda X: X[:, :, None], ValueError, "dim 3"),
    ],
    ids=["sparse", "no other column", "1-d", "3-d"],
)
def test_rows_with_a_task_column(regression, convert, error, match):
    X, y, groups = regression.rows
    rows = np.column_stack([np.unique(groups, return_inverse=True)[1], X])
    meta = regression.meta(task_feature=0).fit(rows, y)
    check_error(meta, lambda m: m.fit(convert(rows), y), error, match)


def test_the_mlps_own_training_parameters_are_named():
    X, y = np.random.RandomState(0).normal(size=(2, 20, 1))
    meta = MetaLearner(MLPRegressor(max_iter=500, solver="lbfgs", alpha=0.1), max_iter=3)
    with pytest.warns(UserWarning, match=r"MLPRegressor\(.*max_iter=500.*\) has no effect") as seen:
        meta.fit(X, y[:, 0], np.arange(20) % 2)
    assert "solver='lbfgs'" in str(seen[0].message)
    assert "alpha" not in str(seen[0].message)


CLASSES = {
    "a class seen only at adaptation": (
        lambda m, X, y, g: m.fit_adapt(X[:3], [0, 1, 7], ["u", "v", "w"]),
        r"task 'w'.* class 7,.*expected one of \[0, 1, 2\]",
    ),
    "a class seen only at adaptation, no task named": (
        lambda m, X, y, g: m.adapt(X[:3], [0, 1, 7]),
        r"^y has the class 7,.*expected one of \[0, 1, 2\]",
    ),
    "a string for a number": (
        lambda m, X, y, g: m.fit_adapt(X[:3], ["0", "1", "1"]),
        r"class '0',.*expected one of \[0, 1, 2\]",
    ),
    "a new class in partial_fit": (
        lambda m, X, y, g: m.partial_fit(X, y + 1, g),
        r"class 3,.*expected one of \[0, 1, 2\]",
    ),
    "other classes announced": (
        lambda m, X, y, g: m.partial_fit(X, y, g, classes=[0, 1, 2, 3]),
        "classes",
    ),
    "a single class": (lambda m, X, y, g: m.fit(X, y * 0, g), "y has one class, 0; expected"),
    "numbers for classes": (lambda m, X, y, g: m.fit(X, X[:, 0], g), "Unknown label type"),
    "one-hot classes": (lambda m, X, y, g: m.fit(X, np.eye(3)[y], g), "1d array"),
    "NaN in y": (lambda m, X, y, g: m.fit(X, changed(y * 1.0, 3, np.nan), g), "y contains NaN"),
    "None in y": (lambda m, X, y, g: m.fit(X, changed(y.astype(str), 3, None), g), "y"),
    "no classes announced": (
        lambda m, X, y, g: m.partial_fit(X, y, g, classes=[]),
        "classes must be a sequence of at least 2 classes",
    ),
    "mixed classes announced": (
        lambda m, X, y, g: m.partial_fit(X, y, g, classes=[0, "1", 2]),
        r"classes mixes \['int', 'str'\]; expected classes that sort together",
    ),
    "mixed classes in y": (
        lambda m, X, y, g: m.partial_fit(X, changed(y.astype(object), 3, "x"), g),
        r"y mixes \['int', 'str'\]",
    ),
    "dates to score": (
        lambda m, X, y, g: m.score(X, np.full(len(y), "2020", "M8[D]")),
        "y has dates, expected numbers",
    ),
    "std of a label": (
        lambda m, X, y, g: m.predict(X, return_std=True),
        "return_std.*predict_proba",
    ),
}


@pytest.mark.parametrize("case", CLASSES)
def test_classes(multiclass, case):
    call, match = CLASSES[case]
    meta = multiclass.meta().fit(multiclass.tasks)
    check_error(meta, lambda meta: call(meta, *multiclass.rows), ValueError, match)


OWN_CLASSES = {
    "more than any training task": (
        lambda m, tasks: m.fit_adapt(tasks.X[:6], np.arange(6)),
        r"^y has 6 class.*expected 2 to 4",
    ),
    "more than any training task, named": (
        lambda m, tasks: m.fit_adapt(tasks.X[:6], np.arange(6), ["new"] * 6),
        r"task 'new' has 6 class.*expected 2 to 4",
    ),
    "one": (lambda m, tasks: m.fit_adapt(tasks.X[:3], [1, 1, 1]), "y has 1 class"),
    "one in a training task": (
        lambda m, tasks: m.fit([tasks[0], (tasks[1][0], tasks[1][1] * 0)]),
        r"task 1 has \d+ rows of 1 class",
    ),
    "no two rows of any": (
        lambda m, tasks: m.fit([(X[:3], [0, 1, 2]) for X, _ in tasks]),
        r"task 0 has 3 rows of 3 class.*2 rows of one",
    ),
    "an unknown task": (
        lambda m, tasks: m.predict(tasks.X[:2], ["t01", "new"]),
        "task 'new' was never adapted",
    ),
}


@pytest.mark.parametrize("case", OWN_CLASSES)
def test_own_classes(own_labels, case):
    call, match = OWN_CLASSES[case]
    meta = own_labels.meta().fit(own_labels.tasks)
    check_error(meta, lambda meta: call(meta, own_labels.tasks), ValueError, match)


def test_own_classes_need_a_shot(own_labels):
    meta = own_labels.meta().fit(own_labels.tasks)
    match = "n_shots=0.*need 1 or more"
    check_error(meta, lambda m: m.fit(own_labels.tasks), ValueError, match, n_shots=0)


@pytest.mark.parametrize("problem", ["poisson"], indirect=True)
def test_negative_counts(problem):
    meta = problem.meta().fit(problem.tasks)
    X, y, groups = problem.rows
    for call in (
        lambda m: m.fit(X, y - 1, groups),
        lambda m: m.fit_adapt(X, y - 1, groups),
        lambda m: m.partial_fit(X, y - 1, groups),
    ):
        check_error(meta, call, ValueError, "y has -1.*loss='poisson' expects")


@pytest.mark.parametrize("problem", ["multi-output"], indirect=True)
def test_fewer_outputs_than_were_trained(problem):
    meta = problem.meta().fit(problem.tasks)
    X, y, groups = problem.rows
    for call in (
        lambda m: m.fit_adapt(X, y[:, 0], groups),
        lambda m: m.adapt(X, y[:, 0]),
        lambda m: m.partial_fit(X, y[:, 0], groups),
    ):
        check_error(meta, call, ValueError, r"y has 1 (column|output)s?, expected 2")


@pytest.mark.parametrize("name", sorted(ALGORITHMS))
def test_std_needs_a_bayesian_algorithm(regression, name):
    meta = regression.meta(name).fit(regression.tasks)
    X, _ = regression.new
    if name in ("bayesian_head", "deep_kernel_gp"):
        assert len(meta.predict(X, return_std=True)) == 2
    else:
        match = f"return_std=True needs a Bayesian algorithm; {type(meta.algorithm_).__name__}"
        check_error(meta, lambda m: m.predict(X, return_std=True), ValueError, match)


WARM = {
    "other columns": (lambda m, X, y, g: m.fit(X[:, :2], y, g), {}, "2 (columns|features)"),
    "other outputs": (
        lambda m, X, y, g: m.fit(X, np.column_stack([y, y]), g),
        {},
        "2 (columns|outputs)",
    ),
    "another algorithm": (
        lambda m, X, y, g: m.fit(X, y, g),
        {"algorithm": "maml"},
        "warm_start.*algorithm",
    ),
    "another network": (
        lambda m, X, y, g: m.fit(X, y, g),
        {"estimator": MLPRegressor(hidden_layer_sizes=(9, 9))},
        "warm_start",
    ),
    "another loss": (
        lambda m, X, y, g: m.fit(X, np.abs(y), g),
        {"estimator": MLPRegressor(hidden_layer_sizes=(8,), loss="poisson")},
        "warm_start",
    ),
    "steps before the network": (
        lambda m, X, y, g: m.fit(X, y, g),
        {"estimator": make_pipeline(StandardScaler(), MLPRegressor(hidden_layer_sizes=(8,)))},
        "warm_start",
    ),
    "a classifier": (
        lambda m, X, y, g: m.fit(X, y > 10, g),
        {"estimator": MLPClassifier(hidden_layer_sizes=(8,))},
        "warm_start",
    ),
}


@pytest.mark.parametrize("case", WARM)
def test_warm_start_goes_on_with_the_same_only(regression, case):
    call, params, match = WARM[case]
    meta = regression.meta(warm_start=True).fit(regression.tasks)
    check_error(meta, lambda m: call(m, *regression.rows), ValueError, match, **params)


def test_an_interrupted_fit_changes_nothing(regression):
    meta = regression.meta().fit(regression.tasks)

    class Interrupted(Sinusoids):
        def sample(self, n_tasks, random_state=None):
            if hasattr(self, "asked"):
                raise KeyboardInterrupt
            self.asked = True
            return super().sample(n_tasks, random_state)

    check_error(meta, lambda m: m.fit(Interrupted()), KeyboardInterrupt, None)


def test_a_first_fit_that_fails_leaves_no_trace(regression):
    X, y, groups = regression.rows
    meta = regression.meta(MAML(inner_lr=1e9))
    before = dict(vars(meta))
    with np.errstate(all="ignore"), pytest.raises(ValueError, match="diverged"):
        meta.fit(1e9 * X, y, groups)
    assert vars(meta) == before


def outcome(call):
    """The error of a call, if any."""
    try:
        call()
    except Exception as error:
        return error
    return None


@pytest.mark.parametrize("hidden", [(), (8,)])
@pytest.mark.parametrize("algorithm", ["bayesian_head", "ridge_head"])
@pytest.mark.parametrize("size", [1e9, 1e12, 1e150])
def test_a_singular_matrix_is_training_that_diverged(regression, algorithm, size, hidden):
    """Of features as they are, so large that beside them the prior's precision is rounded off."""
    X, y, groups = regression.rows
    meta = regression.meta(algorithm, standardize=False)
    meta.set_params(estimator__hidden_layer_sizes=hidden)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        error = outcome(lambda: meta.fit(size * X, y, groups))
    if error is None and hidden:  # some meta-steps were finite
        assert np.isfinite(meta._served.learned.params.vector).all()
    else:
        assert type(error) is ValueError  # LinAlgError is one, too
        assert re.match("meta-training diverged: .* not finite.*scale the features", str(error))
    meta.set_params(standardize="auto").fit(size * X, y, groups)
    assert np.isfinite(meta.predict(size * X, groups)).all()


@pytest.mark.parametrize(
    ("shared_problem", "options"),
    [("poisson", {}), ("regression", {"return_std": True})],
    indirect=["shared_problem"],
)
def test_rows_whose_prediction_overflows_are_named(shared_problem, options):
    """A count's mean is an exponential; a variance is a square."""
    problem = shared_problem
    meta = problem.meta().fit(problem.tasks)
    X, y = problem.new
    far = np.concatenate([X, 1e200 * X, -1e200 * X])
    meta.fit_adapt(X, y).predict(X, **options)
    with pytest.raises(ValueError, match=r"prediction of row \d+ of X is not finite, its features"):
        meta.predict(far, **options)


@pytest.mark.parametrize("size", [1e200, 1e300])
def test_std_of_class_probabilities_far_from_training(multiclass, size):
    meta = multiclass.meta().fit(multiclass.tasks)
    X, y = multiclass.new
    with pytest.raises(ValueError, match=r"prediction of row \d+ of X is not finite"):
        meta.fit_adapt(X, y).predict_proba(size * X, return_std=True)
