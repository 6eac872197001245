import numpy as np
import pytest
from helpers import make_network, make_params, plain_loss, ragged_batch, tasks_of
from scipy.optimize import minimize_scalar
from sklearn.base import clone
from sklearn.linear_model import Ridge, RidgeClassifier
from sklearn.neural_network import MLPRegressor

from sklearn_meta import MetaLearner
from sklearn_meta.algorithms import RidgeHead
from sklearn_meta.datasets import Sinusoids
from sklearn_meta.network import MLP, Params
from sklearn_meta.tasks import TaskBatch

CASES = ["squared_error", "two_outputs", "binary", "softmax"]
every_case = pytest.mark.parametrize("case", CASES)
squared_case = pytest.mark.parametrize("case", CASES[:2])
class_case = pytest.mark.parametrize("case", CASES[2:])
every_width = pytest.mark.parametrize("hidden", [(), (4,), (20,)])
SIZES = 6, 1, 12


def draw(case, hidden=(4,), exchangeable=False):
    """A network, parameters, support and query."""
    network = make_network(case, hidden, n_features=3, exchangeable=exchangeable)
    rng = np.random.RandomState(0)
    support, query = ragged_batch(rng, network, SIZES), ragged_batch(rng, network, [4, 7, 2])
    return network, make_params(RidgeHead(init_penalty=3.0), network), support, query


def with_ones(X):
    return np.concatenate([X, np.ones((*X.shape[:-1], 1))], axis=-1)


def features(network, params, X):
    """What the output layer sees of rows (n, d), with a column of ones."""
    return with_ones(network.hidden(network.layers(params.vector), X[None])[-1][0])


def penalty(params):
    return float(np.exp(params["log_penalty"]))


def scale(params):
    return float(np.exp(params["log_scale"]))


def heads(network, params, support):
    """The adapted output layer of each task, its bias the last row."""
    adapted = RidgeHead().learn(network, params, support)
    return [np.vstack(adapted.task(i).layers[-1]) for i in range(len(support.X))]


def ridge(network, params, task, targets):
    """scikit-learn's ridge regression on the features, (p, k)."""
    F, alpha = features(network, params, task.X[0]), penalty(params)
    fitted = Ridge(alpha, fit_intercept=False).fit(F, targets, task.weight[0])
    return fitted.coef_.reshape(-1, F.shape[1]).T


@squared_case
@every_width
def test_regression_is_scikit_learns_ridge_on_the_features(case, hidden):
    """On the side of the rows where features are more, and of the features elsewhere."""
    network, params, support, _ = draw(case, hidden)
    for W, task in zip(heads(network, params, support), tasks_of(support), strict=True):
        np.testing.assert_allclose(W, ridge(network, params, task, task.y[0]), atol=1e-10)


@class_case
@every_width
@pytest.mark.parametrize("exchangeable", [False, True])
def test_logits_are_a_scaled_ridge_on_the_classes_and_a_bias(case, hidden, exchangeable):
    network, params, support, _ = draw(case, hidden, exchangeable)
    bias = params[network.names[-1][1]]
    assert (bias == 0).all() == exchangeable
    for W, task in zip(heads(network, params, support), tasks_of(support), strict=True):
        targets = 2 * task.y[0] - 1 if case == "binary" else task.y[0]
        expected = scale(params) * ridge(network, params, task, targets)
        expected[-1] += bias
        np.testing.assert_allclose(W, expected, atol=1e-9)


@class_case
def test_classes_are_those_of_scikit_learns_ridge_classifier(case):
    """It regresses on -1 and 1 for every class, we on 0 and 1: the same but for a constant."""
    network, params, *_ = draw(case, (6,), exchangeable=True)
    support = ragged_batch(np.random.RandomState(1), network, [15, 20, 30])
    X = np.random.RandomState(2).standard_normal((50, 3))
    for W, task in zip(heads(network, params, support), tasks_of(support), strict=True):
        codes = task.y[0][:, 0] if case == "binary" else task.y[0].argmax(axis=1)
        plain = RidgeClassifier(alpha=penalty(params), fit_intercept=False)
        plain.fit(features(network, params, task.X[0]), codes, task.weight[0])
        F = features(network, params, X)
        z = F @ W
        found = z[:, 0] > 0 if case == "binary" else z.argmax(axis=1)
        np.testing.assert_array_equal(found, plain.predict(F))


def test_a_single_logit_is_the_difference_of_two():
    one = MLP([3, 4, 1], "tanh", "binary_log_loss", True)
    two = MLP([3, 4, 2], "tanh", "log_loss", True)
    params = make_params(RidgeHead(), one)
    own = np.array([params["log_penalty"], params["log_scale"]])
    body = params.vector[: one.layout.slices["weights_1"].start]
    layout = two.layout.extend({"log_penalty": (), "log_scale": ()})
    wide = Params(np.concatenate([body, np.zeros(10), own]), layout)
    support = ragged_batch(np.random.RandomState(0), one, SIZES)
    both = support._replace(y=np.concatenate([1 - support.y, support.y], axis=-1))
    for W, W2 in zip(heads(one, params, support), heads(two, wide, both), strict=True):
        np.testing.assert_allclose(W, W2[:, 1:] - W2[:, :1], atol=1e-12)


@every_case
def test_loss_is_that_of_the_adapted_network_on_the_query(case):
    network, params, support, query = draw(case)
    loss, _ = RidgeHead().meta_gradient(network, params, support, query)
    losses = []
    for W, rows in zip(heads(network, params, support), tasks_of(query), strict=True):
        z = features(network, params, rows.X[0]) @ W
        losses.append(plain_loss(network.loss_name, z, rows.y[0], rows.weight[0]))
    np.testing.assert_allclose(loss, np.mean(losses), rtol=1e-12)


@every_case
def test_a_weight_of_two_is_a_row_twice(case):
    network, params, support, _ = draw(case)
    doubled = support._replace(weight=2 * support.weight)
    twice = TaskBatch(*(np.concatenate([part, part], axis=1) for part in support[:3]))
    expected = heads(network, params, twice)
    np.testing.assert_allclose(heads(network, params, doubled), expected, atol=1e-11)


@every_case
def test_no_rows_leave_what_holds_for_all_tasks(case):
    network, params, support, _ = draw(case)
    nothing = TaskBatch(support.X[:, :0], support.y[:, :0], support.weight[:, :0])
    for W in heads(network, params, nothing):
        assert not W[:-1].any()
        np.testing.assert_array_equal(W[-1], params[network.names[-1][1]])
        assert W[-1].any() != network.loss.quadratic


def test_the_best_penalty_is_the_noise_over_the_variance_of_slopes():
    rng = np.random.RandomState(0)
    network = MLP([2, 1], "relu", "squared_error")
    X = rng.standard_normal((3000, 12, 2))
    slopes = rng.standard_normal((3000, 3, 1))
    y = with_ones(X) @ slopes + np.sqrt(0.5) * rng.standard_normal((3000, 12, 1))
    support, query = (
        TaskBatch(X[:, rows], y[:, rows], np.ones((3000, 12))[:, rows])
        for rows in (slice(4), slice(4, None))
    )
    params = RidgeHead().init_params(network, rng, np.float64)

    def loss(log_penalty):
        params["log_penalty"][...] = log_penalty
        return RidgeHead().meta_gradient(network, params, support, query)[0]

    params["log_penalty"][...] = minimize_scalar(loss, bounds=(-5, 5)).x
    np.testing.assert_allclose(penalty(params), 0.5, rtol=0.05)


def test_where_training_starts():
    network = make_network("softmax")
    algorithm = RidgeHead(init_penalty=7.0, init_scale=0.3)
    params = algorithm.init_params(network, np.random.RandomState(0), np.float64)
    np.testing.assert_allclose([penalty(params), scale(params)], [7.0, 0.3])


def test_poisson_has_no_closed_form():
    match = r"RidgeHead.*loss='poisson'.*squared error or a classifier.*BayesianHead"
    X, y, groups = np.ones((8, 2)), np.arange(8), np.arange(8) // 2
    meta = MetaLearner(MLPRegressor(loss="poisson"), RidgeHead())
    before = dict(vars(meta))
    for method in (meta.fit, meta.partial_fit):
        with pytest.raises(ValueError, match=match):
            method(X, y, groups)
    assert vars(meta) == before


@pytest.mark.parametrize("name", ["init_penalty", "init_scale"])
def test_what_training_starts_from_is_positive(regression, name):
    meta = regression.meta(RidgeHead(**{name: 0}))
    with pytest.raises(ValueError, match=f"'{name}' parameter of RidgeHead"):
        meta.fit(regression.tasks)


def test_it_learns_sinusoids():
    """Ridge regression on random features of as many is far from there."""
    tasks = Sinusoids(n_rows=20).sample(250, random_state=0)
    meta = MetaLearner(
        MLPRegressor(hidden_layer_sizes=(40, 40)), RidgeHead(), max_iter=800, random_state=0
    )
    untrained = clone(meta).set_params(max_iter=1).fit(tasks[:200])
    assert meta.fit(tasks[:200]).score(tasks[200:]) > 0.9 > untrained.score(tasks[200:]) + 0.2
