"""An algorithm of one's own: MAML whose steps move the biases alone.

A task may shift what each unit computes, and not how. `docs/write_your_own.rst` goes through it.
"""

from numbers import Integral, Real

from sklearn_meta.algorithms import Interval, MetaAlgorithm
from sklearn_meta.network import descend, pull_back


class BiasMAML(MetaAlgorithm):
    """Gradient steps on the biases, from a learned start.

    Parameters
    ----------
    inner_lr : float, default=0.1
        Learning rate of the steps on a task.
    inner_steps : int, default=5
        Number of steps.
    """

    _parameter_constraints = {
        "inner_lr": [Interval(Real, 0, None, closed="left")],
        "inner_steps": [Interval(Integral, 0, None, closed="left")],
    }

    def __init__(self, *, inner_lr=0.1, inner_steps=5):
        self.inner_lr = inner_lr
        self.inner_steps = inner_steps

    def learn(self, network, params, support):
        return self._descend(network, params, support).weights()

    def meta_gradient(self, network, params, support, query):
        trajectory = self._descend(network, params, support)
        loss, gradients, _ = pull_back(trajectory, query)
        return loss, network.flat(gradients)

    def _descend(self, network, params, support):
        of_layer = (0.0, self.inner_lr)  # the rate of its weights, and of its bias
        rates = [[of_layer] * network.n_layers] * self.inner_steps
        return descend(network, network.layers(params.vector), support, rates)
