"""How far off predictions for new tasks are: conformal quantiles over tasks that were held out."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ._runtime import blas_threads, quiet
from ._slower import learn_slower
from .algorithms import PredictsStd
from .network import MLP, Params, both_classes
from .tasks._batch import MAX_CELLS, TaskArrays
from .tasks._episodes import EpisodeSampler

SIZES = 0, 1, 2, 5, 10, 20, 50, 100  # of the support, at which held-out tasks are learned
N_QUERY = 20  # rows of a task that are predicted after that, at most
MOST_TASKS = 1000  # what a coverage of 0.999 takes
EPISODES = 100  # at each size, at least: those of few tasks are repeated
ENOUGH = 19  # tasks of a size, what a coverage of 0.95 takes
LEVELS = 1000  # of coverage; what lies between two counts as the higher
ROUNDING = 1e-9  # of sums of weights


class Unseen(NamedTuple):
    """Tasks, and parameters that were not trained from them."""

    network: MLP
    params: Params
    arrays: TaskArrays
    tasks: np.ndarray  # (tasks,), their numbers in `arrays`
    support_order: str


class Scores(NamedTuple):
    """By how much query rows were missed."""

    values: np.ndarray  # (rows, outputs)
    task: np.ndarray  # (rows,)


@dataclass(frozen=True, eq=False)
class Conformal:
    """Quantiles of the scores of tasks that were held out, by support size.

    A score is by how much a row is missed: in regression its residual in the unit of
    `residual_unit`, of classes 1 less the probability of the right one.

    Parameters
    ----------
    sizes : ndarray of shape (sizes,)
        Support rows, or where each task has classes of its own, support rows a class; ascending.
        Of rows in blocks, of which supports have 0, 1, 2, ..., the mean number.
    n_tasks : int
        Held out.
    quantiles : ndarray of shape (sizes, levels, outputs)
        At the levels 1 / `LEVELS`, 2 / `LEVELS`, ..., 1; infinite where that takes more tasks.

    References
    ----------
    Y. Lee, R. F. Barber, R. Willett. "Distribution-free inference with hierarchical data". 2023.
    https://arxiv.org/abs/2306.06342

    A. Fisch, T. Schuster, T. Jaakkola, R. Barzilay. "Few-shot Conformal Prediction with Auxiliary
    Tasks". ICML 2021. https://arxiv.org/abs/2102.08898
    """

    sizes: np.ndarray
    n_tasks: int
    quantiles: np.ndarray

    @classmethod
    def of(cls, algorithm, unseen):
        """From how held-out tasks are predicted, each learned at every size that is below its own.

        A size that few tasks exceed is left out. Where those that do are too few for a level, its
        quantile is the next smaller size's, or their highest score if that is more: it grows with
        the level all the same.

        Parameters
        ----------
        algorithm : MetaAlgorithm
        unseen : list of Unseen
            Tasks there are, and none is in two of them.
        """
        random_state = np.random.RandomState(0)
        unseen = _some(unseen, random_state)
        sizes, quantiles, n_tasks = [], [], 0
        for size in SIZES:
            with blas_threads():
                scores, n_rows = _scores_at(size, algorithm, unseen, random_state)
            n_there = 0 if scores is None else len(np.unique(scores.task))
            if n_there < max(1, min(ENOUGH, n_tasks)):
                continue
            at_levels = weighted_quantiles(*scores)
            if sizes:
                least = np.maximum(scores.values.max(axis=0), quantiles[-1])
                at_levels = np.where(np.isinf(at_levels), least, at_levels)
            sizes.append(n_rows)
            quantiles.append(at_levels)
            n_tasks = n_tasks or n_there
        return cls(np.array(sizes), n_tasks, np.array(quantiles))

    def quantile(self, coverage, n_shots):
        """For rows whose tasks were learned from `n_shots` (rows,): (rows, outputs).

        Between two sizes the larger of their quantiles; beyond the last, that one's.

        Raises
        ------
        ValueError
            If so large a coverage takes more tasks.
        """
        level = int(np.ceil(coverage * LEVELS - ROUNDING))
        reached = LEVELS * self.n_tasks // (self.n_tasks + 1)
        if level > reached:
            raise ValueError(
                f"coverage={coverage:g} takes {-(-level // (LEVELS - level))} tasks that training "
                f"held out, found {self.n_tasks}: fit with more tasks, hold more of them out (a "
                f"larger validation_fraction, where n_members is 1), or ask for a coverage of at "
                f"most {reached / LEVELS:g}"
            )
        at_sizes = self.quantiles[:, level - 1]
        above = np.minimum(np.searchsorted(self.sizes, n_shots), len(self.sizes) - 1)
        below = np.maximum(np.searchsorted(self.sizes, n_shots, side="right") - 1, 0)
        return np.maximum(at_sizes[below], at_sizes[above])


def weighted_quantiles(values, task):
    """Quantiles of scores, each of N tasks weighing 1 / (N + 1), and infinity the same.

    Parameters
    ----------
    values : ndarray of shape (rows, outputs)
    task : ndarray of shape (rows,)
        Whose share is spread evenly over its rows.

    Returns
    -------
    ndarray of shape (levels, outputs)
        Of each level the least score up to which the weights are the level at least.
    """
    _, number, sizes = np.unique(task, return_inverse=True, return_counts=True)
    weight = 1 / (sizes[number] * (len(sizes) + 1))
    order = np.argsort(values, axis=0)
    total = np.cumsum(weight[order], axis=0) + ROUNDING  # (rows, outputs)
    levels = np.arange(1, LEVELS + 1) / LEVELS
    found = [
        np.append(values[order[:, k], k], np.inf)[np.searchsorted(total[:, k], levels)]
        for k in range(values.shape[1])
    ]
    return np.stack(found, axis=1)


def residual_unit(network, mean, std=None):
    """What residuals are measured in: what the algorithm says of the row, if it says anything.

    Parameters
    ----------
    network : MLP
    mean : ndarray
        Expected targets.
    std : ndarray or None
        Their predictive standard deviation, where the algorithm has one. Else counts are taken to
        vary as their mean does, and other targets alike.

    Returns
    -------
    ndarray of the mean's shape
    """
    if std is None:
        std = np.ones_like(mean) if network.loss.quadratic else np.sqrt(mean)
    return np.maximum(std, np.finfo(mean.dtype).tiny)


def scores_of_classes(mean):
    """1 less the probability of each class, from those that the network gives."""
    return 1 - (both_classes(mean) if mean.shape[-1] == 1 else mean)


def _some(unseen, random_state):
    """The same with no more tasks than `MOST_TASKS`, in a random order."""
    n_tasks = sum(len(each.tasks) for each in unseen)
    share = min(1, MOST_TASKS / n_tasks)
    orders = [random_state.permutation(each.tasks) for each in unseen]
    return [
        each._replace(tasks=order[: round(share * len(order))])
        for each, order in zip(unseen, orders, strict=True)
    ]


def _scores_at(size, algorithm, unseen, random_state):
    """Scores of the tasks that have more units than the size, learned from so many, or None; and
    rows of a unit of support times the size."""
    repeats = -(-EPISODES // sum(len(each.tasks) for each in unseen))
    values, tasks, n_before = [], [], 0
    n_rows = n_units = 0  # of supports
    for each in unseen:
        for numbers, n_shots, support, query in _episodes(each, size, repeats, random_state):
            there = query.weight > 0
            values.append(_scores(algorithm, each, support, query)[there])
            tasks.append(np.broadcast_to(n_before + numbers[:, None], there.shape)[there])
            n_rows, n_units = n_rows + np.count_nonzero(support.weight), n_units + n_shots.sum()
        n_before += len(each.arrays)
    if not values:
        return None, size
    in_rows = size * n_rows / n_units if n_units != n_rows else size
    return Scores(np.concatenate(values), np.concatenate(tasks)), in_rows


def _episodes(unseen, size, repeats, random_state):
    """Of the tasks that have more units than the size, in chunks of bounded memory.

    Yields their numbers, units of support, support and query.
    """
    arrays, tasks = unseen.arrays, unseen.tasks
    n_support = np.full(len(arrays), size)
    if arrays.n_classes is not None:
        n_support *= arrays.n_classes  # 0 rows tell nothing of what the classes are
    sampler = EpisodeSampler(arrays, size, N_QUERY, unseen.support_order)
    large = (sampler.n_units > n_support) & ((n_support > 0) | (arrays.n_classes is None))
    tasks = np.repeat(tasks[large[tasks]], repeats)
    width, least = unseen.network.cells
    longest = sampler.largest_unit * (n_support.max() + N_QUERY)
    length = max(1, MAX_CELLS // max(width * longest, least))
    for start in range(0, len(tasks), length):
        numbers = tasks[start : start + length]
        deal = sampler.deal(numbers[None], random_state)
        support, query = sampler.episode(deal, 0)
        n_shots = deal.support.n_units
        enough = np.flatnonzero(n_shots == n_support[numbers])
        if len(enough):
            yield numbers[enough], n_shots[enough], support.take(enough), query.take(enough)


@quiet
def _scores(algorithm, unseen, support, query):
    """Of query rows, (tasks, rows, outputs), or of classes (tasks, rows, 1)."""
    network = unseen.network
    found = learn_slower(algorithm, network, unseen.params, support)
    scores = np.full(
        (*query.y.shape[:2], network.n_outputs if network.loss.deviance else 1), np.inf
    )
    learned = np.flatnonzero(~found.diverged)
    if len(learned):
        adapted, rows = found.adapted.take(learned), query.take(learned)
        scores[learned] = _scores_of_learned(adapted, network, rows)
    return np.where(np.isnan(scores), np.inf, scores)


def _scores_of_learned(adapted, network, query):
    mean = network.loss.mean(adapted.outputs(network, query.X, query.logit_mask))
    if network.loss.deviance:
        std = adapted.std(network, query.X) if isinstance(adapted, PredictsStd) else None
        return np.abs(query.y - mean) / residual_unit(network, mean, std)
    right = both_classes(query.y) if query.y.shape[-1] == 1 else query.y
    return np.einsum("tmk,tmk->tm", scores_of_classes(mean), right)[..., None]
