import numpy as np
import pytest
from helpers import (
    CASES,
    assert_close,
    cast,
    central_difference,
    make_network,
    plain_mean,
    plain_nll,
    ragged_batch,
    tasks_of,
)
from scipy.optimize import minimize
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Ridge

from sklearn_meta.network import LOSSES, _gaussian_head, posterior_mode
from sklearn_meta.network._gaussian_head import GroupedMode, NewtonMode
from sklearn_meta.tasks import TaskBatch

every_case = pytest.mark.parametrize("case", CASES)
newton_case = pytest.mark.parametrize("case", ["poisson", "binary", "softmax"])
SIZES = [5, 1, 8]


def draw(case, p, sizes=SIZES, n_classes=None, seed=0):
    """A loss, features (tasks, n, p), offsets (tasks, n, k) and a batch with them as its X."""
    rng = np.random.RandomState(seed)
    network = make_network(case, hidden=(), n_features=p)
    batch = ragged_batch(rng, network, sizes, n_classes)
    offset = 0.5 * rng.standard_normal(batch.y.shape)
    if n_classes is not None:
        offset += batch.logit_mask
    return network.loss, batch.X, offset, batch


def widen(loss, F, offset, batch, n):
    """The same with rows of weight 0 up to n."""
    tasks, rows = batch.weight.shape
    more = np.random.RandomState(5).standard_normal((tasks, n - rows, F.shape[-1]))
    F = np.concatenate([F, more], axis=1)
    last = np.concatenate([np.arange(rows), np.full(n - rows, rows - 1)])
    weight = np.pad(batch.weight, [(0, 0), (0, n - rows)])
    return loss, F, offset[:, last], TaskBatch(F, batch.y[:, last], weight, batch.logit_mask)


def each(F, offset, batch):
    """Features, offsets, targets and weights of each task, without its padding."""
    for i, task in enumerate(tasks_of(batch)):
        rows = batch.weight[i] > 0
        yield F[i, rows], offset[i, rows], task.y[0], task.weight[0]


def objective(name, F, offset, y, weight):
    """Negative log posterior of flat output weights (p * k,) and its gradient."""

    def function(flat):
        U = flat.reshape(F.shape[1], -1)
        z = offset + F @ U
        nll = sum(w * plain_nll(name, z[[i]], y[[i]]) for i, w in enumerate(weight))
        gradient = F.T @ (weight[:, None] * (plain_mean(name, z) - y)) + U
        return nll + 0.5 * np.sum(U**2), gradient.ravel()

    return function


@pytest.mark.parametrize("p", [3, 12])
@pytest.mark.parametrize("case", ["squared_error", "two_outputs"])
def test_squared_error_is_ridge_regression(case, p):
    loss, F, offset, batch = draw(case, p)
    mode = posterior_mode(loss, F, offset, batch)
    assert mode.kernel_side == (p == 12)
    for U, (features, base, y, weight) in zip(mode.U, each(F, offset, batch), strict=True):
        ridge = Ridge(alpha=1, fit_intercept=False).fit(features, y - base, weight)
        np.testing.assert_allclose(U.T, np.atleast_2d(ridge.coef_), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("case", ["squared_error", "two_outputs"])
def test_kernel_side_is_primal_side(case):
    problem = draw(case, 9)
    kernel, primal = posterior_mode(*problem), posterior_mode(*widen(*problem, 10))
    assert kernel.kernel_side
    assert not primal.kernel_side
    np.testing.assert_allclose(kernel.U, primal.U, rtol=1e-11, atol=1e-13)
    B = np.random.RandomState(0).standard_normal((3, 9, 4))
    np.testing.assert_allclose(kernel.solve(B), primal.solve(B), rtol=1e-11, atol=1e-13)
    _, F, _, batch = problem
    for i in range(3):
        precision = np.eye(9) + F[i].T @ np.diag(batch.weight[i]) @ F[i]
        np.testing.assert_allclose(kernel.solve(B)[i], np.linalg.inv(precision) @ B[i], atol=1e-12)


@pytest.mark.parametrize("p", [1, 3, 20])
@newton_case
def test_mode_minimises_the_objective(case, p, solver):
    loss, F, offset, batch = draw(case, p)
    mode = posterior_mode(loss, F, offset, batch)
    for U, task in zip(mode.U, each(F, offset, batch), strict=True):
        function = objective(CASES[case][0], *task)
        found = minimize(function, np.zeros(U.size), jac=True, options={"gtol": 1e-9})
        np.testing.assert_allclose(U.ravel(), found.x, atol=1e-7)
        np.testing.assert_allclose(function(U.ravel())[1], 0, atol=1e-9)


@pytest.fixture(params=["direct", "conjugate gradients", "each task alone"])
def solver(request, monkeypatch):
    """Newton's systems are solved this way, whatever the number of rows."""
    most = 10**6 if request.param == "direct" else 0
    monkeypatch.setattr(NewtonMode, "most_direct", (most, most))
    if request.param == "each task alone":
        monkeypatch.setattr(_gaussian_head, "CACHED", 0)
    return request.param


@pytest.mark.parametrize("p", [3, 12])  # the support has 8 rows
@newton_case
def test_conjugate_gradients_are_the_direct_solve(case, p, monkeypatch):
    problem = draw(case, p)
    direct = posterior_mode(*problem)
    monkeypatch.setattr(NewtonMode, "most_direct", (0, 0))
    iterative = posterior_mode(*problem)
    assert direct.direct
    assert not iterative.direct
    assert iterative.kernel_side == (p == 12)
    np.testing.assert_allclose(direct.U, iterative.U, atol=1e-12)
    B = np.random.RandomState(0).standard_normal(direct.U.shape)
    np.testing.assert_allclose(direct.solve(B), iterative.solve(B), atol=1e-11)


@pytest.mark.parametrize("p", [3, 12])
@newton_case
def test_solve_is_the_inverse_of_a_numeric_hessian(case, p, solver):
    loss, F, offset, batch = draw(case, p)
    mode = posterior_mode(loss, F, offset, batch)
    B = np.random.RandomState(0).standard_normal(mode.U.shape)
    solved = mode.solve(B)
    for i, task in enumerate(each(F, offset, batch)):
        hessian = numeric_hessian(CASES[case][0], task, mode.U[i])
        np.testing.assert_allclose(hessian @ solved[i].ravel(), B[i].ravel(), atol=1e-7)


def numeric_hessian(name, task, U):
    function = objective(name, *task)
    return central_difference(lambda flat: function(flat)[1], U.ravel())


@pytest.mark.parametrize("p", [3, 12])
@every_case
def test_adjoint_against_central_differences(case, p, solver):
    """Both sides of the ridge; Newton's systems directly, and on both sides iteratively."""
    loss, F, offset, batch = draw(case, p)
    mode = posterior_mode(loss, F, offset, batch)
    functional = np.random.RandomState(1).standard_normal(mode.U.shape)

    def by_features(flat):
        U = posterior_mode(loss, flat.reshape(F.shape), offset, batch).U
        return (functional * U).sum(axis=(1, 2))

    def by_offset(flat):
        U = posterior_mode(loss, F, flat.reshape(offset.shape), batch).U
        return (functional * U).sum(axis=(1, 2))

    d_features, d_offset = mode.adjoint(functional)
    numeric = central_difference(by_features, F.reshape(3, -1))
    assert_close(d_features.reshape(3, -1), numeric, 1e-6)
    numeric = central_difference(by_offset, offset.reshape(3, -1))
    assert_close(d_offset.reshape(3, -1), numeric, 1e-6)


@pytest.mark.parametrize("n_classes", [[2, 3, 2], [3, 2, 2]])
def test_absent_classes_are_as_if_they_were_not_there(n_classes):
    loss, F, offset, batch = draw("softmax", 3, n_classes=n_classes)
    mode = posterior_mode(loss, F, offset, batch)
    functional = np.random.RandomState(1).standard_normal(mode.U.shape)
    d_features, d_offset = mode.adjoint(functional)
    for i, k in enumerate(n_classes):
        part = TaskBatch(F[[i]], batch.y[[i], :, :k], batch.weight[[i]])
        smaller = posterior_mode(LOSSES["log_loss"], F[[i]], offset[[i], :, :k], part)
        np.testing.assert_allclose(mode.U[i, :, :k], smaller.U[0], atol=1e-10)
        assert not mode.U[i, :, k:].any()
        expected = smaller.adjoint(functional[[i], :, :k])
        np.testing.assert_allclose(d_features[[i]], expected[0], atol=1e-10)
        np.testing.assert_allclose(d_offset[[i], :, :k], expected[1], atol=1e-10)


@pytest.mark.parametrize("n_classes", [None, [2, 3, 2]])
@every_case
def test_a_padded_batch_is_a_loop_over_its_tasks(case, n_classes, solver):
    n_classes = n_classes if case == "softmax" else None
    loss, F, offset, batch = draw(case, 3, n_classes=n_classes)
    mode = posterior_mode(loss, F, offset, batch)
    d_mode = np.random.RandomState(1).standard_normal(mode.U.shape)
    d_features, d_offset = mode.adjoint(d_mode)
    for i, (features, base, y, weight) in enumerate(each(F, offset, batch)):
        task = TaskBatch(features[None], y[None], weight[None])
        alone = posterior_mode(loss, features[None], base[None], task)
        np.testing.assert_allclose(mode.U[i], alone.U[0], atol=1e-12)
        rows = batch.weight[i] > 0
        expected = alone.adjoint(d_mode[[i]])
        np.testing.assert_allclose(d_features[i, rows], expected[0][0], atol=1e-11)
        np.testing.assert_allclose(d_offset[i, rows], expected[1][0], atol=1e-11)
        assert not d_features[i, ~rows].any()
        assert not d_offset[i, ~rows].any()


@every_case
def test_order_of_rows_and_tasks_does_not_matter(case):
    loss, F, offset, batch = draw(case, 3)
    mode = posterior_mode(loss, F, offset, batch)
    rows, tasks = np.random.RandomState(1).permutation(8), np.array([2, 0, 1])
    pick = np.ix_(tasks, rows)
    moved = posterior_mode(
        loss, F[pick], offset[pick], TaskBatch(F[pick], batch.y[pick], batch.weight[pick])
    )
    np.testing.assert_allclose(moved.U, mode.U[tasks], atol=1e-12)


@every_case
def test_a_row_of_weight_two_is_the_row_twice(case):
    loss, F, offset, batch = draw(case, 3, sizes=[6, 6])
    twice = [0, 1, 2, 3, 4, 5, 1, 3]
    weight = np.ones((2, 6))
    weight[:, [1, 3]] = 2
    weighted = posterior_mode(loss, F, offset, batch._replace(weight=weight))
    repeated = posterior_mode(
        loss, F[:, twice], offset[:, twice], TaskBatch(F, batch.y[:, twice], np.ones((2, 8)))
    )
    np.testing.assert_allclose(weighted.U, repeated.U, atol=1e-11)


@every_case
def test_no_rows_leave_the_prior(case):
    loss, F, offset, batch = draw(case, 3)
    B = np.random.RandomState(1).standard_normal((3, 3, offset.shape[-1]))
    nothing = TaskBatch(F[:, :0], batch.y[:, :0], batch.weight[:, :0])
    for mode in (
        posterior_mode(loss, F[:, :0], offset[:, :0], nothing),
        posterior_mode(loss, F, offset, batch._replace(weight=0 * batch.weight)),
    ):
        np.testing.assert_array_equal(mode.U, np.zeros_like(B))
        np.testing.assert_allclose(mode.solve(B), B, rtol=1e-14)
        for gradient in mode.adjoint(B):
            assert not gradient.any()


@pytest.mark.parametrize("case", ["binary", "softmax"])
@pytest.mark.parametrize("p", [1, 3])
def test_newton_finds_the_mode_of_separable_classes(case, p, solver):
    loss, F, _, batch = draw(case, p, sizes=[16, 20, 17])
    batch = batch._replace(y=np.zeros_like(batch.y))
    label = (F[..., 0] > 0).astype(int)
    batch.y[...] = label[..., None] if case == "binary" else np.eye(3)[label]
    offset = np.zeros(batch.y.shape)
    U = posterior_mode(loss, 100 * F, offset, batch).U
    np.testing.assert_allclose(gradients(case, U, 100 * F, offset, batch), 0, atol=1e-6)


@pytest.mark.parametrize("p", [1, 3])
def test_newton_finds_the_mode_of_large_counts(p, solver):
    loss, F, offset, batch = draw("poisson", p, sizes=[16, 20, 17])
    batch = batch._replace(y=np.round(np.exp(6 * np.abs(F[..., :1]))))
    U = posterior_mode(loss, F, offset, batch).U
    gradient = gradients("poisson", U, F, offset, batch)
    np.testing.assert_allclose(gradient / batch.y.max(), 0, atol=1e-9)


def gradients(case, U, F, offset, batch):
    """Of the objective of each task."""
    tasks = zip(U, each(F, offset, batch), strict=True)
    return np.stack([objective(CASES[case][0], *task)(u.ravel())[1] for u, task in tasks])


@pytest.mark.parametrize("case", ["binary", "softmax"])
def test_single_precision_finds_the_mode_of_unscaled_features(case, solver):
    """28 x 28 pixels of 0 to 255 under a prior precision of 10, against double precision."""
    loss, F, offset, batch = draw(case, 784, sizes=[10, 20, 30])
    rng = np.random.RandomState(0)
    F = rng.uniform(0, 255, F.shape) * (rng.uniform(size=F.shape) < 0.3) / np.sqrt(10)
    exact = posterior_mode(loss, F, offset, batch)
    single = F.astype(np.float32), offset.astype(np.float32), cast(batch, np.float32)
    rough = posterior_mode(loss, *single)
    for i, task in enumerate(each(F, offset, batch)):
        function = objective(CASES[case][0], *task)
        lowest = function(exact.U[i].ravel())[0]
        assert function(rough.U[i].astype(float).ravel())[0] < lowest + 0.01


def many_classes(rng, p, sizes=(90, 0, 40, 7, 200), n_classes=30):
    """Rows near their class's centre, of whatever class, padded; in single precision."""
    n = max(sizes)
    labels = rng.randint(n_classes, size=(len(sizes), n))
    centres = rng.standard_normal((n_classes, p))
    F = (centres[labels] + 0.5 * rng.standard_normal((*labels.shape, p))).astype(np.float32)
    weight = np.arange(n) < np.array(sizes)[:, None]
    batch = TaskBatch(F, np.eye(n_classes)[labels], weight * rng.choice([0.5, 1, 3], weight.shape))
    offset = rng.standard_normal(batch.y.shape)
    return F, offset.astype(np.float32), cast(batch, np.float32)


@pytest.mark.parametrize("p", [12, 100])
def test_single_precision_finds_the_mode_of_many_classes(p):
    F, offset, batch = many_classes(np.random.RandomState(0), p)
    mode = posterior_mode(LOSSES["log_loss"], F, offset, batch)
    assert isinstance(mode, GroupedMode)
    double = F.astype(float), offset.astype(float), cast(batch, float)
    exact = NewtonMode(LOSSES["log_loss"], *double)
    functional = np.random.RandomState(1).standard_normal(mode.U.shape)
    for U, task in zip(mode.U, each(*double), strict=True):
        function = objective("log_loss", *task)
        options = {"maxiter": 5000, "maxfun": 10**5, "ftol": 0, "gtol": 1e-8}
        found = minimize(function, np.zeros(U.size), jac=True, method="L-BFGS-B", options=options)
        np.testing.assert_allclose(U.ravel(), found.x, atol=1e-6)
    gradients = zip(mode.adjoint(functional), exact.adjoint(functional), strict=True)
    for found, expected in gradients:
        np.testing.assert_allclose(found, expected, atol=3e-6 * np.abs(expected).max())


@pytest.mark.parametrize("scale", [1, 1e4])
def test_hard_systems_are_solved_in_double_precision(scale):
    rng = np.random.RandomState(0)
    F, offset, batch = many_classes(rng, 20, sizes=(30, 18), n_classes=4)
    mode = NewtonMode(LOSSES["log_loss"], scale * F, offset, batch)
    assert mode._solving_precision() == (np.float32 if scale == 1 else np.float64)
    U, double = mode._mode, ((scale * F).astype(float), offset.astype(float), cast(batch, float))
    for gradient in gradients("softmax", U, *double):
        np.testing.assert_allclose(gradient / scale, 0, atol=1e-4)


def test_a_task_that_is_no_number_leaves_the_others_theirs(solver):
    loss, F, offset, batch = draw("softmax", 3)
    expected = posterior_mode(loss, F, offset, batch).U
    F[1] = np.nan
    with np.errstate(invalid="ignore"), pytest.warns(ConvergenceWarning, match="not reached"):
        found = posterior_mode(loss, F, offset, batch).U
    assert np.isnan(found[1]).all()
    np.testing.assert_allclose(found[[0, 2]], expected[[0, 2]], atol=1e-9)


def test_a_mode_that_is_not_reached_is_warned_of(solver, monkeypatch):
    loss, F, offset, batch = draw("softmax", 3)
    monkeypatch.setattr(NewtonMode, "max_iter", 2)
    with pytest.warns(ConvergenceWarning, match="not reached in 2 Newton steps"):
        posterior_mode(loss, F, offset, batch)


@every_case
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtype_is_kept(case, solver, dtype):
    loss, F, offset, batch = draw(case, 3)
    exact = posterior_mode(loss, F, offset, batch)
    mode = posterior_mode(loss, F.astype(dtype), offset.astype(dtype), cast(batch, dtype))
    results = [mode.U, *mode.adjoint(mode.U), mode.solve(mode.U)]
    assert {result.dtype for result in results} == {np.dtype(dtype)}
    np.testing.assert_allclose(mode.U, exact.U, atol=1e-4)
