"""A task that diverges is learned at half the rate, and half again, until it does not."""

import numpy as np
import pytest
from helpers import make_network, make_params, needs_loss, ragged_batch
from numpy.testing import assert_allclose, assert_array_equal

from sklearn_meta._slower import MOST_HALVINGS, SUSPICIOUS, at_rate, learn_slower
from sklearn_meta.algorithms import ALGORITHMS, CAVIA, MAML, BayesianHead, MetaSGD, RidgeHead
from sklearn_meta.testing._cases import tasks_of

WILD = 1  # the task that diverges
SIZE = {"squared_error": 1e6, "poisson": 30}  # of its features


def make_wild(name, loss, size):
    """Three ragged tasks, the features of one far from the others'; nothing saturates."""
    algorithm, network = ALGORITHMS[name](), make_network(loss, activation="identity")
    needs_loss(algorithm, network.loss_name)
    support = ragged_batch(np.random.RandomState(0), network, (6, 3, 5))
    X = support.X.copy()
    X[WILD] *= size
    return algorithm, network, make_params(algorithm, network), support._replace(X=X)


def support_loss(network, adapted, batch):
    z = adapted.outputs(network, batch.X, batch.logit_mask)
    return network.loss.task_losses(z, batch)


@pytest.mark.parametrize("name", ["maml", "fomaml", "anil", "boil", "meta_sgd", "joint"])
@pytest.mark.parametrize("loss", ["squared_error", "poisson"])
@np.errstate(over="ignore", invalid="ignore")
def test_it_comes_to_the_first_rate_that_goes_down(name, loss):
    """The plain way: every rate by itself, of that task alone."""
    algorithm, network, params, support = make_wild(name, loss, SIZE[loss])
    if name == "joint":
        algorithm.set_params(adapt_steps=5)
    found = learn_slower(algorithm, network, params, support)
    alone = list(tasks_of(support))[WILD]
    still, still_params = at_rate(algorithm, params, 0)
    start = support_loss(network, still.learn(network, still_params, alone), alone)
    for n in range(MOST_HALVINGS):
        slower, slow_params = at_rate(algorithm, params, 0.5**n)
        adapted = slower.learn(network, slow_params, alone)
        loss = support_loss(network, adapted, alone)
        is_fine = loss <= (start if n else max(SUSPICIOUS, SUSPICIOUS * start))
        if adapted.finite(1).all() and is_fine:
            break
    assert found.halvings.tolist() == [0, n, 0]
    assert n > 0 or name in ("joint", "anil")  # which take short steps, or move little
    assert not found.diverged.any()
    assert found.adapted.finite(3).all()


@pytest.mark.parametrize("name", sorted(ALGORITHMS))
def test_tasks_that_do_not_diverge_are_left_alone(name):
    loss = "softmax" if "squared_error" not in ALGORITHMS[name].losses else "squared_error"
    algorithm, network, params, support = make_wild(name, loss, 1)
    found = learn_slower(algorithm, network, params, support)
    expected = algorithm.learn(network, params, support)
    assert_array_equal(
        found.adapted.outputs(network, support.X), expected.outputs(network, support.X)
    )
    assert not found.halvings.any()


@np.errstate(over="ignore", invalid="ignore")
def test_the_others_stay_as_they_are():
    algorithm, network, params, support = make_wild("maml", "squared_error", 1e6)
    found = learn_slower(algorithm, network, params, support).adapted
    expected = algorithm.learn(network, params, support)
    others = np.array([0, 2])
    for layer, other in zip(found.take(others).layers, expected.take(others).layers, strict=True):
        for part, other_part in zip(layer, other, strict=True):
            assert_array_equal(part, other_part)


@np.errstate(over="ignore", invalid="ignore")
def test_what_has_no_rate_has_diverged():
    algorithm, network = RidgeHead(), make_network("squared_error")
    params = make_params(algorithm, network)
    support = ragged_batch(np.random.RandomState(0), network, (6, 3, 5))
    X = support.X.copy()
    X[WILD] = np.inf
    found = learn_slower(algorithm, network, params, support._replace(X=X))
    assert found.diverged.tolist() == [False, True, False]


def test_the_rate_is_a_parameter_or_learned():
    network = make_network("squared_error")
    for algorithm in (MAML(inner_lr=0.2), CAVIA(inner_lr=0.2), MetaSGD(inner_lr=0.2)):
        params = make_params(algorithm, network)
        before = params.vector.copy()
        slower, slow_params = at_rate(algorithm, params, 0.25)
        assert slower.inner_lr == pytest.approx(0.05)
        assert algorithm.inner_lr == 0.2
        assert_array_equal(params.vector, before)
        if "inner_lr" in params.layout.shapes:
            assert_allclose(slow_params["inner_lr"], params["inner_lr"] / 4)
            assert_array_equal(slow_params["weights_0"], params["weights_0"])
    assert not hasattr(BayesianHead(), "inner_lr")
