"""How the pictures of all pages look."""

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


def reset_matplotlib(gallery_conf, name):
    """What sphinx-gallery calls before each example."""
    plt.rcdefaults()
    plt.rcParams.update(STYLE)
