import os
import threading
from multiprocessing import get_context

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

import sklearn_meta
from sklearn_meta import _runtime
from sklearn_meta._runtime import MANY_MULTIPLICATIONS, blas_threads
from sklearn_meta.algorithms import BayesianHead
from sklearn_meta.algorithms._bayesian_tasks import BayesianTasks


def n_threads():
    """That BLAS may use."""
    return {info["num_threads"] for info in threadpool_info() if info["user_api"] == "blas"}


@pytest.fixture(autouse=True)
def two_threads():
    with threadpool_limits(2, user_api="blas"):
        yield


def test_small_products_run_on_one_thread_and_large_ones_on_those_allowed():
    with blas_threads(10):
        assert n_threads() == {1}
    assert n_threads() == {2}
    with blas_threads(MANY_MULTIPLICATIONS):
        assert n_threads() == {2}


def test_threads_come_back_after_an_exception():
    with pytest.raises(ZeroDivisionError), blas_threads():
        raise ZeroDivisionError
    assert n_threads() == {2}


def test_contexts_within_each_other():
    with blas_threads():
        with blas_threads():
            assert n_threads() == {1}
        assert n_threads() == {1}
    assert n_threads() == {2}


def test_interleaved_threads_give_back_what_they_took():
    """The first to enter leaves first: the second would restore a limit of 1."""
    entered, left = threading.Event(), threading.Event()

    def second():
        with blas_threads():
            entered.set()
            left.wait(10)

    thread = threading.Thread(target=second)
    with blas_threads():
        thread.start()
        entered.wait(10)
    assert n_threads() == {1}
    left.set()
    thread.join()
    assert n_threads() == {2}


def test_sixteen_threads_some_of_which_fail():
    start, wrong = threading.Barrier(16), []

    def work(number):
        start.wait(10)
        for _ in range(50):
            try:
                with blas_threads():
                    if n_threads() != {1}:
                        wrong.append(number)
                    if number % 4 == 0:
                        raise ValueError
            except ValueError:
                pass

    threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert n_threads() == {2}


def raise_in(monkeypatch, error):
    """From now on whatever learns and predicts raises the error."""

    def fail(*_, **__):
        assert n_threads() == {1}
        raise error

    monkeypatch.setattr(BayesianHead, "learn", fail)
    monkeypatch.setattr(BayesianHead, "meta_gradient", fail)
    monkeypatch.setattr(BayesianTasks, "outputs", fail)


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, MemoryError])
@pytest.mark.parametrize(
    "call",
    [
        lambda meta, X, y, groups: meta.fit(X, y, groups),
        lambda meta, X, y, groups: meta.partial_fit(X, y, groups),
        lambda meta, X, y, groups: meta.fit_adapt(X, y, groups),
        lambda meta, X, y, groups: meta.adapt(X, y),
        lambda meta, X, y, groups: meta.predict(X, groups),
        lambda meta, X, y, groups: meta.score(X, y, groups=groups),
        lambda meta, X, y, groups: meta.score([(X, y)]),
    ],
    ids=["fit", "partial_fit", "fit_adapt", "adapt", "predict", "score", "score of tasks"],
)
def test_threads_come_back_after_calls_that_fail(regression, monkeypatch, call, error):
    meta = regression.meta(max_iter=2).fit(regression.tasks)
    raise_in(monkeypatch, error)
    with pytest.raises(error):
        call(meta, *regression.rows)
    assert n_threads() == {2}


@pytest.mark.parametrize("step", ["before", "as it limits", "as it restores"])
def test_threads_come_back_after_an_interrupt_in_between(monkeypatch, step):
    """Ctrl-C just as a limit is set or taken back: at the latest, the next call restores it."""
    limiter = type(_runtime.threadpool_controller().limit(limits=None))
    name = "restore_original_limits" if step == "as it restores" else "_set_threadpool_limits"
    original, calls = getattr(limiter, name), []

    def interrupted(self):
        calls.append(self)
        if step != "before":
            original(self)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(limiter, name, interrupted)
        with pytest.raises(KeyboardInterrupt), blas_threads():
            pass
    assert calls
    with blas_threads():
        assert n_threads() == {1}
    assert n_threads() == {2}


def test_a_limit_of_the_users_own_holds():
    with threadpool_limits(1, user_api="blas"):
        with blas_threads():
            assert n_threads() == {1}
        assert n_threads() == {1}
    assert n_threads() == {2}
    with blas_threads():
        with threadpool_limits(2, user_api="blas"):
            with blas_threads():
                pass
            assert n_threads() == {2}
        assert n_threads() == {1}
    assert n_threads() == {2}


def test_sixteen_threads_that_adapt_and_predict_or_fail(regression):
    """Rows so far off that their prediction overflows, or targets that are none."""
    meta = regression.meta(max_iter=2).fit(regression.tasks)
    X, y, groups = regression.rows
    far, none = np.full_like(X, 1e308), np.full_like(y, np.nan)
    expected, start, wrong = meta.predict(X, groups), threading.Barrier(16), []

    def work(number):
        targets, rows = (none, X) if number % 4 == 0 else (y, far)
        start.wait(60)
        for _ in range(5):
            adapted = sklearn_meta.adapt(meta, X, y, groups)
            if not np.array_equal(adapted.predict(X, groups), expected):
                wrong.append(number)
            if number % 4 < 2:
                try:
                    sklearn_meta.adapt(meta, X, targets, groups).predict(rows, groups)
                    wrong.append(number)
                except ValueError:
                    pass

    threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert n_threads() == {2}


def send_threads(connection):
    connection.send(n_threads())
    with blas_threads():
        connection.send(n_threads())
    connection.send(n_threads())
    try:
        with blas_threads():
            raise ZeroDivisionError
    except ZeroDivisionError:
        connection.send(n_threads())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes cannot be forked here")
def test_a_process_forked_within_starts_afresh():
    here, there = get_context("fork").Pipe()
    with blas_threads():
        process = get_context("fork").Process(target=send_threads, args=(there,))
        process.start()
        assert [here.recv() for _ in range(4)] == [{2}, {1}, {2}, {2}]
        process.join()
        assert n_threads() == {1}
