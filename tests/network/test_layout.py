import numpy as np
import pytest

from sklearn_meta.network import Layout, Params

SHAPES = {"a": (2, 3), "b": (3,), "none": (0, 4), "c": (1, 2, 2)}


def test_views_lie_end_to_end():
    layout = Layout(SHAPES)
    assert layout.size == 6 + 3 + 0 + 4
    vector = np.arange(layout.size)
    views = [layout.view(vector, name) for name in SHAPES]
    assert [view.shape for view in views] == list(SHAPES.values())
    np.testing.assert_array_equal(np.concatenate([view.ravel() for view in views]), vector)


@pytest.mark.parametrize("lead", [(), (5,)])
def test_writing_to_a_view_writes_to_the_vector(lead):
    layout = Layout(SHAPES)
    vector = np.zeros((*lead, layout.size))
    layout.view(vector, "b")[...] = [1, 2, 3]
    expected = np.zeros(layout.size)
    expected[6:9] = [1, 2, 3]
    np.testing.assert_array_equal(vector, np.broadcast_to(expected, vector.shape))


def test_a_view_of_many_vectors_is_the_view_of_each():
    layout = Layout(SHAPES)
    vectors = np.random.RandomState(0).standard_normal((4, layout.size))
    for name in SHAPES:
        each = np.stack([layout.view(vector, name) for vector in vectors])
        np.testing.assert_array_equal(layout.view(vectors, name), each)


def test_extend_leaves_what_was_there_in_place():
    layout = Layout(SHAPES)
    longer = layout.extend({"d": (2,)})
    assert longer.slices == layout.slices | {"d": slice(13, 15)}
    assert "d" not in layout.shapes


def test_params_index_by_name():
    layout = Layout(SHAPES)
    params = Params(np.arange(layout.size), layout)
    np.testing.assert_array_equal(params["a"], [[0, 1, 2], [3, 4, 5]])
    np.testing.assert_array_equal(params["c"], [[[9, 10], [11, 12]]])


@pytest.mark.parametrize("lead", [(), (5,)])
def test_a_scalar_has_a_view(lead):
    layout = Layout({"a": (2,), "scalar": ()})
    vector = np.zeros((*lead, layout.size))
    layout.view(vector, "scalar")[...] = 7
    np.testing.assert_array_equal(vector, np.broadcast_to([0, 0, 7], vector.shape))
