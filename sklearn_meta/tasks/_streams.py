"""Endless episodes for training: from a collection, or from a distribution of tasks.

A stream never changes. Where training is in it, and what was dealt ahead, lies in a `Cursor`,
which can be pickled and gone on with.
"""

import copy
from dataclasses import dataclass

import numpy as np

from ._batch import TaskArrays
from ._draws import draw_ordered
from ._episodes import Deal, EpisodeSampler

AHEAD = 64  # meta-batches dealt at once, so that a small one costs few calls of NumPy
MAX_ROWS = 2**16  # dealt at once from a collection
MAX_NUMBERS = 2**23  # of the features of the tasks dealt at once from a distribution


@dataclass(frozen=True)
class Block:
    """Episodes that were dealt ahead."""

    deal: Deal
    arrays: TaskArrays | None = None  # of what tasks, where they were sampled for this block

    def __len__(self):
        return len(self.deal.tasks)


@dataclass
class Cursor:
    """How far a stream was followed.

    A pickle has no block: it is dealt again, from the random state that it was dealt from.

    Parameters
    ----------
    block : Block or None
        The last one dealt.
    place : int
        Its episodes that were handed out.
    before : RandomState or None
        As it was before the block was dealt.
    """

    block: Block | None = None
    place: int = 0
    before: np.random.RandomState | None = None

    def draw(self, stream, random_state):
        """Support and query of the stream's next meta-batch."""
        if self.block is None and self.before is not None:
            self.block = stream.deal(copy.deepcopy(self.before))
        if self.block is None or self.place == len(self.block):
            self.before = copy.deepcopy(random_state)
            self.block, self.place = stream.deal(random_state), 0
        self.place += 1
        return stream.episode(self.block, self.place - 1)

    def __getstate__(self):
        return vars(self) | {"block": None}


class CollectionStream:
    """Episodes of tasks drawn from a collection, without replacement within a meta-batch.

    Parameters
    ----------
    sampler : EpisodeSampler
    tasks : ndarray of int
        The tasks to draw from.
    batch_size : int
    """

    def __init__(self, sampler, tasks, batch_size):
        self.sampler, self.tasks = sampler, tasks
        self.batch_size = min(batch_size, len(tasks))
        rows = self.batch_size * sampler.n_most(tasks).mean()  # of a meta-batch
        self.n_ahead = int(np.clip(MAX_ROWS // rows, 1, AHEAD))

    def deal(self, random_state):
        return Block(self.sampler.deal(self._draw_tasks(random_state), random_state))

    def episode(self, block, number):
        return self.sampler.episode(block.deal, number)

    def _draw_tasks(self, random_state):
        """Meta-batches (meta-batches, tasks), cut from passes over the shuffled tasks."""
        a_pass = len(self.tasks) // self.batch_size  # has so many meta-batches
        n_passes = -(-self.n_ahead // a_pass)
        n_drawn = min(self.n_ahead, a_pass) * self.batch_size  # of each pass
        sizes, counts = np.full((2, n_passes), [[len(self.tasks)], [n_drawn]])
        chosen = draw_ordered(sizes, counts, random_state).reshape(-1, self.batch_size)
        return self.tasks[chosen[: self.n_ahead]]


class DistributionStream:
    """Episodes of ever new tasks.

    Parameters
    ----------
    sample : callable
        ``(n_tasks, random_state) -> TaskArrays``.
    sampler_options : dict
        Of `EpisodeSampler`: `n_shots`, `n_query`, `support_order`, `max_rows`, `stratify`.
    batch_size : int
    task_size : float, default=1
        Numbers in a task's X, on average, by which fewer tasks are drawn at once.
    """

    def __init__(self, sample, sampler_options, batch_size, task_size=1):
        self.sample, self.sampler_options = sample, sampler_options
        self.batch_size = batch_size
        self.n_ahead = int(np.clip(MAX_NUMBERS // (batch_size * task_size), 1, AHEAD))

    def deal(self, random_state):
        arrays = self.sample(self.n_ahead * self.batch_size, random_state)
        tasks = np.arange(len(arrays)).reshape(self.n_ahead, self.batch_size)
        return Block(self._sampler(arrays).deal(tasks, random_state), arrays)

    def episode(self, block, number):
        return self._sampler(block.arrays).episode(block.deal, number)

    def _sampler(self, arrays):
        return EpisodeSampler(arrays, **self.sampler_options)
