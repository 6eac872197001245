"""Roots of posterior covariances of one task's outputs, where outputs do not compete.

Rows Q have the outputs ``z + root @ normals``, whichever rows they are: the same normal numbers
are the same function. In whitened coordinates, as in `_gaussian_head`.
"""

import numpy as np

from ._posterior_covariance import precision_factor, solve_lower


def root_from_factor(factor, Q):
    """From the factor of the precision.

    Parameters
    ----------
    factor : ndarray of shape (blocks, p, p)
        One for all outputs, or one for each.
    Q : ndarray of shape (m, p)

    Returns
    -------
    ndarray of shape (blocks, m, p)
        Times its transpose, the covariance of the outputs of rows Q.
    """
    right = np.broadcast_to(Q.T, (1, len(factor), *Q.T.shape))
    return solve_lower(factor[None], right)[0].mT


def root_from_rows(loss, F, mean, weight, Q):
    """From the support rows.

    Fewer rows than features say nothing of what is orthogonal to all of them: there the posterior
    is the prior.

    Parameters
    ----------
    loss : Loss
    F : ndarray of shape (n, p)
        Whitened features.
    mean : ndarray of shape (n, k)
        Expected targets.
    weight : ndarray of shape (n,)
    Q : ndarray of shape (m, p)

    Returns
    -------
    ndarray of shape (1 or k, m, p)
    """
    F, Q = F.astype(float, copy=False), Q.astype(float, copy=False)
    n, p = F.shape
    if n >= p:
        return root_from_factor(precision_factor(loss, F[None], mean[None], weight[None])[0], Q)
    basis = np.linalg.qr(F.T).Q  # (p, n)
    factor = precision_factor(loss, (F @ basis)[None], mean[None], weight[None])[0]
    within = Q @ basis  # (m, n)
    return Q + (root_from_factor(factor, within) - within) @ basis.T
