"""CalibrationDisplay: is the model as sure of unseen tasks as it should be?"""

import numpy as np
from scipy.stats import norm

from .._messages import shown
from ..encoding._input import task_collection
from ..encoding._learnable import learnable
from ._plotting import COLOURS, GREY, check_number, merged, single_ax
from ._tasks import fitted, half_widths, has_std, learn_split

LEVELS = np.linspace(0, 1, 21)
FEWEST = 5  # forecasts of a task in a bin, to draw their share


class CalibrationDisplay:
    """Expected against observed, over unseen tasks: on the diagonal, the model is calibrated.

    Regression: how many targets lie within the central intervals of the predictive distribution,
    of `BayesianHead` with squared error a Student's t, else the Gaussian of the predicted mean and
    standard deviation, against how many should. Below the diagonal the model is too sure.
    Classes: each class of each row is a forecast (of two classes the second alone); the mean
    predicted probability in ten bins of equal width, against how often that was the class.

    Parameters
    ----------
    expected : ndarray of shape (n_points,) or (n_tasks, n_points)
        Nominal coverage; of classes each task's mean probability in a bin.
    observed : ndarray of shape (n_tasks, n_points)
        Coverage, or share; NaN where a task has too few forecasts.
    expected_mean, observed_mean : ndarray of shape (n_points,)
        Regression: the mean over tasks. Classes: of all forecasts together.
    interval : ndarray of shape (n_points, 2) or None
        Classes: Wilson's 95% interval of the share of all forecasts together, which takes them
        for independent.
    task_ids : ndarray of shape (n_tasks,)
    kind : {"coverage", "reliability"}

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    task_lines_ : list of matplotlib Line2D
        Of the tasks with two points or more.
    mean_line_, diagonal_ : matplotlib Line2D
    interval_lines_ : matplotlib LineCollection or None

    See Also
    --------
    sklearn.calibration.CalibrationDisplay : Of a classifier on the rows of one data set.

    Examples
    --------
    >>> from sklearn.neural_network import MLPRegressor
    >>> from sklearn_meta import MetaLearner
    >>> from sklearn_meta.datasets import Sinusoids
    >>> from sklearn_meta.inspection import CalibrationDisplay
    >>> tasks = Sinusoids(n_rows=20).sample(130, random_state=0)
    >>> mlp = MLPRegressor(hidden_layer_sizes=(40,))
    >>> meta = MetaLearner(mlp, max_iter=200, random_state=0).fit(tasks[:100])
    >>> display = CalibrationDisplay.from_estimator(meta, tasks[100:])
    >>> len(display.task_lines_)
    30
    """

    def __init__(
        self, *, expected, observed, expected_mean, observed_mean, task_ids, kind, interval=None
    ):
        self.expected = expected
        self.observed = observed
        self.expected_mean = expected_mean
        self.observed_mean = observed_mean
        self.task_ids = task_ids
        self.kind = kind
        self.interval = interval

    @classmethod
    def from_estimator(
        cls,
        meta,
        X,
        y=None,
        groups=None,
        *,
        n_shots=5,
        support_order="auto",
        random_state=0,
        ax=None,
        **options,
    ):
        """Adapt to a few rows of each unseen task, and judge it on its others.

        Parameters
        ----------
        meta : MetaLearner
            Fitted; it stays as it is.
        X, y, groups
            Unseen tasks, as `fit` takes them: a TaskCollection, or rows. Where rows are marked
            by `is_support`, the support is of these.
        n_shots : int, default=5
            Support rows of a task, or blocks of a TaskCollection that has them; where tasks have
            classes of their own, of each class.
        support_order : {"auto", "random", "first"}, default="auto"
            Whether the support is any rows of a task, or its first. "auto": as `meta` was told.
        random_state : int, RandomState or None, default=0
            Of the random support.
        ax : matplotlib Axes, default=None
        **options
            Of `plot`.

        Returns
        -------
        CalibrationDisplay

        Raises
        ------
        ValueError
            If the algorithm predicts no standard deviation (regression), or tasks or parameters
            will not do.
        """
        now = fitted(meta, cls.__name__)
        learned = now._served.learned
        if not learned.encoder.is_classifier and not has_std(learned):
            raise ValueError(
                f"{cls.__name__} needs predictions with a standard deviation; algorithm "
                f"{shown(learned.algorithm)} has none, BayesianHead and DeepKernelGP have"
            )
        check_number("n_shots", n_shots, 0, 10**6, "a number of rows")
        tasks = task_collection(now, X, y, groups)
        own_classes = not learned.encoder.shared_labels
        can_learn = learnable(tasks, n_shots, own_classes=own_classes)
        tasks = tasks.take(np.flatnonzero(can_learn))
        order = now.support_order if support_order == "auto" else support_order
        split = learn_split(now, tasks, n_shots, order, random_state)
        find = _reliability if learned.encoder.is_classifier else _coverage
        return cls(**find(tasks, split), task_ids=tasks.task_ids).plot(ax=ax, **options)

    def plot(self, ax=None, *, task_kw=None, mean_kw=None, diagonal_kw=None):
        """Draw it.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            None: those of a new figure.
        task_kw, mean_kw, diagonal_kw : dict, default=None
            Keywords of the tasks' lines, the bold line and the diagonal.

        Returns
        -------
        CalibrationDisplay
        """
        self.ax_ = ax = single_ax("CalibrationDisplay.plot", ax, (5, 5))
        self.figure_ = ax.figure
        dashed = {"color": "black", "linestyle": "--", "linewidth": 1, "label": "calibrated"}
        (self.diagonal_,) = ax.plot([0, 1], [0, 1], **merged(dashed, diagonal_kw, "diagonal_kw"))
        thin = {
            "color": GREY,
            "linewidth": 0.7,
            "alpha": max(0.15, 1 / (1 + len(self.observed) / 8)),
        }
        thin, self.task_lines_ = merged(thin, task_kw, "task_kw"), []
        for x, share in zip(
            np.broadcast_to(self.expected, self.observed.shape), self.observed, strict=True
        ):
            there = np.isfinite(share)
            if np.count_nonzero(there) > 1:
                self.task_lines_ += ax.plot(x[there], share[there], **thin)
        if self.task_lines_:
            self.task_lines_[0].set_label("a task each")
        coverage = self.kind == "coverage"
        bold = {"color": COLOURS[0], "linewidth": 2.5, "marker": "" if coverage else "o"}
        bold["markersize"] = 5
        bold["label"] = "mean over tasks" if coverage else "all tasks together"
        (self.mean_line_,) = ax.plot(
            self.expected_mean, self.observed_mean, **merged(bold, mean_kw, "mean_kw")
        )
        self.interval_lines_ = None
        if self.interval is not None:
            self.interval_lines_ = ax.vlines(
                self.expected_mean, *self.interval.T, color=self.mean_line_.get_color(), linewidth=1
            )
        labels = {
            "coverage": ("nominal coverage", "observed coverage on unseen tasks"),
            "reliability": ("predicted probability", "observed share on unseen tasks"),
        }[self.kind]
        ax.set(xlabel=labels[0], ylabel=labels[1], xlim=(0, 1), ylim=(0, 1), aspect="equal")
        ax.legend(frameon=False, loc="upper left" if coverage else "lower right")
        return self


def _coverage(tasks, split):
    """Nominal and observed coverage of central intervals."""
    learned, asked = split.learned, split.asked
    mean = learned.decode(learned.outputs(asked), asked.place)
    std = learned.decode_std(learned.std(asked))
    mean, std, y = (values.reshape(len(mean), -1) for values in (mean, std, tasks.y[split.rows]))
    error = np.abs(y - mean) / std  # (rows, outputs)
    inside = error[..., None] <= half_widths(learned, asked, LEVELS)
    inside = inside.mean(axis=1)  # (rows, levels)
    count = np.bincount(asked.place, minlength=len(tasks))[:, None]
    observed = np.zeros((len(tasks), len(LEVELS)))
    np.add.at(observed, asked.place, inside)
    observed = np.where(count > 0, observed / np.maximum(count, 1), np.nan)
    return {
        "expected": LEVELS,
        "observed": observed,
        "expected_mean": LEVELS,
        "observed_mean": np.nanmean(observed, axis=0),
        "kind": "coverage",
    }


def _reliability(tasks, split):
    """Mean predicted probability and observed share in bins."""
    task, forecast, happened = _forecasts(tasks, split)
    n_bins = 10
    bin_ = np.minimum((forecast * n_bins).astype(int), n_bins - 1)
    cell = task * n_bins + bin_
    sums = np.array(
        [np.bincount(cell, w, minlength=len(tasks) * n_bins) for w in (None, forecast, happened)]
    ).reshape(3, len(tasks), n_bins)
    expected, observed = _means(sums, FEWEST)
    total = sums.sum(axis=1)
    expected_mean, observed_mean = _means(total, 1)
    return {
        "expected": expected,
        "observed": observed,
        "expected_mean": expected_mean,
        "observed_mean": observed_mean,
        "interval": _wilson(total[0], observed_mean),
        "kind": "reliability",
    }


def _means(sums, fewest):
    """Means of forecasts and of what happened; NaN where forecasts are too few."""
    count = sums[0]
    return np.where(count >= fewest, sums[1:] / np.maximum(count, 1), np.nan)


def _wilson(count, share):
    """Wilson's 95% interval of shares (bins,), (bins, 2)."""
    z = norm.ppf(0.975)
    count = np.maximum(count, 1)
    middle = share + z**2 / (2 * count)
    half = z * np.sqrt(share * (1 - share) / count + (z / (2 * count)) ** 2)
    return np.stack([middle - half, middle + half], axis=-1) / (1 + z**2 / count)[:, None]


def _forecasts(tasks, split):
    """Of every row and class: its task's number, the probability, and whether it was the class."""
    learned, asked = split.learned, split.asked
    z = learned.outputs(asked)
    probability = learned.network.loss.mean(z)  # (rows, outputs)
    classes = learned.encoder.targets.classes
    y = tasks.y[split.rows]
    if classes is not None:
        codes = np.searchsorted(classes, y)
        n_classes = np.full(len(y), len(classes))
    else:
        own = split.classes
        codes = np.array(
            [np.searchsorted(own[t], label) for t, label in zip(asked.place, y, strict=True)]
        )
        n_classes = np.array([len(c) for c in own])[asked.place]
    if probability.shape[1] == 1:
        return asked.place, probability[:, 0].astype(float), codes == 1
    there = np.arange(probability.shape[1]) < n_classes[:, None]
    row, output = np.nonzero(there)
    return asked.place[row], probability[there].astype(float), codes[row] == output
