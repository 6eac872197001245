"""Stacked: an estimator that sees beside x what the support of the task says."""

from numbers import Integral

import numpy as np
from scipy.sparse import issparse
from sklearn.pipeline import Pipeline
from sklearn.utils import check_random_state

from .._compat import Interval, safe_indexing
from .._ragged import as_offsets, within
from ..encoding import split_estimator
from ..tasks import TaskCollection
from ..tasks._blocks import blocks_of
from ..tasks._draws import draw_ordered
from ._left_out import fit_classes, folds, task_of_row
from ._mixed import Mixed
from ._shifts import LINKS, sums
from .shifted import Shifting

N_QUERY = 20  # rows of an episode to train on, at most
MAX_ROWS = 200_000  # of all episodes


class Stacked(Shifting):
    """An estimator, best of boosted trees, that sees beside x what the support of its task says.

    Each row gets further columns: the number of support rows of its task, their mean target and
    their mean residual against a pooled model, that residual shrunken as in `Shifted`, what the
    pooled model predicts of the row, and what the linear mixed model does, given the support
    (`MetaLearner` with an MLP without hidden layers). The estimator is trained on episodes: of each
    training task some rows, drawn at random, are the support, and others are predicted. What the
    pooled and the mixed model say there was cross-fitted: they had not seen the task.

    Without rows, the same estimator predicts from what it sees of no support. Where `fit` had fewer
    than two tasks, there are no further columns: it is `Pooled`.

    Parameters
    ----------
    estimator : estimator
        A regressor of one output or a classifier of scikit-learn. Of a Pipeline, the last step
        sees the further columns; the steps before it are fitted once, on the pooled rows.
    n_episodes : int, default=10
        Episodes of each training task.
    max_shots : int, default=20
        Support rows of an episode at most, of which from 0 on every number is as likely.
    link : {"auto", "identity", "log", "logit"}, default="auto"
        As in `Shifted`: on this scale are shifts and what the pooled and mixed model predict.
    adapt_training_tasks : bool, default=True
        Whether `fit` also learns its tasks, so that `predict` serves them by id.
    random_state : int, RandomState or None, default=None
        Of episodes; if given, it also sets every `random_state` of the clones of `estimator`.

    Attributes
    ----------
    estimator_ : estimator
        The pooled model.
    stacked_ : estimator
        What sees the further columns; None where there are none.
    spread_, noise_ : ndarray of shape (n_outputs,)
        As of `Shifted`.
    tasks_ : ndarray of shape (n_learned,)
        Ids of the tasks that were learned.
    classes_ : ndarray of shape (n_classes,)
        Of a classifier.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Where X has names.

    See Also
    --------
    Shifted : Adds the shrunken residual, and no more.

    Notes
    -----
    The mixed model takes numbers: for it, missing ones are filled in by the mean, and what is no
    number is one-hot encoded. Of all episodes, about 200,000 rows are predicted at most.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.ensemble import HistGradientBoostingRegressor
    >>> from sklearn_meta.baselines import Stacked
    >>> from sklearn_meta.datasets import load_countries
    >>> tasks = load_countries()
    >>> stacked = Stacked(HistGradientBoostingRegressor(), random_state=0).fit(tasks[:100])
    >>> is_support = np.arange(tasks.n_rows) % 2 == 0
    >>> stacked = stacked.fit_adapt(tasks.select(is_support)[100:])
    >>> query = tasks.select(~is_support)[100:]
    >>> bool(stacked.score(query.X, query.y, groups=query.groups) > 0.9)
    True
    """

    _parameter_constraints = Shifting._parameter_constraints | {
        "n_episodes": [Interval(Integral, 1, None, closed="left")],
        "max_shots": [Interval(Integral, 0, None, closed="left")],
    }

    def __init__(
        self,
        estimator,
        *,
        n_episodes=10,
        max_shots=20,
        link="auto",
        adapt_training_tasks=True,
        random_state=None,
    ):
        super().__init__(
            estimator,
            link=link,
            adapt_training_tasks=adapt_training_tasks,
            random_state=random_state,
        )
        self.n_episodes = n_episodes
        self.max_shots = max_shots

    def _fit(self, tasks):
        left_out = self._fit_pooled(tasks)
        self.stacked_ = self._mixed = None
        if len(tasks) < 2:
            return
        random_state = check_random_state(self._seed)
        mixed = Mixed(
            getattr(self, "classes_", None),
            self._shifts.link is LINKS["log"],
            random_state.randint(2**31 - 1),
        )
        episodes = Episodes.draw(tasks, self.n_episodes, self.max_shots, random_state)
        support, of_support = episodes.support, episodes.of_support
        summary = self._summary(
            self._columns(tasks)[support], left_out[support], of_support, len(episodes.task)
        )
        further = self._further(
            left_out[episodes.query],
            _left_out_mixed(mixed, tasks, episodes),
            summary[episodes.of_query],
        )
        rows = self._beside(safe_indexing(tasks.X, episodes.query), further)
        final = split_estimator(self._fresh())[0]
        y = tasks.y[episodes.query]
        self.stacked_ = fit_classes(final, rows, y) if self._learns_classes else final.fit(rows, y)
        self._mixed = mixed.fit(tasks)

    def _learn(self, tasks):
        if self._mixed is not None:
            self._mixed = self._mixed.adapted(tasks)
        if not tasks.n_rows:
            return np.tile(self._nothing, (len(tasks), 1))
        pooled = self._response(self.estimator_, tasks.X)
        return self._summary(self._columns(tasks), pooled, task_of_row(tasks), len(tasks))

    @property
    def _nothing(self):
        k = len(self.spread_)
        return self._summary(np.empty((0, k)), np.empty((0, k)), np.empty(0, int), 1)[0]

    def _summary(self, Y, pooled, task, n_tasks):
        """What support rows say of each task, (tasks, 1 + 3 outputs)."""
        counts = np.bincount(task, minlength=n_tasks)[:, None]
        rows = np.maximum(counts, 1)
        target = np.where(counts, sums(Y, task, n_tasks) / rows, self._shifts.level)
        residual = sums(Y - pooled, task, n_tasks) / rows
        shift = self._shifts.of_tasks(Y, pooled, task, n_tasks)
        return np.hstack([counts, target, residual, shift])

    def _further(self, pooled, mixed, summary):
        """The further columns of rows, (rows, columns)."""
        link, level = self._shifts.link, self._shifts.level
        pooled, mixed = (link.link(link.clip(mean, level)) for mean in (pooled, mixed))
        shift = summary[:, -pooled.shape[1] :]
        return np.hstack([pooled, pooled + shift, mixed, summary])

    def _beside(self, X, further):
        """Rows as the last step sees them, with the further columns."""
        if isinstance(self.estimator_, Pipeline) and len(self.estimator_) > 1:
            X = self.estimator_[:-1].transform(X)
        return beside(X, further)

    def _mean(self, asked):
        pooled = self._response(self.estimator_, asked.X)
        if self.stacked_ is None:
            return pooled
        summary = asked.learned[asked.task]
        further = self._further(pooled, self._mixed_mean(asked, summary[:, 0] > 0), summary)
        return self._response(self.stacked_, self._beside(asked.X, further))

    def _mixed_mean(self, asked, is_known):
        """What the mixed model predicts, of tasks without rows the prior."""
        mean = np.empty((len(is_known), len(self.spread_)))
        for known in np.unique(is_known):
            rows = np.flatnonzero(is_known == known)
            X = safe_indexing(asked.X, rows)
            groups = None if asked.groups is None else asked.groups[rows]
            mean[rows] = self._mixed.mean(X, groups) if known else self._mixed.prior(X)
        return mean

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = False
        return tags


class Episodes:
    """Splits of training tasks into support and query rows, many of each.

    Parameters
    ----------
    task : ndarray of shape (episodes,)
        The task of each.
    support, query : ndarray
        Row numbers, those of an episode together.
    of_support, of_query : ndarray
        The episode of each.
    """

    def __init__(self, task, support, of_support, query, of_query):
        self.task, self.support, self.query = task, support, query
        self.of_support, self.of_query = of_support, of_query

    @classmethod
    def draw(cls, tasks, n_episodes, max_shots, random_state):
        blocks = blocks_of(tasks)
        units = tasks if blocks is None else tasks.select(blocks.is_first)
        task = np.repeat(np.arange(len(tasks)), n_episodes)
        sizes = units.sizes[task]
        shots = random_state.randint(np.minimum(max_shots, sizes - 1) + 1)
        n_query = np.minimum(sizes - shots, max(1, min(N_QUERY, MAX_ROWS // len(task))))
        counts = shots + n_query
        drawn = draw_ordered(sizes, counts, random_state) + np.repeat(
            units.offsets[:-1][task], counts
        )
        episode, is_support = (
            np.repeat(np.arange(len(task)), counts),
            within(counts) < np.repeat(shots, counts),
        )
        if blocks is not None:
            drawn, n_rows = blocks.rows_of(drawn)
            episode, is_support = np.repeat(episode, n_rows), np.repeat(is_support, n_rows)
        return cls(
            task, drawn[is_support], episode[is_support], drawn[~is_support], episode[~is_support]
        )

    def supports(self, tasks, mask):
        """The support of the episodes that the mask has, as tasks called by their numbers."""
        chosen = mask[self.of_support]
        rows = self.support[chosen]
        counts = np.bincount(self.of_support[chosen], minlength=len(mask))[mask]
        return TaskCollection(
            safe_indexing(tasks.X, rows), tasks.y[rows], as_offsets(counts), np.flatnonzero(mask)
        )


def _left_out_mixed(mixed, tasks, episodes):
    """What the mixed model predicts of query rows by their episode's support, (rows, outputs).

    Each time it was fitted to other tasks.
    """
    found = None
    for learned, out in folds(tasks, 3):
        fitted = Mixed(mixed.classes, mixed.is_count, mixed.seed).fit(tasks.take(learned))
        mask = np.isin(episodes.task, out)
        rows = np.flatnonzero(mask[episodes.of_query])
        adapted = fitted.adapted(episodes.supports(tasks, mask))
        X = safe_indexing(tasks.X, episodes.query[rows])
        mean = adapted.mean(X, episodes.of_query[rows])
        found = np.empty((len(episodes.query), mean.shape[1])) if found is None else found
        found[rows] = mean
    return found


def beside(X, further):
    """Rows with further columns, a dataframe as such."""
    if issparse(X):
        X = X.toarray()
    if not hasattr(X, "columns"):
        return np.hstack([X, further])
    names = [f"support_{i}" for i in range(further.shape[1])]
    if not all(isinstance(name, str) for name in X.columns):
        n = X.shape[1]  # such names are none to scikit-learn, and dtypes are kept
        X = X.set_axis(range(n), axis=1)
        X[list(range(n, n + further.shape[1]))] = further
        return X
    while set(names) & set(X.columns):
        names = [f"_{name}" for name in names]
    if hasattr(X, "iloc"):
        return X.assign(**dict(zip(names, further.T, strict=True)))
    import polars as pl

    return X.with_columns([pl.Series(n, c) for n, c in zip(names, further.T, strict=True)])
