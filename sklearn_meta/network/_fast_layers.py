"""Layers as gradient steps move them, each task its own way, and the direction that goes back.

After steps with rates a_j a task's layer is ``W + sum_j a_j A_j' N_j``, with the inputs A_j
(tasks, n, d) and the descent deltas N_j (tasks, n, h), minus the loss gradients at the outputs, of
its support rows. The factored layers never form that: a product with it is one with the shared W,
for all tasks together, and a small correction ``(B A_j') a_j N_j``; the bias adds 1 to the Gram
matrix. The direction V that goes backwards through the steps is a sum of such factors, too, and
needs no Gram matrices but those of the way forward, transposed. See Irie et al., "The Dual Form of
Neural Networks Revisited", ICML 2022.

Number j of a layer's versions is the one before step j. Tangents are rows without a bias.
"""

import numpy as np

from ._mlp import product


class SharedLayer:
    """A layer that no step moves.

    Parameters
    ----------
    start : (weights, bias)
        (d, h) and (h,), or with a bias of each task's own (tasks, h).
    rates : list
        Of each step; None where the layer stays.
    """

    def __init__(self, start, rates):
        (self.W, self.b), self.rates = start, rates
        self.blocks = []  # (P, Q, biased), the sum of whose P' Q is the direction

    def forward(self, A, step, rows, tangent=False):
        """Outputs of inputs A, and the Gram matrix that gave them, if any."""
        z = product(A, self.W)
        if not tangent:
            z += self.b if self.b.ndim == 1 else self.b[:, None]
        return z, None

    def backward(self, D, step):
        """Gradients at the inputs, from deltas D at the outputs, and the Gram matrix."""
        return product(D, self.W.T), None

    def move(self, step, A, N):
        """Take a step: add its rate times ``A' N``."""

    def direct(self, step, P, Q, grams, rows, tangent=False):
        """Add ``P' Q`` to the direction; `grams` are those of P forward and Q backward."""
        self.blocks.append((P, Q, not tangent))

    def pull(self, step, A, N):
        """``A V`` and ``N V'`` for V the step's rate times the direction; None where 0."""
        return None, None

    def rate_gradient(self, step, A, N):
        """Gradient at the step's rate, given the direction after the step."""

    def total(self):
        """The direction at the start: summed over tasks, if they share it."""
        (P, Q, _), *others = self.blocks  # the query's
        return _add_blocks(outer(P, Q), row_sum(Q), others)

    def movement(self):
        """What the steps have added, summed over tasks, (d, h) and (h,)."""
        return np.zeros_like(self.W), np.zeros_like(self.b)

    def weights(self):
        """The layer after all steps, of all tasks or of each."""
        return self.W, self.b


class FirstLayer(SharedLayer):
    """The layer that sees the same rows at every step, factored.

    Its products with the shared weights and the Gram matrices of its rows are found once; all
    steps add up to one factor.

    Parameters
    ----------
    X : list of ndarray of shape (tasks, rows, d)
        The support, and the query if there is one; `rows` is which.
    """

    def __init__(self, start, rates, X):
        super().__init__(start, rates)
        self.X = X
        self.base = [super(FirstLayer, self).forward(part, 0, None)[0] for part in X]
        self.moves = [None]  # the sum of the steps' rate * N, (tasks, n, h)
        self.still = not rates or rates[0] is None
        if not self.still:
            self.grams = [part @ X[0].mT for part in X]  # (tasks, rows, n)
            for gram in self.grams:
                gram += 1
        self.Q = [None] * len(X)  # (tasks, rows, h)

    def forward(self, A, step, rows, tangent=False):
        z, moved = self.base[rows], self.moves[step]
        return z if moved is None else self.grams[rows] @ moved + z, None

    def move(self, step, A, N):
        moved = self.moves[-1]
        if not self.still:
            M = self.rates[step] * N
            moved = M if moved is None else moved + M
        self.moves.append(moved)

    def direct(self, step, P, Q, grams, rows, tangent=False):
        before = self.Q[rows]
        self.Q[rows] = Q if before is None else before + Q

    def pull(self, step, A, N):
        return (None if self.still else self.rates[step] * self._along()), None

    def rate_gradient(self, step, A, N):
        return None if self.still else np.vdot(self._along(), N)

    def _along(self):
        first, *others = (
            G.mT @ Q for G, Q in zip(self.grams, self.Q, strict=True) if Q is not None
        )
        for other in others:
            first += other
        return first  # (tasks, n, h)

    def total(self):
        self.blocks = [(X, Q, True) for X, Q in zip(self.X, self.Q, strict=True) if Q is not None]
        weights, bias = super().total()
        if self.b.ndim == 2:
            bias = sum(Q.sum(axis=1) for _, Q, _ in self.blocks)
        return weights, bias

    def movement(self):
        moved = self.moves[-1]
        if moved is None:
            return super().movement()
        return outer(self.X[0], moved), row_sum(moved)

    def weights(self):
        moved = self.moves[-1]
        if moved is None:
            return self.W, self.b
        return self.W + self.X[0].mT @ moved, self.b + moved.sum(axis=1)


class FactoredLayer(SharedLayer):
    """A layer as the shared weights and the steps' factors, never multiplied."""

    def __init__(self, start, rates, n_support, n_queried):
        super().__init__(start, rates)
        self.n, room = n_support, n_support * len(rates)
        self.A, self.M = Stack(room), Stack(room)  # inputs, rate * N
        before = n_queried + 2 * (room - n_support)  # what the direction has before step 0
        self.P, self.Q = Stack(before), Stack(before)
        self.PA, self.QM = Stack(before, room), Stack(before, room)

    def forward(self, A, step, rows, tangent=False):
        z, _ = super().forward(A, step, rows, tangent)
        if step == 0:
            return z, None
        gram = A @ self.A.first(step * self.n).mT  # (tasks, rows, step * n)
        if not tangent:
            gram += 1
        z += gram @ self.M.first(step * self.n)
        return z, gram

    def backward(self, D, step):
        gradient, _ = super().backward(D, step)
        if step == 0:
            return gradient, None
        gram = D @ self.M.first(step * self.n).mT
        gradient += gram @ self.A.first(step * self.n)
        return gradient, gram

    def move(self, step, A, N):
        self.A.push(A)
        self.M.push(self.rates[step] * N)

    def direct(self, step, P, Q, grams, rows, tangent=False):
        super().direct(step, P, Q, grams, rows, tangent)
        if step > 0:  # there is a step further back, which will pull
            stacks = self.P, self.Q, self.PA, self.QM
            for stack, block in zip(stacks, (P, Q, *grams), strict=True):
                stack.push(block)

    def pull(self, step, A, N):
        columns = slice(step * self.n, (step + 1) * self.n)
        against = self.QM.all[..., columns].mT @ self.P.all
        return self.rates[step] * self._along(step), against

    def rate_gradient(self, step, A, N):
        return np.vdot(self._along(step), N)

    def _along(self, step):
        columns = slice(step * self.n, (step + 1) * self.n)
        return self.PA.all[..., columns].mT @ self.Q.all  # (tasks, n, h)

    def movement(self):
        return outer(self.A.all, self.M.all), row_sum(self.M.all)

    def weights(self):
        return self.W + self.A.all.mT @ self.M.all, self.b + self.M.all.sum(axis=1)


class ExplicitLayer(SharedLayer):
    """A layer whose weights are formed for each task; it may start apart, too.

    Parameters
    ----------
    start : (weights, bias)
        (d, h) and (h,), or (tasks, d, h) and (tasks, h).
    rates : list of float or (ndarray of shape (d, h), ndarray of shape (h,))
        Of each step: one for the layer, or one for each entry.
    """

    def __init__(self, start, rates):
        super().__init__(start, rates)
        self.versions, self.V, self.v = [start], None, None

    def forward(self, A, step, rows, tangent=False):
        W, b = self.versions[step]
        z = product(A, W)
        if not tangent:
            z += b if b.ndim == 1 else b[:, None]
        return z, None

    def backward(self, D, step):
        return product(D, self.versions[step][0].mT), None

    def move(self, step, A, N):
        W, b = self.versions[step]
        rate = self.rates[step]
        if isinstance(rate, tuple):
            dW, db = (r * moved for r, moved in zip(rate, factors(A, N), strict=True))
        else:
            dW, db = factors(A, (rate or 0.0) * N)  # fewer numbers to scale
        dW += W
        db += b
        self.versions.append((dW, db))

    def direct(self, step, P, Q, grams, rows, tangent=False):
        if step == 0 and self.W.ndim == 2:  # no task needs its own any more
            super().direct(step, P, Q, grams, rows, tangent)
        elif self.V is None:
            self.V, self.v = factors(P, Q)  # (tasks, d, h), (tasks, h)
        else:
            self.V += P.mT @ Q
            if not tangent:
                self.v += _task_sum(Q)

    def pull(self, step, A, N):
        V, v, rate = self.V, self.v, self.rates[step]
        if isinstance(rate, tuple):
            V, v, rate = rate[0] * V, rate[1] * v, 1.0
        along, against = product(A, V), product(N, V.mT)
        along += v[:, None]
        along *= rate or 0.0
        against *= rate or 0.0
        return along, against

    def rate_gradient(self, step, A, N):
        if self.rates[step] is None:
            return None
        weights, bias = factors(A, N)
        weights *= self.V
        bias *= self.v
        if isinstance(self.rates[step], tuple):
            return weights.sum(axis=0), bias.sum(axis=0)
        return weights.sum() + bias.sum()

    def total(self):
        if self.W.ndim == 3:
            return self.V, self.v
        if self.V is None:
            return super().total()
        return _add_blocks(self.V.sum(axis=0), self.v.sum(axis=0), self.blocks)

    def movement(self):
        steps = zip(self.versions[-1], self.versions[0], strict=True)
        return tuple((end - start).sum(axis=0) for end, start in steps)

    def weights(self):
        return self.versions[-1]


class Stack:
    """Blocks (tasks, rows, width) under each other, in an array of `room` rows.

    Parameters
    ----------
    room : int
        Rows, of all blocks together.
    width : int or None
        Columns; None takes the first block's.
    """

    def __init__(self, room, width=None):
        self.room, self.width, self.array, self.size = room, width, None, 0

    def push(self, block):
        n_tasks, n_rows, width = block.shape
        if self.array is None:
            if n_rows == self.room:  # the only one
                self.array, self.size = block, n_rows
                return
            self.array = np.empty((n_tasks, self.room, self.width or width), block.dtype)
        self.array[:, self.size : self.size + n_rows, :width] = block
        self.size += n_rows

    def first(self, n_rows):
        return self.array[:, :n_rows]

    @property
    def all(self):
        return self.array[:, : self.size]


def _add_blocks(weights, bias, blocks):
    for P, Q, biased in blocks:
        weights += outer(P, Q)
        if biased:
            bias += row_sum(Q)
    return weights, bias


def factors(P, Q):
    """``P' Q`` of each task, (tasks, d, h), and the sum of the rows of Q, (tasks, h)."""
    return P.mT @ Q, _task_sum(Q)


def _task_sum(Q):
    """The sum of each task's rows, (tasks, h), by BLAS, which is several times faster here."""
    return (np.ones((1, Q.shape[1]), Q.dtype) @ Q)[:, 0]


def outer(P, Q):
    """The sum over all tasks' rows of ``P' Q``, (d, h)."""
    return np.dot(P.reshape(-1, P.shape[-1]).T, Q.reshape(-1, Q.shape[-1]))


def row_sum(Q):
    """The sum over all tasks' rows, (h,), by BLAS."""
    Q = Q.reshape(-1, Q.shape[-1])
    return np.dot(np.ones(len(Q), Q.dtype), Q)
