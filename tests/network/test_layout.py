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


def test_rates_of_their_own_stay_with_their_arrays():
    layout = Layout(SHAPES).extend({"d": (2,), "e": ()}, {"d": 10.0})
    assert layout.lr_scales == {"d": 10.0}
    assert layout.extend({"f": (1,)}, {"f": 3.0}).lr_scales == {"d": 10.0, "f": 3.0}


def test_a_gradient_is_laid_out_like_the_parameters():
    layout = Layout({"a": (2,), "b": (3,)})
    params = Params(np.arange(5, dtype=np.float32), layout)
    gradient = params.gradient(np.array([7, 8]))
    assert gradient.layout is layout
    assert gradient.vector.dtype == np.float32
    np.testing.assert_array_equal(gradient.vector, [7, 8, 0, 0, 0])
    np.testing.assert_array_equal(params.vector, np.arange(5))


def test_a_copy_is_of_its_own():
    params = Params(np.zeros(2), Layout({"a": (2,)}))
    params.copy()["a"][...] = 1
    np.testing.assert_array_equal(params.vector, [0, 0])
