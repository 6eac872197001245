import numpy as np
import pytest
from sklearn.neural_network._base import ACTIVATIONS as SKLEARN_ACTIVATIONS

from sklearn_meta.network._activations import ACTIVATIONS

every_activation = pytest.mark.parametrize("name", ["identity", "relu", "tanh", "logistic"])


def draw_z(dtype=np.float64):
    z = np.random.RandomState(0).uniform(-3, 3, (4, 5)).astype(dtype)
    assert np.abs(z).min() > 1e-2  # away from relu's kink
    return z


def test_scikit_learns_hidden_activations_are_all_there():
    assert set(ACTIVATIONS) == {"identity", "relu", "tanh", "logistic"}


@every_activation
def test_values_are_scikit_learns(name):
    z, expected = draw_z(), draw_z()
    SKLEARN_ACTIVATIONS[name](expected)
    np.testing.assert_allclose(ACTIVATIONS[name].apply(z), expected, rtol=1e-15)


@every_activation
def test_values_with_slopes_are_the_two_together(name):
    activation, z = ACTIVATIONS[name], draw_z()
    expected = activation.apply(draw_z())
    a, slope = activation.with_slope(z)
    np.testing.assert_allclose(a, expected, rtol=1e-15)
    shape = np.broadcast_shapes(slope.shape, z.shape)
    assert shape == z.shape
    np.testing.assert_allclose(slope, np.broadcast_to(activation.slope(a), slope.shape), rtol=1e-15)
    np.testing.assert_array_equal(z, draw_z())  # left as it was


def test_with_slope_far_from_0():
    """What rounds to the limits has no slope, and nothing overflows."""
    z = np.array([-1e30, 0.0, 1e30])
    for name, values, slopes in [
        ("relu", [0, 0, 1e30], [0, 0, 1]),
        ("tanh", [-1, 0, 1], [0, 1, 0]),
        ("logistic", [0, 0.5, 1], [0, 0.25, 0]),
    ]:
        a, slope = ACTIVATIONS[name].with_slope(z)
        np.testing.assert_array_equal(a, values)
        np.testing.assert_array_equal(slope, slopes)


@every_activation
def test_slope(name):
    apply, slope = ACTIVATIONS[name].apply, ACTIVATIONS[name].slope
    z, eps = draw_z(), 1e-6
    numeric = (apply(z + eps) - apply(z - eps)) / (2 * eps)
    np.testing.assert_allclose(np.broadcast_to(slope(apply(z)), z.shape), numeric, atol=1e-9)


@every_activation
def test_slope_tangent(name):
    activation, eps = ACTIVATIONS[name], 1e-6
    z, dz = draw_z(), np.random.RandomState(1).standard_normal((4, 5))
    a = activation.apply(draw_z())
    ahead, behind = (activation.slope(activation.apply(z + step * dz)) for step in (eps, -eps))
    exact = activation.slope_tangent(a, activation.slope(a) * dz)
    numeric = (ahead - behind) / (2 * eps)
    np.testing.assert_allclose(0 if exact is None else exact, numeric, atol=1e-9)


@every_activation
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtype_is_kept(name, dtype):
    activation = ACTIVATIONS[name]
    a = activation.apply(draw_z(dtype))
    assert a.dtype == dtype
    assert activation.slope(a).dtype == dtype
    assert [part.dtype for part in activation.with_slope(draw_z(dtype))] == [dtype] * 2
    tangent = activation.slope_tangent(a, a)
    assert tangent is None or tangent.dtype == dtype
