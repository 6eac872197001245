"""What all baselines share: tasks known by id, whatever the rows came as; what is refused."""

import copy
import pickle
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
from conftest import make_problem
from helpers import needs_sklearn
from sklearn.base import clone, is_classifier
from sklearn.cluster import KMeans
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression, PoissonRegressor, Ridge
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.naive_bayes import GaussianNB
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeRegressor

from sklearn_meta import TaskCollection
from sklearn_meta.baselines import Local, Pooled, Shifted, Stacked, _mixed

ALL = [Pooled, Shifted, Local, Stacked]
INNER = {
    "regression": Ridge(),
    "poisson": PoissonRegressor(),
    "binary": LogisticRegression(),
    "multiclass": LogisticRegression(),
}


@pytest.fixture(autouse=True)
def quick_mixed(monkeypatch):
    """A stack's mixed model takes 5 meta-steps: how well it predicts is not judged here."""
    monkeypatch.setitem(_mixed.TRAINING, "max_iter", 5)


@pytest.fixture(params=ALL, ids=lambda cls: cls.__name__)
def baseline(request):
    return request.param


def make(cls, estimator, **params):
    """A quick one."""
    if cls is Stacked:
        params = {"n_episodes": 2} | params
    return cls(estimator, random_state=0, **params)


@pytest.fixture(params=list(INNER))
def case(request):
    """Training rows, rows of new tasks, and the estimator."""
    problem = make_problem(request.param)
    X, y, groups = problem.tasks[:8].X, problem.tasks[:8].y, problem.tasks[:8].groups
    return (X, y, groups), problem.tasks[8:], INNER[request.param]


def outputs(fitted, X, groups=None):
    if hasattr(fitted, "predict_proba"):
        return fitted.predict_proba(X, groups=groups)
    return fitted.predict(X, groups=groups)


def test_rows_in_whatever_order_and_collections_are_the_same(baseline, case):
    (X, y, groups), new, estimator = case
    expected = make(baseline, estimator).fit(X, y, groups)
    expected.fit_adapt(new)
    tasks = TaskCollection.from_arrays(X, y, groups)
    of_collection = make(baseline, estimator).fit(tasks).fit_adapt(new.X, new.y, new.groups)
    pairs = make(baseline, estimator).fit(list(tasks)).fit_adapt(list(new))
    # interleaved, rows of a task in their order
    order = np.argsort(np.concatenate([np.arange(n) for n in tasks.sizes]), kind="stable")
    shuffled = make(baseline, estimator).fit(X[order], y[order], groups[order])
    mixed_up = np.random.RandomState(0).permutation(new.n_rows)
    mixed_up = mixed_up[np.argsort(new.y[mixed_up] * 0 if new.y.dtype.kind == "f" else mixed_up)]
    shuffled.fit_adapt(new.X[mixed_up], new.y[mixed_up], new.groups[mixed_up])
    found = outputs(expected, new.X, new.groups)
    for other in (of_collection, shuffled):
        np.testing.assert_allclose(outputs(other, new.X, new.groups), found, rtol=1e-6, atol=1e-9)
        assert list(other.tasks_) == list(expected.tasks_)
    numbers = np.repeat(np.arange(len(new)), new.sizes)
    np.testing.assert_allclose(outputs(pairs, new.X, numbers), found, rtol=1e-6, atol=1e-9)


def test_tasks_one_by_one_and_together_are_the_same(baseline, case):
    rows, new, estimator = case
    together = make(baseline, estimator).fit(*rows).fit_adapt(new)
    one_by_one, alone = copy.copy(together).fit(*rows), make(baseline, estimator).fit(*rows)
    for i in range(len(new)):
        one_by_one.fit_adapt(new[i : i + 1])
        alone.fit_adapt(*new[i])
        mine = new.groups == new.task_ids[i]
        found = outputs(alone, new.X[mine])
        expected = outputs(together, new.X[mine], new.groups[mine])
        np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-10)
    assert sorted(one_by_one.tasks_) == sorted(together.tasks_)
    found, expected = (outputs(b, new.X, new.groups) for b in (one_by_one, together))
    np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-10)


def test_a_task_that_is_learned_again_is_replaced(baseline, case):
    rows, new, estimator = case
    fitted = make(baseline, estimator).fit(*rows)
    X, y = new[0]
    twice = copy.copy(fitted).fit_adapt(X, y[::-1], np.full(len(X), "a"))
    twice.fit_adapt(X, y, np.full(len(X), "a"))
    once = copy.copy(fitted).fit_adapt(X, y, np.full(len(X), "a"))
    assert list(twice.tasks_) == list(once.tasks_)
    found, expected = (outputs(b, X, np.full(len(X), "a")) for b in (twice, once))
    np.testing.assert_allclose(found, expected)


def test_unknown_tasks_and_no_rows_get_the_prior(baseline, case):
    rows, new, estimator = case
    fitted = make(baseline, estimator, adapt_training_tasks=False).fit(*rows)
    assert len(fitted.tasks_) == 0
    prior = outputs(fitted, new.X)
    if baseline in (Pooled, Shifted):
        inner = clone(estimator).fit(rows[0], rows[1])
        np.testing.assert_allclose(prior, outputs_of(inner, new.X))
    if baseline is Local and is_classifier(estimator):
        _, counts = np.unique(rows[1], return_counts=True)
        np.testing.assert_allclose(prior, np.tile(counts / counts.sum(), (new.n_rows, 1)))
    if baseline is Local and not is_classifier(estimator):
        np.testing.assert_allclose(prior, rows[1].mean())
    fitted.fit_adapt(new[:2])
    unknown = np.full(new.n_rows, "never seen")
    np.testing.assert_array_equal(outputs(fitted, new.X, unknown), prior)
    some = np.where(new.groups == new.task_ids[0], new.groups, "never seen")
    known = some != "never seen"
    np.testing.assert_allclose(outputs(fitted, new.X, some)[~known], prior[~known])
    if baseline in (Local, Stacked) or (baseline is Shifted and fitted.spread_.all()):
        assert not np.allclose(outputs(fitted, new.X, some)[known], prior[known])
    fitted.fit_adapt(*new[0]).fit_adapt(new.X[:0], new.y[:0])
    np.testing.assert_array_equal(outputs(fitted, new.X), prior)


def outputs_of(inner, X):
    return inner.predict_proba(X) if hasattr(inner, "predict_proba") else inner.predict(X)


def test_of_marked_rows_the_support_is_learned(baseline, case):
    rows, new, estimator = case
    marks = np.arange(new.n_rows) - np.repeat(new.offsets[:-1], new.sizes) < 4
    marks &= new.groups != new.task_ids[1]  # which has no support
    options = {"is_support": marks}
    marked = TaskCollection(new.X, new.y, new.offsets, new.task_ids, **options)
    found = make(baseline, estimator).fit(*rows).fit_adapt(new[1:2]).fit_adapt(marked)
    expected = make(baseline, estimator).fit(*rows)
    expected.fit_adapt(new.X[marks], new.y[marks], new.groups[marks])
    found, expected = (outputs(b, new.X, new.groups) for b in (found, expected))
    np.testing.assert_allclose(found, expected)
    training = TaskCollection.from_arrays(*rows)
    training = TaskCollection(
        training.X,
        training.y,
        training.offsets,
        training.task_ids,
        is_support=np.arange(training.n_rows) % 2 == 0,
    )
    of_marked = make(baseline, estimator, adapt_training_tasks=False).fit(training)
    np.testing.assert_allclose(
        outputs(of_marked, new.X), outputs(make(baseline, estimator).fit(*rows), new.X)
    )


def test_training_tasks_are_served_as_if_they_were_adapted(baseline, case):
    (X, y, groups), _, estimator = case
    served = make(baseline, estimator).fit(X, y, groups)
    adapted = make(baseline, estimator, adapt_training_tasks=False).fit(X, y, groups)
    adapted.fit_adapt(X, y, groups)
    found, expected = (outputs(b, X, groups) for b in (served, adapted))
    np.testing.assert_allclose(found, expected)
    assert list(served.tasks_) == list(np.unique(groups))


def test_copies_are_adapted_by_themselves(baseline, case):
    rows, new, estimator = case
    fitted = make(baseline, estimator).fit(*rows)
    before = outputs(fitted, new.X)
    for copied in (copy.copy(fitted), copy.deepcopy(fitted), pickle.loads(pickle.dumps(fitted))):
        np.testing.assert_array_equal(outputs(copied, new.X), before)
        copied.fit_adapt(new).fit_adapt(*new[0])
        assert new.task_ids[0] in copied.tasks_
        found, expected = (
            outputs(copied, new.X, new.groups),
            outputs(make(baseline, estimator).fit(*rows).fit_adapt(new), new.X, new.groups),
        )
        np.testing.assert_allclose(found, expected)
    assert new.task_ids[0] not in fitted.tasks_
    np.testing.assert_array_equal(outputs(fitted, new.X), before)


def test_parameters_are_set_and_cloned(baseline):
    made = baseline(Ridge(), random_state=3, adapt_training_tasks=False)
    assert clone(made).get_params()["random_state"] == 3
    made.set_params(estimator__alpha=7.0, random_state=None)
    assert clone(made).estimator.alpha == 7.0
    assert not clone(made).adapt_training_tasks


def test_random_state_sets_those_inside():
    X, y, groups = make_problem("regression").rows
    tree = DecisionTreeRegressor(splitter="random")
    one, again, other = (
        Pooled(tree, random_state=seed).fit(X, y, groups).estimator_ for seed in (0, 0, 1)
    )
    assert one.random_state == again.random_state != other.random_state
    assert Pooled(tree).fit(X, y, groups).estimator_.random_state is None
    assert tree.random_state is None


def test_score_compares_predicted_rows(baseline, case):
    rows, new, estimator = case
    fitted = make(baseline, estimator).fit(*rows).fit_adapt(new)
    predicted = fitted.predict(new.X, groups=new.groups)
    weight = np.random.RandomState(0).uniform(size=new.n_rows)
    found = fitted.score(new.X, new.y, sample_weight=weight, groups=new.groups)
    if is_classifier(estimator):
        expected = np.average(predicted == new.y, weights=weight)
        assert list(fitted.classes_) == list(np.unique(rows[1]))
        proba = fitted.predict_proba(new.X, groups=new.groups)
        assert np.array_equal(fitted.classes_[proba.argmax(axis=1)], predicted)
        np.testing.assert_allclose(proba.sum(axis=1), 1)
    else:
        of_mean = new.y - np.average(new.y, weights=weight)
        expected = 1 - weight @ (new.y - predicted) ** 2 / (weight @ of_mean**2)
        assert not hasattr(fitted, "predict_proba")
        assert not hasattr(fitted, "classes_")
    np.testing.assert_allclose(found, expected)


no_names = needs_sklearn("1.9", "a ColumnTransformer does not see the names of columns of polars 2")


@pytest.mark.parametrize(
    "library", [pytest.param(pd, id="pandas"), pytest.param(pl, id="polars", marks=no_names)]
)
@pytest.mark.parametrize("kind", ["regression", "binary"])
def test_dataframes_with_text_and_gaps_are_handed_on(baseline, library, kind):
    X, y, groups = make_problem(kind).rows
    gaps = X[:, 0].copy()
    gaps[::7] = np.nan
    columns = {"a": gaps, "b": X[:, 1], "sort": np.where(X[:, 2] > 0, "up", "down")}
    df = library.DataFrame(columns)
    if library is pd:
        df = df.astype({"sort": "category"})
    else:
        df = df.with_columns(pl.col("sort").cast(pl.Categorical))
    options = {"categorical_features": "from_dtype", "max_iter": 5, "min_samples_leaf": 3}
    kinds = {"regression": HistGradientBoostingRegressor, "binary": HistGradientBoostingClassifier}
    fitted = make(baseline, kinds[kind](**options)).fit(df, y, groups)
    assert list(fitted.feature_names_in_) == ["a", "b", "sort"]
    assert fitted.n_features_in_ == 3
    adapted = fitted.fit_adapt(df[:9], y[:9])
    assert len(adapted.predict(df)) == len(y)
    with pytest.raises(ValueError, match="feature names"):
        fitted.predict(library.DataFrame({"a": gaps, "b": X[:, 1], "other": columns["sort"]}))


def test_a_search_over_the_estimator_inside(baseline):
    X, y, groups = make_problem("regression").rows
    search = GridSearchCV(
        make(baseline, Ridge()), {"estimator__alpha": [0.1, 1e6]}, cv=GroupKFold(2)
    )
    search.fit(X, y, groups=groups)
    assert search.best_params_["estimator__alpha"] == 0.1


class OnlyPredicts:
    def predict(self, X):
        return X


@pytest.mark.parametrize(
    ("estimator", "error", "message"),
    [
        (Ridge, TypeError, "estimator is the class Ridge, expected an instance of it: Ridge()"),
        (KMeans(), TypeError, "must be a regressor or a classifier, got KMeans()"),
        (OnlyPredicts(), TypeError, "must be a regressor or a classifier, with fit and predict"),
        ("ridge", TypeError, "must be a regressor or a classifier, with fit and predict"),
    ],
)
def test_estimators_that_will_not_do(baseline, estimator, error, message):
    with pytest.raises(error) as raised:
        baseline(estimator).fit([[1.0], [2.0]], [1.0, 2.0])
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"adapt_training_tasks": "yes"}, "'adapt_training_tasks' parameter"),
        ({"random_state": "0"}, "'random_state' parameter"),
    ],
)
def test_parameters_that_will_not_do(baseline, params, message):
    with pytest.raises(ValueError, match=message):
        baseline(Ridge()).set_params(**params).fit([[1.0], [2.0]], [1.0, 2.0])


def test_rows_that_will_not_do(baseline):
    X, y, groups = make_problem("regression").rows
    made = make(baseline, Ridge())
    with pytest.raises(ValueError, match="requires y to be passed"):
        made.fit(X, None, groups)
    with pytest.raises(ValueError, match=f"groups has 3 entries, expected {len(X)}"):
        made.fit(X, y, groups[:3])
    with pytest.raises(ValueError, match="y has 3 entries"):
        made.fit(X, y[:3], groups)
    assert not hasattr(made, "tasks_")
    made.fit(X, y, groups)
    ids, before = list(made.tasks_), made.predict(X, groups)
    with pytest.raises(ValueError, match="groups has 3 entries"):
        made.fit_adapt(X[:5], y[:5], groups[:3])
    with pytest.raises(ValueError, match="features"):
        made.fit_adapt(X[:5, :2], y[:5], np.full(5, "new"))
    with pytest.raises(ValueError, match="y has 2 columns, expected 1 as in fit"):
        made.fit_adapt(X[:5], np.zeros((5, 2)), np.full(5, "new"))
    with pytest.raises(ValueError, match="groups are numbers, as 7, but the known tasks"):
        made.predict(X, np.full(len(X), 7))
    with pytest.raises(ValueError, match="score of rows requires y"):
        made.score(X)
    with pytest.raises(ValueError, match="score takes rows"):
        made.score(TaskCollection.from_arrays(X, y, groups))
    assert list(made.tasks_) == ids
    np.testing.assert_array_equal(made.predict(X, groups), before)


def test_classes_that_will_not_do(baseline):
    X, y, groups = make_problem("binary").rows
    made = make(baseline, LogisticRegression())
    with pytest.raises(ValueError, match="y has one class, 'no'"):
        made.fit(X, np.full(len(X), "no"), groups)
    made.fit(X, y, groups)
    with pytest.raises(ValueError, match="has the class 'perhaps', which no training task had"):
        made.fit_adapt(X[:2], ["yes", "perhaps"])
    own = make_problem("own labels").tasks
    with pytest.raises(ValueError, match="shared_labels is False, expected True as in fit"):
        made.fit_adapt(TaskCollection.from_arrays(X, y, groups, shared_labels=False))
    if baseline is not Local:
        with pytest.raises(ValueError, match=f"which {baseline.__name__} cannot tell apart"):
            made.fit(own)


@pytest.mark.parametrize("cls", [Shifted, Stacked])
def test_what_shifts_needs_probabilities(cls):
    X, y, groups = make_problem("binary").rows
    with pytest.raises(TypeError, match="must have predict_proba"):
        cls(LinearSVC()).fit(X, y, groups)
    assert Pooled(LinearSVC()).fit(X, y, groups).score(X, y) > 0.5
    assert Local(LinearSVC()).fit(X, y, groups).score(X, y, groups=groups) > 0.5


def test_several_outputs(baseline):
    X, y, groups = make_problem("multi-output").rows
    made = make(baseline, Ridge())
    if baseline is Stacked:
        with pytest.raises(ValueError, match="takes one output"):
            made.fit(X, y, groups)
        return
    found = made.fit(X, y, groups).predict(X, groups)
    columns = [make(baseline, Ridge()).fit(X, y[:, k], groups).predict(X, groups) for k in (0, 1)]
    np.testing.assert_allclose(found, np.column_stack(columns), rtol=1e-4)


def test_few_rows_of_many_classes_are_no_news(baseline):
    """scikit-learn would say that they look like numbers."""
    rng = np.random.RandomState(0)
    X, y, groups = rng.normal(size=(50, 2)), np.tile(np.arange(26), 2)[:50], np.repeat([0, 1], 25)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fitted = baseline(GaussianNB()).fit(X, y, groups)
        assert len(fitted.fit_adapt(X[:25], y[:25]).predict(X)) == 50
