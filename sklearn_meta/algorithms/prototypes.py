"""Prototypical networks: the nearest class mean in a learned space."""

from numbers import Real
from typing import NamedTuple

import numpy as np

from .._compat import Interval
from ..network import TaskWeights, affine, both_classes, both_logits, one_logit
from ._base import MetaAlgorithm, extended_params, zero_head


class Means(NamedTuple):
    """Each task's class prototypes, and what they are made of."""

    C: np.ndarray  # (tasks, classes, p)
    members: np.ndarray  # (tasks, n, classes), the row weight at the row's class
    total: np.ndarray  # (tasks, classes, 1), the weight of rows and prior, 1 where it is 0
    start: np.ndarray  # (classes, p)
    kappa: float  # the weight of `start`


class Prototypes(MetaAlgorithm):
    """Class means in a learned space; a row is of the class whose mean is nearest.

    Where every task has classes of its own this is the prototypical network: logits are
    minus the squared Euclidean distances to the (weighted) means of the support rows'
    features, and the features are learned over all tasks. Where labels mean the same in
    every task, prototypes are learned as well, which count as `kappa` rows of their class,
    kappa learned: ``c_k = (kappa * c0_k + sum_k f) / (kappa + n_k)``. A class that the
    support lacks then has its learned prototype, and so do all with no rows at all.

    The squared norm of a row's own features is the same for all classes, so an adapted
    task is an output layer with weights ``2 c_k`` and biases ``-|c_k|^2``. It classifies
    only. A class of a task's own without any support row has the origin for a prototype.

    Parameters
    ----------
    init_kappa : float, default=0.1
        Rows that a learned prototype counts as before training, where labels are shared. Few,
        since from many training may end where the support rows hardly matter.

    References
    ----------
    J. Snell, K. Swersky, R. Zemel. "Prototypical Networks for Few-shot Learning". NeurIPS
    2017. https://arxiv.org/abs/1703.05175

    Examples
    --------
    >>> from sklearn.neural_network import MLPClassifier
    >>> from sklearn_meta import MetaLearner
    >>> from sklearn_meta.algorithms import Prototypes
    >>> from sklearn_meta.datasets import load_vowels
    >>> tasks = load_vowels()
    >>> meta = MetaLearner(MLPClassifier(), Prototypes(), shared_labels=False, max_iter=20)
    >>> X, y = tasks[0]
    >>> meta.fit(tasks[1:]).adapt(X[:10], y[:10]).predict(X).shape
    (20,)
    """

    losses = ("binary_log_loss", "log_loss")
    _parameter_constraints = {"init_kappa": [Interval(Real, 0, None, closed="neither")]}

    def __init__(self, *, init_kappa=0.1):
        self.init_kappa = init_kappa

    def init_params(self, network, random_state, dtype):
        self._check_loss(network, "a classifier; for regression take BayesianHead or RidgeHead")
        own, shape = {}, (max(2, network.n_outputs), network.n_features)
        if not network.exchangeable_outputs:
            own = {"prototypes": shape, "log_kappa": ()}
        logs = [name for name in own if name == "log_kappa"]
        params = extended_params(network, own, random_state, dtype, logs=logs)
        zero_head(network, params)
        if own:
            bound = 1 / np.sqrt(network.n_features)
            params["prototypes"][...] = random_state.uniform(-bound, bound, shape)
            params["log_kappa"][...] = np.log(self.init_kappa)
        return params

    def learn(self, network, params, support):
        layers = network.layers(params.vector)
        F = network.hidden(layers, support.X)[-1]
        return TaskWeights(
            [*layers[:-1], distance_head(class_means(network, params, F, support).C, network)]
        )

    def meta_gradient(self, network, params, support, query):
        n, loss = support.X.shape[1], network.loss
        X = np.concatenate([support.X, query.X], axis=1)
        inputs = network.hidden(network.layers(params.vector), X)
        F, Q = inputs[-1][:, :n], inputs[-1][:, n:]
        means = class_means(network, params, F, support)
        z = affine(Q, *distance_head(means.C, network))  # (tasks, m, k)
        if query.logit_mask is not None:
            z += query.logit_mask
        delta = loss.delta(loss.mean(z), query) / len(z)
        if network.n_outputs == 1:
            delta = both_logits(delta)
        d_C = 2 * (delta.mT @ Q - delta.sum(axis=1)[..., None] * means.C)
        d_sums = d_C / means.total  # (tasks, classes, p)
        d_features = np.concatenate([means.members @ d_sums, 2 * (delta @ means.C)], axis=1)
        gradient = backward(network, params, inputs, means, d_sums, d_features)
        return loss.task_losses(z, query).mean(), gradient.vector

    def prior(self, network, params):
        start, _ = _start(network, params)
        return TaskWeights([*network.layers(params.vector)[:-1], distance_head(start, network)])


def _start(network, params):
    """The learned prototypes (classes, p) and their weight in rows, if labels are shared."""
    if network.exchangeable_outputs:
        shape = max(2, network.n_outputs), network.n_features
        return np.zeros(shape, params.vector.dtype), 0.0
    return params["prototypes"], np.exp(params["log_kappa"])


def class_means(network, params, F, support):
    """Each task's prototypes, of its support rows' features F (tasks, n, p)."""
    y = support.y if network.n_outputs > 1 else both_classes(support.y)
    members = support.weight[..., None] * y
    counts = members.sum(axis=1)[..., None]  # (tasks, classes, 1)
    start, kappa = _start(network, params)
    total = counts + kappa
    total[total == 0] = 1
    C = start + (members.mT @ F - counts * start) / total  # exactly `start` with no rows
    return Means(C, members, total, start, kappa)


def distance_head(C, network):
    """The output layer that measures distances to prototypes (..., classes, p)."""
    weights, bias = 2 * C.mT, -np.einsum("...kp,...kp->...k", C, C)
    if network.n_outputs > 1:
        return weights, bias
    return one_logit(weights), one_logit(bias)


def backward(network, params, inputs, means, d_sums, d_features):
    """The gradient of everything, from that at the class sums and at all rows' features."""
    deltas = network.hidden_deltas(network.layers(params.vector), inputs, d_features)
    gradient = params.gradient(network.gradient(inputs, deltas))
    if not network.exchangeable_outputs:
        gradient["prototypes"][...] = means.kappa * d_sums.sum(axis=0)
        d_kappa = np.vdot(d_sums, means.start - means.C)
        gradient["log_kappa"][...] = means.kappa * d_kappa
    return gradient
