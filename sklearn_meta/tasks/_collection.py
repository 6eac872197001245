"""TaskCollection: many small data sets as one array of rows and an offsets array."""

from dataclasses import dataclass, field
from numbers import Integral

import numpy as np

from .._arguments import check_array_like, check_length, naming
from .._compat import num_features, num_samples, safe_indexing
from .._messages import listed, of_task, shown
from .._ragged import PER_ROW, PER_TASK, Ragged, as_offsets
from ._blocks import check_marked_whole, n_units
from ._ids import as_array, as_keys, check_groups, kinds_of, sort_by_task


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
    blocks : ndarray of shape (n_rows,), default=None
        Labels of rows that belong together, such as those of one word, visit or day: all rows of a
        block go into the support, or all into the query. A label means something within its task
        only. None: rows are dealt one by one.
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
    blocks: np.ndarray | None = field(default=None, kw_only=True, metadata=PER_ROW)
    shared_labels: bool = field(default=True, kw_only=True)

    def __post_init__(self):
        """Whatever was handed over agrees; from here on it is trusted."""
        fields = {
            "X": check_rows(self.X),
            "y": _targets(self.y, "y"),
            "task_ids": _check_ids(self.task_ids),
            "is_support": _check_marks(self.is_support),
        }
        n_rows = num_samples(fields["X"])
        fields["blocks"] = check_blocks(self.blocks, n_rows)
        fields["offsets"] = _check_offsets(self.offsets, n_rows, len(fields["task_ids"]))
        for name in ("y", "is_support"):
            if fields[name] is not None:
                check_length(name, fields[name], n_rows)
        if not isinstance(self.shared_labels, bool | np.bool_):
            raise ValueError(
                f"shared_labels must be True or False, got {shown(self.shared_labels)}"
            )
        vars(self).update(fields)
        check_marked_whole(self)

    @classmethod
    def from_arrays(cls, X, y, groups, *, is_support=None, blocks=None, shared_labels=True):
        """Tasks from flat rows and the task each row belongs to.

        Parameters
        ----------
        X : array-like or dataframe of shape (n_rows, n_features)
        y : array-like of shape (n_rows,) or (n_rows, n_outputs)
        groups : array-like of shape (n_rows,)
            Task ids: numbers, text, dates, or other things that can be hashed and sorted. Rows
            of a task keep their order.
        is_support : array-like of shape (n_rows,) of bool, default=None
        blocks : array-like of shape (n_rows,), default=None
            Labels of rows that belong together, of whatever can be hashed.
        shared_labels : bool, default=True

        Returns
        -------
        TaskCollection
            Its tasks sorted by id.

        Raises
        ------
        ValueError
            If lengths differ, an id or a label of `blocks` is missing, or `is_support` marks a
            block in part.
        """
        X, y, is_support = check_rows(X), _targets(y, "y"), _check_marks(is_support)
        task_ids, counts, order = sort_by_task(check_groups(groups, num_samples(X)))
        check_length("y", y, num_samples(X))
        if is_support is not None:
            check_length("is_support", is_support, num_samples(X))
        blocks = check_blocks(blocks, num_samples(X))
        if order is not None:
            X, y = safe_indexing(X, order), y[order]
            is_support = None if is_support is None else is_support[order]
            blocks = None if blocks is None else blocks[order]
        options = {"is_support": is_support, "blocks": blocks, "shared_labels": shared_labels}
        return cls(X, y, as_offsets(counts), task_ids, **options)

    @classmethod
    def from_frame(
        cls,
        df,
        *,
        task,
        target,
        features=None,
        is_support=None,
        blocks=None,
        shared_labels=True,
    ):
        """Tasks from a pandas or polars dataframe.

        Parameters
        ----------
        df : dataframe
        task : str
            The column of task ids.
        target : str or list of str
            The column or columns of targets.
        features : str or list of str, default=None
            The columns of features; None takes all the others.
        is_support : str, default=None
            The column that marks support rows.
        blocks : str, default=None
            The column of labels of rows that belong together.
        shared_labels : bool, default=True

        Returns
        -------
        TaskCollection
            Its `X` a dataframe, names kept.

        Raises
        ------
        TypeError
            If `df` is no dataframe.
        ValueError
            If a column is not there, or no column is left for the features.
        """
        _check_frame(df)
        columns = list(df.columns)
        asked = {
            "task": [task],
            "target": _names(target, "target"),
            "is_support": [] if is_support is None else [is_support],
            "blocks": [] if blocks is None else [blocks],
        }
        for name, named in asked.items():
            _check_columns(name, named, columns)
        if features is None:
            special = [column for named in asked.values() for column in named]
            features = [column for column in columns if column not in special]
        features = _names(features, "features")
        _check_columns("features", features, columns)
        if not features or not asked["target"]:
            name = "target" if features else "features"
            raise ValueError(f"{name} must name one column or more, found none")
        single = isinstance(target, str) or not np.iterable(target)
        return cls.from_arrays(
            df[features],
            np.asarray(df[target] if single else df[asked["target"]]),
            np.asarray(df[task]),
            is_support=None if is_support is None else np.asarray(df[is_support]),
            blocks=None if blocks is None else np.asarray(df[blocks]),
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
            If there is no task, or one differs from the first in its columns or its kind of
            targets, or its X and y in length.
        """
        pairs = _check_pairs(tasks)
        ids = np.arange(len(pairs))
        if task_ids is not None:
            ids = check_groups(task_ids, len(pairs), "task_ids", "task")
            _check_distinct(ids)
        Xs = [check_rows(X, of_task("X", name)) for name, (X, _) in zip(ids, pairs, strict=True)]
        ys = [_targets(y, of_task("y", name)) for name, (_, y) in zip(ids, pairs, strict=True)]
        for name, X, y in zip(ids, Xs, ys, strict=True):
            _check_alike(of_task("X", name), _columns(X), _columns(Xs[0]), ids[0])
            check_length(of_task("y", name), y, num_samples(X))
            _check_alike(of_task("y", name), y.shape[1:], ys[0].shape[1:], ids[0])
            _check_alike(of_task("y", name), kinds_of(y.ravel()), kinds_of(ys[0].ravel()), ids[0])
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
        if isinstance(key, tuple) and key:  # scikit-learn indexes what has a shape by [key, ...]
            key = key[0]
        tasks = self._numbers(key)
        if isinstance(tasks, Integral):
            one = self.take([tasks])
            return one.X, one.y
        return self.take(tasks)

    def __array__(self, dtype=None, copy=None):
        """scikit-learn's check_array comes here, with what is given to a transformer."""
        raise TypeError(
            "a TaskCollection is no array of rows, as its X is: put the scaler, or any other step, "
            "inside MetaLearner, MetaLearner(make_pipeline(StandardScaler(), mlp))"
        )

    def _numbers(self, key):
        """The number of one task, or of some (tasks,)."""
        try:
            tasks = np.arange(len(self))[key]
        except Exception as error:
            raise IndexError(
                f"key {shown(key)} chooses none of {len(self)} tasks: {shown(error, str)}"
            ) from error
        if np.ndim(tasks) > 1:
            raise IndexError(f"key {shown(key)} has more than one dimension")
        return tasks

    def __repr__(self):
        blocks = "" if self.blocks is None else f", blocks_per_task={_span(n_units(self))}"
        return (
            f"TaskCollection(n_tasks={len(self)}, n_rows={self.n_rows}, "
            f"n_features={num_features(self.X)}, rows_per_task={_span(self.sizes)}{blocks})"
        )


def check_blocks(blocks, n_rows):
    """Labels of blocks as an array, one for each row."""
    return None if blocks is None else check_groups(blocks, n_rows, "blocks", what="label")


def _span(counts):
    """The least and the most."""
    low, high = (counts.min(), counts.max()) if len(counts) else (0, 0)
    return low if low == high else f"{low}..{high}"


def check_rows(X, name="X"):
    """X as rows and columns: a dataframe as it is, anything else as an array."""
    check_array_like(X, name)
    if not hasattr(X, "columns"):
        try:
            X = np.asarray(X)
        except ValueError as error:
            raise ValueError(f"{name} is ragged, expected rows of the same length") from error
    if len(X.shape) != 2:
        raise ValueError(f"{name} has the shape {X.shape}, expected (rows, columns)")
    return X


def _targets(y, name):
    """Targets as an array, (rows,) or (rows, outputs)."""
    if y is None:
        raise ValueError(f"{name} is None, expected a target for each row of X")
    y = as_array(y, name)
    if y.ndim not in (1, 2):
        raise ValueError(f"{name} has the shape {y.shape}, expected (rows,) or (rows, outputs)")
    return y


def _check_ids(task_ids):
    """Ids of tasks; a single task may be called None, and resampled ones come again."""
    ids = as_array(task_ids, "task_ids")
    if ids.dtype == object and ids.shape == (1,) and ids[0] is None:
        return ids
    return check_groups(ids, len(ids) if ids.ndim else 0, "task_ids", "task")


def _check_distinct(ids):
    keys = as_keys(ids)
    if len(set(keys)) < len(keys):
        _, first = np.unique(np.array(keys, dtype=ids.dtype), return_index=True)
        twice = np.delete(np.arange(len(keys)), first)
        raise ValueError(f"task_ids names a task twice: {listed(ids[twice])}")


def _check_marks(is_support):
    """Marks of support rows as truth values."""
    if is_support is None:
        return None
    check_array_like(is_support, "is_support")
    with naming("is_support", "True or False for each row"):
        marks = np.asarray(is_support)
    if marks.dtype == object and all(isinstance(mark, bool | np.bool_) for mark in marks.flat):
        marks = marks.astype(bool)
    if marks.dtype != bool or marks.ndim != 1:
        raise ValueError(
            f"is_support must be True or False for each row, got an array of {marks.dtype} of "
            f"the shape {marks.shape}"
        )
    return marks


def _check_offsets(offsets, n_rows, n_tasks):
    check_array_like(offsets, "offsets")
    with naming("offsets", "whole numbers"):
        found = np.asarray(offsets)
    if found.shape != (n_tasks + 1,) or found.dtype.kind not in "iu":
        raise ValueError(
            f"offsets must be n_tasks + 1 = {n_tasks + 1} whole numbers, got an array of "
            f"{found.dtype} of the shape {found.shape}"
        )
    if found[0] != 0 or found[-1] != n_rows or np.any(np.diff(found) < 0):
        raise ValueError(f"offsets must grow from 0 to the {n_rows} rows of X, got {listed(found)}")
    return found.astype(np.intp, copy=False)


def _check_frame(df):
    if hasattr(type(df), "collect") and hasattr(type(df), "columns"):
        raise TypeError("df is a LazyFrame: pass df.collect()")
    if not hasattr(df, "columns") or not hasattr(df, "shape"):
        raise TypeError(f"df must be a pandas or polars dataframe, got {type(df).__name__}")
    columns = list(df.columns)
    twice = [column for column in dict.fromkeys(columns) if columns.count(column) > 1]
    if twice:
        raise ValueError(f"df has more than one column called {listed(twice)}")


def _check_columns(name, named, columns):
    """Raise where the parameter `name` names what is no column, or one twice."""
    missing = [column for column in named if not _is_in(column, set(columns))]
    if missing:
        raise ValueError(
            f"{name}: no column [{listed(missing)}] in the dataframe; it has [{listed(columns)}]"
        )
    if len(set(named)) < len(named):
        raise ValueError(f"{name} names a column twice: {listed(named)}")


def _is_in(name, names):
    try:
        return name in names
    except TypeError:  # it cannot be hashed
        return False


def _names(columns, parameter):
    """Columns by name, as a list; a single name is one column."""
    with naming(parameter, "the name of a column, or a list of them"):
        return [columns] if isinstance(columns, str) or not np.iterable(columns) else list(columns)


def _check_pairs(tasks):
    """A sequence of (X, y) as a list."""
    if not np.iterable(tasks) or isinstance(tasks, str | bytes | dict):
        raise TypeError(f"tasks must be a sequence of (X, y), got {type(tasks).__name__}")
    with naming("tasks", "a sequence of (X, y)"):
        pairs = list(tasks)
    if not pairs:
        raise ValueError("a collection needs at least one task, found none")
    for number, pair in enumerate(pairs):
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise TypeError(f"task {number} must be a pair (X, y), got {type(pair).__name__}")
    return pairs


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
        raise ValueError(f"{name} has {found}, expected {expected} as in task {shown(first)}")
