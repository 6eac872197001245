"""Adapted tasks: their networks, found by task id, and prediction with them."""

from dataclasses import dataclass

import numpy as np
from sklearn.utils.parallel import Parallel, delayed

from ._compat import blas_threads
from ._messages import inner_rate, of_task
from .tasks import TaskArrays


@dataclass(frozen=True)
class AdaptedTasks:
    """Tasks that were learned, in the order in which they were.

    Parameters
    ----------
    ids : ndarray of shape (n_tasks,)
    weights : TaskWeights or GaussianProcesses
    support : TaskArrays
        What they were learned from: a posterior's width is found anew from it.
    classes : list of ndarray or None
        Of each task, where each has its own.
    """

    ids: np.ndarray
    weights: object
    support: TaskArrays
    classes: list | None

    @classmethod
    def learn(cls, algorithm, network, params, ids, arrays, classes, n_jobs=None):
        """Adapt every task of `arrays` to all of its rows, in chunks of bounded memory."""

        def adapt(tasks, batch):
            return tasks, algorithm.adapt(network, params, batch)

        chunks = arrays.chunks(max(network.layer_units), network.layout.size)
        with blas_threads(), np.errstate(over="ignore", invalid="ignore"):
            parts = Parallel(n_jobs=n_jobs, prefer="threads")(
                delayed(adapt)(tasks, batch) for tasks, batch in chunks
            )
        order = np.argsort(np.concatenate([tasks for tasks, _ in parts]))
        weights = _concatenate([weights for _, weights in parts]).take(order)
        wrong = np.flatnonzero(~weights.finite(len(ids)))
        if len(wrong):
            raise ValueError(
                f"{of_task('adaptation', ids[wrong[0]])} diverged, its weights are not finite: "
                f"{inner_rate(algorithm, 'lower ', ', or ')}scale the features and targets"
            )
        return cls(ids, weights, arrays, classes)

    def __len__(self):
        return len(self.ids)

    def find(self, groups):
        """Each row's place among the tasks, -1 where its task is not one of them."""
        place = {name: i for i, name in enumerate(self.ids.tolist())}
        return np.array([place.get(name, -1) for name in groups.tolist()], np.intp)

    def merge(self, later):
        """These tasks and the later ones, which replace those of the same id."""
        keep = np.flatnonzero(later.find(self.ids) < 0)
        classes = None
        if self.classes is not None:
            classes = [*(self.classes[i] for i in keep), *later.classes]
        kept = self.support.take(keep)
        return AdaptedTasks(
            _join_ids(self.ids[keep], later.ids),
            _concatenate([self.weights.take(keep), later.weights]),
            kept.stack(later.support),
            classes,
        )

    def outputs(self, network, X, place):
        """Network outputs before the link of rows of these tasks, (rows, outputs)."""

        def forward(tasks, batch):
            mask = self.support.logit_mask(tasks)
            return self.weights.take(tasks).outputs(network, batch.X, mask)

        return self._by_task(network, X, place, forward)

    def spread(self, algorithm, network, params, X, place):
        """The algorithm's predictive standard deviation of rows of these tasks."""

        def std(tasks, batch):
            return algorithm.predict_std(network, params, self.support.full_batch(tasks), batch.X)

        return self._by_task(network, X, place, std)

    def _by_task(self, network, X, place, function):
        """Apply a function of (task numbers, padded batch) to rows, task by task."""
        order = np.argsort(place, kind="stable")
        tasks, counts = np.unique(place, return_counts=True)
        rows = TaskArrays(X[order], X[order, :0], np.concatenate([[0], np.cumsum(counts)]))
        result = None
        for numbers, batch in rows.chunks(max(network.layer_units)):
            values = function(tasks[numbers], batch)  # (tasks, rows, outputs)
            if result is None:
                result = np.empty((len(X), *values.shape[2:]), values.dtype)
            filled = batch.weight > 0
            starts = rows.offsets[numbers][:, None] + np.arange(filled.shape[1])
            result[order[starts[filled]]] = values[filled]
        return result


def _concatenate(parts):
    """What adaptation returned for several batches in one, of whatever kind it is."""
    return type(parts[0]).concatenate(parts)


def _join_ids(ids, later):
    """One array of both, in which an id stays what it was: 1 does not become "1"."""
    if ids.dtype.kind != later.dtype.kind:
        ids, later = ids.astype(object), later.astype(object)
    return np.concatenate([ids, later])


def prior_outputs(algorithm, network, params, X):
    """Network outputs before the link of a task of which nothing is known."""
    return algorithm.prior(network, params).outputs(network, X[None])[0]
