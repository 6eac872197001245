"""R2 on unseen tasks with a few rows each, beside a hierarchical linear model.

    python benchmarks/grouped_regression.py [--splits 5] [--quick] [NAME ...]

Each set's tasks are split into 70% training tasks and 30% unseen ones, five times; each
unseen task shows some random rows and is judged on its others. R2 is over all rows of all
unseen tasks, with 95% intervals by resampling tasks. Nothing is tuned on the unseen tasks:
MetaLearner runs with one setting for all sets, its default but for the network's size.
"""

import argparse
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
from sklearn_meta.baselines import Local, Pooled
from sklearn_meta.model_selection import few_shot_curve

SETS = {  # name: (shots, figure to reach with MetaLearner and 5 rows)
    "countries": ((5,), 0.95),
    "nox": ((5, 10), 0.785),
    "baseball": ((5,), 0.87),
    "hsb82": ((0, 5), None),
}
BASELINES = {
    "hierarchical": _grouped.HierarchicalLinear(),
    "pooled trees": Pooled(HistGradientBoostingRegressor(random_state=0)),
    "pooled ridge": Pooled(make_pipeline(StandardScaler(), RidgeCV())),
    "rows alone": Local(make_pipeline(StandardScaler(), RidgeCV(np.logspace(-2, 3, 12)))),
}


def run(name, n_splits, max_iter):
    """Print one set's curve."""
    (shots, bar), tasks = SETS[name], _sets.load(name).tasks
    meta = MetaLearner(MLPRegressor(hidden_layer_sizes=(64, 64)), max_iter=max_iter, random_state=0)
    curve = few_shot_curve(
        meta,
        tasks.X,
        tasks.y,
        groups=tasks.groups,
        n_shots=shots,
        cv=_grouped.splits(len(tasks), n_splits),
        n_repeats=1,
        baselines=BASELINES,
        random_state=0,
    )
    aim = f", to reach {bar} with 5 rows" if bar else ""
    print(f"\n{name}: {tasks!r}, {n_splits} splits{aim}\n{curve!r}", flush=True)


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
