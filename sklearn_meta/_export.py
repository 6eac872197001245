"""An adapted task as a fitted scikit-learn MLP, or the Pipeline that ends in one."""

import copy

import numpy as np
from sklearn.base import clone
from sklearn.pipeline import Pipeline

from ._encoding import split_estimator
from .algorithms._gaussian_process import GaussianProcesses


def export(encoder, task, classes=None):
    """A fitted clone of the user's estimator that predicts as the task does.

    Parameters
    ----------
    encoder : Encoder
    task : list of (weights, bias) or GaussianProcesses
        Of one task.
    classes : ndarray or None
        The task's classes, where each task has its own.

    Returns
    -------
    MLPRegressor, MLPClassifier or Pipeline
        Of a Gaussian process, a Pipeline of the features and a regressor on them.
    """
    if encoder.is_classifier and classes is None:
        classes = encoder.targets.classes
    name = encoder.estimator.steps[-1][0] if isinstance(encoder.estimator, Pipeline) else None
    before = [] if encoder.steps is None else copy.deepcopy(encoder.steps.steps)
    if isinstance(task, GaussianProcesses):
        from ._gaussian_process import fitted_process  # scikit-learn's own takes long to load

        features, last = fitted_process(encoder, task, classes)
        name = name or "gaussian_process"
        return Pipeline([*before, (f"{name}_features", features), (name, last)])
    fitted = _fitted_mlp(encoder, task, classes)
    return fitted if name is None else Pipeline([*before, (name, fitted)])


def _fitted_mlp(encoder, layers, classes):
    mlp, _ = split_estimator(encoder.estimator)
    *hidden, head = layers
    if encoder.is_classifier:
        head = _class_columns(*head, len(classes))
        y = classes
    else:
        head = encoder.targets.fold(*head)
        y = np.ones(1 if encoder.targets.flat else (1, encoder.targets.n_outputs))
    fitted = _fitted_shell(mlp, encoder, y)
    fitted.coefs_ = [weights.copy() for weights, _ in [*hidden, head]]
    fitted.intercepts_ = [bias.copy() for _, bias in [*hidden, head]]
    return fitted


def _class_columns(weights, bias, n_classes):
    """The output layer of a network for the first classes only; two become one logit."""
    if weights.shape[1] == 1:
        return weights, bias
    if n_classes == 2:
        return weights[:, 1:2] - weights[:, :1], bias[1:2] - bias[:1]
    return weights[:, :n_classes], bias[:n_classes]


def _fitted_shell(mlp, encoder, y):
    """A clone that scikit-learn itself set up for this shape, trained on nothing yet."""
    quiet = {"solver": "sgd", "early_stopping": False, "verbose": False}
    shell = clone(mlp).set_params(**quiet, batch_size="auto", random_state=0)
    X = np.zeros((len(y), encoder.network.layer_units[0]), encoder.dtype)
    with np.errstate(all="ignore"):
        shell.partial_fit(X, y, **({"classes": y} if encoder.is_classifier else {}))
    del shell._optimizer
    shell.loss_curve_, shell.n_iter_, shell.t_ = [], 0, 0
    shell.loss_ = shell.best_loss_ = np.inf
    if mlp.early_stopping:
        shell.validation_scores_, shell.best_validation_score_ = [], -np.inf
    shell.set_params(**mlp.get_params())
    if encoder.feature_names is not None:
        shell.feature_names_in_ = np.array(encoder.feature_names, dtype=object)
    return shell
