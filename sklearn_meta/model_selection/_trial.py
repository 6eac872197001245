"""One contestant on one fold: it learns, is shown rows of tasks, answers and is judged."""

from typing import NamedTuple

import numpy as np

from .._compat import safe_indexing
from .._messages import shown
from .._ragged import as_offsets
from .._runtime import blas_threads
from ._nested import NestedSupports
from ._scores import MeanScore, R2Score, judge


class Outcome(NamedTuple):
    """What a contestant achieved on the tasks that a fold holds out.

    Parameters
    ----------
    values : dict of str to ndarray of shape (n_shots, tasks, values)
        By the name of the score: the mean over repeats, of "r2" the sum.
    errors : list of str
        What went wrong.
    predictions : ndarray of shape (n_shots, n_repeats, rows[, outputs]) or None
    is_predicted : ndarray of shape (n_shots, n_repeats, rows) of bool or None
    """

    values: dict
    errors: list
    predictions: np.ndarray | None
    is_predicted: np.ndarray | None

    @property
    def is_nothing(self):
        """Whether all failed."""
        return bool(self.errors) and all(np.isnan(v).all() for v in self.values.values())


class Trial(NamedTuple):
    """What is asked of every contestant on every fold.

    Parameters
    ----------
    scorers : dict
    supports : NestedSupports
    raises : bool
        Whether a contestant that fails is an error.
    keeps_predictions : bool
    """

    scorers: dict
    supports: NestedSupports
    raises: bool = False
    keeps_predictions: bool = False

    def run(self, contestant, fold):
        """What a contestant achieves that has learned from (training tasks, tasks held out)."""
        train, test = fold
        with blas_threads():  # sums must not hang on how many processes there are
            try:
                learn = contestant.learn(np.isin(self.supports.task, train))
            except Exception as error:
                return self._failed(self._nothing(contestant.tasks, test), error)
            return self.examine(contestant, learn, test)

    def examine(self, contestant, learn, test):
        """What it achieves that learns and answers by ``learn(support, query)``."""
        of_test, outcome = np.isin(self.supports.task, test), self._nothing(contestant.tasks, test)
        for number in range(len(self.supports.n_shots)):
            tested = self.supports.served[number][test]
            if tested.any():
                self._show(contestant, learn, number, of_test, tested, outcome)
        return outcome

    def results(self, values, tasks, tested=slice(None)):
        """Scores from values (contestants, n_shots, tasks, values) by name, of the tested tasks."""
        if "r2" in self.scorers.values():
            moments = _query_moments(tasks, self.supports)[:, tested]
        return {
            name: R2Score(values[name], moments)
            if scorer == "r2"
            else MeanScore(values[name][..., 0])
            for name, scorer in self.scorers.items()
        }

    def _show(self, contestant, learn, number, of_test, tested, outcome):
        """Fill in what the contestant achieves with one number of shots."""
        found = {name: [] for name in self.scorers}
        for repeat in range(self.supports.n_repeats):
            support, query = (m & of_test for m in self.supports.masks(number, repeat))
            try:
                answers = learn(support, query)
                judged = self._judge(contestant.tasks, query, answers)
                if self.keeps_predictions:
                    outcome.is_predicted[number, repeat] = query
                    outcome.predictions[number, repeat, query] = answers.of("predict")
            except Exception as error:
                self._failed(outcome, error)
                return
            for name, values in judged.items():
                found[name].append(values)
        for name, values in found.items():
            together = np.sum if self.scorers[name] == "r2" else np.mean
            outcome.values[name][number, tested] = together(values, axis=0)

    def _judge(self, tasks, query, answers):
        rows, of_task = np.flatnonzero(query), self.supports.task[query]
        X, y = safe_indexing(tasks.X, rows), tasks.y[rows]
        offsets = as_offsets(np.unique(of_task, return_counts=True)[1])
        return {
            name: judge(scorer, answers, X, y, offsets) for name, scorer in self.scorers.items()
        }

    def _nothing(self, tasks, test):
        y, n_shots = tasks.y, len(self.supports.n_shots)
        n_outputs = y.shape[1] if y.ndim == 2 else 1
        values = {
            name: np.full((n_shots, len(test), n_outputs if scorer == "r2" else 1), np.nan)
            for name, scorer in self.scorers.items()
        }
        if not self.keeps_predictions:
            return Outcome(values, [], None, None)
        shape = n_shots, self.supports.n_repeats, *y.shape
        numbers = y.dtype.kind in "fiu"
        predictions = np.full(shape, np.nan) if numbers else np.full(shape, None, object)
        return Outcome(values, [], predictions, np.zeros(shape[:3], bool))

    def _failed(self, outcome, error):
        if self.raises:
            raise error
        outcome.errors.append(f"{type(error).__name__}: {shown(error, str)}")
        return outcome


def _query_moments(tasks, supports):
    """Number, sum and sum of squares of the query rows' targets, (3, tasks, outputs).

    Over all repeats. Targets are less their mean, so that no digits are lost.
    """
    y = tasks.y.reshape(tasks.n_rows, -1).astype(float)
    y = y - y.mean(axis=0)
    moments = np.zeros((3, len(tasks), y.shape[1]))
    for repeat in range(supports.n_repeats):
        query = supports.query(repeat)
        for i in range(3):
            np.add.at(moments[i], supports.task[query], y[query] ** i)
    return moments
