import numpy as np
import pytest
from helpers import CASES, assert_close, cast, make_network, ragged_batch, tasks_of

from sklearn_meta.network import descend, pull_back

every_case = pytest.mark.parametrize("case", CASES)
LR, STEPS = 0.1, 3


def draw(case, activation="tanh", n_classes=None):
    network = make_network(case, activation=activation)
    rng = np.random.RandomState(1)
    start = 0.5 * rng.standard_normal(network.layout.size)
    return network, start, ragged_batch(rng, network, [6, 2, 4], n_classes), rng


@every_case
def test_descent_is_a_loop_of_gradient_steps(case):
    network, start, batch, _ = draw(case)
    weights, passes = descend(network, start, batch, LR, STEPS)
    assert len(passes) == STEPS
    for i, task in enumerate(tasks_of(batch)):
        vector = start.copy()
        for _ in range(STEPS):
            at = network.run(network.layers(vector), task)
            vector -= LR * network.gradient(at.inputs, at.deltas, per_task=False)
        assert_close(weights[i], vector, 1e-12)


@pytest.mark.parametrize("activation", ["identity", "relu", "tanh", "logistic"])
@every_case
def test_pull_back_is_the_adjoint_of_the_descent(case, activation):
    """A functional of where the descent ends, along a direction of where it starts."""
    network, start, batch, rng = draw(case, activation)
    functional, direction = rng.standard_normal((2, 3, network.layout.size))
    _, passes = descend(network, start, batch, LR, STEPS)
    exact = (direction * pull_back(network, passes, batch, LR, functional)).sum(axis=1)
    eps = 1e-6
    ahead, behind = (
        descend(network, start + step * direction, batch, LR, STEPS)[0] for step in (eps, -eps)
    )
    numeric = (functional * (ahead - behind)).sum(axis=1) / (2 * eps)
    np.testing.assert_allclose(exact, numeric, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("n_classes", [None, [2, 3, 2]])
def test_pull_back_of_a_padded_batch_is_a_loop_over_its_tasks(n_classes):
    network, start, batch, rng = draw("softmax", n_classes=n_classes)
    functional = rng.standard_normal((3, network.layout.size))
    _, passes = descend(network, start, batch, LR, STEPS)
    pulled = pull_back(network, passes, batch, LR, functional)
    for i, task in enumerate(tasks_of(batch)):
        _, passes = descend(network, start, task, LR, STEPS)
        assert_close(pulled[[i]], pull_back(network, passes, task, LR, functional[[i]]), 1e-12)


def test_no_steps_leave_the_start_and_the_gradient():
    network, start, batch, rng = draw("squared_error")
    weights, passes = descend(network, start, batch, LR, 0)
    assert weights is start
    functional = rng.standard_normal((3, network.layout.size))
    np.testing.assert_array_equal(pull_back(network, passes, batch, LR, functional), functional)


def test_inputs_are_left_as_they_were():
    network, start, batch, rng = draw("softmax")
    functional = rng.standard_normal((3, network.layout.size))
    for array in (start, functional, *batch[:3]):
        array.flags.writeable = False
    _, passes = descend(network, start, batch, LR, STEPS)
    first = pull_back(network, passes, batch, LR, functional)
    np.testing.assert_array_equal(pull_back(network, passes, batch, LR, functional), first)


@every_case
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtype_is_kept(case, dtype):
    network, start, batch, _ = draw(case)
    start, batch = start.astype(dtype), cast(batch, dtype)
    weights, passes = descend(network, start, batch, LR, STEPS)
    assert weights.dtype == dtype
    assert pull_back(network, passes, batch, LR, weights).dtype == dtype
