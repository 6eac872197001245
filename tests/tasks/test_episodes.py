import pickle
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from sklearn_meta.tasks._batch import TaskArrays
from sklearn_meta.tasks._episodes import EpisodeSampler

few_examples = settings(deadline=None, derandomize=True, max_examples=60, database=None)
shots = st.one_of(
    st.integers(0, 6),
    st.tuples(st.integers(0, 3), st.integers(3, 6)),
    st.sampled_from(["auto", "half"]),
)
n_queries = st.one_of(st.none(), st.integers(1, 4))
orders = st.sampled_from(["random", "first"])
seeds = st.integers(0, 2**31 - 1)


def make_arrays(sizes, labels=None, n_classes=None, is_support=None, n_outputs=1):
    """X is the row's own number."""
    n = sum(sizes)
    return TaskArrays(
        X=np.arange(n)[:, None].astype(float),
        y=np.zeros((n, n_outputs)) if labels is None else labels,
        offsets=np.concatenate([[0], np.cumsum(sizes)]).astype(int),
        n_outputs=None if labels is None else n_outputs,
        n_classes=n_classes,
        is_support=is_support,
    )


@st.composite
def regressions(draw):
    return make_arrays(draw(st.lists(st.integers(1, 12), min_size=1, max_size=5)))


@st.composite
def classifications(draw, own=False):
    """Tasks of 2 to 4 classes in any proportion; codes 0, 1, ... within a task, if its own."""
    sizes = draw(st.lists(st.integers(4, 16), min_size=1, max_size=5))
    rng = np.random.RandomState(draw(seeds))
    n_outputs = draw(st.sampled_from([1, 4]))
    most = max(2, n_outputs)
    n_classes = rng.randint(2, most + 1, size=len(sizes))
    labels = [
        np.append(np.arange(k), rng.randint(k, size=size - k))
        for size, k in zip(sizes, n_classes, strict=True)
    ]
    labels = np.concatenate([rng.permutation(part) for part in labels])
    return make_arrays(sizes, labels, n_classes if own else None, n_outputs=n_outputs)


def rows_of(batch, place):
    """Row numbers of one task of a batch."""
    return batch.X[place, batch.weight[place] > 0, 0].astype(int)


def draw_rows(sampler, tasks, seed):
    """For each task: its rows, those of the support, those of the query."""
    support, query = sampler.draw(np.array(tasks), np.random.RandomState(seed))
    offsets = sampler.arrays.offsets
    for place, task in enumerate(tasks):
        rows = np.arange(offsets[task], offsets[task + 1])
        yield rows, rows_of(support, place), rows_of(query, place)


def drawn_tasks(arrays, seed):
    """Any of the tasks in any order, some twice."""
    return np.random.RandomState(seed).randint(len(arrays), size=len(arrays) + 1)


@few_examples
@given(
    st.one_of(regressions(), classifications(), classifications(own=True)),
    shots,
    n_queries,
    orders,
    seeds,
)
def test_support_and_query_are_disjoint_rows_of_the_task(arrays, n_shots, n_query, order, seed):
    sampler = EpisodeSampler(arrays, n_shots, n_query, order)
    for rows, support, query in draw_rows(sampler, drawn_tasks(arrays, seed), seed):
        both = np.concatenate([support, query])
        assert len(np.unique(both)) == len(both)
        assert np.isin(both, rows).all()
        assert len(query) >= 1
        if n_query is None:
            assert len(both) == len(rows)
        else:
            assert len(query) == min(n_query, len(rows) - len(support))


@few_examples
@given(regressions(), st.integers(0, 12), seeds)
def test_support_has_the_rows_that_were_asked_for(arrays, n_shots, seed):
    sampler = EpisodeSampler(arrays, n_shots, None, "random")
    for rows, support, _ in draw_rows(sampler, drawn_tasks(arrays, seed), seed):
        assert len(support) == min(n_shots, len(rows) - 1)


@few_examples
@given(regressions(), seeds)
def test_sizes_of_a_pair_auto_and_half(arrays, seed):
    tasks = drawn_tasks(arrays, seed)
    for rows, support, _ in draw_rows(EpisodeSampler(arrays, (2, 4), None, "random"), tasks, seed):
        most = len(rows) - 1
        assert min(2, most) <= len(support) <= min(4, most)
    for rows, support, _ in draw_rows(EpisodeSampler(arrays, "half", None, "random"), tasks, seed):
        assert len(support) == len(rows) // 2


@few_examples
@given(classifications(), st.integers(0, 5), seeds)
def test_support_has_as_many_rows_of_each_class(arrays, n_shots, seed):
    sampler = EpisodeSampler(arrays, n_shots, None, "random", stratify=True)
    for rows, support, _ in draw_rows(sampler, drawn_tasks(arrays, seed), seed):
        there = np.bincount(arrays.labels[rows])
        expected = np.minimum(there, min(n_shots, there.max() - 1))
        found = np.bincount(arrays.labels[support], minlength=len(there))
        np.testing.assert_array_equal(found, expected)


@few_examples
@given(st.one_of(regressions(), classifications()), shots, seeds)
def test_support_first_takes_the_earliest_rows(arrays, n_shots, seed):
    sampler = EpisodeSampler(arrays, n_shots, None, "first")
    for rows, support, query in draw_rows(sampler, drawn_tasks(arrays, seed), seed):
        for label in [None] if arrays.labels is None else np.unique(arrays.labels[rows]):
            part, rest = (
                chosen if label is None else chosen[arrays.labels[chosen] == label]
                for chosen in (support, query)
            )
            assert part.max(initial=-1) < rest.min(initial=10**6)


@few_examples
@given(st.lists(st.integers(2, 10), min_size=1, max_size=5), shots, n_queries, orders, seeds)
def test_marked_rows_are_support_and_the_others_query(sizes, n_shots, n_query, order, seed):
    rng = np.random.RandomState(seed)
    marks = [rng.permutation(np.arange(n) < rng.randint(1, n)) for n in sizes]
    marked = np.concatenate(marks)
    arrays = make_arrays(sizes, is_support=marked)
    sampler = EpisodeSampler(arrays, n_shots, n_query, order)
    for rows, support, query in draw_rows(sampler, drawn_tasks(arrays, seed), seed):
        assert marked[support].all()
        assert not marked[query].any()
        there, others = marked[rows].sum(), (~marked[rows]).sum()
        if isinstance(n_shots, int):
            assert len(support) == min(n_shots, there)
        assert len(query) == (others if n_query is None else min(n_query, others))
        if order == "first":
            assert support.tolist() == rows[marked[rows]][: len(support)].tolist()


@few_examples
@given(classifications(own=True), shots, orders, seeds)
def test_relabelling_is_a_permutation_of_the_tasks_own_classes(arrays, n_shots, order, seed):
    sampler = EpisodeSampler(arrays, n_shots, None, order)
    tasks = drawn_tasks(arrays, seed)
    batches = sampler.draw(tasks, np.random.RandomState(seed))
    for place, task in enumerate(tasks):
        n_classes, new = arrays.n_classes[task], {}
        for batch in batches:
            filled = batch.weight[place] > 0
            y = batch.y[place, filled]
            if y.shape[1] == 1:
                codes = y[:, 0].astype(int)
            else:
                np.testing.assert_array_equal(y.sum(axis=1), np.ones(len(y)))
                codes = y.argmax(axis=1)
            for row, code in zip(rows_of(batch, place), codes, strict=True):
                assert new.setdefault(arrays.labels[row], code) == code
        assert sorted(new) == sorted(new.values()) == list(range(n_classes))


def test_shared_labels_are_never_shuffled():
    labels = np.arange(20) % 4
    arrays = make_arrays([10, 10], labels, n_outputs=4)
    for seed in range(20):
        sampler = EpisodeSampler(arrays, 2, None, "random")
        for batch in sampler.draw(np.array([0, 1]), np.random.RandomState(seed)):
            filled = batch.weight > 0
            expected = np.eye(4)[labels[batch.X[filled, 0].astype(int)]]
            np.testing.assert_array_equal(batch.y[filled], expected)


def many_draws(arrays, n_draws, *options):
    """One draw of a long list of tasks."""
    sampler = EpisodeSampler(arrays, *options)
    return sampler.draw(np.zeros(n_draws, int), np.random.RandomState(0))


@pytest.mark.parametrize("n_shots", [3, (1, 3), "auto"])
def test_few_rows_of_a_large_task_are_dealt(n_shots):
    arrays = make_arrays([200, 2, 300])
    sampler = EpisodeSampler(arrays, n_shots, 4, "random")
    most = (20 if n_shots == "auto" else 3) + 4
    np.testing.assert_array_equal(sampler.n_most(np.arange(3)), [most, 2, most])
    for seed in range(50):
        for rows, support, query in draw_rows(sampler, [2, 0, 1], seed):
            both = np.concatenate([support, query])
            assert len(np.unique(both)) == len(both)
            assert np.isin(both, rows).all()
            assert len(query) == min(4, len(rows) - len(support))
            assert len(support) <= min(most - 4, len(rows) - 1)
            assert len(support) == min(3, len(rows) - 1) or n_shots != 3


@pytest.mark.parametrize(
    "options", [(3, None, "random"), (3, None, "first"), ("half", 4, "random")]
)
def test_all_rows_are_dealt_where_the_episode_may_use_them(options):
    assert EpisodeSampler(make_arrays([200]), *options).n_most(np.arange(1)) == [200]


@pytest.mark.parametrize("batch", [0, 1], ids=["support", "query"])
def test_rows_are_drawn_uniformly(batch):
    drawn = many_draws(make_arrays([10, 3]), 4000, 3, 2, "random")[batch]
    counts = np.bincount(drawn.X[drawn.weight > 0, 0].astype(int), minlength=10)
    assert chisquare(counts).pvalue > 0.01


@pytest.mark.parametrize("batch", [0, 1], ids=["support", "query"])
def test_rows_of_large_tasks_are_drawn_uniformly(batch):
    drawn = many_draws(make_arrays([60, 3]), 4000, 3, 2, "random")[batch]
    counts = np.bincount(drawn.X[drawn.weight > 0, 0].astype(int), minlength=60)
    assert chisquare(counts).pvalue > 0.01


def test_pairs_of_rows_are_drawn_uniformly():
    support, _ = many_draws(make_arrays([6]), 6000, 2, None, "random")
    pairs = np.sort(support.X[..., 0].astype(int), axis=1)
    _, counts = np.unique(pairs @ [6, 1], return_counts=True)
    assert len(counts) == 15
    assert chisquare(counts).pvalue > 0.01


@pytest.mark.parametrize(
    ("n_shots", "n_rows", "sizes"),
    [((1, 4), 10, range(1, 5)), ("auto", 6, range(6)), ("auto", 60, range(21))],
)
def test_sizes_are_drawn_uniformly(n_shots, n_rows, sizes):
    support, _ = many_draws(make_arrays([n_rows]), 4200, n_shots, None, "random")
    found, counts = np.unique(support.weight.sum(axis=1), return_counts=True)
    np.testing.assert_array_equal(found, sizes)
    assert chisquare(counts).pvalue > 0.01


@pytest.mark.parametrize(("n_outputs", "n_rows"), [(1, 20), (3, 20), (8, 40)])
def test_auto_shots_of_shared_classes_are_rows_of_whatever_class(n_outputs, n_rows):
    labels = np.tile(np.arange(max(2, n_outputs)), 10)
    arrays = make_arrays([len(labels)], labels, n_outputs=n_outputs)
    if len(labels) <= n_rows:
        n_rows = len(labels) - 1
    support, _ = many_draws(arrays, 8000, "auto", None, "random")
    found, counts = np.unique(support.weight.sum(axis=1), return_counts=True)
    np.testing.assert_array_equal(found, np.arange(n_rows + 1))
    assert chisquare(counts).pvalue > 0.01
    rows = support.X[support.weight > 0, 0].astype(int)
    assert chisquare(np.bincount(rows, minlength=len(labels))).pvalue > 0.01


def test_auto_shots_of_many_shared_classes_are_100_rows_at_most():
    labels = np.tile(np.arange(25), 10)
    arrays = make_arrays([len(labels)], labels, n_outputs=25)
    support, _ = many_draws(arrays, 2000, "auto", None, "random")
    assert support.weight.sum(axis=1).max() == 100


@pytest.mark.parametrize(("n_outputs", "n_shots"), [(1, 10), (3, 6), (8, 5), (25, 5)])
def test_auto_shots_of_own_classes_are_one_or_more_of_each(n_outputs, n_shots):
    classes = max(2, n_outputs)
    labels = np.tile(np.arange(classes), 30)
    arrays = make_arrays([len(labels)], labels, np.array([classes]), n_outputs=n_outputs)
    support, _ = many_draws(arrays, 2000, "auto", None, "random")
    found, counts = np.unique(support.weight.sum(axis=1) / classes, return_counts=True)
    np.testing.assert_array_equal(found, np.arange(1, n_shots + 1))
    assert chisquare(counts).pvalue > 0.01


def test_permutations_of_labels_are_drawn_uniformly():
    labels = np.arange(6) % 3
    arrays = make_arrays([6], labels, np.array([3]), n_outputs=4)
    support, _ = many_draws(arrays, 6000, 1, None, "random")
    order = np.argsort(support.X[..., 0] % 3, axis=1)  # rows by their class before
    codes = np.take_along_axis(support.y.argmax(axis=2), order, axis=1)
    _, counts = np.unique(codes @ [16, 4, 1], return_counts=True)
    assert len(counts) == 6
    assert chisquare(counts).pvalue > 0.01


def test_a_seed_gives_the_same_episode():
    arrays = make_arrays([10, 5, 8])
    sampler, tasks = EpisodeSampler(arrays, "auto", None, "random"), np.array([0, 2, 1])
    first, second, other = (sampler.draw(tasks, np.random.RandomState(seed)) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first[0].X, second[0].X)
    np.testing.assert_array_equal(first[1].X, second[1].X)
    assert first[0].X.shape != other[0].X.shape or np.any(first[0].X != other[0].X)


@pytest.mark.parametrize("n_shots", [0, 1, "auto", "half", (2, 3)])
def test_a_task_of_one_row_keeps_it_for_the_query(n_shots):
    sampler = EpisodeSampler(make_arrays([1, 5]), n_shots, None, "random")
    (_, support, query), _ = draw_rows(sampler, [0, 1], 0)
    assert len(support) == 0
    assert query.tolist() == [0]


@few_examples
@given(
    st.one_of(regressions(), classifications(), classifications(own=True)),
    shots,
    n_queries,
    orders,
    seeds,
)
def test_split_is_the_same_deal_as_masks(arrays, n_shots, n_query, order, seed):
    sampler = EpisodeSampler(arrays, n_shots, n_query, order)
    is_support, is_query = sampler.split(np.random.RandomState(seed))
    for rows, support, query in draw_rows(sampler, range(len(arrays)), seed):
        assert rows[is_support[rows]].tolist() == sorted(support)
        assert rows[is_query[rows]].tolist() == sorted(query)


caps = st.integers(2, 12)
any_tasks = st.one_of(regressions(), classifications(), classifications(own=True))


def marked(arrays, seed):
    """The same with some rows marked, some not, in every task of two rows or more."""
    rng = np.random.RandomState(seed)
    sizes = arrays.sizes
    marks = [rng.permutation(np.arange(n) < rng.randint(min(1, n - 1), n)) for n in sizes]
    return replace(arrays, is_support=np.concatenate(marks))


def drawn_sets(sampler, tasks, seed):
    return [
        (sorted(support), sorted(query)) for _, support, query in draw_rows(sampler, tasks, seed)
    ]


@few_examples
@given(any_tasks, st.booleans(), shots, n_queries, orders, caps, seeds)
def test_a_capped_episode_has_so_many_rows_of_a_task_and_query_rows(
    arrays, is_marked, n_shots, n_query, order, cap, seed
):
    if is_marked:
        arrays = marked(arrays, seed)
    sampler = EpisodeSampler(arrays, n_shots, n_query, order, cap)
    for rows, support, query in draw_rows(sampler, drawn_tasks(arrays, seed), seed):
        both = np.concatenate([support, query])
        assert len(np.unique(both)) == len(both) <= cap
        assert np.isin(both, rows).all()
        there = len(rows)
        if is_marked:
            assert arrays.is_support[support].all()
            assert not arrays.is_support[query].any()
            there = len(support) + (~arrays.is_support[rows]).sum()
        asked = len(rows) if n_query is None else n_query
        assert len(query) == min(asked, there - len(support), cap - len(support))
        if len(rows) > cap:
            assert len(query) >= min(asked, cap // 2, there - len(support))


@few_examples
@given(any_tasks, shots, n_queries, orders, seeds)
def test_a_cap_that_no_task_exceeds_changes_nothing(arrays, n_shots, n_query, order, seed):
    tasks, cap = drawn_tasks(arrays, seed), max(2, arrays.sizes.max())
    capped, plain = (EpisodeSampler(arrays, n_shots, n_query, order, m) for m in (cap, None))
    assert drawn_sets(capped, tasks, seed) == drawn_sets(plain, tasks, seed)


@few_examples
@given(classifications(), st.integers(1, 5), caps, seeds)
def test_capped_support_is_as_even_by_class_as_can_be(arrays, n_shots, cap, seed):
    """No class has two rows less than another, unless it has no more."""
    sampler = EpisodeSampler(arrays, n_shots, None, "random", cap, stratify=True)
    for rows, support, _ in draw_rows(sampler, drawn_tasks(arrays, seed), seed):
        there = np.bincount(arrays.labels[rows])
        found = np.bincount(arrays.labels[support], minlength=len(there))
        assert np.all((found >= found.max() - 1) | (found == there))
        asked = np.minimum(there, min(n_shots, there.max() - 1)).sum()
        most = cap - cap // 2 if len(rows) > cap else len(rows)
        assert len(support) == min(asked, most)


@few_examples
@given(regressions(), shots, n_queries, caps, seeds)
def test_capped_support_first_is_the_earliest_rows(arrays, n_shots, n_query, cap, seed):
    sampler = EpisodeSampler(arrays, n_shots, n_query, "first", cap)
    for rows, support, _ in draw_rows(sampler, drawn_tasks(arrays, seed), seed):
        assert support.tolist() == rows[: len(support)].tolist()


@pytest.mark.parametrize("order", ["random", "first"])
@pytest.mark.parametrize("batch", [0, 1], ids=["support", "query"])
def test_capped_rows_are_drawn_uniformly_and_anew(batch, order):
    sampler = EpisodeSampler(make_arrays([40]), 3, None, order, 9)
    drawn = sampler.draw(np.zeros(4000, int), np.random.RandomState(0))[batch]
    rows = drawn.X[drawn.weight > 0, 0].astype(int)
    assert len(rows) == 4000 * (6 if batch else 3)
    counts = np.bincount(rows, minlength=40)
    if order == "first":
        assert not counts[3:].any() if batch == 0 else not counts[:3].any()
        counts = counts[counts > 0]
        assert len(counts) == (37 if batch else 3)
    assert chisquare(counts).pvalue > 0.01


@pytest.mark.parametrize("n_shots", [2, (1, 4)])
def test_query_rows_of_classes_are_drawn_uniformly_of_those_left(n_shots):
    """One class has nine rows of ten: so have the rows left, whatever the support is of."""
    labels = (np.arange(100) % 10 == 0).astype(int)
    sampler = EpisodeSampler(make_arrays([100], labels), n_shots, 5, "random", stratify=True)
    _, query = sampler.draw(np.zeros(4000, int), np.random.RandomState(0))
    counts = np.bincount(query.X[..., 0].astype(int).ravel(), minlength=100)
    for code in (0, 1):
        assert chisquare(counts[labels == code]).pvalue > 0.01
    n_support = np.mean(n_shots)
    expected = 20_000 * np.array([90 - n_support, 10 - n_support]) / (100 - 2 * n_support)
    found = [counts[labels == code].sum() for code in (0, 1)]
    np.testing.assert_allclose(found, expected, rtol=0.05)


def test_a_sampler_is_pickled_without_what_it_found_out():
    arrays = make_arrays([1000, 1000], np.arange(2000) % 2)
    sampler = EpisodeSampler(arrays, 3, 4, "random")
    before = len(pickle.dumps(sampler))
    sampler.draw(np.array([0, 1]), np.random.RandomState(0))
    assert len(pickle.dumps(sampler)) == before


def test_thousands_of_rows_beside_one():
    sampler = EpisodeSampler(make_arrays([1, 5000, 2]), 30, None, "random")
    sizes = [(len(s), len(q)) for _, s, q in draw_rows(sampler, [0, 1, 2], 0)]
    assert sizes == [(0, 1), (30, 4970), (1, 1)]


@few_examples
@given(classifications(), st.integers(0, 20), seeds)
def test_shots_are_rows_of_any_shared_class(arrays, n_shots, seed):
    sampler = EpisodeSampler(arrays, n_shots, None, "random")
    tasks = np.arange(len(arrays))
    support, query = sampler.draw(tasks, np.random.RandomState(seed))
    for task, size in enumerate(arrays.sizes):
        rows, asked = rows_of(support, task), rows_of(query, task)
        assert len(rows) == min(n_shots, size - 1)
        expected = np.arange(arrays.offsets[task], arrays.offsets[task + 1])
        assert sorted([*rows, *asked]) == expected.tolist()


@few_examples
@given(classifications(own=True), st.integers(1, 4), seeds)
def test_shots_of_classes_of_a_tasks_own_are_of_each(arrays, n_shots, seed):
    tasks = np.arange(len(arrays))
    auto, by_class = (
        EpisodeSampler(arrays, n_shots, None, "random", stratify=each).deal_rows(
            tasks, np.random.RandomState(seed)
        )
        for each in ("auto", True)
    )
    for found, expected in zip(auto, by_class, strict=True):
        assert found.rows.tolist() == expected.rows.tolist()


@pytest.mark.parametrize("n_outputs", [1, 4])
def test_auto_shots_of_each_shared_class_are_few(n_outputs):
    """0 to 20 rows in all, or 5 of each class, as many of one as of another."""
    n_classes = max(2, n_outputs)
    arrays = make_arrays([200], np.arange(200) % n_classes, n_outputs=n_outputs)
    sampler = EpisodeSampler(arrays, "auto", None, "random", stratify=True)
    support, _ = sampler.deal_rows(np.zeros(500, int), np.random.RandomState(0))
    assert np.all(support.counts % n_classes == 0)
    found = np.unique(support.counts // n_classes)
    np.testing.assert_array_equal(found, np.arange(max(20, 5 * n_classes) // n_classes + 1))
