"""Hidden activations, each with its derivative and the derivative's own tangent.

All are written in terms of the activation's output `a`, so that the forward pass needs
to keep nothing else.
"""

from typing import NamedTuple

import numpy as np
from scipy.special import expit


class Activation(NamedTuple):
    """A function and what the R-operator needs of it."""

    apply: callable  # z -> a, in place
    with_slope: callable  # z -> (a, da/dz)
    slope: callable  # a -> da/dz
    slope_tangent: callable  # (a, tangent of a) -> tangent of the slope, or None where it is 0


def _no_tangent(a, a_tangent):
    return None


def _relu_with_slope(z):
    slope = (z > 0).astype(z.dtype)
    return z * slope, slope  # faster than a maximum with 0


def _tanh_with_slope(z):
    a = np.tanh(z)
    return a, 1 - a * a


def _logistic_with_slope(z):
    a = expit(z)
    return a, a * (1 - a)


ACTIVATIONS = {
    "identity": Activation(
        apply=lambda z: z,
        with_slope=lambda z: (z, np.ones((), z.dtype)),
        slope=lambda a: np.ones((), a.dtype),
        slope_tangent=_no_tangent,
    ),
    "relu": Activation(
        apply=lambda z: np.maximum(z, 0, out=z),
        with_slope=_relu_with_slope,
        slope=lambda a: (a > 0).astype(a.dtype),
        slope_tangent=_no_tangent,
    ),
    "tanh": Activation(
        apply=lambda z: np.tanh(z, out=z),
        with_slope=_tanh_with_slope,
        slope=lambda a: 1 - a * a,
        slope_tangent=lambda a, a_tangent: -2 * a * a_tangent,
    ),
    "logistic": Activation(
        apply=lambda z: expit(z, out=z),
        with_slope=_logistic_with_slope,
        slope=lambda a: a * (1 - a),
        slope_tangent=lambda a, a_tangent: (1 - 2 * a) * a_tangent,
    ),
}
