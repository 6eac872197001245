"""few_shot_curve: how well new tasks are learned from a few rows, and whether it is worth it."""

from numbers import Integral, Real

import numpy as np
from sklearn.exceptions import FitFailedWarning
from sklearn.model_selection import KFold, check_cv
from sklearn.utils import check_random_state
from sklearn.utils.parallel import Parallel, delayed

from .._arguments import check_values, naming
from .._compat import StrOptions
from .._messages import shown, warn
from ._curve import FewShotCurve
from ._given import check_varies, given_tasks, order_of_shots, shots_by_class
from ._nested import SHOTS_CONSTRAINTS, check_n_shots, nested_supports
from ._rivals import auto_baselines
from ._scores import resolve_scoring
from ._trial import Trial

CONSTRAINTS = SHOTS_CONSTRAINTS | {
    "support_order": [StrOptions({"auto", "random", "first"})],
    "stratify": ["boolean", StrOptions({"auto"})],
    "n_jobs": [Integral, None],
    "error_score": [StrOptions({"raise"}), Real],
    "params": [dict, None],
    "return_predictions": ["boolean"],
}


def few_shot_curve(
    estimator,
    X,
    y=None,
    *,
    groups=None,
    blocks=None,
    n_shots=(0, 1, 2, 5, 10, 20),
    cv=None,
    n_repeats=5,
    support_order="auto",
    stratify="auto",
    scoring=None,
    baselines="auto",
    n_jobs=None,
    random_state=None,
    error_score=np.nan,
    params=None,
    return_predictions=False,
):
    """How well new tasks are learned from a few rows each, beside what one would do otherwise.

    Tasks are held out, as new ones will be. Of each held-out task some rows are shown to every
    contestant, and the same others judge all of them, for all numbers of shots: the rows shown
    first stay shown as more are added.

    Parameters
    ----------
    estimator : estimator
        What is judged. A MetaLearner, or whatever else has `fit_adapt`, is fitted once for each
        fold and adapted for each number of shots; so is a Pipeline or a search that ends in one.
        Any other estimator is fitted anew, on the training tasks and the rows that are shown.
    X : {array-like, dataframe} of shape (n_rows, n_features), TaskCollection or list of (X, y)
        Where a collection marks rows, those are shown and the others judge. Tasks may have classes
        of their own.
    y : array-like of shape (n_rows,) or (n_rows, n_outputs), default=None
        Targets of the rows; None where X is tasks.
    groups : array-like of shape (n_rows,), default=None
        The task of each row; None where `estimator` has a `task_feature`, or X is tasks.
    blocks : array-like of shape (n_rows,), default=None
        Labels of rows that belong together, as in `MetaLearner.fit`, which is told, too. Shots
        count blocks then, and a block is shown or judges. None where X is tasks.
    n_shots : int or sequence of int, default=(0, 1, 2, 5, 10, 20)
        Rows (or blocks) shown of a task. A task serves a number of shots if it has one more to
        judge by; how many are too small is said.
    cv : int, splitter or iterable, default=None
        Of tasks: a number of folds, into which tasks are dealt at random; a splitter; or (train,
        test) numbers of tasks, in the order of their sorted ids. None: 5 folds.
    n_repeats : int, default=5
        Draws of the rows that are shown of each task.
    support_order : {"auto", "random", "first"}, default="auto"
        Whether the rows shown are any of the task, or its first, in which case it is drawn once.
        "auto": as the MetaLearner that is judged has been told; else any.
    stratify : bool or "auto", default="auto"
        Whether shots are of each class. "auto": where tasks have classes of their own. Else they
        are of whatever class, as rows of new tasks come: a support of as many rows of each class
        would misstate how frequent classes are.
    scoring : str, callable, or list or dict of such, default=None
        Any scorer of scikit-learn, larger is better. None: "r2" or "accuracy". "r2" is of the rows
        of all tasks together; every other score is that of each task, and the mean over tasks.
    baselines : "auto", None, or list or dict of estimators, default="auto"
        What the estimator is compared with. "auto": `Pooled`, `Shifted` and `Stacked` boosted
        trees, a `Local` linear model, and the linear mixed model (a MetaLearner without a hidden
        layer), all behind the steps of the MetaLearner's own Pipeline; where tasks have classes of
        their own, the `Local` model.
    n_jobs : int, default=None
        Processes, over folds and contestants.
    random_state : int, RandomState or None, default=None
        Of the folds, the rows that are shown, and the baselines "auto".
    error_score : "raise" or float, default=nan
        The score of a contestant that fails, with a `FitFailedWarning`. It is an error, whatever
        this says, if the estimator fails in every fold.
    params : dict, default=None
        Further arguments of the `fit` of `estimator`. What has an entry for each row is cut to the
        rows that it is fitted to. ``{"groups": groups, "blocks": blocks}`` is as `groups` and
        `blocks`.
    return_predictions : bool, default=False
        Keep all predictions in the result.

    Returns
    -------
    FewShotCurve
        Its repr is a verdict in words.

    Raises
    ------
    ValueError
        If there are no tasks, or fewer than folds; if no task serves any number of shots; if
        arguments will not do.

    Warns
    -----
    FitFailedWarning
        If a contestant fails on a fold, or cannot learn or predict what is shown.

    See Also
    --------
    KShotGroupKFold : Folds for any other function of scikit-learn.
    few_shot_scorer : A score to search by.
    sklearn_meta.inspection.FewShotCurveDisplay : Draws the result.

    Notes
    -----
    A column of task ids (`task_feature`) is taken off for baselines that do not look for it.

    Examples
    --------
    >>> from sklearn.neural_network import MLPRegressor
    >>> from sklearn_meta import MetaLearner
    >>> from sklearn_meta.baselines import Shifted
    >>> from sklearn_meta.datasets import load_countries
    >>> from sklearn_meta.model_selection import few_shot_curve
    >>> from sklearn.linear_model import LinearRegression
    >>> tasks = load_countries()[::4]
    >>> meta = MetaLearner(MLPRegressor(hidden_layer_sizes=()), max_iter=100, random_state=0)
    >>> baselines = {"shifted line": Shifted(LinearRegression())}
    >>> curve = few_shot_curve(meta, tasks, n_shots=5, cv=3, baselines=baselines, random_state=0)
    >>> curve.mean().shape
    (2, 1)
    """
    check_values(CONSTRAINTS, dict(locals()), "few_shot_curve")
    params = dict(params or {})
    if "groups" in params:
        if groups is not None:
            raise ValueError("params has groups, and so has the argument groups: pass one of them")
        groups = params.pop("groups")
    if "blocks" in params:
        if blocks is not None:
            raise ValueError("params has blocks, and so has the argument blocks: pass one of them")
        blocks = params.pop("blocks")
    random_state = check_random_state(random_state)
    given = given_tasks(estimator, X, y, groups, blocks)
    scorers, shots = resolve_scoring(scoring, estimator), check_n_shots(n_shots)
    if "r2" in scorers.values():
        check_varies(given.tasks.y)
    contestants = _contestants(estimator, given, params, baselines, random_state)
    folds = _folds(cv, given.tasks, random_state)
    by_class = shots_by_class(stratify, estimator, given.tasks)
    order = order_of_shots(support_order, estimator)
    supports = nested_supports(given.tasks, shots, n_repeats, order, by_class, random_state)
    if not supports.served.any():
        raise ValueError(
            f"n_shots={shown(n_shots)}: no task has as many rows and one more to judge by; the "
            f"largest has {given.tasks.sizes.max()}"
        )
    trial = Trial(scorers, supports, error_score == "raise", return_predictions)
    jobs = [(contestant, fold) for contestant in contestants for fold in folds]
    outcomes = Parallel(n_jobs=n_jobs)(delayed(trial.run)(*job) for job in jobs)
    _report(jobs, outcomes, contestants[0])
    return _assembled(given, contestants, folds, trial, outcomes, error_score)


def _contestants(estimator, given, params, baselines, random_state):
    """What is judged, first, and its baselines."""
    if isinstance(baselines, str) and baselines == "auto":
        seed = random_state.randint(np.iinfo(np.int32).max)
        baselines = auto_baselines(estimator, given.tasks, seed)
    named = {type(estimator).__name__: estimator}
    for name, each in _named(baselines).items():
        if not hasattr(each, "fit") or isinstance(each, type):
            raise TypeError(f"baselines has {shown(each)}, expected an estimator")
        while name in named:
            name = f"{name} (baseline)"
        named[name] = each
    return [
        given.contestant(name, each, {} if i else params)
        for i, (name, each) in enumerate(named.items())
    ]


def _named(baselines):
    if baselines is None:
        return {}
    if isinstance(baselines, dict):
        if not all(isinstance(name, str) for name in baselines):
            raise TypeError(f"names of baselines must be strings, got {shown(list(baselines))}")
        return baselines
    if hasattr(baselines, "fit") or isinstance(baselines, str) or not np.iterable(baselines):
        raise TypeError(
            f"baselines must be 'auto', None, or a list or dict of estimators, got "
            f"{shown(baselines)}"
        )
    named = {}
    for each in baselines:
        name, count = type(each).__name__, 2
        while name in named:
            name, count = f"{type(each).__name__} {count}", count + 1
        named[name] = each
    return named


def _folds(cv, tasks, random_state):
    """(training tasks, tasks held out), each by their numbers, ascending."""
    if cv is None or isinstance(cv, Integral):
        n_splits = 5 if cv is None else cv
        if not 2 <= n_splits <= len(tasks):
            raise ValueError(
                f"cv={n_splits} must be 2 folds or more, and no more than the tasks; found "
                f"{len(tasks)} tasks"
            )
        cv = KFold(n_splits, shuffle=True, random_state=random_state)
    with naming("cv", "folds, a splitter or (train, test) numbers of tasks"):
        splits = check_cv(cv).split(np.arange(len(tasks)))
        folds = [tuple(np.unique(np.asarray(some, int)) for some in split) for split in splits]
    if not folds:
        raise ValueError("cv has no folds")
    for train, test in folds:
        wrong = [i for i in (*train, *test) if not 0 <= i < len(tasks)]
        if wrong:
            raise ValueError(
                f"cv has task {wrong[0]}, but there are {len(tasks)}: 0 to {len(tasks) - 1}"
            )
        both = np.intersect1d(train, test)
        if len(both):
            raise ValueError(
                f"cv has task {shown(tasks.task_ids[both[0]])} in training and held out at once"
            )
        if not len(train) or not len(test):
            raise ValueError("cv has a fold without training tasks, or with none held out")
    return folds


def _report(jobs, outcomes, judged):
    """Warn of what failed; raise if what is judged failed throughout."""
    of_judged = [
        o for (contestant, _), o in zip(jobs, outcomes, strict=True) if contestant is judged
    ]
    if all(outcome.is_nothing for outcome in of_judged):
        raise ValueError(f"{judged.name} failed in every fold, first with {of_judged[0].errors[0]}")
    failed = {}
    for (contestant, _), outcome in zip(jobs, outcomes, strict=True):
        if outcome.errors:
            failed.setdefault(contestant.name, []).extend(outcome.errors)
    for name, errors in failed.items():
        warn(
            f"{name} failed {len(errors)} times; its scores there are error_score. First: "
            f"{errors[0]}",
            FitFailedWarning,
        )


def _assembled(given, contestants, folds, trial, outcomes, error_score):
    """The curve, of the tasks that were held out; where that was several times, the mean."""
    tasks, supports = given.tasks, trial.supports
    held_out = [test for _, test in folds]
    times = np.bincount(np.concatenate(held_out), minlength=len(tasks))  # (tasks,)
    tested = np.flatnonzero(times)
    values = {}
    for name, of_first in outcomes[0].values.items():
        n_shots, _, width = of_first.shape
        total = np.zeros((len(contestants), n_shots, len(tasks), width))
        for number, outcome in enumerate(outcomes):
            who, fold = divmod(number, len(folds))
            total[who][:, held_out[fold]] += outcome.values[name]
        values[name] = total[:, :, tested] / times[tested, None]
    served = supports.served[:, tested]
    n_query = np.bincount(supports.task[supports.query(0)], minlength=len(tasks))
    results = trial.results(values, tasks, tested)
    return FewShotCurve(
        [contestant.name for contestant in contestants],
        supports.n_shots,
        tasks.task_ids[tested],
        n_query[tested],
        served,
        {name: result.filled(served, error_score) for name, result in results.items()},
        _predictions(given, contestants, outcomes) if trial.keeps_predictions else None,
        "row" if tasks.blocks is None else "block",
    )


def _predictions(given, contestants, outcomes):
    """All predictions in the order of the rows that were handed over."""
    per_contestant = len(outcomes) // len(contestants)
    joined = []
    for i in range(len(contestants)):
        some = outcomes[i * per_contestant : (i + 1) * per_contestant]
        whole = some[0].predictions.copy()
        for outcome in some[1:]:
            there = outcome.is_predicted
            whole[there] = outcome.predictions[there]
        joined.append(whole)
    return given.as_handed(np.array(joined))
