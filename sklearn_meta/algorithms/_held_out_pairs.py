"""How held-out rows are predicted from any number of support rows: what noise is found from."""

from typing import NamedTuple

import numpy as np

from ..network import posterior_mode, variance_from_rows

MOST_EPISODES = 1000
FEWER = 0, 1, 4  # support rows of episodes with more, from which each is learned as well


class HeldOutPairs(NamedTuple):
    """Pairs of rows of held-out tasks, and what the tasks' support rows say of them.

    A task's rows are taken in their order: each with the next, the last with the first. All is in
    double precision.

    Parameters
    ----------
    n : ndarray of shape (tasks,)
        Support rows.
    squares : ndarray of shape (tasks, outputs)
        As `support_evidence` gives them.
    task : ndarray of shape (pairs,)
        The number of each pair's task.
    error : ndarray of shape (2, pairs, outputs)
        Of the predictions of the two.
    width : ndarray of shape (3, pairs)
        Posterior variances of the two predictions, in units of the noise's, and their covariance.
    share : ndarray of shape (pairs,)
        What each pair counts; they sum to 1.
    lone : ndarray of shape (pairs,)
        Whether it is a task's only row, twice.
    """

    n: np.ndarray
    squares: np.ndarray
    task: np.ndarray
    error: np.ndarray
    width: np.ndarray
    share: np.ndarray
    lone: np.ndarray

    @classmethod
    def of(cls, whiten, held_out):
        """Of episodes, learned from their support and from fewer of its rows.

        Those that the support then lacks are predicted, too: it may be asked of any number.

        Parameters
        ----------
        whiten : callable
            ``(network, params, X, logit_mask) -> Whitened``
        held_out : list of HeldOut
        """
        most = -(-MOST_EPISODES // len(held_out))
        parts = []
        for network, params, *episode in held_out:
            for support, query in _with_fewer(*_evenly(most, *episode)):
                rows = (whiten(network, params, batch.X, None) for batch in (support, query))
                parts.append(_predicted(network.loss, *rows, support, query))
        return cls._concatenate(parts)

    @classmethod
    def _concatenate(cls, parts):
        """Each task counts as much as any other."""
        n_tasks = [len(part.n) for part in parts]
        starts = np.cumsum(n_tasks) - n_tasks
        n, squares, _, *of_pairs = zip(*parts, strict=True)
        task = np.concatenate([s + part.task for s, part in zip(starts, parts, strict=True)])
        error, width, share, lone = (
            np.concatenate(each, axis=axis)
            for each, axis in zip(of_pairs, (1, 1, 0, 0), strict=True)
        )
        n, squares = np.concatenate(n), np.concatenate(squares)
        return cls(n, squares, task, error, width, share / share.sum(), lone)

    def output(self, number):
        """These pairs with one output only: squares (tasks,), errors (2, pairs)."""
        return self._replace(squares=self.squares[:, number], error=self.error[..., number])

    def of_two(self):
        """Those of two rows."""
        two = ~self.lone
        share = self.share[two]
        return self._replace(
            task=self.task[two],
            error=self.error[:, two],
            width=self.width[:, two],
            share=share / share.sum(),
            lone=self.lone[two],
        )


def support_evidence(rows, mode, support):
    """What a task's support rows say of its noise.

    Returns
    -------
    n : ndarray of shape (tasks,)
        Rows, that is their weights' sum.
    squares : ndarray of shape (tasks, outputs)
        ``r' (I + F F')^-1 r`` of the residuals r from the prior mean: the least that squared
        error and the squared length of the whitened head make together.
    """
    left = support.y - rows.base - rows.scaled @ mode.U
    squares = np.einsum("tn,tnk->tk", support.weight, left**2) + np.sum(mode.U**2, axis=1)
    return support.weight.sum(axis=1), squares


def _evenly(most, *batches):
    """Of the tasks of batches, so many at most."""
    n_tasks = len(batches[0].X)
    if n_tasks <= most:
        return batches
    chosen = np.linspace(0, n_tasks - 1, most).astype(int)
    return [batch.take(chosen) for batch in batches]


def _with_fewer(support, query):
    """Episodes as they are, and those that have more rows with the first n: (support, query)."""
    yield support, query
    sizes = np.count_nonzero(support.weight, axis=1)
    for n in FEWER:
        larger = np.flatnonzero(sizes > n)
        if len(larger):
            first, others = (_rows(support.take(larger), rows) for rows in np.s_[:n, n:])
            yield first, others.join(query.take(larger))


def _rows(batch, rows):
    return batch._replace(X=batch.X[:, rows], y=batch.y[:, rows], weight=batch.weight[:, rows])


def _predicted(loss, known, asked, support, query):
    """Pairs of query rows, given the whitened rows of both."""
    mode = posterior_mode(loss, known.scaled, known.base, support)
    n, squares = support_evidence(known, mode, support)
    error = query.y - asked.base - asked.scaled @ mode.U
    there = query.weight > 0
    task, row = np.nonzero(there)
    following = _following(there)
    following_row = following[task, row]
    width = _widths(known.scaled, support.weight, asked.scaled, following)
    parts = (
        n,
        squares,
        np.stack([error[task, row], error[task, following_row]]),
        width[:, task, row],
        query.share[task, row],
    )
    n, squares, *of_pairs = (part.astype(float) for part in parts)
    return HeldOutPairs(n, squares, task, *of_pairs, lone=row == following_row)


def _following(there):
    """The number of the row after each one, among those that the mask (tasks, rows) has.

    The last of a task is followed by its first.
    """
    order = np.argsort(~there, axis=1, kind="stable")  # those that there are come first
    counts = there.sum(axis=1, keepdims=True)
    place = (np.arange(there.shape[1]) + 1) % np.maximum(counts, 1)
    following = np.zeros_like(order)
    np.put_along_axis(following, order, np.take_along_axis(order, place, axis=1), axis=1)
    return following


def _widths(F, weight, Q, following):
    """Posterior variances over noise of rows and of those that follow, and covariances.

    (3, tasks, rows); the covariance by the variance of the sum.
    """
    F, weight, Q = (array.astype(float, copy=False) for array in (F, weight, Q))
    m = Q.shape[1]
    both = Q + np.take_along_axis(Q, following[..., None], axis=1)
    found = np.maximum(variance_from_rows(F, weight, np.concatenate([Q, both], axis=1)), 0)
    first, of_sum = found[:, :m], found[:, m:]
    second = np.take_along_axis(first, following, axis=1)
    return np.stack([first, second, 0.5 * (of_sum - first - second)])
