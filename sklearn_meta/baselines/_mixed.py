"""The linear mixed model that a stack asks, of whatever rows its estimator takes."""

import copy
import warnings

import numpy as np
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from .._compat import safe_indexing
from .._meta_learner import MetaLearner
from ._left_out import probabilities

MOST_CATEGORIES = 20
TRAINING = {"meta_lr": 1e-2, "max_iter": 500}  # a linear model bears the rate, and needs no more


class Mixed:
    """MetaLearner without a hidden layer, which is the linear mixed model with random slopes.

    Missing numbers are filled in by the mean, what is no number is one-hot encoded. Training rows
    of one class leave nothing to learn: it is predicted.

    Parameters
    ----------
    classes : ndarray or None
        Of all tasks, of a classifier.
    is_count : bool
    seed : int
    """

    def __init__(self, classes, is_count, seed):
        self.classes, self.is_count, self.seed = classes, is_count, seed

    def fit(self, tasks):
        self.only = (
            tasks.y[0] if self.classes is not None and np.all(tasks.y == tasks.y[0]) else None
        )
        if self.only is not None:
            return self
        if self.classes is not None:
            mlp = MLPClassifier(hidden_layer_sizes=())
        else:
            loss = "poisson" if self.is_count else "squared_error"
            mlp = MLPRegressor(loss=loss, hidden_layer_sizes=())
        self.meta = MetaLearner(
            make_pipeline(numbers_of(tasks.X), mlp),
            **TRAINING,
            standardize=True,
            adapt_training_tasks=False,
            handle_unknown="prior",
            random_state=self.seed,
        )
        with warnings.catch_warnings():  # the stack judges what comes of it
            warnings.simplefilter("ignore", UserWarning)
            self.meta.fit(tasks)
        return self

    def adapted(self, tasks):
        """Another, which knows these tasks, too, but for rows of classes that are new to it."""
        if self.only is not None:
            return self
        if self.classes is not None:
            tasks = tasks.select(np.isin(tasks.y, self.meta.classes_))
        tasks = tasks.take(np.flatnonzero(tasks.sizes))
        if not len(tasks):
            return self
        other = copy.copy(self)
        other.meta = copy.copy(self.meta).fit_adapt(tasks)
        return other

    def mean(self, X, groups=None):
        """Expected targets of rows (rows, outputs), of the tasks that are known."""
        return self._columns(lambda model: (model, {"groups": groups}), X)

    def prior(self, X):
        """The same where no task is known."""
        return self._columns(lambda model: (model.estimator_, {}), X)

    def _columns(self, of, X):
        if self.only is not None:
            which = self.classes[-1:] if len(self.classes) == 2 else self.classes
            return np.tile((which == self.only).astype(float), (X.shape[0], 1))
        model, options = of(self.meta)
        if self.classes is None:
            return model.predict(X, **options).reshape(X.shape[0], -1)
        return probabilities(model, X, self.classes, **options)


def numbers_of(X):
    """An unfitted transformer of rows like X to finite numbers."""
    columns = list(range(X.shape[1]))  # by place: names that are integers would be taken for it
    is_number = [_is_number(safe_indexing(X, c, axis=1)) for c in columns]
    numbers = [c for c, yes in zip(columns, is_number, strict=True) if yes]
    others = [c for c, yes in zip(columns, is_number, strict=True) if not yes]
    return make_column_transformer(
        (SimpleImputer(keep_empty_features=True), numbers),
        (
            OneHotEncoder(
                handle_unknown="infrequent_if_exist",
                max_categories=MOST_CATEGORIES,
                sparse_output=False,
            ),
            others,
        ),
    )


def _is_number(column):
    dtype = column.dtype
    if hasattr(dtype, "is_numeric"):  # polars
        return dtype.is_numeric()
    if getattr(dtype, "kind", "O") != "O":
        return dtype.kind in "iuf"
    try:
        np.asarray(column).astype(float)
    except (TypeError, ValueError):
        return False
    return True
