import numpy as np
import pytest
from helpers import (
    assert_close,
    central_difference,
    make_network,
    make_params,
    ragged_batch,
    tasks_of,
)
from scipy.stats import multivariate_normal
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.neural_network import MLPClassifier, MLPRegressor

from sklearn_meta import MetaLearner, TaskCollection
from sklearn_meta.algorithms import DeepKernelGP, HeldOut, _gaussian_processes, _kernels
from sklearn_meta.datasets import Sinusoids
from sklearn_meta.network import Params

KERNELS = [DeepKernelGP(kernel="linear"), DeepKernelGP(kernel="rbf")]
both_kernels = pytest.mark.parametrize("algorithm", KERNELS, ids=["linear", "rbf"])
CASES = [("squared_error", None), ("two_outputs", None), ("binary", None), ("softmax", None)]
CASES += [("binary", [2, 2, 2]), ("softmax", [2, 3, 2])]
every_case = pytest.mark.parametrize(("case", "n_classes"), CASES)


def draw(algorithm, case, n_classes=None, hidden=(4, 3)):
    network = make_network(case, hidden, exchangeable=n_classes is not None)
    rng = np.random.RandomState(0)
    n_classes = n_classes if case == "softmax" else None
    batches = (ragged_batch(rng, network, part, n_classes) for part in ((6, 3, 5), (4, 7, 2)))
    return network, make_params(algorithm, network), *batches


def kernel_of(algorithm, params):
    """scikit-learn's kernel, from what the parameters say."""
    ratio = 1 / (1e-6 + np.exp(-params["log_ratio"]))
    length_scale, noise = (np.exp(params[f"log_{of}"]) for of in ("length_scale", "noise"))
    cls = {"linear": _kernels.Linear, "rbf": _kernels.RBF}[algorithm.kernel]
    return cls(float(ratio), float(length_scale), float(noise)).to_sklearn()


def plain_targets(case, y, k):
    """Labels 2 and 0 less their mean, (rows, k)."""
    if "outputs" in case or case == "squared_error":
        return y
    return 2 * y - 1 if case == "binary" else 2 * y[:, :k] - 2 / k


def unweighted(batch):
    return batch._replace(weight=(batch.weight > 0) * 1.0)


@both_kernels
@every_case
def test_the_loss_is_the_gaussian_density_of_all_rows(algorithm, case, n_classes):
    network, params, *batches = draw(algorithm, case, n_classes)
    support, query = map(unweighted, batches)
    loss, _ = algorithm.meta_gradient(network, params, support, query)
    kernel, losses = kernel_of(algorithm, params), []
    for i, task in enumerate(tasks_of(support.join(query))):
        k = n_classes[i] if case == "softmax" and n_classes else network.n_outputs
        layers = network.layers(params.vector)
        F = network.hidden(layers, task.X)[-1][0]
        y, mean = plain_targets(case, task.y[0], k), (F @ layers[-1][0] + layers[-1][1])[:, :k]
        process = multivariate_normal(np.zeros(len(F)), kernel(F))
        losses.append(-np.mean(process.logpdf((y - mean).T)) / len(F))
    np.testing.assert_allclose(loss, np.mean(losses), rtol=1e-9)


@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize("hidden", [(4, 3), ()])
@every_case
def test_meta_gradient_with_the_other_kernel(case, n_classes, hidden, activation):
    algorithm = DeepKernelGP(kernel="linear")
    network, params, support, query = draw(algorithm, case, n_classes, hidden)

    def loss(vector):
        return algorithm.meta_gradient(network, Params(vector, params.layout), support, query)[0]

    _, gradient = algorithm.meta_gradient(network, params, support, query)
    free = params.vector != 0
    assert_close(gradient[free], central_difference(loss, params.vector)[free], 1e-6)


@both_kernels
def test_a_task_is_scikit_learns_gaussian_process_on_the_features(algorithm):
    network, params, support, query = draw(algorithm, "two_outputs")
    support = unweighted(support)
    adapted = algorithm.learn(network, params, support)
    z = adapted.outputs(network, query.X)
    std = adapted.std(network, query.X)
    layers = network.layers(params.vector)
    weights, bias = layers[-1]
    for i, task in enumerate(tasks_of(support)):
        F, Q = (network.hidden(layers, X)[-1][0] for X in (task.X, query.X[[i]]))
        process = GaussianProcessRegressor(kernel_of(algorithm, params), alpha=0, optimizer=None)
        process.fit(F, task.y[0] - F @ weights - bias)
        mean, expected_std = process.predict(Q, return_std=True)
        np.testing.assert_allclose(z[i], mean + Q @ weights + bias, rtol=1e-8)
        np.testing.assert_allclose(std[i], expected_std, rtol=1e-8)


@both_kernels
def test_a_weight_of_two_is_a_row_given_twice(algorithm):
    network, params, support, query = draw(algorithm, "softmax")
    ones = support._replace(weight=np.ones((3, 6)))
    twice = type(ones)(*(np.concatenate([part, part[:, :1]], axis=1) for part in ones[:3]))
    heavy = ones._replace(weight=np.array([[2.0, 1, 1, 1, 1, 1]] * 3))
    found = [algorithm.meta_gradient(network, params, part, query) for part in (heavy, twice)]
    np.testing.assert_allclose(found[0][0], found[1][0], rtol=1e-11)
    assert_close(found[0][1], found[1][1], 1e-10)
    z = [
        algorithm.learn(network, params, part).outputs(network, query.X) for part in (heavy, twice)
    ]
    np.testing.assert_allclose(z[0], z[1], rtol=1e-9)


@both_kernels
@every_case
def test_tasks_in_blocks_of_bounded_memory(algorithm, case, n_classes, monkeypatch):
    network, params, support, query = draw(algorithm, case, n_classes)
    results = []
    for cells in (2**22, 1, 40):
        monkeypatch.setattr(_gaussian_processes, "MAX_CELLS", cells)
        adapted = algorithm.learn(network, params, support)
        parts = [adapted.outputs(network, query.X)]
        if network.loss.quadratic:
            parts.append(adapted.std(network, query.X))
        results.append(parts)
    for parts in results[1:]:
        for part, expected in zip(parts, results[0], strict=True):
            np.testing.assert_allclose(part, expected, rtol=1e-10)


def test_naming_classes_otherwise_changes_nothing_else():
    network, params, support, query = draw(KERNELS[0], "softmax", [3, 3, 3])
    order = np.array([2, 0, 1])
    z = KERNELS[0].learn(network, params, support).outputs(network, query.X)
    renamed = support._replace(y=support.y[..., order])
    moved = KERNELS[0].learn(network, params, renamed).outputs(network, query.X)
    np.testing.assert_allclose(moved, z[..., order], rtol=1e-10)


@both_kernels
@pytest.mark.parametrize(("case", "n_classes"), CASES[2:])
def test_calibration_takes_the_gain_of_the_least_log_loss(algorithm, case, n_classes):
    network, params, support, query = draw(algorithm, case, n_classes)
    calibrated = algorithm.calibrate(network, params, [HeldOut(network, params, support, query)])

    def log_loss(log_gain):
        moved = Params(calibrated.vector.copy(), params.layout)
        moved["log_gain"][...] = log_gain
        z = algorithm.learn(network, moved, support).outputs(network, query.X, query.logit_mask)
        return network.loss.task_losses(z, query).mean()

    grid = np.linspace(np.log(0.1), np.log(100), 60)
    least = min(map(log_loss, grid))
    assert log_loss(calibrated["log_gain"]) <= least * (1 + 1e-5)
    rest = np.arange(len(params.vector)) != params.layout.slices["log_gain"].start
    np.testing.assert_array_equal(calibrated.vector[rest], params.vector[rest])


def test_regression_needs_no_calibration():
    network, params, support, query = draw(KERNELS[0], "squared_error")
    assert (
        KERNELS[0].calibrate(network, params, [HeldOut(network, params, support, query)]) is params
    )
    assert "log_gain" not in params.layout.shapes


def test_a_diverged_task_is_found():
    network, params, support, _ = draw(KERNELS[0], "squared_error")
    support.y[1, 0] = np.inf
    with np.errstate(invalid="ignore"):
        adapted = KERNELS[0].learn(network, params, support)
    np.testing.assert_array_equal(adapted.finite(3), [True, False, True])


def test_counts_are_for_another_algorithm():
    meta = MetaLearner(MLPRegressor(loss="poisson"), "deep_kernel_gp")
    X, groups = np.arange(12.0)[:, None], np.repeat([0, 1], 6)
    with pytest.raises(ValueError, match=r"poisson.* take BayesianHead"):
        meta.fit(X, np.arange(12), groups)
    assert not hasattr(meta, "estimator_")


def test_class_probabilities_have_no_std(multiclass):
    meta = multiclass.meta("deep_kernel_gp").fit(multiclass.tasks)
    with pytest.raises(ValueError, match="return_std of class probabilities needs BayesianHead"):
        meta.predict_proba(multiclass.tasks.X, return_std=True)


def test_targets_without_noise():
    rng = np.random.RandomState(0)
    X, slopes = rng.standard_normal((400, 2)), rng.standard_normal((20, 2))
    groups = np.repeat(np.arange(20), 20)
    y = (X * slopes[groups]).sum(axis=1)
    algorithm = DeepKernelGP(kernel="linear")
    meta = MetaLearner(MLPRegressor(hidden_layer_sizes=()), algorithm, max_iter=1500)
    meta.set_params(meta_lr=0.01, random_state=0).fit(X, y, groups)
    assert meta.score(X, y, groups=groups) > 0.9999


@both_kernels
def test_sinusoids_from_few_rows(algorithm):
    tasks = Sinusoids(n_rows=30).sample(250, random_state=0)
    mlp = MLPRegressor(hidden_layer_sizes=(40, 40))
    meta = MetaLearner(mlp, algorithm, max_iter=300, meta_lr=3e-3, random_state=0)
    assert meta.fit(tasks[:200]).score(tasks[200:]) > 0.9


@both_kernels
def test_classes_of_their_own(algorithm):
    """Three clusters a task, each task's somewhere else."""
    rng = np.random.RandomState(0)
    groups, labels = np.repeat(np.arange(80), 18), np.tile(np.repeat([0, 1, 2], 6), 80)
    X = 3 * rng.standard_normal((80, 3, 2))[groups, labels]
    X += 0.3 * rng.standard_normal(X.shape)
    tasks = TaskCollection.from_arrays(X, labels, groups, shared_labels=False)
    mlp = MLPClassifier(hidden_layer_sizes=(16,))
    meta = MetaLearner(mlp, algorithm, max_iter=300, n_shots=1, random_state=0)
    assert meta.fit(tasks[:60]).score(tasks[60:]) > 0.9
