"""What a fitted MetaLearner does: adapt to new tasks, predict, score."""

import numpy as np
from sklearn.base import is_classifier
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import accuracy_score, r2_score
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from . import _validation as check
from ._adapted import AdaptedTasks, prior_outputs
from ._compat import blas_threads
from ._export import export
from ._few_shot_learner import FewShotLearner
from ._messages import plain
from .tasks import EpisodeSampler, TaskBatch


def _classifies(meta):
    if not is_classifier(meta):
        raise AttributeError("class probabilities are there with an MLPClassifier only")
    return True


class PredictionMixin:
    """The half of a MetaLearner's face that is used once it is fitted."""

    __metadata_request__fit = {"groups": True}
    __metadata_request__partial_fit = {"groups": True}
    __metadata_request__predict = {"groups": True}
    __metadata_request__predict_proba = {"groups": True}
    __metadata_request__predict_log_proba = {"groups": True}
    __metadata_request__score = {"groups": True}

    @property
    def tasks_(self):
        """Ids of the tasks that `predict` serves by id."""
        check_is_fitted(self)
        return np.array([]) if self._known is None else self._known.ids

    @property
    def classes_(self):
        """The classes, in the order of `predict_proba`'s columns.

        Where each task has classes of its own: those of the task that was adapted without an
        id, or if there is none, of all adapted tasks.
        """
        if "_encoder" not in vars(self) or not self._encoder.is_classifier:
            raise AttributeError(f"{type(self).__name__} has no classes_")
        if self._encoder.shared_labels:
            return self._encoder.targets.classes
        tasks = self._current or self._known
        if tasks is None:
            raise AttributeError("each task has classes of its own, and none was adapted yet")
        return self._own_classes(tasks)

    def fit_adapt(self, X, y=None, groups=None):
        """Learn a new task from its support rows, or with task ids many at once.

        What is meta-learned stays as it is. Rows that name no task are the task that
        `predict` without groups then serves; tasks with an id join those already known.

        Parameters
        ----------
        X, y, groups
            As in `fit`, but no distribution. Of a TaskCollection with `is_support`, the
            support rows.

        Returns
        -------
        self : MetaLearner
        """
        check_is_fitted(self)
        with check.unchanged_on_error(self):
            tasks = check.check_collection(self, X, y, groups, reset=False)
            arrays, classes = self._encoder.encode(check.support_rows(tasks))
            self._learn(tasks.task_ids, arrays, classes)
        return self

    def adapt(self, X, y):
        """Learn a new task without changing self.

        Parameters
        ----------
        X : {array-like, dataframe} of shape (n_rows, n_features)
            Support rows of one task.
        y : array-like of shape (n_rows,) or (n_rows, n_outputs)

        Returns
        -------
        MLPRegressor, MLPClassifier or Pipeline
            A fitted clone of `estimator` for this task; of `DeepKernelGP`, a Pipeline that
            ends in a Gaussian process. It takes rows without the column that `task_feature`
            names.
        """
        check_is_fitted(self)
        tasks = check.one_task(check.check_collection(self, X, y, reset=False))
        arrays, classes = self._encoder.encode(tasks)
        learned = self._adapted(tasks.task_ids, arrays, classes)
        return export(self._encoder, learned.weights.task(0), classes and classes[0])

    @property
    def learner_(self):
        """The learned learning algorithm, as an unfitted estimator: its fit is adaptation."""
        check_is_fitted(self)
        return FewShotLearner(FrozenEstimator(self))

    def predict(self, X, groups=None, return_std=False):
        """Predict rows of adapted tasks.

        Parameters
        ----------
        X : {array-like, dataframe} of shape (n_rows, n_features)
        groups : array-like of shape (n_rows,), default=None
            The task of each row. None: the task that was adapted without an id; if there
            is none, as for an unknown task.
        return_std : bool, default=False
            Also the predictive standard deviation (regression, Bayesian algorithms).

        Returns
        -------
        y : ndarray of shape (n_rows,) or (n_rows, n_outputs)
        std : ndarray like y
            Only with `return_std`, in the units of y.

        Raises
        ------
        ValueError
            If a task is unknown and `handle_unknown="error"`, or has classes of its own.
        """
        if return_std and is_classifier(self):
            raise ValueError("return_std is for regression; predict_proba has one for classes")
        z, place, tasks, X = self._outputs(X, groups)
        predicted = self._decode(z, place, tasks)
        if not return_std:
            return predicted
        return predicted, self._encoder.targets.decode_std(self._std(X, place, tasks))

    @available_if(_classifies)
    def predict_proba(self, X, groups=None, return_std=False):
        """Class probabilities of rows of adapted tasks.

        Parameters
        ----------
        X, groups
            As in `predict`.
        return_std : bool, default=False
            Also their posterior standard deviation (Bayesian algorithms).

        Returns
        -------
        proba : ndarray of shape (n_rows, n_classes)
            In the order of `classes_`; with groups, where each task has classes of its own,
            in that of all adapted tasks' classes, sorted.
        std : ndarray of shape (n_rows, n_classes)
            Only with `return_std`.
        """
        z, place, tasks, X = self._outputs(X, groups)
        values = [self._encoder.network.loss.mean(z)]
        if return_std:
            values.append(self._std(X, place, tasks))
        if z.shape[1] == 1:
            values = [
                np.hstack([1 - values[0], values[0]]),
                *(np.tile(std, 2) for std in values[1:]),
            ]
        if not self._encoder.shared_labels:
            values = [self._spread_columns(value, place, tasks) for value in values]
        return tuple(values) if return_std else values[0]

    @available_if(_classifies)
    def predict_log_proba(self, X, groups=None):
        """Logarithm of `predict_proba`.

        Parameters
        ----------
        X, groups
            As in `predict`.

        Returns
        -------
        log_proba : ndarray of shape (n_rows, n_classes)
        """
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X, groups))

    def score(self, X, y=None, sample_weight=None, groups=None):
        """Accuracy, or R2, of predicted rows; of a task collection, of adaptation.

        Parameters
        ----------
        X, y, groups
            Rows: `predict(X, groups)` is compared with y. A TaskCollection or a list of
            (X, y): every task is split into support (its marked rows; else `n_shots` of
            them, of a range the most, of "auto" half) and query, adapted and scored. A
            random split is the same at every call, so that scores can be compared.
        sample_weight : array-like of shape (n_rows,), default=None
            Of rows.

        Returns
        -------
        score : float
            Of tasks, the mean over tasks.
        """
        check_is_fitted(self)
        metric = accuracy_score if is_classifier(self) else r2_score
        if not check.is_collection(X, y):
            if y is None:
                raise ValueError("score of rows requires y, got None")
            return metric(y, self.predict(X, groups=groups), sample_weight=sample_weight)
        if sample_weight is not None:
            raise ValueError("sample_weight weighs rows; with a task collection it must be None")
        tasks = check.check_collection(self, X, y, groups, reset=False)
        check.check_training_tasks(tasks, self._encoder, self.n_shots)
        is_query, predicted = self._predict_queries(tasks)
        rows = np.flatnonzero(is_query)
        scores = [
            metric(tasks.y[part], predicted[part])
            for part in np.split(rows, np.searchsorted(rows, tasks.offsets[1:-1]))
            if len(part) > 1 or is_classifier(self)
        ]
        if not scores:
            raise ValueError("R2 needs a task with 2 or more query rows; found none")
        return float(np.mean(scores))

    def _adapted(self, ids, arrays, classes):
        return AdaptedTasks.learn(
            self.algorithm_, self._encoder.network, self._params, ids, arrays, classes, self.n_jobs
        )

    def _learn(self, ids, arrays, classes):
        """Adapt tasks and serve them from now on."""
        learned = self._adapted(ids, arrays, classes)
        if len(ids) == 1 and ids[0] is None:
            self._current = learned
        else:
            self._known = learned if self._known is None else self._known.merge(learned)

    def _outputs(self, X, groups):
        """Network outputs of rows, their tasks' places, those tasks, and the rows encoded."""
        check_is_fitted(self)
        rows, groups = check.split_rows(self, X, groups, reset=False)
        X = self._encoder.encode_rows(rows)
        tasks = self._current if groups is None else self._known
        if tasks is None:
            place = np.full(len(X), -1)
        else:
            place = np.zeros(len(X), int) if groups is None else tasks.find(groups)
        unknown = place < 0
        if unknown.any():
            self._check_unknown(groups, unknown)
        z = np.empty((len(X), self._encoder.network.n_outputs), X.dtype)
        network = self._encoder.network
        with blas_threads():
            if unknown.any():
                z[unknown] = prior_outputs(self.algorithm_, network, self._params, X[unknown])
            if not unknown.all():
                z[~unknown] = tasks.outputs(network, X[~unknown], place[~unknown])
        return z, place, tasks, X

    def _decode(self, z, place, tasks):
        """Predictions in the user's terms from network outputs (rows, outputs)."""
        targets = self._encoder.targets
        if not self._encoder.is_classifier:
            return targets.decode(self._encoder.network.loss.mean(z))
        codes = (z[:, 0] > 0).astype(int) if z.shape[1] == 1 else z.argmax(axis=1)
        if self._encoder.shared_labels:
            return targets.classes[codes]
        return np.array([tasks.classes[p][c] for p, c in zip(place, codes, strict=True)])

    def _check_unknown(self, groups, unknown):
        if groups is None:
            what = "the rows name no task, and fit_adapt was given none without an id"
        else:
            what = f"task {plain(groups[unknown][0])!r} was never adapted"
        if self.handle_unknown == "error":
            raise ValueError(f"{what}; adapt it first, or set handle_unknown='prior'")
        if not self._encoder.shared_labels:
            raise ValueError(f"{what}, and the prior knows no classes: each task has its own")

    def _std(self, X, place, tasks):
        if not hasattr(self.algorithm_, "predict_std"):
            raise ValueError(
                f"return_std=True needs a Bayesian algorithm; {self.algorithm_} is none"
            )
        known, network = place >= 0, self._encoder.network
        std = np.empty((len(X), network.n_outputs), X.dtype)
        if known.any():
            options = self.algorithm_, network, self._params
            std[known] = tasks.spread(*options, X[known], place[known])
        if not known.all():
            rows = X[~known][None]
            nothing = TaskBatch(rows[:, :0], np.empty((1, 0, network.n_outputs)), rows[:, :0, 0])
            std[~known] = self.algorithm_.predict_std(network, self._params, nothing, rows)[0]
        return std

    @staticmethod
    def _own_classes(tasks):
        return np.unique(np.concatenate(tasks.classes))

    def _spread_columns(self, values, place, tasks):
        """Values by a task's own classes, as columns for all classes of these tasks."""
        columns = self._own_classes(tasks)
        spread = np.zeros((len(values), len(columns)), values.dtype)
        for task in np.unique(place):
            rows = np.flatnonzero(place == task)
            own = np.searchsorted(columns, tasks.classes[task])
            spread[np.ix_(rows, own)] = values[rows, : len(own)]
        return spread

    def _predict_queries(self, tasks):
        """Split, adapt and predict: a mask of query rows, and predictions of all rows."""
        arrays, classes = self._encoder.encode(tasks)
        shots = "half" if self.n_shots == "auto" else np.max(self.n_shots)
        if arrays.is_support is not None:
            shots = tasks.n_rows  # every marked row
        sampler = EpisodeSampler(arrays, shots, None, self.support)
        is_support, is_query = sampler.split(np.random.RandomState(0))
        place = np.repeat(np.arange(len(arrays)), arrays.sizes)  # (rows,)
        learned = self._adapted(tasks.task_ids, arrays.select(is_support), classes)
        z = learned.outputs(self._encoder.network, arrays.X, place)
        return is_query, self._decode(z, place, learned)
