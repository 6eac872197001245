"""Glyphs of many scripts: the characters to train on and to judge by, and drawn ever anew."""

import numpy as np
from _sets import DATA
from scipy.ndimage import affine_transform
from sklearn.utils import check_random_state

from sklearn_meta import TaskCollection
from sklearn_meta.tasks import NWayKShot

JUDGES = "HEBREW", "GEORGIAN", "THAI", "ARMENIAN", "KHMER", "MALAYALAM"
CENTRE = np.array([13.5, 13.5])


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


def variants(images, n_variants, seed, *, angle=10.0, zoom=0.1, shift=2.0):
    """Each image as it is and turned, zoomed and shifted a little at random.

    Returns
    -------
    ndarray of shape (n_variants, images, 28, 28)
    """
    rng = np.random.default_rng(seed)
    drawn = np.empty((n_variants, *images.shape), images.dtype)
    drawn[0] = images
    for version in drawn[1:]:
        turn = np.radians(rng.uniform(-angle, angle, len(images)))
        scale = rng.uniform(1 - zoom, 1 + zoom, (len(images), 2, 1))
        matrices = scale * np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]).T
        offsets = CENTRE - matrices @ CENTRE + rng.uniform(-shift, shift, (len(images), 2))
        for image, matrix, offset, out in zip(images, matrices, offsets, version, strict=True):
            affine_transform(image, matrix, offset, output=out, order=1)
    return drawn


class Redrawn:
    """N-way K-shot tasks whose rows are each a random variant of their image.

    Parameters
    ----------
    drawn : ndarray of shape (variants, images, height, width)
    y : ndarray of shape (images,)
        Classes.
    **shape
        Of the tasks, as of `NWayKShot`.
    """

    def __init__(self, drawn, y, **shape):
        self.drawn = drawn
        self.tasks = NWayKShot(np.arange(len(y), dtype=float)[:, None], y, **shape)

    def sample(self, n_tasks, random_state=None):
        random_state = check_random_state(random_state)
        tasks = self.tasks.sample(n_tasks, random_state)
        image = tasks.X[:, 0].astype(int)
        variant = random_state.randint(len(self.drawn), size=len(image))
        return TaskCollection(
            rows(self.drawn[variant, image]),
            tasks.y,
            tasks.offsets,
            tasks.task_ids,
            is_support=tasks.is_support,
            shared_labels=False,
        )
