import numpy as np
import pytest
from gradients import gradients


def one_by_one(image, cell, n_directions):
    """The histograms of one image (height, width), by a loop over its pixels."""
    height, width = image.shape
    votes = np.zeros((-(-height // cell), -(-width // cell), n_directions))
    down, right = np.gradient(image)
    for i, j in np.ndindex(image.shape):
        turn = np.degrees(np.arctan2(down[i, j], right[i, j])) % 360 / (360 / n_directions)
        near = int(turn)
        strength = np.sqrt(down[i, j] ** 2 + right[i, j] ** 2)
        votes[i // cell, j // cell, near % n_directions] += strength * (1 - (turn - near))
        votes[i // cell, j // cell, (near + 1) % n_directions] += strength * (turn - near)
    return np.sqrt(votes.ravel() / np.linalg.norm(votes))


@pytest.mark.parametrize(("shape", "cell", "n_directions"), [((8, 8), 4, 8), ((7, 10), 3, 9)])
def test_histograms_are_those_of_each_image(shape, cell, n_directions):
    rows = np.random.RandomState(0).uniform(0, 255, size=(120, np.prod(shape)))
    found = gradients(rows, shape, cell, n_directions)
    expected = [one_by_one(row.reshape(shape), cell, n_directions) for row in rows]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_allclose(gradients(rows / 255, shape, cell, n_directions), found, atol=1e-5)


def test_an_image_without_an_edge_and_no_images():
    assert not gradients(np.ones((2, 64)), (8, 8)).any()
    assert gradients(np.empty((0, 64)), (8, 8)).shape == (0, 32)
