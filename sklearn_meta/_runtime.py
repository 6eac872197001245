"""The process that the arithmetic runs in: threads of BLAS, memory."""

from functools import cached_property

import numpy as np

from ._compat import threadpool_controller

MANY_MULTIPLICATIONS = 5e7  # well above where two threads gain: on busy cores they lose tenfold


def blas_threads(multiplications=0):
    """A context in which BLAS runs on one thread, unless its products are large.

    Two threads make small products slower, many times so where the other cores are busy. Large
    ones get the threads that the user allows (`OMP_NUM_THREADS`, `threadpool_limits`).

    Parameters
    ----------
    multiplications : int, default=0
        Of the largest matrix product.
    """
    limit = 1 if multiplications < MANY_MULTIPLICATIONS else None
    return threadpool_controller().limit(limits=limit, user_api="blas")


def keep_freed_memory():
    """Have arrays of up to 32 MB come from memory that was freed, not anew from the system.

    The first touch of each new page costs a meta-step more than its arithmetic. glibc raises its
    thresholds to the size of what is freed; elsewhere this does nothing.
    """
    np.empty(2**25 - 2**13, np.uint8)


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
