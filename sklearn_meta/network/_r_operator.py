"""Hessian-vector products, with no tape.

The R-operator of Pearlmutter ("Fast exact multiplication by the Hessian", Neural Computation 1994)
is the tangent of a forward and backward pass as the weights move along U: one more pass forward
and one more backward. A layer's outputs ``A W`` have the tangent ``T W + A U``, the gradients at
its inputs ``D W'`` the tangent ``R W' + D U'``, with T the tangent of the inputs A and R that of
the deltas D. Its weight gradient ``A' D`` has the tangent ``A' R + T' D``, which is ``H U``.
"""

from typing import NamedTuple

import numpy as np

from ._activations import ACTIVATIONS
from ._affine import gathered, product


class Tangents(NamedTuple):
    """Of what stands in a `Pass` under the same names; None where nothing moves."""

    inputs: list  # (tasks, rows, fan_in)
    grams_in: list
    gradient: np.ndarray | None  # at the first layer's inputs, if it was asked for
    deltas: list  # (tasks, rows, fan_out)
    grams_out: list


def hessian_product(at, direction):
    """Each task's Hessian of its loss, at the layers of a pass, times a direction U.

    Parameters
    ----------
    at : Pass
        Of layers (weights, bias); its `scale` says what rows count in the loss.
    direction : list of (weights, bias)
        Of each layer, (tasks, d, h) and (tasks, h); None, a pair or a part, where it is 0.

    Returns
    -------
    list of (weights, bias)
        ``H U``, summed over tasks where they share the layer, of each where it has its own.
    """
    if all(part is None for U in direction for part in U or (None,)):
        return [(np.zeros_like(W), np.zeros_like(b)) for W, b in at.layers]
    R = tangents(at, [_move(*parts) for parts in zip(at.inputs, at.deltas, direction, strict=True)])
    products = []
    for i, layer in enumerate(at.layers):
        blocks = [(at.inputs[i], R.deltas[i], True)]
        if R.inputs[i] is not None:
            blocks.append((R.inputs[i], at.deltas[i], False))
        products.append(gathered(layer, blocks))
    return products


def _move(A, D, U):
    """``A U``, with the bias's part, and ``D U'``."""
    weights, bias = U or (None, None)
    along = None if bias is None else np.broadcast_to(bias[..., None, :], D.shape)
    if weights is None:
        return along, None
    moved = product(A, weights)  # (tasks, rows, h)
    return moved if along is None else moved + along, product(D, weights.mT)


def tangents(at, moves, to_inputs=False):
    """The tangents of a pass whose weights move.

    Parameters
    ----------
    at : Pass
    moves : list of (along, against)
        Of each layer, ``A U`` and ``D U'``; None for 0.
    to_inputs : bool
        Find the tangent of the gradient at the first layer's inputs, too.

    Returns
    -------
    Tangents
    """
    z, *forward = _forward(at, moves)
    delta = at.network.loss.curvature(at.mean, z) * at.scale
    return Tangents(*forward, *_backward(at, moves, forward[0], delta, to_inputs))


def _forward(at, moves):
    """Tangents of the outputs, and of the inputs with their Gram matrices."""
    z, inputs, grams = moves[0][0], [None], [None]
    for layer, slope, (along, _) in zip(at.layers[1:], at.slopes[1:], moves[1:], strict=True):
        if z is None:
            T, gram, z = None, None, along
        else:
            T = slope * z
            z, gram = layer.jvp(T)
            if along is not None:
                z += along
        inputs.append(T)
        grams.append(gram)
    return z, inputs, grams


def _backward(at, moves, inputs, delta, to_inputs):
    """Those of the gradient at the inputs, and of the deltas with their Gram matrices."""
    slope_tangent = ACTIVATIONS[at.network.activation].slope_tangent
    last = len(moves) - 1
    gradient, deltas, grams = None, [None] * last + [delta], [None] * (last + 1)
    for i in range(last, -1 if to_inputs else 0, -1):
        gradient, grams[i] = at.layers[i].vjp(deltas[i])
        if moves[i][1] is not None:
            gradient += moves[i][1]
        if i > 0:
            gradient *= at.slopes[i]
            bend = None if inputs[i] is None else slope_tangent(at.inputs[i], inputs[i])
            if bend is not None:
                gradient += at.gradients[i] * bend
            deltas[i - 1] = gradient
    return gradient if to_inputs else None, deltas, grams
