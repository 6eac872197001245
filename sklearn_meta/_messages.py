"""How messages name things, and where warnings point."""

import sys
import warnings

import numpy as np

MOST_NAMED = 5  # in a message
LONGEST = 200  # characters of what a user handed over
OURS = "sklearn_meta.", "sklearn.callback."  # modules through which a user's call goes


def plain(value):
    """A NumPy scalar as what prints as the user wrote it."""
    if isinstance(value, np.datetime64 | np.timedelta64):
        return str(value)
    return value.item() if isinstance(value, np.generic) else value


def shown(value, as_text=repr):
    """A value as the user wrote it, on one line, and no more of it than a message can bear."""
    text = " ".join(as_text(plain(value))[: 4 * LONGEST].split())
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


def listed(values, name=None):
    """The first few of some values, and how many more there are."""
    name = name or (lambda value: f"{shown(value):.60}")
    named = ", ".join(name(plain(value)) for value in values[:MOST_NAMED])
    more = len(values) - MOST_NAMED
    return f"{named} and {more} more" if more > 0 else named


def of_task(what, task):
    """`what`, of the task if it has a name."""
    return what if task is None else f"{what} of task {shown(task)}"


def inner_rate(algorithm, before="", after=""):
    """The advice to lower the inner rate, where the algorithm has one."""
    if not hasattr(algorithm, "inner_lr"):
        return ""
    return f"{before}the inner_lr of {algorithm}{after}"


def warn(message, category=UserWarning):
    """A warning that points at the line outside of this package that led to it."""
    level, frame = 1, sys._getframe()
    while frame.f_back and frame.f_globals.get("__name__", "").startswith(OURS):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)
