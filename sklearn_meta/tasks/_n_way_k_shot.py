"""NWayKShot: tasks of a few classes each, drawn from flat labelled rows."""

import copy
from numbers import Integral, Real

import numpy as np

from .._arguments import check_values, random_state_of
from .._compat import (
    Interval,
    StrOptions,
    num_features,
    num_samples,
    safe_indexing,
)
from .._messages import shown
from ._augment import AUGMENT_CONSTRAINTS, augmented, check_augment
from ._collection import TaskCollection, check_rows
from ._draws import draw_subsets
from ._ids import missing_values, sorted_values

SHAPE_CONSTRAINTS = {
    "n_way": [Interval(Integral, 2, None, closed="left")],
    "n_shots": [Interval(Integral, 1, None, closed="left")],
    "n_query": [Interval(Integral, 1, None, closed="left")],
}
PARAMETER_CONSTRAINTS = SHAPE_CONSTRAINTS | AUGMENT_CONSTRAINTS
PARAMETER_CONSTRAINTS |= {"on_small": [StrOptions({"error", "drop"})]}
N_TASKS_CONSTRAINTS = {"n_tasks": [Interval(Integral, 1, None, closed="left")]}
FRACTION_CONSTRAINTS = {"fraction": [Interval(Real, 0, 1, closed="neither")]}
MOST_NAMED = 5  # classes in a message
LEAST_WAYS = 2  # of a task


class NWayKShot:
    """N-way K-shot tasks from flat labelled rows: a distribution of tasks.

    A task has `n_way` classes drawn at random, and of each `n_shots` rows of support and
    `n_query` others of query. `MetaLearner.fit` takes the distribution as it is and sees ever
    new tasks, and validates on classes that it holds out by `split`; a sample of it is a fixed
    set of tasks to be evaluated on.

    Parameters
    ----------
    X : array-like or dataframe of shape (n_rows, n_features)
        Rows. Kept as they are and never copied as a whole, so the cheapest is an array of
        float32 or float64.
    y : array-like of shape (n_rows,) or (n_rows, n_labellings)
        Class of each row. Of several columns, each sorts the rows into classes in a way of
        its own (genus and species; clusterings), and a task takes its classes from one of
        them, drawn at random.
    n_way : int, default=5
        Classes a task.
    n_shots : int, default=1
        Support rows of each class.
    n_query : int, default=15
        Query rows of each class.
    on_small : {"error", "drop"}, default="error"
        What to do with classes of fewer than `n_shots + n_query` rows: raise, or leave them
        out, and with them a labelling that keeps fewer than `n_way`.
    augment : callable, default=None
        ``augment(rows, random_state) -> rows`` makes other rows of the same classes, which take
        the place of those drawn, at each `sample` anew: it is given rows as those of X are, a copy
        of its own, and a RandomState, and returns as many rows and columns. `ImageJitter` is one
        for images. None: rows as they are. Of the two that `split` gives, the second has none.

    Raises
    ------
    ValueError
        If lengths differ, a class is missing or too small, or there are too few classes.
    TypeError
        If `augment` is a class.

    See Also
    --------
    ImageJitter : Turns, zooms and shifts images, as `augment`.
    pseudo_tasks : The same from rows without labels.

    Notes
    -----
    The `n_query` of a MetaLearner caps the query rows of a whole task, of all classes
    together: give it None to train on all that a task here has. Its `n_shots` are drawn from
    the support rows here, and so are never more.

    Images as they come are a poor thing to learn from: a network soon knows those of training by
    heart, and is not far above raw class means on new classes. Redraw them by `augment`, and put a
    step before the MLP that sees edges rather than pixels, as the user guide does.

    References
    ----------
    O. Vinyals, C. Blundell, T. Lillicrap, K. Kavukcuoglu, D. Wierstra. "Matching Networks
    for One Shot Learning". NeurIPS 2016, section 4. https://arxiv.org/abs/1606.04080

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn_meta.tasks import NWayKShot
    >>> X, y = load_digits(return_X_y=True)
    >>> tasks = NWayKShot(X, y, n_way=3, n_shots=5, n_query=10)
    >>> tasks
    NWayKShot(n_way=3, n_shots=5, n_query=10, n_classes=10, n_rows=1797, n_features=64)
    >>> tasks.sample(100, random_state=0)
    TaskCollection(n_tasks=100, n_rows=4500, n_features=64, rows_per_task=45)
    """

    def __init__(self, X, y, n_way=5, n_shots=1, n_query=15, *, on_small="error", augment=None):
        parameters = {"n_way": n_way, "n_shots": n_shots, "n_query": n_query}
        parameters |= {"on_small": on_small, "augment": augment}
        check_values(PARAMETER_CONSTRAINTS, parameters, type(self).__name__)
        check_augment(augment)
        vars(self).update(parameters)
        X = check_rows(X)
        checked = TaskCollection.from_arrays(X, y, groups=np.zeros(num_samples(X)))
        self.X, self.y = checked.X, checked.y
        self._labels = _labellings(self.y)
        self._check_enough(self._index_classes(np.ones(self._labels.shape, bool)))

    def sample(self, n_tasks, random_state=None):
        """Draw tasks.

        Parameters
        ----------
        n_tasks : int
        random_state : int, RandomState or None, default=None

        Returns
        -------
        TaskCollection
            Tasks numbered from 0, each with classes of its own: its `y` has the labels as
            they were given. In each task the support comes first, one row of each class
            after another, then the query; `is_support` marks them, and no row is in a task
            twice. What `augment` makes of the rows is in their places.

        Raises
        ------
        TypeError, ValueError
            If `augment` returns what is no such rows, or has NaN where they have none.
        """
        check_values(N_TASKS_CONSTRAINTS, {"n_tasks": n_tasks}, "sample")
        random_state = random_state_of(random_state)
        labelling = random_state.randint(len(self._n_classes), size=n_tasks)  # (tasks,)
        classes = draw_distinct(self._n_classes[labelling], self.n_way, random_state)
        classes = (classes + self._first_class[labelling, None]).ravel()  # (tasks * ways,)
        places = draw_distinct(self._sizes[classes], self.n_shots + self.n_query, random_state)
        rows = self._rows[self._starts[classes, None] + places]  # (tasks * ways, rows a class)
        rows = rows.reshape(n_tasks, self.n_way, -1).swapaxes(1, 2).reshape(n_tasks, -1)
        is_support = np.arange(rows.shape[1]) < self.n_way * self.n_shots
        X = augmented(safe_indexing(self.X, rows.ravel()), self.augment, random_state)
        return TaskCollection(
            X,
            self._labels[rows, self._columns[labelling, None]].ravel(),
            np.arange(n_tasks + 1) * rows.shape[1],
            np.arange(n_tasks),
            is_support=np.tile(is_support, n_tasks),
            shared_labels=False,
        )

    def split(self, fraction, random_state=None):
        """Two distributions that share no class and no row, to train on and to validate on.

        Both keep X and y as they are, and draw from rows of their own.

        Parameters
        ----------
        fraction : float
            Share of the classes, drawn at random, that the second has. Of several labellings
            each gives an equal part of that share, with all rows of these classes, which the
            first then leaves out in every labelling.
        random_state : int, RandomState or None, default=None

        Returns
        -------
        (training, validation) : tuple of NWayKShot, or None
            The first keeps `n_way` classes at least. The second has at least two; if it has fewer
            than `n_way`, so are the ways of its tasks: of few classes, most are worth more in
            training. It has rows as they are, since new tasks will: `augment` is of the first
            alone. None where there are too few classes for both.

        Raises
        ------
        ValueError
            If `fraction` is not between 0 and 1.
        """
        check_values(FRACTION_CONSTRAINTS, {"fraction": fraction}, "split")
        n_held_out = self._n_held_out(fraction)
        held_out = self._hold_out(n_held_out, random_state_of(random_state))
        training = self._part(self._chosen & ~held_out.any(axis=1, keepdims=True), self.n_way)
        if not n_held_out.any() or len(training._columns) == 0:
            return None
        n_way = min(self.n_way, n_held_out[n_held_out > 0].min())
        return training, self._part(held_out, n_way, augment=None)

    def _n_held_out(self, fraction):
        """Classes of each labelling to validate on; none where too few would be left."""
        asked = np.round(fraction / len(self._n_classes) * self._n_classes).astype(int)
        n_held_out = np.minimum(np.maximum(asked, LEAST_WAYS), self._n_classes - self.n_way)
        return np.where(n_held_out < LEAST_WAYS, 0, n_held_out)

    def _hold_out(self, n_held_out, random_state):
        """Whether each row is of a class held out, by labelling, (rows, labellings)."""
        held_out = np.zeros(self._labels.shape, bool)
        labellings = zip(self._columns, self._first_class, self._n_classes, n_held_out, strict=True)
        for column, first, n_classes, n_chosen in labellings:
            for number in first + random_state.permutation(n_classes)[:n_chosen]:
                start = self._starts[number]
                held_out[self._rows[start : start + self._sizes[number]], column] = True
        return held_out

    def _part(self, chosen, n_way, **changed):
        """The same of some rows of each labelling; classes that are too small then are left out."""
        part = copy.copy(self)
        vars(part).update({"n_way": n_way, "on_small": "drop", **changed})
        part._index_classes(chosen)
        return part

    def _index_classes(self, chosen):
        """Where the chosen rows (rows, labellings) of each class are: `_sizes` of `_rows` from its
        `_starts`, class after class; a labelling has `_n_classes` from its `_first_class`.

        Returns how many classes each labelling has, of those that are large enough.
        """
        n_each, n_before = self.n_shots + self.n_query, 0
        parts, n_classes = [], []
        for column, of_rows in enumerate(self._labels.T):
            rows = np.flatnonzero(chosen[:, column])
            names, codes, sizes = _count(of_rows[rows])
            small = sizes < n_each
            if small.any() and self.on_small == "error":
                self._raise_small(names[small], sizes[small], column)
            starts = n_before + np.cumsum(sizes) - sizes
            parts.append((rows[np.argsort(codes, kind="stable")], starts[~small], sizes[~small]))
            n_before += len(rows)
            n_classes.append(len(names) - small.sum())
        n_classes = np.array(n_classes, dtype=int)
        self._chosen = chosen
        self._rows, self._starts, self._sizes = map(np.concatenate, zip(*parts, strict=True))
        first_class = np.cumsum(n_classes) - n_classes
        self._columns = np.flatnonzero(n_classes >= self.n_way)
        self._n_classes = n_classes[self._columns]
        self._first_class = first_class[self._columns]
        return n_classes

    def _raise_small(self, names, sizes, column):
        named = [
            f"{shown(name)} ({size})"
            for name, size in zip(names[:MOST_NAMED], sizes[:MOST_NAMED], strict=True)
        ]
        more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
        where = f"column {column} of y" if self._labels.shape[1] > 1 else "y"
        raise ValueError(
            f"{where} has classes with too few rows: {', '.join(named)}{more}; expected at least "
            f"n_shots + n_query = {self.n_shots + self.n_query} of each. Lower them, or leave "
            "such classes out by on_small='drop'"
        )

    def _check_enough(self, n_classes):
        """Classes enough for a task in every labelling; if small ones are dropped, in one."""
        found = n_classes.max() if self.on_small == "drop" else n_classes.min()
        if found < self.n_way:
            where = "y" if len(n_classes) == 1 else "a column of y"
            raise ValueError(
                f"{where} has {found} class(es) of n_shots + n_query = "
                f"{self.n_shots + self.n_query} rows or more, expected at least "
                f"n_way={self.n_way}"
            )

    def __repr__(self):
        low, high = self._n_classes.min(), self._n_classes.max()
        n_classes = low if low == high else f"{low}..{high}"
        augment = "" if self.augment is None else f", augment={shown(self.augment)}"
        return (
            f"NWayKShot(n_way={self.n_way}, n_shots={self.n_shots}, n_query={self.n_query}, "
            f"n_classes={n_classes}, n_rows={self._chosen.any(axis=1).sum()}, "
            f"n_features={num_features(self.X)}{augment})"
        )


def draw_distinct(sizes, k, random_state):
    """`k` different numbers below each of the sizes, in random order, (len(sizes), k)."""
    chosen = draw_subsets(sizes, np.full(len(sizes), k), random_state).T
    order = np.argsort(random_state.random_sample(chosen.shape), axis=1)
    return np.take_along_axis(chosen, order, axis=1)


def _labellings(y):
    """Classes as columns, (rows, labellings)."""
    if y.ndim > 2 or y.size == 0:
        raise ValueError(
            f"y has the shape {y.shape}, expected (rows,) or (rows, labellings), 1 or more of each"
        )
    missing = missing_values(y.ravel())
    if missing.any():
        row = int(np.flatnonzero(missing)[0]) // (y.size // len(y))
        raise ValueError(f"y has no class in row {row}; leave such rows out")
    return y.reshape(len(y), -1)


def _count(labels):
    """The classes, the number of each row's, and how many rows each has."""
    return sorted_values(labels, "y", "classes", return_inverse=True, return_counts=True)
