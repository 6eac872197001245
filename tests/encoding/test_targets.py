import numpy as np
import pytest
from sklearn.preprocessing import LabelEncoder, StandardScaler

from sklearn_meta import TaskCollection
from sklearn_meta.encoding._targets import ClassTargets, RegressionTargets, task_classes

rng = np.random.RandomState(0)
TARGETS = {
    "flat": 5 + 3 * rng.standard_normal(30),
    "column": 5 + 3 * rng.standard_normal((30, 1)),
    "two": [5, -1] + np.array([3, 0.01]) * rng.standard_normal((30, 2)),
}


@pytest.mark.parametrize("y", TARGETS.values(), ids=TARGETS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_squared_error_is_standardised_as_standard_scaler_does(y, dtype):
    targets = RegressionTargets(y, "squared_error", True)
    encoded = targets.encode(y, dtype)
    assert encoded.dtype == dtype
    expected = StandardScaler().fit_transform(y.reshape(30, -1))
    tolerance = 1e-5 if dtype == np.float32 else 1e-12
    np.testing.assert_allclose(encoded, expected, atol=tolerance)
    decoded = targets.decode(encoded)
    assert decoded.dtype == np.float64
    assert decoded.shape == y.shape
    np.testing.assert_allclose(decoded, y, rtol=10 * tolerance)


@pytest.mark.parametrize("shape", [(30,), (30, 2)])
def test_counts_are_scaled_to_mean_one(shape):
    y = np.random.RandomState(0).poisson(7.0, shape).astype(float)
    targets = RegressionTargets(y, "poisson", True)
    encoded = targets.encode(y, np.float64)
    np.testing.assert_allclose(encoded, (y / y.mean(axis=0)).reshape(30, -1), rtol=1e-14)
    np.testing.assert_allclose(targets.decode(encoded), y, rtol=1e-14)


@pytest.mark.parametrize("loss", ["squared_error", "poisson"])
def test_targets_are_left_alone_without_normalize(loss):
    y = np.random.RandomState(0).poisson(7.0, 30).astype(float)
    targets = RegressionTargets(y, loss, False)
    np.testing.assert_array_equal(targets.encode(y, np.float64)[:, 0], y)
    np.testing.assert_array_equal(targets.decode(y[:, None]), y)


@pytest.mark.parametrize(("loss", "value"), [("squared_error", 7.3), ("poisson", 0.0)])
def test_constant_targets_are_not_divided_by_zero(loss, value):
    y = np.full(30, value)
    targets = RegressionTargets(y, loss, True)
    encoded = targets.encode(y, np.float64)
    np.testing.assert_allclose(encoded, 0, atol=1e-12)
    np.testing.assert_allclose(targets.decode(encoded), y, rtol=1e-14)


def test_a_constant_output_beside_one_that_varies():
    y = np.column_stack([np.full(30, 1e9), TARGETS["flat"]])
    targets = RegressionTargets(y, "squared_error", True)
    encoded = targets.encode(y, np.float64)
    np.testing.assert_array_equal(encoded[:, 0], 0)
    np.testing.assert_allclose(encoded[:, 1].std(), 1)


@pytest.mark.parametrize("y", TARGETS.values(), ids=TARGETS)
def test_std_is_scaled_but_not_moved(y):
    targets = RegressionTargets(y, "squared_error", True)
    std = np.full((30, targets.n_outputs), 0.5)
    expected = np.broadcast_to(0.5 * y.std(axis=0), y.shape)
    np.testing.assert_allclose(targets.decode_std(std), expected, rtol=1e-14)


@pytest.mark.parametrize("loss", ["squared_error", "poisson"])
@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_fold_predicts_in_the_units_of_y(loss, normalize, dtype):
    rng = np.random.RandomState(0)
    y = rng.poisson([7.0, 0.3], (30, 2)).astype(float)
    targets = RegressionTargets(y, loss, normalize)
    X, weights, bias = (
        rng.standard_normal(shape).astype(dtype) for shape in ((9, 4), (4, 2), (2,))
    )
    link = np.exp if loss == "poisson" else np.asarray
    folded_weights, folded_bias = targets.fold(weights, bias)
    expected = targets.decode(link(X @ weights + bias))
    np.testing.assert_allclose(link(X @ folded_weights + folded_bias), expected, rtol=1e-4)
    assert folded_weights.dtype == folded_bias.dtype == np.float64
    assert not np.shares_memory(folded_weights, weights)


@pytest.mark.parametrize("loss", ["squared_error", "poisson"])
@pytest.mark.parametrize("size", [1e160, 1e300])
def test_huge_targets_do_not_overflow(loss, size):
    y = size * np.random.RandomState(0).uniform(0.5, 1, 30)
    targets = RegressionTargets(y, loss, True)
    small = RegressionTargets(y / size, loss, True)
    np.testing.assert_allclose(targets.scale / size, small.scale, rtol=1e-12)
    np.testing.assert_allclose(targets.decode(targets.encode(y, float)), y, rtol=1e-12)


def make_collection(y, groups, shared_labels=True):
    return TaskCollection.from_arrays(
        np.zeros((len(y), 1)), np.array(y), groups, shared_labels=shared_labels
    )


@pytest.mark.parametrize("kind", [str, int, float])
def test_shared_classes_are_numbered_as_label_encoder_does(kind):
    y = np.array([30, 4, 11, 4, 30, 30, 11]).astype(kind)
    collection = make_collection(y, [1, 0, 1, 0, 1, 0, 1])
    targets = ClassTargets.of(collection, shared=True)
    codes, own = targets.encode(collection)
    assert own is None
    encoder = LabelEncoder().fit(y)
    np.testing.assert_array_equal(codes, encoder.transform(collection.y))
    np.testing.assert_array_equal(targets.classes, encoder.classes_)
    assert (targets.n_classes, targets.n_outputs) == (3, 3)


def test_two_classes_are_one_output():
    collection = make_collection(["no", "yes", "yes", "no"], [0, 0, 1, 1])
    targets = ClassTargets.of(collection, shared=True)
    codes, _ = targets.encode(collection)
    assert targets.n_outputs == 1
    np.testing.assert_array_equal(codes, [0, 1, 1, 0])


def test_own_classes_are_numbered_in_each_task():
    y = ["b", "a", "b", "q", "r", "p", "q", "a", "z"]
    collection = make_collection(y, [0, 0, 0, 1, 1, 1, 1, 2, 2], shared_labels=False)
    targets = ClassTargets.of(collection, shared=False)
    codes, own = targets.encode(collection)
    assert [classes.tolist() for classes in own] == [["a", "b"], ["p", "q", "r"], ["a", "z"]]
    np.testing.assert_array_equal(codes, [1, 0, 1, 1, 2, 0, 1, 0, 1])
    assert targets.classes is None
    assert targets.n_outputs == 3
    for classes, expected in zip(task_classes(collection), own, strict=True):
        np.testing.assert_array_equal(classes, expected)


def test_a_class_that_no_training_task_had_is_named():
    targets = ClassTargets.of(make_collection(["a", "b"], [0, 0]), shared=True)
    later = make_collection(["a", "b", "c"], ["u", "v", "v"])
    message = r"y of task 'v' has the class 'c', which no training task had; .*\['a', 'b'\]"
    with pytest.raises(ValueError, match=message):
        targets.encode(later)


@pytest.mark.parametrize(("y", "found"), [(["a", "a"], r"1 class"), (list("abcd"), "4 class")])
def test_a_task_of_too_few_or_too_many_own_classes_is_named(y, found):
    targets = ClassTargets.of(make_collection(list("abcxy"), [0, 0, 0, 1, 1]), shared=False)
    with pytest.raises(ValueError, match=f"y of task 'new' has {found}.*expected 2 to 3"):
        targets.encode(make_collection(y, ["new"] * len(y)))


def test_one_shared_class_is_refused():
    with pytest.raises(ValueError, match="y has one class, 'a'; expected at least 2"):
        ClassTargets.of(make_collection(["a", "a"], [0, 1]), shared=True)


def test_given_classes_are_sorted_and_each_there_once():
    targets = ClassTargets.of(make_collection(["b", "a"], [0, 0]), True, ["c", "a", "b", "a"])
    assert targets.classes.tolist() == ["a", "b", "c"]
    assert targets.n_outputs == 3


def test_classes_cannot_be_given_where_each_task_has_its_own():
    with pytest.raises(ValueError, match="classes must be None"):
        ClassTargets.of(make_collection(["b", "a"], [0, 0]), False, ["a", "b"])
