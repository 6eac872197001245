"""TaskCollection: many small data sets as one array of rows and an offsets array."""

from dataclasses import dataclass, field
from numbers import Integral

import numpy as np
from scipy.sparse import issparse

from .._compat import is_pandas_na, is_scalar_nan, num_features, num_samples, safe_indexing
from .._messages import of_task, plain
from .._ragged import PER_ROW, PER_TASK, Ragged, as_offsets


@dataclass(frozen=True, eq=False, repr=False)
class TaskCollection(Ragged):
    """Many tasks, their rows stacked, usable by scikit-learn as samples.

    It has a length and slices to a TaskCollection, so that `KFold`, `cross_val_score`,
    `GridSearchCV` and `train_test_split` work over tasks. Build one with `from_arrays`,
    `from_frame` or `from_tasks`.

    Parameters
    ----------
    X : ndarray or dataframe of shape (n_rows, n_features)
        The rows, those of a task together.
    y : ndarray of shape (n_rows,) or (n_rows, n_outputs)
        Targets.
    offsets : ndarray of shape (n_tasks + 1,)
        Task `i` has the rows `offsets[i]` up to, but not with, `offsets[i + 1]`.
    task_ids : ndarray of shape (n_tasks,)
        The name of each task.
    is_support : ndarray of shape (n_rows,) of bool, default=None
        Rows that may serve as support; the others are query. None leaves it to the
        episodes.
    shared_labels : bool, default=True
        In classification: a label means the same in every task. False: every task has
        classes of its own.

    See Also
    --------
    sklearn_meta.MetaLearner : Learns from a collection how to learn a new task.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_meta import TaskCollection
    >>> X = np.arange(12.0).reshape(6, 2)
    >>> tasks = TaskCollection.from_arrays(X, X[:, 0], groups=["b", "a", "b", "a", "c", "c"])
    >>> tasks
    TaskCollection(n_tasks=3, n_rows=6, n_features=2, rows_per_task=2)
    >>> tasks[1:].task_ids
    array(['b', 'c'], dtype='<U1')
    """

    X: object = field(metadata=PER_ROW)
    y: np.ndarray = field(metadata=PER_ROW)
    offsets: np.ndarray
    task_ids: np.ndarray = field(metadata=PER_TASK)
    is_support: np.ndarray | None = field(default=None, kw_only=True, metadata=PER_ROW)
    shared_labels: bool = field(default=True, kw_only=True)

    @classmethod
    def from_arrays(cls, X, y, groups, *, is_support=None, shared_labels=True):
        """Tasks from flat rows and the task each row belongs to.

        Parameters
        ----------
        X : array-like or dataframe of shape (n_rows, n_features)
        y : array-like of shape (n_rows,) or (n_rows, n_outputs)
        groups : array-like of shape (n_rows,)
            Task ids. Rows of a task keep their order.
        is_support : array-like of shape (n_rows,) of bool, default=None
        shared_labels : bool, default=True

        Returns
        -------
        TaskCollection
            Its tasks sorted by id.

        Raises
        ------
        ValueError
            If lengths differ or an id is missing.
        """
        X = _rows(X, "X")
        y = np.asarray(y)
        task_ids, counts, order = _sort_by_task(check_groups(groups, num_samples(X)))
        _check_length("y", y, num_samples(X))
        if is_support is not None:
            is_support = np.asarray(is_support, dtype=bool)
            _check_length("is_support", is_support, num_samples(X))
        if order is not None:
            X, y = safe_indexing(X, order), y[order]
            is_support = None if is_support is None else is_support[order]
        offsets = as_offsets(counts)
        return cls(X, y, offsets, task_ids, is_support=is_support, shared_labels=shared_labels)

    @classmethod
    def from_frame(cls, df, *, task, target, features=None, is_support=None, shared_labels=True):
        """Tasks from a pandas or polars dataframe.

        Parameters
        ----------
        df : dataframe
        task : str
            The column of task ids.
        target : str or list of str
            The column or columns of targets.
        features : list of str, default=None
            The columns of features; None takes all the others.
        is_support : str, default=None
            The column that marks support rows.
        shared_labels : bool, default=True

        Returns
        -------
        TaskCollection
            Its `X` a dataframe, names kept.

        Raises
        ------
        ValueError
            If a column is not there.
        """
        targets = [target] if isinstance(target, str) else list(target)
        special = [task, *targets] + ([] if is_support is None else [is_support])
        if features is None:
            features = [name for name in df.columns if name not in special]
        missing = [name for name in [*special, *features] if name not in df.columns]
        if missing:
            raise ValueError(f"no column {missing} in the dataframe; it has {list(df.columns)}")
        return cls.from_arrays(
            df[list(features)],
            np.asarray(df[target] if isinstance(target, str) else df[targets]),
            np.asarray(df[task]),
            is_support=None if is_support is None else np.asarray(df[is_support]),
            shared_labels=shared_labels,
        )

    @classmethod
    def from_tasks(cls, tasks, *, task_ids=None, shared_labels=True):
        """Tasks from a sequence of (X, y).

        Parameters
        ----------
        tasks : sequence of (X, y)
        task_ids : array-like of shape (n_tasks,), default=None
            None numbers them from 0 (so that of two lists, task 0 is the same task).
        shared_labels : bool, default=True

        Returns
        -------
        TaskCollection

        Raises
        ------
        ValueError
            If there is no task, or one differs from the first in its columns, or its X and
            y in length.
        """
        if len(tasks) == 0:
            raise ValueError("a collection needs at least one task, found none")
        ids = np.arange(len(tasks))
        if task_ids is not None:
            ids = check_groups(task_ids, len(tasks), "task_ids", "task")
            if len(set(ids.tolist())) < len(ids):
                raise ValueError(f"task_ids names a task twice: {ids.tolist()}")
        Xs = [_rows(X, of_task("X", name)) for name, (X, _) in zip(ids, tasks, strict=True)]
        ys = [np.asarray(y) for _, y in tasks]
        for name, X, y in zip(ids, Xs, ys, strict=True):
            _check_alike(of_task("X", name), _columns(X), _columns(Xs[0]), ids[0])
            _check_length(of_task("y", name), y, num_samples(X))
            _check_alike(of_task("y", name), y.shape[1:], ys[0].shape[1:], ids[0])
        offsets = as_offsets([len(y) for y in ys])
        return cls(_stack(Xs), np.concatenate(ys), offsets, ids, shared_labels=shared_labels)

    @property
    def shape(self):
        """(n_tasks,): to scikit-learn, tasks are the samples."""
        return (len(self),)

    @property
    def n_rows(self):
        """Rows of all tasks together."""
        return int(self.offsets[-1])

    @property
    def groups(self):
        """The task id of each row, ndarray of shape (n_rows,)."""
        return np.repeat(self.task_ids, self.sizes)

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    def __getitem__(self, key):
        """One task as (X, y) for an integer, else the chosen tasks as a TaskCollection."""
        if isinstance(key, tuple):  # scikit-learn indexes what has a shape by [key, ...]
            key = key[0]
        tasks = np.arange(len(self))[key]
        if isinstance(tasks, Integral):
            one = self.take([tasks])
            return one.X, one.y
        return self.take(tasks)

    def __repr__(self):
        low, high = (self.sizes.min(), self.sizes.max()) if len(self) else (0, 0)
        rows = low if low == high else f"{low}..{high}"
        return (
            f"TaskCollection(n_tasks={len(self)}, n_rows={self.n_rows}, "
            f"n_features={num_features(self.X)}, rows_per_task={rows})"
        )


def _rows(X, name):
    """X as rows and columns: a dataframe as it is, anything else as an array."""
    if issparse(X):
        raise TypeError(f"{name} is sparse, expected a dense array or a dataframe: X.toarray()")
    X = X if hasattr(X, "columns") else np.asarray(X)
    if len(X.shape) != 2:
        raise ValueError(f"{name} has the shape {X.shape}, expected (rows, columns)")
    return X


def _stack(Xs):
    if not hasattr(Xs[0], "columns"):
        return np.concatenate(Xs)
    if hasattr(Xs[0], "iloc"):
        import pandas as pd

        return pd.concat(Xs, ignore_index=True)
    import polars as pl

    return pl.concat(Xs)


def _columns(X):
    """What tables must agree in: the names of columns, or their number."""
    return list(X.columns) if hasattr(X, "columns") else f"{num_features(X)} columns"


def _check_alike(name, found, expected, first):
    if found != expected:
        raise ValueError(f"{name} has {found}, expected {expected} as in task {plain(first)!r}")


def _check_length(name, values, expected, each="row of X"):
    if len(values) != expected:
        raise ValueError(f"{name} has {len(values)} entries, expected {expected}, one a {each}")


def check_groups(groups, n_rows, name="groups", each="row of X"):
    """Task ids as an array, one for each row, none missing."""
    groups = np.asarray(groups)
    if groups.ndim == 2 and groups.shape[1] == 1:
        groups = groups[:, 0]
    if groups.ndim != 1:
        raise ValueError(f"{name} has the shape {groups.shape}, expected ({n_rows},)")
    _check_length(name, groups, n_rows, each)
    missing = missing_values(groups)
    if missing.any():
        place = int(np.flatnonzero(missing)[0])
        raise ValueError(f"{name} has no task id in {each.split()[0]} {place}")
    return groups.astype("datetime64[us]") if groups.dtype.kind == "M" else groups


def missing_values(values):
    """Mask of None, NaN, NaT and pandas' NA."""
    if values.dtype != object:
        return values != values
    return np.array([x is None or is_pandas_na(x) or is_scalar_nan(x) for x in values], bool)


def _sort_by_task(groups):
    """Sorted ids, rows of each, and the order that sorts rows (None if sorted already)."""
    try:
        task_ids, codes = np.unique(groups, return_inverse=True)
    except TypeError as error:
        kinds = sorted({type(group).__name__ for group in groups})
        raise ValueError(f"groups mixes {kinds}; expected ids that sort together") from error
    order = None if np.all(codes[1:] >= codes[:-1]) else np.argsort(codes, kind="stable")
    return task_ids, np.bincount(codes, minlength=len(task_ids)), order
