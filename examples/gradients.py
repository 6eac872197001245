"""Images as histograms of gradients: a step to put before the MLP."""

import numpy as np


def gradients(rows, shape, cell=4, n_directions=8):
    """How strongly edges run in each direction, cell by cell (Dalal and Triggs, 2005).

    Parameters
    ----------
    rows : ndarray of shape (n_images, height * width)
        Flattened grey images.
    shape : (int, int)
        Height and width.
    cell : int
        Pixels that a cell is wide and high.
    n_directions : int

    Returns
    -------
    ndarray of shape (n_images, n_cells * n_directions), float32
    """
    height, width = shape
    images = np.asarray(rows, np.float32).reshape(-1, height, width)
    down, right = np.gradient(images, axis=(1, 2))
    turn = np.arctan2(down, right) * np.float32(n_directions / (2 * np.pi))
    before = np.floor(turn)
    share = turn - before  # that the next direction has, the one before has the rest
    across = -(-width // cell)
    cells = np.arange(height)[:, None] // cell * across + np.arange(width) // cell
    n_bins = -(-height // cell) * across * n_directions
    first = np.arange(len(images))[:, None, None] * n_bins + cells * n_directions
    votes = sum(
        np.bincount(
            (first + direction.astype(int) % n_directions).ravel(),
            (np.hypot(down, right) * weight).ravel(),
            minlength=len(images) * n_bins,
        )
        for direction, weight in ((before, 1 - share), (before + 1, share))
    ).reshape(len(images), n_bins)
    length = np.linalg.norm(votes, axis=1, keepdims=True)
    return np.sqrt(votes / np.where(length > 0, length, 1)).astype(np.float32)
