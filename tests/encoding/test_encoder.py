from dataclasses import replace

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.compose import make_column_transformer
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, PolynomialFeatures, StandardScaler

from sklearn_meta import TaskCollection
from sklearn_meta.encoding import Encoder, split_estimator

REGRESSOR = MLPRegressor(hidden_layer_sizes=(5, 4), activation="tanh")
CLASSIFIER = MLPClassifier(hidden_layer_sizes=(5,))


def make_collection(y=None, dtype=np.float64, **options):
    """Tasks "a", "b", "c" of 3, 1 and 4 rows."""
    rng = np.random.RandomState(0)
    X = rng.standard_normal((8, 2)).astype(dtype)
    y = rng.poisson(3.0, 8).astype(float) if y is None else np.array(y)
    return TaskCollection.from_arrays(X, y, list("aaabcccc"), **options)


def fit(estimator, collection, shared_labels=True, names=None, normalize_y=True, **options):
    options = {"shared_labels": shared_labels, "normalize_y": normalize_y, **options}
    return Encoder.fit_encode(estimator, collection, feature_names=names, **options)[0]


def test_split_estimator():
    assert split_estimator(REGRESSOR) == (REGRESSOR, None)
    assert split_estimator(make_pipeline(REGRESSOR)) == (REGRESSOR, None)
    scaler = StandardScaler()
    mlp, steps = split_estimator(make_pipeline(scaler, REGRESSOR))
    assert mlp is REGRESSOR
    assert [step for _, step in steps.steps] == [scaler]


@pytest.mark.parametrize(
    ("estimator", "y", "shared", "units", "loss"),
    [
        (REGRESSOR, np.arange(8.0), True, (2, 5, 4, 1), "squared_error"),
        (REGRESSOR, np.ones((8, 3)), True, (2, 5, 4, 3), "squared_error"),
        (MLPRegressor(loss="poisson"), np.arange(8.0), True, (2, 100, 1), "poisson"),
        (MLPRegressor(hidden_layer_sizes=()), np.arange(8.0), True, (2, 1), "squared_error"),
        (MLPRegressor(hidden_layer_sizes=7), np.arange(8.0), True, (2, 7, 1), "squared_error"),
        (CLASSIFIER, [0, 1] * 4, True, (2, 5, 1), "binary_log_loss"),
        (CLASSIFIER, [0, 1, 2, 3] * 2, True, (2, 5, 4), "log_loss"),
        (CLASSIFIER, [0, 1, 2, 3, 4, 5, 6, 6], False, (2, 5, 3), "log_loss"),
        (CLASSIFIER, [0, 1, 0, 2, 3, 4, 4, 4], False, (2, 5, 1), "binary_log_loss"),
    ],
)
def test_network_is_of_the_shape_and_loss_of_the_mlp(estimator, y, shared, units, loss):
    tasks = slice(None) if shared else [0, 2]  # a task of one row has one class
    network = fit(estimator, make_collection(y)[tasks], shared).network
    assert network.layer_units == units
    assert network.loss_name == loss
    assert network.activation == estimator.activation
    assert network.exchangeable_outputs == (not shared)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_regression_arrays(dtype):
    collection = make_collection(dtype=dtype, is_support=[True, False] * 4)
    encoder = fit(REGRESSOR, collection)
    _, arrays, own = encoder.encode(collection)
    expected = np.float32 if dtype == np.float32 else np.float64
    assert {arrays.X.dtype, arrays.y.dtype, encoder.dtype} == {np.dtype(expected)}
    np.testing.assert_array_equal(arrays.X, collection.X)
    np.testing.assert_allclose(arrays.y.mean(), 0, atol=1e-6)
    np.testing.assert_allclose(arrays.y.std(), 1, rtol=1e-6)
    np.testing.assert_array_equal(arrays.sizes, [3, 1, 4])
    np.testing.assert_array_equal(arrays.is_support, collection.is_support)
    assert own is arrays.labels is arrays.n_classes is None
    assert encoder.shared_labels


def test_later_rows_take_the_dtype_of_training():
    encoder = fit(REGRESSOR, make_collection(dtype=np.float32))
    _, arrays, _ = encoder.encode(make_collection())
    assert arrays.X.dtype == arrays.y.dtype == np.float32
    assert encoder.features.transform(np.zeros((4, 2))).dtype == np.float32


def test_targets_are_standardised_over_the_pooled_rows_of_training():
    collection = make_collection(np.arange(8.0))
    _, arrays, _ = fit(REGRESSOR, collection).encode(collection[[0]])
    np.testing.assert_allclose(arrays.y[:, 0], (np.arange(3) - 3.5) / np.arange(8).std())
    _, arrays, _ = fit(REGRESSOR, collection, normalize_y=False).encode(collection[[0]])
    np.testing.assert_array_equal(arrays.y[:, 0], [0, 1, 2])


@pytest.mark.parametrize("kind", [np.asfortranarray, pd.DataFrame])
@pytest.mark.parametrize("standardize", [True, False])
def test_rows_lie_one_after_the_other_whatever_the_layout_given(kind, standardize):
    collection = make_collection(np.asfortranarray(np.arange(16.0).reshape(8, 2)))
    collection = replace(collection, X=kind(collection.X))
    encoder = fit(REGRESSOR, collection, standardize=standardize)
    _, arrays, _ = encoder.encode(collection)
    assert arrays.X.flags.c_contiguous
    assert arrays.y.flags.c_contiguous
    assert encoder.features.transform(collection.X).flags.c_contiguous


def test_own_classes():
    collection = make_collection(list("zxyaqrrp"))[[0, 2]]
    encoder = fit(CLASSIFIER, collection, shared_labels=False)
    _, arrays, own = encoder.encode(collection)
    assert [classes.tolist() for classes in own] == [["x", "y", "z"], ["p", "q", "r"]]
    np.testing.assert_array_equal(arrays.labels, [2, 0, 1, 1, 2, 2, 0])
    assert arrays.n_outputs == 3
    np.testing.assert_array_equal(arrays.n_classes, [3, 3])
    assert not encoder.shared_labels


def test_renewed_it_has_the_network_of_the_estimator_and_all_else_as_it_was():
    collection = make_collection()
    encoder = fit(make_pipeline(PolynomialFeatures(2), REGRESSOR), collection)
    later = make_pipeline(PolynomialFeatures(3), MLPRegressor(hidden_layer_sizes=(7,)))
    renewed = encoder.renew(later, **encoder.options)
    assert renewed.network.layer_units == (6, 7, 1)
    assert renewed.network.activation == "relu"
    assert renewed.estimator is not later
    assert str(renewed.estimator) == str(later)
    assert renewed.targets is encoder.targets
    assert renewed.features is encoder.features
    assert encoder.network.layer_units == (6, 5, 4, 1)


@pytest.mark.parametrize("later", [MLPRegressor(loss="poisson"), MLPClassifier()], ids=str)
def test_it_is_not_renewed_for_another_kind_or_loss(later):
    encoder = fit(REGRESSOR, make_collection())
    with pytest.raises(
        ValueError, match=r"goes on with MLPRegressor and loss='squared_error', .*found"
    ):
        encoder.renew(later, **encoder.options)


def test_a_renewed_one_scales_as_it_did_or_not_at_all():
    encoder = fit(REGRESSOR, make_collection(), standardize=True)
    assert encoder.renew(REGRESSOR, **encoder.options).features is encoder.features
    match = "goes on with .*standardize=True.*, found .*standardize=False"
    with pytest.raises(ValueError, match=match):
        encoder.renew(REGRESSOR, **encoder.options | {"standardize": False})


def test_a_copy_of_the_estimator_and_the_rows_is_kept():
    collection, estimator = make_collection(), MLPRegressor(hidden_layer_sizes=(5,), alpha=0.3)
    encoder = fit(estimator, collection)
    _, arrays, _ = encoder.encode(collection)
    before = arrays.X.copy()
    estimator.set_params(alpha=7.0)
    collection.X[...] = 0
    assert encoder.estimator.alpha == 0.3
    np.testing.assert_array_equal(arrays.X, before)


def test_given_classes_are_those_of_the_network():
    encoder = fit(CLASSIFIER, make_collection([0, 2] * 4), classes=[2, 0, 1, 0])
    np.testing.assert_array_equal(encoder.targets.classes, [0, 1, 2])
    assert encoder.network.n_outputs == 3


@pytest.mark.parametrize("kind", [np.asarray, pd.DataFrame, pl.DataFrame])
def test_steps_are_fitted_on_the_pooled_rows_and_left_alone_later(kind):
    collection = make_collection()
    collection = replace(collection, X=kind(collection.X))
    pipeline = make_pipeline(PolynomialFeatures(2), StandardScaler(), REGRESSOR)
    encoder = fit(pipeline, collection)
    expected = make_pipeline(PolynomialFeatures(2), StandardScaler()).fit(collection.X)
    np.testing.assert_allclose(
        encoder.encode(collection).arrays.X, expected.transform(collection.X)
    )
    rows = kind(np.ones((3, 2)))
    np.testing.assert_allclose(encoder.features.transform(rows), expected.transform(rows))
    assert encoder.network.layer_units[0] == 6
    assert not hasattr(pipeline[0], "n_output_features_")


def test_a_frame_of_strings_through_a_one_hot_encoder():
    frame = pd.DataFrame({"u": np.arange(8.0), "colour": list("rgbrgbrg")})
    collection = TaskCollection.from_arrays(frame, np.arange(8.0), list("aaabcccc"))
    one_hot = make_column_transformer(
        (OneHotEncoder(), ["colour"]), remainder="passthrough", sparse_threshold=1
    )
    encoder = fit(make_pipeline(one_hot, REGRESSOR), collection)
    expected = np.column_stack([frame["colour"] == colour for colour in "bgr"])
    np.testing.assert_array_equal(encoder.encode(collection).arrays.X[:, :3], expected)
    np.testing.assert_array_equal(encoder.encode(collection).arrays.X[:, 3], frame["u"])


def test_a_sparse_step_is_made_dense():
    collection = TaskCollection.from_arrays(
        np.array([["r"], ["g"], ["r"], ["b"]]), np.arange(4.0), [0, 0, 1, 1]
    )
    encoder = fit(make_pipeline(OneHotEncoder(), REGRESSOR), collection)
    np.testing.assert_array_equal(encoder.encode(collection).arrays.X, np.eye(3)[[2, 1, 2, 0]])


def test_feature_names_are_those_that_the_mlp_sees():
    """Those of X without steps; else those that the last step gives, if it gives any."""
    collection = make_collection()
    assert fit(REGRESSOR, collection).features.names is None
    collection = replace(collection, X=pd.DataFrame(collection.X, columns=["u", "v"]))
    assert fit(REGRESSOR, collection).features.names == ["u", "v"]
    assert fit(REGRESSOR, collection, names=["p", "q"]).features.names == ["p", "q"]
    plain = make_pipeline(StandardScaler(), REGRESSOR)
    assert fit(plain, collection, names=["u", "v"]).features.names is None
    polynomials = PolynomialFeatures(2, include_bias=False).set_output(transform="pandas")
    named = fit(make_pipeline(polynomials, REGRESSOR), collection, names=["u", "v"])
    assert named.features.names == ["u", "v", "u^2", "u v", "v^2"]


@pytest.mark.parametrize(("value", "kind"), [(np.nan, "NaN"), (np.inf, "infinity")])
def test_a_value_that_is_not_finite_is_found_in_its_task(value, kind):
    collection = make_collection()
    encoder = fit(REGRESSOR, collection)
    collection.X[5, 1] = value
    with pytest.raises(ValueError, match=f"Input X contains {kind} in task 'c', its row 1;"):
        encoder.encode(collection)
    with pytest.raises(ValueError, match=f"Input X contains {kind} in row 5; expected finite"):
        encoder.features.transform(collection.X)


def test_the_first_row_of_a_task_behind_an_empty_one_is_found():
    collection = make_collection()
    encoder = fit(REGRESSOR, collection)
    X = collection.X.copy()
    X[3] = np.nan
    offsets, ids = np.array([0, 3, 3, 8]), np.array([7, 8, 9])
    with pytest.raises(ValueError, match="in task 9, its row 0;"):
        encoder.encode(TaskCollection(X, collection.y, offsets, ids))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_weights_are_passed_on(dtype):
    collection = make_collection(dtype=dtype)
    encoder = fit(REGRESSOR, collection)
    assert encoder.encode(collection).arrays.weight is None
    weight = np.arange(1.0, collection.n_rows + 1)
    arrays = encoder.encode(collection, weight).arrays
    np.testing.assert_array_equal(arrays.weight, weight)
    assert arrays.weight.dtype == dtype
