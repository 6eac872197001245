"""Implicit MAML: adaptation to the end, differentiated without its path."""

from numbers import Integral, Real

import numpy as np

from .._compat import Interval
from ..network import TaskWeights, hessian_product, weight_gradients
from ._base import MetaAlgorithm


class ImplicitMAML(MetaAlgorithm):
    """Adaptation that stays near a learned start, and an implicit meta-gradient.

    What is learned is the network's initial weights. A task minimises its mean support loss
    plus ``penalty / 2 * |weights - start|^2`` by gradient descent; the meta-gradient depends
    on where that ends and not on its path: ``(I + H / penalty)^-1`` times the query
    gradient, H the Hessian of the support loss there. The system is solved by conjugate
    gradients, for all tasks at once, so that memory does not grow with the steps.

    Parameters
    ----------
    penalty : float, default=5.0
        How strongly a task is held to the start (lambda in the paper).
    inner_lr : float, default=0.1
        Learning rate of the steps on a task. A step that would raise its penalised loss is not
        taken, and the task's rate is halved.
    inner_steps : int, default=10
        Number of steps, in meta-training and on new tasks. Few leave the minimum unreached, as
        does ``inner_lr * penalty`` near 0, and the meta-gradient inexact.
    cg_steps : int, default=5
        Iterations of conjugate gradients at most.

    References
    ----------
    A. Rajeswaran, C. Finn, S. Kakade, S. Levine. "Meta-Learning with Implicit Gradients".
    NeurIPS 2019. https://arxiv.org/abs/1909.04630

    Examples
    --------
    >>> from sklearn.neural_network import MLPRegressor
    >>> from sklearn_meta import MetaLearner
    >>> from sklearn_meta.algorithms import ImplicitMAML
    >>> MetaLearner(MLPRegressor(), algorithm=ImplicitMAML(penalty=1.0)).algorithm
    ImplicitMAML(penalty=1.0)
    """

    _parameter_constraints = {
        "penalty": [Interval(Real, 0, None, closed="neither")],
        "inner_lr": [Interval(Real, 0, None, closed="neither")],
        "inner_steps": [Interval(Integral, 0, None, closed="left")],
        "cg_steps": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(self, *, penalty=5.0, inner_lr=0.1, inner_steps=10, cg_steps=5):
        self.penalty = penalty
        self.inner_lr = inner_lr
        self.inner_steps = inner_steps
        self.cg_steps = cg_steps

    def adapt(self, network, params, support):
        return TaskWeights(network.layers(self._descend(network, params, support)))

    def meta_gradient(self, network, params, support, query):
        layers = network.layers(self._descend(network, params, support))
        mean_over_tasks = network.loss.scale(query, 1 / len(query.X))
        at = network.run(layers, query, mean_over_tasks)
        flat = network.flat(weight_gradients(at))  # (tasks, size)
        end = network.run(layers, support)
        penalty = float(self.penalty)

        def system(V):
            return V + network.flat(hessian_product(end, network.layers(V))) / penalty

        gradient = np.zeros_like(params.vector)
        gradient[: network.layout.size] = conjugate_gradients(system, flat, self.cg_steps).sum(0)
        return at.losses.mean(), gradient

    def _descend(self, network, params, support):
        """Each task's weights (tasks, size) after gradient descent on its penalised loss."""
        start = params.vector[: network.layout.size]
        W = np.repeat(start[None], len(support.X), axis=0)
        rate = np.full((len(W), 1), self.inner_lr, W.dtype)
        value, gradient = self._objective(network, start, W, support)
        rounding = 1 + 8 * np.finfo(W.dtype).eps
        for _ in range(self.inner_steps):
            ahead = W - rate * gradient
            new_value, new_gradient = self._objective(network, start, ahead, support)
            better = new_value <= value * rounding  # False for what is not a number
            W, gradient = np.where(better, [ahead, new_gradient], [W, gradient])
            value, rate = np.where(better, [new_value, rate], [value, rate / 2])
        return W

    def _objective(self, network, start, W, support):
        """Each task's penalised support loss (tasks, 1) and its gradient (tasks, size)."""
        at = network.run(network.layers(W), support)
        pairs = zip(at.inputs, at.deltas, strict=True)
        gradient = network.flat([(A.mT @ D, D.sum(axis=1)) for A, D in pairs])
        moved, penalty = W - start, float(self.penalty)
        value = at.losses + 0.5 * penalty * np.vecdot(moved, moved)
        return value[:, None], gradient + penalty * moved


def conjugate_gradients(system, B, n_steps):
    """Solve symmetric positive definite systems, one a row of B (tasks, size), from B on.

    A system that is solved, or that turns out not to be positive definite, is left as it is.
    """
    X = B.copy()
    R = B - system(X)
    P, rr, going = R.copy(), np.vecdot(R, R), True
    enough = np.finfo(B.dtype).eps ** 2 * np.vecdot(B, B)
    for _ in range(n_steps):
        AP = system(P)
        curvature = np.vecdot(P, AP)
        going = going & (rr > enough) & (curvature > 0)
        if not going.any():
            break
        step = np.where(going, rr / np.where(going, curvature, 1), 0)[:, None]
        X += step * P
        R -= step * AP
        after = np.vecdot(R, R)
        P = R + (after / np.where(rr > 0, rr, 1))[:, None] * P
        rr = after
    return X
