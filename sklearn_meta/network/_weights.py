"""Networks of a batch of tasks: layers of each task's own, shared where all agree."""

from typing import NamedTuple

import numpy as np

SHARED_NDIM = 2, 1  # of weights and of a bias that all tasks share


class TaskWeights(NamedTuple):
    """Adapted tasks that are networks (see `sklearn_meta.algorithms.AdaptedTasks`).

    Parameters
    ----------
    layers : list of (weights, bias)
        Weights are (fan_in, fan_out) where all tasks share them, (tasks, fan_in, fan_out)
        where each has its own; a bias likewise (fan_out,) or (tasks, fan_out).

    Examples
    --------
    Of four tasks, each with an output layer of its own on a hidden layer that all share:

    >>> import numpy as np
    >>> from sklearn_meta.network import MLP, TaskWeights
    >>> network = MLP([3, 8, 1], "tanh", "squared_error")
    >>> shared, own = (np.ones((3, 8)), np.zeros(8)), (np.ones((4, 8, 1)), np.zeros((4, 1)))
    >>> TaskWeights([shared, own]).outputs(network, np.zeros((4, 5, 3))).shape
    (4, 5, 1)
    """

    layers: list

    def outputs(self, network, X, logit_mask=None):
        """Outputs before the link of rows X (tasks, rows, features), (tasks, rows, outputs)."""
        return network.outputs(self.layers, X, logit_mask)

    def take(self, tasks):
        """The networks of some tasks, by an array of their numbers, in that order."""
        return self._map(lambda array, shared: array if shared else array[tasks])

    def task(self, number):
        """One task's network: layers (fan_in, fan_out), (fan_out,), as if shared."""
        return self._map(lambda array, shared: array if shared else array[number])

    def finite(self, n_tasks):
        """Mask of the tasks all of whose weights are finite, (tasks,)."""
        finite = np.ones(n_tasks, bool)
        for layer in self.layers:
            for array, ndim in zip(layer, SHARED_NDIM, strict=True):
                own_axes = None if array.ndim == ndim else tuple(range(1, array.ndim))
                finite &= np.isfinite(array).all(axis=own_axes)
        return finite

    @classmethod
    def concatenate(cls, parts):
        """The networks of several batches in one; shared arrays must be the same."""
        if len(parts) == 1:
            return parts[0]
        layers = []
        for versions in zip(*(part.layers for part in parts), strict=True):
            arrays = zip(zip(*versions, strict=True), SHARED_NDIM, strict=True)
            layers.append(
                tuple(
                    own[0] if own[0].ndim == ndim else np.concatenate(own) for own, ndim in arrays
                )
            )
        return cls(layers)

    def _map(self, function):
        return TaskWeights(
            [
                tuple(
                    function(array, array.ndim == ndim)
                    for array, ndim in zip(layer, SHARED_NDIM, strict=True)
                )
                for layer in self.layers
            ]
        )
