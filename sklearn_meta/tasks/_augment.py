"""Other rows of the same classes, in the place of those that tasks have drawn."""

import numpy as np

from .._messages import shown
from ._collection import check_rows
from ._ids import missing_values

AUGMENT_CONSTRAINTS = {"augment": [callable, None]}


def check_augment(augment):
    """Raise where it is a class, which is callable, too."""
    if isinstance(augment, type):
        raise TypeError(f"augment is the class {augment.__name__}, expected an instance of it")


def augmented(rows, augment, random_state):
    """Rows of a task as `augment` makes them, checked.

    Parameters
    ----------
    rows : ndarray or dataframe of shape (n_rows, n_features)
        To be changed as `augment` likes.
    augment : callable or None
    random_state : RandomState

    Returns
    -------
    ndarray or dataframe of shape (n_rows, n_features)
        Fractions in the precision of `rows`, if these are fractions.
    """
    if augment is None:
        return rows
    before, lacking = _kind(rows), _lacking(rows)  # rows may be changed in place
    made = check_rows(augment(rows, random_state), "what augment returned")
    if _kind(made) != before:
        raise ValueError(f"augment returned {_kind(made)}, expected {before} as it was given")
    if np.any(_lacking(made) & ~lacking):
        raise ValueError(
            "augment returned missing or infinite values where the rows it was given had none"
        )
    if hasattr(made, "columns"):
        return made
    is_float = rows.dtype.kind == made.dtype.kind == "f"
    return made.astype(rows.dtype, copy=False) if is_float else made


def _kind(rows):
    """What must stay as it is, in words."""
    if hasattr(rows, "columns"):
        return f"a dataframe of {len(rows)} rows and the columns {shown(list(rows.columns))}"
    of = "numbers" if rows.dtype.kind in "biuf" else rows.dtype
    return f"an array of {of} of the shape {rows.shape}"


def _lacking(rows):
    """Where values are missing or infinite, (rows, features)."""
    values = np.asarray(rows)
    if values.dtype.kind == "f":
        return ~np.isfinite(values)
    return missing_values(values.ravel()).reshape(values.shape)
