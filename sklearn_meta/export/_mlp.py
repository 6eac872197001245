"""A task's network as a fitted scikit-learn MLP."""

import numpy as np
from sklearn.base import clone

from .._compat import forget_optimizer
from ..encoding import split_estimator
from ..network import one_logit


def fitted_mlp(layers, encoder, classes):
    """The user's MLP with these layers, fitted for these classes (None in regression)."""
    mlp, _ = split_estimator(encoder.estimator)
    *hidden, head = encoder.features.fold(layers)
    hidden = [_cast(layer, encoder.dtype) for layer in hidden]
    if encoder.is_classifier:
        head = _cast(_class_columns(*head, len(classes)), encoder.dtype)
        y = classes
    else:
        head = encoder.targets.fold(*head)  # stays in double precision
        y = np.ones(1 if encoder.targets.flat else (1, encoder.targets.n_outputs))
    fitted = _fitted_shell(mlp, encoder, y)
    fitted.coefs_, fitted.intercepts_ = map(list, zip(*hidden, head, strict=True))
    _take_widths(fitted, [len(bias) for _, bias in hidden])
    return fitted


def _take_widths(mlp, widths):
    """Note the widths of hidden layers in an MLP that has others, as merged networks do."""
    sizes = mlp.hidden_layer_sizes
    if list(sizes if np.iterable(sizes) else [sizes]) != widths:
        mlp.set_params(hidden_layer_sizes=tuple(widths))
        mlp.n_layers_ = len(widths) + 2


def _cast(layer, dtype):
    return tuple(array.astype(dtype) for array in layer)


def _class_columns(weights, bias, n_classes):
    """The output layer of a network for the first classes only; two become one logit."""
    if weights.shape[1] == 1:
        return weights, bias
    if n_classes == 2:
        return one_logit(weights), one_logit(bias)
    return weights[:, :n_classes], bias[:n_classes]


def _fitted_shell(mlp, encoder, y):
    """A clone that scikit-learn itself set up for this shape, trained on nothing yet."""
    quiet = {"solver": "sgd", "early_stopping": False, "verbose": False}
    shell = clone(mlp).set_params(**quiet, batch_size="auto", random_state=0)
    X = np.zeros((len(y), encoder.network.layer_units[0]), encoder.dtype)
    with np.errstate(all="ignore"):
        shell.partial_fit(X, y, **({"classes": y} if encoder.is_classifier else {}))
    forget_optimizer(shell)
    shell.loss_curve_, shell.n_iter_, shell.t_ = [], 0, 0
    shell.loss_ = shell.best_loss_ = np.inf
    if mlp.early_stopping:
        shell.validation_scores_, shell.best_validation_score_ = [], -np.inf
    shell.set_params(**mlp.get_params())
    encoder.features.name_inputs(shell)
    return shell
