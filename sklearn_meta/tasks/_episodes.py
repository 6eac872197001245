"""Episodes: the rows of each task dealt into support and query, all tasks at once."""

from typing import NamedTuple

import numpy as np

from .._ragged import ragged_rows


class Deal(NamedTuple):
    """Episodes of many meta-batches, as row numbers: dealt at once, handed out one by one."""

    tasks: np.ndarray  # (meta-batches, tasks)
    rows: np.ndarray  # (rows,), task by task, in each first its support, then its query
    starts: np.ndarray  # (meta-batches * tasks,), where each task's rows begin
    n_support: np.ndarray  # (meta-batches * tasks,)
    n_query: np.ndarray  # (meta-batches * tasks,)
    labels: np.ndarray | None  # (meta-batches * tasks, 1, outputs), the class each output means


class EpisodeSampler:
    """Draws episodes from the tasks of a collection, with no loop over tasks.

    Where tasks have classes of their own, these are numbered anew in each episode.

    Parameters
    ----------
    arrays : TaskArrays
    n_shots : int, (int, int), "auto" or "half"
        Support rows, in classification of each class; a pair or "auto" draws a size for
        each task anew. "auto" is 0 to 20 rows of whatever class (of at least 4 classes, up
        to 5 times their number, 100 at most); where tasks have classes of their own, 1 or more
        of each.
        "half" is half of the task's rows, or where tasks have classes of their own, of each
        class's.
    n_query : int or None
        Query rows at most; None takes all that the support left.
    support_order : {"random", "first"}
        Whether the support is drawn or is the task's earliest rows.
    """

    def __init__(self, arrays, n_shots, n_query, support_order):
        self.arrays = arrays
        self.n_shots, self.n_query, self.support_order = n_shots, n_query, support_order

    def draw(self, tasks, random_state):
        """Support and query batches of the given tasks."""
        return self.episode(self.deal(tasks[None], random_state), 0)

    def deal(self, tasks, random_state):
        """Episodes of the meta-batches `tasks`, (meta-batches, tasks)."""
        flat = tasks.ravel()
        rows = self.deal_rows(flat, random_state)
        own_classes = self.arrays.n_classes is not None
        return Deal(tasks, *rows, self._draw_labels(flat, random_state) if own_classes else None)

    def episode(self, deal, number):
        """Support and query batches of one of the meta-batches that were dealt."""
        tasks = deal.tasks[number]
        part = slice(number * len(tasks), (number + 1) * len(tasks))
        starts, n_support, n_query = (a[part] for a in (deal.starts, deal.n_support, deal.n_query))
        batches = (
            self.arrays.batch(tasks, starts, n_support, deal.rows),
            self.arrays.batch(tasks, starts + n_support, n_query, deal.rows),
        )
        if deal.labels is None:
            return batches
        return tuple(_relabel(batch, deal.labels[part]) for batch in batches)

    def deal_rows(self, tasks, random_state):
        """Rows of the given tasks, in each first its support, then its query.

        Returns
        -------
        rows : ndarray of shape (rows,)
            Row numbers, task by task.
        starts, n_support, n_query : ndarrays of shape (tasks,)
            Where each task's rows begin, and how many are of the support, then of the query.
        """
        rows, sizes = self._draw_rows(tasks, random_state)
        task = np.repeat(np.arange(len(sizes)), sizes)  # (rows,)
        key = random_state.random_sample(len(rows))
        part = 0
        if self._any_row:  # the first of a task in the order of `key` are its support
            n_support = np.minimum(self._draw_shots(sizes - 1, random_state), sizes - 1)
            n_left = sizes - n_support
        else:
            part, key, n_support, n_left = self._choose_support(
                rows, task, sizes, key, random_state
            )
        n_query = n_left if self.n_query is None else np.minimum(n_left, self.n_query)
        return (
            rows[_order_within(3 * task + part, key)],
            np.cumsum(sizes) - sizes,
            n_support,
            n_query,
        )

    def split(self, random_state):
        """Masks (rows,) of the support and of the query, every task dealt once."""
        rows, starts, *counts = self.deal_rows(np.arange(len(self.arrays)), random_state)
        dealt = np.diff(starts, append=len(rows))
        place = np.arange(len(rows)) - np.repeat(starts, dealt)  # within the task, (rows,)
        n_support, n_query = (np.repeat(count, dealt) for count in counts)
        is_support, is_query = np.zeros((2, len(self.arrays.X)), bool)
        is_support[rows] = place < n_support
        is_query[rows] = (place >= n_support) & (place < n_support + n_query)
        return is_support, is_query

    def n_dealt(self, tasks):
        """Rows of each of the given tasks that are dealt: few of a large task, if that will do."""
        sizes = self.arrays.sizes[tasks]
        if not self._any_row or self.n_query is None or self.n_shots == "half":
            return sizes
        shots = self._most_shots() if self.n_shots == "auto" else np.max(self.n_shots)
        most = shots + self.n_query
        return np.minimum(sizes, most) if 4 * most < sizes.mean() else sizes

    def _draw_rows(self, tasks, random_state):
        """Rows to deal, task by task, and how many of each."""
        starts, sizes = self.arrays.offsets[tasks], self.arrays.sizes[tasks]
        dealt = self.n_dealt(tasks)
        if np.array_equal(dealt, sizes):
            return ragged_rows(self.arrays.offsets, tasks)
        places = draw_subsets(sizes, dealt, random_state)  # (most dealt, tasks)
        filled = np.arange(len(places)) < dealt[:, None]  # (tasks, most dealt)
        return (starts + places).T[filled], dealt

    @property
    def _any_row(self):
        """Whether a task's support is any of its rows, whatever their place, class or mark."""
        return (
            self.support_order == "random" and not self._by_class and self.arrays.is_support is None
        )

    def _choose_support(self, rows, task, sizes, key, random_state):
        """The support as the first of each stratum, by `key` or by place.

        Returns for each row (rows,) its part, 0 of the support, 1 of what can be query, 2 of
        neither, and its key within the part; and how many rows of each task (tasks,) are of the
        first two parts.
        """
        arrays, stratum = self.arrays, task
        if self._by_class:
            labels = arrays.labels[rows]
            stratum = task * (labels.max(initial=0) + 1) + labels
        unmarked = np.zeros(len(rows), bool)
        if arrays.is_support is not None:
            unmarked = ~arrays.is_support[rows]
        place = key if self.support_order == "random" else np.arange(len(rows)) / len(rows)
        rank = _ranks(2 * stratum + unmarked, place)
        largest = np.zeros(len(sizes), int)  # of a task's strata, in marked rows
        np.maximum.at(largest, task, (rank + 1) * ~unmarked)
        # unless the query rows are marked too, something must be left for them
        most = largest - (arrays.is_support is None)
        shots = np.minimum(self._draw_shots(most, random_state), most)[task]
        if self.n_shots == "half" and self._by_class:  # of each class, and one at least
            shots = np.maximum(np.bincount(stratum, ~unmarked)[stratum] // 2, 1)
        is_support = ~unmarked & (rank < shots)
        left = ~is_support if arrays.is_support is None else unmarked
        counts = (np.bincount(task[mask], minlength=len(sizes)) for mask in (is_support, left))
        return 2 - 2 * is_support - left, np.where(is_support, place, key), *counts

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
        """Whether shots are of each class: "auto" and "half" take shared labels as they come, so
        that adaptation is ready for a support that lacks some."""
        arrays, any_class = self.arrays, self.n_shots in ("auto", "half")
        return arrays.labels is not None and (not any_class or arrays.n_classes is not None)

    def _most_shots(self):
        """That "auto" draws: 20 rows, or in classification 5 times the classes if more.

        Of shared classes 100 at most: a meta-step costs rows times classes.
        """
        arrays = self.arrays
        n_classes = 0 if arrays.labels is None else max(2, arrays.y.shape[1])
        rows = max(20, 5 * n_classes)
        return rows // n_classes if self._by_class else min(rows, 100)

    def _draw_labels(self, tasks, random_state):
        """For each task and output, the class that it is to mean, (tasks, 1, outputs)."""
        n_outputs, n_classes = self.arrays.y.shape[1], self.arrays.n_classes[tasks]
        if n_outputs == 1:
            return random_state.randint(2, size=(len(tasks), 1, 1))
        keys = random_state.random_sample((len(tasks), n_outputs))
        keys += np.arange(n_outputs) >= n_classes[:, None]  # absent classes stay at the end
        return np.argsort(keys, axis=1)[:, None]


def _relabel(batch, order):
    if batch.y.shape[-1] == 1:
        return batch._replace(y=np.where(order, 1 - batch.y, batch.y))
    return batch._replace(y=np.take_along_axis(batch.y, order, axis=2))


def _ranks(group, key):
    """Each element's place, from 0, among those of its group in the order of `key`."""
    order = _order_within(group, key)
    sizes = np.bincount(group)
    rank = np.empty(len(order), int)
    rank[order] = np.arange(len(order)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return rank


def _order_within(group, key):
    """``np.lexsort((key, group))`` for keys without ties, several times as fast.

    NumPy sorts 16-bit integers stably by radix.
    """
    by_key = np.argsort(key)
    small = group[by_key].astype(np.min_scalar_type(group.max(initial=0)))
    return by_key[np.argsort(small, kind="stable")]


def draw_subsets(sizes, counts, random_state):
    """For each task `counts` different numbers below its `sizes`, every subset as likely.

    Returns
    -------
    ndarray of shape (largest count, tasks)
        Beyond a task's own count, whatever.

    References
    ----------
    J. Bentley, R. Floyd. "Programming Pearls: A Sample of Brilliance". Communications of the
    ACM 1987. https://doi.org/10.1145/30401.315746
    """
    drawn = np.empty((counts.max(initial=0), len(sizes)), int)
    for i in range(len(drawn)):
        last = sizes - counts + i
        pick = random_state.randint(last + 1)
        drawn[i] = np.where((drawn[:i] == pick).any(axis=0), last, pick)
    return drawn
