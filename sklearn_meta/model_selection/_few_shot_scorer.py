"""few_shot_scorer: how well new tasks are learned, for cross-validations and searches."""

import copy
from dataclasses import dataclass
from numbers import Integral

import numpy as np

from .._arguments import check_values
from .._compat import Interval, StrOptions
from .._messages import shown
from ..encoding._input import is_rows
from ._contestants import Contestant, quieted
from ._given import given_tasks, shots_by_class
from ._nested import SHOTS_CONSTRAINTS, nested_supports
from ._scores import resolve_scoring
from ._trial import Trial

CONSTRAINTS = SHOTS_CONSTRAINTS | {
    "n_shots": [Interval(Integral, 0, None, closed="left")],
    "stratify": ["boolean", StrOptions({"auto"})],
}


def few_shot_scorer(
    scoring=None,
    *,
    n_shots,
    n_repeats=1,
    support_order="random",
    stratify="auto",
    random_state=0,
):
    """A scorer of how well tasks are learned, for cross-validations and searches over tasks.

    `cross_val_score`, `cross_validate` and `GridSearchCV` take it where what is split is a
    TaskCollection: of each held-out task some rows are shown, and the others judge. Several go into
    a dict, ``scoring={"1 row": few_shot_scorer("r2", n_shots=1), ...}``.

    Parameters
    ----------
    scoring : str or callable, default=None
        A scorer of scikit-learn. None: "r2" or "accuracy". "r2" is of the rows of all tasks
        together; every other score is that of each task, and the mean over tasks.
    n_shots : int
        Rows (or blocks) shown of each task. Tasks that have no more are left out of the score, and
        so are those for which it is not defined (of "roc_auc", where all query rows are of one
        class).
    n_repeats : int, default=1
        Draws of the rows that are shown of each task.
    support_order : {"random", "first"}, default="random"
        Whether the rows shown are any of the task, or its first. It does not go by what the
        estimator has been told, so that candidates of a search are shown the same.
    stratify : bool or "auto", default="auto"
        Whether shots are of each class. "auto": where tasks have classes of their own.
    random_state : int, RandomState or None, default=0
        Of the rows that are shown: with an int, the same at every call, so that scores can be
        compared.

    Returns
    -------
    callable
        ``(estimator, tasks) -> float``, of a fitted MetaLearner, whatever else has `fit_adapt`, or
        what ends in a MetaLearner. It raises a ValueError if it is handed rows, or no task has
        enough of them.

    See Also
    --------
    few_shot_curve : Scores for several numbers of shots, beside baselines.

    Examples
    --------
    >>> from sklearn.model_selection import GridSearchCV
    >>> from sklearn.neural_network import MLPRegressor
    >>> from sklearn_meta import MetaLearner
    >>> from sklearn_meta.datasets import load_countries
    >>> from sklearn_meta.model_selection import few_shot_scorer
    >>> meta = MetaLearner(MLPRegressor(hidden_layer_sizes=(16,)), max_iter=100, random_state=0)
    >>> scoring = few_shot_scorer("r2", n_shots=5)
    >>> search = GridSearchCV(meta, {"meta_lr": [1e-3, 3e-3]}, scoring=scoring, cv=3)
    >>> bool(search.fit(load_countries()[::4]).best_score_ > 0.5)
    True
    """
    scorer = FewShotScorer(scoring, n_shots, n_repeats, support_order, stratify, random_state)
    check_values(CONSTRAINTS, vars(scorer), "few_shot_scorer")
    if scoring is not None and len(resolve_scoring(scoring, None)) != 1:
        raise ValueError(f"scoring must be a single scorer, got {shown(scoring)}")
    return scorer


@dataclass(frozen=True)
class FewShotScorer:
    """What `few_shot_scorer` makes; its attributes are those arguments."""

    scoring: object
    n_shots: int
    n_repeats: int
    support_order: str
    stratify: object
    random_state: object

    def __call__(self, estimator, X, y=None):
        """The score of a fitted estimator on the tasks X."""
        contestant = Contestant("", estimator, self._tasks(estimator, X, y), as_collection=True)
        if not contestant.learns_tasks:
            raise ValueError(f"few_shot_scorer scores what has fit_adapt, got {shown(estimator)}")
        trial = self._trial(estimator, contestant.tasks)
        learn = contestant.with_fitted(quieted(copy.deepcopy(estimator)))
        outcome = trial.examine(contestant, learn, np.arange(len(contestant.tasks)))
        values = {name: of_one[None] for name, of_one in outcome.values.items()}
        (result,) = trial.results(values, contestant.tasks).values()
        (served,) = trial.supports.served
        if not served.any():
            raise ValueError(f"no task has more than n_shots={self.n_shots} rows")
        served = served & np.isfinite(result.of_tasks()[0, 0])  # else its query has one class, say
        if not served.any():
            raise ValueError(f"scoring={shown(self.scoring)} is defined for no task's query rows")
        return float(result.over(np.ones((1, len(served))), 0, 0, served)[0])

    def _tasks(self, estimator, X, y):
        if is_rows(X):
            raise ValueError(
                "few_shot_scorer scores task collections, got rows: pass "
                "TaskCollection.from_arrays(X, y, groups), or split rows by KShotGroupKFold, with "
                "any other scorer"
            )
        return given_tasks(estimator, X, y, None, at_least=1).tasks

    def _trial(self, estimator, tasks):
        supports = nested_supports(
            tasks,
            (self.n_shots,),
            self.n_repeats,
            self.support_order,
            shots_by_class(self.stratify, estimator, tasks),
            self.random_state,
        )
        return Trial(resolve_scoring(self.scoring, estimator), supports, raises=True)
