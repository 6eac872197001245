"""Glyphs of many scripts: the characters to train on and to judge by."""

import numpy as np
from _sets import DATA

JUDGES = "HEBREW", "GEORGIAN", "THAI", "ARMENIAN", "KHMER", "MALAYALAM"


def glyphs(scripts=None, *, without=()):
    """Images (rows, 28, 28) and characters (rows,) of some scripts, or of all but some."""
    file = np.load(DATA / "glyphs.npz")
    script = file["script"][file["y"]]
    chosen = ~np.isin(script, without) if scripts is None else np.isin(script, scripts)
    return file["X"][chosen], file["y"][chosen]


def rows(images):
    """Pixels from 0 to 1 in single precision, (images, pixels)."""
    return images.reshape(len(images), -1).astype(np.float32) / 255


def small(rows):
    """The mean of every 2 x 2 pixels of rows of 28 x 28, (images, 14 * 14)."""
    return rows.reshape(-1, 14, 2, 14, 2).mean(axis=(2, 4)).reshape(-1, 14 * 14)


def quarter_turns(images, y):
    """Each image in four positions; a character that is turned is another one."""
    turned = [np.rot90(images, turn, axes=(1, 2)) for turn in range(4)]
    return np.concatenate(turned), np.concatenate([4 * y + turn for turn in range(4)])
