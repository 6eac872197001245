"""Implicit MAML: adaptation to the end, differentiated without its path."""

from numbers import Integral, Real

import numpy as np

from .._compat import Interval
from ..network import TaskWeights, hessian_product, weight_gradients
from ._base import MetaAlgorithm
from ._definitions import central_difference, loss_gradient, single_tasks


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

    exact_gradient = False
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

    def learn(self, network, params, support):
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

        solved = conjugate_gradients(system, flat, self.cg_steps)
        return at.losses.mean(), params.gradient(solved.sum(axis=0)).vector

    def gradient_definition(self, network, params, support, query):
        """What the meta-gradient is: ``(I + H / penalty)^-1`` times the query gradient.

        Both are taken at the learned weights, H as a dense matrix by central differences of the
        support gradient. With fewer `cg_steps` than it takes to solve the system, what holds is
        that the solution is the best in a Krylov space of so many dimensions, or of so many as
        the system is positive definite in. At a kink of relu, where many steps may well end,
        there is no H. It is the gradient of the loss only where the system is solved and
        `inner_steps` reach the minimum.
        """
        adapted, total = self.learn(network, params, support), 0
        for i, (task, rows) in enumerate(single_tasks(support, query)):
            end = network.flat(adapted.task(i).layers)
            H = central_difference(lambda W, task=task: loss_gradient(network, W, task), end)
            of_query = loss_gradient(network, end, rows)
            system = np.eye(len(end)) + (H + H.T) / (2 * self.penalty)
            total += krylov_solution(system, of_query, self.cg_steps)
        return params.gradient(total / len(support.X)).vector

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


def krylov_solution(A, b, n_steps):
    """Where conjugate gradients are after some steps from b on, by what that is.

    In ``b + span(r, A r, A^2 r, ...)``, ``r = b - A b``, it is where the residual is orthogonal
    to the span: the minimum of ``x' A x / 2 - b' x`` there. The span grows by a dimension a step,
    until it is all that there is or A is not positive definite on it.
    """
    basis, x, r = np.empty((len(b), 0)), b, b - A @ b
    ahead = r
    for _ in range(n_steps):
        for _ in range(2):  # once leaves rounding errors in
            ahead = ahead - basis @ (basis.T @ ahead)
        length = np.linalg.norm(ahead)
        if length <= 1e-12 * np.linalg.norm(A) * np.linalg.norm(b):
            break
        basis = np.column_stack([basis, ahead / length])
        inner = basis.T @ A @ basis
        if np.linalg.eigvalsh(inner)[0] <= 0:
            break
        x = b + basis @ np.linalg.solve(inner, basis.T @ r)
        ahead = A @ basis[:, -1]
    return x
