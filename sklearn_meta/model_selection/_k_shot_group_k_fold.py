"""KShotGroupKFold: folds over tasks in which each held-out task shows a few rows."""

from dataclasses import replace
from numbers import Integral

import numpy as np
from sklearn.model_selection import BaseCrossValidator
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import type_of_target

from .._arguments import check_array_like, check_length, check_values
from .._compat import Interval, num_samples
from .._messages import warn
from ..tasks import TaskCollection
from ._nested import SHOTS_CONSTRAINTS, nested_supports

CONSTRAINTS = SHOTS_CONSTRAINTS | {
    "n_splits": [Interval(Integral, 2, None, closed="left")],
    "n_shots": [Interval(Integral, 0, None, closed="left")],
    "stratify": ["boolean", type(None)],
}


class KShotGroupKFold(BaseCrossValidator):
    """Cross-validation for rows of tasks, in which a held-out task shows a few of its rows.

    Tasks are dealt into folds. The training rows are all those of the other folds' tasks and
    `n_shots` rows of each held-out task; the test rows are the others of the held-out tasks. So any
    estimator that takes rows and groups is judged on new tasks of which it has seen a little.

    Parameters
    ----------
    n_splits : int, default=5
        Folds.
    n_shots : int
        Rows (or blocks, see `split`) of a held-out task that are in the training rows; with
        `stratify` of each class. 0 is
        `GroupKFold` with tasks in random order.
    n_repeats : int, default=1
        How often all is dealt anew.
    support_order : {"random", "first"}, default="random"
        Whether these rows are any of the task, or its first.
    stratify : bool or "auto", default="auto"
        Whether shots are of each class; of a class with fewer rows as many as there are. "auto":
        where y is binary or multiclass, as `type_of_target` sees it. Counts look like classes: say
        False.
    random_state : int, RandomState or None, default=None
        Of the folds and of the rows.

    See Also
    --------
    few_shot_curve : What a meta-learner is worth, for several numbers of shots at once.

    Notes
    -----
    A task whose rows are no more than the shots shows all but one, and a warning counts these.

    `cross_val_predict` takes only partitions: with `n_shots` above 0 no test fold has the rows that
    are shown, and it raises. `cross_validate`, `cross_val_score` and the searches take any splits.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_meta.model_selection import KShotGroupKFold
    >>> X, store = np.zeros((12, 1)), np.repeat(["a", "b", "c"], 4)
    >>> cv = KShotGroupKFold(3, n_shots=1, random_state=0)
    >>> [(len(train), len(test)) for train, test in cv.split(X, groups=store)]
    [(9, 3), (9, 3), (9, 3)]
    """

    __metadata_request__split = {"groups": True, "blocks": True}

    def __init__(
        self,
        n_splits=5,
        *,
        n_shots,
        n_repeats=1,
        support_order="random",
        stratify="auto",
        random_state=None,
    ):
        self.n_splits = n_splits
        self.n_shots = n_shots
        self.n_repeats = n_repeats
        self.support_order = support_order
        self.stratify = stratify
        self.random_state = random_state
        check_values(
            CONSTRAINTS,
            vars(self) | {"stratify": None if stratify == "auto" else stratify},
            type(self).__name__,
        )

    def split(self, X, y=None, groups=None, blocks=None):
        """Row numbers of training and test rows.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
        y : array-like of shape (n_rows,), default=None
            Of it the classes are taken, where shots are of each class.
        groups : array-like of shape (n_rows,)
            The task of each row.
        blocks : array-like of shape (n_rows,), default=None
            Labels of rows that belong together, as in `MetaLearner.fit`: shots count blocks then,
            and no block is in the training and the test rows.

        Yields
        ------
        train, test : ndarray
            Ascending.

        Raises
        ------
        ValueError
            If `groups` is missing, or has fewer tasks than `n_splits`; if shots are of each class,
            and a block has rows of several.
        """
        tasks, rows = self._tasks(X, y, groups, blocks)
        random_state = check_random_state(self.random_state)
        task = np.repeat(np.arange(len(tasks)), tasks.sizes)
        for _ in range(self.n_repeats):
            shown = self._shown(tasks, random_state)
            for held_out in self._folds(len(tasks), random_state):
                of_held_out = np.isin(task, held_out)
                test = of_held_out & ~shown
                yield np.sort(rows[~test]), np.sort(rows[test])

    def get_n_splits(self, X=None, y=None, groups=None, blocks=None):
        """The number of pairs that `split` yields, `n_splits` times `n_repeats`."""
        return self.n_splits * self.n_repeats

    def _tasks(self, X, y, groups, blocks):
        """Tasks of row numbers, with classes as targets, and their rows' places in X."""
        if groups is None:
            raise ValueError("groups must name the task of each row, got None")
        check_array_like(X, "X")
        n_rows = num_samples(X)
        if y is not None:
            check_array_like(y, "y")
            check_length("y", y, n_rows, " as X has rows")
        numbers = np.arange(n_rows)
        tasks = TaskCollection.from_arrays(numbers[:, None], numbers, groups, blocks=blocks)
        if len(tasks) < self.n_splits:
            raise ValueError(f"n_splits={self.n_splits} needs as many tasks, found {len(tasks)}")
        return self._with_classes(tasks, y), tasks.X[:, 0]

    def _with_classes(self, tasks, y):
        is_classes = y is not None and type_of_target(y) in ("binary", "multiclass")
        if self.stratify is True and y is None:
            raise ValueError("stratify=True needs the classes of the rows, y is None")
        by_class = is_classes if self.stratify == "auto" else self.stratify
        y = np.ravel(y)[tasks.y] if by_class else np.zeros(tasks.n_rows, int)
        return replace(tasks, y=y)

    def _shown(self, tasks, random_state):
        """Mask (rows,) of the rows that each task would show; of small tasks all but one."""
        numbers = tuple(range(self.n_shots + 1))
        supports = nested_supports(tasks, numbers, 1, self.support_order, True, random_state)
        small = np.count_nonzero(~supports.served[-1])
        if small:
            units = "rows" if tasks.blocks is None else "blocks"
            of_class = " of a class" if len(np.unique(tasks.y)) > 1 else ""
            warn(
                f"{small} of {len(tasks)} tasks have no more than n_shots={self.n_shots} "
                f"{units}{of_class}: they show all but one, which is the test"
            )
        return supports.place[0] < supports.most

    def _folds(self, n_tasks, random_state):
        return np.array_split(random_state.permutation(n_tasks), self.n_splits)
