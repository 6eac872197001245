import pickle

import numpy as np
import pytest
from helpers import cast, make_network, make_params, plain_loss, ragged_batch, tasks_of
from sklearn.linear_model import Ridge
from sklearn.neural_network._stochastic_optimizers import AdamOptimizer
from threadpoolctl import threadpool_info, threadpool_limits

from sklearn_meta._compat import MANY_MULTIPLICATIONS
from sklearn_meta._training import (
    AVERAGING,
    EVALUATE_EVERY,
    Gate,
    TrainingState,
    multiplications,
    query_losses,
    train,
)
from sklearn_meta.algorithms import ALGORITHMS, MAML, BayesianHead, Joint
from sklearn_meta.network import Params
from sklearn_meta.tasks import TaskBatch

every_algorithm = pytest.mark.parametrize("name", ALGORITHMS)


class Episodes:
    """A stream of random episodes of 3 ragged tasks."""

    def __init__(self, network, dtype=np.float64):
        self.network, self.dtype = network, dtype

    def draw(self, random_state):
        return [
            cast(ragged_batch(random_state, self.network, sizes), self.dtype)
            for sizes in ((6, 3, 5), (4, 7, 2))
        ]


class Same:
    """A stream of the same episode again and again."""

    def __init__(self, *episode):
        self.episode = episode

    def draw(self, random_state):
        return self.episode


def start(algorithm, network, *, meta_lr=0.01, alpha=0.0, dtype=np.float64):
    params = make_params(algorithm, network, dtype=dtype)
    random_state = np.random.RandomState(0)
    return TrainingState.start(params, network, random_state, meta_lr=meta_lr, alpha=alpha)


@every_algorithm
def test_a_step_is_adam_on_the_meta_gradient_and_the_decay(name):
    """scikit-learn's Adam; L2 on the network's weights, neither biases nor what else is learned."""
    algorithm, network = ALGORITHMS[name](), make_network("squared_error")
    state, stream = start(algorithm, network, alpha=0.3), Episodes(network)
    params = Params(state.params.vector.copy(), state.params.layout)
    adam, average = AdamOptimizer([params.vector], 0.01), params.vector.copy()
    for n in range(1, 30):
        support, query = stream.draw(state.random_state)
        loss, gradient = algorithm.meta_gradient(network, params, support, query)
        for i in range(3):
            params.layout.view(gradient, f"weights_{i}")[...] += 0.3 * params[f"weights_{i}"]
        adam.update_params([params.vector], [gradient])
        keep = min(AVERAGING, n / (n + 10))
        average = keep * average + (1 - keep) * params.vector
        state.step(algorithm, network, support, query)
        np.testing.assert_allclose(state.params.vector, params.vector, rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(state.averaged.vector, average, rtol=1e-10, atol=1e-12)
        assert state.loss_curve[-1] == pytest.approx(loss, rel=1e-10)
    assert state.n_iter == len(state.loss_curve) == 29


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
    whole = start(algorithm, network, alpha=0.1)
    train(algorithm, network, whole, stream, max_iter=20)
    half = start(algorithm, network, alpha=0.1)
    train(algorithm, network, half, stream, max_iter=8)
    half = pickle.loads(pickle.dumps(half))
    train(algorithm, network, half, stream, max_iter=12)
    np.testing.assert_array_equal(half.params.vector, whole.params.vector)
    np.testing.assert_array_equal(half.averaged.vector, whole.averaged.vector)
    assert half.loss_curve == whole.loss_curve
    assert half.n_iter == 20


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
    gate = Gate(stream.draw(np.random.RandomState(1)), 0, 5)
    kept = train(algorithm, network, state, stream, max_iter=3, gate=gate)
    vectors = [kept.vector, state.params.vector, state.average, state.optimizer.first]
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
    kept = train(Joint(), network, state, Same(nothing, batch), max_iter=1500)
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
    kept = train(algorithm, network, state, Same(*parts), max_iter=200)
    kept = algorithm.calibrate(network, kept, *parts)
    np.testing.assert_allclose(np.append(kept["weights_0"], kept["bias_0"]), mean, atol=0.1)
    np.testing.assert_allclose(10 * kept["log_precision"], np.log(precision), atol=0.3)
    np.testing.assert_allclose(np.exp(kept["log_noise"]), noise, rtol=0.03)


@every_algorithm
@pytest.mark.parametrize("case", ["squared_error", "poisson", "binary", "softmax"])
def test_query_losses_are_a_loop_over_tasks(name, case):
    algorithm, network = ALGORITHMS[name](), make_network(case)
    params = make_params(algorithm, network)
    support, query = Episodes(network).draw(np.random.RandomState(0))
    losses = query_losses(algorithm, network, params, support, query)
    for i, (task, rows) in enumerate(zip(tasks_of(support), tasks_of(query), strict=True)):
        z = algorithm.adapt(network, params, task).outputs(network, rows.X)[0]
        alone = plain_loss(network.loss_name, z, rows.y[0], rows.weight[0])
        np.testing.assert_allclose(losses[i], alone, rtol=1e-10)


@every_algorithm
def test_query_losses_of_tasks_with_classes_of_their_own(name):
    algorithm, network = ALGORITHMS[name](), make_network("softmax", exchangeable=True)
    params, rng = make_params(algorithm, network), np.random.RandomState(0)
    support, query = (ragged_batch(rng, network, sizes, [2, 3, 2]) for sizes in ([5] * 3, [4] * 3))
    losses = query_losses(algorithm, network, params, support, query)
    for i, (task, rows) in enumerate(zip(tasks_of(support), tasks_of(query), strict=True)):
        k = [2, 3, 2][i]
        z = algorithm.adapt(network, params, task).outputs(network, rows.X, rows.logit_mask)[0]
        alone = plain_loss("log_loss", z[:, :k], rows.y[0, :, :k], rows.weight[0])
        np.testing.assert_allclose(losses[i], alone, rtol=1e-10)


def states_at(biases):
    """A constant network, as training might pass through it, 10 meta-steps apart."""
    network = make_network("squared_error", ())
    for i, bias in enumerate(biases):
        state = start(Joint(), network)
        state.average[:] = [0, 0, bias]
        state.n_iter = 10 * (i + 1)
        yield network, state


def make_gate(tol, n_iter_no_change):
    """Held-out targets of 0: a constant network scores minus its square."""
    rng = np.random.RandomState(0)
    batch = TaskBatch(rng.standard_normal((2, 4, 2)), np.zeros((2, 4, 1)), np.ones((2, 4)))
    return Gate((batch, batch), tol, n_iter_no_change)


def test_the_gate_keeps_the_best():
    biases = [3.0, 2.0, 1.0, 1.5, 0.5, 2.0, 0.7]
    gate = make_gate(tol=0.0, n_iter_no_change=100)
    for network, state in states_at(biases):
        assert not gate.judge(Joint(), network, state)
    np.testing.assert_allclose(gate.scores, -np.square(biases), rtol=1e-12)
    assert gate.best_score == max(gate.scores)
    assert gate.best_iter == 50
    np.testing.assert_array_equal(gate.best.vector, [0, 0, 0.5])


@pytest.mark.parametrize(
    ("biases", "tol", "stop"),
    [
        ([3, 2, 2, 2, 1], 0.0, 4),  # two evaluations without anything better
        ([3, 2, 2.5, 1, 1.5, 1.2], 0.0, 6),
        ([3, 2.99, 2.98, 2.97], 1.0, 3),  # better, though not by as much as counts
        ([3, 2.9, 2.8, 2.7, 2.65], 1.0, 5),  # slow, but 9 - 2.8 ** 2 does count
        ([4, 3, 2, 1], 0.0, None),
    ],
)
def test_the_gate_stops_when_nothing_gets_better(biases, tol, stop):
    gate, stops = make_gate(tol, n_iter_no_change=2), []
    for i, (network, state) in enumerate(states_at(biases), start=1):
        if gate.judge(Joint(), network, state):
            stops.append(i)
            break
    assert stops == ([] if stop is None else [stop])


def test_the_kept_best_does_not_move_as_training_goes_on():
    network = make_network("squared_error", ())
    gate = make_gate(0.0, 100)
    state = start(Joint(), network)
    gate.judge(Joint(), network, state)
    kept = gate.best.vector.copy()
    state.average += 100
    state.params.vector[:] += 100
    gate.judge(Joint(), network, state)
    np.testing.assert_array_equal(gate.best.vector, kept)


def test_training_stops_early():
    batch, nothing = linear_problem(np.random.RandomState(0))
    network = make_network("squared_error", ())
    state, gate = start(Joint(), network), Gate((nothing, batch), 1e9, 3)
    kept = train(Joint(), network, state, Same(nothing, batch), max_iter=10_000, gate=gate)
    assert state.n_iter == 4 * EVALUATE_EVERY
    assert len(gate.scores) == 4
    assert kept is gate.best
    best = query_losses(Joint(), network, kept, nothing, batch).mean()
    np.testing.assert_allclose(-gate.best_score, best, rtol=1e-12)


@pytest.mark.parametrize("max_iter", [1, EVALUATE_EVERY - 1, EVALUATE_EVERY + 7])
def test_the_last_step_is_always_judged(max_iter):
    batch, nothing = linear_problem(np.random.RandomState(0))
    network = make_network("squared_error", ())
    state, gate = start(Joint(), network), Gate((nothing, batch), 0.0, 100)
    train(Joint(), network, state, Same(nothing, batch), max_iter=max_iter, gate=gate)
    assert state.n_iter == max_iter
    assert len(gate.scores) == -(-max_iter // EVALUATE_EVERY)


def test_verbose_prints_the_loss_and_the_score(capsys):
    batch, nothing = linear_problem(np.random.RandomState(0))
    network = make_network("squared_error", ())
    state, gate = start(Joint(), network), Gate((nothing, batch), 0.0, 100)
    train(Joint(), network, state, Same(nothing, batch), max_iter=60, gate=gate, verbose=True)
    first, second = capsys.readouterr().out.splitlines()
    loss, score = state.loss_curve[49], gate.scores[0]
    assert first == f"Meta-step 50, loss {loss:.6f}, validation score {score:.6f}"
    assert second.startswith("Meta-step 60, loss ")


def test_a_diverged_loss_is_an_error_that_says_what_to_do():
    network = make_network("squared_error", ())
    state, stream = start(MAML(inner_lr=1e200), network), Episodes(network)
    with pytest.raises(ValueError, match=r"loss is (inf|nan) in meta-step 1\. Lower meta_lr \(now"):
        train(MAML(inner_lr=1e200), network, state, stream, max_iter=5)


@pytest.mark.parametrize(
    ("algorithm", "advice"),
    [
        (MAML(), r"Lower meta_lr \(now .*\) or the inner_lr of MAML\(\), or scale"),
        (BayesianHead(), r"Lower meta_lr \(now [^)]*\), or scale"),  # it has no inner rate
    ],
)
def test_the_advice_is_of_parameters_that_there_are(algorithm, advice):
    state = start(algorithm, make_network("squared_error", ()))
    with pytest.raises(ValueError, match=advice):
        state.check_finite(algorithm, np.nan, 1)


def test_a_step_alone_warns_of_nothing_before_it():
    network = make_network("squared_error", ())
    state, (support, query) = (
        start(Joint(), network),
        Episodes(network).draw(np.random.RandomState(0)),
    )
    with pytest.raises(ValueError, match=r"loss is (inf|nan) in meta-step 1"):
        state.step(Joint(), network, support, query._replace(X=1e200 * query.X))


def test_held_out_tasks_whose_loss_is_not_finite_are_an_error():
    """The training tasks' losses are finite, those of the tasks that judge are not."""
    network = make_network("squared_error", ())
    state, stream = start(Joint(), network), Episodes(network)
    support, query = stream.draw(np.random.RandomState(1))
    gate = Gate((support, query._replace(X=1e200 * query.X)), 0.0, 5)
    with pytest.raises(ValueError, match=r"diverged: the loss of the held-out tasks is (inf|nan)"):
        train(Joint(), network, state, stream, max_iter=3, gate=gate)


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
