"""TrainingDisplay: the loss over meta-steps, and which of them was kept."""

import numpy as np

from ..algorithms import DeepKernelGP
from ._plotting import COLOURS, GREY, check_number, merged, single_ax
from ._tasks import fitted

SMOOTHED = 50  # meta-steps of the running mean


class TrainingDisplay:
    """The loss of each meta-step and of the validation tasks, the kept step marked.

    The loss of a meta-step is that of the few tasks it drew, and so noisy: it is drawn faint,
    and its running mean bold. Where tasks were held out, the line of their loss decides which
    step is kept.

    Parameters
    ----------
    loss : ndarray of shape (n_steps,)
        Of each meta-step, NaN where it was skipped.
    validation_steps : ndarray of shape (n_evaluations,) or None
        After how many meta-steps the validation tasks were asked.
    validation_loss : ndarray of shape (n_evaluations,) or None
        The negative `validation_scores_`.
    best_iter : int or None
        The meta-step whose parameters were kept.
    same_loss : bool, default=True
        Whether both losses are of one kind, and so can share an axis.

    Attributes
    ----------
    ax_ : matplotlib Axes
    validation_ax_ : matplotlib Axes or None
        Of the validation loss: `ax_`, unless losses are of two kinds.
    figure_ : matplotlib Figure
    raw_, smooth_ : matplotlib Line2D
    validation_line_, kept_line_ : matplotlib Line2D or None

    See Also
    --------
    sklearn_meta.MetaLearner : Its `loss_curve_`, `validation_scores_` and `best_iter_`.

    Examples
    --------
    >>> from sklearn.neural_network import MLPRegressor
    >>> from sklearn_meta import MetaLearner
    >>> from sklearn_meta.datasets import Sinusoids
    >>> from sklearn_meta.inspection import TrainingDisplay
    >>> tasks = Sinusoids(n_rows=20).sample(100, random_state=0)
    >>> mlp = MLPRegressor(hidden_layer_sizes=(40,))
    >>> meta = MetaLearner(mlp, max_iter=200, random_state=0).fit(tasks)
    >>> display = TrainingDisplay.from_estimator(meta)
    >>> display.ax_.get_xlabel()
    'meta-step'
    """

    def __init__(
        self, *, loss, validation_steps=None, validation_loss=None, best_iter=None, same_loss=True
    ):
        self.loss = loss
        self.validation_steps = validation_steps
        self.validation_loss = validation_loss
        self.best_iter = best_iter
        self.same_loss = same_loss

    @classmethod
    def from_estimator(cls, meta, *, ax=None, smooth=SMOOTHED, **options):
        """Draw the training of a fitted MetaLearner.

        Parameters
        ----------
        meta : MetaLearner
            Fitted.
        ax : matplotlib Axes, default=None
        smooth : int, default=50
            Meta-steps of the running mean.
        **options
            Of `plot`.

        Returns
        -------
        TrainingDisplay
        """
        now = fitted(meta, cls.__name__)
        scores = getattr(now, "validation_scores_", None)
        steps = None if not scores else _evaluated(now, len(scores))
        return cls(
            loss=np.array(now.loss_curve_),
            validation_steps=steps,
            validation_loss=None if steps is None else -np.array(scores),
            best_iter=getattr(now, "best_iter_", None),
            same_loss=not isinstance(now.algorithm_, DeepKernelGP),  # it trains on evidence
        ).plot(ax=ax, smooth=smooth, **options)

    def plot(
        self,
        ax=None,
        *,
        smooth=SMOOTHED,
        raw_kw=None,
        smooth_kw=None,
        validation_kw=None,
        kept_kw=None,
    ):
        """Draw it.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            None: those of a new figure.
        smooth : int, default=50
            Meta-steps of the running mean.
        raw_kw, smooth_kw, validation_kw, kept_kw : dict, default=None
            Keywords of the lines: of each step's loss, its running mean, the validation loss and
            the kept step.

        Returns
        -------
        TrainingDisplay
        """
        check_number("smooth", smooth, 1, 10**6, "a number of meta-steps")
        ax = single_ax("TrainingDisplay.plot", ax, (6.4, 4))
        self.ax_, self.figure_ = ax, ax.figure
        first, second = COLOURS[:2]
        raw = {"color": first, "alpha": 0.2, "linewidth": 0.8}
        bold = {"color": first, "linewidth": 2, "label": f"training tasks (mean of {smooth} steps)"}
        steps = np.arange(1, len(self.loss) + 1)
        (self.raw_,) = ax.plot(steps, self.loss, **merged(raw, raw_kw, "raw_kw"))
        middle, mean = _running_mean(self.loss, smooth)
        (self.smooth_,) = ax.plot(middle, mean, **merged(bold, smooth_kw, "smooth_kw"))
        self._plot_validation(merged({"color": second}, validation_kw, "validation_kw"))
        self.kept_line_ = None
        if self.best_iter is not None:
            kept = {"color": GREY, "linestyle": "--", "label": f"kept: step {self.best_iter}"}
            self.kept_line_ = ax.axvline(self.best_iter, **merged(kept, kept_kw, "kept_kw"))
        ax.set(xlabel="meta-step", ylabel="loss", xlim=(0, len(self.loss) + 1))
        self._choose_scale()
        lines = [self.smooth_, self.validation_line_, self.kept_line_]
        ax.legend(handles=[line for line in lines if line is not None], edgecolor="none")
        return self

    def _plot_validation(self, options):
        self.validation_line_, self.validation_ax_ = None, None
        if self.validation_loss is None:
            return
        options = {"marker": ".", "linewidth": 1.5, "label": "validation tasks"} | options
        self.validation_ax_ = self.ax_ if self.same_loss else self.ax_.twinx()
        (self.validation_line_,) = self.validation_ax_.plot(
            self.validation_steps, self.validation_loss, **options
        )
        if not self.same_loss:
            self.validation_ax_.set_ylabel("loss on validation tasks")

    def _choose_scale(self):
        """Positive losses by their logarithm, so that the first steps leave room for the others."""
        ours = [self.loss, self.validation_loss if self.same_loss else None]
        values = np.concatenate([each for each in ours if each is not None])
        values = values[np.isfinite(values)]
        if len(values) and values.min() > 0 and values.max() > 10 * values.min():
            self.ax_.set_yscale("log")


def _evaluated(meta, n_scores):
    """After how many meta-steps the validation tasks were asked, (n_scores,)."""
    steps = np.arange(1, n_scores + 1) * meta.validation_interval
    steps = np.minimum(steps, len(meta.loss_curve_))
    # several networks are kept each from an evaluation of its own, the last of which is this
    if meta.best_iter_ not in steps:
        raise ValueError(
            f"validation_interval={meta.validation_interval} is not that of fit: by it there was "
            f"no evaluation at step {meta.best_iter_}, which was kept; set it back"
        )
    return steps


def _running_mean(loss, width):
    """Steps in the middle of each window, and the mean of the finite losses there."""
    width = min(width, len(loss))
    windows = np.lib.stride_tricks.sliding_window_view(loss, width)
    finite = np.isfinite(windows)
    total, count = np.where(finite, windows, 0).sum(axis=1), finite.sum(axis=1)
    mean = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return np.arange(len(mean)) + (width + 1) / 2, mean
