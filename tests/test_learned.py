from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from helpers import CASES, draw_targets, make_network, make_params

from sklearn_meta import TaskCollection, _learned
from sklearn_meta._learned import UNKNOWN, Asked, Learned
from sklearn_meta.algorithms import ALGORITHMS, BayesianHead
from sklearn_meta.encoding import Encoded
from sklearn_meta.network import MLP
from sklearn_meta.tasks import TaskBatch
from sklearn_meta.tasks._batch import TaskArrays

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


def make_learned(name, network, dtype=float):
    algorithm = ALGORITHMS[name]()
    encoder = SimpleNamespace(network=network, dtype=np.dtype(dtype))  # all that is asked of it
    return Learned(encoder, algorithm, make_params(algorithm, network, dtype=dtype), network)


def learn(name, network, arrays, ids=IDS, classes=None, n_jobs=None):
    learned = make_learned(name, network)
    if classes is None and arrays.n_classes is not None:
        classes = [np.arange(n) for n in arrays.n_classes]
    return learned, learned.learn(Encoded(ids, arrays, classes), n_jobs)


def plain_outputs(learned, arrays, X, place):
    """One row at a time, its task adapted alone."""
    z, network = [], learned.network
    for x, i in zip(X, place, strict=True):
        task = one_task(arrays, i)
        adapted = learned.algorithm.learn(network, learned.params, task)
        z.append(adapted.outputs(network, x[None, None], task.logit_mask)[0, 0])
    return np.array(z)


@every_algorithm
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("n_jobs", [None, 2])
def test_outputs_are_a_loop_over_rows(name, case, n_jobs):
    network = make_network(case)
    arrays = make_arrays(network)
    learned, tasks = learn(name, network, arrays, n_jobs=n_jobs)
    rng = np.random.RandomState(1)
    X, place = rng.standard_normal((20, 2)), rng.randint(4, size=20)
    expected = plain_outputs(learned, arrays, X, place)
    np.testing.assert_allclose(
        learned.outputs(Asked(X, place, tasks)), expected, rtol=1e-9, atol=1e-11
    )


@every_algorithm
def test_outputs_of_tasks_with_classes_of_their_own(name):
    network = MLP([2, 4, 4], "tanh", "log_loss", True)
    arrays = make_arrays(network, n_classes=[2, 4, 2, 3])
    learned, tasks = learn(name, network, arrays)
    X, place = np.random.RandomState(1).standard_normal((5, 2)), np.array([3, 0, 1, 0, 2])
    z = learned.outputs(Asked(X, place, tasks))
    expected = plain_outputs(learned, arrays, X, place)
    there = np.arange(4) < arrays.n_classes[place, None]
    np.testing.assert_allclose(z[there], expected[there], rtol=1e-9)
    assert np.all(z[~there] < -1e300)


def test_many_rows_of_few_of_the_tasks():
    network = make_network("squared_error")
    arrays = make_arrays(network)
    learned, tasks = learn("bayesian_head", network, arrays)
    X, place = np.random.RandomState(1).standard_normal((7, 2)), np.array([3, 3, 1, 3, 1, 1, 3])
    expected = plain_outputs(learned, arrays, X, place)
    np.testing.assert_allclose(learned.outputs(Asked(X, place, tasks)), expected, rtol=1e-10)


@every_algorithm
def test_tasks_learned_in_several_chunks(name):
    """Rows and features enough that not all fit into one padded batch; threads change no bit."""
    network = make_network("squared_error", (2,), n_features=4000)
    sizes = [2, 600, 1, 570, 300]
    arrays = make_arrays(network, sizes)
    assert len(list(arrays.chunks(4000))) > 1
    learned, tasks = learn(name, network, arrays, np.arange(5))
    order = np.random.RandomState(1).permutation(len(arrays.X))
    place = np.repeat(np.arange(5), sizes)
    z = np.empty_like(arrays.y)
    asked = Asked(arrays.X[order], place[order], tasks)
    z[order] = learned.outputs(asked)
    for n_jobs in (2, 4):
        again = learned.learn(Encoded(np.arange(5), arrays, None), n_jobs)
        np.testing.assert_array_equal(learned.outputs(asked._replace(tasks=again)), z[order])
    for i in range(5):
        task = one_task(arrays, i)
        adapted = learned.algorithm.learn(network, learned.params, task)
        expected = adapted.outputs(network, task.X)[0]
        np.testing.assert_allclose(z[place == i], expected, rtol=1e-9, atol=1e-11)


@every_algorithm
@pytest.mark.parametrize("max_cells", [1, 16, 60])
def test_many_rows_of_a_task_are_cut(name, max_cells, monkeypatch):
    """Of known tasks and of one that is not, as if each row were predicted by itself."""
    network = make_network("squared_error")
    learned, tasks = learn(name, network, make_arrays(network))
    rng = np.random.RandomState(1)
    X, place = rng.standard_normal((70, 2)), rng.choice([UNKNOWN, 1, 1, 2], size=70)
    expected = learned.outputs(Asked(X, place, tasks))
    bayesian = isinstance(learned.algorithm, BayesianHead)
    expected_std = learned.std(Asked(X, place, tasks)) if bayesian else None
    longest = []
    plain = MLP.outputs
    monkeypatch.setattr(
        MLP,
        "outputs",
        lambda self, W, X, *mask: longest.append(X.shape) or plain(self, W, X, *mask),
    )
    monkeypatch.setattr(_learned, "MAX_CELLS", max_cells)
    np.testing.assert_allclose(learned.outputs(Asked(X, place, tasks)), expected, rtol=1e-11)
    assert max([n_rows for _, n_rows, _ in longest], default=0) <= max(1, max_cells // 4)
    if bayesian:
        np.testing.assert_allclose(learned.std(Asked(X, place, tasks)), expected_std, rtol=1e-11)


def test_more_rows_than_an_algorithm_can_learn_from(monkeypatch):
    network = make_network("squared_error")
    arrays, learned = make_arrays(network), make_learned("deep_kernel_gp", network)
    monkeypatch.setattr(type(learned.algorithm), "most_rows", 8)
    message = (
        r"^adaptation of task 'b' has 9 rows, of which DeepKernelGP\(\) makes a matrix of 9 x 9 "
        r"numbers, 0\.0 GiB; it takes 8 rows at most: pass fewer rows of the task$"
    )
    with pytest.raises(ValueError, match=message):
        learned.learn(Encoded(IDS, arrays, None))
    weight = np.ones(len(arrays.X))
    weight[5] = 0  # a row that does not count
    tasks = learned.learn(Encoded(IDS, replace(arrays, weight=weight), None))
    assert len(tasks) == 4
    assert [ALGORITHMS[name].most_rows for name in ("deep_kernel_gp", "maml")] == [8, None]


@pytest.mark.parametrize("case", CASES)
def test_std_is_a_loop_over_rows(case):
    network = make_network(case)
    arrays = make_arrays(network)
    learned, tasks = learn("bayesian_head", network, arrays)
    rng = np.random.RandomState(1)
    X, place = rng.standard_normal((9, 2)), rng.randint(4, size=9)
    expected = [
        learned.algorithm.learn(network, learned.params, one_task(arrays, i)).std(
            network, x[None, None]
        )[0, 0]
        for x, i in zip(X, place, strict=True)
    ]
    std = learned.std(Asked(X, place, tasks))
    np.testing.assert_allclose(std, expected, rtol=1e-10)


@pytest.mark.parametrize("n_outputs", [1, 3])
@pytest.mark.parametrize(
    "labels", [np.arange(12), np.array([*"abcdefghijkl"]), np.array([*range(11), "x"], object)]
)
def test_decoding_classes_of_each_tasks_own_is_a_loop_over_rows(n_outputs, labels):
    rng, k = np.random.RandomState(0), max(2, n_outputs)
    classes = [labels[i : i + k] for i in range(0, 12, k)]
    z, place = rng.standard_normal((20, n_outputs)), rng.randint(len(classes), size=20)
    encoder = SimpleNamespace(is_classifier=True, shared_labels=False, targets=None)
    found = Learned(encoder, None, None, None).decode(z, place, classes)
    codes = [int(row[0] > 0) if n_outputs == 1 else int(np.argmax(row)) for row in z]
    assert found.tolist() == [classes[p][code] for p, code in zip(place, codes, strict=True)]
    assert found.dtype == labels.dtype


def test_find():
    network = make_network("squared_error")
    _, tasks = learn("joint", network, make_arrays(network))
    assert len(tasks) == 4
    found = tasks.find(np.array(["a", "none", "q", "a"]))
    np.testing.assert_array_equal(found, [3, UNKNOWN, 0, 3])


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
    learned, tasks = learn(name, network, first)
    later = learn(name, network, second, np.array(ids))[1]
    merged = tasks.merge(later)
    assert merged.ids.tolist() == expected
    X = np.random.RandomState(1).standard_normal((len(expected), 2))
    z = learned.outputs(Asked(X, merged.find(np.array(expected)), merged))
    for i, task in enumerate(expected):
        source, ids_there = (second, ids) if task in ids else (first, IDS.tolist())
        plain = plain_outputs(learned, source, X[[i]], [ids_there.index(task)])
        np.testing.assert_allclose(z[[i]], plain, rtol=1e-9, atol=1e-11)
    if isinstance(learned.algorithm, BayesianHead):
        alone = learned.std(Asked(X[:1], np.array([1]), later))
        both = learned.std(Asked(X[:1], merged.find(np.array([ids[1]])), merged))
        np.testing.assert_allclose(both, alone, rtol=1e-12)
    assert tasks.ids.tolist() == IDS.tolist()


def test_merging_all_anew():
    network = make_network("squared_error")
    learned, tasks = learn("bayesian_head", network, make_arrays(network))
    later = learn("bayesian_head", network, make_arrays(network, seed=5))[1]
    merged = tasks.merge(later)
    X, place = np.random.RandomState(1).standard_normal((4, 2)), np.arange(4)
    assert merged.ids.tolist() == later.ids.tolist()
    np.testing.assert_array_equal(
        learned.outputs(Asked(X, place, merged)), learned.outputs(Asked(X, place, later))
    )


def test_merging_keeps_the_classes_of_each_task():
    network = MLP([2, 4, 3], "tanh", "log_loss", True)
    pairs, triple = [np.array(["x", "y"])] * 2, [np.array(["p", "q", "r"])]
    first = learn(
        "maml", network, make_arrays(network, [3, 4], n_classes=[2, 2]), np.array([1, 2]), pairs
    )[1]
    learned, later = learn(
        "maml", network, make_arrays(network, [5], n_classes=[3]), np.array([1]), triple
    )
    merged = first.merge(later)
    assert merged.ids.tolist() == [2, 1]
    assert [classes.tolist() for classes in merged.classes] == [["x", "y"], ["p", "q", "r"]]
    z = learned.outputs(Asked(np.zeros((2, 2)), np.array([0, 1]), merged))
    np.testing.assert_array_equal(z < -1e300, [[False, False, True], [False, False, False]])


def test_ids_of_another_kind_stay_what_they_were():
    network = make_network("squared_error")
    arrays = make_arrays(network, [2, 2])
    numbers = learn("joint", network, arrays, np.array([1, 2]))[1]
    names = learn("joint", network, arrays, np.array(["1", "b"]))[1]
    merged = numbers.merge(names)
    assert merged.ids.tolist() == [1, 2, "1", "b"]
    found = merged.find(np.array(["1", 1, "2", 2], object))
    np.testing.assert_array_equal(found, [2, 0, -1, 1])


@every_algorithm
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtype_is_kept(name, dtype):
    network = make_network("squared_error")
    arrays, learned = make_arrays(network), make_learned(name, network, dtype)
    arrays = TaskArrays(arrays.X.astype(dtype), arrays.y.astype(dtype), arrays.offsets)
    tasks = learned.learn(Encoded(IDS, arrays, None))
    X = np.zeros((3, 2), dtype)
    assert learned.outputs(Asked(X, np.array([0, 2, 1]), tasks)).dtype == dtype
    assert learned.outputs(Asked(X, np.full(3, UNKNOWN), None)).dtype == dtype


def test_outputs_of_an_unknown_task_are_those_of_the_network():
    network = make_network("two_outputs")
    learned = make_learned("joint", network)
    X = np.random.RandomState(1).standard_normal((5, 2))
    (W0, b0), (W1, b1), (W2, b2) = network.layers(learned.params.vector)
    expected = np.tanh(np.tanh(X @ W0 + b0) @ W1 + b1) @ W2 + b2
    z = learned.outputs(Asked(X, np.full(5, UNKNOWN), None))
    np.testing.assert_allclose(z, expected, rtol=1e-13)


@every_algorithm
def test_rows_of_known_and_unknown_tasks_together(name):
    network = make_network("squared_error")
    learned, tasks = learn(name, network, make_arrays(network))
    X, place = np.random.RandomState(1).standard_normal((6, 2)), np.array([2, -1, 0, -1, -1, 3])
    together = learned.outputs(Asked(X, place, tasks))
    for known in (True, False):
        rows = (place != UNKNOWN) == known
        alone = learned.outputs(Asked(X[rows], place[rows], tasks if known else None))
        np.testing.assert_allclose(together[rows], alone, rtol=1e-12)


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_tasks_that_diverge_are_learned_at_a_lower_rate_and_named(regression, n_jobs):
    """The training tasks are tame, two new ones' targets are far out of their range."""
    X, y = regression.new
    meta = regression.meta("maml", n_jobs=n_jobs).fit(regression.tasks)
    names = np.repeat(["tame", "wild", "wilder"], len(X))
    rows, targets = np.tile(X, (3, 1)), np.concatenate([y, y * 1e3, y * 1e6])
    match = (
        r"adaptation of \['wild(er)?', 'wild(er)?'\] diverged: 2 task\(s\) were learned at a lower "
        r"inner rate, down to [\d.e-]+ times what it is. Lower the inner_lr of MAML\(\), or scale"
    )
    with pytest.warns(UserWarning, match=match):
        meta.fit_adapt(rows, targets, names)
    for name, size in (("wild", 1e3), ("wilder", 1e6)):
        found = meta.predict(X, [name] * len(X))
        prior = meta.estimator_.predict(X)
        assert np.mean((found - y * size) ** 2) < np.mean((prior - y * size) ** 2)
    with pytest.warns(UserWarning, match="adaptation diverged: 1 task"):
        meta.fit_adapt(X, y * 1e3)
    with pytest.warns(UserWarning, match=r"adaptation of \['wild'\] diverged"):
        meta.score(TaskCollection.from_arrays(X, y * 1e6, ["wild"] * len(X)))
