import numpy as np
import pandas as pd
import polars as pl
import pytest
from conftest import make_problem
from helpers import needs_sklearn
from sklearn.compose import make_column_transformer
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from sklearn_meta import MetaLearner
from sklearn_meta.inspection import AdaptationDisplay

pytestmark = pytest.mark.usefixtures("figures")
draw = AdaptationDisplay.from_estimator


def test_lines_are_the_predictions_with_the_others_at_their_medians(regression):
    meta, (X, y) = regression.meta().fit(regression.tasks), regression.new
    display = draw(meta, X, y, feature=1, others="median", grid_resolution=7)
    rows = np.tile(np.median(X, axis=0), (7, 1))
    rows[:, 1] = np.linspace(X[:, 1].min(), X[:, 1].max(), 7)
    assert display.n_shots == (0, 1, 2, 5)
    for n, line, band in zip(display.n_shots, display.lines_, display.bands_, strict=True):
        mean, std = meta.fit_adapt(X[:n], y[:n]).predict(rows, return_std=True)
        np.testing.assert_allclose(line.get_xdata(), rows[:, 1])
        np.testing.assert_allclose(line.get_ydata(), mean)
        limits = band.get_datalim(display.ax_.transData).intervaly
        np.testing.assert_allclose(limits, [(mean - 1.645 * std).min(), (mean + 1.645 * std).max()])
    prior = meta.fit_adapt(X[:0], y[:0]).predict(rows)
    assert len(display.prior_lines_) == 3
    np.testing.assert_allclose(display.prior_lines_[0].get_ydata(), prior)


def test_panels_and_rows(regression):
    meta, (X, y) = regression.meta().fit(regression.tasks), regression.new
    display = draw(meta, X, y, feature=2, n_shots=(0, 3))
    assert [ax.get_title() for ax in display.axes_] == ["no rows", "3 rows"]
    assert len(display.figure_.axes) == 2
    assert len({ax.get_ylim() for ax in display.axes_}) == 1
    assert {ax.get_xlabel() for ax in display.axes_} == {"x2"}
    assert display.ax_.get_ylabel() == "prediction"
    assert [len(each.get_offsets()) for each in display.support_] == [0, 3]
    np.testing.assert_array_equal(
        display.others_[1].get_offsets(), np.column_stack([X[3:, 2], y[3:]])
    )
    labels = [text.get_text() for text in display.figure_.legends[0].get_texts()]
    assert labels == ["other rows", "rows shown", "no rows", "prediction", "90% band"]


def test_typical_others_go_with_the_feature(regression):
    rng = np.random.RandomState(0)
    x = np.sort(rng.uniform(size=200))
    X = np.column_stack([x, 3 + 2 * x, np.full(200, 4.0)])
    meta = regression.meta().fit(regression.tasks)
    display = draw(meta, X, x, feature=0, n_shots=(0, 5), grid_resolution=9)
    grid = display.grid
    rows = np.column_stack([grid, 3 + 2 * grid, np.full(9, 4.0)])
    expected = meta.predict(rows)
    np.testing.assert_allclose(display.prior, expected, rtol=0.05, atol=0.1)


def test_no_band_without_std(regression):
    meta = regression.meta("maml").fit(regression.tasks)
    display = draw(meta, *regression.new, feature=0)
    assert display.std is None
    assert display.bands_ == []


@pytest.mark.parametrize("kind", ["binary", "multiclass"])
def test_classes_by_their_probability(kind):
    problem = make_problem(kind)
    meta, (X, y) = problem.meta().fit(problem.tasks), problem.new
    target = "no" if kind == "binary" else 2
    display = draw(meta, X, y, feature=0, target=target, others="median")
    rows = np.tile(np.median(X, axis=0), (100, 1))
    rows[:, 0] = display.grid
    column = list(meta.classes_).index(target)
    proba = meta.fit_adapt(X[:5], y[:5]).predict_proba(rows)[:, column]
    np.testing.assert_allclose(display.lines_[-1].get_ydata(), proba)
    np.testing.assert_array_equal(display.y, y == target)
    assert display.ax_.get_ylabel() == f"probability of {target!r}"
    low, high = display.bands_[0].get_datalim(display.ax_.transData).intervaly
    assert 0 <= low <= high <= 1


def test_one_output_of_several():
    problem = make_problem("multi-output")
    meta, (X, y) = problem.meta().fit(problem.tasks), problem.new
    display = draw(meta, X, y, feature=0, target=1)
    np.testing.assert_array_equal(display.y, y[:, 1])
    with pytest.raises(ValueError, match="target=None; expected the number of an output, 0 to 1"):
        draw(meta, X, y, feature=0)


def test_counts_are_not_below_0():
    problem = make_problem("poisson")
    meta = problem.meta().fit(problem.tasks)
    display = draw(meta, *problem.new, feature=0)
    assert display.bands_[0].get_datalim(display.ax_.transData).y0 >= 0


no_names = needs_sklearn("1.9", "a ColumnTransformer does not see the names of columns of polars 2")


@pytest.mark.parametrize("library", ["pandas", pytest.param("polars", marks=no_names)])
def test_dataframes_with_words(library):
    rng = np.random.RandomState(0)
    frame = pd.DataFrame(rng.normal(size=(120, 2)), columns=["price", "size"])
    frame["brand"] = rng.choice(["a", "b"], size=120, p=[0.3, 0.7])
    frame["store"] = np.repeat([f"s{i}" for i in range(12)], 10)
    y = frame["price"].to_numpy() * rng.normal(size=12).repeat(10)
    if library == "polars":
        frame = pl.DataFrame(frame.to_dict(orient="list"))
    encode = make_column_transformer(
        (OneHotEncoder(sparse_output=False), ["brand"]), (StandardScaler(), ["price", "size"])
    )
    pipeline = make_pipeline(encode, MLPRegressor(hidden_layer_sizes=(8,)))
    meta = MetaLearner(pipeline, task_feature="store", max_iter=20, random_state=0)
    meta = meta.fit(frame[:110], y[:110])
    display = draw(meta, frame[110:], y[110:], feature="price")
    assert display.ax_.get_xlabel() == "price"
    bare = draw(meta, frame[110:][["price", "size", "brand"]], y[110:], feature="price")
    np.testing.assert_array_equal(bare.mean, display.mean)
    display = draw(meta, frame, y, feature="size", task="s3")
    np.testing.assert_array_equal(display.y, y[30:40])
    with pytest.raises(ValueError, match="feature 'brand' holds no numbers"):
        draw(meta, frame[110:], y[110:], feature="brand")
    with pytest.raises(ValueError, match=r"feature='store' is no column of X; it has \['price'"):
        draw(meta, frame[110:], y[110:], feature="store")
    with pytest.raises(ValueError, match="X has rows of 12 tasks; name one by task"):
        draw(meta, frame, y, feature="price")
    with pytest.raises(ValueError, match="task='s99' is none of the tasks of X"):
        draw(meta, frame, y, feature="price", task="s99")


def test_into_given_axes(regression, figures):
    meta = regression.meta(max_iter=2).fit(regression.tasks)
    _, axes = figures.subplots(2)
    display = draw(meta, *regression.new, feature=0, n_shots=(0, 1), ax=axes)
    assert list(display.axes_) == list(axes)
    assert not display.figure_.legends
    with pytest.raises(ValueError, match="ax must be 4 matplotlib Axes here"):
        draw(meta, *regression.new, feature=0, ax=axes)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"feature": 3}, "feature=3 is out of range: X has 3 features"),
        ({"feature": "price"}, "feature='price' is no column of X; it has"),
        ({"feature": 0.5}, "feature must be the name or number of a column, got 0.5"),
        ({"n_shots": (0, 99)}, "n_shots=99; expected numbers of the .* rows, from 0"),
        ({"n_shots": ()}, "n_shots must hold one number of rows or more"),
        ({"n_shots": (0, "a")}, "n_shots='a'"),
        ({"others": "mean"}, r"others='mean'; expected one of \['typical', 'median'\]"),
        ({"grid_resolution": 1}, "grid_resolution=1; expected a number of points from 2"),
        ({"target": 1}, "target=1; expected the number of an output, 0 to 0"),
    ],
)
def test_bad_parameters(regression, params, message):
    meta = regression.meta(max_iter=2).fit(regression.tasks)
    with pytest.raises(ValueError, match=message):
        draw(meta, *regression.new, **{"feature": 0} | params)


def test_a_class_that_is_none(multiclass):
    meta = multiclass.meta(max_iter=2).fit(multiclass.tasks)
    for target in (None, "yes"):
        with pytest.raises(ValueError, match=r"expected one of the classes \[0, 1, 2\]"):
            draw(meta, *multiclass.new, feature=0, target=target)


def test_named_columns_of_a_network_without_steps(regression):
    X, y, groups = regression.rows
    X_new, y_new = regression.new
    named = regression.meta().fit(pd.DataFrame(X, columns=["a", "b", "c"]), y, groups)
    display = draw(named, pd.DataFrame(X_new, columns=["a", "b", "c"]), y_new, feature="b")
    bare = draw(regression.meta().fit(X, y, groups), X_new, y_new, feature=1)
    np.testing.assert_allclose(display.mean, bare.mean, rtol=1e-6)
