"""Accuracy on unseen speakers' vowels with one row a class, beside the published figures.

    python benchmarks/vowels.py [--quick]

Five splits into 53 training speakers and 23 unseen ones. Of an unseen speaker each of the
ten vowels is shown once, and recognised when said again. The tuned setting (network size and
alpha) is chosen for each split by cross-validation over its training speakers only.
"""

import argparse
import time

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_meta import MetaLearner
from sklearn_meta.datasets import load_vowels

GRID = {
    "estimator__hidden_layer_sizes": [(100,), (64, 64)],
    "estimator__alpha": [1e-4, 1e-3],
}


def meta_learner(seed, **parameters):
    return MetaLearner(MLPClassifier(), random_state=seed, **parameters)


def by_speaker(tasks, predict):
    """Accuracy on each speaker's second round; `predict(X, y, X_query)`."""
    accuracy = []
    for (X, y), first in zip(tasks, np.split(tasks.is_support, tasks.offsets[1:-1]), strict=True):
        accuracy.append(np.mean(predict(X[first], y[first], X[~first]) == y[~first]))
    return accuracy


def contestants(train, seed, quick):
    """Functions (X, y, X_query) -> labels, by name."""
    few = {"max_iter": 20} if quick else {}
    default = meta_learner(seed, **few).fit(train)
    search = GridSearchCV(
        meta_learner(seed, n_shots=(0, 1), **few),
        GRID,
        cv=KFold(5, shuffle=True, random_state=seed),
        n_jobs=2,
    ).fit(train)
    print(f"  split {seed}: chosen {list(search.best_params_.values())}", flush=True)
    pooled = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    pooled.fit(train.X, train.y)
    alone = make_pipeline(StandardScaler(), LogisticRegression(C=10, max_iter=1000))
    return {
        "default (to reach 0.90)": lambda X, y, Xq: default.adapt(X, y).predict(Xq),
        "tuned (to reach 0.94)": lambda X, y, Xq: search.best_estimator_.adapt(X, y).predict(Xq),
        "all speakers pooled": lambda X, y, Xq: pooled.predict(Xq),
        "the shown rows alone": lambda X, y, Xq: alone.fit(X, y).predict(Xq),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one split, few meta-steps")
    quick = parser.parse_args().quick
    speakers, accuracy, start = load_vowels(), {}, time.perf_counter()
    for seed in range(1 if quick else 5):
        order = np.random.default_rng(seed).permutation(len(speakers))
        train, unseen = speakers[order[:53]], speakers[order[53:]]
        for name, predict in contestants(train, seed, quick).items():
            accuracy.setdefault(name, []).extend(by_speaker(unseen, predict))
    print(f"Accuracy with one row a class; {time.perf_counter() - start:.0f} s")
    for name, values in accuracy.items():
        half = 1.96 * np.std(values) / np.sqrt(len(values))
        print(f"  {name:24s} {np.mean(values):.3f} +- {half:.3f}  ({len(values)} unseen speakers)")


if __name__ == "__main__":
    main()
