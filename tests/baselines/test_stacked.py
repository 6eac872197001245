"""Stacked: what it sees of a task, as a plain loop finds it, and what that is good for."""

import copy

import numpy as np
import pytest
from scipy.special import logit
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_meta import TaskCollection
from sklearn_meta.baselines import Pooled, Shifted, Stacked, _mixed
from sklearn_meta.baselines.stacked import Episodes


@pytest.fixture
def quick_mixed(monkeypatch):
    monkeypatch.setitem(_mixed.TRAINING, "max_iter", 20)


def intercepts(seed=0, n_tasks=60):
    rng = np.random.RandomState(seed)
    groups = np.repeat(np.arange(n_tasks), rng.randint(8, 16, n_tasks))
    X = rng.normal(size=(len(groups), 2))
    z = np.sin(2 * X[:, 0]) + 1.5 * rng.normal(size=n_tasks)[groups]
    return X, z + 0.3 * rng.normal(size=len(z)), groups


@pytest.mark.parametrize("kind", ["numbers", "classes"])
def test_it_beats_the_pooled_model_where_tasks_differ_by_an_intercept(kind):
    X, y, groups = intercepts()
    estimator = HistGradientBoostingRegressor(max_iter=25)
    if kind == "classes":
        y, estimator = np.where(y > 0, "up", "down"), HistGradientBoostingClassifier(max_iter=25)
    support, new = np.arange(len(y)) % 2 == 0, groups >= 45
    scores = []
    for fitted in (Pooled(estimator), Stacked(estimator, n_episodes=3, random_state=0)):
        fitted.fit(X[~new], y[~new], groups[~new])
        fitted.fit_adapt(X[new & support], y[new & support], groups[new & support])
        query = new & ~support
        scores.append(fitted.score(X[query], y[query], groups=groups[query]))
    assert scores[1] > scores[0] + 0.15


@pytest.mark.parametrize("kind", ["numbers", "two classes", "three classes"])
@pytest.mark.usefixtures("quick_mixed")
def test_what_it_sees_of_a_task_is_what_a_loop_finds(kind):
    X, y, groups = intercepts()
    estimator = LinearRegression()
    if kind != "numbers":
        y = (y > 0).astype(int) if kind == "two classes" else np.digitize(y, [-1, 1])
        estimator = LogisticRegression(max_iter=5000)
    stacked = Stacked(estimator, random_state=0).fit(X[:400], y[:400], groups[:400])
    seen = record(stacked.stacked_)
    new = groups == 55
    support, query = np.flatnonzero(new)[:5], np.flatnonzero(new)[5:]
    stacked.fit_adapt(X[support], y[support])
    stacked.predict(X[query])

    def of(model, X):
        if kind == "numbers":
            return model.predict(X)[:, None]
        proba = model.predict_proba(X)
        return proba[:, 1:] if kind == "two classes" else proba

    Y = np.eye(3)[y] if kind == "three classes" else y[:, None].astype(float)
    link = (lambda v: v) if kind == "numbers" else logit
    shifted = Shifted(estimator, random_state=0).fit(X[:400], y[:400], groups[:400])
    shift = shifted._shifts.of_tasks(
        Y[support], of(shifted.estimator_, X[support]), np.zeros(5, int), 1
    )
    pooled = of(stacked.estimator_, X[query])
    meta = copy.copy(stacked._mixed.meta).fit_adapt(X[support], y[support])
    n_query = len(query)
    expected = np.column_stack(
        [
            X[query],
            link(pooled),
            link(pooled) + shift,
            link(of(meta, X[query])),
            np.full(n_query, 5),
            np.tile(Y[support].mean(axis=0), (n_query, 1)),
            np.tile((Y[support] - of(stacked.estimator_, X[support])).mean(axis=0), (n_query, 1)),
            np.tile(shift, (n_query, 1)),
        ]
    )
    np.testing.assert_allclose(seen[-1], expected, rtol=1e-6, atol=1e-9)
    stacked.fit_adapt(X[:0], y[:0]).predict(X[query])
    k = pooled.shape[1]
    np.testing.assert_allclose(seen[-1][:, 2 + k : 2 + 2 * k], link(pooled))
    np.testing.assert_allclose(
        seen[-1][:, 3 + 3 * k : 3 + 4 * k] * 400, np.tile(Y[:400].sum(axis=0), (n_query, 1))
    )
    assert not seen[-1][:, 2 + 3 * k].any()
    assert not seen[-1][:, 3 + 4 * k :].any()


def record(estimator):
    """The rows that an estimator is asked from now on, a list that grows."""
    seen = []
    for name in ("predict", "predict_proba"):
        if hasattr(estimator, name):
            method = getattr(estimator, name)
            setattr(estimator, name, lambda X, method=method: seen.append(X) or method(X))
    return seen


def test_episodes_split_tasks_into_support_and_query():
    X, y, groups = intercepts()
    tasks = TaskCollection.from_arrays(X, y, groups)
    episodes = Episodes.draw(tasks, 30, 10, np.random.RandomState(0))
    assert list(np.bincount(episodes.task)) == [30] * 60
    task = np.repeat(np.arange(60), tasks.sizes)
    shots = np.bincount(episodes.of_support, minlength=len(episodes.task))
    queries = np.bincount(episodes.of_query, minlength=len(episodes.task))
    assert np.array_equal(shots + queries, tasks.sizes[episodes.task])
    assert set(shots) == set(range(11))
    for e in range(0, len(episodes.task), 97):
        rows = np.concatenate(
            [episodes.support[episodes.of_support == e], episodes.query[episodes.of_query == e]]
        )
        assert sorted(rows) == list(np.flatnonzero(task == episodes.task[e]))


def test_episodes_split_no_block():
    X, y, groups = intercepts()
    word = np.random.RandomState(1).randint(4, size=len(y))
    tasks = TaskCollection.from_arrays(X, y, groups, blocks=word)
    episodes = Episodes.draw(tasks, 30, 10, np.random.RandomState(0))
    for e in range(0, len(episodes.task), 97):
        shown, asked = (
            set(tasks.blocks[rows[of == e]])
            for rows, of in (
                (episodes.support, episodes.of_support),
                (episodes.query, episodes.of_query),
            )
        )
        of_task = tasks.blocks[tasks.groups == tasks.task_ids[episodes.task[e]]]
        assert shown | asked == set(of_task)
        assert not shown & asked
        n_rows = np.sum(episodes.of_support == e) + np.sum(episodes.of_query == e)
        assert n_rows == len(of_task)


@pytest.mark.usefixtures("quick_mixed")
def test_blocks_of_rows_are_those_of_a_collection():
    X, y, groups = intercepts()
    word = np.random.RandomState(1).randint(4, size=len(y))
    stacked = Stacked(Ridge(), n_episodes=2, random_state=0)
    by_rows = clone(stacked).fit(X, y, groups, word).predict(X, groups)
    tasks = TaskCollection.from_arrays(X, y, groups, blocks=word)
    assert np.array_equal(by_rows, clone(stacked).fit(tasks).predict(X, groups))
    without = clone(stacked).fit(X, y, groups).predict(X, groups)
    assert np.abs(by_rows - without).max() > 1e-6


@pytest.mark.usefixtures("quick_mixed")
def test_the_last_step_of_a_pipeline_sees_the_further_columns():
    X, y, groups = intercepts()
    pipeline = make_pipeline(StandardScaler(), Ridge())
    stacked = Stacked(pipeline, n_episodes=2, random_state=0).fit(X, y, groups)
    assert isinstance(stacked.stacked_, Ridge)
    assert stacked.stacked_.n_features_in_ == 2 + 7
    assert stacked.estimator_[0].n_features_in_ == 2


def test_of_one_task_it_is_pooled():
    X, y, _ = intercepts()
    stacked = Stacked(Ridge()).fit(X, y)
    assert stacked.stacked_ is None
    np.testing.assert_array_equal(stacked.predict(X), Ridge().fit(X, y).predict(X))


@pytest.mark.usefixtures("quick_mixed")
def test_a_class_that_one_task_alone_has():
    X, y, groups = intercepts(n_tasks=12)
    y = (y > 0) + 2 * (groups == 0) * (X[:, 0] > 0)
    stacked = Stacked(LogisticRegression(max_iter=20_000), random_state=0).fit(X, y, groups)
    proba = stacked.predict_proba(X, groups)
    assert proba.shape == (len(X), len(np.unique(y)))
    np.testing.assert_allclose(proba.sum(axis=1), 1)


@pytest.mark.usefixtures("quick_mixed")
def test_random_state_makes_it_repeatable():
    X, y, groups = intercepts(n_tasks=12)
    one, again, other = (
        Stacked(Ridge(), random_state=s).fit(X, y, groups).predict(X, groups) for s in (0, 0, 1)
    )
    np.testing.assert_array_equal(one, again)
    assert not np.array_equal(one, other)


@pytest.mark.usefixtures("quick_mixed")
@pytest.mark.parametrize("names", [[5, 7, 9], [2, 1, 0]])
def test_names_that_are_integers_are_no_places(names):
    import pandas as pd

    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(6), 8)
    X = pd.DataFrame(rng.normal(size=(48, 3)))
    X[2] = pd.Categorical(np.where(X[2] > 0, "a", "b"))
    y = X[0].to_numpy() + rng.normal(size=6)[groups]
    trees = HistGradientBoostingRegressor(max_iter=3)
    named = X.set_axis(list("abc"), axis=1)
    expected = Stacked(trees, random_state=0).fit(named, y, groups).predict(named, groups)
    X.columns = names
    found = Stacked(trees, random_state=0).fit(X, y, groups).predict(X, groups)
    np.testing.assert_allclose(found, expected)
