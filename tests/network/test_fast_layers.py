"""Each kind of layer against the plain one: a weight matrix of each task, formed at every step."""

import numpy as np
import pytest
from helpers import assert_close
from hypothesis import given, settings
from hypothesis import strategies as st

from sklearn_meta.network._fast_layers import (
    ExplicitLayer,
    FactoredLayer,
    FirstLayer,
    SharedLayer,
    Stack,
)

few_examples = settings(deadline=None, derandomize=True, max_examples=60, database=None)
KINDS = [FirstLayer, FactoredLayer, ExplicitLayer]


class PlainLayer:
    """Formed weights with the bias as a last row, and a formed direction."""

    def __init__(self, start, n_tasks):
        self.versions = [np.tile(np.vstack(start), (n_tasks, 1, 1))]  # (tasks, d + 1, h)
        self.direction = np.zeros_like(self.versions[0])

    def forward(self, A, step, tangent=False):
        return with_bias(A, tangent) @ self.versions[step]

    def backward(self, D, step):
        return D @ self.versions[step][:, :-1].swapaxes(1, 2)

    def move(self, rate, A, N):
        self.versions.append(self.versions[-1] + rate * with_bias(A).swapaxes(1, 2) @ N)

    def direct(self, P, Q, tangent=False):
        self.direction += with_bias(P, tangent).swapaxes(1, 2) @ Q

    def pull(self, rate, A, N):
        V = rate * self.direction
        return with_bias(A) @ V, N @ V[:, :-1].swapaxes(1, 2)

    def rate_gradient(self, A, N):
        return np.sum(self.direction * (with_bias(A).swapaxes(1, 2) @ N))


def with_bias(A, tangent=False):
    """A column of 1 (tangents: 0) behind the inputs."""
    return np.concatenate([A, np.full((*A.shape[:-1], 1), 0.0 if tangent else 1.0)], axis=-1)


class Walk:
    """A layer of some kind and the plain one, after random steps."""

    def __init__(self, kind, rng, shape, n_steps, n_queries=1):
        self.kind, self.rng = kind, rng
        self.n_tasks, self.n, self.m, self.d, self.h = shape
        start = rng.standard_normal((self.d, self.h)), rng.standard_normal(self.h)
        self.rates = rng.uniform(-1, 1, n_steps).tolist()
        self.X = self.draw(self.n + self.m, self.d)
        self.rows = slice(self.n), slice(self.n, None)
        further = {
            FirstLayer: (self.X, self.n),
            FactoredLayer: (self.n, self.m * n_queries),
            ExplicitLayer: (),
        }[kind]
        self.layer, self.plain = kind(start, self.rates, *further), PlainLayer(start, self.n_tasks)
        self.steps = []
        for step, rate in enumerate(self.rates):
            A, N = self.inputs(self.rows[0]), self.draw(self.n, self.h)
            grams = self.grams(A, N, step, self.rows[0])
            self.layer.move(step, A, N)
            self.plain.move(rate, A, N)
            self.steps.append((A, N, grams))

    def draw(self, rows, width):
        return self.rng.standard_normal((self.n_tasks, rows, width))

    def inputs(self, rows):
        """The first layer sees the same rows at every step, others what the steps make of them."""
        inputs = self.X[:, rows]
        return inputs if self.kind is FirstLayer else self.draw(*inputs.shape[1:])

    def grams(self, A, D, step, rows, tangent=False):
        """Those of inputs and deltas at a step; the products themselves are checked."""
        z, gram_in = self.layer.forward(A, step, rows, tangent=tangent)
        assert_close(z, self.plain.forward(A, step, tangent), 1e-12)
        if self.kind is FirstLayer:
            return gram_in, None  # nothing lies below
        gradient, gram_out = self.layer.backward(D, step)
        assert_close(gradient, self.plain.backward(D, step), 1e-12)
        return gram_in, gram_out

    def query(self, step):
        P, Q = self.inputs(self.rows[1]), self.draw(self.m, self.h)
        self.layer.direct(P, Q, self.grams(P, Q, step, self.rows[1]), self.rows[1])
        self.plain.direct(P, Q)

    def pull(self, step):
        """Check what goes back through a step, and let random tangents join the direction."""
        A, N, grams = self.steps[step]
        along, against = self.layer.pull(step, A, N)
        expected = self.plain.pull(self.rates[step], A, N)
        assert_close(along, expected[0], 1e-12)
        if self.kind is not FirstLayer:
            assert_close(against, expected[1], 1e-12)
        self.join(A, self.draw(self.n, self.h), step, grams, of_deltas=True)
        if self.kind is not FirstLayer:
            self.join(self.draw(self.n, self.d), N, step, grams, of_deltas=False)

    def join(self, P, Q, step, grams, *, of_deltas):
        own = self.grams(P, Q, step, self.rows[0], tangent=not of_deltas)
        grams = (grams[0], own[1]) if of_deltas else (own[0], grams[1])
        self.layer.direct(P, Q, grams, self.rows[0], tangent=not of_deltas)
        self.plain.direct(P, Q, tangent=not of_deltas)


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
    weights, bias = walk.layer.weights()
    start, *_, end = walk.plain.versions
    assert_close(weights, end[:, :-1], 1e-12)
    assert_close(bias, end[:, -1], 1e-12)
    moved = (end - start).sum(axis=0)
    weights, bias = walk.layer.movement()
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
        A, N, _ = walk.steps[step]
        exact = walk.plain.rate_gradient(A, N)
        scale = np.abs(walk.plain.direction).max() * max(A.size * N.size, 1)
        np.testing.assert_allclose(
            walk.layer.rate_gradient(step, A, N), exact, rtol=1e-10, atol=1e-14 * scale
        )
        walk.pull(step)
        if every_step and step:
            walk.query(step)
    weights, bias = walk.layer.total()
    assert_close(weights, walk.plain.direction[:, :-1].sum(axis=0), 1e-12)
    assert_close(bias, walk.plain.direction[:, -1].sum(axis=0), 1e-12)


def test_an_explicit_layer_of_each_tasks_own():
    rng = np.random.RandomState(0)
    W, b = rng.standard_normal((2, 3, 4)), rng.standard_normal((2, 4))
    A, N, P, Q = (rng.standard_normal((2, 5, width)) for width in (3, 4, 3, 4))
    layer = ExplicitLayer((W, b), [0.5])
    np.testing.assert_allclose(layer.forward(A, 0, None)[0], A @ W + b[:, None], rtol=1e-13)
    layer.move(0, A, N)
    weights, bias = layer.weights()
    for i in range(2):
        assert_close(weights[i], W[i] + 0.5 * A[i].T @ N[i], 1e-13)
        assert_close(bias[i], b[i] + 0.5 * N[i].sum(axis=0), 1e-13)
    layer.direct(P, Q, (None, None), None)
    for i in range(2):
        assert_close(layer.total()[0][i], P[i].T @ Q[i], 1e-13)
        assert_close(layer.total()[1][i], Q[i].sum(axis=0), 1e-13)


def test_rates_of_each_entry():
    rng = np.random.RandomState(0)
    start, rate = ((rng.standard_normal((3, 4)), rng.standard_normal(4)) for _ in range(2))
    A, N, P, Q = (rng.standard_normal((2, 5, width)) for width in (3, 4, 3, 4))
    layer = ExplicitLayer(start, [rate])
    layer.move(0, A, N)
    slopes = A.swapaxes(1, 2) @ N, N.sum(axis=1)
    for moved, begin, speed, slope in zip(layer.weights(), start, rate, slopes, strict=True):
        np.testing.assert_allclose(moved, begin + speed * slope, rtol=1e-13)
    layer.direct(P, Q, (None, None), None)
    directions = P.swapaxes(1, 2) @ Q, Q.sum(axis=1)
    for exact, slope, way in zip(layer.rate_gradient(0, A, N), slopes, directions, strict=True):
        assert_close(exact, (slope * way).sum(axis=0), 1e-13)
    along, against = layer.pull(0, A, N)
    V, v = (speed * way for speed, way in zip(rate, directions, strict=True))
    assert_close(along, A @ V + v[:, None], 1e-13)
    assert_close(against, N @ V.swapaxes(1, 2), 1e-13)


@pytest.mark.parametrize("own_bias", [False, True])
@pytest.mark.parametrize("kind", [SharedLayer, FirstLayer])
def test_a_layer_that_stays(kind, own_bias):
    rng = np.random.RandomState(0)
    W, b = rng.standard_normal((3, 4)), rng.standard_normal((2, 4) if own_bias else 4)
    X, Q = rng.standard_normal((2, 7, 3)), rng.standard_normal((2, 2, 4))
    support, query = slice(5), slice(5, None)
    layer = kind((W, b), [None, None], *((X, 5) if kind is FirstLayer else ()))
    for step in range(2):
        z, gram = layer.forward(X[:, support], step, support)
        assert_close(z, X[:, support] @ W + (b[:, None] if own_bias else b), 1e-13)
        assert gram is None
        layer.move(step, X[:, support], np.ones((2, 5, 4)))
    assert layer.weights()[0] is W
    assert layer.weights()[1] is b
    layer.direct(X[:, query], Q, (None, None), query)
    assert layer.pull(1, X[:, support], np.ones((2, 5, 4))) == (None, None)
    assert layer.rate_gradient(1, X[:, support], np.ones((2, 5, 4))) is None
    weights, bias = layer.total()
    assert_close(weights, np.einsum("tnd,tnh->dh", X[:, query], Q), 1e-13)
    of_tasks = own_bias and kind is FirstLayer
    assert_close(bias, Q.sum(axis=1 if of_tasks else (0, 1)), 1e-13)
    assert not layer.movement()[0].any()
    assert not layer.movement()[1].any()


def test_a_stack_has_its_blocks_under_each_other():
    rng = np.random.RandomState(0)
    blocks = [rng.standard_normal((2, rows, 3)) for rows in (4, 0, 2)]
    stack = Stack(6)
    for block in blocks:
        stack.push(block)
    np.testing.assert_array_equal(stack.all, np.concatenate(blocks, axis=1))
    np.testing.assert_array_equal(stack.first(4), blocks[0])
    single = Stack(4)
    single.push(blocks[0])
    assert single.all.base is blocks[0]  # not copied


def test_a_stack_takes_narrower_blocks():
    stack = Stack(4, 5)
    wide, narrow = np.ones((2, 2, 5), np.float32), np.full((2, 2, 3), 2, np.float32)
    stack.push(wide)
    stack.push(narrow)
    np.testing.assert_array_equal(stack.all[:, :2], wide)
    np.testing.assert_array_equal(stack.all[:, 2:, :3], narrow)
    assert stack.all.dtype == np.float32
