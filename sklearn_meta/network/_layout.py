"""One flat vector, many named arrays: how everything meta-learned is kept."""

from dataclasses import dataclass
from math import prod

import numpy as np


class Layout:
    """Names and shapes of arrays that lie end to end in one flat vector.

    Parameters
    ----------
    shapes : dict of str to tuple of int
        The arrays, in their order along the vector.
    lr_scales : dict of str to float, default={}
        What the outer learning rate is multiplied by for these arrays.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_meta.network import Layout
    >>> layout = Layout({"weights": (2, 3), "log_noise": ()}, {"log_noise": 10.0})
    >>> layout.size
    7
    >>> layout.view(np.arange(7.0), "weights").shape
    (2, 3)
    """

    def __init__(self, shapes, lr_scales=None):
        self.shapes, self.lr_scales = dict(shapes), dict(lr_scales or {})
        stops = np.cumsum([0, *map(prod, self.shapes.values())]).tolist()
        self.slices = dict(zip(self.shapes, map(slice, stops[:-1], stops[1:]), strict=True))
        self.size = stops[-1]

    def view(self, vector, name):
        """The array called `name` in a vector (size,) or in each of (tasks, size)."""
        shape = (*vector.shape[:-1], *self.shapes[name])
        return vector[..., self.slices[name]].reshape(shape)

    def extend(self, shapes, lr_scales=None):
        """The layout with further arrays behind these, and what their rates are multiplied by."""
        return Layout(self.shapes | shapes, self.lr_scales | (lr_scales or {}))


@dataclass(frozen=True)
class Params:
    """A flat vector with the layout that names its parts.

    Parameters
    ----------
    vector : ndarray of shape (size,)
    layout : Layout

    Examples
    --------
    An array is a view: what is written to it is written to the vector.

    >>> import numpy as np
    >>> from sklearn_meta.network import Layout, Params
    >>> params = Params(np.zeros(3), Layout({"bias": (2,), "log_noise": ()}))
    >>> params["bias"][...] = 1
    >>> params.vector.tolist()
    [1.0, 1.0, 0.0]
    """

    vector: np.ndarray  # (size,)
    layout: Layout

    def __getitem__(self, name):
        return self.layout.view(self.vector, name)

    def astype(self, dtype):
        """The same in another precision."""
        return Params(self.vector.astype(dtype, copy=False), self.layout)

    def copy(self):
        """The same numbers in an array of their own."""
        return Params(self.vector.copy(), self.layout)

    def gradient(self, first):
        """A gradient laid out alike: `first`, of the arrays that come first, and 0 behind it."""
        vector = np.zeros_like(self.vector)
        vector[: len(first)] = first
        return Params(vector, self.layout)
