"""A Gaussian process on learned features: deep kernel transfer."""

from numbers import Real

import numpy as np

from .._compat import Interval
from ..network import Params, TaskWeights, affine
from ._base import MetaAlgorithm
from ._gaussian_process import GaussianProcesses, Kernel, count_outputs, evidence, label_gain

SPEED = 10.0  # Adam moves all entries alike, yet a variance has decades to cross


class DeepKernelGP(MetaAlgorithm):
    """A Gaussian process on the features of the last hidden layer.

    Learned over all tasks, by the marginal likelihood of each one's rows: the features, the
    kernel ``signal * exp(-|f - f'|^2 / (2 * length_scale^2))``, the noise, and the mean
    function, which is the network's own output layer. A new task conditions the process on
    its support, exactly and with no steps; with no rows it predicts the mean function. `BayesianHead`
    is the same with a linear kernel.

    Classes are learned as labels +-1, a process for each with the one kernel, and their
    probabilities are Bayes' rule on the predictive densities of these labels: confident
    only where the process is. Counts have no such process: `BayesianHead` takes Poisson.

    `MetaLearner.adapt` gives a Pipeline: the features, then scikit-learn's Gaussian process
    regressor on them. The work grows with the cube of a task's rows.

    Parameters
    ----------
    init_length_scale : float, default=1.0
        Length scale that training starts from, per square root of the number of features.
    init_noise : float, default=0.1
        Noise variance that training starts from, beside a signal of variance 1.

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

    _parameter_constraints = {
        "init_length_scale": [Interval(Real, 0, None, closed="neither")],
        "init_noise": [Interval(Real, 0, None, closed="neither")],
    }

    def __init__(self, *, init_length_scale=1.0, init_noise=0.1):
        self.init_length_scale = init_length_scale
        self.init_noise = init_noise

    def init_params(self, network, random_state, dtype):
        if network.loss_name == "poisson":
            raise ValueError(
                "DeepKernelGP has no Poisson likelihood, found loss='poisson': take BayesianHead"
            )
        layout = network.layout.extend({"log_ratio": (), "log_length_scale": (), "log_noise": ()})
        params = Params(np.zeros(layout.size, dtype), layout)
        params.vector[: network.layout.size] = network.init_vector(random_state, dtype)
        if network.exchangeable_outputs:
            for name in network.names[-1]:
                params[name][...] = 0
        length_scale = self.init_length_scale * np.sqrt(network.n_features)
        params["log_ratio"][...] = -np.log(self.init_noise) / SPEED
        params["log_length_scale"][...] = np.log(length_scale) / SPEED
        params["log_noise"][...] = np.log(self.init_noise) / SPEED
        return params

    def adapt(self, network, params, support):
        layers = network.layers(params.vector)
        F = network.hidden(layers, support.X)[-1]
        residual = _targets(network, support) - affine(F, *layers[-1])
        return GaussianProcesses.fit(layers, _kernel(params), F, residual, support.weight)

    def meta_gradient(self, network, params, support, query):
        """Negative log marginal likelihood of all rows, per row and output."""
        batch = support.join(query)
        layers = network.layers(params.vector)
        inputs = network.hidden(layers, batch.X)
        residual = _targets(network, batch) - affine(inputs[-1], *layers[-1])
        n_outputs = count_outputs(network, batch.logit_mask)
        found = evidence(_kernel(params), inputs[-1], residual, batch.weight, n_outputs)
        delta = -found.d_residual
        d_features = found.d_features + delta @ layers[-1][0].T
        deltas = [*network.hidden_deltas(layers, inputs, d_features), delta]
        gradient = Params(np.zeros_like(params.vector), params.layout)
        gradient.vector[: network.layout.size] = network.gradient(inputs, deltas, per_task=False)
        if network.exchangeable_outputs:
            for name in network.names[-1]:
                gradient[name][...] = 0
        for name in ("log_ratio", "log_length_scale", "log_noise"):
            gradient[name][...] = SPEED * getattr(found, f"d_{name}")
        return found.losses.mean().astype(inputs[-1].dtype), gradient.vector

    def predict_std(self, network, params, support, X):
        """Predictive standard deviation of targets.

        Parameters
        ----------
        network : MLP
        params : Params
        support : TaskBatch
        X : ndarray of shape (tasks, m, features)

        Returns
        -------
        ndarray of shape (tasks, m, outputs)

        Raises
        ------
        ValueError
            Of class probabilities, which have none here.
        """
        if not network.loss.quadratic:
            raise ValueError(
                "return_std of class probabilities needs BayesianHead; those of DeepKernelGP "
                "hold its uncertainty already"
            )
        variance = self.adapt(network, params, support).spread(network, X)
        std = np.sqrt(variance).astype(X.dtype, copy=False)
        return np.repeat(std, network.n_outputs, axis=-1)

    def prior(self, network, params):
        """The mean function, which is a plain network, as logits where there are classes."""
        *body, (weights, bias) = network.layers(params.vector)
        if not network.loss.quadratic:
            kernel = _kernel(params)
            gain = label_gain(network.n_outputs) / (kernel.noise * (1 + kernel.ratio))
            weights, bias = ((gain * part).astype(part.dtype) for part in (weights, bias))
        return TaskWeights([*body, (weights, bias)])


def _kernel(params):
    ratio, length_scale, noise = (
        np.exp(SPEED * float(params[name]))
        for name in ("log_ratio", "log_length_scale", "log_noise")
    )
    return Kernel(ratio * noise, length_scale, noise)


def _targets(network, batch):
    """Targets; of classes, labels: 2 for the class and 0 for others, less their mean."""
    if network.loss.quadratic:
        return batch.y
    n_classes = np.maximum(count_outputs(network, batch.logit_mask), 2)
    labels = 2 * batch.y - (2 / n_classes).astype(batch.y.dtype)
    return labels if batch.logit_mask is None else labels * (batch.logit_mask == 0)
