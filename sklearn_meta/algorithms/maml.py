"""Model-agnostic meta-learning: a start from which gradient steps learn fast."""

from numbers import Integral, Real

from .._compat import Interval
from ..network import InnerLoop
from ._base import MetaAlgorithm


class MAML(MetaAlgorithm):
    """Gradient steps from a learned start.

    What is learned is the network's initial weights, such that a few gradient steps on a
    task's support rows give a network that does well on its query rows. The
    meta-gradient goes through the steps exactly, by Hessian-vector products.

    Parameters
    ----------
    inner_lr : float, default=0.01
        Learning rate of the steps on a task, on its mean support loss.
    inner_steps : int, default=5
        Number of steps in meta-training.
    adapt_steps : int or None, default=None
        Number of steps on a new task; None takes `inner_steps`.
    first_order : bool, default=False
        Leave the Hessians out (FOMAML): cheaper, and inexact by a term that vanishes with
        `inner_lr`.

    References
    ----------
    C. Finn, P. Abbeel, S. Levine. "Model-Agnostic Meta-Learning for Fast Adaptation of
    Deep Networks". ICML 2017. https://arxiv.org/abs/1703.03400

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
    }

    def __init__(self, *, inner_lr=0.01, inner_steps=5, adapt_steps=None, first_order=False):
        self.inner_lr = inner_lr
        self.inner_steps = inner_steps
        self.adapt_steps = adapt_steps
        self.first_order = first_order

    def adapt(self, network, params, support):
        n_steps = self.inner_steps if self.adapt_steps is None else self.adapt_steps
        return self._loop(network, params, support, n_steps).weights()

    def meta_gradient(self, network, params, support, query):
        loop = self._loop(network, params, support, self.inner_steps, query)
        loss, gradients = loop.meta_gradient(self.first_order)
        return loss, network.flat(gradients)

    def _loop(self, network, params, support, n_steps, query=None):
        rates = [[self.inner_lr] * network.n_layers] * n_steps
        return InnerLoop(network, network.layers(params.vector), support, rates, query)
