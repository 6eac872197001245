"""Tasks that were learned, found by id: a log of parts that never change."""

from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import accumulate, groupby

import numpy as np

from ._runtime import Cached
from .algorithms import AdaptedTasks
from .tasks._ids import as_keys, join_ids, kinds_of

UNKNOWN = -1  # the place of a row whose task is not among those asked
MANY_ROWS = 2**16  # whose ids are Python's objects at once
MAX_TABLE = 2**30  # bytes of probabilities of all tasks' classes, for all rows


@dataclass(frozen=True, eq=False)
class KnownTasks(Cached):
    """Tasks that were learned, in the order in which they were.

    A place is a task's number among `ids`. Learning more gives another KnownTasks, which shares
    the parts that stay; their sizes shrink from oldest to newest at least by half, so that each
    task is copied a logarithmic number of times.

    Parameters
    ----------
    parts : tuple of Part
        Oldest to newest; no task is in two of them.
    among : ndarray or None
        Where classes are shared, those that the rows can have; None: any.
    """

    parts: tuple
    among: np.ndarray | None = None

    @classmethod
    def of(cls, ids, adapted, classes=None, n_rows=None):
        """Tasks learned together, as in a `Batch`."""
        return cls((Part(Batch(ids, adapted, classes, n_rows)),))

    def __len__(self):
        return self._starts[-1]

    def __getstate__(self):
        """Without what was learned again since, in as few parts as there are kinds of tasks."""
        parts = tuple(_joined(list(alike)) for _, alike in groupby(self.parts, Part.kind))
        return super().__getstate__() | {"parts": parts}

    @cached_property
    def ids(self):
        """(tasks,)"""
        return join_ids(*(part.batch.ids[part.numbers] for part in self.parts))

    @cached_property
    def kinds(self):
        """Of the ids, in words."""
        return kinds_of(self.ids)

    @cached_property
    def classes(self):
        """Of each task, a list of ndarray, where each has its own; else None."""
        if self.parts[0].batch.classes is None:
            return None
        return [part.batch.classes[i] for part in self.parts for i in part.numbers.tolist()]

    @cached_property
    def all_classes(self):
        """Of all tasks together, where each has its own."""
        return np.unique(np.concatenate(self.classes))

    def find(self, groups):
        """Each row's place among the tasks, UNKNOWN where its task is not one of them."""
        starts = range(0, max(1, len(groups)), MANY_ROWS)
        return np.concatenate([self._find(as_keys(groups[i : i + MANY_ROWS])) for i in starts])

    def _find(self, keys):
        place = self.parts[0].find(keys)
        for part, start in zip(self.parts[1:], self._starts[1:], strict=False):
            left = np.flatnonzero(place == UNKNOWN)
            if not len(left):
                break
            found = part.find([keys[row] for row in left.tolist()])
            place[left] = np.where(found == UNKNOWN, UNKNOWN, found + start)
        return place

    def n_shots(self, place):
        """What the task of each row (rows,) was learned from: rows; of classes of its own, rows a
        class; 0 where it is UNKNOWN."""
        places, task = np.unique(place, return_inverse=True)
        n_shots, known = np.zeros(len(places), int), np.flatnonzero(places != UNKNOWN)
        for batch, which, numbers in self.by_part(places[known]):
            n_shots[known[which]] = batch.n_shots(numbers)
        return n_shots[task]

    def merge(self, later):
        """These tasks and the later ones, which replace those of the same id."""
        parts = self.parts
        for part in later.parts:
            new = part.compact()
            older = (old.without(new.batch) for old in parts)
            parts = _shrinking((*(old for old in older if len(old)), new))
        return KnownTasks(parts)

    def by_part(self, places):
        """Where tasks lie: yields (batch, which of the places, their numbers in the batch)."""
        if len(self.parts) == 1:
            yield self.parts[0].batch, np.arange(len(places)), self.parts[0].numbers_at(places)
            return
        part_of = np.searchsorted(self._starts, places, side="right") - 1
        for i in np.unique(part_of).tolist():
            which, part = np.flatnonzero(part_of == i), self.parts[i]
            yield part.batch, which, part.numbers_at(places[which] - self._starts[i])

    def in_columns(self, values, place):
        """Values (rows, outputs, ...) by each task's own classes, in columns for `all_classes`."""
        columns = self.all_classes
        per_cell = values[:1, :1].nbytes
        _check_table(len(values), len(columns), per_cell)
        wide = np.zeros((len(values), len(columns), *values.shape[2:]), values.dtype)
        tasks, task = np.unique(place, return_inverse=True)
        own = [self.classes[i] for i in tasks.tolist()]
        there = np.arange(values.shape[1]) < np.array(list(map(len, own)))[:, None]
        column = np.zeros(there.shape, np.intp)  # (tasks, outputs)
        column[there] = np.searchsorted(columns, np.concatenate(own))
        rows, outputs = np.nonzero(there[task])
        wide[rows, column[task[rows], outputs]] = values[rows, outputs]
        return wide

    @cached_property
    def _starts(self):
        """The place of each part's first task, and of the one after the last."""
        return list(accumulate(map(len, self.parts), initial=0))


@dataclass(frozen=True, eq=False)
class Batch(Cached):
    """Tasks that lie together, once and for all.

    Parameters
    ----------
    ids : ndarray of shape (tasks,)
    adapted : AdaptedTasks
    classes : list of ndarray or None
        Of each task, where each has its own.
    n_rows : ndarray of shape (tasks,) or None
        From which each was learned, those of weight 0 aside; None where nobody asks.
    """

    ids: np.ndarray
    adapted: AdaptedTasks
    classes: list | None
    n_rows: np.ndarray | None

    @cached_property
    def number_of(self):
        return {key: number for number, key in enumerate(as_keys(self.ids))}

    def shared_with(self, other):
        """Numbers of the tasks that another batch has, too."""
        mine, its = self.number_of, other.number_of
        if len(its) <= len(mine):
            return [mine[key] for key in its if key in mine]
        return [number for key, number in mine.items() if key in its]

    def take(self, numbers):
        classes = self.classes and [self.classes[i] for i in numbers.tolist()]
        n_rows = None if self.n_rows is None else self.n_rows[numbers]
        return Batch(self.ids[numbers], self.adapted.take(numbers), classes, n_rows)

    def n_shots(self, numbers):
        """Rows of some of the tasks, where each has classes of its own by their number."""
        n_rows = self.n_rows[numbers]
        if self.classes is None:
            return n_rows
        return n_rows // np.array([len(self.classes[i]) for i in numbers.tolist()])


@dataclass(frozen=True, eq=False)
class Part(Cached):
    """The tasks of a batch that were not learned again since.

    Parameters
    ----------
    batch : Batch
    gone : ndarray
        Numbers of the tasks that were, ascending.
    """

    batch: Batch
    gone: np.ndarray = field(default_factory=lambda: np.empty(0, np.intp))

    def __len__(self):
        return len(self.batch.ids) - len(self.gone)

    def kind(self):
        """Parts of one can be joined: a date among other objects would have another key."""
        return type(self.batch.adapted), self.batch.ids.dtype.kind == "M"

    @cached_property
    def numbers(self):
        """In the batch, of the tasks that are left."""
        return np.delete(np.arange(len(self.batch.ids)), self.gone)

    def find(self, keys):
        """The place of each key among the tasks that are left, or UNKNOWN."""
        number_of = self.batch.number_of
        number = np.array([number_of.get(key, UNKNOWN) for key in keys], np.intp)
        if not len(self.gone):
            return number
        before = np.searchsorted(self.gone, number)
        is_gone = self.gone[np.minimum(before, len(self.gone) - 1)] == number
        return np.where(is_gone | (number == UNKNOWN), UNKNOWN, number - before)

    def numbers_at(self, places):
        """In the batch, of the tasks at these places among those that are left."""
        if not len(self.gone):
            return places
        left_before = self.gone - np.arange(len(self.gone))
        return places + np.searchsorted(left_before, places, side="right")

    def without(self, batch):
        """Those tasks that a later batch has not."""
        again = self.batch.shared_with(batch)
        if not again:
            return self
        part = replace(self, gone=np.union1d(self.gone, again))
        return part if len(part) > len(part.gone) else part.compact()

    def compact(self):
        """The same tasks, and nothing kept of those that are gone."""
        return Part(self.batch.take(self.numbers)) if len(self.gone) else self


def _shrinking(parts):
    """Parts, of which the last is new, each at most half as large as the one before.

    Tasks of two kinds stay apart: those that are kept as rows are so many that they are few parts.
    """
    while len(parts) > 1 and len(parts[-2]) < 2 * len(parts[-1]):
        *others, older, newer = parts
        if older.kind() != newer.kind():
            break
        parts = (*others, _joined([older, newer]))
    return parts


def _joined(parts):
    """Parts of one kind in one, without what is gone."""
    batches = [part.compact().batch for part in parts]
    if len(batches) == 1:
        return Part(*batches)
    adapted = [batch.adapted for batch in batches]
    classes = None
    if batches[0].classes is not None:
        classes = [own for batch in batches for own in batch.classes]
    n_rows = [batch.n_rows for batch in batches]
    n_rows = None if n_rows[0] is None else np.concatenate(n_rows)
    ids = join_ids(*(batch.ids for batch in batches))
    return Part(Batch(ids, type(adapted[0]).concatenate(adapted), classes, n_rows))


def _check_table(n_rows, n_columns, itemsize):
    size = n_rows * n_columns * itemsize
    if size > MAX_TABLE:
        raise ValueError(
            f"the probabilities of {n_rows} rows for all tasks' {n_columns} classes would take "
            f"{size / 2**30:.1f} GiB, more than {MAX_TABLE / 2**30:g}: predict fewer rows at once, "
            "or one task's own classes, by fit_adapt without groups or by adapt"
        )
