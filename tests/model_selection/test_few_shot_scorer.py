import pickle

import numpy as np
import pytest
import sklearn
from conftest import make_problem
from sklearn.base import clone
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.linear_model import Ridge
from sklearn.metrics import accuracy_score, get_scorer, r2_score
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score, cross_validate
from sklearn.pipeline import make_pipeline

from sklearn_meta import TaskCollection
from sklearn_meta.model_selection import few_shot_scorer


def first_rows(kind, k):
    """A fitted meta-learner, unseen tasks, and (y, predicted) of each by a plain loop."""
    problem = make_problem(kind)
    meta, unseen = problem.meta().fit(problem.tasks[:8]), problem.tasks[8:]
    pairs = [(y[k:], meta.adapt(X[:k], y[:k]).predict(X[k:])) for X, y in unseen]
    return meta, unseen, pairs


@pytest.mark.parametrize("k", [0, 1, 5])
def test_r2_is_of_the_rows_of_all_tasks(k):
    meta, unseen, pairs = first_rows("regression", k)
    scorer = few_shot_scorer("r2", n_shots=k, support_order="first")
    y, predicted = (np.concatenate(values) for values in zip(*pairs, strict=True))
    np.testing.assert_allclose(scorer(meta, unseen), r2_score(y, predicted), rtol=1e-5)
    default = few_shot_scorer(n_shots=k, support_order="first")
    assert default(meta, unseen) == scorer(meta, unseen)


@pytest.mark.parametrize("scoring", ["accuracy", get_scorer("accuracy"), None])
def test_other_scores_are_the_mean_over_tasks(scoring):
    meta, unseen, pairs = first_rows("multiclass", 3)
    scorer = few_shot_scorer(scoring, n_shots=3, support_order="first")
    expected = np.mean([accuracy_score(*pair) for pair in pairs])
    np.testing.assert_allclose(scorer(meta, unseen), expected)


def test_the_fitted_model_stays_as_it_is(regression):
    meta = regression.meta().fit(regression.tasks[:8])
    before = pickle.dumps(meta)
    few_shot_scorer("r2", n_shots=3)(meta, regression.tasks[8:])
    assert pickle.dumps(meta) == before


def test_random_rows_are_the_same_at_every_call(regression):
    meta = regression.meta().fit(regression.tasks[:8])
    first, again = (few_shot_scorer("r2", n_shots=3)(meta, regression.tasks[8:]) for _ in "ab")
    other = few_shot_scorer("r2", n_shots=3, random_state=1)(meta, regression.tasks[8:])
    assert first == again != other


def test_a_search_finds_what_learns_best(regression):
    grid = {"n_shots": [1, 5], "meta_lr": [1e-9, 1e-2]}
    scoring = few_shot_scorer("r2", n_shots=5, n_repeats=2)
    search = GridSearchCV(regression.meta(max_iter=100), grid, scoring=scoring, cv=3, n_jobs=2)
    assert search.fit(regression.tasks).best_params_["meta_lr"] == 1e-2
    fitted = clone(search.best_estimator_).fit(regression.tasks.take(np.arange(4, 12)))
    expected = scoring(fitted, regression.tasks[:4])
    key = f"split{0}_test_score"
    found = search.cv_results_[key][search.best_index_]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_several_go_into_a_dict_with_routing_and_without(regression):
    scoring = {f"{k} rows": few_shot_scorer("r2", n_shots=k) for k in (0, 5)}
    options = {"scoring": scoring, "cv": KFold(3)}
    off = cross_validate(regression.meta(), regression.tasks, **options)
    with sklearn.config_context(enable_metadata_routing=True):
        on = cross_validate(regression.meta(), regression.tasks, **options)
    for k in (0, 5):
        np.testing.assert_array_equal(off[f"test_{k} rows"], on[f"test_{k} rows"])
    search = GridSearchCV(regression.meta(), {"meta_lr": [1e-3]}, refit="5 rows", **options)
    assert hasattr(search.fit(regression.tasks), "best_estimator_")


def test_of_what_ends_in_a_meta_learner(regression):
    scoring = few_shot_scorer("r2", n_shots=3)
    alone = cross_val_score(regression.meta(), regression.tasks, scoring=scoring, cv=3)
    piped = make_pipeline(regression.meta())
    found = cross_val_score(piped, regression.tasks, scoring=scoring, cv=3)
    np.testing.assert_allclose(found, alone, rtol=1e-4)


def test_tasks_with_classes_of_their_own(own_labels):
    meta = own_labels.meta("prototypes").fit(own_labels.tasks[:8])
    assert 0.3 < few_shot_scorer("accuracy", n_shots=1)(meta, own_labels.tasks[8:]) <= 1


def test_it_pickles_and_names_its_arguments():
    scorer = few_shot_scorer("r2", n_shots=3)
    assert pickle.loads(pickle.dumps(scorer)) == scorer
    assert "n_shots=3" in repr(scorer)


def test_rows_are_no_tasks(regression):
    X, y, groups = regression.rows
    meta = regression.meta().fit(X, y, groups)
    with pytest.raises(ValueError, match=r"scores task collections, got rows.*KShotGroupKFold"):
        few_shot_scorer("r2", n_shots=3)(meta, X, y)


def test_what_cannot_adapt_is_named(regression):
    X, y, _ = regression.rows
    with pytest.raises(ValueError, match=r"scores what has fit_adapt, got Ridge\(\)"):
        few_shot_scorer("r2", n_shots=3)(Ridge().fit(X, y), regression.tasks)


def test_tasks_that_are_all_too_small_are_named(regression):
    meta = regression.meta().fit(regression.tasks)
    with pytest.raises(ValueError, match="no task has more than n_shots=99 rows"):
        few_shot_scorer("r2", n_shots=99)(meta, regression.tasks)


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        ({"n_shots": -1}, "n_shots"),
        ({"n_shots": (0, 5)}, "n_shots"),
        ({"scoring": "best"}, "best"),
        ({"scoring": ["r2", "accuracy"]}, "scoring must be a single scorer"),
        ({"n_repeats": 0}, "n_repeats"),
        ({"stratify": "all"}, "stratify"),
    ],
)
def test_wrong_arguments_are_named(wrong, match):
    with pytest.raises((ValueError, TypeError), match=match):
        few_shot_scorer(**{"scoring": "r2", "n_shots": 1} | wrong)


def test_one_task_can_be_scored(regression):
    meta = regression.meta().fit(regression.tasks[:8])
    one = TaskCollection.from_tasks([regression.new])
    assert np.isfinite(few_shot_scorer("r2", n_shots=3)(meta, one))


def test_tasks_without_a_score_are_left_out():
    problem = make_problem("binary")
    meta, unseen = problem.meta().fit(problem.tasks[:8]), problem.tasks[8:]
    y = unseen.y.copy()
    y[: unseen.offsets[1]] = "yes"  # of one class, of which there is no area under a curve
    some = TaskCollection(unseen.X, y, unseen.offsets, unseen.task_ids)
    options = {"n_shots": 2, "support_order": "first"}
    with pytest.warns(UndefinedMetricWarning):
        found = few_shot_scorer("roc_auc", **options)(meta, some)
    assert found == few_shot_scorer("roc_auc", **options)(meta, some[1:])
    with pytest.warns(UndefinedMetricWarning), pytest.raises(ValueError, match="for no task"):
        few_shot_scorer("roc_auc", **options)(meta, some[:1])
