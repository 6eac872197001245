import copy
import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_meta.algorithms import DeepKernelGP

both_kernels = pytest.mark.parametrize("kernel", ["linear", "rbf"])
regressions = pytest.mark.parametrize("problem", ["regression", "multi-output"], indirect=True)
every_kind = pytest.mark.parametrize(
    "problem",
    ["regression", "multi-output", "binary", "multiclass", "own labels"],
    indirect=True,
)


def fit(problem, kernel="linear"):
    return problem.meta(DeepKernelGP(kernel=kernel)).fit(problem.tasks)


@both_kernels
@every_kind
def test_it_predicts_what_the_meta_learner_does(problem, kernel):
    meta = fit(problem, kernel)
    for X, y in (problem.new, problem.tasks[1], problem.tasks[2]):
        adapted = meta.adapt(X, y)
        meta.fit_adapt(X, y)
        if not hasattr(meta, "classes_"):
            np.testing.assert_allclose(adapted.predict(X), meta.predict(X), rtol=1e-7)
            continue
        np.testing.assert_array_equal(adapted.classes_, meta.classes_)
        np.testing.assert_array_equal(adapted.predict(X), meta.predict(X))
        expected = meta.predict_proba(X)
        np.testing.assert_allclose(adapted.predict_proba(X), expected, rtol=1e-6, atol=1e-9)


@both_kernels
@regressions
def test_it_ends_in_scikit_learns_gaussian_process_with_its_std(problem, kernel):
    meta = fit(problem, kernel)
    X, y = problem.new
    adapted = meta.adapt(X[:5], y[:5])
    assert isinstance(adapted[-1], GaussianProcessRegressor)
    mean, std = adapted.predict(X, return_std=True)
    expected, expected_std = meta.fit_adapt(X[:5], y[:5]).predict(X, return_std=True)
    np.testing.assert_allclose(mean, expected, rtol=1e-7)
    np.testing.assert_allclose(std, expected_std, rtol=1e-7)
    _, covariance = adapted.predict(X, return_cov=True)
    np.testing.assert_allclose(np.einsum("nn...->n...", covariance), std**2, rtol=1e-7)


@every_kind
def test_a_clone_fitted_to_other_rows_is_adapted_to_them(problem):
    meta = fit(problem)
    adapted = meta.adapt(*problem.new)
    (X, y), *_ = problem.tasks if not problem.params else [problem.new]
    other = clone(adapted).fit(X, y)
    expected = meta.adapt(X, y)
    np.testing.assert_allclose(other[:-1].transform(X), expected[:-1].transform(X), rtol=1e-12)
    if hasattr(meta, "classes_"):
        np.testing.assert_array_equal(other.predict(X), expected.predict(X))
    else:
        np.testing.assert_allclose(other.predict(X), expected.predict(X), rtol=1e-10)


def test_a_pipeline_keeps_its_steps_and_names(regression):
    tasks = regression.tasks
    frame = pd.DataFrame(tasks.X, columns=[*"abc"])
    scaler = StandardScaler().set_output(transform="pandas")
    meta = regression.meta("deep_kernel_gp")
    meta.set_params(estimator=make_pipeline(scaler, meta.estimator))
    meta.fit(frame, tasks.y, tasks.groups)
    rows = frame[:7]
    adapted = meta.adapt(rows, tasks.y[:7])
    assert list(adapted.named_steps) == ["standardscaler", "mlpregressor_features", "mlpregressor"]
    assert adapted[1].feature_names_in_.tolist() == ["a", "b", "c"]
    expected = meta.fit_adapt(rows, tasks.y[:7]).predict(frame)
    np.testing.assert_allclose(adapted.predict(frame), expected, rtol=1e-7)


@every_kind
def test_it_is_its_own_and_can_be_pickled(problem):
    meta = fit(problem)
    X, y = problem.new
    adapted = meta.adapt(X, y)
    kept = pickle.loads(pickle.dumps(adapted))
    before = copy.deepcopy(meta.estimator_.coefs_)
    adapted[0].layers[0][0][...] = 7
    np.testing.assert_array_equal(kept.predict(X), meta.adapt(X, y).predict(X))
    for coefs, old in zip(meta.estimator_.coefs_, before, strict=True):
        np.testing.assert_array_equal(coefs, old)


def test_rows_of_another_width(regression):
    adapted = fit(regression).adapt(*regression.new)
    assert isinstance(adapted, Pipeline)
    with pytest.raises(ValueError, match="X has 2 features, but NetworkFeatures is expecting 3"):
        adapted.predict(np.zeros((4, 2)))


@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("standardize", [False, True])
def test_without_a_hidden_layer_the_features_are_the_rows(regression, standardize, activation):
    """As they are, or standardised."""
    meta = regression.meta("deep_kernel_gp", max_iter=3, standardize=standardize)
    meta.set_params(estimator__hidden_layer_sizes=(), estimator__activation=activation)
    meta.fit(regression.tasks)
    X, y = regression.new
    adapted = meta.adapt(X, y)
    if standardize:
        expected = StandardScaler().fit(regression.tasks.X).transform(X)
        np.testing.assert_allclose(adapted[0].transform(X), expected, rtol=1e-10, atol=1e-12)
    else:
        np.testing.assert_array_equal(adapted[0].transform(X), X)
    np.testing.assert_allclose(adapted.predict(X), meta.fit_adapt(X, y).predict(X), rtol=1e-7)


def test_rows_of_next_to_no_weight_count_nothing(regression):
    meta = regression.meta("deep_kernel_gp").fit(regression.tasks)
    X, y = regression.new
    weight = np.where(np.arange(len(y)) < 4, 1, 5e-324)
    found = meta.adapt(X, y, sample_weight=weight).predict(X)
    np.testing.assert_allclose(found, meta.adapt(X[:4], y[:4]).predict(X), rtol=1e-9)
