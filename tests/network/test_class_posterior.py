"""Against the Hessian formed by a plain loop over rows."""

import numpy as np
import pytest

from sklearn_meta.network import ClassFactor, ClassRows
from sklearn_meta.network._losses import softmax

P, K = 5, 3  # features, classes
sizes = pytest.mark.parametrize("n", [1, 4, 9, 40])  # fewer rows than features, more, very many
N_DRAWS = 20_000


def make_rows(n, seed=0):
    rng = np.random.default_rng(seed)
    mean = softmax(2 * rng.normal(size=(n, K)))
    return ClassRows(rng.normal(size=(n, P)), mean, rng.uniform(0.5, 2, n))


def plain_precision(rows):
    """(k * p, k * p), outputs first."""
    precision = np.eye(K * P)
    for f, mean, weight in zip(*rows, strict=True):
        W = np.diag(mean) - np.outer(mean, mean)
        precision += weight * np.kron(W, np.outer(f, f))
    return precision


def plain_covariance(precision, q):
    outputs = np.kron(np.eye(K), q[None])  # (k, k * p)
    return outputs @ np.linalg.inv(precision) @ outputs.T


def both(rows):
    yield rows
    yield ClassFactor(np.linalg.cholesky(plain_precision(rows)))


@sizes
def test_everything_is_that_of_the_formed_precision(n):
    rows, rng = make_rows(n), np.random.default_rng(1)
    precision = plain_precision(rows)
    Q, U = rng.normal(size=(4, P)), rng.normal(size=(P, K))
    for posterior in both(rows):
        expected = [plain_covariance(precision, q) for q in Q]
        np.testing.assert_allclose(posterior.covariance(Q), expected, rtol=1e-8, atol=1e-10)
        np.testing.assert_allclose(posterior.log_det(), np.linalg.slogdet(precision)[1])
        np.testing.assert_allclose(posterior.times(U).T.ravel(), precision @ U.T.ravel())


@sizes
def test_further_rows_are_as_if_they_had_been_there(n):
    rows, more = make_rows(n), make_rows(3, seed=1)._replace(weight=np.ones(3))
    together = ClassRows(*map(np.concatenate, zip(rows, more, strict=True)))
    expected = np.linalg.slogdet(plain_precision(together))[1]
    for posterior in both(rows):
        found = posterior.plus(more.F, more.mean)
        np.testing.assert_allclose(found.log_det(), expected)


@sizes
def test_draws_have_the_posterior_covariance(n):
    """A z-test of every entry, by the variance of products of Gaussian numbers."""
    rows, q = make_rows(n), np.random.default_rng(2).normal(size=P)
    expected = plain_covariance(plain_precision(rows), q)
    for posterior in both(rows):
        z = q @ posterior.draw(N_DRAWS, (P, K), np.random.default_rng(3))  # (draws, k)
        variance = np.diag(expected)
        error = np.sqrt((np.outer(variance, variance) + expected**2) / N_DRAWS)
        assert np.abs((z.T @ z / N_DRAWS - expected) / error).max() < 4.5
        assert np.abs(z.mean(axis=0) / np.sqrt(variance / N_DRAWS)).max() < 4.5


def test_without_rows_it_is_the_prior():
    rows, q = make_rows(0), np.ones(P)
    np.testing.assert_allclose(rows.covariance(q[None])[0], P * np.eye(K))
    assert rows.log_det() == 0
    drawn = rows.draw(4, (P, K), np.random.default_rng(0))
    np.testing.assert_array_equal(drawn, np.random.default_rng(0).standard_normal((4, P, K)))


def test_classes_that_a_task_does_not_have_stay_at_the_prior():
    rows = make_rows(4)
    mean = np.column_stack([rows.mean[:, :2], np.zeros(4)])
    rows = rows._replace(mean=mean / mean.sum(axis=1, keepdims=True))
    covariance = rows.covariance(np.eye(P))
    np.testing.assert_allclose(covariance[:, 2, 2], 1)
    np.testing.assert_allclose(covariance[:, :2, 2], 0, atol=1e-12)


def test_draws_do_not_depend_on_how_many_are_drawn_at_once(monkeypatch):
    """But for the random numbers: the systems are solved one by one."""
    rows = make_rows(4)
    monkeypatch.setattr("sklearn_meta.network._class_posterior.MAX_CELLS", 1)
    drawn = rows.draw(200, (P, K), np.random.default_rng(0))
    variance = np.einsum("spk,spl->kl", drawn, drawn) / 200 / P
    assert np.all(np.diag(variance) < 1.2)
    assert np.all(np.diag(variance) > 0.3)
