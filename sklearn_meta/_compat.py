"""Whatever of scikit-learn and threadpoolctl is not public, or differs by version, in one place."""

import sys

import numpy as np
import sklearn
import threadpoolctl
from sklearn.metrics._scorer import _BaseScorer
from sklearn.model_selection._search import BaseSearchCV
from sklearn.utils import _safe_indexing as safe_indexing
from sklearn.utils._missing import is_pandas_na
from sklearn.utils._param_validation import (
    HasMethods,
    Interval,
    InvalidParameterError,
    Options,
    StrOptions,
    validate_parameter_constraints,
)
from sklearn.utils.fixes import parse_version
from sklearn.utils.parallel import _get_threadpool_controller as threadpool_controller
from sklearn.utils.validation import _check_sample_weight
from sklearn.utils.validation import _num_features as num_features
from sklearn.utils.validation import _num_samples as num_samples
from sklearn.utils.validation import validate_data as sklearn_validate_data

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:  # scikit-learn before 1.9 has none

    class CallbackSupportMixin:
        """Nothing to support."""

    def with_callbacks(method):
        return method


__all__ = [
    "BaseSearchCV",
    "CallbackSupportMixin",
    "HasMethods",
    "Interval",
    "InvalidParameterError",
    "Options",
    "StrOptions",
    "check_sample_weight",
    "forget_optimizer",
    "is_pandas_na",
    "let_go_of_blas",
    "num_features",
    "num_samples",
    "safe_indexing",
    "scorer_by_targets",
    "threadpool_controller",
    "validate_data",
    "validate_parameter_constraints",
    "with_callbacks",
]

SINCE_1_9 = parse_version(sklearn.__version__) >= parse_version("1.9")


def check_sample_weight(sample_weight, X, *, allow_all_zero_weights=False, **options):
    """scikit-learn's own; before its 1.9 it did not mind weights that are all 0."""
    if SINCE_1_9:
        options["allow_all_zero_weights"] = allow_all_zero_weights
    weight = _check_sample_weight(sample_weight, X, **options)
    if not allow_all_zero_weights and not np.any(weight):
        raise ValueError("Sample weights must contain at least one non-zero number.")
    return weight


def forget_optimizer(mlp):
    """Take the optimiser off an MLP that was set up by `partial_fit`: training starts afresh."""
    del mlp._optimizer


def let_go_of_blas():
    """Let any thread limit BLAS next: threadpoolctl (3.8) heeds one alone until it is let go."""
    controller = getattr(threadpoolctl, "OpenBLASController", None)
    if hasattr(controller, "clear_controlling_thread"):
        controller.clear_controlling_thread(force=True)


def scorer_by_targets():
    """The name of a scorer that compares with targets, where a cross-validation calls, and its X.

    Where tasks are samples there are none to hand to it, and scikit-learn would go on with NaN and
    an arbitrary winner; nothing but the frame that calls `fit` knows the scorer.
    """
    frame = sys._getframe()
    while frame is not None and frame.f_code.co_name != "_fit_and_score":
        frame = frame.f_back
    if frame is None:
        return None, None
    scorer, X = (frame.f_locals.get(name) for name in ("scorer", "X"))
    scorers = getattr(scorer, "_scorers", scorer)
    for each in scorers.values() if isinstance(scorers, dict) else [scorers]:
        if isinstance(each, _BaseScorer):
            return each._score_func.__name__, X
    return None, None


def validate_data(estimator, X, **options):
    """scikit-learn's own; before its 1.9, it would not see the names of columns of polars 2."""
    if SINCE_1_9 or not hasattr(X, "columns") or hasattr(X, "__dataframe__"):
        return sklearn_validate_data(estimator, X, **options)
    checked = sklearn_validate_data(estimator, _Named(X), **options)
    return X if isinstance(checked, _Named) else checked


class _Named:
    """A dataframe by the protocol that scikit-learn reads the names of columns by before 1.9."""

    def __init__(self, df):
        self.df, self.shape = df, df.shape

    def __len__(self):
        return len(self.df)

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.df, dtype)

    def __dataframe__(self):
        return self

    def column_names(self):
        return self.df.columns
