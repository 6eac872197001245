"""Padded batches: some tasks' rows in one array, weight 0 on the padding."""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np


class _Rows(NamedTuple):
    X: np.ndarray
    y: np.ndarray
    weight: np.ndarray
    logit_mask: np.ndarray | None = None


class TaskBatch(_Rows):
    """Rows of a batch of tasks, ready for the network.

    Parameters
    ----------
    X : ndarray of shape (tasks, rows, features)
    y : ndarray of shape (tasks, rows, outputs)
        Targets; classes one-hot (or 0 and 1 in a single output).
    weight : ndarray of shape (tasks, rows)
        Row weights, 0 on padding.
    logit_mask : ndarray of shape (tasks, 1, outputs) or None
        Added to the outputs: hugely negative for a class that a task does not have.
    """

    @cached_property
    def share(self):
        """Row weights that sum to 1 in each task (0 where it has no rows)."""
        total = np.add.reduce(self.weight, axis=1, keepdims=True)
        return self.weight / np.maximum(total, np.finfo(total.dtype).tiny)

    def join(self, other):
        """The rows of both batches, task by task."""
        parts = zip(self[:3], other[:3], strict=True)
        return TaskBatch(*(np.concatenate(part, axis=1) for part in parts), self.logit_mask)


@dataclass(frozen=True)
class TaskArrays:
    """A task collection as the network takes it: numbers only, rows of a task together.

    Parameters
    ----------
    X : ndarray of shape (rows, features)
    y : ndarray of shape (rows, outputs)
    offsets : ndarray of shape (tasks + 1,)
    labels : ndarray of shape (rows,) or None
        Class codes; None in regression.
    n_classes : ndarray of shape (tasks,) or None
        Where each task has classes of its own, how many.
    is_support : ndarray of shape (rows,) or None
    """

    X: np.ndarray
    y: np.ndarray
    offsets: np.ndarray
    labels: np.ndarray | None = None
    n_classes: np.ndarray | None = None
    is_support: np.ndarray | None = None

    def __len__(self):
        return len(self.offsets) - 1

    @property
    def sizes(self):
        return np.diff(self.offsets)

    def take(self, tasks):
        """Some of the tasks, in the given order."""
        rows, sizes = ragged_rows(self.offsets, tasks)
        return TaskArrays(
            X=self.X[rows],
            y=self.y[rows],
            offsets=np.concatenate([[0], np.cumsum(sizes)]),
            labels=None if self.labels is None else self.labels[rows],
            n_classes=None if self.n_classes is None else self.n_classes[tasks],
            is_support=None if self.is_support is None else self.is_support[rows],
        )

    def select(self, mask):
        """The same tasks with those rows only that the mask has."""
        return TaskArrays(
            X=self.X[mask],
            y=self.y[mask],
            offsets=offsets_within(self.offsets, mask),
            labels=None if self.labels is None else self.labels[mask],
            n_classes=self.n_classes,
        )

    def batch(self, tasks, starts, counts, rows=None):
        """A padded batch: of each task, `counts` rows from the place `starts` on.

        Places are row numbers, or places in `rows`, which holds row numbers.
        """
        index, filled = pad(starts, counts)
        if rows is not None:
            index = rows.take(index)
        return TaskBatch(
            self.X.take(index, axis=0),
            self.y.take(index, axis=0),
            filled.astype(self.X.dtype),
            self.logit_mask(tasks),
        )

    def full_batch(self, tasks):
        """A padded batch of all rows of the given tasks."""
        starts = self.offsets[tasks]
        return self.batch(tasks, starts, self.offsets[np.asarray(tasks) + 1] - starts)

    def stack(self, other):
        """These tasks and then the other's."""

        def both(name):
            parts = getattr(self, name), getattr(other, name)
            return None if parts[0] is None else np.concatenate(parts)

        offsets = np.concatenate([self.offsets, self.offsets[-1] + other.offsets[1:]])
        return TaskArrays(both("X"), both("y"), offsets, both("labels"), both("n_classes"))

    def logit_mask(self, tasks):
        if self.n_classes is None or self.y.shape[1] == 1:
            return None
        absent = np.arange(self.y.shape[1]) >= self.n_classes[tasks, None]  # (tasks, outputs)
        if not absent.any():
            return None
        lowest = np.finfo(self.X.dtype).min / 8  # finite, so that 0 * mask is 0
        return np.where(absent, lowest, 0)[:, None].astype(self.X.dtype)

    def chunks(self, width, least=1, max_cells=2**20):
        """Whole tasks as padded batches of bounded size: yields (task numbers, batch).

        A row counts as `width` numbers, the most that a layer makes of it, and a task as
        `least` or more. Tasks of like size go together, so that little is padded.
        """
        cells = np.maximum(self.sizes * width, least)
        for tasks in blocks(self.sizes, cells, max_cells):
            yield tasks, self.full_batch(tasks)


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


def ragged_rows(offsets, tasks):
    """Row numbers of the given tasks one after the other, and each task's number of rows."""
    starts = offsets[tasks]
    sizes = offsets[np.asarray(tasks) + 1] - starts
    ends = np.cumsum(sizes)
    return np.arange(ends[-1] if len(ends) else 0) + np.repeat(starts - ends + sizes, sizes), sizes


def pad(starts, counts):
    """Runs of numbers, one a task, as a rectangle (tasks, longest), and where it is filled.

    The padding is 0.
    """
    columns = np.arange(counts.max(initial=0))
    filled = columns < counts[:, None]
    index = starts[:, None] + columns
    index *= filled
    return index, filled


def offsets_within(offsets, mask):
    """Where each task begins among the rows that the mask has, as `offsets` among all."""
    return np.concatenate([[0], np.cumsum(mask)])[offsets]
