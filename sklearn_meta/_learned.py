"""What was meta-learned, and the tasks that it has learned since: found by id, and predicted."""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from joblib import Parallel, delayed

from ._messages import inner_rate, of_task
from ._ragged import as_offsets
from ._runtime import Cached, blas_threads, quiet
from .algorithms import AdaptedTasks, MetaAlgorithm, PredictsStd
from .encoding import Encoder
from .export import export
from .network import Params
from .tasks._batch import TaskArrays, TaskBatch, logit_mask
from .tasks._ids import as_keys, join_ids

UNKNOWN = -1  # the place of a row whose task is not among those asked


@dataclass(frozen=True, eq=False)
class KnownTasks(Cached):
    """Tasks that were learned, in the order in which they were.

    Parameters
    ----------
    ids : ndarray of shape (n_tasks,)
    adapted : AdaptedTasks
    classes : list of ndarray or None
        Of each task, where each has its own.
    among : ndarray or None
        Where classes are shared, those that the rows can have; None: any.
    """

    ids: np.ndarray
    adapted: AdaptedTasks
    classes: list | None
    among: np.ndarray | None = None

    def __len__(self):
        return len(self.ids)

    @cached_property
    def _places(self):
        return {name: i for i, name in enumerate(as_keys(self.ids))}

    def find(self, groups):
        """Each row's place among the tasks, UNKNOWN where its task is not one of them."""
        places = self._places
        return np.array([places.get(name, UNKNOWN) for name in as_keys(groups)], np.intp)

    def merge(self, later):
        """These tasks and the later ones, which replace those of the same id."""
        keep = np.flatnonzero(later.find(self.ids) == UNKNOWN)
        classes = None
        if self.classes is not None:
            classes = [*(self.classes[i] for i in keep), *later.classes]
        parts = [self.adapted.take(keep), later.adapted]
        return KnownTasks(join_ids(self.ids[keep], later.ids), _concatenate(parts), classes)

    def in_columns(self, values, place):
        """Values (rows, outputs) by each task's own classes, in columns for `all_classes`."""
        if values is None:
            return None
        columns = self.all_classes
        wide = np.zeros((len(values), len(columns)), values.dtype)
        for task in np.unique(place):
            rows = np.flatnonzero(place == task)
            own = np.searchsorted(columns, self.classes[task])
            wide[np.ix_(rows, own)] = values[rows, : len(own)]
        return wide

    @property
    def all_classes(self):
        """Of all tasks together, where each has its own."""
        return np.unique(np.concatenate(self.classes))


class Asked(NamedTuple):
    """Rows to predict, and where their tasks are found."""

    X: np.ndarray  # (rows, features), encoded
    place: np.ndarray  # (rows,), of each one's task among `tasks`, or UNKNOWN
    tasks: KnownTasks | None


@dataclass(frozen=True, eq=False)
class Learned:
    """What was meta-learned: everything that a new task needs.

    Parameters
    ----------
    encoder : Encoder
    algorithm : MetaAlgorithm
    params : Params
    """

    encoder: Encoder
    algorithm: MetaAlgorithm
    params: Params

    @property
    def network(self):
        return self.encoder.network

    def learn(self, encoded, n_jobs=None):
        """Learn every encoded task from all of its rows, in chunks of bounded memory."""

        def learn(tasks, batch):
            return tasks, self.learn_batch(batch, encoded.ids[tasks])

        chunks = encoded.arrays.chunks(*self.network.cells)
        with blas_threads():
            parts = Parallel(n_jobs=n_jobs, prefer="threads")(
                delayed(learn)(tasks, batch) for tasks, batch in chunks
            )
        order = np.argsort(np.concatenate([tasks for tasks, _ in parts]))
        adapted = _concatenate([adapted for _, adapted in parts]).take(order)
        return KnownTasks(encoded.ids, adapted, encoded.classes)

    @quiet
    def learn_batch(self, support, ids):
        """Learn a padded batch of tasks, whose ids name the one that diverges."""
        adapted = self.algorithm.learn(self.network, self.params, support)
        wrong = np.flatnonzero(~adapted.finite(len(ids)))
        if len(wrong):
            raise ValueError(
                f"{of_task('adaptation', ids[wrong[0]])} diverged, its weights are not finite: "
                f"{inner_rate(self.algorithm, 'lower ', ', or ')}scale the features and targets"
            )
        return adapted

    def outputs(self, asked):
        """Network outputs before the link of rows, (rows, outputs)."""

        def known(adapted, batch, mask):
            return adapted.outputs(self.network, batch.X, mask)

        def unknown(X):
            return self.algorithm.prior(self.network, self.params).outputs(self.network, X)

        with blas_threads():
            z = self._answer(asked, known, unknown)
        if asked.tasks is None or asked.tasks.among is None:
            return z
        return _rule_out(z, ~np.isin(self.encoder.targets.classes, asked.tasks.among))

    def std(self, asked):
        """Predictive standard deviation of rows, as the network sees targets, (rows, outputs)."""

        def known(adapted, batch, mask):
            self._check_std(adapted)
            return adapted.std(self.network, batch.X, mask)

        def unknown(X):
            y = np.empty((1, 0, self.network.n_outputs), X.dtype)
            nothing = TaskBatch(X[:, :0], y, X[:, :0, 0])
            adapted = self.algorithm.learn(self.network, self.params, nothing)
            self._check_std(adapted)
            return adapted.std(self.network, X)

        with blas_threads():
            return self._answer(asked, known, unknown)

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
        return np.array([classes[p][c] for p, c in zip(place, codes, strict=True)])

    def export(self, tasks, number):
        """One of the tasks as a fitted clone of the user's estimator."""
        classes = None if tasks.classes is None else tasks.classes[number]
        return export(tasks.adapted.task(number), self.encoder, classes)

    def export_prior(self):
        """The prior as a fitted clone of the user's estimator."""
        prior = self.algorithm.prior(self.network, self.params)
        own = None if self.encoder.shared_labels else np.arange(self.encoder.targets.n_classes)
        return export(prior, self.encoder, own)

    @quiet
    def _answer(self, asked, known, unknown):
        """One function for rows of known tasks, another for the others, (rows, outputs)."""
        X, place, tasks = asked
        is_known = place != UNKNOWN
        result = np.empty((len(X), self.network.n_outputs), X.dtype)
        if not is_known.all():
            result[~is_known] = unknown(X[~is_known][None])[0]
        if is_known.any():
            result[is_known] = self._by_task(X[is_known], place[is_known], tasks, known)
        return _below_infinity(result)

    def _by_task(self, X, place, tasks, function):
        """A function of (adapted tasks, padded batch, logit mask), of rows of known tasks."""
        order = np.argsort(place, kind="stable")
        numbers, counts = np.unique(place, return_counts=True)
        rows = TaskArrays(X[order], X[order, :0], as_offsets(counts))
        result = np.empty((len(X), self.network.n_outputs), X.dtype)
        for some, batch in rows.chunks(max(self.network.layer_units)):
            mask = self._logit_mask(tasks, numbers[some])
            values = function(_taken(tasks.adapted, numbers[some], len(tasks)), batch, mask)
            index, filled = rows.padded(some)
            result[order[index[filled]]] = values[filled]
        return result

    def _logit_mask(self, tasks, numbers):
        if tasks.classes is None:
            return None
        n_classes = np.array([len(tasks.classes[number]) for number in numbers])
        return logit_mask(n_classes, self.network.n_outputs, self.encoder.dtype)

    def _check_std(self, adapted):
        if not isinstance(adapted, PredictsStd):
            raise ValueError(
                f"return_std=True needs a Bayesian algorithm; {self.algorithm} is none"
            )


def _rule_out(z, classes):
    """Outputs (rows, outputs) by which the classes of the mask (classes,) cannot be."""
    if z.shape[1] > 1:
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


def _taken(adapted, numbers, n_tasks):
    """Some of the adapted tasks, with nothing copied where these are all of them in order."""
    if np.array_equal(numbers, np.arange(n_tasks)):
        return adapted
    return adapted.take(numbers)


def _concatenate(parts):
    """What adaptation returned for several batches in one, of whatever kind it is."""
    return type(parts[0]).concatenate(parts)
