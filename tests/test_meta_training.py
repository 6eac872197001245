"""What training starts from: nothing, an earlier fit, or the same one."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from sklearn_meta.datasets import Sinusoids

FIT = {"validation_interval": 5, "n_iter_no_change": 100, "warm_start": True}


def assert_same_training(found, expected):
    assert found.loss_curve_ == expected.loss_curve_
    assert found.validation_scores_ == expected.validation_scores_
    assert (found.n_iter_, found.best_iter_) == (expected.n_iter_, expected.best_iter_)
    assert_array_equal(found._served.learned.params.vector, expected._served.learned.params.vector)


def test_twice_ten_meta_steps_are_twenty(problem, algorithm):
    """Of a pickle, too; every algorithm."""
    whole = problem.meta(algorithm, max_iter=20, **FIT).fit(problem.tasks)
    half = problem.meta(algorithm, max_iter=10, **FIT).fit(problem.tasks)
    again = pickle.loads(pickle.dumps(half)).fit(problem.tasks)
    assert_same_training(again, whole)
    assert_same_training(half.fit(problem.tasks), whole)
    rows = problem.tasks.X, problem.tasks.groups
    assert_array_equal(half.predict(*rows), whole.predict(*rows))


@pytest.mark.parametrize("early_stopping", [True, False])
@pytest.mark.parametrize("seed", [0, None, np.random.RandomState(3)])
def test_whatever_the_random_state(regression, seed, early_stopping):
    """What is drawn at the start is drawn once, whatever it is drawn from."""
    options = FIT | {"early_stopping": early_stopping}
    half = regression.meta(max_iter=10, **options, random_state=seed).fit(regression.tasks)
    whole = pickle.loads(pickle.dumps(half)).set_params(max_iter=30).fit(regression.tasks)
    for _ in range(3):
        half.fit(regression.tasks)
    assert_same_training(half, whole)


def test_the_same_rows_in_another_form_are_the_same_tasks(regression):
    X, y, groups = regression.rows
    whole = regression.meta(max_iter=20, **FIT).fit(regression.tasks)
    half = regression.meta(max_iter=10, **FIT).fit(regression.tasks)
    assert_same_training(half.fit(X.tolist(), y, groups), whole)


class Noting(Sinusoids):
    """Notes the first number of each of the tasks that it gives."""

    def sample(self, n_tasks, random_state=None):
        tasks = super().sample(n_tasks, random_state)
        self.seen.append(tasks.X[0, 0])
        return tasks


def test_a_distribution_does_not_draw_the_same_tasks_again(regression):
    tasks = Noting(n_rows=8)
    whole = regression.meta(max_iter=200, meta_batch_size=2, **FIT)
    tasks.seen = []
    whole.fit(tasks)
    drawn = list(tasks.seen)
    half = regression.meta(max_iter=100, meta_batch_size=2, **FIT)
    tasks.seen = []
    half.fit(tasks).fit(tasks)
    assert_same_training(half, whole)
    assert set(tasks.seen) == set(drawn)
    assert len(set(drawn)) > 3  # a sample to begin with, and blocks of 64 episodes


def test_with_other_tasks_it_goes_on_from_what_was_kept(regression):
    """Judged anew: that the earlier validation tasks did well is of no account."""
    meta = regression.meta(max_iter=30, **FIT).fit(regression.tasks)
    n_steps = meta._training.progress[0].state.optimizer.n_steps
    kept = meta._served.learned.params.vector.copy()
    meta.set_params(max_iter=5, meta_lr=1e-12)
    meta.fit(regression.tasks[:9])
    assert len(meta.validation_scores_) == 1
    assert len(meta.loss_curve_) == meta.n_iter_ == 35
    assert meta._training.progress[0].state.optimizer.n_steps == n_steps + 5
    n_network = meta._served.learned.encoder.network.layout.size
    assert_allclose(meta._served.learned.params.vector[:n_network], kept[:n_network], atol=1e-9)


def test_other_parameters_count_at_once(regression):
    meta = regression.meta(max_iter=10, **FIT).fit(regression.tasks)
    before = meta._served.learned.params.vector.copy()
    meta.set_params(meta_lr=1e-15, early_stopping=False).fit(regression.tasks)
    assert meta._training.progress[0].state.optimizer.learning_rate == 1e-15
    n_network = meta._served.learned.encoder.network.layout.size
    assert_allclose(meta._served.learned.params.vector[:n_network], before[:n_network], atol=1e-9)
    assert meta.validation_scores_ is None


def test_training_that_has_stopped_is_patient_again(regression):
    options = FIT | {"n_iter_no_change": 2, "tol": 1e9}
    meta = regression.meta(max_iter=100, **options).fit(regression.tasks)
    assert meta.n_iter_ == 15
    assert meta.fit(regression.tasks).n_iter_ == 25


def test_partial_fit_goes_on_from_what_was_kept(regression):
    """Not from where training was when it stopped."""
    meta = regression.meta(max_iter=40, meta_lr=0.3, **FIT).fit(regression.tasks)
    assert meta.best_iter_ < 40
    kept = meta._served.learned.params.vector.copy()
    meta.set_params(meta_lr=1e-12).partial_fit(regression.tasks)
    n_network = meta._served.learned.encoder.network.layout.size
    assert_allclose(meta._served.learned.params.vector[:n_network], kept[:n_network], atol=1e-9)
    meta.fit(regression.tasks)
    assert meta.n_iter_ == 81


def test_a_fit_that_fails_leaves_what_it_would_go_on_from(regression):
    meta = regression.meta(max_iter=10, **FIT).fit(regression.tasks)
    before = pickle.dumps(meta)
    bad = regression.tasks.X.copy()
    bad[0, 0] = np.inf
    with pytest.raises(ValueError, match="X"):
        meta.fit(bad, regression.tasks.y, regression.tasks.groups)
    with pytest.raises(ValueError, match=r"expects .*fit anew"):
        meta.set_params(estimator__hidden_layer_sizes=(9,)).fit(regression.tasks)
    meta.set_params(estimator__hidden_layer_sizes=(8,))
    assert pickle.dumps(meta) == before
