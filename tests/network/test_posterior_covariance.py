import numpy as np
import pytest
from helpers import CASES
from test_gaussian_head import SIZES, draw, each, every_case, newton_case, numeric_hessian

from sklearn_meta.network import (
    covariance_from_rows,
    factor_shape,
    output_covariance,
    posterior_mode,
    precision_factor,
    variance_from_rows,
)


def factor_at_the_mode(loss, F, offset, batch):
    U = posterior_mode(loss, F, offset, batch).U
    return U, precision_factor(loss, F, loss.mean(offset + F @ U), batch.weight)


@pytest.mark.parametrize("n_classes", [None, [2, 3, 2]])
@every_case
def test_covariance_is_the_inverse_of_a_numeric_hessian(case, n_classes):
    """Of all outputs where they compete; the variances alone where they do not."""
    if case != "softmax":
        n_classes = None
    loss, F, offset, batch = draw(case, 3, n_classes=n_classes)
    U, factor = factor_at_the_mode(loss, F, offset, batch)
    k = U.shape[-1]
    Q = np.random.RandomState(0).standard_normal((3, 4, 3))  # (tasks, m, p)
    covariance = output_covariance(factor, Q, k)
    assert covariance.shape == ((3, 4, k, k) if loss.coupled else (3, 4, len(factor[0])))
    for i, task in enumerate(each(F, offset, batch)):
        inverse = np.linalg.inv(numeric_hessian(CASES[case][0], task, U[i]))
        for m, q in enumerate(Q[i]):
            outputs = np.kron(q[None], np.eye(k))  # (k, p * k), from U.ravel()
            expected = outputs @ inverse @ outputs.T
            if not loss.coupled:
                expected = np.diag(expected)  # squared error: the same for all outputs
            found = np.broadcast_to(covariance[i, m], expected.shape)
            np.testing.assert_allclose(found, expected, atol=1e-7)


@every_case
def test_factor_shape(case):
    loss, F, offset, batch = draw(case, 3)
    _, factor = factor_at_the_mode(loss, F, offset, batch)
    assert factor.shape == (3, *factor_shape(loss, 3, offset.shape[-1]))


@pytest.mark.parametrize("p", [3, 12])
def test_from_rows_it_is_as_from_the_factor(p):
    """Rows fewer and more than features; weights 0 and of the padding drop out."""
    loss, F, offset, batch = draw("squared_error", p)
    _, factor = factor_at_the_mode(loss, F, offset, batch)
    Q = np.random.RandomState(0).standard_normal((3, 4, p))
    spread = variance_from_rows(F, batch.weight, Q)
    np.testing.assert_allclose(output_covariance(factor, Q, 1)[..., 0], spread, rtol=1e-10)
    for i in range(len(SIZES)):
        precision = np.eye(p) + F[i].T @ np.diag(batch.weight[i]) @ F[i]
        plain = np.einsum("mp,pq,mq->m", Q[i], np.linalg.inv(precision), Q[i])
        np.testing.assert_allclose(spread[i], plain, rtol=1e-10)


@newton_case
def test_no_rows_leave_the_prior(case):
    loss, F, offset, _ = draw(case, 3)
    factor = precision_factor(loss, F[:, :0], loss.mean(offset[:, :0]), np.empty((3, 0)))
    Q = np.random.RandomState(0).standard_normal((3, 4, 3))
    covariance = output_covariance(factor, Q, offset.shape[-1])
    variance = np.einsum("tmkk->tmk", covariance) if loss.coupled else covariance
    expected = np.square(Q).sum(axis=-1)[..., None]
    np.testing.assert_allclose(variance, np.broadcast_to(expected, variance.shape), rtol=1e-12)


@every_case
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtype_is_that_of_the_rows_asked_about(case, dtype):
    loss, F, offset, batch = draw(case, 3)
    _, factor = factor_at_the_mode(loss, F, offset, batch)
    assert output_covariance(factor, F.astype(dtype), offset.shape[-1]).dtype == dtype


alone_case = pytest.mark.parametrize("case", ["poisson", "binary"])


@alone_case
@pytest.mark.parametrize("p", [3, 30])
def test_few_rows_leave_the_prior_beside_their_space(case, p):
    """What takes a factor in the space of the rows is what takes one in that of the features."""
    loss, F, offset, batch = draw(case, p)
    U, factor = factor_at_the_mode(loss, F, offset, batch)
    Q = np.random.RandomState(0).standard_normal((3, 4, p))
    mean = loss.mean(offset + F @ U)
    found = covariance_from_rows(loss, F, mean, batch.weight, Q)
    expected = output_covariance(factor, Q, U.shape[-1])
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-10)


@alone_case
def test_from_no_rows_it_is_the_prior(case):
    loss, F, offset, batch = draw(case, 5)
    Q = np.random.RandomState(0).standard_normal((3, 4, 5))
    nothing = F[:, :0], loss.mean(offset[:, :0]), batch.weight[:, :0]
    found = covariance_from_rows(loss, *nothing, Q)
    expected = np.vecdot(Q, Q)[..., None]
    np.testing.assert_allclose(found, np.broadcast_to(expected, found.shape), rtol=1e-12)
