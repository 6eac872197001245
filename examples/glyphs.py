"""Images of letters of several alphabets, in each of the typefaces that matplotlib brings along."""

from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont  # matplotlib needs it, too
from sklearn.neighbors import KNeighborsClassifier

from sklearn_meta.tasks import ImageJitter

SHAPE = 20, 20
FONTS = sorted((Path(matplotlib.get_data_path()) / "fonts" / "ttf").glob("DejaVuS*.ttf"))


def known_letters():
    """Latin, Greek, Cyrillic and phonetic letters."""
    return alphabets("AZ", "az", "ɐʯ", "βω", "бя", seed=0)


def new_letters():
    """Armenian and Georgian ones."""
    return alphabets("ԱՖ", "աֆ", "აჶ", seed=1)


def alphabets(*ranges, seed):
    """Images (rows, pixels) and letters (rows,) of several ranges, each a little crooked."""
    X, y = (np.concatenate(parts) for parts in zip(*(draw(*each) for each in ranges), strict=True))
    return ImageJitter(SHAPE)(X, random_state=seed), y


def draw(first, last):
    """Images and letters of all that Unicode has from one to another, in every typeface."""
    letters = [chr(code) for code in range(ord(first), ord(last) + 1)]
    images = []
    for font in (ImageFont.truetype(font, 14) for font in FONTS if "Display" not in font.name):
        for letter in letters:
            image = Image.new("L", SHAPE[::-1])
            ImageDraw.Draw(image).text((10, 10), letter, fill=255, font=font, anchor="mm")
            images.append(np.asarray(image).ravel())
    return np.array(images, np.float32), np.tile(letters, len(images) // len(letters))


def nearest_class_mean(tasks, see=np.asarray):
    """Its accuracy on the query rows of tasks, with nothing learned beforehand."""
    accuracies = []
    for (X, y), shown in zip(tasks, np.split(tasks.is_support, tasks.offsets[1:-1]), strict=True):
        X, classes = see(X), np.unique(y)
        means = [X[shown & (y == label)].mean(axis=0) for label in classes]
        nearest = KNeighborsClassifier(1).fit(means, classes)
        accuracies.append(nearest.score(X[~shown], y[~shown]))
    return np.mean(accuracies)
