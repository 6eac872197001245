"""Names beside points, where there is room for them."""

import numpy as np

GAP = 4  # points between a point and its name
SIDES = (  # of the point: horizontal and vertical alignment, and the shift
    ("left", "center", (GAP, 0)),
    ("right", "center", (-GAP, 0)),
    ("center", "bottom", (0, GAP)),
    ("center", "top", (0, -GAP)),
)


def spread_out(points, n):
    """Numbers of n points (points, 2) far from each other: that furthest out, then so on."""
    span = np.ptp(points, axis=0)
    points = points / np.where(span > 0, span, 1)
    distance = np.linalg.norm(points - np.median(points, axis=0), axis=1)
    chosen = [int(distance.argmax())]
    nearest = np.linalg.norm(points - points[chosen[0]], axis=1)
    while len(chosen) < min(n, len(points)):
        chosen.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, np.linalg.norm(points - points[chosen[-1]], axis=1))
    return chosen


def put_labels(ax, points, names, *, crowded, others=(), **look):
    """Put names beside points on whichever side is free; where none is, leave them out.

    Parameters
    ----------
    ax : matplotlib Axes
        With everything drawn already.
    points : ndarray of shape (points, 2)
        All, which no name should cover.
    names : dict of int to str
        The names of some, the most important first.
    crowded : bool
        Whether a name is put even where no side is free.
    others : sequence of ((x, y), str)
        Further names, which come first.
    **look
        Keywords of the texts.

    Returns
    -------
    list of matplotlib Text
        Those of `names`.
    """
    ax.figure.draw_without_rendering()  # until then nothing has its place
    at = ax.transData.transform(points)  # (points, 2), in pixels
    taken, texts = [], []
    if ax.get_legend() is not None:
        taken.append(ax.get_legend().get_window_extent())
    wanted = [(place, name, True) for place, name in others]
    wanted += [(points[number], name, crowded) for number, name in names.items()]
    for place, name, always in wanted:
        text = _put(ax, place, name, at, taken, always, look)
        if text is not None:
            taken.append(text.get_window_extent())
            texts.append(text)
    return texts[len(others) :]


def _put(ax, place, name, at, taken, always, look):
    """The text on the side where it covers least; None if no side will do."""
    text = ax.annotate(name, place, (0, 0), textcoords="offset points", **look)
    covered = []
    for side in SIDES:
        _move(text, side)
        covered.append(_covered(text.get_window_extent(), ax.bbox, at, taken))
    if not always and min(covered) >= 1:
        text.remove()
        return None
    _move(text, SIDES[int(np.argmin(covered))])
    return text


def _move(text, side):
    horizontal, vertical, text.xyann = side
    text.set(ha=horizontal, va=vertical)


def _covered(box, frame, at, taken):
    """How much a text would cover: a point counts little, other names and the rim exclude it."""
    n_points = ((at > box.min) & (at < box.max)).all(axis=1).sum()
    n_names = sum(box.overlaps(other) for other in taken)
    outside = box.x0 < frame.x0 or box.x1 > frame.x1 or box.y0 < frame.y0 or box.y1 > frame.y1
    return 0.6 * n_points + 10.0 * (n_names + outside)
