"""Endless episodes for training: from a collection, or from a distribution of tasks."""

import numpy as np
from sklearn.utils.random import sample_without_replacement

from ._episodes import EpisodeSampler

BLOCK = 64  # meta-batches drawn from a distribution at once


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

    def draw(self, random_state):
        """Support and query of the next meta-batch."""
        chosen = sample_without_replacement(
            len(self.tasks), self.batch_size, random_state=random_state
        )
        return self.sampler.draw(self.tasks[chosen], random_state)


class DistributionStream:
    """Episodes of ever new tasks.

    Parameters
    ----------
    sample : callable
        ``(n_tasks, random_state) -> TaskArrays``.
    sampler_options : dict
        `n_shots`, `n_query` and `support` of `EpisodeSampler`.
    batch_size : int
    """

    def __init__(self, sample, sampler_options, batch_size):
        self.sample, self.sampler_options = sample, sampler_options
        self.batch_size, self.left = batch_size, 0

    def draw(self, random_state):
        """Support and query of the next meta-batch."""
        if self.left == 0:
            arrays = self.sample(BLOCK * self.batch_size, random_state)
            self.sampler, self.left = EpisodeSampler(arrays, **self.sampler_options), BLOCK
        self.left -= 1
        first = self.left * self.batch_size
        return self.sampler.draw(np.arange(first, first + self.batch_size), random_state)
