import numpy as np
import pytest
from helpers import assert_close, make_network, make_params, ragged_batch, tasks_of
from sklearn.neural_network import MLPRegressor

from sklearn_meta import MetaLearner
from sklearn_meta.algorithms import ProtoMAML, Prototypes
from sklearn_meta.datasets import Sinusoids

every_setting = pytest.mark.parametrize(
    ("case", "n_classes"),
    [("binary", None), ("softmax", None), ("binary", [2, 2, 2]), ("softmax", [2, 3, 2])],
    ids=["binary", "softmax", "own_binary", "own_softmax"],
)


def draw(case, n_classes=None):
    network = make_network(case, exchangeable=n_classes is not None)
    rng, n_classes = np.random.RandomState(0), n_classes if case == "softmax" else None
    batches = (ragged_batch(rng, network, part, n_classes) for part in ((6, 3, 5), (4, 7, 2)))
    return network, make_params(ProtoMAML(), network), *batches


@every_setting
def test_without_steps_it_is_prototypes(case, n_classes):
    network, params, support, query = draw(case, n_classes)
    algorithms = ProtoMAML(inner_steps=0), Prototypes()
    found, expected = (a.learn(network, params, support) for a in algorithms)
    for layer, other in zip(found.layers, expected.layers, strict=True):
        np.testing.assert_array_equal(layer[0], other[0])
        np.testing.assert_array_equal(layer[1], other[1])
    (loss, gradient), (expected_loss, expected) = (
        a.meta_gradient(network, params, support, query) for a in algorithms
    )
    np.testing.assert_allclose(loss, expected_loss, rtol=1e-12)
    assert_close(gradient, expected, 1e-12)


@every_setting
def test_adapting_is_gradient_descent_from_the_tasks_prototypes(case, n_classes):
    network, params, support, _ = draw(case, n_classes)
    adapted = ProtoMAML(inner_lr=0.1, inner_steps=4).learn(network, params, support)
    for i, task in enumerate(tasks_of(support)):
        vector = network.flat(Prototypes().learn(network, params, task).task(0).layers)
        for _ in range(4):
            at = network.run(network.layers(vector), task)
            vector = vector - 0.1 * network.gradient(at.inputs, at.deltas)
        assert_close(network.flat(adapted.task(i).layers), vector, 1e-12)


@every_setting
def test_what_first_order_leaves_out_vanishes_linearly_with_inner_lr(case, n_classes):
    network, params, support, query = draw(case, n_classes)
    gaps = []
    for inner_lr in (1e-4, 1e-5):
        (loss, first), (exact_loss, exact) = (
            ProtoMAML(inner_lr=inner_lr, first_order=order).meta_gradient(
                network, params, support, query
            )
            for order in (True, False)
        )
        assert loss == exact_loss
        gaps.append(np.linalg.norm(first - exact))
    assert gaps[0] > 1e-8
    np.testing.assert_allclose(gaps[0] / gaps[1], 10, rtol=1e-2)


@pytest.mark.parametrize("case", ["binary", "softmax"])
def test_with_no_rows_a_task_has_the_learned_prototypes(case):
    network, params, *_ = draw(case)
    found, expected = (a.prior(network, params) for a in (ProtoMAML(), Prototypes()))
    for layer, other in zip(found.layers, expected.layers, strict=True):
        np.testing.assert_array_equal(layer[0], other[0])
        np.testing.assert_array_equal(layer[1], other[1])


def test_regression_is_an_error():
    meta = MetaLearner(MLPRegressor(), "proto_maml", max_iter=1)
    with pytest.raises(
        ValueError, match=r"ProtoMAML found.*'squared_error'; expected a classifier"
    ):
        meta.fit(Sinusoids().sample(4, random_state=0))
