"""Whatever of scikit-learn is not public, in one place."""

from sklearn.utils import _safe_indexing as safe_indexing
from sklearn.utils._missing import is_pandas_na, is_scalar_nan
from sklearn.utils._param_validation import (
    HasMethods,
    Interval,
    Options,
    StrOptions,
    validate_parameter_constraints,
)
from sklearn.utils.parallel import _get_threadpool_controller
from sklearn.utils.validation import _num_features as num_features
from sklearn.utils.validation import _num_samples as num_samples

__all__ = [
    "HasMethods",
    "Interval",
    "Options",
    "StrOptions",
    "is_pandas_na",
    "is_scalar_nan",
    "num_features",
    "num_samples",
    "one_blas_thread",
    "safe_indexing",
    "validate_parameter_constraints",
]


def one_blas_thread():
    """A context in which BLAS runs on one thread: two make small products slower."""
    return _get_threadpool_controller().limit(limits=1, user_api="blas")
