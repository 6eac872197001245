"""Whatever of scikit-learn and threadpoolctl is not public, in one place."""

import sys

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
from sklearn.utils.parallel import _get_threadpool_controller as threadpool_controller
from sklearn.utils.validation import _check_sample_weight as check_sample_weight
from sklearn.utils.validation import _num_features as num_features
from sklearn.utils.validation import _num_samples as num_samples

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
    "validate_parameter_constraints",
    "with_callbacks",
]


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
