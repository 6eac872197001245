"""What few_shot_curve is handed, as tasks."""

from dataclasses import dataclass, replace

import numpy as np
from sklearn.base import is_classifier

from .._adapt import meta_learner_in
from .._arguments import check_array_like, check_length
from .._compat import num_samples, safe_indexing
from .._messages import shown
from ..encoding._features import check_finite
from ..encoding._input import DISTRIBUTION, is_rows, kind_of, no_rows_besides
from ..encoding._task_column import check_not_scaled, take_off
from ..tasks import TaskCollection
from ..tasks._ids import as_array
from ._contestants import Contestant


@dataclass(frozen=True)
class Given:
    """Tasks as they are judged.

    Parameters
    ----------
    tasks : TaskCollection
        Its X without a column of task ids.
    X : array-like or None
        The rows with that column, where there is one.
    as_collection : bool
        Whether they came as tasks, and not as rows.
    order : ndarray of shape (rows,)
        The place of each row in what was handed over.
    """

    tasks: TaskCollection
    X: object
    as_collection: bool
    order: np.ndarray

    def contestant(self, name, estimator, params):
        """An estimator with the tasks as it takes them."""
        # rows do not say that classes are a task's own, unless a parameter does
        by_rows = self.tasks.shared_labels or hasattr(estimator, "shared_labels")
        as_collection = self.as_collection or not by_rows
        params = self._sorted(params)
        contestant = Contestant(name, estimator, self.tasks, as_collection, params)
        if not as_collection and not contestant.can_be_told_tasks:
            raise ValueError(
                f"{name} cannot be told the task of each row, and its MetaLearner would take all "
                "for one: name their column by task_feature, put the steps inside MetaLearner, "
                "pass params, {'metalearner__groups': groups}, or enable metadata routing"
            )
        if self.X is None or not contestant.has_task_column:
            return contestant
        tasks = replace(self.tasks, X=self.X)
        return replace(contestant, tasks=tasks)

    def as_handed(self, values):
        """Values (..., rows[, outputs]) in the order of the rows that were handed over."""
        axis = -self.tasks.y.ndim
        return np.take(values, np.argsort(self.order), axis=axis)

    def _sorted(self, params):
        """Arguments with an entry for each row, in the order of the tasks."""
        return {
            name: safe_indexing(value, self.order)
            if np.ndim(value) and num_samples(value) == len(self.order)
            else value
            for name, value in params.items()
        }


def given_tasks(estimator, X, y, groups, blocks=None, at_least=2):
    """Tasks from whatever was handed over, checked.

    Returns
    -------
    Given
    """
    if is_rows(X):
        given = _from_rows(estimator, X, y, groups, blocks)
    else:
        kind = kind_of(X)
        if kind == DISTRIBUTION:
            raise ValueError(f"X is {kind}: pass tasks of it, X.sample(200, random_state=0)")
        no_rows_besides(kind, y, groups, blocks)
        tasks = X if isinstance(X, TaskCollection) else TaskCollection.from_tasks(X)
        given = Given(tasks, None, True, np.arange(tasks.n_rows))
    tasks = given.tasks
    if tasks.y.ndim == 2 and tasks.y.shape[1] == 1:  # estimators differ in what they return then
        tasks = replace(tasks, y=tasks.y[:, 0])
        given = replace(given, tasks=tasks)
    if len(tasks) < at_least:
        raise ValueError(f"there must be {at_least} tasks or more, found {len(tasks)}")
    if not is_classifier(estimator):
        check_finite("y", tasks.y, tasks)
    return given


def check_varies(y):
    """Raise where a target is the same in all rows, so that R2 is not defined."""
    constant = np.flatnonzero(np.all(y == y[0], axis=0))
    if len(constant):
        which = "y" if y.ndim == 1 else f"y[:, {constant[0]}]"
        raise ValueError(
            f"{which} is {shown(y.reshape(len(y), -1)[0, constant[0]])} in all rows, so that R2 is "
            "not defined: choose another scoring"
        )


def shots_by_class(stratify, estimator, tasks):
    """Whether shots are of each class."""
    if stratify == "auto":
        return not tasks.shared_labels
    if stratify and not is_classifier(estimator):
        raise ValueError("stratify=True is for classifiers, whose shots can be of each class")
    return stratify


def order_of_shots(support_order, estimator):
    """In which order rows of a task come to be shown; "auto" as its MetaLearner has been told."""
    if support_order != "auto":
        return support_order
    return getattr(meta_learner_in(estimator), "support_order", "random")


def _from_rows(estimator, X, y, groups, blocks):
    check_array_like(X, "X")
    if y is None:
        raise ValueError("y must be the targets of the rows, got None; or X a task collection")
    check_array_like(y, "y")
    check_length("y", y, num_samples(X), " as X has rows")
    bare, inner = X, meta_learner_in(estimator) or estimator
    column = getattr(inner, "task_feature", None)
    if groups is None and column is None:
        raise ValueError(
            "groups must name the task of each row, got None; or name their column, task_feature"
        )
    if column is not None:
        bare, ids = take_off(X, column)
        check_not_scaled(ids, column)
        if groups is not None:
            raise ValueError(
                f"groups must be None where task_feature={shown(column)} names the column of ids"
            )
        groups = ids
    numbered = TaskCollection.from_arrays(bare, np.arange(num_samples(X)), groups, blocks=blocks)
    order = numbered.y
    own_classes = is_classifier(estimator) and getattr(inner, "shared_labels", True) is False
    tasks = replace(numbered, y=as_array(y, "y")[order], shared_labels=not own_classes)
    if column is None:
        return Given(tasks, None, False, order)
    X = X if hasattr(X, "shape") else np.asarray(X, object)
    return Given(tasks, safe_indexing(X, order), False, order)
