import numpy as np
import pandas as pd
import pytest
from helpers import needs_sklearn
from scipy.sparse import csr_array
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import KFold
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler, TargetEncoder

from sklearn_meta import MetaLearner, TaskCollection
from sklearn_meta.encoding._features import Features, check_finite


class Spy(TransformerMixin, BaseEstimator):
    """Counts what it is asked for, in all its clones."""

    calls: list = []

    def fit(self, X, y=None):
        self.calls.append("fit")
        self.fitted_ = True
        return self

    def transform(self, X):
        self.calls.append("transform")
        return X


def noise_by_category(n_rows=400, n_categories=80):
    """A category that says nothing of the target, with five rows of each value."""
    rng = np.random.RandomState(0)
    X = np.array([f"c{i}" for i in rng.randint(n_categories, size=n_rows)], dtype=object)[:, None]
    return TaskCollection.from_arrays(X, rng.standard_normal(n_rows), rng.randint(20, size=n_rows))


takes_a_splitter = needs_sklearn("1.9", "TargetEncoder takes no splitter")


@takes_a_splitter
def test_a_target_encoder_does_not_leak_the_target_into_the_training_rows():
    """It cross-fits in fit_transform; fit and then transform would correlate by .4 and more."""
    tasks = noise_by_category()
    steps = make_pipeline(TargetEncoder(cv=KFold(5, shuffle=True, random_state=0)))
    _, X = Features.fit_transform(steps, tasks)
    stock = TargetEncoder(cv=KFold(5, shuffle=True, random_state=0))
    expected = stock.fit_transform(tasks.X, tasks.y)
    np.testing.assert_array_equal(X, expected)
    leaked = stock.transform(tasks.X)
    assert abs(np.corrcoef(X[:, 0], tasks.y)[0, 1]) < 0.15
    assert np.corrcoef(leaked[:, 0], tasks.y)[0, 1] > 0.4


@takes_a_splitter
def test_what_is_learned_from_noise_by_a_target_encoder_is_as_in_a_stock_pipeline():
    """The weight of the encoded feature in a linear network, against linear regression's."""
    tasks = noise_by_category()
    encoder = TargetEncoder(cv=KFold(5, shuffle=True, random_state=0))
    mlp = MLPRegressor(hidden_layer_sizes=())
    meta = MetaLearner(
        make_pipeline(encoder, mlp), "joint", max_iter=300, meta_lr=0.02, random_state=0
    ).fit(tasks)
    stock = make_pipeline(encoder, LinearRegression()).fit(tasks.X, tasks.y)
    slope = meta.estimator_[-1].coefs_[0][0, 0]
    np.testing.assert_allclose(slope, stock[-1].coef_[0], atol=0.25)
    leaky = LinearRegression().fit(stock[0].transform(tasks.X), tasks.y)
    assert abs(slope) < leaky.coef_[0] / 2


def test_fit_runs_the_steps_over_the_rows_once():
    """fit_transform once; predict transforms what it is given, once."""
    Spy.calls.clear()
    rng = np.random.RandomState(0)
    X, groups = rng.standard_normal((60, 2)), np.repeat(np.arange(6), 10)
    mlp = MLPRegressor(hidden_layer_sizes=())
    meta = MetaLearner(make_pipeline(Spy(), mlp), handle_unknown="prior", max_iter=2)
    meta.fit(X, X[:, 0], groups)
    assert Spy.calls == ["fit", "transform"]
    meta.predict(X[:3])
    assert Spy.calls == ["fit", "transform", "transform"]


@pytest.mark.parametrize("dtype", [np.float32, np.float64, int, bool])
def test_rows_become_floats_of_their_own(dtype):
    X = np.arange(6).reshape(3, 2).astype(dtype)
    tasks = TaskCollection.from_arrays(X, np.zeros(3), [0, 0, 1])
    features, encoded = Features.fit_transform(None, tasks)
    assert encoded.dtype == features.dtype == (np.float32 if dtype == np.float32 else float)
    np.testing.assert_array_equal(encoded, X)
    assert not np.shares_memory(encoded, X)
    assert features.transform(X.astype(float)).dtype == features.dtype


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("steps", [None, make_pipeline(FunctionTransformer(np.log))])
def test_standardised_rows_are_what_the_steps_leave_less_their_mean_over_their_std(steps, dtype):
    X = np.random.RandomState(0).uniform(1, 1e6, (50, 3)).astype(dtype)
    tasks = TaskCollection.from_arrays(X, np.zeros(50), np.arange(50) // 5)
    features, found = Features.fit_transform(steps, tasks, standardize=True)
    seen = X if steps is None else np.log(X)
    scaler = StandardScaler().fit(seen.astype(float))
    tolerance = 1e-5 if dtype == np.float32 else 1e-10
    assert found.dtype == features.transform(X[:5].astype(float)).dtype == dtype
    np.testing.assert_allclose(found, scaler.transform(seen), rtol=tolerance, atol=tolerance)
    new = 3 * X[:5]
    expected = scaler.transform(new if steps is None else np.log(new))
    np.testing.assert_allclose(features.transform(new), expected, rtol=tolerance, atol=tolerance)


def test_what_is_out_of_range_once_it_is_scaled_is_an_error():
    tasks = TaskCollection.from_arrays(1e-9 * np.eye(4), np.zeros(4), [0, 0, 1, 1])
    features, _ = Features.fit_transform(None, tasks, standardize=True)
    with pytest.raises(ValueError, match="Input X, standardised, contains infinity in row 1"):
        features.transform(np.array([[0.0] * 4, [1e305] * 4]))


def test_a_sparse_step_is_made_dense_at_both_ends():
    tasks = TaskCollection.from_arrays(np.eye(4), np.zeros(4), [0, 0, 1, 1])
    features, X = Features.fit_transform(make_pipeline(FunctionTransformer(csr_array)), tasks)
    np.testing.assert_array_equal(X, np.eye(4))
    np.testing.assert_array_equal(features.transform(np.eye(4)[:2]), np.eye(4)[:2])


def test_names_are_those_that_the_last_step_gives():
    frame = pd.DataFrame(np.arange(8.0).reshape(4, 2), columns=["u", "v"])
    tasks = TaskCollection.from_arrays(frame, np.zeros(4), [0, 0, 1, 1])
    features, _ = Features.fit_transform(None, tasks)
    assert features.names == ["u", "v"]
    features, _ = Features.fit_transform(make_pipeline(StandardScaler()), tasks, ["u", "v"])
    assert features.names is None
    named = make_pipeline(StandardScaler().set_output(transform="pandas"))
    features, _ = Features.fit_transform(named, tasks)
    mlp = MLPRegressor()
    features.name_inputs(mlp)
    assert mlp.feature_names_in_.tolist() == ["u", "v"]


def test_the_task_of_what_is_not_finite_is_named():
    X = np.zeros((4, 2))
    X[2, 1] = np.nan
    tasks = TaskCollection.from_arrays(X, np.zeros(4), list("aabb"))
    with pytest.raises(ValueError, match="Input X contains NaN in task 'b', its row 0; expected"):
        Features.fit_transform(None, tasks)
    with pytest.raises(ValueError, match="Input X contains infinity in row 1; expected finite"):
        check_finite("X", np.array([[0.0], [np.inf]]))


def advice(name, value):
    """What check_finite says after it has said what is wrong."""
    with pytest.raises(ValueError, match="expected finite numbers") as error:
        check_finite(name, np.array([[0.0], [value]]))
    return str(error.value).partition("expected finite numbers")[2]


def test_the_line_that_mends_missing_features_works_as_the_message_shows_it():
    rng = np.random.RandomState(0)
    X, groups = rng.standard_normal((60, 2)), np.repeat(np.arange(6), 10)
    mlp = MLPRegressor(hidden_layer_sizes=())
    X[7, 1] = np.nan
    with pytest.raises(ValueError, match="contains NaN in task 0, its row 7; expected") as error:
        MetaLearner(mlp, max_iter=2).fit(X, X[:, 0], groups)
    line = str(error.value).rpartition("inside the Pipeline, ")[2]
    assert line.startswith("MetaLearner(make_pipeline(SimpleImputer(), ")
    names = (MetaLearner, make_pipeline, SimpleImputer, StandardScaler)
    meta = eval(line, {"mlp": mlp} | {name.__name__: name for name in names})
    meta.set_params(max_iter=2).fit(X, X[:, 0], groups)
    assert np.isfinite(meta.adapt(X[5:10], X[5:10, 0]).predict(X)).all()


@pytest.mark.parametrize(
    ("name", "value"), [("y", np.nan), ("X", np.inf), ("X, standardised,", np.nan)]
)
def test_nothing_is_to_be_filled_in_elsewhere(name, value):
    assert advice("X", np.nan)
    assert not advice(name, value)
