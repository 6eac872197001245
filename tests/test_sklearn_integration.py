"""A MetaLearner among scikit-learn's tools, compared with the same done by hand."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn
from helpers import needs_sklearn
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.ensemble import BaggingRegressor
from sklearn.impute import SimpleImputer
from sklearn.inspection import permutation_importance
from sklearn.metrics import make_scorer, mean_absolute_error, r2_score
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    KFold,
    cross_val_predict,
    cross_val_score,
    cross_validate,
    train_test_split,
)
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from sklearn_meta import MetaLearner, TaskCollection
from sklearn_meta.algorithms import ALGORITHMS, MAML, BayesianHead, Joint, RidgeHead


def test_clone_and_parameters(algorithm):
    meta = MetaLearner(MLPRegressor(), ALGORITHMS[algorithm](), max_iter=7, task_feature="store")
    copied = clone(meta)
    assert copied.algorithm is not meta.algorithm
    assert copied.estimator is not meta.estimator
    assert str(copied.get_params()) == str(meta.get_params())
    assert set(meta.get_params(deep=False)) == set(MetaLearner(None).get_params())


def test_nested_parameters_reach_what_is_fitted(regression):
    meta = regression.meta(MAML()).set_params(
        algorithm__inner_lr=0.5, estimator__hidden_layer_sizes=(3, 2), estimator__alpha=0.25
    )
    meta.fit(regression.tasks)
    assert meta.algorithm_.inner_lr == 0.5
    assert meta.algorithm_ is not meta.algorithm
    assert [coef.shape for coef in meta.estimator_.coefs_] == [(3, 3), (3, 2), (2, 1)]
    assert meta.estimator_.alpha == 0.25


def test_a_name_is_an_algorithm_with_defaults(regression, algorithm):
    X, _, groups = regression.rows
    by_name = regression.meta(algorithm).fit(regression.tasks)
    by_instance = regression.meta(ALGORITHMS[algorithm]()).fit(regression.tasks)
    assert type(by_name.algorithm_) is ALGORITHMS[algorithm]
    assert_array_equal(by_name.predict(X, groups), by_instance.predict(X, groups))


@pytest.mark.parametrize("form", [lambda tasks: tasks, list], ids=["collection", "list"])
def test_cross_validation_over_tasks(problem, form):
    cv = KFold(3, shuffle=True, random_state=0)
    tasks = problem.tasks
    expected = [
        clone(problem.meta()).fit(tasks[train]).score(tasks[test])
        for train, test in cv.split(tasks)
    ]
    scores = cross_val_score(problem.meta(), form(tasks), cv=cv, error_score="raise")
    assert_array_equal(scores, expected)


def test_train_test_split_over_tasks(regression):
    train, test = train_test_split(regression.tasks, test_size=3, random_state=0)
    assert isinstance(train, TaskCollection)
    assert sorted([*train.task_ids, *test.task_ids]) == sorted(regression.tasks.task_ids)
    assert len(test) == 3
    as_lists = train_test_split(list(regression.tasks), test_size=3, random_state=0)
    for tasks, pairs in zip((train, test), as_lists, strict=True):
        for (X, y), (X_too, y_too) in zip(tasks, pairs, strict=True):
            assert_array_equal(X, X_too)
            assert_array_equal(y, y_too)


def assert_scores_are_by_hand(search, meta, tasks):
    results = search.cv_results_
    for params, score in zip(results["params"], results["mean_test_score"], strict=True):
        by_hand = cross_val_score(clone(meta).set_params(**params), tasks, cv=search.cv)
        assert score == pytest.approx(by_hand.mean(), rel=1e-12)


def learn_with(loss):
    return [cls() for cls in ALGORITHMS.values() if loss in cls.losses]


def test_grid_search_over_algorithms_and_meta_parameters(regression):
    some = [MAML(inner_lr=0.1), Joint(), BayesianHead()]
    grid = [
        {"algorithm": some, "meta_lr": [1e-3, 1e-2]},
        {"algorithm": learn_with("squared_error"), "estimator__alpha": [0.1]},
    ]
    search = GridSearchCV(regression.meta(), grid, cv=2, error_score="raise")
    search.fit(regression.tasks)
    assert_scores_are_by_hand(search, regression.meta(), regression.tasks)
    again = regression.meta().set_params(**search.best_params_).fit(regression.tasks)
    X, _ = regression.new
    assert_array_equal(search.predict(X), again.predict(X))


def test_grid_search_over_algorithms_that_classify(own_labels):
    grid = [
        {"algorithm": learn_with("log_loss")},
        {"algorithm": [RidgeHead()], "algorithm__init_penalty": [0.1, 10.0]},
    ]
    search = GridSearchCV(own_labels.meta(), grid, cv=2, error_score="raise")
    search.fit(own_labels.tasks)
    assert_scores_are_by_hand(search, own_labels.meta(), own_labels.tasks)


@pytest.mark.parametrize("cls", ALGORITHMS.values(), ids=list(ALGORITHMS))
def test_grid_search_over_an_algorithms_own_parameter(multiclass, cls):
    name, value = next((n, v) for n, v in cls().get_params().items() if type(v) in (float, int))
    grid, tasks = {f"algorithm__{name}": [value, 2 * value + 1]}, multiclass.tasks
    meta = multiclass.meta(cls(), max_iter=5)
    search = GridSearchCV(meta, grid, cv=2, error_score="raise").fit(tasks)
    chosen = search.best_estimator_.algorithm_.get_params()[name]
    assert chosen == search.best_params_[f"algorithm__{name}"]
    assert_scores_are_by_hand(search, meta, tasks)
    assert getattr(meta.algorithm, name) == value


def test_grid_search_in_processes(regression):
    grid = {"algorithm__inner_lr": [0.1, 0.01]}
    one, two = (
        GridSearchCV(regression.meta(MAML()), grid, cv=2, n_jobs=n).fit(regression.tasks)
        for n in (None, 2)
    )
    assert_array_equal(one.cv_results_["mean_test_score"], two.cv_results_["mean_test_score"])


@pytest.mark.parametrize(
    ("scoring", "metric", "sign"),
    [(None, r2_score, 1), ("neg_mean_absolute_error", mean_absolute_error, -1)],
)
def test_tasks_held_out_get_the_prior(task_frame, scoring, metric, sign):
    X, y = task_frame.drop(columns="y"), task_frame["y"]
    meta = MetaLearner(
        MLPRegressor(hidden_layer_sizes=(8,)),
        task_feature="store",
        handle_unknown="prior",
        max_iter=20,
        random_state=0,
    )
    cv, names = GroupKFold(3), ["a", "b", "c"]
    expected = []
    for train, test in cv.split(X, y, groups=X["store"]):
        fitted = clone(meta).fit(X.iloc[train], y.iloc[train])
        prior = fitted.estimator_.predict(X[names].iloc[test])
        expected.append(sign * metric(y.iloc[test], prior))
    options = {"groups": X["store"], "cv": cv, "scoring": scoring, "error_score": "raise"}
    assert_allclose(cross_val_score(meta, X, y, **options), expected)


def test_rows_held_out_get_their_task(task_frame):
    X, y = task_frame.drop(columns="y"), task_frame["y"].to_numpy()
    meta = MetaLearner(MLPRegressor(hidden_layer_sizes=(8,)), max_iter=20, random_state=0)
    cv = KFold(3, shuffle=True, random_state=0)
    rows, groups = X[["a", "b", "c"]].to_numpy(), X["store"].to_numpy()
    expected = np.empty_like(y)
    for train, test in cv.split(X):
        fitted = clone(meta).fit(rows[train], y[train], groups[train])
        expected[test] = fitted.predict(rows[test], groups[test])
    meta.set_params(task_feature="store")
    assert_allclose(cross_val_predict(meta, X, y, cv=cv), expected)


def test_behind_a_scaler(problem, algorithm):
    """Before the meta-learner or inside it; inside, "auto" leaves the rows to it."""
    X, y, groups = problem.rows
    plain = problem.meta(algorithm, standardize=False)
    pipeline = make_pipeline(StandardScaler(), clone(plain))
    pipeline.fit(X, y, metalearner__groups=groups)
    inside = problem.meta(algorithm)
    inside.set_params(estimator=make_pipeline(StandardScaler(), inside.estimator))
    scaled = StandardScaler().fit_transform(X)
    expected = plain.fit(scaled, y, groups).predict(scaled, groups)
    assert_array_equal(pipeline.predict(X, groups=groups), expected)
    assert_array_equal(inside.fit(X, y, groups).predict(X, groups), expected)


def test_scaler_inside_sees_the_training_rows_only(regression):
    inside = regression.meta()
    inside.set_params(estimator=make_pipeline(StandardScaler(), inside.estimator))
    inside.fit(regression.tasks)
    X, y = regression.new
    adapted = inside.adapt(X * 1000, y)
    assert_array_equal(adapted[0].mean_, StandardScaler().fit(regression.tasks.X).mean_)


@pytest.mark.parametrize("sparse_output", [False, True])
def test_columns_of_words(task_frame, regressing, sparse_output):
    words = np.where(task_frame["a"] > 0, "plus", "minus")
    frame = task_frame.assign(sign=words)
    X, y = frame.drop(columns="y"), frame["y"]
    columns = make_column_transformer(
        (StandardScaler(), ["b", "c"]), (OneHotEncoder(sparse_output=sparse_output), ["sign"])
    )
    mlp = MLPRegressor(hidden_layer_sizes=(8,))
    options = {"max_iter": 20, "random_state": 0}
    meta = MetaLearner(make_pipeline(columns, mlp), regressing, task_feature="store", **options)
    meta.fit(X, y)
    scaled = (X[["b", "c"]] - X[["b", "c"]].mean()) / X[["b", "c"]].std(ddof=0)
    plain = np.column_stack([scaled, words == "minus", words == "plus"]).astype(float)
    by_hand = MetaLearner(mlp, regressing, standardize=False, **options)
    by_hand.fit(plain, y, X["store"])
    assert_allclose(meta.predict(X), by_hand.predict(plain, X["store"]), rtol=1e-6)
    adapted = meta.adapt(X[:5], y[:5])
    expected = by_hand.adapt(plain[:5], y[:5]).predict(plain)
    assert_allclose(adapted.predict(X.drop(columns="store")), expected, rtol=1e-6)
    tasks = TaskCollection.from_frame(frame, task="store", target="y")
    by_tasks = clone(meta).set_params(task_feature=None).fit(tasks)
    assert_array_equal(by_tasks.predict(X.drop(columns="store"), X["store"]), meta.predict(X))


def test_a_pipeline_may_mend_what_is_missing(regression):
    X, y, groups = regression.rows
    X = np.where(np.random.RandomState(0).uniform(size=X.shape) < 0.1, np.nan, X)
    meta = regression.meta(standardize=False)
    mended = SimpleImputer().fit_transform(X)
    expected = meta.fit(mended, y, groups).predict(mended, groups)
    meta.set_params(estimator=make_pipeline(SimpleImputer(), meta.estimator))
    assert_array_equal(meta.fit(X, y, groups).predict(X, groups), expected)
    meta.set_params(estimator=make_pipeline(FunctionTransformer(), meta.estimator[-1]))
    with pytest.raises(ValueError, match="X contains NaN in task 't00'"):
        meta.fit(X, y, groups)


def by_hand(meta, cv, X, y, groups):
    scores = []
    for train, test in cv.split(X, y, groups if isinstance(cv, GroupKFold) else None):
        fitted = clone(meta).fit(X[train], y[train], groups[train])
        scores.append(fitted.score(X[test], y[test], groups=groups[test]))
    return scores


def test_groups_are_routed_without_being_asked_for(shared_problem):
    X, y, groups = shared_problem.rows
    meta, cv = shared_problem.meta(), KFold(3, shuffle=True, random_state=0)
    expected = by_hand(meta, cv, X, y, groups)
    with sklearn.config_context(enable_metadata_routing=True):
        options = {"cv": cv, "params": {"groups": groups}, "error_score": "raise"}
        assert_allclose(cross_validate(meta, X, y, **options)["test_score"], expected)
        search = GridSearchCV(meta, {"meta_lr": [meta.meta_lr]}, cv=cv).fit(X, y, groups=groups)
        assert search.best_score_ == pytest.approx(np.mean(expected))
        fitted = make_pipeline("passthrough", meta).fit(X, y, groups=groups)
        assert_array_equal(
            fitted.predict(X, groups=groups), clone(meta).fit(X, y, groups).predict(X, groups)
        )
        with_group_splitter = options | {"cv": GroupKFold(3)}
        scores = cross_validate(meta, X, y, **with_group_splitter)["test_score"]
    assert_allclose(scores, by_hand(meta, GroupKFold(3), X, y, groups))


asks_the_estimator = needs_sklearn("1.8", "scoring=None asks the class what its score requests")


@asks_the_estimator
def test_groups_are_routed_through_a_pipeline(shared_problem):
    X, y, groups = shared_problem.rows
    meta, cv = shared_problem.meta(), KFold(3, shuffle=True, random_state=0)
    with sklearn.config_context(enable_metadata_routing=True):
        options = {"cv": cv, "params": {"groups": groups}, "error_score": "raise"}
        pipeline = make_pipeline("passthrough", meta)
        scores = cross_validate(pipeline, X, y, **options)["test_score"]
    assert_allclose(scores, by_hand(meta, cv, X, y, groups))


@asks_the_estimator
def test_blocks_are_routed_through_a_pipeline(regression):
    X, y, groups = regression.rows
    blocks = np.random.RandomState(0).randint(4, size=len(X))
    meta, cv = regression.meta(), KFold(3, shuffle=True, random_state=0)
    expected = []
    for train, test in cv.split(X):
        fitted = clone(meta).fit(X[train], y[train], groups[train], blocks[train])
        expected.append(fitted.score(X[test], y[test], groups=groups[test]))
    with sklearn.config_context(enable_metadata_routing=True):
        options = {"cv": cv, "params": {"groups": groups, "blocks": blocks}, "error_score": "raise"}
        pipeline = make_pipeline("passthrough", meta)
        scores = cross_validate(pipeline, X, y, **options)["test_score"]
        by_column = MetaLearner(meta.estimator, task_feature=0).get_metadata_routing()
        assert by_column.fit.requests["blocks"] is True
    assert_allclose(scores, expected)
    assert np.abs(np.array(expected) - by_hand(meta, cv, X, y, groups)).max() > 1e-6


def test_groups_are_routed_to_scorers_by_name(multiclass):
    X, y, groups = multiclass.rows
    meta, cv = multiclass.meta(), KFold(3, shuffle=True, random_state=0)
    with sklearn.config_context(enable_metadata_routing=True):
        results = cross_validate(
            meta, X, y, cv=cv, params={"groups": groups}, scoring=["accuracy"], error_score="raise"
        )
    prior = [
        clone(meta).fit(X[train], y[train], groups[train]).estimator_.score(X[test], y[test])
        for train, test in cv.split(X)
    ]
    assert_array_equal(results["test_accuracy"], prior)  # a scorer predicts without groups


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame])
def test_dataframes(task_frame, regressing, frame):
    X, y = task_frame[["a", "b", "c"]].to_numpy(), task_frame["y"].to_numpy()
    groups = task_frame["store"].to_numpy()
    options = {"max_iter": 20, "random_state": 0}
    plain = MetaLearner(MLPRegressor(hidden_layer_sizes=(8,)), regressing, **options)
    expected = plain.fit(X, y, groups).predict(X, groups)
    data = frame({name: task_frame[name].to_numpy() for name in task_frame.columns})
    rows, target, stores = data[["a", "b", "c"]], data["y"], data["store"]
    assert_array_equal(clone(plain).fit(rows, target, stores).predict(rows, stores), expected)
    named = clone(plain).set_params(task_feature="store")
    with_store = data[["store", "a", "b", "c"]]
    assert_array_equal(named.fit(with_store, target).predict(with_store), expected)
    assert_array_equal(named.feature_names_in_, ["store", "a", "b", "c"])
    tasks = TaskCollection.from_frame(data, task="store", target="y")
    assert_array_equal(clone(plain).fit(tasks).predict(rows, stores), expected)
    pairs = [(rows[i : i + 9], target[i : i + 9]) for i in (0, 9, 18)]
    from_pairs = clone(plain).fit(pairs)
    assert_array_equal(from_pairs.feature_names_in_, ["a", "b", "c"])
    by_arrays = clone(plain).fit([(X[i : i + 9], y[i : i + 9]) for i in (0, 9, 18)])
    assert_array_equal(from_pairs.estimator_.coefs_[0], by_arrays.estimator_.coefs_[0])


def test_what_was_fitted_on_a_dataframe_predicts_one(task_frame, regressing):
    """Without the warning that scikit-learn gives where names come or go."""
    X, y, stores = task_frame[["a", "b", "c"]], task_frame["y"], task_frame["store"]
    meta = MetaLearner(
        MLPRegressor(hidden_layer_sizes=(8,)), regressing, handle_unknown="prior", max_iter=3
    )
    meta.fit(X, y, stores)
    assert_allclose(meta.estimator_.predict(X), meta.predict(X))
    adapted = meta.adapt(X[:5], y[:5])
    assert_allclose(adapted.predict(X), meta.fit_adapt(X[:5], y[:5]).predict(X))


def test_nullable_columns(task_frame):
    X, y, stores = task_frame[["a", "b", "c"]], task_frame["y"], task_frame["store"]
    meta = MetaLearner(MLPRegressor(hidden_layer_sizes=(8,)), max_iter=20, random_state=0)
    expected = meta.fit(X, y, stores).predict(X, stores)
    nullable = X.astype("Float64"), y.astype("Float64"), stores.astype("string")
    predicted = clone(meta).fit(*nullable).predict(nullable[0], nullable[2])
    assert_array_equal(predicted, expected)


def test_the_order_of_an_index_means_nothing(task_frame):
    X, y = task_frame.drop(columns="y"), task_frame["y"]
    meta = MetaLearner(MLPRegressor(), task_feature="store", max_iter=3, random_state=0)
    expected = meta.fit(X, y).predict(X)
    shuffled = X.set_index(np.random.RandomState(0).permutation(len(X)))
    assert_array_equal(meta.fit(shuffled, y).predict(shuffled), expected)


def test_scikit_learns_own_random_state_is_no_mistake_of_the_users(task_frame):
    """Bagging sets every `random_state` there is, the network's too."""
    X, y = task_frame.drop(columns="y").to_numpy(), task_frame["y"].to_numpy()
    meta = MetaLearner(MLPRegressor(hidden_layer_sizes=(4,)), task_feature=-1, max_iter=3)
    bag = BaggingRegressor(meta, 2, bootstrap=False, random_state=0).fit(X, y)
    assert bag.predict(X).shape == (len(X),)


def test_permutation_importance_finds_the_column(task_frame):
    X, y = task_frame.drop(columns="y").assign(c=0.0), task_frame["y"]
    meta = MetaLearner(
        MLPRegressor(hidden_layer_sizes=()), task_feature="store", max_iter=300, random_state=0
    )
    importance = permutation_importance(meta.fit(X, y), X, y, n_repeats=3, random_state=0)
    assert importance.importances_mean.argmin() == list(X.columns).index("c")
    assert importance.importances_mean[list(X.columns).index("store")] > 0.1


@asks_the_estimator
def test_a_task_feature_requests_no_groups(task_frame):
    """So that a search with a group splitter does not hand them on; return_std is requested."""
    X, y = task_frame.drop(columns="y"), task_frame["y"]
    mlp = MLPRegressor(hidden_layer_sizes=(8,))
    options = {"handle_unknown": "prior", "max_iter": 5, "random_state": 0}
    meta = MetaLearner(mlp, task_feature="store", **options)
    with sklearn.config_context(enable_metadata_routing=True):
        search = GridSearchCV(meta, {"meta_lr": [1e-3, 1e-2]}, cv=GroupKFold(3))
        search.fit(X, y, groups=X["store"])
        mean, std = make_pipeline(meta).fit(X, y).predict(X, return_std=True)
        assert meta.get_metadata_routing().fit.requests["groups"] is False
        by_groups = MetaLearner(mlp, **options)
        assert by_groups.get_metadata_routing().fit.requests["groups"] is True
    expected = clone(meta).fit(X, y).predict(X, return_std=True)
    assert_array_equal([mean, std], expected)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_rows_without_groups_say_that_there_is_one_task(regression):
    """As cross_val_score without metadata routing hands them over; a collection of one is meant."""
    X, y, groups = regression.rows
    meta = regression.meta()
    with pytest.warns(UserWarning, match="all rows are of one task.*task_feature"):
        cross_val_score(meta, X, y, groups=groups, cv=GroupKFold(3), error_score="raise")
    with pytest.warns(UserWarning, match="all rows are of one task"):
        meta.fit(X, y, np.zeros(len(X)))
    meta.fit(regression.tasks[:1])


@pytest.mark.parametrize("scoring", ["r2", ["neg_mean_absolute_error"], make_scorer(r2_score)])
def test_a_stock_scorer_of_tasks_says_what_to_do(regression, scoring):
    """It has no targets to compare with: scikit-learn would go on with NaN, and some winner."""
    meta, match = regression.meta(), "compares predictions with y.*few_shot_scorer"
    options = {"scoring": scoring, "cv": 3}
    with pytest.raises(ValueError, match=match):
        cross_validate(meta, regression.tasks, **options)
    search = GridSearchCV(meta, {"meta_lr": [1e-3, 1e-2]}, **options, refit=False)
    with pytest.raises(ValueError, match=match):
        search.fit(regression.tasks)
    search.set_params(scoring=None).fit(regression.tasks)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_the_html_representation_shows_the_algorithm_and_links_to_the_reference(regression):
    html = regression.meta(MAML(inner_steps=7))._repr_html_()
    assert "inner_steps" in html
    assert "sklearn_meta.MetaLearner.html" in html
