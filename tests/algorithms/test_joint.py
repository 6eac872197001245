import numpy as np
import pytest
from helpers import CASES, assert_close, cast, make_network, make_params, ragged_batch, sklearn_mlp

from sklearn_meta.algorithms import MAML, Joint
from sklearn_meta.tasks import TaskBatch

every_case = pytest.mark.parametrize("case", CASES)


def draw(case):
    network = make_network(case)
    rng = np.random.RandomState(0)
    support, query = (ragged_batch(rng, network, sizes) for sizes in ((6, 3, 5), (4, 7, 2)))
    return network, make_params(Joint(), network), support, query


@every_case
def test_meta_gradient_is_scikit_learns_on_the_pooled_rows(case):
    """Tasks of equal size and weight are one data set: pooled, its rows count alike."""
    network, params, *_ = draw(case)
    rng = np.random.RandomState(0)
    batches = [ragged_batch(rng, network, [n] * 3) for n in (4, 5)]
    support, query = (batch._replace(weight=np.ones_like(batch.weight)) for batch in batches)
    loss, gradient = Joint().meta_gradient(network, params, support, query)
    X, y = (
        np.concatenate([part[i].reshape(-1, part[i].shape[-1]) for part in (support, query)])
        for i in (0, 1)
    )
    mlp, room = sklearn_mlp(network, network.layers(params.vector)), [None] * 3
    plain_loss, coefs, intercepts = mlp._backprop(
        X, y, None, [X, *room], room.copy(), room.copy(), room.copy()
    )
    k = network.n_outputs
    factor = {"squared_error": 2, "poisson": 2 / k}.get(network.loss_name, 1)
    slope = 2 / k if network.loss.deviance else 1
    flat = [part.ravel() for pair in zip(coefs, intercepts, strict=True) for part in pair]
    np.testing.assert_allclose(loss, factor * plain_loss, rtol=1e-10)
    assert_close(gradient, slope * np.concatenate(flat), 1e-12)


@every_case
def test_all_tasks_count_alike(case):
    """The mean over tasks of each one's mean over all its rows, support and query."""
    network, params, support, query = draw(case)
    loss, gradient = Joint().meta_gradient(network, params, support, query)
    losses, gradients = [], []
    for i in range(3):
        rows = [batch.weight[i] > 0 for batch in (support, query)]
        parts = [
            np.concatenate([support[j][i, rows[0]], query[j][i, rows[1]]])[None] for j in range(3)
        ]
        at = network.run(network.layers(params.vector), TaskBatch(*parts))
        losses.append(at.losses[0])
        gradients.append(network.gradient(at.inputs, at.deltas))
    np.testing.assert_allclose(loss, np.mean(losses), rtol=1e-12)
    assert_close(gradient, np.mean(gradients, axis=0), 1e-12)


def test_without_steps_all_tasks_share_the_network():
    network, params, support, _ = draw("squared_error")
    adapted = Joint().learn(network, params, support)
    for layer, expected in zip(adapted.layers, network.layers(params.vector), strict=True):
        np.testing.assert_array_equal(layer[0], expected[0])
        np.testing.assert_array_equal(layer[1], expected[1])


@every_case
def test_fine_tuning_is_mamls_adaptation(case):
    network, params, support, _ = draw(case)
    tuned = Joint(adapt_steps=3, inner_lr=0.1).learn(network, params, support)
    expected = MAML(adapt_steps=3, inner_lr=0.1).learn(network, params, support)
    for layer, plain in zip(tuned.layers, expected.layers, strict=True):
        np.testing.assert_array_equal(layer[0], plain[0])
        np.testing.assert_array_equal(layer[1], plain[1])


@every_case
def test_numbers_of_numpys_leave_single_precision_single(case):
    """A grid of np.arange or np.linspace holds such: float64, which NumPy would go on with."""
    network, _, support, query = draw(case)
    algorithm = Joint(adapt_steps=np.int64(3), inner_lr=np.float64(0.1))
    params = make_params(algorithm, network, dtype=np.float32)
    support, query = cast(support, np.float32), cast(query, np.float32)
    loss, gradient = algorithm.meta_gradient(network, params, support, query)
    layers = algorithm.learn(network, params, support).layers
    parts = [loss, gradient, *(part for layer in layers for part in layer)]
    assert {part.dtype for part in parts} == {np.dtype(np.float32)}


@every_case
@pytest.mark.parametrize("adapt_steps", [0, 3])
def test_fine_tuning_has_no_part_in_the_meta_gradient(case, adapt_steps):
    network, params, support, query = draw(case)
    loss, gradient = Joint(adapt_steps=adapt_steps).meta_gradient(network, params, support, query)
    expected_loss, expected = Joint().meta_gradient(network, params, query, support)
    np.testing.assert_allclose(loss, expected_loss, rtol=1e-13)
    assert_close(gradient, expected, 1e-13)
