"""How messages name things."""

import numpy as np


def plain(value):
    """A NumPy scalar as Python's own, which prints as the user wrote it."""
    return value.item() if isinstance(value, np.generic) else value


def of_task(what, task):
    """`what`, of the task if it has a name."""
    return what if task is None else f"{what} of task {plain(task)!r}"


def inner_rate(algorithm, before="", after=""):
    """The advice to lower the inner rate, where the algorithm has one."""
    if not hasattr(algorithm, "inner_lr"):
        return ""
    return f"{before}the inner_lr of {algorithm}{after}"
