from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sklearn_meta import _ragged
from sklearn_meta._ragged import PER_ROW, PER_TASK, Joinable, Runs, blocks, pad, ragged_rows

few_examples = settings(deadline=None, derandomize=True, max_examples=50, database=None)
sizes_and_tasks = st.lists(st.integers(0, 6), min_size=1, max_size=6).flatmap(
    lambda sizes: st.tuples(
        st.just(sizes), st.lists(st.integers(0, len(sizes) - 1), min_size=1, max_size=8)
    )
)


@few_examples
@given(sizes_and_tasks)
def test_ragged_rows_is_a_loop_over_tasks(drawn):
    sizes, tasks = drawn
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(int)
    rows, found = ragged_rows(offsets, np.array(tasks))
    assert rows.tolist() == [row for t in tasks for row in range(offsets[t], offsets[t + 1])]
    assert found.tolist() == [sizes[t] for t in tasks]


@few_examples
@given(st.lists(st.integers(0, 6), min_size=1, max_size=6))
def test_pad_is_a_loop_over_tasks(sizes):
    starts = 100 + np.cumsum(sizes)[::-1]
    index, filled = pad(starts, np.array(sizes))
    assert index.shape == filled.shape == (len(sizes), max(sizes))
    for i, size in enumerate(sizes):
        np.testing.assert_array_equal(index[i, :size], starts[i] + np.arange(size))
        assert not index[i, size:].any()
        np.testing.assert_array_equal(filled[i], np.arange(max(sizes)) < size)


@dataclass(frozen=True)
class Letters(Joinable):
    """Tasks of rows, with a field of each kind."""

    offsets: np.ndarray
    row: object = field(metadata=PER_ROW)
    nothing: np.ndarray | None = field(metadata=PER_ROW)
    task: np.ndarray = field(metadata=PER_TASK)
    common: str = "the same for all"


def letters(sizes, row=lambda values: values, first=0):
    n = sum(sizes)
    names = np.array([f"t{first + i}" for i in range(len(sizes))])
    return Letters(_ragged.as_offsets(sizes), row(np.arange(n)), None, names)


@few_examples
@given(sizes_and_tasks)
def test_take_carries_every_field(drawn):
    sizes, tasks = drawn
    ragged = letters(sizes)
    taken = ragged.take(np.array(tasks))
    assert len(taken) == len(tasks)
    expected = [np.arange(ragged.offsets[t], ragged.offsets[t + 1]) for t in tasks]
    np.testing.assert_array_equal(taken.row, np.concatenate(expected))
    assert taken.task.tolist() == [f"t{t}" for t in tasks]
    assert taken.sizes.tolist() == [sizes[t] for t in tasks]
    assert taken.nothing is None
    assert taken.common == ragged.common


@pytest.mark.parametrize("kind", [pd.DataFrame, pl.DataFrame])
def test_rows_may_be_a_dataframe(kind):
    ragged = letters([2, 3, 1], row=lambda values: kind({"a": values}))
    assert list(ragged.take(np.array([2, 0])).row["a"]) == [5, 0, 1]
    assert list(ragged.select(np.arange(6) % 2 == 0).row["a"]) == [0, 2, 4]


def test_select_keeps_the_tasks():
    selected = letters([2, 3, 1]).select(np.array([0, 1, 0, 0, 0, 1], bool))
    assert selected.sizes.tolist() == [1, 0, 1]
    assert selected.row.tolist() == [1, 5]
    assert selected.task.tolist() == ["t0", "t1", "t2"]


def test_concatenate_is_undone_by_take():
    first, second = letters([2, 0]), letters([3], first=7)
    both = Letters.concatenate([first, second])
    assert both.sizes.tolist() == [2, 0, 3]
    assert both.task.tolist() == ["t0", "t1", "t7"]
    np.testing.assert_array_equal(both.take([2]).row, second.row)
    assert both.nothing is None


@few_examples
@given(st.lists(st.integers(0, 9), min_size=1, max_size=12), st.integers(1, 60))
def test_blocks_are_all_tasks_the_largest_first(sizes, max_cells):
    sizes = np.array(sizes)
    parts = list(blocks(sizes, np.maximum(sizes, 1), max_cells))
    assert sorted(np.concatenate(parts)) == list(range(len(sizes)))
    assert np.all(np.diff(sizes[np.concatenate(parts)]) <= 0)
    for part in parts:
        assert len(part) == 1 or len(part) * max(sizes[part].max(), 1) <= max_cells


@few_examples
@given(st.lists(st.integers(-1, 4), min_size=1, max_size=20), st.integers(1, 6))
def test_runs_have_each_row_once_in_its_order_and_are_not_too_long(tasks, longest):
    runs = Runs.of(np.array(tasks), longest)
    assert runs.sizes.max() <= longest
    assert np.all(np.diff(runs.task) >= 0)
    found = {}
    for task, start, size in zip(runs.task, runs.starts, runs.sizes, strict=True):
        found.setdefault(int(task), []).extend(runs.order[start : start + size].tolist())
    assert found == {task: [i for i, t in enumerate(tasks) if t == task] for task in set(tasks)}
    last = runs.take(slice(1, None))
    assert last.task.tolist() == runs.task.tolist()[1:]
