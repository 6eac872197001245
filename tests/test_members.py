"""Several networks on folds of the tasks, merged into one."""

import pickle

import numpy as np
import pytest
from helpers import interrupted_fit
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.neural_network import MLPClassifier, MLPRegressor

from sklearn_meta import MetaLearner, _meta_training
from sklearn_meta._members import SHARES, network_of
from sklearn_meta.algorithms import BayesianHead
from sklearn_meta.datasets import Sinusoids
from sklearn_meta.tasks import TaskBatch

SEVERAL = {"n_members": 3, "validation_interval": 5, "n_iter_no_change": 100}


def predict(model, X, groups=None):
    method = getattr(model, "predict_proba", model.predict)
    return method(X) if groups is None else method(X, groups)


def members_of(meta):
    """(network, params) of each member, as it was kept."""
    network = meta._served.learned.encoder.network
    kept = [progress.early_stopping.best for progress in meta._training.progress]
    return [(network_of(network, params), params.astype(float)) for params in kept]


@pytest.fixture
def trainers(monkeypatch):
    """Those that are set up, as they come."""
    seen, trainer = [], _meta_training.Trainer

    def noting(*args, **kwargs):
        seen.append(trainer(*args, **kwargs))
        return seen[-1]

    monkeypatch.setattr(_meta_training, "Trainer", noting)
    return seen


def test_each_member_has_another_fold_held_out(regression, trainers):
    regression.meta(**SEVERAL).fit(regression.tasks)
    assert len(trainers) == 6  # three networks, and as many linear ones
    folds = [set(range(12)) - set(each.stream.tasks.tolist()) for each in trainers]
    assert sorted(set.union(*folds[:3])) == list(range(12))
    assert [len(fold) for fold in folds] == [4] * 6
    assert folds[3:] == folds[:3]
    assert [each.network.n_layers for each in trainers] == [2] * 3 + [1] * 3
    first = trainers[0].start.vector
    assert not np.array_equal(first, trainers[1].start.vector)


def test_the_prior_is_the_mean_of_the_members_and_their_covariance(regression):
    """Of functions: each member's is Gaussian, with a mean and a kernel of its own."""
    meta = regression.meta(**SEVERAL).fit(regression.tasks)
    learned, (X, _) = meta._served.learned, regression.new
    X, share = learned.encoder.features.transform(X)[None], learned.share
    weights = np.repeat([1 - share, share], 3) / 3
    head = BayesianHead()
    parts = [head._whiten(*member, X, None) for member in members_of(meta)]
    merged = head._whiten(learned.network, learned.params, X, None)
    mean = sum(w * part.base for w, part in zip(weights, parts, strict=True))
    kernel = sum(w * part.scaled @ part.scaled.mT for w, part in zip(weights, parts, strict=True))
    assert_allclose(merged.base, mean, rtol=1e-10, atol=1e-12)
    assert_allclose(merged.scaled @ merged.scaled.mT, kernel, rtol=1e-10)


@pytest.mark.parametrize("kind", ["linear", "bent"])
def test_held_out_tasks_say_how_much_the_linear_members_count(kind, trainers):
    rng = np.random.RandomState(0)
    groups, X = np.repeat(np.arange(40), 12), rng.standard_normal((480, 3))
    own = rng.standard_normal((40, 3))[groups]
    bend = X if kind == "linear" else np.abs(X) * 2
    y = (bend * (own + np.arange(1, 4))).sum(axis=1) + rng.standard_normal(480)
    mlp = MLPRegressor(hidden_layer_sizes=(16,))
    meta = MetaLearner(mlp, max_iter=200, n_members=3, random_state=0).fit(X, y, groups)
    share = meta._served.learned.share
    assert share >= 0.4 if kind == "linear" else share <= 0.2, share
    head, losses = BayesianHead(), []
    for each in SHARES:
        loss = []
        for fold in range(3):
            pair = [members_of(meta)[fold], members_of(meta)[fold + 3]]
            network, params = head.merge(pair, [1 - each, each])
            support, query = (
                TaskBatch(*(part.astype(float) for part in batch[:3]))
                for batch in trainers[fold].validation
            )
            z = head.learn(network, params, support).outputs(network, query.X)
            loss.append(((z - query.y) ** 2)[query.weight > 0].mean())
        losses.append(np.mean(loss))
    assert share == SHARES[np.argmin(losses)]


def test_what_is_exported_predicts_the_same(problem):
    meta = problem.meta(**SEVERAL).fit(problem.tasks)
    X, y = problem.new
    adapted = meta.adapt(X[:6], y[:6])
    assert type(adapted) is type(problem.estimator)
    assert_allclose(predict(adapted, X), predict(meta.fit_adapt(X[:6], y[:6]), X), atol=1e-9)
    share = meta._served.learned.share
    width = 3 * 8 + 2 * 3 * (share > 0)  # features, and inputs as relu(x) and relu(-x)
    assert share == 1 or adapted.hidden_layer_sizes == (width,)
    others = adapted.get_params() | {"hidden_layer_sizes": (8,)}
    assert others == problem.estimator.get_params()
    if problem.tasks.shared_labels:
        prior = predict(meta.fit_adapt(X[:0], y[:0]), X)
        assert_allclose(predict(meta.estimator_, X), prior, atol=1e-9)


@pytest.mark.parametrize("activation", ["tanh", "identity"])
def test_networks_that_cannot_pass_inputs_on_have_no_linear_member(regression, activation):
    """And linear ones need none beside them."""
    meta = regression.meta(**SEVERAL).set_params(estimator__activation=activation)
    meta.fit(regression.tasks)
    assert len(meta._training.progress) == (3 if activation == "tanh" else 6)
    X, y = regression.new
    expected = meta.fit_adapt(X[:5], y[:5]).predict(X)
    assert_allclose(meta.adapt(X[:5], y[:5]).predict(X), expected, rtol=1e-9)


def test_without_a_linear_member(regression):
    meta = regression.meta(BayesianHead(linear_member=False), **SEVERAL).fit(regression.tasks)
    assert len(meta._training.progress) == 3
    assert meta._served.learned.share == 0


def test_curves_are_means_over_members(regression, trainers):
    meta = regression.meta(**SEVERAL, max_iter=20).fit(regression.tasks)
    curves = [trainer.loss_curve for trainer in trainers[:3]]
    assert_allclose(meta.loss_curve_, np.mean(curves, axis=0))
    scores = [trainer.early_stopping.scores for trainer in trainers[:3]]
    assert_allclose(meta.validation_scores_, np.mean(scores, axis=0))
    assert meta.best_iter_ == max(trainer.best_iter for trainer in trainers[:3])
    assert meta.n_iter_ == 20


def test_a_member_that_has_stopped_stays_at_what_is_kept(regression, trainers):
    options = SEVERAL | {"n_iter_no_change": 2, "max_iter": 200, "meta_lr": 0.05}
    meta = regression.meta(**options).fit(regression.tasks)
    lengths = [len(trainer.loss_curve) for trainer in trainers[:3]]
    assert len(set(lengths)) > 1
    assert len(meta.loss_curve_) == meta.n_iter_ == max(lengths)
    last = int(np.argmax(lengths))
    stops = [trainer.early_stopping for trainer in trainers[:3]]
    ends = [s.scores[-1] if i == last else s.best_score for i, s in enumerate(stops)]
    assert meta.validation_scores_[-1] == pytest.approx(np.mean(ends))


def assert_same(found, expected, problem):
    assert found.loss_curve_ == expected.loss_curve_
    assert found.validation_scores_ == expected.validation_scores_
    rows = problem.tasks.X, problem.tasks.groups
    assert_array_equal(predict(found, *rows), predict(expected, *rows))


def test_twice_ten_meta_steps_are_twenty(problem):
    whole = problem.meta(**SEVERAL, max_iter=20).fit(problem.tasks)
    half = problem.meta(**SEVERAL, max_iter=10, warm_start=True).fit(problem.tasks)
    assert_same(pickle.loads(pickle.dumps(half)).fit(problem.tasks), whole, problem)


def test_a_checkpoint_goes_on_to_the_same_bits(regression, tmp_path, monkeypatch):
    whole = regression.meta(**SEVERAL, max_iter=30).fit(regression.tasks)
    meta = regression.meta(**SEVERAL, max_iter=30, checkpoint=tmp_path)
    interrupted_fit(meta, regression.tasks, monkeypatch, n_evaluations=3)
    assert_same(meta.fit(regression.tasks), whole, regression)


def test_partial_fit_moves_every_member(regression):
    meta = regression.meta(**SEVERAL).fit(regression.tasks)
    share, before = meta._served.learned.share, members_of(meta)
    again = pickle.loads(pickle.dumps(meta))
    meta.partial_fit(regression.tasks)
    assert meta._served.learned.share == share
    after = [progress.state.params for progress in meta._training.progress]
    assert len(after) == 6
    for (_, old), new in zip(before, after, strict=True):
        assert 0 < np.abs(old.vector - new.vector).max() < 0.1
    rows = regression.tasks.X, regression.tasks.groups
    assert_array_equal(again.partial_fit(regression.tasks).predict(*rows), meta.predict(*rows))


@pytest.mark.parametrize(("before", "after"), [(1, 3), (3, 1), (3, 2)])
def test_a_warm_start_with_another_number_of_members(regression, before, after):
    options = SEVERAL | {"n_members": before, "warm_start": True, "meta_lr": 1e-12}
    meta = regression.meta(**options).fit(regression.tasks)
    X = regression.new[0]
    prior = meta.estimator_.predict(X)
    meta.set_params(n_members=after).fit(regression.tasks)
    assert meta.n_iter_ == 40
    if before == 1:  # all go on from the one; the linear ones, which begin anew, apart
        expected = (1 - meta._served.learned.share) * prior
        assert meta._served.learned.share > 0 or np.allclose(meta.estimator_.predict(X), expected)


class Stops(BayesianHead):
    def __init__(self, *, init_precision=10.0, linear_member=True, in_step=None):
        super().__init__(init_precision=init_precision, linear_member=linear_member)
        self.in_step = in_step

    def meta_gradient(self, *args):
        self.n_steps = getattr(self, "n_steps", 0) + 1
        if self.n_steps == self.in_step:
            raise KeyboardInterrupt
        return super().meta_gradient(*args)


def test_an_interrupted_fit_keeps_what_each_member_did_best(regression):
    """In the third round of evaluations: members share the algorithm, whose steps are counted."""
    meta = regression.meta(Stops(in_step=2 * 30 + 12), **SEVERAL, max_iter=50)
    with pytest.warns(UserWarning, match="meta-training was interrupted: the parameters after"):
        meta.fit(regression.tasks)
    whole = regression.meta(**SEVERAL, max_iter=50).fit(regression.tasks)
    assert meta.validation_scores_ == whole.validation_scores_[:2]
    assert len(meta.tasks_) == 12


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"algorithm": "maml"}, r"n_members=3 networks .* MAML\(\) cannot be merged"),
        ({"early_stopping": False}, "early_stopping=False holds no tasks out"),
        ({"estimator__hidden_layer_sizes": ()}, "without hidden layers"),
    ],
)
def test_what_stands_in_the_way_is_named(regression, options, match):
    meta = regression.meta(**SEVERAL).set_params(**options)
    with pytest.raises(ValueError, match=match):
        meta.fit(regression.tasks)
    meta.set_params(n_members="auto", max_iter=2).fit(regression.tasks)
    assert len(meta._training.progress) == 1


def test_a_distribution_has_no_folds(regression):
    with pytest.raises(ValueError, match="a task distribution has no folds"):
        regression.meta(**SEVERAL).fit(Sinusoids(n_rows=8))


@pytest.mark.parametrize(("n_tasks", "n_members"), [(12, 5), (7, 3), (4, 2), (3, 1), (1, 1)])
def test_few_tasks_have_fewer_folds(regression, n_tasks, n_members):
    meta = regression.meta(n_members="auto", max_iter=2)
    tasks = regression.tasks[:n_tasks]
    meta.fit(tasks)
    assert len(meta._training.progress) == (2 * n_members if n_members > 1 else 1)


@pytest.mark.parametrize("scale", [1, 1e6])
def test_numbers_beyond_single_precision_are_trained_on_in_double(regression, scale):
    X, y, groups = regression.rows
    meta = regression.meta(**SEVERAL, standardize=False, meta_lr=1e-6).fit(X * scale, y, groups)
    dtype = meta._training.progress[0].state.params.vector.dtype
    assert dtype == (np.float32 if scale == 1 else np.float64)
    assert meta._served.learned.params.vector.dtype == np.float64


def test_classes_that_the_first_rows_lack():
    """Members see different tasks, some of which have no row of a class."""
    rng = np.random.RandomState(0)
    y = np.repeat(["a", "b", "c"], [80, 70, 10])
    groups, X = np.tile(np.arange(16), 10), rng.standard_normal((160, 2))
    meta = MetaLearner(MLPClassifier(hidden_layer_sizes=(8,)), max_iter=10, random_state=0)
    meta.fit(X, y, groups)
    assert_array_equal(meta.classes_, ["a", "b", "c"])
    assert_allclose(meta.predict_proba(X, groups).sum(axis=1), 1)
