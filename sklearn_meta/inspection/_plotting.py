"""What the Displays share: matplotlib on demand, axes, colours, keywords of artists."""

import numpy as np

from .._messages import shown

# Okabe and Ito's colours, told apart by everybody; the model that is judged comes first
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
GREY = "0.55"


def pyplot(caller):
    """matplotlib.pyplot, or an ImportError that says how to get it."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            f'{caller} requires matplotlib: pip install "sklearn_meta[plot]"'
        ) from error
    return plt


def single_ax(caller, ax, figsize=None):
    """The axes to draw into: the user's, or those of a new figure."""
    plt = pyplot(caller)
    if ax is None:
        _, ax = plt.subplots(figsize=figsize, layout="constrained")
    elif not hasattr(ax, "plot"):
        raise ValueError(f"ax must be matplotlib Axes, got {shown(ax)}")
    return ax


def several_axes(caller, ax, n_axes, **options):
    """That many axes, (n_axes,): the user's, or those of a new figure, made with the options."""
    plt = pyplot(caller)
    if ax is None:
        _, axes = plt.subplots(squeeze=False, layout="constrained", **options)
        return axes.ravel()
    axes = np.ravel(np.array(ax, dtype=object))
    if len(axes) != n_axes or not all(hasattr(each, "plot") for each in axes):
        raise ValueError(f"ax must be {n_axes} matplotlib Axes here, got {shown(ax)}")
    return axes


def merged(defaults, given, name):
    """Keywords of an artist: the defaults, and over them what the user gave."""
    if given is not None and not isinstance(given, dict):
        raise ValueError(f"{name} must be a dict of keywords or None, got {shown(given)}")
    return defaults | (given or {})


def check_number(name, value, low, high, what):
    """Raise where a number is not from `low` to `high`; `what` says of what it is the number."""
    is_number = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not is_number or not low <= value <= high:
        raise ValueError(f"{name}={shown(value)}; expected {what} from {low} to {high}")
