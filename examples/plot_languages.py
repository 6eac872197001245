"""
Learn a new language from a few words
=====================================

How do words of a language go on? A model of its own needs many words to tell, and one of all
languages together knows none in particular. A :class:`~sklearn_meta.MetaLearner` learns from many
languages how languages differ, and how far to trust what a few words of a new one say.

The words are names of countries and languages, in Latin letters. Whole families are unseen:
Galician is easy for whoever knows Spanish. What classical models make of the words shown (the
mixture of known languages that explains them best, and these words alone) are features of each
place in a word; the head learns on training languages what to make of them, and changes that for
a new language as its words say.

Whoever runs this example needs :download:`letters.py </../examples/letters.py>` beside it.
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np
from letters import Languages, evidence, features, head
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GroupShuffleSplit

from sklearn_meta import TaskCollection
from sklearn_meta.datasets import load_languages

SIZES = 0, 5, 20, 100  # words shown
FIRST, LAST = 100, 120  # words asked
random_state = np.random.RandomState(0)

# %%
# 90 languages of :func:`~sklearn_meta.datasets.load_languages` to learn from, and 30 of other
# families. ``letters.py``, beside this example, has the classical models: interpolated Kneser-Ney
# of each language, of all of them pooled and of the words shown, and the mixture of these, its
# weights by EM.

tasks, families = load_languages(return_families=True)
known, unseen = next(
    GroupShuffleSplit(1, test_size=0.3, random_state=2).split(families, groups=families)
)
known, unseen = (
    np.sort(random_state.permutation(part)[:n]) for part, n in ((known, 90), (unseen, 30))
)
tasks, families = tasks[np.append(known, unseen)], families[np.append(known, unseen)]
is_known = np.arange(len(tasks)) < len(known)
languages = Languages(tasks[: len(known)])
print(f"{is_known.sum()} languages to learn from, {sum(~is_known)} of other families")

# %%
# What is said of a language comes from known languages of other families than its own, and of a
# word that is shown from the other words shown. So what is said of a training language is like
# what will be said of a new one.


def words_of(task):
    """Rows of a language's words: X, y and the number of the word."""
    return *tasks[task], tasks.blocks[tasks.offsets[task] : tasks.offsets[task + 1]]


def material(task, size):
    """Features and letters of the words shown and asked, what classical models say, and marks."""
    X, y, word = words_of(task)
    used = (word < size) | (word >= FIRST) & (word < LAST)
    X, y, word = X[used], y[used], word[used]
    places = languages.at(X)
    pool = languages.pool(places, families[is_known] != families[task])
    said = evidence(places, pool, y, word, word < size)
    return features(said, X), y, said, word < size


parts = []
for task in np.flatnonzero(is_known):
    size = random_state.choice((1, 5, 20, 100))
    X, y, _, is_shown = material(task, size)
    parts.append((X, y, np.full(len(y), task), is_shown))
X, y, groups, is_support = (np.concatenate(part) for part in zip(*parts, strict=True))
with warnings.catch_warnings():
    warnings.simplefilter("ignore", ConvergenceWarning)  # 120 meta-steps end it
    meta = (
        head()
        .set_params(max_iter=120)
        .fit(TaskCollection.from_arrays(X, y, groups, is_support=is_support))
    )

# %%
# Bits a letter of words that were not shown, beside Kneser-Ney and the mixture.


def bits(probability, y):
    probability = probability / probability.sum(axis=1, keepdims=True)
    return -np.mean(np.log2(probability[np.arange(len(y)), y]))


names = "the words alone", "all languages pooled", "mixture of languages", "MetaLearner"
found = np.empty((len(SIZES), len(unseen), len(names)))
for i, size in enumerate(SIZES):
    for j, task in enumerate(np.flatnonzero(~is_known)):
        X, y, said, is_shown = material(task, size)
        asked = ~is_shown
        meta.fit_adapt(X[is_shown], y[is_shown])
        contestants = [*(np.exp(each[asked]) for each in said), meta.predict_proba(X[asked])]
        found[i, j] = [bits(each, y[asked]) for each in contestants]
half = 1.96 * found.std(axis=1, ddof=1) / len(unseen) ** 0.5
less = found[..., 3] - found[..., 2]  # of the same words
half_less = 1.96 * less.std(axis=1, ddof=1) / len(unseen) ** 0.5
print("\nBits a letter, by words shown" + "".join(f"{size:>8}" for size in SIZES))
for name, column in zip(names, found.mean(axis=1).T, strict=True):
    print(f"  {name:27s}" + "".join(f"{value:8.2f}" for value in column))
print("MetaLearner, less the mixture, with 95% intervals over languages:")
for size, mean, each in zip(SIZES, less.mean(axis=1), half_less, strict=True):
    print(f"  {size:3d} words {mean:+.3f} +- {each:.3f}")

# %%
# The same with 95% intervals over languages.

figure, axis = plt.subplots(figsize=(6.5, 4.2), layout="constrained")
looks = ("0.6", ":"), ("0.6", "-"), ("C1", "-"), ("C0", "-")
for name, means, halves, (color, line) in zip(
    names, found.mean(axis=1).T, half.T, looks, strict=True
):
    style = {"color": color, "ls": line, "marker": "o", "ms": 4, "capsize": 3}
    axis.errorbar(range(len(SIZES)), means, halves, label=name, **style)
axis.set_xticks(range(len(SIZES)), [str(size) for size in SIZES])
axis.set(xlabel="words shown of a language of an unseen family", ylabel="bits a letter")
axis.legend(frameon=False)
plt.show()

# %%
# Which language are five words in? The one that makes them most likely, of 15, each learned from
# 20 words: :meth:`~sklearn_meta.MetaLearner.score_samples` has the density of all letters of the
# five words together.

everyone = np.ones(len(known), bool)
strangers = random_state.permutation(np.flatnonzero(~is_known))[:15]
of_each = [words_of(task) for task in strangers]
shown = [tuple(part[word < 20] for part in (X, y, word)) for X, y, word in of_each]
asked = [
    tuple(part[(word >= FIRST) & (word < FIRST + 5)] for part in (X, y, word))
    for X, y, word in of_each
]
X_asked, y_asked, _ = (np.concatenate(part) for part in zip(*asked, strict=True))
stranger = np.repeat(np.arange(len(asked)), [len(y) for _, y, _ in asked])
density = np.empty((2, len(strangers), len(strangers)))  # by whom, candidate, words of
for j, (X, y, word) in enumerate(shown):
    X, y, word = np.concatenate([X, X_asked]), np.append(y, y_asked), np.append(word, stranger)
    places, is_shown = languages.at(X), np.arange(len(y)) < len(shown[j][1])
    said = evidence(places, languages.pool(places, everyone), y, word, is_shown)
    rows = features(said, X)
    meta.fit_adapt(rows[is_shown], y[is_shown])
    of_mixture = said.mixture[~is_shown][np.arange(len(y_asked)), y_asked]
    for k in range(len(strangers)):
        own = np.append(np.zeros(is_shown.sum(), bool), stranger == k)
        density[:, j, k] = meta.score_samples(rows[own], y[own])[0], of_mixture[stranger == k].sum()
print(f"\nFive words, in one of {len(strangers)} languages, 20 words of each shown: recognised")
for name, of_candidates in zip(("MetaLearner", "mixture of languages"), density, strict=True):
    right = of_candidates.argmax(axis=0) == np.arange(len(strangers))
    print(f"  {name:21s} {right.mean():.0%}")

# %%
# New words, letter by letter, of languages of which 50 words were shown, beside real ones.

N_NEW, LONGEST, N_SHOWN = 8, 12, 50


def new_words(task):
    """Words that a language might have."""
    X, y, word = (part[words_of(task)[2] < N_SHOWN] for part in words_of(task))
    spelled = np.zeros((N_NEW, X.shape[1] + LONGEST), int)
    for place in range(X.shape[1], spelled.shape[1]):
        before = spelled[:, place - X.shape[1] : place]
        rows = np.concatenate([X, before])
        places, is_shown = languages.at(rows), np.arange(len(rows)) < len(X)
        pool = languages.pool(places, everyone)
        none = np.zeros(N_NEW, int)  # what is asked has no letter yet
        said = evidence(places, pool, np.append(y, none), np.append(word, none), is_shown)
        seen = features(said, rows)
        if place == X.shape[1]:
            meta.fit_adapt(seen[is_shown], y)
        chances = meta.predict_proba(seen[~is_shown])
        drawn = [random_state.choice(meta.classes_, p=chance / chance.sum()) for chance in chances]
        over = (before[:, -1] == 0) & (place > X.shape[1])
        spelled[:, place] = np.where(over, 0, drawn)
    return [as_text(each) for each in spelled]


def as_text(letters):
    return "".join(chr(ord("a") + letter - 1) for letter in letters if letter)


def real_words(task):
    _, y, word = words_of(task)
    return [as_text(y[word == number]) for number in range(FIRST, FIRST + N_NEW)]


_, one_of_each = np.unique(families[strangers], return_index=True)
pictured = strangers[random_state.permutation(one_of_each)[:3]]
columns = []
for task in pictured:
    name = {"bs": "Bosnian", "cop": "Coptic", "om": "Oromo"}[tasks.task_ids[task]]
    columns.append((name, real_words(task), new_words(task)))

figure, axes = plt.subplots(1, 3, figsize=(9, 2.7), layout="constrained")
for axis, (name, *halves) in zip(axes, columns, strict=True):
    axis.set_title(name, loc="left", fontweight="bold", pad=14)
    axis.axis("off")
    for x, words in zip((0, 0.5), (["real", *halves[0]], ["made up", *halves[1]]), strict=True):
        for line, word in enumerate(words):
            axis.text(x, 1 - line / N_NEW, word, color="k" if line else "0.4", va="center")
plt.show()

# %%
# The mixture of known languages is a strong rival, and most of what can be told from a few words it
# tells. The MetaLearner starts from it and gains a little on it, the more, the more words are
# shown; with none, next to nothing. In telling languages apart neither is clearly better on 15.
# Where less than a tenth of a bit does not matter, take the mixture, which needs no training
# beyond counting.
#
# :doc:`/figures/index` has all 203 languages, each held out once, with more languages to learn from
# and more training: there the gain is larger, with no word as well.
