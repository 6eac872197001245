import os
import threading
from multiprocessing import get_context

import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from sklearn_meta._runtime import MANY_MULTIPLICATIONS, blas_threads


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


def send_threads(connection):
    connection.send(n_threads())
    with blas_threads():
        connection.send(n_threads())
    connection.send(n_threads())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes cannot be forked here")
def test_a_process_forked_within_starts_afresh():
    here, there = get_context("fork").Pipe()
    with blas_threads():
        process = get_context("fork").Process(target=send_threads, args=(there,))
        process.start()
        assert [here.recv() for _ in range(3)] == [{2}, {1}, {2}]
        process.join()
        assert n_threads() == {1}
