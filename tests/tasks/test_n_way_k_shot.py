import pickle
import re

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array
from scipy.stats import chisquare
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier

from sklearn_meta import MetaLearner
from sklearn_meta._evaluation import evaluate
from sklearn_meta.tasks import ImageJitter, NWayKShot
from sklearn_meta.tasks._batch import TaskArrays
from sklearn_meta.tasks._episodes import EpisodeSampler
from sklearn_meta.tasks._n_way_k_shot import draw_distinct

few_examples = settings(deadline=None, derandomize=True, max_examples=50, database=None)
seeds = st.integers(0, 2**31 - 1)
NAMES = np.array(["ant", "bee", "cow", "dog", "elk", "fox", "gnu", "hen"])


@st.composite
def labelled_rows(draw):
    """X is the row's own number; classes of many sizes; a shape that they can give."""
    n_way, n_shots, n_query = (draw(st.integers(low, 4)) for low in (2, 1, 1))
    n_each = n_shots + n_query
    sizes = draw(st.lists(st.integers(n_each, n_each + 9), min_size=n_way, max_size=8))
    y = NAMES[np.random.RandomState(draw(seeds)).permutation(np.repeat(range(len(sizes)), sizes))]
    return np.arange(len(y))[:, None], y, n_way, n_shots, n_query


@few_examples
@given(labelled_rows(), st.integers(1, 9), seeds)
def test_a_task_is_what_its_name_says(data, n_tasks, seed):
    X, y, n_way, n_shots, n_query = data
    tasks = NWayKShot(X, y, n_way, n_shots, n_query).sample(n_tasks, seed)
    assert tasks.task_ids.tolist() == list(range(n_tasks))
    assert not tasks.shared_labels
    np.testing.assert_array_equal(tasks.y, y[tasks.X[:, 0]])
    for i, (rows, classes) in enumerate(tasks):
        is_support = tasks.is_support[tasks.offsets[i] : tasks.offsets[i + 1]]
        assert len(set(rows[:, 0])) == len(rows)
        for chosen, n_each in ((is_support, n_shots), (~is_support, n_query)):
            found, counts = np.unique(classes[chosen], return_counts=True)
            assert len(found) == n_way
            np.testing.assert_array_equal(counts, n_each)
        assert is_support[: n_way * n_shots].all()


@few_examples
@given(st.lists(st.integers(3, 7), min_size=1, max_size=20), st.integers(0, 3), seeds)
def test_numbers_that_are_drawn_are_different_and_below_the_size(sizes, k, seed):
    sizes = np.array(sizes)
    chosen = draw_distinct(sizes, k, np.random.RandomState(seed))
    assert chosen.shape == (len(sizes), k)
    for numbers, size in zip(chosen, sizes, strict=True):
        assert len(set(numbers)) == k
        assert set(numbers) <= set(range(size))


def test_every_ordered_choice_is_equally_likely():
    """3 out of 5: 60 of them."""
    chosen = draw_distinct(np.full(60_000, 5), 3, np.random.RandomState(0))
    _, counts = np.unique(chosen @ [25, 5, 1], return_counts=True)
    assert len(counts) == 60
    assert chisquare(counts).pvalue > 0.01


def test_every_row_of_a_class_and_every_class_is_equally_likely():
    """As support and as query."""
    y = np.repeat(range(6), [4, 4, 4, 4, 4, 8])
    tasks = NWayKShot(np.arange(28)[:, None], y, n_way=3, n_query=2).sample(4000, random_state=0)
    share = 0.5 / np.bincount(y)[y] / 3  # of a row: half of the classes, one of 6 as large
    for chosen in (tasks.is_support, ~tasks.is_support):
        counts = np.bincount(tasks.X[chosen, 0], minlength=28)
        assert chisquare(counts, counts.sum() * share).pvalue > 0.01


def test_labellings_are_drawn_alike_and_a_task_keeps_to_one():
    rng = np.random.RandomState(0)
    y = np.column_stack([rng.permutation(60) % n + 100 * n for n in (3, 4, 5)])
    tasks = NWayKShot(np.arange(60)[:, None], y, n_way=2, n_query=3).sample(3000, random_state=0)
    columns = tasks.y.reshape(3000, -1) // 100 - 3
    np.testing.assert_array_equal(columns, np.repeat(columns[:, :1], 8, axis=1))
    np.testing.assert_array_equal(tasks.y, y[tasks.X[:, 0], columns.ravel()])
    assert chisquare(np.bincount(columns[:, 0])).pvalue > 0.01
    for column, n in enumerate((3, 4, 5)):
        drawn = tasks.y.reshape(3000, -1)[columns[:, 0] == column]
        counts = np.bincount(drawn.ravel() % 100)
        assert len(counts) == n
        assert counts.min() > 0.8 * counts.max()


def test_one_labelling_may_be_a_column():
    X, y = np.arange(40.0)[:, None], np.arange(40) % 4
    flat, column = (NWayKShot(X, y, 2, 1, 3).sample(5, 0) for y in (y, y[:, None]))
    np.testing.assert_array_equal(flat.X, column.X)
    np.testing.assert_array_equal(flat.y, column.y)


def test_a_seed_gives_the_same_tasks():
    X, y = np.arange(80)[:, None], np.arange(80) % 8
    tasks = NWayKShot(X, y, n_query=4)
    first, second = tasks.sample(5, 3), tasks.sample(5, np.random.RandomState(3))
    np.testing.assert_array_equal(first.X, second.X)
    random_state = np.random.RandomState(3)
    assert not np.array_equal(tasks.sample(5, random_state).X, tasks.sample(5, random_state).X)


@pytest.mark.parametrize("dtype", ["f4", "f8", "u1"])
def test_rows_keep_their_type_and_are_not_copied_as_a_whole(dtype):
    X, y = np.zeros((20, 2), dtype), np.arange(20) % 2
    tasks = NWayKShot(X, y, n_way=2, n_query=4)
    assert tasks.X is X
    assert tasks.sample(3).X.dtype == dtype


@pytest.mark.parametrize("kind", [pd.DataFrame, pl.DataFrame])
def test_a_dataframe_stays_one(kind):
    X = kind({"a": np.arange(20), "b": list("xy" * 10)})
    y = pd.Series(NAMES[np.arange(20) % 2], index=range(100, 120))
    tasks = NWayKShot(X, y, n_way=2, n_query=4).sample(3, random_state=0)
    assert isinstance(tasks.X, kind)
    np.testing.assert_array_equal(tasks.y, y.to_numpy()[np.asarray(tasks.X["a"])])


def test_small_classes_and_labellings_are_dropped():
    X, y = np.arange(30)[:, None], np.repeat([0, 1, 2, 3], [10, 4, 6, 10])
    tasks = NWayKShot(X, y, n_way=2, n_query=5, on_small="drop")
    assert "n_classes=3," in repr(tasks)
    assert set(tasks.sample(50, random_state=0).y) == {0, 2, 3}
    both = np.column_stack([np.arange(30) // 15 + 10, y, np.arange(30)])  # two classes, 3, 0
    tasks = NWayKShot(X, both, n_way=3, n_query=5, on_small="drop")
    assert set(tasks.sample(50, random_state=0).y) == {0, 2, 3}
    assert "n_classes=2..3," in repr(NWayKShot(X, both, n_way=2, n_query=5, on_small="drop"))


X40, Y40 = np.zeros((40, 2)), np.arange(40) % 8
SMALL = np.repeat(NAMES[:4], [20, 3, 15, 2])


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((X40, Y40), {"n_way": 1}, "'n_way' parameter of NWayKShot must be an int in .* Got 1"),
        ((X40, Y40), {"n_shots": 0}, "'n_shots' parameter of NWayKShot"),
        ((X40, Y40), {"n_query": 0.5}, "'n_query' parameter of NWayKShot"),
        ((X40, Y40), {"on_small": "keep"}, "'on_small' parameter of NWayKShot"),
        ((X40, Y40[:7]), {}, "y has 7 entries, expected 40, one a row of X"),
        ((X40[:, 0], Y40), {}, r"X has the shape \(40,\), expected \(rows, columns\)"),
        ((X40[:0], Y40[:0]), {}, r"y has the shape \(0,\), expected \(rows,\) or"),
        ((X40, np.zeros((40, 1, 1))), {}, r"y has the shape \(40, 1, 1\)"),
        ((X40, np.where(Y40 == 3, np.nan, Y40)), {}, "y has no class in row 3"),
        ((X40, np.array([[1, 2]] * 39 + [[1, None]])), {}, "y has no class in row 39"),
        ((X40, np.array([1, "a"] * 20, object)), {}, r"y mixes \['int', 'str'\]"),
        (
            (X40, SMALL),
            {"n_way": 2, "n_query": 4},
            r"y has classes with too few rows: 'bee' \(3\), 'dog' \(2\); expected at least n_shots "
            r"\+ n_query = 5 of each",
        ),
        ((X40, np.arange(40)), {}, r"0 \(1\), 1 \(1\), 2 \(1\), 3 \(1\), 4 \(1\) and 35 more;"),
        (
            (X40, np.column_stack([Y40 % 2, Y40])),
            {"n_way": 2},
            r"column 1 of y has classes with too few rows: 0 \(5\)",
        ),
        ((X40, Y40), {"n_way": 9, "n_query": 4}, r"y has 8 class\(es\) of .*at least n_way=9"),
        (
            (X40, SMALL),
            {"n_way": 3, "n_query": 4, "on_small": "drop"},
            r"y has 2 class\(es\) of n_shots \+ n_query = 5 rows or more, .*at least n_way=3",
        ),
        (
            (X40, np.column_stack([Y40, Y40 % 2])),
            {"n_way": 4, "n_query": 4},
            r"a column of y has 2 class\(es\)",
        ),
    ],
)
def test_what_is_wrong_is_said(arguments, options, message):
    with pytest.raises(ValueError, match=message):
        NWayKShot(*arguments, **options)


def test_a_number_of_tasks_that_will_not_do():
    with pytest.raises(ValueError, match=re.escape("'n_tasks' parameter of sample")):
        NWayKShot(X40, Y40, n_query=4).sample(0)


@pytest.mark.parametrize(("n_shots", "expected"), [(3, {3}), ("auto", {1, 2, 3}), ((1, 2), {1, 2})])
def test_episodes_keep_to_the_marks_and_number_the_classes_anew(n_shots, expected):
    tasks = NWayKShot(np.arange(80)[:, None], np.arange(80) % 8, 4, 3, 5).sample(200, 0)
    codes = np.concatenate([np.unique(y, return_inverse=True)[1] for _, y in tasks])
    arrays = TaskArrays(tasks.X, codes, tasks.offsets, 4, np.full(200, 4), tasks.is_support)
    sampler = EpisodeSampler(arrays, n_shots, None, "random")
    support, query = sampler.draw(np.arange(200), np.random.RandomState(0))
    assert query.weight.sum(axis=1).tolist() == [20] * 200
    counts = (support.y * support.weight[..., None]).sum(axis=1)  # (tasks, classes)
    assert set(counts.ravel()) == expected
    for i, (rows, _) in enumerate(tasks):
        assert set(support.X[i, support.weight[i] > 0, 0]) <= set(rows[:12, 0])
        assert set(query.X[i, :, 0]) == set(rows[12:, 0])
    # class 0, whenever it is there, is the smallest code; its number says nothing of it
    numbers = [query.y[i, query.X[i, :, 0] % 8 == 0].argmax(axis=1) for i in range(200)]
    counts = np.bincount([number[0] for number in numbers if len(number)], minlength=4)
    assert chisquare(counts).pvalue > 0.01


def drawn(tasks, n_tasks):
    """(row, column, class) of every row in many tasks of rows whose X is their number."""
    y = tasks.y.reshape(len(tasks.y), -1)
    collection = tasks.sample(n_tasks, random_state=0)
    for rows, labels in collection:
        numbers = rows[:, 0].astype(int)
        column = next(c for c in range(y.shape[1]) if np.array_equal(y[numbers, c], labels))
        yield from ((number, column, label) for number, label in zip(numbers, labels, strict=True))


def rows_and_classes(tasks, n_tasks=100):
    found = list(drawn(tasks, n_tasks))
    return {row for row, _, _ in found}, {(column, label) for _, column, label in found}


@few_examples
@given(labelled_rows(), st.floats(0.01, 0.99), seeds)
def test_two_parts_share_neither_class_nor_row(data, fraction, seed):
    X, y, n_way, n_shots, n_query = data
    n_classes = len(np.unique(y))
    parts = NWayKShot(X, y, n_way, n_shots, n_query).split(fraction, seed)
    if n_classes < n_way + 2:
        assert parts is None
        return
    (rows, classes), (held_out, held_out_classes) = map(rows_and_classes, parts)
    assert not rows & held_out
    assert not classes & held_out_classes
    n_held_out = min(max(round(fraction * n_classes), 2), n_classes - n_way)
    assert f"n_classes={n_held_out}," in repr(parts[1])
    assert f"n_classes={n_classes - n_held_out}," in repr(parts[0])
    assert len(held_out_classes) <= n_held_out
    assert parts[0].n_way == n_way
    assert parts[1].n_way == min(n_way, n_held_out)
    sizes = [int(repr(part).split("n_rows=")[1].split(",")[0]) for part in parts]
    assert sum(sizes) == len(y)


@pytest.mark.parametrize("kind", ["crossed", "nested", "one too small"])
def test_parts_of_several_labellings_share_neither_class_nor_row(kind):
    rng, number = np.random.RandomState(0), np.arange(1200)
    columns = {
        "crossed": [number % 30, rng.permutation(number) % 40],
        "nested": [number // 60, number // 20],
        "one too small": [number % 30, number % 4],
    }[kind]
    tasks = NWayKShot(number[:, None], np.column_stack(columns), n_way=3, n_query=3)
    (rows, classes), (held_out, held_out_classes) = (
        rows_and_classes(part, n_tasks=1000) for part in tasks.split(0.2, random_state=0)
    )
    assert not rows & held_out
    assert not classes & held_out_classes
    assert {column for column, _ in classes} == {0, 1}
    assert {column for column, _ in held_out_classes} == ({0} if "small" in kind else {0, 1})
    assert 0.09 < len(held_out) / 1200 < 0.3
    assert len(rows | held_out) > 0.98 * 1200


def test_labellings_that_cover_each_other_are_not_split():
    y = np.column_stack([np.random.RandomState(seed).permutation(200) % 10 for seed in range(30)])
    assert NWayKShot(np.zeros((200, 1)), y, n_way=4, n_query=3).split(0.1, 0) is None


def test_a_part_is_split_again():
    """Its parts have its own rows only."""
    tasks = NWayKShot(np.arange(400)[:, None], np.arange(400) % 40, n_way=3, n_query=3)
    outer = tasks.split(0.5, random_state=0)
    for part in outer:
        inner = part.split(0.25, random_state=1)
        classes = [rows_and_classes(each)[1] for each in inner]
        assert [len(each) for each in classes] == [15, 5]
        assert classes[0] | classes[1] == rows_and_classes(part)[1]


def test_the_classes_held_out_hang_on_the_seed_and_are_each_as_likely():
    tasks = NWayKShot(np.arange(40)[:, None], np.arange(40) % 10, n_way=2, n_query=3)
    first, second = (tasks.split(0.2, seed) for seed in (3, np.random.RandomState(3)))
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one.sample(5, 0).X, other.sample(5, 0).X)
    held_out = [np.unique(tasks.split(0.2, s)[1].sample(5, 0).y) for s in range(300)]
    counts = np.bincount(np.concatenate(held_out), minlength=10)
    assert counts.sum() == 600
    assert chisquare(counts).pvalue > 0.01


def test_parts_copy_no_rows():
    X, y = np.zeros((40, 2)), np.arange(40) % 8
    tasks = NWayKShot(X, y, n_way=2, n_query=4)
    assert all(part.X is X for part in tasks.split(0.2, random_state=0))
    assert "n_classes=8, n_rows=40," in repr(tasks)  # which is what it was


@pytest.mark.parametrize("fraction", [0, 1, -0.1, "half"])
def test_a_fraction_that_will_not_do(fraction):
    with pytest.raises(ValueError, match="'fraction' parameter of split must be a float"):
        NWayKShot(X40, Y40, n_query=4).split(fraction)


def moved(rows, random_state):
    """Rows a little aside, in place."""
    rows += random_state.uniform(0.1, 0.4, size=rows.shape)
    return rows


def numbered(**options):
    """Tasks of rows that are their own number."""
    return NWayKShot(np.arange(240.0)[:, None], np.arange(240) % 12, n_query=4, **options)


def test_the_rows_that_are_drawn_are_augmented_and_their_classes_kept():
    tasks, as_they_are = numbered(augment=moved), numbered()
    before = tasks.X.copy()
    new, old = tasks.sample(20, random_state=0), as_they_are.sample(20, random_state=0)
    np.testing.assert_array_equal(np.floor(new.X), old.X)  # the same rows are drawn
    assert 0.1 < (new.X - old.X).min() < (new.X - old.X).max() < 0.4
    np.testing.assert_array_equal(new.y, old.y)
    np.testing.assert_array_equal(new.is_support, old.is_support)
    np.testing.assert_array_equal(tasks.X, before)


def test_each_draw_is_augmented_anew_and_a_seed_gives_the_same():
    tasks, random_state = numbered(augment=moved), np.random.RandomState(5)
    first, second = (tasks.sample(50, random_state).X for _ in range(2))
    numbers = np.concatenate([first, second]).ravel()
    assert len(np.unique(numbers)) == len(numbers)  # though each row comes many times
    again = numbered(augment=moved)
    random_state = np.random.RandomState(5)
    np.testing.assert_array_equal(again.sample(50, random_state).X, first)
    np.testing.assert_array_equal(again.sample(50, random_state).X, second)
    np.testing.assert_array_equal(again.sample(50, 5).X, first)


def test_a_fit_of_augmented_tasks_is_repeated_to_the_bit():
    X, y = make_blobs(np.random.RandomState(0), 12)
    tasks = NWayKShot(X, y, n_way=3, n_query=4, augment=moved)
    mlp = MLPClassifier(hidden_layer_sizes=(8,))
    first, second = (
        MetaLearner(mlp, "prototypes", max_iter=20, random_state=0).fit(each).loss_curve_
        for each in (tasks, pickle.loads(pickle.dumps(tasks)))
    )
    assert first == second


def test_new_classes_judge_by_their_rows_as_they_are():
    """What is trained on is augmented, again after a second split; what validates is not."""
    training, validation = numbered(augment=moved).split(0.3, random_state=0)
    inner, _ = training.split(0.3, random_state=0)
    for tasks, is_augmented in ((training, True), (inner, True), (validation, False)):
        X = tasks.sample(20, random_state=0).X
        assert np.any(np.floor(X) != X) == is_augmented
        assert ("augment=" in repr(tasks)) == is_augmented
    assert validation.split(0.5, random_state=0) is None or validation.augment is None


def test_it_is_named_and_pickled():
    X = np.zeros((40, 16))
    tasks = NWayKShot(X, Y40, n_query=4, augment=ImageJitter((4, 4), angle=5))
    assert repr(tasks).endswith(
        "augment=ImageJitter(shape=(4, 4), angle=5, zoom=0.1, shift=0.07, fill='edge'))"
    )
    tasks.X[...] = np.random.RandomState(0).normal(size=X.shape)
    again = pickle.loads(pickle.dumps(tasks))
    np.testing.assert_array_equal(again.sample(5, 0).X, tasks.sample(5, 0).X)


@pytest.mark.parametrize(
    ("dtype", "made", "expected"), [("f4", "f8", "f4"), ("f8", "f4", "f8"), ("u1", "f4", "f4")]
)
def test_fractions_stay_as_exact_as_they_were(dtype, made, expected):
    X = np.ones((40, 2), dtype)
    tasks = NWayKShot(X, Y40, n_query=4, augment=lambda rows, _: (rows / 2).astype(made))
    sample = tasks.sample(3, 0)
    assert sample.X.dtype == expected
    np.testing.assert_array_equal(sample.X, 0.5)


@pytest.mark.parametrize("kind", [pd.DataFrame, pl.DataFrame])
def test_a_dataframe_is_augmented_as_one(kind):
    X = kind({"a": np.arange(40.0), "b": list("xy" * 20)})

    def halved(rows, random_state):
        if kind is pl.DataFrame:
            return rows.with_columns(pl.col("a") / 2)
        return rows.assign(a=rows["a"] / 2)

    options = {"n_way": 2, "n_query": 4}
    new, old = (NWayKShot(X, Y40, augment=f, **options).sample(3, 0).X for f in (halved, None))
    assert isinstance(new, kind)
    np.testing.assert_array_equal(np.asarray(new["a"]) * 2, np.asarray(old["a"]))
    assert list(new["b"]) == list(old["b"])


def test_what_is_missing_may_stay_so():
    X = np.where(np.arange(40)[:, None] % 3 == 0, np.nan, 1.0)
    tasks = NWayKShot(X, Y40, n_query=4, augment=moved).sample(20, 0)
    assert 0 < np.isnan(tasks.X).sum() < len(tasks.X)


def with_gap(rows, random_state):
    rows[-1, -1] = np.nan
    return rows


@pytest.mark.parametrize(
    ("X", "augment", "error", "message"),
    [
        (X40, "jitter", ValueError, "'augment' parameter of NWayKShot must be a callable or None"),
        (X40, ImageJitter, TypeError, "augment is the class ImageJitter, expected an instance"),
        (
            X40,
            lambda rows, _: rows[1:],
            ValueError,
            r"augment returned an array of numbers of the shape \(24, 2\), expected an array of "
            r"numbers of the shape \(25, 2\) as it was given",
        ),
        (X40, lambda rows, _: rows[:, :1], ValueError, r"augment returned .*\(25, 1\)"),
        (X40, lambda rows, _: rows.ravel(), ValueError, r"what augment returned has the shape"),
        (X40, lambda rows, _: None, ValueError, "what augment returned must be a sequence"),
        (X40, lambda rows, _: rows.astype(str), ValueError, "augment returned an array of <U32"),
        (X40, lambda rows, _: csr_array(rows), TypeError, "what augment returned is sparse"),
        (X40, with_gap, ValueError, "augment returned missing or infinite values where the rows"),
        (X40, lambda rows, _: rows + np.inf, ValueError, "augment returned missing or infinite"),
        (
            pd.DataFrame({"a": np.zeros(40), "b": np.zeros(40)}),
            lambda rows, _: rows.to_numpy(),
            ValueError,
            r"augment returned an array .*, expected a dataframe of 25 rows and the columns \['a'",
        ),
        (
            pd.DataFrame({"a": np.zeros(40), "b": np.zeros(40)}),
            lambda rows, _: rows.rename(columns={"b": "c"}),
            ValueError,
            r"augment returned a dataframe of 25 rows and the columns \['a', 'c'\]",
        ),
        (
            pd.DataFrame({"a": np.zeros(40), "b": ["x"] * 40}),
            lambda rows, _: rows.assign(b=None),
            ValueError,
            "augment returned missing",
        ),
        (
            pd.DataFrame(np.zeros((40, 4))),
            ImageJitter((2, 2)),
            TypeError,
            r"rows are a dataframe, ImageJitter moves arrays: use X.to_numpy\(\)",
        ),
    ],
)
def test_an_augment_that_will_not_do(X, augment, error, message):
    with pytest.raises(error, match=message):
        NWayKShot(X, Y40, n_query=4, augment=augment).sample(1, 0)


def make_blobs(rng, n_classes, n_each=16):
    """Classes that differ in 3 directions out of 12, amid as much noise in the others."""
    basis, _ = np.linalg.qr(np.random.RandomState(5).normal(size=(12, 12)))
    centres = rng.normal(size=(n_classes, 3)) * 2
    y = np.repeat(np.arange(n_classes), n_each)
    latent = np.hstack(
        [centres[y] + 0.3 * rng.normal(size=(len(y), 3)), 2 * rng.normal(size=(len(y), 9))]
    )
    return latent @ basis, y


def test_unseen_classes_are_learned_from_one_row_each():
    rng = np.random.RandomState(0)
    X, y = make_blobs(rng, 60)
    X_new, y_new = make_blobs(rng, 30)
    mlp = MLPClassifier(hidden_layer_sizes=(32,))
    meta = MetaLearner(mlp, n_query=None, max_iter=300, random_state=0).fit(NWayKShot(X, y))
    episodes = NWayKShot(X_new, y_new).sample(200, random_state=1)
    nearest = KNeighborsClassifier(1)
    baseline = np.mean([nearest.fit(X[:5], y[:5]).score(X[5:], y[5:]) for X, y in episodes])
    assert baseline < 0.5  # so crowded are the classes in what does not matter
    assert meta.score(episodes) > 0.9
    rows, classes = episodes[0]
    meta.fit_adapt(rows[:5], classes[:5])
    np.testing.assert_array_equal(meta.classes_, np.unique(classes))
    assert set(meta.predict(rows)) <= set(classes)


def test_training_stops_before_its_classes_are_learned_by_heart():
    """Classes differ in all directions: what tells twelve apart is soon worse for others."""
    rng = np.random.RandomState(0)

    def draw(n_classes):
        y = np.repeat(np.arange(n_classes), 12)
        return rng.normal(size=(n_classes, 30))[y] + rng.normal(size=(len(y), 30)), y

    def loss(tasks, **options):
        options = {"n_query": None, "meta_lr": 1e-2, "meta_batch_size": 4} | options
        mlp = MLPClassifier(hidden_layer_sizes=(64, 64))
        meta = MetaLearner(mlp, "prototypes", random_state=0, **options).fit(tasks)
        return evaluate(meta._served.learned, unseen).loss.mean()

    class Whole(NWayKShot):
        split = None

    X, y = draw(12)
    unseen = NWayKShot(*draw(40), n_way=4, n_query=5).sample(200, random_state=1)
    shape = {"n_way": 4, "n_query": 5}
    whole, stopping = Whole(X, y, **shape), {"max_iter": 300, "validation_interval": 5}
    stopped = loss(NWayKShot(X, y, **shape), **stopping)
    on_its_own_classes = loss(whole, **stopping)
    best = min(loss(whole, early_stopping=False, max_iter=n) for n in (5, 10, 20, 50))
    assert stopped < 1.2 * best
    assert on_its_own_classes > 1.5 * best


def test_augmented_rows_teach_what_does_not_matter():
    """A dozen classes of six rows each are too few to tell noise from what differs."""
    basis, _ = np.linalg.qr(np.random.RandomState(5).normal(size=(12, 12)))  # as of the blobs
    rng = np.random.RandomState(0)
    X, y = make_blobs(rng, 12, n_each=6)
    unseen = NWayKShot(*make_blobs(rng, 30), n_query=5).sample(100, random_state=1)

    def noisier(rows, random_state):
        return rows + 2 * random_state.normal(size=(len(rows), 9)) @ basis[3:]

    def accuracy(augment):
        options = {"n_query": None, "max_iter": 200, "early_stopping": False, "meta_batch_size": 4}
        meta = MetaLearner(MLPClassifier((32,)), "prototypes", random_state=0, **options)
        return meta.fit(NWayKShot(X, y, n_query=5, augment=augment)).score(unseen)

    assert accuracy(noisier) > accuracy(None) + 0.1
