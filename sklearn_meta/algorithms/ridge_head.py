"""Ridge regression on learned features as the output layer."""

from numbers import Real

import numpy as np

from .._compat import Interval
from ..network import LOSSES, TaskWeights, posterior_mode
from ._base import MetaAlgorithm, extended_params


class RidgeHead(MetaAlgorithm):
    """The last layer as the ridge regression of a task's targets on learned features.

    Learned over all tasks: the features and the ridge penalty. A task's own output layer
    is the ridge regression of its support rows, the column of ones for the bias penalised
    like the others, so that with no rows it is 0, which is the pooled mean of standardised
    targets.

    Classes are regressed on as well: each one's indicator, or a single logit's -1 and 1. A
    learned scale, and a bias for each class, then turn the fit into logits; with no rows
    the bias is all there is. Where every task has classes of its own, the bias is held at
    0, since no class is special. A Poisson target, with its log link, has no closed form.

    Parameters
    ----------
    init_penalty : float, default=1.0
        Ridge penalty that training starts from, in the units of scikit-learn's `Ridge`:
        the weight of ``|W|^2`` beside the sum of squared errors.
    init_scale : float, default=5.0
        What the regression on classes is multiplied by before training.

    References
    ----------
    L. Bertinetto, J. F. Henriques, P. H. S. Torr, A. Vedaldi. "Meta-learning with
    differentiable closed-form solvers" (R2-D2). ICLR 2019. https://arxiv.org/abs/1805.08136

    Examples
    --------
    >>> from sklearn.neural_network import MLPRegressor
    >>> from sklearn_meta import MetaLearner
    >>> from sklearn_meta.algorithms import RidgeHead
    >>> from sklearn_meta.datasets import Sinusoids
    >>> tasks = Sinusoids(n_rows=20).sample(200, random_state=0)
    >>> meta = MetaLearner(MLPRegressor(hidden_layer_sizes=(40, 40)), RidgeHead(), random_state=0)
    >>> X, y = tasks[0]
    >>> meta.fit(tasks).adapt(X[:10], y[:10]).predict(X).shape
    (20,)
    """

    losses = ("squared_error", "binary_log_loss", "log_loss")
    _parameter_constraints = {
        "init_penalty": [Interval(Real, 0, None, closed="neither")],
        "init_scale": [Interval(Real, 0, None, closed="neither")],
    }

    def __init__(self, *, init_penalty=1.0, init_scale=5.0):
        self.init_penalty = init_penalty
        self.init_scale = init_scale

    def init_params(self, network, random_state, dtype):
        self._check_loss(network, "squared error or a classifier; BayesianHead takes any")
        own = {"log_penalty": ()}
        if not network.loss.quadratic:
            own["log_scale"] = ()
        params = extended_params(network, own, random_state, dtype, logs=own)
        weights, bias = network.names[-1]
        params[weights][...] = 0
        if not _has_bias(network):
            params[bias][...] = 0
        params["log_penalty"][...] = np.log(self.init_penalty)
        if not network.loss.quadratic:
            params["log_scale"][...] = np.log(self.init_scale)
        return params

    def learn(self, network, params, support):
        _, _, mode = _regress(network, params, support, support.X)
        head = _scale(network, params) * _whitening(params) * mode.U  # (tasks, p, k)
        *body, (_, bias) = network.layers(params.vector)
        return TaskWeights([*body, (head[:, :-1], head[:, -1] + bias)])

    def meta_gradient(self, network, params, support, query):
        X = np.concatenate([support.X, query.X], axis=1)
        inputs, F, mode = _regress(network, params, support, X)
        loss, scale, Q = network.loss, _scale(network, params), F[:, support.X.shape[1] :]
        fitted = Q @ mode.U  # (tasks, m, k)
        z = scale * fitted + params[network.names[-1][1]]
        if query.logit_mask is not None:
            z += query.logit_mask
        delta = loss.delta(loss.mean(z), query) / len(z)
        d_fitted = scale * delta
        d_support, _ = mode.adjoint(Q.mT @ d_fitted)
        d_F = np.concatenate([d_support, d_fitted @ mode.U.mT], axis=1)
        gradient = _backward(network, params, inputs, F, d_F)
        if not loss.quadratic:
            gradient["log_scale"][...] = np.vdot(d_fitted, fitted)
        if _has_bias(network):
            gradient[network.names[-1][1]][...] = delta.sum(axis=(0, 1))
        return loss.task_losses(z, query).mean(), gradient.vector


def _regress(network, params, support, X):
    """Inputs of the layers for rows X, whitened features, and the support's ridge regression.

    The support is the first rows of X.
    """
    inputs = network.hidden(network.layers(params.vector), X)
    F = np.concatenate([inputs[-1], np.ones((*X.shape[:2], 1), X.dtype)], axis=-1)
    F *= _whitening(params)  # (tasks, rows, p), with which the penalty is 1
    if network.n_outputs == 1 and not network.loss.quadratic:
        support = support._replace(y=2 * support.y - 1)  # one class's indicator less the other's
    nothing = np.zeros_like(support.y)
    rows = F[:, : support.X.shape[1]]
    return inputs, F, posterior_mode(LOSSES["squared_error"], rows, nothing, support)


def _backward(network, params, inputs, F, d_F):
    """The gradient of what the whitened features depend on; 0 elsewhere."""
    layers = network.layers(params.vector)
    d_features = d_F[..., :-1] * _whitening(params)
    deltas = network.hidden_deltas(layers, inputs, d_features)
    gradient = params.gradient(network.gradient(inputs, deltas))
    gradient["log_penalty"][...] = -0.5 * np.vdot(d_F, F)
    return gradient


def _has_bias(network):
    """Whether logits have a bias of their own: what classes are like in all tasks."""
    return not (network.loss.quadratic or network.exchangeable_outputs)


def _whitening(params):
    return np.exp(-0.5 * params["log_penalty"])


def _scale(network, params):
    return 1.0 if network.loss.quadratic else np.exp(params["log_scale"])
