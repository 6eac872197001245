"""Few small tasks, and how sure one can be: the two synthetic environments of PACOH.

    python benchmarks/pacoh.py [--quick] [--seeds 5]

J. Rothfuss et al., "PACOH: Bayes-Optimal Meta-Learning with PAC-Guarantees", ICML 2021, whose
published figures (PACOH-MAP) are shown beside. Twenty tasks for training; 200 others are learned
from as many rows as the training tasks have and judged on 200 more. The log-likelihood is a row's
share of the joint density of a task's rows, as there (and the mean density of single rows);
calibration is the root mean squared difference of 20 quantiles, 0.05 to 0.95, and the share of
targets below them. All are means over tasks, then over seeds of everything, in units of y.
MetaLearner has its defaults; nothing is tuned.
"""

import argparse
import warnings

import numpy as np
from scipy.stats import multivariate_normal, multivariate_t, t, truncnorm
from sklearn.neural_network import MLPRegressor

from sklearn_meta import MetaLearner, TaskCollection
from sklearn_meta.tasks._batch import TaskBatch

N_TRAINING, N_TEST, N_JUDGED = 20, 200, 200
LEVELS = np.linspace(0.05, 0.95, 20)


def cauchy(n_rows, random_state):
    """A task: two Cauchy bumps in the plane and a Gaussian process, noise of 0.05."""
    X = truncnorm.rvs(-3, 2, scale=2.5, size=(n_rows, 2), random_state=random_state)
    bumps = sum(
        height / (np.pi * (1 + np.square(X - place).sum(axis=1)))
        for height, place in ((6, -1), (3, 2))
    )
    distance = np.square(X[:, None] - X).sum(axis=2)
    covariance = 0.04 * np.exp(-distance) + 1e-10 * np.eye(n_rows)
    own = np.linalg.cholesky(covariance) @ random_state.standard_normal(n_rows)
    return X, 1 + bumps + own + 0.05 * random_state.standard_normal(n_rows)


def sinusoid(n_rows, random_state):
    """A task: a line and a sinusoid of one frequency, noise of 0.1."""
    X = random_state.uniform(-5, 5, (n_rows, 1))
    amplitude, shift = random_state.uniform(0.7, 1.3), random_state.normal(0, 0.1)
    level, slope = random_state.normal(5, 0.1), random_state.normal(0.5, 0.2)
    f = slope * X[:, 0] + amplitude * np.sin(1.5 * (X[:, 0] - shift)) + level
    return X, f + 0.1 * random_state.standard_normal(n_rows)


ENVIRONMENTS = {  # rows to learn from, generator; log-likelihood, RMSE, calibration error published
    "Cauchy, 20 x 20": (20, cauchy, (0.394, 0.200, 0.060)),
    "Sinusoid, 20 x 5": (5, sinusoid, (0.596, 0.287, 0.124)),
}


def batch_of(tasks, learned):
    """Tasks of one size as the network sees them."""
    arrays = learned.encoder.encode(TaskCollection.from_tasks(tasks)).arrays
    shape = len(arrays), arrays.sizes[0], -1
    X, y = arrays.X.reshape(shape), arrays.y.reshape(shape)
    return TaskBatch(X, y, np.ones_like(y[..., 0]))


def judge(meta, tasks, n_rows):
    """Joint and single log-likelihood, RMSE, calibration error."""
    learned = meta._served.learned
    support, query = (
        batch_of([(X[rows], y[rows]) for X, y in tasks], learned)
        for rows in (slice(n_rows), slice(n_rows, None))
    )
    adapted = learned.algorithm.learn(learned.network, learned.params, support)
    unit = np.ravel(learned.encoder.targets.scale)[0]
    error = (query.y - adapted.outputs(learned.network, query.X))[..., 0] * unit
    std = adapted.std(learned.network, query.X)[..., 0] * unit
    df = adapted.degrees_of_freedom()
    single = t(df, 0, std * np.sqrt(1 - 2 / df))
    below = np.mean(single.cdf(error)[..., None] <= LEVELS, axis=1)  # (tasks, levels)
    covariances = covariance(learned.network, adapted, support, query) * unit**2
    joint = [
        log_density(e, c, nu) / len(e)
        for e, c, nu in zip(error, covariances, df[:, 0], strict=True)
    ]
    return (
        np.mean(joint),
        single.logpdf(error).mean(),
        np.sqrt(np.square(error).mean(axis=1)).mean(),
        np.sqrt(np.square(below - LEVELS).mean(axis=1)).mean(),
    )


def covariance(network, adapted, support, query):
    """Of the query rows of each task, (tasks, rows, rows)."""
    F, Q = (adapted._whiten(network, batch.X) for batch in (support, query))
    eye = np.eye(Q.shape[1])
    between = Q @ F.mT
    known = np.linalg.solve(np.eye(F.shape[1]) + F @ F.mT, between.mT)
    variance, _, spread = (array[..., None] for array in adapted.noise)
    return variance * (eye + spread * (Q @ Q.mT - between @ known))


def log_density(error, covariance, df):
    zero = np.zeros(len(error))
    if np.isinf(df):
        return multivariate_normal(zero, covariance).logpdf(error)
    return multivariate_t(zero, covariance * (df - 2) / df, df).logpdf(error)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="few meta-steps, one seed")
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # of few meta-steps
    for name, (n_rows, draw, published) in ENVIRONMENTS.items():
        found = []
        for seed in range(1 if options.quick else options.seeds):
            random_state = np.random.RandomState(seed)
            training = [draw(n_rows, random_state) for _ in range(N_TRAINING)]
            tasks = [draw(n_rows + N_JUDGED, random_state) for _ in range(N_TEST)]
            meta = MetaLearner(
                MLPRegressor(hidden_layer_sizes=(64, 64)),
                max_iter=50 if options.quick else 3000,
                adapt_training_tasks=False,
                random_state=seed,
            ).fit(training)
            found.append(judge(meta, tasks, n_rows))
        joint, single, rmse, calibration = np.mean(found, axis=0)
        spread = np.std(found, axis=0)
        print(
            f"{name:17s} log-likelihood {joint:.3f} +- {spread[0]:.3f} (rows {single:.3f}), "
            f"RMSE {rmse:.3f} +- {spread[2]:.3f}, calibration {calibration:.3f} +- "
            f"{spread[3]:.3f}; published {published}",
            flush=True,
        )


if __name__ == "__main__":
    main()
