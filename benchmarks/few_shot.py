"""N-way K-shot classification of unseen classes: accuracy, beside what is to be reached.

    python benchmarks/few_shot.py [--quick] [--only prototypes plain before maml unlabelled leaves]

Glyphs: 741 characters in 15 to 20 typefaces. Trained on all scripts but Hebrew, Georgian, Thai,
Armenian, Khmer and Malayalam, and judged by 600 episodes of those, 5 query rows a class.
Networks see the mean of every 2 x 2 pixels. In training each image is redrawn for every task,
slightly turned, zoomed and shifted, and a quarter turn makes of a character another one.
Plainly, images are as they are, and a tenth of the characters to train on is held out to stop by;
so it is with what is put before the network, which there sees all pixels.
Leaves: measurements of 32 species, 20 to train and 12 to judge.

Settings were chosen on scripts, and on species, held out from those to train on.
"""

import argparse
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from _images import JUDGES, glyphs, halved, quarter_turns, rows
from _sets import DATA
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.frozen import FrozenEstimator
from sklearn.neighbors import NearestCentroid
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, PowerTransformer

from sklearn_meta import MetaLearner
from sklearn_meta.algorithms import MAML, ProtoMAML
from sklearn_meta.tasks import ImageJitter, NWayKShot, pseudo_tasks

sys.path.append(str(Path(__file__).resolve().parents[1] / "examples"))
from gradients import gradients

N_EPISODES, N_SPLITS = 600, 10
SHAPES = (5, 1), (5, 5), (20, 1), (20, 5)  # ways and shots


def episodes(X, y, n_way, n_shots, n_episodes):
    """What all contestants are judged by."""
    return NWayKShot(X, y, n_way, n_shots, n_query=5).sample(n_episodes, random_state=0)


def accuracies(tasks, learner):
    """Of each episode: of a MetaLearner, or of an estimator fitted to the support."""
    if isinstance(learner, MetaLearner):
        return [learner.score(tasks[[i]]) for i in range(len(tasks))]
    values, shown = [], np.split(tasks.is_support, tasks.offsets[1:-1])
    with warnings.catch_warnings():  # of one shot's spread, which NearestCentroid has no use for
        warnings.simplefilter("ignore")
        for (X, y), s in zip(tasks, shown, strict=True):
            values.append(learner.fit(X[s], y[s]).score(X[~s], y[~s]))
    return values


def report(label, values, aim=""):
    half = 1.96 * np.std(values) / np.sqrt(len(values))
    line = f"  {label:46s} {np.mean(values):.3f} +- {half:.3f}  ({len(values)} episodes)  {aim}"
    print(line, flush=True)


def report_glyphs(name, learner, judges, aims):
    """A line for each shape that has an aim."""
    for shape, aim in aims.items():
        values = accuracies(judges[shape], learner)
        report(f"{name}, {shape[0]}-way {shape[1]}-shot", values, aim)


def fit(estimator, algorithm, tasks, max_iter, **parameters):
    meta = MetaLearner(
        estimator,
        algorithm,
        n_shots=1,
        n_query=None,
        max_iter=max_iter,
        random_state=0,
        **{"early_stopping": False} | parameters,
    )
    start = time.perf_counter()
    meta.fit(tasks)
    kept = "" if meta.best_iter_ == meta.n_iter_ else f", those after {meta.best_iter_} kept"
    seconds = time.perf_counter() - start
    print(f"  [{meta.n_iter_} meta-steps{kept}, {seconds:.0f} s]", flush=True)
    return meta


class Glyphs:
    """The images to train on and the episodes that judge, made once."""

    def __init__(self, quick):
        self.images, self.y = glyphs(without=JUDGES)
        self.quick = quick
        unseen, y = glyphs(JUDGES)
        n_episodes = 20 if quick else N_EPISODES
        self.raw, self.judges = (
            {shape: episodes(rows(of_unseen), y, *shape, n_episodes) for shape in SHAPES}
            for of_unseen in (unseen, halved(unseen))
        )

    def labelled(self, **shape):
        images, y = quarter_turns(self.images, self.y)
        return NWayKShot(rows(halved(images)), y, augment=ImageJitter((14, 14)), **shape)


def prototypes(data):
    """Raw pixels, and a network trained as the paper does, with more ways than are judged."""
    raw = dict(zip(SHAPES, (0.761, 0.914, 0.591, 0.806), strict=True))
    aims = {shape: f"as quoted: {value}" for shape, value in raw.items()}
    report_glyphs("raw pixels' class means", NearestCentroid(), data.raw, aims)
    tasks = data.labelled(n_way=60, n_shots=1, n_query=5)
    mlp = MLPClassifier(hidden_layer_sizes=(256, 128, 64), alpha=1e-4)
    meta = fit(mlp, "prototypes", tasks, 20 if data.quick else 8000, meta_batch_size=2)
    bars = dict(zip(SHAPES, (0.86, 0.95, 0.68, 0.88), strict=True))
    aims = {shape: f"to reach {value}" for shape, value in bars.items()}
    report_glyphs("prototypes", meta, data.judges, aims)


def plain(data):
    """No augmentation, no other setting: classes held out stop training."""
    tasks = NWayKShot(rows(halved(data.images)), data.y, n_way=60, n_shots=1, n_query=5)
    mlp = MLPClassifier(hidden_layer_sizes=(256, 128, 64))
    meta = fit(mlp, "prototypes", tasks, 20 if data.quick else 3000, early_stopping=True)
    report_glyphs("prototypes, plainly", meta, data.judges, dict.fromkeys(SHAPES, ""))


def before(data):
    """What is put before the same network, for the same tasks of 28 x 28 pixels."""
    mlp = MLPClassifier(hidden_layer_sizes=(256, 128, 64))
    pca = make_pipeline(PCA(100, whiten=True), mlp)
    edges = make_pipeline(FunctionTransformer(gradients, kw_args={"shape": (28, 28)}), mlp)
    redrawn, shape = ImageJitter((28, 28)), {"n_way": 20, "n_shots": 1, "n_query": 5}
    for name, estimator, augment in (
        ("pixels", mlp, None),
        ("pixels, redrawn", mlp, redrawn),
        ("100 whitened components", pca, None),
        ("100 whitened components, redrawn", pca, redrawn),
        ("gradients", edges, None),
        ("gradients, redrawn", edges, redrawn),
    ):
        tasks = NWayKShot(rows(data.images), data.y, augment=augment, **shape)
        options = {"meta_batch_size": 4, "early_stopping": True}
        meta = fit(estimator, "prototypes", tasks, 20 if data.quick else 2000, **options)
        report_glyphs(name, meta, data.raw, dict.fromkeys(SHAPES, ""))


def maml(data):
    """Five steps: from learned weights with learned rates, and from a head of prototypes."""
    mlp = MLPClassifier(hidden_layer_sizes=(256, 128, 64), alpha=0)
    for algorithm in (
        MAML(inner_lr=0.1, inner_steps=5, learn_inner_lr="step"),
        ProtoMAML(inner_lr=0.01, inner_steps=5),
    ):
        tasks = data.labelled(n_way=5, n_shots=1, n_query=5)
        meta = fit(mlp, algorithm, tasks, 20 if data.quick else 5000)
        name = type(algorithm).__name__
        report_glyphs(name, meta, data.judges, {(5, 1): "to reach 0.80"})


def unlabelled(data):
    """Classes are clusters of the training images."""
    options = {"n_partitions": 2, "n_clusters": 50} if data.quick else {"n_partitions": 30}
    shape = {"n_way": 20, "n_shots": 1, "n_query": 5}
    options |= {"augment": ImageJitter((14, 14)), "random_state": 0}
    tasks = pseudo_tasks(rows(halved(data.images)), **options, **shape)
    mlp = MLPClassifier(hidden_layer_sizes=(256, 128, 64), alpha=1e-4)
    meta = fit(mlp, "prototypes", tasks, 20 if data.quick else 3000, meta_batch_size=4)
    aims = {(5, 1): "to beat raw pixels' 0.761", (5, 5): "to beat raw pixels' 0.914"}
    report_glyphs("prototypes without labels", meta, data.judges, aims)


def leaves(quick):
    """Ten splits of the species; 60 episodes of each split's unseen ones."""
    table = pd.read_csv(DATA / "leaves.csv.gz")
    X = table.drop(columns="species").select_dtypes("number").to_numpy(float)
    y = table["species"].to_numpy()
    species, values, n_episodes = np.unique(y), {}, 5 if quick else 60
    for seed in range(1 if quick else N_SPLITS):
        order = np.random.default_rng(seed).permutation(species)
        train, unseen = np.isin(y, order[:20]), np.isin(y, order[20:])
        contestants = leaf_contestants(X[train], y[train], seed, quick)
        for k in (1, 5):
            drawn = NWayKShot(X[unseen], y[unseen], 12, k, n_query=10).sample(
                n_episodes, random_state=seed
            )
            for name, learner in contestants.items():
                values.setdefault((k, name), []).extend(accuracies(drawn, learner))
    aims = {(1, "prototypes"): "to reach 0.77", (5, "prototypes"): "to reach 0.93"}
    for (k, name), of_episodes in values.items():
        report(f"leaves, {name}, 12-way {k}-shot", of_episodes, aims.get((k, name), ""))


def leaf_contestants(X, y, seed, quick):
    """Class means in the space that discriminant analysis finds, and in one learned from there."""
    lda = LinearDiscriminantAnalysis(solver="eigen", shrinkage="auto")
    metric = FrozenEstimator(make_pipeline(PowerTransformer(), lda).fit(X, y))
    scaled = FrozenEstimator(PowerTransformer().fit(X))
    mlp = MLPClassifier(hidden_layer_sizes=(256,), activation="tanh")
    meta = MetaLearner(
        make_pipeline(PowerTransformer(), lda, mlp),
        "prototypes",
        n_shots=1,
        n_query=None,
        meta_batch_size=4,
        max_iter=20 if quick else 100,
        early_stopping=False,
        random_state=seed,
    )
    return {
        "class means": make_pipeline(scaled, NearestCentroid()),
        "discriminants' class means": make_pipeline(metric, NearestCentroid()),
        "prototypes": meta.fit(NWayKShot(X, y, 20, 1, n_query=5)),
    }


PARTS = {
    "prototypes": prototypes,
    "plain": plain,
    "before": before,
    "maml": maml,
    "unlabelled": unlabelled,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="few meta-steps and episodes")
    parser.add_argument("--only", nargs="+", choices=[*PARTS, "leaves"])
    options = parser.parse_args()
    chosen = options.only or [*PARTS, "leaves"]
    if not DATA.exists():
        print(f"Left out: the data folder {DATA.name} is not there")
        return
    print("Accuracy +- 95% interval over episodes", flush=True)
    data = Glyphs(options.quick) if set(chosen) & set(PARTS) else None
    for name in chosen:
        if name in PARTS:
            PARTS[name](data)
        else:
            leaves(options.quick)


if __name__ == "__main__":
    main()
