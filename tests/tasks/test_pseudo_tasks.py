import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import BaseEstimator, ClusterMixin
from sklearn.cluster import DBSCAN, AgglomerativeClustering, KMeans
from sklearn.decomposition import PCA
from sklearn.metrics import adjusted_rand_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from sklearn_meta import MetaLearner
from sklearn_meta.tasks import ImageJitter, NWayKShot, pseudo_tasks


def make_blobs(rng, n_blobs=12, n_each=20, n_features=4):
    y = np.repeat(np.arange(n_blobs), n_each)
    X = 5 * rng.normal(size=(n_blobs, n_features))[y] + 0.1 * rng.normal(size=(len(y), n_features))
    return X, y


class Recorder(ClusterMixin, BaseEstimator):
    """Clusters by the first feature's order; notes what it was given."""

    seen = []  # of all clones

    def __init__(self, n_clusters=5, random_state=None):
        self.n_clusters, self.random_state = n_clusters, random_state

    def fit_predict(self, X, y=None):
        self.seen.append((X.copy(), self.random_state))
        return X[:, 0].argsort().argsort() * self.n_clusters // len(X)


@settings(deadline=None, derandomize=True, max_examples=20, database=None)
@given(
    st.integers(2, 4), st.integers(1, 3), st.integers(1, 3), st.integers(1, 4), st.integers(0, 99)
)
def test_a_task_has_its_classes_from_one_partition(n_way, n_shots, n_query, n_partitions, seed):
    X = np.random.RandomState(seed).normal(size=(80, 3))
    shape = {"n_way": n_way, "n_shots": n_shots, "n_query": n_query}
    tasks = pseudo_tasks(X, n_partitions=n_partitions, random_state=seed, **shape)
    assert isinstance(tasks, NWayKShot)
    assert tasks.y.shape == (80, n_partitions)
    where = {row.tobytes(): i for i, row in enumerate(X)}
    collection = tasks.sample(10, random_state=seed)
    for i, (rows, y) in enumerate(collection):
        numbers = [where[row.tobytes()] for row in rows]
        assert len(set(numbers)) == len(numbers) == n_way * (n_shots + n_query)
        assert any(np.array_equal(tasks.y[numbers, p], y) for p in range(n_partitions))
        is_support = collection.is_support[collection.offsets[i] : collection.offsets[i + 1]]
        assert np.unique(y[is_support], return_counts=True)[1].tolist() == [n_shots] * n_way


def test_partitions_are_the_plain_clustering_and_those_of_scaled_features():
    X = np.random.RandomState(0).normal(size=(60, 3))
    Recorder.seen.clear()
    tasks = pseudo_tasks(
        X, n_partitions=4, transformer="passthrough", clusterer=Recorder(), random_state=0
    )
    (first, *others), seeds = zip(*Recorder.seen, strict=True)
    np.testing.assert_array_equal(first, X)
    scales = np.array([(other / X)[0] for other in others])
    for other, scale in zip(others, scales, strict=True):
        np.testing.assert_allclose(other, X * scale, rtol=1e-12)
    assert np.all((scales > 0) & (scales < 1))
    assert len(np.unique(scales)) == scales.size
    assert len(set(seeds)) == 4
    expected = [Recorder().fit_predict(part) for part in (first, *others)]
    np.testing.assert_array_equal(tasks.y, np.transpose(expected))


def test_whole_numbers_are_scaled_as_numbers():
    X = np.random.RandomState(0).randint(1, 9, size=(60, 3)).astype("u1")
    Recorder.seen.clear()
    tasks = pseudo_tasks(X, n_partitions=2, transformer="passthrough", clusterer=Recorder())
    scale = Recorder.seen[1][0] / X
    np.testing.assert_allclose(scale, np.tile(scale[:1], (60, 1)))
    assert np.all((scale > 0) & (scale < 1))
    assert tasks.X is X


def test_the_transformer_is_cloned_and_seeded_and_its_features_are_clustered():
    X = np.random.RandomState(0).normal(size=(60, 5))
    pca = PCA(2, whiten=True, svd_solver="randomized")
    Recorder.seen.clear()
    pseudo_tasks(
        X, n_partitions=1, transformer=make_pipeline(StandardScaler(), pca), clusterer=Recorder()
    )
    expected = pca.fit_transform(StandardScaler().fit_transform(X))
    np.testing.assert_allclose(Recorder.seen[0][0], expected, atol=1e-6)
    transformer = make_pipeline(StandardScaler(), PCA(2))
    tasks = pseudo_tasks(X, n_partitions=1, transformer=transformer, clusterer=Recorder())
    assert tasks.X is X
    assert not hasattr(transformer[-1], "components_")
    assert transformer[-1].random_state is None


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_by_default_features_are_whitened_whatever_their_units(dtype):
    rng = np.random.RandomState(0)
    X = (rng.normal(size=(200, 3)) * [1, 10, 50]).astype(dtype)
    X = np.column_stack([X, X[:, 1] + X[:, 2], np.full(200, 3, dtype)])  # nothing that is new
    Recorder.seen.clear()
    pseudo_tasks(X, n_partitions=1, clusterer=Recorder(), random_state=0)
    features = Recorder.seen[0][0]
    assert features.dtype == dtype
    np.testing.assert_allclose(np.cov(features.T), np.eye(3), atol=1e-3)


def test_clusters_of_clear_blobs_are_the_blobs():
    X, y = make_blobs(np.random.RandomState(0))
    clusterer = KMeans(12, n_init=5)
    tasks = pseudo_tasks(X, n_partitions=5, clusterer=clusterer, random_state=0)
    assert adjusted_rand_score(y, tasks.y[:, 0]) > 0.95
    assert clusterer.random_state is None
    plain = pseudo_tasks(X, n_partitions=5, n_clusters=12, random_state=0)
    assert [len(np.unique(column)) for column in plain.y.T] == [12] * 5


@pytest.mark.parametrize(
    ("n_rows", "options", "expected"),
    [
        (330, {}, 10),
        (40, {}, 2),  # no fewer than a task takes
        (420, {"n_query": 20}, 10),
        (330, {"n_clusters": 7}, 7),
        (1500, {"n_clusters": None, "n_query": 1}, 46),
    ],
)
def test_the_number_of_clusters(n_rows, options, expected):
    X = np.arange(n_rows)[:, None] // 5 + 0.0
    tasks = pseudo_tasks(X, n_partitions=1, n_way=2, random_state=0, **options)
    assert len(np.unique(tasks.y)) == expected


def test_noise_is_in_no_task():
    X, _ = make_blobs(np.random.RandomState(0), n_blobs=6)
    X[::10] += 1000 * np.arange(12)[:, None]
    tasks = pseudo_tasks(
        X, n_partitions=1, transformer="passthrough", clusterer=DBSCAN(eps=1), random_state=0
    )
    drawn = tasks.sample(300, random_state=0)
    assert drawn.X.max() < 100
    assert set(drawn.y) == set(range(6))


def test_partitions_with_too_few_large_clusters_are_left_out():
    """Clusters of 12 rows each, or, once the first feature is scaled, one of all rows."""

    class Once(Recorder):
        def fit_predict(self, X, y=None):
            labels = super().fit_predict(X)
            return labels if np.abs(X).max() > 1.5 else np.zeros(len(X), int)

    X = np.random.RandomState(0).uniform(size=(60, 2)) * [1e-9, 1] + [0, 1]
    tasks = pseudo_tasks(
        X, n_partitions=3, n_way=5, transformer="passthrough", clusterer=Once(), random_state=0
    )
    large = [column for column in tasks.y.T if len(np.unique(column)) == 5]
    assert 1 <= len(large) < 3
    assert set(tasks.sample(20, random_state=0).y) == {0, 1, 2, 3, 4}


def test_a_seed_gives_the_same_tasks():
    X = np.random.RandomState(0).normal(size=(100, 4))
    first, second, other = (
        pseudo_tasks(X, n_partitions=3, random_state=seed)
        for seed in (1, np.random.RandomState(1), 2)
    )
    np.testing.assert_array_equal(first.y, second.y)
    assert not np.array_equal(first.y, other.y)


@pytest.mark.parametrize("kind", [pd.DataFrame, pl.DataFrame])
def test_a_dataframe_stays_one(kind):
    X = np.random.RandomState(0).normal(size=(100, 2))
    frame = kind({"a": X[:, 0], "b": X[:, 1]})
    options = {"n_partitions": 2, "random_state": 0}
    tasks = pseudo_tasks(frame, clusterer=AgglomerativeClustering(8), **options)
    assert isinstance(tasks.sample(3).X, kind)
    expected = pseudo_tasks(X, clusterer=AgglomerativeClustering(8), **options)
    np.testing.assert_array_equal(tasks.y, expected.y)


X60 = np.random.RandomState(0).normal(size=(60, 2))


@pytest.mark.parametrize(
    ("X", "options", "error", "message"),
    [
        (X60, {"n_partitions": 0}, ValueError, "'n_partitions' parameter of pseudo_tasks"),
        (X60, {"n_clusters": 1}, ValueError, "'n_clusters' parameter of pseudo_tasks"),
        (X60, {"n_way": 1}, ValueError, "'n_way' parameter of pseudo_tasks"),
        (X60, {"n_shots": 0}, ValueError, "'n_shots' parameter of pseudo_tasks"),
        (X60, {"n_query": None}, ValueError, "'n_query' parameter of pseudo_tasks"),
        (X60, {"transformer": "pca"}, ValueError, "'transformer' parameter of pseudo_tasks"),
        (X60, {"clusterer": PCA()}, ValueError, "'clusterer' parameter of pseudo_tasks"),
        (X60, {"augment": "jitter"}, ValueError, "'augment' parameter of pseudo_tasks must be a"),
        (X60, {"augment": ImageJitter}, TypeError, "augment is the class ImageJitter, expected an"),
        (X60, {"random_state": "a"}, ValueError, "'random_state' parameter of pseudo_tasks"),
        (
            X60,
            {"n_clusters": 8, "clusterer": KMeans(8)},
            ValueError,
            "n_clusters=8 must be None where a clusterer is given",
        ),
        (X60[0], {}, ValueError, r"X has the shape \(2,\)"),
        (X60[:29], {}, ValueError, "X has 29 rows; one task of n_way=5 clusters .* = 6 .*takes 30"),
        (np.where(X60 > 2, np.nan, X60), {}, ValueError, "Input X contains NaN"),
        (X60, {"transformer": OneHotEncoder()}, TypeError, "Sparse data was passed"),
        (
            X60,
            {"clusterer": KMeans(4), "n_partitions": 2},
            ValueError,
            r"no partition of X has n_way=5 clusters of n_shots \+ n_query = 6 rows or more; the "
            r"best has [1-4]",
        ),
    ],
)
def test_what_is_wrong_is_said(X, options, error, message):
    with pytest.raises(error, match=message):
        pseudo_tasks(X, **options)


class Rows(BaseEstimator):
    """Takes rows as they are; notes the first feature, which is their number."""

    seen = []  # of all clones

    def fit_transform(self, X, y=None):
        self.seen.append(set(X[:, 0].astype(int)))
        return np.random.RandomState(len(X)).normal(size=(len(X), 2))


@settings(deadline=None, derandomize=True, max_examples=20, database=None)
@given(st.integers(2, 4), st.integers(1, 3), st.integers(30, 120), st.floats(0.05, 0.95))
def test_two_parts_share_no_row_and_cluster_their_own(n_way, n_query, n_rows, fraction):
    Rows.seen.clear()
    shape = {"n_way": n_way, "n_query": n_query, "n_partitions": 2, "random_state": 0}
    tasks = pseudo_tasks(np.arange(n_rows)[:, None], transformer=Rows(), **shape)
    parts = tasks.split(fraction, random_state=0)
    if parts is None:
        assert n_rows < 2 * (n_way + 2) * (1 + n_query) or len(Rows.seen) > 1  # else clustered
        return
    rows = [set(part.X[:, 0]) for part in parts]
    assert not rows[0] & rows[1]
    assert rows[0] | rows[1] == set(range(n_rows))
    assert Rows.seen[1:] == rows
    for part, own in zip(parts, rows, strict=True):
        assert set(part.sample(20, random_state=0).X[:, 0]) <= own
    most = n_rows - 2 * n_way * (1 + n_query)
    assert len(rows[1]) == min(max(round(fraction * n_rows), 4 * (1 + n_query)), most)
    assert parts[0].n_way == n_way
    assert 2 <= parts[1].n_way <= n_way


@pytest.mark.parametrize("options", [{"clusterer": KMeans(12)}, {"n_clusters": 12}])
def test_clusters_of_the_parts_are_as_large(options):
    X = np.random.RandomState(0).normal(size=(480, 4))
    tasks = pseudo_tasks(X, n_partitions=2, n_way=3, n_query=3, random_state=0, **options)
    training, validation = tasks.split(0.25, random_state=0)
    assert [len(np.unique(column)) for column in training.y.T] == [9] * 2
    assert [len(np.unique(column)) for column in validation.y.T] == [3] * 2
    inner, _ = training.split(1 / 3, random_state=0)
    assert len(np.unique(inner.y[:, 0])) == 6
    if "clusterer" in options:
        assert options["clusterer"].n_clusters == 12


def test_rows_are_clustered_as_they_are_and_augmented_when_drawn():
    """Those to train on; each draw anew."""
    X = np.random.RandomState(0).permutation(240)[:, None] + 0.0

    def moved(rows, random_state):
        return rows + random_state.uniform(0.1, 0.4, size=rows.shape)

    options = {"n_partitions": 2, "n_clusters": 12, "random_state": 0}
    tasks, plain = (pseudo_tasks(X, augment=each, **options) for each in (moved, None))
    np.testing.assert_array_equal(tasks.y, plain.y)
    assert "augment=" in repr(tasks)
    new, old = (each.sample(20, random_state=0) for each in (tasks, plain))
    np.testing.assert_array_equal(np.floor(new.X), old.X)
    np.testing.assert_array_equal(new.y, old.y)
    assert len(np.unique(new.X)) == len(new.X)
    np.testing.assert_array_equal(tasks.sample(20, random_state=0).X, new.X)
    parts = zip(tasks.split(0.3, 0), plain.split(0.3, 0), (True, False), strict=True)
    for part, expected, is_augmented in parts:
        np.testing.assert_array_equal(part.y, expected.y)
        drawn = part.sample(20, random_state=0).X
        assert np.any(drawn != np.floor(drawn)) == is_augmented


def test_too_few_rows_are_not_split():
    X = np.random.RandomState(0).normal(size=(60, 2))
    assert pseudo_tasks(X, n_partitions=2, clusterer=Recorder()).split(0.1, 0) is None

    class One(Recorder):  # whatever the rows, but all those of the first call
        def fit_predict(self, X, y=None):
            labels = super().fit_predict(X)
            return labels if len(X) == 200 else np.zeros(len(X), int)

    X = np.random.RandomState(0).normal(size=(200, 2))
    assert pseudo_tasks(X, n_partitions=1, clusterer=One()).split(0.3, 0) is None


def test_a_seed_gives_the_same_parts():
    X = np.random.RandomState(0).normal(size=(300, 4))
    tasks = pseudo_tasks(X, n_partitions=3, random_state=0)
    first, second, other = (tasks.split(0.2, s) for s in (1, np.random.RandomState(1), 2))
    for one, same, another in zip(first, second, other, strict=True):
        np.testing.assert_array_equal(one.X, same.X)
        np.testing.assert_array_equal(one.y, same.y)
        assert not np.array_equal(one.X, another.X)


@pytest.mark.parametrize("fraction", [0, 1])
def test_a_fraction_that_will_not_do(fraction):
    with pytest.raises(ValueError, match="'fraction' parameter of split must be a float"):
        pseudo_tasks(X60, n_partitions=1, clusterer=Recorder()).split(fraction)


def test_real_classes_are_learned_after_learning_without_labels():
    """Clusters in 3 directions that matter, amid 9 that do not."""
    rng = np.random.RandomState(0)
    basis, _ = np.linalg.qr(rng.normal(size=(12, 12)))

    def draw(n_classes, n_each=16):
        y = np.repeat(np.arange(n_classes), n_each)
        signal = 3 * rng.normal(size=(n_classes, 3))[y] + 0.2 * rng.normal(size=(len(y), 3))
        return np.hstack([signal, 1.5 * rng.normal(size=(len(y), 9))]) @ basis, y

    X, _ = draw(60)
    mlp = MLPClassifier(hidden_layer_sizes=(32,))
    unlabelled = pseudo_tasks(X, n_partitions=10, transformer=PCA(3), n_clusters=60, random_state=0)
    meta = MetaLearner(mlp, n_query=None, max_iter=200, random_state=0).fit(unlabelled)
    episodes = NWayKShot(*draw(30)).sample(100, random_state=1)
    nearest = KNeighborsClassifier(1)
    baseline = np.mean([nearest.fit(X[:5], y[:5]).score(X[5:], y[5:]) for X, y in episodes])
    assert meta.score(episodes) > baseline + 0.1


@pytest.mark.parametrize("name", ["transformer", "clusterer"])
def test_a_class_for_an_instance(name):
    from sklearn.cluster import KMeans

    with pytest.raises(TypeError, match=f"{name} is the class KMeans, expected an instance"):
        pseudo_tasks(np.zeros((90, 2)), **{name: KMeans})


def test_numbers_that_overflow_are_no_features():
    X = np.random.RandomState(0).normal(size=(90, 2))
    X[3] = 1e300
    with pytest.raises(ValueError, match="X has numbers up to 1e\\+300, too large to cluster by"):
        pseudo_tasks(X, n_partitions=1, random_state=0)
