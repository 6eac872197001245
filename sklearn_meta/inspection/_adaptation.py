"""AdaptationDisplay: one task's prediction along a feature as its rows arrive."""

import copy

import numpy as np

from .._compat import num_samples, safe_indexing
from .._messages import listed, of_task, shown
from ._plotting import COLOURS, GREY, check_number, merged, several_axes
from ._tasks import (
    column,
    feature_names,
    feature_number,
    fitted,
    has_std,
    needs_shared_classes,
    one_task,
    target_number,
    with_column,
)

Z90 = 1.645  # standard deviations on either side that hold 90% of a Gaussian
BANDWIDTH = 0.1  # of the local regression, as a share of the feature's range
OTHERS = "typical", "median"


class AdaptationDisplay:
    """One task's prediction along one feature after 0, 1, 2, 5 of its rows, a panel each.

    Parameters
    ----------
    grid : ndarray of shape (n_points,)
        Values of the feature.
    mean : ndarray of shape (n_panels, n_points)
        Predicted there.
    std : ndarray of shape (n_panels, n_points) or None
        Its standard deviation, where the algorithm is Bayesian.
    prior : ndarray of shape (n_points,)
        What is predicted with no rows.
    n_shots : tuple of int
        Rows that the task was learned from, in each panel.
    x, y : ndarray of shape (n_rows,)
        The task's rows: the feature, and the target (of classes: 1 or 0).
    feature, response : str
        What the axes are called.
    bounds : (float, float), default=(-inf, inf)
        Between which the band is drawn: no probability is above 1.

    Attributes
    ----------
    axes_ : ndarray of matplotlib Axes, (n_panels,)
    ax_ : matplotlib Axes
        The first.
    figure_ : matplotlib Figure
    lines_ : list of matplotlib Line2D
    bands_ : list of matplotlib PolyCollection
        Empty where the algorithm is not Bayesian.
    prior_lines_ : list of matplotlib Line2D
        In the panels with rows.
    support_, others_ : list of matplotlib PathCollection
        The rows the task was learned from, and the others.

    Examples
    --------
    >>> from sklearn.neural_network import MLPRegressor
    >>> from sklearn_meta import MetaLearner
    >>> from sklearn_meta.datasets import Sinusoids
    >>> from sklearn_meta.inspection import AdaptationDisplay
    >>> tasks = Sinusoids(n_rows=20).sample(101, random_state=0)
    >>> mlp = MLPRegressor(hidden_layer_sizes=(40,))
    >>> meta = MetaLearner(mlp, max_iter=200, random_state=0).fit(tasks[:100])
    >>> X, y = tasks[100]
    >>> display = AdaptationDisplay.from_estimator(meta, X, y, feature=0)
    >>> len(display.axes_)
    4
    """

    def __init__(
        self, *, grid, mean, std, prior, n_shots, x, y, feature, response, bounds=(-np.inf, np.inf)
    ):
        self.grid = grid
        self.mean = mean
        self.std = std
        self.prior = prior
        self.n_shots = n_shots
        self.x = x
        self.y = y
        self.feature = feature
        self.response = response
        self.bounds = bounds

    @classmethod
    def from_estimator(
        cls,
        meta,
        X,
        y=None,
        groups=None,
        *,
        feature,
        n_shots=(0, 1, 2, 5),
        task=None,
        target=None,
        others="typical",
        grid_resolution=100,
        ax=None,
        **options,
    ):
        """Adapt to the first rows of a task, and draw what is predicted then.

        Parameters
        ----------
        meta : MetaLearner
            Fitted; it stays as it is.
        X, y, groups
            Rows of a task, as `fit_adapt` takes them; the first are the support. Or those of
            several tasks, of which `task` names one.
        feature : str or int
            The column along which to look.
        n_shots : sequence of int, default=(0, 1, 2, 5)
            Rows to learn from: the first so many, whatever their classes.
        task : object, default=None
            The id of the task; None where there is one only.
        target : object, default=None
            The class whose probability is drawn, or the number of the output; None: the second of
            two classes, the only output.
        others : {"typical", "median"}, default="typical"
            Where the other features are held along the grid. "typical": as they go with the feature
            among the task's rows, by local regression (a Gaussian kernel a tenth as wide as the
            range), so that the line is what a usual row with that value gets, and lies among the
            rows. "median": each at the task's median, which shows the feature alone. What is no
            number is held at its most frequent value.
        grid_resolution : int, default=100
            Points of the line.
        ax : sequence of matplotlib Axes, default=None
            As many as `n_shots`.
        **options
            Of `plot`.

        Returns
        -------
        AdaptationDisplay

        Raises
        ------
        ValueError
            If a parameter will not do, the feature is no number, or there are too few rows.
        """
        now = fitted(meta, cls.__name__)
        needs_shared_classes(now, cls.__name__)
        X, y = one_task(now, X, y, groups, task)
        names = feature_names(now, X)
        number, (output, name) = feature_number(names, feature), target_number(now, target)
        n_shots = _check_shots(n_shots, num_samples(X), task)
        x = column(X, number)
        if x is None or not np.isfinite(x).any():
            raise ValueError(f"feature {shown(names[number])} holds no numbers")
        check_number("grid_resolution", grid_resolution, 2, 10**6, "a number of points")
        grid = np.linspace(np.nanmin(x), np.nanmax(x), grid_resolution)
        rows = _along(X, number, x, grid, others)
        found = [_predict(now, X, y, n, rows, output) for n in n_shots]
        prior, _ = _predict(now, X, y, 0, rows, output)
        is_classifier = now._served.learned.encoder.is_classifier
        target_values = y == name if is_classifier else y.reshape(len(y), -1)[:, output]
        response = "prediction" if name is None else name
        return cls(
            grid=grid,
            mean=np.array([mean for mean, _ in found]),
            std=None if found[0][1] is None else np.array([std for _, std in found]),
            prior=prior,
            n_shots=n_shots,
            x=x,
            y=target_values.astype(float),
            feature=str(names[number]),
            response=f"probability of {shown(name)}" if is_classifier else str(response),
            bounds=(0, 1) if is_classifier else _bounds(now),
        ).plot(ax=ax, **options)

    def plot(
        self, ax=None, *, line_kw=None, band_kw=None, prior_kw=None, support_kw=None, others_kw=None
    ):
        """Draw it.

        Parameters
        ----------
        ax : sequence of matplotlib Axes, default=None
            As many as there are panels; None: those of a new figure, with shared axes.
        line_kw, band_kw, prior_kw, support_kw, others_kw : dict, default=None
            Keywords of the predictions, their bands (the mean and 1.645 standard deviations on
            either side, which hold 90% of a Gaussian), the prior's prediction, the support rows
            and the other rows.

        Returns
        -------
        AdaptationDisplay
        """
        n_panels = len(self.n_shots)
        size = {"figsize": (max(5.5, 2.8 * n_panels), 3.4), "sharex": True, "sharey": True}
        axes = several_axes("AdaptationDisplay.plot", ax, n_panels, ncols=n_panels, **size)
        self.axes_, self.ax_, self.figure_ = axes, axes[0], axes[0].figure
        self.lines_, self.bands_, self.prior_lines_ = [], [], []
        self.support_, self.others_ = [], []
        for panel, ax_ in enumerate(axes):
            self._plot_rows(ax_, self.n_shots[panel], support_kw, others_kw)
            self._plot_prediction(ax_, panel, line_kw, band_kw, prior_kw)
            ax_.set(title=_counted(self.n_shots[panel]), xlabel=self.feature)
        axes[0].set_ylabel(self.response)
        handles, labels = axes[-1].get_legend_handles_labels()
        if ax is None:
            look = {"loc": "outside lower center", "ncols": len(labels)}
            self.figure_.legend(handles, labels, frameon=False, **look)
        else:
            axes[-1].legend(fontsize="small")
        return self

    def _plot_rows(self, ax, n, support_kw, others_kw):
        faint = {"color": GREY, "s": 12, "alpha": 0.5, "linewidths": 0, "label": "other rows"}
        marked = {"color": COLOURS[1], "s": 40, "zorder": 4, "edgecolors": "white"}
        marked["label"] = "rows shown"
        others, support = (
            merged(faint, others_kw, "others_kw"),
            merged(marked, support_kw, "support_kw"),
        )
        self.others_.append(ax.scatter(self.x[n:], self.y[n:], **others))
        self.support_.append(ax.scatter(self.x[:n], self.y[:n], **support))

    def _plot_prediction(self, ax, panel, line_kw, band_kw, prior_kw):
        mean, blue = self.mean[panel], COLOURS[0]
        if self.n_shots[panel]:
            dashed = {"color": GREY, "linestyle": "--", "linewidth": 1.2, "label": "no rows"}
            self.prior_lines_ += ax.plot(
                self.grid, self.prior, **merged(dashed, prior_kw, "prior_kw")
            )
        line = merged({"color": blue, "linewidth": 2, "label": "prediction"}, line_kw, "line_kw")
        self.lines_ += ax.plot(self.grid, mean, **line)
        if self.std is None:
            return
        look = {"color": blue, "alpha": 0.15, "linewidth": 0, "label": "90% band"}
        edges = [np.clip(mean + z * self.std[panel], *self.bounds) for z in (-Z90, Z90)]
        band = ax.fill_between(self.grid, *edges, **merged(look, band_kw, "band_kw"))
        self.bands_.append(band)


def _counted(n):
    return {0: "no rows", 1: "1 row"}.get(n, f"{n} rows")


def _check_shots(n_shots, n_rows, task):
    shots = list(n_shots) if np.iterable(n_shots) and not isinstance(n_shots, str) else [n_shots]
    if not shots:
        raise ValueError("n_shots must hold one number of rows or more, got none")
    for n in shots:
        check_number("n_shots", n, 0, n_rows, f"numbers of the {n_rows} rows{of_task('', task)},")
    return tuple(int(n) for n in shots)


def _bounds(meta):
    """Between which targets lie."""
    return (0, np.inf) if meta._served.learned.network.loss_name == "poisson" else (-np.inf, np.inf)


def _predict(meta, X, y, n, rows, output):
    """Mean and standard deviation (points,) of one output, after the first n rows."""
    adapted, learned = copy.copy(meta), meta._served.learned
    if not hasattr(X, "columns"):  # the rows were checked, in which they lost their names
        vars(adapted).pop("feature_names_in_", None)
    adapted.fit_adapt(safe_indexing(X, np.arange(n)), y[:n])
    knows = has_std(learned)
    ask = adapted.predict_proba if learned.encoder.is_classifier else adapted.predict
    found = ask(rows, return_std=True) if knows else (ask(rows), None)
    return tuple(None if v is None else v.reshape(len(v), -1)[:, output] for v in found)


def _along(X, number, x, grid, others):
    """Rows along the grid of one feature, (points, features)."""
    if others not in OTHERS:
        raise ValueError(f"others={shown(others)}; expected one of [{listed(OTHERS)}]")
    rows = safe_indexing(X, np.zeros(len(grid), int))
    n_features = len(X.columns) if hasattr(X, "columns") else X.shape[1]
    for i in range(n_features):
        values = column(X, i)
        if i == number:
            rows = with_column(rows, i, grid)
        elif values is None:
            own = np.asarray(X[X.columns[i]] if hasattr(X, "columns") else X[:, i], dtype=object)
            rows = with_column(rows, i, [max(own.tolist(), key=own.tolist().count)] * len(grid))
        elif others == "median" or not np.isfinite(values).any():
            rows = with_column(rows, i, np.full(len(grid), np.nanmedian(values)))
        else:
            rows = with_column(rows, i, _smooth(x, values, grid))
    return rows


def _smooth(x, values, grid):
    """Local linear regression of values (rows,) on x, at the points of the grid."""
    there = np.isfinite(x) & np.isfinite(values)
    x, values = x[there], values[there]
    width = BANDWIDTH * np.ptp(x) or 1.0
    distance = (x - grid[:, None]) / width  # (points, rows)
    exponent = -0.5 * distance**2
    weight = np.exp(exponent - exponent.max(axis=1, keepdims=True))
    weight /= weight.sum(axis=1, keepdims=True)
    centre, mean = (weight * distance).sum(axis=1), weight @ values
    spread = (weight * (distance - centre[:, None]) ** 2).sum(axis=1)
    together = (weight * (distance - centre[:, None]) * values).sum(axis=1)
    slope = together / (spread + 0.1)  # where rows are few, towards their mean
    return np.clip(mean - slope * centre, values.min(), values.max())
