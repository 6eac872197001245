from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare
from test_episodes import n_queries, orders, seeds, shots

from sklearn_meta import TaskCollection
from sklearn_meta.tasks._batch import TaskArrays
from sklearn_meta.tasks._blocks import Blocks, block_codes, check_one_class
from sklearn_meta.tasks._episodes import EpisodeSampler

few_examples = settings(deadline=None, derandomize=True, max_examples=80, database=None)
caps = st.one_of(st.none(), st.integers(2, 8))


def make_arrays(blocks, **fields):
    """Tasks of these blocks each (lists of numbers); X is the row's own number."""
    codes = np.concatenate(blocks)
    X = np.arange(len(codes))[:, None].astype(float)
    offsets = np.concatenate([[0], np.cumsum([len(b) for b in blocks])])
    fields = {"y": np.zeros((len(codes), 1))} | fields
    return TaskArrays(X=X, offsets=offsets, blocks=codes, **fields)


@st.composite
def tasks_in_blocks(draw, kind="regression"):
    """Rows of blocks in any order; of classes all rows of a block alike."""
    sizes = draw(st.lists(st.integers(4, 16), min_size=1, max_size=5))
    rng = np.random.RandomState(draw(seeds))
    blocks = [rng.permutation(np.append(np.arange(4), rng.randint(6, size=n - 4))) for n in sizes]
    codes = np.concatenate(blocks)
    if kind == "marked":  # the first two blocks
        return make_arrays(blocks, is_support=codes < 2)
    if kind == "classes":
        return make_arrays(blocks, y=codes % 3, n_outputs=3)
    if kind == "own classes":
        n_classes = np.full(len(sizes), 2)
        return make_arrays(blocks, y=codes % 2, n_outputs=1, n_classes=n_classes)
    return make_arrays(blocks)


any_tasks = st.sampled_from(["regression", "marked", "classes", "own classes"]).flatmap(
    tasks_in_blocks
)


def blocks_by_loop(arrays, task):
    """The blocks of a task in the order of their first rows, each as its rows."""
    found = {}
    for row in range(arrays.offsets[task], arrays.offsets[task + 1]):
        found.setdefault(arrays.blocks[row], []).append(row)
    return list(found.values())


def dealt_rows(dealt, place):
    start = dealt.starts[place]
    return dealt.rows[start : start + dealt.counts[place]].tolist()


@few_examples
@given(tasks_in_blocks())
def test_blocks_are_those_of_a_loop(arrays):
    blocks = Blocks.of(arrays.offsets, arrays.blocks)
    expected = [rows for task in range(len(arrays)) for rows in blocks_by_loop(arrays, task)]
    found = [blocks.rows_of(np.array([i]))[0].tolist() for i in range(len(blocks.sizes))]
    assert found == expected
    assert [blocks.of_row[rows[0]] for rows in expected] == list(range(len(expected)))
    assert np.flatnonzero(blocks.is_first).tolist() == [rows[0] for rows in expected]
    counts = [len(blocks_by_loop(arrays, task)) for task in range(len(arrays))]
    assert np.diff(blocks.of_task).tolist() == counts
    largest = [max(map(len, blocks_by_loop(arrays, task))) for task in range(len(arrays))]
    assert blocks.largest().tolist() == largest


@few_examples
@given(any_tasks, shots, n_queries, orders, caps, seeds)
def test_no_block_is_split(arrays, n_shots, n_query, order, cap, seed):
    """All rows of a block are dealt to one side, or none is dealt at all."""
    if arrays.n_classes is not None and n_shots == 0:
        n_shots = 1
    sampler = EpisodeSampler(arrays, n_shots, n_query, order, cap)
    tasks = np.random.RandomState(seed).randint(len(arrays), size=len(arrays) + 1)
    support, query = sampler.deal_rows(tasks, np.random.RandomState(seed))
    for place, task in enumerate(tasks):
        shown, asked = dealt_rows(support, place), dealt_rows(query, place)
        assert len({*shown, *asked}) == len(shown) + len(asked)
        counts = [0, 0]
        for rows in blocks_by_loop(arrays, task):
            sides = [set(rows) <= set(side) for side in (shown, asked)]
            assert any(sides) or not set(rows) & {*shown, *asked}
            counts[0], counts[1] = counts[0] + sides[0], counts[1] + sides[1]
        assert [support.n_units[place], query.n_units[place]] == counts
        assert counts[1] >= 1
        assert n_query is None or counts[1] <= n_query
        if cap is not None:
            largest = max(map(len, blocks_by_loop(arrays, task)))
            assert sum(counts) <= max(2, cap // largest)
        if arrays.is_support is not None:
            assert arrays.is_support[shown].all()
            assert not arrays.is_support[asked].any()


@few_examples
@given(tasks_in_blocks(), st.integers(0, 6), seeds)
def test_shots_count_blocks(arrays, n_shots, seed):
    support, query = EpisodeSampler(arrays, n_shots, None, "random").deal_rows(
        np.arange(len(arrays)), np.random.RandomState(seed)
    )
    for task in range(len(arrays)):
        n_blocks = len(blocks_by_loop(arrays, task))
        assert support.n_units[task] == min(n_shots, n_blocks - 1)
        assert query.n_units[task] == n_blocks - support.n_units[task]


@few_examples
@given(tasks_in_blocks(), st.integers(0, 6))
def test_first_blocks_are_those_of_the_first_rows(arrays, n_shots):
    sampler = EpisodeSampler(arrays, n_shots, None, "first")
    support, _ = sampler.deal_rows(np.arange(len(arrays)), np.random.RandomState(0))
    for task in range(len(arrays)):
        blocks = blocks_by_loop(arrays, task)
        expected = [row for rows in blocks[: min(n_shots, len(blocks) - 1)] for row in rows]
        assert dealt_rows(support, task) == expected


@few_examples
@given(tasks_in_blocks("classes"), st.integers(1, 3), seeds)
def test_shots_of_each_class_count_its_blocks(arrays, n_shots, seed):
    sampler = EpisodeSampler(arrays, n_shots, None, "random", stratify=True)
    support, _ = sampler.deal_rows(np.arange(len(arrays)), np.random.RandomState(seed))
    for task in range(len(arrays)):
        blocks = blocks_by_loop(arrays, task)
        there = np.bincount([arrays.y[rows[0]] for rows in blocks], minlength=3)
        shown = set(dealt_rows(support, task))
        of_each = [arrays.y[rows[0]] for rows in blocks if set(rows) <= shown]
        expected = np.minimum(there, min(n_shots, there.max() - 1))
        np.testing.assert_array_equal(np.bincount(of_each, minlength=3), expected)


@few_examples
@given(any_tasks, shots, n_queries, orders, caps, seeds)
def test_blocks_of_one_row_each_are_as_none(arrays, n_shots, n_query, order, cap, seed):
    """The same numbers are drawn."""
    if arrays.n_classes is not None and n_shots == 0:
        n_shots = 1
    alone = replace(arrays, blocks=np.arange(len(arrays.X)))
    dealt = [
        EpisodeSampler(each, n_shots, n_query, order, cap).deal_rows(
            np.arange(len(arrays)), np.random.RandomState(seed)
        )
        for each in (alone, replace(arrays, blocks=None))
    ]
    for found, expected in zip(*dealt, strict=True):
        for task in range(len(arrays)):
            assert dealt_rows(found, task) == dealt_rows(expected, task)


def test_blocks_are_drawn_uniformly_whatever_their_size():
    arrays = make_arrays([np.repeat(np.arange(8), np.arange(1, 9))])
    sampler = EpisodeSampler(arrays, 3, 2, "random")
    for dealt in sampler.deal_rows(np.zeros(4000, int), np.random.RandomState(0)):
        drawn = np.bincount(arrays.blocks[dealt.all_rows], minlength=8) / np.arange(1, 9)
        assert chisquare(drawn).pvalue > 0.01


def test_the_rows_of_an_episode_are_counted_about():
    arrays = make_arrays([np.repeat(np.arange(10), 5), np.arange(10)])
    sampler = EpisodeSampler(arrays, 2, 4, "random")
    assert sampler.n_most(np.arange(2)).tolist() == [30, 6]


@pytest.mark.parametrize(
    "labels",
    [
        np.array(["b", "a", "b"]),
        np.array([1.5, 0.5, 1.5]),
        np.array([1, "1", 1], object),
        np.array(["2026-01-02", "2026-01-01", "2026-01-02"], "M8[D]"),
    ],
    ids=["text", "numbers", "objects", "dates"],
)
def test_labels_are_numbered(labels):
    codes = block_codes(labels)
    assert codes[0] == codes[2] != codes[1]
    assert block_codes(None) is None


def test_blocks_of_several_classes_are_named():
    options = {"groups": ["b", "b", "a", "a"], "blocks": ["w", "w", "v", "w"]}
    check_one_class(TaskCollection.from_arrays(np.zeros((4, 1)), [0, 0, 0, 1], **options))
    mixed = TaskCollection.from_arrays(np.zeros((4, 1)), [0, 1, 0, 1], **options)
    with pytest.raises(ValueError, match="block 'w' of task 'b' has rows of several classes"):
        check_one_class(mixed)


def test_letters_of_one_word_lie_in_both_unless_words_are_blocks():
    word = np.tile(np.repeat(np.arange(6), 5), 10)
    tasks = TaskCollection.from_arrays(word[:, None], word, np.repeat(np.arange(10), 30))
    arrays = TaskArrays(tasks.X, tasks.y[:, None].astype(float), tasks.offsets)
    n_torn = []
    for each in (arrays, replace(arrays, blocks=block_codes(word))):
        is_support, is_query = EpisodeSampler(each, "half", None, "random").split(
            np.random.RandomState(0)
        )
        shown, asked = (
            set(zip(tasks.groups[m], word[m], strict=True)) for m in (is_support, is_query)
        )
        n_torn.append(len(shown & asked))
    assert n_torn[0] > 50  # of 60
    assert n_torn[1] == 0
