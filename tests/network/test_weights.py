import numpy as np
import pytest

from sklearn_meta.network import MLP, TaskWeights

SHAPES = {  # of 4 tasks' 2-3-1 networks
    "all": [((2, 3), (3,)), ((3, 1), (1,))],
    "first layer": [((2, 3), (3,)), ((4, 3, 1), (4, 1))],
    "all but the first bias": [((2, 3), (4, 3)), ((3, 1), (1,))],
    "all but the first weights": [((4, 2, 3), (3,)), ((3, 1), (1,))],
    "nothing": [((4, 2, 3), (4, 3)), ((4, 3, 1), (4, 1))],
}


@pytest.fixture(params=SHAPES)
def weights(request):
    """The networks of 4 tasks, which share what the parameter says."""
    rng = np.random.RandomState(0)
    return TaskWeights([tuple(map(rng.standard_normal, layer)) for layer in SHAPES[request.param]])


def whole(weights):
    """The same networks with every array one a task."""
    ndims = 3, 2
    return [
        tuple(
            array if array.ndim == ndim else np.array([array] * 4)
            for array, ndim in zip(layer, ndims, strict=True)
        )
        for layer in weights.layers
    ]


def test_task(weights):
    for number in range(4):
        for layer, expected in zip(weights.task(number).layers, whole(weights), strict=True):
            np.testing.assert_array_equal(layer[0], expected[0][number])
            np.testing.assert_array_equal(layer[1], expected[1][number])


def test_outputs_are_a_loop_over_tasks(weights):
    network = MLP([2, 3, 1], "tanh", "squared_error")
    X = np.random.RandomState(1).standard_normal((4, 5, 2))
    z = network.outputs(weights.layers, X)
    for number in range(4):
        (W0, b0), (W1, b1) = weights.task(number).layers
        expected = np.tanh(X[number] @ W0 + b0) @ W1 + b1
        np.testing.assert_allclose(z[number], expected, rtol=1e-13)


def test_finite(weights):
    for layer, own_layer in zip(weights.layers, whole(weights), strict=True):
        for array, own in zip(layer, own_layer, strict=True):
            kept = array.flat[-1]
            array.flat[-1] = np.nan
            expected = [array is own] * 3 + [False]  # what is shared spoils every task
            np.testing.assert_array_equal(weights.finite(4), expected)
            array.flat[-1] = kept
    assert weights.finite(4).all()


@pytest.mark.parametrize("tasks", [[2], [3, 0, 3], []])
def test_take_gives_the_tasks_in_that_order(weights, tasks):
    taken = weights.take(np.array(tasks, int))
    for layer, kept in zip(taken.layers, weights.layers, strict=True):
        for array, whole_array, ndim in zip(layer, kept, (3, 2), strict=True):
            assert len(array) == len(tasks) if array.ndim == ndim else array is whole_array
    for place, number in enumerate(tasks):
        for layer, expected in zip(
            taken.task(place).layers, weights.task(number).layers, strict=True
        ):
            np.testing.assert_array_equal(layer[0], expected[0])
            np.testing.assert_array_equal(layer[1], expected[1])


def test_concatenate_joins_what_take_took_apart(weights):
    parts = [weights.take(np.array(tasks)) for tasks in ([0], [1, 2], [3])]
    joined = TaskWeights.concatenate(parts)
    for layer, expected in zip(joined.layers, weights.layers, strict=True):
        np.testing.assert_array_equal(layer[0], expected[0])
        np.testing.assert_array_equal(layer[1], expected[1])
    assert TaskWeights.concatenate([weights]) is weights
