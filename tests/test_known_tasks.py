import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sklearn_meta import _known_tasks
from sklearn_meta._known_tasks import UNKNOWN, KnownTasks
from sklearn_meta.network import TaskWeights

few_examples = settings(deadline=None, derandomize=True, max_examples=80, database=None)
ids = st.one_of(st.integers(0, 12), st.sampled_from([*"01234abc"]))
calls = st.lists(st.lists(ids, min_size=1, max_size=7, unique=True), min_size=1, max_size=25)


def learned(names, values, classes=None):
    """Tasks each of which is a number, learned from twice as many rows."""
    array = np.empty(len(names), object)
    array[:] = names
    if len({type(name) for name in names}) == 1:
        array = np.array(names)
    n_rows = 2 * np.array(values, int)
    return KnownTasks.of(array, TaskWeights(layers(values)), classes, n_rows)


def layers(values):
    return [(np.zeros((1, 1)), np.array(values, float)[:, None])]


def values_at(tasks, places):
    """The numbers of the tasks at these places."""
    found = np.full(len(places), np.nan)
    for batch, which, numbers in tasks.by_part(np.asarray(places)):
        found[which] = batch.adapted.take(numbers).layers[0][1][:, 0]
    return found.tolist()


def check_same(tasks, expected):
    """The tasks are those of a dict of id to (value, classes), in its order."""
    names = list(expected)
    assert len(tasks) == len(names)
    assert tasks.ids.tolist() == names
    assert list(map(type, tasks.ids.tolist())) == list(map(type, names))
    asked = np.empty(len(names) + 1, object)
    asked[:] = [*names[::-1], "none"]
    place = tasks.find(asked)
    assert place.tolist() == [*reversed(range(len(names))), UNKNOWN]
    values = [expected[name][0] for name in names[::-1]]
    assert values_at(tasks, place[:-1]) == values
    # each has two classes; of an unknown one there is no row
    assert tasks.n_shots(np.repeat(place, 2)).tolist() == np.repeat([*values, 0], 2).tolist()
    assert [own.tolist() for own in tasks.classes] == [own for _, own in expected.values()]


@few_examples
@given(calls, st.lists(st.booleans(), min_size=25, max_size=25))
def test_it_is_an_ordered_dict(calls, pickled):
    tasks, expected, value = None, {}, 0
    for names, through_pickle in zip(calls, pickled, strict=False):
        values = list(range(value, value + len(names)))
        classes = [[v, v + 0.5] for v in values]
        later = learned(names, values, list(map(np.array, classes)))
        tasks = later if tasks is None else tasks.merge(later)
        for name, number, own in zip(names, values, classes, strict=True):
            expected.pop(name, None)  # what is learned again goes to the end
            expected[name] = float(number), own
        value += len(names)
        if through_pickle:
            tasks = pickle.loads(pickle.dumps(tasks))
        check_same(tasks, expected)


def one_by_one(n, start=0):
    tasks = learned([start], [start])
    for i in range(start + 1, start + n):
        tasks = tasks.merge(learned([i], [i]))
    return tasks


def test_parts_are_few_and_each_task_is_copied_few_times(monkeypatch):
    copied = []
    join = TaskWeights.concatenate.__func__

    def counting(cls, parts):
        joined = join(cls, parts)
        copied.append(len(joined.layers[0][1]))
        return joined

    monkeypatch.setattr(TaskWeights, "concatenate", classmethod(counting))
    tasks = one_by_one(1000)
    assert len(tasks.parts) <= 10
    assert sum(copied) <= 1000 * 10
    assert values_at(tasks, range(1000)) == list(range(1000))


def test_learning_the_same_tasks_again_and_again_keeps_no_more_than_twice_of_them():
    tasks = learned(list(range(50)), list(range(50)))
    for i in range(500):
        tasks = tasks.merge(learned([i % 50], [1000 + i]))
        assert sum(len(part.batch.ids) for part in tasks.parts) <= 101
    assert tasks.ids.tolist() == list(range(50))
    assert values_at(tasks, range(50)) == list(range(1450, 1500))


def test_copies_that_go_on_differently_do_not_see_each_others_tasks():
    first = one_by_one(5)
    left, right = first.merge(learned([7], [70])), copy.copy(first).merge(learned([7, 0], [71, 1]))
    deep = copy.deepcopy(first).merge(learned([1], [100]))
    assert first.ids.tolist() == [0, 1, 2, 3, 4]
    assert left.ids.tolist() == [0, 1, 2, 3, 4, 7]
    assert right.ids.tolist() == [1, 2, 3, 4, 7, 0]
    assert deep.ids.tolist() == [0, 2, 3, 4, 1]
    assert values_at(first, range(5)) == [0, 1, 2, 3, 4]
    assert values_at(left, left.find(np.array([7, 0]))) == [70, 0]
    assert values_at(right, right.find(np.array([7, 0]))) == [71, 1]


def test_threads_that_merge_and_find_at_once():
    first = one_by_one(300)

    def go_on(seed):
        tasks = first
        for i in range(50):
            tasks = tasks.merge(learned([1000 + seed, i], [seed, -i]))
        place = tasks.find(np.array([1000 + seed, 49, 299]))
        return len(tasks), values_at(tasks, place)

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(go_on, range(8)))
    assert found == [(301, [seed, -49, 299]) for seed in range(8)]


def test_a_pickle_holds_nothing_of_what_was_learned_again():
    tasks = one_by_one(64).merge(learned([5, 9], [1, 2]))
    assert len(tasks.parts) > 1
    pickled = pickle.dumps(tasks)
    again = pickle.loads(pickled)
    ((batch, _, _),) = again.by_part(np.arange(64))
    assert len(batch.ids) == len(batch.adapted.layers[0][1]) == 64
    assert again.ids.tolist() == tasks.ids.tolist()
    assert tasks.classes is None
    tasks.find(np.array([3]))
    assert len(pickle.dumps(tasks)) == len(pickled)  # working memory is left out


class OtherWeights(TaskWeights):
    """Tasks of another kind, which cannot be put behind those of the first."""


def test_tasks_of_two_kinds():
    tasks = one_by_one(6)
    for i in range(6, 12):
        kind = OtherWeights if i < 9 else TaskWeights
        tasks = tasks.merge(KnownTasks.of(np.array([i]), kind(layers([i])), None, np.array([i])))
    tasks = tasks.merge(learned([7, 2], [70, 20]))
    for known in (tasks, pickle.loads(pickle.dumps(tasks))):
        expected = [0, 1, 3, 4, 5, 6, 8, 9, 10, 11, 7, 2]
        assert known.ids.tolist() == expected
        assert values_at(known, range(12)) == [*expected[:-2], 70, 20]


@pytest.mark.parametrize("unit", ["s", "ns", "D"])
def test_dates(unit):
    days = np.array(["2024-01-01", "2024-01-02", "2024-01-03"], "datetime64[D]")
    tasks = KnownTasks.of(days[:2], TaskWeights(layers([0, 1])))
    tasks = tasks.merge(KnownTasks.of(days[1:].astype(f"M8[{unit}]"), TaskWeights(layers([2, 3]))))
    assert tasks.ids.dtype.kind == "M"
    assert tasks.find(days.astype("M8[us]")).tolist() == [0, 1, 2]
    assert values_at(tasks, range(3)) == [0, 2, 3]


def test_dates_beside_numbers():
    days = np.array(["2024-01-01", "2024-01-02"], "datetime64[D]")
    tasks = one_by_one(3).merge(
        KnownTasks.of(days, TaskWeights(layers([5, 6])), None, np.array([5, 6]))
    )
    tasks = tasks.merge(learned([2, 7], [20, 70]))
    for known in (tasks, pickle.loads(pickle.dumps(tasks))):
        assert known.ids.tolist() == [0, 1, *days, 2, 7]
        assert known.find(days.astype("M8[ns]")).tolist() == [2, 3]
        assert known.find(np.array([7, 1, 5])).tolist() == [5, 1, UNKNOWN]


def test_more_rows_than_are_looked_up_at_once(monkeypatch):
    tasks, rows = one_by_one(9), np.random.RandomState(0).randint(12, size=100)
    monkeypatch.setattr(_known_tasks, "MANY_ROWS", 7)
    assert tasks.find(rows).tolist() == np.where(rows < 9, rows, UNKNOWN).tolist()


def own_classes(n_tasks, seed=0):
    rng = np.random.RandomState(seed)
    return [np.sort(rng.permutation(3 * n_tasks)[: rng.randint(2, 5)]) for _ in range(n_tasks)]


def plain_columns(tasks, values, place):
    """One probability at a time."""
    columns = tasks.all_classes.tolist()
    wide = np.zeros((len(values), len(columns)))
    for row, number in enumerate(place):
        for output, name in enumerate(tasks.classes[number]):
            wide[row, columns.index(name)] = values[row, output]
    return wide


@pytest.mark.parametrize("n_tasks", [1, 2, 9])
def test_columns_of_classes_of_each_tasks_own(n_tasks):
    tasks = learned(list(range(n_tasks)), [0] * n_tasks, own_classes(n_tasks))
    tasks = tasks.merge(learned([0], [1], [np.array([-5, 2, 40])]))
    rng = np.random.RandomState(1)
    values, place = rng.uniform(size=(30, 4)), rng.randint(n_tasks, size=30)
    assert tasks.all_classes.tolist() == sorted({c for own in tasks.classes for c in own.tolist()})
    expected = plain_columns(tasks, values, place)
    np.testing.assert_array_equal(tasks.in_columns(values, place), expected)


def test_a_table_that_is_too_large_says_how_large_and_what_to_do(monkeypatch):
    tasks = learned([0, 1], [0, 0], [np.arange(4), np.arange(4, 8)])
    values, place = np.full((10, 4), 0.25), np.zeros(10, int)
    monkeypatch.setattr(_known_tasks, "MAX_TABLE", 8 * 10 * 8)
    assert tasks.in_columns(values, place).shape == (10, 8)
    with pytest.raises(
        ValueError, match=r"of 11 rows for all tasks' 8 classes would take 0\.0 GiB"
    ):
        tasks.in_columns(np.full((11, 4), 0.25), np.zeros(11, int))
    monkeypatch.undo()
    with pytest.raises(ValueError, match=r"400\.0 GiB, more than 1: predict fewer rows at once"):
        _known_tasks._check_table(2**20, 51200, 8)


def test_shots_are_rows_or_rows_a_class():
    place = np.array([1, UNKNOWN, 0, 1])
    assert learned("ab", [3, 4]).n_shots(place).tolist() == [8, 0, 6, 8]
    classes = [np.arange(2), np.arange(5)]
    assert learned("ab", [3, 4], classes).n_shots(place).tolist() == [1, 0, 3, 1]
