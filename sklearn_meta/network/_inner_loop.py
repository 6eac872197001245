"""Gradient steps on each task from a shared start, and their exact adjoint, with no tape.

Going backwards from V = the query gradient at the adapted weights, each step with rates a is
``V <- V - H (a V)``, H the Hessian of the support loss at that step. The product is Pearlmutter's
R-operator ("Fast exact multiplication by the Hessian", Neural Computation 1994): one more forward
and one more backward pass; nothing is kept but the steps' own activations.
"""

from functools import cached_property

import numpy as np

from ._activations import ACTIVATIONS
from ._fast_layers import (
    ExplicitLayer,
    FactoredLayer,
    FirstLayer,
    SharedLayer,
    factors,
    outer,
    row_sum,
)
from ._mlp import product
from ._weights import TaskWeights

SUPPORT, QUERY = 0, 1
FEW_ROWS = 24  # of a task, whose Gram matrix costs less than further calls of NumPy


class FastPass:
    """What a forward and backward pass leaves behind, of each layer.

    Parameters
    ----------
    n_layers : int
    rows : {SUPPORT, QUERY}
        Which of the episode's they are.
    n_still : int
        First layers that were not run backward.
    """

    def __init__(self, n_layers, rows, n_still):
        self.rows, self.n_still = rows, n_still
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
        Of each step, of each layer: a float, a pair of arrays (d, h) and (h,), or in all steps
        None for a layer that stays.
    query : TaskBatch, optional
        The rows that `meta_gradient` is of.
    query_weights : list of float, optional
        What the query loss counts after each step; by default the last one's alone.
    scales : list of ndarray of shape (tasks, rows, 1), optional
        Of each step, minus what a row counts in the loss (`Loss.scale`), for minibatches.
    form : {"auto", "dual", "primal"}
        Whether layers are factored, or formed for each task. "auto" takes what is less
        arithmetic: with n support rows, k steps and a d x h layer, the dual form where
        ``k n < d h / (d + h)``, and in the first layer, whose factors do not grow with the
        steps, where ``n <= d`` or n is small.
    """

    def __init__(
        self,
        network,
        start,
        support,
        rates,
        query=None,
        *,
        query_weights=None,
        scales=None,
        form="auto",
    ):
        self.network, self.activation = network, ACTIVATIONS[network.activation]
        self.support, self.query = support, query
        n_steps = len(rates)
        self.X = [support.X] if query is None else [support.X, query.X]
        self.query_weights = query_weights or [0.0] * (n_steps - 1) + [1.0]
        self.descent = network.loss.scale(support, -1.0)
        self.scales = scales or [self.descent] * n_steps
        self.layers = [
            self._layer(i, layer, [of_step[i] for of_step in rates], form)
            for i, layer in enumerate(start)
        ]
        moving = [rate is not None for rate in rates[0]] if rates else []
        self.n_still = moving.index(True) if True in moving else 0  # layers before any that moves
        self.still_gradient = None  # at the inputs of the first that moves, over all steps
        self.passes, self.rate_gradients = [], []
        for step in range(n_steps):
            at = self._run(support, SUPPORT, step, self.scales[step], self.n_still)
            for i, layer in enumerate(self.layers):
                layer.move(step, at.inputs[i], at.deltas[i])
            self.passes.append(at)

    def _layer(self, i, start, rates, form):
        """The kind of layer that suits the shapes."""
        n, m = self.X[0].shape[1], self.X[-1].shape[1]
        d, h = start[0].shape[-2:]
        still = not rates or rates[0] is None
        if start[0].ndim == 3 or any(isinstance(rate, tuple) for rate in rates):
            return ExplicitLayer(start, rates)
        if i == 0 and (still or form == "dual" or (form == "auto" and n <= max(d, FEW_ROWS))):
            return FirstLayer(start, rates, self.X)
        if still:
            return SharedLayer(start, rates)
        if form == "dual" or (form == "auto" and n * len(rates) * (d + h) < d * h):
            n_judged = 1 + np.count_nonzero(self.query_weights[:-1])  # the last step always is
            return FactoredLayer(start, rates, n, m * n_judged)
        return ExplicitLayer(start, rates)

    def weights(self):
        """The adapted networks."""
        return TaskWeights([layer.weights() for layer in self.layers])

    def _run(self, batch, rows, step, scale, n_still=0):
        """Forward and backward of some rows with the layers as they are before a step.

        The first `n_still` layers are run once for all steps, and not backward.
        """
        at, last = self._forward(batch, rows, step, n_still), len(self.layers) - 1
        at.deltas[last] = at.mean - batch.y
        at.deltas[last] *= scale
        for i in range(last, n_still, -1):
            at.gradients[i], at.grams_out[i] = self.layers[i].backward(at.deltas[i], step)
            at.deltas[i - 1] = at.gradients[i] * at.slopes[i]
        return at

    def _forward(self, batch, rows, step, n_still=0):
        last = len(self.layers) - 1
        at = FastPass(last + 1, rows, n_still)
        at.inputs[0], done = self.X[rows], 0
        if n_still and self.passes:
            at.inputs, at.slopes = self.passes[0].inputs[:], self.passes[0].slopes[:]
            done = n_still
        for i in range(done, last + 1):
            z, at.grams_in[i] = self.layers[i].forward(at.inputs[i], step, rows)
            if i < last:
                at.inputs[i + 1], at.slopes[i + 1] = self.activation.with_slope(z)
        at.z = z if batch.logit_mask is None else z + batch.logit_mask
        at.mean = self.network.loss.mean(at.z)
        return at

    def movement(self):
        """What the steps have added to each layer, summed over tasks."""
        return [layer.movement() for layer in self.layers]

    def loss(self):
        """Mean query loss over tasks with the adapted networks."""
        at = self._forward(self.query, QUERY, len(self.passes))
        return self.network.loss.mean_loss(at.z, self.query)

    def meta_gradient(self, first_order=False, learn_rates=False):
        """Mean query loss over tasks and its gradient at the start.

        Parameters
        ----------
        first_order : bool
            Leave the Hessians out.
        learn_rates : bool
            Also set `rate_gradients`, laid out like `rates`.

        Returns
        -------
        loss : float
        gradients : list of (weights, bias)
            Of each layer; of each task where it has a start of its own.
        """
        n_steps = len(self.passes)
        loss = self._judge(n_steps, self.query_weights[-1])
        for step in reversed(range(n_steps)):
            if learn_rates:
                self.rate_gradients.insert(0, self._rate_gradient(step))
            if not first_order:
                self._pull_back(step)
            if step > 0 and self.query_weights[step - 1]:
                loss += self._judge(step, self.query_weights[step - 1])
        if self.still_gradient is not None:
            self._direct_still()
        return loss, [layer.total() for layer in self.layers]

    def _judge(self, step, weight):
        """The query loss after some steps; its gradient joins the direction."""
        scale = self.network.loss.scale(self.query, weight / len(self.query.X))
        at = self._run(self.query, QUERY, step, scale)
        for i, layer in enumerate(self.layers):
            grams = at.grams_in[i], at.grams_out[i]
            layer.direct(step, at.inputs[i], at.deltas[i], grams, at.rows)
        return weight * self.network.loss.mean_loss(at.z, self.query)

    def _rate_gradient(self, step):
        at = self.passes[step]
        return [
            layer.rate_gradient(step, at.inputs[i], at.deltas[i])
            for i, layer in enumerate(self.layers)
        ]

    def _pull_back(self, step):
        """The direction before a step from that after it."""
        at = self.passes[step]
        moves = [
            layer.pull(step, at.inputs[i], at.deltas[i]) for i, layer in enumerate(self.layers)
        ]
        if all(along is None for along, _ in moves):
            return
        tangents, grams_in, deltas, grams_out = self._tangents(at, step, moves, self.scales[step])
        first = self.n_still
        if first:
            gradient, grams_out[first] = self.layers[first].backward(deltas[first], step)
            gradient += moves[first][1]
            before = self.still_gradient
            self.still_gradient = gradient if before is None else before + gradient
        for i, layer in enumerate(self.layers[first:], start=first):
            grams = at.grams_in[i], grams_out[i]
            layer.direct(step, at.inputs[i], deltas[i], grams, at.rows)
            if tangents[i] is not None:
                grams = grams_in[i], at.grams_out[i]
                layer.direct(step, tangents[i], at.deltas[i], grams, at.rows, tangent=True)

    def _direct_still(self):
        """Backwards through the layers before any that moves, for all steps together."""
        at, gradient = self.passes[0], self.still_gradient
        for i in reversed(range(self.n_still)):
            delta = gradient * at.slopes[i + 1]
            self.layers[i].direct(0, at.inputs[i], delta, (None, None), SUPPORT)
            if i > 0:
                gradient, _ = self.layers[i].backward(delta, 0)

    def _tangents(self, at, step, moves, scale):
        """The R-operator: tangents of a pass where the layers move by `moves`.

        Parameters
        ----------
        moves : list of (along, against)
            Of each layer, what the movement itself does to outputs and to gradients at the
            inputs.

        Returns
        -------
        tangents, grams_in, deltas, grams_out : list
            Of the inputs (None where they do not move) and of the deltas.
        """
        tangents, grams_in, z = self._forward_tangents(at, step, moves)
        delta = self.network.loss.curvature(at.mean, z) * scale
        return tangents, grams_in, *self._backward_tangents(at, step, delta, tangents, moves)

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
        at = self.end
        moves = [
            (A @ V + v[:, None], product(N, V.mT))
            for A, N, (V, v) in zip(at.inputs, at.deltas, direction, strict=True)
        ]
        tangents, deltas = self._end_tangents(moves)
        products = [factors(A, -D) for A, D in zip(at.inputs, deltas, strict=True)]
        for i in range(1, len(products)):
            products[i][0][...] -= tangents[i].mT @ at.deltas[i]
        return products

    def first_bias_product(self, bias):
        """What moving each task's first bias does to the descent of its support loss.

        Parameters
        ----------
        bias : ndarray of shape (tasks, h)

        Returns
        -------
        list of (weights, bias)
            Minus the Hessian's columns, summed over tasks; of the first bias not summed.
        """
        at = self.end
        along = np.broadcast_to(bias[:, None], at.deltas[0].shape)
        moves = [(along, None), *[(None, None)] * (len(self.layers) - 1)]
        tangents, deltas = self._end_tangents(moves)
        products = [(outer(A, D), row_sum(D)) for A, D in zip(at.inputs, deltas, strict=True)]
        for i in range(1, len(products)):
            products[i][0][...] += outer(tangents[i], at.deltas[i])
        products[0] = products[0][0], deltas[0].sum(axis=1)
        return products

    @cached_property
    def end(self):
        """The support's pass with the adapted weights, its deltas those of descent."""
        return self._run(self.support, SUPPORT, len(self.passes), self.descent)

    def _end_tangents(self, moves):
        tangents, _, deltas, _ = self._tangents(self.end, len(self.passes), moves, self.descent)
        return tangents, deltas

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
        for i in range(n_layers - 1, at.n_still, -1):
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
