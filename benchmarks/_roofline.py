"""What a meta-gradient in dual form must do at least, and how fast the machine does it."""

import time
from itertools import pairwise

import numpy as np


def dual_form_needs(units, n_tasks, n_shots, n_queries, n_steps):
    """Operations and bytes of second-order MAML's meta-gradient with no weights a task.

    A layer is (d, h). S = tasks * shots support rows and Q = tasks * queries query rows are
    multiplied by the weights all tasks share, k steps on; what a task's own steps add
    comes from Gram matrices of its rows. A multiply and an add are two operations; the
    element-wise ones are left out, for they are fewer by a factor of a layer's width.

    Parameters
    ----------
    units : sequence of int
    n_tasks, n_shots, n_queries, n_steps : int

    Returns
    -------
    operations, n_bytes : int
        Bytes in float32: the weights read and their gradient written; the rows, the
        targets and each factor of the gradient written and read once.
    """
    S, Q = n_tasks * n_shots, n_tasks * n_queries
    operations, cells = 0, 2 * (S + Q) * (units[0] + units[-1])
    for i, (d, h) in enumerate(pairwise(units)):
        operations += 2 * d * h * _shared_rows(S, Q, n_steps, first=i == 0)
        operations += _own_operations(d, h, n_shots, S, Q, n_steps, first=i == 0)
        # inputs, deltas, R-inputs and R-deltas
        factors = (Q + n_steps * S) * h + n_steps * S * h
        factors += 0 if i == 0 else (Q + 2 * n_steps * S) * d
        cells += 2 * (d * h + h) + 2 * factors
    return operations, 4 * cells


def _shared_rows(S, Q, k, first):
    """Rows that meet a layer's shared weights, or its gradient, in all passes together."""
    if first:  # its inputs are the data: one forward product, nothing behind, no R-inputs
        return (S + Q) + (Q + k * S)
    forward = backward = Q + k * S
    r_forward = r_backward = k * S
    stacked = (Q + k * S) + k * S  # (inputs, deltas), (inputs, R-deltas), (R-inputs, deltas)
    return forward + backward + r_forward + r_backward + stacked


def _own_operations(d, h, n, S, Q, k, first):
    """Gram matrices of a task's rows and their products with the other factor.

    `pairs` of support steps (j, l < j) have n x n Gram matrices a task, and each query row
    one row with each step.
    """
    pairs = k * (k - 1) // 2
    support, query = 2 * S * n, 2 * Q * n  # operations for each column
    if first:
        grams = (support * (k > 1) + query) * d  # of the data, the same in every step
        forward = (pairs * support + k * query) * h
        r_forward = (pairs * support + k * query) * h
        return grams + forward + r_forward
    grams = (2 * pairs * support + k * query) * (d + h)  # (R-)inputs and (R-)deltas
    passes = (pairs * support + k * query) * (h + d)  # forward and backward
    r_passes = (3 * pairs * support + k * query) * (h + d)
    return grams + passes + r_passes


def matmul_rate(seconds, size=1536):
    """Best operations a second of a float32 matrix product."""
    A, B = np.random.default_rng(0).standard_normal((2, size, size), np.float32)
    out = np.empty_like(A)
    return 2 * size**3 / _shortest(lambda: np.matmul(A, B, out=out), seconds)


def copy_rate(seconds, n_bytes=2**28):
    """Best bytes a second, read and written, of a copy larger than any cache."""
    source = np.ones(n_bytes // 4, np.float32)
    target = np.empty_like(source)
    return 2 * n_bytes / _shortest(lambda: np.copyto(target, source), seconds)


def _shortest(run, seconds):
    run()
    shortest, start = np.inf, time.perf_counter()
    while time.perf_counter() - start < seconds:
        before = time.perf_counter()
        run()
        shortest = min(shortest, time.perf_counter() - before)
    return shortest
