"""Few-shot tasks from rows without labels: their classes are clusters."""

from dataclasses import dataclass, replace
from numbers import Integral

import numpy as np
from sklearn.base import clone
from sklearn.utils import check_array

from .._arguments import check_no_dates, check_values, naming, random_state_of
from .._compat import (
    HasMethods,
    Interval,
    StrOptions,
    num_samples,
    safe_indexing,
)
from ._augment import AUGMENT_CONSTRAINTS, check_augment
from ._collection import check_rows
from ._n_way_k_shot import FRACTION_CONSTRAINTS, LEAST_WAYS, SHAPE_CONSTRAINTS, NWayKShot

PARAMETER_CONSTRAINTS = SHAPE_CONSTRAINTS | AUGMENT_CONSTRAINTS
PARAMETER_CONSTRAINTS |= {
    "n_partitions": [Interval(Integral, 1, None, closed="left")],
    "n_clusters": [Interval(Integral, 2, None, closed="left"), None],
    "transformer": [HasMethods("fit_transform"), StrOptions({"passthrough"}), None],
    "clusterer": [HasMethods("fit_predict"), None],
    "random_state": ["random_state"],
}
CLUSTER_SIZE, MOST_CLUSTERS, MOST_COMPONENTS = 32, 500, 50  # by default
NOISE = -1  # scikit-learn's label of rows that are in no cluster


def pseudo_tasks(
    X,
    *,
    n_partitions=50,
    n_clusters=None,
    n_way=5,
    n_shots=1,
    n_query=5,
    transformer=None,
    clusterer=None,
    augment=None,
    random_state=None,
):
    """N-way K-shot tasks from rows without labels, by clustering (CACTUs).

    The rows are clustered many times over, each time with their features (or what a
    transformer makes of them) scaled at random. A task takes its classes from the clusters
    of one such partition. ``MetaLearner(mlp).fit(pseudo_tasks(X))`` is learning to learn
    without labels; what is learned then adapts to real classes.

    Parameters
    ----------
    X : array-like or dataframe of shape (n_rows, n_features)
        Rows without labels: the tasks consist of these rows, as they are.
    n_partitions : int, default=50
        How many times to cluster. The first is of the features unscaled, each other one of
        the features times numbers drawn from U[0, 1].
    n_clusters : int, default=None
        Clusters in a partition. None: one for every 32 rows (or every two times what a task
        draws of a cluster, if that is more), at most 500. Clusters that turn out too small for
        a task are left out.
    n_way, n_shots : int, default=5 and 1
        Clusters that make a task, and support rows of each.
    n_query : int, default=5
        Query rows of each.
    transformer : transformer, Pipeline or "passthrough", default=None
        Its ``fit_transform(X)`` gives the features to cluster by; "passthrough" takes X as it
        is. None is ``PCA(50, whiten=True)``, or as many components as X has. Cloned.
    clusterer : clusterer, default=None
        Anything with ``fit_predict``; rows with the label -1 are in no cluster. Cloned.
        None is ``MiniBatchKMeans(n_clusters, n_init=1)``.
    augment : callable, default=None
        ``augment(rows, random_state) -> rows``, as of `NWayKShot`: for the rows of tasks, at each
        `sample` anew. Clusters are of the rows as they are.
    random_state : int, RandomState or None, default=None
        Of the scalings, and of the clones, whose own is set.

    Returns
    -------
    tasks : NWayKShot
        A distribution of tasks. Its `y`, of shape (n_rows, `n_partitions`), has the cluster
        of each row in each partition. Its `split` draws rows to hold out, and clusters those and
        the others anew, each by themselves, into clusters as large; `augment` is of the first
        alone.

    Raises
    ------
    ValueError
        If a parameter will not do, or no partition has `n_way` clusters that are large
        enough.
    TypeError
        If a class stands for an instance.

    See Also
    --------
    NWayKShot : The same from labelled rows.

    References
    ----------
    K. Hsu, S. Levine, C. Finn. "Unsupervised Learning via Meta-Learning". ICLR 2019.
    https://arxiv.org/abs/1810.02334

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn_meta.tasks import pseudo_tasks
    >>> X, _ = load_digits(return_X_y=True)
    >>> tasks = pseudo_tasks(X, n_partitions=3, random_state=0)
    >>> tasks.y.shape
    (1797, 3)
    >>> tasks.sample(100, random_state=0)
    TaskCollection(n_tasks=100, n_rows=3000, n_features=64, rows_per_task=30)
    """
    shape = {"n_way": n_way, "n_shots": n_shots, "n_query": n_query}
    parameters = {"transformer": transformer, "clusterer": clusterer, "random_state": random_state}
    parameters |= {"n_partitions": n_partitions, "n_clusters": n_clusters, "augment": augment}
    check_values(PARAMETER_CONSTRAINTS, shape | parameters, "pseudo_tasks")
    check_augment(augment)
    for name, value in (("transformer", transformer), ("clusterer", clusterer)):
        if isinstance(value, type):
            raise TypeError(f"{name} is the class {value.__name__}, expected an instance of it")
    X = check_rows(X)
    clusterer = _clusterer(clusterer, n_clusters, num_samples(X), **shape)
    clustering = Clustering(transformer, clusterer, n_partitions)
    partitions = clustering.partitions(X, random_state_of(random_state))
    n_each = n_shots + n_query
    found = _most_clusters(partitions, n_each)
    if found < n_way:
        raise ValueError(
            f"no partition of X has n_way={n_way} clusters of n_shots + n_query = {n_each} rows "
            f"or more; the best has {found}. Lower these, or change the clusters"
        )
    return PseudoTasks(X, partitions, shape, clustering, augment)


class PseudoTasks(NWayKShot):
    """N-way K-shot tasks of clusters.

    Parameters
    ----------
    X : ndarray or dataframe of shape (n_rows, n_features)
    partitions : ndarray of shape (n_rows, n_partitions)
        The cluster of each row.
    shape : dict
        `n_way`, `n_shots` and `n_query` of a task.
    clustering : Clustering
        That made the partitions.
    augment : callable or None
    """

    def __init__(self, X, partitions, shape, clustering, augment):
        super().__init__(X, partitions, **shape, on_small="drop", augment=augment)
        self._clustering = clustering

    def split(self, fraction, random_state=None):
        """Two distributions that share no row, each with clusters of its own.

        Parameters
        ----------
        fraction : float
            Share of the rows, drawn at random, that the second has; more, if two clusters take
            more.
        random_state : int, RandomState or None, default=None
            Of the rows held out, and of the clusters.

        Returns
        -------
        (training, validation) : tuple of NWayKShot, or None
            If the second has fewer than `n_way` clusters that are large enough, so are the ways of
            its tasks; it has no `augment`. None where there are too few rows for both.

        Raises
        ------
        ValueError
            If `fraction` is not between 0 and 1.
        """
        check_values(FRACTION_CONSTRAINTS, {"fraction": fraction}, "split")
        random_state = random_state_of(random_state)
        n_rows, a_cluster = num_samples(self.X), 2 * (self.n_shots + self.n_query)
        least = LEAST_WAYS * a_cluster
        n_held_out = min(max(round(fraction * n_rows), least), n_rows - self.n_way * a_cluster)
        if n_held_out < least:
            return None
        order = random_state.permutation(n_rows)
        kept, held_out = np.sort(order[n_held_out:]), np.sort(order[:n_held_out])
        training = self._part(kept, self.n_way, self.augment, random_state)
        validation = self._part(held_out, LEAST_WAYS, None, random_state)
        return None if training is None or validation is None else (training, validation)

    def _part(self, rows, least_ways, augment, random_state):
        """The same of some rows, clustered anew; None where a task would have too few ways."""
        X, n_each = safe_indexing(self.X, rows), self.n_shots + self.n_query
        clustering = self._clustering.of_share(len(rows) / num_samples(self.X), least_ways)
        partitions = clustering.partitions(X, random_state)
        n_way = min(self.n_way, _most_clusters(partitions, n_each))
        if n_way < least_ways:
            return None
        shape = {"n_way": n_way, "n_shots": self.n_shots, "n_query": self.n_query}
        return PseudoTasks(X, partitions, shape, clustering, augment)


@dataclass(frozen=True)
class Clustering:
    """How rows are clustered, many times over."""

    transformer: object
    clusterer: object
    n_partitions: int

    def partitions(self, X, random_state):
        """The cluster of each row, (rows, partitions)."""
        features = _features(X, self.transformer, random_state)
        scaled = np.arange(self.n_partitions) > 0
        return np.column_stack(
            [_cluster(self.clusterer, features, s, random_state) for s in scaled]
        )

    def of_share(self, share, least):
        """For that share of the rows: as many fewer clusters, where their number is set."""
        n_clusters = self.clusterer.get_params().get("n_clusters")
        if n_clusters is None:
            return self
        fewer = clone(self.clusterer).set_params(n_clusters=max(least, round(share * n_clusters)))
        return replace(self, clusterer=fewer)


def _clusterer(clusterer, n_clusters, n_rows, *, n_way, n_shots, n_query):
    """The one given, or the default of as many clusters as asked for or as suit the rows."""
    n_each = n_shots + n_query
    if n_rows < n_way * n_each:
        raise ValueError(
            f"X has {n_rows} rows; one task of n_way={n_way} clusters with n_shots + n_query = "
            f"{n_each} rows each takes {n_way * n_each}"
        )
    if clusterer is None:
        if n_clusters is None:
            size = max(CLUSTER_SIZE, 2 * n_each)
            n_clusters = int(np.clip(n_rows // size, n_way, MOST_CLUSTERS))
        from sklearn.cluster import MiniBatchKMeans  # takes long to load

        return MiniBatchKMeans(n_clusters, n_init=1)
    if n_clusters is not None:
        raise ValueError(f"n_clusters={n_clusters} must be None where a clusterer is given")
    return clusterer


def _features(X, transformer, random_state):
    """What to cluster by, (rows, features)."""
    if transformer is not None:
        if transformer != "passthrough":
            X = _seeded(transformer, random_state).fit_transform(X)
        return _as_floats(X)
    from sklearn.decomposition import PCA  # takes long to load

    pca = PCA(min(MOST_COMPONENTS, *X.shape), whiten=True, random_state=random_state)
    components = pca.fit_transform(_as_floats(X, ensure_all_finite=True))
    variance = pca.explained_variance_
    # whitening would blow the rounding errors of collinear features up to unit variance
    return components[:, variance > 100 * np.finfo(components.dtype).eps * variance[0]]


def _as_floats(X, ensure_all_finite=False):
    with naming("X", "numbers to cluster by"):
        check_no_dates(X, "X")
        X = check_array(
            X, dtype=[np.float64, np.float32], ensure_all_finite=ensure_all_finite, input_name="X"
        )
        largest = np.max(np.abs(X), initial=0)
        if largest > np.sqrt(np.finfo(X.dtype).max / X.size):  # sums of squares overflow
            raise ValueError(f"X has numbers up to {largest:.3g}, too large to cluster by")
        return X


def _cluster(clusterer, features, scaled, random_state):
    """The cluster of each row in one partition; what is noise is a class by itself, too small
    for any task."""
    if scaled:
        scale = random_state.uniform(size=features.shape[1])
        features = features * scale.astype(features.dtype)
    labels = np.array(_seeded(clusterer, random_state).fit_predict(features))
    noise = np.flatnonzero(labels == NOISE)
    labels[noise] = NOISE - np.arange(len(noise))
    return labels


def _most_clusters(partitions, n_each):
    """The most clusters of `n_each` rows or more that a partition has."""
    return max(np.sum(np.unique(p, return_counts=True)[1] >= n_each) for p in partitions.T)


def _seeded(estimator, random_state):
    """A clone with every random_state set."""
    estimator = clone(estimator)
    names = [name for name in sorted(estimator.get_params()) if name.endswith("random_state")]
    seeds = {name: random_state.randint(np.iinfo(np.int32).max) for name in names}
    return estimator.set_params(**seeds)
