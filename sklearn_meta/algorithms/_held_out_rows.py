"""How held-out rows are predicted from any number of support rows: what noise is found from."""

from typing import NamedTuple

import numpy as np

from ..network import posterior_mode, variance_from_rows

MOST_EPISODES = 1000
FEWER = 0, 1, 4  # support rows of episodes with more, from which each is learned as well


class HeldOutRows(NamedTuple):
    """Rows of held-out tasks, and what the tasks' support rows say of them; double precision.

    Parameters
    ----------
    n : ndarray of shape (tasks,)
        Support rows.
    squares : ndarray of shape (tasks, outputs)
        As `support_evidence` gives them.
    task : ndarray of shape (rows,)
        The number of each row's task.
    error : ndarray of shape (rows, outputs)
        Of the prediction.
    width : ndarray of shape (rows,)
        Posterior variance of the prediction, in units of the noise's.
    share : ndarray of shape (rows,)
        What each row counts; they sum to 1.
    """

    n: np.ndarray
    squares: np.ndarray
    task: np.ndarray
    error: np.ndarray
    width: np.ndarray
    share: np.ndarray

    @classmethod
    def of(cls, whiten, held_out):
        """Rows of episodes, learned from their support and from fewer of its rows.

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
        joined = cls(*map(np.concatenate, zip(*parts, strict=True)))
        task = np.concatenate([s + part.task for s, part in zip(starts, parts, strict=True)])
        return joined._replace(task=task, share=joined.share / joined.share.sum())

    def output(self, number):
        """These rows with one output only."""
        squares, error = self.squares[:, number, None], self.error[:, number, None]
        return self._replace(squares=squares, error=error)


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
    """Query rows, given the whitened rows of both."""
    mode = posterior_mode(loss, known.scaled, known.base, support)
    n, squares = support_evidence(known, mode, support)
    error = query.y - asked.base - asked.scaled @ mode.U
    width = np.maximum(variance_from_rows(known.scaled, support.weight, asked.scaled), 0)
    there = query.weight > 0
    n, squares, *of_rows = (
        part.astype(float) for part in (n, squares, error[there], width[there], query.share[there])
    )
    return HeldOutRows(n, squares, np.nonzero(there)[0], *of_rows)
