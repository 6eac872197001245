"""Tasks that are kept as their rows, and learned anew when they are asked.

Weights of a task's own take hundreds of times the memory of the few rows that they come from.
"""

import pickle
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from ._runtime import Cached
from .algorithms import AdaptedTasks, PredictsStd
from .tasks._batch import TaskArrays

MAX_BYTES = 2**26  # that adapted tasks may take, where their rows take less
FAR_LESS = 1 / 4  # rows that take less than this share of what is learned are kept beside it


@dataclass(frozen=True, eq=False)
class TasksOnDemand(Cached):
    """Adapted tasks of which the rows are kept.

    Parameters
    ----------
    learned : Learned
        What learns them.
    rows : TaskArrays
        What they are learned from.
    ready : AdaptedTasks or None
        The same tasks, learned, as long as they do not take too much.
    """

    learned: object
    rows: TaskArrays
    ready: AdaptedTasks | None = None

    def outputs(self, network, X, logit_mask=None):
        """Outputs before the link of rows X (tasks, rows, features), (tasks, rows, outputs)."""
        return self._ask("outputs", network, X, logit_mask)

    def take(self, tasks):
        """Some of the tasks, by an array of their numbers, in that order."""
        ready = None if self.ready is None else self.ready.take(tasks)
        return replace(self, rows=self.rows.take(tasks), ready=ready)

    def task(self, number):
        """One of the tasks, learned."""
        if self.ready is not None:
            return self.ready.task(number)
        return self.take(np.array([number]))._alone.task(0)

    def finite(self, n_tasks):
        """All of the tasks: they were learned before."""
        return np.ones(n_tasks, bool)

    @classmethod
    def concatenate(cls, parts):
        """The tasks of several in one; learned, if those of all are, and do not take too much."""
        ready = [part.ready for part in parts]
        ready = None if any(tasks is None for tasks in ready) else type(ready[0]).concatenate(ready)
        if ready is not None and bytes_of(ready) > MAX_BYTES:
            ready = None
        rows = _alike([part.rows for part in parts])
        return replace(parts[0], rows=TaskArrays.concatenate(rows), ready=ready)

    @cached_property
    def _alone(self):
        """The only task, learned: it may be asked for many rows, a chunk at a time."""
        ((_, adapted),) = self._learn()
        return adapted

    def _ask(self, method, network, X, logit_mask):
        if self.ready is not None:
            return getattr(self.ready, method)(network, X, logit_mask)
        if len(self.rows) == 1:
            return getattr(self._alone, method)(network, X, logit_mask)
        result = np.empty((*X.shape[:2], network.n_outputs), X.dtype)
        for tasks, adapted in self._learn():
            mask = None if logit_mask is None else logit_mask[tasks]
            result[tasks] = getattr(adapted, method)(network, X[tasks], mask)
        return result

    def _learn(self):
        """Chunks of bounded memory: yields (task numbers, AdaptedTasks)."""
        for tasks, batch in self.rows.chunks(*self.learned.network.cells):
            yield tasks, self.learned.learn_batch(batch, np.full(len(tasks), None), [])


class UnsureTasksOnDemand(TasksOnDemand):
    """Those of an algorithm whose tasks know how sure they are."""

    def std(self, network, X, logit_mask=None):
        """Predictive standard deviation of rows X (tasks, rows, features)."""
        return self._ask("std", network, X, logit_mask)

    def inverse_df(self, network, X, logit_mask=None):
        """Of tasks of a Bayesian head: one over the degrees of freedom of their distributions."""
        return self._ask("inverse_df", network, X, logit_mask)

    def jointly(self, network, X, logit_mask=None):
        """The only task at several rows at once, X (rows, features)."""
        return (self._alone if self.ready is None else self.ready).jointly(network, X, logit_mask)


def on_demand(learned, rows, adapted, ready=None):
    """Tasks on demand of the kind of `adapted`."""
    kind = UnsureTasksOnDemand if isinstance(adapted, PredictsStd) else TasksOnDemand
    return kind(learned, replace(rows, is_support=None, blocks=None), ready)


def bytes_of(value):
    """The memory that a value takes, about; 0 of what cannot be pickled, which says nothing."""
    arrays = []
    try:
        rest = pickle.dumps(value, protocol=5, buffer_callback=arrays.append)  # no array is copied
    except Exception:  # of whatever an algorithm of the user's returns
        return 0
    return len(rest) + sum(array.raw().nbytes for array in arrays)


def bytes_of_rows(rows):
    return sum(array.nbytes for array in vars(rows).values() if isinstance(array, np.ndarray))


def own_bytes(adapted, n_tasks):
    """What tasks take of their own, beyond what all share."""
    twice = adapted.take(np.tile(np.arange(n_tasks), 2))
    return bytes_of(twice) - bytes_of(adapted)


def _alike(parts):
    """Rows that can be put behind each other: if some have weights, all."""
    if all(rows.weight is None for rows in parts):
        return parts
    return [
        replace(rows, weight=np.ones(len(rows.X), rows.X.dtype)) if rows.weight is None else rows
        for rows in parts
    ]
