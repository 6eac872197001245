"""A Gaussian process on learned features: deep kernel transfer."""

from numbers import Real

import numpy as np
from scipy.optimize import minimize_scalar

from .._compat import Interval, StrOptions
from ..network import TaskWeights, affine
from ._base import MetaAlgorithm, extended_params, zero_head
from ._gaussian_processes import GaussianProcesses
from ._kernels import KERNELS, evidence

MIN_NOISE = 1e-6  # over the signal: what has no noise at all would be infinitely likely
INIT_GAIN, GAINS = 4.0, (0.1, 100.0)  # at labels +-1, before and in calibration


class DeepKernelGP(MetaAlgorithm):
    """A Gaussian process on the features of the last hidden layer.

    Learned over all tasks, by the marginal likelihood of each one's rows: the features, the
    kernel's signal and length scale, the noise, and the mean function, which is the
    network's own output layer. A new task conditions the process on its support, exactly
    and with no steps; with no rows it predicts the mean function.

    Classes are regressed on as labels +-1, a process for each with the one kernel, and the
    softmax of the means, times a gain that fits the validation tasks best, gives
    probabilities. Counts have no such process: `BayesianHead` takes Poisson.

    `MetaLearner.adapt` gives a Pipeline of the features and scikit-learn's Gaussian process
    regressor on them. The work grows with the cube of a task's rows; in training, of its
    support and query together. Adaptation takes 16,384 rows of a task at most, whose matrix
    takes 2 GiB; more are a ValueError.

    Parameters
    ----------
    kernel : {"rbf", "linear"}, default="rbf"
        ``signal * exp(-|f - f'|^2 / (2 * length_scale^2))``, which takes any shape near the
        support's rows and goes back to the mean function away from them; or
        ``signal * (1 + f . f' / length_scale^2)``, which goes on beyond them as the training
        tasks did, and is the better where tasks are much alike and without noise.
    init_length_scale : float, default=0.3
        Length scale that training starts from, per square root of the number of features.
    init_noise : float, default=0.1
        Noise variance that training starts from, beside a signal of variance 1 and
        standardised targets.

    References
    ----------
    M. Patacchiola, J. Turner, E. J. Crowley, M. O'Boyle, A. Storkey. "Bayesian Meta-Learning
    for the Few-Shot Setting via Deep Kernels" (DKT). NeurIPS 2020.
    https://arxiv.org/abs/1910.05199

    Examples
    --------
    >>> from sklearn.neural_network import MLPRegressor
    >>> from sklearn_meta import MetaLearner
    >>> from sklearn_meta.algorithms import DeepKernelGP
    >>> from sklearn_meta.datasets import Sinusoids
    >>> tasks = Sinusoids(n_rows=20).sample(200, random_state=0)
    >>> mlp = MLPRegressor(hidden_layer_sizes=(40, 40))
    >>> meta = MetaLearner(mlp, DeepKernelGP(), max_iter=200, random_state=0).fit(tasks)
    >>> X, y = tasks[0]
    >>> mean, std = meta.adapt(X[:10], y[:10]).predict(X, return_std=True)
    >>> std.shape
    (20,)
    """

    losses = ("squared_error", "binary_log_loss", "log_loss")
    joint_losses = ("squared_error",)
    most_rows = 2**14  # their covariances take 2 GiB
    _parameter_constraints = {
        "kernel": [StrOptions(set(KERNELS))],
        "init_length_scale": [Interval(Real, 0, None, closed="neither")],
        "init_noise": [Interval(Real, 0, None, closed="neither")],
    }

    def __init__(self, *, kernel="rbf", init_length_scale=0.3, init_noise=0.1):
        self.kernel = kernel
        self.init_length_scale = init_length_scale
        self.init_noise = init_noise

    def init_params(self, network, random_state, dtype):
        self._check_loss(network, "squared error or classes; for loss='poisson' take BayesianHead")
        logs = ["log_ratio", "log_length_scale", "log_noise"]
        own = dict.fromkeys(logs, ())
        if not network.loss.quadratic:
            own["log_gain"] = ()
        params = extended_params(network, own, random_state, dtype, logs)
        if network.exchangeable_outputs:
            zero_head(network, params)
        length_scale = self.init_length_scale * np.sqrt(network.n_features)
        params["log_ratio"][...] = -np.log(self.init_noise)
        params["log_length_scale"][...] = np.log(length_scale)
        params["log_noise"][...] = np.log(self.init_noise)
        if not network.loss.quadratic:
            params["log_gain"][...] = np.log(INIT_GAIN)
        return params

    def learn(self, network, params, support):
        layers = network.layers(params.vector)
        F = network.hidden(layers, support.X)[-1]
        residual = _targets(network, support) - affine(F, *layers[-1])
        kernel, gain = self._kernel(params), _gain(network, params)
        return GaussianProcesses.condition(layers, kernel, gain, F, residual, support.weight)

    def meta_gradient(self, network, params, support, query):
        """Negative log marginal likelihood of all rows, per row and output."""
        batch = support.join(query)
        layers = network.layers(params.vector)
        inputs = network.hidden(layers, batch.X)
        residual = _targets(network, batch) - affine(inputs[-1], *layers[-1])
        n_outputs = _count_outputs(network, batch.logit_mask)
        kernel = self._kernel(params)
        found = evidence(kernel, inputs[-1], residual, batch.weight, n_outputs)
        delta = -found.d_residual
        d_features = found.d_features + delta @ layers[-1][0].T
        deltas = [*network.hidden_deltas(layers, inputs, d_features), delta]
        gradient = params.gradient(network.gradient(inputs, deltas))
        if network.exchangeable_outputs:
            zero_head(network, gradient)
        slope = 1 - MIN_NOISE * kernel.ratio
        gradient["log_ratio"][...] = slope * found.d_log_ratio
        gradient["log_length_scale"][...] = found.d_log_length_scale
        gradient["log_noise"][...] = found.d_log_noise
        return found.losses.mean().astype(inputs[-1].dtype), gradient.vector

    def calibrate(self, network, params, held_out):
        """Set the gain to that with the least log-loss on the query rows.

        It enters no label, so it is no part of the marginal likelihood.
        """
        if network.loss.quadratic:
            return params
        outputs = [
            self.learn(net, trained, support).with_gain(1.0).outputs(net, query.X)
            for net, trained, support, query in held_out
        ]

        def log_loss(log_gain):
            losses = []
            for z, (_, _, _, query) in zip(outputs, held_out, strict=True):
                logits = np.exp(log_gain) * z
                if query.logit_mask is not None:
                    logits += query.logit_mask
                losses.append(network.loss.task_losses(logits, query))
            return np.concatenate(losses).mean()

        calibrated = params.copy()
        found = minimize_scalar(log_loss, bounds=np.log(GAINS), method="bounded")
        calibrated["log_gain"][...] = found.x
        return calibrated

    def prior(self, network, params):
        """The mean function, times the gain of classes: a plain network."""
        *body, (weights, bias) = network.layers(params.vector)
        gain = np.asarray(_gain(network, params), weights.dtype)
        return TaskWeights([*body, (gain * weights, gain * bias)])

    def _kernel(self, params):
        inverse, length_scale, noise = (
            np.exp(sign * float(params[name]))
            for sign, name in ((-1, "log_ratio"), (1, "log_length_scale"), (1, "log_noise"))
        )
        return KERNELS[self.kernel](1 / (MIN_NOISE + inverse), length_scale, noise)


def _gain(network, params):
    """Outputs are this times the posterior mean."""
    return 1.0 if network.loss.quadratic else float(np.exp(params["log_gain"]))


def _count_outputs(network, logit_mask):
    """That each task has, an int or (tasks, 1, 1)."""
    if logit_mask is None:
        return network.n_outputs
    return (logit_mask == 0).sum(axis=-1, keepdims=True)


def _targets(network, batch):
    """Targets; of classes, labels: 2 for the class and 0 for others, less their mean."""
    if network.loss.quadratic:
        return batch.y
    n_classes = np.maximum(_count_outputs(network, batch.logit_mask), 2)
    labels = 2 * batch.y - (2 / n_classes).astype(batch.y.dtype)
    return labels if batch.logit_mask is None else labels * (batch.logit_mask == 0)
