"""What users pass in, checked where it enters: rows, task ids, collections, parameters."""

import warnings
from contextlib import contextmanager
from numbers import Integral, Real

import numpy as np
from scipy.sparse import issparse
from sklearn.base import is_classifier
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import Pipeline
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_array, column_or_1d, validate_data

from ._compat import (
    HasMethods,
    Interval,
    StrOptions,
    num_features,
    num_samples,
    safe_indexing,
    validate_parameter_constraints,
)
from ._encoding import check_finite, split_estimator
from ._messages import plain
from ._targets import task_classes
from .algorithms import ALGORITHMS, MetaAlgorithm
from .tasks import TaskCollection, check_groups, missing_values, offsets_within

PARAMETER_CONSTRAINTS = {
    "estimator": [HasMethods("fit")],
    "algorithm": [str, HasMethods("adapt")],
    "task_feature": [str, Integral, None],
    "n_shots": [StrOptions({"auto"}), Interval(Integral, 0, None, closed="left"), tuple],
    "n_query": [Interval(Integral, 1, None, closed="left"), None],
    "support": [StrOptions({"random", "first"})],
    "meta_lr": [Interval(Real, 0, None, closed="neither")],
    "meta_batch_size": [Interval(Integral, 1, None, closed="left")],
    "max_iter": [Interval(Integral, 1, None, closed="left")],
    "tol": [Interval(Real, 0, None, closed="left")],
    "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
    "early_stopping": ["boolean"],
    "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
    "normalize_y": ["boolean"],
    "shared_labels": ["boolean", StrOptions({"auto"})],
    "handle_unknown": [StrOptions({"prior", "error"})],
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


@contextmanager
def unchanged_on_error(estimator):
    """Leave the estimator's attributes as they were if anything goes wrong."""
    before = vars(estimator).copy()
    try:
        yield
    except BaseException:
        vars(estimator).clear()
        vars(estimator).update(before)
        raise


def check_parameters(meta):
    """The meta-learner's own parameters, and those of what it wraps."""
    parameters = meta.get_params(deep=False)
    validate_parameter_constraints(PARAMETER_CONSTRAINTS, parameters, type(meta).__name__)
    shots = meta.n_shots
    if isinstance(shots, tuple) and not (
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
        warnings.warn(
            f"{name}({', '.join(idle)}) has no effect in a MetaLearner, which trains the network "
            f"itself: see its own meta_lr, meta_batch_size, max_iter, tol, random_state, ...",
            UserWarning,
            stacklevel=4,
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


def is_distribution(X):
    """Whether X is a distribution of tasks: it has `sample`, but is not a dataframe."""
    return callable(getattr(X, "sample", None)) and not hasattr(X, "shape")


def is_collection(X, y):
    """Whether X is a task collection or a plain list of (X, y)."""
    if isinstance(X, TaskCollection):
        return True
    return y is None and isinstance(X, list | tuple) and all(map(_is_pair, X))


def _is_pair(task):
    return isinstance(task, tuple) and len(task) == 2


def check_collection(meta, X, y=None, groups=None, *, reset):
    """Whatever `fit` and its kin accept as a checked TaskCollection.

    Rows that name no task are one task with the id None.
    """
    from_input = _check_tasks if is_collection(X, y) else _check_flat_rows
    collection = from_input(meta, X, y, groups, reset)
    if not is_classifier(meta):
        check_finite("y", collection.y, collection)
    empty = np.flatnonzero(collection.sizes == 0)
    if len(empty):
        raise ValueError(
            f"task {plain(collection.task_ids[empty[0]])!r} has 0 rows, expected 1 or more"
        )
    return collection


def _check_tasks(meta, X, y, groups, reset):
    if meta.task_feature is not None:
        raise ValueError(
            f"task_feature={meta.task_feature!r} is for rows; a task collection has ids of its own"
        )
    no_rows_besides("a task collection", y, groups)
    collection = X if isinstance(X, TaskCollection) else TaskCollection.from_tasks(X)
    if len(collection) == 0 or collection.n_rows == 0:
        raise ValueError(f"X must hold at least one task with rows, got {collection!r}")
    return TaskCollection(
        _check_rows(meta, collection.X, reset),
        _check_y(meta, collection.y),
        collection.offsets,
        collection.task_ids,
        is_support=collection.is_support,
        shared_labels=collection.shared_labels,
    )


def _check_flat_rows(meta, X, y, groups, reset):
    if y is None:
        raise ValueError(
            f"This {type(meta).__name__} estimator requires y to be passed, but the target y is "
            "None; X without y must be a TaskCollection, a list of (X, y) or a distribution"
        )
    rows, groups = split_rows(meta, X, groups, reset=reset)
    y = _check_y(meta, y)
    if num_samples(rows) != len(y):
        raise ValueError(f"y has {len(y)} entries, expected {num_samples(rows)} as X has rows")
    if groups is None:
        return TaskCollection(rows, y, np.array([0, len(y)]), np.array([None]))
    return TaskCollection.from_arrays(rows, y, groups)


def split_rows(meta, X, groups=None, *, reset):
    """Checked feature rows, and the task id of each (None where rows name no task)."""
    if is_collection(X, None) or is_distribution(X):
        raise ValueError("X must be rows here, got tasks; of a TaskCollection pass its X")
    if meta.task_feature is None:
        rows = _check_rows(meta, X, reset)
    else:
        if groups is not None:
            raise ValueError(
                f"groups must be None where task_feature={meta.task_feature!r} names the column "
                "of task ids"
            )
        if issparse(X):
            check_array(X)  # says what to do instead
        X = X if hasattr(X, "shape") else np.asarray(X, dtype=object)
        validate_data(meta, X, reset=reset, skip_check_array=True)
        X, groups = _take_off(X, meta.task_feature)
        rows = _check_numeric(meta, X)
    if groups is None:
        return rows, None
    return rows, check_groups(groups, num_samples(rows))


def _take_off(X, task_feature):
    """X without the column of task ids, and that column."""
    columns = list(getattr(X, "columns", range(num_features(X))))
    if isinstance(task_feature, str) and task_feature not in columns:
        raise ValueError(f"task_feature={task_feature!r} is no column of X; it has {columns}")
    if not isinstance(task_feature, str) and not -len(columns) <= task_feature < len(columns):
        raise ValueError(
            f"task_feature={task_feature} is out of range: X has {len(columns)} columns"
        )
    name = task_feature if isinstance(task_feature, str) else columns[task_feature]
    if hasattr(X, "columns"):
        return X[[column for column in columns if column != name]], np.asarray(X[name])
    return np.delete(X, name, axis=1), X[:, name]


def _check_rows(meta, X, reset):
    if isinstance(meta.estimator, Pipeline):
        X = X if hasattr(X, "shape") else np.asarray(X)
        validate_data(meta, X, reset=reset, skip_check_array=True)
        return _check_numeric(meta, X)
    options = {"dtype": [np.float64, np.float32], "ensure_all_finite": False}
    return validate_data(meta, X, reset=reset, **options)


def _check_numeric(meta, X):
    """An array of floats for a plain MLP; a Pipeline's first step has its own demands."""
    if isinstance(meta.estimator, Pipeline):
        if num_samples(X) < 1:
            raise ValueError(f"Found array with 0 sample(s) (shape={X.shape}), expected 1 or more")
        return X
    return check_array(
        X, dtype=[np.float64, np.float32], ensure_all_finite=False, input_name="X", estimator=meta
    )


def _check_y(meta, y):
    if is_classifier(meta):
        y = column_or_1d(y, warn=True)
        check_array(y, ensure_2d=False, dtype=None, input_name="y")  # NaN is no class
        if missing_values(y).any():
            row = int(np.flatnonzero(missing_values(y))[0])
            raise ValueError(f"y has no class in row {row}: found {y[row]!r}")
        check_classification_targets(y)
        return y
    options = {"ensure_2d": False, "input_name": "y", "ensure_all_finite": False}
    y = check_array(y, dtype=np.float64, **options)
    if y.ndim == 2 and y.shape[1] == 1:
        y = column_or_1d(y, warn=True)
    mlp, _ = split_estimator(meta.estimator)
    if mlp.loss == "poisson" and np.any(y < 0):
        raise ValueError(f"y has {np.min(y)}; loss='poisson' expects numbers of 0 or more")
    return y


def check_training_tasks(collection, encoder, n_shots):
    """Every task can give at least one support and one query row."""
    names = collection.task_ids.tolist()
    single = np.flatnonzero(collection.sizes < 2)
    if len(single):
        raise ValueError(
            f"{_name(names[single[0]])} has n_samples=1, one row; meta-training needs at least 2 "
            "a task, one of support and one of query"
        )
    if collection.is_support is not None:
        starts = collection.offsets[:-1]
        for kind, mask in (("query", ~collection.is_support), ("support", collection.is_support)):
            lacking = np.flatnonzero(np.add.reduceat(mask, starts) == 0)
            if len(lacking):
                raise ValueError(
                    f"{_name(names[lacking[0]])} has no {kind} row by is_support, expected at "
                    "least 1"
                )
    if not encoder.shared_labels:
        _check_own_classes(collection, n_shots)


def _check_own_classes(collection, n_shots):
    if n_shots == 0 or (isinstance(n_shots, tuple) and n_shots[0] == 0):
        raise ValueError(f"n_shots={n_shots}; tasks with classes of their own need 1 or more")
    rows = zip(
        collection.task_ids.tolist(), collection.sizes, task_classes(collection), strict=True
    )
    for name, size, classes in rows:
        if len(classes) < 2 or len(classes) == size:
            raise ValueError(
                f"{_name(name)} has {size} rows of {len(classes)} class(es); with classes of its "
                "own it needs at least 2, and 2 rows of one of them"
            )


def feature_names(meta):
    """Names of the columns that the estimator sees; None where X has none."""
    if not hasattr(meta, "feature_names_in_"):
        return None
    names = meta.feature_names_in_.tolist()
    if meta.task_feature is None:
        return names
    name = meta.task_feature if isinstance(meta.task_feature, str) else names[meta.task_feature]
    return [other for other in names if other != name]


def no_rows_besides(tasks, y, groups):
    """Tasks bring their own targets and ids; `tasks` says what X is."""
    for name, value in (("y", y), ("groups", groups)):
        if value is not None:
            raise ValueError(f"{name} must be None where X is {tasks}")


def same_classes(classes, targets):
    """`classes` of a later call of partial_fit are those of the first."""
    if not hasattr(targets, "classes"):
        raise ValueError(f"classes must be None in regression, got {classes!r}")
    if not np.array_equal(np.unique(classes), targets.classes):
        raise ValueError(
            f"classes is {np.unique(classes).tolist()}, expected {targets.classes.tolist()} as in "
            "the first call"
        )


def warm_params(fresh, kept):
    """The parameters that a warm start goes on from, if they still fit."""
    if fresh.layout.shapes != kept.layout.shapes:
        raise ValueError(
            "warm_start=True goes on from the last fit's parameters, but the network or the "
            f"algorithm has changed: expected {fresh.layout.shapes}, found {kept.layout.shapes}"
        )
    return kept


def one_task(collection):
    """The collection, which must be of one task."""
    if len(collection) != 1:
        raise ValueError(f"adapt takes the rows of one task, got {len(collection)} tasks")
    return collection


def support_rows(collection):
    """The collection with its marked rows only, if it marks any."""
    if collection.is_support is None:
        return collection
    marked = collection.is_support
    return TaskCollection(
        safe_indexing(collection.X, np.flatnonzero(marked)),
        collection.y[marked],
        offsets_within(collection.offsets, marked),
        collection.task_ids,
        shared_labels=collection.shared_labels,
    )


def sample_tasks(meta, distribution, n_tasks, random_state, *, reset):
    """Checked tasks from a distribution."""
    tasks = check_collection(meta, distribution.sample(n_tasks, random_state), reset=reset)
    if len(tasks) != n_tasks:
        raise ValueError(f"sample({n_tasks}, ...) of the distribution gave {len(tasks)} tasks")
    return tasks


def _name(task):
    return "X" if task is None else f"task {plain(task)!r}"
