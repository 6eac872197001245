"""The parameters of a MetaLearner, checked before anything is done with them."""

from numbers import Integral, Real

import numpy as np
from sklearn.neural_network import MLPClassifier, MLPRegressor

from ._compat import HasMethods, Interval, StrOptions, validate_parameter_constraints
from ._messages import warn
from .algorithms import ALGORITHMS, MetaAlgorithm
from .encoding import split_estimator

PARAMETER_CONSTRAINTS = {
    "estimator": [HasMethods("fit")],
    "algorithm": [str, HasMethods("learn")],
    "task_feature": [str, Integral, None],
    "n_shots": [StrOptions({"auto"}), Interval(Integral, 0, None, closed="left"), tuple, list],
    "n_query": [Interval(Integral, 1, None, closed="left"), None],
    "support_order": [StrOptions({"random", "first"})],
    "meta_lr": [Interval(Real, 0, None, closed="neither")],
    "meta_batch_size": [Interval(Integral, 1, None, closed="left")],
    "max_iter": [Interval(Integral, 1, None, closed="left")],
    "tol": [Interval(Real, 0, None, closed="left")],
    "validation_interval": [Interval(Integral, 1, None, closed="left")],
    "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
    "early_stopping": ["boolean"],
    "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
    "normalize_y": ["boolean"],
    "standardize": ["boolean", StrOptions({"auto"})],
    "shared_labels": ["boolean", StrOptions({"auto"})],
    "adapt_training_tasks": ["boolean"],
    "handle_unknown": [StrOptions({"warn", "prior", "error"})],
    "warm_start": ["boolean"],
    "n_jobs": [
        Interval(Integral, None, -1, closed="right"),
        Interval(Integral, 1, None, closed="left"),
        None,
    ],
    "random_state": ["random_state"],
    "verbose": ["verbose"],
}
# random_state is idle, too, but scikit-learn itself sets every one that it finds
NETWORK_PARAMETERS = {"hidden_layer_sizes", "activation", "loss", "alpha", "random_state"}


def check_parameters(meta):
    """The meta-learner's own parameters, and those of what it wraps."""
    parameters = meta.get_params(deep=False)
    validate_parameter_constraints(PARAMETER_CONSTRAINTS, parameters, type(meta).__name__)
    shots = meta.n_shots
    if isinstance(shots, tuple | list) and not (
        len(shots) == 2
        and all(isinstance(k, Integral) for k in shots)
        and 0 <= shots[0] <= shots[1]
    ):
        raise ValueError(
            f"n_shots={shots} is no pair (low, high) of whole numbers, 0 <= low <= high"
        )
    check_estimator_parameter(meta.estimator)
    resolve_algorithm(meta.algorithm)


def check_estimator_parameter(estimator):
    """The wrapped estimator is an MLP or ends in one, and its parameters are in order."""
    mlp, _ = split_estimator(estimator)
    if not isinstance(mlp, MLPRegressor | MLPClassifier):
        raise TypeError(
            f"estimator must be an MLPRegressor, an MLPClassifier or a Pipeline that ends in "
            f"one, got {estimator!r}"
        )
    parameters = mlp.get_params(deep=False)
    name = type(mlp).__name__
    validate_parameter_constraints(mlp._parameter_constraints, parameters, caller_name=name)
    if np.any(np.asarray(mlp.hidden_layer_sizes) <= 0):
        raise ValueError(f"hidden_layer_sizes must be > 0, got {mlp.hidden_layer_sizes}")
    defaults = type(mlp)().get_params(deep=False)
    idle = [
        f"{key}={value!r}"
        for key, value in parameters.items()
        if key not in NETWORK_PARAMETERS and value != defaults[key]
    ]
    if idle:
        warn(
            f"{name}({', '.join(idle)}) has no effect in a MetaLearner, which trains the network "
            f"itself: see its own meta_lr, meta_batch_size, max_iter, tol, random_state, ..."
        )


def resolve_algorithm(algorithm):
    """A fresh algorithm from a name or an instance, its parameters in order."""
    if isinstance(algorithm, str):
        if algorithm not in ALGORITHMS:
            raise ValueError(
                f"The 'algorithm' parameter of MetaLearner is {algorithm!r}; expected an instance "
                f"or one of {sorted(ALGORITHMS)}"
            )
        return ALGORITHMS[algorithm]()
    if not isinstance(algorithm, MetaAlgorithm):
        raise TypeError(
            f"The 'algorithm' parameter of MetaLearner must be a name or an instance from "
            f"sklearn_meta.algorithms, got {algorithm!r}"
        )
    constraints, parameters = algorithm._parameter_constraints, algorithm.get_params(deep=False)
    validate_parameter_constraints(constraints, parameters, type(algorithm).__name__)
    return algorithm
