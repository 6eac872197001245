"""What the Displays ask of a fitted MetaLearner, which none of them changes."""

from typing import NamedTuple

import numpy as np
from scipy.stats import norm, t
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from .._arguments import check_values
from .._learned import UNKNOWN, Asked, Learned
from .._messages import listed, shown
from .._meta_learner import MetaLearner
from .._parameters import PARAMETER_CONSTRAINTS
from ..algorithms import PredictsStd
from ..encoding import Encoded
from ..encoding._input import as_handed, is_rows, task_collection
from ..encoding._task_column import names_seen
from ..tasks._batch import MAX_CELLS
from ..tasks._episodes import EpisodeSampler
from ..tasks._ids import as_array, as_keys


class Split(NamedTuple):
    """Query rows of tasks that were each learned from their support."""

    learned: Learned
    asked: Asked  # the query rows
    rows: np.ndarray  # (rows,), their numbers in the collection
    classes: list | None  # of each task, where each has its own


def fitted(meta, caller):
    """A copy of the MetaLearner as it is now, which predicts the prior where it is asked to."""
    if not isinstance(meta, MetaLearner):
        raise TypeError(f"{caller} takes a fitted MetaLearner, got {shown(meta)}")
    check_is_fitted(meta)
    now = meta._as_fitted()
    now.handle_unknown = "prior"
    return now


def needs_shared_classes(meta, caller):
    """Raise where tasks have classes of their own: no class is in two of them."""
    if not meta._served.learned.encoder.shared_labels:
        raise ValueError(
            f"{caller} compares tasks by the classes that they share, but here each task has "
            "classes of its own"
        )


def has_std(learned):
    """Whether what tasks learn by the algorithm knows how sure it is."""
    return isinstance(learned._from_nothing(1), PredictsStd)


def half_widths(learned, asked, levels):
    """Of central predictive intervals, in standard deviations, (rows, outputs, levels).

    Of Student's t where the algorithm predicts one, of a Gaussian elsewhere.
    """
    quantiles = 0.5 + np.asarray(levels) / 2
    inverse = learned.inverse_df(asked)[..., None]
    if not inverse.any():
        return norm.ppf(quantiles)
    with np.errstate(divide="ignore"):
        df = 1 / inverse
    return t.ppf(quantiles, df) * np.sqrt(1 - 2 * inverse)


def one_task(meta, X, y, groups, task):
    """The rows and targets of one task; `task` names it where there are several."""
    tasks = task_collection(as_handed(meta, X) if is_rows(X) else meta, X, y, groups)
    if task is None:
        if len(tasks) > 1:
            raise ValueError(
                f"X has rows of {len(tasks)} tasks; name one by task, of [{listed(tasks.task_ids)}]"
            )
        return tasks[0]
    return tasks[place_of(task, tasks.task_ids, "the tasks of X")]


def place_of(task, ids, whose):
    """The place of a task among ids (tasks,), which are `whose`."""
    found = find_task(task, ids)
    if not len(found):
        raise ValueError(f"task={shown(task)} is none of {whose}, [{listed(ids)}]")
    return int(found[0])


def find_task(task, ids):
    """The places of a task among ids (places,)."""
    (key,) = as_keys(as_array([task], "task"))
    return np.array([i for i, other in enumerate(as_keys(ids)) if other == key], int)


def learn_split(meta, tasks, n_shots, support_order, random_state):
    """Every task of a collection learned from a few of its rows, the others to be predicted."""
    check_values(
        {name: PARAMETER_CONSTRAINTS[name] for name in ("support_order", "random_state")},
        {"support_order": support_order, "random_state": random_state},
        "from_estimator",
    )
    learned = meta._served.learned
    ids, arrays, classes = learned.encoder.encode(tasks)
    sampler = EpisodeSampler(arrays, n_shots, None, support_order)
    is_support, is_query = sampler.split(check_random_state(random_state))
    known = learned.learn(Encoded(ids, arrays.select(is_support), classes), meta.n_jobs)
    place = np.repeat(np.arange(len(tasks)), tasks.sizes)[is_query]
    return Split(
        learned, Asked(arrays.X[is_query], place, known), np.flatnonzero(is_query), classes
    )


def prior_asked(X):
    """Encoded rows (rows, features), to be predicted by the prior."""
    return Asked(X, np.full(len(X), UNKNOWN), None)


def outputs_on(learned, known, X, places):
    """Outputs of the known tasks at these places on the same rows, (tasks, rows, outputs)."""
    z = np.empty((len(places), len(X), learned.network.n_outputs), X.dtype)
    size = max(1, MAX_CELLS // max(1, X.size))  # tasks at a time
    for start in range(0, len(places), size):
        some = places[start : start + size]
        asked = Asked(np.tile(X, (len(some), 1)), np.repeat(some, len(X)), known)
        z[start : start + size] = learned.outputs(asked).reshape(len(some), len(X), -1)
    return z


def feature_names(meta, X):
    """Names of the columns of rows X, without that of task ids."""
    if hasattr(X, "columns"):
        return list(X.columns)
    names = names_seen(meta)
    return [f"x{i}" for i in range(X.shape[1])] if names is None else names


def feature_number(names, feature):
    """The number of a feature, given by its number or by its name."""
    if isinstance(feature, str) or feature in names:
        if feature in names:
            return names.index(feature)
        raise ValueError(f"feature={shown(feature)} is no column of X; it has [{listed(names)}]")
    if isinstance(feature, bool) or not isinstance(feature, int | np.integer):
        raise ValueError(f"feature must be the name or number of a column, got {shown(feature)}")
    if not -len(names) <= feature < len(names):
        raise ValueError(f"feature={feature} is out of range: X has {len(names)} features")
    return int(feature) % len(names)


def column(X, number):
    """A column of rows as numbers (rows,), or None where it holds something else."""
    values = X[X.columns[number]] if hasattr(X, "columns") else X[:, number]
    values = np.asarray(values)
    if values.dtype.kind not in "biufO":
        return None
    try:
        return values.astype(float)
    except (TypeError, ValueError):
        return None


def with_column(X, number, values):
    """The same rows, a column replaced by these values (rows,)."""
    if not hasattr(X, "columns"):
        changed = X.astype(np.result_type(X.dtype, float)) if X.dtype.kind != "O" else X.copy()
        changed[:, number] = values
        return changed
    name = X.columns[number]
    if hasattr(X, "with_columns"):  # polars
        return X.with_columns(type(X[name])(name, values))
    changed = X.copy()
    changed[name] = values
    return changed


def target_number(meta, target):
    """The number of the class, or of the output, that is looked at, and its name (None: no other).

    None stands for the second of two classes, and for an only output.
    """
    if meta._served.learned.encoder.is_classifier:
        return _class_number(meta.classes_.tolist(), target)
    n_outputs = meta._served.learned.network.n_outputs
    if target is None and n_outputs == 1:
        return 0, None
    numbers = isinstance(target, int | np.integer) and not isinstance(target, bool)
    if not numbers or not 0 <= target < n_outputs:
        raise ValueError(
            f"target={shown(target)}; expected the number of an output, 0 to {n_outputs - 1}"
        )
    return int(target), None if n_outputs == 1 else f"output {target}"


def _class_number(classes, target):
    if target is None and len(classes) == 2:
        return 1, classes[1]
    if target not in classes:
        raise ValueError(f"target={shown(target)}; expected one of the classes [{listed(classes)}]")
    return classes.index(target), target
