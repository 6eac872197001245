"""A Bayesian output layer on learned features: the default algorithm."""

from numbers import Real
from typing import NamedTuple

import numpy as np

from .._compat import Interval
from ..network import MergedMLP, Params, TaskWeights, posterior_mode, product
from ._base import MetaAlgorithm, extended_params, zero_head
from ._bayesian_tasks import BayesianTasks
from ._held_out_pairs import HeldOutPairs, support_evidence
from ._noise_fit import fit_noise_prior
from ._task_noise import OF_TASK_NOISE, NoisePrior, TaskNoise

INIT_NOISE = 0.1  # variance or dispersion, of standardised targets, before it is calibrated


class Whitened(NamedTuple):
    """Features of some rows, the bias among them, and the outputs at the prior mean."""

    inputs: list  # of the network's layers
    F: np.ndarray  # (tasks, rows, p), the last column 1
    scaled: np.ndarray  # F over the square root of the prior precisions
    base: np.ndarray  # (tasks, rows, outputs)


class BayesianHead(MetaAlgorithm):
    """The last layer as a Bayesian generalised linear model on learned features.

    Learned over all tasks: the features, and a Gaussian prior of the output layer, that is its
    mean and the precision of each of its rows. A task's own output layer is the mode of its
    posterior given the support rows. It moves where the prior leaves it free and holds still
    where tasks agree; with no rows it is the prior mean, with many the local fit.

    Squared error is exact, and has a noise of each task's own, with an inverse-gamma prior that
    the task's support rows update: the predictive distribution is Student's t. How noise differs
    between tasks, how heavy its tails are, and how wide posteriors have to be, is found once
    training is over, on held-out tasks; the means depend on none of it.

    Several networks (`n_members` of `MetaLearner`) are merged: the mean of their priors of a task's
    function is the prior of one head that sees the features of all.

    Poisson and log-loss find the mode by Newton's method, are differentiated through the implicit
    function theorem, and take their uncertainty from Laplace's approximation. With no hidden layer
    this is the linear mixed model with random slopes. Where every task has classes of its own, the
    prior mean is held at 0, since no class is special.

    Parameters
    ----------
    init_precision : float, default=10.0
        Prior precision of the output weights that training starts from, relative to the
        precision of one observation.
    linear_member : bool, default=True
        Whether, where several networks are merged (`n_members` of `MetaLearner`), a linear mixed
        model is trained beside each, and counts as much as tasks that were held out are the better
        for it. Of relu networks and at most 1,000 features.

    References
    ----------
    J. Harrison, A. Sharma, M. Pavone. "Meta-Learning Priors for Efficient Online Bayesian
    Regression" (ALPaCA). WAFR 2018. https://arxiv.org/abs/1807.08912

    C. E. Rasmussen, C. K. I. Williams. "Gaussian Processes for Machine Learning", MIT
    Press 2006, chapter 3.

    Examples
    --------
    >>> from sklearn.neural_network import MLPRegressor
    >>> from sklearn_meta import MetaLearner
    >>> from sklearn_meta.datasets import Sinusoids
    >>> tasks = Sinusoids(n_rows=20).sample(200, random_state=0)
    >>> meta = MetaLearner(MLPRegressor(hidden_layer_sizes=(40, 40)), random_state=0)
    >>> meta = meta.fit(tasks)
    >>> X, y = tasks[0]
    >>> mean, std = meta.fit_adapt(X[:5], y[:5]).predict(X, return_std=True)
    >>> std.shape
    (20,)
    """

    joint_losses = MetaAlgorithm.losses
    _parameter_constraints = {
        "init_precision": [Interval(Real, 0, None, closed="neither")],
        "linear_member": ["boolean"],
    }

    def __init__(self, *, init_precision=10.0, linear_member=True):
        self.init_precision = init_precision
        self.linear_member = linear_member

    def init_params(self, network, random_state, dtype):
        own = {"log_precision": (network.n_features + 1,)}
        if network.loss.deviance:
            own["log_noise"] = (network.n_outputs,)
        if network.loss.quadratic:  # 0: of all tasks alike, Gaussian, and as the posterior has it
            own["inverse_shape"] = own["tail"] = (network.n_outputs,)
            own["log_spread"] = (2, network.n_outputs)
        params = extended_params(network, own, random_state, dtype, logs=["log_precision"])
        if network.exchangeable_outputs:
            zero_head(network, params)
        params["log_precision"][...] = np.log(self.init_precision)
        if network.loss.deviance:
            params["log_noise"][...] = np.log(INIT_NOISE)
        return params

    def learn(self, network, params, support):
        rows = self._whiten(network, params, support.X, support.logit_mask)
        mode = posterior_mode(network.loss, rows.scaled, rows.base, support)
        scale, U = _scale(params), mode.U
        head = _prior_mean(network, params) + scale[:, None] * U  # (tasks, p, k)
        weights = TaskWeights([*network.layers(params.vector)[:-1], (head[:, :-1], head[:, -1])])
        noise = _noise(network, params, rows, mode, support)
        return BayesianTasks.condition(network, weights, scale, noise, support)

    def meta_gradient(self, network, params, support, query):
        X = np.concatenate([support.X, query.X], axis=1)
        rows = self._whiten(network, params, X, support.logit_mask)
        n, loss = support.X.shape[1], network.loss
        Q = rows.scaled[:, n:]
        mode = posterior_mode(loss, rows.scaled[:, :n], rows.base[:, :n], support)
        z = rows.base[:, n:] + Q @ mode.U  # (tasks, m, k)
        delta = loss.delta(loss.mean(z), query) / len(z)
        d_support, d_base = mode.adjoint(Q.mT @ delta)
        # over a single output, NumPy is slow as a matrix product
        d_query = delta * mode.U.mT if network.n_outputs == 1 else delta @ mode.U.mT
        d_scaled = np.concatenate([d_support, d_query], axis=1)
        d_base = np.concatenate([d_base, delta], axis=1)
        return loss.task_losses(z, query).mean(), self._backward(
            network, params, rows, d_scaled, d_base
        )

    def merge(self, members, weights):
        """Several networks as one: their features side by side, under the mixture of their priors.

        The prior of a task's function is Gaussian for each member; of the mixture the mean and
        the covariance are the weighted means of theirs. A member without hidden layers gives the
        inputs as features.

        Parameters
        ----------
        members : list of (MLP, Params)
            Of one shape, but for those without hidden layers.
        weights : array-like of shape (members,)
            They sum to 1; a member of weight 0 is left out.

        Returns
        -------
        network : MLP
        params : Params
        """
        chosen = [(*m, w) for m, w in zip(members, weights, strict=True) if w > 0]
        deep = [each for each in chosen if each[0].n_layers > 1]
        linear = [each for each in chosen if each[0].n_layers == 1]
        first, params, _ = chosen[0]
        if len(chosen) == 1:
            return first, params
        network = MergedMLP(deep[0][0], len(deep), bool(linear)) if deep else first
        own = {
            name: shape
            for name, shape in params.layout.shapes.items()
            if name not in first.layout.shapes
        }
        own["log_precision"] = (network.n_features + 1,)
        layout = network.layout.extend(own, params.layout.lr_scales)
        merged = Params(np.zeros(layout.size, params.vector.dtype), layout)
        for name in own:
            if name != "log_precision":
                merged[name][...] = sum(w * each[name] for _, each, w in chosen)
        for names in network.names[:-1]:
            for name in names:
                merged[name][...] = np.concatenate([each[name] for _, each, _ in deep], axis=-1)
        _merge_priors(network, merged, deep, linear)
        return network, merged

    def calibrate(self, network, params, held_out):
        """Set the noise to what held-out rows show, given the posteriors of their tasks.

        It enters no mean prediction, so it is no part of the gradient. Trained by the
        predictive density, features would grow where noise does, to buy density with
        variance, and adaptation would trust noisy tasks too much.

        Of squared error: the mean noise, how it differs between tasks, how heavy its tails are,
        and by how much the posterior is too narrow or too wide, at any number of support rows:
        each task is also learned from fewer of them, and the others are then predicted, too.
        """
        if not network.loss.deviance:
            return params
        calibrated = params.copy()
        if network.loss.quadratic:
            found = fit_noise_prior(HeldOutPairs.of(self._whiten, held_out))
            _set_noise(calibrated, found.variance)
            for name in OF_TASK_NOISE:
                calibrated[name][...] = getattr(found, name)
        else:
            dispersion = np.concatenate([self._dispersion(*each) for each in held_out])
            _set_noise(calibrated, dispersion.mean(axis=0))
        return calibrated

    def _dispersion(self, network, params, support, query):
        """What the query rows of each task show, (tasks, outputs): Pearson's dispersion."""
        tasks = self.learn(network, params, support)
        mean = network.loss.mean(tasks.outputs(network, query.X))
        relative = mean + mean**2 * tasks.variance_over_noise(network, query.X)
        return np.einsum("tm,tmk->tk", query.share, np.square(query.y - mean) / relative)

    def _whiten(self, network, params, X, logit_mask):
        inputs = network.hidden(network.layers(params.vector), X)
        ones = np.ones((*X.shape[:2], 1), X.dtype)
        F = np.concatenate([inputs[-1], ones], axis=-1)
        base = product(F, _prior_mean(network, params))
        if logit_mask is not None:
            base += logit_mask
        return Whitened(inputs, F, F * _scale(params), base)

    def _backward(self, network, params, rows, d_scaled, d_base):
        """From gradients at the whitened features to the flat gradient of everything."""
        prior_mean = _prior_mean(network, params)
        d_features = d_scaled * _scale(params) + product(d_base, prior_mean.T)
        layers = network.layers(params.vector)
        deltas = network.hidden_deltas(layers, rows.inputs, d_features[..., :-1])
        gradient = params.gradient(network.gradient(rows.inputs, deltas))
        gradient["log_precision"][...] = -0.5 * np.einsum("tnp,tnp->p", d_scaled, rows.scaled)
        if not network.exchangeable_outputs:
            d_head = rows.F.reshape(-1, len(prior_mean)).T @ d_base.reshape(-1, network.n_outputs)
            weights, bias = network.names[-1]
            gradient[weights][...], gradient[bias][...] = d_head[:-1], d_head[-1]
        return gradient.vector


def _merge_priors(network, merged, deep, linear):
    """The prior of the output layer of a merged network: of features, then inputs, then bias."""
    of_deep, of_linear = ([_weighted_prior(*each) for each in kind] for kind in (deep, linear))
    parts = [prior[:-1] for prior in of_deep]  # each has features of its own
    if linear:  # which share theirs
        parts.append(sum(prior[:-1] for prior in of_linear))
    parts.append(sum(prior[-1:] for prior in of_deep + of_linear))
    prior = np.concatenate(parts)
    weights, bias = network.names[-1]
    merged[weights][...], merged[bias][...] = prior[:-1, :-1], prior[-1, :-1]
    merged["log_precision"][...] = -np.log(prior[:, -1])


def _weighted_prior(network, params, weight):
    """Its share of the mean, and as the last column of the variances, (p, outputs + 1)."""
    variance = _scale(params)[:, None] ** 2
    return weight * np.concatenate([_prior_mean(network, params), variance], axis=1)


def _prior_mean(network, params):
    """Prior mean of the output layer, the bias as its last row, (p, outputs)."""
    weights, bias = (params[name] for name in network.names[-1])
    return np.concatenate([weights, bias[None]])


def _scale(params):
    """Prior standard deviations in units of the noise, (p,)."""
    return np.exp(-0.5 * params["log_precision"])


def _noise(network, params, rows, mode, support):
    """What the support tells of tasks' noise, a TaskNoise; None for classes."""
    if not network.loss.deviance:
        return None
    if not network.loss.quadratic:
        return TaskNoise.alike(np.exp(params["log_noise"]), len(support.X))
    return NoisePrior.of(params).given(*support_evidence(rows, mode, support))


def _set_noise(params, variance):
    least = np.finfo(params.vector.dtype).tiny
    params["log_noise"][...] = np.log(np.maximum(variance, least))
