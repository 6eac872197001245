from itertools import product

import numpy as np
import pytest
from helpers import (
    CASES,
    assert_close,
    cast,
    central_difference,
    make_network,
    make_params,
    plain_loss,
    ragged_batch,
    sklearn_mlp,
    tasks_of,
)
from sklearn.neural_network import MLPRegressor

from sklearn_meta import MetaLearner
from sklearn_meta.algorithms import MAML, Joint
from sklearn_meta.network import Params

every_case = pytest.mark.parametrize("case", CASES)
every_rate = pytest.mark.parametrize("rates", ["layer", "step", "parameter"])
every_part = pytest.mark.parametrize("part", ["head", "body"])
both_orders = pytest.mark.parametrize("first_order", [False, True])


def draw(case, sizes=((6, 3, 5), (4, 7, 2)), hidden=(4, 3), algorithm=None):
    network = make_network(case, hidden)
    rng = np.random.RandomState(0)
    support, query = (ragged_batch(rng, network, part) for part in sizes)
    return network, make_params(algorithm or MAML(), network), support, query


def with_rates(params, network, algorithm, rates):
    """The same network weights, with these rates behind them (anything that broadcasts)."""
    learned = algorithm.init_params(network, np.random.RandomState(0), params.vector.dtype)
    learned.vector[: network.layout.size] = params.vector[: network.layout.size]
    learned["inner_lr"][...] = rates
    return Params(learned.vector, learned.layout)


def plain_steps(network, vector, task, inner_lr, n_steps):
    """scikit-learn's SGD on all rows at once, in the units of our losses."""
    k = network.n_outputs
    factor = {"squared_error": 2 / k, "poisson": 2 / k}.get(network.loss_name, 1)
    mlp = sklearn_mlp(network, network.layers(vector), learning_rate_init=factor * inner_lr)
    y = task.y[0].argmax(axis=1) if k == 3 else task.y[0, :, 0] if k == 1 else task.y[0]
    weight = task.weight[0]
    for _ in range(n_steps):
        mlp.partial_fit(task.X[0], y, sample_weight=weight)
    return list(zip(mlp.coefs_, mlp.intercepts_, strict=True))


def gradient_at(network, layers, batch):
    at = network.run(layers, batch)
    return network.gradient(at.inputs, at.deltas)


def assert_same_layers(adapted, expected, tolerance=1e-12):
    """Of all tasks, whether they share a layer or have their own that are the same."""
    for layer, plain in zip(adapted.layers, expected.layers, strict=True):
        for part, own, n_axes in zip(layer, plain, (2, 1), strict=True):
            parts = (p if p.ndim > n_axes else p[None] for p in (part, own))
            assert_close(*np.broadcast_arrays(*parts), tolerance)


@every_case
@pytest.mark.parametrize("hidden", [(), (4, 3)])
def test_adapting_is_scikit_learns_gradient_descent(case, hidden):
    network, params, support, _ = draw(case, hidden=hidden)
    adapted = MAML(inner_lr=0.07, inner_steps=4).learn(network, params, support)
    for i, task in enumerate(tasks_of(support)):
        expected = plain_steps(network, params.vector, task, 0.07, 4)
        for layer, plain in zip(adapted.task(i).layers, expected, strict=True):
            np.testing.assert_allclose(layer[0], plain[0], rtol=0, atol=1e-9)
            np.testing.assert_allclose(layer[1], plain[1], rtol=0, atol=1e-9)


def test_adapt_steps_are_for_new_tasks_only():
    network, params, support, query = draw("squared_error")
    meta = MAML(inner_lr=0.1, inner_steps=2, adapt_steps=5)
    plain = MAML(inner_lr=0.1, inner_steps=5)
    for layer, expected in zip(
        meta.learn(network, params, support).layers,
        plain.learn(network, params, support).layers,
        strict=True,
    ):
        np.testing.assert_array_equal(layer[0], expected[0])
    _, gradient = meta.meta_gradient(network, params, support, query)
    plain = MAML(inner_lr=0.1, inner_steps=2)
    _, expected = plain.meta_gradient(network, params, support, query)
    np.testing.assert_array_equal(gradient, expected)


@every_case
def test_loss_is_that_of_the_adapted_network_on_the_query(case):
    network, params, support, query = draw(case)
    loss, _ = MAML(inner_lr=0.1).meta_gradient(network, params, support, query)
    losses = []
    for task, rows in zip(tasks_of(support), tasks_of(query), strict=True):
        layers = plain_steps(network, params.vector, task, 0.1, 5)
        z = network.outputs(layers, rows.X)[0]
        losses.append(plain_loss(network.loss_name, z, rows.y[0], rows.weight[0]))
    np.testing.assert_allclose(loss, np.mean(losses), rtol=1e-9)


@every_case
@pytest.mark.parametrize("layers", ["all", "head", "body"])
@pytest.mark.parametrize("rates", [False, "layer", "step", "parameter"])
def test_every_option_against_central_differences(case, layers, rates):
    """Over every entry: the weights and the rates, in a loss of several steps and of one."""
    for multi_step_iter in (0, 4):
        algorithm = MAML(
            inner_lr=0.1,
            inner_steps=3,
            adapt_layers=layers,
            learn_inner_lr=rates,
            multi_step_iter=multi_step_iter,
        )
        network, params, support, query = draw(case, hidden=(3,), algorithm=algorithm)
        algorithm = algorithm.at_step(1)

        def loss(vector, episode=(support, query), at=params, algorithm=algorithm, net=network):
            return algorithm.meta_gradient(net, Params(vector, at.layout), *episode)[0]

        _, gradient = algorithm.meta_gradient(network, params, support, query)
        assert_close(gradient, central_difference(loss, params.vector), 1e-6)


@every_case
def test_first_order_is_the_query_gradient_at_the_adapted_weights(case):
    network, params, support, query = draw(case)
    algorithm = MAML(inner_lr=0.1, first_order=True)
    loss, gradient = algorithm.meta_gradient(network, params, support, query)
    expected = []
    for task, rows in zip(tasks_of(support), tasks_of(query), strict=True):
        layers = algorithm.learn(network, params, task).layers
        expected.append(gradient_at(network, layers, rows))
    assert_close(gradient, np.mean(expected, axis=0), 1e-12)
    exact, _ = MAML(inner_lr=0.1).meta_gradient(network, params, support, query)
    assert loss == exact


@every_rate
@every_case
def test_first_order_rates_go_along_the_inner_gradients(case, rates):
    """As if these were constants: minus the query gradient times that of each step."""
    algorithm = MAML(inner_steps=2, first_order=True, learn_inner_lr=rates)
    network, params, support, query = draw(case)
    learned = with_rates(params, network, algorithm, 0.1)
    _, gradient = algorithm.meta_gradient(network, learned, support, query)
    values = []  # (tasks, steps, size)
    for task, rows in zip(tasks_of(support), tasks_of(query), strict=True):
        ends = [
            MAML(inner_lr=0.1, inner_steps=k).learn(network, params, task).layers for k in range(3)
        ]
        at_end = gradient_at(network, ends[-1], rows)
        values.append([-at_end * gradient_at(network, end, task) for end in ends[:-1]])
    by_entry = np.mean(values, axis=0)  # (steps, size)
    by_layer = np.array([[sum_of(layer) for layer in network.layers(row)] for row in by_entry])
    expected = {
        "parameter": by_entry.sum(axis=0),
        "layer": by_layer.sum(axis=0),
        "step": by_layer.ravel(),
    }[rates]
    assert_close(gradient[network.layout.size :], expected, 1e-12)


def sum_of(layer):
    return layer[0].sum() + layer[1].sum()


@every_case
def test_what_first_order_leaves_out_vanishes_linearly_with_inner_lr(case):
    network, params, support, query = draw(case)
    gaps = []
    for inner_lr in (1e-4, 1e-5):
        first, second = (
            MAML(inner_lr=inner_lr, first_order=order).meta_gradient(
                network, params, support, query
            )[1]
            for order in (True, False)
        )
        gaps.append(np.linalg.norm(first - second))
    assert gaps[0] > 1e-8
    np.testing.assert_allclose(gaps[0] / gaps[1], 10, rtol=1e-2)


@every_case
@pytest.mark.parametrize("layers", ["all", "head", "body"])
def test_without_steps_or_support_it_is_joint(case, layers):
    network, params, _, query = draw(case)
    nothing = query._replace(X=query.X[:, :0], y=query.y[:, :0], weight=query.weight[:, :0])
    episode = network, params, nothing, query
    expected_loss, expected = Joint().meta_gradient(*episode)
    for inner_steps in (0, 2):
        algorithm = MAML(inner_steps=inner_steps, adapt_layers=layers)
        loss, gradient = algorithm.meta_gradient(*episode)
        np.testing.assert_allclose(loss, expected_loss, rtol=1e-14)
        assert_close(gradient, expected, 1e-13)


@every_rate
def test_without_steps_there_are_no_rates_to_learn(rates):
    network = make_network("squared_error")
    algorithm = MAML(inner_steps=0, learn_inner_lr=rates, adapt_steps=2, inner_lr=0.1)
    params = algorithm.init_params(network, np.random.RandomState(0), float)
    assert params.layout.shapes == network.layout.shapes
    support = ragged_batch(np.random.RandomState(0), network, [4, 3])
    expected = MAML(inner_steps=2, inner_lr=0.1).learn(network, params, support)
    assert_same_layers(algorithm.learn(network, params, support), expected, 0)


@every_part
@both_orders
@every_case
def test_adapting_a_part_is_maml_with_rates_0_elsewhere(case, part, first_order):
    options = {"inner_steps": 3, "first_order": first_order}
    network, params, support, query = draw(case)
    some = MAML(inner_lr=0.1, adapt_layers=part, **options)
    every = MAML(learn_inner_lr="parameter", **options)
    n_layers, moved = network.n_layers, np.zeros(network.layout.size)
    for i, layer in enumerate(network.layers(moved)):
        for values in layer:
            values[...] = 0.1 * ((i == n_layers - 1) == (part == "head"))
    learned = with_rates(params, network, every, moved)
    adapted = some.learn(network, params, support)
    assert_same_layers(adapted, every.learn(network, learned, support))
    stays = slice(-1) if part == "head" else slice(-1, None)
    start = network.layers(params.vector)
    for layer, begin in zip(adapted.layers[stays], start[stays], strict=True):
        np.testing.assert_array_equal(layer[0], begin[0])
        np.testing.assert_array_equal(layer[1], begin[1])
    loss, gradient = some.meta_gradient(network, params, support, query)
    expected_loss, expected = every.meta_gradient(network, learned, support, query)
    np.testing.assert_allclose(loss, expected_loss, rtol=1e-12)
    assert_close(gradient, expected[: network.layout.size], 1e-12)


@every_part
@every_rate
def test_rates_of_what_stays_are_not_learned(part, rates):
    algorithm = MAML(adapt_layers=part, learn_inner_lr=rates)
    network, params, support, query = draw("softmax", algorithm=algorithm)
    _, vector = algorithm.meta_gradient(network, params, support, query)
    gradient = Params(vector, params.layout)["inner_lr"]
    if rates == "parameter":
        moves = np.array([sum_of(layer) != 0 for layer in network.layers(gradient)])
    else:
        moves = np.atleast_2d(gradient).any(axis=0)
    assert moves.tolist() == [part == "body"] * (len(moves) - 1) + [part == "head"]


@every_rate
@pytest.mark.parametrize("layers", ["all", "head", "body"])
@both_orders
@every_case
def test_equal_rates_are_one_rate(case, rates, layers, first_order):
    """Learned rates that are all the same, at the weights: loss, gradient and adaptation."""
    options = {"inner_steps": 3, "first_order": first_order, "adapt_layers": layers}
    network, params, support, query = draw(case)
    plain = MAML(inner_lr=0.1, **options)
    learning = MAML(inner_lr=99.0, learn_inner_lr=rates, **options)
    learned = with_rates(params, network, learning, 0.1)
    loss, gradient = learning.meta_gradient(network, learned, support, query)
    expected_loss, expected = plain.meta_gradient(network, params, support, query)
    np.testing.assert_allclose(loss, expected_loss, rtol=1e-12)
    assert_close(gradient[: network.layout.size], expected, 1e-12)
    expected = plain.learn(network, params, support)
    assert_same_layers(learning.learn(network, learned, support), expected)


@every_rate
@every_case
def test_gradients_at_equal_rates_add_up_to_that_at_the_one_rate(case, rates):
    network, params, support, query = draw(case)
    learning = MAML(inner_steps=3, learn_inner_lr=rates)
    learned = with_rates(params, network, learning, 0.1)
    _, gradient = learning.meta_gradient(network, learned, support, query)
    ahead, behind = (
        MAML(inner_lr=rate, inner_steps=3).meta_gradient(network, params, support, query)[0]
        for rate in (0.1 + 1e-5, 0.1 - 1e-5)
    )
    exact = gradient[network.layout.size :].sum()
    np.testing.assert_allclose(exact, (ahead - behind) / 2e-5, rtol=1e-6)


@every_rate
def test_learned_rates_start_from_inner_lr(rates):
    network = make_network("softmax")
    shape = {"layer": (3,), "step": (5, 3), "parameter": (network.layout.size,)}[rates]
    algorithm = MAML(inner_lr=0.25, learn_inner_lr=rates)
    params = algorithm.init_params(network, np.random.RandomState(0), np.float32)
    assert params["inner_lr"].dtype == np.float32
    np.testing.assert_array_equal(params["inner_lr"], np.full(shape, 0.25))


def test_further_steps_have_the_last_ones_rates():
    network, params, support, _ = draw("squared_error")
    learning = MAML(inner_steps=2, adapt_steps=4, learn_inner_lr="step")
    steps = np.random.RandomState(0).uniform(0, 0.2, (2, network.n_layers))
    learned = with_rates(params, network, learning, steps)
    for adapt_steps in (1, 2, 4):
        learning.set_params(adapt_steps=adapt_steps)
        stays = MAML(inner_steps=adapt_steps, learn_inner_lr="step")
        expected = with_rates(params, network, stays, steps[[0, 1, 1, 1][:adapt_steps]])
        assert_same_layers(
            learning.learn(network, learned, support), stays.learn(network, expected, support), 0
        )


@pytest.mark.parametrize("step", [0, 3, 9, 10, 11, 1000])
@both_orders
@every_case
def test_multi_step_loss_is_a_weighted_sum_of_separate_runs(case, step, first_order):
    """Equal weights at first; those of the earlier steps fall linearly, to 0 in meta-step 10."""
    options = {"inner_lr": 0.1, "first_order": first_order}
    network, params, support, query = draw(case)
    algorithm = MAML(inner_steps=3, multi_step_iter=10, **options)
    loss, gradient = algorithm.at_step(step).meta_gradient(network, params, support, query)
    early = max(0, 10 - step) / 10 / 3
    parts = [
        MAML(inner_steps=k, **options).meta_gradient(network, params, support, query)
        for k in (1, 2, 3)
    ]
    weights = np.array([early, early, 1 - 2 * early])
    np.testing.assert_allclose(loss, weights @ [loss for loss, _ in parts], rtol=1e-12)
    assert_close(gradient, weights @ [gradient for _, gradient in parts], 1e-12)


def test_multi_step_loss_of_one_step_or_none_is_the_plain_loss():
    network, params, support, query = draw("softmax")
    for inner_steps in (0, 1):
        plain = MAML(inner_steps=inner_steps)
        multi = MAML(inner_steps=inner_steps, multi_step_iter=10)
        loss, gradient = multi.meta_gradient(network, params, support, query)
        expected_loss, expected = plain.meta_gradient(network, params, support, query)
        assert loss == expected_loss
        np.testing.assert_array_equal(gradient, expected)


@pytest.mark.parametrize("rates", [False, "layer", "step", "parameter"])
@pytest.mark.parametrize("multi_step_iter", [0, 10])
def test_numbers_of_numpys_leave_single_precision_single(rates, multi_step_iter):
    """A grid of np.arange or np.linspace holds such: float64, which NumPy would go on with."""
    plain = {"inner_lr": 0.1, "inner_steps": 3, "multi_step_iter": multi_step_iter}
    of_numpy = {name: np.asarray(value)[()] for name, value in plain.items()}
    network, _, support, query = draw("softmax")
    support, query = cast(support, np.float32), cast(query, np.float32)
    results = []
    for options in (plain, of_numpy):
        algorithm = MAML(learn_inner_lr=rates, **options)
        params = make_params(algorithm, network, dtype=np.float32)
        loss, gradient = algorithm.meta_gradient(network, params, support, query)
        layers = algorithm.learn(network, params, support).layers
        parts = [loss, gradient, *(part for layer in layers for part in layer)]
        assert {part.dtype for part in parts} == {np.dtype(np.float32)}
        results.append(parts)
    for part, expected in zip(*results, strict=True):
        np.testing.assert_array_equal(part, expected)


@pytest.mark.parametrize("mlp_layers", [(), []])
def test_adapting_the_body_needs_one(regression, mlp_layers):
    meta = MetaLearner(MLPRegressor(hidden_layer_sizes=mlp_layers), MAML(adapt_layers="body"))
    with pytest.raises(ValueError, match=r"adapt_layers='body'.*hidden_layer_sizes"):
        meta.fit(regression.tasks)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *product(["inner_lr", "inner_steps", "adapt_steps", "multi_step_iter"], [-1, "3"]),
        ("inner_lr", np.nan),
        ("inner_lr", np.inf),
        ("inner_steps", 1.5),
        ("adapt_layers", "feet"),
        ("adapt_layers", None),
        ("learn_inner_lr", True),
        ("learn_inner_lr", "weight"),
        ("first_order", "yes"),
    ],
)
def test_a_parameter_that_cannot_be_is_named(regression, name, value):
    meta = regression.meta(MAML(**{name: value}))
    with pytest.raises(ValueError, match=name):
        meta.fit(regression.tasks)


@pytest.mark.parametrize(
    "algorithm",
    [
        MAML(adapt_layers="head", learn_inner_lr="layer"),
        MAML(adapt_layers="body", learn_inner_lr="step", adapt_steps=7),
        MAML(learn_inner_lr="parameter", first_order=True),
        MAML(multi_step_iter=10, inner_steps=3),
    ],
    ids=str,
)
def test_training_lowers_the_loss(problem, algorithm):
    meta = problem.meta(algorithm, max_iter=60).fit(problem.tasks)
    assert np.mean(meta.loss_curve_[-15:]) < np.mean(meta.loss_curve_[:15])
