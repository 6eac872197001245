"""Contestants: how each kind of estimator learns tasks of which a few rows are shown."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from inspect import signature
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from sklearn import get_config
from sklearn.base import clone
from sklearn.utils.metadata_routing import get_routing_for_object

from .._adapt import adapt, meta_learner_in
from .._compat import num_samples, safe_indexing
from .._ragged import offsets_within
from ..tasks import TaskCollection
from ._answers import Answers

AS_CONTESTANT = {"handle_unknown": "prior", "adapt_training_tasks": False}


class Rows(NamedTuple):
    """Some of the rows of a contestant's tasks."""

    X: object
    y: np.ndarray
    groups: np.ndarray


@dataclass(frozen=True)
class Contestant:
    """An estimator that is judged, and the tasks as it takes them.

    Parameters
    ----------
    name : str
    estimator : estimator
        Unfitted.
    tasks : TaskCollection
        Its X as this estimator takes it.
    as_collection : bool
        Whether they came as a task collection, or as rows and groups.
    params : dict
        Further arguments of its `fit`; what has an entry for each row is cut to the rows.
    """

    name: str
    estimator: object
    tasks: TaskCollection
    as_collection: bool = False
    params: dict = field(default_factory=dict)

    def learn(self, train) -> Callable:
        """Learn from the rows of a mask (rows,).

        Returns
        -------
        callable
            ``(support, query) -> Answers`` about the rows of the second mask, after those of the
            first were shown.
        """
        if self.learns_tasks:
            return self.with_fitted(self._fit(train))
        return self._refitting(train)

    def with_fitted(self, fitted):
        """As `learn`, with what has learned already to learn tasks."""
        adapts = hasattr(fitted, "fit_adapt")
        return self._adapting(fitted) if adapts else self._ending(fitted)

    @property
    def learns_tasks(self):
        """Whether it adapts to tasks; else it is fitted anew, with their rows among all others."""
        return hasattr(self.estimator, "fit_adapt") or meta_learner_in(self.estimator) is not None

    @property
    def has_task_column(self):
        """Whether it looks for task ids in a column of X."""
        inner = meta_learner_in(self.estimator) or self.estimator
        return getattr(inner, "task_feature", None) is not None

    @property
    def can_be_told_tasks(self):
        """Whether a MetaLearner within learns, from rows and groups, of which task each row is."""
        if meta_learner_in(self.estimator) is None or self.has_task_column:
            return True
        named = any(name.endswith("groups") for name in self.params)
        return named or takes_groups(self.estimator, "fit")

    def _adapting(self, fitted):
        def learn(support, query):
            adapted = copy.deepcopy(fitted)  # what is known of tasks is not to be known next time
            if support.any():
                adapted.fit_adapt(**self._handed(support))
            return self._answers(adapted, query)

        return learn

    def _ending(self, fitted):
        def learn_all(support, query):
            rows = self._rows(support)
            groups = None if self.has_task_column else rows.groups
            adapted = adapt(fitted, rows.X, rows.y, groups) if support.any() else fitted
            return self._answers(adapted, query)

        def learn_each(support, query):
            shown, asked = self._each_task(support), self._each_task(query)
            return Answers(
                [
                    (adapt(fitted, rows.X, rows.y), judged.X, {})
                    for rows, judged in zip(shown, asked, strict=True)
                    if len(judged.y)
                ]
            )

        by_id = self.has_task_column or takes_groups(fitted, "predict")
        return learn_all if by_id else learn_each

    def _refitting(self, train):
        without = []  # any support: the same however often it is asked

        def learn(support, query):
            if support.any():
                return self._answers(self._fit(train | support), query)
            if not without:
                without.append(self._fit(train))
            return self._answers(without[0], query)

        return learn

    def _answers(self, fitted, query):
        rows = self._rows(query)
        named = not self.has_task_column and takes_groups(fitted, "predict")
        return Answers([(fitted, rows.X, {"groups": rows.groups} if named else {})])

    def _fit(self, mask):
        """A clone, fitted to the rows of a mask."""
        estimator, handed = quieted(clone(self.estimator)), self._handed(mask)
        if "groups" in handed and not takes_groups(estimator, "fit"):
            del handed["groups"]
        has_blocks = "y" in handed and self.tasks.blocks is not None
        if has_blocks and takes(estimator, "fit", "blocks"):
            handed["blocks"] = self.tasks.blocks[mask]
        params = {name: self._cut(value, mask) for name, value in self.params.items()}
        return estimator.fit(**handed, **params)

    def _handed(self, mask):
        """What `fit` and `fit_adapt` are handed of the rows of a mask."""
        if self.as_collection and self.learns_tasks:
            some = self.tasks.select(mask)
            return {"X": some.take(np.flatnonzero(some.sizes))}
        rows = self._rows(mask)._asdict()
        if self.has_task_column:
            del rows["groups"]
        return rows

    def _rows(self, mask):
        numbers = np.flatnonzero(mask)
        return Rows(
            safe_indexing(self.tasks.X, numbers), self.tasks.y[numbers], self._groups[numbers]
        )

    def _each_task(self, mask):
        """The rows of a mask, task by task."""
        rows, offsets = self._rows(mask), offsets_within(self.tasks.offsets, mask)
        for start, stop in pairwise(offsets):
            numbers = np.arange(start, stop)
            yield Rows(safe_indexing(rows.X, numbers), rows.y[start:stop], rows.groups[start:stop])

    def _cut(self, value, mask):
        per_row = np.ndim(value) > 0 and num_samples(value) == self.tasks.n_rows
        return safe_indexing(value, np.flatnonzero(mask)) if per_row else value

    @cached_property
    def _groups(self):
        return self.tasks.groups


def quieted(estimator):
    """The estimator, which serves unknown tasks without a word, and no training task by its id."""
    inner = meta_learner_in(estimator) or estimator
    has = inner.get_params(deep=False)
    inner.set_params(**{name: value for name, value in AS_CONTESTANT.items() if name in has})
    return estimator


def takes_groups(estimator, method):
    """Whether a method can be told the task of each row."""
    return takes(estimator, method, "groups")


def takes(estimator, method, name):
    """Whether a method can be told what is so called of each row."""
    if not hasattr(estimator, method):
        return False
    if get_config()["enable_metadata_routing"]:
        return bool(get_routing_for_object(estimator).consumes(method, [name]))
    return name in signature(getattr(estimator, method)).parameters
