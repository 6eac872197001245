import numpy as np
import pytest
from helpers import CASES, central_difference, draw_targets, plain_mean
from sklearn.metrics import log_loss, mean_poisson_deviance, mean_squared_error

from sklearn_meta.network import LOSSES
from sklearn_meta.tasks import TaskBatch

METRICS = {
    "squared_error": mean_squared_error,
    "poisson": lambda y, mean: mean_poisson_deviance(y.ravel(), mean.ravel()),
    "binary_log_loss": lambda y, mean: log_loss(y[:, 0], mean[:, 0], labels=[0, 1]),
    "log_loss": log_loss,
}
every_case = pytest.mark.parametrize(
    ("name", "n_outputs"), [*CASES.values(), ("poisson", 2)], ids=[*CASES, "two_counts"]
)


def draw(name, n_outputs, shape=(3, 4), dtype=np.float64):
    """Outputs and a batch of 3 tasks of 4 rows."""
    rng = np.random.RandomState(0)
    z = rng.standard_normal((*shape, n_outputs)).astype(dtype)
    y = draw_targets(rng, name, shape, n_outputs).astype(dtype)
    weight = rng.uniform(0.5, 2, shape).astype(dtype)
    return z, TaskBatch(np.zeros((*shape, 0), dtype), y, weight)


@every_case
def test_mean_and_loss_are_those_of_scikit_learns_metrics(name, n_outputs):
    z, batch = draw(name, n_outputs)
    loss = LOSSES[name]
    mean = loss.mean(z)
    np.testing.assert_allclose(mean, plain_mean(name, z), rtol=1e-13)
    rows = [
        [METRICS[name](batch.y[t, [i]], mean[t, [i]]) for i in range(4)] for t in range(3)
    ]  # (tasks, rows)
    np.testing.assert_allclose(loss.row_losses(z, batch.y), rows, rtol=1e-10, atol=1e-12)
    expected = np.average(rows, axis=1, weights=batch.weight)
    np.testing.assert_allclose(loss.task_losses(z, batch), expected, rtol=1e-10)


@every_case
def test_delta_is_the_gradient_at_the_outputs(name, n_outputs):
    z, batch = draw(name, n_outputs)
    loss = LOSSES[name]

    def losses(flat):  # (tasks, rows * outputs) -> (tasks,)
        return loss.task_losses(flat.reshape(z.shape), batch)

    numeric = central_difference(losses, z.reshape(3, -1)).reshape(z.shape)
    np.testing.assert_allclose(loss.delta(loss.mean(z), batch), numeric, atol=1e-8)


@every_case
def test_curvature_is_the_derivative_of_the_mean(name, n_outputs):
    z, _ = draw(name, n_outputs)
    loss, eps = LOSSES[name], 1e-6
    direction = np.random.RandomState(1).standard_normal(z.shape)
    numeric = (loss.mean(z + eps * direction) - loss.mean(z - eps * direction)) / (2 * eps)
    np.testing.assert_allclose(loss.curvature(loss.mean(z), direction), numeric, atol=1e-8)


@every_case
def test_mean_loss_is_the_mean_over_tasks(name, n_outputs):
    z, batch = draw(name, n_outputs)
    loss = LOSSES[name]
    expected = loss.task_losses(z, batch).mean()
    np.testing.assert_allclose(loss.mean_loss(z, batch), expected, rtol=1e-13)


@every_case
@pytest.mark.parametrize("weight", [1.0, 2.0, 0.25])
def test_scale_is_what_the_error_counts_in_delta(name, n_outputs, weight):
    z, batch = draw(name, n_outputs)
    loss = LOSSES[name]
    error = loss.mean(z) - batch.y
    scale = loss.scale(batch, weight)
    assert scale.shape == (3, 4, 1)
    np.testing.assert_allclose(scale * error, weight * loss.delta(loss.mean(z), batch), rtol=1e-13)
    factor = 2 / n_outputs if name in ("squared_error", "poisson") else 1
    np.testing.assert_allclose(scale.sum(axis=1), weight * factor, rtol=1e-13)


@every_case
def test_diagonal(name, n_outputs):
    z, _ = draw(name, n_outputs)
    loss = LOSSES[name]
    mean = loss.mean(z)
    units = np.broadcast_to(np.eye(n_outputs), (*z.shape, n_outputs))  # (tasks, rows, k, k)
    hessian = loss.curvature(np.broadcast_to(mean[..., None, :], units.shape), units)
    rest = mean[..., :, None] * mean[..., None, :] if loss.coupled else 0
    expected = loss.diagonal(mean)[..., None] * np.eye(n_outputs) - rest
    np.testing.assert_allclose(hessian, expected, atol=1e-15)


@pytest.mark.parametrize("size", [1e3, 1e30])
def test_log_losses_of_huge_outputs(size):
    binary, softmax = LOSSES["binary_log_loss"], LOSSES["log_loss"]
    z = np.array([[size], [-size]])
    np.testing.assert_array_equal(binary.row_losses(z, np.ones((2, 1))), [0, size])
    z = np.array([[size, 0, -size]])
    for label, expected in enumerate([0, size, 2 * size]):
        assert softmax.row_losses(z, np.eye(3)[[label]]) == expected
    np.testing.assert_array_equal(softmax.mean(z), [[1, 0, 0]])


def test_poisson_deviance_of_a_count_of_zero():
    assert LOSSES["poisson"].row_losses(np.zeros((1, 1)), np.zeros((1, 1))) == 2


@every_case
def test_a_task_without_rows_has_no_loss(name, n_outputs):
    z, batch = draw(name, n_outputs)
    batch = batch._replace(weight=0 * batch.weight)
    loss = LOSSES[name]
    np.testing.assert_array_equal(loss.task_losses(z, batch), np.zeros(3))
    assert loss.mean_loss(z, batch) == 0
    np.testing.assert_array_equal(loss.delta(loss.mean(z), batch), np.zeros(z.shape))


@every_case
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtype_is_kept(name, n_outputs, dtype):
    z, batch = draw(name, n_outputs, dtype=dtype)
    loss = LOSSES[name]
    mean = loss.mean(z)
    results = [
        mean,
        loss.row_losses(z, batch.y),
        loss.task_losses(z, batch),
        loss.delta(mean, batch),
        loss.mean_loss(z, batch),
        loss.scale(batch),
        loss.curvature(mean, z),
        loss.diagonal(mean),
    ]
    assert {result.dtype for result in results} == {np.dtype(dtype)}
