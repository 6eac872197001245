"""The networks that are trained: one, or several on folds of the tasks that are merged into one."""

from typing import NamedTuple

import numpy as np
from sklearn.base import clone

from ._evaluation import mean_query_loss
from ._parameters import resolve_algorithm
from .algorithms import HeldOut
from .encoding import split_estimator
from .network import MLP, PASSED_ON
from .training import TrainingState

AUTO = 5  # members
LINEAR_LR = 5.0  # times meta_lr, which a linear member bears
LINEAR_STEPS = 500  # meta-steps, which are enough for it
MOST_LINEAR = 1000  # features of a linear member: each is one more of every task's output layer
SINGLE = 1e3  # numbers up to it leave single precision digits enough for their products
SHARES = np.linspace(0, 1, 6)  # of the linear members, of which the best is taken


class Members(NamedTuple):
    """What is to be trained.

    Parameters
    ----------
    algorithm : MetaAlgorithm
    networks : list of MLP
        Of each member, linear ones last; those that share a fold are as far apart as there are
        folds.
    n_folds : int
        1: no folds, one member.
    """

    algorithm: object
    networks: list
    n_folds: int

    @classmethod
    def of(cls, meta, source, network, n_tasks):
        """As the parameters of a meta-learner have it.

        Raises
        ------
        ValueError
            If several are asked for, and cannot be.
        """
        algorithm = clone(resolve_algorithm(meta.algorithm))
        n_folds = min(_n_members(meta, algorithm, source, network), n_tasks // 2)
        if n_folds < 2:
            return cls(algorithm, [network], 1)
        networks = [network] * n_folds
        if getattr(algorithm, "linear_member", False) and _can_have_linear(network):
            networks += [linear(network)] * n_folds
        return cls(algorithm, networks, n_folds)

    @property
    def n_linear(self):
        return len(self.networks) - self.n_folds


def _n_members(meta, algorithm, source, network):
    """As asked for, or the number that "auto" stands for."""
    obstacle = None
    if not hasattr(algorithm, "merge"):
        obstacle = f"the networks of {algorithm} cannot be merged into one"
    elif not meta.early_stopping:
        obstacle = "early_stopping=False holds no tasks out"
    elif source.draw is not None:
        obstacle = "a task distribution has no folds"
    elif network.n_layers == 1:
        obstacle = "a network without hidden layers gains nothing"
    if meta.n_members == "auto":
        return AUTO if obstacle is None else 1
    if obstacle is not None and meta.n_members > 1:
        raise ValueError(f"n_members={meta.n_members} networks were asked for, but {obstacle}")
    return meta.n_members


def _can_have_linear(network):
    return network.activation in PASSED_ON and network.layer_units[0] <= MOST_LINEAR


def linear(network):
    """The same without hidden layers."""
    ends = network.layer_units[0], network.layer_units[-1]
    return MLP(ends, network.activation, network.loss_name, network.exchangeable_outputs)


def network_of(network, params):
    """That of the parameters of a member: the given one, or its like without hidden layers."""
    return network if network.names[-1][0] in params.layout.shapes else linear(network)


def first_state(meta, algorithm, network, dtype, random_state):
    """Training of a member before the first meta-step."""
    params = algorithm.init_params(network, random_state, dtype)
    return TrainingState.start(params, network, random_state, **rates(meta, network))


def rates(meta, network):
    """What each meta-step of a member takes of the parameters."""
    mlp, _ = split_estimator(meta.estimator)
    factor = LINEAR_LR if is_partner(meta, network) else 1
    return {
        "meta_lr": factor * meta.meta_lr,
        "alpha": mlp.alpha,
        "max_grad_norm": meta.max_grad_norm,
    }


def max_iter(meta, network):
    return min(meta.max_iter, LINEAR_STEPS) if is_partner(meta, network) else meta.max_iter


def is_partner(meta, network):
    """Whether it is a linear network beside those that were asked for."""
    mlp, _ = split_estimator(meta.estimator)
    return network.n_layers == 1 and np.size(mlp.hidden_layer_sizes) > 0


def training_dtype(arrays):
    """Single precision where numbers are of a size for it: two thirds of the time, nothing lost."""
    parts = [arrays.X] if arrays.labels is not None else [arrays.X, arrays.y]
    largest = max(np.abs(part).max(initial=0) for part in parts)
    return np.dtype(np.float32) if largest < SINGLE else arrays.X.dtype


def folds_of(tasks, n_folds, random_state):
    """(training, validation) tasks of each fold."""
    order = tasks[random_state.permutation(len(tasks))]
    return [
        (np.delete(order, np.s_[fold::n_folds]), order[fold::n_folds]) for fold in range(n_folds)
    ]


def merge(algorithm, held_out, n_folds, share=None):
    """Members as one network, and what each fold's members would be: for its held-out tasks.

    How much the linear members count, the held-out tasks decide.

    Parameters
    ----------
    algorithm : MetaAlgorithm
    held_out : list of HeldOut
        Of each member.
    n_folds : int
    share : float or None
        None: chosen.

    Returns
    -------
    network : MLP
    params : Params
    held_out : list of HeldOut
        Of each fold.
    share : float
    """
    rounds = [held_out[first::n_folds] for first in range(n_folds)]  # of each fold
    shares = SHARES if share is None and len(held_out) > n_folds else [share or 0.0]
    candidates = [_merged_in_folds(algorithm, rounds, share) for share in shares]
    losses = [_loss(algorithm, each) for each in candidates] if len(shares) > 1 else [0.0]
    best = int(np.nanargmin(losses)) if np.isfinite(losses).any() else 0
    weights = np.repeat(_weights(shares[best], len(rounds[0])), n_folds) / n_folds
    network, params = algorithm.merge([member[:2] for member in held_out], weights)
    return network, params, candidates[best], float(shares[best])


def _weights(share, n):
    """Of a fold's members."""
    return np.array([1 - share, share][:n])


def _merged_in_folds(algorithm, rounds, share):
    return [
        HeldOut(
            *algorithm.merge([member[:2] for member in members], _weights(share, len(members))),
            *members[0][2:],
        )
        for members in rounds
    ]


def _loss(algorithm, held_out):
    """Mean query loss of held-out tasks."""
    return float(np.mean([mean_query_loss(algorithm, *each) for each in held_out]))


def kept_of(progress, is_judged):
    """The parameters that a member would go on from: those that did best, or where it is."""
    stopping = progress.early_stopping
    if is_judged and stopping is not None and stopping.best is not None:
        return stopping.best
    return progress.state.averaged
