"""Meta-training as it goes on: saved, told and watched; why it ended, and what to say of it."""

import time

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from ._evaluation import constant_loss
from ._messages import inner_rate, listed, warn
from .encoding import Encoded
from .training._trainer import MOST_SKIPPED

USELESS = 1.5  # times the loss of a constant: that of few validation tasks is noisy
INTERRUPTED = "it was interrupted"
CALLED_OFF = "a callback called it off"


def run(training, verbose=False, callbacks=None, as_if_fitted=None):
    """Train to the end, or until somebody ends it; warn of what users should act on.

    Parameters
    ----------
    training : MetaTraining
    verbose : bool, default=False
    callbacks : Callbacks or None
    as_if_fitted : callable or None
        Gives a fitted MetaLearner, were training to end now.

    Returns
    -------
    str
        Why it ended.

    Raises
    ------
    ValueError
        If training diverged before there was anything to keep.
    KeyboardInterrupt
        If it was interrupted before there was.
    """
    begin, trainer = time.monotonic(), training.trainer
    why = _train(training, begin, verbose, callbacks, as_if_fitted)
    if not trainer.has_learned:
        raise ValueError(f"meta-training diverged: {_divergence(trainer.troubled)}")
    if verbose:
        print(
            f"Training ended after meta-step {trainer.longest.state.n_iter}, "
            f"{time.monotonic() - begin:.1f} s: {why}. Kept: meta-step {trainer.best_iter}"
        )
    _warn(training, why)
    return why


def warn_of_skipped_step(algorithm, state):
    """Of a single meta-step that was not taken."""
    warn(
        "the meta-step was skipped, its loss or gradient is not finite: the parameters stay as "
        f"they were. {_advice(algorithm, state)}",
        ConvergenceWarning,
    )


def without_large(encoded, algorithm):
    """Training tasks, without those of more rows than the algorithm can learn from at once."""
    ids, arrays, classes = encoded
    if algorithm.most_rows is None or arrays.sizes.max() <= algorithm.most_rows:
        return encoded
    is_large = arrays.sizes > algorithm.most_rows
    if is_large.all():
        return encoded  # the error says more
    numbers, large = np.flatnonzero(~is_large), np.flatnonzero(is_large)
    warn(
        f"the training tasks [{listed(ids[large])}] were not adapted: {algorithm} learns a task "
        f"from {algorithm.most_rows} rows at most"
    )
    classes = classes and [classes[number] for number in numbers]
    return Encoded(ids[numbers], arrays.take(numbers), classes)


def _train(training, begin, verbose, callbacks, as_if_fitted):
    """Train; why it ended."""
    trainer, checkpoint = training.trainer, training.checkpoint
    if checkpoint is not None:
        checkpoint.save(training.saved)  # what cannot be written is an error now, not in an hour
    try:
        while not trainer.is_done:
            if callbacks is not None:
                callbacks.begin()
            report = trainer.advance()
            if checkpoint is not None:
                checkpoint.try_to_save(training.saved)
            if verbose:
                print(f"{report}, {time.monotonic() - begin:.1f} s")
            if callbacks is not None and callbacks.end(as_if_fitted):
                return CALLED_OFF
    except KeyboardInterrupt:
        if not trainer.has_learned:
            raise
        return INTERRUPTED
    return _why_done(trainer)


def _why_done(trainer):
    if trainer.has_diverged:
        return f"{MOST_SKIPPED} meta-steps in a row were not finite, however slow"
    if trainer.has_stopped:
        stopping = trainer.longest.early_stopping
        return (
            f"{stopping.n_iter_no_change} evaluations brought no improvement by "
            f"tol={stopping.tol:g}"
        )
    return "max_iter meta-steps were taken"


def _warn(training, why):
    trainer, troubled = training.trainer, training.trainer.troubled
    n_iter = trainer.longest.state.n_iter
    kept = f"the parameters after meta-step {trainer.best_iter} of {n_iter} are kept"
    if why == INTERRUPTED:
        more = "" if training.checkpoint is None else ", and the checkpoint can be gone on with"
        warn(f"meta-training was interrupted: {kept}{more}")
    elif trainer.has_diverged:
        warn(f"meta-training diverged, and {kept}: {_divergence(troubled)}", ConvergenceWarning)
    elif troubled.state.n_retreats:
        warn(
            f"meta-training diverged, and went on from what had done best with meta_lr lowered to "
            f"{troubled.state.optimizer.learning_rate:.3g}; {kept}: {_divergence(troubled)}",
            ConvergenceWarning,
        )
    elif not _warn_if_useless(training) and why == _why_done(trainer):
        _warn_if_improving(trainer, kept)


def _divergence(trainer):
    """What was not finite, and what to do about it."""
    n_taken = len(trainer.loss_curve)
    if trainer.n_skipped:
        found = f"{trainer.n_skipped} of {n_taken} meta-steps were not finite, and so were skipped"
    else:
        found = f"no evaluation in {n_taken} meta-steps was finite"
    return f"{found}. {_advice(trainer.algorithm, trainer.state)}"


def _advice(algorithm, state):
    return (
        f"Lower meta_lr (now {state.optimizer.learning_rate:.3g})"
        f"{inner_rate(algorithm, before=' or ')}, or scale the features and targets. It is of "
        f"{algorithm}"
    )


def _warn_if_useless(training):
    """Warn where what is kept does clearly worse than the training mean."""
    trainer = training.trainer
    if trainer.best_score is None:
        return False
    found, mean = -trainer.best_score, training.encoded.arrays.mean_target()
    constant = np.mean(
        [constant_loss(each.network, mean, each.validation[1]) for each in trainer.leading]
    )
    if found > USELESS * constant:
        warn(
            f"the loss on the validation tasks is {found:.4g} at its best, in meta-step "
            f"{trainer.best_iter} of {trainer.longest.state.n_iter}; predicting the mean of all "
            f"training rows has {constant:.4g}. Train longer (max_iter), scale the features, or "
            f"lower meta_lr{inner_rate(trainer.longest.algorithm, before=' or ')}",
            ConvergenceWarning,
        )
        return True
    return False


def _warn_if_improving(trainer, kept):
    improving = [each for each in trainer.leading if each.is_improving]
    if len(improving) <= len(trainer.leading) / 2:
        return
    warn(
        f"max_iter={improving[0].max_iter} ended meta-training while it was still improving: the "
        f"loss on the validation tasks fell to {-trainer.best_score:.4g}; {kept}. Train longer",
        ConvergenceWarning,
    )
