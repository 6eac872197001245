import numpy as np
import pytest

from sklearn_meta.network import MLP, MergedMLP

SHAPES = [(3, 4, 2), (3, 4, 5, 1), (3, 2, 3, 4, 1)]
every_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)


def merged_of(shape, n_members, activation="relu", with_inputs=True):
    """A merged network with weights, and each member's hidden layers."""
    rng, member = np.random.RandomState(0), MLP(shape, activation, "squared_error")
    network = MergedMLP(member, n_members, with_inputs)
    vectors = [rng.standard_normal(member.layout.size) for _ in range(n_members)]
    layers = [member.layers(vector) for vector in vectors]
    vector = rng.standard_normal(network.layout.size)
    for number, names in enumerate(network.names[:-1]):
        for part, name in enumerate(names):
            side_by_side = np.concatenate([each[number][part] for each in layers], axis=-1)
            network.layout.view(vector, name)[...] = side_by_side
    return network, network.layers(vector), member, layers


@every_shape
@pytest.mark.parametrize("with_inputs", [True, False])
@pytest.mark.parametrize("n_members", [1, 3])
@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_features_are_those_of_the_members(shape, n_members, with_inputs, activation):
    network, merged, member, layers = merged_of(shape, n_members, activation, with_inputs)
    X = np.random.RandomState(1).standard_normal((2, 5, 3))
    expected = [member.hidden(each, X)[-1] for each in layers] + [X] * with_inputs
    features = network.hidden(merged, X)[-1]
    np.testing.assert_allclose(features, np.concatenate(expected, axis=-1), rtol=1e-12)
    assert features.shape[-1] == network.n_features
    weights, bias = merged[-1]
    np.testing.assert_allclose(network.outputs(merged, X), features @ weights + bias, rtol=1e-12)


@every_shape
@pytest.mark.parametrize("with_inputs", [True, False])
@pytest.mark.parametrize("activation", ["relu", "identity"])
def test_a_plain_network_computes_the_same(shape, activation, with_inputs):
    network, merged, _, _ = merged_of(shape, 3, activation, with_inputs)
    plain = network.as_plain(merged)
    sizes = [len(plain[0][0]), *(len(bias) for _, bias in plain)]
    X = 10 * np.random.RandomState(1).standard_normal((2, 5, 3))
    found = MLP(sizes, activation, "squared_error").outputs(plain, X)
    np.testing.assert_allclose(found, network.outputs(merged, X), rtol=1e-10)


def test_without_inputs_a_plain_network_is_there_for_any_activation():
    network, merged, _, _ = merged_of((3, 4, 5, 1), 2, "logistic", with_inputs=False)
    plain = network.as_plain(merged)
    X = np.random.RandomState(1).standard_normal((2, 5, 3))
    found = MLP((3, 8, 10, 1), "logistic", "squared_error").outputs(plain, X)
    np.testing.assert_allclose(found, network.outputs(merged, X), rtol=1e-12)


def test_no_rows_and_single_precision():
    network, merged, _, _ = merged_of((3, 4, 5, 1), 2)
    assert network.outputs(merged, np.empty((2, 0, 3))).shape == (2, 0, 1)
    single = [tuple(part.astype(np.float32) for part in layer) for layer in merged]
    assert network.outputs(single, np.ones((1, 2, 3), np.float32)).dtype == np.float32
    for weights, bias in network.as_plain(single):
        assert weights.dtype == bias.dtype == np.float32
