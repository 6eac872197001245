import numpy as np
import pytest
from helpers import (
    CASES,
    assert_close,
    make_network,
    make_params,
    ragged_batch,
    sklearn_mlp,
    tasks_of,
)
from sklearn.neural_network import MLPRegressor

from sklearn_meta import MetaLearner
from sklearn_meta.algorithms import Joint, NeuralProcess
from sklearn_meta.datasets import Sinusoids
from sklearn_meta.network import MLP

SMALL = NeuralProcess(encoder_layer_sizes=(4, 3), representation_size=2)
every_case = pytest.mark.parametrize("case", CASES)


def draw(case, hidden=(4, 3), n_classes=None, sizes=(6, 3, 5)):
    network = make_network(case, hidden, exchangeable=n_classes is not None)
    rng = np.random.RandomState(0)
    support = ragged_batch(rng, network, sizes, n_classes if network.n_outputs > 1 else None)
    X = rng.standard_normal((len(sizes), 4, 2))
    return network, make_params(SMALL, network), support, X


def encode(network, params, rows):
    """Representations (rows, 2) of rows by scikit-learn's own MLPRegressor."""
    encoder = MLP([rows.shape[1], 4, 3, 2], network.activation, "squared_error")
    mlp = sklearn_mlp(encoder, encoder.layers(params["encoder"]))
    return mlp.predict(rows)


@every_case
@pytest.mark.parametrize("hidden", [(4, 3), ()])
def test_the_representation_is_a_further_input_of_the_network(case, hidden):
    """The paper's decoder: the network on rows (x, r), r the mean over the support."""
    network, params, support, X = draw(case, hidden)
    z = network.outputs(SMALL.learn(network, params, support).layers, X)
    (weights, bias), *others = network.layers(params.vector)
    decoder = [(np.vstack([weights, params["from_representation"]]), bias), *others]
    for i, task in enumerate(tasks_of(support)):
        rows = np.hstack([task.X[0], task.y[0]])
        r = np.average(encode(network, params, rows), axis=0, weights=task.weight[0])
        both = np.hstack([X[i], np.tile(r, (len(X[i]), 1))])
        np.testing.assert_allclose(z[i], network.outputs(decoder, both[None])[0], rtol=1e-12)


@pytest.mark.parametrize(("case", "n_classes"), [("softmax", [2, 3, 2]), ("binary", [2, 2, 2])])
@pytest.mark.parametrize("hidden", [(4, 3), ()])
def test_a_class_of_its_own_is_the_mean_of_its_rows(case, n_classes, hidden):
    network, params, support, X = draw(case, hidden, n_classes)
    z = network.outputs(SMALL.learn(network, params, support).layers, X)
    for i, task in enumerate(tasks_of(support)):
        codes = task.y[0, :, 0] if case == "binary" else task.y[0].argmax(axis=1)
        features = network.hidden(network.layers(params.vector), X[[i]])[-1][0]
        logits = []
        for code in range(n_classes[i]):
            r, rows = np.zeros(2), codes == code
            if rows.any():
                encoded = encode(network, params, task.X[0, rows])
                r = np.average(encoded, axis=0, weights=task.weight[0, rows])
            logits.append(
                np.column_stack([features, np.ones(4)]) @ (r @ params["from_representation"])
            )
        logits = np.column_stack(logits)
        if case == "binary":
            logits = logits[:, 1:] - logits[:, :1]
        np.testing.assert_allclose(z[i, :, : logits.shape[1]], logits, rtol=1e-11, atol=1e-13)


def test_naming_classes_otherwise_changes_nothing_else():
    network, params, support, X = draw("softmax", n_classes=[3, 3, 3])
    order = np.array([2, 0, 1])
    z = network.outputs(SMALL.learn(network, params, support).layers, X)
    renamed = support._replace(y=support.y[..., order])
    moved = network.outputs(SMALL.learn(network, params, renamed).layers, X)
    np.testing.assert_allclose(moved, z[..., order], rtol=1e-12)


@pytest.mark.parametrize("n_classes", [None, [3, 3, 3]])
def test_a_weight_of_two_is_a_row_given_twice(n_classes):
    network, params, support, _ = draw("softmax", n_classes=n_classes, sizes=(4, 4, 4))
    once = support._replace(weight=np.ones((3, 4)))
    twice = type(once)(*(np.concatenate([part, part[:, :1]], axis=1) for part in once[:3]), once[3])
    heavy = once._replace(weight=np.array([[2.0, 1, 1, 1]] * 3))
    by_weight, by_row = (SMALL.learn(network, params, batch) for batch in (heavy, twice))
    for layer, expected in zip(by_weight.layers, by_row.layers, strict=True):
        assert_close(layer[0], expected[0], 1e-13)
        assert_close(layer[1], expected[1], 1e-13)


def test_all_weights_are_shared_and_the_first_bias_is_not():
    network, params, support, _ = draw("squared_error")
    (first, bias), *others = SMALL.learn(network, params, support).layers
    assert first.shape == (2, 4)
    assert bias.shape == (3, 4)
    assert [(W.ndim, b.ndim) for W, b in others] == [(2, 1), (2, 1)]


@pytest.mark.parametrize("sizes", [(8, 0), (8, -1), [4.0], ("8",)])
def test_sizes_of_the_encoder_must_be_positive_integers(sizes):
    meta = MetaLearner(MLPRegressor(), NeuralProcess(encoder_layer_sizes=sizes))
    with pytest.raises(ValueError, match="encoder_layer_sizes must be positive integers, got"):
        meta.fit(Sinusoids(n_rows=10).sample(5, random_state=0))


def test_an_encoder_without_hidden_layers():
    meta = MetaLearner(MLPRegressor(), NeuralProcess(encoder_layer_sizes=()), max_iter=3)
    tasks = Sinusoids(n_rows=10).sample(5, random_state=0)
    assert np.isfinite(meta.fit(tasks).score(tasks))


def test_it_tells_sinusoids_apart_where_the_pooled_network_cannot():
    tasks = Sinusoids(n_rows=30).sample(250, random_state=0)
    mlp = MLPRegressor(hidden_layer_sizes=(40, 40))
    scores = []
    for algorithm in (NeuralProcess(), Joint(adapt_steps=10)):
        meta = MetaLearner(mlp, algorithm, max_iter=800, meta_lr=3e-3, random_state=0)
        scores.append(meta.fit(tasks[:200]).score(tasks[200:]))
    assert scores[0] > 0.6 > 0.3 > scores[1]
