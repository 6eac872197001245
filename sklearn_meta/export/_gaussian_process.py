"""What an adapted Gaussian process is in scikit-learn: features, and its own regressor on them.

All that is learned lies in parameters, so that a clone, fitted to other rows of a like task,
is adapted to them.
"""

import numpy as np
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin, clone
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.utils.validation import check_is_fitted

from .._compat import validate_data
from ..network import LOSSES, MLP, affine, both_classes

NOTHING = 1e-100  # what a row of less weight counts: its noise would overflow


class NetworkFeatures(TransformerMixin, BaseEstimator):
    """The features of a network's last hidden layer.

    Parameters
    ----------
    layers : list of (weights, bias)
        The hidden layers; none passes rows on as they are.
    activation : {"identity", "relu", "tanh", "logistic"}
    """

    def __init__(self, layers, activation):
        self.layers = layers
        self.activation = activation

    def fit(self, X, y=None):
        """Check X (n_rows, n_features); nothing is learned."""
        X = validate_data(self, X, dtype=[np.float64, np.float32])
        return self

    def transform(self, X):
        """The features of rows X, (n_rows, n_features_out)."""
        check_is_fitted(self, "n_features_in_")
        X = validate_data(self, X, dtype=[np.float64, np.float32], reset=False)
        units = [X.shape[1], *(len(bias) for _, bias in self.layers), 1]
        network = MLP(units, self.activation, "squared_error")
        features = network.hidden([*self.layers, None], X[None])[-1][0]
        return features.astype(float, copy=False)


class CentredGaussianProcess(GaussianProcessRegressor):
    """scikit-learn's Gaussian process regressor with a linear mean function.

    Parameters
    ----------
    kernel : Kernel
        Of scikit-learn, the sum of one and a WhiteKernel; kept as it is.
    coef : ndarray of shape (n_features,) or (n_features, n_outputs)
        Of the mean function.
    intercept : float or ndarray of shape (n_outputs,)
    scale : float or ndarray of shape (n_outputs,)
        Of targets, in units of which the kernel is.
    """

    def __init__(self, kernel, *, coef, intercept, scale):
        super().__init__(kernel, alpha=0.0, optimizer=None)
        self.coef = coef
        self.intercept = intercept
        self.scale = scale

    def fit(self, X, y, sample_weight=None):
        """Condition the process on rows X (n_rows, n_features) and targets y.

        A row of weight w counts as w rows: its noise is a w-th of a row's.
        """
        if sample_weight is not None:  # scikit-learn's own takes noise beyond the kernel's only
            weight = np.maximum(sample_weight, NOTHING)
            self.alpha = self.kernel.k2.noise_level * (1 / weight - 1)
        try:
            return super().fit(X, (y - self._mean(X)) / self.scale)
        finally:
            self.alpha = 0.0

    def predict(self, X, return_std=False, return_cov=False):
        """Predictive mean, and the standard deviation or covariance if asked for."""
        found = super().predict(X, return_std=return_std, return_cov=return_cov)
        mean, *width = found if isinstance(found, tuple) else (found,)
        mean = self._mean(X) + self.scale * mean
        power = 1 if return_std else 2
        return (mean, width[0] * self.scale**power) if width else mean

    def _mean(self, X):
        return np.asarray(X) @ self.coef + self.intercept


class LabelRegression(ClassifierMixin, BaseEstimator):
    """A classifier that regresses on labels: 2 for the class and 0 for others, less their mean.

    Parameters
    ----------
    regressor : regressor
        Of one output for two classes, of an output each for more.
    classes : ndarray of shape (n_classes,)
    gain : float
        The logits are this times what the regressor predicts.
    """

    def __init__(self, regressor, classes, gain):
        self.regressor = regressor
        self.classes = classes
        self.gain = gain

    def fit(self, X, y, sample_weight=None):
        """Fit the regressor to rows X (n_rows, n_features) and classes y (n_rows,)."""
        self.classes_ = np.asarray(self.classes)
        labels = 2 * (np.asarray(y)[:, None] == self.classes_) - 2 / len(self.classes_)
        if len(self.classes_) == 2:
            labels = labels[:, 1]
        self.regressor_ = clone(self.regressor).fit(X, labels, sample_weight)
        return self

    def predict_proba(self, X):
        """Class probabilities, (n_rows, n_classes)."""
        check_is_fitted(self)
        z = self.gain * self.regressor_.predict(X)
        if len(self.classes_) > 2:
            return LOSSES["log_loss"].mean(z)
        return both_classes(expit(z)[:, None])

    def predict(self, X):
        """The most probable classes, (n_rows,)."""
        return self.classes_[self.predict_proba(X).argmax(axis=1)]


def fitted_process(task, encoder, classes):
    """The transformer to features, and what was fitted to those of the support."""
    *hidden, (weights, bias) = task.layers
    features = _network_features(hidden, encoder)
    F, kernel = task.features.astype(float), task.kernel.to_sklearn()
    target = task.residual + affine(F, weights, bias)  # (rows, outputs)
    if encoder.is_classifier:
        codes = target.argmax(axis=1) if target.shape[1] > 1 else (target[:, 0] > 0).astype(int)
        classifier = _label_regression(task, kernel, classes)
        return features, classifier.fit(F, classes[codes], task.weight)
    weights, bias = encoder.targets.fold(weights, bias)
    outputs = 0 if encoder.targets.flat else slice(None)
    mean = {"coef": weights[:, outputs], "intercept": bias[outputs]}
    regressor = CentredGaussianProcess(kernel, **mean, scale=encoder.targets.scale[outputs])
    return features, regressor.fit(F, encoder.targets.decode(target), task.weight)


def _network_features(hidden, encoder):
    """The transformer to the features of these hidden layers, fitted."""
    n_features, activation = encoder.network.layer_units[0], encoder.network.activation
    if not hidden and encoder.features.scaling is not None:  # a layer that only scales
        identity = np.eye(n_features), np.zeros(n_features)
        hidden, activation = [identity], "identity"
    layers = [
        (weights.astype(encoder.dtype), bias.astype(encoder.dtype))
        for weights, bias in (encoder.features.fold(hidden) if hidden else hidden)
    ]
    features = NetworkFeatures(layers, activation)
    features.fit(np.zeros((1, n_features), encoder.dtype))
    encoder.features.name_inputs(features)
    return features


def _label_regression(task, kernel, classes):
    """The classifier, not yet fitted; two classes are one process.

    Where the network has two outputs or more for them, each is the other's negative, and
    the logits are twice as far apart as one is from 0.
    """
    weights, bias = task.layers[-1]
    outputs, gain = slice(len(classes)), task.gain
    if len(classes) == 2:
        outputs, gain = (0, gain) if len(bias) == 1 else (1, 2 * gain)
    mean = {"coef": weights[:, outputs].copy(), "intercept": bias[outputs].copy()}
    return LabelRegression(CentredGaussianProcess(kernel, **mean, scale=1.0), classes, gain)
