from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from conftest import make_problem
from scipy.special import logit
from sklearn.compose import make_column_transformer
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from sklearn_meta import MetaLearner
from sklearn_meta.inspection import explain_task


@pytest.fixture
def linear(regression):
    mlp = MLPRegressor(hidden_layer_sizes=())
    return MetaLearner(mlp, max_iter=50, random_state=0).fit(regression.tasks)


def test_slopes_of_a_linear_model_are_its_coefficients(linear, regression):
    tasks = regression.tasks
    found = explain_task(linear, tasks[3][0], task="t03")
    coefficients = np.array([linear.adapt(X, y).coefs_[0][:, 0] for X, y in tasks])
    prior = linear.estimator_.coefs_[0][:, 0]
    assert found.features == ["x0", "x1", "x2"]
    np.testing.assert_allclose(found.slope, coefficients[3], rtol=1e-6)
    np.testing.assert_allclose(found.prior_slope, prior, rtol=1e-6)
    others = np.delete(coefficients, 3, axis=0)
    spread = np.sqrt(np.mean((others - prior) ** 2, axis=0))
    np.testing.assert_allclose(found.spread, spread, rtol=1e-6)
    np.testing.assert_allclose(found.ratio, (coefficients[3] - prior) / spread, rtol=1e-6)


def test_the_change_and_the_nearest_are_by_the_predictions(linear, regression):
    tasks = regression.tasks
    X = tasks[3][0]
    found = explain_task(linear, X, task="t03")
    prior = linear.estimator_.predict(X)
    predicted = {i: linear.predict(X, groups=[i] * len(X)) for i in tasks.task_ids.tolist()}
    own = predicted.pop("t03")
    assert found.change == pytest.approx(np.mean(own - prior))
    changes = [np.mean(other - prior) for other in predicted.values()]
    assert found.change_spread == pytest.approx(np.sqrt(np.mean(np.square(changes))))
    distance = {i: np.linalg.norm(other - own) for i, other in predicted.items()}
    assert found.nearest == sorted(distance, key=distance.get)[:3]


def test_frame_and_line(linear, regression):
    found = explain_task(
        linear, *(part[:10] for part in (regression.rows[0], regression.rows[2])), task="t00"
    )
    frame = found.to_frame()
    columns = ["feature", "slope", "prior_slope", "difference", "spread", "ratio"]
    assert frame.columns.tolist() == columns
    np.testing.assert_allclose(frame["difference"], frame["slope"] - frame["prior_slope"])
    line = str(found)
    assert repr(found) == line
    assert "\n" not in line
    assert line.startswith("task 't00': prediction ")
    most = frame.loc[frame["ratio"].abs().idxmax()]
    assert f"slope on {most['feature']} {most['slope']:.3g} instead of" in line
    assert f"nearest: {', '.join(found.nearest)}" in line


def test_slopes_of_a_network_are_means_of_differences(regression):
    meta, (X, y) = regression.meta().fit(regression.tasks), regression.new
    found = explain_task(meta.fit_adapt(X[:5], y[:5]), X)
    assert found.task is None
    assert str(found).startswith("the task: ")
    for feature in range(3):
        step = np.eye(3)[feature] * 0.01 * X[:, feature].std()
        rise = meta.predict(X + step) - meta.predict(X - step)
        assert found.slope[feature] == pytest.approx(np.mean(rise / (2 * step[feature])))


def test_an_indicator_from_0_to_1(regression):
    X, y, groups = regression.rows
    X = np.column_stack([X, np.arange(len(X)) % 2])
    meta = regression.meta().fit(X, y, groups=groups)
    mine = X[groups == "t02"]
    found = explain_task(meta, mine, task="t02")
    on, off = mine.copy(), mine.copy()
    on[:, 3], off[:, 3] = 1, 0
    names = ["t02"] * len(mine)
    expected = np.mean(meta.predict(on, groups=names) - meta.predict(off, groups=names))
    assert found.slope[3] == pytest.approx(expected)


def test_a_feature_that_does_not_vary_in_the_task(linear, regression):
    X = regression.tasks[3][0].copy()
    X[:, 1] = 7.0
    found = explain_task(linear, X, task="t03")
    coefficients = linear.adapt(*regression.tasks[3]).coefs_[0][:, 0]
    np.testing.assert_allclose(found.slope, coefficients, rtol=1e-6)


@pytest.mark.parametrize("kind", ["binary", "multiclass"])
def test_classes_by_their_log_odds(kind):
    problem = make_problem(kind)
    meta = problem.meta().fit(problem.tasks)
    X, target = problem.tasks[5][0], {"binary": None, "multiclass": 2}[kind]
    found = explain_task(meta, X, task="t05", target=target)

    def log_odds(X):
        return logit(meta.predict_proba(X, groups=["t05"] * len(X))[:, -1])

    step = np.eye(3)[1] * 0.01 * X[:, 1].std()
    rise = (log_odds(X + step) - log_odds(X - step)) / (2 * step[1])
    assert found.slope[1] == pytest.approx(rise.mean(), rel=1e-5)
    assert found.response == f"log-odds of {meta.classes_.tolist()[-1]!r}"


def test_the_first_of_two_classes_is_the_other_way_round():
    problem = make_problem("binary")
    meta = problem.meta().fit(problem.tasks)
    no, yes = (explain_task(meta, problem.tasks[0][0], task="t00", target=t) for t in ("no", "yes"))
    np.testing.assert_allclose(no.slope, -yes.slope)


def test_an_output_of_several():
    problem = make_problem("multi-output")
    meta = problem.meta().fit(problem.tasks)
    found = explain_task(meta, problem.tasks[0][0], task="t00", target=1)
    assert found.response == "output 1"


def test_dataframes_with_words():
    rng = np.random.RandomState(0)
    frame = pd.DataFrame(rng.normal(size=(120, 2)), columns=["price", "size"])
    frame["brand"] = rng.choice(["a", "b"], size=120)
    frame["store"] = np.repeat([f"s{i}" for i in range(12)], 10)
    y = frame["price"].to_numpy() * rng.normal(size=12).repeat(10)
    encode = make_column_transformer(
        (OneHotEncoder(sparse_output=False), ["brand"]), (StandardScaler(), ["price", "size"])
    )
    pipeline = make_pipeline(encode, MLPRegressor(hidden_layer_sizes=()))
    meta = MetaLearner(pipeline, task_feature="store", max_iter=20, random_state=0).fit(frame, y)
    found = explain_task(meta, frame, task="s4")
    assert found.features == ["price", "size"]
    assert found.skipped == ["brand"]
    assert "no slope on brand, no numbers" in str(found)
    adapted = meta.adapt(frame[40:50], y[40:50])
    mine = frame[40:50].drop(columns="store")
    rise = adapted.predict(mine.assign(price=mine["price"] + 1)) - adapted.predict(mine)
    assert found.slope[0] == pytest.approx(rise.mean(), rel=1e-5)
    same = explain_task(meta, frame[40:50])
    np.testing.assert_array_equal(same.slope, found.slope)
    with pytest.raises(ValueError, match="X has rows of 12 tasks; name one by task"):
        explain_task(meta, frame)
    with pytest.raises(ValueError, match="task='x' has no rows in X"):
        explain_task(meta, frame, task="x")


def test_at_most_so_many_tasks_are_compared(linear, regression):
    X = regression.tasks[3][0]
    some, all_ = (explain_task(linear, X, task="t03", max_tasks=n) for n in (4, 11))
    np.testing.assert_array_equal(some.slope, all_.slope)
    assert not np.allclose(some.spread, all_.spread)


def test_some_features(linear, regression):
    X = regression.tasks[3][0]
    some, every = (explain_task(linear, X, task="t03", features=f) for f in (["x2", 0], None))
    assert some.features == ["x2", "x0"]
    np.testing.assert_array_equal(some.slope, every.slope[[2, 0]])
    with pytest.raises(ValueError, match="feature='x9' is no column of X"):
        explain_task(linear, X, task="t03", features=["x9"])
    with pytest.raises(ValueError, match="features must be a sequence of columns, got 'x0'"):
        explain_task(linear, X, task="t03", features="x0")


def test_tasks_named_by_dates(regression):
    X, y, groups = regression.rows
    days = np.datetime64("2020-01-01") + np.unique(groups, return_inverse=True)[1]
    meta = regression.meta().fit(X, y, groups=days)
    named = regression.meta().fit(X, y, groups=groups)
    found = explain_task(meta, X[groups == "t03"], task=days[groups == "t03"][0])
    expected = explain_task(named, X[groups == "t03"], task="t03")
    np.testing.assert_allclose(found.ratio, expected.ratio)
    assert str(found).startswith("task '2020-01-04': ")


def test_of_many_rows_a_sample_is_looked_at(linear, regression):
    X = np.tile(regression.tasks[3][0], (40, 1))
    found = explain_task(linear, X, task="t03")
    coefficients = linear.adapt(*regression.tasks[3]).coefs_[0][:, 0]
    np.testing.assert_allclose(found.slope, coefficients, rtol=1e-6)


def test_tasks_that_do_not_differ(regression):
    meta = regression.meta("joint", max_iter=2).fit(regression.tasks)
    found = explain_task(meta, regression.tasks[3][0], task="t03")
    np.testing.assert_array_equal(found.ratio, 0)


def test_a_task_that_alone_differs(linear, regression):
    found = explain_task(linear, regression.tasks[3][0], task="t03")
    alone = replace(found, spread=np.zeros(3))
    assert np.isinf(alone.ratio).all()
    assert "(others do not differ)" in str(alone)


def test_no_numbers():
    frame = pd.DataFrame({"brand": ["a", "b"] * 10})
    pipeline = make_pipeline(
        OneHotEncoder(sparse_output=False), MLPRegressor(hidden_layer_sizes=())
    )
    meta = MetaLearner(pipeline, max_iter=2, random_state=0)
    meta = meta.fit(frame, np.arange(20.0), groups=np.arange(20) // 4)
    with pytest.raises(ValueError, match=r"no column of X holds numbers: \['brand'\]"):
        explain_task(meta, frame[:4], task=0)


def test_what_is_missing(regression):
    X, y = regression.new
    meta = regression.meta(max_iter=2).fit(regression.tasks)
    with pytest.raises(ValueError, match="the rows name no task, and fit_adapt was given none"):
        explain_task(meta, X)
    with pytest.raises(ValueError, match="task 'x' was never adapted; adapt it first"):
        explain_task(meta, X, task="x")
    with pytest.raises(ValueError, match="max_tasks=0; expected a number of tasks from 1"):
        explain_task(meta, X, task="t00", max_tasks=0)
    none = regression.meta(max_iter=2, adapt_training_tasks=False).fit(regression.tasks)
    with pytest.raises(ValueError, match=r"no tasks are known to compare with: .*=True"):
        explain_task(none.fit_adapt(X, y), X)
    none.fit_adapt(X, y, groups=["only"] * len(y))
    with pytest.raises(ValueError, match="only the task itself is known"):
        explain_task(none, X, task="only")


def test_a_class_must_be_named_of_several(multiclass):
    meta = multiclass.meta(max_iter=2).fit(multiclass.tasks)
    with pytest.raises(ValueError, match=r"target=None; expected one of the classes \[0, 1, 2\]"):
        explain_task(meta, multiclass.tasks[0][0], task="t00")
