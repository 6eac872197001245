import pickle
import re

import numpy as np
import pandas as pd
import pytest
from scipy.ndimage import affine_transform
from sklearn.datasets import load_digits

from sklearn_meta.tasks import ImageJitter

SHAPES = (7, 11), (28, 28), (1, 5), (6, 6, 3), (9, 4, 1)


def images(shape, n_images=20, dtype="f8", seed=0):
    pixels = np.random.RandomState(seed).uniform(0, 255, size=(n_images, np.prod(shape)))
    return pixels.astype(dtype)


def one_by_one(jitter, rows, seed, **options):
    """Every channel of every image by SciPy, which is told where its pixels are read."""
    matrices, offsets = jitter._draw(len(rows), np.random.RandomState(seed))
    channels = rows.reshape(len(rows), *jitter.shape[:2], -1).astype(float)
    moved = [
        [
            affine_transform(each, matrix, offset, order=1, **options)
            for each in np.moveaxis(i, 2, 0)
        ]
        for i, matrix, offset in zip(channels, matrices, offsets, strict=True)
    ]
    return np.moveaxis(moved, 1, 3).reshape(rows.shape)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("fill", "mode"), [("edge", "nearest"), (0, "constant"), (9.5, "constant")]
)
def test_images_are_moved_as_scipy_moves_each(shape, fill, mode):
    jitter, rows = ImageJitter(shape, angle=40, zoom=0.4, shift=0.2, fill=fill), images(shape)
    options = {"mode": mode} | ({} if fill == "edge" else {"cval": fill})
    np.testing.assert_allclose(jitter(rows, 3), one_by_one(jitter, rows, 3, **options), atol=1e-9)


def test_more_images_than_are_moved_at_once():
    jitter, rows = ImageJitter((28, 28)), images((28, 28), n_images=100)
    np.testing.assert_allclose(
        jitter(rows, 0), one_by_one(jitter, rows, 0, mode="nearest"), atol=1e-9
    )


@pytest.mark.parametrize(("dtype", "atol"), [("f4", 0.01), ("u1", 0.501), ("i8", 0.501)])
def test_the_type_of_the_rows_is_kept_and_whole_numbers_are_rounded(dtype, atol):
    jitter, rows = ImageJitter((12, 12)), images((12, 12), dtype=dtype)
    moved = jitter(rows, 0)
    assert moved.dtype == rows.dtype
    expected = one_by_one(jitter, rows, 0, mode="nearest")
    np.testing.assert_allclose(moved, expected, atol=atol)


def test_places_are_turned_zoomed_and_shifted_within_what_was_asked():
    """Of the linear part, singular values are the zooms, and the turn that is left is the angle."""
    jitter = ImageJitter((40, 20), angle=20, zoom=0.2, shift=0.1)
    matrices, offsets = jitter._draw(5000, np.random.RandomState(0))
    centre = np.array([19.5, 9.5])
    zooms = np.linalg.norm(matrices, axis=2)
    turns = np.degrees(np.arctan2(matrices[:, 1, 0], matrices[:, 1, 1]))
    shifts = (matrices @ centre + offsets - centre) / [40, 20]
    np.testing.assert_allclose(np.linalg.det(matrices), zooms.prod(axis=1))
    for values, low, high in ((zooms, 0.8, 1.2), (turns, -20, 20), (shifts, -0.1, 0.1)):
        flat = (values - low) / (high - low)
        assert 0 <= flat.min() < 0.01
        assert 0.99 < flat.max() <= 1
        np.testing.assert_allclose(np.histogram(flat, 5, (0, 1))[0] / flat.size, 0.2, atol=0.02)
    drawn = np.column_stack([zooms, turns, shifts])
    np.testing.assert_allclose(np.corrcoef(drawn.T), np.eye(5), atol=0.06)  # each for itself


def test_nothing_to_move_by_leaves_the_images_as_they_are():
    still, (rows, _) = {"angle": 0, "zoom": 0, "shift": 0}, load_digits(return_X_y=True)
    np.testing.assert_array_equal(ImageJitter((8, 8), **still)(rows, 0), rows)
    np.testing.assert_array_equal(ImageJitter((8, 8), fill=3, **still)(rows, 0), rows)
    assert ImageJitter((8, 8))(rows[:0]).shape == (0, 64)


def test_a_seed_gives_the_same_images_and_the_rows_stay_as_they_are():
    jitter, rows = ImageJitter((8, 8)), images((8, 8))
    before = rows.copy()
    first, second = jitter(rows, 4), jitter(rows, np.random.RandomState(4))
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(rows, before)
    assert not np.array_equal(first, jitter(rows, 5))
    np.testing.assert_array_equal(first, jitter(np.asfortranarray(rows), 4))
    np.testing.assert_array_equal(first, jitter(rows.tolist(), 4))


def test_it_is_pickled_and_says_what_it_is():
    jitter = ImageJitter([8, 8], angle=5)
    assert repr(jitter) == "ImageJitter(shape=(8, 8), angle=5, zoom=0.1, shift=0.07, fill='edge')"
    again = pickle.loads(pickle.dumps(jitter))
    assert again == jitter
    np.testing.assert_array_equal(again(images((8, 8)), 0), jitter(images((8, 8)), 0))


@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        ((8,), {}, "shape must be (height, width) or (height, width, channels)"),
        ((8, 8, 3, 1), {}, "shape must be"),
        (64, {}, "got 64"),
        ((8, 8.0), {}, "got (8, 8.0)"),
        ((8, 0), {}, "got (8, 0)"),
        ((8, True), {}, "got (8, True)"),
        ((8, 8), {"angle": -1}, "'angle' parameter of ImageJitter"),
        ((8, 8), {"angle": 181}, "'angle' parameter of ImageJitter"),
        ((8, 8), {"zoom": 1}, "'zoom' parameter of ImageJitter"),
        ((8, 8), {"shift": 2}, "'shift' parameter of ImageJitter"),
        ((8, 8), {"shift": None}, "'shift' parameter of ImageJitter"),
        ((8, 8), {"fill": "wrap"}, "'fill' parameter of ImageJitter"),
        ((8, 8), {"fill": np.nan}, "'fill' parameter of ImageJitter"),
    ],
)
def test_parameters_that_will_not_do(shape, options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        ImageJitter(shape, **options)


@pytest.mark.parametrize(
    ("rows", "error", "message"),
    [
        (images((8, 8))[:, 1:], ValueError, "rows have the shape (20, 63), ImageJitter expected"),
        (images((8, 8))[0], ValueError, "rows have the shape (64,)"),
        (images((8, 8)) > 0, ValueError, "rows are of bool, ImageJitter expected numbers"),
        (np.full((3, 64), "a"), ValueError, "rows are of <U1"),
        (pd.DataFrame(images((8, 8))), TypeError, "rows are a dataframe, .* X.to_numpy()"),
    ],
)
def test_rows_that_will_not_do(rows, error, message):
    with pytest.raises(error, match=message if ".*" in message else re.escape(message)):
        ImageJitter((8, 8))(rows)


def test_a_fill_that_the_rows_cannot_hold():
    jitter = ImageJitter((8, 8), fill=-1)
    with pytest.raises(ValueError, match="fill=-1 is no number that rows of uint8 can hold"):
        jitter(images((8, 8), dtype="u1"))
    assert jitter(images((8, 8)), 0).min() == -1
