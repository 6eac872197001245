"""Linear algebra of a batch of tasks in which one that fails is NaN, and no error for all.

NumPy's own raises where a single matrix is singular. NaN is found further up, by those who know
what the task is called: `MetaAlgorithm` promises no more than numbers, finite or not.
"""

from contextlib import suppress

import numpy as np
from numpy.linalg import LinAlgError


def solve(A, B):
    """``A^-1 B`` of stacks of matrices (..., n, n) and (..., n, m), NaN where A is singular."""
    try:
        return np.linalg.solve(A, B)
    except LinAlgError:
        stack = np.broadcast_shapes(A.shape[:-2], B.shape[:-2])
        A, B = (np.broadcast_to(array, (*stack, *array.shape[-2:])) for array in (A, B))
        return _one_by_one(np.linalg.solve, B.shape, A, B)


def cholesky(A):
    """The lower factors of a stack (..., n, n), NaN where A is not positive definite."""
    try:
        return np.linalg.cholesky(A)
    except LinAlgError:
        return _one_by_one(np.linalg.cholesky, A.shape, A)


def _one_by_one(function, shape, *arrays):
    found = np.full(shape, np.nan, arrays[0].dtype)
    for index in np.ndindex(shape[:-2]):
        with suppress(LinAlgError):
            found[index] = function(*(array[index] for array in arrays))
    return found
