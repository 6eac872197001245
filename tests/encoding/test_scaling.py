import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.preprocessing import StandardScaler

from sklearn_meta.encoding._scaling import FURTHEST, Scaling

ROWS = np.random.RandomState(0).standard_normal((200, 4))


def scaled(X, scaling=None):
    """Rows X by the scaling that is found on them, or by another; X stays."""
    scaling = Scaling.of(X) if scaling is None else scaling
    X = X.copy()
    scaling.apply(X)
    return X


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_ordinary_features_come_out_as_of_a_standard_scaler(dtype):
    X = (ROWS * [1, 1e3, 1e-5, 7] + [0, 5e3, 1, -40]).astype(dtype)
    found = scaled(X)
    assert found.dtype == dtype
    expected = StandardScaler().fit_transform(X.astype(float))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    if found.dtype == float:
        np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-10)


@settings(max_examples=50, deadline=None)
@given(
    units=st.lists(st.floats(-6, 6), min_size=4, max_size=4),
    zeros=st.lists(st.floats(-100, 100), min_size=4, max_size=4),
)
def test_a_features_own_unit_and_zero_change_nothing(units, zeros):
    """Nor do those of the others; of ordinary features, rare ones, counts and constant ones."""
    X = ROWS.copy()
    X[:, 1] = np.arange(len(X)) == 7
    X[:, 2] = np.random.RandomState(1).poisson(1.0, len(X))
    X[:, 3] = 0.1
    other = 10.0 ** np.array(units) * (X + zeros)
    np.testing.assert_allclose(scaled(other), scaled(X), atol=1e-10)


def images(white=1.0):
    """Bright in the middle; to the left ever darker, rarer and at last always black."""
    strength = np.array([0, 0, 1e-4, 0.1, 0.5, *np.full(7, 1.5)])
    pixels = np.random.RandomState(0).uniform(-1, 1, (300, 12)) * strength
    return white * np.clip(pixels, 0, 1)


@pytest.mark.parametrize("white", [1.0, 255.0, 1e-3])
def test_pixels_are_divided_by_their_common_range(white):
    X = images(white)
    np.testing.assert_allclose(Scaling.of(X).scale, white)
    np.testing.assert_allclose(scaled(X), X / white - (X / white).mean(axis=0), atol=1e-12)
    np.testing.assert_allclose(Scaling.of(white - X).scale, white)


def test_features_beside_pixels_have_a_unit_of_their_own():
    """An age, a count from 0, and a share that reaches neither end of the pixels' range."""
    beside = np.random.RandomState(1).uniform([20, 0, 0.3], [60, 9, 0.4], (300, 3))
    X = np.hstack([images(), np.floor(beside) * [1, 1, 0] + beside * [0, 0, 1]])
    np.testing.assert_allclose(Scaling.of(X).scale[-3:], X[:, -3:].std(axis=0))
    np.testing.assert_allclose(Scaling.of(X).scale[:-3], 1)


def test_a_range_that_most_do_not_share_is_none_in_common():
    indicators = ROWS[:, :2] > 1
    X = np.hstack([indicators, ROWS, ROWS**2])
    np.testing.assert_allclose(Scaling.of(X).scale, X.std(axis=0))
    X = np.hstack([indicators, ROWS[:, :2]])
    np.testing.assert_allclose(Scaling.of(X).scale, [1, 1, *ROWS[:, :2].std(axis=0)])


@pytest.mark.parametrize("value", [1.0, 255.0])
def test_what_is_not_0_in_one_row_is_not_blown_up(value):
    X = np.zeros((10_000, 2))
    X[:, 0] = value * np.random.RandomState(0).uniform(size=len(X))
    X[77, 1] = value
    np.testing.assert_allclose(StandardScaler().fit_transform(X)[77, 1], 100, rtol=1e-3)
    np.testing.assert_allclose(np.abs(scaled(X)[:, 1]).max(), FURTHEST)
    np.testing.assert_allclose(scaled(X)[:, 0].std(), 1)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("constant", [0.0, 0.1, 1.0, -7.0, 2020.0, 1e9, 1e-9])
def test_a_constant_feature_stays_small_and_so_it_does_in_other_tasks(constant, dtype):
    """Twice as large, or as large as other features, it is of unit size as they are."""
    X = (ROWS * 50).astype(dtype)
    X[:, 2] = constant
    found = scaled(X)
    np.testing.assert_allclose(found[:, 2], 0, atol=1e-6)
    others = found[:, [0, 1, 3]]
    np.testing.assert_array_equal(others, scaled(X[:, [0, 1, 3]]))
    new = X.copy()
    new[:, 2] = 2 * constant
    assert np.abs(scaled(new, Scaling.of(X))[:, 2]).max() <= 1.001
    new[:, 2] = constant + X[:, 0]
    assert np.abs(scaled(new, Scaling.of(X))[:, 2]).max() <= 1.1 * np.abs(others[:, 0]).max()


@pytest.mark.parametrize("X", [np.zeros((5, 2)), np.ones((5, 2)), ROWS[:1]])
def test_nothing_varies(X):
    np.testing.assert_allclose(scaled(X), 0, atol=1e-15)


def test_noise_far_from_0_is_found_where_the_precision_holds_it():
    X = 1e9 + ROWS
    np.testing.assert_allclose(scaled(X), StandardScaler().fit_transform(ROWS), atol=1e-6)
    np.testing.assert_array_equal(scaled(X.astype(np.float32)), 0)
    steps = (1e9 + 64 * np.arange(5.0)[:, None]).astype(np.float32)  # neighbouring numbers
    assert np.abs(scaled(steps)).max() < 1e-5


@pytest.mark.parametrize("size", [1e-280, 1e-200, 1e150, 1e200, 1e307])
def test_no_sum_or_square_overflows(size):
    np.testing.assert_allclose(scaled(size * ROWS), scaled(ROWS), rtol=1e-9, atol=1e-12)


def test_single_precision_sums_in_double():
    """A million rows around 100: summed in single precision, the mean is off by more."""
    X = (100 + np.tile(ROWS[:, :1], (5000, 1))).astype(np.float32)
    found = scaled(X)
    np.testing.assert_allclose(found.mean(dtype=float), 0, atol=1e-6)
    np.testing.assert_allclose(found.std(dtype=float), 1, rtol=1e-6)


def test_the_order_in_memory_changes_no_bit():
    for found, expected in zip(Scaling.of(np.asfortranarray(ROWS)), Scaling.of(ROWS), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_a_folded_layer_takes_rows_as_they_are():
    rng = np.random.RandomState(1)
    X = ROWS * [1, 1e3, 1e-5, 7] + [0, 5e3, 1, -40]
    weights, bias = rng.standard_normal((4, 3)), rng.standard_normal(3)
    folded_weights, folded_bias = Scaling.of(X).fold(weights, bias)
    expected = scaled(X) @ weights + bias
    np.testing.assert_allclose(X @ folded_weights + folded_bias, expected, rtol=1e-9, atol=1e-9)
