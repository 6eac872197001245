"""How the pictures of all pages look, and in which order the gallery has its examples."""

from pathlib import Path

from matplotlib import pyplot as plt

FIRST = [
    "countries",
    "mixed_model",
    "categories",
    "counts",
    "intervals",
    "time_order",
    "growth",
    "day_ahead",
    "search",
    "task_map",
    "vowels",
    "glyphs",
    "languages",
    "write_your_own",
]


def reset_matplotlib(gallery_conf, name):
    """What sphinx-gallery calls before each example."""
    plt.rcdefaults()
    plt.style.use(Path(__file__).with_name("pictures.mplstyle"))


class Order:
    """A key to sort examples by: those that are in FIRST, then others by name."""

    def __init__(self, src_dir):
        pass

    def __call__(self, filename):
        name = filename.removeprefix("plot_").removesuffix(".py")
        return FIRST.index(name) if name in FIRST else len(FIRST), name
