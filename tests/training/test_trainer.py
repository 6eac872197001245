import pickle

import numpy as np
import pytest
from helpers import cast, make_network, make_params, ragged_batch
from sklearn.linear_model import Ridge
from sklearn.neural_network._stochastic_optimizers import AdamOptimizer
from threadpoolctl import threadpool_info, threadpool_limits

from sklearn_meta._evaluation import mean_query_loss
from sklearn_meta._runtime import MANY_MULTIPLICATIONS
from sklearn_meta.algorithms import ALGORITHMS, MAML, BayesianHead, HeldOut, Joint
from sklearn_meta.datasets import Sinusoids
from sklearn_meta.network import Params
from sklearn_meta.tasks import TaskBatch
from sklearn_meta.tasks._batch import TaskArrays
from sklearn_meta.tasks._episodes import EpisodeSampler
from sklearn_meta.tasks._streams import CollectionStream, DistributionStream
from sklearn_meta.training import EarlyStopping, Trainer, TrainingState
from sklearn_meta.training._state import AVERAGING
from sklearn_meta.training._trainer import MOST_RETREATS, MOST_SKIPPED, multiplications

every_algorithm = pytest.mark.parametrize("name", ALGORITHMS)


class Episodes:
    """A stream of random episodes of 3 ragged tasks, dealt two by two."""

    def __init__(self, network, dtype=np.float64):
        self.network, self.dtype = network, dtype

    def deal(self, random_state):
        return [self.draw(random_state), self.draw(random_state)]

    def episode(self, block, number):
        return block[number]

    def draw(self, random_state):
        return [
            cast(ragged_batch(random_state, self.network, sizes), self.dtype)
            for sizes in ((6, 3, 5), (4, 7, 2))
        ]


class Same:
    """A stream of the same episode again and again."""

    def __init__(self, *episode):
        self.same = episode

    def deal(self, random_state):
        return [None]

    def episode(self, block, number):
        return self.same


def start(algorithm, network, *, meta_lr=0.01, alpha=0.0, dtype=np.float64):
    params = make_params(algorithm, network, dtype=dtype)
    random_state = np.random.RandomState(0)
    return TrainingState.start(params, network, random_state, meta_lr=meta_lr, alpha=alpha)


def train(algorithm, network, state, stream, validation=None, **options):
    """A trainer that has done its work."""
    trainer = Trainer(algorithm, network, stream, validation, state, **options)
    for _ in trainer:
        pass
    return trainer


@every_algorithm
def test_a_step_is_adam_on_the_meta_gradient_and_the_decay(name):
    """scikit-learn's Adam, on what is measured in units of its own rate; L2 on the network's
    weights, neither biases nor what else is learned."""
    algorithm, network = ALGORITHMS[name](), make_network("squared_error")
    state, stream = start(algorithm, network, alpha=0.3), Episodes(network)
    params = Params(state.params.vector.copy(), state.params.layout)
    scale = np.ones_like(params.vector)
    for name, factor in params.layout.lr_scales.items():
        scale[params.layout.slices[name]] = factor
    scaled = params.vector / scale
    adam, average = AdamOptimizer([scaled], 0.01), params.vector.copy()
    for n in range(1, 30):
        support, query = stream.draw(state.random_state)
        loss, gradient = algorithm.meta_gradient(network, params, support, query)
        for i in range(3):
            params.layout.view(gradient, f"weights_{i}")[...] += 0.3 * params[f"weights_{i}"]
        adam.update_params([scaled], [gradient * scale])
        params.vector[:] = scaled * scale
        keep = min(AVERAGING, n / (n + 10))
        average = keep * average + (1 - keep) * params.vector
        found = state.step(algorithm, network, support, query)
        np.testing.assert_allclose(state.params.vector, params.vector, rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(state.averaged.vector, average, rtol=1e-10, atol=1e-12)
        assert found == pytest.approx(loss, rel=1e-10)
    assert state.n_iter == 29


def test_training_leaves_the_parameters_it_started_from():
    algorithm, network = BayesianHead(), make_network("squared_error")
    params = make_params(algorithm, network)
    before = params.vector.copy()
    random_state = np.random.RandomState(0)
    state = TrainingState.start(params, network, random_state, meta_lr=0.1, alpha=0.1)
    train(algorithm, network, state, Episodes(network), max_iter=3)
    np.testing.assert_array_equal(params.vector, before)
    assert np.any(state.params.vector != state.averaged.vector)


@every_algorithm
@pytest.mark.parametrize("case", ["squared_error", "softmax"])
def test_a_pickle_half_way_goes_on_to_the_bit(name, case):
    algorithm, network = ALGORITHMS[name](), make_network(case)
    stream = Episodes(network)
    options = {"validation": stream.draw(np.random.RandomState(1)), "validation_interval": 4}
    whole = train(
        algorithm,
        network,
        start(algorithm, network, alpha=0.1),
        stream,
        early_stopping=EarlyStopping(0.0, 100),
        max_iter=20,
        **options,
    )
    half = Trainer(
        algorithm,
        network,
        stream,
        state=start(algorithm, network, alpha=0.1),
        early_stopping=EarlyStopping(0.0, 100),
        max_iter=20,
        **options,
    )
    half.advance()
    half.advance()
    half.step(half.draw())  # in the middle of an interval, and of a block of episodes
    half = pickle.loads(pickle.dumps(half))
    reports = list(half)
    assert [report.n_iter for report in reports] == [12, 16, 20]
    np.testing.assert_array_equal(half.state.params.vector, whole.state.params.vector)
    np.testing.assert_array_equal(half.state.averaged.vector, whole.state.averaged.vector)
    np.testing.assert_array_equal(half.kept.vector, whole.kept.vector)
    assert half.loss_curve == whole.loss_curve
    assert half.early_stopping.scores == whole.early_stopping.scores
    assert half.state.n_iter == 20


def make_stream(kind):
    """Of tasks of their own each, from a collection or a distribution."""
    options = {"n_shots": 2, "n_query": None, "support_order": "random"}

    def sample(n_tasks, random_state):
        X = random_state.standard_normal((6 * n_tasks, 2))
        return TaskArrays(X, X.sum(axis=1)[:, None], np.arange(n_tasks + 1) * 6)

    if kind == "distribution":
        return DistributionStream(sample, options, 3)
    sampler = EpisodeSampler(sample(10, np.random.RandomState(0)), **options)
    return CollectionStream(sampler, np.arange(10), 3)


@pytest.mark.parametrize("kind", ["collection", "distribution"])
def test_what_was_dealt_ahead_goes_on_after_a_pickle(kind):
    network, ends = make_network("squared_error"), []
    for n_before in (0, 3, 70):  # within the first block, and within the second
        stream, state = make_stream(kind), start(Joint(), network)
        trainer = Trainer(Joint(), network, stream, None, state, max_iter=100)
        for _ in range(n_before):
            trainer.step(trainer.draw())
        parts = trainer.state, trainer.cursor, trainer.loss_curve
        state, cursor, loss_curve = pickle.loads(pickle.dumps(parts))
        later = Trainer(
            Joint(),
            network,
            stream,
            None,
            state,
            max_iter=100,
            cursor=cursor,
            loss_curve=loss_curve,
        )
        list(later)
        ends.append(later)
    for end in ends[1:]:
        assert end.loss_curve == ends[0].loss_curve
        np.testing.assert_array_equal(end.kept.vector, ends[0].kept.vector)


def test_a_copy_does_not_move_what_it_was_made_from():
    algorithm, network = Joint(), make_network("squared_error")
    state = start(algorithm, network)
    train(algorithm, network, state, Episodes(network), max_iter=2)
    before = pickle.dumps(state)
    train(algorithm, network, state.copy(), Episodes(network), max_iter=2)
    assert pickle.dumps(state) == before


def test_rebase_goes_on_from_the_given_parameters():
    algorithm, network = Joint(), make_network("squared_error")
    state = start(algorithm, network)
    params = make_params(algorithm, network, seed=5)
    state.rebase(params)
    np.testing.assert_array_equal(state.averaged.vector, params.vector)
    state.step(algorithm, network, *Episodes(network).draw(state.random_state))
    assert 0 < np.abs(state.params.vector - params.vector).max() <= 0.0101
    np.testing.assert_array_equal(params.vector, make_params(algorithm, network, seed=5).vector)


@every_algorithm
@pytest.mark.parametrize("case", ["squared_error", "poisson", "binary", "softmax"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtype_is_kept(name, case, dtype):
    algorithm, network = ALGORITHMS[name](), make_network(case)
    state, stream = start(algorithm, network, alpha=0.1, dtype=dtype), Episodes(network, dtype)
    validation = stream.draw(np.random.RandomState(1))
    stopping = EarlyStopping(0, 5)
    trainer = train(
        algorithm, network, state, stream, validation, early_stopping=stopping, max_iter=3
    )
    vectors = [trainer.kept.vector, state.params.vector, state.average, state.optimizer.first]
    assert {vector.dtype for vector in vectors} == {np.dtype(dtype)}


def linear_problem(rng, n_tasks=4, n_rows=10):
    X = rng.standard_normal((n_tasks, n_rows, 2))
    y = X @ np.array([[1.0], [-2.0]]) + 0.5 + 0.3 * rng.standard_normal((n_tasks, n_rows, 1))
    batch = TaskBatch(X, y, np.ones((n_tasks, n_rows)))
    return batch, batch._replace(X=X[:, :0], y=y[:, :0], weight=batch.weight[:, :0])


@pytest.mark.parametrize("alpha", [0.0, 0.4])
def test_training_a_linear_network_jointly_is_ridge_regression(alpha):
    batch, nothing = linear_problem(np.random.RandomState(0))
    network = make_network("squared_error", ())
    state = start(Joint(), network, meta_lr=0.02, alpha=alpha)
    kept = train(Joint(), network, state, Same(nothing, batch), max_iter=1500).kept
    # the mean over 40 rows has no factor 1/2, the penalty has
    ridge = Ridge(alpha=40 * alpha / 2).fit(batch.X.reshape(40, 2), batch.y.reshape(40))
    np.testing.assert_allclose(kept["weights_0"][:, 0], ridge.coef_, atol=1e-3)
    np.testing.assert_allclose(kept["bias_0"][0], ridge.intercept_, atol=1e-3)


def test_bayesian_head_learns_the_prior_that_made_the_tasks():
    """A mixed model's mean slopes, their variances, and the noise."""
    rng = np.random.RandomState(0)
    noise, mean, precision = 0.25, np.array([0.5, -1.0, 2.0]), np.array([0.5, 8.0, 2.0])
    W = mean + rng.standard_normal((3000, 3)) * np.sqrt(noise / precision)
    X = rng.standard_normal((3000, 10, 2))
    y = np.einsum("tnp,tp->tn", np.dstack([X, np.ones((3000, 10))]), W)[..., None]
    y += np.sqrt(noise) * rng.standard_normal(y.shape)
    weight = np.ones((3000, 10))
    parts = [TaskBatch(X[:, s], y[:, s], weight[:, s]) for s in (slice(2), slice(2, None))]
    algorithm, network = BayesianHead(), make_network("squared_error", ())
    state = start(algorithm, network, meta_lr=0.05)
    kept = train(algorithm, network, state, Same(*parts), max_iter=200).kept
    kept = algorithm.calibrate(network, kept, [HeldOut(network, kept, *parts)])
    np.testing.assert_allclose(np.append(kept["weights_0"], kept["bias_0"]), mean, atol=0.1)
    np.testing.assert_allclose(kept["log_precision"], np.log(precision), atol=0.3)
    np.testing.assert_allclose(np.exp(kept["log_noise"]), noise, rtol=0.06)


def test_the_kept_best_does_not_move_as_training_goes_on():
    batch, nothing = linear_problem(np.random.RandomState(0))
    network = make_network("squared_error", ())
    stopping, state = EarlyStopping(0.0, 100), start(Joint(), network)
    options = {"early_stopping": stopping, "max_iter": 10, "validation_interval": 5}
    trainer = Trainer(Joint(), network, Same(nothing, batch), (nothing, batch), state, **options)
    trainer.advance()
    kept = trainer.kept.vector.copy()
    state.average += 100
    state.params.vector[:] += 100
    trainer.advance()
    assert stopping.scores[1] < stopping.scores[0]
    np.testing.assert_array_equal(trainer.kept.vector, kept)
    assert trainer.best_iter == 5


def test_training_stops_early():
    batch, nothing = linear_problem(np.random.RandomState(0))
    network = make_network("squared_error", ())
    state, stopping = start(Joint(), network), EarlyStopping(1e9, 3)
    stream, validation = Same(nothing, batch), (nothing, batch)
    trainer = train(
        Joint(), network, state, stream, validation, early_stopping=stopping, max_iter=10_000
    )
    assert state.n_iter == 4 * 50
    assert len(stopping.scores) == 4
    assert trainer.kept is stopping.best
    best = mean_query_loss(Joint(), network, trainer.kept, nothing, batch)
    np.testing.assert_allclose(-stopping.best_score, best, rtol=1e-12)


@pytest.mark.parametrize("max_iter", [1, 19, 27])
def test_the_last_step_is_always_evaluated(max_iter):
    batch, nothing = linear_problem(np.random.RandomState(0))
    network = make_network("squared_error", ())
    state, stopping = start(Joint(), network), EarlyStopping(0.0, 100)
    train(
        Joint(),
        network,
        state,
        Same(nothing, batch),
        (nothing, batch),
        early_stopping=stopping,
        max_iter=max_iter,
        validation_interval=20,
    )
    assert state.n_iter == max_iter
    assert len(stopping.scores) == -(-max_iter // 20)


def test_a_report_says_the_loss_and_the_score():
    batch, nothing = linear_problem(np.random.RandomState(0))
    network = make_network("squared_error", ())
    state, stopping = start(Joint(), network), EarlyStopping(0.0, 100)
    stream, validation = Same(nothing, batch), (nothing, batch)
    trainer = Trainer(Joint(), network, stream, validation, state, stopping, max_iter=60)
    first, second = trainer
    loss, score = trainer.loss_curve[49], stopping.scores[0]
    assert str(first) == f"Meta-step 50, loss {loss:.6f}, validation score {score:.6f}"
    assert str(second).startswith("Meta-step 60, loss ")
    state = start(Joint(), network)
    (report,) = Trainer(Joint(), network, stream, validation, state, max_iter=50)
    assert report.score is None
    assert str(report) == f"Meta-step 50, loss {report.loss:.6f}"


def as_arrays(state):
    return [state.params.vector, state.average, state.optimizer.first, state.optimizer.second]


@pytest.mark.parametrize("wrong", [np.nan, np.inf, 1e200])
def test_a_meta_step_that_is_not_finite_is_skipped(wrong):
    network = make_network("squared_error", ())
    state, stream = start(Joint(), network, alpha=0.1), Episodes(network)
    support, query = stream.draw(np.random.RandomState(0))
    state.step(Joint(), network, support, query)
    before = [array.copy() for array in as_arrays(state)]
    loss = state.step(Joint(), network, support, query._replace(X=wrong * query.X))
    assert np.isnan(loss)
    assert (state.n_iter, state.optimizer.n_steps) == (2, 1)
    for array, earlier in zip(as_arrays(state), before, strict=True):
        np.testing.assert_array_equal(array, earlier)
    assert np.isfinite(state.step(Joint(), network, support, query))


class Gives(Joint):
    """A meta-gradient, whatever the episode."""

    def __init__(self, loss, gradient):
        super().__init__()
        self.loss, self.gradient = loss, gradient

    def meta_gradient(self, network, params, support, query):
        return self.loss, self.gradient.astype(params.vector.dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_gradient_that_is_not_finite_is_skipped_whatever_the_loss(dtype):
    network = make_network("squared_error", ())
    state = start(Joint(), network, dtype=dtype)
    gradient, episode = np.ones(network.layout.size), (None, None)
    gradient[1] = np.nan
    before = state.params.vector.copy()
    assert np.isnan(state.step(Gives(1.0, gradient), network, *episode))
    assert np.isnan(state.step(Gives(np.inf, np.ones_like(gradient)), network, *episode))
    np.testing.assert_array_equal(state.params.vector, before)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("length", [0.5, 2.0, 3.0, 1e25])
def test_a_gradient_that_is_too_long_is_shortened(dtype, length):
    """To the global norm, so that its direction stays; squares of 1e25 overflow in single."""
    network, rng = make_network("squared_error", ()), np.random.RandomState(0)
    direction = rng.standard_normal(network.layout.size)
    direction /= np.linalg.norm(direction)
    expected, found = start(Joint(), network, dtype=dtype), start(Joint(), network, dtype=dtype)
    found.max_grad_norm = 2.0
    for factor in (1.0, 0.1):
        short = min(2.0, factor * length)
        expected.step(Gives(1.0, short * direction), network, None, None)
        found.step(Gives(1.0, factor * length * direction), network, None, None)
    rtol = 1e-4 if dtype == np.float32 else 1e-9
    np.testing.assert_allclose(found.params.vector, expected.params.vector, rtol=rtol)
    np.testing.assert_allclose(found.optimizer.second, expected.optimizer.second, rtol=rtol)


def test_training_of_which_no_step_is_finite_ends():
    network = make_network("squared_error", ())
    algorithm, stream = MAML(inner_lr=1e200), Episodes(network)
    trainer = train(algorithm, network, start(algorithm, network), stream, max_iter=1000)
    assert trainer.has_diverged
    assert not trainer.has_learned
    assert trainer.n_skipped == len(trainer.loss_curve) == MOST_SKIPPED * (1 + MOST_RETREATS)


class Breaks(Same):
    """Episodes that are not finite from one on, for some time."""

    def __init__(self, episode, first, number):
        super().__init__(*episode)
        self.broken, self.n = range(first, first + number), 0

    def episode(self, block, number):
        support, query = self.same
        self.n += 1
        return support, query._replace(X=query.X * (np.nan if self.n in self.broken else 1))


def test_where_no_step_is_finite_training_goes_back_to_what_did_best_and_is_slower():
    """As if it were begun anew from there, with a tenth of the learning rate."""
    batch, nothing = linear_problem(np.random.RandomState(0))
    network, options = make_network("squared_error", ()), {"validation_interval": 10}
    stream = Breaks((nothing, batch), 31, MOST_SKIPPED)
    state, stopping = start(Joint(), network), EarlyStopping(0.0, 100)
    validation = (nothing, batch)
    trainer = Trainer(
        Joint(), network, stream, validation, state, stopping, max_iter=30 + MOST_SKIPPED, **options
    )
    for _ in range(3):
        trainer.advance()
    best = stopping.best.copy()
    assert stopping.best_iter == 30
    list(trainer)
    np.testing.assert_array_equal(state.params.vector, best.vector)
    assert state.n_retreats == 1
    trainer.max_iter += 20
    list(trainer)
    anew = start(Joint(), network, meta_lr=0.001)
    anew.rebase(best)
    train(Joint(), network, anew, Same(nothing, batch), max_iter=20)
    np.testing.assert_array_equal(state.params.vector, anew.params.vector)
    np.testing.assert_array_equal(state.average, anew.average)


def test_a_step_that_is_skipped_now_and_then_does_not_end_training():
    network = make_network("squared_error", ())
    support, query = Episodes(network).draw(np.random.RandomState(0))

    class Now(Same):
        def episode(self, block, number):
            self.n = getattr(self, "n", 0) + 1
            return support, query._replace(X=query.X * (1 if self.n % 30 else np.nan))

    state = start(Joint(), network)
    trainer = Trainer(Joint(), network, Now(), None, state, max_iter=120)
    reports = list(trainer)
    assert [report.n_skipped for report in reports] == [1, 2, 1]
    assert str(reports[0]).endswith(", 1 skipped (not finite)")
    assert (trainer.n_skipped, state.n_iter, state.optimizer.n_steps) == (4, 120, 116)
    assert trainer.has_learned
    assert not trainer.has_diverged


def test_parameters_of_which_no_evaluation_is_finite_are_not_kept():
    """The training tasks' losses are finite, those of the validation tasks are not."""
    network = make_network("squared_error", ())
    state, stream = start(Joint(), network), Episodes(network)
    support, query = stream.draw(np.random.RandomState(1))
    validation, stopping = (support, query._replace(X=1e200 * query.X)), EarlyStopping(0.0, 2)
    trainer = train(
        Joint(), network, state, stream, validation, early_stopping=stopping, max_iter=1000
    )
    assert len(stopping.scores) == 2
    assert not np.isfinite(stopping.scores).any()
    assert not trainer.has_learned


class Recorder(Joint):
    """Notes how many threads BLAS may use in each meta-step."""

    def __init__(self):
        super().__init__()
        self.threads = set()

    def meta_gradient(self, *args):
        infos = threadpool_info()
        self.threads |= {info["num_threads"] for info in infos if info["user_api"] == "blas"}
        return super().meta_gradient(*args)


@pytest.mark.parametrize("allowed", [1, 2])
@pytest.mark.parametrize(("n_rows", "is_large"), [(10, False), (60, True)])
def test_large_products_get_the_blas_threads_that_the_user_allows(allowed, n_rows, is_large):
    batch, nothing = linear_problem(np.random.RandomState(0), n_rows=n_rows)
    network = make_network("squared_error", (500, 500))
    assert (multiplications(network, nothing, batch) >= MANY_MULTIPLICATIONS) == is_large
    algorithm = Recorder()
    state = start(algorithm, network)
    with threadpool_limits(allowed, user_api="blas"):
        train(algorithm, network, state, Same(nothing, batch), max_iter=1)
        after = {info["num_threads"] for info in threadpool_info() if info["user_api"] == "blas"}
    assert algorithm.threads == ({allowed} if is_large else {1})
    assert after == {allowed}


def test_the_trainer_of_a_meta_learner_can_be_pickled(regression, monkeypatch):
    """Of a collection and of a distribution of tasks, as `fit` makes it."""
    advance, pickled = Trainer.advance, []

    def noting(trainer):
        report = advance(trainer)
        pickled.append(pickle.loads(pickle.dumps(trainer)))
        return report

    monkeypatch.setattr(Trainer, "advance", noting)
    meta = regression.meta(max_iter=4, validation_interval=2)
    for tasks in (regression.tasks, Sinusoids(n_rows=8)):
        pickled.clear()
        meta.fit(tasks)
        half, whole = pickled
        monkeypatch.undo()
        list(half)
        monkeypatch.setattr(Trainer, "advance", noting)
        assert half.loss_curve == whole.loss_curve == meta.loss_curve_
