"""Targets as the network sees them, and its outputs as the user does."""

import numpy as np

from .._messages import listed, of_task, shown
from ..tasks._ids import as_array, as_keys, missing_values, sorted_values


class RegressionTargets:
    """Regression targets, standardised over the pooled rows.

    Squared error: to mean 0 and variance 1. Poisson: to mean 1, since its link is the
    logarithm. Both are undone in the output layer on export.
    """

    def __init__(self, y, loss, normalize):
        Y = y.reshape(len(y), -1)  # (rows, outputs)
        self.whole = bool((np.floor(Y) == Y).all())
        self.flat, self.log_link, self.n_outputs = y.ndim == 1, loss == "poisson", Y.shape[1]
        self.offset = np.zeros(self.n_outputs)
        self.scale = np.ones(self.n_outputs)
        size = np.abs(Y).max(axis=0, initial=0)
        unit = np.where(size > 0, size, 1)  # so that no sum and no square overflows
        if normalize and self.log_link:
            self.scale = unit * (Y / unit).mean(axis=0)
        elif normalize:
            self.offset, self.scale = (unit * of(Y / unit, axis=0) for of in (np.mean, np.std))
        self.scale[self.scale <= 10 * np.finfo(float).eps * size] = 1  # a constant target

    def encode(self, y, dtype):
        """(rows, outputs) for the network."""
        n_outputs = y.shape[1] if y.ndim == 2 else 1
        if n_outputs != self.n_outputs:
            raise ValueError(f"y has {n_outputs} columns, expected {self.n_outputs} as in fit")
        return ((y.reshape(len(y), -1) - self.offset) / self.scale).astype(dtype, order="C")

    def decode(self, mean):
        """Expected targets (rows, outputs) in the user's units and shape, in double precision:
        in single, a target of little variance far from 0 would be rounded to a few values."""
        return self._shape(self.in_units(mean))

    def in_units(self, mean):
        """Expected targets (..., outputs) in the user's units."""
        return mean * self.scale + self.offset

    def decode_std(self, std):
        return self._shape(std * self.scale)

    def _shape(self, values):
        return values[:, 0] if self.flat else values

    def fold(self, weights, bias):
        """The output layer that predicts in the user's units, in double precision."""
        if self.log_link:
            return weights.astype(float), bias + np.log(self.scale)
        return weights * self.scale, bias * self.scale + self.offset


class ClassTargets:
    """Class labels, numbered; the same numbers in all tasks or each task's own.

    Parameters
    ----------
    classes : ndarray of shape (n_classes,) or None
        The classes all tasks share; None where each has its own.
    n_classes : int
        Of the network: where tasks have their own, the most that one has.
    """

    def __init__(self, classes, n_classes):
        self.classes, self.n_classes = classes, n_classes
        self.n_outputs = 1 if n_classes == 2 else n_classes

    @classmethod
    def of(cls, collection, shared, classes=None):
        """From the labels of the training tasks, or the classes they share."""
        if not shared:
            if classes is not None:
                raise ValueError("classes must be None where each task has classes of its own")
            return cls(None, max(len(own) for own in task_classes(collection)))
        classes = np.unique(collection.y) if classes is None else named_classes(classes)
        if len(classes) < 2:
            raise ValueError(f"y has one class, {shown(classes[0])}; expected at least 2 classes")
        return cls(classes, len(classes))

    def encode(self, collection):
        """Codes (rows,), and each task's own classes (None where they are shared)."""
        if self.classes is not None:
            return self._shared_codes(collection), None
        own = task_classes(collection)
        for name, classes in zip(collection.task_ids, own, strict=True):
            if not 2 <= len(classes) <= self.n_classes:
                raise ValueError(
                    f"{of_task('y', name)} has {len(classes)} class(es) [{listed(classes)}]; "
                    f"expected 2 to {self.n_classes}, the most that a training task had"
                )
        codes = np.empty(collection.n_rows, np.intp)
        for i, classes in enumerate(own):
            rows = slice(collection.offsets[i], collection.offsets[i + 1])
            codes[rows] = np.searchsorted(classes, collection.y[rows])
        return codes, own

    def _shared_codes(self, collection):
        places = {name: code for code, name in enumerate(as_keys(self.classes))}
        codes = np.array([places.get(name, -1) for name in as_keys(collection.y)], np.intp)
        if np.any(codes < 0):
            row = int(np.flatnonzero(codes < 0)[0])
            raise ValueError(
                f"{of_task('y', collection.groups[row])} has the class "
                f"{shown(collection.y[row])}, "
                f"which no training task had; expected one of [{listed(self.classes)}]"
            )
        return codes


def named_classes(classes):
    """The parameter `classes`, sorted."""
    classes = as_array(classes, "classes")
    if classes.ndim != 1 or len(classes) == 0 or missing_values(classes).any():
        raise ValueError(
            f"classes must be a sequence of at least 2 classes, none missing, got {shown(classes)}"
        )
    return sorted_values(classes, "classes", "classes")


def task_classes(collection):
    """The sorted classes of each task."""
    return [np.unique(y) for y in np.split(collection.y, collection.offsets[1:-1])]
