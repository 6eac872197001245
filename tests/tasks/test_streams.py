import pickle

import numpy as np
from scipy.stats import chisquare

from sklearn_meta.tasks._batch import TaskArrays
from sklearn_meta.tasks._episodes import EpisodeSampler
from sklearn_meta.tasks._streams import (
    AHEAD,
    MAX_NUMBERS,
    MAX_ROWS,
    CollectionStream,
    Cursor,
    DistributionStream,
)

OPTIONS = {"n_shots": 2, "n_query": None, "support_order": "random"}


def make_arrays(first, n_tasks, n_rows=4):
    """Rows hold the number of their task, from `first`."""
    X = np.repeat(np.arange(first, first + n_tasks), n_rows)[:, None].astype(float)
    return TaskArrays(X, np.zeros_like(X), np.arange(n_tasks + 1) * n_rows)


class Walk:
    """A stream that is followed."""

    def __init__(self, stream):
        self.stream, self.cursor = stream, Cursor()

    def draw(self, random_state):
        return self.cursor.draw(self.stream, random_state)


def draw_tasks(walk, random_state):
    """The tasks of a meta-batch; each gives 2 rows of support and 2 of query."""
    support, query = walk.draw(random_state)
    tasks = support.X[:, 0, 0].astype(int)
    for batch in (support, query):
        assert batch.weight.shape == (len(tasks), 2)
        np.testing.assert_array_equal(batch.X[..., 0], np.repeat(tasks[:, None], 2, axis=1))
    return tasks


def test_a_collection_gives_its_tasks_without_replacement_and_alike():
    sampler = EpisodeSampler(make_arrays(0, 10), **OPTIONS)
    stream = Walk(CollectionStream(sampler, np.array([1, 4, 5, 7, 9]), 3))
    random_state = np.random.RandomState(0)
    drawn = np.array([draw_tasks(stream, random_state) for _ in range(500)])
    assert drawn.shape == (500, 3)
    assert all(len(set(tasks)) == 3 for tasks in drawn)
    found, counts = np.unique(drawn, return_counts=True)
    np.testing.assert_array_equal(found, [1, 4, 5, 7, 9])
    assert chisquare(counts).pvalue > 0.01


def test_a_small_collection_gives_all_its_tasks():
    sampler = EpisodeSampler(make_arrays(0, 4), **OPTIONS)
    stream = Walk(CollectionStream(sampler, np.arange(4), 16))
    assert sorted(draw_tasks(stream, np.random.RandomState(0))) == [0, 1, 2, 3]


class Counter:
    """A distribution whose tasks are numbered in the order of their sampling."""

    def __init__(self):
        self.n_calls = self.n_sampled = 0

    def sample(self, n_tasks, random_state):
        self.n_calls, self.n_sampled = self.n_calls + 1, self.n_sampled + n_tasks
        return make_arrays(self.n_sampled - n_tasks, n_tasks)


def test_a_distribution_gives_ever_new_tasks_each_once():
    counter = Counter()
    stream = Walk(DistributionStream(counter.sample, OPTIONS, 3))
    random_state = np.random.RandomState(0)
    drawn = np.array([draw_tasks(stream, random_state) for _ in range(2 * AHEAD)])
    assert drawn.shape == (2 * AHEAD, 3)
    np.testing.assert_array_equal(np.sort(drawn.ravel()), np.arange(6 * AHEAD))
    assert counter.n_calls == 2


def test_a_seed_gives_the_same_meta_batches():
    sampler = EpisodeSampler(make_arrays(0, 10), **OPTIONS)
    drawn = []
    for _ in range(2):
        stream = Walk(CollectionStream(sampler, np.arange(10), 3))
        random_state = np.random.RandomState(1)
        drawn.append([draw_tasks(stream, random_state).tolist() for _ in range(5)])
    assert drawn[0] == drawn[1]
    assert len({tuple(tasks) for tasks in drawn[0]}) > 1


def test_blocks_of_meta_batches_are_bounded_in_rows():
    arrays = make_arrays(0, 40, n_rows=MAX_ROWS // 8)
    for batch_size, n_ahead in ((3, 2), (40, 1)):
        stream = CollectionStream(EpisodeSampler(arrays, **OPTIONS), np.arange(40), batch_size)
        assert stream.n_ahead == n_ahead
    small = EpisodeSampler(make_arrays(0, 40), **OPTIONS)
    assert CollectionStream(small, np.arange(40), 3).n_ahead == AHEAD


def test_large_tasks_of_a_distribution_are_drawn_few_at_once():
    counter, random_state = Counter(), np.random.RandomState(0)
    stream = Walk(DistributionStream(counter.sample, OPTIONS, 3, task_size=MAX_NUMBERS // 6))
    drawn = np.array([draw_tasks(stream, random_state) for _ in range(4)])
    np.testing.assert_array_equal(np.sort(drawn.ravel()), np.arange(12))
    assert counter.n_calls == 2
    assert DistributionStream(counter.sample, OPTIONS, 3, task_size=MAX_NUMBERS).n_ahead == 1


def test_a_block_is_padded_to_the_longest_of_each_meta_batch():
    """Tasks of 4 and of 400 rows, one in a meta-batch."""
    sizes = np.array([4, 400])
    X = np.zeros((404, 1))
    arrays = TaskArrays(X, X, np.concatenate([[0], np.cumsum(sizes)]))
    stream = Walk(CollectionStream(EpisodeSampler(arrays, **OPTIONS), np.arange(2), 1))
    random_state = np.random.RandomState(0)
    lengths = {stream.draw(random_state)[1].X.shape[1] for _ in range(20)}
    assert lengths == {2, 398}


def test_a_cap_bounds_the_episodes_of_a_stream_and_what_is_dealt_ahead():
    """Beside small tasks one that would be dealt alone."""
    sizes = np.array([4, 4, 10 * MAX_ROWS])
    X = np.zeros((sizes.sum(), 1))
    arrays = TaskArrays(X, X, np.concatenate([[0], np.cumsum(sizes)]))
    capped = OPTIONS | {"max_rows": 6}
    collection = CollectionStream(EpisodeSampler(arrays, **capped), np.arange(3), 3)
    assert CollectionStream(EpisodeSampler(arrays, **OPTIONS), np.arange(3), 3).n_ahead == 1
    assert collection.n_ahead == AHEAD
    distribution = DistributionStream(lambda n_tasks, _: make_arrays(0, n_tasks, 9), capped, 3)
    for stream in (collection, distribution):
        support, query = Walk(stream).draw(np.random.RandomState(0))
        assert support.weight.shape == (3, 2)
        assert query.weight.shape == (3, 4)


def test_meta_batches_of_many_tasks_are_drawn_uniformly():
    """So many that a pass is not shuffled as a whole."""
    n_tasks = 10 * 3 * AHEAD
    stream = Walk(
        CollectionStream(EpisodeSampler(make_arrays(0, n_tasks), **OPTIONS), np.arange(n_tasks), 3)
    )
    random_state, counts = np.random.RandomState(0), np.zeros(n_tasks, int)
    for _ in range(100):
        drawn = np.array([draw_tasks(stream, random_state) for _ in range(AHEAD)])
        assert len(np.unique(drawn)) == 3 * AHEAD
        counts += np.bincount(drawn.ravel(), minlength=n_tasks)
    assert chisquare(counts.reshape(60, -1).sum(axis=1)).pvalue > 0.01


def test_dealing_by_the_block_is_dealing_one_by_one():
    """Sizes of episodes aside, all that differs is when the random numbers are drawn."""
    arrays = make_arrays(0, 6, n_rows=7)
    sampler = EpisodeSampler(arrays, n_shots=(1, 4), n_query=2, support_order="random")
    tasks = np.array([[0, 1, 2], [3, 4, 5], [5, 0, 3]])
    whole = sampler.draw(tasks.ravel(), np.random.RandomState(3))
    deal = sampler.deal(tasks, np.random.RandomState(3))
    for i in range(len(tasks)):
        episode = sampler.episode(deal, i)
        for part, batch in zip(whole, episode, strict=True):
            longest = batch.weight.shape[1]
            rows = slice(3 * i, 3 * i + 3)
            np.testing.assert_array_equal(batch.weight, part.weight[rows, :longest])
            filled = batch.weight > 0
            np.testing.assert_array_equal(batch.X[filled], part.X[rows, :longest][filled])
            assert longest == batch.weight.sum(axis=1).max()


def test_a_cursor_goes_on_after_a_pickle_without_the_collection():
    arrays = make_arrays(0, 1000, n_rows=40)
    stream = CollectionStream(EpisodeSampler(arrays, **OPTIONS), np.arange(1000), 3)
    random_state, cursor = np.random.RandomState(0), Cursor()
    for _ in range(5):
        cursor.draw(stream, random_state)
    pickled = pickle.dumps((cursor, random_state))
    later, later_state = pickle.loads(pickled)
    assert len(pickled) < arrays.X.nbytes / 2
    for _ in range(2 * AHEAD):
        episodes = cursor.draw(stream, random_state), later.draw(stream, later_state)
        for batch, other in zip(*episodes, strict=True):
            np.testing.assert_array_equal(batch.X, other.X)
