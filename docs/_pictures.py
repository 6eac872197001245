"""How the pictures of all pages look, and in which order the gallery has its examples."""

from matplotlib import pyplot as plt

STYLE = {
    "figure.dpi": 110,
    "font.size": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": "medium",
    "legend.frameon": False,
    "legend.fontsize": "small",
}
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
    plt.rcParams.update(STYLE)


class Order:
    """A key to sort examples by: those that are in FIRST, then others by name."""

    def __init__(self, src_dir):
        pass

    def __call__(self, filename):
        name = filename.removeprefix("plot_").removesuffix(".py")
        return FIRST.index(name) if name in FIRST else len(FIRST), name
