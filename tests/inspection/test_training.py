import numpy as np
import pytest

from sklearn_meta.inspection import TrainingDisplay

pytestmark = pytest.mark.usefixtures("figures")


@pytest.fixture
def trained(regression):
    return regression.meta(max_iter=70, validation_interval=20).fit(regression.tasks)


def test_what_is_drawn(trained):
    display = TrainingDisplay.from_estimator(trained, smooth=10)
    np.testing.assert_array_equal(display.raw_.get_ydata(), trained.loss_curve_)
    plain = [np.mean(trained.loss_curve_[i : i + 10]) for i in range(61)]
    np.testing.assert_allclose(display.smooth_.get_ydata(), plain)
    np.testing.assert_allclose(display.smooth_.get_xdata(), np.arange(61) + 5.5)
    np.testing.assert_array_equal(display.validation_line_.get_xdata(), [20, 40, 60, 70])
    scores = display.validation_line_.get_ydata()
    np.testing.assert_array_equal(scores, -np.array(trained.validation_scores_))
    assert set(display.kept_line_.get_xdata()) == {trained.best_iter_}
    assert display.raw_.get_alpha() < 1 < display.smooth_.get_linewidth()
    assert display.validation_ax_ is display.ax_
    labels = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert labels == [
        "training tasks (mean of 10 steps)",
        "validation tasks",
        f"kept: step {trained.best_iter_}",
    ]


def test_without_validation(regression):
    meta = regression.meta(early_stopping=False).fit(regression.tasks)
    display = TrainingDisplay.from_estimator(meta)
    assert display.validation_line_ is None
    assert display.validation_ax_ is None
    assert set(display.kept_line_.get_xdata()) == {20}


def test_after_partial_fit_alone(regression):
    meta = regression.meta().partial_fit(regression.tasks).partial_fit(regression.tasks)
    display = TrainingDisplay.from_estimator(meta)
    assert len(display.raw_.get_ydata()) == 2
    assert display.validation_line_ is display.kept_line_ is None


def test_the_evidence_is_no_validation_loss(regression):
    meta = regression.meta("deep_kernel_gp").fit(regression.tasks)
    display = TrainingDisplay.from_estimator(meta)
    assert display.validation_ax_ is not display.ax_
    assert display.validation_ax_.get_ylabel() == "loss on validation tasks"


def test_a_skipped_step_leaves_the_mean_of_the_others():
    loss = np.array([4.0, np.nan, 2.0, np.nan, np.nan])
    display = TrainingDisplay(loss=loss).plot(smooth=2)
    np.testing.assert_array_equal(display.smooth_.get_ydata(), [4, 2, 2, np.nan])


def test_losses_far_apart_are_drawn_by_their_logarithm():
    scales = [
        TrainingDisplay(loss=np.array(loss)).plot().ax_.get_yscale()
        for loss in ([1, 0.5, 0.4], [1, 0.1, 0.01], [1, 0.1, -0.1])
    ]
    assert scales == ["linear", "log", "linear"]


def test_into_given_axes_with_keywords(trained, figures):
    ax = figures.figure().gca()
    display = TrainingDisplay.from_estimator(trained, ax=ax, raw_kw={"color": "red"})
    assert display.ax_ is ax
    assert display.raw_.get_color() == "red"


def test_bad_parameters(trained):
    with pytest.raises(ValueError, match="smooth=0; expected a number of meta-steps from 1"):
        TrainingDisplay.from_estimator(trained, smooth=0)
    trained.validation_interval = 3
    with pytest.raises(ValueError, match="validation_interval=3 is not that of fit"):
        TrainingDisplay.from_estimator(trained)
