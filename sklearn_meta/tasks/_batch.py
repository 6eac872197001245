"""Padded batches: some tasks' rows in one array, weight 0 on the padding."""

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from .._ragged import PER_ROW, PER_TASK, Joinable, blocks, offsets_within, pad

MAX_CELLS = 2**20  # numbers of a block of tasks, at a network's widest layer


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

    Examples
    --------
    Two tasks of three rows and one, the latter padded:

    >>> import numpy as np
    >>> from sklearn_meta.tasks import TaskBatch
    >>> weight = np.array([[1.0, 1.0, 2.0], [1.0, 0.0, 0.0]])
    >>> batch = TaskBatch(np.zeros((2, 3, 4)), np.zeros((2, 3, 1)), weight)
    >>> batch.share.tolist()
    [[0.25, 0.25, 0.5], [1.0, 0.0, 0.0]]
    """

    @cached_property
    def share(self):
        """Row weights that sum to 1 in each task (0 where it has no rows)."""
        total = np.add.reduce(self.weight, axis=1, keepdims=True)
        return self.weight / np.maximum(total, np.finfo(total.dtype).tiny)

    def astype(self, dtype):
        """The same numbers in this precision."""
        return TaskBatch(*(None if a is None else a.astype(dtype, copy=False) for a in self))

    def take(self, tasks):
        """Some of the tasks, by a slice or an array of their numbers."""
        mask = None if self.logit_mask is None else self.logit_mask[tasks]
        return TaskBatch(self.X[tasks], self.y[tasks], self.weight[tasks], mask)

    def join(self, other):
        """The rows of both batches, task by task."""
        parts = zip(self[:3], other[:3], strict=True)
        return TaskBatch(*(np.concatenate(part, axis=1) for part in parts), self.logit_mask)


@dataclass(frozen=True)
class TaskArrays(Joinable):
    """A task collection as the network takes it: numbers only, rows of a task together.

    Parameters
    ----------
    X : ndarray of shape (rows, features)
    y : ndarray of shape (rows, outputs) or (rows,)
        Targets; or class codes, of which a batch makes what it needs of one-hot rows.
    offsets : ndarray of shape (tasks + 1,)
    n_outputs : int or None
        Of the network, where `y` are class codes.
    n_classes : ndarray of shape (tasks,) or None
        Where each task has classes of its own, how many.
    is_support : ndarray of shape (rows,) or None
    weight : ndarray of shape (rows,) or None
        A row of weight w counts as w rows; None: each as one.
    blocks : ndarray of shape (rows,) of int or None
        Numbers of the blocks within a task, whose rows are dealt together; None: one by one.
    """

    X: np.ndarray = field(metadata=PER_ROW)
    y: np.ndarray = field(metadata=PER_ROW)
    offsets: np.ndarray
    n_outputs: int | None = None
    n_classes: np.ndarray | None = field(default=None, metadata=PER_TASK)
    is_support: np.ndarray | None = field(default=None, metadata=PER_ROW)
    weight: np.ndarray | None = field(default=None, metadata=PER_ROW)
    blocks: np.ndarray | None = field(default=None, metadata=PER_ROW)

    @property
    def labels(self):
        """Class codes (rows,); None in regression."""
        return None if self.n_outputs is None else self.y

    @property
    def n_there(self):
        """Rows of each task of a weight above 0, (tasks,)."""
        if self.weight is None:
            return self.sizes
        return np.diff(offsets_within(self.offsets, self.weight > 0))

    def astype(self, dtype):
        """The same with numbers in this precision; class codes stay as they are."""
        y = self.y if self.labels is not None else self.y.astype(dtype, copy=False)
        weight = None if self.weight is None else self.weight.astype(dtype, copy=False)
        return replace(self, X=self.X.astype(dtype, copy=False), y=y, weight=weight)

    def mean_target(self):
        """The mean over rows of the network's targets, (outputs,)."""
        if self.labels is None:
            return self.y.mean(axis=0)
        share = np.bincount(self.y, minlength=max(2, self.n_outputs)) / len(self.y)
        return share[-self.n_outputs :].astype(self.X.dtype)

    def batch(self, tasks, starts, counts, rows=None, outputs=None):
        """A padded batch: of each task, `counts` rows from the place `starts` on.

        Places are row numbers, or places in `rows`, which holds row numbers. Each class has the
        output of its own number, or the one that `outputs` (tasks, classes) says.
        """
        index, filled = pad(starts, counts)
        if rows is not None:
            index = rows.take(index)
        X, y = self.X.take(index, axis=0), self._targets(index, outputs)
        mask = None
        if self.n_classes is not None:
            mask = logit_mask(self.n_classes[tasks], y.shape[-1], X.dtype)
        weight = filled.astype(X.dtype)
        if self.weight is not None:
            weight *= self.weight.take(index)
        return TaskBatch(X, y, weight, mask)

    def full_batch(self, tasks):
        """A padded batch of all rows of the given tasks."""
        starts = self.offsets[tasks]
        return self.batch(tasks, starts, self.offsets[np.asarray(tasks) + 1] - starts)

    def _targets(self, index, outputs):
        """Of the rows (tasks, rows) what the network is to give, (tasks, rows, outputs)."""
        y = self.y.take(index, axis=0)
        if self.labels is None:
            return y
        if outputs is not None:
            y = np.take_along_axis(outputs, y, axis=1)
        return one_hot(y, self.n_outputs, self.X.dtype)

    def chunks(self, width, least=1, max_cells=MAX_CELLS):
        """Whole tasks as padded batches of bounded size: yields (task numbers, batch).

        A row counts as `width` numbers, the most that a layer makes of it, and a task as
        `least` or more. Tasks of like size go together, so that little is padded.
        """
        for tasks in self.task_blocks(width, least, max_cells):
            yield tasks, self.full_batch(tasks)

    def task_blocks(self, width, least=1, max_cells=MAX_CELLS):
        """The numbers of the tasks that go together in `chunks`."""
        return blocks(self.sizes, np.maximum(self.sizes * width, least), max_cells)


def one_hot(codes, n_outputs, dtype):
    """Class codes (tasks, rows) as targets (tasks, rows, outputs); of two classes, themselves."""
    if n_outputs == 1:
        return codes[..., None].astype(dtype)
    y = np.zeros(codes.size * n_outputs, dtype)
    y[np.arange(0, y.size, n_outputs) + codes.ravel()] = 1
    return y.reshape(*codes.shape, n_outputs)


def logit_mask(n_classes, n_outputs, dtype):
    """What the outputs of tasks with so many classes (tasks,) are lowered by.

    Returns
    -------
    ndarray of shape (tasks, 1, outputs) or None
        Hugely negative for a class that a task does not have; None where all have all.
    """
    absent = np.arange(n_outputs) >= n_classes[:, None]  # (tasks, outputs)
    if n_outputs == 1 or not absent.any():
        return None
    lowest = np.finfo(dtype).min / 8  # finite, so that 0 * mask is 0
    return np.where(absent, lowest, 0)[:, None].astype(dtype)
