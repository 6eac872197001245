import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from sklearn_meta.tasks._draws import draw_ordered, draw_subsets

few_examples = settings(deadline=None, derandomize=True, max_examples=60, database=None)
groups = st.lists(
    st.integers(0, 40).flatmap(lambda size: st.tuples(st.just(size), st.integers(0, size))),
    max_size=8,
)


@few_examples
@given(groups, st.integers(0, 2**31 - 1))
def test_each_group_has_as_many_different_numbers_below_its_size(groups, seed):
    sizes, counts = np.array(groups, int).reshape(-1, 2).T
    drawn = draw_ordered(sizes, counts, np.random.RandomState(seed))
    assert len(drawn) == counts.sum()
    parts = np.split(drawn, np.cumsum(counts)[:-1]) if len(counts) else []
    for part, size, count in zip(parts, sizes, counts, strict=True):
        assert len(set(part.tolist())) == count
        assert all(0 <= number < size for number in part)


@pytest.mark.parametrize(("size", "count"), [(4, 2), (5, 3), (9, 2), (13, 2), (3, 3)])
def test_ordered_draws_are_uniform(size, count):
    """With what is redrawn and what is shuffled, each beside groups of the other."""
    sizes, counts = np.tile([size, 4, 100], 6000), np.tile([count, 2, 2], 6000)
    drawn = draw_ordered(sizes, counts, np.random.RandomState(0)).reshape(6000, -1)[:, :count]
    _, times = np.unique(drawn @ size ** np.arange(count), return_counts=True)
    assert len(times) == np.prod(size - np.arange(count))
    assert chisquare(times).pvalue > 0.01


def test_subsets_are_drawn_uniformly():
    """Of 5, 3, 3 and 1 numbers: 2, 2, all and the one; a task with fewer rows beside."""
    sizes, counts = np.tile([5, 3, 3, 1], 3000), np.tile([2, 2, 3, 1], 3000)
    drawn = draw_subsets(sizes, counts, np.random.RandomState(0))
    for first, n_subsets in enumerate([10, 3, 1, 1]):
        size, count = sizes[first], counts[first]
        sets = np.sort(drawn[:count, first::4], axis=0)  # (count, 3000)
        assert np.all((sets >= 0) & (sets < size))
        assert np.all(np.diff(sets, axis=0) > 0)
        found, times = np.unique(sets, axis=1, return_counts=True)
        assert found.shape[1] == n_subsets
        assert n_subsets == 1 or chisquare(times).pvalue > 0.01
