"""An adapted task as a fitted clone of the user's estimator."""

import copy
from functools import singledispatch

from sklearn.pipeline import Pipeline

from ..algorithms._gaussian_processes import GaussianProcesses
from ..network import TaskWeights
from ._mlp import fitted_mlp


def export(task, encoder, classes=None):
    """A fitted clone of the user's estimator that predicts as the task does.

    Parameters
    ----------
    task : TaskWeights, GaussianProcesses or any type registered with `as_steps`
        One task: what `AdaptedTasks.task` gives.
    encoder : Encoder
    classes : ndarray or None
        The task's classes, where each task has its own.

    Returns
    -------
    MLPRegressor, MLPClassifier or Pipeline
        A Pipeline where the user's estimator is one, or where more than one step takes the
        MLP's place: of a Gaussian process, the features and a regressor on them.
    """
    if encoder.is_classifier and classes is None:
        classes = encoder.targets.classes
    steps = as_steps(task, encoder, classes)
    if encoder.step_name is None and len(steps) == 1:
        return steps[0][1]
    return Pipeline([*copy.deepcopy(encoder.features.fitted_steps), *steps])


@singledispatch
def as_steps(task, encoder, classes):
    """What takes the MLP's place in the user's Pipeline, for a task of this type.

    Parameters
    ----------
    task : object
        The type decides: register another with ``as_steps.register``.
    encoder : Encoder
        With `network`, `targets`, `dtype` and `step_name`, the MLP's in the user's Pipeline.
    classes : ndarray or None

    Returns
    -------
    list of (str, estimator)
        Fitted.
    """
    raise TypeError(
        f"tasks of type {type(task).__name__} cannot be exported; register how with "
        "sklearn_meta.export.as_steps.register"
    )


@as_steps.register
def _(task: TaskWeights, encoder, classes):
    return [(encoder.step_name, fitted_mlp(task.layers, encoder, classes))]


@as_steps.register
def _(task: GaussianProcesses, encoder, classes):
    from ._gaussian_process import fitted_process  # scikit-learn's own takes long to load

    features, last = fitted_process(task, encoder, classes)
    name = encoder.step_name or "gaussian_process"
    return [(f"{name}_features", features), (name, last)]
