"""R2 on unseen tasks with a few rows each, beside a hierarchical linear model.

    python benchmarks/grouped_regression.py [--splits 5] [--quick] [NAME ...]

Each set's tasks are split into 70% training tasks and 30% unseen ones, five times; each
unseen task shows `shots` random rows and is judged on its others. R2 is over all rows of all
unseen tasks, with 95% intervals by resampling tasks. Nothing is tuned on the unseen tasks:
MetaLearner runs with one setting for all sets, its default but for the network's size.
"""

import argparse
import time
import warnings

import _grouped
import _sets
import numpy as np
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import RidgeCV
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_meta import MetaLearner

SETS = {  # name: (shots, figure to reach with MetaLearner)
    "countries": ((5,), 0.95),
    "nox": ((5, 10), 0.785),
    "baseball": ((5,), 0.87),
    "hsb82": ((0, 5), None),
}
CONTESTANTS = "MetaLearner", "hierarchical", "pooled trees", "pooled ridge", "rows alone"


def learners(train, seed, max_iter):
    """Functions (X, y) -> (rows -> predictions), by name."""
    mlp = MLPRegressor(hidden_layer_sizes=(64, 64))
    start = time.perf_counter()
    meta = MetaLearner(mlp, max_iter=max_iter, random_state=seed).fit(train)
    seconds = time.perf_counter() - start
    hierarchical = _grouped.HierarchicalLinear().fit(train)
    trees = HistGradientBoostingRegressor(random_state=0).fit(train.X, train.y)
    ridge = make_pipeline(StandardScaler(), RidgeCV()).fit(train.X, train.y)
    alone = make_pipeline(StandardScaler(), RidgeCV(np.logspace(-2, 3, 12)))
    return seconds, {
        "MetaLearner": lambda X, y: (meta.adapt(X, y) if len(y) else meta.estimator_).predict,
        "hierarchical": hierarchical.adapt,
        "pooled trees": lambda X, y: trees.predict,
        "pooled ridge": lambda X, y: ridge.predict,
        "rows alone": lambda X, y: (alone.fit(X, y) if len(y) else ridge).predict,
    }


def run(name, n_splits, max_iter):
    """Print one set's table."""
    shots, bar = SETS[name]
    tasks = _sets.load(name).tasks
    errors = {(k, who): [] for k in shots for who in CONTESTANTS}
    seconds = []
    for seed in range(n_splits):
        train, unseen = _grouped.split_tasks(tasks, seed)
        took, contestants = learners(train, seed, max_iter)
        seconds.append(took)
        for k in shots:
            judged = unseen[unseen.sizes > k]
            support, query = _grouped.split_rows(judged, k, seed)
            for who, adapt in contestants.items():
                for low, high in zip(judged.offsets[:-1], judged.offsets[1:], strict=True):
                    X, y = judged.X[low:high], judged.y[low:high]
                    s, q = support[low:high], query[low:high]
                    errors[k, who].append((y[q], adapt(X[s], y[s])(X[q])))
    print(f"\n{name}: {tasks!r}, {n_splits} splits, fit {np.median(seconds):.1f} s")
    for k in shots:
        count = len(errors[k, "MetaLearner"])
        aim = f", to reach {bar}" if bar and k == 5 else ""
        print(f"  {k} rows, {count} unseen tasks{aim}")
        for who in CONTESTANTS:
            r2, low, high = _grouped.r2_interval(errors[k, who])
            print(f"    {who:14s} {r2:.3f}  [{low:.3f}, {high:.3f}]")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=list(SETS))
    parser.add_argument("--splits", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="one split, few meta-steps")
    options = parser.parse_args()
    warnings.simplefilter("ignore", RuntimeWarning)
    for name in options.names:
        try:
            run(name, 1 if options.quick else options.splits, 100 if options.quick else 3000)
        except _sets.MissingError as reason:
            print(f"\n{name}: left out, {reason}")


if __name__ == "__main__":
    main()
