import warnings

import numpy as np
import pytest
import sklearn
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    cross_val_predict,
    cross_val_score,
    cross_validate,
)

from sklearn_meta.model_selection import KShotGroupKFold


@settings(deadline=None)
@given(
    st.lists(st.integers(5, 12), min_size=3, max_size=9),
    st.integers(2, 3),
    st.integers(0, 4),
    st.integers(1, 2),
    st.sampled_from(["random", "first"]),
    st.integers(0, 99),
)
def test_each_task_is_held_out_once_and_shows_as_many_rows(
    sizes, n_splits, n_shots, n_repeats, order, seed
):
    rng = np.random.default_rng(seed)
    groups = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    X = np.zeros((len(groups), 1))
    cv = KShotGroupKFold(
        n_splits, n_shots=n_shots, n_repeats=n_repeats, support_order=order, random_state=seed
    )
    splits = list(cv.split(X, groups=groups))
    assert len(splits) == cv.get_n_splits() == n_splits * n_repeats
    for repeat in range(n_repeats):
        held_out = []
        for train, test in splits[repeat * n_splits :][:n_splits]:
            tasks = np.unique(groups[test])
            held_out.extend(tasks)
            np.testing.assert_array_equal(np.sort(np.r_[train, test]), np.arange(len(groups)))
            for task in range(len(sizes)):
                rows = np.flatnonzero(groups == task)
                shown = np.intersect1d(rows, train)
                assert len(shown) == (n_shots if task in tasks else sizes[task])
                if task in tasks and order == "first":
                    np.testing.assert_array_equal(shown, rows[:n_shots])
        assert sorted(held_out) == list(range(len(sizes)))


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 4), st.integers(0, 99))
def test_of_each_class_as_many_rows_or_all_there_are(n_shots, seed):
    rng = np.random.default_rng(seed)
    groups, y = np.repeat(np.arange(4), 15), rng.choice(["a", "b", "c"], 60, p=[0.6, 0.3, 0.1])
    cv = KShotGroupKFold(2, n_shots=n_shots, random_state=seed)
    for train, test in cv.split(np.zeros((60, 1)), y, groups):
        for task in np.unique(groups[test]):
            of_task = groups == task
            for name in np.unique(y[of_task]):
                there, shown = (y[of_task] == name).sum(), (y[train][of_task[train]] == name).sum()
                assert shown == min(n_shots, there)


def test_no_rows_is_group_k_fold_and_classes_do_not_matter_then():
    groups, X = np.repeat(np.arange(6), 5), np.zeros((30, 1))
    tests = [
        set(groups[test]) for _, test in KShotGroupKFold(3, n_shots=0).split(X, X[:, 0], groups)
    ]
    assert len(tests) == len(list(GroupKFold(3).split(X, groups=groups)))
    assert set.union(*tests) == set(range(6))
    assert all(len(some) == 2 for some in tests)


def test_counts_are_no_classes_if_it_is_said():
    groups, counts = np.repeat(np.arange(4), 10), np.tile(np.arange(10), 4)
    cv = KShotGroupKFold(2, n_shots=3, stratify=False, random_state=0)
    for train, test in cv.split(np.zeros((40, 1)), counts, groups):
        assert len(train) == 20 + 2 * 3
        assert len(test) == 14


def test_the_same_seed_gives_the_same_splits():
    groups, X = np.repeat(np.arange(6), 5), np.zeros((30, 1))
    cv = KShotGroupKFold(3, n_shots=2, random_state=1)
    for first, second in zip(cv.split(X, groups=groups), cv.split(X, groups=groups), strict=True):
        np.testing.assert_array_equal(first[0], second[0])
        np.testing.assert_array_equal(first[1], second[1])


@pytest.fixture
def rows():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(12), 8)
    X = np.column_stack([rng.normal(size=96), np.eye(12)[groups]])  # the task, one column each
    return X, X[:, 0] + 3 * groups + 0.1 * rng.normal(size=96), groups


def test_scikit_learn_takes_it(rows):
    X, y, groups = rows
    scores = [
        cross_val_score(
            LinearRegression(),
            X,
            y,
            groups=groups,
            cv=KShotGroupKFold(4, n_shots=k, random_state=0),
        ).mean()
        for k in (0, 1, 4)
    ]
    assert scores[0] < 0.5 < 0.9 < scores[1] <= scores[2]  # the task's level is seen from one row
    cv = KShotGroupKFold(3, n_shots=2, n_repeats=2, random_state=0)
    assert len(cross_validate(LinearRegression(), X, y, groups=groups, cv=cv)["test_score"]) == 6
    forest = RandomForestRegressor(n_estimators=5, random_state=0)
    search = GridSearchCV(forest, {"max_depth": [2, 8]}, cv=cv).fit(X, y, groups=groups)
    assert search.n_splits_ == 6


def test_groups_reach_it_by_routing(rows):
    X, y, groups = rows
    cv = KShotGroupKFold(3, n_shots=2, random_state=0)
    expected = cross_val_score(LinearRegression(), X, y, groups=groups, cv=cv)
    with sklearn.config_context(enable_metadata_routing=True):
        routed = cross_val_score(LinearRegression(), X, y, params={"groups": groups}, cv=cv)
    np.testing.assert_array_equal(routed, expected)


def test_no_block_is_in_the_training_and_the_test_rows(rows):
    X, y, groups = rows
    blocks = np.random.RandomState(0).randint(4, size=len(X))
    cv, found = KShotGroupKFold(3, n_shots=1, random_state=0), []
    for train, test in cv.split(X, y, groups, blocks):
        shown, asked = (set(zip(groups[r], blocks[r], strict=True)) for r in (train, test))
        assert not shown & asked
        found.append(test)
    assert len(np.concatenate(found))
    with sklearn.config_context(enable_metadata_routing=True):
        params = {"groups": groups, "blocks": blocks}
        routed = cross_val_score(LinearRegression(), X, y, params=params, cv=cv)
    splits = list(cv.split(X, y, groups, blocks))
    np.testing.assert_array_equal(routed, cross_val_score(LinearRegression(), X, y, cv=splits))


def test_cross_val_predict_takes_only_partitions(rows):
    X, y, groups = rows
    cv = KShotGroupKFold(3, n_shots=2, random_state=0)
    with pytest.raises(ValueError, match="partitions"):
        cross_val_predict(LinearRegression(), X, y, groups=groups, cv=cv)
    whole = KShotGroupKFold(3, n_shots=0, random_state=0)
    assert len(cross_val_predict(LinearRegression(), X, y, groups=groups, cv=whole)) == len(y)


def test_small_tasks_are_counted_and_keep_a_row_to_test():
    groups = np.repeat(np.arange(4), [2, 9, 9, 3])
    cv = KShotGroupKFold(2, n_shots=3, random_state=0)
    with pytest.warns(UserWarning, match="2 of 4 tasks have no more than n_shots=3 rows"):
        splits = list(cv.split(np.zeros((23, 1)), groups=groups))
    tested = np.concatenate([test for _, test in splits])
    np.testing.assert_array_equal(np.bincount(groups[tested]), [1, 6, 6, 1])


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"n_shots": -1}, "n_shots"),
        ({"n_shots": 1.5}, "n_shots"),
        ({"n_shots": 1, "n_splits": 1}, "n_splits"),
        ({"n_shots": 1, "n_repeats": 0}, "n_repeats"),
        ({"n_shots": 1, "support_order": "last"}, "support_order"),
        ({"n_shots": 1, "stratify": "yes"}, "stratify"),
        ({"n_shots": 1, "random_state": "zero"}, "random_state"),
    ],
)
def test_wrong_parameters_are_named(options, match):
    with pytest.raises(ValueError, match=match):
        KShotGroupKFold(**options)


@pytest.mark.parametrize(
    ("y", "groups", "options", "match"),
    [
        (None, None, {}, "groups must name the task of each row"),
        (None, [1, 2], {}, "groups has 2 entries"),
        ([1, 2], [0, 0, 1, 1, 2, 2], {}, "y has 2 entries"),
        (None, [0] * 6, {}, "n_splits=2 needs as many tasks, found 1"),
        (None, [0, 0, 1, 1, 2, None], {}, "groups has no task id"),
        (None, [0, 0, 1, 1, 2, 2], {"stratify": True}, "stratify=True needs the classes"),
    ],
)
def test_wrong_rows_are_named(y, groups, options, match):
    cv = KShotGroupKFold(2, n_shots=1, **options)
    with pytest.raises(ValueError, match=match):
        next(cv.split(np.zeros((6, 1)), y, groups))


def test_its_repr_names_its_parameters():
    assert "n_shots=3" in repr(KShotGroupKFold(n_shots=3))


def test_classifiers_see_every_class_there_is(rows):
    X, _y, groups = rows
    cv = KShotGroupKFold(3, n_shots=2, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the logistic regression, which is short
        scores = cross_val_score(
            LogisticRegression(max_iter=200), X, X[:, 0] > 0, groups=groups, cv=cv
        )
    assert np.all(scores > 0.8)


def test_classes_in_one_column_are_as_flat_ones():
    y, groups = np.tile([0, 1], 12), np.repeat(np.arange(4), 6)
    cv = KShotGroupKFold(2, n_shots=1, random_state=0)
    for flat, column in zip(cv.split(y, y, groups), cv.split(y, y[:, None], groups), strict=True):
        np.testing.assert_array_equal(flat[0], column[0])


def test_a_search_with_blocks():
    """Routing hands blocks to `get_n_splits`, too."""
    with sklearn.config_context(enable_metadata_routing=True):
        cv = KShotGroupKFold(3, n_shots=1)
        X, groups, blocks = np.zeros((24, 1)), np.repeat(np.arange(6), 4), np.tile([0, 0, 1, 1], 6)
        search = GridSearchCV(LinearRegression(), {"fit_intercept": [True]}, cv=cv)
        search.fit(X, X[:, 0], groups=groups, blocks=blocks)
    assert cv.get_n_splits(X, groups=groups, blocks=blocks) == 3
