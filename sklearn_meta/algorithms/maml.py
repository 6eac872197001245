"""Model-agnostic meta-learning: a start from which gradient steps learn fast."""

from numbers import Integral, Real

import numpy as np

from .._compat import Interval, Options, StrOptions
from ..network import Params, descend, pull_back
from ._base import MetaAlgorithm, extended_params


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
    multi_step_loss : int, default=0
        Number of meta-steps, as of which only the query loss after the last step counts; up to
        there the earlier ones count as well, less and less (MAML++).

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
        "multi_step_loss": [Interval(Integral, 0, None, closed="left")],
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
        multi_step_loss=0,
    ):
        self.inner_lr = inner_lr
        self.inner_steps = inner_steps
        self.adapt_steps = adapt_steps
        self.first_order = first_order
        self.adapt_layers = adapt_layers
        self.learn_inner_lr = learn_inner_lr
        self.multi_step_loss = multi_step_loss

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

    def adapt(self, network, params, support):
        n_steps = self.inner_steps if self.adapt_steps is None else self.adapt_steps
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
            query_weights=self._query_weights(params.n_iter),
            first_order=self.first_order,
            learn_rates=learn,
        )
        gradient = self._start_gradient(network, params, origin, meta.start)
        if learn:
            self._collect(network, meta.rates, gradient["inner_lr"])
        return meta.loss, gradient.vector

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

    def _query_weights(self, n_iter):
        """What the query loss counts after each step."""
        early = max(0.0, 1 - n_iter / self.multi_step_loss) if self.multi_step_loss else 0.0
        k = max(1, self.inner_steps)
        return [early / k] * (k - 1) + [1 - early * (k - 1) / k]
