"""Model-agnostic meta-learning: a start from which gradient steps learn fast."""

import copy
from numbers import Integral, Real

import numpy as np

from .._compat import Interval, Options, StrOptions
from ..network import Params, TaskWeights, descend, pull_back
from ._base import MetaAlgorithm, extended_params, steps_on_new_task
from ._definitions import loss_gradient, single_tasks


class MAML(MetaAlgorithm):
    """Gradient steps from a learned start.

    What is learned is the network's initial weights, such that a few gradient steps on a
    task's support rows give a network that does well on its query rows, and with
    `learn_inner_lr` the rates of those steps. The meta-gradient goes through the steps
    exactly, by Hessian-vector products.

    Parameters
    ----------
    inner_lr : float, default=0.01
        Learning rate of the steps on a task, on its mean support loss; where rates are
        learned, what they start from.
    inner_steps : int, default=5
        Number of steps in meta-training.
    adapt_steps : int or None, default=None
        Number of steps on a new task; None takes `inner_steps`. Further steps have the last
        one's rates.
    first_order : bool, default=False
        Leave the Hessians out (FOMAML): cheaper, and inexact by a term that vanishes with
        `inner_lr`.
    adapt_layers : {"all", "head", "body"}, default="all"
        What the steps move: every layer, the output layer only (ANIL), or all but the output
        layer (BOIL).
    learn_inner_lr : {False, "layer", "step", "parameter"}, default=False
        Learn the rates, too: one a layer, one a layer and step (as in MAML++), or one for
        each entry of the weights (Meta-SGD). They may become negative.
    multi_step_iter : int, default=0
        Meta-steps over which the query losses after earlier steps count as well, less and less
        (MAML++'s multi-step loss); from then on only the one after the last step does.

    References
    ----------
    C. Finn, P. Abbeel, S. Levine. "Model-Agnostic Meta-Learning for Fast Adaptation of
    Deep Networks". ICML 2017. https://arxiv.org/abs/1703.03400

    A. Antoniou, H. Edwards, A. Storkey. "How to train your MAML" (MAML++). ICLR 2019.
    https://arxiv.org/abs/1810.09502

    Examples
    --------
    >>> from sklearn.neural_network import MLPRegressor
    >>> from sklearn_meta import MetaLearner
    >>> from sklearn_meta.algorithms import MAML
    >>> from sklearn_meta.datasets import Sinusoids
    >>> tasks = Sinusoids(n_rows=20).sample(200, random_state=0)
    >>> meta = MetaLearner(MLPRegressor(hidden_layer_sizes=(40, 40)), MAML(), random_state=0)
    >>> X, y = tasks[0]
    >>> meta.fit(tasks).adapt(X[:10], y[:10]).predict(X).shape
    (20,)
    """

    _parameter_constraints = {
        "inner_lr": [Interval(Real, 0, None, closed="left")],
        "inner_steps": [Interval(Integral, 0, None, closed="left")],
        "adapt_steps": [Interval(Integral, 0, None, closed="left"), None],
        "first_order": ["boolean"],
        "adapt_layers": [StrOptions({"all", "head", "body"})],
        "learn_inner_lr": [StrOptions({"layer", "step", "parameter"}), Options(bool, {False})],
        "multi_step_iter": [Interval(Integral, 0, None, closed="left")],
    }

    def __init__(
        self,
        *,
        inner_lr=0.01,
        inner_steps=5,
        adapt_steps=None,
        first_order=False,
        adapt_layers="all",
        learn_inner_lr=False,
        multi_step_iter=0,
    ):
        self.inner_lr = inner_lr
        self.inner_steps = inner_steps
        self.adapt_steps = adapt_steps
        self.first_order = first_order
        self.adapt_layers = adapt_layers
        self.learn_inner_lr = learn_inner_lr
        self.multi_step_iter = multi_step_iter

    _early = 0.0  # what the losses after earlier steps count beside the last one's

    @property
    def exact_gradient(self):
        return not self.first_order

    def at_step(self, step):
        if step >= self.multi_step_iter:
            return self
        scheduled = copy.copy(self)
        scheduled._early = 1 - step / int(self.multi_step_iter)
        return scheduled

    def init_params(self, network, random_state, dtype):
        if self.adapt_layers == "body" and network.n_layers == 1:
            raise ValueError(
                "adapt_layers='body' needs a hidden layer to adapt, found none; expected "
                "hidden_layer_sizes with 1 or more, or adapt_layers='all'"
            )
        own = {}
        if self.learn_inner_lr and self.inner_steps:
            n_layers = network.n_layers
            own["inner_lr"] = {
                "layer": (n_layers,),
                "step": (self.inner_steps, n_layers),
                "parameter": (network.layout.size,),
            }[self.learn_inner_lr]
        params = extended_params(network, own, random_state, dtype)
        if own:
            params["inner_lr"][...] = self.inner_lr
        return params

    def learn(self, network, params, support):
        n_steps = steps_on_new_task(self)
        rates = self._rates(network, params, n_steps)
        start, _ = self._start(network, params, support)
        moves = self._moves(network.n_layers)
        return descend(network, start, support, rates, moves=moves).weights()

    def meta_gradient(self, network, params, support, query):
        start, origin = self._start(network, params, support)
        rates, moves = self._rates(network, params, self.inner_steps), self._moves(network.n_layers)
        trajectory = descend(network, start, support, rates, moves=moves)
        learn = "inner_lr" in params.layout.shapes
        meta = pull_back(
            trajectory,
            query,
            query_weights=self._query_weights(),
            first_order=self.first_order,
            learn_rates=learn,
        )
        gradient = self._start_gradient(network, params, origin, meta.start)
        if learn:
            self._collect(network, meta.rates, gradient["inner_lr"])
        return meta.loss, gradient.vector

    def gradient_definition(self, network, params, support, query):
        """What the meta-gradient is with `first_order`: the steps' gradients held fixed.

        The query gradient at the adapted weights, taken as the gradient at the start. With
        learned rates, the gradient at a step's rate is minus its product with the step's own
        (support) gradient, summed over the weights that have this rate. With `multi_step_iter`,
        what goes back is the weighted sum of the query gradients after the steps.
        """
        gradient = params.gradient(())
        of_layer = _entries_of_layers(network)  # (size, layers)
        rates = self._rates_by_entry(params, of_layer)  # (steps, size)
        for task, rows in single_tasks(support, query):
            layers, _ = self._start(network, params, task)
            path, slopes = [network.flat(TaskWeights(layers).task(0).layers)], []
            for rate in rates:
                slopes.append(loss_gradient(network, path[-1], task))
                path.append(path[-1] - rate * slopes[-1])
            weights = self._query_weights()
            ends = zip(weights, path[-len(weights) :], strict=True)
            parts = [weight * loss_gradient(network, end, rows) for weight, end in ends]
            directions = np.cumsum(parts[::-1], axis=0)[::-1]  # after each step, (steps, size)
            gradient.vector[...] += self._start_definition(network, params, task, directions[0])
            if "inner_lr" in params.layout.shapes:
                by_entry = -directions * slopes * (of_layer @ self._moves(network.n_layers))
                by_rate = by_entry if self.learn_inner_lr == "parameter" else by_entry @ of_layer
                if self.learn_inner_lr != "step":
                    by_rate = by_rate.sum(axis=0)
                gradient["inner_lr"][...] += by_rate
        return gradient.vector / len(support.X)

    def _start_definition(self, network, params, task, direction):
        """The gradient (size,) of everything that the start depends on, from that at the start."""
        return params.gradient(direction).vector

    def _rates_by_entry(self, params, of_layer):
        """Of each step in meta-training and each weight, 0 where it stays, (steps, size)."""
        rates = self.inner_lr
        if "inner_lr" in params.layout.shapes:
            rates = params["inner_lr"]
            if self.learn_inner_lr != "parameter":
                rates = rates @ of_layer.T
        rates = rates * (of_layer @ self._moves(of_layer.shape[1]))
        return np.broadcast_to(rates, (self.inner_steps, len(of_layer)))

    def _start(self, network, params, support):
        """The layers that tasks start from, and what `_start_gradient` needs of how."""
        return network.layers(params.vector), None

    def _start_gradient(self, network, params, origin, gradients):
        """The gradient of everything, from those at the layers that tasks start from."""
        own = np.zeros(params.layout.size - network.layout.size, params.vector.dtype)
        flat = (
            np.concatenate([network.flat(gradients), own]) if own.size else network.flat(gradients)
        )
        return Params(flat, params.layout)

    def _moves(self, n_layers):
        """Whether the steps move each layer."""
        body, head = (self.adapt_layers in ("all", part) for part in ("body", "head"))
        return [body] * (n_layers - 1) + [head]

    def _rates(self, network, params, n_steps):
        """Of each step, of each layer."""
        rates = [self.inner_lr] * network.n_layers
        if "inner_lr" in params.layout.shapes:
            rates = params["inner_lr"]
            if self.learn_inner_lr == "step":
                return [rates[min(step, len(rates) - 1)] for step in range(n_steps)]
            if self.learn_inner_lr == "parameter":
                rates = network.layers(rates)
        return [rates] * n_steps

    def _collect(self, network, gradients, out):
        """Gradients at the rates of each step and layer, laid out like the learned rates."""
        if self.learn_inner_lr != "parameter":
            values = np.array([[g or 0.0 for g in of_step] for of_step in gradients])
            out[...] = values if self.learn_inner_lr == "step" else values.sum(axis=0)
            return
        for of_step in gradients:
            for layer, gradient in zip(network.layers(out), of_step, strict=True):
                for part, g in zip(layer, gradient or (), strict=False):
                    part += g

    def _query_weights(self):
        """What the query loss counts after each step."""
        k = max(1, self.inner_steps)
        return [self._early / k] * (k - 1) + [1 - self._early * (k - 1) / k]


def _entries_of_layers(network):
    """Whether each weight is one of each layer's, 1 or 0, (size, layers)."""
    ends = [network.layout.slices[bias].stop for _, bias in network.names]
    sizes = np.diff(ends, prepend=0)
    return np.repeat(np.eye(network.n_layers), sizes, axis=0)
