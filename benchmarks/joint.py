"""Do several rows of a new task hang together as they should? Densities, draws, new tasks.

    python benchmarks/joint.py [--quick] [--seeds 3] [nox] [countries] [prior]

`nox`: the hours of unseen days, of which the first few are seen, from emission, wind and the
hour. Joint negative log density an hour, in natural logarithms of log concentration; the energy
score over the root of the number of hours; and how often the mean of the hours to come lies in
its central 90% interval, from joint draws and from the same draws with the hours shuffled, as
pointwise bands would have it. Rivals: a Gaussian process, its hyper-parameters by the sum of all
days' marginal likelihoods; and a covariance of the hours, of what pooled boosted trees leave.

`countries`: life expectancy by the year alone, of which the first ones are seen. Coverage of each
year's 90% interval, energy score.

`prior`: days drawn from the prior, given emission and wind of unseen days, beside these days
themselves: how well a random forest tells them apart, by cross-validation.

Of each set's tasks 70% are for training. Intervals are of 95% over tasks.
"""

import argparse
import warnings
from dataclasses import replace

import _sets
import numpy as np
import pandas as pd
from scipy.optimize import minimize
from scipy.special import logsumexp
from scipy.stats import multivariate_normal
from sklearn.covariance import LedoitWolf
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestClassifier
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel
from sklearn.linear_model import LinearRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold, cross_val_predict, train_test_split
from sklearn.neural_network import MLPRegressor
from sklearn.preprocessing import StandardScaler

from sklearn_meta import MetaLearner, TaskCollection
from sklearn_meta.algorithms import BayesianHead, DeepKernelGP
from sklearn_meta.datasets import load_countries

HOURS, YEARS = (0, 3, 8, 14), (0, 5, 15, 30)
N_DRAWS = 200
LEVEL = 0.9
NETWORK = MLPRegressor(hidden_layer_sizes=(64, 64))


class Meta:
    """A MetaLearner among the rivals."""

    def __init__(self, algorithm, options, **more):
        settings = {"support_order": "first", "n_query": None, "adapt_training_tasks": False}
        self.meta = MetaLearner(NETWORK, algorithm, **settings | options | more)

    def fit(self, tasks):
        self.meta.fit(tasks)
        return self

    def judge(self, X, y, n_seen):
        """Of the rows after the first ones: log density of all, draws (rows, draws)."""
        self.meta.fit_adapt(X[:n_seen], y[:n_seen])
        rows = X[n_seen:]
        return self.meta.score_samples(rows, y[n_seen:])[0], self.meta.sample_y(rows, N_DRAWS)


class MetaMixture:
    """Of several, each with another seed: the mean of their densities."""

    def __init__(self, members):
        self.members = members

    def fit(self, tasks):
        for member in self.members:
            member.fit(tasks)
        return self

    def judge(self, X, y, n_seen):
        densities, draws = zip(*(m.judge(X, y, n_seen) for m in self.members), strict=True)
        # other draws of each member, which all start from the same random numbers
        parts = [each[:, i :: len(draws)] for i, each in enumerate(draws)]
        some = np.concatenate(parts, axis=1)
        order = np.random.default_rng(0).permutation(some.shape[1])  # halves are compared
        return logsumexp(densities) - np.log(len(densities)), some[:, order]


class OnPooled:
    """A Gaussian distribution of what a pooled model leaves, given by its covariance of rows."""

    def fit(self, tasks):
        rows = tasks.X, tasks.y
        predicted = cross_val_predict(self.pooled, *rows, groups=tasks.groups, cv=GroupKFold())
        self.pooled.fit(*rows)
        self.fit_residuals(tasks, tasks.y - predicted)
        return self

    def judge(self, X, y, n_seen):
        mean, C = self.pooled.predict(X), self.covariance(X)
        seen, asked = slice(n_seen), slice(n_seen, None)
        gain = C[asked, seen] @ np.linalg.pinv(C[seen, seen]) if n_seen else np.zeros((len(y), 0))
        at = mean[asked] + gain @ (y - mean)[seen]
        left = C[asked, asked] - gain @ C[seen, asked] if n_seen else C
        normal = multivariate_normal(at, left, allow_singular=True, seed=0)
        return normal.logpdf(y[asked]), np.atleast_2d(normal.rvs(N_DRAWS)).T


class Process(OnPooled):
    """A Gaussian process of a slow and a fast part, whose hyper-parameters all days share.

    On a linear mean: on trees, and with Matern's kernels of 1/2 and 3/2, it was the worse.
    """

    def __init__(self):
        self.pooled, self.scaler = LinearRegression(), StandardScaler()

    def fit_residuals(self, tasks, residual):
        X, starts = self.scaler.fit_transform(tasks.X[:, :3]), tasks.offsets[1:-1]
        slow, fast = (ConstantKernel(0.2) * RBF(np.full(3, length)) for length in (1.0, 0.3))
        kernel = slow + fast + ConstantKernel(0.2) + WhiteKernel(0.1)
        days = [
            GaussianProcessRegressor(kernel, optimizer=None).fit(*rows)
            for rows in zip(np.split(X, starts), np.split(residual, starts), strict=True)
        ]

        def objective(theta):
            found = [day.log_marginal_likelihood(theta, eval_gradient=True) for day in days]
            values, gradients = zip(*found, strict=True)
            return -np.mean(values), -np.mean(gradients, axis=0)

        options = {"jac": True, "bounds": kernel.bounds, "options": {"maxiter": 40}}
        found = minimize(objective, kernel.theta, **options)
        self.kernel = kernel.clone_with_theta(found.x)

    def covariance(self, X):
        return self.kernel(self.scaler.transform(X[:, :3]))


class Hours(OnPooled):
    """A covariance of the 24 hours, on pooled trees."""

    def __init__(self):
        self.pooled = HistGradientBoostingRegressor(random_state=0)

    def fit_residuals(self, tasks, residual):
        whole = np.flatnonzero(tasks.sizes == 24)
        days = np.array([residual[tasks.offsets[i] : tasks.offsets[i + 1]] for i in whole])
        self.hours = LedoitWolf(assume_centered=True).fit(days).covariance_

    def covariance(self, X):
        hour = X[:, 2].astype(int)
        return self.hours[np.ix_(hour, hour)]


def nox_days():
    """Emission, wind, and the hour with its sine and cosine."""
    tasks = _sets.load("nox").tasks
    hour = np.concatenate([np.arange(size) for size in tasks.sizes])
    angle = 2 * np.pi * hour / 24
    return replace(tasks, X=np.column_stack([tasks.X, hour, np.sin(angle), np.cos(angle)]))


def countries_by_year():
    """All countries and years where the full table is there, else those of the package."""
    try:
        table = _sets._csv("gapminder.csv.gz")
    except _sets.MissingError:
        tasks = load_countries()
        return replace(tasks, X=tasks.X[:, :1])
    table = table.dropna(subset=["life_expectancy"])
    X, y = table[["year"]].to_numpy(float), table["life_expectancy"].to_numpy(float)
    return TaskCollection.from_arrays(X, y, table["country"].to_numpy())


def energy_score(draws, y):
    """Of draws (rows, draws): Gneiting and Raftery, JASA 2007, over the root of the rows."""
    half = draws.shape[1] // 2
    missed = np.linalg.norm(draws - y[:, None], axis=0).mean()
    apart = np.linalg.norm(draws[:, :half] - draws[:, half : 2 * half], axis=0).mean()
    return (missed - 0.5 * apart) / np.sqrt(len(y))


def inside(draws, values):
    """Whether values (...,) lie in the central intervals of draws (..., draws)."""
    below = (draws < np.asarray(values)[..., None]).mean(axis=-1)
    return np.abs(below - 0.5) < LEVEL / 2


def judged(contestant, tasks, shots):
    """Of each number of rows seen: a table with a row for each task that has more."""
    rng = np.random.default_rng(0)
    for n_seen in shots:
        found = []
        for X, y in (tasks[i] for i in np.flatnonzero(tasks.sizes > n_seen)):
            density, draws = contestant.judge(X, y, n_seen)
            y = y[n_seen:]
            alone = rng.permuted(draws, axis=1)
            found.append(
                {
                    "density": -density / len(y),
                    "energy": energy_score(draws, y),
                    "mean in": inside(draws.mean(axis=0), y.mean()),
                    "mean in, alone": inside(alone.mean(axis=0), y.mean()),
                    "each in": inside(draws, y).mean(),
                }
            )
        yield n_seen, pd.DataFrame(found).astype(float)


def compare(tasks, shots, contestants, seeds, columns):
    """Print the means over the unseen tasks of all splits, which may hold a task twice."""
    found = {}
    for seed in range(seeds):
        train, test = train_test_split(np.arange(len(tasks)), train_size=0.7, random_state=seed)
        for name, contestant in contestants(seed).items():
            contestant.fit(tasks[np.sort(train)])
            for n_seen, table in judged(contestant, tasks[np.sort(test)], shots):
                found.setdefault((name, n_seen), []).append(table)
    for column in columns:
        print(f"\n{column}")
        for name in dict.fromkeys(name for name, _ in found):
            cells = (_cell(pd.concat(found[name, n])[column], seeds) for n in shots)
            print(f"  {name:24}", *cells, flush=True)


def _cell(values, seeds):
    """Splits share tasks: the interval is that of one of them."""
    width = 1.96 * values.std() / np.sqrt(len(values) / seeds)
    return f"{values.mean():8.3f} +-{width:.3f}"


def report_nox(options):
    def contestants(seed):
        settings = {"random_state": seed, "max_iter": options.max_iter}
        seeds = range(5 * seed, 5 * seed + 5)
        return {
            "MetaLearner": Meta(BayesianHead(), settings),
            "with DeepKernelGP": Meta(DeepKernelGP(), settings),
            "five DeepKernelGPs": MetaMixture(
                [Meta(DeepKernelGP(), settings | {"random_state": each}) for each in seeds]
            ),
            "Gaussian process": Process(),
            "covariance of hours": Hours(),
        }

    tasks = nox_days()[:60] if options.quick else nox_days()
    print(f"\nNOx of {len(tasks)} days, first hours seen: {HOURS}")
    columns = "density", "energy", "mean in", "mean in, alone"
    compare(tasks, HOURS, contestants, options.seeds, columns)


def report_countries(options):
    def contestants(seed):
        settings = {"random_state": seed, "max_iter": options.max_iter, "n_shots": (0, 40)}
        return {
            "MetaLearner": Meta(BayesianHead(), settings),
            "with DeepKernelGP": Meta(DeepKernelGP(), settings),
        }

    tasks = countries_by_year()[:40] if options.quick else countries_by_year()
    print(f"\nLife expectancy of {len(tasks)} countries, first years seen: {YEARS}")
    compare(tasks, YEARS, contestants, options.seeds, ("density", "energy", "each in", "mean in"))


def report_prior(options):
    tasks = nox_days()
    tasks = tasks[tasks.sizes == 24][:60] if options.quick else tasks[tasks.sizes == 24]
    print("\nDays drawn from the prior beside real ones: area under the ROC curve, .5 is perfect")
    areas = {}
    for seed in range(options.seeds):
        train, test = train_test_split(np.arange(len(tasks)), train_size=0.7, random_state=seed)
        real = tasks[np.sort(test)]
        for name, algorithm in (("MetaLearner", BayesianHead()), ("DeepKernelGP", DeepKernelGP())):
            settings = {"random_state": seed, "max_iter": options.max_iter}
            meta = Meta(algorithm, settings, handle_unknown="prior").fit(tasks[np.sort(train)]).meta
            drawn = meta.sample_y(real.X, groups=real.groups, random_state=seed)[:, 0]
            days = [y.reshape(len(real), 24) for y in (real.y, drawn)]
            given = real.X[:, :2].reshape(len(real), 48)
            for what, parts in (("hours", days), ("and what is given", _beside(days, given))):
                areas.setdefault((name, what), []).append(_told_apart(*parts))
    for (name, what), found in areas.items():
        print(f"  {name:14} {what:20} {np.mean(found):.2f}  ({np.round(found, 2)})")


def _beside(days, given):
    return [np.column_stack([each, given]) for each in days]


def _told_apart(real, drawn):
    """Both days of what is given are in one fold, so that no forest knows one of them."""
    X, y = np.vstack([real, drawn]), np.repeat([1, 0], len(real))
    twins = np.tile(np.arange(len(real)), 2)
    forest = RandomForestClassifier(500, min_samples_leaf=3, random_state=0)
    proba = cross_val_predict(forest, X, y, groups=twins, cv=GroupKFold(5), method="predict_proba")
    return roc_auc_score(y, proba[:, 1])


REPORTS = {"nox": report_nox, "countries": report_countries, "prior": report_prior}


def main():
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    parser.add_argument("reports", nargs="*", metavar="REPORT", help=f"of {', '.join(REPORTS)}")
    parser.add_argument("--quick", action="store_true", help="few tasks, one split, few meta-steps")
    parser.add_argument("--seeds", type=int, default=3, help="splits of the tasks")
    options = parser.parse_args()
    options.max_iter = 20 if options.quick else 3000
    options.seeds = 1 if options.quick else options.seeds
    warnings.simplefilter("ignore")  # of few meta-steps, and of unknown tasks
    for name in options.reports or REPORTS:
        try:
            REPORTS[name](options)
        except _sets.MissingError as reason:
            print(f"\n{name}: left out, {reason}")


if __name__ == "__main__":
    main()
