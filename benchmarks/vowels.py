"""Accuracy on unseen speakers' vowels with one row a class, beside the published figures.

    python benchmarks/vowels.py [--quick]

Five splits into 53 training speakers and 23 unseen ones. Of an unseen speaker each of the
ten vowels is shown once, and recognised when said again. The tuned setting (network size and
alpha) is chosen for each split by cross-validation over its training speakers only.
"""

import argparse

import _grouped
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_meta import MetaLearner
from sklearn_meta.baselines import Local, Pooled
from sklearn_meta.datasets import load_vowels
from sklearn_meta.model_selection import few_shot_curve

GRID = {
    "estimator__hidden_layer_sizes": [(100,), (64, 64)],
    "estimator__alpha": [1e-4, 1e-3],
}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one split, few meta-steps")
    quick = parser.parse_args().quick
    few = {"max_iter": 20} if quick else {}
    meta = MetaLearner(MLPClassifier(), random_state=0, **few)
    of_each = {"n_shots": (0, 1), "stratify_shots": True}
    tuned = MetaLearner(MLPClassifier(), **of_each, random_state=0, **few)
    search = GridSearchCV(tuned, GRID, cv=KFold(5, shuffle=True, random_state=0), n_jobs=2)
    baselines = {
        "default (to reach 0.90)": meta,
        "all speakers pooled": Pooled(
            make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
        ),
        "the shown rows alone": Local(
            make_pipeline(StandardScaler(), LogisticRegression(C=10, max_iter=1000))
        ),
    }
    speakers = load_vowels()
    curve = few_shot_curve(
        search,
        speakers,
        n_shots=1,
        cv=_grouped.splits(len(speakers), 1 if quick else 5),
        n_repeats=1,
        stratify=True,
        baselines=baselines,
        random_state=0,
    )
    print(f"The search (to reach 0.94)\n{curve!r}")


if __name__ == "__main__":
    main()
