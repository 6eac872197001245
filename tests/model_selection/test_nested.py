from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sklearn_meta import TaskCollection
from sklearn_meta.model_selection._nested import check_n_shots, nested_supports


def collection(sizes, y=None, marks=None, shared=True):
    n_rows = sum(sizes)
    groups = np.repeat(np.arange(len(sizes)), sizes)
    y = np.zeros(n_rows, int) if y is None else y
    X = np.arange(n_rows)[:, None]
    return TaskCollection.from_arrays(X, y, groups, is_support=marks, shared_labels=shared)


shots = st.lists(st.integers(0, 9), min_size=1, max_size=4).map(check_n_shots)
sizes = st.lists(st.integers(1, 15), min_size=1, max_size=6)


@settings(deadline=None)
@given(sizes, shots, st.sampled_from(["random", "first"]), st.integers(0, 9))
def test_supports_are_nested_and_the_query_stays(sizes, n_shots, order, seed):
    supports = nested_supports(collection(sizes), n_shots, 2, order, False, seed)
    task, enough = np.repeat(np.arange(len(sizes)), sizes), np.array(sizes) > np.c_[list(n_shots)]
    np.testing.assert_array_equal(supports.served, enough)
    for repeat in range(supports.n_repeats):
        shown_before = np.zeros(len(task), bool)
        for number, k in enumerate(n_shots):
            support, query = supports.masks(number, repeat)
            served = enough[number]
            np.testing.assert_array_equal(
                np.bincount(task[support], minlength=len(sizes)), k * served
            )
            assert not np.any(support & query)
            assert np.all(support[shown_before & served[task]])
            assert set(task[query]) == set(np.flatnonzero(served))
            np.testing.assert_array_equal(query, supports.query(repeat) & served[task])
            shown_before = support


def test_the_first_rows_are_shown_once_and_random_ones_drawn_anew():
    tasks = collection([8, 9])
    first = nested_supports(tasks, (3,), 5, "first", False, 0)
    assert first.n_repeats == 1
    np.testing.assert_array_equal(np.flatnonzero(first.masks(0, 0)[0]), [0, 1, 2, 8, 9, 10])
    random = nested_supports(tasks, (3,), 5, "random", False, 0)
    assert len({tuple(random.masks(0, repeat)[0]) for repeat in range(5)}) > 1


def test_every_support_is_as_likely():
    tasks, counts = collection([4] * 3000), np.zeros(4)
    support, _ = nested_supports(tasks, (1,), 1, "random", False, 0).masks(0, 0)
    counts = support.reshape(-1, 4).sum(axis=0)
    assert np.all(np.abs(counts - 750) < 5 * np.sqrt(750))


def test_by_class_rare_classes_show_what_they_have():
    y = np.array([0] * 6 + [1] * 2 + [0] * 3 + [2] * 4)
    supports = nested_supports(collection([8, 7], y), (1, 3), 1, "first", True, 0)
    support, query = supports.masks(1, 0)
    np.testing.assert_array_equal(np.flatnonzero(support), [0, 1, 2, 6, 7, 8, 9, 10, 11, 12, 13])
    np.testing.assert_array_equal(np.flatnonzero(query), [3, 4, 5, 14])
    np.testing.assert_array_equal(np.flatnonzero(supports.masks(0, 0)[1]), [3, 4, 5, 14])


def test_marked_rows_are_shown_and_the_others_judge():
    marks = np.array([1, 1, 1, 0, 0, 1, 0, 0, 1, 1], bool)
    supports = nested_supports(collection([5, 3, 2], marks=marks), (1, 3), 3, "random", False, 0)
    np.testing.assert_array_equal(supports.served, [[True, True, False], [True, False, False]])
    for number in range(2):
        support, query = supports.masks(number, 1)
        assert np.all(marks[support])
        assert not np.any(marks[query])
    np.testing.assert_array_equal(np.flatnonzero(supports.query(0)), [3, 4, 6, 7])


def test_without_rows_nobody_knows_the_classes_of_a_task():
    y = np.array([0, 1, 0, 1, 5, 6, 5, 6])
    supports = nested_supports(collection([4, 4], y, shared=False), (0, 1), 1, "random", True, 0)
    np.testing.assert_array_equal(supports.served, [[False, False], [True, True]])
    assert not np.any(supports.masks(0, 0))


@pytest.mark.parametrize("wrong", [-1, 1.5, "auto", [], [1, -2], [True], None])
def test_n_shots_that_are_no_numbers_of_rows(wrong):
    with pytest.raises(ValueError, match="n_shots must"):
        check_n_shots(wrong)


def test_n_shots_are_sorted_and_each_is_once():
    assert check_n_shots([5, 0, 5]) == (0, 5)
    assert check_n_shots(np.int64(3)) == (3,)


@settings(deadline=None)
@given(sizes, shots, st.sampled_from(["random", "first"]), st.integers(0, 9))
def test_blocks_are_shown_whole_and_counted(sizes, n_shots, order, seed):
    rows = collection(sizes)
    word = np.random.RandomState(seed).randint(4, size=rows.n_rows)
    supports = nested_supports(replace(rows, blocks=word), n_shots, 2, order, False, seed)
    task = np.repeat(np.arange(len(sizes)), sizes)
    n_blocks = np.array([len(set(word[task == i])) for i in range(len(sizes))])
    np.testing.assert_array_equal(supports.served, n_blocks > np.c_[list(n_shots)])
    for repeat in range(supports.n_repeats):
        for number, k in enumerate(n_shots):
            support, query = supports.masks(number, repeat)
            shown, asked = (set(zip(task[m], word[m], strict=True)) for m in (support, query))
            assert not shown & asked
            of_task = np.bincount([i for i, _ in shown], minlength=len(sizes))
            np.testing.assert_array_equal(of_task, k * supports.served[number])
            whole = np.array([block in shown for block in zip(task, word, strict=True)])
            np.testing.assert_array_equal(support, whole)
            if order == "first":
                for i in np.flatnonzero(supports.served[number]):
                    expected = list(dict.fromkeys(word[task == i]))[:k]
                    assert {w for j, w in shown if j == i} == set(expected)


def test_shots_of_each_class_need_blocks_of_one():
    tasks = replace(collection([4], np.array([0, 1, 0, 0])), blocks=np.array([1, 1, 2, 3]))
    with pytest.raises(ValueError, match="block 1 of task 0 has rows of several classes"):
        nested_supports(tasks, (1,), 1, "random", True, 0)
