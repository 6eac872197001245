"""Rows that belong together: the blocks of a task, which are dealt whole."""

from typing import NamedTuple

import numpy as np

from .._messages import of_task, shown
from .._ragged import as_offsets, runs
from ._ids import as_keys


class Blocks(NamedTuple):
    """Blocks of tasks, task by task, those of a task in the order of their first rows."""

    of_row: np.ndarray  # (rows,), each row's block
    order: np.ndarray  # (rows,), row numbers, block by block, ascending in each
    offsets: np.ndarray  # (blocks + 1,), where each begins in `order`
    of_task: np.ndarray  # (tasks + 1,), where each task's begin among the blocks

    @classmethod
    def of(cls, offsets, codes):
        """From numbers of blocks (rows,), which mean something within a task only."""
        task = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
        key = task * (codes.max(initial=0) + 1) + codes
        _, first, found = np.unique(key, return_index=True, return_inverse=True)
        by_first = np.argsort(first)
        place = np.empty_like(by_first)
        place[by_first] = np.arange(len(first))
        of_row = place[found]
        order = np.argsort(of_row, kind="stable")
        sizes = np.bincount(of_row, minlength=len(first))
        return cls(of_row, order, as_offsets(sizes), np.searchsorted(first[by_first], offsets))

    @property
    def sizes(self):
        """Rows of each block, (blocks,)."""
        return np.diff(self.offsets)

    @property
    def is_first(self):
        """Mask (rows,) of the first row of each block."""
        mask = np.zeros(len(self.order), bool)
        mask[self.order[self.offsets[:-1]]] = True
        return mask

    def largest(self):
        """Rows of the largest block of each task, (tasks,)."""
        return np.maximum.reduceat(self.sizes, self.of_task[:-1])

    def rows_of(self, blocks):
        """Row numbers of the given blocks one after the other, and the number of each's."""
        sizes = self.sizes[blocks]
        return self.order[runs(self.offsets[blocks], sizes)], sizes


def block_codes(labels):
    """Labels of blocks, numbered (rows,); None where there are none."""
    if labels is None:
        return None
    if labels.dtype != object:
        return np.unique(labels, return_inverse=True)[1]
    codes = {}
    return np.array([codes.setdefault(key, len(codes)) for key in as_keys(labels)], np.intp)


def blocks_of(tasks):
    """The Blocks of a TaskCollection; None where its rows are dealt one by one."""
    return None if tasks.blocks is None else Blocks.of(tasks.offsets, block_codes(tasks.blocks))


def n_units(tasks):
    """What can be dealt of each task of a collection, blocks or else rows, (tasks,)."""
    blocks = blocks_of(tasks)
    return tasks.sizes if blocks is None else np.diff(blocks.of_task)


def check_one_class(tasks, otherwise=""):
    """Raise where a block has rows of several classes, and shots are to be of each class.

    `otherwise` says what else could be done.
    """
    row = _first_unlike(blocks_of(tasks), tasks.y)
    if row is not None:
        raise ValueError(
            f"{_name(tasks, row)} has rows of several classes, so that shots cannot be of each "
            f"class: expected blocks of one class{otherwise}"
        )


def check_marked_whole(tasks):
    """Raise where a block is marked as support in part."""
    if tasks.blocks is None or tasks.is_support is None:
        return
    row = _first_unlike(blocks_of(tasks), tasks.is_support)
    if row is not None:
        raise ValueError(
            f"{_name(tasks, row)} has rows that is_support marks and others: expected all of a "
            "block, or none"
        )


def _first_unlike(blocks, values):
    """A row that differs from the first of its block; None where there is none."""
    if blocks is None:
        return None
    first = blocks.order[blocks.offsets[:-1]][blocks.of_row]  # (rows,)
    unlike = np.flatnonzero(values != values[first])
    return int(unlike[0]) if len(unlike) else None


def _name(tasks, row):
    task = np.searchsorted(tasks.offsets, row, side="right") - 1
    return of_task(f"block {shown(tasks.blocks[row])}", tasks.task_ids[task])
