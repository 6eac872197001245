"""What adaptation returns: the layers of one network a task, shared where all agree."""

from typing import NamedTuple

import numpy as np


class TaskWeights(NamedTuple):
    """The networks of a batch of tasks.

    Parameters
    ----------
    layers : list of (weights, bias)
        (fan_in, fan_out) and (fan_out,) where all tasks share a layer,
        (tasks, fan_in, fan_out) and (tasks, fan_out) where each has its own.
    """

    layers: list

    def take(self, tasks):
        """The networks of some tasks, by an array of their numbers, in that order."""
        return self._map(lambda array, shared: array if shared else array[tasks])

    def task(self, number):
        """The layers of one task, [(weights (fan_in, fan_out), bias (fan_out,)), ...]."""
        return self._map(lambda array, shared: array if shared else array[number]).layers

    def finite(self, n_tasks):
        """Mask of the tasks all of whose weights are finite, (tasks,)."""
        finite = np.ones(n_tasks, bool)
        for layer in self.layers:
            for array in layer:
                shared = layer[0].ndim == 2
                own_axes = None if shared else tuple(range(1, array.ndim))
                finite &= np.isfinite(array).all(axis=own_axes)
        return finite

    @staticmethod
    def concatenate(parts):
        """The networks of several batches in one; shared layers must be the same."""
        if len(parts) == 1:
            return parts[0]
        layers = []
        for versions in zip(*(part.layers for part in parts), strict=True):
            shared = versions[0][0].ndim == 2
            layers.append(
                versions[0] if shared else tuple(map(np.concatenate, zip(*versions, strict=True)))
            )
        return TaskWeights(layers)

    def _map(self, function):
        return TaskWeights(
            [
                (function(weights, weights.ndim == 2), function(bias, weights.ndim == 2))
                for weights, bias in self.layers
            ]
        )
