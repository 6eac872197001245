import numpy as np
import pytest
from test_gaussian_head import draw
from test_posterior_covariance import factor_at_the_mode

from sklearn_meta.network import output_covariance, root_from_factor, root_from_rows

cases = pytest.mark.parametrize("case", ["squared error", "poisson", "binary"])
sizes = pytest.mark.parametrize("p", [3, 12])  # tasks have 5, 1 and 8 rows


def roots(case, p, Q):
    """Of each task: from its rows, from its factor, and the variances that are expected."""
    loss, F, offset, batch = draw(case.replace(" ", "_"), p)
    U, factor = factor_at_the_mode(loss, F, offset, batch)
    variance = output_covariance(factor, np.stack([Q] * len(F)), U.shape[-1])
    tasks = zip(F, loss.mean(offset + F @ U), batch.weight, factor, variance, strict=True)
    for F_task, mean, weight, L, expected in tasks:
        there = weight > 0
        rows = root_from_rows(loss, F_task[there], mean[there], weight[there], Q)
        yield rows, root_from_factor(L, Q), expected


@cases
@sizes
def test_its_square_is_the_covariance(case, p):
    Q = np.random.RandomState(0).standard_normal((4, p))
    for from_rows, from_factor, variance in roots(case, p, Q):
        covariance = from_rows @ from_rows.mT
        np.testing.assert_allclose(covariance, from_factor @ from_factor.mT, atol=1e-10)
        np.testing.assert_allclose(np.einsum("bmm->mb", covariance), variance, rtol=1e-9)


@cases
@sizes
def test_the_same_normals_are_the_same_function_whatever_the_rows(case, p):
    Q = np.random.RandomState(0).standard_normal((4, p))
    for few, all_rows in zip(roots(case, p, Q[:2]), roots(case, p, Q), strict=True):
        for some, whole in zip(few[:2], all_rows[:2], strict=True):
            np.testing.assert_allclose(some, whole[:, :2], atol=1e-12)


def test_without_rows_it_is_the_prior():
    loss, F, _, batch = draw("poisson", 3)
    Q = np.eye(3)
    root = root_from_rows(loss, F[0, :0], np.ones((0, 2)), batch.weight[0, :0], Q)
    np.testing.assert_allclose(root @ root.mT, np.broadcast_to(np.eye(3), root.shape))
