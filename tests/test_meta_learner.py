"""MetaLearner: what it learns, however the tasks come in, and what it hands back."""

import copy
import pickle
import warnings
from collections import Counter
from dataclasses import replace

import joblib
import numpy as np
import pandas as pd
import pytest
from conftest import make_problem
from helpers import needs_hidden
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone, is_classifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from sklearn_meta import MetaLearner, TaskCollection, _meta_learner, _meta_training
from sklearn_meta.algorithms import ALGORITHMS, MAML, BayesianHead, Joint
from sklearn_meta.datasets import Sinusoids
from sklearn_meta.encoding import _input
from sklearn_meta.tasks import NWayKShot, _collection
from sklearn_meta.tasks._episodes import EpisodeSampler


def by_collection(problem, algorithm):
    X, _, groups = problem.rows
    return problem.meta(algorithm, shared_labels="auto").fit(problem.tasks).predict(X, groups)


def by_interleaved_rows(problem, algorithm):
    X, y, groups = problem.rows
    place = np.arange(len(X)) - problem.tasks.offsets[np.searchsorted(np.unique(groups), groups)]
    order = np.lexsort((groups, place))  # first rows of all tasks, then second rows, ...
    meta = problem.meta(algorithm).fit(X[order], y[order], groups[order])
    predicted = meta.predict(X[order], groups[order])
    return predicted[np.argsort(order)]


def by_list(problem, algorithm):
    X, _, groups = problem.rows
    meta = problem.meta(algorithm).fit(list(problem.tasks))
    return meta.predict(X, np.unique(groups, return_inverse=True)[1])


def by_nested_lists(problem, algorithm):
    X, y, groups = problem.rows
    meta = problem.meta(algorithm).fit(X.tolist(), y.tolist(), groups.tolist())
    return meta.predict(X.tolist(), groups.tolist())


def by_read_only_columns(problem, algorithm):
    X, y, groups = (part.copy() for part in problem.rows)
    X = np.asfortranarray(X)
    for part in (X, y, groups):
        part.flags.writeable = False
    return problem.meta(algorithm).fit(X, y, groups).predict(X, groups)


def by_named_column(problem, algorithm):
    X, y, groups = problem.rows
    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    frame.insert(1, "store", groups)
    return problem.meta(algorithm, task_feature="store").fit(frame, y).predict(frame)


def by_first_column(problem, algorithm):
    X, y, groups = problem.rows
    rows = np.column_stack([groups.astype(object), X])
    return problem.meta(algorithm, task_feature=0).fit(rows, y).predict(rows)


def by_last_column(problem, algorithm):
    X, y, groups = problem.rows
    rows = np.column_stack([X, np.unique(groups, return_inverse=True)[1]])
    return problem.meta(algorithm, task_feature=-1).fit(rows, y).predict(rows)


LAYOUTS = [
    by_collection,
    by_interleaved_rows,
    by_list,
    by_nested_lists,
    by_read_only_columns,
    by_named_column,
    by_first_column,
    by_last_column,
]


def test_every_layout_gives_the_numbers_of_rows_with_groups(problem, algorithm):
    X, y, groups = problem.rows
    expected = problem.meta(algorithm).fit(X, y, groups).predict(X, groups)
    for layout in LAYOUTS:
        assert_array_equal(layout(problem, algorithm), expected, err_msg=layout.__name__)


class Resampled:
    """A distribution of tasks: draws from a collection, as a collection or as a list."""

    def __init__(self, tasks, form=lambda tasks: tasks):
        self.tasks, self.form = tasks, form

    def sample(self, n_tasks, random_state=None):
        return self.form(self.tasks[random_state.randint(len(self.tasks), size=n_tasks)])


def test_a_distribution_of_tasks(problem, algorithm):
    X, y = problem.new
    metas = [
        problem.meta(algorithm).fit(Resampled(problem.tasks, form)) for form in (lambda t: t, list)
    ]
    predicted = [meta.fit_adapt(X, y).predict(X) for meta in metas]
    assert_array_equal(*predicted)
    assert len(metas[0].tasks_) == 0
    assert metas[0].n_iter_ == len(metas[0].loss_curve_) == 20


class Spied(NWayKShot):
    """N-way tasks of rows whose X is their number; notes what was asked of it and its parts."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.rows, self.fractions = set(), []

    def sample(self, n_tasks, random_state=None):
        tasks = super().sample(n_tasks, random_state)
        self.rows.update(tasks.X[:, 0])
        return tasks

    def split(self, fraction, random_state=None):
        self.fractions.append(fraction)
        self.parts = super().split(fraction, random_state)
        for part in self.parts:
            part.rows = set()
        return self.parts


class Unsplit(Spied):
    split = None


@pytest.fixture
def numbered():
    """Rows of 20 classes."""
    return np.arange(200.0)[:, None], np.arange(200) % 20


@pytest.fixture
def validated(monkeypatch):
    """The rows of the validation episode, support and query, of each fit."""
    rows, trainer = [], _meta_training.Trainer

    def noting(algorithm, network, stream, validation, *args, **kwargs):
        rows.append({x for batch in validation for x in batch.X[batch.weight > 0, 0]})
        return trainer(algorithm, network, stream, validation, *args, **kwargs)

    monkeypatch.setattr(_meta_training, "Trainer", noting)
    return rows


def few_shot(**params):
    mlp = MLPClassifier(hidden_layer_sizes=(8,))
    params = {"n_query": None, "standardize": False, "max_iter": 20, "random_state": 0} | params
    return MetaLearner(mlp, "prototypes", **params)


def test_classes_held_out_validate(numbered, validated):
    spied = Spied(*numbered, n_way=3, n_query=4)
    meta = few_shot(validation_fraction=0.3).fit(spied)
    assert spied.fractions == [0.3]
    assert not spied.rows
    assert validated == [spied.parts[1].rows]
    classes = [{row % 20 for row in part.rows} for part in spied.parts]
    assert not classes[0] & classes[1]
    assert [len(each) for each in classes] == [14, 6]
    assert len(meta.validation_scores_) == 1


def test_without_early_stopping_no_class_is_held_out(numbered, validated):
    spied, unsplit = (kind(*numbered, n_way=3, n_query=4) for kind in (Spied, Unsplit))
    metas = [few_shot(early_stopping=False).fit(tasks) for tasks in (spied, unsplit)]
    assert not spied.fractions
    assert len({row % 20 for row in spied.rows}) == 20
    assert metas[0].loss_curve_ == metas[1].loss_curve_


def test_a_distribution_that_does_not_split_validates_on_a_sample_of_it(numbered, validated):
    tasks = Unsplit(*numbered, n_way=3, n_query=4)
    meta = few_shot().fit(tasks)
    first = NWayKShot(*numbered, n_way=3, n_query=4).sample(500, np.random.RandomState(0))
    assert validated == [set(first.X[:, 0])]
    assert len(meta.validation_scores_) == 1


def test_what_is_too_small_to_split_is_said(numbered, validated):
    X, y = numbered
    tasks = NWayKShot(X, y, n_way=20, n_query=4)
    with pytest.warns(UserWarning, match=r"NWayKShot\(n_way=20.* has too little to hold") as caught:
        few_shot().fit(tasks)
    assert caught[0].filename == __file__
    assert validated == [set(X[:, 0])]


def test_features_are_standardised_by_what_is_trained_on(numbered):
    X, y = numbered
    spied = Spied(X, y, n_way=3, n_query=4)
    scaler = StandardScaler()
    mlp = MLPClassifier(hidden_layer_sizes=(8,))
    meta = MetaLearner(make_pipeline(scaler, mlp), "prototypes", max_iter=1, random_state=0)
    meta.fit(spied)
    random_state = np.random.RandomState(0)
    training, _ = NWayKShot(X, y, n_way=3, n_query=4).split(0.1, random_state)
    assert_allclose(meta.estimator_[0].mean_, training.sample(500, random_state).X.mean(axis=0))


def test_validation_tasks_may_have_fewer_ways(algorithm):
    """Six classes to hold out of, four to train on."""
    X = np.random.RandomState(0).normal(size=(60, 2))
    tasks = NWayKShot(X, np.arange(60) % 6, n_way=4, n_query=4)
    meta = few_shot().set_params(algorithm=algorithm)
    meta.fit(tasks)
    assert np.isfinite(meta.validation_scores_).all()


def numbers(model, X):
    """Predictions as numbers: of a classifier, class probabilities."""
    return model.predict_proba(X) if hasattr(model, "predict_proba") else model.predict(X)


def assert_predict_alike(model, other, X):
    assert_allclose(numbers(model, X), numbers(other, X), rtol=1e-10, atol=1e-12)
    if is_classifier(model):
        assert_array_equal(model.predict(X), other.predict(X))
        assert_array_equal(model.classes_, other.classes_)


def test_adapt_gives_a_fitted_scikit_learn_estimator(problem, algorithm):
    meta = problem.meta(algorithm).fit(problem.tasks)
    X, y = problem.new
    before = pickle.dumps(meta)
    adapted = meta.adapt(X[:6], y[:6])
    assert pickle.dumps(meta) == before
    meta.fit_adapt(X[:6], y[:6])
    assert_predict_alike(adapted, meta, X)
    assert_array_equal(numbers(pickle.loads(pickle.dumps(adapted)), X), numbers(adapted, X))


def test_adapt_gives_a_clone_of_the_estimator(problem, network_algorithm):
    adapted = problem.meta(network_algorithm).fit(problem.tasks).adapt(*problem.new)
    assert type(adapted) is type(problem.estimator)
    assert adapted.get_params() == problem.estimator.get_params()


def test_numpys_own_random_numbers_stay_as_they_are(regression, algorithm):
    np.random.seed(0)  # noqa: NPY002
    expected = np.random.random_sample()  # noqa: NPY002
    np.random.seed(0)  # noqa: NPY002
    regression.meta(algorithm).fit(regression.tasks).adapt(*regression.new)
    assert np.random.random_sample() == expected  # noqa: NPY002


def test_what_adapt_gives_can_go_on_learning(problem, network_algorithm):
    meta = problem.meta(network_algorithm).fit(problem.tasks)
    X, y = problem.new
    adapted = meta.adapt(X, y)
    start = copy.deepcopy(adapted)
    for _ in range(100):
        adapted.partial_fit(X, y)
    assert len(adapted.loss_curve_) == 100
    assert adapted.loss_curve_[-1] < adapted.loss_curve_[0]
    assert not np.array_equal(adapted.coefs_[0], start.coefs_[0])


def test_a_pipeline_is_handed_back_whole(problem, algorithm):
    meta = problem.meta(algorithm)
    meta.set_params(estimator=make_pipeline(StandardScaler(), meta.estimator)).fit(problem.tasks)
    X, y = problem.new
    adapted = meta.adapt(X[:6], y[:6])
    meta.fit_adapt(X[:6], y[:6])
    assert isinstance(adapted, Pipeline)
    assert_allclose(adapted[0].mean_, problem.tasks.X.mean(axis=0))
    assert_predict_alike(adapted, meta, X)


def test_many_tasks_at_once_are_learned_as_one_by_one(problem, algorithm):
    meta = problem.meta(algorithm).fit(problem.tasks)
    names = problem.tasks.task_ids
    assert_array_equal(meta.tasks_, names)
    for name, (X, y) in zip(names, problem.tasks, strict=True):
        together = meta.predict(X, np.full(len(X), name))
        alone = meta.adapt(X, y).predict(X)
        if is_classifier(meta):
            assert_array_equal(together, alone)
        else:
            assert_allclose(together, alone, rtol=1e-9)


def test_fit_adapt_adds_tasks_and_keeps_the_others(regression, algorithm):
    X, y, groups = regression.rows
    meta = regression.meta(algorithm, handle_unknown="error").fit(X, y, groups)
    known = meta.predict(X, groups)
    new_X, new_y = regression.new
    meta.fit_adapt(new_X, new_y, ["another"] * len(new_X))
    assert_array_equal(meta.predict(X, groups), known)
    assert set(meta.tasks_) == {*groups, "another"}
    alone = meta.fit_adapt(new_X, new_y).predict(new_X)
    assert_allclose(meta.predict(new_X, ["another"] * len(new_X)), alone, rtol=1e-10)
    assert_array_equal(meta.predict(X, groups), known)


def test_fit_adapt_replaces_a_task_of_the_same_id(regression, algorithm):
    meta = regression.meta(algorithm).fit(regression.tasks)
    X, y = regression.new
    expected = meta.adapt(X, y).predict(X)
    meta.fit_adapt(X, y, ["t03"] * len(X))
    assert sorted(meta.tasks_) == sorted(regression.tasks.task_ids)
    assert_allclose(meta.predict(X, ["t03"] * len(X)), expected, rtol=1e-10)


def test_support_marks_say_what_fit_adapt_learns_from(regression, algorithm):
    meta = regression.meta(algorithm).fit(regression.tasks)
    X, y, groups = regression.rows
    marks = np.arange(len(X)) % 3 > 0
    marked = TaskCollection.from_arrays(X, y, groups, is_support=marks)
    predicted = copy.deepcopy(meta).fit_adapt(marked).predict(X, groups)
    expected = meta.fit_adapt(X[marks], y[marks], groups[marks]).predict(X, groups)
    assert_array_equal(predicted, expected)


def test_the_prior_is_a_fitted_scikit_learn_estimator(shared_problem, algorithm):
    meta = shared_problem.meta(algorithm).fit(shared_problem.tasks)
    X, _ = shared_problem.new
    assert type(meta.estimator_) is type(shared_problem.estimator)
    assert_predict_alike(meta.estimator_, meta, X)


def test_rows_without_groups_are_one_task(regression, algorithm):
    X, y, _ = regression.rows
    with pytest.warns(UserWarning, match="all rows are of one task"):
        meta = regression.meta(algorithm).fit(X, y)
    with pytest.warns(UserWarning, match="all rows are of one task"):
        one = regression.meta(algorithm).fit(X, y, np.full(len(X), "all"))
    assert_array_equal(meta.predict(X), one.predict(X, np.full(len(X), "all")))
    assert meta.n_tasks_ == 1
    assert len(meta.tasks_) == 0


def test_the_parameters_that_did_best_are_kept(problem, algorithm):
    params = {"meta_lr": 0.02, "n_iter_no_change": 2, "max_iter": 300}
    meta = problem.meta(algorithm, **params).fit(problem.tasks)
    best = int(np.argmax(meta.validation_scores_))
    assert meta.best_iter_ == min(50 * (best + 1), meta.n_iter_)
    assert meta.n_iter_ == len(meta.loss_curve_)
    short = problem.meta(algorithm, **params | {"max_iter": meta.best_iter_}).fit(problem.tasks)
    assert short.n_iter_ == meta.best_iter_
    for kept, again in zip(meta.estimator_.coefs_, short.estimator_.coefs_, strict=True):
        assert_array_equal(kept, again)


def test_training_stops_when_nothing_improves(regression):
    meta = regression.meta(max_iter=2000, n_iter_no_change=2, tol=1e6).fit(regression.tasks)
    assert meta.n_iter_ == 50 * 3  # the first is better than nothing, two are not


def test_without_early_stopping_every_task_trains_to_the_end(regression, algorithm):
    meta = regression.meta(algorithm, early_stopping=False, max_iter=70).fit(regression.tasks)
    assert meta.validation_scores_ is None
    assert meta.n_iter_ == meta.best_iter_ == 70


@pytest.mark.parametrize("fraction", [0.01, 0.99])
def test_at_least_one_task_trains_and_one_judges(regression, fraction):
    meta = regression.meta(validation_fraction=fraction).fit(regression.tasks)
    assert np.isfinite(meta.loss_curve_).all()
    assert np.isfinite(meta.validation_scores_).all()


def test_an_int_random_state_repeats_to_the_bit(problem, algorithm):
    X, y = problem.new
    one, two = (problem.meta(algorithm, max_iter=60).fit(problem.tasks) for _ in range(2))
    assert one.loss_curve_ == two.loss_curve_
    assert one.validation_scores_ == two.validation_scores_
    assert_array_equal(numbers(one.adapt(X, y), X), numbers(two.adapt(X, y), X))
    other = problem.meta(algorithm, max_iter=60, random_state=1).fit(problem.tasks)
    assert other.loss_curve_ != one.loss_curve_


def test_threads_change_no_bit(problem, algorithm):
    X, _, groups = problem.rows
    one, two = (problem.meta(algorithm, n_jobs=n).fit(problem.tasks) for n in (None, 2))
    assert_array_equal(one.predict(X, groups), two.predict(X, groups))


def test_partial_fit_goes_on_after_pickle_to_the_bit(problem, algorithm):
    tasks, (X, _, groups) = problem.tasks, problem.rows
    straight, pickled = problem.meta(algorithm), problem.meta(algorithm)
    for part in (tasks, tasks[:5], tasks, tasks[4:], tasks):
        straight.partial_fit(part)
        pickled = pickle.loads(pickle.dumps(pickled)).partial_fit(part)
    assert straight.loss_curve_ == pickled.loss_curve_
    assert straight.n_iter_ == 5
    assert_array_equal(straight.predict(X, groups), pickled.predict(X, groups))


def test_a_shallow_copy_goes_on_alone(regression, algorithm):
    meta = regression.meta(algorithm).fit(regression.tasks)
    before = pickle.dumps(meta)
    copy.copy(meta).partial_fit(regression.tasks).fit(regression.tasks[:6])
    assert pickle.dumps(meta) == before


def test_partial_fit_goes_on_after_fit(regression, algorithm):
    meta = regression.meta(algorithm).fit(regression.tasks)
    other = pickle.loads(pickle.dumps(meta)).partial_fit(regression.tasks)
    meta.partial_fit(regression.tasks)
    assert meta.n_iter_ == len(meta.loss_curve_) == 21
    assert_array_equal(meta.estimator_.coefs_[0], other.estimator_.coefs_[0])


def test_partial_fit_learns(regression, algorithm):
    meta = regression.meta(algorithm, meta_lr=0.01)
    for _ in range(150):
        meta.partial_fit(regression.tasks)
    assert np.mean(meta.loss_curve_[-20:]) < 0.8 * np.mean(meta.loss_curve_[:20])


def test_partial_fit_serves_the_tasks_given_last(regression):
    meta = regression.meta().fit(regression.tasks).partial_fit(regression.tasks[:3])
    assert_array_equal(meta.tasks_, ["t00", "t01", "t02"])


def test_partial_fit_can_be_told_all_classes(multiclass):
    X, y, groups = multiclass.rows
    first = y < 2
    meta = multiclass.meta().partial_fit(X[first], y[first], groups[first], classes=[2, 1, 0])
    meta.partial_fit(X, y, groups)
    assert_array_equal(meta.classes_, [0, 1, 2])


def test_warm_start_goes_on(problem, algorithm):
    params = {"warm_start": True, "early_stopping": False}
    meta = problem.meta(algorithm, max_iter=50, meta_lr=0.01, **params).fit(problem.tasks)
    learned = copy.deepcopy(meta.estimator_)
    meta.set_params(max_iter=1, meta_lr=1e-12).fit(problem.tasks)
    assert_allclose(meta.estimator_.coefs_[0], learned.coefs_[0], atol=1e-9)
    meta.set_params(warm_start=False).fit(problem.tasks)
    assert np.abs(meta.estimator_.coefs_[0] - learned.coefs_[0]).max() > 1e-3


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_a_copy_at_any_stage_predicts_the_same(problem, algorithm, copied):
    X, y = problem.new
    rows, _, groups = problem.rows
    meta = problem.meta(algorithm)
    for stage in (meta.fit, meta.fit_adapt, meta.partial_fit):
        stage(problem.tasks)
        meta.fit_adapt(X, y)
        other = copied(meta)
        assert_array_equal(other.predict(rows, groups), meta.predict(rows, groups))
        assert_array_equal(other.predict(X), meta.predict(X))


def test_memory_mapped_by_joblib(regression, algorithm, tmp_path):
    X, y, groups = regression.rows
    meta = regression.meta(algorithm).fit(X, y, groups)
    joblib.dump(meta, tmp_path / "meta.joblib")
    mapped = joblib.load(tmp_path / "meta.joblib", mmap_mode="r")
    assert_array_equal(mapped.predict(X, groups), meta.predict(X, groups))
    for each in (meta, mapped):
        each.partial_fit(X, y, groups).fit_adapt(X[:4], y[:4])
    assert_array_equal(mapped.predict(X), meta.predict(X))


def test_what_was_learned_is_not_the_callers_array(problem, algorithm):
    X, y, groups = (part.copy() for part in problem.rows)
    meta = problem.meta(algorithm).fit(X, y, groups)
    rows, names = X.copy(), groups.copy()
    before = pickle.dumps(meta)
    X[:], y[:] = 0, y[0]
    for fitted in (meta.estimator_, meta.adapt(rows[:4], problem.tasks.y[:4])):
        layers = fitted[0].layers if isinstance(fitted, Pipeline) else [fitted.coefs_]
        layers[0][0][:] = 7
    expected = pickle.loads(before)
    assert_array_equal(meta.predict(rows, names), expected.predict(rows, names))
    if algorithm == "bayesian_head":
        method = "predict_proba" if is_classifier(meta) else "predict"
        std, expected_std = (
            getattr(each, method)(rows, names, return_std=True)[1] for each in (meta, expected)
        )
        assert_allclose(std, expected_std)


@pytest.mark.parametrize("params", [{"activation": "tanh"}, {"hidden_layer_sizes": (3, 3)}])
def test_changed_parameters_wait_for_the_next_fit(regression, params):
    X, y = regression.new
    meta = regression.meta().fit(regression.tasks)
    expected = meta.adapt(X[:5], y[:5]).predict(X)
    meta.estimator.set_params(**params)
    assert_allclose(meta.adapt(X[:5], y[:5]).predict(X), expected)
    assert_allclose(meta.fit_adapt(X[:5], y[:5]).predict(X), expected)


@pytest.mark.parametrize("hidden", [(), 5, np.int64(5), [5, 4], np.array([5, 4])])
@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
@pytest.mark.filterwarnings("ignore:adaptation:UserWarning")  # CAVIA's rate is for trained ones
def test_every_network_that_scikit_learn_takes(regression, algorithm, hidden, activation):
    needs_hidden(ALGORITHMS[algorithm](), hidden)
    meta = regression.meta(algorithm, max_iter=3)
    meta.set_params(estimator__hidden_layer_sizes=hidden, estimator__activation=activation).fit(
        regression.tasks
    )
    X, y = regression.new
    sizes = [len(bias) for bias in meta.estimator_.intercepts_]
    assert sizes == [*np.atleast_1d(hidden).astype(int), 1]
    adapted = meta.adapt(X[:5], y[:5])
    assert_allclose(adapted.predict(X), meta.fit_adapt(X[:5], y[:5]).predict(X))


def steps_of_sgd(prior, inner_lr, X, y, n_steps):
    """scikit-learn's own plain SGD on all rows at once, from the prior's weights."""
    own = {"squared_error": 2, "poisson": 2, "log_loss": 1}[prior.loss]  # its losses are halves
    twin = type(prior)(
        hidden_layer_sizes=prior.hidden_layer_sizes,
        **({} if is_classifier(prior) else {"loss": prior.loss}),
        solver="sgd",
        momentum=0,
        nesterovs_momentum=False,
        alpha=0,
        learning_rate_init=own * inner_lr,
        batch_size=len(X),
        shuffle=False,
    )
    classes = {"classes": prior.classes_} if is_classifier(prior) else {}
    twin.partial_fit(X, y, **classes)
    twin.coefs_ = [coef.copy() for coef in prior.coefs_]
    twin.intercepts_ = [bias.copy() for bias in prior.intercepts_]
    for _ in range(n_steps):
        twin.partial_fit(X, y)
    return twin


@pytest.mark.parametrize(
    "shared_problem", ["regression", "poisson", "binary", "multiclass"], indirect=True
)
@pytest.mark.parametrize("algorithm", [MAML, Joint])
def test_gradient_steps_are_plain_sgd_weight_for_weight(shared_problem, algorithm):
    problem = shared_problem
    steps = "adapt_steps" if algorithm is Joint else "inner_steps"
    algorithm = algorithm(**{steps: 4}, inner_lr=0.05)
    meta = problem.meta(algorithm, normalize_y=False, standardize=False).fit(problem.tasks)
    X, y = problem.new
    adapted = meta.adapt(X[:6], y[:6])
    twin = steps_of_sgd(meta.estimator_, 0.05, X[:6], y[:6], n_steps=4)
    assert not np.allclose(adapted.coefs_[0], meta.estimator_.coefs_[0], atol=1e-6)
    for ours, theirs in zip(
        adapted.coefs_ + adapted.intercepts_, twin.coefs_ + twin.intercepts_, strict=True
    ):
        assert_allclose(ours, theirs, rtol=1e-9, atol=1e-9)


UNITS = np.array([1e-5, 300.0, 1e6])
ZEROS = np.array([7e-5, -2e3, 5e6])


def in_other_units(problem, scale, zero):
    """The problem with other units of its features, and the new task's rows."""
    tasks = replace(problem.tasks, X=scale * problem.tasks.X + zero)
    return replace(problem, tasks=tasks, new=(scale * problem.new[0] + zero, problem.new[1]))


def test_what_adapt_gives_takes_rows_in_the_users_units(problem, algorithm):
    problem = in_other_units(problem, UNITS, ZEROS)
    meta = problem.meta(algorithm).fit(problem.tasks)
    X, y = problem.new
    meta.fit_adapt(X, y)
    assert_predict_alike(meta.adapt(X, y), meta, X)
    if meta.shared_labels == "auto":
        assert_predict_alike(meta.estimator_, copy.copy(meta).fit(problem.tasks), X)


@pytest.mark.parametrize("hidden", [(), (6, 5)])
@pytest.mark.parametrize("kind", ["regression", "poisson", "multiclass"])
def test_export_in_the_users_units_whatever_the_depth(kind, hidden):
    problem = in_other_units(make_problem(kind), UNITS, ZEROS)
    for algorithm in ("bayesian_head", "maml"):
        meta = problem.meta(algorithm).set_params(estimator__hidden_layer_sizes=hidden)
        X, y = problem.new
        meta.fit(problem.tasks).fit_adapt(X, y)
        assert_predict_alike(meta.adapt(X, y), meta, X)


def test_standardised_inside_is_as_by_a_scaler_before(problem, algorithm):
    """To rounding: a StandardScaler's statistics are the same."""
    problem = in_other_units(problem, UNITS, ZEROS)
    bare, behind = problem.meta(algorithm), problem.meta(algorithm)
    behind.set_params(estimator=make_pipeline(StandardScaler(), behind.estimator))
    X, y = problem.new
    alike = [numbers(meta.fit(problem.tasks).adapt(X, y), X) for meta in (bare, behind)]
    assert_allclose(*alike, rtol=1e-6, atol=1e-8)


@settings(max_examples=25, deadline=None)
@given(
    name=st.sampled_from(["bayesian_head", "maml", "ridge_head", "deep_kernel_gp", "prototypes"]),
    units=st.lists(st.floats(-6, 6), min_size=3, max_size=3),
    zeros=st.lists(st.floats(-10, 10), min_size=3, max_size=3),
)
def test_the_units_of_features_change_nothing(name, units, zeros):
    problem = make_problem("multiclass" if name == "prototypes" else "regression")
    scale = 10.0 ** np.array(units)
    other = in_other_units(problem, scale, scale * zeros)
    found = []
    for each in (problem, other):
        X, y = each.new
        meta = each.meta(name, max_iter=3).fit(each.tasks)
        found.append(numbers(meta.fit_adapt(X[:6], y[:6]), X))
    assert_allclose(*found, rtol=1e-6, atol=1e-8)


ODD = {
    "large": lambda X: 1e4 * X,
    "small": lambda X: 1e-6 * X,
    "huge": lambda X: 1e12 * X,
    "constant": lambda X: np.column_stack([X[:, :2], np.full(len(X), 7.0)]),
    "far from 0": lambda X: X + np.array([0, 0, 1e9]),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("odd", ODD)
def test_odd_features_are_learned_from(algorithm, odd, dtype):
    problem = make_problem(
        "regression" if "squared_error" in ALGORITHMS[algorithm].losses else "multiclass"
    )
    X, y, groups = problem.rows
    X, new = (ODD[odd](rows).astype(dtype) for rows in (X, problem.new[0]))
    meta = problem.meta(algorithm).fit(X, y, groups)
    adapted = meta.fit_adapt(new, problem.new[1]).adapt(new, problem.new[1])
    found = numbers(meta, new)
    assert np.isfinite(found).all()
    tolerance = 1e-6 if dtype == np.float64 else 1e-2  # where what is taken off is 1e9
    assert_allclose(numbers(adapted, new), found, rtol=tolerance, atol=tolerance)
    assert meta.estimator_.coefs_[0].dtype == dtype


def test_a_feature_that_was_constant_in_training_does_not_decide(regression):
    """It differs in the new task by as much as others do; the prediction stays where it was."""
    X, y, groups = regression.rows
    wide, (new_X, new_y) = np.column_stack([X, np.full(len(X), 3.0)]), regression.new
    meta = regression.meta(max_iter=300).fit(wide, y, groups)
    as_ever, other = (np.column_stack([new_X, np.full(len(new_X), c)]) for c in (3.0, 4.0))
    expected, found = (meta.adapt(rows, new_y).predict(rows) for rows in (as_ever, other))
    assert np.abs(found - expected).max() < 0.5 * y.std()


def test_auto_leaves_the_steps_of_a_pipeline_alone(regression):
    """True standardises what they give, False not; a Pipeline with no steps has none to leave."""
    problem = in_other_units(regression, 10.0, 3.0)
    X, y, groups = problem.rows
    mlp, step = problem.estimator, FunctionTransformer()

    def prior(estimator, standardize):
        meta = problem.meta(standardize=standardize).set_params(estimator=estimator)
        return meta.fit(X, y, groups).estimator_.predict(X)

    plain, scaled = prior(mlp, False), prior(mlp, True)
    assert not np.allclose(plain, scaled, rtol=1e-3)
    for estimator, expected in (
        (mlp, scaled),
        (make_pipeline(clone(mlp)), scaled),
        (make_pipeline(step, clone(mlp)), plain),
    ):
        assert_array_equal(prior(estimator, "auto"), expected)
    assert_array_equal(prior(make_pipeline(step, clone(mlp)), True), scaled)


@pytest.mark.parametrize("later", ["partial_fit", "warm_start"])
def test_features_are_standardised_as_in_the_first_call(regression, later):
    X, y, groups = regression.rows
    meta = regression.meta(max_iter=1, meta_lr=1e-12, warm_start=True).partial_fit(X, y, groups)
    expected = meta.estimator_.predict(X)
    call = meta.partial_fit if later == "partial_fit" else meta.fit
    call(50 * X + 9, y, groups)
    assert_allclose(meta.estimator_.predict(X), expected, rtol=1e-6)


def test_a_grid_over_standardize(regression):
    problem = in_other_units(regression, 1e3, 0)
    search = GridSearchCV(problem.meta(max_iter=50), {"standardize": [False, True]}, cv=3)
    assert search.fit(problem.tasks).best_params_ == {"standardize": True}


def random_slopes(n_tasks, n_rows, seed):
    """y = X (m + b) + 3 + noise of 0.5, with slopes b of a task and an offset of its own."""
    rng = np.random.RandomState(seed)
    X = rng.normal(size=(n_tasks, n_rows, 2))
    slopes = [1.0, -2.0] + rng.normal(size=(n_tasks, 2)) * [1.0, 0.3]
    offset = 3 + 0.5 * rng.normal(size=(n_tasks, 1))
    y = np.einsum("tnd,td->tn", X, slopes) + offset + 0.5 * rng.normal(size=(n_tasks, n_rows))
    return X, y


def test_body_only_needs_a_hidden_layer(regression):
    meta = regression.meta("boil").set_params(estimator__hidden_layer_sizes=())
    with pytest.raises(ValueError, match=r"adapt_layers='body' needs a hidden layer.*found none"):
        meta.fit(regression.tasks)


# what adapts at all, with steps large enough to tell after a short training
LEARNERS = {name: cls() for name, cls in ALGORITHMS.items() if name != "joint"} | {
    "fine-tuning": Joint(adapt_steps=20, inner_lr=0.05),
    **{name: ALGORITHMS[name](inner_lr=0.05) for name in ("maml", "fomaml", "boil")},
    **{name: ALGORITHMS[name](inner_lr=0.1) for name in ("anil", "meta_sgd")},
    "proto_maml": ALGORITHMS["proto_maml"](inner_lr=0.05),
}


@pytest.fixture(scope="module")
def sinusoids():
    """Tasks of 20 rows to train on, and new ones."""
    return [Sinusoids(n_rows=n).sample(m, seed) for n, m, seed in ((20, 200, 0), (50, 60, 1))]


@pytest.mark.parametrize("name", LEARNERS)
def test_a_task_learned_from_ten_rows_beats_the_prior(sinusoids, name):
    """Regression, or for what classifies only, whether the target is above 0."""
    training, new = sinusoids
    algorithm, mlp = LEARNERS[name], MLPRegressor(hidden_layer_sizes=(40, 40))
    if "squared_error" not in algorithm.losses:
        mlp = MLPClassifier(hidden_layer_sizes=(40, 40))

    def targets(y):
        return np.where(y > 0, 1, 0) if is_classifier(mlp) else y

    meta = MetaLearner(mlp, algorithm, max_iter=200, meta_lr=3e-3, random_state=0)
    meta.fit([(X, targets(y)) for X, y in training])
    errors = {"learned": [], "prior": []}
    for X, y in new:
        adapted = meta.adapt(X[:10], targets(y[:10]))
        for of, model in (("learned", adapted), ("prior", meta.estimator_)):
            errors[of].append(np.mean((model.predict(X[10:]) - targets(y[10:])) ** 2))
    assert np.mean(errors["learned"]) < 0.8 * np.mean(errors["prior"])


@pytest.fixture(scope="module")
def linear():
    X, y = random_slopes(n_tasks=150, n_rows=20, seed=0)
    estimator = MLPRegressor(hidden_layer_sizes=())
    meta = MetaLearner(estimator, BayesianHead(), max_iter=1000, meta_lr=0.01, random_state=0)
    meta.fit(list(zip(X, y, strict=True)))
    return meta, LinearRegression().fit(X.reshape(-1, 2), y.ravel())


def posterior_mean(X, y):
    """Of slopes and offset, by the formula, with the parameters that the data come from."""
    precision = np.diag(1 / np.array([1.0, 0.3, 0.5]) ** 2)
    F = np.column_stack([X, np.ones(len(X))]) / 0.5
    mean = np.array([1.0, -2.0, 3.0])
    return mean + np.linalg.solve(F.T @ F + precision, F.T @ (y / 0.5 - F @ mean))


def test_linear_bayesian_head_is_the_mixed_model(linear):
    meta, pooled = linear
    errors = {"meta": [], "pooled": [], "alone": [], "oracle": []}
    for X, y in zip(*random_slopes(n_tasks=300, n_rows=104, seed=1), strict=True):
        support, X, target = (X[:4], y[:4]), X[4:], y[4:]
        oracle = posterior_mean(*support)
        predicted = {
            "meta": meta.adapt(*support).predict(X),
            "pooled": pooled.predict(X),
            "alone": LinearRegression().fit(*support).predict(X),
            "oracle": X @ oracle[:2] + oracle[2],
        }
        for name, values in predicted.items():
            errors[name].append(np.mean((values - target) ** 2))
    error = {name: np.mean(values) for name, values in errors.items()}
    assert error["meta"] < 0.9 * min(error["pooled"], error["alone"])
    assert error["meta"] < 1.05 * error["oracle"]


@pytest.mark.parametrize("n_shots", [0, 1, 5, 20])
def test_95_percent_of_fresh_rows_lie_within_2_std(linear, n_shots):
    meta, _ = linear
    inside = []
    for X, y in zip(*random_slopes(n_tasks=300, n_rows=50, seed=2), strict=True):
        task = copy.copy(meta).set_params(handle_unknown="prior")
        if n_shots:
            task.fit_adapt(X[:n_shots], y[:n_shots])
        mean, std = task.predict(X[n_shots:], return_std=True)
        inside.append(np.abs(mean - y[n_shots:]) < 1.96 * std)
    # by how much tasks differ is found on the 15 that were held out; later rows tell the more
    tolerance = 0.015 if n_shots else 0.025
    assert np.mean(np.concatenate(inside)) == pytest.approx(0.95, abs=tolerance)


def test_training_tasks_are_left_alone_where_nobody_asks_for_them(problem):
    """What is meta-learned is the same; no training row and no task is kept."""
    served = problem.meta(standardize=False).fit(problem.tasks)
    options = {"standardize": False, "adapt_training_tasks": False}  # rows would be as they are
    meta = problem.meta(**options).fit(problem.tasks)
    assert len(meta.tasks_) == 0
    assert meta.n_tasks_ == len(problem.tasks)
    X, y = problem.new
    assert_array_equal(meta.fit_adapt(X, y).predict(X), served.fit_adapt(X, y).predict(X))
    assert len(meta.partial_fit(problem.tasks).tasks_) == 0
    pickled = pickle.dumps(meta)
    assert not any(row.tobytes() in pickled for row in problem.tasks.X)


def test_evaluations_come_as_often_as_asked_for(regression):
    meta = regression.meta(max_iter=20, validation_interval=6).fit(regression.tasks)
    assert len(meta.validation_scores_) == 4  # after 6, 12, 18 and 20 meta-steps
    assert meta.best_iter_ in (6, 12, 18, 20)


def test_a_range_may_be_a_list(regression):
    pair, listed = (
        regression.meta(n_shots=kind([1, 4])).fit(regression.tasks) for kind in (tuple, list)
    )
    assert pair.loss_curve_ == listed.loss_curve_


def test_failing_calls_leave_no_trace(regression):
    """What was fitted before answers as before, its columns included."""
    X, y, groups = regression.rows
    frame = pd.DataFrame(X, columns=[*"abc"])
    meta = regression.meta().fit(frame, y, groups)
    before = pickle.dumps(meta)
    bad = frame.copy()
    bad.iloc[-1, 0] = np.inf
    for call in (meta.fit, meta.partial_fit, meta.fit_adapt):
        with pytest.raises(ValueError, match="X"):
            call(bad, y, groups)
    with pytest.raises(ValueError, match="diverged"):
        clone(meta).set_params(meta_lr=1e200, max_iter=50).fit(frame, y, groups)
    assert pickle.dumps(meta) == before
    assert meta.feature_names_in_.tolist() == ["a", "b", "c"]
    meta.fit(X, y, groups)
    assert not hasattr(meta, "feature_names_in_")


def test_a_fit_resolves_its_input_once(regression, monkeypatch):
    """Rows are checked once, tasks sorted once and a distribution sampled once."""
    counts = Counter()

    def counted(module, name):
        function = getattr(module, name)

        def call(*args, **kwargs):
            counts[name] += 1
            return function(*args, **kwargs)

        monkeypatch.setattr(module, name, call)

    counted(_input, "kind_of")
    counted(_input, "validate_data")
    counted(_collection, "sort_by_task")
    counted(_input, "check_groups")
    regression.meta().fit(*regression.rows)
    assert counts == {"kind_of": 1, "validate_data": 1, "sort_by_task": 1}


def with_singletons(problem):
    """The training tasks, and three that have one row each."""
    X, y, groups = problem.rows
    more = problem.new[0][:3], problem.new[1][:3], np.array(["s1", "s2", "s3"])
    X, y, groups = (np.concatenate(pair) for pair in zip((X, y, groups), more, strict=True))
    return TaskCollection.from_arrays(X, y, groups, shared_labels=problem.tasks.shared_labels)


@pytest.mark.parametrize("n_shots", ["auto", 0, (0, 3), [0, 3]], ids=str)
def test_tasks_of_one_row_train_where_a_support_may_be_empty(shared_problem, n_shots):
    """Without a word; each gives a query row."""
    tasks = with_singletons(shared_problem)
    meta = shared_problem.meta(n_shots=n_shots).fit(tasks)
    assert set(meta.tasks_) >= {"s1", "s2", "s3"}
    rows = np.arange(tasks.n_rows)  # each a task
    lone = TaskCollection(tasks.X, tasks.y, np.append(rows, len(rows)), rows)
    assert len(shared_problem.meta(n_shots=n_shots).fit(lone).tasks_) == len(rows)


@pytest.mark.parametrize("n_shots", [1, (1, 3)], ids=str)
def test_tasks_of_one_row_are_left_out_elsewhere_and_served(shared_problem, n_shots):
    """What is learned is learned from the others."""
    tasks = with_singletons(shared_problem)
    unscaled = {"normalize_y": False, "standardize": False}
    meta = shared_problem.meta(n_shots=n_shots, **unscaled, max_iter=5)
    expected = clone(meta).fit(shared_problem.tasks)
    with pytest.warns(UserWarning, match="3 of 15 tasks have one row.*adapted and served all"):
        meta.fit(tasks)
    assert meta.n_tasks_ == 15
    assert meta.loss_curve_ == expected.loss_curve_
    X, y = tasks[tasks.task_ids.tolist().index("s2")]
    asked, learned = meta._ask(X, ["s2"])
    other, _ = meta.fit_adapt(X, y)._ask(X, None)
    assert_allclose(learned.outputs(asked), learned.outputs(other))


def test_a_task_of_one_row_has_no_classes_of_its_own(own_labels):
    tasks = with_singletons(own_labels)
    with pytest.warns(UserWarning, match="3 of 15 tasks have one row.*cannot be adapted to"):
        meta = own_labels.meta().fit(tasks)
    assert len(meta.tasks_) == 12
    assert meta.n_tasks_ == 15


def test_what_has_learned_less_than_a_mean_says_so(regression):
    """One meta-step, far off: the message names both losses and what to change."""
    meta = regression.meta(MAML(inner_lr=0.01), max_iter=1, meta_lr=5.0)
    meta.set_params(adapt_training_tasks=False)
    match = r"loss on the validation tasks is .* in meta-step 1 of 1; predicting the mean .*MAML"
    with pytest.warns(ConvergenceWarning, match=match):
        meta.fit(regression.tasks)


def test_what_has_learned_something_is_silent(regression):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        regression.meta(max_iter=2000).fit(regression.tasks)


def test_noise_is_as_good_as_its_mean(regression):
    """Nothing to learn, and nothing to be warned of."""
    X, _, groups = regression.rows
    y = np.random.RandomState(0).standard_normal(len(X))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        regression.meta(max_iter=500).fit(X, y, groups)


def test_a_pickle_of_another_version_says_so(regression):
    meta = regression.meta().fit(regression.tasks)
    for version in (None, 0):
        state = meta.__getstate__() | {"_state_version": version}
        with pytest.raises(ValueError, match=r"another version of sklearn_meta \(state"):
            MetaLearner.__new__(MetaLearner).__setstate__(state)
    unfitted = clone(meta).__getstate__() | {"_state_version": 0}
    MetaLearner.__new__(MetaLearner).__setstate__(unfitted)


def test_partial_fit_heeds_what_was_changed_between_calls(regression):
    def learned(**changes):
        meta = regression.meta(MAML()).partial_fit(regression.tasks)
        meta.set_params(**changes).partial_fit(regression.tasks)
        return meta.estimator_.coefs_[0]

    plain = learned()
    assert_array_equal(learned(algorithm__adapt_steps=1), plain)
    for changes in ({"estimator__alpha": 3.0}, {"algorithm__inner_lr": 0.3}, {"meta_lr": 0.1}):
        assert np.abs(learned(**changes) - plain).max() > 1e-6, changes


@pytest.mark.parametrize(
    "changes",
    [
        {"estimator__hidden_layer_sizes": (9,)},
        {"estimator__activation": "tanh"},
        {"algorithm": "bayesian_head"},
        {"algorithm": MAML(learn_inner_lr="layer")},
    ],
    ids=str,
)
def test_partial_fit_cannot_go_on_with_another_network_or_algorithm(regression, changes):
    meta = regression.meta(MAML()).partial_fit(regression.tasks).set_params(**changes)
    before = pickle.dumps(meta)
    with pytest.raises(ValueError, match=r"partial_fit goes on .*, found .*; fit anew"):
        meta.partial_fit(regression.tasks)
    assert pickle.dumps(meta) == before


def test_partial_fit_learns_as_fast_as_fit(regression):
    """Nothing of a meta-step is taken back by the running average."""
    streamed = regression.meta("joint", meta_lr=0.01)
    for _ in range(150):
        streamed.partial_fit(regression.tasks)
    options = {"early_stopping": False, "meta_batch_size": 12, "max_iter": 150, "meta_lr": 0.01}
    fitted = regression.meta("joint", **options).fit(regression.tasks)
    ends = [np.mean(meta.loss_curve_[-20:]) for meta in (streamed, fitted)]
    assert ends[0] < 1.2 * ends[1]


def test_a_distribution_of_single_rows_is_named():
    meta = MetaLearner(MLPRegressor(hidden_layer_sizes=(4,)), n_shots=2, max_iter=2)
    with pytest.raises(ValueError, match=r"task 0 has n_samples=1|gave \d+ tasks of one row"):
        meta.fit(Sinusoids(n_rows=1))


def test_a_learner_holds_what_was_learned_when_it_was_taken(regression):
    X, y = regression.new
    meta = regression.meta().fit(regression.tasks)
    learner = meta.learner_
    expected = clone(learner).fit(X[:5], y[:5]).predict(X)
    meta.fit(regression.tasks[:6])
    assert_array_equal(clone(learner).fit(X[:5], y[:5]).predict(X), expected)


@pytest.mark.parametrize("network", ["hidden layer", "none"])
def test_targets_far_from_0_are_predicted_as_well_in_single_precision(regression, network):
    """Beside 1e9, single precision tells apart what differs by 64."""
    X, y, groups = regression.rows
    far = 1e9 + 20 * (y - y.mean()) / y.std()
    sizes = (8,) if network == "hidden layer" else ()
    predicted = []
    for dtype in (np.float64, np.float32):
        meta = regression.meta(max_iter=50).set_params(estimator__hidden_layer_sizes=sizes)
        meta.fit(X.astype(dtype), far, groups)
        new_X, new_y = regression.new[0].astype(dtype), 1e9 + regression.new[1]
        adapted = meta.adapt(new_X, new_y)
        predicted.append(meta.fit_adapt(new_X, new_y).predict(new_X))
        assert_allclose(adapted.predict(new_X), predicted[-1], rtol=0, atol=1e-3)
    assert_allclose(*predicted, rtol=0, atol=0.1)


def words(n_tasks=12, n_words=4, n_letters=5):
    """Regression rows, their tasks and the word of each, rows of a word apart."""
    rng = np.random.RandomState(0)
    task = np.tile(np.arange(n_tasks), n_words * n_letters)
    word = np.repeat(np.tile(np.arange(n_words), n_letters), n_tasks)
    X = rng.normal(size=(len(task), 2))
    return X, X[:, 0] + task, task, word


def test_blocks_of_rows_are_those_of_a_collection(regression):
    X, y, task, word = words()
    tasks = TaskCollection.from_arrays(X, y, task, blocks=word.astype(str))
    by_rows = regression.meta().fit(X, y, task, word)
    by_tasks = regression.meta().fit(tasks)
    assert_array_equal(by_rows.predict(X, task), by_tasks.predict(X, task))
    without = regression.meta().fit(X, y, task)
    assert np.abs(without.predict(X, task) - by_rows.predict(X, task)).max() > 1e-6
    stepped = regression.meta().partial_fit(X, y, task, blocks=word)
    assert_array_equal(
        stepped.predict(X, task), regression.meta().partial_fit(tasks).predict(X, task)
    )
    for handed in (tasks, Sinusoids()):
        with pytest.raises(ValueError, match="blocks must be None where X is"):
            regression.meta().fit(handed, blocks=word)


def test_a_task_of_one_block_is_as_one_of_one_row(regression):
    X, y, task, word = words()
    word[task == 3] = 0
    with pytest.warns(UserWarning, match="1 of 12 tasks have one block, none that is both"):
        meta = regression.meta(n_shots=2).fit(X, y, task, word)
    assert 3 in meta.tasks_
    with pytest.raises(ValueError, match="task 0 has one block, and no other task has more"):
        regression.meta(n_shots=2).fit(X, y, task, np.zeros(len(X)))


def test_score_of_a_collection_splits_no_block(regression, monkeypatch):
    X, y, task, word = words()
    tasks = TaskCollection.from_arrays(X, y, task, blocks=word)
    meta, seen = regression.meta().fit(tasks), []
    evaluate = _meta_learner.evaluate
    monkeypatch.setattr(
        _meta_learner, "evaluate", lambda *a, **k: seen.append(evaluate(*a, **k)) or seen[-1]
    )
    meta.score(tasks)
    asked = np.isin(np.arange(tasks.n_rows), seen[0].row)
    for block in set(zip(tasks.groups, tasks.blocks, strict=True)):
        of_block = (tasks.groups == block[0]) & (tasks.blocks == block[1])
        assert asked[of_block].all() or not asked[of_block].any()
    assert asked.sum() == len(X) / 2


def test_intervals_of_blocks_are_for_as_many_rows_as_these_have(regression):
    X, y, task, word = words(n_tasks=40)
    meta = regression.meta(early_stopping=True, n_members=1, validation_fraction=0.5)
    learned = meta.fit(X, y, task, word)._served.learned
    assert_allclose(learned.conformal.sizes, [0, 5, 10])


@pytest.mark.parametrize("stratify", ["auto", True, False])
def test_shots_are_of_each_class_if_it_is_said(multiclass, monkeypatch, stratify):
    """Three rows, or three of each class."""
    seen, draw = [], EpisodeSampler.draw
    monkeypatch.setattr(EpisodeSampler, "draw", lambda *args: seen.append(draw(*args)) or seen[-1])
    multiclass.meta(n_shots=2, stratify_shots=stratify, early_stopping=True).fit(multiclass.tasks)
    for support, _ in seen:
        n_rows = support.weight.sum(axis=1)
        assert (n_rows > 2).any() if stratify is True else (n_rows == 2).all()


def test_wrong_ways_to_stratify_are_named(multiclass, regression):
    X, y, groups = multiclass.rows
    with pytest.raises(ValueError, match="stratify_shots=True is for classifiers"):
        regression.meta(stratify_shots=True).fit(regression.tasks)
    own = replace(multiclass.tasks, shared_labels=False)
    meta = multiclass.meta(shared_labels="auto", stratify_shots=False)
    with pytest.raises(ValueError, match="stratify_shots is False, but tasks have classes of"):
        meta.fit(own)
    blocks = np.zeros(len(X))
    blocks[: len(X) // 2] = 1
    with pytest.raises(ValueError, match="has rows of several classes, so that shots cannot be"):
        multiclass.meta(stratify_shots=True).fit(X, y, groups, blocks)
    assert not hasattr(meta, "classes_")


def test_few_rows_of_many_classes_are_no_news():
    """scikit-learn would say that they look like numbers."""
    rng = np.random.RandomState(0)
    X, y, groups = rng.normal(size=(240, 2)), np.tile(np.arange(30), 8), np.repeat([0, 1], 120)
    mlp = MLPClassifier(hidden_layer_sizes=(4,))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        meta = MetaLearner(mlp, max_iter=1, early_stopping=False, random_state=0).fit(X, y, groups)
        few = X[:25], y[:25]
        assert len(meta.fit_adapt(*few).predict(X)) == len(X)
        assert len(meta.adapt(*few).predict(X)) == len(X)
        assert meta.score(*few) >= 0
        assert meta.learner_.fit(*few).score(*few) >= 0
    with pytest.raises(ValueError, match="Unknown label type: continuous"):
        meta.fit_adapt(X[:25], X[:25, 0])
