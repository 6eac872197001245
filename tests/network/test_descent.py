import tracemalloc

import numpy as np
import pytest
from helpers import (
    CASES,
    assert_close,
    cast,
    central_difference,
    make_network,
    ragged_batch,
    tasks_of,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from sklearn_meta.network import (
    MLP,
    descend,
    hessian_product,
    pull_back,
    query_loss,
    weight_gradients,
)
from sklearn_meta.network._descent_layers import (
    ExplicitLayer,
    FactoredLayer,
    FirstLayer,
    StillLayer,
)
from sklearn_meta.tasks import TaskBatch

few_examples = settings(deadline=None, derandomize=True, max_examples=80, database=None)
every_case = pytest.mark.parametrize("case", CASES)
every_activation = pytest.mark.parametrize("activation", ["identity", "relu", "tanh", "logistic"])
every_form = pytest.mark.parametrize("form", ["dual", "primal", "auto"])


class Episode:
    """A network, a start, rates, and ragged weighted tasks; what is left out is the default."""

    def __init__(self, network, vector, support, query, rates, query_weights=None, **options):
        self.network, self.vector = network, vector
        self.support, self.query, self.rates = support, query, rates
        self.query_weights, self.options = query_weights, options  # moves, scales

    def descend(self, form="primal", vector=None, **changes):
        vector = self.vector if vector is None else vector
        parts = {"support": self.support, "rates": self.rates} | self.options | changes
        return descend(self.network, self.network.layers(vector), form=form, **parts)

    def pull_back(self, trajectory, query=None, **options):
        query = query or self.query
        return pull_back(trajectory, query, query_weights=self.query_weights, **options)

    def meta_gradient(self, form="primal", vector=None, first_order=False, **changes):
        return self.pull_back(self.descend(form, vector, **changes), first_order=first_order)

    def results(self, form="primal", first_order=False, query=None, **changes):
        """Loss, gradient, rate gradients and adapted weights, each flat."""
        trajectory = self.descend(form, **changes)
        meta = self.pull_back(trajectory, query, first_order=first_order, learn_rates=True)
        return {
            "loss": np.array([meta.loss]),
            "gradient": MLP.flat(meta.start),
            "rates": flat_rates(meta.rates),
            "weights": adapted(trajectory),
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
            yield Episode(
                self.network, vector, support, query, self.rates, self.query_weights, **options
            )


def flat_rates(of_steps):
    """One vector of rate gradients, 0 where a layer stays."""
    values = [value for of_step in of_steps for value in of_step]
    parts = [part for v in values for part in (v if isinstance(v, tuple) else (v,))]
    return np.concatenate([[0.0] if part is None else np.ravel(part) for part in parts] or [[]])


def adapted(trajectory):
    """(tasks, size), of layers that tasks share, too."""
    return MLP.flat(own_layers(trajectory, len(trajectory.below[0][0])))


def own_layers(trajectory, n_tasks):
    """The adapted layers, one of each task even where all agree."""
    return [
        tuple(
            np.broadcast_to(part, (n_tasks, *part.shape[part.ndim == own :]))
            for part, own in zip(layer, (3, 2), strict=True)
        )
        for layer in trajectory.weights().layers
    ]


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
    moves = draw(st.lists(st.booleans(), min_size=network.n_layers, max_size=network.n_layers))
    if not any(moves):
        moves[draw(st.integers(0, network.n_layers - 1))] = True
    fastest = 0.02 if loss == "poisson" else 0.15  # its steps go far where counts are off
    rates = rng.uniform(-0.3 * fastest, fastest, (n_steps, network.n_layers)).tolist()
    options = {"moves": moves}
    if draw(st.booleans()):
        weights = rng.uniform(0.1, 1, max(1, n_steps)) * (rng.random_sample(max(1, n_steps)) < 0.7)
        options["query_weights"] = weights.tolist()
    if draw(st.booleans()):
        options["scales"] = [minibatch(rng, support) for _ in range(n_steps)]
    vector = 0.4 * rng.standard_normal(network.layout.size)
    return Episode(network, vector, support, query, rates, **options)


def minibatch(rng, support):
    """What rows count in a step that sees about half of them, (tasks, rows, 1)."""
    return rng.uniform(0, 0.3, support.weight.shape)[..., None] * (
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
                delta = alone.options["scales"][step] * (at.mean - alone.support.y)
                gradient = delta @ at.layers[-1][0].T
                deltas = [*network.hidden_deltas(at.layers, at.inputs, gradient), delta]
            slope = network.gradient(at.inputs, deltas)
            layers = zip(network.layers(slope), rates, alone.options["moves"], strict=True)
            scaled = [tuple(moves * rate * part for part in layer) for layer, rate, moves in layers]
            versions.append(versions[-1] - MLP.flat(scaled))
        ends.append(versions)
    return ends


@few_examples
@given(episodes())
def test_descent_and_loss_are_a_loop_of_gradient_steps(episode):
    ends = plain_descent(episode)
    n_steps = len(episode.rates)
    weights = episode.query_weights or [0.0] * (n_steps - 1) + [1.0]
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
            [rate + turn * by for rate, by in zip(*pair, strict=True)]
            for pair in zip(episode.rates, turns.tolist(), strict=True)
        ]
        return episode.meta_gradient(form, episode.vector + step * along, rates=rates).loss

    results = episode.results(form)
    by_start = slope(lambda step: loss(step, 0), eps)
    by_rates = slope(lambda turn: loss(0, turn), eps)
    size = max(np.abs(results["gradient"]).max(), 1)
    np.testing.assert_allclose(results["gradient"] @ along, by_start, rtol=1e-6, atol=1e-7 * size)
    size = max(np.abs(results["rates"]).max(initial=0), 1)
    exact = results["rates"] @ turns.ravel()
    np.testing.assert_allclose(exact, by_rates, rtol=1e-6, atol=1e-7 * size)


def slope(function, eps):
    """The derivative at 0, by differences whose error is of fourth order: exp bends much."""
    near, far = (function(eps * k) - function(-eps * k) for k in (1, 2))
    return (8 * near - far) / (12 * eps)


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
        [(r * W, r * b) for r, (W, b) in zip(of_step, layers, strict=True)]
        for of_step in episode.rates
    ]
    expected = episode.results("auto", first_order)
    trajectory = episode.descend("auto", rates=rates)
    meta = episode.pull_back(trajectory, first_order=first_order, learn_rates=True)
    sums = [
        [None if pair is None else pair[0].sum() + pair[1].sum() for pair in of_step]
        for of_step in meta.rates
    ]
    results = {"loss": meta.loss, "gradient": MLP.flat(meta.start), "weights": adapted(trajectory)}
    assert_same(results | {"rates": flat_rates(sums)}, expected)


@every_case
def test_rates_of_each_entry_against_central_differences(case):
    network = make_network(case)
    rng = np.random.RandomState(0)
    start, spread, along = rng.uniform(-0.1, 0.3, (3, network.layout.size))
    support, query = (ragged_batch(rng, network, sizes) for sizes in ([5, 0, 3], [2, 6, 3]))

    def meta_gradient(rates, **options):
        layers = network.layers(start)
        trajectory = descend(network, layers, support, [network.layers(rates)] * 2)
        return pull_back(trajectory, query, **options)

    rates = meta_gradient(spread, learn_rates=True).rates
    exact = sum(MLP.flat(of_step) @ along for of_step in rates)
    ahead, behind = (meta_gradient(spread + eps * along).loss for eps in (1e-5, -1e-5))
    np.testing.assert_allclose(exact, (ahead - behind) / 2e-5, rtol=1e-6)


@few_examples
@given(episodes(), st.booleans())
def test_starts_of_each_tasks_own_are_a_loop_over_tasks(episode, first_order):
    """The gradients are those of each task, of the mean over tasks."""
    n_tasks = len(episode.support.X)
    own = np.random.RandomState(0).standard_normal((n_tasks, episode.vector.size))
    starts = episode.vector + 0.1 * own
    trajectory = episode.descend("auto", starts)
    meta = episode.pull_back(trajectory, first_order=first_order, learn_rates=True)
    alone = [
        task.results("primal", first_order, vector=start)
        for task, start in zip(episode.alone(), starts, strict=True)
    ]
    assert_close(meta.loss, np.mean([task["loss"] for task in alone]), 1e-11)
    assert_close(
        MLP.flat(meta.start) * n_tasks, np.array([task["gradient"] for task in alone]), 1e-10
    )
    assert_close(flat_rates(meta.rates), np.mean([task["rates"] for task in alone], axis=0), 1e-10)
    weights = np.concatenate([task["weights"] for task in alone])
    assert_close(adapted(trajectory), weights, 1e-11)


def test_a_head_of_each_tasks_own_on_a_shared_body():
    """As under a head of class means: the body's gradient is summed, the head's is not."""
    network = make_network("softmax")
    rng = np.random.RandomState(0)
    support, query = (ragged_batch(rng, network, sizes) for sizes in ([6, 2], [3, 5]))
    *body, (W, b) = network.layers(0.5 * rng.standard_normal(network.layout.size))
    heads = W + rng.standard_normal((2, *W.shape)), b + rng.standard_normal((2, *b.shape))
    rates = [[0.2, 0.1, 0.3]] * 2
    loss, gradients, _ = pull_back(descend(network, [*body, heads], support, rates), query)
    losses, alone = [], []
    for i, (task, rows) in enumerate(zip(tasks_of(support), tasks_of(query), strict=True)):
        start = [*body, (heads[0][i], heads[1][i])]
        meta = pull_back(descend(network, start, task, rates), rows)
        losses.append(meta.loss)
        alone.append(meta.start)
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
        ("auto", 29, 1, [FirstLayer, FactoredLayer, ExplicitLayer]),
        ("auto", 10, 2, [FirstLayer, FactoredLayer, ExplicitLayer]),  # 60 * 60 / 120 = 30
        ("auto", 15, 2, [FirstLayer, ExplicitLayer, ExplicitLayer]),  # its rows count once
        ("auto", 30, 1, [FirstLayer, ExplicitLayer, ExplicitLayer]),
        ("auto", 31, 1, [ExplicitLayer, ExplicitLayer, ExplicitLayer]),
        ("auto", 50, 0, [StillLayer, StillLayer, StillLayer]),
        ("dual", 50, 3, [FirstLayer, FactoredLayer, FactoredLayer]),
        ("primal", 1, 1, [ExplicitLayer, ExplicitLayer, ExplicitLayer]),
    ],
)
def test_the_form_is_chosen_by_the_shape(form, rows, n_steps, kinds):
    network = MLP([30, 60, 60, 1], "relu", "squared_error")
    rng = np.random.RandomState(0)
    start = network.layers(network.init_vector(rng, float))
    support = ragged_batch(rng, network, [rows, rows])
    trajectory = descend(network, start, support, [[0.01] * 3] * n_steps, form=form)
    assert [type(layer) for layer in trajectory.layers] == kinds
    for at in trajectory.passes:
        assert [type(layer) for layer in at.layers] == kinds


@every_form
def test_layers_that_stay_are_shared_and_those_with_entries_rates_are_explicit(form):
    network = MLP([30, 60, 60, 1], "relu", "squared_error")
    rng = np.random.RandomState(0)
    start = network.layers(network.init_vector(rng, float))
    support = ragged_batch(rng, network, [2, 2])
    rates, moves = [[0.1, start[1], 0.1]], [False, True, False]
    trajectory = descend(network, start, support, rates, moves=moves, form=form)
    assert [type(layer) for layer in trajectory.layers] == [ExplicitLayer, StillLayer]
    layers = trajectory.weights().layers
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
    trajectory = descend(network, network.layers(vector), support, [], form=form)
    loss, gradients, _ = pull_back(trajectory, query)
    for layer, start in zip(trajectory.weights().layers, network.layers(vector), strict=True):
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
    rates, moves = [[0.1, None, 0.2]] * 2, [False] * 3
    trajectory = descend(network, start, support, rates, moves=moves, form=form)
    meta = pull_back(trajectory, query, learn_rates=True)
    plain_loss, expected, _ = pull_back(descend(network, start, support, []), query)
    assert meta.loss == plain_loss
    assert_close(MLP.flat(meta.start), MLP.flat(expected), 1e-15)
    assert meta.rates == [[None] * 3] * 2


def test_a_layer_that_stays_has_no_rate_whatever_it_starts_from():
    network = make_network("softmax")
    rng = np.random.RandomState(0)
    start = network.layers(rng.standard_normal((2, network.layout.size)))
    support, query = (ragged_batch(rng, network, sizes) for sizes in ([6, 2], [3, 5]))
    trajectory = descend(network, start, support, [[0.1] * 3], moves=[True, True, False])
    assert pull_back(trajectory, query, learn_rates=True).rates[0][2] is None


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
    trajectory = descend(network, network.layers(single[0]), batches[0], [rates] * 2)
    loss, gradients, learned = pull_back(trajectory, batches[1], learn_rates=True)
    rough = product_at(trajectory, batches[0], network.layers(single[2]))
    learned = [r for step in learned for r in step]
    learned = [part for r in learned for part in (r if isinstance(r, tuple) else (r,))]
    judged = query_loss(trajectory, batches[1])
    results = [loss, judged, MLP.flat(gradients), MLP.flat(rough), adapted(trajectory), *learned]
    assert {result.dtype for result in results} == {np.dtype(np.float32)}
    assert_close(MLP.flat(gradients), exact, 1e-4)
    assert_close(MLP.flat(rough), product, 1e-4)


def run_in(dtype, network, vector, support, query, rates, direction):
    rates = [network.layers(rates.astype(dtype))] * 2
    start = network.layers(vector.astype(dtype))
    trajectory = descend(network, start, cast(support, dtype), rates)
    gradients = pull_back(trajectory, cast(query, dtype)).start
    product = product_at(trajectory, cast(support, dtype), network.layers(direction))
    return MLP.flat(gradients), MLP.flat(product)


@st.composite
def directions(draw, **options):
    """An episode, and two directions of each task."""
    episode = draw(episodes(**options))
    rng = np.random.RandomState(draw(st.integers(0, 1000)))
    return episode, *rng.standard_normal((2, len(episode.support.X), episode.vector.size))


def product_at(trajectory, support, direction, scale=None):
    """Of the Hessians of the support losses at where each task has arrived."""
    layers = own_layers(trajectory, len(support.X))
    return hessian_product(trajectory.network.run(layers, support, scale), direction)


def flat_product(episode, direction, form="auto", scale=None):
    directions = episode.network.layers(direction)
    return MLP.flat(product_at(episode.descend(form), episode.support, directions, scale))


@every_form
@few_examples
@given(directions(activations=("identity", "tanh", "logistic")))
def test_hessian_product_against_central_differences(form, drawn):
    """Of the support gradient, at the weights that the task arrives at."""
    episode, direction, _ = drawn
    products, eps = flat_product(episode, direction, form), 1e-6
    for i, alone in enumerate(episode.alone()):
        end = adapted(alone.descend())[0]

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
    HU, HV = (flat_product(episode, direction, form) for direction in (U, V))
    np.testing.assert_allclose((U * HV).sum(axis=1), (V * HU).sum(axis=1), rtol=1e-9, atol=1e-9)
    both = flat_product(episode, U - 3 * V, form)
    assert_close(both, HU - 3 * HV, 1e-10)


@every_form
@few_examples
@given(directions())
def test_hessian_product_of_a_ragged_batch_is_a_loop_over_its_tasks(form, drawn):
    episode, direction, _ = drawn
    products = flat_product(episode, direction, form)
    assert_close(products, flat_product(episode, direction, "primal"), 1e-10)
    for i, alone in enumerate(episode.alone()):
        assert_close(products[[i]], flat_product(alone, direction[[i]], form), 1e-11)


@few_examples
@given(episodes())
def test_movement_and_loss_are_those_of_the_adapted_weights(episode):
    network, query = episode.network, episode.query
    for form in ("dual", "primal", "auto"):
        trajectory = episode.descend(form)
        moved = (adapted(trajectory) - episode.vector).sum(axis=0)
        assert_close(MLP.flat(trajectory.movement()), moved, 1e-11)
        expected = network.run(network.layers(adapted(trajectory)), query).losses.mean()
        loss = query_loss(trajectory, query)
        np.testing.assert_allclose(loss, expected, rtol=1e-11, atol=1e-13)


@every_form
@few_examples
@given(directions())
def test_parts_of_a_direction_that_are_left_out_are_0(form, drawn):
    """The first bias moved alone, as of a context, in layers that tasks share but for it."""
    episode, direction, _ = drawn
    (W, bias), *others = episode.network.layers(direction)
    still = [(0 * weights, 0 * b) for weights, b in [(W, bias), *others]]
    trajectory, nothing = episode.descend(form), [None] * len(others)
    of_tasks = product_at(trajectory, episode.support, [(still[0][0], bias), *still[1:]])
    alone = product_at(trajectory, episode.support, [(None, bias), *nothing])
    assert_close(MLP.flat(alone), MLP.flat(of_tasks), 1e-10)
    alone = product_at(trajectory, episode.support, [(W, None), *nothing])
    of_tasks = product_at(trajectory, episode.support, [(W, still[0][1]), *still[1:]])
    assert_close(MLP.flat(alone), MLP.flat(of_tasks), 1e-10)


@few_examples
@given(directions())
def test_hessian_products_are_summed_over_tasks_that_share_the_layer(drawn):
    """The first bias is of each task, and so is its product."""
    episode, direction, _ = drawn
    network, support = episode.network, episode.support
    (W, b), *others = network.layers(episode.vector)
    bias = b + network.layers(direction)[0][1]
    own = [
        (np.tile(W, (len(bias), 1, 1)), bias),
        *network.layers(np.tile(episode.vector, (len(bias), 1)))[1:],
    ]
    for U in (network.layers(direction), [(None, bias), *[None] * len(others)]):
        of_tasks = hessian_product(network.run(own, support), U)
        products = hessian_product(network.run([(W, bias), *others], support), U)
        assert_close(products[0][1], of_tasks[0][1], 1e-10)
        sums = [[part.sum(axis=0) for part in layer] for layer in of_tasks]
        sums[0][1] = of_tasks[0][1]
        for layer, expected in zip(products, sums, strict=True):
            assert_close(layer[0], expected[0], 1e-10)
            assert_close(layer[1], expected[1], 1e-10)


@few_examples
@given(episodes(), st.booleans())
def test_first_biases_of_each_tasks_own(episode, first_order):
    """Of a first layer that stays: the weights' gradient is summed, the bias's is not."""
    n_tasks = len(episode.support.X)
    moves = [False, *episode.options["moves"][1:]]
    (W, b), *others = episode.network.layers(episode.vector)
    own = b + np.random.RandomState(0).standard_normal((n_tasks, len(b)))
    options = {**episode.options, "moves": moves}
    start = [(W, own), *others]
    trajectory = descend(episode.network, start, episode.support, episode.rates, **options)
    loss, gradients, _ = episode.pull_back(trajectory, first_order=first_order)
    alone = []
    for task, bias in zip(episode.alone(), own, strict=True):
        vector = MLP.flat([(W, bias), *others])
        alone.append(task.meta_gradient("primal", vector, first_order, moves=moves)[:2])
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
        products = product_at(descend(network, start, empty, [[0.1] * 3]), empty, direction)
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
    trajectory = descend(network, network.layers(vector), batch, rates)
    products = product_at(trajectory, batch, network.layers(direction))
    for i, task in enumerate(tasks_of(batch)):
        k = i + 2
        smaller = MLP([2, 4, k], "tanh", "log_loss")
        part = TaskBatch(task.X, task.y[..., :k], task.weight)
        start, along = (first_outputs(network.layers(v), k) for v in (vector, direction[[i]]))
        expected = product_at(descend(smaller, start, part, rates), part, along)
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
        trajectory = descend(network, start, support, [[0.01] * 3] * 2, form=form)
        pull_back(trajectory, query, learn_rates=True)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    all_weights = n_tasks * network.layout.size * 8
    assert peaks[0] < 0.7 * all_weights
    assert peaks[1] > all_weights


@every_form
@few_examples
@given(episodes(), st.booleans())
def test_pulling_back_leaves_the_trajectory_as_it_was(form, episode, first_order):
    """The same bits again, with another query in between, which is as if it came alone."""
    trajectory = episode.descend(form)
    arrays = list(arrays_in(trajectory))
    before = [array.copy() for array in arrays]
    options = {"first_order": first_order, "learn_rates": True}
    meta = episode.pull_back(trajectory, **options)
    of_other = episode.pull_back(trajectory, episode.support, **options)
    again = episode.pull_back(trajectory, **options)
    alone = episode.pull_back(episode.descend(form), episode.support, **options)
    for one, other in ((meta, again), (of_other, alone)):
        assert one.loss == other.loss
        np.testing.assert_array_equal(MLP.flat(one.start), MLP.flat(other.start))
        np.testing.assert_array_equal(flat_rates(one.rates), flat_rates(other.rates))
    for array, copy in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(array, copy)


def arrays_in(thing):
    """All arrays of nested lists and tuples and of the layers in them."""
    if isinstance(thing, np.ndarray):
        yield thing
    elif isinstance(thing, list | tuple):
        for part in thing:
            yield from arrays_in(part)
    elif isinstance(thing, FirstLayer | FactoredLayer):
        yield from arrays_in([thing.start, thing.A, thing.M])
        yield from arrays_in([thing.rows.z, thing.rows.gram] if hasattr(thing, "rows") else [])


@every_form
@every_case
def test_a_rate_may_be_0_in_the_first_step_and_not_later(form, case):
    network = make_network(case)
    rng = np.random.RandomState(0)
    vector = 0.3 * rng.standard_normal(network.layout.size)
    support, query = (ragged_batch(rng, network, sizes) for sizes in ([6, 2, 4], [3, 5, 1]))
    episode = Episode(network, vector, support, query, [[0.1, 0.2, 0.15]])
    expected = episode.results(form)
    del expected["rates"]
    later = np.array([[0.0] * 3, *episode.rates])
    results = episode.results(form, rates=later)
    assert_same(results, expected, 1e-13)

    def loss(rates):
        return episode.meta_gradient(form, rates=rates.reshape(2, 3)).loss

    numeric = central_difference(loss, later.ravel())
    np.testing.assert_allclose(results["rates"], numeric, rtol=1e-6, atol=1e-8)


@every_form
def test_rates_that_are_numpys_scalars_keep_single_precision(form):
    network = make_network("softmax")
    rng = np.random.RandomState(0)
    vector = (0.3 * rng.standard_normal(network.layout.size)).astype(np.float32)
    batches = [ragged_batch(rng, network, sizes) for sizes in ([6, 2, 4], [3, 5, 1])]
    rates = [[0.1, (0.2, 0.3), 0.1]] * 2
    episode = Episode(network, vector, *(cast(batch, np.float32) for batch in batches), rates)
    expected = episode.results(form)
    for scalar in (np.float64, np.array):
        exact = [[scalar(0.1), (scalar(0.2), scalar(0.3)), scalar(0.1)]] * 2
        results = episode.results(form, rates=exact)
        assert {results[name].dtype for name in expected} == {np.dtype(np.float32)}
        assert_same(results, expected, 0)
    weights = [np.float64(0.5), np.float64(1)]
    loss, gradients, _ = pull_back(episode.descend(form), episode.query, query_weights=weights)
    assert loss.dtype == MLP.flat(gradients).dtype == np.float32


@few_examples
@given(episodes(), st.booleans(), st.integers(0, 1000))
def test_a_pair_of_rates_is_as_arrays_of_the_two(episode, first_order, seed):
    """And its gradients are the sums of theirs; a rate for the layer is a pair of it twice."""
    rng, layers = np.random.RandomState(seed), episode.network.layers(episode.vector)
    of_biases = rng.uniform(-0.02, 0.02, (len(episode.rates), len(layers))).tolist()
    pairs = [
        list(zip(*of_step, strict=True)) for of_step in zip(episode.rates, of_biases, strict=True)
    ]
    arrays = [
        [(np.full_like(W, r), np.full_like(b, s)) for (r, s), (W, b) in zip(p, layers, strict=True)]
        for p in pairs
    ]
    expected = episode.results("auto", first_order, rates=arrays)
    trajectory = episode.descend("auto", rates=arrays)
    meta = episode.pull_back(trajectory, first_order=first_order, learn_rates=True)
    sums = [[pair and tuple(p.sum() for p in pair) for pair in of_step] for of_step in meta.rates]
    expected["rates"] = flat_rates(sums)
    assert_same(episode.results("auto", first_order, rates=pairs), expected)
    twice = [[(rate, rate) for rate in of_step] for of_step in episode.rates]
    results, expected = (
        episode.results("auto", first_order, rates=r) for r in (twice, episode.rates)
    )
    assert_same({**results, "rates": expected["rates"]}, expected)


@every_case
@pytest.mark.parametrize("entries", [False, True])
def test_biases_may_move_alone(case, entries):
    """The weights stay to the bit, and the gradient of it all is exact."""
    network = make_network(case)
    rng = np.random.RandomState(0)
    vector = 0.3 * rng.standard_normal(network.layout.size)
    support, query = (ragged_batch(rng, network, sizes) for sizes in ([6, 2, 4], [3, 5, 1]))
    start = network.layers(vector)
    rates = [(np.zeros_like(W), np.full_like(b, 0.2)) if entries else (0.0, 0.2) for W, b in start]
    episode = Episode(network, vector, support, query, [rates] * 3)
    trajectory = episode.descend("auto")
    for (W, b), (begin, b_start) in zip(trajectory.weights().layers, start, strict=True):
        np.testing.assert_array_equal(W, np.broadcast_to(begin, W.shape))
        assert np.abs(b - b_start).min() > 0
    numeric = central_difference(lambda v: episode.meta_gradient("auto", v).loss, vector)
    exact = MLP.flat(episode.pull_back(trajectory).start)
    np.testing.assert_allclose(exact, numeric, rtol=1e-6, atol=1e-8)


@every_form
@few_examples
@given(episodes())
def test_an_adapted_weight_is_the_sum_of_all_steps_gradients(form, episode):
    """By `weight_gradients`, of passes whose scale says what rows count."""
    trajectory = episode.descend(form)
    network, support, end = episode.network, episode.support, adapted(trajectory)
    walked = np.tile(episode.vector, (len(support.X), 1))
    for at, rates in zip(trajectory.passes, episode.rates, strict=True):
        own = network.run(network.layers(walked), support, at.scale)
        parts = zip(weight_gradients(own), rates, episode.options["moves"], strict=True)
        walked = walked - MLP.flat([tuple(m * r * g for g in layer) for layer, r, m in parts])
    assert_close(end, walked, 1e-11)


@few_examples
@given(directions(activations=("identity", "tanh", "logistic")), st.integers(0, 1000))
def test_hessian_product_with_scales_against_central_differences(drawn, seed):
    """Of a loss in which each row counts what the scale says."""
    episode, direction, _ = drawn
    network, support = episode.network, episode.support
    scale = minibatch(np.random.RandomState(seed), support)
    weights, eps = np.tile(episode.vector, (len(support.X), 1)), 1e-6

    def gradient(weights):
        return MLP.flat(weight_gradients(network.run(network.layers(weights), support, scale)))

    at = network.run(network.layers(weights), support, scale)
    product = MLP.flat(hessian_product(at, network.layers(direction)))
    ahead, behind = (gradient(weights + step * direction) for step in (eps, -eps))
    assert_close(product, (ahead - behind) / (2 * eps), 1e-6)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"form": "both"}, "form='both'"),
        ({"rates": [[0.1] * 3, [0.1] * 2]}, r"rates .*\[3, 2\].* 3"),
        ({"moves": [True]}, "moves.* 1 .*3"),
    ],
)
def test_what_does_not_fit_the_network_is_named(changes, message):
    network = make_network("softmax")
    rng = np.random.RandomState(0)
    start = network.layers(rng.standard_normal(network.layout.size))
    parts = {"rates": [[0.1] * 3] * 2} | changes
    with pytest.raises(ValueError, match=message):
        descend(network, start, ragged_batch(rng, network, [3, 2]), **parts)


def test_query_weights_are_as_many_as_the_steps():
    network = make_network("softmax")
    rng = np.random.RandomState(0)
    start = network.layers(rng.standard_normal(network.layout.size))
    batch = ragged_batch(rng, network, [3, 2])
    trajectory = descend(network, start, batch, [[0.1] * 3] * 2)
    with pytest.raises(ValueError, match=r"3 query_weights.* 2"):
        pull_back(trajectory, batch, query_weights=[0.1, 0.2, 1.0])


def test_a_direction_that_is_none_in_every_layer_is_0():
    network = make_network("softmax")
    rng = np.random.RandomState(0)
    layers = network.layers(rng.standard_normal(network.layout.size))
    at = network.run(layers, ragged_batch(rng, network, [3, 2]))
    for direction in ([None] * 3, [(None, None)] * 3):
        for part, layer in zip(hessian_product(at, direction), layers, strict=True):
            for found, like in zip(part, layer, strict=True):
                np.testing.assert_array_equal(found, np.zeros_like(like))


@pytest.mark.parametrize("rate", [None, [0.1, 0.2], np.ones(4), "fast", (0.1, 0.2, 0.3)], ids=str)
def test_a_rate_that_is_none_is_named(rate):
    network = make_network("squared_error")
    rng = np.random.RandomState(0)
    start = network.layers(rng.standard_normal(network.layout.size))
    support = ragged_batch(rng, network, [3, 2])
    with pytest.raises(ValueError, match=r"found the rate .*; expected a float, or a pair"):
        descend(network, start, support, [[0.1, rate, 0.1]])
