"""Adaptation that diverges is repeated at lower rates: a step that is short enough goes down."""

import copy
from typing import NamedTuple

import numpy as np

from ._messages import inner_rate, listed, plain, warn
from .algorithms import AdaptedTasks
from .network import Params

MOST_HALVINGS = 60  # then the rate is 0
SUSPICIOUS = 10.0  # a support loss; where it is also so many times that of no step, it has diverged


class Attempt(NamedTuple):
    """What adaptation came to."""

    adapted: AdaptedTasks
    halvings: np.ndarray  # (tasks,), how often each one's rate was halved
    diverged: np.ndarray  # (tasks,), True where no rate helps, or the algorithm has none


def learn_slower(algorithm, network, params, support):
    """Learn a padded batch of tasks; one that diverges, at half the inner rate until it does not.

    A task counts as diverged where its numbers are not finite, or the steps have made its loss on
    its own support far larger; once its rate is lowered, while they have made it larger at all.

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
    if not hasattr(algorithm, "inner_lr"):
        return Attempt(adapted, halvings, diverged)
    losses = _support_losses(network, adapted, support)
    diverged |= ~(losses <= SUSPICIOUS)
    if not diverged.any():
        return Attempt(adapted, halvings, diverged)
    at_start = _support_losses(network, _at_rate(algorithm, network, params, support, 0), support)
    diverged &= ~(losses <= SUSPICIOUS * at_start)
    for n in range(1, MOST_HALVINGS + 1):
        if not diverged.any():
            break
        wrong = np.flatnonzero(diverged)
        rate = 0.5**n if n < MOST_HALVINGS else 0
        some = support.take(wrong)
        again = _at_rate(algorithm, network, params, some, rate)
        fine = again.finite(len(wrong))
        if rate:
            fine &= _support_losses(network, again, some) <= at_start[wrong]
        adapted = _replaced(adapted, n_tasks, wrong[fine], again.take(np.flatnonzero(fine)))
        halvings[wrong], diverged[wrong[fine]] = n, False
    return Attempt(adapted, halvings, diverged)


def warn_of_slowed(algorithm, slowed):
    """Name the tasks that were learned at a lower rate, pairs of id and halvings."""
    if not slowed:
        return
    slowed = sorted(slowed, key=lambda each: (-each[1], str(each[0])))
    named = listed([None if name is None else plain(name) for name, _ in slowed])
    what = "adaptation" if slowed[0][0] is None else f"adaptation of [{named}]"
    warn(
        f"{what} diverged: {len(slowed)} task(s) were learned at a lower inner rate, down to "
        f"{0.5 ** slowed[0][1]:.2g} times what it is. Lower {inner_rate(algorithm)}, or scale the "
        "features and targets"
    )


def _support_losses(network, adapted, support):
    """Mean support losses, (tasks,)."""
    z = adapted.outputs(network, support.X, support.logit_mask)
    return network.loss.task_losses(z, support)


def _at_rate(algorithm, network, params, support, factor):
    """Tasks learned at a share of the inner rate."""
    slower, params = at_rate(algorithm, params, factor)
    return slower.learn(network, params, support)


def at_rate(algorithm, params, factor):
    """The algorithm and the parameters with the inner rate multiplied by a factor."""
    slower = copy.copy(algorithm)
    slower.inner_lr = algorithm.inner_lr * factor
    if "inner_lr" in params.layout.shapes:
        params = Params(params.vector.copy(), params.layout)
        params["inner_lr"][...] *= factor
    return slower, params


def _replaced(adapted, n_tasks, numbers, others):
    """The tasks, those of these numbers replaced by others."""
    if not len(numbers):
        return adapted
    place = np.arange(n_tasks)
    place[numbers] = n_tasks + np.arange(len(numbers))
    return type(adapted).concatenate([adapted, others]).take(place)
