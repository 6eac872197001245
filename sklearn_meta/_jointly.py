"""Several rows of a task at once: draws, covariances and joint densities."""

from contextlib import contextmanager

import numpy as np
from numpy.linalg import LinAlgError
from scipy.special import xlogy
from scipy.stats import norm, t

from ._learned import rule_out
from ._messages import listed, of_task, shown
from ._runtime import blas_threads, each_in_threads, quiet
from .network import both_classes
from .tasks._batch import one_hot
from .tasks._ids import as_keys

LOWEST = np.finfo(float).min / 8  # of outputs: finite, so that 0 times it is 0


@quiet
def sample(learned, asked, n_samples, seed, noise, n_jobs):
    """Targets, or with no noise what is expected of them, (rows, ..., n_samples).

    Every task has random numbers of its own: its draws do not depend on how the work is divided.

    Parameters
    ----------
    learned : Learned
    asked : Asked
    n_samples : int
    seed : int
    noise : bool
    n_jobs : int or None
    """

    def draw(numbered):
        number, task = numbered
        generator = np.random.default_rng([seed, number])
        with finding_what_is_too_far(task):
            return _drawn(learned, asked, task, n_samples, generator, noise)

    tasks = learned.each_task(asked)
    with blas_threads():
        parts = each_in_threads(draw, enumerate(tasks), n_jobs)
    dtype = np.result_type(*{part.dtype for part in parts})
    drawn = np.empty((len(asked.X), *parts[0].shape[1:]), dtype)
    for task, part in zip(tasks, parts, strict=True):
        drawn[task.rows] = part
    return drawn


@quiet
def covariance(learned, asked):
    """Of the targets of rows of one task, (rows, rows) or (rows, rows, outputs)."""
    if learned.network.loss_name not in learned.algorithm.joint_losses:
        raise ValueError(f"return_cov=True: {no_functions(learned.algorithm)}")
    tasks = learned.each_task(asked)
    if len(tasks) > 1:
        raise ValueError(
            f"return_cov is of the rows of one task, X has rows of {len(tasks)}: ask for one "
            "after the other"
        )
    targets = learned.encoder.targets
    with blas_threads(), finding_what_is_too_far(tasks[0]):
        found = _finite(_jointly(learned, asked, tasks[0]).covariance() * targets.scale**2)
    return found[..., 0] if targets.flat else found


@quiet
def log_density(learned, asked, y, n_jobs):
    """Joint log density of the targets y of each task's rows, (tasks,).

    Parameters
    ----------
    learned : Learned
    asked : Asked
    y : ndarray of shape (rows,) or (rows, outputs)
        In the user's terms.
    n_jobs : int or None
    """
    _check_counts(learned, y)
    of_kind = _score_of_classes if learned.encoder.is_classifier else _score

    def score(task):
        with finding_what_is_too_far(task):
            return _finite(of_kind(learned, asked, task, y[task.rows]))

    with blas_threads():
        return np.array(each_in_threads(score, learned.each_task(asked), n_jobs), float)


@quiet
def expected_log_density(learned, asked):
    """Of each row by itself, (rows,): minus the entropy of its predictive distribution."""
    mean = learned.network.loss.mean(learned.outputs(asked)).astype(float)
    if learned.encoder.is_classifier:
        proba = both_classes(mean) if mean.shape[1] == 1 else mean
        return xlogy(proba, proba).sum(axis=1)
    std = learned.std(asked).astype(float)
    with np.errstate(divide="ignore"):
        df = 1 / learned.inverse_df(asked)
    unit = std * learned.encoder.targets.scale * np.where(df < np.inf, np.sqrt(1 - 2 / df), 1)
    entropy = np.where(df < np.inf, t.entropy(df), norm.entropy()) + np.log(unit)
    return -entropy.sum(axis=1)


@contextmanager
def finding_what_is_too_far(task):
    """A context in which what overflows is an error that says what to do."""
    try:
        yield
    except (LinAlgError, FloatingPointError) as error:
        raise ValueError(
            f"{of_task('what is said', task.id)}, of these rows, is not finite: their features (or "
            "targets) are too far from those in training: scale them"
        ) from error


def _finite(numbers):
    if not np.isfinite(numbers).all():
        raise FloatingPointError
    return numbers


def no_functions(algorithm):
    """Why there are no draws, covariances and densities."""
    return (
        f"{algorithm} knows no distribution of functions; BayesianHead does, and in regression "
        "DeepKernelGP"
    )


def _jointly(learned, asked, task):
    return task.adapted.jointly(learned.network, asked.X[task.rows], task.mask)


def _drawn(learned, asked, task, n_samples, generator, noise):
    """Draws of a task's rows, in the user's terms."""
    posterior = _jointly(learned, asked, task)
    drawn = _finite(posterior.draw(n_samples, generator, noise, _unit(learned)))
    targets = learned.encoder.targets
    if learned.encoder.is_classifier:
        if task.ruled_out is not None:
            drawn = rule_out(drawn, task.ruled_out)
        proba = learned.network.loss.mean(drawn)  # (n_samples, rows, classes)
        if proba.shape[-1] == 1:
            proba = both_classes(proba)
        if noise:
            return _labels(proba, task.classes, generator)
        some = asked._replace(X=asked.X[task.rows], place=asked.place[task.rows])
        return learned.in_columns(some, np.moveaxis(proba, 0, -1))
    values = targets.in_units(drawn)
    if noise and _unit(learned) is not None:
        values = np.rint(values)
    values = np.moveaxis(_finite(values), 0, -1)  # (rows, outputs, n_samples)
    return values[:, 0] if targets.flat else values


def _labels(proba, classes, generator):
    """Of probabilities (n_samples, rows, classes), a class each, (rows, n_samples)."""
    below = np.cumsum(proba, axis=-1)
    chosen = generator.random(below.shape[:2])[..., None] * below[..., -1:] < below
    return classes[chosen.argmax(axis=-1)].T


def _unit(learned):
    """Of targets that are counts, as the network sees it, (outputs,); None: they are none."""
    targets = learned.encoder.targets
    counts = learned.network.loss_name == "poisson" and targets.whole
    return 1 / targets.scale if counts else None


def _score(learned, asked, task, y):
    targets, posterior = learned.encoder.targets, _jointly(learned, asked, task)
    scale = len(y) * np.log(targets.scale).sum()
    return posterior.log_density(targets.encode(y, float), unit=_unit(learned)) - scale


def _check_counts(learned, y):
    """What a Poisson loss says of numbers that are no counts has no density."""
    if learned.network.loss_name != "poisson":
        return
    whole, wrong = learned.encoder.targets.whole, y != np.floor(y)
    if not whole or np.any(wrong):
        found = f"y has {shown(y[wrong][0])}" if whole else "those of fit were others"
        raise ValueError(
            f"score_samples of loss='poisson' takes whole numbers, counts, but {found}; sample_y "
            "draws any"
        )


def _score_of_classes(learned, asked, task, y):
    posterior, ruled_out = _jointly(learned, asked, task), task.ruled_out
    possible = task.classes if ruled_out is None else task.classes[~ruled_out]
    code_of = {key: code for code, key in enumerate(as_keys(task.classes))}
    codes = np.array([code_of.get(key, -1) for key in as_keys(y)])
    strange = codes < 0
    if ruled_out is not None:
        strange |= ruled_out[codes]
    if strange.any():
        raise ValueError(
            f"{of_task('y', task.id)} has the class {shown(y[strange][0])}, which the task does "
            f"not have; expected one of [{listed(possible)}]"
        )
    if len(possible) == 1:
        return 0.0
    mask = None if ruled_out is None else np.where(ruled_out, LOWEST, 0)
    return posterior.log_density(one_hot(codes[None], learned.network.n_outputs, float)[0], mask)
