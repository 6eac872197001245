"""The face that all baselines share: rows and tasks checked, tasks remembered, rows predicted."""

import copy
import warnings
from abc import ABCMeta, abstractmethod
from dataclasses import replace

import numpy as np
from sklearn.base import BaseEstimator, MetaEstimatorMixin, clone, is_classifier, is_regressor
from sklearn.metrics import accuracy_score, r2_score
from sklearn.utils import check_random_state, get_tags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from .._arguments import check_values
from .._compat import HasMethods
from .._documented import Documented
from .._few_shot_learner import agreement
from .._known_tasks import UNKNOWN, KnownTasks
from .._messages import shown
from .._served import Served
from ..encoding._input import (
    is_rows,
    query_rows,
    scored_rows,
    support_tasks,
    task_collection,
)
from ..encoding._targets import ClassTargets, RegressionTargets
from ._asked import Asked, Each

LONE = np.array([None])  # the id of the task without one


def _has_proba(baseline):
    return hasattr(baseline.estimator, "predict_proba")


class Baseline(Documented, MetaEstimatorMixin, BaseEstimator, metaclass=ABCMeta):
    """A model of many tasks around one estimator.

    A subclass says what is learned of all tasks, `_fit`, of each, `_learn` and `_nothing`, and how
    rows are predicted with it, `_predict` and `_predict_proba`. What `fit_adapt` learns replaces
    attributes and changes none, so that copies can be adapted by themselves.
    """

    task_feature = None  # a parameter of MetaLearner; here `groups` alone name tasks
    _takes_own_classes = False
    _parameter_constraints = {
        "estimator": [HasMethods(["fit", "predict"])],
        "adapt_training_tasks": ["boolean"],
        "random_state": ["random_state"],
    }

    __metadata_request__fit = {"groups": True, "blocks": True}
    __metadata_request__predict = {"groups": True}
    __metadata_request__predict_proba = {"groups": True}
    __metadata_request__score = {"groups": True}

    def __init__(self, estimator, *, adapt_training_tasks=True, random_state=None):
        self.estimator = estimator
        self.adapt_training_tasks = adapt_training_tasks
        self.random_state = random_state

    def __sklearn_is_fitted__(self):
        return "_served" in vars(self)

    def fit(self, X, y=None, groups=None, blocks=None):
        """Learn from the rows of many tasks.

        Parameters
        ----------
        X : {array-like, dataframe} of shape (n_rows, n_features), or tasks
            Rows, as `estimator` takes them; or a TaskCollection or a list of (X, y), of which all
            rows are learned from, marked as support or not.
        y : array-like of shape (n_rows,) or (n_rows, n_outputs), default=None
            Targets of the rows; None where X is tasks.
        groups : array-like of shape (n_rows,), default=None
            The task each row belongs to. None: all are one task, without an id.
        blocks : array-like of shape (n_rows,), default=None
            Labels of rows that belong together, as in `MetaLearner.fit`: no episode of `Stacked`
            splits them. To the other baselines they are rows.

        Returns
        -------
        self : object
            With every training task learned, too, unless `adapt_training_tasks=False`.

        Raises
        ------
        TypeError
            If `estimator` will not do.
        ValueError
            If the rows, tasks or parameters will not do; nothing is changed then.
        """
        self._check_parameters()
        fitted = copy.copy(self)
        tasks = task_collection(fitted, X, y, groups, reset=True, blocks=blocks)
        tasks = replace(tasks, is_support=None)  # all rows are learned from
        fitted._take_targets(tasks)
        fitted._take_seed()
        fitted._fit(tasks)
        fitted._served = Served(None)
        if self.adapt_training_tasks:
            fitted._add(tasks)
        self.__dict__ = vars(fitted)
        return self

    def fit_adapt(self, X, y=None, groups=None):
        """Learn a new task from its support rows, or with task ids many at once.

        What `fit` learned of all tasks stays as it is. Rows that name no task are the task that
        `predict` without groups then serves; tasks with an id join those already known, and
        replace those of the same id. With no rows at all the task without an id gets the prior.

        Parameters
        ----------
        X, y, groups
            As in `fit`. Of a TaskCollection with `is_support`, the support rows.

        Returns
        -------
        self : object

        Raises
        ------
        ValueError
            If rows or tasks will not do; nothing is changed then.
        """
        check_is_fitted(self)
        tasks, _ = support_tasks(self, X, y, groups)
        adapted = copy.copy(self)
        if tasks is None:
            adapted._add_nothing()
        else:
            adapted._check_labels(tasks)
            adapted._add(tasks)
        self.__dict__ = vars(adapted)
        return self

    @property
    def tasks_(self):
        """Ids of the tasks that `predict` serves by id."""
        check_is_fitted(self)
        known = self._served.known
        return np.array([]) if known is None else known.ids

    @property
    def classes_(self):
        """The classes, in the order of `predict_proba`'s columns."""
        classes = getattr(vars(self).get("_targets"), "classes", None)
        if classes is None:
            raise AttributeError(f"{type(self).__name__} has no classes_")
        return classes

    def predict(self, X, groups=None):
        """Predict rows of learned tasks; of a task never learned, as the prior does.

        Parameters
        ----------
        X : {array-like, dataframe} of shape (n_rows, n_features)
        groups : array-like of shape (n_rows,), default=None
            The task of each row. None: the task that was learned without an id; if there is
            none, as for an unknown task.

        Returns
        -------
        y : ndarray of shape (n_rows,) or (n_rows, n_outputs)

        Raises
        ------
        ValueError
            If the rows or ids will not do.
        """
        return self._predict(self._ask(X, groups))

    @available_if(_has_proba)
    def predict_proba(self, X, groups=None):
        """Class probabilities of rows of learned tasks.

        Parameters
        ----------
        X, groups
            As in `predict`.

        Returns
        -------
        proba : ndarray of shape (n_rows, n_classes)
            In the order of `classes_`.
        """
        return self._predict_proba(self._ask(X, groups))

    def score(self, X, y=None, sample_weight=None, groups=None):
        """Accuracy, or R2, of predicted rows.

        Parameters
        ----------
        X, y, groups
            Rows: `predict(X, groups)` is compared with y.
        sample_weight : array-like of shape (n_rows,), default=None
            It stands before `groups`, as scikit-learn's scores have it: pass both by name.

        Returns
        -------
        score : float
        """
        check_is_fitted(self)
        if not is_rows(X):
            raise ValueError("score takes rows; of a TaskCollection pass its X, y and groups")
        if y is None:
            raise ValueError("score of rows requires y, got None")
        predicted = self.predict(X, groups=groups)
        y, sample_weight = scored_rows(self, X, y, sample_weight)
        metric = accuracy_score if self._learns_classes else r2_score
        return agreement(metric, y, predicted, sample_weight)

    @abstractmethod
    def _fit(self, tasks):
        """Learn what is common to all tasks of the collection."""

    @abstractmethod
    def _learn(self, tasks):
        """What is learned of each task, ndarray of shape (tasks, numbers)."""

    @property
    @abstractmethod
    def _nothing(self):
        """The same of a task of no rows, (numbers,)."""

    @abstractmethod
    def _predict(self, asked):
        """What `predict` returns for the rows asked."""

    @abstractmethod
    def _predict_proba(self, asked):
        """What `predict_proba` returns for them."""

    @property
    def _learns_classes(self):
        return isinstance(self._targets, ClassTargets)

    def _fresh(self):
        """An unfitted clone of `estimator`, its random numbers by the baseline's if it has any."""
        estimator = clone(self.estimator)
        if self._seed is not None:
            names = [n for n in estimator.get_params() if n.split("__")[-1] == "random_state"]
            estimator.set_params(**dict.fromkeys(names, self._seed))
        return estimator

    def _check_parameters(self):
        check_estimator_parameter(self.estimator)
        parameters = self.get_params(deep=False)
        check_values(self._parameter_constraints, parameters, type(self).__name__)

    def _take_targets(self, tasks):
        """How targets look, and which classes there are."""
        if not is_classifier(self.estimator):
            self._targets = RegressionTargets(tasks.y, "squared_error", False)
            if tasks.y.ndim == 2 and not get_tags(self).target_tags.multi_output:
                raise ValueError(
                    f"y has the shape {tasks.y.shape}, expected ({tasks.n_rows},): "
                    f"{type(self).__name__}({type(self.estimator).__name__}) takes one output"
                )
            return
        if not tasks.shared_labels and not self._takes_own_classes:
            raise ValueError(
                f"each task has classes of its own (shared_labels=False), which "
                f"{type(self).__name__} cannot tell apart: expected classes that all tasks share"
            )
        self._targets = ClassTargets.of(tasks, tasks.shared_labels)

    def _take_seed(self):
        given = self.random_state is not None
        self._seed = check_random_state(self.random_state).randint(2**31 - 1) if given else None

    def _check_labels(self, tasks):
        """Targets are like those of `fit`."""
        if self._learns_classes and self._targets.classes is None:
            return
        if self._learns_classes and not tasks.shared_labels:
            raise ValueError("shared_labels is False, expected True as in fit")
        self._columns(tasks)

    def _columns(self, tasks):
        """Targets as numbers (rows, outputs): of classes whether a row is of each, of two of the
        second."""
        if not self._learns_classes:
            return self._targets.encode(tasks.y, float)
        codes, _ = self._targets.encode(tasks)
        if self._targets.n_outputs == 1:
            return codes[:, None].astype(float)
        return np.eye(self._targets.n_outputs)[codes]

    def _add(self, tasks):
        self._remember(tasks.task_ids, self._learn(tasks))

    def _add_nothing(self):
        self._remember(LONE, self._nothing[None])

    def _remember(self, ids, learned):
        self._served = self._served.adding(KnownTasks.of(ids, Each(learned)))

    def _ask(self, X, groups):
        """Rows to predict, with what is known of their tasks."""
        check_is_fitted(self)
        rows, groups = query_rows(self, X, groups)
        tasks = self._served.current if groups is None else self._served.known
        n_rows = rows.shape[0]
        if tasks is None:
            place = np.full(n_rows, UNKNOWN)
        else:
            place = np.zeros(n_rows, int) if groups is None else tasks.find(groups)
        if groups is not None and np.any(place == UNKNOWN):
            self._served.check_kinds(groups)
        return Asked.of(rows, place, tasks, self._nothing, groups)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        if isinstance(self.estimator, type) or not hasattr(self.estimator, "__sklearn_tags__"):
            return tags  # `fit` says what is wrong
        inner = get_tags(self.estimator)
        tags.estimator_type = inner.estimator_type
        tags.classifier_tags, tags.regressor_tags = inner.classifier_tags, inner.regressor_tags
        tags.target_tags, tags.input_tags = inner.target_tags, inner.input_tags
        tags.target_tags.required = True
        tags.input_tags.sparse = False
        if tags.classifier_tags is not None:
            tags.classifier_tags.multi_label = False
            tags.target_tags.multi_output = False
        return tags


def check_estimator_parameter(estimator):
    """It is an instance of a regressor or classifier."""
    if isinstance(estimator, type):
        raise TypeError(
            f"estimator is the class {estimator.__name__}, expected an instance of it: "
            f"{estimator.__name__}()"
        )
    if not hasattr(estimator, "fit") or not hasattr(estimator, "predict"):
        raise TypeError(
            f"estimator must be a regressor or a classifier, with fit and predict, got "
            f"{shown(estimator)}"
        )
    if not is_classifier(estimator) and not is_regressor(estimator):
        raise TypeError(f"estimator must be a regressor or a classifier, got {shown(estimator)}")


def fit_rows(estimator, X, y):
    """The estimator fitted. That few rows have many classes is meant: scikit-learn, which takes
    these for numbers then, is not to say so."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The number of unique classes is", UserWarning)
        return estimator.fit(X, y)


def in_columns(proba, classes, among):
    """Probabilities (rows, classes) in the columns of `among`, 0 for those that are not there."""
    if len(classes) == len(among):
        return proba
    wide = np.zeros((len(proba), len(among)))
    wide[:, np.searchsorted(among, classes)] = proba
    return wide
