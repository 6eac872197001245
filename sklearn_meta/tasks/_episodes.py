"""Episodes: the rows of each task dealt into support and query, all tasks at once."""

import numpy as np

from ._batch import ragged_rows


class EpisodeSampler:
    """Draws episodes from the tasks of a collection, with no loop over tasks.

    Parameters
    ----------
    arrays : TaskArrays
    n_shots : int, (int, int), "auto" or "half"
        Support rows, in classification of each class; a pair or "auto" draws a size for
        each task anew. "auto" is 0 to 20 rows of whatever class (of at least 4 classes, up
        to 5 times their number); where tasks have classes of their own, 1 or more of each.
        "half" is half of the task's rows.
    n_query : int or None
        Query rows at most; None takes all that the support left.
    support : {"random", "first"}
        Whether the support is drawn or is the task's earliest rows.
    shuffle_labels : bool, default=True
        Where tasks have classes of their own, number them anew in each episode.
    """

    def __init__(self, arrays, n_shots, n_query, support, shuffle_labels=True):
        self.arrays = arrays
        self.n_shots, self.n_query, self.support = n_shots, n_query, support
        self.shuffle_labels = shuffle_labels and arrays.n_classes is not None

    def draw(self, tasks, random_state):
        """Support and query batches of the given tasks."""
        arrays = self.arrays
        rows, task, *masks = self.split(tasks, random_state)
        batches = []
        for chosen in masks:
            counts = np.bincount(task[chosen], minlength=len(tasks))
            batches.append(arrays.batch(tasks, rows[chosen], counts))
        if self.shuffle_labels:
            batches = self._relabel(batches, arrays.n_classes[tasks], random_state)
        return batches

    def split(self, tasks, random_state):
        """Rows of the given tasks, which of them each is of, and masks of support and query."""
        rows, sizes = ragged_rows(self.arrays.offsets, tasks)
        task = np.repeat(np.arange(len(sizes)), sizes)  # (rows,)
        key = random_state.random_sample(len(rows))
        order = key if self.support == "random" else np.arange(len(rows)) / len(rows)
        is_support = self._choose_support(rows, task, sizes, order, random_state)
        return rows, task, is_support, self._choose_query(rows, task, ~is_support, key)

    def _choose_support(self, rows, task, sizes, key, random_state):
        """Mask of the support rows: the first of each stratum in the order of `key`."""
        arrays = self.arrays
        stratum = task
        if self._by_class:
            labels = arrays.labels[rows]
            stratum = task * (labels.max(initial=0) + 1) + labels
        marked = np.ones(len(rows), bool)
        if arrays.is_support is not None:
            marked = arrays.is_support[rows]
        rank = _ranks(stratum, key + ~marked)
        largest = np.zeros(len(sizes), int)  # of a task's strata, in marked rows
        np.maximum.at(largest, task[marked], rank[marked] + 1)
        # unless the query rows are marked too, something must be left for them
        most = largest - (arrays.is_support is None)
        shots = np.minimum(self._draw_shots(most, random_state), most)
        return marked & (rank < shots[task])

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
        """Whether shots are of each class: "auto" takes shared labels as they come, so that
        adaptation is ready for a support that lacks some."""
        arrays = self.arrays
        return arrays.labels is not None and (
            self.n_shots != "auto" or arrays.n_classes is not None
        )

    def _most_shots(self):
        """That "auto" draws: 20 rows, or in classification 5 times the classes if more."""
        arrays = self.arrays
        n_classes = 0 if arrays.labels is None else max(2, arrays.y.shape[1])
        rows = max(20, 5 * n_classes)
        return rows // n_classes if self._by_class else rows

    def _choose_query(self, rows, task, left, key):
        if self.arrays.is_support is not None:
            left = left & ~self.arrays.is_support[rows]
        if self.n_query is None:
            return left
        return left & (_ranks(task, key + ~left) < self.n_query)

    @staticmethod
    def _relabel(batches, n_classes, random_state):
        n_outputs = batches[0].y.shape[-1]
        if n_outputs == 1:
            flip = random_state.randint(2, size=(len(n_classes), 1, 1)).astype(bool)
            return [batch._replace(y=np.where(flip, 1 - batch.y, batch.y)) for batch in batches]
        keys = random_state.random_sample((len(n_classes), n_outputs))
        keys += np.arange(n_outputs) >= n_classes[:, None]  # absent classes stay at the end
        order = np.argsort(keys, axis=1)[:, None]  # (tasks, 1, outputs)
        return [batch._replace(y=np.take_along_axis(batch.y, order, axis=2)) for batch in batches]


def _ranks(group, key):
    """Each element's place, from 0, among those of its group in the order of `key`."""
    order = np.lexsort((key, group))
    ordered = group[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    sizes = np.diff(np.append(starts, len(order)))
    rank = np.empty(len(order), int)
    rank[order] = np.arange(len(order)) - np.repeat(starts, sizes)
    return rank
