"""explain_task: what differs in a task, in the user's terms."""

from dataclasses import dataclass

import numpy as np

from .._compat import num_samples, safe_indexing
from .._learned import Asked
from .._messages import listed, plain, shown
from ..encoding._input import query_rows
from ._plotting import check_number
from ._tasks import (
    column,
    feature_names,
    feature_number,
    find_task,
    fitted,
    needs_shared_classes,
    outputs_on,
    prior_asked,
    target_number,
    with_column,
)

STEP = 0.01  # of the differences, as a share of a feature's standard deviation
MOST_ROWS = 200  # of the task, on which tasks are compared
MOST_SAID = 3  # slopes in one line
MOST_NEAREST = 3


@dataclass(frozen=True, eq=False)
class TaskExplanation:
    """What differs in a task, as `explain_task` found it.

    Attributes
    ----------
    task : object
        Its id, or None.
    features : list of str
        Those with a slope.
    slope, prior_slope, spread : ndarray of shape (n_features,)
        The mean over the task's rows of the slope of the prediction, the same of the prior, and how
        much the slopes of the known tasks differ from the prior's (root mean square).
    change, change_spread : float
        Mean change of the prediction against the prior, and the root mean square of those
        of the known tasks.
    nearest : list
        Ids of the known tasks that predict these rows most alike.
    skipped : list of str
        Features without slope, since they hold no numbers.
    response : str
        What is predicted.
    """

    task: object
    features: list
    slope: np.ndarray
    prior_slope: np.ndarray
    spread: np.ndarray
    change: float
    change_spread: float
    nearest: list
    skipped: list
    response: str

    @property
    def difference(self):
        """The task's slopes less the prior's, (n_features,)."""
        return self.slope - self.prior_slope

    @property
    def ratio(self):
        """The differences over their spread among tasks, (n_features,): beyond 2 is unusual."""
        return _ratio(self.difference, self.spread)

    def to_frame(self):
        """A pandas DataFrame, a row for each feature with a slope."""
        import pandas as pd

        return pd.DataFrame(
            {
                "feature": self.features,
                "slope": self.slope,
                "prior_slope": self.prior_slope,
                "difference": self.difference,
                "spread": self.spread,
                "ratio": self.ratio,
            }
        )

    def __str__(self):
        change = _times(_ratio(self.change, self.change_spread))
        said = [f"{self.response} {self.change:+.3g} against the prior ({change})"]
        for i in np.argsort(-np.abs(self.ratio), kind="stable")[:MOST_SAID]:
            said.append(
                f"slope on {self.features[i]} {self.slope[i]:.3g} instead of "
                f"{self.prior_slope[i]:.3g} ({_times(self.ratio[i])})"
            )
        said.append(f"nearest: {', '.join(str(plain(task)) for task in self.nearest)}")
        if self.skipped:
            said.append(f"no slope on {', '.join(self.skipped)}, no numbers")
        name = "the task" if self.task is None else f"task {shown(self.task)}"
        return f"{name}: {'; '.join(said)}"

    __repr__ = __str__


def explain_task(meta, X, groups=None, *, task=None, target=None, features=None, max_tasks=500):
    """Say what differs in a task, on its rows: its predictions, and their slopes, from the prior's.

    A slope is what the prediction changes by as one feature of a row grows by one, all others
    held: central differences over a hundredth of the feature's standard deviation
    among the rows, averaged over the rows; of an indicator (0 and 1 only) the difference between 1
    and 0. The spread is how much slopes of the known tasks differ from the prior's on the
    same rows, the root of their mean square: a ratio of 2 is twice the usual.

    Parameters
    ----------
    meta : MetaLearner
        Fitted, with the task adapted (by `fit` or `fit_adapt`); it stays as it is.
    X : {array-like, dataframe} of shape (n_rows, n_features)
        Rows of the task; of more than 200, 200 drawn at random. Columns that hold no numbers get no
        slope, which the text says.
    groups : array-like of shape (n_rows,), default=None
        The task of each row; not with `task_feature`. None: they are of the task that was adapted
        without an id, or of `task`.
    task : object, default=None
        The id of the task; where rows name theirs, those of the others are left out.
    target : object, default=None
        The class whose log-odds are explained, or the number of the output; None: the second of
        two classes, the only output.
    features : sequence of str or int, default=None
        Columns that get a slope, by name or number; None: all that hold numbers.
    max_tasks : int, default=500
        Known tasks that are compared with; of more, so many drawn at random.

    Returns
    -------
    TaskExplanation
        With a one-line text, and `to_frame()`.

    Raises
    ------
    ValueError
        If no tasks are known to compare with, the task is not adapted, or a parameter will not do.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.neural_network import MLPRegressor
    >>> from sklearn_meta import MetaLearner
    >>> from sklearn_meta.inspection import explain_task
    >>> rng = np.random.default_rng(0)
    >>> store, price = np.repeat(np.arange(50), 10), rng.normal(size=(500, 1))
    >>> sold = 10 + (rng.normal(size=50)[store] - 1) * price[:, 0]
    >>> mlp = MLPRegressor(hidden_layer_sizes=())
    >>> meta = MetaLearner(mlp, max_iter=200, random_state=0).fit(price, sold, groups=store)
    >>> found = explain_task(meta, price[store == 3], task=3)
    >>> found.features
    ['x0']
    >>> found.to_frame().columns.tolist()
    ['feature', 'slope', 'prior_slope', 'difference', 'spread', 'ratio']
    """
    now = fitted(meta, "explain_task")
    needs_shared_classes(now, "explain_task")
    output, name = target_number(now, target)
    check_number("max_tasks", max_tasks, 1, 10**9, "a number of tasks")
    rows, task = _rows_of(now, X, groups, task)
    compare = _Comparison(now, task, output, max_tasks)
    predicted = compare.outputs(rows)  # (2 + others, rows)
    change = predicted.mean(axis=1)
    names = feature_names(now, rows)
    asked = range(len(names)) if features is None else _asked(names, features)
    slopes = {number: _slopes(compare, rows, number) for number in asked}
    skipped = [str(names[number]) for number, found in slopes.items() if found is None]
    slopes = {number: found for number, found in slopes.items() if found is not None}
    if not slopes:
        raise ValueError(f"no column of X holds numbers: [{listed(skipped)}]")
    stacked = np.stack(list(slopes.values()), axis=1)  # (2 + others, features)
    own, prior, others = stacked[0], stacked[1], stacked[2:]
    change = change - change[1]
    is_classifier = now._served.learned.encoder.is_classifier
    response = f"log-odds of {shown(name)}" if is_classifier else name or "prediction"
    return TaskExplanation(
        task=plain(task),
        features=[str(names[number]) for number in slopes],
        slope=own,
        prior_slope=prior,
        spread=_rms(others - prior),
        change=float(change[0]),
        change_spread=float(_rms(change[2:])),
        nearest=compare.nearest(predicted),
        skipped=skipped,
        response=response,
    )


class _Comparison:
    """The task, the prior and the other known tasks, on the same rows."""

    def __init__(self, meta, task, output, max_tasks):
        served = meta._served
        self.learned, self.output = served.learned, output
        if served.known is None:
            raise ValueError(
                "no tasks are known to compare with: fit with adapt_training_tasks=True, or "
                "fit_adapt tasks with ids"
            )
        self.known, known = served.known, np.arange(len(served.known))
        self.tasks, self.place, others = served.current, 0, known
        if task is not None:
            self.tasks, self.place = served.known, int(find_task(task, served.known.ids)[0])
            others = np.delete(known, self.place)
        if not len(others):
            raise ValueError("only the task itself is known, there is none to compare with")
        if len(others) > max_tasks:
            others = np.random.RandomState(0).choice(others, max_tasks, replace=False)
        self.others = np.sort(others)

    def outputs(self, rows):
        """Of the task, the prior and the other tasks, in the user's terms, (2 + others, rows)."""
        X, learned = self.learned.encoder.features.transform(rows), self.learned
        own = learned.outputs(Asked(X, np.full(len(X), self.place), self.tasks))
        prior = learned.outputs(prior_asked(X))
        others = outputs_on(learned, self.known, X, self.others)
        z = np.concatenate([own, prior, *others])
        return self._in_users_terms(z).reshape(-1, len(X))

    def _in_users_terms(self, z):
        if not self.learned.encoder.is_classifier:
            found = self.learned.decode(z, np.zeros(len(z), int))
            return found.reshape(len(z), -1)[:, self.output]
        if z.shape[1] == 1:
            return z[:, 0] if self.output else -z[:, 0]
        others = np.delete(z, self.output, axis=1).astype(float)
        return z[:, self.output] - np.logaddexp.reduce(others, axis=1)

    def nearest(self, predicted):
        """Ids of the known tasks whose predictions (2 + others, rows) are most like the task's."""
        distance = np.linalg.norm(predicted[2:] - predicted[0], axis=1)
        order = np.argsort(distance, kind="stable")[:MOST_NEAREST]
        return self.known.ids[self.others[order]].tolist()


def _asked(names, features):
    if isinstance(features, str) or not np.iterable(features):
        raise ValueError(f"features must be a sequence of columns, got {shown(features)}")
    return list(dict.fromkeys(feature_number(names, feature) for feature in features))


def _rows_of(meta, X, groups, task):
    """The task's rows, and its id: None where it was adapted without."""
    served = meta._served
    rows, ids = query_rows(meta, X, groups)
    if ids is not None:
        if task is None:
            names = list(dict.fromkeys(ids.tolist()))
            if len(names) > 1:
                raise ValueError(
                    f"X has rows of {len(names)} tasks; name one by task, of [{listed(names)}]"
                )
            task = ids[0]
        mine = find_task(task, ids)
        if not len(mine):
            raise ValueError(f"task={shown(task)} has no rows in X")
        rows = safe_indexing(rows, mine)
    if task is None and served.current is None:
        raise ValueError(
            "the rows name no task, and fit_adapt was given none without an id: pass groups or task"
        )
    if task is not None and (served.known is None or not len(find_task(task, served.known.ids))):
        raise ValueError(f"task {shown(task)} was never adapted; adapt it first by fit_adapt")
    if num_samples(rows) > MOST_ROWS:
        some = np.random.RandomState(0).permutation(num_samples(rows))[:MOST_ROWS]
        rows = safe_indexing(rows, np.sort(some))
    return rows, task


def _slopes(compare, rows, number):
    """Mean slopes on a feature of the task, the prior and the others; None if it is no number."""
    x = column(rows, number)
    if x is None or not np.isfinite(x).any():
        return None
    there = np.isfinite(x)
    rows, x = safe_indexing(rows, np.flatnonzero(there)), x[there]
    if np.isin(x, (0, 1)).all():
        low, high = np.zeros_like(x), np.ones_like(x)
    else:
        step = STEP * (x.std() or max(1.0, np.abs(x).max()))
        low, high = x - step, x + step
    below, above = (compare.outputs(with_column(rows, number, v)) for v in (low, high))
    return ((above - below) / (high - low)).mean(axis=1)


def _rms(values):
    return np.sqrt(np.mean(values**2, axis=0))


def _ratio(difference, spread):
    """0 where neither is anything."""
    spread = np.asarray(spread, float)
    nothing = (spread == 0) & (np.asarray(difference) == 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(nothing, 0.0, difference / spread)


def _times(ratio):
    """How unusual, in words."""
    size = abs(float(ratio))
    if not np.isfinite(size):
        return "others do not differ"
    return "as usual" if 0.8 <= size <= 1.25 else f"{size:.1f} times the usual"
