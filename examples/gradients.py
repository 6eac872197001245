"""Images as histograms of gradients: a step to put before the MLP."""

import numpy as np

AT_ONCE = 100  # images, so that what is computed of them stays in the processor's cache


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
    across = -(-width // cell)
    cells = np.arange(height)[:, None] // cell * across + np.arange(width) // cell
    n_bins = -(-height // cell) * across * n_directions
    found = np.empty((len(images), n_bins), np.float32)
    for start in range(0, len(images), AT_ONCE):
        part = slice(start, start + AT_ONCE)
        found[part] = histograms(images[part], cells * n_directions, n_bins, n_directions)
    return found


def histograms(images, bins, n_bins, n_directions):
    """Of images (images, height, width), whose pixels' bins (height, width) begin there."""
    down, right = np.gradient(images, axis=(1, 2))
    turn = np.arctan2(down, right) * np.float32(n_directions / (2 * np.pi))
    before = np.floor(turn)
    share = turn - before  # that the next direction has; the one before has the rest
    bins = np.arange(len(images))[:, None, None] * n_bins + bins
    votes = sum(
        np.bincount(
            (bins + direction.astype(int) % n_directions).ravel(),
            (np.hypot(down, right) * weight).ravel(),
            minlength=len(images) * n_bins,
        )
        for direction, weight in ((before, 1 - share), (before + 1, share))
    ).reshape(len(images), n_bins)
    length = np.linalg.norm(votes, axis=1, keepdims=True)
    return np.sqrt(votes / np.where(length > 0, length, 1))
