"""Draws, covariances and joint densities as MetaLearner gives them."""

import numpy as np
import pandas as pd
import pytest
from conftest import make_problem
from scipy.stats import multivariate_normal, norm, t
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_meta import MetaLearner, TaskCollection, adapt
from sklearn_meta.algorithms import DeepKernelGP

N_DRAWS = 4000


@pytest.fixture(params=["bayesian_head", "deep_kernel_gp"])
def fitted(request, regression):
    meta = regression.meta(request.param).fit(regression.tasks)
    X, y = regression.new
    return meta.fit_adapt(X[:4], y[:4]), X, y


def fitted_to(problem):
    X, y = problem.new
    return problem.meta().fit(problem.tasks).fit_adapt(X, y)


def test_a_plain_linear_gaussian_task():
    """One output, no hidden layer: the posterior by a few lines of NumPy, in the units of y."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 2))
    group = np.repeat(np.arange(20), 10)
    y = 5 + 3 * (X * rng.normal(size=(20, 2))[group]).sum(axis=1) + rng.normal(size=200)
    meta = MetaLearner(MLPRegressor(hidden_layer_sizes=()), max_iter=50, random_state=0)
    meta.fit(X, y, groups=group)
    params, encoder = meta._served.learned.params, meta._served.learned.encoder
    for name in ("inverse_shape", "tail", "log_spread"):
        params[name][...] = 0  # one Gaussian noise of all tasks, as wide as the posterior has it
    unit = encoder.targets.scale[0]
    rows = (encoder.features.transform(part) for part in (X[:3], X[3:7]))
    F, Q = (np.column_stack([part, np.ones(len(part))]) for part in rows)
    W, b = (params[name] for name in encoder.network.names[-1])
    mean, noise = np.append(W[:, 0], b), np.exp(params["log_noise"][0])
    prior = noise * np.diag(np.exp(-params["log_precision"]))
    gain = prior @ F.T @ np.linalg.inv(F @ prior @ F.T + noise * np.eye(3))
    at = mean + gain @ ((y[:3] - encoder.targets.offset[0]) / unit - F @ mean)
    covariance = unit**2 * (Q @ (prior - gain @ F @ prior) @ Q.T + noise * np.eye(4))
    expected = encoder.targets.offset[0] + unit * Q @ at

    meta.fit_adapt(X[:3], y[:3])
    found, cov = meta.predict(X[3:7], return_cov=True)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    np.testing.assert_allclose(cov, covariance, rtol=1e-6)
    density = multivariate_normal.logpdf(y[3:7], expected, covariance)
    np.testing.assert_allclose(meta.score_samples(X[3:7], y[3:7]), [density], rtol=1e-6)
    drawn = meta.sample_y(X[3:7], N_DRAWS)
    error = np.sqrt(np.diag(covariance) / N_DRAWS)
    assert np.abs((drawn.mean(axis=1) - expected) / error).max() < 4.5
    products = (drawn - expected[:, None])[:, None] * (drawn - expected[:, None])
    z = (products.mean(axis=-1) - covariance) / (products.std(axis=-1) / np.sqrt(N_DRAWS))
    assert np.abs(z).max() < 4.5


def test_the_diagonal_of_the_covariance_is_the_square_of_std(fitted):
    meta, X, _ = fitted
    mean, std = meta.predict(X, return_std=True)
    same_mean, cov = meta.predict(X, return_cov=True)
    np.testing.assert_array_equal(mean, same_mean)
    np.testing.assert_allclose(np.sqrt(np.diag(cov)), std, rtol=1e-5)
    assert np.linalg.eigvalsh(cov).min() > 0


def test_draws_are_as_the_predictions_have_it(fitted):
    meta, X, _ = fitted
    mean, cov = meta.predict(X, return_cov=True)
    drawn = meta.sample_y(X, N_DRAWS)
    assert drawn.shape == (len(X), N_DRAWS)
    assert np.abs((drawn.mean(axis=1) - mean) / np.sqrt(np.diag(cov) / N_DRAWS)).max() < 4.5
    np.testing.assert_allclose(np.cov(drawn), cov, atol=0.15 * np.diag(cov).max())


def test_of_one_row_the_density_is_that_of_the_prediction(regression):
    meta = fitted_to(regression)
    X, y = regression.new
    learned = meta._served.learned
    asked, _ = meta._ask(X, None)
    df = 1 / learned.inverse_df(asked)[:, 0]
    mean, std = meta.predict(X, return_std=True)
    expected = t.logpdf(y, df, mean, std * np.sqrt((df - 2) / df))
    found = [meta.score_samples(X[[i]], y[[i]])[0] for i in range(len(X))]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    entropy = [
        t.entropy(*each) for each in zip(df, mean, std * np.sqrt((df - 2) / df), strict=True)
    ]
    np.testing.assert_allclose(meta.score_samples(X), np.negative(entropy), rtol=1e-5)


def test_what_a_gaussian_process_expects_of_its_density(regression):
    meta = regression.meta("deep_kernel_gp").fit(regression.tasks)
    X, y = regression.new
    _, std = meta.fit_adapt(X[:4], y[:4]).predict(X, return_std=True)
    np.testing.assert_allclose(meta.score_samples(X), -norm(0, std).entropy(), rtol=1e-5)


@pytest.mark.parametrize("kind", ["binary", "multiclass"])
def test_what_a_classifier_expects_of_its_density_is_minus_its_entropy(kind):
    problem = make_problem(kind)
    meta, (X, _) = fitted_to(problem), problem.new
    proba = meta.predict_proba(X)
    np.testing.assert_allclose(
        meta.score_samples(X), (proba * np.log(proba)).sum(axis=1), rtol=1e-5
    )


@pytest.mark.parametrize("noise", [True, False])
def test_draws_of_every_kind(problem, noise):
    meta, (X, y) = fitted_to(problem), problem.new
    drawn = meta.sample_y(X, 5, noise=noise)
    again = meta.sample_y(X, 5, noise=noise)
    np.testing.assert_array_equal(drawn, again)
    assert np.any(drawn != meta.sample_y(X, 5, random_state=1, noise=noise))
    if hasattr(meta, "classes_"):
        if noise:
            assert drawn.shape == (len(X), 5)
            assert set(drawn.ravel()) <= set(meta.classes_)
            assert drawn.dtype == y.dtype
        else:
            assert drawn.shape == (len(X), len(meta.classes_), 5)
            np.testing.assert_allclose(drawn.sum(axis=1), 1, rtol=1e-6)
    else:
        assert drawn.shape == (*y.shape, 5)
    density = meta.score_samples(X, y)
    assert density.shape == (1,)
    assert np.isfinite(density).all()


def test_tasks_have_draws_of_their_own_whatever_the_threads(problem):
    meta = problem.meta().fit(problem.tasks)
    X, y, groups = problem.rows
    drawn = meta.sample_y(X, 3, groups=groups)
    density = meta.score_samples(X, y, groups=groups)
    meta.set_params(n_jobs=2)
    np.testing.assert_array_equal(drawn, meta.sample_y(X, 3, groups=groups))
    np.testing.assert_array_equal(density, meta.score_samples(X, y, groups=groups))
    first = groups == groups[0]
    alone = meta.sample_y(X[first], 3, groups=groups[first])
    if drawn.dtype.kind == "f":
        np.testing.assert_allclose(drawn[first], alone, rtol=1e-4, atol=1e-4)


def test_densities_come_in_the_order_in_which_tasks_appear(regression):
    meta = regression.meta().fit(regression.tasks)
    X, y, groups = regression.rows
    density = dict(zip(np.unique(groups), meta.score_samples(X, y, groups=groups), strict=True))
    order = np.random.RandomState(0).permutation(len(X))
    shuffled = meta.score_samples(X[order], y[order], groups=groups[order])
    expected = [density[name] for name in dict.fromkeys(groups[order].tolist())]
    np.testing.assert_allclose(shuffled, expected, rtol=1e-4)


def test_the_same_functions_whichever_rows_are_asked(regression):
    meta, (X, _) = fitted_to(regression), regression.new
    drawn = meta.sample_y(X, 4, noise=False)
    np.testing.assert_allclose(meta.sample_y(X[3:5], 4, noise=False), drawn[3:5], rtol=1e-5)


def test_tasks_kept_as_rows_have_the_same_draws(regression, monkeypatch):
    X, y, groups = regression.rows
    meta = regression.meta().fit(regression.tasks)
    drawn = meta.sample_y(X, 2, groups=groups), meta.score_samples(X, y, groups=groups)
    monkeypatch.setattr("sklearn_meta._tasks_on_demand.MAX_BYTES", 0)
    monkeypatch.setattr("sklearn_meta._learned.MAX_BYTES", 0)
    meta = regression.meta().fit(regression.tasks)
    kept = meta.sample_y(X, 2, groups=groups), meta.score_samples(X, y, groups=groups)
    for one, other in zip(drawn, kept, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4)


def test_new_tasks_out_of_the_prior_are_independent(regression):
    """Rows of one unknown task go together, those of two do not."""
    meta = regression.meta().fit(regression.tasks)
    X = np.repeat(regression.tasks.X[:1], 4, axis=0)
    drawn = meta.sample_y(X, 2000, groups=["new", "new", "other", "other"], noise=False)
    correlation = np.corrcoef(drawn)
    assert correlation[0, 1] > 0.99
    assert correlation[2, 3] > 0.99
    assert abs(correlation[0, 2]) < 0.1


def test_unknown_tasks_are_told_as_in_predict(regression):
    meta = regression.meta(handle_unknown="error").fit(regression.tasks)
    X, y = regression.new
    with pytest.raises(ValueError, match="never adapted"):
        meta.sample_y(X, groups=["new"] * len(X))
    meta.set_params(handle_unknown="warn")
    with pytest.warns(UserWarning, match="the prior predicts"):
        meta.score_samples(X, y, groups=["new"] * len(X))


def test_counts_have_the_dispersion():
    rng = np.random.default_rng(0)
    X, group = rng.normal(size=(400, 1)), np.repeat(np.arange(40), 10)
    y = rng.negative_binomial(4, 0.25, 400).astype(float)  # of mean 12 and variance 48
    mlp = MLPRegressor(hidden_layer_sizes=(), loss="poisson")
    options = {"max_iter": 50, "random_state": 0, "handle_unknown": "prior"}
    for whole, targets in ((True, y), (False, y + 0.5)):
        meta = MetaLearner(mlp, **options).fit(X, targets, groups=group)
        drawn = meta.sample_y(np.zeros((1, 1)), N_DRAWS)
        assert np.all(drawn == np.floor(drawn)) == whole
        _, std = meta.predict(np.zeros((1, 1)), return_std=True)
        assert drawn.var() == pytest.approx(std[0] ** 2, rel=0.15)
        assert drawn.mean() == pytest.approx(meta.predict(np.zeros((1, 1)))[0], rel=0.1)


def test_drawn_classes_are_as_frequent_as_is_drawn_probable(multiclass):
    meta, (X, _) = fitted_to(multiclass), multiclass.new
    labels = meta.sample_y(X, N_DRAWS)
    expected = meta.sample_y(X, N_DRAWS, noise=False).mean(axis=-1)
    for column, label in enumerate(meta.classes_):
        frequency = (labels == label).mean(axis=1)
        np.testing.assert_allclose(
            frequency, expected[:, column], atol=4.5 * 0.5 / np.sqrt(N_DRAWS)
        )


def test_a_task_that_does_not_fit_has_a_low_density(regression):
    meta = fitted_to(regression)
    X, y = regression.new
    assert meta.score_samples(X, y)[0] > meta.score_samples(X, y[::-1])[0]


def test_a_learner_passes_them_on(problem):
    meta, (X, y) = fitted_to(problem), problem.new
    learner = clone(meta.learner_).fit(X, y)
    np.testing.assert_array_equal(learner.sample_y(X, 2), meta.sample_y(X, 2))
    np.testing.assert_allclose(learner.score_samples(X, y), meta.score_samples(X, y), rtol=1e-6)
    np.testing.assert_allclose(learner.score_samples(X), meta.score_samples(X), rtol=1e-6)
    if not hasattr(meta, "classes_"):
        for one, other in zip(
            learner.predict(X, return_cov=True), meta.predict(X, return_cov=True), strict=True
        ):
            np.testing.assert_array_equal(one, other)


def test_a_learner_draws_classes_that_were_seen(multiclass):
    meta, (X, y) = multiclass.meta().fit(multiclass.tasks), multiclass.new
    two = np.isin(y, [0, 2])
    learner = clone(meta.learner_).fit(X[two], y[two])
    assert set(learner.sample_y(X, 50).ravel()) == {0, 2}
    assert learner.sample_y(X, 3, noise=False).shape == (len(X), 2, 3)
    expected = np.log(learner.predict_proba(X[two][:1])[0][list(learner.classes_).index(y[two][0])])
    assert learner.score_samples(X[two][:1], y[two][:1])[0] == pytest.approx(expected, abs=0.3)
    with pytest.raises(ValueError, match=r"y has the class 1, which the task does not have"):
        learner.score_samples(X, np.ones(len(X), int))
    one = clone(meta.learner_).fit(X[y == 0], y[y == 0])
    assert set(one.sample_y(X, 3).ravel()) == {0}
    assert one.score_samples(X[y == 0], y[y == 0])[0] == 0


def test_one_of_two_classes_that_was_seen():
    rng = np.random.RandomState(0)
    X, groups = rng.normal(size=(120, 2)), np.repeat(np.arange(12), 10)
    meta = MetaLearner(MLPClassifier(hidden_layer_sizes=(4,)), max_iter=5, random_state=0)
    meta.fit(X, X[:, 0] > 0, groups=groups)
    learner = meta.learner_.fit(X[:3], np.ones(3, bool))
    assert learner.sample_y(X[:5], 4).all()
    assert learner.score_samples(X[:2], np.ones(2, bool))[0] == 0


def test_pipelines(regression):
    X, y, groups = regression.rows
    pipeline = make_pipeline(StandardScaler(), regression.meta())
    pipeline.fit(X, y, metalearner__groups=groups)
    adapted = adapt(pipeline, *regression.new)
    _, cov = adapted.predict(X[:3], return_cov=True)
    assert cov.shape == (3, 3)
    np.testing.assert_array_equal(
        adapted.score_samples(X[:3]), adapted[-1].score_samples(adapted[:-1].transform(X[:3]))
    )


def test_what_knows_no_functions_says_so(regression, multiclass):
    maml = regression.meta("maml").fit(regression.tasks)
    for name in ("sample_y", "score_samples"):
        assert not hasattr(maml, name)
        assert not hasattr(maml.learner_, name)
    with pytest.raises(ValueError, match=r"MAML\(\) knows no distribution of functions"):
        maml.predict(regression.new[0], return_cov=True)
    classes = multiclass.meta(DeepKernelGP()).fit(multiclass.tasks)
    assert not hasattr(classes, "sample_y")


def test_what_is_wrong_is_named(regression, multiclass, own_labels):
    meta = fitted_to(regression)
    X, y = regression.new
    with pytest.raises(ValueError, match="'n_samples' parameter of sample_y"):
        meta.sample_y(X, 0)
    with pytest.raises(ValueError, match="'noise' parameter of sample_y"):
        meta.sample_y(X, 1, noise="yes")
    with pytest.raises(ValueError, match="random_state"):
        meta.sample_y(X, random_state="x")
    with pytest.raises(ValueError, match="both True"):
        meta.predict(X, return_std=True, return_cov=True)
    with pytest.raises(ValueError, match=r"rows of one task, X has rows of 12"):
        meta.predict(regression.tasks.X, groups=regression.tasks.groups, return_cov=True)
    with pytest.raises(ValueError, match="y"):
        meta.score_samples(X, y[:-1])
    with pytest.raises(ValueError, match="return_cov is for regression"):
        fitted_to(multiclass).predict(X, return_cov=True)
    with pytest.raises(NotFittedError):
        regression.meta().sample_y(X)
    own = fitted_to(own_labels)
    X, y = own_labels.new
    with pytest.raises(ValueError, match="y has the class -7"):
        own.score_samples(X, np.full(len(X), -7))


def test_dataframes_and_the_column_of_task_ids(task_frame, regression):
    frame = task_frame
    meta = regression.meta(task_feature="store").fit(frame.drop(columns="y"), frame["y"])
    X, groups = frame[["a", "b", "c", "store"]], frame["store"]
    drawn = meta.sample_y(X, 2)
    assert isinstance(frame, pd.DataFrame)
    assert drawn.shape == (len(frame), 2)
    assert meta.score_samples(X, frame["y"]).shape == (groups.nunique(),)


def test_a_collection_is_no_rows(regression):
    meta = regression.meta().fit(regression.tasks)
    assert isinstance(regression.tasks, TaskCollection)
    with pytest.raises(ValueError, match="X must be rows here"):
        meta.sample_y(regression.tasks)


@pytest.mark.parametrize("kind", ["regression", "multiclass"])
def test_rows_that_are_too_far_are_an_error(kind):
    problem = make_problem(kind)
    meta, (X, y) = fitted_to(problem), problem.new
    far = X.copy()
    far[0] = 1e300
    with pytest.raises(ValueError, match="too far from those in training: scale them"):
        meta.score_samples(far, y)


def test_draws_that_overflow_are_an_error():
    problem = make_problem("poisson")
    meta, (X, _) = fitted_to(problem), problem.new
    with pytest.raises(ValueError, match="too far from those in training: scale them"):
        meta.sample_y(1e30 * X)


def test_a_class_of_another_kind_is_no_class(multiclass):
    meta, (X, y) = fitted_to(multiclass), multiclass.new
    with pytest.raises(ValueError, match="y has the class '0'"):
        meta.score_samples(X, y.astype(str))


def test_probabilities_of_counts_sum_to_one_and_are_those_of_draws():
    rng = np.random.default_rng(0)
    X, group = rng.normal(size=(400, 1)), np.repeat(np.arange(40), 10)
    y = rng.negative_binomial(0.5, 0.2, 400)
    mlp = MLPRegressor(hidden_layer_sizes=(), loss="poisson")
    meta = MetaLearner(mlp, max_iter=50, random_state=0).fit(X, y, groups=group)
    meta.fit_adapt(X[:5], y[:5])
    mass = np.exp([meta.score_samples(X[:1], [count])[0] for count in range(100)])
    assert mass.sum() == pytest.approx(1, abs=0.01)
    none = (meta.sample_y(X[:1], N_DRAWS) == 0).mean()
    assert mass[0] == pytest.approx(none, abs=4.5 * 0.5 / np.sqrt(N_DRAWS))
    with pytest.raises(ValueError, match=r"takes whole numbers, counts, but y has 0.5"):
        meta.score_samples(X[:1], [0.5])
    meta.fit(X, y + 0.5, groups=group).fit_adapt(X[:5], y[:5])
    with pytest.raises(ValueError, match="those of fit were others"):
        meta.score_samples(X[:1], [1])


def test_classes_whose_density_is_not_found_are_an_error(multiclass):
    meta, (X, y) = fitted_to(multiclass), multiclass.new
    with pytest.raises(ValueError, match="too far from those in training"):
        meta.score_samples(1e9 * X, y)
