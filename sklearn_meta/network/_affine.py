"""A layer's products with rows: forwards, tangents, backwards, and gradients at its weights.

Named as in every library of automatic differentiation: `forward` of a layer's inputs, `jvp` of
their tangents, `vjp` of the loss gradient at its outputs.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np


class Affine(NamedTuple):
    """A layer at given weights, ``z = A W + b``, that tasks share or have one of each.

    With each product comes the Gram matrix that it took, for who needs it again: here None.
    """

    weights: np.ndarray  # (d, h) or (tasks, d, h)
    bias: np.ndarray  # (h,) or (tasks, h)

    def forward(self, A):
        """Outputs (tasks, rows, h) of inputs A (tasks, rows, d)."""
        return affine(A, self.weights, self.bias), None

    def jvp(self, T):
        """Tangents of the outputs, from those of the inputs."""
        return product(T, self.weights), None

    def vjp(self, D):
        """Gradients at the inputs, from those at the outputs."""
        return product(D, self.weights.mT), None


def as_layer(layer):
    """(weights, bias) as `Affine`; what has its methods as it is."""
    return Affine(*layer) if type(layer) is tuple else layer


def product(A, weights):
    """Rows (tasks, rows, d) times weights (d, h), in one product, or (tasks, d, h)."""
    if weights.ndim == 2:
        A, shape = A.reshape(-1, A.shape[-1]), (*A.shape[:-1], weights.shape[-1])
        return A.dot(weights).reshape(shape)
    return A * weights if A.shape[-1] == 1 else A @ weights  # BLAS takes no single column


def affine(A, weights, bias):
    z = product(A, weights)
    z += bias if bias.ndim == 1 else bias[:, None]
    return z


def gathered(layer, blocks):
    """The sum of ``P' Q``, and of the rows of Q, over blocks (P, Q, biased): (weights, bias).

    Over tasks as well, where they share the layer's weights or its bias. The first block is
    biased; one that is not leaves the bias alone.
    """
    (P, Q, _), *others = blocks
    weights, bias = layer
    first = outer(P, Q, weights.ndim), row_sum(Q, bias.ndim)
    return added(*first, others)


def added(weights, bias, blocks):
    """The same, in place onto weights and bias that are already gathered."""
    for P, Q, biased in blocks:
        weights += outer(P, Q, weights.ndim)
        if biased:
            bias += row_sum(Q, bias.ndim)
    return weights, bias


def outer(P, Q, ndim=2):
    """``P' Q``: the sum over all tasks' rows, (d, h), or with 3 axes of each, (tasks, d, h)."""
    if ndim == 3:
        return P.mT @ Q
    return P.reshape(-1, P.shape[-1]).T.dot(Q.reshape(-1, Q.shape[-1]))


def row_sum(Q, ndim=1):
    """The sum over all tasks' rows, (h,), or with 2 axes of each, (tasks, h).

    By BLAS, which is several times faster here.
    """
    if ndim == 2:
        return (_ones(Q.shape[1], Q.dtype) @ Q)[:, 0]
    Q = Q.reshape(-1, Q.shape[-1])
    return _ones(len(Q), Q.dtype)[0].dot(Q)


@lru_cache(maxsize=16)
def _ones(n, dtype):
    ones = np.ones((1, n), dtype)
    ones.flags.writeable = False
    return ones
