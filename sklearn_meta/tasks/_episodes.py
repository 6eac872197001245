"""Episodes: the rows of each task dealt into support and query, all tasks at once."""

from functools import cached_property
from typing import NamedTuple

import numpy as np

from .._ragged import as_offsets, offsets_within, ragged_rows, runs, within
from .._runtime import Cached
from ._blocks import Blocks
from ._draws import draw_ordered


class Dealt(NamedTuple):
    """Rows of tasks, one task after the other."""

    rows: np.ndarray  # (rows,), row numbers
    starts: np.ndarray  # (tasks,), where each task's begin in `rows`
    counts: np.ndarray  # (tasks,)
    n_blocks: np.ndarray | None = None  # (tasks,), of each, where rows are dealt in blocks

    @property
    def n_units(self):
        """What was dealt of each task, blocks or else rows, (tasks,)."""
        return self.counts if self.n_blocks is None else self.n_blocks

    @property
    def all_rows(self):
        """Those that are of a task."""
        return self.rows[runs(self.starts, self.counts)]


class Deal(NamedTuple):
    """Episodes of many meta-batches: dealt at once, handed out one by one."""

    tasks: np.ndarray  # (meta-batches, tasks)
    support: Dealt  # of meta-batches * tasks
    query: Dealt
    outputs: np.ndarray | None  # (meta-batches * tasks, classes), the output that stands for each


class Strata(NamedTuple):
    """Rows that can be of the support, by what a number of shots is of: the task, or its class."""

    rows: np.ndarray  # (rows,), row numbers, ascending in each stratum
    offsets: np.ndarray  # (strata + 1,), where each begins in `rows`
    of_task: np.ndarray  # (tasks + 1,), where each task's begin among the strata


class EpisodeSampler(Cached):
    """Draws episodes from the tasks of a collection, with no loop over tasks.

    Where tasks have classes of their own, these are numbered anew in each episode. The cost is
    of the rows that are drawn: of a large task, of which few are asked, few are touched.

    Units are dealt: rows, or where the arrays have blocks, these, each as its first row. A block's
    rows follow in the end.

    Parameters
    ----------
    arrays : TaskArrays
    n_shots : int, (int, int), "auto" or "half"
        Units of the support, with `stratify` of each class; a pair or "auto" draws a size for
        each task anew. "auto" is 0 to 20 (of at least 4 classes, up to 5 times their number, 100 at
        most), with `stratify` as many in all; where tasks have classes of their own, 1 or more of
        each. "half" is half of the task's, or of each class's.
    n_query : int or None
        Units of the query at most; None takes all that the support left.
    support_order : {"random", "first"}
        Whether the support is drawn or is the task's earliest rows.
    max_rows : int or None, default=None
        Rows of a task that its episode has at most, support and query together, from 2 on; None:
        any number. Of a larger task the query has `n_query` of them, but half at most if the
        support asks for the others; support rows that are too many are left out evenly by class.
        The first rows are the task's own first, whatever the cap. With blocks the cap is of these,
        as many as would do if all were as large as the task's largest, but 2 at least.
    stratify : bool or "auto", default="auto"
        Whether shots are of each class, of which a block must then have one. "auto": where classes
        are a task's own. Shared ones are taken as they come, so that adaptation is ready for a
        support that lacks some.
    """

    def __init__(self, arrays, n_shots, n_query, support_order, max_rows=None, stratify="auto"):
        self.arrays, self.stratify = arrays, stratify
        self.n_shots, self.n_query, self.support_order = n_shots, n_query, support_order
        self.max_rows = max_rows

    def draw(self, tasks, random_state):
        """Support and query batches of the given tasks."""
        return self.episode(self.deal(tasks[None], random_state), 0)

    def deal(self, tasks, random_state):
        """Episodes of the meta-batches `tasks`, (meta-batches, tasks)."""
        flat = tasks.ravel()
        support, query = self.deal_rows(flat, random_state)
        own_classes = self.arrays.n_classes is not None
        outputs = self._draw_outputs(flat, random_state) if own_classes else None
        return Deal(tasks, support, query, outputs)

    def episode(self, deal, number):
        """Support and query batches of one of the meta-batches that were dealt."""
        tasks = deal.tasks[number]
        part = slice(number * len(tasks), (number + 1) * len(tasks))
        outputs = None if deal.outputs is None else deal.outputs[part]
        return tuple(
            self.arrays.batch(tasks, dealt.starts[part], dealt.counts[part], dealt.rows, outputs)
            for dealt in (deal.support, deal.query)
        )

    def deal_rows(self, tasks, random_state):
        """Rows of the given tasks: (support, query), each a `Dealt`."""
        if self._any_unit:
            dealt = self._deal_any(tasks, random_state)
        else:
            support = self._deal_support(tasks, random_state)
            dealt = support, self._deal_query(tasks, support, random_state)
        return dealt if self._blocks is None else tuple(map(self._in_rows, dealt))

    def split(self, random_state):
        """Masks (rows,) of the support and of the query, every task dealt once."""
        dealt = self.deal_rows(np.arange(len(self.arrays)), random_state)
        masks = np.zeros((2, len(self.arrays.X)), bool)
        for mask, part in zip(masks, dealt, strict=True):
            mask[part.all_rows] = True
        return masks

    def n_most(self, tasks):
        """Rows that an episode takes of each of the given tasks, at most; in blocks, about."""
        most = self._most_units(tasks)
        if self._blocks is None:
            return most
        return most * self.arrays.sizes[tasks] / self.n_units[tasks]

    def _most_units(self, tasks):
        sizes = self.n_units[tasks]
        if self.max_rows is not None:
            sizes = np.minimum(sizes, self._cap(tasks))
        if self.n_query is None or self.n_shots == "half":
            return sizes
        shots = self._most_shots() if self.n_shots == "auto" else np.max(self.n_shots)
        n_strata = self._n_classes if self._by_class else 1
        return np.minimum(sizes, shots * n_strata + self.n_query)

    @cached_property
    def _blocks(self):
        arrays = self.arrays
        return None if arrays.blocks is None else Blocks.of(arrays.offsets, arrays.blocks)

    @cached_property
    def _units(self):
        """What is dealt, as arrays: all rows, or the first of each block."""
        return self.arrays if self._blocks is None else self.arrays.select(self._blocks.is_first)

    def _in_rows(self, dealt):
        """Blocks that were dealt, as their rows."""
        rows, sizes = self._blocks.rows_of(dealt.rows)
        begin = as_offsets(sizes)
        starts = begin[dealt.starts]
        counts = begin[dealt.starts + dealt.counts] - starts
        return Dealt(rows, starts, counts, dealt.counts)

    @property
    def n_units(self):
        """What there is to be dealt of each task, blocks or else rows, (tasks,)."""
        return self._units.sizes

    @property
    def largest_unit(self):
        """Rows of the largest."""
        return 1 if self._blocks is None else int(self._largest_blocks.max())

    @property
    def _any_unit(self):
        """Whether a task's support is any of its units, whatever their place, class or mark."""
        return (
            self.support_order == "random" and not self._by_class and self._units.is_support is None
        )

    def _deal_any(self, tasks, random_state):
        """The first rows in a random order as support, the next as query."""
        sizes, dealt = self.n_units[tasks], self._most_units(tasks)
        places = draw_ordered(sizes, dealt, random_state)
        rows = np.repeat(self._units.offsets[tasks], dealt) + places
        shots = np.minimum(self._draw_shots(dealt - 1, random_state), dealt - 1)
        n_support = np.minimum(shots, self._most_support(tasks))
        starts = np.cumsum(dealt) - dealt
        n_query = self._count_query(tasks, dealt - n_support, n_support)
        return Dealt(rows, starts, n_support), Dealt(rows, starts + n_support, n_query)

    def _deal_support(self, tasks, random_state):
        """As many rows of each stratum of a task, drawn or its first."""
        strata = self._strata
        numbers, n_strata = ragged_rows(strata.of_task, tasks)
        task = np.repeat(np.arange(len(tasks)), n_strata)  # (strata,)
        starts, sizes = strata.offsets[numbers], np.diff(strata.offsets)[numbers]
        most = self._most_support(tasks)
        counts = np.minimum(self._count_shots(task, sizes, len(tasks), random_state), most[task])
        if self.support_order == "random":
            places = draw_ordered(sizes, counts, random_state)
        else:
            places = within(counts)
        rows = strata.rows[np.repeat(starts, counts) + places]
        n_support = np.bincount(task, counts, minlength=len(tasks)).astype(int)
        if np.any(n_support > most):  # those that come first in their strata are kept
            keys = random_state.random_sample(len(rows)), within(counts), np.repeat(task, counts)
            rows = rows[np.lexsort(keys)]
        return Dealt(rows, np.cumsum(n_support) - n_support, np.minimum(n_support, most))

    def _count_shots(self, task, sizes, n_tasks, random_state):
        """Support rows of each stratum (strata,), by its task's number and its size."""
        largest = np.zeros(n_tasks, int)  # of a task's strata
        np.maximum.at(largest, task, sizes)
        # unless the query rows are marked too, something must be left for them
        most = largest - (self._units.is_support is None)
        shots = np.minimum(self._draw_shots(most, random_state), most)[task]
        if self.n_shots == "half" and self._by_class:  # of each class, and one at least
            shots = np.maximum(sizes // 2, 1)
        return np.minimum(shots, sizes)

    def _deal_query(self, tasks, support, random_state):
        """Any of the rows that the support left, or of those that are not marked for it."""
        if self._units.is_support is not None:
            return self._deal_unmarked(tasks, support.counts, random_state)
        n_left = self.n_units[tasks] - support.counts
        n_query = self._count_query(tasks, n_left, support.counts)
        places = draw_ordered(n_left, n_query, random_state)
        places = _among_all(places, n_query, n_left, self._places(tasks, support), support.counts)
        rows = np.repeat(self._units.offsets[tasks], n_query) + places
        return Dealt(rows, np.cumsum(n_query) - n_query, n_query)

    def _places(self, tasks, dealt):
        """Of the rows dealt of tasks, task by task, the places within these, ascending."""
        number = np.arange(len(tasks)) * len(self._units.X)  # a task may be there twice
        rows = np.sort(np.repeat(number, dealt.counts) + dealt.all_rows)
        return rows - np.repeat(number + self._units.offsets[tasks], dealt.counts)

    def _deal_unmarked(self, tasks, n_support, random_state):
        unmarked, offsets = self._unmarked
        sizes = np.diff(offsets)[tasks]
        n_query = self._count_query(tasks, sizes, n_support)
        places = np.repeat(offsets[tasks], n_query) + draw_ordered(sizes, n_query, random_state)
        return Dealt(unmarked[places], np.cumsum(n_query) - n_query, n_query)

    def _count_query(self, tasks, n_left, n_support):
        """Query units of each task, of those that are left for it."""
        n_query = n_left if self.n_query is None else np.minimum(n_left, self.n_query)
        if self.max_rows is None:
            return n_query
        return np.minimum(n_query, self._cap(tasks) - n_support)

    def _most_support(self, tasks):
        """Support units that each task can have beside its query, for `max_rows`."""
        sizes = self.n_units[tasks]
        if self.max_rows is None:
            return sizes
        cap = self._cap(tasks)
        n_query = cap // 2
        if self.n_query is not None:
            n_query = np.minimum(n_query, self.n_query)
        return np.where(sizes > cap, cap - n_query, sizes)

    def _cap(self, tasks):
        """Units that an episode has of each task at most, for `max_rows`."""
        if self._blocks is None:
            return self.max_rows
        return np.maximum(self.max_rows // self._largest_blocks[tasks], 2)

    @cached_property
    def _largest_blocks(self):
        return self._blocks.largest()

    @cached_property
    def _strata(self):
        arrays = self._units
        task = np.repeat(np.arange(len(arrays)), arrays.sizes)  # (rows,)
        rows, stratum, n_each = np.arange(len(task)), task, 1
        if arrays.is_support is not None:
            rows = np.flatnonzero(arrays.is_support)
        if self._by_class:
            n_each = self._n_classes
            stratum = task * n_each + arrays.labels
            rows = rows[np.argsort(stratum[rows], kind="stable")]
        starts = np.flatnonzero(np.diff(stratum[rows], prepend=-1))
        of_task = np.searchsorted(stratum[rows[starts]], np.arange(len(arrays) + 1) * n_each)
        return Strata(rows, np.append(starts, len(rows)), of_task)

    @cached_property
    def _unmarked(self):
        """Row numbers of what is query, and where each task's begin (tasks + 1,)."""
        mask = ~self._units.is_support
        return np.flatnonzero(mask), offsets_within(self._units.offsets, mask)

    def _draw_shots(self, most, random_state):
        """A number of shots for each task."""
        if self.n_shots == "half":
            return (most + 1) // 2
        if self.n_shots == "auto":
            low = 0 if self.arrays.n_classes is None else 1
            return random_state.randint(low, np.clip(most, low, self._most_shots()) + 1)
        low, high = (self.n_shots,) * 2 if np.isscalar(self.n_shots) else self.n_shots
        return random_state.randint(low, high + 1, size=len(most))

    @property
    def _by_class(self):
        """Whether shots are of each class."""
        arrays = self.arrays
        if self.stratify == "auto":
            return arrays.n_classes is not None
        return self.stratify and arrays.labels is not None

    @property
    def _n_classes(self):
        return max(2, self.arrays.n_outputs)

    def _most_shots(self):
        """That "auto" draws: 20 rows, or in classification 5 times the classes if more.

        Of shared classes 100 at most: a meta-step costs rows times classes.
        """
        n_classes = 0 if self.arrays.labels is None else self._n_classes
        rows = max(20, 5 * n_classes)
        return rows // n_classes if self._by_class else min(rows, 100)

    def _draw_outputs(self, tasks, random_state):
        """For each task and class, the output that is to stand for it, (tasks, classes)."""
        classes = np.arange(self._n_classes)
        keys = random_state.random_sample((len(tasks), len(classes)))
        keys += classes >= self.arrays.n_classes[tasks][:, None]  # absent ones stay at the end
        return np.argsort(keys, axis=1)


def _among_all(places, counts, n_left, taken, n_taken):
    """Places among the rows of each task, from those among the rows that are left.

    Parameters
    ----------
    places : ndarray of shape (counts.sum(),)
        Task by task, each below its `n_left`.
    counts, n_left : ndarrays of shape (tasks,)
    taken : ndarray of shape (n_taken.sum(),)
        Places of the rows that are not left, task by task, in each ascending.
    n_taken : ndarray of shape (tasks,)
    """
    first = np.cumsum(n_left) - n_left  # of each task among what is left of all
    n_before = np.repeat(first, n_taken) + taken - within(n_taken)  # left before what is taken
    n_passed = np.searchsorted(n_before, np.repeat(first, counts) + places, side="right")
    return places + n_passed - np.repeat(np.cumsum(n_taken) - n_taken, counts)
