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


def halved(images):
    """The mean of every 2 x 2 pixels, (..., 14, 14)."""
    blocks = images.reshape(*images.shape[:-2], 14, 2, 14, 2)
    return blocks.mean(axis=(-3, -1), dtype=np.float32).round().astype(np.uint8)


def rows(images):
    """Pixels from 0 to 1 in single precision, (images, pixels)."""
    return images.reshape(len(images), -1).astype(np.float32) / 255


def quarter_turns(images, y):
    """Each image in four positions; a character that is turned is another one."""
    turned = [np.rot90(images, turn, axes=(1, 2)) for turn in range(4)]
    return np.concatenate(turned), np.concatenate([4 * y + turn for turn in range(4)])
