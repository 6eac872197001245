"""How training ends, what is kept then, and what is said of it."""

import multiprocessing
import os
import pickle
import re
import signal
import warnings

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPRegressor

from sklearn_meta import MetaLearner, TaskCollection
from sklearn_meta.algorithms import MAML, BayesianHead, Joint
from sklearn_meta.datasets import load_countries
from sklearn_meta.training import EarlyStopping

FORK = multiprocessing.get_context("fork")
IMPROVING = r"max_iter=\d+ ended meta-training while it was still improving"


@pytest.fixture
def evaluated(monkeypatch):
    """Parameters of every evaluation, by the number of meta-steps."""
    seen, update = {}, EarlyStopping.update

    def noting(stopping, score, n_iter, params):
        seen[n_iter] = params.vector.copy()
        update(stopping, score, n_iter, params)

    monkeypatch.setattr(EarlyStopping, "update", noting)
    return seen


class Stops(BayesianHead):
    """Somebody presses Ctrl-C in a meta-step, or as a task is learned."""

    def __init__(self, *, in_step=None, in_learning=None):
        super().__init__()
        self.in_step, self.in_learning = in_step, in_learning
        self.n_steps = self.n_learned = 0

    def meta_gradient(self, *args):
        self.n_steps += 1
        if self.n_steps == self.in_step:
            raise KeyboardInterrupt
        return super().meta_gradient(*args)

    def learn(self, *args):
        self.n_learned += 1
        if self.n_learned == self.in_learning:
            raise KeyboardInterrupt
        return super().learn(*args)


def test_an_interrupted_fit_keeps_the_best(regression, evaluated):
    whole = regression.meta(max_iter=60, validation_interval=10).fit(regression.tasks)
    at_best, scores = dict(evaluated), whole.validation_scores_
    meta = regression.meta(Stops(in_step=37), max_iter=60, validation_interval=10)
    match = r"meta-training was interrupted: the parameters after meta-step \d+ of 36 are kept$"
    with pytest.warns(UserWarning, match=match):
        meta.fit(regression.tasks)
    assert meta.validation_scores_ == scores[:3]
    assert meta.best_iter_ == 10 * (1 + int(np.argmax(scores[:3])))
    found, kept = meta._served.learned.params, at_best[meta.best_iter_]
    n_trained = found.layout.slices["log_noise"].start  # the noise is found once that is over
    assert_array_equal(found.vector[:n_trained], kept[:n_trained])
    assert len(meta.tasks_) == len(regression.tasks)
    assert np.isfinite(meta.predict(regression.tasks.X, regression.tasks.groups)).all()


def test_interrupted_before_any_evaluation_the_last_parameters_are_kept(regression):
    meta = regression.meta(Stops(in_step=8), max_iter=60)
    with pytest.warns(UserWarning, match="after meta-step 7 of 7 are kept"):
        meta.fit(regression.tasks)
    assert meta.n_iter_ == meta.best_iter_ == 7
    plain = regression.meta(max_iter=7, early_stopping=False, validation_fraction=0.1)
    assert meta.n_iter_ == plain.fit(regression.tasks).n_iter_


def test_interrupted_before_the_first_meta_step_there_is_nothing_to_keep(regression):
    meta = regression.meta(Stops(in_step=1))
    before = dict(vars(meta))
    with pytest.raises(KeyboardInterrupt):
        meta.fit(regression.tasks)
    assert vars(meta) == before


def test_interrupted_as_the_training_tasks_are_adapted(regression):
    """Two evaluations learn the validation tasks, then the prior of the noise is found."""
    n_learned = []

    class Counts(Stops):
        def learn(self, *args):
            n_learned.append(1)
            return super().learn(*args)

    expected = regression.meta(Counts(), max_iter=20).fit(regression.tasks)
    meta = regression.meta(Stops(in_learning=len(n_learned)), max_iter=20)
    with pytest.warns(UserWarning, match="training tasks were not adapted: it was interrupted"):
        meta.fit(regression.tasks)
    assert len(meta.tasks_) == 0
    X, y = regression.new
    for each in (meta, expected):
        each.fit_adapt(X[:4], y[:4])
    assert_array_equal(meta.predict(X), expected.predict(X))


def test_an_interrupted_fit_can_be_gone_on_with(regression, tmp_path):
    """Its 37th meta-step is the 7th after the evaluation from which it goes on."""
    expected = regression.meta(max_iter=60, validation_interval=10).fit(regression.tasks)
    meta = regression.meta(Stops(in_step=37), max_iter=60, validation_interval=10)
    meta.set_params(checkpoint=tmp_path)
    with pytest.warns(UserWarning, match="and the checkpoint can be gone on with"):
        meta.fit(regression.tasks)
    meta.fit(regression.tasks)
    assert meta.loss_curve_ == expected.loss_curve_


def fit_until_interrupted(meta, tasks, path):
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        meta.fit(tasks)
    said = [str(warning.message) for warning in caught]
    params = meta._served.learned.params.vector
    path.write_bytes(pickle.dumps((params, meta.best_iter_, meta.validation_scores_, said)))


@pytest.mark.parametrize("name", ["bayesian_head", "maml"])
@pytest.mark.parametrize("problem", ["regression", "multiclass"], indirect=True)
def test_a_real_ctrl_c_at_random_moments(problem, name, tmp_path, evaluated):
    """The process goes on, with the parameters that did best until then, to the bit."""
    options = {"max_iter": 10**6, "validation_interval": 5, "n_iter_no_change": 10**6}
    meta, rng = problem.meta(name, **options), np.random.RandomState(0)
    children, n_interrupted = [], 0
    for number, seconds in enumerate(rng.uniform(0.3, 0.8, 3)):
        path = tmp_path / f"{number}"
        child = FORK.Process(target=fit_until_interrupted, args=(meta, problem.tasks, path))
        child.start()
        child.join(seconds)
        os.kill(child.pid, signal.SIGINT)
        children.append((child, path))
    found = []
    for child, path in children:
        child.join(60)
        if child.exitcode == 0:  # else before there was anything to keep
            found.append(pickle.loads(path.read_bytes()))
    assert found
    longest = max(len(scores) for *_, scores, _ in found)
    evaluated.clear()
    reference = problem.meta(name, **options | {"max_iter": 5 * longest}).fit(problem.tasks)
    for vector, best_iter, scores, said in found:
        n_interrupted += any("interrupted" in text for text in said)
        assert scores == reference.validation_scores_[: len(scores)]
        if scores:
            n_trained = reference._served.learned.encoder.network.layout.size
            assert_array_equal(vector[:n_trained], evaluated[best_iter][:n_trained])
    assert n_interrupted > 0


def test_verbose_says_why_training_ended_and_what_was_kept(regression, capsys):
    meta = regression.meta(max_iter=20, validation_interval=10, verbose=True)
    meta.fit(regression.tasks)
    first, second, last = capsys.readouterr().out.splitlines()
    loss, score = meta.loss_curve_[9], meta.validation_scores_[0]
    line = re.escape(f"Meta-step 10, loss {loss:.6f}, validation score {score:.6f}, ")
    assert re.fullmatch(line + r"\d+\.\d s", first)
    assert second.startswith("Meta-step 20, loss ")
    ending = r"Training ended after meta-step 20, \d+\.\d s: max_iter meta-steps were taken\. "
    assert re.fullmatch(ending + rf"Kept: meta-step {meta.best_iter_}", last)


ENDINGS = {
    "early stopping": (
        {"tol": 1e9, "n_iter_no_change": 2},
        "2 evaluations brought no improvement by tol=1e+09",
    ),
    "interruption": ({"algorithm": Stops(in_step=37)}, "it was interrupted"),
    "divergence": (
        {"algorithm": "joint", "meta_lr": 1e200, "early_stopping": False, "max_iter": 200},
        "20 meta-steps in a row were not finite, however slow",
    ),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_every_ending_is_told(regression, capsys, ending):
    params, why = ENDINGS[ending]
    params = {"max_iter": 60, "validation_interval": 10, "verbose": True} | params
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        regression.meta(**params).fit(regression.tasks)
    assert f" s: {why}. Kept: meta-step " in capsys.readouterr().out


def linear_tasks():
    """Slopes that vary: what 300 meta-steps of the linear model are too few for."""
    rng = np.random.RandomState(0)
    groups = np.repeat(np.arange(60), 10)
    X = rng.standard_normal((600, 5))
    slopes = 3 + rng.standard_normal((60, 5))
    y = (X * slopes[groups]).sum(axis=1) + 0.3 * rng.standard_normal(600)
    return TaskCollection.from_arrays(X, y, groups)


def test_training_that_ends_too_soon_says_so():
    meta = MetaLearner(MLPRegressor(hidden_layer_sizes=()), random_state=0, max_iter=300)
    with pytest.warns(ConvergenceWarning, match=IMPROVING + ".*Train longer"):
        meta.fit(linear_tasks())
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=IMPROVING)
        meta.set_params(max_iter=3000, meta_lr=0.01).fit(linear_tasks())
    assert (
        meta.n_iter_ < 3000 or not meta.validation_scores_[-1] > meta.validation_scores_[-5] * 0.9
    )


def test_the_mean_of_useless_training_is_said_and_nothing_else(regression):
    meta = regression.meta(max_iter=100, meta_lr=1e-7, validation_interval=10)
    meta.set_params(algorithm=Joint(), normalize_y=False)
    with pytest.warns(ConvergenceWarning) as caught:
        meta.fit(regression.tasks)
    assert [str(warning.message)[:31] for warning in caught] == ["the loss on the validation task"]


def test_early_stopping_that_ends_training_is_silent(regression):
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=IMPROVING)
        meta = regression.meta(max_iter=3000, tol=0.1, n_iter_no_change=3).fit(regression.tasks)
    assert meta.n_iter_ < 3000


class Breaks(Joint):
    """Its loss is not finite from some meta-step on."""

    def __init__(self, *, after=0, value=np.nan):
        super().__init__()
        self.after, self.value, self.n_steps = after, value, 0

    def meta_gradient(self, network, params, support, query):
        self.n_steps += 1
        loss, gradient = super().meta_gradient(network, params, support, query)
        return (loss, gradient) if self.n_steps <= self.after else (self.value, gradient)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_training_that_diverges_keeps_the_best_until_then(regression, value, evaluated):
    expected = regression.meta("joint", max_iter=40, validation_interval=10)
    expected.fit(regression.tasks)
    meta = regression.meta(Breaks(after=40, value=value), max_iter=500, validation_interval=10)
    meta.set_params(n_iter_no_change=100)
    match = (
        r"meta-training diverged, and the parameters after meta-step \d+ of 160 are kept: 120 of "
        r"160 meta-steps were not finite.*Lower meta_lr \(now 2e-08\)"
    )
    with pytest.warns(ConvergenceWarning, match=match):
        meta.fit(regression.tasks)
    assert meta.best_iter_ == expected.best_iter_
    assert np.isnan(meta.loss_curve_).sum() == 120
    X = regression.tasks.X
    assert_array_equal(meta.predict(X), expected.predict(X))


@pytest.mark.parametrize(("algorithm", "meta_lr"), [("bayesian_head", 1.0), ("maml", 100.0)])
def test_a_rate_that_is_too_high_is_lowered(regression, algorithm, meta_lr):
    meta = regression.meta(algorithm, meta_lr=meta_lr, max_iter=400)
    match = r"meta-training diverged, and went on from what had done best with meta_lr lowered to"
    with pytest.warns(ConvergenceWarning, match=match):
        meta.fit(regression.tasks)
    assert meta._training.progress[0].state.optimizer.learning_rate < meta_lr
    assert meta.validation_scores_[meta.best_iter_ // 50 - 1] > -2


@pytest.mark.parametrize("early_stopping", [True, False])
def test_only_training_that_never_was_finite_raises(regression, early_stopping):
    meta = regression.meta(Breaks(), max_iter=500, early_stopping=early_stopping)
    before = dict(vars(meta))
    match = r"meta-training diverged: 120 of 120 meta-steps were not finite, and so were skipped"
    with pytest.raises(ValueError, match=match):
        meta.fit(regression.tasks)
    assert vars(meta) == before


def test_the_advice_is_of_parameters_that_there_are(regression):
    X, y, groups = regression.rows
    for algorithm, advice in {
        MAML(inner_lr=1e9): r"Lower meta_lr \(now .*\) or the inner_lr of MAML\(.*\), or scale",
        BayesianHead(): r"Lower meta_lr \(now [^)]*\), or scale",  # it has no inner rate
    }.items():
        meta = regression.meta(algorithm, standardize=False, max_iter=60)
        with pytest.raises(ValueError, match=advice):
            meta.fit(1e150 * X, y, groups)


def test_a_meta_step_that_partial_fit_had_to_skip_is_warned_of(regression):
    meta = regression.meta().partial_fit(regression.tasks)
    before = meta._served.learned.params.vector.copy()
    meta.set_params(algorithm=BayesianHead(init_precision=1.0))
    wild = TaskCollection(
        regression.tasks.X * 1e200,
        *(getattr(regression.tasks, n) for n in ("y", "offsets")),
        regression.tasks.task_ids,
    )
    with pytest.warns(ConvergenceWarning, match="the meta-step was skipped, its loss or gradient"):
        meta.set_params(adapt_training_tasks=False).partial_fit(wild)
    assert np.isnan(meta.loss_curve_[-1])
    n_network = meta._served.learned.encoder.network.layout.size
    assert_array_equal(meta._served.learned.params.vector[:n_network], before[:n_network])
    meta.partial_fit(regression.tasks)
    assert np.isfinite(meta.loss_curve_[-1])


def test_the_warning_points_at_the_users_line(regression):
    with pytest.warns(ConvergenceWarning, match=IMPROVING) as caught:
        MetaLearner(MLPRegressor(hidden_layer_sizes=(8,)), max_iter=100, random_state=0).fit(
            load_countries()
        )
    assert {warning.filename for warning in caught} == {__file__}


class TakesFew(BayesianHead):
    """Learns from 10 rows of a task at most."""

    most_rows = 10


def test_a_training_task_that_is_too_large_costs_no_other(regression):
    sizes, ids = regression.tasks.sizes, regression.tasks.task_ids
    assert 0 < np.sum(sizes > 10) < len(sizes)
    meta = regression.meta(TakesFew())
    match = (
        r"the training tasks \['t\d\d', .*\] were not adapted: TakesFew\(\) learns a task from 10"
    )
    with pytest.warns(UserWarning, match=match):
        meta.fit(regression.tasks)
    assert meta.tasks_.tolist() == ids[sizes <= 10].tolist()
    X, y = regression.tasks[int(np.argmax(sizes))]
    with pytest.raises(ValueError, match=r"adaptation of task 'big' has 14 rows.*pass fewer rows"):
        meta.fit_adapt(X, y, ["big"] * len(y))
    meta.fit_adapt(X[:10], y[:10], ["big"] * 10)


def test_training_tasks_that_are_all_too_large_cost_nothing_that_was_learned(regression):
    tasks = regression.tasks[np.flatnonzero(regression.tasks.sizes > 10)]
    meta = regression.meta(TakesFew())
    with pytest.warns(UserWarning, match=r"fit is done, but the training tasks.*has \d+ rows"):
        meta.fit(tasks)
    assert len(meta.tasks_) == 0
    assert np.isfinite(meta.predict(tasks.X)).all()
