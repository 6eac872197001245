from dataclasses import dataclass, field

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from sklearn_meta.baselines import Shifted
from sklearn_meta.inspection import FewShotCurveDisplay
from sklearn_meta.model_selection import few_shot_curve

pytestmark = pytest.mark.usefixtures("figures")


@dataclass
class Result:
    """What `few_shot_curve` returns, its numbers plain."""

    contestants: list = field(default_factory=lambda: ["MetaLearner", "pooled", "local"])
    n_shots: tuple = (0, 1, 5)
    unit: str = "row"
    scoring: list = field(default_factory=lambda: ["r2", "neg_mae"])

    def __post_init__(self):
        rng = np.random.RandomState(0)
        shape = len(self.contestants), len(self.n_shots), 7
        self.scores = {name: rng.normal(size=shape) for name in self.scoring}
        self.scores["r2"][2, 0] = np.nan  # no local model without rows
        self.task_ids = np.arange(7)

    def mean(self, scoring=None):
        return self.scores[scoring or "r2"].mean(axis=2)

    def interval(self, scoring=None):
        return self.mean(scoring)[..., None] + [-0.1, 0.2]

    def hurt(self, scoring=None, against="prior"):
        share = {"prior": 0.2, "baseline": 0.6}[against]
        table = np.tile([share, share - 0.1, share + 0.1], (len(self.n_shots), 1))
        if against == "prior":
            table[0] = np.nan
        return table


def test_a_curve_and_a_band_for_each_contestant():
    result = Result()
    display = FewShotCurveDisplay.from_result(result)
    assert [line.get_label() for line in display.lines_] == result.contestants
    assert len(display.bands_) == 3
    assert len({line.get_color() for line in display.lines_}) == 3
    widths = [line.get_linewidth() for line in display.lines_]
    assert widths[0] > max(widths[1:])
    for line, mean in zip(display.lines_, result.mean(), strict=True):
        np.testing.assert_array_equal(line.get_xdata(), result.n_shots)
        np.testing.assert_array_equal(line.get_ydata(), mean)
    low, high = display.bands_[1].get_datalim(display.ax_.transData).intervaly
    assert low == pytest.approx(result.interval()[1].min())
    assert high == pytest.approx(result.interval()[1].max())
    assert display.figure_ is display.ax_.figure
    assert display.hurt_ax_ is None
    assert display.hurt_lines_ == []


def test_the_numbers_of_rows_are_the_ticks():
    ax = FewShotCurveDisplay.from_result(Result()).ax_
    assert ax.get_xscale() == "symlog"
    assert [text.get_text() for text in ax.get_xticklabels()] == ["0", "1", "5"]
    at = ax.transData.transform([(n, 0) for n in (0, 1, 5)])[:, 0]
    assert np.all(np.diff(at) > 0.1 * np.ptp(at))
    assert ax.get_ylabel() == "r2"


def test_what_is_far_worse_runs_out_of_the_picture():
    result = Result()
    result.scores["r2"][2, 1] = -1000
    low, high = FewShotCurveDisplay.from_result(result).ax_.get_ylim()
    drawn = result.interval()[:2]
    assert low <= drawn[0].min()
    assert drawn.max() <= high
    assert high - low < 3 * np.ptp(drawn)


def test_another_metric():
    display = FewShotCurveDisplay.from_result(Result(), scoring="neg_mae")
    np.testing.assert_array_equal(display.lines_[0].get_ydata(), Result().mean("neg_mae")[0])
    assert display.ax_.get_ylabel() == "neg_mae"
    with pytest.raises(ValueError, match=r"scoring='f1' is none of the result's, \['r2', "):
        display.plot(scoring="f1")


def test_tasks_hurt_as_a_second_panel():
    result = Result()
    display = FewShotCurveDisplay.from_result(result, hurt=True)
    assert len(display.figure_.axes) == 2
    assert display.hurt_ax_.get_ylim() == (0, 1)
    labels = [line.get_label() for line in display.hurt_lines_]
    assert labels == ["worse than without the rows", "worse than the best baseline"]
    for line, against in zip(display.hurt_lines_, ("prior", "baseline"), strict=True):
        np.testing.assert_array_equal(line.get_ydata(), result.hurt(against=against)[:, 0])
    assert display.ax_.get_xlabel() == ""
    assert "rows shown" in display.hurt_ax_.get_xlabel()


def test_into_given_axes(figures):
    _, axes = figures.subplots(2)
    display = FewShotCurveDisplay(Result()).plot(tuple(axes), hurt=True, line_kw={"alpha": 0.5})
    assert (display.ax_, display.hurt_ax_) == tuple(axes)
    assert display.lines_[0].get_alpha() == 0.5
    with pytest.raises(ValueError, match="ax must be 2 matplotlib Axes"):
        display.plot(axes[0], hurt=True)


def test_of_an_estimator(regression):
    options = {"n_shots": (0, 2), "cv": 2, "baselines": [Shifted(Ridge())], "random_state": 0}
    display = FewShotCurveDisplay.from_estimator(
        regression.meta(), regression.tasks, hurt=True, **options
    )
    curve = few_shot_curve(regression.meta(), regression.tasks, **options)
    for line, mean in zip(display.lines_, curve.mean(), strict=True):
        np.testing.assert_array_equal(line.get_ydata(), mean)
    for line, against in zip(display.hurt_lines_, ("prior", "baseline"), strict=True):
        np.testing.assert_array_equal(line.get_ydata(), curve.hurt(against=against)[:, 0])


@pytest.mark.parametrize("wrong", [{"r2": 1}, np.zeros(3), None])
def test_what_is_no_result(wrong):
    with pytest.raises(TypeError, match="result must be what few_shot_curve returns, got"):
        FewShotCurveDisplay.from_result(wrong)
