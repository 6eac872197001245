import numpy as np
import pytest

from sklearn_meta.network._solve import cholesky, solve

rng = np.random.RandomState(0)
GOOD = np.array([B @ B.T + np.eye(3) for B in rng.standard_normal((4, 3, 3))])
RIGHT = rng.standard_normal((4, 3, 2))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_as_numpy_where_nothing_fails(dtype):
    A, B = GOOD.astype(dtype), RIGHT.astype(dtype)
    np.testing.assert_array_equal(solve(A, B), np.linalg.solve(A, B))
    np.testing.assert_array_equal(cholesky(A), np.linalg.cholesky(A))
    assert solve(A, B).dtype == cholesky(A).dtype == dtype


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_fails_is_nan_and_the_others_are_not(dtype):
    A, B = GOOD.astype(dtype), RIGHT.astype(dtype)
    expected, factors = np.linalg.solve(A, B), np.linalg.cholesky(A)
    A[2] = -np.ones((3, 3))
    with pytest.raises(np.linalg.LinAlgError):
        np.linalg.solve(A, B)
    for found, right in ((solve(A, B), expected), (cholesky(A), factors)):
        assert np.isnan(found[2]).all()
        np.testing.assert_allclose(found[[0, 1, 3]], right[[0, 1, 3]], rtol=1e-5)
        assert found.dtype == dtype


def test_stacks_are_broadcast():
    A = np.stack([GOOD[0], np.zeros((3, 3))])
    found = solve(A[:, None], RIGHT)  # (2, 4, 3, 2)
    np.testing.assert_allclose(found[0], np.linalg.solve(GOOD[0], RIGHT))
    assert np.isnan(found[1]).all()
