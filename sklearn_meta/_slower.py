"""Adaptation that diverges is repeated at lower rates: a step that is short enough goes down."""

import copy
from typing import NamedTuple

import numpy as np

from .algorithms import AdaptedTasks
from .network import Params
from .tasks._batch import TaskBatch

MOST_HALVINGS = 60  # then the rate is 0


class Attempt(NamedTuple):
    """What adaptation came to."""

    adapted: AdaptedTasks
    halvings: np.ndarray  # (tasks,), how often each one's rate was halved
    diverged: np.ndarray  # (tasks,), True where no rate helps, or the algorithm has none


def learn_slower(algorithm, network, params, support):
    """Learn a padded batch of tasks; one that diverges, at half the inner rate until it does not.

    A task counts as diverged where its numbers are not finite, and once its rate is lowered
    also while its support loss is above that of no step at all.

    Parameters
    ----------
    algorithm : MetaAlgorithm
        Its inner rate is its parameter `inner_lr`, or what is learned by that name.
    network : MLP
    params : Params
    support : TaskBatch

    Returns
    -------
    Attempt
    """
    adapted = algorithm.learn(network, params, support)
    n_tasks = len(support.X)
    halvings, diverged = np.zeros(n_tasks, int), ~adapted.finite(n_tasks)
    if not diverged.any() or not hasattr(algorithm, "inner_lr"):
        return Attempt(adapted, halvings, diverged)
    at_start = _support_losses(algorithm, network, params, support, 0)[1]
    for n in range(1, MOST_HALVINGS + 1):
        wrong = np.flatnonzero(diverged)
        rate = 0.5**n if n < MOST_HALVINGS else 0
        some = _some(support, wrong)
        again, losses = _support_losses(algorithm, network, params, some, rate)
        fine = again.finite(len(wrong)) & (losses <= at_start[wrong])
        if rate == 0:
            fine = again.finite(len(wrong))
        adapted = _replaced(adapted, n_tasks, wrong[fine], again.take(np.flatnonzero(fine)))
        halvings[wrong], diverged[wrong[fine]] = n, False
        if fine.all():
            break
    return Attempt(adapted, halvings, diverged)


def _support_losses(algorithm, network, params, support, factor):
    """Tasks learned at a share of the inner rate, and their mean support losses (tasks,)."""
    slower, params = at_rate(algorithm, params, factor)
    adapted = slower.learn(network, params, support)
    z = adapted.outputs(network, support.X, support.logit_mask)
    return adapted, network.loss.task_losses(z, support)


def at_rate(algorithm, params, factor):
    """The algorithm and the parameters with the inner rate multiplied by a factor."""
    slower = copy.copy(algorithm)
    slower.inner_lr = algorithm.inner_lr * factor
    if "inner_lr" in params.layout.shapes:
        params = Params(params.vector.copy(), params.layout)
        params["inner_lr"][...] *= factor
    return slower, params


def _some(batch, tasks):
    mask = None if batch.logit_mask is None else batch.logit_mask[tasks]
    return TaskBatch(batch.X[tasks], batch.y[tasks], batch.weight[tasks], mask)


def _replaced(adapted, n_tasks, numbers, others):
    """The tasks, those of these numbers replaced by others."""
    if not len(numbers):
        return adapted
    place = np.arange(n_tasks)
    place[numbers] = n_tasks + np.arange(len(numbers))
    return type(adapted).concatenate([adapted, others]).take(place)
