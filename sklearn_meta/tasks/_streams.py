"""Endless episodes for training: from a collection, or from a distribution of tasks."""

from abc import ABCMeta, abstractmethod

import numpy as np

from ._episodes import EpisodeSampler

BLOCK = 64  # meta-batches dealt at once, so that a small one costs few calls of NumPy
MAX_ROWS = 2**16  # of the tasks dealt at once from a collection
MAX_NUMBERS = 2**23  # of the features of the tasks dealt at once from a distribution


class _Stream(metaclass=ABCMeta):
    """Hands out episodes one by one that are dealt by the block."""

    _episodes = iter(())

    def draw(self, random_state):
        """Support and query of the next meta-batch."""
        episode = next(self._episodes, None)
        if episode is None:
            self._episodes = self._deal(random_state)
            episode = next(self._episodes)
        return episode

    @abstractmethod
    def _deal(self, random_state):
        """An iterator over a block of episodes."""


class CollectionStream(_Stream):
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
        rows = self.batch_size * sampler.n_dealt(tasks).mean()  # of a meta-batch
        self.n_ahead = int(np.clip(MAX_ROWS // rows, 1, BLOCK))

    def _deal(self, random_state):
        return self.sampler.draw_many(self._draw_tasks(random_state), random_state)

    def _draw_tasks(self, random_state):
        """Meta-batches (meta-batches, tasks), cut from passes over the shuffled tasks."""
        a_pass = len(self.tasks) // self.batch_size  # has so many meta-batches
        n_passes = -(-self.n_ahead // a_pass)
        order = np.argsort(random_state.random_sample((n_passes, len(self.tasks))), axis=1)
        chosen = order[:, : a_pass * self.batch_size].reshape(-1, self.batch_size)
        return self.tasks[chosen[: self.n_ahead]]


class DistributionStream(_Stream):
    """Episodes of ever new tasks.

    Parameters
    ----------
    sample : callable
        ``(n_tasks, random_state) -> TaskArrays``.
    sampler_options : dict
        `n_shots`, `n_query` and `support` of `EpisodeSampler`.
    batch_size : int
    task_size : float, default=1
        Numbers in a task's X, on average, by which fewer tasks are drawn at once.
    """

    def __init__(self, sample, sampler_options, batch_size, task_size=1):
        self.sample, self.sampler_options = sample, sampler_options
        self.batch_size = batch_size
        self.n_ahead = int(np.clip(MAX_NUMBERS // (batch_size * task_size), 1, BLOCK))

    def _deal(self, random_state):
        arrays = self.sample(self.n_ahead * self.batch_size, random_state)
        tasks = np.arange(len(arrays)).reshape(self.n_ahead, self.batch_size)
        return EpisodeSampler(arrays, **self.sampler_options).draw_many(tasks, random_state)
