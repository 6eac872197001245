"""Does it know how sure it is? Coverage, log density and CRPS on unseen tasks of real sets.

    python benchmarks/calibration.py [--quick] [--seeds 3] [NAME ...]

Of each set's tasks, 70% are for training and the others judged, by as many random rows of each
as the columns say, all its other rows being predicted. Contestants are MetaLearner with its
defaults and 64-64 units; the same with one noise for all tasks, a Gaussian, and the posterior's
own width; and those two without a hidden layer, of which the latter is the linear mixed model.
All numbers are means over tasks of means over rows; densities and CRPS are of targets that are
standardised over the training rows, and of Student's t where the prediction is that.
"""

import argparse
import time
import warnings

import _sets
import numpy as np
from scipy.special import betaln
from scipy.stats import norm, t
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPRegressor

from sklearn_meta import MetaLearner
from sklearn_meta.algorithms import BayesianHead
from sklearn_meta.tasks._episodes import EpisodeSampler

SHOTS = 0, 1, 5, 20
LEVELS = np.array([0.5, 0.8, 0.95])
FEWEST = 5  # tasks that are large enough, lest a number says nothing
REGRESSION = [name for name, (_, kind, _) in _sets.SETS.items() if kind == "regression"]


class OneNoise(BayesianHead):
    """With one Gaussian noise of all tasks, by its mean square, as wide as the posterior has it."""

    def calibrate(self, network, params, held_out):
        calibrated, ratios = params.copy(), []
        for members_network, members_params, support, query in held_out:
            tasks = self.learn(members_network, members_params, support)
            error = query.y - tasks.outputs(members_network, query.X)
            relative = np.square(tasks.std(members_network, query.X))
            relative /= np.exp(members_params["log_noise"])
            ratios.append(np.einsum("tm,tmk->tk", query.share, error**2 / relative))
        calibrated["log_noise"][...] = np.log(np.concatenate(ratios).mean(axis=0))
        return calibrated


def contestants(seed, max_iter):
    options = {"max_iter": max_iter, "random_state": seed, "adapt_training_tasks": False}
    deep, linear = (MLPRegressor(hidden_layer_sizes=units) for units in ((64, 64), ()))
    return {
        "MetaLearner": MetaLearner(deep, **options),
        "one noise": MetaLearner(deep, OneNoise(), **options),
        "linear": MetaLearner(linear, meta_lr=1e-2, **options),
        "linear mixed": MetaLearner(linear, OneNoise(), meta_lr=1e-2, **options),
    }


def predictions(meta, tasks, n_shots, seed):
    """Error, standard deviation, degrees of freedom of query rows, and what each counts."""
    learned = meta._served.learned
    arrays = learned.encoder.encode(tasks).arrays
    numbers = np.flatnonzero(arrays.sizes > n_shots)
    if len(numbers) < FEWEST:
        return None
    numbers = np.tile(numbers, -(-100 // len(numbers)))
    sampler = EpisodeSampler(arrays, n_shots, None, "random")
    support, query = sampler.draw(numbers, np.random.RandomState(seed))
    adapted = learned.algorithm.learn(learned.network, learned.params, support)
    std = adapted.std(learned.network, query.X)
    error = query.y - adapted.outputs(learned.network, query.X)
    df = np.broadcast_to(adapted.degrees_of_freedom()[:, None], std.shape)
    there = query.weight > 0
    rows = (part[there][:, 0].astype(float) for part in (error, std, df))
    return *rows, query.share[there] / len(numbers)


def scores(error, std, df, share):
    """Coverage at each level, mean log density, mean CRPS."""
    scale = std * np.sqrt(1 - 2 / df)
    half = t.ppf(0.5 + LEVELS[:, None] / 2, df) * scale
    covered = (np.abs(error) <= half) @ share
    return *covered, t.logpdf(error, df, 0, scale) @ share, crps(error / scale, df, scale) @ share


def crps(z, df, scale):
    """Of standardised errors: A. Jordan et al., Journal of Statistical Software 2019."""
    gaussian = z * (2 * norm.cdf(z) - 1) + 2 * norm.pdf(z) - 1 / np.sqrt(np.pi)
    finite = np.where(np.isfinite(df), df, 3.0)
    last = betaln(0.5, finite - 0.5) - 2 * betaln(0.5, finite / 2)
    students = z * (2 * t.cdf(z, finite) - 1) + 2 * t.pdf(z, finite) * (finite + z**2) / (
        finite - 1
    )
    students -= 2 * np.sqrt(finite) / (finite - 1) * np.exp(last)
    return scale * np.where(np.isfinite(df), students, gaussian)


def judge(real_set, seeds, max_iter):
    """Mean scores over seeds, {contestant: {shots: (5,)}}."""
    found = {}
    for seed in range(seeds):
        training, others = train_test_split(real_set.tasks, test_size=0.3, random_state=seed)
        for name, meta in contestants(seed, max_iter).items():
            meta.fit(training)
            for n_shots in SHOTS:
                rows = predictions(meta, others, n_shots, seed)
                if rows is not None:
                    of_shots = found.setdefault(name, {}).setdefault(n_shots, [])
                    of_shots.append(scores(*rows))
    return {
        name: {n_shots: np.mean(each, axis=0) for n_shots, each in of_name.items()}
        for name, of_name in found.items()
    }


def show(found):
    heads = (f"{n} shots: coverage      density CRPS" for n in found["MetaLearner"])
    print(" " * 14 + "".join(f"{head:>38s}" for head in heads))
    for name, of_name in found.items():
        cells = (
            f"{a:8.2f} {b:.2f} {c:.3f} {density:9.3f} {score:.3f}"
            for a, b, c, density, score in of_name.values()
        )
        print(f"{name:14s}" + "".join(f"{cell:>38s}" for cell in cells), flush=True)


def summary(sets):
    """Over sets: the mean and the largest error of coverage, gains in density, ratios of CRPS."""
    print("\nover sets: coverage less nominal (largest), density less one noise's (smallest),")
    print("CRPS over the linear mixed model's (largest)")
    for n_shots in SHOTS:
        there = [found for found in sets if n_shots in found["MetaLearner"]]
        if not there:
            continue
        ours, before, mixed = (
            np.array([found[name][n_shots] for found in there])
            for name in ("MetaLearner", "one noise", "linear mixed")
        )
        off = ours[:, :3] - LEVELS
        gain, ratio = ours[:, 3] - before[:, 3], ours[:, 4] / mixed[:, 4]
        coverage = " ".join(
            f"{mean:+.3f} ({most:.2f})"
            for mean, most in zip(off.mean(axis=0), np.abs(off).max(axis=0), strict=True)
        )
        print(
            f"{n_shots:2d} shots: {coverage}  {gain.mean():+.3f} ({gain.min():+.3f})  "
            f"{ratio.mean():.3f} ({ratio.max():.3f})"
        )


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", default=REGRESSION)
    parser.add_argument("--quick", action="store_true", help="few meta-steps, one split")
    parser.add_argument("--seeds", type=int, default=3, help="splits of the tasks")
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # of contestants that have few meta-steps
    sets = []
    for real_set in _sets.load_there(options.names):
        start = time.perf_counter()
        seeds, max_iter = (1, 50) if options.quick else (options.seeds, 3000)
        found = judge(real_set, seeds, max_iter)
        seconds = time.perf_counter() - start
        print(f"\n{real_set.name}: {real_set.about} ({seconds:.0f} s)", flush=True)
        show(found)
        sets.append(found)
    summary(sets)


if __name__ == "__main__":
    main()
