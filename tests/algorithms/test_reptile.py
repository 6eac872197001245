import numpy as np
import pytest
from helpers import CASES, assert_close, make_network, make_params, ragged_batch, tasks_of

from sklearn_meta.algorithms import Joint, Reptile
from sklearn_meta.tasks import TaskBatch

every_case = pytest.mark.parametrize("case", CASES)
batch_sizes = pytest.mark.parametrize("inner_batch_size", [1, 2, 4, 100])


def draw(case):
    network = make_network(case)
    rng = np.random.RandomState(0)
    support, query = (ragged_batch(rng, network, sizes) for sizes in ((6, 3, 5), (4, 7, 2)))
    support, query = (whole_weights(rng, batch) for batch in (support, query))
    return network, make_params(Reptile(), network), support, query


def whole_weights(rng, batch):
    """Weights of 1 to 3 in place of what they were, so that rows can be repeated instead."""
    whole = rng.randint(1, 4, batch.weight.shape)
    return batch._replace(weight=np.where(batch.weight > 0, whole, 0.0))


def plain_sgd(network, vector, task, inner_lr, n_steps, batch_size):
    """Stochastic gradient descent on one task's rows, minibatch by minibatch.

    Rows are repeated as often as they weigh.
    """
    repeats = task.weight[0].astype(int)
    parts = (np.repeat(part, repeats, axis=1) for part in (task.X, task.y, 0 * task.weight + 1))
    task = TaskBatch(*parts)
    n_batches = int(np.ceil(task.X.shape[1] / batch_size))
    for step in range(n_steps):
        rows = slice(step % n_batches, None, n_batches)
        minibatch = TaskBatch(*(part[:, rows] for part in task[:3]))
        at = network.run(network.layers(vector), minibatch)
        vector = vector - inner_lr * network.gradient(at.inputs, at.deltas)
    return vector


@every_case
@batch_sizes
def test_adapting_is_sgd_on_minibatches(case, inner_batch_size):
    network, params, support, _ = draw(case)
    algorithm = Reptile(inner_lr=0.1, inner_steps=7, inner_batch_size=inner_batch_size)
    adapted = algorithm.learn(network, params, support)
    for i, task in enumerate(tasks_of(support)):
        expected = plain_sgd(network, params.vector, task, 0.1, 7, inner_batch_size)
        assert_close(network.flat(adapted.task(i).layers), expected, 1e-12)


@every_case
@batch_sizes
def test_meta_gradient_is_the_way_of_sgd_on_all_rows(case, inner_batch_size):
    network, params, support, query = draw(case)
    algorithm = Reptile(inner_lr=0.1, inner_steps=5, inner_batch_size=inner_batch_size)
    loss, gradient = algorithm.meta_gradient(network, params, support, query)
    ways, losses = [], []
    for task, rows in zip(tasks_of(support.join(query)), tasks_of(query), strict=True):
        end = plain_sgd(network, params.vector, task, 0.1, 5, inner_batch_size)
        ways.append((params.vector - end) / (0.1 * 5))
        losses.append(network.run(network.layers(end), rows).losses[0])
    assert_close(gradient, np.mean(ways, axis=0), 1e-12)
    np.testing.assert_allclose(loss, np.mean(losses), rtol=1e-12)


@every_case
def test_one_step_on_all_rows_is_joint_training(case):
    network, params, support, query = draw(case)
    algorithm = Reptile(inner_steps=1, inner_batch_size=100)
    _, gradient = algorithm.meta_gradient(network, params, support, query)
    assert_close(gradient, Joint().meta_gradient(network, params, support, query)[1], 1e-12)


def test_adapt_steps_are_for_new_tasks_only():
    network, params, support, query = draw("squared_error")
    plain, longer = Reptile(inner_steps=3), Reptile(inner_steps=3, adapt_steps=8)
    gradients = [a.meta_gradient(network, params, support, query)[1] for a in (plain, longer)]
    np.testing.assert_array_equal(*gradients)
    adapted = [a.learn(network, params, support) for a in (longer, Reptile(inner_steps=8))]
    for layer, expected in zip(*(tasks.layers for tasks in adapted), strict=True):
        np.testing.assert_array_equal(layer[0], expected[0])
        np.testing.assert_array_equal(layer[1], expected[1])
