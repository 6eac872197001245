"""Adaptation of whatever ends in a MetaLearner: `fit_adapt`, `adapt`, `sklearn_meta.adapt`."""

import copy
import pickle
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from conftest import make_problem
from helpers import needs_sklearn
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import is_classifier
from sklearn.compose import TransformedTargetRegressor
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from sklearn_meta import FewShotLearner, MetaLearner, TaskCollection, adapt
from sklearn_meta.algorithms import MAML, Reptile


def numbers(model, X, *groups):
    return model.predict_proba(X, *groups) if is_classifier(model) else model.predict(X, *groups)


def test_adapt_leaves_a_meta_learner_as_it_was(regression, algorithm):
    meta = regression.meta(algorithm).fit(regression.tasks)
    X, y = regression.new
    before = pickle.dumps(meta)
    adapted = adapt(meta, X, y)
    assert pickle.dumps(meta) == before
    assert_array_equal(adapted.predict(X), copy.copy(meta).fit_adapt(X, y).predict(X))
    assert_allclose(meta.predict(X), meta.estimator_.predict(X))
    several = adapt(meta, X, y, groups=["u"] * 4 + ["v"] * (len(X) - 4))
    assert {"u", "v"} == set(several.tasks_) - set(meta.tasks_)


def test_adapt_a_pipeline(regression, algorithm):
    X, y, groups = regression.rows
    pipeline = make_pipeline(StandardScaler(), regression.meta(algorithm))
    pipeline.fit(X, y, metalearner__groups=groups)
    before = pickle.dumps(pipeline)
    new_X, new_y = regression.new
    adapted = adapt(pipeline, new_X[:5], new_y[:5])
    assert pickle.dumps(pipeline) == before
    scaler, meta = pipeline[0], pipeline[-1]
    expected = meta.adapt(scaler.transform(new_X[:5]), new_y[:5]).predict(scaler.transform(new_X))
    assert_allclose(adapted.predict(new_X), expected)
    prior = meta.estimator_.predict(scaler.transform(new_X))
    assert_allclose(pipeline.predict(new_X), prior)


@pytest.mark.parametrize("piped", [False, True])
def test_adapt_a_search(regression, piped):
    X, y, groups = regression.rows
    X = np.column_stack([X, np.unique(groups, return_inverse=True)[1]])
    meta = regression.meta(MAML(), task_feature=-1)
    prefix = "metalearner__" if piped else ""
    model = make_pipeline("passthrough", meta) if piped else meta
    search = GridSearchCV(model, {f"{prefix}algorithm__inner_lr": [0.01, 0.1]}, cv=2).fit(X, y)
    new_X = np.column_stack([regression.new[0], np.full(len(regression.new[0]), 99)])
    before = pickle.dumps(search)
    adapted = adapt(search, new_X[:5], regression.new[1][:5])
    assert pickle.dumps(search) == before
    best = search.best_estimator_[-1] if piped else search.best_estimator_
    expected = best.adapt(new_X[:5], regression.new[1][:5]).predict(new_X[:, :3])
    assert_allclose(adapted.predict(new_X), expected)


@pytest.mark.parametrize(
    "other",
    [
        LinearRegression(),
        make_pipeline(StandardScaler(), LinearRegression()),
        TransformedTargetRegressor(LinearRegression()),
    ],
)
def test_adapt_takes_nothing_else(regression, other):
    X, y = regression.new
    with pytest.raises(TypeError, match=r"must be a MetaLearner, .*got .*Regress"):
        adapt(other.fit(X, y), X, y)
    with pytest.raises(NotFittedError, match="MetaLearner"):
        adapt(regression.meta(), X, y)


def fitted_pipeline(problem, meta):
    X, y, groups = problem.rows
    return make_pipeline(StandardScaler(), meta).fit(X, y, metalearner__groups=groups)


def nested(problem, wrap):
    """A fitted model that ends in a MetaLearner, and the same adapted by hand: X, y -> predict."""
    pipeline = fitted_pipeline(problem, problem.meta())
    scaler, meta = pipeline[0], pipeline[-1]

    def by_hand(new_X, new_y):
        adapted = meta.adapt(scaler.transform(new_X) if len(new_X) else new_X, new_y)
        return lambda rows: adapted.predict(scaler.transform(rows))

    def in_search(model):
        search = GridSearchCV(model, {}, cv=2)
        search.best_estimator_, search.refit_time_ = model, 0.0
        return search

    wrapped = {
        "frozen": lambda: FrozenEstimator(pipeline),
        "frozen in a pipeline": lambda: Pipeline([("a", scaler), ("b", FrozenEstimator(meta))]),
        "pipeline in a pipeline": lambda: Pipeline([("same", "passthrough"), ("all", pipeline)]),
        "pipeline in a search in a pipeline": lambda: Pipeline(
            [("same", "passthrough"), ("search", in_search(pipeline))]
        ),
        "learner in a pipeline": lambda: Pipeline([("a", scaler), ("learner", meta.learner_)]),
        "frozen twice": lambda: FrozenEstimator(FrozenEstimator(pipeline)),
    }
    return wrapped[wrap](), by_hand


WRAPS = [
    "frozen",
    "frozen in a pipeline",
    "pipeline in a pipeline",
    "pipeline in a search in a pipeline",
    "learner in a pipeline",
    "frozen twice",
]


@pytest.mark.parametrize("wrap", WRAPS)
def test_nested_as_you_like_and_left_as_it_was(regression, wrap):
    model, by_hand = nested(regression, wrap)
    X, y = regression.new
    before = pickle.dumps(model)
    adapted = adapt(model, X[:5], y[:5])
    assert pickle.dumps(model) == before
    assert type(adapted) is type(model)
    assert_allclose(adapted.predict(X), by_hand(X[:5], y[:5])(X), rtol=1e-10)
    again = adapt(adapted, X[5:], y[5:])
    assert_allclose(again.predict(X), by_hand(X[5:], y[5:])(X), rtol=1e-10)
    assert_allclose(adapted.predict(X), by_hand(X[:5], y[:5])(X), rtol=1e-10)


@pytest.mark.parametrize("wrap", WRAPS)
def test_no_rows_give_the_prior_however_nested(regression, wrap):
    model, by_hand = nested(regression, wrap)
    X, y = regression.new
    adapted = adapt(adapt(model, X, y), X[:0], y[:0])
    assert_allclose(adapted.predict(X), by_hand(X[:0], y[:0])(X), rtol=1e-10)


def test_a_frozen_meta_learner_stays_as_it_was(regression):
    meta = regression.meta().fit(regression.tasks)
    frozen = FrozenEstimator(meta)
    X, y = regression.new
    before, prior = pickle.dumps(frozen), frozen.predict(X)
    adapted = adapt(frozen, X, y + 20)
    assert pickle.dumps(frozen) == before
    assert_array_equal(frozen.predict(X), prior)
    assert isinstance(adapted, FrozenEstimator)
    assert_allclose(adapted.predict(X), meta.adapt(X, y + 20).predict(X), rtol=1e-10)


def test_adapt_a_learner(multiclass):
    meta = multiclass.meta().fit(multiclass.tasks)
    X, y = multiclass.new
    learner = meta.learner_.fit(X[:4], y[:4])
    before = pickle.dumps(learner)
    adapted = adapt(learner, X, y)
    assert pickle.dumps(learner) == before
    assert isinstance(adapted, FewShotLearner)
    assert_array_equal(adapted.predict_proba(X), meta.learner_.fit(X, y).predict_proba(X))
    weighted = adapt(learner, X, y, sample_weight=[2] * len(y)).predict_proba(X)
    assert_array_equal(weighted, meta.learner_.fit(X, y, [2] * len(y)).predict_proba(X))
    nothing = adapt(learner, X, y, sample_weight=[0] * len(y))
    for prior in (adapt(meta.learner_, X[:0], y[:0]), nothing):
        assert_array_equal(prior.classes_, [0, 1, 2])
        assert_allclose(prior.predict_proba(X), meta.estimator_.predict_proba(X), rtol=1e-10)
    numbered = adapt(meta.learner_.set_params(classes=[0, 2]), X[:0], y[:0])
    assert_array_equal(numbered.classes_, [0, 1])
    with pytest.raises(ValueError, match="groups must be None: a FewShotLearner learns one task"):
        adapt(learner, X, y, groups=y)


@pytest.mark.parametrize("kind", ["regression", "multi-output"])
@pytest.mark.parametrize("piped", [False, True])
def test_adapt_transformed_targets(kind, piped):
    problem = make_problem(kind)
    (X, y, groups), (new_X, new_y) = problem.rows, problem.new
    shift, transformer = 3 + np.abs(y).max(), FunctionTransformer(np.log, np.exp)
    X_ids = np.column_stack([X, np.unique(groups, return_inverse=True)[1]])
    meta = problem.meta(task_feature=-1)
    inner = make_pipeline("passthrough", meta) if piped else meta
    model = TransformedTargetRegressor(inner, transformer=transformer).fit(X_ids, y + shift)
    before = pickle.dumps(model)
    adapted = adapt(model, new_X[:5], new_y[:5] + shift)
    assert pickle.dumps(model) == before
    logs = problem.meta().fit(X, np.log(y + shift), groups)
    expected = np.exp(logs.adapt(new_X[:5], np.log(new_y[:5] + shift)).predict(new_X))
    assert_allclose(adapted.predict(new_X), expected, rtol=1e-8)
    prior = adapt(adapted, new_X[:0], new_y[:0])
    assert_allclose(prior.predict(new_X), np.exp(logs.estimator_.predict(new_X)), rtol=1e-8)


def test_what_a_search_lacks_is_named(regression):
    X, y = regression.new
    grid = {"max_iter": [3]}
    for search in (
        GridSearchCV(regression.meta(), grid),
        RandomizedSearchCV(regression.meta(), grid),
    ):
        with pytest.raises(NotFittedError, match=f"{type(search).__name__} instance is not fitted"):
            adapt(search, X, y)
        with pytest.raises(NotFittedError, match=f"{type(search).__name__} instance is not fitted"):
            adapt(make_pipeline("passthrough", search), X, y)
    search = GridSearchCV(regression.meta(), grid, cv=2, refit=False).fit(regression.tasks)
    with pytest.raises(ValueError, match=r"GridSearchCV\(refit=False\) keeps no best estimator"):
        adapt(search, X, y)
    with pytest.raises(NotFittedError, match="TransformedTargetRegressor instance is not fitted"):
        adapt(TransformedTargetRegressor(regression.meta()), X, y)


def test_no_rows_give_the_prior(problem, algorithm):
    meta = problem.meta(algorithm).fit(problem.tasks)
    X, y = problem.new
    if not meta._served.learned.encoder.shared_labels:
        for call in (meta.adapt, meta.fit_adapt, copy.copy(meta).fit_adapt):
            with pytest.raises(ValueError, match="no rows to adapt to, and the prior knows no"):
                call(X[:0], y[:0])
        return
    expected = numbers(meta.estimator_, X)
    nothing = np.zeros(len(y))
    for support, weight in (((X[:0], y[:0]), None), ((X, y), nothing)):
        served = [
            meta.adapt(*support, sample_weight=weight),
            copy.copy(meta).fit_adapt(X, y).fit_adapt(*support, sample_weight=weight),
            adapt(copy.copy(meta).fit_adapt(X, y), *support, sample_weight=weight),
        ]
        for model in served:
            assert_allclose(numbers(model, X), expected, rtol=1e-9, atol=1e-12)
    with pytest.raises(ValueError, match="y has 2 entries, expected 0 as X has rows"):
        meta.fit_adapt(X[:0], y[:2])
    with pytest.raises(ValueError, match="2 features"):
        meta.fit_adapt(X[:0, :2], y[:0])


def weighted(problem, seed=0):
    """The new task with weights of 0 to 3, and with its rows as often as they weigh."""
    X, y = problem.new
    weight = np.random.RandomState(seed).randint(0, 4, len(y))
    return X, y, weight, np.repeat(X, weight, axis=0), np.repeat(y, weight, axis=0)


def test_weights_are_repetition(problem, algorithm):
    meta = problem.meta(algorithm).fit(problem.tasks)
    X, y, weight, repeated_X, repeated_y = weighted(problem)
    expected = numbers(copy.copy(meta).fit_adapt(repeated_X, repeated_y), X)
    rows, labels = X.copy(), y.copy()
    served = [
        copy.copy(meta).fit_adapt(X, y, sample_weight=weight),
        meta.adapt(X, y, sample_weight=weight),
        adapt(meta, X, y, sample_weight=weight),
        adapt(FrozenEstimator(meta), X, y, sample_weight=list(weight)),
        meta.learner_.set_params(classes="shared").fit(X, y, sample_weight=weight),
    ]
    for model in served:
        assert_allclose(numbers(model, X), expected, rtol=1e-6, atol=1e-9)
    assert_array_equal(X, rows)
    assert_array_equal(y, labels)
    score = served[-1].score(X, y, sample_weight=weight)
    assert score == pytest.approx(served[-1].score(repeated_X, repeated_y), rel=1e-10)
    plain = copy.copy(meta).fit_adapt(X, y)
    if algorithm != "joint":  # which does not adapt
        assert not np.allclose(numbers(plain, X), expected, rtol=1e-3, atol=1e-4)
    ones = copy.copy(meta).fit_adapt(X, y, sample_weight=np.ones(len(y)))
    assert_allclose(numbers(ones, X), numbers(plain, X), rtol=1e-10, atol=1e-12)


def test_weights_of_many_tasks(problem, algorithm):
    """Rows of several tasks in any order: each keeps its own weight."""
    meta = problem.meta(algorithm).fit(problem.tasks)
    X, y, groups = problem.rows
    weight = np.random.RandomState(0).uniform(0.5, 3, len(y)) * (groups != "t03")
    order = np.random.RandomState(1).permutation(len(y))
    meta._served = replace(meta._served, known=None)
    meta.fit_adapt(X[order], y[order], groups[order], sample_weight=weight[order])
    assert_array_equal(meta.tasks_, np.setdiff1d(groups, ["t03"]))
    for task in ("t00", "t07"):
        rows = order[groups[order] == task]
        alone = copy.copy(meta).fit_adapt(X[rows], y[rows], sample_weight=weight[rows])
        found = meta.predict(X[rows], groups[rows])
        if is_classifier(meta):
            assert_array_equal(found, alone.predict(X[rows]))
        else:
            assert_allclose(found, alone.predict(X[rows]), rtol=1e-9)


def test_weights_of_a_collection(regression):
    meta = regression.meta().fit(regression.tasks)
    X, y, groups = regression.rows
    marks = np.arange(len(y)) % 3 > 0
    weight = np.random.RandomState(0).uniform(0, 2, len(y))
    tasks = TaskCollection.from_arrays(X, y, groups, is_support=marks)
    meta.fit_adapt(tasks, sample_weight=weight)
    found = meta.predict(X, groups)
    meta.fit_adapt(X[marks], y[marks], groups[marks], sample_weight=weight[marks])
    assert_array_equal(found, meta.predict(X, groups))


@pytest.mark.parametrize("kind", ["regression", "multi-output", "poisson"])
@pytest.mark.parametrize("algorithm", ["bayesian_head", "deep_kernel_gp"])
def test_std_heeds_weights(kind, algorithm):
    problem = make_problem(kind)
    meta = problem.meta(algorithm).fit(problem.tasks)
    X, y, weight, repeated_X, repeated_y = weighted(problem)
    _, expected = copy.copy(meta).fit_adapt(repeated_X, repeated_y).predict(X, return_std=True)
    _, found = copy.copy(meta).fit_adapt(X, y, sample_weight=weight).predict(X, return_std=True)
    assert_allclose(found, expected, rtol=1e-8)
    _, plain = copy.copy(meta).fit_adapt(X, y).predict(X, return_std=True)
    if kind != "poisson":  # whose std is mostly that of counts
        assert not np.allclose(plain, expected, rtol=1e-3)
    if algorithm == "deep_kernel_gp":
        _, exported = meta.adapt(X, y, sample_weight=weight).predict(X, return_std=True)
        assert_allclose(exported, expected, rtol=1e-6)


def test_std_of_class_probabilities_heeds_weights(multiclass):
    meta = multiclass.meta().fit(multiclass.tasks)
    X, y, weight, repeated_X, repeated_y = weighted(multiclass)
    fits = (repeated_X, repeated_y, None, None), (X, y, None, weight)
    expected, found = (
        copy.copy(meta).fit_adapt(*fit).predict_proba(X, return_std=True)[1] for fit in fits
    )
    assert_allclose(found, expected, rtol=1e-6, atol=1e-9)


def test_single_precision_stays_single(regression, algorithm):
    """All but the targets, which may lie far from 0."""
    X, y, groups = regression.rows
    meta = regression.meta(algorithm).fit(X.astype(np.float32), y, groups)
    new_X, new_y, weight, *_ = weighted(regression)
    meta.fit_adapt(new_X.astype(np.float32), new_y, sample_weight=weight)
    assert meta._served.learned.params.vector.dtype == np.float32
    assert meta.estimator_.coefs_[0].dtype == np.float32
    assert meta.predict(new_X.astype(np.float32)).dtype == np.float64


@pytest.mark.parametrize(
    "algorithm", ["bayesian_head", "maml", "cavia", "implicit_maml", "neural_process"]
)
def test_an_exposure_is_a_weight(algorithm):
    """A rate of weight e is learned as e counts of one unit each."""
    problem = make_problem("poisson")
    meta = problem.meta(algorithm).fit(problem.tasks)
    rng, (X, _) = np.random.RandomState(0), problem.new
    exposure = rng.randint(1, 5, len(X))
    rows = np.repeat(np.arange(len(X)), exposure)
    counts = rng.poisson(2, len(rows))  # of each unit
    rates = np.bincount(rows, counts) / exposure
    expected = meta.adapt(X[rows], counts).predict(X)
    found = meta.adapt(X, rates, sample_weight=exposure).predict(X)
    if algorithm == "neural_process":  # whose encoder sees rates where it saw counts
        assert not np.allclose(found, expected)
    else:
        assert_allclose(found, expected, rtol=1e-7)


WEIGHTS = {
    "negative": (lambda w: w - 1, "Negative values .*`sample_weight`"),
    "NaN": (lambda w: w * np.nan, "sample_weight contains NaN"),
    "infinite": (lambda w: w * np.inf, "sample_weight contains infinity"),
    "too many": (
        lambda w: np.append(w, 1),
        "sample_weight has 9 entries, expected 8 as X has rows",
    ),
    "too many axes": (lambda w: w[:, None], "Sample weights must be 1D"),
}


@pytest.mark.parametrize("case", WEIGHTS)
def test_weights_that_will_not_do(regression, case):
    change, match = WEIGHTS[case]
    meta = regression.meta().fit(regression.tasks)
    X, y = regression.new
    weight, before = change(np.arange(len(y)) / 2 + 0.5 * (case == "infinite")), pickle.dumps(meta)
    for call in (
        meta.fit_adapt,
        meta.adapt,
        meta.learner_.fit,
        lambda *a, **k: adapt(meta, *a, **k),
    ):
        with pytest.raises(ValueError, match=match):
            call(X, y, sample_weight=weight)
    assert pickle.dumps(meta) == before


def test_reptile_repeats_rows_in_place(regression):
    """With several minibatches, the order of rows matters, and so does where one is repeated."""
    meta = regression.meta(Reptile(inner_batch_size=4)).fit(regression.tasks)
    X, y, weight, repeated_X, repeated_y = weighted(regression)
    found = meta.adapt(X, y, sample_weight=weight).predict(X)
    assert_allclose(found, meta.adapt(repeated_X, repeated_y).predict(X), rtol=1e-10)
    turned = meta.adapt(repeated_X[::-1], repeated_y[::-1]).predict(X)
    assert not np.allclose(found, turned, rtol=1e-6)


FORMS = {
    "pandas": lambda frame: frame,
    "polars": lambda frame: pl.DataFrame({name: frame[name].to_numpy() for name in frame}),
    "array": lambda frame: frame.to_numpy(dtype=object),
    "list": lambda frame: frame.to_numpy(dtype=object).tolist(),
}


def with_column(task_frame, form, algorithm="bayesian_head", piped=False):
    """What was fitted to rows with a task column; these without; the column's name or place."""
    column = "store" if form in ("pandas", "polars") else 1
    X = task_frame[["a", "store", "b", "c"]]
    mlp = MLPRegressor(hidden_layer_sizes=(8,))
    estimator = make_pipeline(StandardScaler(), mlp) if piped else mlp
    options = {"handle_unknown": "prior", "max_iter": 10, "random_state": 0}
    meta = MetaLearner(estimator, algorithm, task_feature=column, **options)
    meta.fit(FORMS[form](X), task_frame["y"].to_numpy())
    by_groups = MetaLearner(estimator, algorithm, **options)
    by_groups.fit(X[["a", "b", "c"]].to_numpy(), task_frame["y"], X["store"])
    new = X[:9].assign(store="new")
    return meta, by_groups, new, new[["a", "b", "c"]], task_frame["y"].to_numpy()[:9] + 5


no_names = needs_sklearn("1.9", "an exported MLP warns that columns of polars 2 have no names")


@pytest.mark.parametrize("piped", [False, True])
@pytest.mark.parametrize(
    "form", [f if f != "polars" else pytest.param(f, marks=no_names) for f in FORMS]
)
def test_rows_with_the_task_column_or_without_it(task_frame, form, piped):
    meta, by_groups, new, bare, y = with_column(task_frame, form, piped=piped)
    rows = [FORMS[form](new), FORMS[form](bare)]
    plain = bare.to_numpy()
    prior = by_groups.predict(plain)
    for some in rows:
        assert_allclose(meta.predict(some), prior)
        assert_allclose(meta.estimator_.predict(some), prior)
    expected = by_groups.adapt(plain[:5], y[:5]).predict(plain)
    for support in rows:
        exported = meta.adapt(support[:5], y[:5])
        for query in rows:
            assert_allclose(exported.predict(query), expected, rtol=1e-6)
    named = copy.copy(meta).fit_adapt(rows[0][:5], y[:5])
    assert_allclose(named.predict(rows[0]), expected, rtol=1e-6)
    assert_allclose(named.predict(rows[1]), prior)  # of the task without an id nothing is known
    assert "new" in named.tasks_.tolist()
    unnamed = copy.copy(meta).fit_adapt(rows[1][:5], y[:5])
    assert_allclose(unnamed.predict(rows[1]), expected, rtol=1e-6)
    assert_allclose(unnamed.predict(rows[0]), prior)
    assert_array_equal(unnamed.tasks_, meta.tasks_)
    for empty in (rows[0][:0], rows[1][:0]):
        if form != "list":  # whose columns cannot be told
            assert_allclose(adapt(unnamed, empty, y[:0]).predict(rows[1]), prior)
            assert_allclose(meta.adapt(empty, y[:0]).predict(rows[1]), prior)


def test_exports_of_every_algorithm_ignore_the_task_column(task_frame, regressing):
    meta, by_groups, new, bare, y = with_column(task_frame, "pandas", regressing)
    expected = by_groups.adapt(bare.to_numpy()[:5], y[:5]).predict(bare.to_numpy())
    exported = meta.adapt(new[:5], y[:5])
    for rows in (new, bare):
        assert_allclose(exported.predict(rows), expected, rtol=1e-6)
    again = pickle.loads(pickle.dumps(exported))
    assert_array_equal(again.predict(new), exported.predict(bare))
    assert_array_equal(exported.feature_names_in_, ["a", "b", "c"])
    for wrong in (new[["b", "a", "c", "store"]], bare[["b", "a", "c"]]):
        with pytest.raises(ValueError, match="same order"):
            exported.predict(wrong)
        with pytest.raises(ValueError, match="same order"):
            meta.predict(wrong)
    with pytest.raises(ValueError, match="Feature names seen at fit time, yet now missing"):
        exported.predict(bare[["a", "b"]])


def test_an_export_can_be_fitted_anew(task_frame):
    meta, _, new, bare, y = with_column(task_frame, "pandas")
    exported = meta.adapt(new, y)
    at_once = {"tol": 1e9, "n_iter_no_change": 1}  # has converged after few epochs
    exported[-1].set_params(**at_once, random_state=0)
    expected = exported[-1].fit(bare, y).predict(bare)
    assert_allclose(exported.fit(new, y).predict(bare), expected)
    assert_allclose(exported.fit(bare, y).predict(new), expected)
    assert exported.set_output(transform="pandas")[:-1].transform(new).columns.tolist() == [*"abc"]


def test_bare_rows_may_name_tasks_by_groups(task_frame):
    meta, by_groups, _, bare, y = with_column(task_frame, "pandas")
    groups = ["u"] * 4 + ["v"] * 5
    meta.fit_adapt(bare, y, groups=groups)
    expected = by_groups.fit_adapt(bare.to_numpy(), y, groups).predict(bare.to_numpy(), groups)
    assert_allclose(meta.predict(bare, groups=groups), expected)


@pytest.mark.parametrize("column", [-1, "store"])
def test_scaled_task_ids_are_named(task_frame, column):
    X, y = task_frame.drop(columns="y"), task_frame["y"]
    X["store"] = np.unique(X["store"], return_inverse=True)[1]
    scaler = StandardScaler().set_output(transform="pandas")
    meta = MetaLearner(MLPRegressor(), task_feature=column, max_iter=3)
    with pytest.raises(
        ValueError, match=r"task ids -1\.[0-9]+, .*has a step before .* scaled them"
    ):
        make_pipeline(scaler, meta).fit(X, y)
    whole = meta.fit(X.assign(store=X["store"].astype(float)), y)
    assert_array_equal(whole.tasks_, np.unique(X["store"]))
    objects = X.astype(object).assign(store=X["store"] + 0.5)
    with pytest.raises(ValueError, match=r"task ids 0\.5, 1\.5, 2\.5, 3\.5, 4\.5 and 7 more"):
        meta.fit(objects, y)
