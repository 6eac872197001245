"""TaskMapDisplay: the tasks of a map as points, coloured and named."""

from collections.abc import Mapping

import numpy as np

from .._messages import listed, plain, shown
from ..tasks._ids import as_array, as_keys
from ._labels import put_labels, spread_out
from ._plotting import COLOURS, merged, pyplot, single_ax
from ._task_map import TaskMap, task_map

MOST_LABELS = 40  # that "auto" tries to place
MOST_COLOURS = 20  # of a legend


class TaskMapDisplay:
    """Tasks as points on the first two components of what each learned.

    Parameters
    ----------
    task_map : TaskMap
    color : ndarray of shape (n_tasks,) or None
        A value for each task.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    scatters_ : list of matplotlib PathCollection
        One; of categories, one each.
    prior_ : matplotlib PathCollection
        The cross where a task of which nothing is known lies.
    texts_ : list of matplotlib Text
    legend_ : matplotlib Legend or None
    colorbar_ : matplotlib Colorbar or None

    See Also
    --------
    task_map : The numbers.

    Examples
    --------
    >>> from sklearn.neural_network import MLPRegressor
    >>> from sklearn_meta import MetaLearner
    >>> from sklearn_meta.datasets import Sinusoids
    >>> from sklearn_meta.inspection import TaskMapDisplay
    >>> tasks = Sinusoids(n_rows=20).sample(100, random_state=0)
    >>> mlp = MLPRegressor(hidden_layer_sizes=(40,))
    >>> meta = MetaLearner(mlp, max_iter=200, random_state=0).fit(tasks)
    >>> highest = [y.max() for _, y in tasks]
    >>> display = TaskMapDisplay.from_estimator(meta, color=highest)
    >>> len(display.scatters_)
    1
    """

    def __init__(self, task_map, *, color=None, color_name=None):
        self.task_map = task_map
        self.color = color
        self.color_name = color_name

    @classmethod
    def from_estimator(
        cls, meta, X=None, y=None, groups=None, *, space="auto", color=None, **options
    ):
        """Place tasks by what each learned, and draw them.

        Parameters
        ----------
        meta, X, y, groups, space
            As in `task_map`.
        color, **options
            As in `from_map`.

        Returns
        -------
        TaskMapDisplay
        """
        pyplot(cls.__name__)
        return cls.from_map(task_map(meta, X, y, groups, space=space), color=color, **options)

    @classmethod
    def from_map(cls, task_map, *, color=None, ax=None, **options):
        """Draw a map.

        Parameters
        ----------
        task_map : TaskMap
        color : array-like of shape (n_tasks,), dict or pandas Series, default=None
            A value for each task of the map: in the order of its `task_ids`, or by id. Numbers get
            a colour bar, anything else a legend.
        ax : matplotlib Axes, default=None
        **options
            Of `plot`.

        Returns
        -------
        TaskMapDisplay

        Raises
        ------
        TypeError
            If it is no map.
        ValueError
            If a task has no colour, or there are more than 20 categories.
        """
        if not isinstance(task_map, TaskMap):
            raise TypeError(f"task_map must be what task_map returns, got {shown(task_map)}")
        values = None if color is None else _color_of_tasks(color, task_map.task_ids)
        name = getattr(color, "name", None)
        return cls(task_map, color=values, color_name=name).plot(ax=ax, **options)

    def plot(self, ax=None, *, labels="auto", scatter_kw=None, text_kw=None):
        """Draw it.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            None: those of a new figure.
        labels : "auto", None or sequence of task ids, default="auto"
            Which tasks are named: as many as find room, at most 40, those at the rim and those far
            from each other first; none; or these, however crowded.
        scatter_kw, text_kw : dict, default=None
            Keywords of points and names.

        Returns
        -------
        TaskMapDisplay
        """
        asked = self._labelled(labels)
        ax = single_ax("TaskMapDisplay.plot", ax, (8, 6.5))
        self.ax_, self.figure_, points = ax, ax.figure, self.task_map.embedding
        self.legend_ = self.colorbar_ = None
        self._scatter(
            points, merged({"s": 22, "alpha": 0.85, "linewidths": 0}, scatter_kw, "scatter_kw")
        )
        cross = {"marker": "x", "color": "black", "s": 50, "linewidths": 1.5, "zorder": 4}
        self.prior_ = ax.scatter(*self.task_map.prior[:, None], **cross)
        shares = self.task_map.explained_variance_ratio
        ax.set(
            xlabel=f"first component ({shares[0]:.0%} of the variance between tasks)",
            ylabel=f"second component ({shares[1]:.0%})",
        )
        text = merged({"fontsize": 8, "color": "0.25"}, text_kw, "text_kw")
        names = [str(plain(name)) for name in self.task_map.task_ids]
        self.texts_ = put_labels(
            ax,
            points,
            {number: names[number] for number in asked},
            crowded=not isinstance(labels, str),
            others=[(self.task_map.prior, "prior")],
            **text,
        )
        return self

    def _scatter(self, points, look):
        if self.color is None:
            self.scatters_ = [self.ax_.scatter(*points.T, color=COLOURS[0], **look)]
        elif self.color.dtype.kind in "iuf":
            self.scatters_ = [self.ax_.scatter(*points.T, c=self.color, **look)]
            self.colorbar_ = self.figure_.colorbar(self.scatters_[0], ax=self.ax_, shrink=0.8)
            self.colorbar_.set_label(self.color_name or "")
        else:
            self._scatter_categories(points, look)

    def _scatter_categories(self, points, look):
        categories = list(dict.fromkeys(sorted(self.color.tolist(), key=str)))
        if len(categories) > MOST_COLOURS:
            raise ValueError(
                f"color has {len(categories)} categories [{listed(categories)}], expected "
                f"{MOST_COLOURS} at most"
            )
        colours = COLOURS[:-1]
        if len(categories) > len(colours):
            colours = pyplot("TaskMapDisplay.plot").get_cmap("tab20").colors
        self.scatters_ = [
            self.ax_.scatter(
                *points[[value == category for value in self.color.tolist()]].T,
                color=colours[i],
                label=str(category),
                **look,
            )
            for i, category in enumerate(categories)
        ]
        self.legend_ = self.ax_.legend(title=self.color_name, edgecolor="none")

    def _labelled(self, labels):
        """Numbers of the tasks that are to be named, the most important first."""
        if labels is None:
            return []
        if isinstance(labels, str):
            if labels != "auto":
                raise ValueError(f"labels={shown(labels)}; expected 'auto', None or task ids")
            return spread_out(self.task_map.embedding, MOST_LABELS)
        return [self.task_map.place(task) for task in labels]


def _color_of_tasks(color, task_ids):
    """Values in the order of the tasks, (tasks,)."""
    values, ids = color, None
    if isinstance(color, Mapping):
        values, ids = list(color.values()), as_array(list(color), "color")
    elif hasattr(color, "index") and hasattr(color, "iloc"):  # a Series
        ids = as_array(color.index, "color")
    values = np.asarray(values)
    if ids is not None:
        place = {key: number for number, key in enumerate(as_keys(ids))}
        lacking = [i for i, key in enumerate(as_keys(task_ids)) if key not in place]
        if lacking:
            raise ValueError(f"color has no value for the tasks [{listed(task_ids[lacking])}]")
        values = values[[place[key] for key in as_keys(task_ids)]]
    if values.shape != task_ids.shape:
        raise ValueError(
            f"color has the shape {values.shape}, expected {task_ids.shape}, a value for each task"
        )
    return values
