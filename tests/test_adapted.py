import numpy as np
import pytest
from helpers import CASES, draw_targets, make_network, make_params

from sklearn_meta._adapted import AdaptedTasks, prior_outputs
from sklearn_meta.algorithms import ALGORITHMS, BayesianHead, Joint
from sklearn_meta.network import MLP
from sklearn_meta.tasks import TaskArrays, TaskBatch

every_algorithm = pytest.mark.parametrize("name", ALGORITHMS)
SIZES = [3, 9, 1, 4]
IDS = np.array(["q", "b", "z", "a"])


def make_arrays(network, sizes=SIZES, n_classes=None, seed=0):
    rng = np.random.RandomState(seed)
    n = sum(sizes)
    X = rng.standard_normal((n, network.layer_units[0]))
    y = draw_targets(rng, network.loss_name, (n,), network.n_outputs)
    if n_classes is not None:
        labels = rng.randint(10**6, size=n) % np.repeat(n_classes, sizes)
        y, n_classes = np.eye(network.n_outputs)[labels], np.array(n_classes)
    return TaskArrays(X, y, np.concatenate([[0], np.cumsum(sizes)]), n_classes=n_classes)


def one_task(arrays, i):
    """A task's rows as a batch without padding."""
    rows = slice(arrays.offsets[i], arrays.offsets[i + 1])
    mask = None
    if arrays.n_classes is not None:
        absent = np.arange(arrays.y.shape[1]) >= arrays.n_classes[i]
        mask = np.where(absent, -1e300, 0.0)[None, None]
    return TaskBatch(
        arrays.X[rows][None], arrays.y[rows][None], np.ones((1, arrays.sizes[i])), mask
    )


def learn(name, network, arrays, ids=IDS, classes=None, n_jobs=None):
    algorithm = ALGORITHMS[name]()
    params = make_params(algorithm, network)
    adapted = AdaptedTasks.learn(algorithm, network, params, ids, arrays, classes, n_jobs)
    return algorithm, params, adapted


def plain_outputs(algorithm, network, params, arrays, X, place):
    """One row at a time, its task adapted alone."""
    z = []
    for x, i in zip(X, place, strict=True):
        task = one_task(arrays, i)
        adapted = algorithm.adapt(network, params, task)
        z.append(adapted.outputs(network, x[None, None], task.logit_mask)[0, 0])
    return np.array(z)


@every_algorithm
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("n_jobs", [None, 2])
def test_outputs_are_a_loop_over_rows(name, case, n_jobs):
    network = make_network(case)
    arrays = make_arrays(network)
    algorithm, params, adapted = learn(name, network, arrays, n_jobs=n_jobs)
    rng = np.random.RandomState(1)
    X, place = rng.standard_normal((20, 2)), rng.randint(4, size=20)
    expected = plain_outputs(algorithm, network, params, arrays, X, place)
    np.testing.assert_allclose(adapted.outputs(network, X, place), expected, rtol=1e-9, atol=1e-11)


@every_algorithm
def test_outputs_of_tasks_with_classes_of_their_own(name):
    network = MLP([2, 4, 4], "tanh", "log_loss", True)
    arrays = make_arrays(network, n_classes=[2, 4, 2, 3])
    algorithm, params, adapted = learn(name, network, arrays)
    X, place = np.random.RandomState(1).standard_normal((5, 2)), np.array([3, 0, 1, 0, 2])
    z = adapted.outputs(network, X, place)
    expected = plain_outputs(algorithm, network, params, arrays, X, place)
    there = np.arange(4) < arrays.n_classes[place, None]
    np.testing.assert_allclose(z[there], expected[there], rtol=1e-9)
    assert np.all(z[~there] < -1e300)


def test_many_rows_of_few_of_the_tasks():
    network = make_network("squared_error")
    arrays = make_arrays(network)
    algorithm, params, adapted = learn("bayesian_head", network, arrays)
    X, place = np.random.RandomState(1).standard_normal((7, 2)), np.array([3, 3, 1, 3, 1, 1, 3])
    expected = plain_outputs(algorithm, network, params, arrays, X, place)
    np.testing.assert_allclose(adapted.outputs(network, X, place), expected, rtol=1e-10)


@every_algorithm
def test_tasks_learned_in_several_chunks(name):
    """Rows and features enough that not all tasks fit into one padded batch."""
    network = make_network("squared_error", (2,), n_features=4000)
    sizes = [2, 600, 1, 570, 300]
    arrays = make_arrays(network, sizes)
    assert len(list(arrays.chunks(4000))) > 1
    algorithm, params, adapted = learn(name, network, arrays, np.arange(5))
    order = np.random.RandomState(1).permutation(len(arrays.X))
    place = np.repeat(np.arange(5), sizes)
    z = np.empty_like(arrays.y)
    z[order] = adapted.outputs(network, arrays.X[order], place[order])
    for i in range(5):
        task = one_task(arrays, i)
        expected = algorithm.adapt(network, params, task).outputs(network, task.X)[0]
        np.testing.assert_allclose(z[place == i], expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("case", CASES)
def test_spread_is_a_loop_over_rows(case):
    network = make_network(case)
    arrays = make_arrays(network)
    algorithm, params, adapted = learn("bayesian_head", network, arrays)
    rng = np.random.RandomState(1)
    X, place = rng.standard_normal((9, 2)), rng.randint(4, size=9)
    expected = [
        algorithm.predict_std(network, params, one_task(arrays, i), x[None, None])[0, 0]
        for x, i in zip(X, place, strict=True)
    ]
    std = adapted.spread(algorithm, network, params, X, place)
    np.testing.assert_allclose(std, expected, rtol=1e-10)


def test_find():
    network = make_network("squared_error")
    _, _, adapted = learn("joint", network, make_arrays(network))
    assert len(adapted) == 4
    found = adapted.find(np.array(["a", "none", "q", "a"]))
    np.testing.assert_array_equal(found, [3, -1, 0, 3])


@every_algorithm
@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        (["b", "new", "a"], ["q", "z", "b", "new", "a"]),
        (["u", "v", "w"], ["q", "b", "z", "a", "u", "v", "w"]),
    ],
)
def test_merging_replaces_tasks_of_the_same_id(name, ids, expected):
    network = make_network("squared_error")
    first, second = make_arrays(network), make_arrays(network, [2, 5, 1], seed=3)
    algorithm, params, adapted = learn(name, network, first)
    later = learn(name, network, second, np.array(ids))[2]
    merged = adapted.merge(later)
    assert merged.ids.tolist() == expected
    X = np.random.RandomState(1).standard_normal((len(expected), 2))
    z = merged.outputs(network, X, merged.find(np.array(expected)))
    for i, task in enumerate(expected):
        source, ids_there = (second, ids) if task in ids else (first, IDS.tolist())
        plain = plain_outputs(algorithm, network, params, source, X[[i]], [ids_there.index(task)])
        np.testing.assert_allclose(z[[i]], plain, rtol=1e-9, atol=1e-11)
    if isinstance(algorithm, BayesianHead):
        alone = later.spread(algorithm, network, params, X[:1], np.array([1]))
        both = merged.spread(algorithm, network, params, X[:1], merged.find(np.array([ids[1]])))
        np.testing.assert_allclose(both, alone, rtol=1e-12)
    assert adapted.ids.tolist() == IDS.tolist()


def test_merging_all_anew():
    network = make_network("squared_error")
    adapted = learn("bayesian_head", network, make_arrays(network))[2]
    later = learn("bayesian_head", network, make_arrays(network, seed=5))[2]
    merged = adapted.merge(later)
    X, place = np.random.RandomState(1).standard_normal((4, 2)), np.arange(4)
    assert merged.ids.tolist() == later.ids.tolist()
    np.testing.assert_array_equal(
        merged.outputs(network, X, place), later.outputs(network, X, place)
    )


def test_merging_keeps_the_classes_of_each_task():
    network = MLP([2, 4, 3], "tanh", "log_loss", True)
    pairs, triple = [np.array(["x", "y"])] * 2, [np.array(["p", "q", "r"])]
    first = learn(
        "maml", network, make_arrays(network, [3, 4], n_classes=[2, 2]), np.array([1, 2]), pairs
    )[2]
    later = learn("maml", network, make_arrays(network, [5], n_classes=[3]), np.array([1]), triple)[
        2
    ]
    merged = first.merge(later)
    assert merged.ids.tolist() == [2, 1]
    assert [classes.tolist() for classes in merged.classes] == [["x", "y"], ["p", "q", "r"]]
    np.testing.assert_array_equal(merged.support.n_classes, [2, 3])


def test_ids_of_another_kind_stay_what_they_were():
    network = make_network("squared_error")
    arrays = make_arrays(network, [2, 2])
    numbers = learn("joint", network, arrays, np.array([1, 2]))[2]
    names = learn("joint", network, arrays, np.array(["1", "b"]))[2]
    merged = numbers.merge(names)
    assert merged.ids.tolist() == [1, 2, "1", "b"]
    found = merged.find(np.array(["1", 1, "2", 2], object))
    np.testing.assert_array_equal(found, [2, 0, -1, 1])


@every_algorithm
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtype_is_kept(name, dtype):
    network = make_network("squared_error")
    arrays, algorithm = make_arrays(network), ALGORITHMS[name]()
    arrays = TaskArrays(arrays.X.astype(dtype), arrays.y.astype(dtype), arrays.offsets)
    params = make_params(algorithm, network, dtype=dtype)
    adapted = AdaptedTasks.learn(algorithm, network, params, IDS, arrays, None)
    X = np.zeros((3, 2), dtype)
    assert adapted.outputs(network, X, np.array([0, 2, 1])).dtype == dtype
    assert prior_outputs(algorithm, network, params, X).dtype == dtype


def test_prior_outputs_are_those_of_the_network():
    network = make_network("two_outputs")
    params = make_params(Joint(), network)
    X = np.random.RandomState(1).standard_normal((5, 2))
    (W0, b0), (W1, b1), (W2, b2) = network.layers(params.vector)
    expected = np.tanh(np.tanh(X @ W0 + b0) @ W1 + b1) @ W2 + b2
    np.testing.assert_allclose(prior_outputs(Joint(), network, params, X), expected, rtol=1e-13)
