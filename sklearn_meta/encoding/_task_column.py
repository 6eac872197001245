"""The column of task ids, where `task_feature` names one: is it there, and rows without it."""

import numpy as np

from .._compat import num_features
from .._messages import listed, shown


def has_task_column(meta, X):
    """Whether rows have the column of task ids, if that is where the fitted meta-learner looks."""
    if meta.task_feature is None:
        return False
    names = getattr(meta, "feature_names_in_", None)
    return has_column(X, meta.task_feature, names, meta.n_features_in_)


def names_seen(meta):
    """Names of the columns that the estimator sees; None where X has none."""
    if not hasattr(meta, "feature_names_in_"):
        return None
    names = meta.feature_names_in_.tolist()
    if meta.task_feature is None:
        return names
    name = meta.task_feature if isinstance(meta.task_feature, str) else names[meta.task_feature]
    return [other for other in names if other != name]


def has_column(X, task_feature, names, n_features):
    """Whether rows have the column of task ids; with it, they have these names."""
    if hasattr(X, "columns") and names is not None:
        name = task_feature if isinstance(task_feature, str) else names[task_feature]
        return name in X.columns
    return num_features(X) != n_features - 1


def take_off(X, task_feature):
    """X without the column of task ids, and that column."""
    X = X if hasattr(X, "shape") else np.asarray(X, dtype=object)
    columns = list(getattr(X, "columns", range(num_features(X))))
    if isinstance(task_feature, str) and task_feature not in columns:
        raise ValueError(
            f"task_feature={shown(task_feature)} is no column of X; it has [{listed(columns)}]"
        )
    if not isinstance(task_feature, str) and not -len(columns) <= task_feature < len(columns):
        raise ValueError(
            f"task_feature={task_feature} is out of range: X has {len(columns)} columns"
        )
    name = task_feature if isinstance(task_feature, str) else columns[task_feature]
    if hasattr(X, "columns"):
        return X[[column for column in columns if column != name]], np.asarray(X[name])
    return np.delete(X, name, axis=1), X[:, name]


def check_not_scaled(ids, task_feature):
    """Ids are no fractions, as those that a step before has scaled are."""
    if ids.dtype == object:
        ids = np.array([value for value in ids if isinstance(value, float | np.floating)])
    if ids.dtype.kind != "f":
        return
    fractions = np.unique(ids[np.isfinite(ids) & (ids != np.round(ids))])
    if len(fractions):
        raise ValueError(
            f"task_feature={shown(task_feature)} of X has the task ids {listed(fractions)}, "
            "expected whole numbers, text or dates: has a step before the MetaLearner scaled them? "
            "Put it inside, MetaLearner(make_pipeline(StandardScaler(), mlp), task_feature=...), "
            "where it never sees the ids"
        )
