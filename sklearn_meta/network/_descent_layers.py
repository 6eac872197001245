"""Layers as gradient steps move them, each task its own way, and the direction that goes back.

A layer is what it is at one step, and a step gives the next: ``W - a A' D``, with its inputs A and
its deltas D. So after some steps it is ``W - sum_j a_j A_j' D_j``, which the factored kinds never
form: a product with it is one with the shared W, for all tasks together, and a small correction
``(B A_j') a_j D_j``; the bias adds 1 to the Gram matrix. The direction is a sum of such factors,
too, and needs no Gram matrices but those of the way forward, transposed. See Irie et al., "The Dual
Form of Neural Networks Revisited", ICML 2022.
"""

from abc import ABC, abstractmethod

import numpy as np

from ._affine import Affine, added, affine, gathered, outer, product, row_sum


class Layer(ABC):
    """A layer of every task at one step, ``z = A W + b``, W and b being the task's own by then.

    A layer is never changed. Inputs A and their tangents T are (tasks, rows, d), outputs z and the
    loss gradients D there, the deltas, (tasks, rows, h). Each of `forward`, `jvp` and `vjp` also
    gives the Gram matrix with the earlier steps' rows that it took, (tasks, rows, step * n), or
    None.
    """

    @abstractmethod
    def forward(self, A):
        """Outputs ``A W + b``."""

    @abstractmethod
    def jvp(self, T):
        """Their tangent ``T W``."""

    @abstractmethod
    def vjp(self, D):
        """Loss gradient at the inputs, ``D W'``."""

    @abstractmethod
    def step(self, A, D, rate):
        """The layer after a step on the support rows: ``W - rate A' D``, ``b - rate 1' D``."""

    @abstractmethod
    def direction(self, start, n_queried):
        """A `Direction` that is 0, to go back from here to the start.

        `n_queried` is the number of query rows that will join it before the last step back.
        """

    @abstractmethod
    def formed(self):
        """(weights, bias), of all tasks or of each."""

    @abstractmethod
    def movement(self, start):
        """What the steps have added, summed over tasks, (d, h) and (h,)."""


class Direction:
    """V and v, gradients at the weights and bias that a layer has after a step, on the way back.

    Here of a layer that no step moves. Shapes are those of `Layer`; `layer` is that before the
    step, or, in `add`, the one that made the pass.

    Parameters
    ----------
    start : (weights, bias)
    """

    def __init__(self, start):
        self.start, self.blocks = start, []  # (P, Q, biased)

    def add(self, layer, P, Q, grams=(None, None), biased=True):
        """``V + P' Q`` and, if biased, ``v + 1' Q``: the vjp of `forward` at the weights.

        `grams` are those of P forward and of Q backward.
        """
        self.blocks.append((P, Q, biased))

    def step_vjp(self, layer, A, D, rate):
        """The vjp of a step: at its D, ``-rate (A V + v)``, and at its A, ``-rate D V'``.

        None where 0. As Hessians are symmetric, going on backwards from there is to go forward
        with them: they are also ``A U`` and ``D U'`` of the R-operator along ``U = -rate V``.
        """
        return None, None

    def rate_vjp(self, layer, A, D, rate):
        """The vjp of a step at its rate: ``-<V, A' D>``, or of each entry where rates are."""

    def total(self):
        """V and v at the start: summed over tasks, where they share it."""
        return gathered(self.start, self.blocks)


class StillLayer(Affine, Layer):
    """A layer that no step moves."""

    def step(self, A, D, rate):
        return self

    def direction(self, start, n_queried):
        return Direction(start)

    def formed(self):
        return self.weights, self.bias

    def movement(self, start):
        return tuple(np.zeros(p.shape[-n:], p.dtype) for p, n in zip(self, (2, 1), strict=True))


class ExplicitLayer(StillLayer):
    """A layer whose weights are formed for each task; it may start apart, too.

    Its rates may be pairs, for the weights and for the bias, each of all entries or of each.
    """

    def step(self, A, D, rate):
        if isinstance(rate, tuple):
            weights, bias = -rate[0] * outer(A, D, 3), -rate[1] * row_sum(D, 2)
        else:
            D = -rate * D  # fewer numbers to scale
            weights, bias = outer(A, D, 3), row_sum(D, 2)
        weights += self.weights
        bias += self.bias
        return ExplicitLayer(weights, bias)

    def direction(self, start, n_queried):
        return ExplicitDirection(start)

    def movement(self, start):
        return tuple((end - part).sum(axis=0) for end, part in zip(self, start, strict=True))


class ExplicitDirection(Direction):
    """V and v formed for each task, as long as a step lies further back."""

    def __init__(self, start):
        super().__init__(start)
        self.V = self.v = None  # (tasks, d, h), (tasks, h)

    def add(self, layer, P, Q, grams=(None, None), biased=True):
        if layer.weights.ndim == 2:  # before the first step: no task needs its own any more
            super().add(layer, P, Q, grams, biased)
        elif self.V is None:
            self.V, self.v = outer(P, Q, 3), row_sum(Q, 2)
        else:
            added(self.V, self.v, [(P, Q, biased)])

    def step_vjp(self, layer, A, D, rate):
        V, v = self.V, self.v
        if isinstance(rate, tuple):
            V, v, rate = rate[0] * V, rate[1] * v, 1.0
        at_deltas, at_inputs = product(A, V), product(D, V.mT)
        at_deltas += v[:, None]
        at_deltas *= -rate
        at_inputs *= -rate
        return at_deltas, at_inputs

    def rate_vjp(self, layer, A, D, rate):
        weights, bias = outer(A, D, 3), row_sum(D, 2)
        weights *= self.V
        bias *= self.v
        if not isinstance(rate, tuple):
            return -(weights.sum() + bias.sum())
        parts = zip((weights, bias), rate, strict=True)
        return tuple(-part.sum(axis=0 if np.ndim(r) else None) for part, r in parts)

    def total(self):
        if self.V is None:
            return super().total()
        W, b = self.start
        V = self.V if W.ndim == 3 else self.V.sum(axis=0)
        v = self.v if b.ndim == 2 else self.v.sum(axis=0)
        return added(V, v, self.blocks)


class FactoredLayer(Layer):
    """A layer as the shared weights and the steps' factors, ``W + A' M``, never multiplied.

    A are the inputs of all earlier steps under each other, (tasks, step * n, d), and M their
    -rate * D, (tasks, step * n, h). All layers of one descent have theirs in the same stacks.
    """

    def __init__(self, start, n, stacks, A=None, M=None):
        self.start, self.n, self.stacks, self.A, self.M = start, n, stacks, A, M

    def forward(self, A):
        return _corrected(affine(A, *self.start), A, self.A, self.M, biased=True)

    def jvp(self, T):
        return _corrected(product(T, self.start[0]), T, self.A, self.M)

    def vjp(self, D):
        return _corrected(product(D, self.start[0].T), D, self.M, self.A)

    def step(self, A, D, rate):
        A, M = self.stacks[0].push(A), self.stacks[1].push(-rate * D)
        return FactoredLayer(self.start, self.n, self.stacks, A, M)

    def direction(self, start, n_queried):
        return FactoredDirection(start, self.n, self.A.shape[1], n_queried)

    def formed(self):
        (W, b), A, M = self.start, self.A, self.M
        return self.start if M is None else (W + A.mT @ M, b + M.sum(axis=1))

    def movement(self, start):
        return outer(self.A, self.M), row_sum(self.M)


def _corrected(z, rows, left, right, biased=False):
    """A product z of rows, made up for by ``rows left' right``; and its Gram matrix."""
    if left is None:
        return z, None
    gram = rows @ left.mT
    if biased:
        gram += 1
    z += gram @ right
    return z, gram


class FactoredDirection(Direction):
    """``V = P' Q``, with the Gram matrices of P, and of Q, with the factors of the steps."""

    def __init__(self, start, n, n_moved, n_queried):
        super().__init__(start)
        room = n_queried + 2 * (n_moved - n)  # all that joins before the last step back
        self.n, self.P, self.Q = n, Stack(room), Stack(room)
        self.PA, self.QM = Stack(room, n_moved), Stack(room, n_moved)

    def add(self, layer, P, Q, grams=(None, None), biased=True):
        super().add(layer, P, Q, grams, biased)
        if layer.A is not None:  # a step lies further back
            stacks = self.P, self.Q, self.PA, self.QM
            for stack, block in zip(stacks, (P, Q, *grams), strict=True):
                stack.push(block)

    def step_vjp(self, layer, A, D, rate):
        at_inputs = self._columns(self.QM, layer).mT @ self.P.rows  # M has the rate and the sign
        return -rate * self._along(layer), at_inputs

    def rate_vjp(self, layer, A, D, rate):
        return -np.vdot(self._along(layer), D)

    def _along(self, layer):
        """``A V + v``, (tasks, n, h)."""
        return self._columns(self.PA, layer).mT @ self.Q.rows

    def _columns(self, grams, layer):
        """Those with the factor of the step that this layer took."""
        start = 0 if layer.A is None else layer.A.shape[1]
        return grams.rows[..., start : start + self.n]


class Stack:
    """Blocks (tasks, rows, width) under each other, in an array of `room` rows.

    It is as wide as `width`, or as the first block.
    """

    def __init__(self, room, width=None):
        self.room, self.width, self.array, self.size = room, width, None, 0

    def push(self, block):
        """All rows up to those of this block."""
        n_tasks, n_rows, width = block.shape
        if self.array is None and n_rows == self.room:
            self.array = block  # the only one
        elif self.array is None:
            self.array = np.empty((n_tasks, self.room, self.width or width), block.dtype)
        if self.array is not block and n_rows:
            self.array[:, self.size : self.size + n_rows, :width] = block
        self.size += n_rows
        return self.rows

    @property
    def rows(self):
        return self.array[:, : self.size]


class FirstLayer(FactoredLayer):
    """The layer that sees the same rows X at every step, factored: ``W + X' M``.

    All steps add up to one factor, so that M is minus the sum of their rate * D, (tasks, n, h).
    """

    def __init__(self, start, support, rows=None, M=None):
        self.start, self.support, self.M, self.A = start, support, M, support.X
        self.rows = rows or support  # those that `forward` is of

    def facing(self, rows):
        """The same layer, before other rows."""
        return FirstLayer(self.start, self.support, rows, self.M)

    def forward(self, A):
        if self.M is None:
            return self.rows.z, None
        z = self.rows.gram @ self.M
        z += self.rows.z
        return z, None

    def step(self, A, D, rate):
        M = -rate * D
        if self.M is not None:
            M += self.M
        return FirstLayer(self.start, self.support, self.rows, M)

    def direction(self, start, n_queried):
        return FirstDirection(start)


class Rows:
    """Rows that a first layer sees, and what is found of them once."""

    def __init__(self, X, start, support_X):
        self.X, self.z = X, affine(X, *start)  # (tasks, rows, d), (tasks, rows, h)
        self.z.flags.writeable = False
        self.gram = X @ support_X.mT  # (tasks, rows, n)
        self.gram += 1


class FirstDirection(Direction):
    """``V = sum X' Q``, with Q the sum over all passes of the deltas of rows X."""

    def __init__(self, start):
        self.start, self.Q = start, {}  # Rows -> (tasks, rows, h)

    def add(self, layer, P, Q, grams=(None, None), biased=True):
        before = self.Q.get(layer.rows)
        self.Q[layer.rows] = Q if before is None else before + Q

    def step_vjp(self, layer, A, D, rate):
        return -rate * self._along(), None

    def rate_vjp(self, layer, A, D, rate):
        return -np.vdot(self._along(), D)

    def _along(self):
        """``X V + v``, (tasks, n, h)."""
        first, *others = (rows.gram.mT @ Q for rows, Q in self.Q.items())
        for other in others:
            first += other
        return first

    def total(self):
        return gathered(self.start, [(rows.X, Q, True) for rows, Q in self.Q.items()])
