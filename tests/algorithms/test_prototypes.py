import numpy as np
import pytest
from helpers import make_network, make_params, plain_loss, ragged_batch, tasks_of
from scipy.spatial.distance import cdist
from scipy.special import expit, softmax
from sklearn.neighbors import NearestCentroid
from sklearn.neural_network import MLPClassifier, MLPRegressor

from sklearn_meta import MetaLearner
from sklearn_meta.algorithms import Prototypes
from sklearn_meta.tasks import TaskBatch

every_case = pytest.mark.parametrize("case", ["binary", "softmax"])
every_setting = pytest.mark.parametrize("exchangeable", [False, True])
every_width = pytest.mark.parametrize("hidden", [(), (6,)])
SIZES = 6, 1, 12


def draw(case, hidden=(6,), exchangeable=False, sizes=SIZES):
    """A network, parameters, support and query."""
    network = make_network(case, hidden, n_features=3, exchangeable=exchangeable)
    rng = np.random.RandomState(0)
    support, query = ragged_batch(rng, network, sizes), ragged_batch(rng, network, [4, 7, 2])
    return network, make_params(Prototypes(init_kappa=1.7), network), support, query


def features(network, params, X):
    return network.hidden(network.layers(params.vector), X[None])[-1][0]


def codes(y):
    """Class numbers of rows (n, outputs)."""
    return (y[:, 0] if y.shape[1] == 1 else y.argmax(axis=1)).astype(int)


def plain_prototypes(network, params, task):
    """Class by class and row by row, (classes, p)."""
    F, labels = features(network, params, task.X[0]), codes(task.y[0])
    prototypes = []
    for k in range(max(2, network.n_outputs)):
        total, weight = np.zeros(F.shape[1]), 0.0
        if not network.exchangeable_outputs:
            weight = float(np.exp(params["log_kappa"]))
            total = weight * params["prototypes"][k]
        for f, label, w in zip(F, labels, task.weight[0], strict=True):
            if label == k:
                total, weight = total + w * f, weight + w
        prototypes.append(total / weight if weight else total)
    return np.array(prototypes)


def probabilities(network, layers, X):
    """Of all classes, for rows (n, d) of one task."""
    z = network.outputs(layers, X[None])[0]
    return softmax(z, axis=1) if network.n_outputs > 1 else np.hstack([expit(-z), expit(z)])


@every_case
@every_setting
@every_width
def test_logits_are_minus_squared_distances_to_class_means(case, exchangeable, hidden):
    network, params, support, query = draw(case, hidden, exchangeable)
    adapted = Prototypes().learn(network, params, support)
    for i, task in enumerate(tasks_of(support)):
        F = features(network, params, query.X[i])
        distances = cdist(F, plain_prototypes(network, params, task), "sqeuclidean")
        found = probabilities(network, adapted.task(i).layers, query.X[i])
        np.testing.assert_allclose(found, softmax(-distances, axis=1), rtol=1e-9)


@every_case
@every_width
def test_own_classes_are_those_of_scikit_learns_nearest_centroid(case, hidden):
    network, params, support, _ = draw(case, hidden, exchangeable=True, sizes=(15, 20, 30))
    support = support._replace(weight=(support.weight > 0).astype(float))
    adapted = Prototypes().learn(network, params, support)
    X = np.random.RandomState(1).standard_normal((50, 3))
    for i, task in enumerate(tasks_of(support)):
        plain = NearestCentroid().fit(features(network, params, task.X[0]), codes(task.y[0]))
        found = probabilities(network, adapted.task(i).layers, X).argmax(axis=1)
        np.testing.assert_array_equal(found, plain.predict(features(network, params, X)))


@every_case
@every_setting
def test_loss_is_that_of_the_adapted_network_on_the_query(case, exchangeable):
    network, params, support, query = draw(case, exchangeable=exchangeable)
    loss, _ = Prototypes().meta_gradient(network, params, support, query)
    adapted = Prototypes().learn(network, params, support)
    losses = []
    for i, rows in enumerate(tasks_of(query)):
        z = network.outputs(adapted.task(i).layers, rows.X)[0]
        losses.append(plain_loss(network.loss_name, z, rows.y[0], rows.weight[0]))
    np.testing.assert_allclose(loss, np.mean(losses), rtol=1e-12)


@every_case
def test_the_prior_is_the_learned_prototypes(case):
    network, params, _, query = draw(case)
    layers = Prototypes().prior(network, params).task(0).layers
    F = features(network, params, query.X[0])
    distances = cdist(F, params["prototypes"], "sqeuclidean")
    found = probabilities(network, layers, query.X[0])
    np.testing.assert_allclose(found, softmax(-distances, axis=1), rtol=1e-10)


@every_case
def test_where_classes_are_a_tasks_own_the_prior_is_uniform(case):
    network, params, support, _ = draw(case, exchangeable=True)
    assert list(params.layout.shapes) == list(network.layout.shapes)
    nothing = TaskBatch(support.X[:, :0], support.y[:, :0], support.weight[:, :0])
    for weights in (
        Prototypes().prior(network, params),
        Prototypes().learn(network, params, nothing),
    ):
        found = probabilities(network, weights.task(0).layers, support.X[0])
        np.testing.assert_array_equal(found, np.full_like(found, 1 / found.shape[1]))


@every_case
def test_a_class_that_the_support_lacks_keeps_its_learned_prototype(case):
    network, params, support, query = draw(case)
    is_last = codes(support.y.reshape(-1, network.n_outputs)) == max(2, network.n_outputs) - 1
    weight = support.weight * ~is_last.reshape(support.weight.shape)
    adapted = Prototypes().learn(network, params, support._replace(weight=weight))
    prior = Prototypes().prior(network, params).task(0).layers[-1]
    if case == "softmax":
        for i in range(3):
            np.testing.assert_array_equal(adapted.task(i).layers[-1][0][:, 2], prior[0][:, 2])
            np.testing.assert_array_equal(adapted.task(i).layers[-1][1][2], prior[1][2])
    first = params["prototypes"][-1]
    for i, task in enumerate(tasks_of(support._replace(weight=weight))):
        np.testing.assert_allclose(plain_prototypes(network, params, task)[-1], first, rtol=1e-12)
        F = features(network, params, query.X[i])
        distances = cdist(F, plain_prototypes(network, params, task), "sqeuclidean")
        found = probabilities(network, adapted.task(i).layers, query.X[i])
        np.testing.assert_allclose(found, softmax(-distances, axis=1), rtol=1e-9)


def test_a_class_that_a_task_does_not_have_never_wins():
    network = make_network("softmax", (6,), exchangeable=True)
    rng = np.random.RandomState(0)
    support = ragged_batch(rng, network, [6, 5, 7], n_classes=[2, 3, 2])
    params = make_params(Prototypes(), network)
    layers = Prototypes().learn(network, params, support).layers
    z = network.outputs(layers, 100 * rng.standard_normal((3, 50, 2)), support.logit_mask)
    assert z[[0, 2]].argmax(axis=-1).max() == 1


def test_many_rows_outweigh_the_learned_prototypes():
    network, params, *_ = draw("softmax")
    support = ragged_batch(np.random.RandomState(0), network, [30_000])
    (task,) = tasks_of(support)
    F, labels = features(network, params, task.X[0]), codes(task.y[0])
    means = [
        np.average(F[labels == k], axis=0, weights=task.weight[0][labels == k]) for k in (0, 1)
    ]
    weights, _ = Prototypes().learn(network, params, support).task(0).layers[-1]
    np.testing.assert_allclose(weights[:, :2].T / 2, means, atol=1e-3)


def test_where_training_starts():
    network = make_network("softmax")
    params = Prototypes(init_kappa=7.0).init_params(network, np.random.RandomState(0), np.float64)
    np.testing.assert_allclose(np.exp(params["log_kappa"]), 7.0)


def test_kappa_is_positive(multiclass):
    with pytest.raises(ValueError, match="'init_kappa' parameter of Prototypes"):
        multiclass.meta(Prototypes(init_kappa=0)).fit(multiclass.tasks)


@pytest.mark.parametrize("loss", ["squared_error", "poisson"])
def test_it_only_classifies(loss):
    match = rf"Prototypes.*loss='{loss}'.*a classifier.*BayesianHead or RidgeHead"
    X, y, groups = np.ones((8, 2)), np.arange(8), np.arange(8) // 2
    meta = MetaLearner(MLPRegressor(loss=loss), "prototypes")
    before = dict(vars(meta))
    for method in (meta.fit, meta.partial_fit):
        with pytest.raises(ValueError, match=match):
            method(X, y, groups)
    assert vars(meta) == before


def clusters(rng, n_tasks):
    """Tasks with three classes of their own, told apart by 2 of 12 columns only."""
    tasks = []
    for _ in range(n_tasks):
        y = np.tile(np.arange(3), 8)
        X = 2 * rng.standard_normal((24, 12))
        X[:, :2] = 2 * rng.standard_normal((3, 2))[y] + 0.3 * rng.standard_normal((24, 2))
        tasks.append((X, y))
    return tasks


def test_it_learns_a_space_in_which_the_nearest_mean_is_right():
    rng = np.random.RandomState(0)
    meta = MetaLearner(
        MLPClassifier(hidden_layer_sizes=(32,)),
        Prototypes(),
        shared_labels=False,
        max_iter=300,
        random_state=0,
    ).fit(clusters(rng, 100))
    learned, raw = [], []
    for X, y in clusters(rng, 50):
        learned.append(meta.adapt(X[:6], y[:6]).score(X[6:], y[6:]))
        raw.append(NearestCentroid().fit(X[:6], y[:6]).score(X[6:], y[6:]))
    assert np.mean(learned) > np.mean(raw) + 0.2
