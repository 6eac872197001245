"""The process that the arithmetic runs in: threads of BLAS, memory."""

import os
from contextlib import contextmanager
from functools import cached_property
from threading import Lock

import numpy as np
from joblib import Parallel, delayed, effective_n_jobs

from ._compat import let_go_of_blas, threadpool_controller

# what overflows is an error that says more than NumPy's warning
quiet = np.errstate(over="ignore", invalid="ignore")
MANY_MULTIPLICATIONS = 5e7  # well above where two threads gain: on busy cores they lose tenfold


@contextmanager
def blas_threads(multiplications=0):
    """A context in which BLAS runs on one thread, unless its products are large.

    Two threads make small products slower, many times so where the other cores are busy. Large
    ones get the threads that the user allows (`OMP_NUM_THREADS`, `threadpool_limits`).

    Parameters
    ----------
    multiplications : int, default=0
        Of the largest matrix product.
    """
    if multiplications >= MANY_MULTIPLICATIONS:
        yield
        return
    _one_thread.enter()
    try:
        yield
    finally:
        _one_thread.leave()


class _OneThread:
    """BLAS's limit is the whole process's: the first thread in sets it, the last out restores.

    Since threadpoolctl 3.8 one thread alone may set limits, and others are ignored, until it is
    let go: neither the thread that limits nor the one that restores may be ignored.
    """

    def __init__(self):
        self.lock, self.inside, self.before = Lock(), 0, None

    def enter(self):
        with self.lock:
            try:
                if self.inside == 0:
                    self._limit()
                self.inside += 1
            except BaseException:  # Ctrl-C, too, must not leave the process on one thread
                if self.inside == 0:
                    self._restore()
                raise

    def leave(self):
        with self.lock:
            self.inside -= 1
            if self.inside == 0:
                self._restore()

    def start_afresh(self):
        """In a forked process, whose other threads are gone."""
        if self.inside:
            self._restore()
        self.__init__()

    def _limit(self):
        let_go_of_blas()
        if self.before is None:  # else the last restoring was interrupted
            self.before = threadpool_controller().limit(limits=None)
        threadpool_controller().limit(limits=1, user_api="blas")

    def _restore(self):
        let_go_of_blas()
        if self.before is not None:
            self.before.restore_original_limits()
            self.before = None
        let_go_of_blas()


_one_thread = _OneThread()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_one_thread.start_afresh)


def keep_freed_memory():
    """Have arrays of up to 32 MB come from memory that was freed, not anew from the system.

    The first touch of each new page costs a meta-step more than its arithmetic. glibc raises its
    thresholds to the size of what is freed; elsewhere this does nothing.
    """
    np.empty(2**25 - 2**13, np.uint8)


def each_in_threads(function, items, n_jobs):
    """What a function returns for each of some items, over `n_jobs` threads; with one, in this.

    scikit-learn's `delayed` exchanges the process's warning filters, which other threads see.
    """
    if effective_n_jobs(n_jobs) == 1:
        return [function(item) for item in items]
    return Parallel(n_jobs=n_jobs, prefer="threads")(delayed(function)(item) for item in items)


class Cached:
    """A base of what keeps working memory in cached properties: pickles and copies leave it out."""

    def __getstate__(self):
        cached = {
            name
            for cls in type(self).__mro__
            for name, value in vars(cls).items()
            if isinstance(value, cached_property)
        }
        return {name: value for name, value in vars(self).items() if name not in cached}
