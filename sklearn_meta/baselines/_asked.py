"""What was learned of tasks, and the rows that are asked of them."""

from dataclasses import dataclass

import numpy as np

from .._compat import safe_indexing
from .._known_tasks import UNKNOWN


@dataclass(frozen=True, eq=False)
class Each:
    """What was learned of each of some tasks: an AdaptedTasks that predicts nothing by itself."""

    values: np.ndarray  # (tasks, numbers)

    def take(self, tasks):
        return Each(self.values[tasks])

    @classmethod
    def concatenate(cls, parts):
        return cls(np.concatenate([part.values for part in parts]))


@dataclass(frozen=True, eq=False)
class Asked:
    """Rows to predict.

    Parameters
    ----------
    X : {ndarray, dataframe} of shape (rows, features)
    task : ndarray of shape (rows,)
        The number of each row's task.
    learned : ndarray of shape (tasks, numbers)
        What is known of each.
    groups : ndarray of shape (rows,) or None
    """

    X: object
    task: np.ndarray
    learned: np.ndarray
    groups: np.ndarray | None

    @classmethod
    def of(cls, X, place, known, nothing, groups):
        places, task = np.unique(place, return_inverse=True)
        learned = np.empty((len(places), *nothing.shape), nothing.dtype)
        learned[:] = nothing
        there = np.flatnonzero(places != UNKNOWN)
        if len(there):
            for batch, which, numbers in known.by_part(places[there]):
                learned[there[which]] = batch.adapted.values[numbers]
        return cls(X, task, learned, groups)

    def by_task(self):
        """Yields what is known of a task, the numbers of its rows, and these."""
        order = np.argsort(self.task, kind="stable")
        starts = np.searchsorted(self.task[order], np.arange(1, len(self.learned)))
        for learned, rows in zip(self.learned, np.split(order, starts), strict=True):
            yield learned, rows, safe_indexing(self.X, rows)
