"""Joint training: one network for all tasks."""

from numbers import Integral, Real

import numpy as np

from .._compat import Interval
from ..network import descend
from ._base import MetaAlgorithm


class Joint(MetaAlgorithm):
    """The plain objective: minimise the sum of all tasks' losses.

    One network is learned from the rows of all tasks; a new task starts from it and takes
    `inner_steps` gradient steps, none by default. It is the baseline that every other
    algorithm has to beat, and the right choice where tasks do not differ.

    Parameters
    ----------
    inner_steps : int, default=0
        Gradient steps on the support of a new task (fine-tuning).
    inner_lr : float, default=0.01
        Their learning rate.

    Examples
    --------
    >>> from sklearn.neural_network import MLPRegressor
    >>> from sklearn_meta import MetaLearner
    >>> from sklearn_meta.algorithms import Joint
    >>> MetaLearner(MLPRegressor(), algorithm=Joint(inner_steps=5)).algorithm
    Joint(inner_steps=5)
    """

    _parameter_constraints = {
        "inner_steps": [Interval(Integral, 0, None, closed="left")],
        "inner_lr": [Interval(Real, 0, None, closed="left")],
    }

    def __init__(self, *, inner_steps=0, inner_lr=0.01):
        self.inner_steps = inner_steps
        self.inner_lr = inner_lr

    def adapt(self, network, params, support):
        rates = [[self.inner_lr] * network.n_layers] * self.inner_steps
        return descend(network, network.layers(params.vector), support, rates).weights()

    def meta_gradient(self, network, params, support, query):
        batch = support.join(query)
        at = network.run(network.layers(params.vector), batch)
        deltas = [delta / np.asarray(len(batch.X), delta.dtype) for delta in at.deltas]
        return at.losses.mean(), network.gradient(at.inputs, deltas)
