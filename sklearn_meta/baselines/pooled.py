"""Pooled: one model for the rows of all tasks."""

import numpy as np

from ._base import Baseline, fit_rows


class Pooled(Baseline):
    """One model for the rows of all tasks, which support rows do not change.

    What a `MetaLearner` must beat to be worth anything: the same estimator, blind to tasks.

    Parameters
    ----------
    estimator : estimator
        A regressor or classifier of scikit-learn, or a Pipeline that ends in one.
    adapt_training_tasks : bool, default=True
        Whether `fit` also remembers the ids of its tasks, in `tasks_`.
    random_state : int, RandomState or None, default=None
        If given, it sets every `random_state` of the clone of `estimator` that is fitted.

    Attributes
    ----------
    estimator_ : estimator
        The pooled model.
    tasks_ : ndarray of shape (n_learned,)
        Ids of the tasks that were learned.
    classes_ : ndarray of shape (n_classes,)
        Of a classifier.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Where X has names.

    See Also
    --------
    Shifted : The same with a shift for each task.

    Examples
    --------
    >>> from sklearn.ensemble import HistGradientBoostingRegressor
    >>> from sklearn_meta.baselines import Pooled
    >>> from sklearn_meta.datasets import load_countries
    >>> tasks = load_countries()
    >>> pooled = Pooled(HistGradientBoostingRegressor()).fit(tasks[:100])
    >>> X, y = tasks[100]
    >>> pooled.fit_adapt(X[:5], y[:5]).predict(X[5:]).shape == y[5:].shape
    True
    """

    def _fit(self, tasks):
        self.estimator_ = fit_rows(self._fresh(), tasks.X, tasks.y)

    def _learn(self, tasks):
        return np.empty((len(tasks), 0))

    @property
    def _nothing(self):
        return np.empty(0)

    def _predict(self, asked):
        return self.estimator_.predict(asked.X)

    def _predict_proba(self, asked):
        return self.estimator_.predict_proba(asked.X)
