"""FewShotCurveDisplay: how well new tasks are predicted as rows of them arrive."""

import numpy as np

from .._messages import listed, shown
from ..model_selection import few_shot_curve
from ._plotting import COLOURS, GREY, merged, several_axes

PARTS = "contestants", "n_shots", "unit", "scoring", "mean", "interval", "hurt"


class FewShotCurveDisplay:
    """Scores on unseen tasks over the number of rows shown, a curve a contestant.

    The bands are 95% intervals over tasks. The first contestant is the model that is judged,
    drawn boldest. The axis is for its scores: what is far worse runs out of the picture.

    Parameters
    ----------
    result : FewShotCurve
        What `sklearn_meta.model_selection.few_shot_curve` returned.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Of the curves.
    hurt_ax_ : matplotlib Axes or None
        Of the share of tasks hurt.
    figure_ : matplotlib Figure
    lines_ : list of matplotlib Line2D
        A contestant each.
    bands_ : list of matplotlib PolyCollection
        A contestant each.
    hurt_lines_ : list of matplotlib Line2D
        Against the prior, against the best baseline; empty without that panel.
    hurt_bands_ : list of matplotlib PolyCollection

    Examples
    --------
    >>> from sklearn.linear_model import LinearRegression
    >>> from sklearn_meta.baselines import Shifted
    >>> from sklearn_meta.datasets import load_countries
    >>> from sklearn_meta.inspection import FewShotCurveDisplay
    >>> from sklearn_meta.model_selection import few_shot_curve
    >>> curve = few_shot_curve(Shifted(LinearRegression()), load_countries(), cv=3, baselines=None)
    >>> FewShotCurveDisplay.from_result(curve, hurt=True).ax_.get_ylabel()
    'r2'
    """

    def __init__(self, result):
        self.result = result

    @classmethod
    def from_result(cls, result, *, ax=None, scoring=None, hurt=False, **options):
        """Draw what `few_shot_curve` returned.

        Parameters
        ----------
        result : FewShotCurve
        ax, scoring, hurt
            As in `plot`.
        **options
            Of `plot`.

        Returns
        -------
        FewShotCurveDisplay

        Raises
        ------
        TypeError
            If it is no such result.
        """
        lacking = [name for name in PARTS if not hasattr(result, name)]
        if lacking:
            raise TypeError(
                f"result must be what few_shot_curve returns, got {shown(result)}, which has no "
                f"{lacking[0]}"
            )
        return cls(result).plot(ax=ax, scoring=scoring, hurt=hurt, **options)

    @classmethod
    def from_estimator(cls, estimator, X, y=None, *, ax=None, hurt=False, **parameters):
        """Find the curve by `few_shot_curve`, which fits the estimator anew, and draw it.

        Parameters
        ----------
        estimator : estimator
        X, y
            As in `few_shot_curve`.
        ax, hurt
            As in `plot`.
        **parameters
            Of `few_shot_curve`; of several metrics in `scoring`, the first is drawn.

        Returns
        -------
        FewShotCurveDisplay
        """
        return cls.from_result(few_shot_curve(estimator, X, y, **parameters), ax=ax, hurt=hurt)

    def plot(self, ax=None, *, scoring=None, hurt=False, line_kw=None, band_kw=None):
        """Draw it.

        Parameters
        ----------
        ax : matplotlib Axes or pair of them, default=None
            None: those of a new figure. With `hurt` a pair.
        scoring : str, default=None
            Which metric; None: the first.
        hurt : bool, default=False
            Also draw the share of tasks that adaptation hurts: that the model predicts worse than
            without the rows, and worse than the best baseline does.
        line_kw, band_kw : dict, default=None
            Keywords of all curves, and of all bands.

        Returns
        -------
        FewShotCurveDisplay
        """
        result = self.result
        if scoring is not None and scoring not in result.scoring:
            raise ValueError(
                f"scoring={shown(scoring)} is none of the result's, [{listed(result.scoring)}]"
            )
        options = {"nrows": 1 + hurt, "sharex": True, "figsize": (6.6, 5.6 if hurt else 4.2)}
        if hurt:
            options["height_ratios"] = (2.2, 1)
        axes = several_axes("FewShotCurveDisplay.plot", ax, 1 + hurt, **options)
        self.ax_, self.hurt_ax_ = axes[0], axes[1] if hurt else None
        self.figure_ = self.ax_.figure
        self._plot_curves(scoring, line_kw, band_kw)
        self.hurt_lines_, self.hurt_bands_ = [], []
        if hurt:
            self._plot_hurt(scoring, line_kw, band_kw)
        _number_axis(axes, result.n_shots, result.unit)
        return self

    def _plot_curves(self, scoring, line_kw, band_kw):
        mean, interval = self.result.mean(scoring), self.result.interval(scoring)
        self.lines_, self.bands_ = [], []
        for i, name in enumerate(self.result.contestants):
            look = {
                "color": COLOURS[i % len(COLOURS)],
                "linestyle": "-" if i < len(COLOURS) else "--",
                "linewidth": 1.3 if i else 2.8,
                "zorder": 2.5 if i else 3,
                "label": name,
            }
            line, band = _curve(self.ax_, self.result.n_shots, mean[i], interval[i], look)
            self._keep(self.lines_, self.bands_, line, band, line_kw, band_kw)
        self.ax_.set_ylim(*_limits(interval))
        self.ax_.set_ylabel(self.result.scoring[0] if scoring is None else scoring)
        self.ax_.legend(frameon=False)

    def _plot_hurt(self, scoring, line_kw, band_kw):
        labels = {
            "prior": f"worse than without the {self.result.unit}s",
            "baseline": "worse than the best baseline",
        }
        for number, (against, label) in enumerate(labels.items()):
            share = self.result.hurt(scoring, against=against)  # (n_shots, 3)
            look = {"color": COLOURS[0], "linestyle": ("-", "--")[number], "label": label}
            n_shots = self.result.n_shots
            line, band = _curve(self.hurt_ax_, n_shots, share[:, 0], share[:, 1:], look)
            self._keep(self.hurt_lines_, self.hurt_bands_, line, band, line_kw, band_kw)
        self.hurt_ax_.axhline(0.5, color=GREY, linewidth=0.8, zorder=1)
        self.hurt_ax_.set(ylim=(0, 1), ylabel="tasks hurt")
        self.hurt_ax_.legend(frameon=False, fontsize="small")

    def _keep(self, lines, bands, line, band, line_kw, band_kw):
        line.set(**merged({}, line_kw, "line_kw"))
        band.set(**merged({}, band_kw, "band_kw"))
        lines.append(line)
        bands.append(band)


def _curve(ax, n_shots, mean, interval, look):
    """A line with its band; where it is undefined, nothing is drawn."""
    (line,) = ax.plot(n_shots, mean, marker="o", markersize=4, **look)
    band = ax.fill_between(n_shots, *interval.T, color=look["color"], alpha=0.15, linewidth=0)
    return line, band


def _limits(interval):
    """Of the scores' axis, from intervals (contestants, n_shots, 2): room for the judged model, and
    below it for those that are no further off than that is high."""
    lowest, highest, judged = np.nanmin(interval), np.nanmax(interval), np.nanmin(interval[0])
    lowest = max(lowest, judged - (highest - judged))
    margin = 0.05 * (highest - lowest) or 0.05
    return lowest - margin, highest + margin


def _number_axis(axes, n_shots, unit):
    """Numbers of rows by their logarithm from the smallest on, and 0 as far below it."""
    positive = [n for n in n_shots if n > 0]
    for ax in axes:
        ax.set_xscale("symlog", linthresh=min(positive, default=1), linscale=0.5)
        ax.set_xticks(n_shots, [str(n) for n in n_shots])
        ax.set_xticks([], minor=True)
        ax.margins(x=0.03)
    axes[-1].set_xlabel(f"{unit}s shown of an unseen task")
