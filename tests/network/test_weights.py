import numpy as np
import pytest

from sklearn_meta.network import TaskWeights


@pytest.fixture
def weights():
    """4 tasks of 2-3-1 networks that share the first layer."""
    rng = np.random.RandomState(0)
    shapes = [((2, 3), (3,)), ((4, 3, 1), (4, 1))]
    return TaskWeights([tuple(map(rng.standard_normal, layer)) for layer in shapes])


def test_task(weights):
    for number in range(4):
        (shared, head) = weights.task(number)
        assert shared[0] is weights.layers[0][0]
        assert shared[1] is weights.layers[0][1]
        np.testing.assert_array_equal(head[0], weights.layers[1][0][number])
        np.testing.assert_array_equal(head[1], weights.layers[1][1][number])


@pytest.mark.parametrize("tasks", [[2], [3, 0, 3], []])
def test_take_gives_the_tasks_in_that_order(weights, tasks):
    taken = weights.take(np.array(tasks, int))
    assert taken.layers[1][0].shape == (len(tasks), 3, 1)
    for place, number in enumerate(tasks):
        for layer, expected in zip(taken.task(place), weights.task(number), strict=True):
            np.testing.assert_array_equal(layer[0], expected[0])
            np.testing.assert_array_equal(layer[1], expected[1])


def test_concatenate_joins_what_take_took_apart(weights):
    parts = [weights.take(np.array(tasks)) for tasks in ([0], [1, 2], [3])]
    joined = TaskWeights.concatenate(parts)
    for layer, expected in zip(joined.layers, weights.layers, strict=True):
        np.testing.assert_array_equal(layer[0], expected[0])
        np.testing.assert_array_equal(layer[1], expected[1])
    assert TaskWeights.concatenate([weights]) is weights
