"""The parameters of a MetaLearner, checked before anything is done with them."""

from numbers import Integral, Real
from os import PathLike

import numpy as np
from sklearn.base import is_classifier
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import Pipeline

from ._arguments import LARGEST, check_values
from ._compat import HasMethods, Interval, StrOptions
from ._messages import shown, warn
from .algorithms import ALGORITHMS, MetaAlgorithm
from .encoding import split_estimator

PARAMETER_CONSTRAINTS = {
    "estimator": [HasMethods("fit")],
    "algorithm": [str, HasMethods("learn")],
    "task_feature": [str, Integral, None],
    "n_shots": [StrOptions({"auto"}), Interval(Integral, 0, None, closed="left"), tuple, list],
    "n_query": [Interval(Integral, 1, None, closed="left"), None],
    "max_rows_per_task": [Interval(Integral, 2, None, closed="left"), None],
    "support_order": [StrOptions({"random", "first"})],
    "stratify_shots": ["boolean", StrOptions({"auto"})],
    "meta_lr": [Interval(Real, 0, None, closed="neither")],
    "meta_batch_size": [Interval(Integral, 1, None, closed="left")],
    "max_iter": [Interval(Integral, 1, None, closed="left")],
    "n_members": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
    "max_grad_norm": [Interval(Real, 0, None, closed="neither"), None],
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
    "checkpoint": [str, PathLike, None],
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
    check_values(PARAMETER_CONSTRAINTS, parameters, type(meta).__name__)
    shots = meta.n_shots
    if isinstance(shots, tuple | list) and not (
        len(shots) == 2 and all(map(_counts, shots)) and shots[0] <= shots[1]
    ):
        raise ValueError(
            f"n_shots={shown(shots)} is no pair (low, high) of whole numbers, 0 <= low <= high"
        )
    check_estimator_parameter(meta.estimator)
    stratify = meta.stratify_shots != "auto" and meta.stratify_shots
    if stratify and not is_classifier(split_estimator(meta.estimator)[0]):
        raise ValueError("stratify_shots=True is for classifiers, whose shots can be of each class")
    resolve_algorithm(meta.algorithm)


def check_estimator_parameter(estimator):
    """The wrapped estimator is an MLP or ends in one, and its parameters are in order."""
    if isinstance(estimator, Pipeline):
        _check_steps(estimator)
    mlp, _ = split_estimator(estimator)
    if not isinstance(mlp, MLPRegressor | MLPClassifier):
        raise TypeError(
            f"estimator must be an MLPRegressor, an MLPClassifier or a Pipeline that ends in "
            f"one, got {shown(estimator)}"
        )
    parameters = mlp.get_params(deep=False)
    name = type(mlp).__name__
    check_values(mlp._parameter_constraints, parameters, name)
    sizes = mlp.hidden_layer_sizes
    if not all(_counts(size) and size > 0 for size in (sizes if np.iterable(sizes) else [sizes])):
        raise ValueError(
            f"hidden_layer_sizes must be whole numbers of units > 0, got {shown(sizes)}"
        )
    defaults = type(mlp)().get_params(deep=False)
    idle = [
        f"{key}={shown(value)}"
        for key, value in parameters.items()
        if key not in NETWORK_PARAMETERS and value != defaults[key]
    ]
    if idle:
        warn(
            f"{name}({', '.join(idle)}) has no effect in a MetaLearner, which trains the network "
            f"itself: see its own meta_lr, meta_batch_size, max_iter, tol, random_state, ..."
        )


def _check_steps(pipeline):
    if not isinstance(pipeline.steps, list) or not pipeline.steps:
        raise ValueError(f"estimator must end in an MLP, got a Pipeline of {shown(pipeline.steps)}")
    for step in pipeline.steps:
        if not isinstance(step, tuple) or len(step) != 2:
            raise ValueError(f"a step of estimator must be (name, estimator), got {shown(step)}")
        if isinstance(step[1], type):
            raise TypeError(
                f"estimator has the class {step[1].__name__} as step {shown(step[0])}, expected an "
                f"instance: {step[1].__name__}()"
            )


def resolve_algorithm(algorithm):
    """A fresh algorithm from a name or an instance, its parameters in order."""
    if isinstance(algorithm, str):
        if algorithm not in ALGORITHMS:
            raise ValueError(
                f"The 'algorithm' parameter of MetaLearner is {shown(algorithm)}; expected an "
                f"instance or one of {sorted(ALGORITHMS)}"
            )
        return ALGORITHMS[algorithm]()
    if not isinstance(algorithm, MetaAlgorithm):
        raise TypeError(
            f"The 'algorithm' parameter of MetaLearner must be a name or an instance from "
            f"sklearn_meta.algorithms, got {shown(algorithm)}"
        )
    constraints, parameters = algorithm._parameter_constraints, algorithm.get_params(deep=False)
    check_values(constraints, parameters, type(algorithm).__name__)
    return algorithm


def _counts(value):
    """Whether it is a whole number of something."""
    return isinstance(value, Integral) and not isinstance(value, bool) and 0 <= value <= LARGEST
