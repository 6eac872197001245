"""Joint training: one network for all tasks."""

from numbers import Integral, Real

from .._compat import Interval
from ..network import descend
from ._base import MetaAlgorithm


class Joint(MetaAlgorithm):
    """The plain objective: minimise the sum of all tasks' losses.

    One network is learned from the rows of all tasks; a new task starts from it and takes
    `adapt_steps` gradient steps, none by default. It is the baseline that every other
    algorithm has to beat, and the right choice where tasks do not differ.

    Parameters
    ----------
    adapt_steps : int, default=0
        Gradient steps on the support of a new task (fine-tuning).
    inner_lr : float, default=0.01
        Their learning rate.

    Examples
    --------
    >>> from sklearn.neural_network import MLPRegressor
    >>> from sklearn_meta import MetaLearner
    >>> from sklearn_meta.algorithms import Joint
    >>> MetaLearner(MLPRegressor(), algorithm=Joint(adapt_steps=5)).algorithm
    Joint(adapt_steps=5)
    """

    _parameter_constraints = {
        "adapt_steps": [Interval(Integral, 0, None, closed="left")],
        "inner_lr": [Interval(Real, 0, None, closed="left")],
    }

    def __init__(self, *, adapt_steps=0, inner_lr=0.01):
        self.adapt_steps = adapt_steps
        self.inner_lr = inner_lr

    def learn(self, network, params, support):
        rates = [[self.inner_lr] * network.n_layers] * self.adapt_steps
        return descend(network, network.layers(params.vector), support, rates).weights()

    def meta_gradient(self, network, params, support, query):
        batch = support.join(query)
        at = network.run(network.layers(params.vector), batch)
        deltas = [delta / len(batch.X) for delta in at.deltas]
        return at.losses.mean(), network.gradient(at.inputs, deltas)
