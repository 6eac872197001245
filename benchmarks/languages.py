"""Bits a letter of words of languages of unseen families, by how many words are shown.

    python benchmarks/languages.py [--quick]

The families of `load_languages` are dealt into five folds, and all languages of one are unseen
by what is trained on the other four; even the features of a training language come from languages
of other families. Of each language up to 100 words are shown, and words beyond these are asked.
All that was chosen, of the rivals and of the head, was chosen on languages of folds 1 to 4, which
judge in their turn: the first fold, on which nothing was chosen, is reported by itself, too.
"""

import argparse
import sys
import warnings
from pathlib import Path

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GroupKFold

from sklearn_meta import TaskCollection
from sklearn_meta.datasets import load_languages

sys.path.append(str(Path(__file__).resolve().parents[1] / "examples"))
from letters import Languages, evidence, features, head

SIZES = 0, 5, 20, 100  # words shown
FIRST, LAST = 100, 160  # words asked: these, but for languages of few
FEWEST = 20
N_TRAINING = 15  # words asked of a training task
METHODS = (
    "Kneser-Ney, the words alone",
    "Kneser-Ney pooled, with the words",
    "mixture of the languages by EM, with the words",
    "Bayesian head on that mixture",
    "the head and the mixture, averaged",
)
RIVAL, HEAD, BOTH = METHODS[2:]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one fold, few languages")
    quick = parser.parse_args().quick
    tasks, families = load_languages(return_families=True)
    if quick:
        tasks, families = tasks[::4], families[::4]
    folds = list(GroupKFold(5).split(families, groups=families))
    fold_of = np.empty(len(tasks), int)
    for number, (_, unseen) in enumerate(folds):
        fold_of[unseen] = number
    asked = range(1 if quick else len(folds))
    languages = Languages(tasks)
    material = [
        each
        for task in range(len(tasks))
        for each in materials(languages, tasks, families, fold_of, task, asked)
    ]
    bits = {}
    for fold in asked:
        of_fold = [each for each in material if each["fold"] == fold]
        bits.update(judged(of_fold))
    report("all", bits, families)
    of_first = {key: row for key, row in bits.items() if fold_of[key[0]] == 0}
    report("the first fold's", of_first, families)


def materials(languages, tasks, families, fold_of, task, folds):
    """What is known of a language's rows, for each fold and number of words shown."""
    X, y = tasks[task]
    word = tasks.blocks[tasks.offsets[task] : tasks.offsets[task + 1]]
    kept = word < min(LAST, word.max() - FEWEST)
    X, y, word = X[kept], y[kept], word[kept]
    places = languages.at(X)
    is_asked = word >= FIRST
    for fold in folds:
        known = (fold_of != fold) & (families != families[task])
        pool = languages.pool(places, known)
        for size in SIZES:
            first = 20 if size == 20 and fold_of[task] != fold else 0
            is_shown = (word >= first) & (word < first + size)
            used = is_shown | is_asked
            of_used = places._replace(number=places.number[used])
            said = evidence(of_used, pool, y[used], word[used], is_shown[used])
            rows = np.concatenate([np.flatnonzero(is_shown), np.flatnonzero(is_asked)])
            yield {
                "task": task,
                "fold": fold,
                "size": size,
                "X": features(said, X[rows]).astype(np.float32),
                "y": y[rows],
                "word": word[rows],
                "n_shown": is_shown.sum(),
                "rivals": [np.exp(each[is_shown.sum() :]) for each in said]
                if fold_of[task] == fold
                else None,
            }


def judged(material):
    """Bits a letter of each unseen language and number of words, by each method."""
    seen = [each for each in material if each["rivals"] is None]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # max_iter ends it
        meta = head().fit(training_tasks(seen))
    bits = {}
    for each in material:
        if each["rivals"] is not None:
            n, truth = each["n_shown"], each["y"][each["n_shown"] :]
            learned = meta.adapt(each["X"][:n], each["y"][:n])
            own = learned.predict_proba(each["X"][n:])
            every = np.zeros((len(truth), len(each["rivals"][0][0])))
            every[:, learned.classes_] = own
            rivals = [p / p.sum(axis=1, keepdims=True) for p in each["rivals"]]
            contestants = [*rivals, every, (every + rivals[-1]) / 2]
            rows = np.arange(len(truth))
            bits[each["task"], each["size"]] = [
                -np.mean(np.log2(np.maximum(p[rows, truth], 1e-9))) for p in contestants
            ]
    return bits


def training_tasks(material):
    """A task for each language and number of words, with the rows of these words as support."""
    random_state = np.random.RandomState(0)
    parts = []
    for number, each in enumerate(material):
        is_shown = np.arange(len(each["y"])) < each["n_shown"]
        words = np.unique(each["word"][~is_shown])
        chosen = random_state.choice(words, min(N_TRAINING, len(words)), replace=False)
        kept = is_shown | np.isin(each["word"], chosen)
        if not each["n_shown"]:  # a training task must have a row to learn from
            is_shown[random_state.choice(np.flatnonzero(kept))] = True
        parts.append(
            (each["X"][kept], each["y"][kept], np.full(kept.sum(), number), is_shown[kept])
        )
    X, y, groups, is_support = (np.concatenate(part) for part in zip(*parts, strict=True))
    return TaskCollection.from_arrays(X, y, groups, is_support=is_support)


def report(which, bits, families):
    """The table, and what the head and the average have less than the strongest rival."""
    for size in SIZES:
        tasks = [task for task, shown in bits if shown == size]
        table = np.array([bits[task, size] for task in tasks])
        print(f"\n{size} words shown, {which}: {len(table)} languages of unseen families")
        for method, column in zip(METHODS, table.T, strict=True):
            print(f"  {column.mean():.3f}  {method}")
        rival = table[:, METHODS.index(RIVAL)]
        for method in (HEAD, BOTH):
            more = table[:, METHODS.index(method)] - rival
            off = more - more.mean()
            sums = np.bincount(np.unique(families[tasks], return_inverse=True)[1], off)
            over = [1.96 * np.sqrt(np.sum(each**2)) / len(more) for each in (off, sums)]
            print(
                f"  {method}, less the mixture: {more.mean():+.3f} +- {over[0]:.3f} over "
                f"languages, {over[1]:.3f} over families; better in {np.mean(more < 0):.0%}"
            )


if __name__ == "__main__":
    main()
