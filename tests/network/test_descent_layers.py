"""Each kind of layer against the plain one: a weight matrix of each task, formed at every step."""

import numpy as np
import pytest
from helpers import assert_close
from hypothesis import given, settings
from hypothesis import strategies as st

from sklearn_meta.network._descent_layers import (
    ExplicitLayer,
    FactoredLayer,
    FirstLayer,
    Rows,
    Stack,
    StillLayer,
)

few_examples = settings(deadline=None, derandomize=True, max_examples=60, database=None)
KINDS = [FirstLayer, FactoredLayer, ExplicitLayer]
SUPPORT, QUERY = 0, 1


class PlainLayer:
    """Formed weights with the bias as a last row, and a formed direction."""

    def __init__(self, start, n_tasks):
        W, b = start
        own = [np.broadcast_to(W, (n_tasks, *W.shape)), np.broadcast_to(b, (n_tasks, W.shape[1]))]
        self.versions = [np.concatenate([own[0], own[1][:, None]], axis=1)]  # (tasks, d + 1, h)
        self.direction = np.zeros_like(self.versions[0])

    def forward(self, A, step, tangent=False):
        return with_bias(A, tangent) @ self.versions[step]

    def backward(self, D, step):
        return D @ self.versions[step][:, :-1].swapaxes(1, 2)

    def move(self, rate, A, D):
        self.versions.append(self.versions[-1] - rate * with_bias(A).swapaxes(1, 2) @ D)

    def add(self, P, Q, tangent=False):
        self.direction += with_bias(P, tangent).swapaxes(1, 2) @ Q

    def step_vjp(self, rate, A, D):
        V = -rate * self.direction
        return with_bias(A) @ V, D @ V[:, :-1].swapaxes(1, 2)

    def rate_vjp(self, A, D):
        return -np.sum(self.direction * (with_bias(A).swapaxes(1, 2) @ D))


def with_bias(A, tangent=False):
    """A column of 1 (tangents: 0) behind the inputs."""
    return np.concatenate([A, np.full((*A.shape[:-1], 1), 0.0 if tangent else 1.0)], axis=-1)


class Walk:
    """A layer of some kind and the plain one, after random steps."""

    def __init__(self, kind, rng, shape, n_steps, n_queries=1, own_bias=False):
        self.kind, self.rng = kind, rng
        self.n_tasks, self.n, self.m, self.d, self.h = shape
        of_bias = (self.n_tasks, self.h) if own_bias else self.h
        start = self.start = rng.standard_normal((self.d, self.h)), rng.standard_normal(of_bias)
        self.rates = rng.uniform(-1, 1, n_steps).tolist()
        self.X = [self.draw(rows, self.d) for rows in (self.n, self.m)]
        support, query = (Rows(X, start, self.X[0]) for X in self.X)
        self.rows = [support, query]
        layer = {
            FirstLayer: lambda: FirstLayer(start, support),
            FactoredLayer: lambda: FactoredLayer(
                start, self.n, [Stack(self.n * n_steps) for _ in range(2)]
            ),
            ExplicitLayer: lambda: ExplicitLayer(*start),
        }[kind]()
        self.versions, self.plain = [layer], PlainLayer(start, self.n_tasks)
        self.steps = []
        for step, rate in enumerate(self.rates):
            A, D = self.inputs(SUPPORT), self.draw(self.n, self.h)
            grams = self.grams(A, D, step, SUPPORT)
            self.versions.append(self.versions[-1].step(A, D, rate))
            self.plain.move(rate, A, D)
            self.steps.append((A, D, grams))
        self.direction = self.versions[-1].direction(start, self.m * n_queries)

    def layer(self, step, rows):
        """As it is before a step, in front of the support or the query."""
        layer = self.versions[step]
        return layer.facing(self.rows[rows]) if self.kind is FirstLayer else layer

    def draw(self, rows, width):
        return self.rng.standard_normal((self.n_tasks, rows, width))

    def inputs(self, rows):
        """The first layer sees the same rows at every step, others what the steps make of them."""
        inputs = self.X[rows]
        return inputs if self.kind is FirstLayer else self.draw(*inputs.shape[1:])

    def grams(self, A, D, step, rows, tangent=False):
        """Those of inputs and deltas at a step; the products themselves are checked."""
        layer = self.layer(step, rows)
        z, gram_in = layer.jvp(A) if tangent else layer.forward(A)
        assert_close(z, self.plain.forward(A, step, tangent), 1e-12)
        gradient, gram_out = layer.vjp(D)
        assert_close(gradient, self.plain.backward(D, step), 1e-12)
        return gram_in, gram_out

    def query(self, step):
        P, Q = self.inputs(QUERY), self.draw(self.m, self.h)
        self.direction.add(self.layer(step, QUERY), P, Q, self.grams(P, Q, step, QUERY))
        self.plain.add(P, Q)

    def pull(self, step):
        """Check what goes back through a step, and let random tangents join the direction."""
        A, D, grams = self.steps[step]
        layer, rate = self.versions[step], self.rates[step]
        at_deltas, at_inputs = self.direction.step_vjp(layer, A, D, rate)
        expected = self.plain.step_vjp(rate, A, D)
        assert_close(at_deltas, expected[0], 1e-12)
        if self.kind is not FirstLayer:
            assert_close(at_inputs, expected[1], 1e-12)
        self.join(A, self.draw(self.n, self.h), step, grams, of_deltas=True)
        if self.kind is not FirstLayer:
            self.join(self.draw(self.n, self.d), D, step, grams, of_deltas=False)

    def join(self, P, Q, step, grams, *, of_deltas):
        own = self.grams(P, Q, step, SUPPORT, tangent=not of_deltas)
        grams = (grams[0], own[1]) if of_deltas else (own[0], grams[1])
        self.direction.add(self.layer(step, SUPPORT), P, Q, grams, biased=of_deltas)
        self.plain.add(P, Q, tangent=not of_deltas)


walks = st.tuples(
    st.integers(0, 2**31),
    st.tuples(*(st.integers(*ends) for ends in [(1, 3), (0, 4), (1, 4), (1, 5), (1, 5)])),
)


@pytest.mark.parametrize("kind", KINDS)
@few_examples
@given(walks, st.integers(1, 4))
def test_steps_move_the_layer_as_they_move_the_plain_one(kind, walk, n_steps):
    seed, shape = walk
    walk = Walk(kind, np.random.RandomState(seed), shape, n_steps)
    weights, bias = walk.versions[-1].formed()
    start, *_, end = walk.plain.versions
    assert_close(weights, end[:, :-1], 1e-12)
    assert_close(bias, end[:, -1], 1e-12)
    moved = (end - start).sum(axis=0)
    weights, bias = walk.versions[-1].movement(walk.start)
    assert_close(weights, moved[:-1], 1e-12)
    assert_close(bias, moved[-1], 1e-12)


@pytest.mark.parametrize("kind", KINDS)
@few_examples
@given(walks, st.integers(1, 4), st.booleans())
def test_the_direction_goes_back_as_the_plain_one_does(kind, walk, n_steps, every_step):
    """With a query after the last step or, as in a multi-step loss, after each."""
    seed, shape = walk
    n_queries = n_steps if every_step else 1
    walk = Walk(kind, np.random.RandomState(seed), shape, n_steps, n_queries)
    walk.query(n_steps)
    for step in reversed(range(n_steps)):
        A, D, _ = walk.steps[step]
        exact = walk.plain.rate_vjp(A, D)
        scale = np.abs(walk.plain.direction).max() * max(A.size * D.size, 1)
        rate_vjp = walk.direction.rate_vjp(walk.versions[step], A, D, walk.rates[step])
        np.testing.assert_allclose(rate_vjp, exact, rtol=1e-10, atol=1e-14 * scale)
        walk.pull(step)
        if every_step and step:
            walk.query(step)
    weights, bias = walk.direction.total()
    assert_close(weights, walk.plain.direction[:, :-1].sum(axis=0), 1e-12)
    assert_close(bias, walk.plain.direction[:, -1].sum(axis=0), 1e-12)


def test_an_explicit_layer_of_each_tasks_own():
    rng = np.random.RandomState(0)
    W, b = start = rng.standard_normal((2, 3, 4)), rng.standard_normal((2, 4))
    A, D, P, Q = (rng.standard_normal((2, 5, width)) for width in (3, 4, 3, 4))
    layer = ExplicitLayer(*start)
    np.testing.assert_allclose(layer.forward(A)[0], A @ W + b[:, None], rtol=1e-13)
    end = layer.step(A, D, 0.5)
    weights, bias = end.formed()
    for i in range(2):
        assert_close(weights[i], W[i] - 0.5 * A[i].T @ D[i], 1e-13)
        assert_close(bias[i], b[i] - 0.5 * D[i].sum(axis=0), 1e-13)
    direction = end.direction(start, 5)
    direction.add(end, P, Q)
    for i in range(2):
        assert_close(direction.total()[0][i], P[i].T @ Q[i], 1e-13)
        assert_close(direction.total()[1][i], Q[i].sum(axis=0), 1e-13)


def test_rates_of_each_entry():
    rng = np.random.RandomState(0)
    start, rate = ((rng.standard_normal((3, 4)), rng.standard_normal(4)) for _ in range(2))
    A, D, P, Q = (rng.standard_normal((2, 5, width)) for width in (3, 4, 3, 4))
    layer = ExplicitLayer(*start)
    end = layer.step(A, D, rate)
    slopes = A.swapaxes(1, 2) @ D, D.sum(axis=1)
    for moved, begin, speed, slope in zip(end.formed(), start, rate, slopes, strict=True):
        np.testing.assert_allclose(moved, begin - speed * slope, rtol=1e-13)
    direction = end.direction(start, 5)
    direction.add(end, P, Q)
    directions = P.swapaxes(1, 2) @ Q, Q.sum(axis=1)
    exact = direction.rate_vjp(layer, A, D, rate)
    for of_part, slope, way in zip(exact, slopes, directions, strict=True):
        assert_close(of_part, -(slope * way).sum(axis=0), 1e-13)
    at_deltas, at_inputs = direction.step_vjp(layer, A, D, rate)
    V, v = (speed * way for speed, way in zip(rate, directions, strict=True))
    assert_close(at_deltas, -(A @ V + v[:, None]), 1e-13)
    assert_close(at_inputs, -D @ V.swapaxes(1, 2), 1e-13)


@pytest.mark.parametrize("own_bias", [False, True])
def test_a_layer_that_stays(own_bias):
    rng = np.random.RandomState(0)
    W, b = rng.standard_normal((3, 4)), rng.standard_normal((2, 4) if own_bias else 4)
    X, Q = [rng.standard_normal((2, rows, 3)) for rows in (5, 2)], rng.standard_normal((2, 2, 4))
    layer, D = StillLayer(W, b), np.ones((2, 5, 4))
    for _ in range(2):
        z, gram = layer.forward(X[SUPPORT])
        assert_close(z, X[SUPPORT] @ W + (b[:, None] if own_bias else b), 1e-13)
        assert gram is None
        layer = layer.step(X[SUPPORT], D, None)
    assert layer.formed()[0] is W
    assert layer.formed()[1] is b
    direction = layer.direction((W, b), 2)
    direction.add(layer, X[QUERY], Q)
    assert direction.step_vjp(layer, X[SUPPORT], D, None) == (None, None)
    assert direction.rate_vjp(layer, X[SUPPORT], D, None) is None
    weights, bias = direction.total()
    assert_close(weights, np.einsum("tnd,tnh->dh", X[QUERY], Q), 1e-13)
    assert_close(bias, Q.sum(axis=1 if own_bias else (0, 1)), 1e-13)
    assert not layer.movement((W, b))[0].any()
    assert not layer.movement((W, b))[1].any()


@pytest.mark.parametrize("kind", KINDS)
def test_biases_of_each_tasks_own_on_shared_weights(kind):
    """The gradient is summed over tasks where they share the part, and of each where not."""
    rng = np.random.RandomState(0)
    walk = Walk(kind, rng, (2, 4, 3, 3, 4), 2, own_bias=True)
    walk.query(2)
    walk.pull(1)
    walk.pull(0)
    weights, bias = walk.direction.total()
    assert_close(weights, walk.plain.direction[:, :-1].sum(axis=0), 1e-12)
    assert_close(bias, walk.plain.direction[:, -1], 1e-12)


def test_a_stack_has_its_blocks_under_each_other():
    rng = np.random.RandomState(0)
    blocks = [rng.standard_normal((2, rows, 3)) for rows in (4, 0, 2)]
    stack = Stack(6)
    first, *_ = [stack.push(block) for block in blocks]
    np.testing.assert_array_equal(stack.rows, np.concatenate(blocks, axis=1))
    np.testing.assert_array_equal(first, blocks[0])
    single = Stack(4)
    single.push(blocks[0])
    assert single.rows.base is blocks[0]  # not copied


def test_a_stack_takes_narrower_blocks():
    stack = Stack(4, 5)
    wide, narrow = np.ones((2, 2, 5), np.float32), np.full((2, 2, 3), 2, np.float32)
    stack.push(wide)
    stack.push(narrow)
    np.testing.assert_array_equal(stack.rows[:, :2], wide)
    np.testing.assert_array_equal(stack.rows[:, 2:, :3], narrow)
    assert stack.rows.dtype == np.float32
