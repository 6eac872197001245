"""FewShotCurve: what contestants score on new tasks, and which differences can be trusted."""

from dataclasses import dataclass
from functools import cached_property, partial
from typing import NamedTuple

import numpy as np

from .._messages import shown
from .._runtime import Cached
from ._scores import MeanScore
from ._verdict import folded, in_words, table_of

N_BOOTSTRAP = 1000  # draws of tasks for an interval
BLOCK = 100  # of these at once, so that they take little memory as numbers
LEVELS = 2.5, 97.5  # percent
MOST = 0.5  # of the tasks


class Paired(NamedTuple):
    """A difference of two scores on the same tasks, larger than 0 where the first is better."""

    mean: float
    low: float
    high: float
    n_tasks: int

    @property
    def word(self):
        """ "better", "worse" or "no different", by the 95% interval; "unknown" without one."""
        if np.isnan([self.mean, self.low]).any():
            return "unknown"
        if self.low > 0:
            return "better"
        return "worse" if self.high < 0 else "no different"


class Hurt(NamedTuple):
    """Of the tasks that adaptation was tried on, those that do worse."""

    share: float
    low: float
    high: float
    by: float  # the mean of what these lose; 0 where there are none


@dataclass(frozen=True, eq=False, repr=False)
class FewShotCurve(Cached):
    """Scores of contestants on tasks that they were not trained on, by the rows shown of each.

    `few_shot_curve` makes it. Its repr is a verdict in words. All intervals are of 95%, over tasks:
    percentiles of what 1,000 draws of as many tasks, with replacement, would have given. The same
    draws serve all contestants, so that differences are paired.

    Parameters
    ----------
    contestants : list of str
        The first is the one that is judged, the others are baselines.
    n_shots : tuple of int
        Rows (or blocks) shown of each task.
    task_ids : ndarray of shape (n_tasks,)
        The tasks that were held out.
    n_query : ndarray of shape (n_tasks,)
        Rows by which each is judged, at each draw; 0 where it is too small for any support.
    served : ndarray of shape (n_shots, n_tasks) of bool
        Whether a task has enough rows.
    results : dict of str to MeanScore or R2Score
        By the name of the score.
    predictions : ndarray of shape (contestants, n_shots, n_repeats, n_rows[, n_outputs]) or None
        In the order of the rows that were handed over; NaN (None, for classes) where a row was not
        asked.
    unit : {"row", "block"}, default="row"
        What `n_shots` counts.

    Attributes
    ----------
    scores : dict of str to ndarray of shape (contestants, n_shots, n_tasks)
        Of each task, the mean over repeats; NaN where a task is too small, or a contestant failed.
        Of "r2" it is 1 minus the task's share of all squared errors, so that its mean over
        tasks is R2 over all their rows.
    scoring : list of str
        Names of the scores.

    See Also
    --------
    few_shot_curve : Makes it.
    sklearn_meta.inspection.FewShotCurveDisplay : Draws it.
    """

    contestants: list
    n_shots: tuple
    task_ids: np.ndarray
    n_query: np.ndarray
    served: np.ndarray
    results: dict
    predictions: np.ndarray | None = None
    unit: str = "row"

    @property
    def scoring(self):
        return list(self.results)

    @cached_property
    def scores(self):
        return {name: result.of_tasks() for name, result in self.results.items()}

    @property
    def too_small(self):
        """Tasks with too few rows for each number of shots, ndarray of shape (n_shots,)."""
        return np.count_nonzero(~self.served, axis=1)

    def mean(self, scoring=None):
        """Score over all tasks that are large enough.

        Parameters
        ----------
        scoring : str, default=None
            The name of a score; None: the first.

        Returns
        -------
        ndarray of shape (contestants, n_shots)
        """
        return self._over_tasks(scoring)[..., 0]

    def interval(self, scoring=None):
        """95% interval over tasks of `mean`.

        Parameters
        ----------
        scoring : str, default=None
            As of `mean`.

        Returns
        -------
        ndarray of shape (contestants, n_shots, 2)
        """
        return self._over_tasks(scoring)[..., 1:]

    def difference(self, contestant=None, other=None, *, n_shots, other_shots=None, scoring=None):
        """How much better one is than another, on the same tasks.

        Parameters
        ----------
        contestant, other : str, default=None
            Names of contestants; None: the first.
        n_shots : int
            One of `n_shots`.
        other_shots : int, default=None
            Of the other; None: as many.
        scoring : str, default=None
            As of `mean`.

        Returns
        -------
        Paired
            ``(mean, low, high, n_tasks)``.
        """
        name = self._name(scoring)
        ours = self._number(contestant), self._shot(n_shots)
        its = self._number(other), self._shot(n_shots if other_shots is None else other_shots)
        among = self._there(name, *ours) & self._there(name, *its)
        our, other = (self._statistic(name, key, among) for key in (ours, its))
        gain = self._estimate(lambda weights: our(weights) - other(weights), among)
        return Paired(*gain, int(among.sum()))

    def hurt(self, scoring=None, against="prior", contestant=None):
        """Share of tasks that do worse for being adapted to.

        Parameters
        ----------
        scoring : str, default=None
            As of `mean`.
        against : {"prior", "baseline"}, default="prior"
            Worse than the contestant itself with no row shown, or than the best baseline.
        contestant : str, default=None
            None: the first.

        Returns
        -------
        ndarray of shape (n_shots, 3)
            The share and its 95% interval; NaN where there is nothing to compare with. Of "r2" a
            task is hurt if its squared error is larger.
        """
        found = [self.hurt_at(k, scoring, against, contestant) for k in self.n_shots]
        return np.array([h[:3] for h in found])

    def hurt_at(self, n_shots, scoring=None, against="prior", contestant=None):
        """As `hurt`, of one number of shots, and how much the tasks lose that are hurt.

        Returns
        -------
        Hurt
            ``(share, low, high, by)``.
        """
        if against not in ("prior", "baseline"):
            raise ValueError(f"against must be 'prior' or 'baseline', got {shown(against)}")
        name, ours = self._name(scoring), (self._number(contestant), self._shot(n_shots))
        its = self._rival(name, n_shots, against, ours[0])
        if its is None or its == ours:
            return Hurt(*[np.nan] * 4)
        there = self._there(name, *ours) & self._there(name, *its)
        if not there.any():
            return Hurt(*[np.nan] * 4)
        our, other = (self.results[name].each(*key, there) for key in (ours, its))  # (tasks,)
        lost = other - our
        is_hurt = there & (np.where(there, lost, 0) > 0)
        over = partial(MeanScore(is_hurt[None, None]).over, contestant=0, number=0, among=there)
        by = lost[is_hurt].mean() if is_hurt.any() else 0.0
        return Hurt(*self._estimate(over, there), float(by))

    def best_baseline(self, n_shots, scoring=None):
        """The baseline with the best mean at a number of shots; None where there is none."""
        means = self.mean(scoring)[1:, self._shot(n_shots)]
        if not np.isfinite(means).any():
            return None
        return self.contestants[1 + int(np.nanargmax(means))]

    def against_baseline(self, n_shots, scoring=None):
        """The difference to the best baseline, a `Paired`; None where there is none."""
        best = self.best_baseline(n_shots, scoring)
        if best is None:
            return None
        return self.difference(other=best, n_shots=n_shots, scoring=scoring)

    def against_prior(self, n_shots, scoring=None):
        """The difference to no row shown, a `Paired`; None at 0 rows, or where 0 was not tried."""
        if n_shots == 0 or 0 not in self.n_shots or not self.served[0].any():
            return None
        return self.difference(n_shots=n_shots, other_shots=0, scoring=scoring)

    def pays_from(self, scoring=None):
        """The fewest rows from which on adaptation pays.

        Parameters
        ----------
        scoring : str, default=None
            As of `mean`.

        Returns
        -------
        int or None
            With so many rows, and with all larger numbers that two tasks or more have, the first
            contestant is better than no adaptation and than the best baseline, and does not clearly
            hurt most tasks. None: there is no such number.
        """
        pays = None
        for k in reversed([k for k in self.n_shots if k and self._serves_some(k)]):
            rivals = self.against_baseline(k, scoring), self.against_prior(k, scoring)
            rivals = [each for each in rivals if each is not None]
            hurts_most = self.hurt_at(k, scoring).low > MOST
            if not rivals or hurts_most or any(each.word != "better" for each in rivals):
                break
            pays = k
        return pays

    def verdict(self, scoring=None):
        """What to do, in a sentence or two, and a sentence for each number of shots.

        Parameters
        ----------
        scoring : str, default=None
            As of `mean`.

        Returns
        -------
        str
        """
        return in_words(self, self._name(scoring))

    def to_frame(self):
        """All numbers, a row for each score, contestant and number of shots.

        Returns
        -------
        pandas.DataFrame
            Columns: scoring, contestant, n_shots, n_tasks, too_small; mean, low, high; gain,
            gain_low, gain_high (of the first contestant over this one, paired); hurt, hurt_low,
            hurt_high, hurt_by (of this one's tasks by adaptation, against no row shown).
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise ImportError("to_frame makes a pandas DataFrame: pip install pandas") from error
        return pd.DataFrame([self._row(*key) for key in np.ndindex(self._shape)])

    def __repr__(self):
        parts = [f"{table_of(self, name)}\n\n{folded(self.verdict(name))}" for name in self.scoring]
        return "\n\n".join(parts)

    @property
    def _shape(self):
        return len(self.scoring), len(self.contestants), len(self.n_shots)

    def _row(self, score, contestant, number):
        name, k, who = self.scoring[score], self.n_shots[number], self.contestants[contestant]
        mean, low, high = self._over_tasks(name)[contestant, number]
        gain = self.difference(other=who, n_shots=k, scoring=name)
        hurt = self.hurt_at(k, name, contestant=who)
        return {
            "scoring": name,
            "contestant": who,
            "n_shots": k,
            "n_tasks": int(self._there(name, contestant, number).sum()),
            "too_small": int(self.too_small[number]),
            **{"mean": mean, "low": low, "high": high},
            **{"gain": gain.mean, "gain_low": gain.low, "gain_high": gain.high},
            **{"hurt": hurt.share, "hurt_low": hurt.low, "hurt_high": hurt.high},
            "hurt_by": hurt.by,
        }

    def _over_tasks(self, scoring):
        """Mean, low and high, (contestants, n_shots, 3)."""
        name = self._name(scoring)
        if name not in self._intervals:
            _, *shape = self._shape
            found = [
                self._estimate(self._statistic(name, key), self._there(name, *key))
                for key in np.ndindex(*shape)
            ]
            self._intervals[name] = np.reshape(found, (*shape, 3))
        return self._intervals[name]

    def _statistic(self, name, key, among=None):
        """The score of a (contestant, number) by weights of tasks (draws, tasks), (draws,)."""
        contestant, number = key
        among = self._there(name, *key) if among is None else among
        over = self.results[name].over
        return partial(over, contestant=contestant, number=number, among=among)

    def _estimate(self, statistic, among):
        """A statistic of weights of tasks, and its 95% interval; NaN where `among` is no two."""
        found = float(statistic(np.ones((1, len(self.task_ids))))[0])
        if np.count_nonzero(among) < 2:  # every draw has the same task: no interval would be wide
            return found, np.nan, np.nan
        blocks = np.split(self._draws, range(BLOCK, len(self._draws), BLOCK))
        drawn = np.concatenate([statistic(block.astype(float)) for block in blocks])
        drawn = drawn[np.isfinite(drawn)]
        return found, *(np.percentile(drawn, LEVELS).tolist() if len(drawn) else (np.nan, np.nan))

    @cached_property
    def _intervals(self):
        return {}

    @cached_property
    def _draws(self):
        """How often each draw of as many tasks has each of them, (draws, tasks)."""
        n_tasks = len(self.task_ids)
        rng = np.random.RandomState(0)
        counts = np.empty((N_BOOTSTRAP, n_tasks), np.int16)
        for draw in counts:
            draw[...] = np.bincount(rng.randint(n_tasks, size=n_tasks), minlength=n_tasks)
        return counts

    def _rival(self, name, n_shots, against, contestant):
        """(contestant, number of shots) that adaptation is compared with."""
        if against == "prior":
            return (contestant, self._shot(0)) if 0 in self.n_shots else None
        best = self.best_baseline(n_shots, name)
        return None if best is None else (self._number(best), self._shot(n_shots))

    def _serves_some(self, n_shots):
        """Whether there are tasks enough to tell anything."""
        return np.count_nonzero(self.served[self._shot(n_shots)]) > 1

    def _there(self, name, contestant, number):
        """Tasks that have a score, mask (tasks,)."""
        return np.isfinite(self.scores[name][contestant, number])

    def _name(self, scoring):
        if scoring is None:
            return self.scoring[0]
        if scoring not in self.results:
            raise ValueError(f"scoring={shown(scoring)} was not judged, only {self.scoring}")
        return scoring

    def _number(self, contestant):
        if contestant is None:
            return 0
        if contestant not in self.contestants:
            raise ValueError(f"no contestant {shown(contestant)} among {self.contestants}")
        return self.contestants.index(contestant)

    def _shot(self, n_shots):
        if n_shots not in self.n_shots:
            raise ValueError(f"n_shots={shown(n_shots)} was not tried, only {list(self.n_shots)}")
        return self.n_shots.index(n_shots)
