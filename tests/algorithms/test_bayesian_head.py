import numpy as np
import pytest
from helpers import (
    CASES,
    cast,
    central_difference,
    make_network,
    make_params,
    plain_loss,
    plain_mean,
    plain_nll,
    ragged_batch,
    tasks_of,
)
from scipy.integrate import quad
from scipy.optimize import minimize
from scipy.stats import invgamma, multivariate_normal, norm
from scipy.stats import t as student_t
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, DotProduct
from sklearn.linear_model import LogisticRegression, PoissonRegressor, Ridge

from sklearn_meta.algorithms import BayesianHead, HeldOut
from sklearn_meta.network import MLP, Params
from sklearn_meta.tasks import TaskBatch

every_case = pytest.mark.parametrize("case", CASES)
squared_case = pytest.mark.parametrize("case", ["squared_error", "two_outputs"])
newton_case = pytest.mark.parametrize("case", ["poisson", "binary", "softmax"])
ALPHA = 3.0


def draw(case, n_features=3, hidden=(), sizes=(6, 1, 12), seed=0):
    """A network, parameters with precisions of their own, support and query."""
    network = make_network(case, hidden, n_features=n_features)
    rng = np.random.RandomState(seed)
    support, query = ragged_batch(rng, network, sizes), ragged_batch(rng, network, [4, 7, 2])
    params = uncalibrated(make_params(BayesianHead(), network, seed))
    params["log_precision"][...] = rng.uniform(-2, 3, params["log_precision"].shape)
    return network, params, support, query


def uncalibrated(params):
    """One Gaussian noise of all tasks."""
    for name in ("inverse_shape", "tail", "log_spread"):
        if name in params.layout.shapes:
            params[name][...] = 0
    return params


def alike(network):
    """Parameters with prior mean 0 and precision ALPHA throughout: the penalty of Ridge."""
    params = BayesianHead(init_precision=ALPHA).init_params(network, np.random, np.float64)
    for name in network.names[-1]:
        params[name][...] = 0
    return params


def precisions(params):
    return np.exp(params["log_precision"])


def with_ones(X):
    return np.concatenate([X, np.ones((*X.shape[:-1], 1))], axis=-1)


def features(network, params, X):
    """What the output layer sees of rows (n, d), with a column of ones."""
    return with_ones(network.hidden(network.layers(params.vector), X[None])[-1][0])


def prior_mean(network, params):
    weights, bias = (params[name] for name in network.names[-1])
    return np.vstack([weights, bias])


def heads(network, params, support):
    """The adapted output layer of each task, its bias the last row."""
    adapted = BayesianHead().learn(network, params, support)
    return [np.vstack(adapted.task(i).layers[-1]) for i in range(len(support.X))]


def predict_std(algorithm, network, params, support, X):
    return algorithm.learn(network, params, support).std(network, X, support.logit_mask)


def objective(network, params, task):
    """Negative log posterior of a flat head (p * k,), and its gradient."""
    F, W0 = features(network, params, task.X[0]), prior_mean(network, params)
    y, weight, precision = task.y[0], task.weight[0], precisions(params)[:, None]
    name = network.loss_name

    def function(flat):
        W = flat.reshape(W0.shape)
        z = F @ W
        nll = sum(w * plain_nll(name, z[[i]], y[[i]]) for i, w in enumerate(weight))
        gradient = F.T @ (weight[:, None] * (plain_mean(name, z) - y)) + precision * (W - W0)
        return nll + 0.5 * np.sum(precision * (W - W0) ** 2), gradient.ravel()

    return function


@pytest.mark.parametrize("case", ["squared_error", "two_outputs"])
def test_without_a_hidden_layer_it_is_the_mixed_models_blup(case):
    """Henderson's best linear unbiased prediction of random slopes, by the marginal covariance."""
    network, params, support, _ = draw(case)
    noise = 0.3  # a precision is relative to the noise's, so that any will do
    covariance = np.diag(noise / precisions(params))  # of the slopes
    for W, task in zip(heads(network, params, support), tasks_of(support), strict=True):
        Z, fixed = with_ones(task.X[0]), prior_mean(network, params)
        marginal = Z @ covariance @ Z.T + np.diag(noise / task.weight[0])
        residual = np.linalg.solve(marginal, task.y[0] - Z @ fixed)
        np.testing.assert_allclose(W, fixed + covariance @ Z.T @ residual, atol=1e-11)


def plain_posterior(network, params, task):
    """Mean and covariance (over noise) of a Bayesian linear regression's weights."""
    F, W0 = features(network, params, task.X[0]), prior_mean(network, params)
    information = np.diag(precisions(params)) + F.T @ np.diag(task.weight[0]) @ F
    covariance = np.linalg.inv(information)
    return W0 + covariance @ F.T @ np.diag(task.weight[0]) @ (task.y[0] - F @ W0), covariance


@squared_case
@pytest.mark.parametrize("hidden", [(), (4,), (20,)])
def test_squared_error_is_bayesian_linear_regression(case, hidden):
    """On the side of the rows where features are more, and of the features elsewhere."""
    network, params, support, _ = draw(case, hidden=hidden)
    for W, task in zip(heads(network, params, support), tasks_of(support), strict=True):
        np.testing.assert_allclose(W, plain_posterior(network, params, task)[0], atol=1e-10)


@squared_case
@pytest.mark.parametrize("hidden", [(), (4,), (20,)])
def test_predictive_std_is_the_textbooks(case, hidden):
    network, params, support, query = draw(case, hidden=hidden)
    std = predict_std(BayesianHead(), network, params, support, query.X)
    for i, task in enumerate(tasks_of(support)):
        _, covariance = plain_posterior(network, params, task)
        F = features(network, params, query.X[i])
        variance = 1 + np.array([f @ covariance @ f for f in F])
        expected = np.sqrt(variance[:, None] * np.exp(params["log_noise"]))
        np.testing.assert_allclose(std[i], expected, rtol=1e-10)


def test_equal_precisions_are_scikit_learns_ridge_and_gaussian_process():
    network, _, support, query = draw("squared_error")
    params = alike(network)
    params["log_noise"][...] = np.log(0.25)
    std = predict_std(BayesianHead(), network, params, support, query.X)
    kernel = ConstantKernel(0.25 / ALPHA) * DotProduct(1.0)
    for i, task in enumerate(tasks_of(support)):
        X, y, weight = with_ones(task.X[0]), task.y[0, :, 0], task.weight[0]
        W = heads(network, params, support)[i][:, 0]
        ridge = Ridge(ALPHA, fit_intercept=False).fit(X, y, weight)
        np.testing.assert_allclose(W, ridge.coef_, atol=1e-11)
        process = GaussianProcessRegressor(kernel, alpha=0.25 / weight, optimizer=None)
        mean, latent = process.fit(task.X[0], y).predict(query.X[i], return_std=True)
        np.testing.assert_allclose(with_ones(query.X[i]) @ W, mean, atol=1e-9)
        np.testing.assert_allclose(std[i, :, 0], np.sqrt(latent**2 + 0.25), rtol=1e-8)


def test_it_is_the_mixed_model_with_random_slopes():
    """The task's rows and the query's are jointly Gaussian: condition on the former."""
    network, params, support, query = draw("squared_error")
    noise = 0.3
    params["log_noise"][...] = np.log(noise)
    std = predict_std(BayesianHead(), network, params, support, query.X)
    W0 = prior_mean(network, params)
    for i, task in enumerate(tasks_of(support)):
        n = task.X.shape[1]
        F = with_ones(np.concatenate([task.X[0], query.X[i]]))
        covariance = noise * F @ np.diag(1 / precisions(params)) @ F.T
        covariance += noise * np.diag(np.append(1 / task.weight[0], np.ones(len(F) - n)))
        gain = covariance[n:, :n] @ np.linalg.inv(covariance[:n, :n])
        expected = (F @ W0)[n:] + gain @ (task.y[0] - (F @ W0)[:n])
        rest = covariance[n:, n:] - gain @ covariance[:n, n:]
        W = heads(network, params, support)[i]
        np.testing.assert_allclose(F[n:] @ W, expected, atol=1e-10)
        np.testing.assert_allclose(std[i, :, 0] ** 2, np.diag(rest), rtol=1e-10)
        at_mean = multivariate_normal(expected[:, 0], rest).logpdf((F[n:] @ W)[:, 0])
        mode = -0.5 * np.linalg.slogdet(2 * np.pi * rest)[1]
        np.testing.assert_allclose(at_mean, mode, rtol=1e-10)


def test_binary_log_loss_is_logistic_regression():
    network, _, support, _ = draw("binary")
    params = alike(network)
    for W, task in zip(heads(network, params, support), tasks_of(support), strict=True):
        X, y = with_ones(task.X[0]), task.y[0, :, 0]
        if len(np.unique(y)) < 2:  # scikit-learn asks for both classes: a row that weighs nothing
            X, y = np.vstack([X, X[:1]]), np.append(y, 1 - y[0])
        weight = np.append(task.weight[0], np.zeros(len(X) - len(task.weight[0])))
        logistic = LogisticRegression(C=1 / ALPHA, fit_intercept=False, tol=1e-10, max_iter=1000)
        logistic.fit(X, y, weight)
        np.testing.assert_allclose(W[:, 0], logistic.coef_[0], atol=1e-6)


@pytest.mark.parametrize("n_classes", [3, 4])
def test_log_loss_is_multinomial_logistic_regression(n_classes):
    network = MLP([3, n_classes], "relu", "log_loss")
    support = ragged_batch(np.random.RandomState(0), network, [25, 40, 30])
    params = alike(network)
    for W, task in zip(heads(network, params, support), tasks_of(support), strict=True):
        logistic = LogisticRegression(C=1 / ALPHA, fit_intercept=False, tol=1e-10, max_iter=1000)
        logistic.fit(with_ones(task.X[0]), task.y[0].argmax(axis=1), task.weight[0])
        np.testing.assert_allclose(W.T, logistic.coef_, atol=1e-6)


def test_poisson_is_scikit_learns_poisson_regressor():
    network, _, support, _ = draw("poisson")
    params = alike(network)
    for W, task in zip(heads(network, params, support), tasks_of(support), strict=True):
        poisson = PoissonRegressor(
            alpha=ALPHA / task.weight.sum(),
            fit_intercept=False,
            solver="newton-cholesky",
            tol=1e-10,
        )
        poisson.fit(with_ones(task.X[0]), task.y[0, :, 0], task.weight[0])
        np.testing.assert_allclose(W[:, 0], poisson.coef_, atol=1e-8)


@every_case
@pytest.mark.parametrize("hidden", [(), (6,)])
def test_adapted_head_minimises_the_negative_log_posterior(case, hidden):
    network, params, support, _ = draw(case, hidden=hidden)
    for W, task in zip(heads(network, params, support), tasks_of(support), strict=True):
        function = objective(network, params, task)
        start = prior_mean(network, params).ravel()
        found = minimize(function, start, jac=True, options={"gtol": 1e-9})
        np.testing.assert_allclose(W.ravel(), found.x, atol=1e-6)
        np.testing.assert_allclose(function(W.ravel())[1], 0, atol=1e-8)


@newton_case
@pytest.mark.parametrize("hidden", [(), (6,)])
def test_predictive_std_is_laplaces(case, hidden):
    """From an inverted numeric Hessian, by the delta method through a numeric Jacobian."""
    network, params, support, query = draw(case, hidden=hidden)
    params["log_precision"][...] += 3  # the delta method is for a narrow posterior
    std = predict_std(BayesianHead(), network, params, support, query.X)
    for i, task in enumerate(tasks_of(support)):
        W, function = heads(network, params, support)[i], objective(network, params, task)
        hessian = central_difference(lambda flat, f=function: f(flat)[1], W.ravel())
        for m, f in enumerate(features(network, params, query.X[i])):
            outputs = np.kron(f[None], np.eye(W.shape[1]))  # (k, p * k)
            covariance = outputs @ np.linalg.inv(hessian) @ outputs.T
            mean = plain_mean(network.loss_name, f @ W)
            jacobian = central_difference(lambda z: plain_mean(network.loss_name, z), f @ W)
            variance = np.diag(jacobian @ covariance @ jacobian.T)
            if case == "poisson":
                variance = np.exp(params["log_noise"]) * (mean + variance)
            np.testing.assert_allclose(std[i, m], np.sqrt(variance), rtol=1e-6)


@pytest.mark.parametrize("case", ["binary", "softmax"])
def test_std_of_a_probability_is_at_most_one_half(case):
    """A prior so weak that the logits may be anything: a number from 0 to 1 varies no more."""
    network, _, support, query = draw(case)
    params = BayesianHead(init_precision=1e-4).init_params(
        network, np.random.RandomState(0), np.float64
    )
    std = predict_std(BayesianHead(), network, params, support, query.X)
    assert std.max() <= 0.5


@pytest.mark.parametrize("case", ["binary", "softmax"])
def test_std_of_unscaled_features_in_single_precision(case):
    """8 x 8 pixels of 0 to 255 under a weak prior, against double precision."""
    rng = np.random.RandomState(0)
    network = make_network(case, (), n_features=64)
    support, query = (ragged_batch(rng, network, sizes) for sizes in ([10, 20], [4, 4]))
    support, query = (
        batch._replace(X=rng.uniform(0, 255, batch.X.shape)) for batch in (support, query)
    )
    algorithm = BayesianHead(init_precision=1e-3)
    exact, rough = (
        predict_std(
            algorithm,
            network,
            algorithm.init_params(network, np.random.RandomState(0), dtype),
            cast(support, dtype),
            query.X.astype(dtype),
        )
        for dtype in (np.float64, np.float32)
    )
    np.testing.assert_allclose(rough, exact, rtol=0.05, atol=0.01)


def test_a_class_that_a_task_does_not_have_has_no_std():
    network = make_network("softmax", (4,), n_features=3, exchangeable=True)
    rng = np.random.RandomState(0)
    support = ragged_batch(rng, network, [6, 5, 7], n_classes=[2, 3, 2])
    params = make_params(BayesianHead(), network)
    std = predict_std(BayesianHead(), network, params, support, rng.standard_normal((3, 4, 3)))
    assert not std[[0, 2], :, 2].any()
    np.testing.assert_allclose(std[[0, 2], :, 0], std[[0, 2], :, 1], rtol=1e-10)
    assert np.all(std[1] > 0)


@every_case
def test_std_of_a_padded_batch_is_a_loop_over_its_tasks(case):
    network, params, support, query = draw(case, hidden=(4,))
    algorithm = BayesianHead()
    std = predict_std(algorithm, network, params, support, query.X)
    for i, task in enumerate(tasks_of(support)):
        alone = predict_std(algorithm, network, params, task, query.X[[i]])
        np.testing.assert_allclose(std[[i]], alone, rtol=1e-11)


@squared_case
def test_no_rows_give_the_priors_std(case):
    network, params, support, query = draw(case)
    nothing = TaskBatch(support.X[:, :0], support.y[:, :0], support.weight[:, :0])
    std = predict_std(BayesianHead(), network, params, nothing, query.X)
    prior = np.sum(with_ones(query.X) ** 2 / precisions(params), axis=-1)
    expected = np.sqrt((1 + prior)[..., None] * np.exp(params["log_noise"]))
    np.testing.assert_allclose(std, expected, rtol=1e-12)


@every_case
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_std_keeps_the_dtype(case, dtype):
    network, _, support, query = draw(case, hidden=(4,))
    params = make_params(BayesianHead(), network, dtype=dtype)
    support = TaskBatch(*(part.astype(dtype) for part in support[:3]))
    std = predict_std(BayesianHead(), network, params, support, query.X.astype(dtype))
    assert std.dtype == dtype


@every_case
def test_order_of_rows_does_not_matter(case):
    network, params, support, _ = draw(case, hidden=(4,))
    rows = np.random.RandomState(1).permutation(12)
    moved = TaskBatch(*(part[:, rows] for part in support[:3]))
    expected = heads(network, params, support)
    np.testing.assert_allclose(heads(network, params, moved), expected, atol=1e-11)


@every_case
def test_many_rows_outweigh_the_prior(case):
    """A prior that is wrong throughout, and 20 000 rows of a known head."""
    rng = np.random.RandomState(0)
    network = make_network(case, (), n_features=2)
    truth = 0.5 * rng.standard_normal((3, network.n_outputs))
    X = rng.standard_normal((1, 20_000, 2))
    mean = plain_mean(network.loss_name, with_ones(X) @ truth)
    y = {
        "squared_error": lambda: mean + 0.1 * rng.standard_normal(mean.shape),
        "poisson": lambda: rng.poisson(mean).astype(float),
        "binary_log_loss": lambda: (rng.uniform(size=mean.shape) < mean).astype(float),
        "log_loss": lambda: np.eye(3)[(rng.uniform(size=(1, 20_000, 1)) > mean.cumsum(-1)).sum(-1)],
    }[network.loss_name]()
    params = BayesianHead(init_precision=1.0).init_params(network, rng, np.float64)
    (found,) = heads(network, params, TaskBatch(X, y, np.ones((1, 20_000))))
    fitted = plain_mean(network.loss_name, with_ones(X) @ found)
    np.testing.assert_allclose(fitted, mean, rtol=0.05, atol=0.05)


@pytest.mark.parametrize("hidden", [(), (4,)])
def test_calibrated_dispersion_is_a_loop_over_tasks_and_rows(hidden):
    network, params, support, query = draw("poisson", hidden=hidden)
    calibrated = calibrate(network, params, support, query)
    one = BayesianHead()
    dispersion = 0
    for task, rows in zip(tasks_of(support), tasks_of(query), strict=True):
        (W,) = heads(network, params, task)
        adapted = one.learn(network, params, task)
        std = adapted.std(network, rows.X)[0] / np.sqrt(np.exp(params["log_noise"]))
        total = 0
        for x, y, scale, weight in zip(rows.X[0], rows.y[0], std, rows.weight[0], strict=True):
            mean = np.exp(features(network, params, x[None]) @ W)[0]
            total += weight * ((y - mean) / scale) ** 2
        dispersion += total / rows.weight.sum() / 3
    np.testing.assert_allclose(np.exp(calibrated["log_noise"]), dispersion, rtol=1e-10)
    others = np.ones(params.layout.size, bool)
    others[params.layout.slices["log_noise"]] = False
    np.testing.assert_array_equal(calibrated.vector[others], params.vector[others])


def calibrate(network, params, support, query):
    return BayesianHead().calibrate(network, params, [HeldOut(network, params, support, query)])


def noise_params(params, shape, tail, spread, slope, noise):
    """Parameters with this noise, of each output alike."""
    params = params.copy()
    params["inverse_shape"][...] = 1 / shape
    params["tail"][...] = tail
    params["log_spread"][...] = np.array([[np.log(spread)], [slope]])
    params["log_noise"][...] = np.log(noise)
    return params


@squared_case
@pytest.mark.parametrize("hidden", [(), (4,), (20,)])
def test_std_is_of_a_conjugate_student_t(case, hidden):
    """An inverse-gamma prior of the noise, updated by the support's rows: a loop over them."""
    network, params, support, query = draw(case, hidden=hidden)
    a0, noise = 2.5, 0.3
    params = noise_params(params, a0, 0, 1, 0, noise)
    tasks = BayesianHead().learn(network, params, support)
    std, df = tasks.std(network, query.X), tasks.degrees_of_freedom()
    for i, task in enumerate(tasks_of(support)):
        F, W0 = features(network, params, task.X[0]), prior_mean(network, params)
        covariance = F @ np.diag(1 / precisions(params)) @ F.T + np.diag(1 / task.weight[0])
        residual = task.y[0] - F @ W0
        for output in range(network.n_outputs):
            r = residual[:, output]
            a = a0 + task.weight[0].sum() / 2
            b = noise * (a0 - 1) + r @ np.linalg.solve(covariance, r) / 2
            slopes = plain_posterior(network, params, task)[1]
            for j, f in enumerate(features(network, params, query.X[i])):
                posterior = student_t(2 * a, scale=np.sqrt(b / a * (1 + f @ slopes @ f)))
                np.testing.assert_allclose(std[i, j, output], posterior.std(), rtol=1e-9)
            np.testing.assert_allclose(df[i, output], 2 * a, rtol=1e-12)


def test_without_rows_the_predictive_density_is_the_mixture_over_noises():
    """Student's t is a Gaussian whose variance is inverse-gamma over tasks: by quadrature."""
    network, params, support, query = draw("squared_error")
    a0, noise = 3.0, 0.5
    params = noise_params(params, a0, 0, 1, 0, noise)
    nothing = TaskBatch(*(part[:1, :0] for part in support[:3]))
    tasks = BayesianHead().learn(network, params, nothing)
    X = query.X[:1]
    ((df,),), std = tasks.degrees_of_freedom(), tasks.std(network, X)[0, :, 0]
    wide = 1 + np.sum(with_ones(X[0]) ** 2 / precisions(params), axis=1)
    prior = invgamma(a0, scale=noise * (a0 - 1))
    for relative, sd in zip(wide, std, strict=True):
        for error in (0.0, 0.7, 3.0):
            expected, _ = quad(
                lambda v, e=error, r=relative: prior.pdf(v) * norm.pdf(e, 0, np.sqrt(v * r)),
                0,
                np.inf,
            )
            found = student_t.pdf(error, df, 0, sd * np.sqrt((df - 2) / df))
            np.testing.assert_allclose(found, expected, rtol=1e-6)


@squared_case
def test_spread_and_tails_of_a_number_of_support_rows(case):
    network, params, support, query = draw(case)
    params["log_noise"][...] = np.log(0.3)
    narrow = BayesianHead().learn(network, params, support)
    params = noise_params(params, 1e12, 0.2, 1.7, -0.4, 0.3)
    wide = BayesianHead().learn(network, params, support)
    np.testing.assert_allclose(wide.degrees_of_freedom(), 2 + 1 / 0.2, rtol=1e-9)
    before, after = (tasks.std(network, query.X) ** 2 / 0.3 - 1 for tasks in (narrow, wide))
    for i, weight in enumerate(support.weight):
        factor = 1.7 * np.exp(-0.4 * np.log1p(weight.sum()))
        np.testing.assert_allclose(after[i], factor * before[i], rtol=1e-6)
    X = query.X
    np.testing.assert_array_equal(narrow.outputs(network, X), wide.outputs(network, X))


@squared_case
def test_a_row_of_weight_two_is_the_row_twice_in_the_noise(case):
    network, params, support, query = draw(case, sizes=(6, 6, 6))
    params = noise_params(params, 2.5, 0.1, 2, -0.3, 0.3)
    doubled = support._replace(weight=2 * (support.weight > 0).astype(float))
    once = support._replace(weight=(support.weight > 0).astype(float))
    expected, found = (
        BayesianHead().learn(network, params, batch) for batch in (once.join(once), doubled)
    )
    for one, other in zip(found.noise, expected.noise, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-10)
    std = expected.std(network, query.X)
    np.testing.assert_allclose(found.std(network, query.X), std, rtol=1e-9)


@squared_case
def test_calibration_moves_no_mean(case):
    network, params, support, query = draw(case, hidden=(4,))
    calibrated = calibrate(network, params, support, query)
    others = np.ones(params.layout.size, bool)
    for name in ("log_noise", "inverse_shape", "tail", "log_spread"):
        others[params.layout.slices[name]] = False
    np.testing.assert_array_equal(calibrated.vector[others], params.vector[others])
    before, after = (
        BayesianHead().learn(network, each, support).outputs(network, query.X)
        for each in (params, calibrated)
    )
    np.testing.assert_array_equal(after, before)


def test_calibration_finds_the_noises_that_made_the_tasks():
    """Inverse-gamma noises over tasks, and a posterior that is half as wide as it should be."""
    rng = np.random.RandomState(0)
    network = make_network("squared_error", (), n_features=2)
    params = alike(network)
    X = rng.standard_normal((3000, 30, 2))
    noise = invgamma.rvs(4, scale=0.2 * 3, size=(3000, 1, 1), random_state=rng)
    slopes = rng.standard_normal((3000, 3, 1)) * np.sqrt(noise / ALPHA)
    y = with_ones(X) @ slopes + np.sqrt(noise) * rng.standard_normal((3000, 30, 1))
    parts = [
        TaskBatch(X[:, rows], y[:, rows], np.ones((3000, 30))[:, rows])
        for rows in (slice(12), slice(12, None))
    ]
    found = calibrate(network, params, *parts)
    np.testing.assert_allclose(np.exp(found["log_noise"]), 0.2, rtol=0.1)
    np.testing.assert_allclose(found["inverse_shape"], 1 / 4, atol=0.05)
    np.testing.assert_allclose(found["tail"], 0, atol=0.03)
    np.testing.assert_allclose(found["log_spread"], 0, atol=0.1)


def test_calibration_widens_a_posterior_that_is_too_narrow():
    """The head's prior has a quarter of the variance with which the tasks were made."""
    rng = np.random.RandomState(0)
    network = make_network("squared_error", (), n_features=2)
    params = alike(network)
    X = rng.standard_normal((3000, 30, 2))
    slopes = rng.standard_normal((3000, 3, 1)) * np.sqrt(4 * 0.2 / ALPHA)
    y = with_ones(X) @ slopes + np.sqrt(0.2) * rng.standard_normal((3000, 30, 1))
    weight = np.ones((3000, 30))
    parts = [
        TaskBatch(X[:, rows], y[:, rows], weight[:, rows]) for rows in (slice(12), slice(12, None))
    ]
    found = calibrate(network, params, *parts)
    nothing, rows = (TaskBatch(X[:1, s], y[:1, s], weight[:1, s]) for s in (slice(0), slice(None)))
    before, after = (
        predict_std(BayesianHead(), network, each, nothing, rows.X)[0, :, 0]
        for each in (params, found)
    )
    truth = np.sqrt(0.2 * (1 + 4 / ALPHA * np.sum(with_ones(X[0]) ** 2, axis=1)))
    assert np.abs(np.log(before / truth)).min() > 0.1
    np.testing.assert_allclose(after, truth, rtol=0.1)


def test_calibration_finds_the_noise_that_made_the_data():
    rng = np.random.RandomState(0)
    network = make_network("squared_error", (), n_features=2)
    params = alike(network)
    X = rng.standard_normal((2000, 12, 2))
    slopes = rng.standard_normal((2000, 3, 1)) * np.sqrt(0.2 / ALPHA)
    y = with_ones(X) @ slopes + np.sqrt(0.2) * rng.standard_normal((2000, 12, 1))
    parts = [
        TaskBatch(X[:, rows], y[:, rows], np.ones((2000, 12))[:, rows])
        for rows in (slice(4), slice(4, None))
    ]
    found = calibrate(network, params, *parts)
    np.testing.assert_allclose(np.exp(found["log_noise"]), 0.2, rtol=0.03)
    np.testing.assert_allclose(found["inverse_shape"], 0, atol=0.02)
    np.testing.assert_allclose(found["tail"], 0, atol=0.02)


@pytest.mark.parametrize("case", ["binary", "softmax"])
def test_classes_have_no_noise_to_calibrate(case):
    network, params, support, query = draw(case)
    assert calibrate(network, params, support, query) is params
    assert "log_noise" not in params.layout.shapes


def test_a_perfect_fit_calibrates_to_a_finite_noise():
    network, _, support, query = draw("squared_error")
    support, query = (batch._replace(y=np.zeros_like(batch.y)) for batch in (support, query))
    params = alike(network)
    calibrated = calibrate(network, params, support, query)
    assert np.isfinite(calibrated.vector).all()
    std = predict_std(BayesianHead(), network, calibrated, support, query.X)
    np.testing.assert_allclose(std, 0, atol=1e-100)


def test_initial_precision():
    network = make_network("two_outputs")
    params = BayesianHead(init_precision=7.0).init_params(
        network, np.random.RandomState(0), np.float64
    )
    np.testing.assert_allclose(precisions(params), np.full(4, 7.0))


@pytest.mark.parametrize("case", ["binary", "softmax"])
def test_classes_of_their_own_start_from_a_prior_mean_of_zero(case):
    network = make_network(case, exchangeable=True)
    params = BayesianHead().init_params(network, np.random.RandomState(0), np.float64)
    assert not prior_mean(network, params).any()


@every_case
def test_loss_is_that_of_the_adapted_network_on_the_query(case):
    network, params, support, query = draw(case, hidden=(4,))
    loss, _ = BayesianHead().meta_gradient(network, params, support, query)
    losses = []
    for W, rows in zip(heads(network, params, support), tasks_of(query), strict=True):
        z = features(network, params, rows.X[0]) @ W
        losses.append(plain_loss(network.loss_name, z, rows.y[0], rows.weight[0]))
    np.testing.assert_allclose(loss, np.mean(losses), rtol=1e-12)


@every_case
def test_meta_gradient_through_conjugate_gradients(case):
    """A support of so many rows that Newton leaves the kernel side."""
    rng = np.random.RandomState(0)
    network = make_network(case, (), n_features=1)
    support, query = (ragged_batch(rng, network, sizes) for sizes in ([30, 25], [3, 4]))
    params = make_params(BayesianHead(), network)

    def loss(vector):
        moved = Params(vector, params.layout)
        return BayesianHead().meta_gradient(network, moved, support, query)[0]

    _, gradient = BayesianHead().meta_gradient(network, params, support, query)
    numeric = central_difference(loss, params.vector)
    np.testing.assert_allclose(gradient, numeric, rtol=1e-5, atol=1e-8)
