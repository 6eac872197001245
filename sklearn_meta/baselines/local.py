"""Local: the rows of a task alone."""

from dataclasses import replace

import numpy as np
from sklearn.base import clone
from sklearn.dummy import DummyClassifier, DummyRegressor

from .._compat import safe_indexing
from .._messages import shown
from ..encoding import split_estimator
from ._base import Baseline, fit_rows, in_columns

FEW = 20  # rows; of fewer, each is taken as often to see whether it is their number


class Local(Baseline):
    """A model of its own for each task, of the rows of that task alone.

    What the other tasks know is not used, but for tasks without rows: there the mean target of all
    training rows predicts, or the frequencies of their classes. That also serves tasks with so few
    rows that `estimator` cannot be fitted to them. Where all rows of a task are of one class, it
    is predicted, with probability 1.

    Parameters
    ----------
    estimator : estimator
        A regressor or classifier of scikit-learn, of which a clone is fitted for each task. Of a
        Pipeline that is the last step; the steps before it are fitted once, on the pooled rows.
    adapt_training_tasks : bool, default=True
        Whether `fit` also fits a model for each training task, so that `predict` serves them by
        id. False saves the time.
    random_state : int, RandomState or None, default=None
        If given, it sets every `random_state` of the clones of `estimator`.

    Attributes
    ----------
    prior_ : DummyRegressor or DummyClassifier
        What predicts where there are no rows; None where each task has classes of its own.
    tasks_ : ndarray of shape (n_learned,)
        Ids of the tasks that were learned.
    classes_ : ndarray of shape (n_classes,)
        Of a classifier. Where each task has classes of its own (`shared_labels=False`): those of
        the task without an id, or if there is none, of all learned tasks.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Where X has names.

    See Also
    --------
    Pooled : One model of all tasks.

    Examples
    --------
    >>> from sklearn.linear_model import Ridge
    >>> from sklearn_meta.baselines import Local
    >>> from sklearn_meta.datasets import load_countries
    >>> tasks = load_countries()
    >>> local = Local(Ridge()).fit(tasks[:100])
    >>> X, y = tasks[100]
    >>> bool(local.fit_adapt(X[:5], y[:5]).score(X[5:], y[5:]) < 0.9)
    True
    """

    _takes_own_classes = True

    @property
    def classes_(self):
        """The classes, in the order of `predict_proba`'s columns."""
        if not self._has_own_classes:
            return super().classes_
        tasks = self._served.current or self._served.known
        if tasks is None:
            raise AttributeError("each task has classes of its own, and none was learned yet")
        return _all_classes(tasks)

    @property
    def _has_own_classes(self):
        targets = vars(self).get("_targets")
        return targets is not None and self._learns_classes and targets.classes is None

    def _fit(self, tasks):
        self._final, self._steps = split_estimator(self._fresh())
        if self._steps is not None:
            self._steps.fit(tasks.X, tasks.y)
        self.prior_ = None
        if not self._has_own_classes:
            dummy = DummyClassifier(strategy="prior") if self._learns_classes else DummyRegressor()
            self.prior_ = dummy.fit(np.zeros((tasks.n_rows, 1)), tasks.y)

    def _learn(self, tasks):
        learned, all_rows = np.empty((len(tasks), 1), object), self._transformed(tasks.X)
        bounds = zip(tasks.offsets[:-1].tolist(), tasks.offsets[1:].tolist(), strict=True)
        for i, (start, stop) in enumerate(bounds):
            rows = np.arange(start, stop)
            X, y = safe_indexing(all_rows, rows), tasks.y[rows]
            learned[i, 0] = self._model(X, y, tasks.task_ids[i]) if len(rows) else self.prior_
        return learned

    @property
    def _nothing(self):
        nothing = np.empty(1, object)
        nothing[0] = self.prior_
        return nothing

    def _model(self, X, y, name):
        """A model of one task."""
        if self._learns_classes and np.all(y == y[0]):
            return DummyClassifier().fit(np.zeros((len(y), 1)), y)
        try:
            return self._fitted(X, y)
        except Exception as error:
            if isinstance(error, ValueError) and self._for_their_number(X, y):
                return self.prior_
            if name is not None:
                error.add_note(f"Raised for the {len(y)} rows of task {shown(name)}")
            raise

    def _for_their_number(self, X, y):
        """Whether the rows are too few: the same ones, often enough, can be fitted."""
        if len(y) >= FEW or self.prior_ is None:
            return False
        many = np.resize(np.arange(len(y)), FEW * len(y))
        try:
            self._fitted(safe_indexing(X, many), y[many])
        except ValueError:
            return False
        return True

    def _fitted(self, X, y):
        model = fit_rows(clone(self._final), X, y)
        model.predict(safe_indexing(X, np.arange(1)))  # nearest neighbours are missed here first
        return model

    def _predict(self, asked):
        self._check_known(asked)
        asked = replace(asked, X=self._transformed(asked.X))
        parts = [(rows, model.predict(X)) for (model,), rows, X in asked.by_task()]
        return _put_together(parts)

    def _predict_proba(self, asked):
        self._check_known(asked)
        if self._has_own_classes and asked.groups is not None:
            classes = _all_classes(self._served.known)
        else:
            classes = self.classes_
        asked, parts = replace(asked, X=self._transformed(asked.X)), []
        for (model,), rows, X in asked.by_task():
            proba = model.predict_proba(X)
            parts.append((rows, in_columns(proba, model.classes_, classes)))
        return _put_together(parts)

    def _transformed(self, X):
        return X if self._steps is None else self._steps.transform(X)

    def _check_known(self, asked):
        """Where each task has classes of its own, no prior serves an unknown one."""
        for (model,), rows, _ in asked.by_task():
            if model is None:
                what = "the rows name no task, and fit_adapt was given none without an id"
                if asked.groups is not None:
                    what = f"task {shown(asked.groups[rows[0]])} was never learned"
                raise ValueError(f"{what}, and the prior knows no classes: each task has its own")


def _all_classes(tasks):
    models = [m for part in tasks.parts for m in part.batch.adapted.values[part.numbers, 0]]
    return np.unique(np.concatenate([model.classes_ for model in models]))


def _put_together(parts):
    """What was predicted of some rows each, in the order of all rows."""
    values = np.concatenate([predicted for _, predicted in parts])
    order = np.concatenate([rows for rows, _ in parts])
    return values[np.argsort(order)]
