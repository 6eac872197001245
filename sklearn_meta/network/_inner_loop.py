"""Gradient steps on each task from a shared start, and their exact adjoint, with no tape.

Going backwards from V = the query gradient at the adapted weights, each step with rates a is
``V <- V - H (a V)``, H the Hessian of the support loss at that step. The product is Pearlmutter's
R-operator ("Fast exact multiplication by the Hessian", Neural Computation 1994): one more forward
and one more backward pass; nothing is kept but the steps' own activations.
"""

import numpy as np

from ._activations import ACTIVATIONS
from ._fast_layers import ExplicitLayer, FactoredLayer, FirstLayer, SharedLayer, factors
from ._mlp import product
from ._weights import TaskWeights


class FastPass:
    """What a forward and backward pass leaves behind, of each layer.

    Parameters
    ----------
    n_layers : int
    rows : slice
        Which of the episode's they are.
    """

    def __init__(self, n_layers, rows):
        self.rows = rows
        self.z = self.mean = None  # (tasks, rows, outputs)
        self.inputs = [None] * n_layers  # (tasks, rows, d)
        self.slopes = [None] * n_layers  # of the activations that made the inputs
        self.gradients = [None] * n_layers  # at the inputs
        self.deltas = [None] * n_layers  # at the outputs, (tasks, rows, h)
        self.grams_in, self.grams_out = [None] * n_layers, [None] * n_layers


class InnerLoop:
    """Gradient descent on every task's mean support loss.

    Parameters
    ----------
    network : MLP
    start : list of (weights, bias)
        (d, h) and (h,), or (tasks, d, h) and (tasks, h) where each task has its own.
    support : TaskBatch
    rates : list of list
        Of each step, of each layer: a float, 0 for a layer that stays, or a pair
        of arrays (d, h) and (h,).
    query : TaskBatch, optional
        The rows that `losses` and `meta_gradient` are of.
    form : {"auto", "dual", "primal"}
        Whether layers are factored, or formed for each task. "auto" takes what is less
        arithmetic: with n support rows, k steps and a d x h layer, the dual form where
        ``k n < d h / (d + h)``.
    """

    def __init__(self, network, start, support, rates, query=None, form="auto"):
        self.network, self.activation = network, ACTIVATIONS[network.activation]
        self.support, self.query, self.rates = support, query, rates
        n = support.X.shape[1]
        batches = [support] if query is None else [support, query]
        self.X = np.concatenate([batch.X for batch in batches], axis=1)  # (tasks, n + m, d)
        self.rows = slice(n), slice(n, None)
        per_layer = [list(of_layer) for of_layer in zip(*rates, strict=True)] or [[]] * len(start)
        self.layers = [
            self._layer(i, *layer, form)
            for i, layer in enumerate(zip(start, per_layer, strict=True))
        ]
        self.scale = network.loss.scale(support, -1.0)  # descent
        self.passes = []
        for step in range(len(rates)):
            at = self._run(support, self.rows[0], step, self.scale)
            for i, layer in enumerate(self.layers):
                layer.move(step, at.inputs[i], at.deltas[i])
            self.passes.append(at)

    def _layer(self, i, start, rates, form):
        n, m = self.rows[0].stop, self.X.shape[1] - self.rows[0].stop
        d, h = start[0].shape[-2:]
        if start[0].ndim == 2 and not any(isinstance(rate, tuple) for rate in rates):
            rank = n if i == 0 else n * len(rates)
            if form == "dual" or not any(rates) or (form == "auto" and rank * (d + h) < d * h):
                if i == 0:
                    return FirstLayer(start, rates, self.X, n)
                return (
                    FactoredLayer(start, rates, n, m) if any(rates) else SharedLayer(start, rates)
                )
        return ExplicitLayer(start, rates)

    def weights(self):
        """The adapted networks."""
        return TaskWeights([layer.weights() for layer in self.layers])

    def _run(self, batch, rows, step, scale):
        """Forward and backward of some rows with the layers as they are before a step."""
        last = len(self.layers) - 1
        at = FastPass(last + 1, rows)
        at.inputs[0] = self.X[:, rows]
        for i, layer in enumerate(self.layers):
            z, at.grams_in[i] = layer.forward(at.inputs[i], step, rows)
            if i < last:
                at.inputs[i + 1], at.slopes[i + 1] = self.activation.with_slope(z)
        at.z = z if batch.logit_mask is None else z + batch.logit_mask
        at.mean = self.network.loss.mean(at.z)
        at.deltas[last] = at.mean - batch.y
        at.deltas[last] *= scale
        for i in range(last, 0, -1):
            at.gradients[i], at.grams_out[i] = self.layers[i].backward(at.deltas[i], step)
            at.deltas[i - 1] = at.gradients[i] * at.slopes[i]
        return at

    def meta_gradient(self, first_order=False):
        """Mean query loss over tasks and its gradient at the start.

        Returns
        -------
        loss : float
        gradients : list of (weights, bias)
            Of each layer.
        """
        loss, n_tasks = self.network.loss, len(self.X)
        scale = loss.scale(self.query, 1.0 / n_tasks)
        at = self._run(self.query, self.rows[1], len(self.passes), scale)
        for i, layer in enumerate(self.layers):
            grams = at.grams_in[i], at.grams_out[i]
            layer.direct(at.inputs[i], at.deltas[i], grams, at.rows)
        if not first_order:
            for step in reversed(range(len(self.passes))):
                self._pull_back(step)
        return loss.mean_loss(at.z, self.query), [layer.total() for layer in self.layers]

    def _pull_back(self, step):
        """The direction before a step from that after it."""
        at = self.passes[step]
        moves = [
            layer.pull(step, at.inputs[i], at.deltas[i]) for i, layer in enumerate(self.layers)
        ]
        tangents, grams_in, z = self._forward_tangents(at, step, moves)
        delta = self.network.loss.curvature(at.mean, z)
        delta = delta * self.scale
        deltas, grams_out = self._backward_tangents(at, step, delta, tangents, moves)
        for i, layer in enumerate(self.layers):
            grams = at.grams_in[i], grams_out[i]
            layer.direct(at.inputs[i], deltas[i], grams, at.rows)
            if tangents[i] is not None:
                grams = grams_in[i], at.grams_out[i]
                layer.direct(tangents[i], at.deltas[i], grams, at.rows, tangent=True)

    def hessian_product(self, direction):
        """Each task's Hessian of its support loss, at the adapted weights, times a direction.

        Parameters
        ----------
        direction : list of (weights, bias)
            Of each layer, (tasks, d, h) and (tasks, h).

        Returns
        -------
        list of (weights, bias)
        """
        step = len(self.passes)
        at = self._run(self.support, self.rows[0], step, self.scale)
        moves = [
            (A @ V + v[:, None], product(N, V.mT))
            for A, N, (V, v) in zip(at.inputs, at.deltas, direction, strict=True)
        ]
        tangents, _, z = self._forward_tangents(at, step, moves)
        delta = self.network.loss.curvature(at.mean, z) * self.scale
        deltas, _ = self._backward_tangents(at, step, delta, tangents, moves)
        products = [factors(A, -D) for A, D in zip(at.inputs, deltas, strict=True)]
        for i in range(1, len(products)):
            products[i][0][...] -= tangents[i].mT @ at.deltas[i]
        return products

    def _forward_tangents(self, at, step, moves):
        """Tangents of each layer's inputs, and of the outputs; None where nothing moves."""
        n_layers = len(self.layers)
        tangents, grams, z = [None] * n_layers, [None] * n_layers, moves[0][0]
        for i in range(1, n_layers):
            along = moves[i][0]
            if z is None:
                z = along
                continue
            tangents[i] = at.slopes[i] * z
            z, grams[i] = self.layers[i].forward(tangents[i], step, at.rows, tangent=True)
            if along is not None:
                z += along
        return tangents, grams, z

    def _backward_tangents(self, at, step, delta, tangents, moves):
        n_layers = len(self.layers)
        deltas, grams = [None] * (n_layers - 1) + [delta], [None] * n_layers
        for i in range(n_layers - 1, 0, -1):
            gradient, grams[i] = self.layers[i].backward(deltas[i], step)
            if moves[i][1] is not None:
                gradient += moves[i][1]
            gradient *= at.slopes[i]
            if tangents[i] is not None:
                bend = self.activation.slope_tangent(at.inputs[i], tangents[i])
                if bend is not None:
                    gradient += at.gradients[i] * bend
            deltas[i - 1] = gradient
        return deltas, grams
