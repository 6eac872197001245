"""task_map: the tasks as points, by what each learned; TaskMapDisplay draws them."""

import numpy as np
from sklearn.decomposition import PCA

from .._arguments import random_state_of
from .._messages import listed, shown
from ..algorithms import BayesianHead
from ..encoding._input import as_handed, is_rows, task_collection
from ..network import TaskWeights
from ._atypicality import log_densities, log_densities_of_draws
from ._plotting import check_number
from ._tasks import fitted, needs_shared_classes, outputs_on, place_of, prior_asked

SPACES = "auto", "predictions", "head", "weights"
MOST_ROWS = 300  # on which the predictions of tasks are compared


class TaskMap:
    """Tasks as points, by what each learned.

    Parameters
    ----------
    task_ids : ndarray of shape (n_tasks,)
    coordinates : ndarray of shape (n_tasks, n_coordinates)
        What each task learned less the prior, which lies at 0.
    space : {"head", "predictions", "weights"}
        What the coordinates are.
    meta : MetaLearner
        That learned them.
    reference : TaskCollection or None
        The tasks' rows, where they were given.

    Attributes
    ----------
    embedding : ndarray of shape (n_tasks, 2)
        The first two principal components of the coordinates.
    explained_variance_ratio : ndarray of shape (2,)
        The share of the variance between tasks along each.
    prior : ndarray of shape (2,)
        Where a task of which nothing is known lies among them.

    See Also
    --------
    task_map : Makes one.
    TaskMapDisplay : Draws it.
    """

    def __init__(self, task_ids, coordinates, space, meta, reference=None):
        self.task_ids, self.coordinates, self.space = task_ids, coordinates, space
        self.reference, self._meta = reference, meta
        wide = coordinates.astype(float)
        if wide.shape[1] == 1:  # the second component is nothing
            wide = np.pad(wide, ((0, 0), (0, 1)))
        pca = PCA(n_components=2, svd_solver="full").fit(wide)
        self.embedding = pca.transform(wide)
        self.explained_variance_ratio = pca.explained_variance_ratio_
        self.prior = pca.transform(np.zeros((1, wide.shape[1])))[0]

    def __repr__(self):
        shares = " and ".join(f"{share:.0%}" for share in self.explained_variance_ratio)
        return (
            f"TaskMap(n_tasks={len(self.task_ids)}, space={self.space!r}): two components hold "
            f"{shares} of the variance of {self.coordinates.shape[1]} coordinates"
        )

    def nearest(self, task, n=5):
        """Ids of the tasks that learned what is most like it, the nearest first.

        Parameters
        ----------
        task : object
            The id of a task.
        n : int, default=5
            How many others.

        Returns
        -------
        ndarray of shape (n,)
            By the distance of all coordinates, not of the two in the picture.
        """
        number = self.place(task)
        check_number("n", n, 1, len(self.task_ids) - 1, "a number of other tasks")
        distance = np.linalg.norm(self.coordinates - self.coordinates[number], axis=1)
        distance[number] = np.inf
        return self.task_ids[np.argsort(distance, kind="stable")[:n]]

    def atypicality(self, X, y=None, groups=None, *, random_state=0):
        """How unlike all tasks of the map a new one is, before anything is learned from it.

        What is compared is the mean log density per row of the new task's rows, as the prior
        predicts them, with that of as many rows of each task of the map: the first ones, where
        the MetaLearner has ``support_order="first"``, else drawn at random. So the new rows
        should be chosen in the same way: rows that are all alike are more likely than rows
        from all over a task.

        The atypicality is the share of the tasks that the prior finds more likely, the new one
        counted among them: 0 is the most usual, and near 1 is unlike all. Of a new
        task that is like the others it is uniform, so that one less it is a p-value, if the
        tasks of the map were not trained on. Of those that were, the prior has seen the rows, and
        a new task looks a little more unusual than it is.

        The density is, for `BayesianHead` and squared error, that of all rows together,
        a Gaussian with the covariance of the prior's head and the noise, so that what
        counts is not that rows are off, but that they are off in a way in which tasks never are.
        For other algorithms with a standard deviation each row is a Gaussian by itself. For
        those that have none, for counts and for classes, the negative loss of the prior
        takes its place: squared error, deviance, or log-loss, which is minus the log
        probability of the class.

        Parameters
        ----------
        X, y, groups
            The support of a new task, or of several, as `fit_adapt` takes them.
        random_state : int, RandomState or None, default=0
            Of the rows drawn from the tasks of the map.

        Returns
        -------
        float or ndarray of shape (n_tasks,)
            An array where X is a collection, or rows with groups.

        Raises
        ------
        ValueError
            If the map was made without rows, or no task of it has as many rows as a new one.
        """
        if self.reference is None:
            raise ValueError(
                "atypicality compares with rows of tasks, but the map was made without: "
                "task_map(meta, X, y, groups)"
            )
        meta = as_handed(self._meta, X) if is_rows(X) else self._meta
        tasks = task_collection(meta, X, y, groups)
        random_state = random_state_of(random_state)
        learned, first = self._meta._served.learned, self._meta.support_order == "first"
        sizes = tasks.sizes
        most = self.reference.sizes.max()
        if sizes.max() > most:
            raise ValueError(
                f"X has a task of {sizes.max()} rows, the tasks of the map have {most} at most: "
                "pass fewer rows"
            )
        encoded, reference = (
            learned.encoder.encode(each).arrays for each in (tasks, self.reference)
        )
        density, found = log_densities(learned, encoded), np.empty(len(tasks))
        for n in np.unique(sizes):
            others = log_densities_of_draws(learned, reference, n, first, random_state)
            same = np.flatnonzero(sizes == n)
            higher = (others > density[same][:, None]).sum(axis=1)
            found[same] = higher / (len(others) + 1)
        alone = len(tasks) == 1 and tasks.task_ids[0] is None
        return float(found[0]) if alone else found

    def place(self, task):
        """The number of a task among `task_ids`, by its id."""
        return place_of(task, self.task_ids, "the tasks of the map")


def task_map(meta, X=None, y=None, groups=None, *, space="auto"):
    """Place tasks by what each learned.

    Parameters
    ----------
    meta : MetaLearner
        Fitted; it stays as it is.
    X, y, groups
        The tasks, as `fit` takes them, each of which is then adapted to all of its rows. None:
        those that `meta` knows (`tasks_`).
    space : {"auto", "predictions", "head", "weights"}, default="auto"
        By what tasks are compared, each time less the prior:

        - "predictions": what tasks predict for the same rows (300 of X, drawn at random), as the
          network sees targets (of classes, log-odds): for every algorithm, and in terms of what
          matters.
        - "head": the output layer that `BayesianHead` found, in standard deviations of its
          prior (the whitened posterior mean). A direction counts as much as the prior finds it
          rare, whether it changes predictions or not, so that the picture shows the odd tasks
          rather than the groups. Outputs or classes, where there are several, lie side by side.
        - "weights": adapted minus initial weights. Two tasks may be far apart and predict
          alike.
        - "auto": "predictions" where X is given; else "head" for `BayesianHead`, and "weights"
          for others.

        Whichever it is, what a task's few rows do not say stays as in the prior: tasks with few
        rows lie nearer to it.

    Returns
    -------
    TaskMap

    Raises
    ------
    ValueError
        If there are fewer than 3 tasks, each has classes of its own, or the algorithm has no such
        coordinates.

    Examples
    --------
    >>> from sklearn.neural_network import MLPRegressor
    >>> from sklearn_meta import MetaLearner
    >>> from sklearn_meta.datasets import Sinusoids
    >>> from sklearn_meta.inspection import task_map
    >>> tasks = Sinusoids(n_rows=20).sample(100, random_state=0)
    >>> mlp = MLPRegressor(hidden_layer_sizes=(40,))
    >>> meta = MetaLearner(mlp, max_iter=200, random_state=0).fit(tasks)
    >>> found = task_map(meta, tasks)
    >>> found.embedding.shape
    (100, 2)
    >>> X, y = tasks[0]
    >>> bool(found.atypicality(X[:5], y[:5] + 20) > 0.9)
    True
    """
    now = fitted(meta, "task_map")
    needs_shared_classes(now, "task_map")
    if space not in SPACES:
        raise ValueError(f"space={shown(space)}; expected one of [{listed(SPACES)}]")
    learned, tasks = now._served.learned, None
    if X is None:
        if y is not None or groups is not None:
            raise ValueError("y and groups must be None where X is None")
        known = _known(now)
    else:
        tasks = task_collection(now, X, y, groups)
        known = learned.learn(learned.encoder.encode(tasks), now.n_jobs)
    if len(known) < 3:
        raise ValueError(f"a map needs 3 tasks or more, found {len(known)}")
    space = _space(space, learned, tasks)
    find = {"head": _head, "predictions": _predictions, "weights": _weights}[space]
    coordinates = find(learned, known, tasks)
    if not np.ptp(coordinates, axis=0).any():
        raise ValueError(
            f"all tasks have learned the same by {shown(learned.algorithm)}: there is no map"
        )
    return TaskMap(known.ids, coordinates, space, now, tasks)


def _known(meta):
    known = meta._served.known
    if known is None:
        raise ValueError(
            "the MetaLearner knows no tasks: pass their rows, X, y and groups, or fit with "
            "adapt_training_tasks=True"
        )
    return known


def _space(space, learned, tasks):
    is_head = isinstance(learned.algorithm, BayesianHead)
    if space == "auto":
        space = "predictions" if tasks is not None else "head" if is_head else "weights"
    if space == "head" and not is_head:
        raise ValueError(f"space='head' is for BayesianHead, found {shown(learned.algorithm)}")
    if space == "predictions" and tasks is None:
        raise ValueError("space='predictions' compares them on rows: pass X, y and groups")
    return space


def _head(learned, known, tasks):
    """The whitened posterior mean of the output layer, (tasks, p * outputs)."""
    network, params = learned.network, learned.params
    weights, bias = _layers(known)[-1]
    head = np.concatenate([weights, bias[:, None]], axis=1)  # (tasks, p, outputs)
    names = network.names[-1]
    prior = np.concatenate([params[names[0]], params[names[1]][None]])
    scale = np.exp(-0.5 * params["log_precision"])[:, None]
    if network.loss.deviance:
        scale = scale * np.exp(0.5 * params["log_noise"])
    if network.loss.quadratic:
        scale = scale * np.exp(0.5 * params["log_spread"][0])
    return ((head - prior) / scale).reshape(len(head), -1)


def _weights(learned, known, tasks):
    """Adapted minus initial weights of the layers that are a task's own, (tasks, weights)."""
    prior = learned.algorithm.prior(learned.network, learned.params).layers
    moved = [
        (own - shared).reshape(len(own), -1)
        for layer, initial in zip(_layers(known), prior, strict=True)
        for own, shared in zip(layer, initial, strict=True)
        if own.ndim > shared.ndim
    ]
    if not moved:  # no task has weights of its own
        return np.zeros((len(known), 1))
    return np.concatenate(moved, axis=1)


def _layers(known):
    """Layers of all known tasks in their order."""
    parts = [part.compact().batch.adapted for part in known.parts]
    weights = [_as_weights(adapted) for adapted in parts]
    return TaskWeights.concatenate(weights).layers


def _as_weights(adapted):
    if hasattr(adapted, "rows"):  # kept as rows, and learned when they are asked
        if adapted.ready is not None:
            return _as_weights(adapted.ready)
        chunks = [(tasks, _as_weights(learned)) for tasks, learned in adapted._learn()]
        order = np.argsort(np.concatenate([tasks for tasks, _ in chunks]))
        return TaskWeights.concatenate([weights for _, weights in chunks]).take(order)
    weights = getattr(adapted, "weights", adapted)
    if not isinstance(weights, TaskWeights):
        raise ValueError(
            "what the algorithm adapts are no weights of a network: pass X, y and groups, to "
            "compare predictions"
        )
    return weights


def _predictions(learned, known, tasks):
    """Outputs on the same rows less the prior's, (tasks, rows * outputs), per root of the rows."""
    X = learned.encoder.features.transform(tasks.X)
    if len(X) > MOST_ROWS:
        X = X[np.sort(np.random.RandomState(0).permutation(len(X))[:MOST_ROWS])]
    z = outputs_on(learned, known, X, np.arange(len(known)))
    z = z - learned.outputs(prior_asked(X))
    if learned.network.loss.coupled:  # logits to which the same is added are the same
        z -= z.mean(axis=-1, keepdims=True)
    return z.reshape(len(z), -1) / np.sqrt(len(X))
