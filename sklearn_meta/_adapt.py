"""Adaptation of whatever ends in a MetaLearner."""

import copy
from functools import singledispatch
from typing import NamedTuple

from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_array, check_is_fitted

from ._arguments import naming
from ._compat import BaseSearchCV
from ._few_shot_learner import FewShotLearner
from ._messages import shown
from ._meta_learner import MetaLearner
from .encoding._input import check_no_others, has_no_rows


class Support(NamedTuple):
    """The rows to adapt to, as what is to be adapted takes them."""

    X: object
    y: object
    groups: object = None
    sample_weight: object = None

    @property
    def is_empty(self):
        """No rows: nothing can transform them, and nothing needs them."""
        return has_no_rows(self.X)


def adapt(fitted, X, y, groups=None, sample_weight=None):
    """Adapt a fitted MetaLearner, or whatever ends in one.

    Parameters
    ----------
    fitted : MetaLearner, Pipeline, search, TransformedTargetRegressor, FrozenEstimator or \
FewShotLearner
        Nested as you like: a Pipeline in a search in a Pipeline. It is left as it is.
    X : {array-like, dataframe} of shape (n_rows, n_features)
        Support rows, as `fitted` takes them; none: what predicts is the prior.
    y : array-like of shape (n_rows,) or (n_rows, n_outputs)
    groups : array-like of shape (n_rows,), default=None
        Task ids; None: the rows are one task.
    sample_weight : array-like of shape (n_rows,), default=None
        A row of weight w counts as w rows, of weight 0 not at all; None: each as one.

    Returns
    -------
    object
        Like `fitted`, adapted. A `FrozenEstimator` is frozen again.

    Raises
    ------
    TypeError
        If `fitted` does not end in a MetaLearner.
    NotFittedError
        If `fitted` is not fitted.
    ValueError
        If a search has kept no best estimator, or the rows will not do.

    Examples
    --------
    >>> from sklearn.neural_network import MLPRegressor
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> import sklearn_meta
    >>> from sklearn_meta.datasets import Sinusoids
    >>> tasks = Sinusoids(n_rows=20).sample(201, random_state=0)
    >>> meta = sklearn_meta.MetaLearner(MLPRegressor(hidden_layer_sizes=(40, 40)), random_state=0)
    >>> model = make_pipeline(StandardScaler(), meta)
    >>> model = model.fit(tasks.X, tasks.y, metalearner__groups=tasks.groups)
    >>> X, y = tasks[200]
    >>> bool(sklearn_meta.adapt(model, X[:10], y[:10]).score(X, y) > 0.8)
    True
    """
    support = Support(X, y, groups, sample_weight)
    if support.is_empty:
        check_no_others(y, groups, sample_weight)
    return _adapted(fitted, support)


@singledispatch
def _adapted(fitted, support):
    """`fitted`, adapted to the support; what to adapt within it goes by its type."""
    raise TypeError(
        "fitted must be a MetaLearner, or a Pipeline, search, TransformedTargetRegressor, "
        f"FrozenEstimator or FewShotLearner that ends in one, got {shown(fitted)}"
    )


@_adapted.register
def _(fitted: MetaLearner, support):
    check_is_fitted(fitted)
    adapted = copy.copy(fitted)
    return adapted._adapt_to_nothing() if support.is_empty else adapted.fit_adapt(*support)


@_adapted.register
def _(fitted: FewShotLearner, support):
    if support.groups is not None:
        raise ValueError("groups must be None: a FewShotLearner learns one task")
    return clone(fitted)._adapt(support.X, support.y, support.sample_weight)


@_adapted.register
def _(fitted: FrozenEstimator, support):
    return FrozenEstimator(_adapted(fitted.estimator, support))


@_adapted.register
def _(fitted: Pipeline, support):
    *before, (name, last) = fitted.steps
    if before and not support.is_empty:
        with naming("X", "what the steps before the MetaLearner take"):
            support = support._replace(X=Pipeline(before).transform(support.X))
    adapted = copy.copy(fitted)
    adapted.steps = [*before, (name, _adapted(last, support))]
    return adapted


@_adapted.register
def _(fitted: BaseSearchCV, support):
    if not fitted.refit:
        raise ValueError(
            f"{type(fitted).__name__}(refit={fitted.refit!r}) keeps no best estimator to adapt: "
            "search with refit=True"
        )
    check_is_fitted(fitted)
    adapted = copy.copy(fitted)
    adapted.best_estimator_ = _adapted(fitted.best_estimator_, support)
    return adapted


@_adapted.register
def _(fitted: TransformedTargetRegressor, support):
    check_is_fitted(fitted)
    if not support.is_empty:
        support = support._replace(y=_transformed(support.y, fitted.transformer_))
    adapted = copy.copy(fitted)
    adapted.regressor_ = _adapted(fitted.regressor_, support)
    return adapted


def meta_learner_in(estimator):
    """The MetaLearner, fitted or not, that an estimator is or ends in; None where it is none."""
    while not isinstance(estimator, MetaLearner):
        if isinstance(estimator, Pipeline):
            estimator = estimator.steps[-1][1]
        elif isinstance(estimator, TransformedTargetRegressor):
            estimator = estimator.regressor
        elif isinstance(estimator, BaseSearchCV):
            estimator = estimator.estimator
        else:
            return None
    return estimator


def _transformed(y, transformer):
    """Targets as the regressor sees them, in the shape in which `fit` hands them over."""
    y = check_array(y, input_name="y", ensure_2d=False)
    transformed = transformer.transform(y.reshape(len(y), -1))
    if y.ndim == 1 and transformed.ndim == 2 and transformed.shape[1] == 1:
        return transformed[:, 0]
    return transformed
