"""Ragged tasks: their rows lie one after the other, `offsets` say where each task's begin."""

from dataclasses import fields, replace
from typing import NamedTuple

import numpy as np

from ._compat import safe_indexing

PER_ROW, PER_TASK = {"per": "row"}, {"per": "task"}  # metadata of dataclass fields


class Ragged:
    """Tasks whose rows lie one after the other: a base of frozen dataclasses.

    Subclasses have `offsets`, (tasks + 1,), and say by the metadata `PER_ROW` or `PER_TASK` of
    each other field that it has an entry for each row or task, or is None; what says neither is
    common to all tasks. Choosing tasks or rows then carries every field along.
    """

    def __len__(self):
        return len(self.offsets) - 1

    @property
    def sizes(self):
        """Rows of each task, ndarray of shape (n_tasks,)."""
        return np.diff(self.offsets)

    def take(self, tasks):
        """Some of the tasks, by an array of their numbers, in that order."""
        if not isinstance(tasks, np.ndarray) or tasks.dtype == bool or tasks.min(initial=0) < 0:
            tasks = np.arange(len(self))[tasks]  # counted from the end, too
        rows, sizes = ragged_rows(self.offsets, tasks)
        return self._chosen(rows, tasks, as_offsets(sizes))

    def select(self, mask):
        """The same tasks with those rows only that the mask (rows,) has."""
        return self._chosen(np.flatnonzero(mask), slice(None), offsets_within(self.offsets, mask))

    def padded(self, tasks=slice(None)):
        """Row numbers of tasks as a rectangle (tasks, longest), and where it is filled."""
        return pad(self.offsets[:-1][tasks], self.sizes[tasks])

    def _chosen(self, rows, tasks, offsets):
        index = {"row": rows, "task": tasks}
        chosen = {
            f.name: _pick(getattr(self, f.name), index[f.metadata["per"]])
            for f in fields(self)
            if "per" in f.metadata
        }
        return replace(self, offsets=offsets, **chosen)


class Joinable(Ragged):
    """Ragged tasks of one origin, whose arrays can be put behind each other."""

    @classmethod
    def concatenate(cls, parts):
        """The tasks of several in one; what is common to all tasks is the first's."""
        joined = {
            f.name: _join([getattr(part, f.name) for part in parts])
            for f in fields(cls)
            if "per" in f.metadata
        }
        offsets = as_offsets(np.concatenate([part.sizes for part in parts]))
        return replace(parts[0], offsets=offsets, **joined)


class Runs(NamedTuple):
    """Rows in whatever order as runs of rows of one task."""

    order: np.ndarray  # (rows,), row numbers, those of a run one after the other
    task: np.ndarray  # (runs,), ascending
    starts: np.ndarray  # (runs,), places in `order`
    sizes: np.ndarray  # (runs,)

    @classmethod
    def of(cls, task, longest):
        """From the task of each row (rows,); a task of more rows than `longest` is several runs."""
        order = np.argsort(task, kind="stable")
        in_order = task[order]
        changes = np.flatnonzero(in_order[1:] != in_order[:-1]) + 1
        bounds = np.concatenate([[0], changes, [len(task)]])
        starts, sizes = bounds[:-1], bounds[1:] - bounds[:-1]
        runs = cls(order, in_order[starts], starts, sizes)
        return runs._cut(longest) if sizes.max() > longest else runs

    def take(self, runs):
        """Some of the runs, by a slice or an array of their numbers."""
        return self._replace(task=self.task[runs], starts=self.starts[runs], sizes=self.sizes[runs])

    def _cut(self, longest):
        counts = -(-self.sizes // longest)
        run, (_, filled) = np.repeat(np.arange(len(counts)), counts), pad(self.starts, counts)
        before = np.nonzero(filled)[1] * longest  # rows of the same run
        sizes = np.minimum(self.sizes[run] - before, longest)
        return Runs(self.order, self.task[run], self.starts[run] + before, sizes)


def _pick(values, index):
    if values is None:
        return None
    return values[index] if isinstance(values, np.ndarray) else safe_indexing(values, index)


def _join(values):
    if all(value is None for value in values):
        return None
    return np.concatenate(values)


def as_offsets(sizes):
    """Where each task's rows begin, and the last one's end, (tasks + 1,)."""
    return np.concatenate([[0], np.cumsum(sizes)])


def offsets_within(offsets, mask):
    """Where each task begins among the rows that the mask has, as `offsets` among all."""
    return as_offsets(mask)[offsets]


def ragged_rows(offsets, tasks):
    """Row numbers of the given tasks one after the other, and each task's number of rows."""
    starts = offsets[tasks]
    sizes = offsets[np.asarray(tasks) + 1] - starts
    return runs(starts, sizes), sizes


def runs(starts, counts):
    """Runs of numbers, of each `counts` from its `starts` on, one after the other."""
    ends = np.cumsum(counts)
    return np.arange(ends[-1] if len(ends) else 0) + np.repeat(starts - ends + counts, counts)


def within(sizes):
    """0, 1, ... in each group anew, one group after the other."""
    return runs(np.zeros(len(sizes), int), sizes)


def pad(starts, counts):
    """Runs of numbers, one a task, as a rectangle (tasks, longest), and where it is filled.

    The padding is 0.
    """
    columns = np.arange(counts.max(initial=0))
    filled = columns < counts[:, None]
    index = starts[:, None] + columns
    index *= filled
    return index, filled


def blocks(sizes, cells, max_cells):
    """Task numbers, the largest first, in blocks that fit into memory.

    Parameters
    ----------
    sizes : ndarray of shape (tasks,)
        Rows.
    cells : ndarray of shape (tasks,)
        What a task takes, were it the largest of its block; it grows with its rows.
    max_cells : int
        That a block of more than one task may take.
    """
    start, order = 0, np.argsort(-sizes, kind="stable")
    while start < len(order):
        count = max(1, max_cells // cells[order[start]])
        yield order[start : start + count]
        start += count
