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
    """Tangents of a `Pass`, with an entry a layer; None where nothing moves."""

    inputs: list  # (tasks, rows, fan_in)
    deltas: list  # (tasks, rows, fan_out)
    grams_in: list
    grams_out: list
    to_inputs: np.ndarray | None  # of the gradient at the first layer's inputs, if asked for


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
    R = tangents(at, [_move(*pair) for pair in zip(at.inputs, at.deltas, direction, strict=True)])
    products = []
    for layer, A, D, T, D_tangent in zip(
        at.layers, at.inputs, at.deltas, R.inputs, R.deltas, strict=True
    ):
        bent = [] if T is None else [(T, D, False)]
        products.append(gathered(layer, [(A, D_tangent, True), *bent]))
    return products


def _move(A, D, U):
    """What the weights' movement itself does to the outputs and to the gradients at the inputs."""
    weights, bias = U or (None, None)
    along = None if weights is None else product(A, weights)  # (tasks, rows, h)
    if bias is not None:
        b = np.broadcast_to(bias[..., None, :], D.shape)
        along = b if along is None else along + b
    return along, None if weights is None else product(D, weights.mT)


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
    inputs, grams_in, z = _forward_tangents(at, moves)
    delta = at.network.loss.curvature(at.mean, z) * at.scale
    deltas, grams_out, gradient = _backward_tangents(at, moves, inputs, delta, to_inputs)
    return Tangents(inputs, deltas, grams_in, grams_out, gradient)


def _forward_tangents(at, moves):
    """Those of the layers' inputs, and of the outputs."""
    n_layers = len(moves)
    inputs, grams, z = [None] * n_layers, [None] * n_layers, moves[0][0]
    for i in range(1, n_layers):
        along = moves[i][0]
        if z is None:
            z = along
            continue
        inputs[i] = at.slopes[i] * z
        z, grams[i] = at.layers[i].jvp(inputs[i])
        if along is not None:
            z += along
    return inputs, grams, z


def _backward_tangents(at, moves, inputs, delta, to_inputs):
    """Those of the layers' deltas, and of the gradient at the inputs."""
    slope_tangent = ACTIVATIONS[at.network.activation].slope_tangent
    n_layers, gradient = len(moves), None
    deltas, grams = [None] * (n_layers - 1) + [delta], [None] * n_layers
    for i in range(n_layers - 1, -1 if to_inputs else 0, -1):
        gradient, grams[i] = at.layers[i].vjp(deltas[i])
        if moves[i][1] is not None:
            gradient += moves[i][1]
        if i == 0:
            break
        gradient *= at.slopes[i]
        if inputs[i] is not None:
            bend = slope_tangent(at.inputs[i], inputs[i])
            if bend is not None:
                gradient += at.gradients[i] * bend
        deltas[i - 1] = gradient
    return deltas, grams, gradient if to_inputs else None
