"""What users hand over, checked where it enters: rows, task ids, collections, distributions."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from sklearn.base import is_classifier
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.utils.multiclass import type_of_target
from sklearn.utils.validation import check_array, column_or_1d

from .._arguments import check_array_like, check_length, check_no_dates, naming
from .._compat import check_sample_weight, num_samples, scorer_by_targets, validate_data
from .._messages import listed, shown, warn
from ..tasks import TaskCollection
from ..tasks._ids import as_array, check_groups, missing_values, sorted_values
from ._encoder import final_step
from ._features import check_finite
from ._targets import named_classes
from ._task_column import check_not_scaled, has_task_column, names_seen, take_off

SAMPLE = 500  # tasks of a distribution, to standardise by, and to validate on
COLLECTION, DISTRIBUTION = "a task collection", "a distribution of tasks"
AS_X = " as X has rows"  # of whatever must be as long


@dataclass(frozen=True)
class TaskSource:
    """Where training tasks come from, whatever was handed over.

    Parameters
    ----------
    tasks : TaskCollection
        All there are; of a distribution, a sample.
    draw : callable or None
        ``(n_tasks, random_state) -> TaskCollection``, ever new ones; None where `tasks` are
        all.
    validation : TaskCollection or None
        Tasks that share nothing with those of `draw`; None where `tasks` must do.
    is_rows : bool
        Whether they came as rows.
    """

    tasks: TaskCollection
    draw: Callable | None = None
    validation: TaskCollection | None = None
    is_rows: bool = False


def task_source(meta, X, y, groups, random_state, *, reset, blocks=None):
    """What `fit` was handed, checked: a TaskSource."""
    kind = kind_of(X)
    if kind != DISTRIBUTION:
        if kind == COLLECTION:
            _check_scorer(X)
        tasks, _ = _collection(kind, meta, X, y, groups, reset, blocks)
        return TaskSource(tasks, is_rows=kind == "rows")
    no_rows_besides(DISTRIBUTION, y, groups, blocks)
    training, held_out = _split_distribution(meta, X, random_state)
    tasks = _draw(meta, training, SAMPLE, random_state, reset=reset)
    validation = None if held_out is None else _draw(meta, held_out, SAMPLE, random_state)
    return TaskSource(tasks, partial(_draw, meta, training), validation)


def _check_scorer(tasks):
    """A cross-validation over tasks scores by the MetaLearner's own `score`."""
    metric, X = scorer_by_targets()
    if metric is not None and type(X) is type(tasks):
        raise ValueError(
            f"scoring by {metric} compares predictions with y, which a cross-validation over a "
            "task collection has not: use scoring=few_shot_scorer(..., n_shots=5) of "
            "sklearn_meta.model_selection, which takes any scorer"
        )


def _split_distribution(meta, distribution, random_state):
    """A distribution to train on, and one to validate on: None where it has none to spare."""
    fraction = meta.validation_fraction
    if not meta.early_stopping or not callable(getattr(distribution, "split", None)):
        return distribution, None
    parts = distribution.split(fraction, random_state)
    if parts is None:
        warn(
            f"{shown(distribution)} has too little to hold validation_fraction={fraction} of it "
            "out: early stopping validates on what is trained on, and cannot see when that is "
            "learned by heart. Give it more, ask for smaller tasks, or set early_stopping=False "
            "and choose max_iter"
        )
        return distribution, None
    if not isinstance(parts, tuple | list) or [kind_of(part) for part in parts] != 2 * [
        DISTRIBUTION
    ]:
        raise ValueError(
            f"split({fraction}, ...) of the distribution gave {shown(parts)}, expected two "
            "distributions of tasks, (training, validation), or None"
        )
    if parts[0] is parts[1]:
        raise ValueError(
            f"split({fraction}, ...) of the distribution gave the same distribution twice"
        )
    return parts


def _draw(meta, distribution, n_tasks, random_state, reset=False):
    tasks = distribution.sample(n_tasks, random_state)
    if hasattr(tasks, "__len__") and len(tasks) != n_tasks:
        raise ValueError(f"sample({n_tasks}, ...) of the distribution gave {len(tasks)} tasks")
    return task_collection(meta, tasks, reset=reset)


def task_collection(meta, X, y=None, groups=None, *, reset=False, blocks=None):
    """Rows, a list of (X, y) or a TaskCollection as a checked TaskCollection.

    Rows that name no task are one task with the id None.
    """
    return _collection(kind_of(X), meta, X, y, groups, reset, blocks)[0]


def support_tasks(meta, X, y=None, groups=None, sample_weight=None):
    """Support rows of tasks to adapt to as a checked TaskCollection, and what each row counts.

    Rows of weight 0 are left out, as are those that a collection does not mark as support.

    Returns
    -------
    collection : TaskCollection or None
        None where no row is left.
    weight : ndarray of shape (n_rows,) or None
        None where none are given.
    """
    kind = kind_of(X)
    if kind == "rows":
        check_array_like(X, "X")
        meta = as_handed(meta, X)
        if y is not None and has_no_rows(X):
            _check_no_rows(meta, X, y, groups, sample_weight)
            return None, None
    tasks, order = _collection(kind, meta, X, y, groups, reset=False)
    marked = tasks if tasks.is_support is None else tasks.select(tasks.is_support)
    if sample_weight is None:
        return marked, None
    weight = row_weights(sample_weight, tasks.X, allow_all_zero_weights=True)[order]
    if tasks.is_support is not None:
        weight = weight[tasks.is_support]
    counting = marked.select(weight > 0)
    counting = counting.take(np.flatnonzero(counting.sizes))
    return (counting, weight[weight > 0]) if counting.n_rows else (None, None)


def row_weights(sample_weight, X, **options):
    """What each row of X counts, finite and not negative."""
    if not np.isscalar(sample_weight):
        check_array_like(sample_weight, "sample_weight")
        check_length("sample_weight", sample_weight, num_samples(X), AS_X)
    with naming("sample_weight", "a number for each row"):
        check_no_dates(sample_weight, "sample_weight")
        weight = check_sample_weight(
            sample_weight, X, dtype=np.float64, ensure_non_negative=True, **options
        )
        if not np.isfinite(weight).all():  # of one number for all rows
            raise ValueError(f"sample_weight is {shown(sample_weight)}, expected a finite number")
    return weight


def scored_rows(meta, X, y, sample_weight):
    """Targets and weights of rows X to score, checked."""
    check_array_like(X, "X")
    y = _check_y(meta, y)
    check_length("y", y, num_samples(X), AS_X)
    if not is_classifier(final_step(meta.estimator)):
        check_finite("y", y)
    options = {"allow_all_zero_weights": True}
    return y, None if sample_weight is None else row_weights(sample_weight, X, **options)


def has_no_rows(X):
    """Whether X is rows, but none."""
    if not is_rows(X):
        return False
    check_array_like(X, "X")
    return hasattr(X, "__len__") and num_samples(X) == 0


def _check_no_rows(meta, X, *others):
    """Of no rows: the columns are those of `fit`, and nothing else has rows, either."""
    validate_data(meta, X, reset=False, skip_check_array=True)
    check_no_others(*others)


def check_no_others(*others):
    """Beside no rows of X there are no y, groups and sample_weight."""
    for name, values in zip(("y", "groups", "sample_weight"), others, strict=True):
        if values is None:
            continue
        check_array_like(values, name)
        check_length(name, values, 0, AS_X)


def _collection(kind, meta, X, y, groups, reset, blocks=None):
    """A checked TaskCollection, and where its rows stood in what was handed over."""
    if kind == DISTRIBUTION:
        raise ValueError(f"X must be rows or a task collection here, got {kind}")
    from_input = _from_rows if kind == "rows" else _from_tasks
    collection, order = from_input(meta, X, y, groups, reset, blocks)
    if not is_classifier(final_step(meta.estimator)):
        check_finite("y", collection.y, collection)
    empty = np.flatnonzero(collection.sizes == 0)
    if len(empty):
        raise ValueError(
            f"task {shown(collection.task_ids[empty[0]])} has 0 rows, expected 1 or more"
        )
    return collection, order


def query_rows(meta, X, groups=None):
    """Checked feature rows, and the task id of each (None where rows name no task)."""
    if not is_rows(X):
        raise ValueError(f"X must be rows here, got {kind_of(X)}; of a TaskCollection pass its X")
    check_array_like(X, "X")
    rows, groups = _split_rows(as_handed(meta, X), X, groups, reset=False)
    return rows, None if groups is None else check_groups(groups, num_samples(rows))


def is_rows(X):
    """Whether X is rows, and no collection or distribution of tasks."""
    return kind_of(X) == "rows"


def kind_of(X):
    """What X is, in words."""
    if isinstance(X, TaskCollection):
        return COLLECTION
    if isinstance(X, list | tuple) and all(map(_is_task, X)):
        return COLLECTION
    if callable(getattr(X, "sample", None)) and not hasattr(X, "shape"):  # no dataframe
        if isinstance(X, type):
            raise TypeError(f"X is the class {X.__name__}, expected an instance of it")
        return DISTRIBUTION
    return "rows"


def _is_task(task):
    """Whether it is (X, y), and no row of two numbers."""
    return isinstance(task, tuple) and len(task) == 2 and not np.isscalar(task[0])


def _from_tasks(meta, X, y, groups, reset, blocks):
    if meta.task_feature is not None:
        raise ValueError(
            f"task_feature={shown(meta.task_feature)} is for rows; a task collection has "
            "ids of its own"
        )
    no_rows_besides("a task collection", y, groups, blocks)
    collection = X if isinstance(X, TaskCollection) else TaskCollection.from_tasks(X)
    if len(collection) == 0 or collection.n_rows == 0:
        raise ValueError(f"X must hold at least one task with rows, got {collection!r}")
    X = _check_rows(meta, collection.X, reset)
    return replace(collection, X=X, y=_check_y(meta, collection.y)), slice(None)


def _from_rows(meta, X, y, groups, reset, blocks):
    if y is None:
        raise ValueError(
            f"This {type(meta).__name__} estimator requires y to be passed, but the target y is "
            "None; X without y must be a TaskCollection, a list of (X, y) or a distribution"
        )
    rows, groups = _split_rows(meta, X, groups, reset=reset)
    y = _check_y(meta, y)
    check_length("y", y, num_samples(rows), AS_X)
    if groups is None:
        offsets, ids = np.array([0, len(y)]), np.array([None])
        return TaskCollection(rows, y, offsets, ids, blocks=blocks), slice(None)
    numbered = TaskCollection.from_arrays(rows, np.arange(len(y)), groups, blocks=blocks)
    return replace(numbered, y=y[numbered.y]), numbered.y


def _split_rows(meta, X, groups, *, reset):
    """Checked feature rows, and the task ids, from a column of X where `task_feature` says so."""
    check_array_like(X, "X")
    with naming("X", "rows of features"):
        return _rows_and_ids(meta, X, groups, reset)


def _rows_and_ids(meta, X, groups, reset):
    if meta.task_feature is None:
        return _check_rows(meta, X, reset), groups
    if groups is not None:
        raise ValueError(
            f"groups must be None where task_feature={shown(meta.task_feature)} names the column "
            "of task ids"
        )
    X = X if hasattr(X, "shape") else np.asarray(X, dtype=object)
    validate_data(meta, X, reset=reset, skip_check_array=True)
    X, groups = take_off(X, meta.task_feature)
    check_not_scaled(groups, meta.task_feature)
    return _check_numeric(meta, X), groups


def as_handed(meta, X):
    """The meta-learner as if it had never had a column of task ids, where rows X lack it.

    Dataframes tell by its name, arrays by the number of their columns.
    """
    if meta.task_feature is None or has_task_column(meta, X):
        return meta
    bare, names = copy.copy(meta), names_seen(meta)
    bare.task_feature, bare.n_features_in_ = None, meta.n_features_in_ - 1
    if names is not None:
        bare.feature_names_in_ = np.array(names, dtype=object)
    return bare


def _takes_rows_as_they_are(estimator):
    """Whether it has demands of its own on X: a Pipeline's first step, or what is no MLP."""
    return not isinstance(estimator, MLPRegressor | MLPClassifier)


def _check_rows(meta, X, reset):
    if _takes_rows_as_they_are(meta.estimator):
        X = X if hasattr(X, "shape") else np.asarray(X)
        if not hasattr(X, "columns"):
            check_array(X, dtype=None, ensure_all_finite=False, input_name="X")
        validate_data(meta, X, reset=reset, skip_check_array=True)
        return _check_numeric(meta, X)
    check_no_dates(X, "X")
    options = {"dtype": [np.float64, np.float32], "ensure_all_finite": False}
    return validate_data(meta, X, reset=reset, **options)


def _check_numeric(meta, X):
    """An array of floats for a plain MLP."""
    if _takes_rows_as_they_are(meta.estimator):
        if num_samples(X) < 1:
            raise ValueError(f"Found array with 0 sample(s) (shape={X.shape}), expected 1 or more")
        return X
    check_no_dates(X, "X")
    return check_array(
        X, dtype=[np.float64, np.float32], ensure_all_finite=False, input_name="X", estimator=meta
    )


def _check_y(meta, y):
    check_array_like(y, "y")
    if is_classifier(final_step(meta.estimator)):
        with naming("y", "a class for each row"):
            return _check_classes(y)
    with naming("y", "numbers"):
        return _check_numbers(meta, y)


def _check_classes(y):
    y = column_or_1d(as_array(y, "y"), warn=True)
    if y.dtype == object and missing_values(y).any():
        row = int(np.flatnonzero(missing_values(y))[0])
        raise ValueError(f"y has no class in row {row}: found {shown(y[row])}")
    check_array(y, ensure_2d=False, dtype=None, input_name="y")  # NaN is no class
    sorted_values(y, "y", "classes")
    kind = type_of_target(y, input_name="y")
    if kind not in ("binary", "multiclass"):
        raise ValueError(f"Unknown label type: {kind}. y must be classes, found {shown(y[0])}")
    return y


def _check_numbers(meta, y):
    check_no_dates(y, "y")
    options = {"ensure_2d": False, "input_name": "y", "ensure_all_finite": False}
    y = check_array(y, dtype=np.float64, **options)
    if y.ndim == 2 and y.shape[1] == 1:
        y = column_or_1d(y, warn=True)
    loss = getattr(final_step(meta.estimator), "loss", None)
    if isinstance(loss, str) and loss == "poisson" and np.any(y < 0):
        raise ValueError(f"y has {np.min(y)}; loss='poisson' expects numbers of 0 or more")
    return y


def no_rows_besides(tasks, y, groups, blocks=None):
    """Tasks bring their own targets, ids and blocks; `tasks` says what X is."""
    for name, value in (("y", y), ("groups", groups), ("blocks", blocks)):
        if value is not None:
            raise ValueError(f"{name} must be None where X is {tasks}")


def check_same_classes(classes, targets):
    """`classes` of a later call of partial_fit are those of the first."""
    if not hasattr(targets, "classes"):
        raise ValueError(f"classes must be None in regression, got {shown(classes)}")
    found = named_classes(classes)
    if not np.array_equal(found, targets.classes):
        raise ValueError(
            f"classes is [{listed(found)}], expected [{listed(targets.classes)}] as in the first "
            "call"
        )
