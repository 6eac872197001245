"""Ids and labels stay what they are, or are refused by name."""

import numpy as np
import pandas as pd
import polars as pl
import pytest

from sklearn_meta import TaskCollection
from sklearn_meta.tasks._ids import as_keys, check_groups, join_ids, kinds_of

X4 = np.arange(8.0).reshape(4, 2)


def ids_of(groups):
    return TaskCollection.from_arrays(X4, np.zeros(4), groups).task_ids


@pytest.mark.parametrize("groups", [[1, "1", 1, "1"], [True, "True", True, "True"]], ids=str)
def test_what_does_not_sort_together_is_refused_by_name(groups):
    for each in (groups, np.array(groups, object), pd.Series(groups, dtype=object)):
        with pytest.raises(ValueError, match=r"groups mixes \[.*\]; expected ids that sort"):
            ids_of(each)


def test_whole_numbers_beside_a_fraction_keep_their_last_digit():
    assert ids_of([2**53, 2**53 + 1, 0.5, 0.5]).tolist() == [0.5, 2**53, 2**53 + 1]


def test_whole_numbers_beyond_64_bits():
    assert ids_of([2**70, 2**70 + 1, 1, 1]).tolist() == [1, 2**70, 2**70 + 1]


def test_instants_a_nanosecond_apart_are_two():
    instants = np.array(
        ["2020-01-01T00:00:00.000000001", "2020-01-01T00:00:00.000000002"], "M8[ns]"
    )
    for groups in (instants[[0, 1, 0, 1]], pd.Series(instants[[0, 1, 0, 1]])):
        assert len(ids_of(groups)) == 2
    assert len(set(as_keys(instants))) == 2
    assert as_keys(instants.astype("M8[D]")) == as_keys(instants.astype("M8[D]").astype("M8[s]"))


def test_a_trailing_nul_is_part_of_a_name():
    ids = ids_of(["a", "a\0", "a", "a\0"])
    assert ids.tolist() == ["a", "a\0"]


@pytest.mark.parametrize(
    ("groups", "dtype"),
    [([3, 1, 3, 1], np.int64), (list("abab"), "<U1"), ([0.5, 1.5, 0.5, 1.5], float)],
)
def test_a_list_of_like_ids_is_a_typed_array(groups, dtype):
    ids = ids_of(groups)
    assert ids.dtype == dtype
    assert ids.tolist() == sorted(set(groups))


def test_what_cannot_be_hashed_is_no_id():
    groups = np.empty(4, object)
    groups[:] = [[1], [2], [1], [2]]
    with pytest.raises(ValueError, match=r"groups has \[1\] in row 0, which is no task id"):
        ids_of(groups)


def test_a_ragged_or_single_thing_is_no_sequence_of_ids():
    for groups, match in (
        ([[1], [2, 3], [1], [2]], "ragged"),
        (7, "sequence"),
        ("abab", "sequence"),
    ):
        with pytest.raises((TypeError, ValueError), match=match):
            check_groups(groups, 4)


def test_joined_ids_stay_what_they_were():
    joined = join_ids(np.array([1, 2]), np.array(["1", "b"]))
    assert joined.tolist() == [1, 2, "1", "b"]
    assert kinds_of(joined) == {"numbers", "text"}
    assert kinds_of(np.array([True])) == {"truth values"}


@pytest.mark.parametrize("unit", ["D", "s", "us"])
@pytest.mark.parametrize("kind", ["M8", "m8"])
def test_dates_and_durations_are_found_among_whatever(kind, unit):
    """In other units, among ids of other kinds, beside years that nanoseconds do not reach."""
    near, far = np.array([0, 19_000], f"{kind}[D]"), np.array([-300_000], f"{kind}[D]")
    found = [
        as_keys(near.astype(f"{kind}[{unit}]")),
        as_keys(np.concatenate([near, far]).astype(f"{kind}[{unit}]"))[:2],
        as_keys(join_ids(np.array(["b"]), near.astype(f"{kind}[{unit}]")))[1:],
    ]
    assert found == 3 * [as_keys(near)]
    assert as_keys(far) == as_keys(far.astype(f"{kind}[{unit}]"))
    numbers = near.astype(f"{kind}[ns]").astype(np.int64)
    assert set(as_keys(near)).isdisjoint(as_keys(numbers))


def test_own_classes_of_another_kind_are_refused_by_name():
    with pytest.raises(
        ValueError, match=r"y of task 1 has .*text.*expected .*numbers.* as in task 0"
    ):
        TaskCollection.from_tasks(
            [(X4, [1, 2, 1, 2]), (X4, ["a", "b", "a", "b"])], shared_labels=False
        )


@pytest.mark.parametrize("marks", [["False"] * 4, [0, 1, 0, 1], [0.0, 1.0, 0.0, 1.0]], ids=str)
def test_marks_are_truth_values(marks):
    with pytest.raises(ValueError, match="is_support must be True or False for each row"):
        TaskCollection.from_arrays(X4, np.zeros(4), [0, 0, 1, 1], is_support=marks)


def test_shared_labels_is_a_truth_value():
    with pytest.raises(ValueError, match="shared_labels must be True or False, got 'no'"):
        TaskCollection.from_arrays(X4, np.zeros(4), [0, 0, 1, 1], shared_labels="no")


@pytest.mark.parametrize("kind", [pd.DataFrame, pl.DataFrame])
def test_a_word_is_one_column_and_not_its_letters(kind):
    frame = kind({"abc": [1.0, 2.0], "a": [0.0, 0.0], "task": [1, 2], "y": [0.0, 1.0]})
    tasks = TaskCollection.from_frame(frame, task="task", target="y", features="abc")
    assert list(tasks.X.columns) == ["abc"]
    with pytest.raises(ValueError, match=r"no column \['ay'\]"):
        TaskCollection.from_frame(frame, task="task", target="y", features="ay")


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"offsets": [0, 2]}, "offsets must be n_tasks"),
        ({"offsets": [0, 2, 3]}, "offsets must grow from 0 to the 4 rows of X"),
        ({"offsets": [0, 5, 4]}, "offsets must grow from 0 to the 4 rows of X"),
        ({"offsets": [-1, 2, 4]}, "offsets must grow from 0"),
        ({"offsets": [0.0, 2.0, 4.0]}, "offsets must be n_tasks"),
        ({"task_ids": [1.0, np.nan]}, "task_ids has no task id in task 1"),
        ({"y": np.zeros(5)}, "y has 5 entries, expected 4"),
        ({"X": np.zeros(4)}, r"X has the shape \(4,\)"),
        ({"is_support": np.ones(3, bool)}, "is_support has 3 entries, expected 4"),
    ],
    ids=str,
)
def test_a_collection_is_validated_where_it_is_made(changes, match):
    parts = {"X": X4, "y": np.zeros(4), "offsets": [0, 2, 4], "task_ids": ["p", "q"]}
    TaskCollection(**parts)
    with pytest.raises(ValueError, match=match):
        TaskCollection(**parts | changes)
