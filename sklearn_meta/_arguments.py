"""What users hand over: refused where it will not do, and named in every error."""

import re
from collections.abc import Iterator, Mapping, Set
from contextlib import contextmanager
from numbers import Integral

import numpy as np
from scipy.sparse import issparse
from sklearn.exceptions import NotFittedError
from sklearn.utils import check_random_state

from ._compat import Interval, InvalidParameterError, num_samples, validate_parameter_constraints
from ._messages import shown

DATES = "mM"  # NumPy would take them for numbers, and NaT for -9.2e18
LARGEST = np.iinfo(np.int32).max  # of whole numbers: beyond, they count nothing that there could be


def check_values(constraints, parameters, owner):
    """scikit-learn's check of parameters, of each by itself, whatever its value is.

    Beside the constraints, an interval has no truth values, and no whole number beyond `LARGEST`.
    """
    for name, value in parameters.items():
        if name not in constraints:
            continue
        if any(isinstance(each, Interval) for each in constraints[name]):
            _check_number(name, value, constraints[name], owner)
        try:
            validate_parameter_constraints(constraints, {name: value}, owner)
        except Exception as error:  # it may not even be comparable
            expected = str(error).partition(" Got ")[0]
            if name not in expected:
                expected = f"The {name!r} parameter of {owner} will not do: {expected}."
            raise InvalidParameterError(f"{expected} Got {shown(value)} instead.") from None


def random_state_of(random_state, owner="sample"):
    """scikit-learn's `check_random_state`, naming what it checks, and whose it is."""
    check_values({"random_state": ["random_state"]}, {"random_state": random_state}, owner)
    return check_random_state(random_state)


def _check_number(name, value, allowed, owner):
    if isinstance(value, Integral) and not isinstance(value, bool | np.bool_):
        wrong = abs(int(value)) > LARGEST
    else:
        wrong = isinstance(value, bool | np.bool_) and not {"boolean", "verbose"} & {
            each for each in allowed if isinstance(each, str)
        }
    if wrong:
        raise InvalidParameterError(
            f"The {name!r} parameter of {owner} must be a number of at most {LARGEST}. Got "
            f"{shown(value)} instead."
        )


@contextmanager
def naming(name, expected):
    """Errors of converting an argument name it: they say what is wrong, but not where."""
    try:
        yield
    except (NotFittedError, Warning):
        raise
    except Exception as error:  # of whatever library the values are of
        raised = TypeError if isinstance(error, TypeError) else ValueError
        message = shown(error, str)
        if (
            type(error) is raised
            and re.search(rf"\b{re.escape(name)}\b", message)
            and len(str(error)) < 1000
        ):
            raise
        raise raised(f"{name} must be {expected}: {message}") from error


def check_array_like(values, name):
    """Raise where values are no array, dataframe or sequence, or an array with gaps.

    Raises
    ------
    TypeError
        If they are sparse, or of another kind.
    ValueError
        If they are a single value, have named fields or masked entries.
    """
    if issparse(values):
        raise TypeError(
            f"{name} is sparse, expected a dense array or a dataframe: {name}.toarray()"
        )
    if hasattr(type(values), "collect") and hasattr(type(values), "columns"):
        raise TypeError(f"{name} is a LazyFrame, expected a dataframe: {name}.collect()")
    others = Mapping | Set | Iterator | type
    if isinstance(values, others) or (callable(values) and not hasattr(values, "__array__")):
        raise TypeError(f"{name} must be an array or a sequence, got {shown(values)}")
    single = isinstance(values, str | bytes) or getattr(values, "ndim", 1) == 0
    if single or not any(hasattr(values, name) for name in ("dtype", "__array__", "__len__")):
        raise ValueError(f"{name} must be a sequence, got {shown(values)}")
    if getattr(getattr(values, "dtype", None), "names", None):
        raise ValueError(f"{name} has named fields {values.dtype}, expected an array without")
    if isinstance(values, np.ma.MaskedArray) and np.ma.is_masked(values):
        raise ValueError(f"{name} has masked entries, expected all to be there")


def check_length(name, values, expected, why=", one a row of X"):
    """Raise where values are more or fewer than expected."""
    found = num_samples(values)
    if found != expected:
        raise ValueError(f"{name} has {found} entries, expected {expected}{why}")


def check_no_dates(values, name):
    """Raise where what is to be numbers holds dates or durations."""
    array = values if isinstance(values, np.ndarray) else np.asarray(values)
    if array.dtype == object:
        dates = [value for value in array.flat if isinstance(value, np.datetime64 | np.timedelta64)]
        found = f"such as {shown(dates[0])}" if dates else ""
    else:
        found = f"of {array.dtype}" if array.dtype.kind in DATES else ""
    if found:
        raise ValueError(f"{name} has dates or durations {found}, expected numbers")
