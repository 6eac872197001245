import pickle
from dataclasses import replace

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import BaseEstimator
from sklearn.decomposition import PCA
from sklearn.impute import SimpleImputer
from sklearn.model_selection import (
    GridSearchCV,
    KFold,
    ShuffleSplit,
    cross_val_score,
    train_test_split,
)
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.utils import _safe_indexing, indexable, shuffle

from sklearn_meta import MetaLearner, TaskCollection

GROUPS = ["b", "a", "b", "c", "a", "b"]


def make_frame(kind=pd.DataFrame):
    return kind(
        {
            "u": [0.0, 1.0, 2.0, 3.0, 4.0, 5.0],
            "task": GROUPS,
            "v": [10.0, 11.0, 12.0, 13.0, 14.0, 15.0],
            "y": [0, 1, 2, 3, 4, 5],
            "marked": [True, False, False, True, True, True],
        }
    )


def make_collection():
    frame = make_frame()
    return TaskCollection.from_arrays(
        frame[["u", "v"]].to_numpy(), frame["y"].to_numpy(), GROUPS, is_support=frame["marked"]
    )


def assert_same(collection, other):
    np.testing.assert_array_equal(np.asarray(collection.X), np.asarray(other.X))
    for name in ("y", "offsets", "task_ids", "is_support", "shared_labels"):
        np.testing.assert_array_equal(getattr(collection, name), getattr(other, name))


def test_from_arrays_sorts_tasks_and_keeps_the_order_of_rows():
    collection = make_collection()
    np.testing.assert_array_equal(collection.task_ids, ["a", "b", "c"])
    np.testing.assert_array_equal(collection.offsets, [0, 2, 5, 6])
    np.testing.assert_array_equal(collection.y, [1, 4, 0, 2, 5, 3])
    np.testing.assert_array_equal(collection.X[:, 1], [11, 14, 10, 12, 15, 13])
    np.testing.assert_array_equal(collection.is_support, [False, True, True, False, True, True])
    np.testing.assert_array_equal(collection.groups, ["a", "a", "b", "b", "b", "c"])
    np.testing.assert_array_equal(collection.sizes, [2, 3, 1])
    assert (len(collection), collection.shape, collection.n_rows) == (3, (3,), 6)
    assert collection.shared_labels


@settings(deadline=None, derandomize=True, max_examples=50, database=None)
@given(st.lists(st.integers(-3, 3), min_size=1, max_size=60))
def test_from_arrays_is_a_loop_over_groups(groups):
    rows = np.arange(len(groups))
    collection = TaskCollection.from_arrays(rows[:, None], -rows, groups)
    expected = {name: [i for i, group in enumerate(groups) if group == name] for name in groups}
    assert collection.task_ids.tolist() == sorted(expected)
    for name, (X, y) in zip(collection.task_ids.tolist(), collection, strict=True):
        assert X[:, 0].tolist() == expected[name]
        assert (-y).tolist() == expected[name]


@pytest.mark.parametrize("kind", [pd.DataFrame, pl.DataFrame])
def test_from_frame_is_from_arrays(kind):
    collection = TaskCollection.from_frame(
        make_frame(kind), task="task", target="y", is_support="marked", shared_labels=False
    )
    assert isinstance(collection.X, kind)
    assert list(collection.X.columns) == ["u", "v"]
    assert not collection.shared_labels
    collection = replace(collection, shared_labels=True)
    assert_same(collection, make_collection())


@pytest.mark.parametrize("kind", [pd.DataFrame, pl.DataFrame])
def test_from_frame_with_chosen_features_and_two_targets(kind):
    collection = TaskCollection.from_frame(
        make_frame(kind), task="task", target=["y", "u"], features=["v"]
    )
    assert list(collection.X.columns) == ["v"]
    np.testing.assert_array_equal(collection.y[:2], [[1, 1], [4, 4]])
    assert collection.is_support is None


@pytest.mark.parametrize("kind", [np.asarray, pd.DataFrame, pl.DataFrame])
def test_from_tasks_is_from_arrays(kind):
    expected = make_collection()
    tasks = [(kind(X), y.tolist()) for X, y in expected]
    collection = TaskCollection.from_tasks(tasks, task_ids=["a", "b", "c"])
    expected = replace(expected, is_support=None)
    assert_same(collection, expected)
    assert type(collection.X) is type(kind(expected.X))


def test_from_tasks_numbers_them_and_keeps_their_order():
    tasks = [(np.full((n, 1), n), np.full(n, n)) for n in (3, 1, 2)]
    collection = TaskCollection.from_tasks(tasks)
    np.testing.assert_array_equal(collection.task_ids, [0, 1, 2])
    np.testing.assert_array_equal(collection.y, [3, 3, 3, 1, 2, 2])


@pytest.mark.parametrize("kind", [np.asarray, pd.DataFrame, pl.DataFrame])
def test_an_integer_gives_one_task(kind):
    collection = make_collection()
    collection = replace(collection, X=kind(collection.X))
    for i in (1, -2, np.int64(1)):
        X, y = collection[i]
        assert type(X) is type(collection.X)
        np.testing.assert_array_equal(np.asarray(X)[:, 0], [0, 2, 5])
        np.testing.assert_array_equal(y, [0, 2, 5])
    with pytest.raises(IndexError):
        collection[3]


@pytest.mark.parametrize("kind", [np.asarray, pd.DataFrame, pl.DataFrame])
@pytest.mark.parametrize(
    ("key", "ids"),
    [
        (slice(1, None), ["b", "c"]),
        (slice(None, None, -1), ["c", "b", "a"]),
        (np.array([2, 0, 2]), ["c", "a", "c"]),
        ([1], ["b"]),
        ([True, False, True], ["a", "c"]),
        (np.array([False, True, True]), ["b", "c"]),
        ((np.array([2, 1]), ...), ["c", "b"]),
        ([], []),
    ],
    ids=str,
)
def test_other_keys_give_a_collection(kind, key, ids):
    collection = make_collection()
    expected = {name: (X, y) for name, (X, y) in zip("abc", collection, strict=True)}
    marks = {"a": [False, True], "b": [True, False, True], "c": [True]}
    collection = replace(collection, X=kind(collection.X), shared_labels=False)
    chosen = collection[key]
    assert isinstance(chosen, TaskCollection)
    assert type(chosen.X) is type(collection.X)
    assert not chosen.shared_labels
    assert chosen.task_ids.tolist() == ids
    assert chosen.sizes.tolist() == [len(marks[name]) for name in ids]
    assert chosen.is_support.tolist() == [mark for name in ids for mark in marks[name]]
    rows = [expected[name][0] for name in ids]
    np.testing.assert_array_equal(np.asarray(chosen.X), np.vstack([np.empty((0, 2)), *rows]))
    np.testing.assert_array_equal(chosen.y, np.concatenate([[], *(expected[i][1] for i in ids)]))


def numbered(n_tasks):
    """Tasks of 1, 2, 3, ... rows, the target the number of the task."""
    groups = np.repeat(np.arange(n_tasks), np.arange(1, n_tasks + 1))
    return TaskCollection.from_arrays(groups[:, None].astype(float), groups, groups)


def check_tasks(collection, numbers):
    numbers = np.asarray(numbers)
    np.testing.assert_array_equal(collection.task_ids, numbers)
    np.testing.assert_array_equal(collection.sizes, numbers + 1)
    np.testing.assert_array_equal(collection.y, np.repeat(numbers, numbers + 1))


def test_scikit_learn_indexes_and_shuffles_tasks():
    tasks = numbered(10)
    assert indexable(tasks)[0] is tasks
    check_tasks(_safe_indexing(tasks, np.array([4, 2])), [4, 2])
    check_tasks(_safe_indexing(tasks, [0, 9]), [0, 9])
    mixed = shuffle(tasks, random_state=0)
    check_tasks(mixed, shuffle(np.arange(10), random_state=0))


@pytest.mark.parametrize("splitter", [KFold(5), KFold(3, shuffle=True, random_state=0)])
def test_kfold_splits_tasks(splitter):
    tasks = numbered(10)
    for train, test in splitter.split(tasks):
        check_tasks(tasks[train], train)
        check_tasks(tasks[test], test)
        assert sorted([*train, *test]) == list(range(10))


def test_train_test_split_splits_tasks():
    tasks = numbered(10)
    parts = train_test_split(tasks, test_size=3, random_state=0)
    expected = train_test_split(np.arange(10), test_size=3, random_state=0)
    for part, numbers in zip(parts, expected, strict=True):
        check_tasks(part, numbers)


class RowsPerTask(BaseEstimator):
    """Scores the number of rows of the tasks that it is given."""

    def __init__(self, factor=1):
        self.factor = factor

    def fit(self, X, y=None):
        self.n_rows_ = X.n_rows
        return self

    def score(self, X, y=None):
        return self.factor * X.n_rows


def test_cross_validation_and_grid_search_take_tasks_as_samples():
    tasks, splitter = numbered(10), ShuffleSplit(4, test_size=3, random_state=0)
    expected = [np.sum(test + 1) for _, test in splitter.split(np.arange(10))]
    scores = cross_val_score(RowsPerTask(), tasks, cv=splitter)
    np.testing.assert_array_equal(scores, expected)
    search = GridSearchCV(RowsPerTask(), {"factor": [1, 3]}, cv=splitter).fit(tasks)
    assert search.best_score_ == pytest.approx(3 * np.mean(expected))
    assert search.best_estimator_.n_rows_ == tasks.n_rows


@pytest.mark.parametrize(
    "step",
    [
        StandardScaler(),
        SimpleImputer(),
        OneHotEncoder(sparse_output=False),
        PCA(),
        FunctionTransformer(np.log),
    ],
)
def test_a_step_before_the_meta_learner_is_told_to_go_inside(step):
    """It is given tasks, where it needs their rows: in `fit`, and fitted to rows, in `predict`."""
    X, y, groups = np.arange(1.0, 13).reshape(6, 2), np.arange(6.0), GROUPS
    tasks = TaskCollection.from_arrays(X, y, groups)
    pipeline = make_pipeline(step, MetaLearner(MLPRegressor(hidden_layer_sizes=()), max_iter=2))
    message = r"put the scaler.* inside MetaLearner, MetaLearner\(make_pipeline\(StandardScaler\(\)"
    with pytest.raises(TypeError, match=message):
        pipeline.fit(tasks)
    pipeline.fit(X, y, metalearner__groups=groups)
    with pytest.raises(TypeError, match=message):
        pipeline.predict(tasks)
    inside = MetaLearner(make_pipeline(step, MLPRegressor(hidden_layer_sizes=())), max_iter=2)
    assert inside.fit(tasks).n_tasks_ == 3


@pytest.mark.parametrize("convert", [np.asarray, np.array, lambda tasks: np.asarray(tasks, float)])
def test_a_collection_is_no_array(convert):
    """Of tasks of one size, NumPy would make one whose numbers are not rows."""
    tasks = TaskCollection.from_arrays(np.zeros((6, 2)), np.zeros((6, 2)), [0, 0, 0, 1, 1, 1])
    with pytest.raises(TypeError, match="a TaskCollection is no array of rows, as its X is"):
        convert(tasks)


def test_tasks_of_one_row_to_thousands():
    sizes = [1, 4000, 2, 1, 700]
    rng = np.random.RandomState(0)
    groups = rng.permutation(np.repeat(np.arange(5), sizes))
    y = rng.standard_normal(len(groups))
    collection = TaskCollection.from_arrays(y[:, None], y, groups)
    np.testing.assert_array_equal(collection.sizes, sizes)
    for number, (X, part) in enumerate(collection):
        np.testing.assert_array_equal(part, y[groups == number])
        np.testing.assert_array_equal(X[:, 0], part)


def test_rows_that_are_sorted_already_are_not_copied():
    X = np.zeros((4, 2))
    assert TaskCollection.from_arrays(X, np.zeros(4), [0, 0, 1, 1]).X is X


def test_pickle():
    collection = make_collection()
    assert_same(pickle.loads(pickle.dumps(collection)), collection)


def test_repr():
    tasks = make_collection()
    assert repr(tasks) == "TaskCollection(n_tasks=3, n_rows=6, n_features=2, rows_per_task=1..3)"
    assert repr(tasks[:1]) == "TaskCollection(n_tasks=1, n_rows=2, n_features=2, rows_per_task=2)"
    assert repr(tasks[:0]) == "TaskCollection(n_tasks=0, n_rows=0, n_features=2, rows_per_task=0)"


X6 = np.zeros((6, 2))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((X6, np.zeros(5), GROUPS), r"y has 5 entries, expected 6, one a row of X"),
        ((X6, np.zeros(6), GROUPS[:4]), r"groups has 4 entries, expected 6, one a row of X"),
        ((X6[0], np.zeros(2), [0, 1]), r"X has the shape \(2,\), expected \(rows, columns\)"),
        ((X6, np.zeros(6), [0, 1, np.nan, 0, 1, np.nan]), r"groups has no task id in row 2"),
        ((X6, np.zeros(6), pd.Series(["a", "b", "c", None, "a", "b"])), r"no task id in row 3"),
        (
            (X6, np.zeros(6), np.array(["a", 1, "a", 1, "a", 1], object)),
            r"groups mixes \['int', 'str'\]; expected ids that sort together",
        ),
    ],
    ids=["y", "groups", "one_dimension", "nan", "none", "mixed"],
)
def test_from_arrays_says_what_is_wrong(arguments, message):
    with pytest.raises(ValueError, match=message):
        TaskCollection.from_arrays(*arguments)


@pytest.mark.parametrize(
    "groups",
    [
        pl.Series(["a", "b", "c", None, "a", "b"]),
        pd.Series(["a", "b", "c", pd.NA, "a", "b"], dtype="string"),
        pd.Series(["a", "b", "c", pd.NA, "a", "b"], dtype=object),
        pd.Series([1, 2, 3, pd.NA, 1, 2], dtype="Int64"),
        pd.to_datetime(pd.Series(["2020", "2021", "2022", None, "2020", "2021"])),
    ],
    ids=["polars", "string", "object", "Int64", "datetime"],
)
def test_from_arrays_names_the_row_without_a_task_id(groups):
    with pytest.raises(ValueError, match="groups has no task id in row 3"):
        TaskCollection.from_arrays(X6, np.zeros(6), groups)


def test_from_arrays_checks_is_support():
    with pytest.raises(ValueError, match="is_support has 2 entries, expected 6"):
        TaskCollection.from_arrays(X6, np.zeros(6), GROUPS, is_support=[True, False])


@pytest.mark.parametrize("kind", [pd.DataFrame, pl.DataFrame])
@pytest.mark.parametrize(
    "columns",
    [
        {"task": "who", "target": "y"},
        {"task": "task", "target": "who"},
        {"task": "task", "target": ["y", "who"]},
        {"task": "task", "target": "y", "features": ["u", "who"]},
        {"task": "task", "target": "y", "is_support": "who"},
    ],
    ids=["task", "target", "targets", "features", "is_support"],
)
def test_from_frame_names_the_column_that_is_not_there(kind, columns):
    with pytest.raises(ValueError, match=r"no column \['who'\] in the dataframe; it has \['u', "):
        TaskCollection.from_frame(make_frame(kind), **columns)


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        ([], "at least one task"),
        ([(X6, np.zeros(6)), (X6[:, :1], np.zeros(6))], "X of task 'q' has 1 columns, expected 2"),
        ([(X6, np.zeros(6)), (X6, np.zeros(5))], "y of task 'q' has 5 entries, expected 6"),
        ([(X6, np.zeros(6)), (X6[0], np.zeros(2))], r"X of task 'q' has the shape \(2,\)"),
    ],
    ids=["none", "columns", "length", "one_dimension"],
)
def test_from_tasks_names_the_task_that_is_wrong(tasks, message):
    ids = ["p", "q"][: len(tasks)]
    with pytest.raises(ValueError, match=message):
        TaskCollection.from_tasks(tasks, task_ids=ids)


@pytest.mark.parametrize("kind", [pd.DataFrame, pl.DataFrame])
def test_from_tasks_names_the_task_of_other_columns(kind):
    tasks = [(kind({"u": [1.0], name: [2.0]}), [0.0]) for name in ("v", "w")]
    with pytest.raises(ValueError, match=r"task 1.*w"):
        TaskCollection.from_tasks(tasks)


def test_from_tasks_names_ids_of_the_wrong_length():
    with pytest.raises(ValueError, match="task_ids has 3 entries, expected 2"):
        TaskCollection.from_tasks([(X6, np.zeros(6))] * 2, task_ids=["a", "b", "c"])


@pytest.mark.parametrize("key", [None, "a", 2.5, 99, [[0, 1]], [True]])
def test_a_key_that_chooses_nothing(key):
    with pytest.raises(IndexError, match="key "):
        make_tasks_of_pairs()[key]


def make_tasks_of_pairs():
    X = np.arange(12.0).reshape(6, 2)
    return TaskCollection.from_tasks([(X[:2], X[:2, 0]), (X[2:], X[2:, 0])])


def test_duplicate_ids_are_named_five_at_most():
    pair = np.ones((1, 2)), np.ones(1)
    with pytest.raises(ValueError, match=r"task_ids names a task twice.* and \d+ more") as seen:
        TaskCollection.from_tasks([pair] * 2000, task_ids=np.arange(2000) // 2)
    assert len(str(seen.value)) < 200


@pytest.mark.parametrize("name", ["task", "target", "features"])
@pytest.mark.parametrize("value", [np.zeros((2, 2)), [["a"]], object()])
def test_names_of_columns_that_are_none(name, value):
    df = pd.DataFrame({"a": [1.0, 2.0], "y": [1.0, 2.0], "t": [0, 1]})
    with pytest.raises(ValueError, match=rf"^{name}\b"):
        TaskCollection.from_frame(df, **{"task": "t", "target": "y"} | {name: value})


def test_a_frame_with_two_columns_of_a_name():
    df = pd.DataFrame([[1.0, 2.0, 0]] * 2, columns=["y", "y", "t"])
    with pytest.raises(ValueError, match="df has more than one column called 'y'"):
        TaskCollection.from_frame(df, task="t", target="y")


def make_in_blocks(**options):
    blocks = ["w", "v", "w", "v", "v", "u"]
    return TaskCollection.from_arrays(
        np.zeros((6, 1)), np.arange(6), GROUPS, blocks=blocks, **options
    )


def test_blocks_stay_with_their_rows():
    collection = make_in_blocks()
    assert collection.blocks.tolist() == ["v", "v", "w", "w", "u", "v"]
    assert collection[1:].blocks.tolist() == ["w", "w", "u", "v"]
    assert collection.take([2, 0]).blocks.tolist() == ["v", "v", "v"]
    assert collection.select(collection.y > 2).blocks.tolist() == ["v", "u", "v"]
    assert pickle.loads(pickle.dumps(collection)).blocks.tolist() == collection.blocks.tolist()
    assert repr(collection).endswith("rows_per_task=1..3, blocks_per_task=1..2)")
    assert "blocks" not in repr(make_collection())


@pytest.mark.parametrize("kind", [pd.DataFrame, pl.DataFrame])
def test_blocks_are_a_column(kind):
    frame = {"task": GROUPS, "x": range(6), "y": range(6), "word": ["w", "v", "w", "v", "v", "u"]}
    collection = TaskCollection.from_frame(kind(frame), task="task", target="y", blocks="word")
    assert list(collection.X.columns) == ["x"]
    assert collection.blocks.tolist() == make_in_blocks().blocks.tolist()
    with pytest.raises(ValueError, match=r"blocks: no column \['line'\] in the dataframe"):
        TaskCollection.from_frame(kind(frame), task="task", target="y", blocks="line")


@pytest.mark.parametrize(
    ("blocks", "match"),
    [
        ([1, 2], "blocks has length 2, expected 6|blocks has 2"),
        (["w", None, "w", "v", "v", "u"], "blocks has no label in row 1"),
        (np.array([[1]] * 6 + [None], object)[:6], "blocks has .* which is no label"),
        (np.zeros((6, 2)), r"blocks has the shape \(6, 2\)"),
    ],
)
def test_wrong_blocks_are_named(blocks, match):
    with pytest.raises(ValueError, match=match):
        TaskCollection.from_arrays(np.zeros((6, 1)), np.arange(6), GROUPS, blocks=blocks)


def test_a_block_marked_in_part_is_named():
    """The same label in another task is another block."""
    marks = np.array([True, False, True, True, False, True])
    assert make_in_blocks(is_support=marks).is_support.sum() == 4
    marks[0] = False
    with pytest.raises(ValueError, match="block 'w' of task 'b' has rows that is_support marks"):
        make_in_blocks(is_support=marks)
