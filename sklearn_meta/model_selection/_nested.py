"""Nested supports: which rows of each task are shown, for several numbers of shots at once."""

from dataclasses import replace
from numbers import Integral
from typing import NamedTuple

import numpy as np
from sklearn.utils import check_random_state

from .._compat import Interval, StrOptions
from .._messages import shown
from .._ragged import within
from ..tasks._blocks import blocks_of, check_one_class

NEVER = np.iinfo(np.intp).max  # the place of a row that cannot be of a support
SHOTS_CONSTRAINTS = {
    "n_repeats": [Interval(Integral, 1, None, closed="left")],
    "support_order": [StrOptions({"random", "first"})],
    "random_state": ["random_state"],
}


class NestedSupports(NamedTuple):
    """Of each task, supports that grow with the shots, and a query that stays the same.

    Parameters
    ----------
    n_shots : tuple of int
        Ascending.
    served : ndarray of shape (n_shots, tasks) of bool
        Whether a task has as many rows, and one more to judge by.
    task : ndarray of shape (rows,)
        Each row's task, by its number.
    place : ndarray of shape (repeats, rows)
        Of each row in the order in which its task, or its class, shows rows.
    most : ndarray of shape (rows,)
        The most shots at which the row's task is served; -1 where it never is.
    is_query : ndarray of shape (rows,) of bool or None
        Rows that are marked as no support; None where none are marked.
    """

    n_shots: tuple
    served: np.ndarray
    task: np.ndarray
    place: np.ndarray
    most: np.ndarray
    is_query: np.ndarray | None

    @property
    def n_repeats(self):
        return len(self.place)

    def masks(self, number, repeat):
        """Masks (rows,) of support and query, of the tasks that n_shots[number] serves."""
        served = self.served[number][self.task]
        support = self.place[repeat] < self.n_shots[number]
        return served & support, served & self.query(repeat)

    def query(self, repeat):
        """Mask (rows,) of what judges the tasks that any number of shots serves."""
        query = self.place[repeat] >= self.most if self.is_query is None else self.is_query
        return query & (self.most >= 0)

    def of_rows(self, blocks):
        """From those of blocks, each as a row, to those of their rows."""
        per_block = self.task, self.most, self.is_query
        task, most, is_query = (None if each is None else each[blocks.of_row] for each in per_block)
        place = self.place[:, blocks.of_row]
        return self._replace(task=task, place=place, most=most, is_query=is_query)


def nested_supports(tasks, n_shots, n_repeats, support_order, stratify, random_state):
    """Supports of all tasks of a collection.

    Parameters
    ----------
    tasks : TaskCollection
        Where it marks rows, supports are of these and the others are the query. Where rows are in
        blocks, shots are blocks.
    n_shots : tuple of int
        Ascending.
    n_repeats : int
        Draws; the first rows are drawn once.
    support_order : {"random", "first"}
    stratify : bool
        Whether shots are of each class (of a rare one as many as there are) or of the task.
    random_state : int, RandomState or None

    Returns
    -------
    NestedSupports

    Raises
    ------
    ValueError
        If shots are of each class, and a block has rows of several.
    """
    blocks = blocks_of(tasks)
    if blocks is not None:
        if stratify:
            check_one_class(tasks, ", or shots of whatever class")
        firsts = replace(tasks.select(blocks.is_first), blocks=None)
        options = n_shots, n_repeats, support_order, stratify, random_state
        return nested_supports(firsts, *options).of_rows(blocks)
    random_state = check_random_state(random_state)
    task = np.repeat(np.arange(len(tasks)), tasks.sizes)  # (rows,)
    stratum = _strata(task, tasks.y) if stratify else task
    eligible = np.ones(tasks.n_rows, bool) if tasks.is_support is None else tasks.is_support
    largest = _largest_stratum(task[eligible], stratum[eligible], len(tasks))
    served = _served(tasks, task, np.array(n_shots), largest)
    most = np.where(served, np.array(n_shots)[:, None], -1).max(axis=0)  # (tasks,)
    random = support_order == "random"
    place = np.full((n_repeats if random else 1, tasks.n_rows), NEVER)
    for of_repeat in place:
        key = random_state.random_sample(tasks.n_rows) if random else np.arange(tasks.n_rows)
        of_repeat[eligible] = _places(stratum[eligible], key[eligible])
    is_query = None if tasks.is_support is None else ~tasks.is_support
    return NestedSupports(n_shots, served, task, place, most[task], is_query)


def check_n_shots(n_shots):
    """Numbers of shots, ascending, each once; a single one will do."""
    values = [n_shots] if np.ndim(n_shots) == 0 else list(n_shots)
    for value in values:
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 0:
            raise ValueError(f"n_shots must be whole numbers of 0 or more, got {shown(n_shots)}")
    if not values:
        raise ValueError("n_shots must name at least one number of rows, got none")
    return tuple(sorted({int(value) for value in values}))


def _strata(task, y):
    """The number of each row's task and class together, (rows,)."""
    classes, code = np.unique(y, return_inverse=True)
    return np.unique(task * len(classes) + code, return_inverse=True)[1]


def _largest_stratum(task, stratum, n_tasks):
    """Rows of the largest stratum of each task, (tasks,)."""
    sizes, largest = np.bincount(stratum), np.zeros(n_tasks, int)
    np.maximum.at(largest, task, sizes[stratum])
    return largest


def _served(tasks, task, n_shots, largest):
    """Whether each task has rows to show and to judge by, (n_shots, tasks)."""
    if tasks.is_support is None:
        served = largest > n_shots[:, None]
    else:
        judged = np.bincount(task[~tasks.is_support], minlength=len(tasks)) > 0
        served = (largest >= n_shots[:, None]) & judged
    if not tasks.shared_labels:  # with no rows, nobody knows a task's classes
        served[n_shots == 0] = False
    return served


def _places(stratum, key):
    """The rank of each row in its stratum by its key, (rows,)."""
    order = np.lexsort((key, stratum))
    places = np.empty(len(order), np.intp)
    places[order] = within(np.unique(stratum, return_counts=True)[1])
    return places
