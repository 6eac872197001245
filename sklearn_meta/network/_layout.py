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
    """

    def __init__(self, shapes):
        self.shapes = dict(shapes)
        stops = np.cumsum([0, *map(prod, self.shapes.values())]).tolist()
        self.slices = dict(zip(self.shapes, map(slice, stops[:-1], stops[1:]), strict=True))
        self.size = stops[-1]

    def view(self, vector, name):
        """The array called `name` in a vector (size,) or in each of (tasks, size)."""
        shape = (*vector.shape[:-1], *self.shapes[name])
        return vector[..., self.slices[name]].reshape(shape)

    def extend(self, shapes):
        """The layout with further arrays behind these."""
        return Layout(self.shapes | shapes)


@dataclass(frozen=True)
class Params:
    """A flat vector with the layout that names its parts."""

    vector: np.ndarray  # (size,)
    layout: Layout
    n_iter: int = 0  # meta-steps that it has been through

    def __getitem__(self, name):
        return self.layout.view(self.vector, name)
