"""How well tasks are learned: split, learn from the support, predict the query rows."""

from typing import NamedTuple

import numpy as np
from sklearn.utils import check_random_state

from ._runtime import blas_threads, each_in_threads, quiet
from ._slower import learn_slower, warn_of_slowed
from .tasks._batch import MAX_CELLS
from .tasks._episodes import EpisodeSampler


class Evaluation(NamedTuple):
    """Query rows, each predicted after learning its task from the support.

    Parameters
    ----------
    row : ndarray of shape (n_query,)
        Its number in the collection, ascending.
    task : ndarray of shape (n_query,)
        Its task's number.
    predicted : ndarray of shape (n_query,) or (n_query, n_outputs)
        In the user's terms.
    loss : ndarray of shape (n_query,)
        The network's, its targets standardised as in training.
    """

    row: np.ndarray
    task: np.ndarray
    predicted: np.ndarray
    loss: np.ndarray


def evaluate(
    learned, collection, *, n_shots="half", support_order="random", random_state=0, n_jobs=None
):
    """Split every task of a collection, learn it from its support and predict its query.

    Parameters
    ----------
    learned : Learned
    collection : TaskCollection
        Where it marks rows, the support is of these.
    n_shots : int, (int, int) or "half", default="half"
        Support rows, or blocks of the collection; where tasks have classes of their own, of each
        class. "half" is half of a task's, or where rows are marked, all of these.
    support_order : {"random", "first"}, default="random"
    random_state : int, RandomState or None, default=0
        Of the split.
    n_jobs : int, default=None
        Threads.

    Returns
    -------
    Evaluation
    """
    encoded = learned.encoder.encode(collection)
    arrays = encoded.arrays
    if n_shots == "half" and arrays.is_support is not None:
        n_shots = len(arrays.X)
    sampler = EpisodeSampler(arrays, n_shots, None, support_order)
    is_support, is_query = sampler.split(check_random_state(random_state))
    slowed = []
    support, query = arrays.select(is_support), arrays.select(is_query)

    @quiet
    def of_block(tasks):
        adapted = learned.learn_batch(support.full_batch(tasks), encoded.ids[tasks], slowed)
        batch = query.full_batch(tasks)
        z, loss = query_losses(adapted, learned.network, batch)
        index, filled = query.padded(tasks)
        return index[filled], z[filled], loss[filled]

    with blas_threads():
        blocks = arrays.task_blocks(*learned.network.cells)
        parts = each_in_threads(of_block, blocks, n_jobs)
    warn_of_slowed(learned.algorithm, slowed)
    order = np.argsort(np.concatenate([index for index, _, _ in parts]))
    z, loss = (np.concatenate(values)[order] for values in list(zip(*parts, strict=True))[1:])
    task = np.repeat(np.arange(len(query)), query.sizes)
    return Evaluation(
        np.flatnonzero(is_query), task, learned.decode(z, task, encoded.classes), loss
    )


def query_losses(adapted, network, query):
    """Outputs (tasks, rows, outputs) and losses (tasks, rows) of the query of adapted tasks."""
    z = adapted.outputs(network, query.X, query.logit_mask)
    return z, network.loss.row_losses(z, query.y)


def mean_query_loss(algorithm, network, params, support, query):
    """Mean over tasks of the mean loss over query rows, in chunks of bounded memory."""
    (width, least), n_tasks = network.cells, len(query.X)
    cells = max(width * (support.X.shape[1] + query.X.shape[1]), least)
    size, losses = max(1, MAX_CELLS // cells), []
    for start in range(0, n_tasks, size):
        some, rows = (batch.take(slice(start, start + size)) for batch in (support, query))
        adapted = learn_slower(algorithm, network, params, some).adapted
        _, of_rows = query_losses(adapted, network, rows)
        losses.append(np.einsum("tm,tm->t", of_rows, rows.share))
    return float(np.concatenate(losses).mean())


def constant_loss(network, mean, query):
    """`mean_query_loss` of predicting for all rows the mean target (outputs,) of others.

    Where tasks have classes of their own, all are as likely.
    """
    if network.exchangeable_outputs:
        z = np.zeros_like(mean)
    else:
        tiny = np.finfo(mean.dtype).tiny
        z = network.loss.link(mean if network.loss.quadratic else np.maximum(mean, tiny))
    z = np.broadcast_to(z, query.y.shape)
    if query.logit_mask is not None:
        z = z + query.logit_mask
    return float(network.loss.mean_loss(z, query))
