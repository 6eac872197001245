"""Gradient steps on each task from a shared start, and the way back through them, with no tape.

`descend` takes steps ``W <- W - a G``, G the gradient of the support loss, and leaves a trajectory.
`pull_back` goes back from V, the query gradient at the adapted weights, to that at the start: each
step with rates a is ``V <- V - H (a V)``, H the Hessian of the support loss at that step. The
product is the R-operator's; nothing is kept but the steps' own passes.
"""

from typing import NamedTuple

import numpy as np

from ._affine import as_layer, gathered
from ._descent_layers import ExplicitLayer, FactoredLayer, FirstLayer, Rows, Stack, StillLayer
from ._mlp import MLP
from ._r_operator import tangents
from ._weights import TaskWeights

FEW_ROWS = 24  # of a task, whose Gram matrix costs less than further calls of NumPy


class MetaGradient(NamedTuple):
    """What `pull_back` gives."""

    loss: float  # mean over tasks
    start: list  # gradients (weights, bias) of each layer; of each task where it has its own start
    rates: list | None  # gradients laid out like the rates; None for a layer that does not move


class Trajectory(NamedTuple):
    """Where gradient steps on each task have led, and all that it takes to go back.

    Layers below the first that moves are run once, in `below`; `rates`, `passes` and `layers` are
    of those from there on.
    """

    network: MLP
    start: list  # (weights, bias) of every layer
    below: tuple  # inputs and slopes of the layers below, over the support
    rates: list  # of each step, of each layer: a float, a pair, or None where it does not move
    passes: list  # over the support, a `Pass` before each step
    layers: list  # `Layer` after the last step

    @property
    def n_below(self):
        return len(self.start) - len(self.layers)

    def weights(self):
        """The adapted networks, `TaskWeights`."""
        formed = [layer.formed() for layer in self.layers]
        return TaskWeights([*self.start[: self.n_below], *formed])

    def movement(self):
        """What the steps have added to each layer, summed over tasks, (d, h) and (h,)."""
        still = [StillLayer(*layer) for layer in self.start[: self.n_below]]
        layers = zip([*still, *self.layers], self.start, strict=True)
        return [layer.movement(start) for layer, start in layers]


def descend(network, start, support, rates, *, moves=None, scales=None, form="auto"):
    """Gradient descent on every task's mean support loss.

    Parameters
    ----------
    network : MLP
    start : list of (weights, bias)
        (d, h) and (h,), or (tasks, d, h) and (tasks, h) where each task has its own.
    support : TaskBatch
    rates : list of list
        Of each step, of each layer: a float, or a pair for its weights and its bias, each a
        float or an array of their shape, (d, h) and (h,).
    moves : list of bool, optional
        Whether the steps move each layer; by default all. The rates of one that does not move
        are ignored.
    scales : list of ndarray of shape (tasks, rows, 1), optional
        Of each step, what a row counts in the loss, for minibatches; by default as in the loss.
    form : {"auto", "dual", "primal"}
        Whether layers are factored, or formed for each task. "auto" takes what is less
        arithmetic: with n support rows, k steps and a d x h layer, the dual form where
        ``k n < d h / (d + h)``, and in the first layer, whose factors do not grow with the
        steps, where ``n <= d`` or n is small.

    Returns
    -------
    Trajectory

    Examples
    --------
    The meta-gradient of MAML, of second order, with two steps on four tasks:

    >>> import numpy as np
    >>> from sklearn_meta.network import MLP, descend, pull_back
    >>> from sklearn_meta.tasks import TaskBatch
    >>> rng = np.random.RandomState(0)
    >>> batches = [TaskBatch(*rng.standard_normal((2, 4, 5, 1)), np.ones((4, 5))) for _ in "ab"]
    >>> network = MLP([1, 8, 1], "tanh", "squared_error")
    >>> start = network.layers(network.init_vector(rng, float))
    >>> trajectory = descend(network, start, batches[0], rates=[[0.1, 0.1]] * 2)
    >>> loss, gradients, _ = pull_back(trajectory, batches[1])
    >>> [weights.shape for weights, bias in gradients]
    [(1, 8), (8, 1)]
    """
    moves = [True] * len(start) if moves is None else list(moves)
    _check(form, moves, rates, len(start))
    n_below = moves.index(True) if len(rates) and True in moves else 0
    rates = [_normalised(of_step, moves, start[0][0].dtype)[n_below:] for of_step in rates]
    below, rows = _run_below(network, start, n_below, support)
    layers = [
        _layer(start[n_below + i], n_below + i, [of_step[i] for of_step in rates], rows.X, form)
        for i in range(len(start) - n_below)
    ]
    scales = [network.loss.scale(support)] * len(rates) if scales is None else scales
    passes = []
    for of_step, scale in zip(rates, scales, strict=True):
        at = network.run(layers, rows, scale)
        parts = zip(layers, at.inputs, at.deltas, of_step, strict=True)
        layers = [layer.step(A, D, rate) for layer, A, D, rate in parts]
        passes.append(at)
    return Trajectory(network, start, below, rates, passes, layers)


def query_loss(trajectory, query):
    """Mean query loss over tasks with the adapted networks.

    Parameters
    ----------
    trajectory : Trajectory
    query : TaskBatch

    Returns
    -------
    float
    """
    network, view = trajectory.network, _View(trajectory, query)
    z = network.outputs(view.layers(trajectory.layers), view.batch.X, query.logit_mask)
    return network.loss.mean_loss(z, query)


def pull_back(trajectory, query, *, query_weights=None, first_order=False, learn_rates=False):
    """Mean query loss over tasks and its gradient at the start of a trajectory.

    Parameters
    ----------
    trajectory : Trajectory
        It is left as it is.
    query : TaskBatch
    query_weights : list of float, optional
        What the query loss counts after each step; by default the last one's alone.
    first_order : bool
        Leave the Hessians out.
    learn_rates : bool
        Find the gradient at the rates, too.

    Returns
    -------
    MetaGradient

    See Also
    --------
    descend : With an example, the meta-gradient of MAML.
    """
    n_weights = max(1, len(trajectory.passes))
    if query_weights is None:
        query_weights = [0.0] * (n_weights - 1) + [1.0]
    if len(query_weights) != n_weights:
        raise ValueError(f"{len(query_weights)} query_weights; expected one a step, {n_weights}")
    *early, last = [float(weight) for weight in query_weights]
    back = _WayBack(trajectory, query, n_queries=1 + sum(map(bool, early)))
    loss, learned = back.query_loss(trajectory.layers, last), []
    steps = zip(trajectory.passes, trajectory.rates, [0.0, *early], strict=False)
    for at, rates, weight_before in reversed(list(steps)):
        if learn_rates:
            learned.insert(0, back.rate_gradients(at, rates))
        if not first_order:
            back.through(at, rates)
        if weight_before:
            loss += back.query_loss(at.layers, weight_before)
    return MetaGradient(loss, back.start_gradients(), learned if learn_rates else None)


class _WayBack:
    """The directions of all layers, from the query back to the start."""

    def __init__(self, trajectory, query, n_queries):
        self.trajectory, self.network, self.query = trajectory, trajectory.network, query
        self.view, self.n_below = _View(trajectory, query), trajectory.n_below
        layers = zip(trajectory.layers, trajectory.start[self.n_below :], strict=True)
        n_queried = n_queries * query.X.shape[1]
        self.directions = [layer.direction(start, n_queried) for layer, start in layers]
        self.at_query = self.at_support = None  # gradients at what the layers below make

    def query_loss(self, layers, weight):
        """The query loss with layers as they are after some steps; its gradient joins V."""
        scale = self.network.loss.scale(self.query, weight / len(self.query.X))
        layers = self.view.layers(layers)
        at = self.network.run(layers, self.view.batch, scale, to_inputs=self.n_below > 0)
        for i, direction in enumerate(self.directions):
            grams = at.grams_in[i], at.grams_out[i]
            direction.add(layers[i], at.inputs[i], at.deltas[i], grams)
        if self.n_below:
            self.at_query = _plus(self.at_query, at.gradients[0])
        return weight * self.network.loss.mean_loss(at.z, self.query)

    def rate_gradients(self, at, rates):
        """At a step's rates, of V after it."""
        parts = zip(self.directions, at.layers, at.inputs, at.deltas, rates, strict=True)
        return [None] * self.n_below + [V.rate_vjp(*of_layer) for V, *of_layer in parts]

    def through(self, at, rates):
        """V before a step from that after it, ``V - H (rate V)``."""
        parts = zip(self.directions, at.layers, at.inputs, at.deltas, rates, strict=True)
        moves = [V.step_vjp(*of_layer) for V, *of_layer in parts]
        if all(along is None for along, _ in moves):
            return
        R = tangents(at, moves, to_inputs=self.n_below > 0)
        for i, direction in enumerate(self.directions):
            layer, grams = at.layers[i], (at.grams_in[i], R.grams_out[i])
            direction.add(layer, at.inputs[i], R.deltas[i], grams)
            if R.inputs[i] is not None:
                grams = R.grams_in[i], at.grams_out[i]
                direction.add(layer, R.inputs[i], at.deltas[i], grams, biased=False)
        if self.n_below:
            self.at_support = _plus(self.at_support, R.gradient)

    def start_gradients(self):
        """At every layer's start; those below go back once, for all steps together."""
        above = [direction.total() for direction in self.directions]
        if not self.n_below:
            return above
        layers, blocks = [as_layer(layer) for layer in self.trajectory.start[: self.n_below]], []
        passes = (self.view.below, self.at_query), (self.trajectory.below, self.at_support)
        for (inputs, slopes), gradient in passes:
            if gradient is not None:
                _, deltas, _ = self.network.backward(layers, slopes, gradient * slopes[-1])
                blocks.append([(A, D, True) for A, D in zip(inputs, deltas, strict=False)])
        below = zip(layers, zip(*blocks, strict=True), strict=True)
        return [gathered(layer, of_layer) for layer, of_layer in below] + above


class _View:
    """A query as the layers see it that move; what the steps do not change is found once."""

    def __init__(self, trajectory, query):
        first = trajectory.layers[0]
        self.below, self.batch = _run_below(
            trajectory.network, trajectory.start, trajectory.n_below, query
        )
        is_first = isinstance(first, FirstLayer)
        self.rows = Rows(self.batch.X, first.start, first.A) if is_first else None

    def layers(self, layers):
        """Those of some step, the first before these rows."""
        return layers if self.rows is None else [layers[0].facing(self.rows), *layers[1:]]


def _plus(total, part):
    return part if total is None else total + part


def _check(form, moves, rates, n_layers):
    if form not in ("auto", "dual", "primal"):
        raise ValueError(f"found form={form!r}; expected 'auto', 'dual' or 'primal'")
    if len(moves) != n_layers:
        raise ValueError(f"moves has {len(moves)} entries; expected one a layer, {n_layers}")
    lengths = [len(of_step) for of_step in rates]
    if lengths != [n_layers] * len(lengths):
        raise ValueError(f"rates of a step are {lengths}; expected one a layer, {n_layers}")


def _normalised(rates, moves, dtype):
    """A step's rates as Python's own floats, or arrays; None of a layer that does not move."""
    pairs = zip(rates, moves, strict=True)
    return [_rate(rate, dtype) if moved else None for rate, moved in pairs]


def _rate(rate, dtype):
    try:
        if isinstance(rate, tuple):
            weights, bias = rate
            return _part(weights, dtype), _part(bias, dtype)
        return float(rate)  # NumPy's own scalars would make float32 float64
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"found the rate {rate!r:.60}; expected a float, or a pair (of the weights, of the "
            "bias) of floats or arrays"
        ) from error


def _part(rate, dtype):
    if isinstance(rate, np.ndarray) and rate.ndim > 0:
        return np.asarray(rate, dtype)
    return float(rate)


def _layer(start, i, rates, X, form):
    """The kind of layer that suits the shapes."""
    (d, h), n, k = start[0].shape[-2:], X.shape[1], len(rates)
    if not rates or rates[0] is None:
        return StillLayer(*start)
    if start[0].ndim == 3 or any(isinstance(rate, tuple) for rate in rates):
        return ExplicitLayer(*start)
    if i == 0 and (form == "dual" or (form == "auto" and n <= max(d, FEW_ROWS))):
        return FirstLayer(start, Rows(X, start, X))
    if form == "dual" or (form == "auto" and n * k * (d + h) < d * h):
        return FactoredLayer(start, n, (Stack(n * k), Stack(n * k)))
    return ExplicitLayer(*start)


def _run_below(network, start, n_below, batch):
    """Inputs and slopes of the layers below any that moves, and the batch as the others see it."""
    if n_below == 0:
        return ([batch.X], [None]), batch
    layers = [as_layer(layer) for layer in start[:n_below]]
    inputs, slopes, _ = network.forward(layers, batch.X)
    return (inputs, slopes), batch._replace(X=inputs[-1])
