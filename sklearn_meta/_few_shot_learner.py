"""The learned learning algorithm as an estimator: its `fit` is adaptation."""

import copy

import numpy as np
from sklearn.base import BaseEstimator, MetaEstimatorMixin, is_classifier
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import accuracy_score, r2_score
from sklearn.utils import get_tags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted, column_or_1d

from ._arguments import check_array_like, naming
from ._documented import Documented
from ._messages import listed, shown
from .encoding._input import has_no_rows, row_weights, scored_rows
from .encoding._targets import named_classes
from .encoding._task_column import has_task_column, take_off
from .tasks._ids import as_array, kinds_of


def _inner_has(name):
    return lambda learner: hasattr(learner.estimator, name)


class FewShotLearner(Documented, MetaEstimatorMixin, BaseEstimator):
    """A learning algorithm that was learned: its `fit` is adaptation to one new task.

    scikit-learn's tools then work inside one task: cross-validation, bagging, voting, stacking,
    calibration, `AdaBoostRegressor`. `MetaLearner.learner_` makes one.

    Parameters
    ----------
    estimator : FrozenEstimator
        Of a fitted MetaLearner.
    classes : {"seen", "shared"} or array-like of shape (n_classes,), default="seen"
        Of a classifier whose training tasks share their classes, which ones `classes_` has:
        "seen" those in y, as of any classifier of scikit-learn; "shared" all those of the
        training tasks, seen or not. An array, sorted, is the task's classes where y holds
        their numbers, 0 to n_classes - 1, instead. That is what `VotingClassifier`,
        `StackingClassifier`, `BaggingClassifier` and `cross_val_predict` with
        ``method="predict_proba"`` pass on: for them, hand over ``np.unique(y)`` unless the
        training tasks' classes are 0, 1, ... and the new task has each of them.

    Attributes
    ----------
    meta_learner_ : MetaLearner
        The meta-learner, adapted.
    classes_ : ndarray of shape (n_classes,)
        Of a classifier, in the order of `predict_proba`'s columns: as `classes` says, and in
        the terms of y. Probabilities sum to 1 over them.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Where X has names.

    Notes
    -----
    `sample_weight` is as of `MetaLearner.fit_adapt`: a row of weight 2 counts as that row
    twice, on which `VotingRegressor` and others rely. The weights of `AdaBoostClassifier` sum to 1,
    so that to its members all rows together count as one: rather bag a classifier.

    Examples
    --------
    >>> from sklearn.model_selection import cross_val_score
    >>> from sklearn.neural_network import MLPRegressor
    >>> from sklearn_meta import MetaLearner
    >>> from sklearn_meta.datasets import Sinusoids
    >>> tasks = Sinusoids(n_rows=20).sample(201, random_state=0)
    >>> meta = MetaLearner(MLPRegressor(hidden_layer_sizes=(40, 40)), random_state=0)
    >>> meta = meta.fit(tasks[:200])
    >>> X, y = tasks[200]
    >>> bool(cross_val_score(meta.learner_, X, y).mean() > 0.8)
    True
    """

    __metadata_request__fit = {"sample_weight": True}
    __metadata_request__score = {"sample_weight": True}

    def __init__(self, estimator, classes="seen"):
        self.estimator = estimator
        self.classes = classes

    def fit(self, X, y, sample_weight=None):
        """Adapt to the rows of one task.

        Parameters
        ----------
        X : {array-like, dataframe} of shape (n_rows, n_features)
            Where the meta-learner has a `task_feature`, with that column, ignored, or without.
        y : array-like of shape (n_rows,) or (n_rows, n_outputs)
        sample_weight : array-like of shape (n_rows,), default=None
            A row of weight w counts as w rows, of weight 0 not at all; None: each as one.

        Returns
        -------
        self : FewShotLearner

        Raises
        ------
        ValueError
            If there are no rows, or none of a weight above 0 (`sklearn_meta.adapt` takes that
            for the prior); if y has a class that no training task had.
        """
        if has_no_rows(X):
            raise ValueError("Found array with 0 sample(s), expected 1 or more to adapt to")
        if sample_weight is not None:  # all 0 are an error
            sample_weight = row_weights(sample_weight, X)
        return self._adapt(X, y, sample_weight)

    def predict(self, X, return_std=False, return_cov=False):
        """Predict rows of the task, as `MetaLearner.predict` does.

        Parameters
        ----------
        X : {array-like, dataframe} of shape (n_rows, n_features)
        return_std, return_cov : bool, default=False

        Returns
        -------
        y : ndarray of shape (n_rows,) or (n_rows, n_outputs), with its std or cov if asked for
        """
        check_is_fitted(self)
        asked_for = {"return_std": return_std, "return_cov": return_cov}
        return self._as_in_y(self.meta_learner_.predict(self._rows(X), **asked_for))

    @available_if(_inner_has("sample_y"))
    def sample_y(self, X, n_samples=1, random_state=0, noise=True):
        """Draw targets of rows of the task together, as `MetaLearner.sample_y` does.

        Parameters
        ----------
        X : {array-like, dataframe} of shape (n_rows, n_features)
        n_samples : int, default=1
        random_state : int, RandomState or None, default=0
        noise : bool, default=True

        Returns
        -------
        y : ndarray of shape (n_rows, n_samples) or (n_rows, n_outputs, n_samples)
            Without `noise`, of a classifier, (n_rows, n_classes, n_samples).
        """
        check_is_fitted(self)
        options = {"random_state": random_state, "noise": noise}
        drawn = self.meta_learner_.sample_y(self._rows(X), n_samples, **options)
        return self._as_in_y(drawn) if noise else drawn

    @available_if(_inner_has("score_samples"))
    def score_samples(self, X, y=None):
        """Log density of targets of rows of the task, as of `MetaLearner.score_samples`.

        Parameters
        ----------
        X : {array-like, dataframe} of shape (n_rows, n_features)
        y : array-like of shape (n_rows,) or (n_rows, n_outputs), default=None

        Returns
        -------
        log_density : ndarray of shape (1,), or without y (n_rows,)
        """
        check_is_fitted(self)
        labels = y if y is None else self._labels(self.meta_learner_, y)
        return self.meta_learner_.score_samples(self._rows(X), labels)

    @available_if(_inner_has("predict_proba"))
    def predict_proba(self, X):
        """Class probabilities of rows of the task, (n_rows, n_classes)."""
        check_is_fitted(self)
        return self.meta_learner_.predict_proba(self._rows(X))

    @available_if(_inner_has("predict_log_proba"))
    def predict_log_proba(self, X):
        """Their logarithm, (n_rows, n_classes)."""
        check_is_fitted(self)
        return self.meta_learner_.predict_log_proba(self._rows(X))

    @available_if(_inner_has("predict_interval"))
    def predict_interval(self, X, coverage=0.9):
        """An interval for each row's target, as of `MetaLearner.predict_interval`.

        Parameters
        ----------
        X : {array-like, dataframe} of shape (n_rows, n_features)
        coverage : float, default=0.9

        Returns
        -------
        lower, upper : ndarrays of shape (n_rows,) or (n_rows, n_outputs)
        """
        check_is_fitted(self)
        return self.meta_learner_.predict_interval(self._rows(X), coverage=coverage)

    @available_if(_inner_has("predict_set"))
    def predict_set(self, X, coverage=0.9):
        """The classes that each row may have, as of `MetaLearner.predict_set`.

        Parameters
        ----------
        X : {array-like, dataframe} of shape (n_rows, n_features)
        coverage : float, default=0.9

        Returns
        -------
        is_in_set : ndarray of shape (n_rows, n_classes) of bool
            In the order of `classes_`.
        """
        check_is_fitted(self)
        return self.meta_learner_.predict_set(self._rows(X), coverage=coverage)

    def score(self, X, y, sample_weight=None):
        """Accuracy or R2 on rows of the task."""
        check_is_fitted(self)
        y, sample_weight = scored_rows(self.meta_learner_, X, y, sample_weight)
        metric = accuracy_score if is_classifier(self) else r2_score
        return agreement(metric, y, self.predict(X), sample_weight)

    def _adapt(self, X, y, sample_weight=None):
        """As `fit`, where no rows at all give the prior."""
        meta = self._inner_meta_learner()
        self._check_classes(meta)
        if has_no_rows(X):
            labels, adapted = [], copy.copy(meta)._adapt_to_nothing()
        else:
            rows, labels = _rows_of_one_task(meta, X), self._labels(meta, y)
            adapted = copy.copy(meta).fit_adapt(rows, labels, sample_weight=sample_weight)
        if is_classifier(meta):
            if meta._served.learned.encoder.shared_labels:
                among = self._shared_classes(labels, sample_weight)
                adapted._served = adapted._served.among(among)
            self.classes_ = self._as_in_y(adapted.classes_)
        self.meta_learner_, self.n_features_in_ = adapted, meta.n_features_in_
        if hasattr(meta, "feature_names_in_"):
            self.feature_names_in_ = meta.feature_names_in_
        return self

    def _inner_meta_learner(self):
        inner = self.estimator
        while isinstance(inner, FrozenEstimator):
            inner = inner.estimator
        if not hasattr(inner, "fit_adapt"):
            raise TypeError(
                f"estimator must be a FrozenEstimator of a MetaLearner, got {shown(inner)}"
            )
        check_is_fitted(inner)
        return inner._as_fitted()

    @property
    def _numbered(self):
        """Whether y holds numbers of the classes that the parameter names."""
        return not isinstance(self.classes, str)

    def _as_in_y(self, labels):
        return np.searchsorted(self.classes, labels) if self._numbered else labels

    def _rows(self, X):
        """Rows without the column of task ids: there is one task only."""
        meta = self.meta_learner_
        return take_off(X, meta.task_feature)[0] if has_task_column(meta, X) else X

    def _check_classes(self, meta):
        if not self._numbered:
            if self.classes not in ("seen", "shared"):
                raise ValueError(
                    f"classes={shown(self.classes)}; expected 'seen', 'shared' or an array of "
                    "classes"
                )
        elif not is_classifier(meta):
            raise ValueError(f"classes is for classifiers, got {shown(self.classes)} in regression")
        elif not np.array_equal(named_classes(self.classes), np.asarray(self.classes)):
            raise ValueError(f"classes must be sorted, each once, got {shown(self.classes)}")

    def _labels(self, meta, y):
        """The classes of rows, by their numbers where y holds these."""
        if not is_classifier(meta) or y is None:
            return y
        check_array_like(y, "y")
        with naming("y", "a class for each row"):
            y = column_or_1d(as_array(y, "y"), warn=True)
        if not self._numbered:
            if meta._served.learned.encoder.shared_labels:
                _check_not_numbered(y, meta._served.learned.encoder.targets.classes)
            return y
        numbers, classes = column_or_1d(y), np.asarray(self.classes)
        wrong = [number for number in np.unique(numbers) if number not in range(len(classes))]
        if wrong:
            raise ValueError(
                f"y has {shown(wrong[0])}; with the parameter classes={classes.tolist()} it "
                f"holds their numbers, 0 to {len(classes) - 1}"
            )
        return classes[numbers.astype(int)]

    def _shared_classes(self, labels, sample_weight):
        """Those of the shared classes that the rows of the task may have; None: all."""
        if not self._numbered and self.classes == "shared":
            return None
        labels = np.ravel(np.asarray(labels))
        if sample_weight is not None and len(labels):
            labels = labels[np.asarray(sample_weight) > 0]
        if len(labels):
            return np.unique(labels)
        return np.asarray(self.classes) if self._numbered else None

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        inner = get_tags(self.estimator)
        tags.estimator_type = inner.estimator_type
        tags.classifier_tags, tags.regressor_tags = inner.classifier_tags, inner.regressor_tags
        tags.target_tags = inner.target_tags
        return tags


def agreement(metric, y, predicted, sample_weight=None):
    """The metric of what is predicted; R2 takes squares, which may overflow."""
    if y.shape != predicted.shape:
        raise ValueError(f"y has the shape {y.shape}, expected {predicted.shape} as in fit")
    try:
        with np.errstate(over="raise", invalid="raise"):
            return metric(y, predicted, sample_weight=sample_weight)
    except TypeError as error:
        found, expected = (" and ".join(sorted(kinds_of(v))) for v in (y, predicted))
        raise ValueError(f"y has {found}, expected {expected} as in fit") from error
    except FloatingPointError as error:
        largest, furthest = (np.max(np.abs(values)) for values in (y, predicted))
        raise ValueError(
            f"{metric.__name__} overflows: y is up to {largest:.3g}, what is predicted for X up to "
            f"{furthest:.3g}, sample_weight aside; scale them"
        ) from error


def _rows_of_one_task(meta, X):
    """Rows without the column of task ids; where they have it, it names one task."""
    if not has_task_column(meta, X):
        return X
    rows, ids = take_off(X, meta.task_feature)
    names = list(dict.fromkeys(ids.tolist()))
    if len(names) > 1:
        raise ValueError(f"a FewShotLearner learns one task, X has rows of [{listed(names)}]")
    return rows


def _check_not_numbered(y, classes):
    """What ensembles have numbered is no label; where it looks like it, say so."""
    y = np.asarray(y)
    if y.dtype.kind not in "iu":
        return
    known, numbers = set(classes.tolist()), np.unique(y).tolist()
    unknown = [number for number in numbers if number not in known]
    if unknown and numbers[0] >= 0 and numbers[-1] < len(known):
        raise ValueError(
            f"y has the class {unknown[0]}, which no training task had; expected one of "
            f"{classes.tolist()}. VotingClassifier, StackingClassifier, BaggingClassifier and "
            "cross_val_predict number the classes of a task from 0: name these to the learner, "
            "learner_.set_params(classes=np.unique(y)) with the y of the task"
        )
