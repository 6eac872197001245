"""Any number of threads: what each sees is the state of one moment, and nothing is undone."""

import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numpy.testing import assert_array_equal

N_THREADS = 16


@pytest.fixture(autouse=True)
def frequent_switches():
    """Threads that take turns a thousand times as often as usual."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(5e-6)
    yield
    sys.setswitchinterval(interval)


def in_threads(functions):
    """Call each in a thread of its own, all at once; what they return."""
    begin = threading.Barrier(len(functions))

    def call(function):
        begin.wait()
        return function()

    with ThreadPoolExecutor(len(functions)) as pool:
        return list(pool.map(call, functions))


@pytest.mark.parametrize("name", ["bayesian_head", "maml"])
def test_no_id_is_lost(regression, name):
    """200 new tasks from 16 threads, each adapted by itself."""
    X, y = regression.new
    meta = regression.meta(name).fit(regression.tasks)
    chunks = np.array_split(np.arange(200), N_THREADS)

    def adapt(numbers):
        for number in numbers:
            meta.fit_adapt(X[:4], y[:4] + number, [f"new {number}"] * 4)

    in_threads([lambda numbers=numbers: adapt(numbers) for numbers in chunks])
    expected = [*regression.tasks.task_ids, *(f"new {number}" for number in range(200))]
    assert sorted(meta.tasks_) == sorted(expected)
    alone = regression.meta(name).fit(regression.tasks)
    for number in (0, 57, 199):
        alone.fit_adapt(X[:4], y[:4] + number)
        found = meta.predict(X, [f"new {number}"] * len(X))
        np.testing.assert_allclose(found, alone.predict(X), rtol=1e-10)


def test_errors_of_some_threads_are_nothing_to_the_others(regression):
    """4 threads whose fit_adapt fails beside 4 whose fit_adapt does not and 4 that predict."""
    X, y = regression.new
    meta = regression.meta().fit(regression.tasks)
    rows, _, groups = regression.rows
    expected, bad = meta.predict(rows, groups), X.copy()
    bad[1, 1] = np.nan

    def failing():
        for _ in range(50):
            with pytest.raises(ValueError, match="NaN"):
                meta.fit_adapt(bad, y, ["bad"] * len(y))

    def adding(number):
        for n in range(10):
            meta.fit_adapt(X, y, [f"new {number}.{n}"] * len(y))

    def predicting():
        for _ in range(50):
            assert_array_equal(meta.predict(rows, groups), expected)

    four = range(4)
    in_threads(
        [failing for _ in four] + [predicting for _ in four] + [lambda n=n: adding(n) for n in four]
    )
    added = {f"new {number}.{n}" for number in four for n in range(10)}
    assert set(meta.tasks_) == {*regression.tasks.task_ids, *added}


def test_the_task_without_an_id_is_one_of_those_given(regression):
    X, y = regression.new
    meta = regression.meta().fit(regression.tasks)
    each = [meta.fit_adapt(X, y + number).predict(X) for number in range(N_THREADS)]

    def adapt_and_predict(number):
        for _ in range(10):
            found = meta.fit_adapt(X, y + number).predict(X)
            assert any(np.array_equal(found, expected) for expected in each)

    in_threads([lambda n=n: adapt_and_predict(n) for n in range(N_THREADS)])


def test_a_prediction_is_of_one_fit(regression):
    """Two fits whose features, parameters and tasks differ, in turns, while others predict."""
    rows, y, groups = regression.rows
    meta = regression.meta(max_iter=2)
    fits = [(rows, y), (1e3 * rows + 7, -5 * y)]
    X, y_new = regression.new
    predicted, scores = [], []
    for each, targets in fits:
        meta.fit(each, targets, groups)
        predicted.append(meta.predict(rows, groups))
        scores.append(meta.score(regression.tasks))
    done = threading.Event()

    def refit():
        for n in range(10):
            meta.fit(*fits[n % 2], groups)
        done.set()

    def predict():
        while not done.is_set():
            found = meta.predict(rows, groups)
            assert any(np.array_equal(found, each) for each in predicted)
            assert meta.score(regression.tasks) in scores

    def adapt():
        while not done.is_set():
            assert np.isfinite(meta.adapt(X, y_new).predict(X)).all()
            meta.fit_adapt(X, y_new, ["new"] * len(X))

    in_threads([refit, predict, predict, adapt])
    assert set(meta.tasks_) <= {*regression.tasks.task_ids, "new"}


def test_what_is_adapted_with_an_older_fit_is_adapted_anew(regression, monkeypatch):
    """A fit in the middle of fit_adapt: the task is learned with what is there at its end."""
    X, y = regression.new
    meta = regression.meta(max_iter=2).fit(regression.tasks)
    other = regression.meta(max_iter=5).fit(regression.tasks)
    expected = other.fit_adapt(X, y, ["new"] * len(y)).predict(X, ["new"] * len(y))
    learn, calls = type(meta)._learn, []

    def learning(now, encoded):
        calls.append(1)
        found = learn(now, encoded)
        if len(calls) == 1:
            monkeypatch.setattr(type(meta), "_learn", learn)
            meta.set_params(max_iter=5).fit(regression.tasks)
        return found

    monkeypatch.setattr(type(meta), "_learn", learning)
    meta.fit_adapt(X, y, ["new"] * len(y))
    assert_array_equal(meta.predict(X, ["new"] * len(y)), expected)
