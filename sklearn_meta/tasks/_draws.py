"""Different numbers drawn at random, for many groups at once."""

import numpy as np

from .._ragged import as_offsets, within

SPARSE = 4  # times as many as are drawn: then what is drawn twice is rare, and drawn again


def draw_ordered(sizes, counts, random_state):
    """For each group `counts` different numbers below its `sizes`, in random order.

    Of large groups the cost is of what is drawn, whatever their size.

    Returns
    -------
    ndarray of shape (counts.sum(),)
        Group by group.
    """
    sparse = SPARSE * counts < sizes  # (groups,)
    drawn = np.empty(counts.sum(), int)
    of_sparse = np.repeat(sparse, counts)
    drawn[of_sparse] = _draw_anew(sizes[sparse], counts[sparse], random_state)
    drawn[~of_sparse] = _shuffle(sizes[~sparse], counts[~sparse], random_state)
    return drawn


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


def _draw_anew(sizes, counts, random_state):
    """What a group has already is drawn again, until it has all.

    No number is treated unlike another, so that all arrangements are as likely.
    """
    group = np.repeat(np.arange(len(sizes)), counts)
    below, first = sizes[group], as_offsets(sizes)[group]
    drawn = random_state.randint(below)
    while len(again := _repeated(first + drawn)):
        drawn[again] = random_state.randint(below[again])
    return drawn


def _repeated(values):
    """Places of values that are there before, too."""
    order = np.argsort(values, kind="stable")
    return order[1:][np.diff(values[order]) == 0]


def _shuffle(sizes, counts, random_state):
    group = np.repeat(np.arange(len(sizes)), sizes)
    order = _order_within(group, random_state.random_sample(len(group)))
    starts = np.cumsum(sizes) - sizes
    is_drawn = within(sizes) < np.repeat(counts, sizes)
    return order[is_drawn] - np.repeat(starts, counts)


def _order_within(group, key):
    """``np.lexsort((key, group))`` for keys without ties, several times as fast.

    NumPy sorts 16-bit integers stably by radix.
    """
    by_key = np.argsort(key)
    small = group[by_key].astype(np.min_scalar_type(group.max(initial=0)))
    return by_key[np.argsort(small, kind="stable")]
