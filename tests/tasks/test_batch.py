import pickle
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.preprocessing import LabelBinarizer

from sklearn_meta.tasks import TaskBatch
from sklearn_meta.tasks._batch import TaskArrays, logit_mask, one_hot

few_examples = settings(deadline=None, derandomize=True, max_examples=50, database=None)
sizes_and_tasks = st.lists(st.integers(0, 6), min_size=1, max_size=6).flatmap(
    lambda sizes: st.tuples(
        st.just(sizes), st.lists(st.integers(0, len(sizes) - 1), min_size=1, max_size=8)
    )
)


def make_arrays(sizes, dtype=np.float64, n_classes=None, n_outputs=2):
    n = sum(sizes)
    return TaskArrays(
        X=np.random.RandomState(0).standard_normal((n, 3)).astype(dtype),
        y=np.random.RandomState(2).randint(max(2, n_outputs), size=n),
        offsets=np.concatenate([[0], np.cumsum(sizes)]).astype(int),
        n_outputs=n_outputs,
        n_classes=None if n_classes is None else np.array(n_classes),
        is_support=np.arange(n) % 3 == 0,
        weight=np.random.RandomState(1).uniform(0.5, 2, n).astype(dtype),
    )


def rows_of(arrays, task):
    return slice(arrays.offsets[task], arrays.offsets[task + 1])


@few_examples
@given(sizes_and_tasks)
def test_take_and_full_batch_are_loops_over_tasks(drawn):
    sizes, tasks = drawn
    arrays = make_arrays(sizes, n_classes=np.arange(len(sizes)) + 1, n_outputs=3)
    taken, batch = arrays.take(np.array(tasks)), arrays.full_batch(np.array(tasks))
    assert len(taken) == len(tasks)
    assert taken.n_classes.tolist() == [task + 1 for task in tasks]
    for i, task in enumerate(tasks):
        rows, filled = rows_of(arrays, task), batch.weight[i] > 0
        for name in ("X", "y", "is_support", "weight"):
            expected = getattr(arrays, name)[rows]
            np.testing.assert_array_equal(getattr(taken, name)[rows_of(taken, i)], expected)
        np.testing.assert_array_equal(batch.X[i, filled], arrays.X[rows])
        np.testing.assert_array_equal(batch.y[i, filled], np.eye(3)[arrays.y[rows]])
        np.testing.assert_array_equal(batch.weight[i, filled], arrays.weight[rows])
        assert filled.sum() == sizes[task]


@few_examples
@given(st.lists(st.integers(0, 6), min_size=1, max_size=6))
def test_rows_of_weight_0_are_not_there(sizes):
    arrays = make_arrays(sizes)
    weight = np.where(np.arange(len(arrays.X)) % 3 == 1, 0, arrays.weight)
    expected = [np.count_nonzero(weight[rows_of(arrays, task)]) for task in range(len(sizes))]
    assert replace(arrays, weight=weight).n_there.tolist() == expected
    assert replace(arrays, weight=None).n_there.tolist() == sizes


def test_without_weights_each_row_counts_as_one():
    arrays = replace(make_arrays([2, 0, 3], np.float32), weight=None)
    weight = arrays.full_batch(np.arange(3)).weight
    np.testing.assert_array_equal(weight, [[1, 1, 0], [0, 0, 0], [1, 1, 1]])
    assert weight.dtype == np.float32


@pytest.mark.parametrize("n_outputs", [1, 3, 7])
def test_codes_are_one_hot_as_scikit_learn_has_it(n_outputs):
    classes = np.arange(max(2, n_outputs))
    codes = np.random.RandomState(0).randint(len(classes), size=(4, 5))
    y = one_hot(codes, n_outputs, np.float32)
    assert y.dtype == np.float32
    binarizer = LabelBinarizer().fit(classes)
    for found, expected in zip(y, codes, strict=True):
        np.testing.assert_array_equal(found, binarizer.transform(expected))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n_outputs", [1, 3, 7])
def test_the_mean_target_is_that_of_the_rows_of_a_batch(n_outputs, dtype):
    arrays = replace(make_arrays([20], dtype, n_outputs=n_outputs), weight=None)
    y = arrays.full_batch(np.array([0])).y[0]
    for of in (arrays, replace(arrays, y=y, n_outputs=None)):  # codes, and columns
        mean = of.mean_target()
        assert mean.dtype == dtype
        np.testing.assert_allclose(mean, y.mean(axis=0), rtol=1e-6)


@few_examples
@given(sizes_and_tasks, st.sampled_from([1, 3, 5]), st.integers(0, 1000))
def test_a_class_has_the_output_that_it_is_given(drawn, n_outputs, seed):
    sizes, tasks = drawn
    arrays, tasks = make_arrays(sizes, n_outputs=n_outputs), np.array(tasks)
    keys = np.random.RandomState(seed).random_sample((len(tasks), max(2, n_outputs)))
    outputs = np.argsort(keys, axis=1)
    batch = arrays.batch(tasks, arrays.offsets[tasks], arrays.sizes[tasks], outputs=outputs)
    for i, task in enumerate(tasks):
        codes = outputs[i][arrays.y[rows_of(arrays, task)]]
        expected = np.eye(n_outputs)[codes] if n_outputs > 1 else codes[:, None]
        np.testing.assert_array_equal(batch.y[i, batch.weight[i] > 0], expected)


@few_examples
@given(st.lists(st.integers(0, 6), min_size=1, max_size=6), st.integers(0, 1000))
def test_select_keeps_the_tasks_and_drops_rows(sizes, seed):
    arrays = make_arrays(sizes)
    mask = np.random.RandomState(seed).randint(2, size=sum(sizes)).astype(bool)
    selected = arrays.select(mask)
    assert len(selected) == len(sizes)
    for task in range(len(sizes)):
        rows = rows_of(arrays, task)
        for name in ("X", "y", "is_support", "weight"):
            np.testing.assert_array_equal(
                getattr(selected, name)[rows_of(selected, task)],
                getattr(arrays, name)[rows][mask[rows]],
            )


def test_concatenate_puts_one_behind_the_other():
    first, second = (
        make_arrays([2, 0, 3], n_classes=[2, 1, 2]),
        make_arrays([1, 4], n_classes=[1, 2]),
    )
    both = TaskArrays.concatenate([first, second])
    np.testing.assert_array_equal(both.sizes, [2, 0, 3, 1, 4])
    np.testing.assert_array_equal(both.n_classes, [2, 1, 2, 1, 2])
    for i in range(5):
        part, task = (first, i) if i < 3 else (second, i - 3)
        for name in ("X", "y", "is_support", "weight"):
            np.testing.assert_array_equal(
                getattr(both, name)[rows_of(both, i)], getattr(part, name)[rows_of(part, task)]
            )


@few_examples
@given(st.lists(st.integers(0, 9), min_size=1, max_size=12), st.integers(1, 80), st.integers(1, 30))
def test_chunks_are_whole_tasks_of_bounded_size(sizes, max_cells, least):
    arrays = make_arrays(sizes)
    seen = []
    for tasks, batch in arrays.chunks(4, least, max_cells):
        cells = batch.X.shape[0] * max(batch.X.shape[1] * 4, least)
        assert cells <= max_cells or len(tasks) == 1
        for i, task in enumerate(tasks):
            filled = batch.weight[i] > 0
            np.testing.assert_array_equal(batch.X[i, filled], arrays.X[rows_of(arrays, task)])
        seen += tasks.tolist()
    assert sorted(seen) == list(range(len(sizes)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_logit_mask_closes_the_classes_that_a_task_does_not_have(dtype):
    arrays = make_arrays([2, 2, 2], dtype, n_classes=[2, 4, 3], n_outputs=4)
    mask = logit_mask(arrays.n_classes[[2, 0, 1]], 4, dtype)
    assert mask.shape == (3, 1, 4)
    assert mask.dtype == dtype
    open_ = [[1, 1, 1, 0], [1, 1, 0, 0], [1, 1, 1, 1]]
    np.testing.assert_array_equal(mask[:, 0] == 0, np.array(open_, bool))
    z = dtype(1e4) * np.ones((3, 1, 4), dtype) + mask
    assert np.isfinite(z).all()
    assert not np.exp(z - z.max(axis=-1, keepdims=True))[mask < 0].any()
    np.testing.assert_array_equal(arrays.full_batch(np.array([0])).logit_mask, mask[[1]])


def test_no_logit_mask_where_nothing_is_to_be_closed():
    both = np.arange(2)
    assert make_arrays([2, 2], n_classes=None).full_batch(both).logit_mask is None
    assert make_arrays([2, 2], n_classes=[2, 2]).full_batch(both).logit_mask is None
    assert make_arrays([2, 2], n_classes=[2, 2], n_outputs=1).full_batch(both).logit_mask is None
    some = make_arrays([2, 2], n_classes=[2, 3], n_outputs=3)
    assert some.full_batch(np.array([1])).logit_mask is None


def test_share_sums_to_one_where_there_are_rows():
    weight = np.array([[1.0, 3.0, 0.0], [0.0, 0.0, 0.0], [2.0, 2.0, 4.0]])
    batch = TaskBatch(np.zeros((3, 3, 1)), np.zeros((3, 3, 1)), weight)
    np.testing.assert_array_equal(batch.share, [[0.25, 0.75, 0], [0, 0, 0], [0.25, 0.25, 0.5]])


def test_share_is_of_the_batch_that_it_is_asked_of():
    batch = TaskBatch(np.zeros((1, 2, 1)), np.zeros((1, 2, 1)), np.array([[1.0, 3.0]]))
    assert batch.share is batch.share
    np.testing.assert_array_equal(batch._replace(weight=np.ones((1, 2))).share, [[0.5, 0.5]])
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(batch)).share, [[0.25, 0.75]])


def test_join_puts_rows_side_by_side():
    arrays = make_arrays([2, 3, 1, 4], n_classes=[1, 2, 3, 3], n_outputs=3)
    first, second = arrays.full_batch(np.array([0, 1])), arrays.full_batch(np.array([2, 3]))
    joined = first.join(second)
    for i, tasks in enumerate([(0, 2), (1, 3)]):
        filled = joined.weight[i] > 0
        rows = np.concatenate([np.arange(len(arrays.X))[rows_of(arrays, task)] for task in tasks])
        np.testing.assert_array_equal(joined.X[i, filled], arrays.X[rows])
        np.testing.assert_array_equal(joined.y[i, filled], np.eye(3)[arrays.y[rows]])
    assert joined.logit_mask is first.logit_mask
