"""Reptile: the start moves towards what each task's training leads to."""

import math
from numbers import Integral, Real

import numpy as np

from .._compat import Interval
from ..network import descend, query_loss
from ._base import MetaAlgorithm, steps_on_new_task
from ._definitions import loss_gradient, single_tasks


class Reptile(MetaAlgorithm):
    """Gradient steps from a start that lies near all tasks' solutions.

    What is learned is the network's initial weights; a task takes `inner_steps` steps from
    there, each on a minibatch of its rows, and the start moves towards where they end. There
    is no derivative of the steps, and no split into support and query: in meta-training, the
    steps run over the rows of both. The meta-gradient is ``(start - end) / (inner_lr *
    inner_steps)``, the mean gradient along the way.

    Parameters
    ----------
    inner_lr : float, default=0.02
        Learning rate of the steps on a task.
    inner_steps : int, default=10
        Number of steps in meta-training.
    adapt_steps : int or None, default=None
        Number of steps on a new task; None takes `inner_steps`.
    inner_batch_size : int, default=10
        Rows of a minibatch. Step j takes every k-th row from row j on, with k minibatches.

    Notes
    -----
    Minibatches are dealt by weight: rows lie on a line, as long as each one weighs, and its pieces
    of length 1 go to the minibatches in turn. So a row of weight 2 is learned exactly as that row
    twice in a row, and one of weight 0 not at all. With more rows than `inner_batch_size` the
    order of rows matters, and so does where in it a row is repeated.

    References
    ----------
    A. Nichol, J. Achiam, J. Schulman. "On First-Order Meta-Learning Algorithms". 2018.
    https://arxiv.org/abs/1803.02999

    Examples
    --------
    >>> from sklearn.neural_network import MLPRegressor
    >>> from sklearn_meta import MetaLearner
    >>> from sklearn_meta.algorithms import Reptile
    >>> MetaLearner(MLPRegressor(), algorithm=Reptile(inner_steps=5)).algorithm
    Reptile(inner_steps=5)
    """

    exact_gradient = False
    row_order_matters = True
    _parameter_constraints = {
        "inner_lr": [Interval(Real, 0, None, closed="neither")],
        "inner_steps": [Interval(Integral, 1, None, closed="left")],
        "adapt_steps": [Interval(Integral, 0, None, closed="left"), None],
        "inner_batch_size": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(self, *, inner_lr=0.02, inner_steps=10, adapt_steps=None, inner_batch_size=10):
        self.inner_lr = inner_lr
        self.inner_steps = inner_steps
        self.adapt_steps = adapt_steps
        self.inner_batch_size = inner_batch_size

    def learn(self, network, params, support):
        return self._descend(network, params, support, steps_on_new_task(self)).weights()

    def meta_gradient(self, network, params, support, query):
        rows = support.join(query)
        trajectory = self._descend(network, params, rows, self.inner_steps)
        mean_rate = -1.0 / (float(self.inner_lr) * self.inner_steps * len(rows.X))
        gradient = params.gradient(network.flat(trajectory.movement()) * mean_rate)
        return query_loss(trajectory, query), gradient.vector

    def gradient_definition(self, network, params, support, query):
        """The meta-gradient: ``(start - end) / (inner_lr * inner_steps)`` of plain steps."""
        start = params.vector[: network.layout.size]
        total = np.zeros_like(start)
        for (task,) in single_tasks(support.join(query)):
            end, stops = start, np.cumsum(task.weight[0], dtype=float)
            n_batches = int(self._n_batches(stops[-1]))
            for step in range(self.inner_steps):
                weight = np.zeros_like(task.weight)
                for row, stop in enumerate(stops):
                    first = stop - float(task.weight[0, row])
                    for piece in range(math.floor(first), math.ceil(stop)):
                        if piece % n_batches == step % n_batches:
                            weight[0, row] += min(stop, piece + 1) - max(first, piece)
                minibatch = task._replace(weight=weight)
                end = end - self.inner_lr * loss_gradient(network, end, minibatch)
            total += (start - end) / (self.inner_lr * self.inner_steps)
        return params.gradient(total / len(support.X)).vector

    def _descend(self, network, params, rows, n_steps):
        rates = [[self.inner_lr] * network.n_layers] * n_steps
        scales = self._scales(network, rows, n_steps)
        return descend(network, network.layers(params.vector), rows, rates, scales=scales)

    def _scales(self, network, rows, n_steps):
        """What the rows count in each step: those of its minibatch, (tasks, rows, 1)."""
        # where on the line rows begin and end
        ends = np.zeros((len(rows.weight), rows.weight.shape[1] + 1))
        np.cumsum(rows.weight, axis=1, dtype=float, out=ends[:, 1:])
        n_batches = self._n_batches(ends[:, -1:])
        rounds, place = np.divmod(ends, n_batches)
        steps = []
        for step in range(n_steps):
            before = rounds + np.clip(place - step % n_batches, 0, 1)  # of this minibatch
            weight = np.diff(before, axis=1).astype(rows.weight.dtype)
            steps.append(network.loss.scale(rows._replace(weight=weight)))
        return steps

    def _n_batches(self, weight):
        """Minibatches of rows of that weight together, whose rounding makes no further one."""
        return np.maximum(1, np.ceil(np.round(weight / self.inner_batch_size, 9)))
