import copy
import pickle
from dataclasses import replace

import numpy as np
import pytest
from helpers import CASES, make_network
from test_learned import learn, make_arrays, make_learned, plain_outputs

from sklearn_meta import _learned, _tasks_on_demand
from sklearn_meta._learned import Asked, Learned
from sklearn_meta._tasks_on_demand import TasksOnDemand, bytes_of, on_demand, own_bytes
from sklearn_meta.algorithms import ALGORITHMS, AdaptedTasks, PredictsStd
from sklearn_meta.encoding import Encoded
from sklearn_meta.network import MLP, TaskWeights
from sklearn_meta.tasks._batch import TaskArrays

every_algorithm = pytest.mark.parametrize("name", ALGORITHMS)
SIZES = [3, 9, 1, 4, 6, 2]


def both(name, network, weighted=False, n_classes=None, seed=0):
    """The same tasks of a network, on demand and learned all at once."""
    arrays, learned = make_arrays(network, SIZES, n_classes, seed), make_learned(name, network)
    if weighted:
        weight = np.random.RandomState(seed).uniform(0.5, 2, len(arrays.X))
        arrays = replace(arrays, weight=weight)
    batch = arrays.full_batch(np.arange(len(arrays)))
    adapted = learned.learn_batch(batch, np.arange(len(arrays)), [])
    return on_demand(learned, arrays, adapted), adapted, batch.logit_mask


def query(network, n_tasks=6):
    return np.random.RandomState(7).standard_normal((n_tasks, 5, network.layer_units[0]))


def some_of(mask, tasks):
    return None if mask is None else mask[tasks]


def check_same(tasks, adapted, network, mask, order=slice(None)):
    X = query(network)[order]
    expected = adapted.outputs(network, X, some_of(mask, order))
    found = tasks.outputs(network, X, some_of(mask, order))
    np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-10)
    assert isinstance(tasks, PredictsStd) == isinstance(adapted, PredictsStd)
    if isinstance(adapted, PredictsStd) and network.loss.quadratic:
        expected = adapted.std(network, X, some_of(mask, order))
        found = tasks.std(network, X, some_of(mask, order))
        np.testing.assert_allclose(found, expected, rtol=1e-8)


@pytest.fixture
def small_chunks(monkeypatch):
    """Two or three tasks at a time."""
    plain = TaskArrays.chunks
    monkeypatch.setattr(TaskArrays, "chunks", lambda self, *args: plain(self, 1, 4, 12))


@every_algorithm
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_they_are_what_is_learned_at_once(name, case, weighted, small_chunks):
    network = make_network(case)
    tasks, adapted, _ = both(name, network, weighted)
    assert isinstance(tasks, AdaptedTasks)
    assert len(list(tasks._learn())) > 1
    check_same(tasks, adapted, network, None)
    order = np.array([4, 0, 0, 2])
    check_same(tasks.take(order), adapted.take(order), network, None, order)
    assert tasks.finite(6).tolist() == [True] * 6


@every_algorithm
@pytest.mark.parametrize("n_classes", [[2, 4, 2, 3, 3, 2], [2, 3, 2, 3, 3, 2]])
def test_classes_of_each_tasks_own(name, n_classes, small_chunks):
    network = MLP([2, 4, 4], "tanh", "log_loss", True)
    tasks, adapted, mask = both(name, network, n_classes=n_classes)
    check_same(tasks, adapted, network, mask)
    order = np.array([3, 1])
    check_same(tasks.take(order), adapted.take(order), network, mask, order)


@every_algorithm
@pytest.mark.parametrize("ready", [False, True])
def test_one_of_them_is_of_the_learned_kind(name, ready):
    network = make_network("binary")
    tasks, adapted, _ = both(name, network)
    tasks = replace(tasks, ready=adapted if ready else None)
    for i in (0, 3):
        one = tasks.task(i)
        assert type(one) is type(adapted.task(i))
        X = query(network, 1)
        expected = adapted.task(i).outputs(network, X)
        np.testing.assert_allclose(one.outputs(network, X), expected, rtol=1e-9, atol=1e-11)


@every_algorithm
@pytest.mark.parametrize("weighted", [False, True])
def test_concatenate(name, weighted):
    """Of those that have row weights, and those that have none."""
    network = make_network("binary")
    parts = [both(name, network, False), both(name, network, weighted, seed=3)]
    joined = type(parts[0][0]).concatenate([tasks for tasks, _, _ in parts])
    X = query(network, 12)
    expected = [adapted.outputs(network, X[6 * i :][:6]) for i, (_, adapted, _) in enumerate(parts)]
    found = joined.outputs(network, X)
    np.testing.assert_allclose(found, np.concatenate(expected), rtol=1e-8, atol=1e-10)


def test_what_is_learned_is_dropped_once_it_takes_too_much(monkeypatch):
    network = make_network("squared_error")
    tasks, adapted, _ = both("maml", network)
    ready = replace(tasks, ready=adapted)
    assert TasksOnDemand.concatenate([ready, tasks]).ready is None
    joined = TasksOnDemand.concatenate([ready, ready])
    np.testing.assert_array_equal(
        joined.ready.outputs(network, query(network, 12)),
        np.concatenate([adapted.outputs(network, query(network, 12)[i : i + 6]) for i in (0, 6)]),
    )
    monkeypatch.setattr(_tasks_on_demand, "MAX_BYTES", 6 * 8 * network.layout.size)
    assert TasksOnDemand.concatenate([ready, ready]).ready is None


def test_bytes_of_a_tasks_own():
    """What all tasks share counts for nothing."""
    body, head = np.zeros((200, 100)), np.zeros((7, 100, 5))
    weights = TaskWeights([(body, np.zeros(100)), (head, np.zeros((7, 5)))])
    assert own_bytes(weights, 7) == pytest.approx(7 * 8 * 505, rel=0.01)
    assert bytes_of(lambda: None) == 0  # it cannot be pickled


@pytest.fixture
def small_budget(monkeypatch):
    """So that rows are kept wherever they take less."""
    monkeypatch.setattr(_learned, "MAX_BYTES", 0)
    monkeypatch.setattr(_learned, "FAR_LESS", 0)


NETWORK = {"hidden": (2,), "n_features": 4000}  # tasks so large that few fit into a batch


def large_weights(name):
    network = make_network("squared_error", **NETWORK)
    arrays = make_arrays(network, [2, 600, 1, 570, 300])
    return network, arrays, *learn(name, network, arrays, np.arange(5))


def numbers(meta, X, groups):
    return (meta.predict_proba if hasattr(meta, "classes_") else meta.predict)(X, groups)


def test_a_meta_learner_serves_them_as_it_serves_others(problem, algorithm, monkeypatch):
    """With weights, by id, alone, exported, and from a pickle."""
    meta = problem.meta(algorithm, adapt_training_tasks=False).fit(problem.tasks)
    X, y, groups = problem.rows
    weight = np.random.RandomState(0).randint(0, 4, len(y)) + 0.5
    expected = numbers(copy.copy(meta).fit_adapt(X, y, groups, weight), X, groups)
    plain = TaskArrays.task_blocks
    monkeypatch.setattr(TaskArrays, "task_blocks", lambda self, *args: plain(self, 1, 1, 40))
    monkeypatch.setattr(Learned, "_can_keep", lambda *args: False)
    meta.fit_adapt(X, y, groups, weight)
    for served in (meta, pickle.loads(pickle.dumps(meta))):
        (part,) = served._served.known.parts
        assert isinstance(part.batch.adapted, TasksOnDemand)
        assert part.batch.adapted.ready is None
        np.testing.assert_allclose(numbers(served, X, groups), expected, rtol=1e-6, atol=1e-9)
    rows = groups == "t03"
    alone = meta.adapt(X[rows], y[rows], weight[rows])
    exported = meta._served.learned.export(meta._served.known, 3)
    assert type(exported) is type(alone)
    if hasattr(alone, "classes_"):
        np.testing.assert_array_equal(exported.classes_, alone.classes_)
        np.testing.assert_array_equal(exported.predict(X), alone.predict(X))
    else:
        np.testing.assert_allclose(exported.predict(X), alone.predict(X), rtol=1e-8)


@pytest.mark.parametrize("name", ["maml", "reptile", "implicit_maml"])
def test_learn_keeps_rows_where_weights_take_more(name, small_budget):
    network = MLP([1, 400, 400, 1], "tanh", "squared_error")
    sizes = np.arange(12) % 4 + 1
    arrays = make_arrays(network, sizes)
    assert len(list(arrays.task_blocks(*network.cells))) > 1
    slow = ALGORITHMS[name](inner_lr=1e-4)  # so wide a network diverges at other rates
    learned = replace(make_learned(name, network), algorithm=slow)
    tasks = learned.learn(Encoded(np.arange(12), arrays, None))
    (part,) = tasks.parts
    assert type(part.batch.adapted) is TasksOnDemand
    assert part.batch.adapted.ready is None
    assert len(pickle.dumps(part.batch.adapted.rows)) < 3000
    rng = np.random.RandomState(1)
    X, place = rng.standard_normal((30, 1)), rng.randint(12, size=30)
    expected = plain_outputs(learned, arrays, X, place)
    for known in (tasks, pickle.loads(pickle.dumps(tasks))):
        found = learned.outputs(Asked(X, place, known))
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-11)
    with pytest.raises(ValueError, match="return_std=True needs a Bayesian algorithm"):
        learned.std(Asked(X, place, tasks))


def test_learn_keeps_what_is_learned_where_rows_take_more(small_budget):
    _, _, _, tasks = large_weights("bayesian_head")
    assert type(tasks.parts[0].batch.adapted).__name__ == "BayesianTasks"


def test_tasks_one_after_the_other_keep_no_weights_beyond_the_budget(monkeypatch):
    """Merged parts that take too much keep the rows that were kept beside what was learned."""
    network = MLP([2, 30, 30, 1], "tanh", "squared_error")
    budget = 10 * 8 * network.layout.size
    monkeypatch.setattr(_tasks_on_demand, "MAX_BYTES", budget)
    arrays, learned = make_arrays(network, [3] * 60), make_learned("maml", network)
    tasks = None
    for i in range(60):
        later = learned.learn(Encoded(np.array([i]), arrays.take([i]), None))
        tasks = later if tasks is None else tasks.merge(later)
    assert len(pickle.dumps(tasks)) < 3 * budget
    X, place = np.random.RandomState(1).standard_normal((60, 2)), np.arange(60)
    expected = plain_outputs(learned, arrays, X, place)
    found = learned.outputs(Asked(X, place, tasks))
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-11)


def test_a_task_without_an_id_keeps_no_rows():
    network = MLP([2, 30, 30, 1], "tanh", "squared_error")
    arrays, learned = make_arrays(network, [3]), make_learned("maml", network)
    named = learned.learn(Encoded(np.array([1]), arrays, None))
    nameless = learned.learn(Encoded(np.array([None]), arrays, None))
    assert type(named.parts[0].batch.adapted) is TasksOnDemand
    assert type(nameless.parts[0].batch.adapted) is TaskWeights


def test_the_task_that_diverges_is_named_and_nothing_kept(small_budget):
    network = MLP([1, 400, 400, 1], "tanh", "squared_error")
    arrays = make_arrays(network, [2] * 12)
    arrays.y[arrays.offsets[9]] = np.inf
    with pytest.raises(ValueError, match="adaptation of task 'j' diverged"):
        learn("maml", network, arrays, np.array([*"abcdefghijkl"]))


def test_many_rows_of_a_task_learn_it_once(monkeypatch):
    network = make_network("squared_error")
    tasks, adapted, _ = both("maml", network)
    learned = tasks.learned
    known = _learned.KnownTasks.of(np.arange(6), tasks)
    calls = []
    plain = type(learned).learn_batch

    def counting(self, support, ids, slowed):
        calls.append(len(ids))
        return plain(self, support, ids, slowed)

    monkeypatch.setattr(type(learned), "learn_batch", counting)
    monkeypatch.setattr(_learned, "MAX_CELLS", 4 * 7)  # 7 rows at a time
    X = np.random.RandomState(1).standard_normal((50, 2))
    found = learned.outputs(Asked(X, np.full(50, 4), known))
    assert calls == [1]
    expected = adapted.take([4]).outputs(network, X[None])[0]
    np.testing.assert_allclose(found, expected, rtol=1e-9)
