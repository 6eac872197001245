import numpy as np
import pandas as pd
import pytest
from conftest import make_problem
from scipy.stats import multivariate_normal, multivariate_t
from sklearn.decomposition import PCA
from sklearn.linear_model import Ridge
from sklearn.neural_network import MLPRegressor

from sklearn_meta import MetaLearner, TaskCollection
from sklearn_meta._learned import Learned
from sklearn_meta._tasks_on_demand import TasksOnDemand
from sklearn_meta.inspection import CalibrationDisplay, TaskMap, TaskMapDisplay, task_map
from sklearn_meta.inspection._atypicality import log_densities, log_density
from sklearn_meta.tasks._batch import TaskArrays

pytestmark = pytest.mark.usefixtures("figures")


def whitened(meta, X):
    """Features over the root of the prior precisions, what the prior predicts, and its noise."""
    learned = meta._served.learned
    network, params = learned.network, learned.params
    encoded = learned.encoder.features.transform(X)
    layers = network.layers(params.vector)
    F = network.hidden(layers, encoded)[-1]
    F = np.column_stack([F, np.ones(len(F))])
    prior = F[:, :-1] @ layers[-1][0] + layers[-1][1]
    return F * np.exp(-0.5 * params["log_precision"]), prior, params


@pytest.mark.parametrize("kind", ["regression", "multi-output"])
def test_the_head_is_a_ridge_regression_of_each_task(kind):
    problem = make_problem(kind)
    tasks, meta = problem.tasks, problem.meta().fit(problem.tasks)
    for found in (task_map(meta), task_map(meta, tasks, space="head")):
        assert found.space == "head"
        np.testing.assert_array_equal(found.task_ids, tasks.task_ids)
        for i, (X, y) in enumerate(tasks):
            Q, prior, params = whitened(meta, X)
            variance = np.exp(params["log_noise"] + params["log_spread"][0])
            residual = meta._served.learned.encoder.targets.encode(y, float) - prior
            ridge = Ridge(alpha=1, fit_intercept=False).fit(Q, residual)
            expected = ridge.coef_.reshape(residual.shape[1], -1).T / np.sqrt(variance)
            np.testing.assert_allclose(found.coordinates[i], expected.ravel(), atol=1e-6)


def test_the_embedding_is_scikit_learns(regression):
    found = task_map(regression.meta().fit(regression.tasks))
    pca = PCA(2).fit(found.coordinates)
    np.testing.assert_allclose(found.embedding, pca.transform(found.coordinates))
    np.testing.assert_allclose(found.explained_variance_ratio, pca.explained_variance_ratio_)
    np.testing.assert_allclose(found.prior, pca.transform(0 * found.coordinates[:1])[0])
    assert "n_tasks=12, space='head'" in repr(found)


def test_predictions_are_compared_on_the_same_rows(regression, regressing):
    tasks, meta = regression.tasks, regression.meta(regressing).fit(regression.tasks)
    if regressing == "joint":
        with pytest.raises(ValueError, match="all tasks have learned the same by Joint"):
            task_map(meta, tasks)
        return
    found = task_map(meta, tasks)
    assert found.space == "predictions"
    prior = meta.predict(tasks.X, groups=["new"] * tasks.n_rows)
    scale = meta._served.learned.encoder.targets.scale
    for task, coordinates in zip(tasks.task_ids, found.coordinates, strict=True):
        moved = meta.predict(tasks.X, groups=[task] * tasks.n_rows) - prior
        expected = moved / scale / np.sqrt(tasks.n_rows)
        np.testing.assert_allclose(coordinates, expected, atol=1e-6)


@pytest.mark.parametrize("algorithm", ["maml", "cavia", "anil", "ridge_head"])
def test_weights_are_those_adapted_less_the_initial_ones(regression, algorithm):
    meta, tasks = regression.meta(algorithm).fit(regression.tasks), regression.tasks
    found = task_map(meta)
    assert found.space == "weights"
    exported = [meta.adapt(X, y) for X, y in tasks]
    layer = {"cavia": 0}.get(algorithm, -1)
    initial = meta.estimator_.intercepts_[layer]
    moved = np.array([mlp.intercepts_[layer] - initial for mlp in exported])
    scale = 1 if layer == 0 else meta._served.learned.encoder.targets.scale
    expected = moved / scale
    columns = slice(-expected.shape[1], None)
    if algorithm == "cavia":
        assert found.coordinates.shape == expected.shape
    np.testing.assert_allclose(found.coordinates[:, columns], expected, atol=1e-6)


@pytest.mark.parametrize("algorithm", ["maml", "bayesian_head"])
def test_tasks_that_are_kept_as_rows(regression, algorithm, monkeypatch):
    mlp = MLPRegressor(hidden_layer_sizes=(64, 64))
    meta = MetaLearner(mlp, algorithm, max_iter=2, random_state=0)
    there = task_map(meta.fit(regression.tasks))
    plain = TaskArrays.task_blocks
    monkeypatch.setattr(TaskArrays, "task_blocks", lambda self, *args: plain(self, 1, 1, 40))
    monkeypatch.setattr(Learned, "_can_keep", lambda *args: False)
    kept = task_map(meta.fit(regression.tasks))
    adapted = meta._served.known.parts[0].batch.adapted
    assert isinstance(adapted, TasksOnDemand)
    assert adapted.ready is None
    np.testing.assert_allclose(kept.coordinates, there.coordinates, atol=1e-10)


@pytest.mark.parametrize("space", ["head", "predictions"])
def test_what_is_added_to_all_classes_alike_is_nothing(multiclass, space):
    meta = multiclass.meta().fit(multiclass.tasks)
    found = task_map(meta, multiclass.tasks, space=space)
    of_classes = found.coordinates.reshape(len(found.task_ids), -1, 3)
    np.testing.assert_allclose(of_classes.sum(axis=2), 0, atol=1e-4 * np.abs(of_classes).max())


def test_the_column_of_task_ids(task_frame):
    X, y = task_frame.drop(columns="y"), task_frame["y"].to_numpy()
    mlp = MLPRegressor(hidden_layer_sizes=(8,))
    meta = MetaLearner(mlp, task_feature="store", max_iter=20, random_state=0).fit(X, y)
    bare = MetaLearner(mlp, max_iter=20, random_state=0)
    bare = bare.fit(X[["a", "b", "c"]], y, groups=X["store"])
    found, expected = task_map(meta, X, y), task_map(bare, X[["a", "b", "c"]], y, X["store"])
    np.testing.assert_array_equal(found.coordinates, expected.coordinates)
    new, target = X[["a", "b", "c"]][:4], y[:4] + 1
    assert found.atypicality(new, target) == expected.atypicality(new, target)
    named = found.atypicality(new.assign(store="new"), target)
    assert named.tolist() == [found.atypicality(new, target)]
    curves = [
        CalibrationDisplay.from_estimator(*args).observed
        for args in ((meta, X, y), (bare, X[["a", "b", "c"]], y, X["store"]))
    ]
    np.testing.assert_array_equal(*curves)


def test_a_task_with_few_rows_is_near_the_prior(regression):
    meta, (X, y) = regression.meta().fit(regression.tasks), regression.new
    names = np.repeat(["one", "three", "all"], [1, 3, len(y)])
    rows = [np.concatenate([part[:1], part[:3], part]) for part in (X, y)]
    for space in ("head", "predictions"):
        found = task_map(meta, *rows, names, space=space)
        size = dict(zip(found.task_ids, np.linalg.norm(found.coordinates, axis=1), strict=True))
        assert size["one"] < size["all"]


def test_nearest(regression):
    found = task_map(regression.meta().fit(regression.tasks))
    gaps = found.coordinates[:, None] - found.coordinates
    distance = np.linalg.norm(gaps, axis=2)[4]
    expected = [found.task_ids[i] for i in np.argsort(distance) if i != 4][:3]
    assert found.nearest("t04", n=3).tolist() == expected
    with pytest.raises(ValueError, match="task='x' is none of the tasks of the map"):
        found.nearest("x")
    with pytest.raises(ValueError, match="n=12; expected a number of other tasks from 1 to 11"):
        found.nearest("t04", n=12)


@pytest.mark.parametrize(("n", "p"), [(3, 5), (5, 3), (4, 4)])
def test_the_joint_density_is_scipys(n, p):
    rng = np.random.RandomState(0)
    Q, residual, variance, shape = rng.normal(size=(2, n, p)), rng.normal(size=(2, n)), 0.3, 2.5
    gaussian = log_density(Q, residual, variance, 0)
    students = log_density(Q, residual, variance, 1 / shape)
    for i in range(2):
        covariance, zero = variance * (Q[i] @ Q[i].T + np.eye(n)), np.zeros(n)
        expected = multivariate_normal(zero, covariance).logpdf(residual[i])
        assert gaussian[i] == pytest.approx(expected)
        scale = covariance * (shape - 1) / shape
        expected = multivariate_t(zero, scale, df=2 * shape).logpdf(residual[i])
        assert students[i] == pytest.approx(expected)


@pytest.mark.parametrize("kind", ["regression", "multi-output"])
def test_the_density_of_tasks_is_that_under_the_prior(kind):
    problem = make_problem(kind)
    meta, tasks = problem.meta().fit(problem.tasks), problem.tasks
    learned = meta._served.learned
    found = log_densities(learned, learned.encoder.encode(tasks).arrays)
    for density, (X, y) in zip(found, tasks, strict=True):
        Q, prior, params = whitened(meta, X)
        residual = learned.encoder.targets.encode(y, float) - prior
        _, std = meta.fit_adapt(X[:0], y[:0]).predict(X, return_std=True)
        std, expected = std.reshape(len(y), -1) / learned.encoder.targets.scale, 0
        for k, noise in enumerate(np.exp(params["log_noise"])):
            covariance = noise * (np.exp(params["log_spread"][0, k]) * Q @ Q.T + np.eye(len(y)))
            np.testing.assert_allclose(np.diag(covariance) ** 0.5, std[:, k], rtol=1e-6)
            shape = 1 / params["inverse_shape"][k]
            scale = covariance * (shape - 1) / shape
            expected += multivariate_t(np.zeros(len(y)), scale, 2 * shape).logpdf(residual[:, k])
        assert density == pytest.approx(expected / len(y))


def many_tasks(n_tasks=150, seed=0):
    rng = np.random.RandomState(seed)
    task = np.repeat(np.arange(n_tasks), 12)
    X = rng.normal(size=(len(task), 2))
    slopes = [1, -1] + 0.5 * rng.normal(size=(n_tasks, 2))
    y = (X * slopes[task]).sum(axis=1) + 0.5 * rng.normal(size=n_tasks)[task]
    return TaskCollection.from_arrays(X, y + 0.1 * rng.normal(size=len(task)), task)


@pytest.mark.parametrize("algorithm", ["bayesian_head", "deep_kernel_gp", "maml"])
def test_an_outlier_is_atypical_and_others_are_not(algorithm):
    tasks = many_tasks()
    mlp = MLPRegressor(hidden_layer_sizes=(16,))
    meta = MetaLearner(mlp, algorithm, max_iter=150, random_state=0).fit(tasks[:100])
    found = task_map(meta, tasks[:100])
    typical = found.atypicality(tasks[100:])
    assert typical.shape == (50,)
    assert 0.3 < typical.mean() < 0.7
    X, y = tasks[120]
    assert 0 < found.atypicality(X, y) == typical[20] < 0.9
    shifted = TaskCollection(X, y + 5 * tasks.y.std(), np.array([0, len(y)]), np.array(["odd"]))
    assert found.atypicality(shifted)[0] > 0.95
    assert found.atypicality(X[:3], y[:3] + 5 * tasks.y.std()) > 0.95


def test_atypicality_is_a_rank_among_first_rows():
    tasks = many_tasks(40)
    meta = MetaLearner(
        MLPRegressor(hidden_layer_sizes=(8,)), support_order="first", max_iter=20, random_state=0
    ).fit(tasks[:30])
    found, learned = task_map(meta, tasks[:30]), meta._served.learned
    X, y = tasks[35]

    def density(X, y):
        one = TaskCollection(X, y, np.array([0, len(y)]), np.array([None]))
        return log_densities(learned, learned.encoder.encode(one).arrays)[0]

    higher = sum(density(x[:4], t[:4]) > density(X[:4], y[:4]) for x, t in tasks[:30])
    assert found.atypicality(X[:4], y[:4]) == pytest.approx(higher / 31)


@pytest.mark.parametrize("kind", ["binary", "multiclass", "poisson"])
def test_atypicality_by_the_loss_of_the_prior(kind):
    problem = make_problem(kind)
    meta = problem.meta(max_iter=100).fit(problem.tasks)
    found, learned = task_map(meta, problem.tasks), meta._served.learned
    densities = log_densities(learned, learned.encoder.encode(problem.tasks).arrays)
    for density, (X, y) in zip(densities, problem.tasks, strict=True):
        meta.fit_adapt(X[:0], y[:0])
        if kind == "poisson":
            from sklearn.metrics import mean_poisson_deviance

            scale = learned.encoder.targets.scale[0]
            expected = -0.5 * mean_poisson_deviance(y / scale, meta.predict(X) / scale)
        else:
            of_rows = meta.predict_log_proba(X)
            expected = of_rows[np.arange(len(y)), np.searchsorted(meta.classes_, y)].mean()
        assert density == pytest.approx(expected)
    assert 0 <= found.atypicality(problem.new[0][:3], problem.new[1][:3]) < 1


def test_atypicality_needs_rows_to_compare_with(regression):
    meta, (X, y) = regression.meta().fit(regression.tasks), regression.new
    with pytest.raises(ValueError, match="the map was made without: task_map"):
        task_map(meta).atypicality(X, y)
    found, rows = task_map(meta, regression.tasks), (np.tile(X, (3, 1)), np.tile(y, 3))
    with pytest.raises(ValueError, match=r"of \d+ rows, the tasks of the map have 14 at most"):
        found.atypicality(*rows)
    with pytest.raises(ValueError, match="The 'random_state' parameter"):
        found.atypicality(X, y, random_state="x")


def test_one_coordinate_is_a_line(regression):
    meta = regression.meta(max_iter=2).fit(regression.tasks)
    coordinates = np.arange(12.0)[:, None] - 3
    found = TaskMap(meta.tasks_, coordinates, "weights", meta)
    np.testing.assert_allclose(np.abs(found.embedding[:, 0]), np.abs(np.arange(12) - 5.5))
    assert np.ptp(found.embedding[:, 1]) == 0


@pytest.mark.parametrize(
    ("algorithm", "params", "message"),
    [
        ("bayesian_head", {"space": "tree"}, "space='tree'; expected one of"),
        ("maml", {"space": "head"}, "space='head' is for BayesianHead, found MAML"),
        ("maml", {"space": "predictions"}, "space='predictions' compares them on rows: pass X"),
        ("deep_kernel_gp", {}, "are no weights of a network: pass X, y and groups"),
        ("joint", {}, r"all tasks have learned the same by Joint\(\)"),
        ("maml", {"y": [1]}, "y and groups must be None where X is None"),
    ],
)
def test_bad_parameters(regression, algorithm, params, message):
    meta = regression.meta(algorithm, max_iter=2).fit(regression.tasks)
    with pytest.raises(ValueError, match=message):
        task_map(meta, **params)


def test_too_few_tasks(regression):
    meta = regression.meta(max_iter=2, adapt_training_tasks=False).fit(regression.tasks)
    with pytest.raises(ValueError, match=r"the MetaLearner knows no tasks: .*adapt_training_tasks"):
        task_map(meta)
    with pytest.raises(ValueError, match="a map needs 3 tasks or more, found 2"):
        task_map(meta, regression.tasks[:2])


def test_the_map_is_drawn_with_a_legend(regression):
    found = task_map(regression.meta().fit(regression.tasks))
    regions = dict(zip(found.task_ids.tolist(), ["north"] * 5 + ["south"] * 7, strict=True))
    display = TaskMapDisplay.from_map(found, color=pd.Series(regions, name="region")[::-1])
    assert [len(each.get_offsets()) for each in display.scatters_] == [5, 7]
    np.testing.assert_allclose(display.scatters_[0].get_offsets(), found.embedding[:5])
    np.testing.assert_allclose(display.prior_.get_offsets()[0], found.prior)
    assert [text.get_text() for text in display.legend_.get_texts()] == ["north", "south"]
    assert display.legend_.get_title().get_text() == "region"
    share = found.explained_variance_ratio[0]
    assert f"{share:.0%} of the variance" in display.ax_.get_xlabel()
    assert display.colorbar_ is None


def test_colours_of_tasks_named_by_dates(regression):
    X, y, groups = regression.rows
    days = np.datetime64("2020-01-01") + np.unique(groups, return_inverse=True)[1]
    found = task_map(regression.meta(max_iter=2).fit(X, y, groups=days))
    color = pd.Series(np.arange(12.0), index=pd.to_datetime(found.task_ids))[::-1]
    display = TaskMapDisplay.from_map(found, color=color)
    np.testing.assert_array_equal(display.scatters_[0].get_array(), np.arange(12))
    assert "2020-01-04" in {text.get_text() for text in display.texts_}


def test_numbers_have_a_colour_bar(regression):
    meta = regression.meta().fit(regression.tasks)
    display = TaskMapDisplay.from_estimator(meta, color=np.arange(12), labels=None)
    np.testing.assert_array_equal(display.scatters_[0].get_array(), np.arange(12))
    assert display.colorbar_ is not None
    assert display.texts_ == []


def test_names_do_not_collide(figures):
    tasks = many_tasks()
    meta = MetaLearner(MLPRegressor(hidden_layer_sizes=(8,)), max_iter=20, random_state=0)
    ax = figures.figure(figsize=(3, 3)).gca()
    display = TaskMapDisplay.from_estimator(meta.fit(tasks), ax=ax)
    display.figure_.draw_without_rendering()
    boxes = [text.get_window_extent() for text in display.texts_]
    assert 3 < len(boxes) < 40  # the others found no room
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    frame = display.ax_.bbox
    assert all(frame.x0 <= box.x0 and box.x1 <= frame.x1 for box in boxes)


def test_names_that_are_asked_for(regression):
    meta = regression.meta().fit(regression.tasks)
    display = TaskMapDisplay.from_estimator(meta, labels=["t03", "t07"])
    assert [text.get_text() for text in display.texts_] == ["t03", "t07"]


def test_many_categories_have_colours_of_their_own(regression):
    found = task_map(regression.meta(max_iter=2).fit(regression.tasks))
    display = TaskMapDisplay.from_map(found, color=[f"c{i}" for i in range(12)])
    assert len({tuple(each.get_facecolor()[0]) for each in display.scatters_}) == 12


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"color": {"t00": 1}}, r"color has no value for the tasks \['t01', "),
        ({"color": [1, 2]}, r"color has the shape \(2,\), expected \(12,\)"),
        ({"labels": "all"}, "labels='all'; expected 'auto', None or task ids"),
        ({"labels": ["x"]}, "task='x' is none of the tasks of the map"),
    ],
)
def test_bad_looks(regression, params, message):
    found = task_map(regression.meta(max_iter=2).fit(regression.tasks))
    with pytest.raises(ValueError, match=message):
        TaskMapDisplay.from_map(found, **params)


def test_too_many_categories():
    tasks = many_tasks(30)
    meta = MetaLearner(MLPRegressor(hidden_layer_sizes=(4,)), max_iter=2, random_state=0).fit(tasks)
    with pytest.raises(ValueError, match=r"color has 30 categories .* expected 20 at most"):
        TaskMapDisplay.from_estimator(meta, color=[f"c{i}" for i in range(30)])


def test_what_is_no_map():
    with pytest.raises(TypeError, match="task_map must be what task_map returns, got 3"):
        TaskMapDisplay.from_map(3)
