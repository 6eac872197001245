"""CAVIA: only a few context inputs are adapted, the network is shared."""

from numbers import Integral, Real

import numpy as np

from .._compat import Interval
from ..network import TaskWeights, hessian_product, weight_gradients
from ._base import MetaAlgorithm, extended_params, steps_on_new_task
from ._definitions import single_tasks


class CAVIA(MetaAlgorithm):
    """Fast context adaptation: a task is a point in a small context space.

    The network gets `n_context` further inputs. What is learned over all tasks is the whole
    network with its weights of the context; what a task adapts, by gradient steps from 0 on
    its mean support loss, is its context alone. That cannot overfit as weights can, and an
    adapted task is the shared network with a bias of its own in the first layer.

    Parameters
    ----------
    n_context : int, default=5
        Size of the context.
    inner_lr : float, default=1.0
        Learning rate of the steps on the context.
    inner_steps : int, default=2
        Number of steps in meta-training.
    adapt_steps : int or None, default=None
        Number of steps on a new task; None takes `inner_steps`.
    first_order : bool, default=False
        Leave the second derivatives out.

    References
    ----------
    L. Zintgraf, K. Shiarlis, V. Kurin, K. Hofmann, S. Whiteson. "Fast Context Adaptation via
    Meta-Learning". ICML 2019. https://arxiv.org/abs/1810.03642

    Examples
    --------
    >>> from sklearn.neural_network import MLPRegressor
    >>> from sklearn_meta import MetaLearner
    >>> from sklearn_meta.algorithms import CAVIA
    >>> MetaLearner(MLPRegressor(), algorithm=CAVIA(n_context=3)).algorithm
    CAVIA(n_context=3)
    """

    _parameter_constraints = {
        "n_context": [Interval(Integral, 1, None, closed="left")],
        "inner_lr": [Interval(Real, 0, None, closed="left")],
        "inner_steps": [Interval(Integral, 0, None, closed="left")],
        "adapt_steps": [Interval(Integral, 0, None, closed="left"), None],
        "first_order": ["boolean"],
    }

    def __init__(
        self, *, n_context=5, inner_lr=1.0, inner_steps=2, adapt_steps=None, first_order=False
    ):
        self.n_context = n_context
        self.inner_lr = inner_lr
        self.inner_steps = inner_steps
        self.adapt_steps = adapt_steps
        self.first_order = first_order

    @property
    def exact_gradient(self):
        return not self.first_order

    def init_params(self, network, random_state, dtype):
        shape = self.n_context, network.layer_units[1]
        params = extended_params(network, {"context_weights": shape}, random_state, dtype)
        bound = np.sqrt(6.0 / sum(shape))
        params["context_weights"][...] = random_state.uniform(-bound, bound, shape)
        return params

    def learn(self, network, params, support):
        n_steps = steps_on_new_task(self)
        contexts, _ = self._descend(network, params, support, n_steps)
        return TaskWeights(_layers(network, params, contexts[-1]))

    def meta_gradient(self, network, params, support, query):
        contexts, steps = self._descend(network, params, support, self.inner_steps)
        mean_over_tasks = network.loss.scale(query, 1 / len(query.X))
        at = network.run(_layers(network, params, contexts[-1]), query, mean_over_tasks)
        loss, layers = at.losses.mean(), weight_gradients(at)
        gradient = params.gradient(())
        V = self._add(network, params, gradient, layers, contexts[-1])
        rate, context_weights = float(self.inner_lr), params["context_weights"]
        for context, step in zip(contexts[-2::-1], reversed(steps), strict=True):
            slope = step.deltas[0].sum(axis=1)  # at the first bias, (tasks, h)
            gradient["context_weights"][...] -= rate * (V.T @ slope)
            if not self.first_order:
                first = None, -rate * (V @ context_weights)  # moves the first bias only
                layers = hessian_product(step, [first] + [None] * (network.n_layers - 1))
                V = V + self._add(network, params, gradient, layers, context)
        return loss, gradient.vector

    def gradient_definition(self, network, params, support, query):
        """What the meta-gradient is with `first_order`: the steps' gradients held fixed.

        Those at the first layer's outputs: the context is their sum times the weights of the
        context, and through these it is differentiated.
        """
        gradient, C = params.gradient(()), params["context_weights"]
        for task, rows in single_tasks(support, query):
            moved = np.zeros(C.shape[1])  # by the steps, at the first layer's outputs
            for _ in range(self.inner_steps):
                at = network.run(_layers(network, params, C @ moved), task)
                moved = moved - self.inner_lr * at.deltas[0].sum(axis=(0, 1))
            at = network.run(_layers(network, params, C @ moved), rows)
            bias = at.deltas[0].sum(axis=(0, 1))
            gradient.vector[: network.layout.size] += network.gradient(at.inputs, at.deltas)
            gradient["context_weights"][...] += np.outer(C @ moved, bias) + np.outer(
                C @ bias, moved
            )
        return gradient.vector / len(support.X)

    def _descend(self, network, params, support, n_steps):
        """The contexts (tasks, n_context) before each step and after the last, and the steps."""
        context_weights = params["context_weights"]
        contexts = [np.zeros((len(support.X), self.n_context), params.vector.dtype)]
        steps = []
        for _ in range(n_steps):
            layers = _layers(network, params, contexts[-1])
            steps.append(network.run(layers, support))
            slope = steps[-1].deltas[0].sum(axis=1) @ context_weights.T
            contexts.append(contexts[-1] - float(self.inner_lr) * slope)
        return contexts, steps

    @staticmethod
    def _add(network, params, gradient, layers, context):
        """Add the gradients at the layers, given the context; return that at the context."""
        (weights, bias), *others = layers  # the bias is of each task, (tasks, h)
        flat = network.flat([(weights, bias.sum(axis=0)), *others])
        gradient.vector[: network.layout.size] += flat
        gradient["context_weights"][...] += context.T @ bias
        return bias @ params["context_weights"].T


def _layers(network, params, context):
    """The network's layers, the first bias moved by each task's context."""
    (weights, bias), *others = network.layers(params.vector)
    return [(weights, bias + context @ params["context_weights"]), *others]
