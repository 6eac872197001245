import copy
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import sklearn
from conftest import make_problem
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.exceptions import FitFailedWarning
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.metrics import accuracy_score, get_scorer, make_scorer, mean_absolute_error, r2_score
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold, ShuffleSplit
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_meta import MetaLearner, adapt
from sklearn_meta.baselines import Local, Pooled, Shifted
from sklearn_meta.datasets import load_vowels
from sklearn_meta.model_selection import few_shot_curve

SHOTS = 0, 1, 4
FOLDS = [(np.arange(4, 12), np.arange(4)), (np.arange(8), np.arange(8, 12))]
OPTIONS = {"n_shots": SHOTS, "cv": FOLDS, "baselines": None, "random_state": 0}
ON_ROWS = "regression", "multi-output", "poisson", "binary", "multiclass"


class Recorder(RegressorMixin, BaseEstimator):
    """It predicts 0, and keeps what it is handed."""

    seen = []

    def __init__(self, name="a"):
        self.name = name

    def fit(self, X, y, groups=None):
        self.support_ = []
        return self

    def fit_adapt(self, X, y, groups=None):
        self.support_ = sorted(X[:, 0].tolist())
        return self

    def predict(self, X, groups=None):
        self.seen.append((self.name, self.support_, sorted(X[:, 0].tolist())))
        return np.zeros(len(X))


class Failing(RegressorMixin, BaseEstimator):
    """It knows the prior, and fails with any row that it is shown."""

    def fit(self, X, y=None, groups=None):
        return self

    def fit_adapt(self, X, y=None, groups=None):
        raise ValueError("too hot")

    def predict(self, X, groups=None):
        return np.zeros(len(X))


def loop(meta, tasks, n_shots, folds):
    """(y, predicted) of each task at each number of shots, by a plain loop: first rows shown."""
    found = {}
    for train, test in folds:
        fitted = clone(meta).fit(tasks.take(train))
        for task in test:
            X, y = tasks[int(task)]
            most = max(k for k in n_shots if k < len(y))
            for k in [k for k in n_shots if k < len(y)]:
                adapted = fitted.adapt(X[:k], y[:k])
                found[int(task), k] = y[most:], adapted.predict(X[most:])
    return found


@pytest.mark.parametrize("kind", ON_ROWS)
@pytest.mark.parametrize("algorithm", ["bayesian_head", "joint", "deep_kernel_gp"])
def test_curves_are_a_plain_loop_over_folds_tasks_and_shots(kind, algorithm):
    problem = make_problem(kind)
    meta = problem.meta(algorithm)
    curve = few_shot_curve(meta, problem.tasks, support_order="first", **OPTIONS)
    pairs = loop(meta, problem.tasks, SHOTS, FOLDS)
    tested = [*range(4), *range(8, 12)]
    np.testing.assert_array_equal(curve.task_ids, problem.tasks.task_ids[tested])
    for number, k in enumerate(SHOTS):
        of_k = [pairs[task, k] for task in tested]
        y, predicted = (np.concatenate(values) for values in zip(*of_k, strict=True))
        if curve.scoring == ["r2"]:
            np.testing.assert_allclose(curve.mean()[0, number], r2_score(y, predicted), rtol=1e-5)
        else:
            scores = [accuracy_score(*pair) for pair in of_k]
            np.testing.assert_allclose(curve.scores["accuracy"][0, number], scores)
            np.testing.assert_allclose(curve.mean()[0, number], np.mean(scores))


@pytest.mark.parametrize("inside", [lambda meta: meta, lambda meta: make_pipeline(meta)])
@pytest.mark.parametrize("order", ["first", "random"])
def test_rows_are_shown_in_the_order_that_the_learner_was_told(regression, order, inside):
    options = OPTIONS | {"baselines": None, "random_state": 0}
    meta = inside(regression.meta(max_iter=2, support_order=order))
    as_told = few_shot_curve(meta, regression.tasks, **options)
    as_said = few_shot_curve(meta, regression.tasks, support_order=order, **options)
    other = {"first": "random", "random": "first"}[order]
    otherwise = few_shot_curve(meta, regression.tasks, support_order=other, **options)
    np.testing.assert_array_equal(as_told.mean(), as_said.mean())
    assert np.any(as_told.mean() != otherwise.mean())


def test_rows_and_collections_give_the_same_and_so_does_a_column_of_ids(task_frame, regression):
    meta, options = regression.meta(), OPTIONS | {"n_repeats": 2}
    by_tasks = few_shot_curve(meta, regression.tasks, **options)
    X, y, groups = regression.rows
    order = np.random.default_rng(0).permutation(len(y))
    whole = clone(meta).set_params(task_feature="store")
    baselines = {"line": Pooled(Ridge()), "another": whole}
    frame = task_frame[["a", "store", "b", "c"]]
    for found in (
        few_shot_curve(meta, X, y, groups=groups, **options),
        few_shot_curve(meta, X, y, params={"groups": groups}, **options),
        few_shot_curve(whole, frame, y, **options | {"baselines": baselines}),
    ):
        np.testing.assert_allclose(found.mean()[0], by_tasks.mean()[0], rtol=1e-6)
    np.testing.assert_array_equal(found.mean()[0], found.mean()[2])
    shuffled = few_shot_curve(
        meta, X[order], y[order], groups=groups[order], support_order="first", **OPTIONS
    )
    assert shuffled.mean().shape == (1, 3)


def test_supports_are_nested_and_everybody_is_judged_by_the_same_rows(regression):
    Recorder.seen.clear()
    X, y, groups = regression.rows
    X = np.arange(len(y))[:, None].astype(float)
    contestants = {"one": Recorder("b"), "two": Recorder("c")}
    options = OPTIONS | {"baselines": contestants, "n_repeats": 2}
    few_shot_curve(Recorder(), X, y, groups=groups, **options)
    by_name = {
        name: [seen[1:] for seen in Recorder.seen if seen[0] == name] for name in ("a", "b", "c")
    }
    assert by_name["a"] == by_name["b"] == by_name["c"]
    assert len(by_name["a"]) == 2 * len(SHOTS) * 2  # folds, shots, repeats
    for fold in np.split(np.arange(12), 2):
        supports, queries = zip(*(by_name["a"][i] for i in fold), strict=True)
        for repeat in range(2):
            nested = [set(support) for support in supports[repeat::2]]
            assert all(few <= many for few, many in pairwise(nested))
            assert len({tuple(query) for query in queries[repeat::2]}) == 1
            assert not nested[-1] & set(queries[repeat])
        assert supports[2] != supports[3]


def test_what_was_adapted_to_is_forgotten_with_the_next_support(regression):
    options = OPTIONS | {"n_repeats": 3, "return_predictions": True}
    curve = few_shot_curve(regression.meta(), regression.tasks, **options)
    alone = few_shot_curve(regression.meta(), regression.tasks, **options | {"n_shots": (0, 4)})
    np.testing.assert_array_equal(curve.scores["r2"][:, [0, 2]], alone.scores["r2"])
    of_none = curve.predictions[0, 0]  # (repeats, rows): whatever is shown, the prior stays
    of_none = of_none[:, np.isfinite(of_none).any(axis=0)]
    np.testing.assert_array_equal(np.nanmin(of_none, axis=0), np.nanmax(of_none, axis=0))


def test_predictions_are_in_the_order_of_the_rows(regression):
    X, y, groups = regression.rows
    order = np.random.default_rng(0).permutation(len(y))
    options = OPTIONS | {"support_order": "first", "return_predictions": True, "n_shots": (0,)}
    sorted_, shuffled = (
        few_shot_curve(regression.meta(), X[o], y[o], groups=groups[o], **options).predictions
        for o in (np.arange(len(y)), order)
    )
    assert sorted_.shape == (1, 1, 1, len(y))
    rows = np.isfinite(sorted_[0, 0, 0])
    np.testing.assert_array_equal(
        rows, np.isin(groups, np.unique(groups)[[*range(4), *range(8, 12)]])
    )
    fold = np.isin(groups, np.unique(groups)[:4])  # those of one fit, to the order of its rows
    expected = clone(regression.meta()).fit(regression.tasks.take(FOLDS[0][0])).predict(X[fold])
    np.testing.assert_allclose(sorted_[0, 0, 0][fold], expected, rtol=1e-6)
    assert np.isfinite(shuffled[0, 0, 0]).sum() == rows.sum()
    classes = make_problem("multiclass")
    predicted = few_shot_curve(classes.meta(), classes.tasks, **options).predictions[0, 0, 0]
    assert {*predicted[rows[: len(predicted)]]} <= {0, 1, 2, None}


@pytest.mark.parametrize("kind", ["regression", "binary"])
def test_any_number_of_processes_gives_the_same_bits(kind):
    problem = make_problem(kind)
    one, two = (
        few_shot_curve(
            problem.meta(),
            problem.tasks,
            **OPTIONS
            | {"baselines": [Pooled(LogisticRegression() if kind == "binary" else Ridge())]},
            n_jobs=n_jobs,
        )
        for n_jobs in (1, 2)
    )
    (name,) = one.scoring
    np.testing.assert_array_equal(one.scores[name], two.scores[name])
    np.testing.assert_array_equal(one.interval(), two.interval())


def test_routing_changes_nothing(regression, task_frame):
    X, y, groups = regression.rows
    column = regression.meta(task_feature="store")
    calls = [
        (regression.meta(), (X, y), {"groups": groups}),
        (column, (task_frame.drop(columns="y"), y), {}),
        (Shifted(Ridge()), (X, y), {"groups": groups}),
        (LinearRegression(), (X, y), {"groups": groups}),
    ]
    for estimator, rows, more in calls:
        off = few_shot_curve(estimator, *rows, **OPTIONS, **more)
        with sklearn.config_context(enable_metadata_routing=True):
            on = few_shot_curve(estimator, *rows, **OPTIONS, **more)
        np.testing.assert_array_equal(on.scores["r2"], off.scores["r2"])


def test_any_estimator_is_fitted_anew_with_the_rows_that_are_shown(regression):
    X, y, groups = regression.rows
    options = OPTIONS | {"support_order": "first"}
    curve = few_shot_curve(Ridge(), X, y, groups=groups, **options)
    for train, test in FOLDS[:1]:
        ids = np.unique(groups)
        place = np.concatenate([np.arange(n) for n in regression.tasks.sizes])
        for number, k in enumerate(SHOTS):
            held_out = np.isin(groups, ids[test])
            fitted = Ridge().fit(
                *(v[np.isin(groups, ids[train]) | (held_out & (place < k))] for v in (X, y))
            )
            for task in test:
                rows = (groups == ids[task]) & (place >= SHOTS[-1])
                error = np.sum((y[rows] - fitted.predict(X[rows])) ** 2)
                np.testing.assert_allclose(curve.results["r2"].errors[0, number, task, 0], error)


def ending_in_a_meta_learner(meta, kind):
    return {
        "pipeline": lambda: make_pipeline(StandardScaler(), meta),
        "search": lambda: GridSearchCV(meta, {"meta_lr": [1e-3]}, cv=2),
    }[kind]()


def test_a_pipeline_that_ends_in_a_meta_learner_is_adapted(regression):
    X, y, groups = regression.rows
    model = make_pipeline(StandardScaler(), regression.meta())
    options = OPTIONS | {"support_order": "first"}
    params = {"metalearner__groups": groups}
    each = few_shot_curve(model, X, y, groups=groups, params=params, **options)
    with sklearn.config_context(enable_metadata_routing=True):
        routed = few_shot_curve(model, X, y, groups=groups, **options)
    np.testing.assert_allclose(each.scores["r2"], routed.scores["r2"], rtol=1e-4, atol=1e-6)
    train = np.isin(groups, np.unique(groups)[4:])
    fitted = clone(model).fit(X[train], y[train], metalearner__groups=groups[train])
    X_new, y_new = regression.tasks[0]
    error = (adapt(fitted, X_new[:1], y_new[:1]).predict(X_new[4:]) - y_new[4:]) ** 2
    np.testing.assert_allclose(each.results["r2"].errors[0, 1, 0, 0], error.sum(), rtol=1e-5)


def test_a_search_over_tasks_is_adapted(regression):
    search = GridSearchCV(regression.meta(), {"meta_lr": [1e-3]}, cv=2)
    found = few_shot_curve(search, regression.tasks, **OPTIONS)
    alone = few_shot_curve(regression.meta(meta_lr=1e-3), regression.tasks, **OPTIONS)
    np.testing.assert_allclose(found.scores["r2"], alone.scores["r2"], rtol=1e-5, atol=1e-6)


def test_tasks_with_classes_of_their_own(own_labels):
    curve = few_shot_curve(own_labels.meta("prototypes"), own_labels.tasks, n_shots=(0, 1), cv=3)
    assert curve.contestants == ["MetaLearner", "local"]
    np.testing.assert_array_equal(curve.too_small, [len(own_labels.tasks), 0])
    assert np.isnan(curve.mean()[:, 0]).all()
    assert np.all(curve.mean()[:, 1] > 0.3)
    assert "0 rows: no task" in repr(curve)
    X, y, groups = own_labels.rows
    rows = few_shot_curve(own_labels.meta("prototypes"), X, y, groups=groups, n_shots=1, cv=3)
    assert rows.contestants == ["MetaLearner", "local"]


def test_marked_rows_are_shown_and_the_others_judge():
    speakers = load_vowels()[:12]
    meta = MetaLearner(MLPClassifier((8,)), max_iter=20, random_state=0)
    curve = few_shot_curve(
        meta,
        speakers,
        n_shots=1,
        stratify=True,
        cv=[(np.arange(8), np.arange(8, 12))],
        baselines=None,
    )
    np.testing.assert_array_equal(curve.n_query, [10] * 4)
    fitted = clone(meta).fit(speakers[:8])
    for task in range(4):
        X, y = speakers[8 + task]
        marked = speakers.is_support[speakers.offsets[8 + task] :][: len(y)]
        expected = fitted.adapt(X[marked], y[marked]).score(X[~marked], y[~marked])
        np.testing.assert_allclose(curve.scores["accuracy"][0, 0, task], expected)


def test_small_tasks_are_counted_and_said(regression):
    tasks = regression.tasks
    sizes = tasks.sizes
    curve = few_shot_curve(regression.meta(), tasks, n_shots=(0, 9, 30), cv=3, baselines=None)
    np.testing.assert_array_equal(curve.too_small, [0, np.sum(sizes <= 9), len(tasks)])
    np.testing.assert_array_equal(curve.n_query, np.where(sizes > 9, sizes - 9, sizes))
    assert f"{np.sum(sizes <= 9)} of 12 tasks are too small for 9 rows" in repr(curve)
    assert "30 rows: no task has as many" in repr(curve)


def test_several_scores_and_whatever_scikit_learn_takes(multiclass):
    scorers = {
        "accuracy": "accuracy",
        "by scorer": get_scorer("accuracy"),
        "log": "neg_log_loss",
        "f1": make_scorer(lambda y, p: np.mean(y == p)),
        "own": lambda estimator, X, y: float(np.mean(estimator.predict(X) == y)),
    }
    curve = few_shot_curve(multiclass.meta(), multiclass.tasks, scoring=scorers, **OPTIONS)
    for name in ("by scorer", "f1", "own"):
        np.testing.assert_allclose(curve.scores[name], curve.scores["accuracy"])
    assert curve.scoring == list(scorers)
    assert np.all(curve.mean("log") < 0)


def test_scores_of_all_tasks_at_once_are_those_of_scikit_learn(regression):
    names = ["neg_mean_squared_error", "neg_mean_absolute_error"]
    both = {name: name for name in names} | {f"plain {name}": get_scorer(name) for name in names}
    curve = few_shot_curve(regression.meta(), regression.tasks, scoring=both, **OPTIONS)
    for name in names:
        np.testing.assert_allclose(curve.scores[name], curve.scores[f"plain {name}"])


def test_what_fails_is_said(regression):
    options = OPTIONS | {"baselines": {"hot": Failing()}}
    with pytest.warns(FitFailedWarning, match="hot failed 4 times.*ValueError: too hot"):
        few_shot_curve(regression.meta(), regression.tasks, **options)


def test_the_score_of_what_fails_can_be_said(regression):
    options = OPTIONS | {"baselines": {"hot": Failing()}}
    with pytest.warns(FitFailedWarning):
        curve = few_shot_curve(regression.meta(), regression.tasks, **options, error_score=0.0)
    np.testing.assert_allclose(curve.mean()[1, 1:], 0, atol=1e-12)
    with pytest.warns(FitFailedWarning):
        curve = few_shot_curve(regression.meta(), regression.tasks, **options)
    assert np.isnan(curve.mean()[1, 1:]).all()
    assert np.isfinite(curve.mean()[1, 0])
    assert "Failed, or has no score, on some tasks: hot (1 and 4 rows)" in repr(curve)
    with pytest.raises(ValueError, match="too hot"):
        few_shot_curve(regression.meta(), regression.tasks, **options, error_score="raise")


def test_if_what_is_judged_fails_throughout_it_is_an_error(regression):
    with pytest.raises(
        ValueError, match="Failing failed in every fold, first with ValueError: too"
    ):
        few_shot_curve(Failing(), regression.tasks, **OPTIONS | {"n_shots": 1})


def test_folds_over_tasks(regression):
    tasks, meta = regression.tasks, regression.meta()
    options = {"n_shots": 1, "baselines": None, "random_state": 0}
    assert len(few_shot_curve(meta, tasks, **options).task_ids) == 12
    some = few_shot_curve(meta, tasks, cv=ShuffleSplit(3, test_size=2, random_state=0), **options)
    tested = np.unique(
        np.concatenate(
            [t for _, t in ShuffleSplit(3, test_size=2, random_state=0).split(np.arange(12))]
        )
    )
    np.testing.assert_array_equal(some.task_ids, tasks.task_ids[tested])
    twice = few_shot_curve(meta, tasks, cv=2 * FOLDS, **options | {"support_order": "first"})
    once = few_shot_curve(meta, tasks, cv=FOLDS, **options | {"support_order": "first"})
    np.testing.assert_allclose(twice.scores["r2"], once.scores["r2"])
    assert len(few_shot_curve(meta, tasks, cv=KFold(4), **options).task_ids) == 12


def test_it_leaves_what_it_is_given_alone(regression):
    meta = regression.meta()
    before = copy.deepcopy(meta.get_params())
    few_shot_curve(meta, regression.tasks, **OPTIONS)
    assert repr(meta.get_params()) == repr(before)
    assert not hasattr(meta, "tasks_")


WRONG = [
    ({"y": None}, "y must be the targets of the rows"),
    ({"groups": None}, "groups must name the task of each row"),
    ({"groups": [1, 2]}, "groups has 2 entries"),
    ({"y": [1.0]}, "y has 1 entries"),
    ({"y": np.ones(135)}, r"y is 1.0 in all rows, so that R2 is not defined"),
    ({"cv": 1}, "cv=1 must be 2 folds or more"),
    ({"cv": 50}, "cv=50 must be .* found 12"),
    ({"cv": []}, "cv has no folds"),
    ({"cv": [([0, 1], [12])]}, "cv has task 12, but there are 12: 0 to 11"),
    ({"cv": [([-1, 1], [2])]}, "cv has task -1, but there are 12"),
    ({"cv": GroupKFold(3)}, "cv must be folds, a splitter or .* of tasks: .*groups"),
    ({"cv": [([0, 1], [1, 2])]}, "task 't01' in training and held out at once"),
    ({"cv": [([0, 1], [])]}, "fold without training tasks, or with none held out"),
    ({"n_shots": -1}, "n_shots must be whole numbers"),
    ({"n_shots": 90}, "n_shots=90: no task has as many rows .* largest has 14"),
    ({"n_repeats": 0}, "n_repeats"),
    ({"support_order": "last"}, "support_order"),
    ({"stratify": True}, "stratify=True is for classifiers"),
    ({"scoring": "best"}, "best"),
    ({"scoring": []}, "scoring must be"),
    ({"scoring": {"a": 1}}, "scoring 'a' must be a name or a callable"),
    ({"scoring": 3}, "scoring must be"),
    ({"baselines": "all"}, "baselines must be 'auto'"),
    ({"baselines": Ridge()}, "baselines must be 'auto'"),
    ({"baselines": [Ridge]}, "baselines has .*expected an estimator"),
    ({"baselines": ["ridge"]}, "baselines has 'ridge', expected an estimator"),
    ({"error_score": "ignore"}, "error_score"),
    ({"params": [1]}, "params"),
    ({"params": {"groups": [0]}}, "params has groups, and so has the argument groups"),
    ({"random_state": "a"}, "random_state"),
]


@pytest.mark.parametrize(("wrong", "match"), WRONG, ids=lambda value: str(value)[:30])
def test_a_wrong_argument_is_named(wrong, match, regression):
    X, y, groups = regression.rows
    arguments = {"y": y, "groups": groups, "baselines": None, "n_shots": 1} | wrong
    with pytest.raises((ValueError, TypeError), match=match):
        few_shot_curve(regression.meta(), X, **arguments)


def test_wrong_targets_are_named(regression):
    X, y, groups = regression.rows
    y = y.copy()
    y[3] = np.nan
    with pytest.raises(ValueError, match="y contains NaN in task 't00', its row 3"):
        few_shot_curve(regression.meta(), X, y, groups=groups, baselines=None)
    with pytest.raises(ValueError, match="2 tasks or more, found 1"):
        few_shot_curve(regression.meta(), regression.tasks[:1], baselines=None)


def test_a_distribution_is_to_be_sampled(regression):
    from sklearn_meta.datasets import Sinusoids

    with pytest.raises(ValueError, match=r"X is a distribution of tasks: pass .* X.sample\(200"):
        few_shot_curve(regression.meta(), Sinusoids(), baselines=None)


def test_ids_are_named_once(task_frame, regression):
    meta, y = regression.meta(task_feature="store"), task_frame["y"]
    with pytest.raises(ValueError, match="groups must be None where task_feature='store'"):
        few_shot_curve(meta, task_frame.drop(columns="y"), y, groups=task_frame["store"])
    with pytest.raises(ValueError, match="task_feature='store' is no column of X"):
        few_shot_curve(meta, task_frame[["a", "b"]], y)


def test_a_dataframe_keeps_its_names(task_frame, regression):
    X, y, groups = task_frame[["a", "b", "c"]], task_frame["y"], task_frame["store"]
    options = OPTIONS | {"baselines": [Pooled(Ridge()), Local(Ridge()), Pooled(Ridge())]}
    curve = few_shot_curve(regression.meta(), X, y, groups=groups, **options)
    assert curve.contestants == ["MetaLearner", "Pooled", "Local", "Pooled 2"]
    assert isinstance(curve.to_frame(), pd.DataFrame)
    mean = few_shot_curve(
        MetaLearner(MLPRegressor(hidden_layer_sizes=()), max_iter=5, random_state=0),
        X,
        y,
        groups=groups,
        scoring=make_scorer(mean_absolute_error, greater_is_better=False),
        **OPTIONS,
    )
    assert mean.scoring == ["score"]


def _few_rows():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(6), 5)
    X = rng.normal(size=(30, 2))
    return X, X[:, 0] + rng.normal(size=6)[groups], groups


def test_a_meta_learner_that_cannot_be_told_tasks_is_an_error():
    from sklearn.neural_network import MLPRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from sklearn_meta import MetaLearner

    X, y, groups = _few_rows()
    pipe = make_pipeline(StandardScaler(), MetaLearner(MLPRegressor((2,)), max_iter=2))
    with pytest.raises(ValueError, match="cannot be told the task of each row"):
        few_shot_curve(pipe, X, y, groups=groups, n_shots=1, baselines=None)


def test_targets_in_one_column_are_as_flat_ones():
    from sklearn.linear_model import Ridge

    from sklearn_meta.baselines import Shifted

    X, y, groups = _few_rows()
    flat, column = (
        few_shot_curve(
            Shifted(Ridge()),
            X,
            each,
            groups=groups,
            n_shots=(0, 2),
            baselines=[Ridge()],
            random_state=0,
        ).mean()
        for each in (y, y[:, None])
    )
    np.testing.assert_array_equal(flat, column)


def test_names_of_baselines_are_strings_and_none_is_lost():
    from sklearn.linear_model import Ridge

    from sklearn_meta.baselines import Pooled

    X, y, groups = _few_rows()
    options = {"groups": groups, "n_shots": (0, 1), "n_repeats": 1}
    baselines = {"Pooled (baseline)": Ridge(), "Pooled": Ridge(2)}
    curve = few_shot_curve(Pooled(Ridge()), X, y, baselines=baselines, **options)
    assert len(curve.contestants) == 3
    with pytest.raises(TypeError, match="names of baselines must be strings"):
        few_shot_curve(Pooled(Ridge()), X, y, baselines={1: Ridge()}, **options)


class BlockRecorder(Recorder):
    """It keeps the blocks that it is told, too."""

    def fit(self, X, y, groups=None, blocks=None):
        self.seen.append(("fit", sorted(X[:, 0].tolist()), list(blocks)))
        return super().fit(X, y, groups)


@pytest.mark.parametrize("as_param", [False, True])
def test_blocks_are_shown_whole_and_told(as_param, monkeypatch):
    monkeypatch.setattr(Recorder, "seen", [])
    groups = np.repeat(np.arange(12), 12)
    X, word = np.arange(144.0)[:, None], np.tile(np.arange(144) // 3 % 4, 1)
    given = {"params": {"blocks": word}} if as_param else {"blocks": word}
    curve = few_shot_curve(
        BlockRecorder(), X, X[:, 0], groups=groups, **given, **OPTIONS | {"n_shots": (0, 2)}
    )
    assert "by blocks shown" in repr(curve)
    assert "2 blocks: no different from no blocks" in repr(curve)
    told = [each for each in Recorder.seen if each[0] == "fit"]
    assert told
    for _, rows, blocks in told:
        assert blocks == word[np.array(rows, int)].tolist()
    asked = [each for each in Recorder.seen if each[0] == "a"]
    for _, support, query in asked:
        shown, judging = ({(i // 12, i // 3) for i in map(int, part)} for part in (support, query))
        assert not shown & judging
        assert len(support) == 3 * len(shown)
        assert len(query) == 3 * len(judging)
    assert {len(support) for _, support, _ in asked} == {0, 4 * 2 * 3}
    if as_param:
        with pytest.raises(ValueError, match="params has blocks, and so has the argument blocks"):
            few_shot_curve(BlockRecorder(), X, X[:, 0], groups=groups, blocks=word, **given)
