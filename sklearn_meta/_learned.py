"""What was meta-learned: how tasks are learned by it, and their rows predicted."""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from ._conformal import Conformal, residual_unit, scores_of_classes
from ._known_tasks import UNKNOWN, KnownTasks
from ._messages import inner_rate, of_task
from ._ragged import Runs, as_offsets, blocks, pad
from ._runtime import Cached, blas_threads, each_in_threads, quiet
from ._slower import learn_slower, warn_of_slowed
from ._tasks_on_demand import FAR_LESS, MAX_BYTES, bytes_of_rows, on_demand, own_bytes
from .algorithms import AdaptedTasks, BayesianHead, MetaAlgorithm, PredictsStd
from .encoding import Encoder
from .export import export
from .network import MLP, Params, TaskWeights
from .tasks._batch import MAX_CELLS, TaskBatch, logit_mask
from .tasks._ids import as_keys


class Asked(NamedTuple):
    """Rows to predict, and where their tasks are found."""

    X: np.ndarray  # (rows, features), encoded
    place: np.ndarray  # (rows,), of each one's task among `tasks`, or UNKNOWN
    tasks: KnownTasks | None
    groups: np.ndarray | None = None  # (rows,), their ids; None: all are of one task

    @property
    def n_shots(self):
        """What each one's task was learned from, (rows,)."""
        if self.tasks is None:
            return np.zeros(len(self.place), int)
        return self.tasks.n_shots(self.place)

    def rows_by_task(self):
        """Row numbers of each task, known or not, in the order in which tasks appear."""
        if self.groups is None:
            return [np.arange(len(self.X))]
        number_of = {}
        task = [number_of.setdefault(key, len(number_of)) for key in as_keys(self.groups)]
        order = np.argsort(task, kind="stable")
        return np.split(order, np.cumsum(np.bincount(task))[:-1])


class OneTask(NamedTuple):
    """A task that is asked, and its rows."""

    id: object
    rows: np.ndarray  # (rows,), their numbers
    adapted: AdaptedTasks  # of this one only
    mask: np.ndarray | None  # (1, 1, outputs), where it has fewer classes than there are outputs
    classes: np.ndarray | None  # in the order of the outputs
    ruled_out: np.ndarray | None  # (classes,), of shared ones, those that rows cannot have


@dataclass(frozen=True, eq=False)
class Learned(Cached):
    """What was meta-learned: everything that a new task needs.

    Parameters
    ----------
    encoder : Encoder
    algorithm : MetaAlgorithm
    params : Params
    network : MLP
        The encoder's, or several of its like merged into one.
    n_folds : int, default=1
        Of the tasks, on which the merged networks were trained.
    share : float or None, default=None
        What the linear ones among them count.
    conformal : Conformal or None
        How far off predictions for new tasks are; None where training held no task out.
    """

    encoder: Encoder
    algorithm: MetaAlgorithm
    params: Params
    network: MLP
    n_folds: int = 1
    share: float | None = None
    conformal: Conformal | None = None

    def learn(self, encoded, n_jobs=None):
        """Learn every encoded task from all of its rows, in chunks of bounded memory.

        Where what tasks hold would take much memory, and their rows less, these are kept instead.
        """
        ids, rows, classes = encoded
        first, *others = rows.task_blocks(*self.network.cells)
        slowed = []

        def learn(tasks):
            return self.learn_batch(rows.full_batch(tasks), ids[tasks], slowed)

        def try_to_learn(tasks):
            learn(tasks)

        with blas_threads():
            parts = [learn(first)]
            keep = not others or self._can_keep(rows, parts[0], first)
            parts += each_in_threads(learn if keep else try_to_learn, others, n_jobs)
        warn_of_slowed(self.algorithm, slowed)
        adapted = _in_order(parts, np.concatenate([first, *others])) if keep else None
        if not keep or self._rows_take_far_less(encoded):
            adapted = on_demand(self, rows, parts[0], adapted)
        return KnownTasks.of(ids, adapted, classes, rows.n_there)

    @quiet
    def learn_batch(self, support, ids, slowed):
        """Learn a padded batch of tasks.

        Parameters
        ----------
        support : TaskBatch
        ids : ndarray of shape (tasks,)
            They name the one that cannot be learned.
        slowed : list of (id, int)
            Those that diverged are noted in it, and how often their inner rate was halved.
        """
        self._check_rows(support.weight, ids)
        found = learn_slower(self.algorithm, self.network, self.params, support)
        wrong = np.flatnonzero(found.diverged)
        if len(wrong):
            raise ValueError(
                f"{of_task('adaptation', ids[wrong[0]])} diverged, its weights are not finite: "
                f"{inner_rate(self.algorithm, 'lower ', ', or ')}scale the features and targets"
            )
        slower = np.flatnonzero(found.halvings)
        slowed.extend(zip(ids[slower], found.halvings[slower].tolist(), strict=True))
        return found.adapted

    def outputs(self, asked):
        """Network outputs before the link of rows, (rows, outputs)."""

        def of(adapted, X, mask=None):
            return adapted.outputs(self.network, X, mask)

        with blas_threads():
            z = self._answer(asked, of, lambda: self._prior)
        ruled_out = self._ruled_out(asked)
        return z if ruled_out is None else rule_out(z, ruled_out)

    def each_task(self, asked):
        """The tasks of rows one by one, in the order in which they appear, list of OneTask."""
        unknown, ruled_out = self._from_nothing(1), self._ruled_out(asked)
        shared = self.encoder.targets.classes if self.encoder.is_classifier else None
        found = []
        for rows in asked.rows_by_task():
            place, adapted, mask, classes = asked.place[rows[0]], unknown, None, shared
            if place != UNKNOWN:
                ((batch, _, numbers),) = asked.tasks.by_part(np.array([place]))
                adapted, mask = batch.adapted.take(numbers), self._logit_mask(batch, numbers)
                classes = shared if batch.classes is None else batch.classes[numbers[0]]
            name = None if asked.groups is None else asked.groups[rows[0]]
            found.append(OneTask(name, rows, adapted, mask, classes, ruled_out))
        return found

    def _ruled_out(self, asked):
        """Mask of the shared classes that rows cannot have, (classes,); None: all are possible."""
        if asked.tasks is None or asked.tasks.among is None:
            return None
        return ~np.isin(self.encoder.targets.classes, asked.tasks.among)

    def std(self, asked):
        """Predictive standard deviation of rows, as the network sees targets, (rows, outputs)."""

        def of(adapted, X, mask=None):
            self._check_std(adapted)
            return adapted.std(self.network, X, mask)

        with blas_threads():
            return self._answer(asked, of, lambda: self._from_nothing(1))

    def inverse_df(self, asked):
        """One over the degrees of freedom of rows' predictive distributions, (rows, outputs).

        0: Gaussian.
        """
        if not isinstance(self.algorithm, BayesianHead) or not self.network.loss.quadratic:
            return np.zeros((len(asked.X), self.network.n_outputs))

        def of(adapted, X, mask=None):
            return adapted.inverse_df(self.network, X, mask)

        with blas_threads():
            return self._answer(asked, of, lambda: self._from_nothing(1)).astype(float)

    @quiet
    def interval(self, asked, coverage):
        """Bounds of rows' targets, (rows, outputs), in the user's terms: lower, upper."""
        quantile = self._quantile(asked, coverage)
        mean = self.network.loss.mean(self.outputs(asked)).astype(float)
        std = self.std(asked) if isinstance(self._from_nothing(1), PredictsStd) else None
        width = quantile * residual_unit(self.network, mean, std)
        lower = mean - width
        if not self.network.loss.quadratic:
            lower = np.maximum(lower, 0)
        return tuple(_below_infinity(self.encoder.targets.decode(z)) for z in (lower, mean + width))

    @quiet
    def class_set(self, asked, coverage):
        """Which classes rows may have, (rows, classes), the most probable one among them."""
        quantile = self._quantile(asked, coverage)
        scores = scores_of_classes(self.network.loss.mean(self.outputs(asked)))
        return scores <= np.maximum(quantile, scores.min(axis=1, keepdims=True))

    def in_columns(self, asked, values):
        """Values of classes (rows, outputs) in the columns of those that rows can have; or None."""
        if values is None:
            return None
        if not self.encoder.shared_labels:
            return asked.tasks.in_columns(values, asked.place)
        ruled_out = self._ruled_out(asked)
        return values if ruled_out is None else values[:, ~ruled_out]

    def _quantile(self, asked, coverage):
        if self.conformal is None:
            raise ValueError(
                f"coverage={coverage:g} is promised for new tasks by those that training held out, "
                "and there are none: partial_fit and early_stopping=False hold none out, nor does "
                "validation_fraction if it is less than one task; fit with early_stopping=True and "
                "more tasks"
            )
        return self.conformal.quantile(coverage, asked.n_shots)

    @quiet
    def decode_std(self, std):
        """Standard deviations (rows, outputs) of targets in the user's terms."""
        return _below_infinity(self.encoder.targets.decode_std(std))

    @quiet
    def decode(self, z, place, classes=None):
        """Predictions in the user's terms from outputs (rows, outputs) of rows of tasks."""
        targets = self.encoder.targets
        if not self.encoder.is_classifier:
            return _below_infinity(targets.decode(self.network.loss.mean(z)))
        codes = (z[:, 0] > 0).astype(int) if z.shape[1] == 1 else z.argmax(axis=1)
        if self.encoder.shared_labels:
            return targets.classes[codes]
        tasks, task = np.unique(place, return_inverse=True)
        own = [classes[i] for i in tasks.tolist()]
        starts = as_offsets(list(map(len, own)))[:-1]
        return np.concatenate(own)[starts[task] + codes]

    def export(self, tasks, number):
        """One of the tasks as a fitted clone of the user's estimator."""
        ((batch, _, (number,)),) = tasks.by_part(np.array([number]))
        classes = None if batch.classes is None else batch.classes[number]
        return self._export(batch.adapted.task(number), classes)

    def export_prior(self):
        """The prior as a fitted clone of the user's estimator."""
        own = None if self.encoder.shared_labels else np.arange(self.encoder.targets.n_classes)
        return self._export(self._prior, own)

    def _export(self, task, classes):
        if isinstance(task, TaskWeights):
            task = TaskWeights(self.network.as_plain(task.layers))
        return export(task, self.encoder, classes)

    @cached_property
    def _prior(self):
        return self.algorithm.prior(self.network, self.params)

    @quiet
    def _from_nothing(self, n_tasks):
        """Tasks learned from no rows."""
        n_features, dtype = self.network.layer_units[0], self.params.vector.dtype
        X, y = (np.empty((n_tasks, 0, n), dtype) for n in (n_features, self.network.n_outputs))
        return self.algorithm.learn(self.network, self.params, TaskBatch(X, y, X[..., 0]))

    @cached_property
    def _bytes(self):
        """What each task takes of its own, whatever its rows."""
        return own_bytes(self._from_nothing(2), 2) / 2

    def _rows_take_far_less(self, encoded):
        """So little that they can be kept beside what is learned, lest too many tasks come."""
        ids, rows, _ = encoded
        return ids[0] is not None and bytes_of_rows(rows) < FAR_LESS * self._bytes * len(ids)

    def _can_keep(self, rows, adapted, tasks):
        """Whether all tasks may be kept as learned, as some of them were."""
        sizes = rows.sizes
        of_rows = own_bytes(adapted, len(tasks)) - self._bytes * len(tasks)
        share = sizes.sum() / max(1, sizes[tasks].sum())
        total = self._bytes * len(rows) + of_rows * share
        return total < max(MAX_BYTES, bytes_of_rows(rows))

    def _check_rows(self, weight, ids):
        """Row weights (tasks, rows): no task has more rows than the algorithm can learn from."""
        most = self.algorithm.most_rows
        if most is None or weight.shape[1] <= most:
            return
        sizes = np.count_nonzero(weight, axis=1)
        largest = sizes.argmax()
        if sizes[largest] > most:
            rows = sizes[largest]
            raise ValueError(
                f"{of_task('adaptation', ids[largest])} has {rows} rows, of which {self.algorithm} "
                f"makes a matrix of {rows} x {rows} numbers, {rows**2 / 2**27:.1f} GiB; it takes "
                f"{most} rows at most: pass fewer rows of the task"
            )

    @quiet
    def _answer(self, asked, function, unknown):
        """A function of (adapted tasks, rows, logit mask), of all rows, (rows, outputs).

        Rows of unknown tasks are answered by the adapted task that `unknown` gives.
        """
        X, place, tasks, _ = asked
        result = np.empty((len(X), self.network.n_outputs), X.dtype)
        width = max(self.network.layer_units)
        runs = Runs.of(place, max(1, MAX_CELLS // width))
        n_unknown = np.searchsorted(runs.task, UNKNOWN, side="right")  # they come first
        for run in range(n_unknown):
            rows = runs.order[runs.starts[run] :][: runs.sizes[run]]
            result[rows] = function(unknown(), X[rows][None])[0]
        if n_unknown < len(runs.task):
            self._by_task(X, tasks, runs.take(slice(n_unknown, None)), function, result)
        return _below_infinity(result)

    def _by_task(self, X, tasks, runs, function, result):
        """The function of runs of rows of known tasks, into the result (rows, outputs)."""
        width = max(self.network.layer_units)
        for batch, which, numbers in tasks.by_part(runs.task):
            sizes, before = runs.sizes[which], None
            for some in blocks(sizes, sizes * width, MAX_CELLS):
                if not np.array_equal(numbers[some], before):  # else the next run of one task
                    before = numbers[some]
                    adapted, mask = _taken(batch, before), self._logit_mask(batch, before)
                index, filled = pad(runs.starts[which[some]], sizes[some])
                rows = runs.order[index]
                result[rows[filled]] = function(adapted, X[rows], mask)[filled]

    def _logit_mask(self, batch, numbers):
        if batch.classes is None:
            return None
        n_classes = np.array([len(batch.classes[number]) for number in numbers.tolist()])
        return logit_mask(n_classes, self.network.n_outputs, self.encoder.dtype)

    def _check_std(self, adapted):
        if not isinstance(adapted, PredictsStd):
            raise ValueError(
                f"return_std=True needs a Bayesian algorithm; {self.algorithm} is none"
            )


def rule_out(z, classes):
    """Outputs (..., rows, outputs) by which the classes of the mask (classes,) cannot be."""
    if z.shape[-1] > 1:
        return np.where(classes, -np.inf, z).astype(z.dtype, copy=False)
    first, second = classes  # the one output is the logit of the second
    return np.full_like(z, np.inf if first else -np.inf) if first or second else z


def _below_infinity(values):
    """The same; raise where a row's overflow. The output of a class that a task lacks is -inf."""
    wrong = np.flatnonzero(~(values < np.inf).reshape(len(values), -1).all(axis=1))
    if len(wrong):
        raise ValueError(
            f"the prediction of row {wrong[0]} of X is not finite, its features are too far from "
            "those in training: scale them"
        )
    return values


def _taken(batch, numbers):
    """Some of the tasks of a batch, with nothing copied where these are all of them in order."""
    n_tasks = len(batch.ids)
    if len(numbers) == n_tasks and np.array_equal(numbers, np.arange(n_tasks)):
        return batch.adapted
    return batch.adapted.take(numbers)


def _in_order(parts, numbers):
    """What was learned in several parts in one, in the order of the numbers of their tasks."""
    adapted, order = type(parts[0]).concatenate(parts), np.argsort(numbers)
    in_order = len(parts) > 1 and np.array_equal(order, np.arange(len(order)))
    del parts[1:]  # lest there be a third copy
    return adapted if in_order else adapted.take(order)  # what was learned may be views
