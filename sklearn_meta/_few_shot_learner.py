"""The learned learning algorithm as an estimator, and adaptation of whatever ends in one."""

import copy

from sklearn.base import BaseEstimator, MetaEstimatorMixin
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils import get_tags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted


def _inner_has(name):
    return lambda learner: hasattr(learner.estimator, name)


class FewShotLearner(MetaEstimatorMixin, BaseEstimator):
    """A learning algorithm that was learned: its `fit` is adaptation to one new task.

    All of scikit-learn works with it inside one task: `cross_val_score`, bagging,
    calibration. `MetaLearner.learner_` makes one.

    Parameters
    ----------
    estimator : FrozenEstimator
        Of a fitted MetaLearner.

    Attributes
    ----------
    meta_learner_ : MetaLearner
        The meta-learner, adapted.
    classes_ : ndarray of shape (n_classes,)
        Of a classifier.
    n_features_in_ : int

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

    def __init__(self, estimator):
        self.estimator = estimator

    def fit(self, X, y):
        """Adapt to the rows of one task.

        Parameters
        ----------
        X : {array-like, dataframe} of shape (n_rows, n_features)
        y : array-like of shape (n_rows,) or (n_rows, n_outputs)

        Returns
        -------
        self : FewShotLearner
        """
        frozen = isinstance(self.estimator, FrozenEstimator)
        inner = self.estimator.estimator if frozen else self.estimator
        self.meta_learner_ = adapt(inner, X, y)
        self.n_features_in_ = self.meta_learner_.n_features_in_
        return self

    @property
    def classes_(self):
        """The classes, in the order of `predict_proba`'s columns."""
        check_is_fitted(self)
        return self.meta_learner_.classes_

    def predict(self, X, return_std=False):
        """Predict rows of the task, as `MetaLearner.predict` does.

        Parameters
        ----------
        X : {array-like, dataframe} of shape (n_rows, n_features)
        return_std : bool, default=False

        Returns
        -------
        y : ndarray of shape (n_rows,) or (n_rows, n_outputs), with its std if asked for
        """
        check_is_fitted(self)
        return self.meta_learner_.predict(X, return_std=return_std)

    @available_if(_inner_has("predict_proba"))
    def predict_proba(self, X):
        """Class probabilities of rows of the task, (n_rows, n_classes)."""
        check_is_fitted(self)
        return self.meta_learner_.predict_proba(X)

    @available_if(_inner_has("predict_log_proba"))
    def predict_log_proba(self, X):
        """Their logarithm, (n_rows, n_classes)."""
        check_is_fitted(self)
        return self.meta_learner_.predict_log_proba(X)

    def score(self, X, y, sample_weight=None):
        """Accuracy or R2 on rows of the task."""
        check_is_fitted(self)
        return self.meta_learner_.score(X, y, sample_weight=sample_weight)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        inner = get_tags(self.estimator)
        tags.estimator_type = inner.estimator_type
        tags.classifier_tags, tags.regressor_tags = inner.classifier_tags, inner.regressor_tags
        tags.target_tags = inner.target_tags
        return tags


def adapt(fitted, X, y, groups=None):
    """Adapt a fitted MetaLearner, or a fitted Pipeline or search that ends in one.

    Parameters
    ----------
    fitted : MetaLearner, Pipeline or search
        Left as it is.
    X : {array-like, dataframe} of shape (n_rows, n_features)
        Support rows, as `fitted` takes them.
    y : array-like of shape (n_rows,) or (n_rows, n_outputs)
    groups : array-like of shape (n_rows,), default=None
        Task ids; None: the rows are one task.

    Returns
    -------
    object
        Like `fitted`, adapted.

    Raises
    ------
    TypeError
        If `fitted` does not end in a MetaLearner.

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
    if hasattr(fitted, "fit_adapt"):
        return copy.copy(fitted).fit_adapt(X, y, groups=groups)
    if isinstance(fitted, Pipeline):
        *before, (name, last) = fitted.steps
        Xt = Pipeline(before).transform(X) if before else X
        adapted = copy.copy(fitted)
        adapted.steps = [*before, (name, adapt(last, Xt, y, groups))]
        return adapted
    if hasattr(fitted, "best_estimator_") and hasattr(fitted, "refit"):
        adapted = copy.copy(fitted)
        adapted.best_estimator_ = adapt(fitted.best_estimator_, X, y, groups)
        return adapted
    raise TypeError(
        f"fitted must be a MetaLearner, or a Pipeline or search that ends in one, got {fitted!r}"
    )
