"""Comparisons that say in words what differs, and by how much."""

import numpy as np

NEAR = 1e-3  # for a guess at what went wrong, relative to the largest entry


def assert_close(found, expected, tolerance, what="it", other="what is expected", names=None):
    """Equal up to `tolerance` times the largest entry, or times 0.01 if that is more.

    Parameters
    ----------
    found, expected : array-like
    tolerance : float
    what, other : str
        What the two are called.
    names : list of (str, slice), optional
        Of parts of the arrays, named if they differ.

    Raises
    ------
    AssertionError
    """
    found, expected = _same_shape(found, expected, what, other)
    largest = max(np.abs(expected).max(initial=0), 1e-2)
    _check(found, expected, tolerance * largest, what, other, names)


def assert_entries_close(found, expected, rtol, atol=0, what="it", other="what is expected"):
    """Each entry equal up to `rtol` times its own size and `atol`."""
    found, expected = _same_shape(found, expected, what, other)
    _check(found, expected, rtol * np.abs(expected) + atol, what, other)


def _same_shape(found, expected, what, other):
    found, expected = np.asarray(found), np.asarray(expected)
    if found.ndim and expected.ndim and found.shape != expected.shape:  # a number goes with any
        raise AssertionError(f"{what} has shape {found.shape}, {other} {expected.shape}")
    return found, expected


def _check(found, expected, allowed, what, other, names=None):
    gap = np.abs(found - expected)
    wrong = ~((gap <= allowed) | (found == expected))  # True for what is not a number
    if not wrong.any():
        return
    if not np.isfinite(found[wrong]).all():
        raise AssertionError(f"{what} is not finite, where {other} is")
    message = (
        f"{what} is off by up to {gap.max():.2g} from {other}, whose largest entry is "
        f"{np.abs(expected).max():.2g} (allowed: {np.max(allowed):.2g})"
    )
    parts = [name for name, part in names or () if wrong[part].any()]
    if parts:
        message += f"; the entries that differ are of {', '.join(parts)}"
    raise AssertionError(message + _guess(found, expected, what, other))


def _guess(found, expected, what, other):
    """What it looks like, if it looks like anything."""
    norm = np.vdot(expected, expected)
    factor = np.vdot(expected, found) / norm if norm else 0.0
    if not np.abs(found - factor * expected).max() <= NEAR * np.abs(found).max():
        return ""
    if abs(factor + 1) <= NEAR:
        return f"\n{what} is the negative of {other}: is the sign right?"
    if expected.size > 1 and abs(factor - 1) > NEAR:
        return f"\n{what} is {factor:.4g} times {other}: a sum for a mean, or a factor left out?"
    return ""
