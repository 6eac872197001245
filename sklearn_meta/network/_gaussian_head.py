"""An output layer with a Gaussian prior: its posterior mode, and how that changes.

Everything is in whitened coordinates: features are divided by the square root of the
prior precision, so that the output weights `U`, measured from the prior mean, are standard
normal a priori. The mode minimises ``sum_rows weight * nll(offset + F U) + |U|^2 / 2``.
"""

import warnings
from functools import cached_property

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from ._solve import solve

EXACT = 1e-13  # of conjugate gradients, relative to the right side
CACHED = 2**14  # outputs of a group of tasks' rows, at most: of several arrays such as these
MOST_STEPS = 1000  # of conjugate gradients


def posterior_mode(loss, F, offset, batch):
    """The posterior mode of the output weights of a batch of tasks.

    Parameters
    ----------
    loss : Loss
    F : ndarray of shape (tasks, n, p)
        Whitened support features.
    offset : ndarray of shape (tasks, n, k)
        Outputs at the prior mean.
    batch : TaskBatch
        Targets and row weights of the support.

    Returns
    -------
    RidgeMode, NewtonMode or GroupedMode
    """
    if loss.quadratic:
        return RidgeMode(loss, F, offset, batch)
    groups = _alike(batch.weight, offset.shape[-1])
    if len(groups) == 1:
        return NewtonMode(loss, F, offset, batch)
    return GroupedMode(groups, loss, F, offset, batch)


def _alike(weight, n_outputs):
    """Groups of tasks with like numbers of rows, as pairs (their numbers, rows of the largest).

    A group's arrays stay in the cache, it has little padding, and is done when its own tasks are.
    """
    n_tasks, n = weight.shape
    if n_tasks * n * n_outputs <= CACHED:
        return [(np.arange(n_tasks), n)]
    sizes = n - np.argmax(weight[:, ::-1] > 0, axis=1)
    sizes[~weight.any(axis=1)] = 0
    order = np.argsort(sizes, kind="stable")[::-1]
    groups = []
    while len(order):
        largest = sizes[order[0]]
        count = max(1, CACHED // max(1, largest * n_outputs))
        groups.append((order[:count], largest))
        order = order[count:]
    return groups


class _Mode:
    """What a mode offers, in the precision of F; inside, that of `precision`.

    Attributes
    ----------
    U : ndarray of shape (tasks, p, k)
        The mode.
    """

    precision = None

    def __init__(self, loss, F, offset, batch):
        self.loss, self.dtype = loss, F.dtype
        arrays = F, offset, batch.y, batch.weight[..., None]
        precision = self.precision or F.dtype
        self.F, self.offset, self.y, self.weight = (
            array.astype(precision, copy=False) for array in arrays
        )
        self._find()

    @property
    def U(self):
        return self._given(self._mode)

    def solve(self, B):
        """The posterior covariance (the inverse Hessian) times B (tasks, p, m)."""
        return self._given(self._solve(B))

    def adjoint(self, d_mode):
        """Gradients at F and at the offset, from the gradient at the mode.

        By the implicit function theorem: ``g(U) = F' residual + U = 0`` at the mode, so
        the loss changes by ``-(H^-1 d_mode) . dg``.
        """
        direction = self._solve(d_mode)  # (tasks, p, k)
        curved = self.weight * self.loss.curvature(self._mean, self.F @ direction)
        pairs = (-curved, self._mode), (-self._residual, direction)
        left, right = (np.concatenate(parts, axis=-1) for parts in zip(*pairs, strict=True))
        return self._given(left @ right.mT), self._given(-curved)

    def _given(self, array):
        return array.astype(self.dtype, copy=False)

    def _move_to(self, mode):
        self._mode = mode
        self._observe(self.offset + self.F @ mode)

    def _observe(self, z):
        self._mean = self.loss.mean(z)
        self._residual = self.weight * (self._mean - self.y)  # (tasks, n, k)


class GroupedMode:
    """The modes of groups of tasks, as one."""

    def __init__(self, groups, loss, F, offset, batch):
        self.shapes, self.dtype = (F.shape, offset.shape), F.dtype
        self.groups = []
        for tasks, n in groups:
            part = batch._replace(y=batch.y[tasks, :n], weight=batch.weight[tasks, :n])
            mode = NewtonMode(loss, F[tasks, :n], offset[tasks, :n], part)
            self.groups.append((tasks, mode))

    @property
    def U(self):
        return self._gathered(mode.U for _, mode in self.groups)

    def solve(self, B):
        return self._gathered(mode.solve(B[tasks]) for tasks, mode in self.groups)

    def adjoint(self, d_mode):
        d_features, d_offset = (np.zeros(shape, self.dtype) for shape in self.shapes)
        for tasks, mode in self.groups:
            n = mode.F.shape[1]
            d_features[tasks, :n], d_offset[tasks, :n] = mode.adjoint(d_mode[tasks])
        return d_features, d_offset

    def _gathered(self, parts):
        order = np.argsort(np.concatenate([tasks for tasks, _ in self.groups]))
        return np.concatenate(list(parts))[order]


class RidgeMode(_Mode):
    """Squared error: ridge regression, on the kernel side (n x n) where n <= p."""

    def _find(self):
        n, p = self.F.shape[1:]
        root = np.sqrt(self.weight)
        self.rooted = root * self.F
        target = root * (self.y - self.offset)
        self.kernel_side = n <= p
        rows = self.rooted if self.kernel_side else self.rooted.mT
        self.matrix = add_to_diagonal(rows @ rows.mT, 1)  # (tasks, n, n) or (tasks, p, p)
        if self.kernel_side:
            self._move_to(self.rooted.mT @ solve(self.matrix, target))
        else:
            self._move_to(solve(self.matrix, self.rooted.mT @ target))

    def _solve(self, B):
        if self.kernel_side:
            return B - self.rooted.mT @ solve(self.matrix, self.rooted @ B)
        return solve(self.matrix, B)


class NewtonMode(_Mode):
    """Any canonical link: Newton's method.

    Rasmussen and Williams, "Gaussian Processes for Machine Learning", 2006, algorithm
    3.3. The weights are `U = F' at` on the kernel side (n <= p), else `at` itself. Newton's
    systems are solved directly while the support is small, else by conjugate gradients, as far
    as Newton's method gains from it: R. Dembo, S. Eisenstat, T. Steihaug, "Inexact Newton
    methods", SIAM Journal on Numerical Analysis 1982.

    Gradients, outputs and objectives are in double precision, since unscaled features make them
    hard. Conjugate gradients are in that of the features, unless their systems are hard as well:
    Newton's next gradient shows whatever they have left.
    """

    precision = np.float64
    max_iter = 100
    safe_move = 0.8  # of the outputs: up to it, a full Newton step cannot be too long
    most_direct = 32, 12  # rows for which a direct solve is faster; where outputs are coupled
    easy = 1e4  # condition number up to which single precision will do

    def _find(self):
        n, p = self.F.shape[1:]
        self.direct = n <= self.most_direct[self.loss.coupled]
        self.kernel_side = self.direct or n <= p
        self.gram = self.F @ self.F.mT if self.kernel_side else None
        self.design = self.gram if self.kernel_side else self.F
        at = np.zeros((len(self.F), self.design.shape[-1], self.offset.shape[-1]), self.F.dtype)
        added = np.zeros_like(self.offset)  # to the outputs: design @ at
        # of the outputs' last move, which Newton's method squares; of what is solved for
        tolerance, exact = (5e-5, 1e-8) if self.dtype == np.float32 else (5e-7, EXACT)
        largest = 1.0
        for _ in range(self.max_iter):
            self._observe(self.offset + added)
            step = self._newton_step(at, min(0.3, max(0.3 * largest, exact / largest)))
            move = self.design @ step  # (tasks, n, k)
            largest = np.abs(move).max(initial=0)
            if not largest <= self.safe_move:
                scale = self._damping(at, added, step, move)
                step, move = scale * step, scale * move
            at += step
            added += move
            if largest <= tolerance * (1 + np.abs(added).max(initial=0)):
                break
        else:
            self._warn()
        self._move_to(self.F.mT @ at if self.kernel_side else at)

    def _newton_step(self, at, rtol):
        gradient = at + (self._residual if self.kernel_side else self.F.mT @ self._residual)
        if self.direct:  # on the kernel side, F' times `gradient` is that by U
            return self._inverse_kernel(self.gram @ gradient) - gradient
        return -self._conjugate_gradients(gradient, rtol)

    def _curved(self, rows):
        return self.weight * self.loss.curvature(self._mean, rows)

    def _warn(self):
        warnings.warn(
            f"a task's posterior mode was not reached in {self.max_iter} Newton steps: scale the "
            "features, or give the prior more precision",
            ConvergenceWarning,
            stacklevel=3,
        )

    def _objective(self, at, added):
        z = self.offset + added
        nll = self.loss.row_losses(z, self.y) / self.loss.factor(z.shape[-1])
        penalty = at * (added if self.kernel_side else at)
        return (nll * self.weight[..., 0]).sum(axis=1) + 0.5 * penalty.sum(axis=(1, 2))

    def _damping(self, at, added, step, move):
        """Halve the step of each task until its objective does not grow, (tasks, 1, 1).

        Where no output moves by more than `safe_move`, it does not: F. Bach, "Self-concordant
        analysis for logistic regression", Electronic Journal of Statistics 2010, proposition 1.
        """
        before = self._objective(at, added)
        slack = 1e3 * np.finfo(before.dtype).eps * (1 + np.abs(before))
        scale = np.ones((len(at), 1, 1), at.dtype)
        for _ in range(30):
            with np.errstate(over="ignore", invalid="ignore"):
                after = self._objective(at + scale * step, added + scale * move)
            worse = ~(after <= before + slack)
            if not worse.any():
                break
            scale[worse] *= 0.5
        return scale

    def _solve(self, B):
        if not self.kernel_side:
            return self._refined(B)
        FB = self.F @ B
        if self.direct:
            return B - self.F.mT @ self._inverse_kernel(FB)
        right = self._curved(FB)
        # it may be far larger than B, to which the solution is to be exact
        larger = np.sqrt(_ratio(_inner(right, self.gram @ right), _inner(B, B)))
        return B - self.F.mT @ self._refined(right, np.maximum(larger, 1))

    def _refined(self, B, larger=1):
        """What conjugate gradients find, in single precision in two parts.

        What the first has left is found in double precision.
        """
        if self._solving_precision() == np.float64:
            return self._conjugate_gradients(B, EXACT / larger)
        rtol = np.sqrt(1e-7 / larger)
        first = self._conjugate_gradients(B, rtol)
        rows = self._curved(self.design @ first)
        left = B - first - (rows if self.kernel_side else self.F.mT @ rows)
        return first + self._conjugate_gradients(left, rtol)

    def _inverse_kernel(self, FB):
        """``(W^-1 + K)^-1 FB`` for the row Hessians W and the Gram matrix K."""
        root = np.sqrt(self.weight * self.loss.diagonal(self._mean)).mT  # (tasks, k, n)
        inner = root[..., None] * self.gram[:, None] * root[..., None, :]
        add_to_diagonal(inner, 1)
        if not self.loss.coupled:
            return (root * solve(inner, (root * FB.mT)[..., None])[..., 0]).mT
        diagonal = root[..., None] * np.eye(root.shape[-1], dtype=root.dtype)
        E = root[..., None] * solve(inner, diagonal)  # (tasks, k, n, n)
        EB = (E @ FB.mT[..., None])[..., 0]  # (tasks, k, n)
        total = add_to_diagonal(E.sum(axis=1), self.weight[..., 0] == 0)  # 1 for padding
        shared = solve(total, EB.sum(axis=1)[..., None])  # (tasks, n, 1)
        return (EB - (E @ shared[:, None])[..., 0]).mT

    def _conjugate_gradients(self, B, rtol):
        """``(I + W K)^-1 B`` on the kernel side, in K's inner product; else ``H^-1 B``."""
        dtype = self._solving_precision()
        size = np.abs(B).max(axis=(1, 2), initial=0, keepdims=True)  # its square may underflow
        arrays = self.design, self.weight, self._mean, _ratio(B, size)
        design, weight, mean, unit = (array.astype(dtype, copy=False) for array in arrays)

        def curved(rows):
            rows = self.loss.curvature(mean, rows)
            rows *= weight
            return rows

        solve = _kernel_conjugate_gradients if self.kernel_side else _conjugate_gradients
        return size * solve(design, curved, unit, rtol)

    @cached_property
    def _squares(self):
        return self.weight * np.vecdot(self.F, self.F)[..., None]  # (tasks, n, 1)

    def _solving_precision(self):
        """By a bound on the Hessian's condition number, the trace of each output's part."""
        if self.dtype == self.precision:
            return self.precision
        traces = self._squares.mT @ self.loss.diagonal(self._mean)  # (tasks, 1, k)
        return self.dtype if traces.max(initial=0) < self.easy else self.precision


def _conjugate_gradients(F, curved, B, rtol):
    """``(I + F' W F)^-1 B``, with ``curved(rows) = W rows``.

    Each task has step lengths of its own, so that none waits for another's spectrum.
    """
    solution, residual, direction = np.zeros_like(B), B.copy(), B.copy()
    norm = _inner(residual, residual)  # (tasks, 1, 1)
    enough = rtol * rtol * norm
    for _ in range(MOST_STEPS):
        if not np.any(norm > enough):  # one that is NaN is done
            break
        image = F.mT @ curved(F @ direction)
        image += direction
        length = _ratio(norm, _inner(image, direction))
        solution += length * direction
        image *= length
        residual -= image
        last, norm = norm, _inner(residual, residual)
        direction *= _ratio(norm, last)
        direction += residual
    return solution


def _kernel_conjugate_gradients(K, curved, B, rtol):
    """``(I + W K)^-1 B``, in K's inner product: a single product an iteration."""
    solution, residual, direction = np.zeros_like(B), B.copy(), B.copy()
    rows = K @ residual
    d_rows = rows.copy()
    norm = _inner(residual, rows)  # (tasks, 1, 1)
    enough = rtol * rtol * norm
    for _ in range(MOST_STEPS):
        if not np.any(norm > enough):  # one that is NaN is done
            break
        image = curved(d_rows)
        image += direction
        length = _ratio(norm, _inner(image, d_rows))
        solution += length * direction
        image *= length
        residual -= image
        rows = K @ residual
        last, norm = norm, _inner(residual, rows)
        ratio = _ratio(norm, last)
        direction *= ratio
        direction += residual
        d_rows *= ratio
        d_rows += rows
    return solution


def add_to_diagonal(matrices, value):
    np.einsum("...ii->...i", matrices)[...] += value
    return matrices


def _inner(A, B):
    """Inner products of each task's matrices, (tasks, 1, 1)."""
    return np.vecdot(A.reshape(len(A), -1), B.reshape(len(B), -1))[:, None, None]


def _ratio(a, b):
    """``a / b``, 0 where a task is done and both are."""
    return a / np.maximum(b, np.finfo(b.dtype).tiny)
