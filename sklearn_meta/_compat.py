"""Whatever of scikit-learn and threadpoolctl is not public, in one place."""

import threadpoolctl
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

__all__ = [
    "BaseSearchCV",
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
    "threadpool_controller",
    "validate_parameter_constraints",
]


def forget_optimizer(mlp):
    """Take the optimiser off an MLP that was set up by `partial_fit`: training starts afresh."""
    del mlp._optimizer


def let_go_of_blas():
    """Let any thread limit BLAS next: threadpoolctl (3.8) heeds one alone until it is let go."""
    controller = getattr(threadpoolctl, "OpenBLASController", None)
    if hasattr(controller, "clear_controlling_thread"):
        controller.clear_controlling_thread(force=True)
