"""How sure a Gaussian head is: the covariance of its posterior, from rows or from a factor.

In whitened coordinates, as in `_gaussian_head`. A posterior's precision is the Hessian of the
negative log posterior at the mode, ``H = I + sum_rows weight * (f f') x W``, W a row's Hessian in
its outputs (log-loss and Poisson: Laplace's approximation). See Rasmussen and Williams, "Gaussian
Processes for Machine Learning", 2006, sections 2.1 and 3.4.
"""

import numpy as np
from scipy.linalg import solve_triangular

from ._gaussian_head import add_to_diagonal
from ._solve import cholesky, solve


def precision_factor(loss, F, mean, weight):
    """Cholesky factor of the posterior's precision.

    It is one matrix for all outputs of squared error, one for each output where they do not
    compete, and one over all of them where they do.

    Parameters
    ----------
    loss : Loss
    F : ndarray of shape (tasks, n, p)
        Whitened support features.
    mean : ndarray of shape (tasks, n, k)
        Expected targets of these rows, at the mode.
    weight : ndarray of shape (tasks, n)

    Returns
    -------
    ndarray of shape (tasks, 1 or k, p, p), or (tasks, 1, k * p, k * p)
        Lower triangles.
    """
    F, mean, weight = (array.astype(float, copy=False) for array in (F, mean, weight))
    if loss.coupled:
        hessian = _coupled_hessian(loss, F, mean, weight)
    else:
        curvature = np.ones_like(mean[..., :1]) if loss.quadratic else loss.diagonal(mean)
        rows = np.sqrt(weight[..., None] * curvature).mT[..., None] * F[:, None]  # (t, k, n, p)
        hessian = rows.mT @ rows
    return cholesky(add_to_diagonal(hessian, 1))


def _coupled_hessian(loss, F, mean, weight):
    """(tasks, 1, k * p, k * p), outputs first."""
    n_tasks, _, p = F.shape
    k = mean.shape[-1]
    rows = loss.diagonal(mean)[..., None] * np.eye(k) - mean[..., None] * mean[..., None, :]
    rows *= weight[..., None, None]  # (tasks, n, k, k)
    hessian = np.empty((n_tasks, k, p, k, p))
    for output in range(k):
        for other in range(k):
            weighted = rows[..., output, other][..., None] * F
            hessian[:, output, :, other] = F.mT @ weighted
    return hessian.reshape(n_tasks, 1, k * p, k * p)


def factor_shape(loss, n_features, n_outputs):
    """Of a task's `precision_factor`, (blocks, size, size)."""
    if loss.coupled:
        return 1, n_outputs * n_features, n_outputs * n_features
    return 1 if loss.quadratic else n_outputs, n_features, n_features


def output_covariance(factor, Q, n_outputs):
    """Posterior covariance of the outputs of whitened rows Q, (tasks, m, p).

    Returns
    -------
    ndarray of shape (tasks, m, k, k), or (tasks, m, 1 or k)
        The latter, variances alone, where outputs do not compete.
    """
    n_tasks, m, p = Q.shape
    n_blocks, size = factor.shape[1:3]
    if size == p:
        right = np.broadcast_to(Q.mT[:, None], (n_tasks, n_blocks, p, m))
        variance = np.square(solve_lower(factor, right)).sum(axis=2).mT
        return variance.astype(Q.dtype, copy=False)
    right = np.einsum("kl,tmp->tkplm", np.eye(n_outputs), Q).reshape(n_tasks, 1, size, -1)
    solved = solve_lower(factor, right).reshape(n_tasks, size, n_outputs, m)
    return np.einsum("tskm,tslm->tmkl", solved, solved).astype(Q.dtype, copy=False)


def covariance_from_rows(loss, F, mean, weight, Q):
    """`output_covariance` of the posterior given rows, of a loss whose outputs do not compete.

    Fewer rows than features say nothing of what is orthogonal to all of them: there the posterior
    is the prior, and only in the space of the rows it takes a factor.

    Parameters
    ----------
    loss : Loss
    F : ndarray of shape (tasks, n, p)
    mean : ndarray of shape (tasks, n, k)
    weight : ndarray of shape (tasks, n)
    Q : ndarray of shape (tasks, m, p)

    Returns
    -------
    ndarray of shape (tasks, m, k)
    """
    n_outputs, dtype = mean.shape[-1], Q.dtype
    if F.shape[1] >= F.shape[2]:
        return output_covariance(precision_factor(loss, F, mean, weight), Q, n_outputs)
    if not F.shape[1]:  # as one row that does not count
        F, mean, weight = (np.zeros((len(a), 1, *a.shape[2:])) for a in (F, mean, weight))
    F, Q = F.astype(float, copy=False), Q.astype(float, copy=False)
    basis = np.linalg.qr(F.mT).Q  # (tasks, p, n)
    within = Q @ basis
    beside = np.maximum(np.vecdot(Q, Q) - np.vecdot(within, within), 0)  # (tasks, m)
    factor = precision_factor(loss, F @ basis, mean, weight)
    covariance = output_covariance(factor, within, n_outputs) + beside[..., None]
    return covariance.astype(dtype, copy=False)


def solve_lower(factor, right):
    """Of each task's blocks, (tasks, blocks, s, m)."""
    return np.array(
        [
            [
                solve_triangular(L, B, lower=True, check_finite=False)
                for L, B in zip(*of_task, strict=True)
            ]
            for of_task in zip(factor, right, strict=True)
        ]
    ).reshape(right.shape)


def variance_from_rows(F, weight, Q):
    """Posterior variance over noise of outputs at whitened rows Q, squared error, (tasks, m).

    By the kernel side (n x n) where that is the smaller.
    """
    root = np.sqrt(weight)[..., None]
    rooted = root * F
    if F.shape[1] <= F.shape[2]:
        matrix = add_to_diagonal(rooted @ rooted.mT, 1)
        covariance = Q.mT - rooted.mT @ solve(matrix, rooted @ Q.mT)  # (tasks, p, m)
    else:
        covariance = solve(add_to_diagonal(rooted.mT @ rooted, 1), Q.mT)
    return np.einsum("tmp,tpm->tm", Q, covariance)
