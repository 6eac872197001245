"""Tasks to learn from: whether each can give a support and a query."""

import numpy as np

from .._messages import shown, warn
from ..tasks._blocks import check_one_class, n_units
from ._targets import task_classes


def learnable(collection, n_shots, *, own_classes, by_class=False):
    """Mask of the tasks that can give a support and a query row; a warning counts the others.

    A task of one row can give a query row where a support may be empty. Where rows are in blocks,
    a task of one block is as one of one row.

    Parameters
    ----------
    collection : TaskCollection
    n_shots : int, (int, int), "auto" or "half"
    own_classes : bool
        Whether each task has classes of its own.
    by_class : bool, default=False
        Whether shots are of each class, as they always are of a task's own.
    """
    _check_marked(collection)
    if own_classes or by_class:
        check_one_class(collection, "" if own_classes else ", or stratify_shots=False")
    sizes = n_units(collection)
    row = "row" if collection.blocks is None else "block"
    can_learn = np.ones(len(collection), bool)
    if own_classes or collection.is_support is not None or not _may_be_empty(n_shots):
        can_learn = sizes > 1
    if not can_learn.any() or sizes.sum() == 1:
        raise ValueError(
            f"{_name(collection.task_ids[0])} has {_one(collection)}, and no other task has "
            "more; meta-training needs a task of at least 2, one of support and one of query"
        )
    if own_classes:
        _check_own_classes(collection.take(np.flatnonzero(can_learn)), n_shots)
    n_single = np.count_nonzero(~can_learn)
    if n_single:
        served = "cannot be adapted to" if own_classes else "are adapted and served all the same"
        warn(
            f"{n_single} of {len(collection)} tasks have one {row}, none that is both support and "
            f"query: they are left out of training, and {served}"
        )
    return can_learn


def warn_of_one_task(collection):
    """Rows that are all of one task were seldom meant so."""
    if len(collection) == 1:
        warn(
            "all rows are of one task: there is nothing to learn across tasks. Pass groups, or "
            "name their column by task_feature (where groups cannot be passed, as in a search "
            "without metadata routing)"
        )


def _may_be_empty(n_shots):
    """Whether an episode's support may have no row."""
    return n_shots in ("auto", "half") or np.min(n_shots) == 0


def _check_marked(collection):
    """Where rows are marked, every task of several has some of both kinds."""
    if collection.is_support is None:
        return
    names, starts = collection.task_ids, collection.offsets[:-1]
    for kind, mask in (("query", ~collection.is_support), ("support", collection.is_support)):
        lacking = np.flatnonzero((np.add.reduceat(mask, starts) == 0) & (collection.sizes > 1))
        if len(lacking):
            raise ValueError(
                f"{_name(names[lacking[0]])} has no {kind} row by is_support, expected at least 1"
            )


def _check_own_classes(collection, n_shots):
    if n_shots == 0 or (isinstance(n_shots, tuple | list) and n_shots[0] == 0):
        raise ValueError(f"n_shots={n_shots}; tasks with classes of their own need 1 or more")
    rows = "rows" if collection.blocks is None else "blocks"
    tasks = zip(
        collection.task_ids.tolist(), n_units(collection), task_classes(collection), strict=True
    )
    for name, size, classes in tasks:
        if len(classes) < 2 or len(classes) == size:
            raise ValueError(
                f"{_name(name)} has {size} {rows} of {len(classes)} class(es); with classes of its "
                f"own it needs at least 2, and 2 {rows} of one of them"
            )


def _one(collection):
    return "n_samples=1, one row" if collection.blocks is None else "one block"


def _name(task):
    return "X" if task is None else f"task {shown(task)}"
