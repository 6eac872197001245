"""Exports where a column holds task ids: they take rows with that column or without it."""

import numpy as np
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from .._compat import validate_data
from ..encoding._task_column import has_column, names_seen, take_off


class IgnoreTaskFeature(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """Takes the column of task ids off where it is there, and passes other rows on as they are.

    Parameters
    ----------
    task_feature : str or int
        The column's name or index.
    n_features : int
        Columns of rows that have it.
    names : list of str, default=None
        What these are called, if anything.
    """

    def __init__(self, task_feature, n_features, names=None):
        self.task_feature = task_feature
        self.n_features = n_features
        self.names = names

    def fit(self, X, y=None):
        """Look at the columns of rows X, (n_rows, n_features); nothing is learned."""
        validate_data(self, self._without_ids(X), skip_check_array=True)
        return self

    def transform(self, X):
        """Rows X without their task ids, (n_rows, n_features - 1)."""
        check_is_fitted(self, "n_features_in_")
        X = self._without_ids(X)
        validate_data(self, X, reset=False, skip_check_array=True)
        return X

    def _without_ids(self, X):
        X = X if hasattr(X, "shape") else np.asarray(X, dtype=object)
        if has_column(X, self.task_feature, self.names, self.n_features):
            return take_off(X, self.task_feature)[0]
        return X


def ignore_task_feature(fitted, meta):
    """A fitted MLP or Pipeline behind a step that ignores the meta-learner's `task_feature`.

    Returns
    -------
    Pipeline
    """
    names = list(meta.feature_names_in_) if hasattr(meta, "feature_names_in_") else None
    ignore = IgnoreTaskFeature(meta.task_feature, meta.n_features_in_, names)
    ignore.n_features_in_ = meta.n_features_in_ - 1
    if names is not None:
        ignore.feature_names_in_ = np.array(names_seen(meta), dtype=object)
    one = [(type(fitted).__name__.lower(), fitted)]
    steps = fitted.steps if isinstance(fitted, Pipeline) else one
    return Pipeline([("ignore_task_feature", ignore), *steps])
