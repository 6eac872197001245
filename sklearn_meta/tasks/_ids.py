"""Task ids: each stays what it was, in whatever they were handed over."""

import numpy as np

from .._arguments import check_array_like, check_length, naming
from .._compat import is_pandas_na
from .._messages import listed, shown

KINDS = {"U": "text", "b": "truth values", "M": "dates", "m": "durations"} | dict.fromkeys(
    "iuf", "numbers"
)


def check_groups(groups, n_rows, name="groups", each="row of X", what="task id"):
    """Task ids, or other labels, as an array, one for each row, none missing.

    Raises
    ------
    ValueError
        If lengths differ, or an id is missing or cannot be one.
    """
    groups = as_array(groups, name)
    if groups.ndim == 2 and groups.shape[1] == 1:
        groups = groups[:, 0]
    if groups.ndim != 1:
        raise ValueError(f"{name} has the shape {groups.shape}, expected ({n_rows},)")
    if groups.dtype.kind not in "OUSbiufMm":
        raise ValueError(
            f"{name} has the dtype {groups.dtype}, expected ids such as numbers, text or dates"
        )
    check_length(name, groups, n_rows, f", one a {each}")
    missing = missing_values(groups)
    if missing.any():
        place = int(np.flatnonzero(missing)[0])
        raise ValueError(f"{name} has no {what} in {each.split()[0]} {place}")
    if groups.dtype == object:
        _check_hashable(groups, name, each, what)
    return groups


def as_array(values, name):
    """Values as an array that merges and retypes none of them.

    A list of 1 and "1" stays one of objects; one of like values becomes a typed array.
    """
    check_array_like(values, name)
    if hasattr(values, "dtype") or hasattr(values, "__array__"):
        with naming(name, "an array"):
            return np.asarray(values)
    items = list(values)
    if any(np.iterable(item) and not isinstance(item, str | bytes) for item in items):
        return _nested(items, name)
    array = np.empty(len(items), object)
    array[:] = items
    return _typed(array)


def _nested(items, name):
    try:
        return np.asarray(items)
    except ValueError as error:
        raise ValueError(f"{name} is a ragged sequence, expected one value for each row") from error


def _typed(array):
    """An array of one type of values as NumPy's own, if it keeps each of them as it is."""
    types = {type(value) for value in array}
    if types <= {str, np.str_} and not any(value.endswith("\0") for value in array):
        return array.astype(str) if types else array
    for kinds, dtype in (
        ({bool, np.bool_}, bool),
        ({int, np.int64, np.int32}, np.int64),
        ({float, np.float64}, float),
    ):
        if types and types <= kinds:
            try:
                return array.astype(dtype)
            except OverflowError:
                return array
    return array


def missing_values(values):
    """Mask of None, NaN, NaT and pandas' NA."""
    if values.dtype != object:
        return values != values
    return np.array([_is_missing(value) for value in values], bool)


def _is_missing(value):
    if value is None or is_pandas_na(value):
        return True
    try:
        return bool(value != value)
    except (TypeError, ValueError):  # it does not compare, or not as one value
        return False


def _check_hashable(groups, name, each, what):
    for place, group in enumerate(groups):
        try:
            hash(group)
        except TypeError as error:
            raise ValueError(
                f"{name} has {shown(group)} in {each.split()[0]} {place}, which is no {what}: it "
                "cannot be hashed"
            ) from error


def sort_by_task(groups):
    """Sorted ids, rows of each, and the order that sorts rows (None if sorted already)."""
    task_ids, codes = sorted_values(groups, "groups", "ids", return_inverse=True)
    order = None if np.all(codes[1:] >= codes[:-1]) else np.argsort(codes, kind="stable")
    return task_ids, np.bincount(codes, minlength=len(task_ids)), order


def sorted_values(values, name, what, **options):
    """`np.unique` of values that may be of kinds that do not sort together: `what`, in words."""
    try:
        return np.unique(values, **options)
    except Exception as error:  # of whatever kind of values it is
        kinds = sorted({type(value).__name__ for value in values.flat})
        mixed = f"mixes [{listed(kinds)}]" if len(kinds) > 1 else f"has {kinds[0]}"
        raise ValueError(f"{name} {mixed}; expected {what} that sort together") from error


def as_keys(ids):
    """Python's own objects, equal and hashed alike where ids are the same."""
    if ids.dtype.kind in "Mm":
        return _time_keys(ids)
    if ids.dtype != object:
        return ids.tolist()
    times = np.datetime64 | np.timedelta64  # among ids of other kinds
    return [_time_keys(np.array([v]))[0] if isinstance(v, times) else v for v in ids.tolist()]


def _time_keys(times):
    """Of dates and durations: the same in every unit, and no number, which may be an id as well.

    In nanoseconds, by microseconds where those do not reach.
    """
    kind = times.dtype.kind
    us = times.astype(f"{kind}8[us]").astype(np.int64)
    near, counts = np.abs(us) < np.iinfo(np.int64).max // 1000, us.astype(object) * 1000
    counts[near] = times[near].astype(f"{kind}8[ns]").astype(np.int64)
    return [(kind, count) for count in counts.tolist()]


def join_ids(*parts):
    """One array of all, in which an id stays what it was: 1 does not become "1"."""
    if len({ids.dtype.kind for ids in parts}) > 1:
        parts = list(map(_as_objects, parts))
    return np.concatenate(parts)


def _as_objects(ids):
    objects = np.empty(len(ids), object)
    objects[:] = list(ids) if ids.dtype.kind in "Mm" else ids.tolist()
    return objects


def kinds_of(ids):
    """What ids are, in words: a set, of more than one where they are mixed."""
    if ids.dtype != object:
        return {KINDS.get(ids.dtype.kind, str(ids.dtype))}
    return {KINDS.get(np.asarray(value).dtype.kind, type(value).__name__) for value in ids}
