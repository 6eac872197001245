import tracemalloc

import numpy as np
import pytest
from helpers import CASES, assert_close, cast, make_network, ragged_batch, tasks_of
from hypothesis import given, settings
from hypothesis import strategies as st

from sklearn_meta.network import MLP, InnerLoop
from sklearn_meta.network._fast_layers import (
    ExplicitLayer,
    FactoredLayer,
    FirstLayer,
    SharedLayer,
)
from sklearn_meta.tasks import TaskBatch

few_examples = settings(deadline=None, derandomize=True, max_examples=80, database=None)
every_case = pytest.mark.parametrize("case", CASES)
every_activation = pytest.mark.parametrize("activation", ["identity", "relu", "tanh", "logistic"])
every_form = pytest.mark.parametrize("form", ["dual", "primal", "auto"])


class Episode:
    """A network, a start, rates, and ragged weighted tasks; what is left out is the default."""

    def __init__(self, network, vector, support, query, rates, **options):
        self.network, self.vector = network, vector
        self.support, self.query, self.rates, self.options = support, query, rates, options

    def loop(self, form="primal", vector=None, **changes):
        vector = self.vector if vector is None else vector
        parts = {"support": self.support, "rates": self.rates, "query": self.query}
        parts |= self.options | changes
        return InnerLoop(self.network, self.network.layers(vector), form=form, **parts)

    def results(self, form="primal", first_order=False, **changes):
        """Loss, gradient, rate gradients and adapted weights, each flat."""
        loop = self.loop(form, **changes)
        loss, gradients = loop.meta_gradient(first_order, learn_rates=True)
        return {
            "loss": np.array([loss]),
            "gradient": MLP.flat(gradients),
            "rates": flat_rates(loop.rate_gradients),
            "weights": adapted(loop),
        }

    def alone(self):
        """Each task as an episode of its own, without its padding."""
        for i, (support, query) in enumerate(
            zip(tasks_of(self.support), tasks_of(self.query), strict=True)
        ):
            rows, options = self.support.weight[i] > 0, dict(self.options)
            if self.options.get("scales"):
                options["scales"] = [scale[[i]][:, rows] for scale in self.options["scales"]]
            vector = self.vector if self.vector.ndim == 1 else self.vector[[i]]
            yield Episode(self.network, vector, support, query, self.rates, **options)


def flat_rates(of_steps):
    """One vector of rate gradients, 0 where a layer stays."""
    values = [value for of_step in of_steps for value in of_step]
    parts = [part for v in values for part in (v if isinstance(v, tuple) else (v,))]
    return np.concatenate([[0.0] if part is None else np.ravel(part) for part in parts] or [[]])


def adapted(loop):
    """(tasks, size), of layers that tasks share, too."""
    n_tasks = len(loop.X)
    return np.concatenate(
        [
            np.broadcast_to(part, (n_tasks, *part.shape[part.ndim == own :])).reshape(n_tasks, -1)
            for layer in loop.weights().layers
            for part, own in zip(layer, (3, 2), strict=True)
        ],
        axis=1,
    )


def assert_same(actual, expected, tolerance=1e-10):
    for name, value in expected.items():
        assert_close(actual[name], value, tolerance)


@st.composite
def episodes(draw, activations=("identity", "relu", "tanh", "logistic")):
    """Random shapes, losses, rates (some layers stay), classes and query weights."""
    loss, n_outputs = draw(st.sampled_from([*CASES.values(), ("log_loss", 4), ("poisson", 2)]))
    units = draw(st.lists(st.integers(1, 6), min_size=1, max_size=4))
    network = MLP([*units, n_outputs], draw(st.sampled_from(activations)), loss)
    rng = np.random.RandomState(draw(st.integers(0, 2**31)))
    n_tasks, n_steps = draw(st.integers(1, 4)), draw(st.integers(0, 4))
    sizes = st.lists(st.integers(0, 6), min_size=n_tasks, max_size=n_tasks)
    masked = loss == "log_loss" and draw(st.booleans())
    n_classes = rng.randint(2, n_outputs + 1, n_tasks) if masked else None
    support = ragged_batch(rng, network, draw(sizes), n_classes)
    query = ragged_batch(rng, network, [size + 1 for size in draw(sizes)], n_classes)
    query = query._replace(logit_mask=support.logit_mask)
    stays = draw(st.lists(st.booleans(), min_size=network.n_layers, max_size=network.n_layers))
    if all(stays):
        stays[draw(st.integers(0, network.n_layers - 1))] = False
    fastest = 0.02 if loss == "poisson" else 0.15  # its steps go far where counts are off
    rates = rng.uniform(-0.3 * fastest, fastest, (n_steps, network.n_layers)).tolist()
    rates = [[None if s else r for r, s in zip(step, stays, strict=True)] for step in rates]
    options = {}
    if draw(st.booleans()):
        weights = rng.uniform(0.1, 1, max(1, n_steps)) * (rng.random_sample(max(1, n_steps)) < 0.7)
        options["query_weights"] = [*weights[:-1].tolist(), 0.7]
    if draw(st.booleans()):
        options["scales"] = [minibatch(rng, support) for _ in range(n_steps)]
    vector = 0.4 * rng.standard_normal(network.layout.size)
    return Episode(network, vector, support, query, rates, **options)


def minibatch(rng, support):
    """What rows count in a step that sees about half of them, (tasks, rows, 1)."""
    return -rng.uniform(0, 0.3, support.weight.shape)[..., None] * (
        (support.weight > 0) & (rng.random_sample(support.weight.shape) < 0.5)
    )[..., None].astype(float)


def plain_descent(episode):
    """One network a task and step, by backpropagation on that task's rows alone."""
    network, ends = episode.network, []
    for alone in episode.alone():
        vector = alone.vector.copy()
        versions = [vector]
        for step, rates in enumerate(alone.rates):
            at = network.run(network.layers(versions[-1]), alone.support)
            deltas = at.deltas
            if alone.options.get("scales"):
                delta = -alone.options["scales"][step] * (at.mean - alone.support.y)
                gradient = delta @ at.layers[-1][0].T
                deltas = [*network.hidden_deltas(at.layers, at.inputs, gradient), delta]
            slope = network.gradient(at.inputs, deltas)
            layers = zip(network.layers(slope), rates, strict=True)
            scaled = [tuple((rate or 0.0) * part for part in layer) for layer, rate in layers]
            versions.append(versions[-1] - MLP.flat(scaled))
        ends.append(versions)
    return ends


@few_examples
@given(episodes())
def test_descent_and_loss_are_a_loop_of_gradient_steps(episode):
    ends = plain_descent(episode)
    n_steps = len(episode.rates)
    weights = episode.options.get("query_weights", [0.0] * (n_steps - 1) + [1.0])
    losses = []
    for alone, versions in zip(episode.alone(), ends, strict=True):
        after = versions[1:] or versions
        runs = [episode.network.run(episode.network.layers(v), alone.query) for v in after]
        losses.append(sum(w * at.losses[0] for w, at in zip(weights, runs, strict=True)))
    for form in ("dual", "primal", "auto"):
        results = episode.results(form)
        assert_close(results["weights"], np.array([v[-1] for v in ends]), 1e-12)
        np.testing.assert_allclose(results["loss"], np.mean(losses), rtol=1e-10, atol=1e-12)


@few_examples
@given(episodes(), st.booleans())
def test_all_forms_agree(episode, first_order):
    expected = episode.results("primal", first_order)
    for form in ("dual", "auto"):
        assert_same(episode.results(form, first_order), expected)


@every_form
@few_examples
@given(episodes(activations=("identity", "tanh", "logistic")), st.integers(0, 1000))
def test_gradient_along_a_direction_against_central_differences(form, episode, seed):
    """Along one direction of the start and one of the rates."""
    rng, eps = np.random.RandomState(seed), 1e-5
    along = rng.standard_normal(episode.vector.size)
    turns = rng.standard_normal((len(episode.rates), episode.network.n_layers))

    def loss(step, turn):
        rates = [
            [None if rate is None else rate + turn * by for rate, by in zip(*pair, strict=True)]
            for pair in zip(episode.rates, turns.tolist(), strict=True)
        ]
        return episode.loop(form, episode.vector + step * along, rates=rates).meta_gradient()[0]

    results = episode.results(form)
    by_start = (loss(eps, 0) - loss(-eps, 0)) / (2 * eps)
    by_rates = (loss(0, eps) - loss(0, -eps)) / (2 * eps)
    size = max(np.abs(results["gradient"]).max(), 1)
    np.testing.assert_allclose(results["gradient"] @ along, by_start, rtol=1e-6, atol=1e-7 * size)
    size = max(np.abs(results["rates"]).max(initial=0), 1)
    exact = results["rates"] @ turns.ravel()
    np.testing.assert_allclose(exact, by_rates, rtol=1e-6, atol=1e-7 * size)


@every_form
@few_examples
@given(episodes(), st.booleans())
def test_a_ragged_batch_is_a_loop_over_its_tasks(form, episode, first_order):
    together = episode.results(form, first_order)
    alone = [task.results(form, first_order) for task in episode.alone()]
    for name in ("loss", "gradient", "rates"):
        assert_close(together[name], np.mean([task[name] for task in alone], axis=0), 1e-11)
    assert_close(together["weights"], np.concatenate([task["weights"] for task in alone]), 1e-11)


@every_form
@few_examples
@given(episodes(), st.integers(0, 1000))
def test_order_of_rows_and_tasks_does_not_matter(form, episode, seed):
    rng = np.random.RandomState(seed)
    tasks = rng.permutation(len(episode.support.X))
    n, m = (batch.X.shape[1] for batch in (episode.support, episode.query))
    orders = {"support": rng.permutation(n), "query": rng.permutation(m)}
    changes = {name: shuffled(getattr(episode, name), tasks, o) for name, o in orders.items()}
    if episode.options.get("scales"):
        scales = episode.options["scales"]
        changes["scales"] = [scale[tasks][:, orders["support"]] for scale in scales]
    expected = episode.results(form)
    expected["weights"] = expected["weights"][tasks]
    assert_same(episode.results(form, **changes), expected, 1e-11)


def shuffled(batch, tasks, rows):
    mask = None if batch.logit_mask is None else batch.logit_mask[tasks]
    return TaskBatch(*(part[tasks][:, rows] for part in batch[:3]), mask)


@every_form
@few_examples
@given(episodes(activations=("tanh", "logistic")), st.sampled_from([1.0, 1e6]))
def test_what_stands_in_the_padding_does_not_matter(form, episode, size):
    network = episode.network
    if network.n_layers == 1 and network.loss_name == "poisson":
        size = 1.0  # exp overflows
    rng = np.random.RandomState(0)
    changes = {name: garbled(rng, getattr(episode, name), size) for name in ("support", "query")}
    assert_same(episode.results(form, **changes), episode.results(form), 1e-12)


def garbled(rng, batch, size):
    empty = (batch.weight == 0)[..., None]
    X = np.where(empty, size * rng.standard_normal(batch.X.shape), batch.X)
    size = size if batch.logit_mask is None else 1.0  # times an absent class it overflows
    y = np.where(empty, size * rng.uniform(0, 1, batch.y.shape), batch.y)
    return batch._replace(X=X, y=y)


@few_examples
@given(episodes(), st.booleans())
def test_rates_of_each_entry_that_are_equal_are_the_layers(episode, first_order):
    """Their gradients add up to that at the layer's rate; entries at rate 0 stay."""
    layers = episode.network.layers(np.ones(episode.network.layout.size))
    rates = [
        [None if r is None else (r * W, r * b) for r, (W, b) in zip(of_step, layers, strict=True)]
        for of_step in episode.rates
    ]
    expected = episode.results("auto", first_order)
    loop = episode.loop("auto", rates=rates)
    loss, gradients = loop.meta_gradient(first_order, learn_rates=True)
    sums = [
        [None if pair is None else pair[0].sum() + pair[1].sum() for pair in of_step]
        for of_step in loop.rate_gradients
    ]
    results = {"loss": loss, "gradient": MLP.flat(gradients), "weights": adapted(loop)}
    assert_same(results | {"rates": flat_rates(sums)}, expected)


@every_case
def test_rates_of_each_entry_against_central_differences(case):
    network = make_network(case)
    rng = np.random.RandomState(0)
    start, spread, along = rng.uniform(-0.1, 0.3, (3, network.layout.size))
    support, query = (ragged_batch(rng, network, sizes) for sizes in ([5, 0, 3], [2, 6, 3]))

    def loop(rates):
        layers = network.layers(start)
        return InnerLoop(network, layers, support, [network.layers(rates)] * 2, query)

    at = loop(spread)
    at.meta_gradient(learn_rates=True)
    exact = sum(MLP.flat(of_step) @ along for of_step in at.rate_gradients)
    ahead, behind = (loop(spread + eps * along).meta_gradient()[0] for eps in (1e-5, -1e-5))
    np.testing.assert_allclose(exact, (ahead - behind) / 2e-5, rtol=1e-6)


@few_examples
@given(episodes(), st.booleans())
def test_starts_of_each_tasks_own_are_a_loop_over_tasks(episode, first_order):
    """The gradients are those of each task, of the mean over tasks."""
    n_tasks = len(episode.support.X)
    own = np.random.RandomState(0).standard_normal((n_tasks, episode.vector.size))
    starts = episode.vector + 0.1 * own
    loop = episode.loop("auto", starts)
    loss, gradients = loop.meta_gradient(first_order, learn_rates=True)
    alone = [
        Episode(e.network, start, e.support, e.query, e.rates, **e.options).results(
            "primal", first_order
        )
        for e, start in zip(episode.alone(), starts, strict=True)
    ]
    assert_close(loss, np.mean([task["loss"] for task in alone]), 1e-11)
    assert_close(
        MLP.flat(gradients) * n_tasks, np.array([task["gradient"] for task in alone]), 1e-10
    )
    rates = flat_rates(loop.rate_gradients)
    assert_close(rates, np.mean([task["rates"] for task in alone], axis=0), 1e-10)
    weights = np.concatenate([task["weights"] for task in alone])
    assert_close(adapted(loop), weights, 1e-11)


def test_a_head_of_each_tasks_own_on_a_shared_body():
    """As under a head of class means: the body's gradient is summed, the head's is not."""
    network = make_network("softmax")
    rng = np.random.RandomState(0)
    support, query = (ragged_batch(rng, network, sizes) for sizes in ([6, 2], [3, 5]))
    *body, (W, b) = network.layers(0.5 * rng.standard_normal(network.layout.size))
    heads = W + rng.standard_normal((2, *W.shape)), b + rng.standard_normal((2, *b.shape))
    rates = [[0.2, 0.1, 0.3]] * 2
    loss, gradients = InnerLoop(network, [*body, heads], support, rates, query).meta_gradient()
    losses, alone = zip(
        *(
            InnerLoop(
                network, [*body, (heads[0][i], heads[1][i])], task, rates, rows
            ).meta_gradient()
            for i, (task, rows) in enumerate(zip(tasks_of(support), tasks_of(query), strict=True))
        ),
        strict=True,
    )
    np.testing.assert_allclose(loss, np.mean(losses), rtol=1e-12)
    for i in range(2):
        for j in range(2):
            mean = (alone[0][i][j] + alone[1][i][j]) / 2
            assert_close(gradients[i][j], mean, 1e-12)
    for j in range(2):
        expected = np.stack([task[-1][j] for task in alone])
        assert_close(2 * gradients[-1][j], expected, 1e-12)


@pytest.mark.parametrize(
    ("form", "rows", "n_steps", "kinds"),
    [  # of a first layer 30 x 60, a hidden one 60 x 60 and an output layer 60 x 1
        ("auto", 19, 1, [FirstLayer, FactoredLayer, ExplicitLayer]),  # 30 * 60 / 90 = 20
        ("auto", 20, 1, [ExplicitLayer, FactoredLayer, ExplicitLayer]),
        ("auto", 10, 2, [FirstLayer, FactoredLayer, ExplicitLayer]),  # 60 * 60 / 120 = 30
        ("auto", 15, 2, [FirstLayer, ExplicitLayer, ExplicitLayer]),  # its rows count once
        ("auto", 30, 1, [ExplicitLayer, ExplicitLayer, ExplicitLayer]),
        ("auto", 50, 0, [FirstLayer, SharedLayer, SharedLayer]),
        ("dual", 50, 3, [FirstLayer, FactoredLayer, FactoredLayer]),
        ("primal", 1, 1, [ExplicitLayer, ExplicitLayer, ExplicitLayer]),
    ],
)
def test_the_form_is_chosen_by_the_shape(form, rows, n_steps, kinds):
    network = MLP([30, 60, 60, 1], "relu", "squared_error")
    rng = np.random.RandomState(0)
    start = network.layers(network.init_vector(rng, float))
    support, query = (ragged_batch(rng, network, [n, n]) for n in (rows, 4))
    loop = InnerLoop(network, start, support, [[0.01] * 3] * n_steps, query, form=form)
    assert [type(layer) for layer in loop.layers] == kinds
    alone = InnerLoop(network, start, support, [[0.01] * 3] * n_steps, form=form)
    assert [type(layer) for layer in alone.layers] == kinds


@every_form
def test_layers_that_stay_are_shared_and_those_with_entries_rates_are_explicit(form):
    network = MLP([30, 60, 60, 1], "relu", "squared_error")
    rng = np.random.RandomState(0)
    start = network.layers(network.init_vector(rng, float))
    support = ragged_batch(rng, network, [2, 2])
    rates = [[None, start[1], None]]
    loop = InnerLoop(network, start, support, rates, form=form)
    assert [type(layer) for layer in loop.layers] == [FirstLayer, ExplicitLayer, SharedLayer]
    layers = loop.weights().layers
    assert layers[0][0] is start[0][0]
    assert layers[1][0].shape == (2, 60, 60)
    assert layers[2][1] is start[2][1]


@every_form
@every_case
def test_no_steps_leave_the_start_and_the_query_gradient(form, case):
    network = make_network(case)
    rng = np.random.RandomState(0)
    vector = rng.standard_normal(network.layout.size)
    support, query = (ragged_batch(rng, network, sizes) for sizes in ([6, 2, 4], [3, 5, 1]))
    loop = InnerLoop(network, network.layers(vector), support, [], query, form=form)
    loss, gradients = loop.meta_gradient()
    for layer, start in zip(loop.weights().layers, network.layers(vector), strict=True):
        np.testing.assert_array_equal(layer[0], start[0])
        np.testing.assert_array_equal(layer[1], start[1])
    at = network.run(network.layers(vector), query)
    np.testing.assert_allclose(loss, at.losses.mean(), rtol=1e-13)
    assert_close(3 * MLP.flat(gradients), network.gradient(at.inputs, at.deltas), 1e-13)


@every_form
def test_layers_that_all_stay_leave_the_query_gradient(form):
    network = make_network("softmax")
    rng = np.random.RandomState(0)
    start = network.layers(rng.standard_normal(network.layout.size))
    support, query = (ragged_batch(rng, network, sizes) for sizes in ([6, 2, 4], [3, 5, 1]))
    loop = InnerLoop(network, start, support, [[None] * 3] * 2, query, form=form)
    loss, gradients = loop.meta_gradient(learn_rates=True)
    plain_loss, expected = InnerLoop(network, start, support, [], query).meta_gradient()
    assert loss == plain_loss
    assert_close(MLP.flat(gradients), MLP.flat(expected), 1e-15)
    assert loop.rate_gradients == [[None] * 3] * 2


def test_a_layer_that_stays_has_no_rate_whatever_it_starts_from():
    network = make_network("softmax")
    rng = np.random.RandomState(0)
    start = network.layers(rng.standard_normal((2, network.layout.size)))
    support, query = (ragged_batch(rng, network, sizes) for sizes in ([6, 2], [3, 5]))
    loop = InnerLoop(network, start, support, [[0.1, 0.1, None]], query)
    loop.meta_gradient(learn_rates=True)
    assert loop.rate_gradients[0][2] is None


@every_form
@every_case
def test_inputs_are_left_as_they_were(form, case):
    network = make_network(case, activation="identity")
    rng = np.random.RandomState(0)
    vector = 0.3 * rng.standard_normal(network.layout.size)
    support, query = (ragged_batch(rng, network, sizes) for sizes in ([6, 2, 4], [3, 5, 1]))
    episode = Episode(network, vector, support, query, [[0.1, 0.2, 0.1]] * 2)
    for array in (vector, *support[:3], *query[:3]):
        array.flags.writeable = False
    assert_same(episode.results(form), episode.results(form), 0)


@every_form
@every_activation
@every_case
@pytest.mark.parametrize("entries", [False, True])
def test_single_precision_is_kept(form, activation, case, entries):
    network = make_network(case, activation=activation)
    rng = np.random.RandomState(0)
    vector = 0.3 * rng.standard_normal(network.layout.size)
    direction = rng.standard_normal((3, network.layout.size))
    support, query = (ragged_batch(rng, network, sizes) for sizes in ([6, 2, 4], [3, 5, 1]))
    rates = 0.1 + 0 * vector
    exact, product = run_in(np.float64, network, vector, support, query, rates, direction)
    single = [array.astype(np.float32) for array in (vector, rates, direction)]
    batches = [cast(batch, np.float32) for batch in (support, query)]
    rates = network.layers(single[1]) if entries else [0.1] * 3
    loop = InnerLoop(network, network.layers(single[0]), batches[0], [rates] * 2, batches[1])
    loss, gradients = loop.meta_gradient(learn_rates=True)
    rough = loop.hessian_product(network.layers(single[2]))
    learned = [r for step in loop.rate_gradients for r in step]
    learned = [part for r in learned for part in (r if isinstance(r, tuple) else (r,))]
    results = [loss, MLP.flat(gradients), MLP.flat(rough), adapted(loop), *learned]
    assert {result.dtype for result in results} == {np.dtype(np.float32)}
    assert_close(MLP.flat(gradients), exact, 1e-4)
    assert_close(MLP.flat(rough), product, 1e-4)


def run_in(dtype, network, vector, support, query, rates, direction):
    rates = [network.layers(rates.astype(dtype))] * 2
    start = network.layers(vector.astype(dtype))
    loop = InnerLoop(network, start, cast(support, dtype), rates, cast(query, dtype))
    _, gradients = loop.meta_gradient()
    return MLP.flat(gradients), MLP.flat(loop.hessian_product(network.layers(direction)))


@st.composite
def directions(draw, **options):
    """An episode, and two directions of each task."""
    episode = draw(episodes(**options))
    rng = np.random.RandomState(draw(st.integers(0, 1000)))
    return episode, *rng.standard_normal((2, len(episode.support.X), episode.vector.size))


def hessian_product(episode, direction, form="auto"):
    loop = episode.loop(form)
    return MLP.flat(loop.hessian_product(episode.network.layers(direction)))


@every_form
@few_examples
@given(directions(activations=("identity", "tanh", "logistic")))
def test_hessian_product_against_central_differences(form, drawn):
    """Of the support gradient, at the weights that the task arrives at."""
    episode, direction, _ = drawn
    products, eps = hessian_product(episode, direction, form), 1e-6
    for i, alone in enumerate(episode.alone()):
        end = adapted(alone.loop())[0]

        def gradient(vector, task=alone.support):
            at = episode.network.run(episode.network.layers(vector), task)
            return episode.network.gradient(at.inputs, at.deltas)

        ahead, behind = (gradient(end + step * direction[i]) for step in (eps, -eps))
        assert_close(products[i], (ahead - behind) / (2 * eps), 1e-6)


@every_form
@few_examples
@given(directions())
def test_hessian_is_symmetric_and_linear(form, drawn):
    episode, U, V = drawn
    HU, HV = (hessian_product(episode, direction, form) for direction in (U, V))
    np.testing.assert_allclose((U * HV).sum(axis=1), (V * HU).sum(axis=1), rtol=1e-9, atol=1e-9)
    both = hessian_product(episode, U - 3 * V, form)
    assert_close(both, HU - 3 * HV, 1e-10)


@every_form
@few_examples
@given(directions())
def test_hessian_product_of_a_ragged_batch_is_a_loop_over_its_tasks(form, drawn):
    episode, direction, _ = drawn
    products = hessian_product(episode, direction, form)
    assert_close(products, hessian_product(episode, direction, "primal"), 1e-10)
    for i, alone in enumerate(episode.alone()):
        assert_close(products[[i]], hessian_product(alone, direction[[i]], form), 1e-11)


@few_examples
@given(episodes())
def test_movement_and_loss_are_those_of_the_adapted_weights(episode):
    network, query = episode.network, episode.query
    for form in ("dual", "primal", "auto"):
        loop = episode.loop(form)
        moved = (adapted(loop) - episode.vector).sum(axis=0)
        assert_close(MLP.flat(loop.movement()), moved, 1e-11)
        expected = network.run(network.layers(adapted(loop)), query).losses.mean()
        np.testing.assert_allclose(loop.loss(), expected, rtol=1e-11, atol=1e-13)


@every_form
@few_examples
@given(directions())
def test_first_bias_product_is_the_hessian_products_descent(form, drawn):
    episode, direction, _ = drawn
    (W, bias), *others = episode.network.layers(direction)
    still = [(0 * weights, 0 * b) for weights, b in [(W, bias), *others]]
    loop = episode.loop(form)
    of_tasks = loop.hessian_product([(still[0][0], bias), *still[1:]])
    products = loop.first_bias_product(bias)
    assert_close(products[0][1], -of_tasks[0][1], 1e-10)
    sums = [[part.sum(axis=0) for part in layer] for layer in of_tasks]
    sums[0][1] = of_tasks[0][1]
    for layer, expected in zip(products, sums, strict=True):
        assert_close(layer[0], -expected[0], 1e-10)
        assert_close(layer[1], -expected[1], 1e-10)


@few_examples
@given(episodes(), st.booleans())
def test_first_biases_of_each_tasks_own(episode, first_order):
    """Of a first layer that stays: the weights' gradient is summed, the bias's is not."""
    n_tasks = len(episode.support.X)
    rates = [[None, *of_step[1:]] for of_step in episode.rates]
    (W, b), *others = episode.network.layers(episode.vector)
    own = b + np.random.RandomState(0).standard_normal((n_tasks, len(b)))
    parts = {"query": episode.query, **episode.options}
    start = [(W, own), *others]
    loss, gradients = InnerLoop(
        episode.network, start, episode.support, rates, **parts
    ).meta_gradient(first_order)
    alone = []
    for task, bias in zip(episode.alone(), own, strict=True):
        vector = MLP.flat([(W, bias), *others])
        alone.append(task.loop(vector=vector, rates=rates).meta_gradient(first_order))
    np.testing.assert_allclose(loss, np.mean([loss for loss, _ in alone]), rtol=1e-11)
    biases = np.stack([layers[0][1] for _, layers in alone])
    assert_close(n_tasks * gradients[0][1], biases, 1e-10)
    summed = MLP.flat([(gradients[0][0], gradients[0][1].sum(axis=0)), *gradients[1:]])
    assert_close(summed, np.mean([MLP.flat(layers) for _, layers in alone], axis=0), 1e-10)


@every_case
def test_hessian_of_a_task_without_rows_is_0(case):
    network = make_network(case)
    rng = np.random.RandomState(0)
    start = network.layers(rng.standard_normal(network.layout.size))
    direction = network.layers(rng.standard_normal((3, network.layout.size)))
    batch = ragged_batch(rng, network, [5, 1, 3])
    nothing = TaskBatch(batch.X[:, :0], batch.y[:, :0], batch.weight[:, :0])
    for empty in (nothing, batch._replace(weight=0 * batch.weight)):
        products = InnerLoop(network, start, empty, [[0.1] * 3]).hessian_product(direction)
        assert not MLP.flat(products).any()


@pytest.mark.parametrize("n_steps", [0, 2])
def test_absent_classes_have_no_curvature(n_steps):
    """Tasks with 2, 3 and 4 of 4 classes, against networks of 2, 3 and 4 outputs."""
    rng = np.random.RandomState(0)
    network = MLP([2, 4, 4], "tanh", "log_loss")
    vector = rng.standard_normal(network.layout.size)
    direction = rng.standard_normal((3, network.layout.size))
    batch = ragged_batch(rng, network, [5, 4, 6], n_classes=[2, 3, 4])
    rates = [[0.1] * 2] * n_steps
    products = InnerLoop(network, network.layers(vector), batch, rates).hessian_product(
        network.layers(direction)
    )
    for i, task in enumerate(tasks_of(batch)):
        k = i + 2
        smaller = MLP([2, 4, k], "tanh", "log_loss")
        part = TaskBatch(task.X, task.y[..., :k], task.weight)
        start, along = (first_outputs(network.layers(v), k) for v in (vector, direction[[i]]))
        expected = InnerLoop(smaller, start, part, rates).hessian_product(along)
        kept = first_outputs([(W[[i]], b[[i]]) for W, b in products], k)
        assert_close(MLP.flat(kept), MLP.flat(expected), 1e-12)
        assert not products[-1][0][i, :, k:].any()
        assert not products[-1][1][i, k:].any()


def first_outputs(layers, k):
    *body, (weights, bias) = layers
    return [*body, (weights[..., :k], bias[..., :k])]


def test_the_dual_form_needs_no_weights_of_each_task():
    """The memory of a meta-gradient, against that of one set of weights a task."""
    n_tasks, units = 32, [100, 400, 400, 1]
    network = MLP(units, "relu", "squared_error")
    rng = np.random.RandomState(0)
    start = network.layers(network.init_vector(rng, float))
    support, query = (ragged_batch(rng, network, [3] * n_tasks) for _ in range(2))
    peaks = []
    for form in ("dual", "primal"):
        tracemalloc.start()
        loop = InnerLoop(network, start, support, [[0.01] * 3] * 2, query, form=form)
        loop.meta_gradient(learn_rates=True)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    all_weights = n_tasks * network.layout.size * 8
    assert peaks[0] < 0.7 * all_weights
    assert peaks[1] > all_weights
