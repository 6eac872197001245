"""Scores of tasks: of each by itself, and of all together, however tasks are weighed."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from sklearn.base import is_classifier
from sklearn.metrics import check_scoring, get_scorer_names

from .._compat import safe_indexing
from .._messages import shown
from ._answers import OfTask


class OfRows(NamedTuple):
    """A score that is a mean over rows."""

    method: str
    score: Callable  # (y, answers, classes) -> (rows,)


def _squared_error(y, predicted, _):
    return -_mean_of_outputs((y - predicted) ** 2)


def _absolute_error(y, predicted, _):
    return -_mean_of_outputs(np.abs(y - predicted))


def _right(y, predicted, _):
    return (y == predicted).astype(float)


def _log_likelihood(y, proba, classes):
    column = np.minimum(np.searchsorted(classes, y), len(classes) - 1)
    of_class = np.where(classes[column] == y, proba[np.arange(len(y)), column], 0)
    return np.log(np.clip(of_class, np.finfo(proba.dtype).eps, 1))


def _mean_of_outputs(values):
    return values.reshape(len(values), -1).mean(axis=1)


# with the numbers of scikit-learn's scorers of these names, for all tasks at once
ROW_SCORES = {
    "neg_mean_squared_error": OfRows("predict", _squared_error),
    "neg_mean_absolute_error": OfRows("predict", _absolute_error),
    "accuracy": OfRows("predict", _right),
    "neg_log_loss": OfRows("predict_proba", _log_likelihood),
}


def resolve_scoring(scoring, estimator):
    """Scorers by name: "r2", names of `ROW_SCORES`, or callables ``(estimator, X, y) -> float``."""
    if scoring is None:
        scoring = "accuracy" if is_classifier(estimator) else "r2"
    if isinstance(scoring, str):
        scoring = {scoring: scoring}
    elif isinstance(scoring, list | tuple | set):
        if not scoring or not all(isinstance(name, str) for name in scoring):
            raise ValueError(f"scoring must be names of scorers, got {shown(scoring)}")
        scoring = {name: name for name in scoring}
    elif callable(scoring):
        scoring = {"score": scoring}
    if not isinstance(scoring, dict) or not scoring:
        raise ValueError(
            "scoring must be a scorer, or a list or dict of some, got " + shown(scoring)
        )
    return {name: _resolved(name, each) for name, each in scoring.items()}


def _resolved(name, scorer):
    if isinstance(scorer, str) and (scorer == "r2" or scorer in ROW_SCORES):
        return scorer
    if not isinstance(scorer, str) and not callable(scorer):
        raise ValueError(f"scoring {shown(name)} must be a name or a callable, got {shown(scorer)}")
    if isinstance(scorer, str) and scorer not in get_scorer_names():
        raise ValueError(
            f"scoring={shown(scorer)} is no scorer of scikit-learn: sklearn.metrics."
            "get_scorer_names() lists them"
        )
    return check_scoring(None, scorer)


def judge(scorer, answers, X, y, offsets):
    """One scorer's judgement of each task by its query rows.

    Parameters
    ----------
    scorer : str or callable
    answers : Answers
    X, y : query rows, those of a task together
    offsets : ndarray of shape (tasks + 1,)

    Returns
    -------
    ndarray of shape (tasks, values)
        The score of each task; of "r2" its squared error in each output.
    """
    if not isinstance(scorer, str):
        slices = [slice(*ends) for ends in pairwise(offsets)]
        scores = [
            scorer(OfTask(answers, s), safe_indexing(X, np.arange(s.start, s.stop)), y[s])
            for s in slices
        ]
        return np.array(scores, float)[:, None]
    if scorer == "r2":
        error = (y - answers.of("predict")) ** 2
        return np.add.reduceat(error.reshape(len(y), -1), offsets[:-1])
    method, score = ROW_SCORES[scorer]
    classes = getattr(answers.estimator, "classes_", None)
    scores = score(y, answers.of(method), classes)
    return (np.add.reduceat(scores, offsets[:-1]) / np.diff(offsets))[:, None]


@dataclass(frozen=True)
class MeanScore:
    """A score of which the mean over tasks is taken.

    Parameters
    ----------
    values : ndarray of shape (contestants, n_shots, tasks)
        NaN where there is none.
    """

    values: np.ndarray

    def of_tasks(self):
        """The score of each task, (contestants, n_shots, tasks)."""
        return self.values

    def each(self, contestant, number, among):
        """The score of each task of a mask (tasks,), NaN elsewhere; comparable over numbers."""
        return np.where(among, self.values[contestant, number], np.nan)

    def filled(self, served, error_score):
        """The same with a score where a contestant has none of a task that is served."""
        if error_score == "raise" or np.isnan(error_score):
            return self
        return MeanScore(np.where(served & np.isnan(self.values), error_score, self.values))

    def over(self, weights, contestant, number, among):
        """The mean over tasks for several weights of tasks (draws, tasks), (draws,).

        Only the tasks of the mask `among` (tasks,) count.
        """
        values = np.where(among, self.values[contestant, number], 0)
        with np.errstate(invalid="ignore", divide="ignore"):
            return weights @ values / (weights @ among.astype(float))


@dataclass(frozen=True)
class R2Score:
    """R2 over the rows of all tasks together: a mean of tasks' own R2 would be of the tiny ones.

    Parameters
    ----------
    errors : ndarray of shape (contestants, n_shots, tasks, outputs)
        Squared errors, summed over a task's query rows.
    moments : ndarray of shape (3, tasks, outputs)
        Of these rows their number, their sum and the sum of their squares.
    """

    errors: np.ndarray
    moments: np.ndarray

    def of_tasks(self):
        """1 minus each task's share of the errors, so that the mean over tasks is the R2 of all."""
        there = np.isfinite(self.errors).all(axis=-1)  # (contestants, n_shots, tasks)
        found = [self.each(*key, there[key]) for key in np.ndindex(there.shape[:2])]
        return np.reshape(found, there.shape)

    def each(self, contestant, number, among):
        """The same of the tasks of a mask (tasks,), which share all errors; NaN elsewhere.

        Numbers of shots are comparable where `among` is the same: larger ones have fewer tasks, and
        so another sum of squares.
        """
        errors = np.where(among[:, None], self.errors[contestant, number], np.nan)
        n, total, squares = self.moments[:, among].sum(axis=1)  # (outputs,)
        with np.errstate(invalid="ignore", divide="ignore"):
            return (1 - among.sum() * errors / (squares - total**2 / n)).mean(axis=-1)

    def filled(self, served, error_score):
        """The same with a score where a contestant has none of a task that is served."""
        if error_score == "raise" or np.isnan(error_score):
            return self
        n, total, squares = self.moments  # (tasks, outputs)
        grand = total.sum(axis=0) / n.sum(axis=0)
        own = squares - 2 * grand * total + n * grand**2  # about the mean of all
        missing = served[..., None] & np.isnan(self.errors)
        return R2Score(np.where(missing, (1 - error_score) * own, self.errors), self.moments)

    def over(self, weights, contestant, number, among):
        """R2 for several weights of tasks (draws, tasks), (draws,).

        Only the tasks of the mask `among` (tasks,) count.
        """
        chosen = among[:, None]
        error = weights @ np.where(chosen, self.errors[contestant, number], 0)  # (draws, outputs)
        n, total, squares = (weights @ np.where(chosen, moment, 0) for moment in self.moments)
        with np.errstate(invalid="ignore", divide="ignore"):
            return (1 - error / (squares - total**2 / n)).mean(axis=-1)
