"""
Learn a new speaker's vowels from a few of them
===============================================

The same vowel has other formants in every mouth. A classifier pooled over speakers ignores
that; one trained on a single speaker needs each vowel several times. A MetaLearner learns
from many speakers how speakers differ, so that a few vowels of a new one tell it about the
others, too.

Each of 76 speakers says ten vowels twice. Of an unseen speaker some vowels of the first round
are shown, and all ten of the second round are to be recognised.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_meta import MetaLearner
from sklearn_meta.datasets import load_vowels

SHOWN = (0, 1, 2, 3, 5, 10)
REPEATS = 5  # random choices of the vowels that are shown

# %%
# Three methods: the meta-learner as it comes, one model of all speakers, and one of the
# speaker's shown vowels alone.

speakers = load_vowels()


def methods(train):
    mlp = MLPClassifier(hidden_layer_sizes=(64, 64))
    meta = MetaLearner(mlp, random_state=0).fit(train)
    logistic = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    pooled = logistic.fit(train.X, train.y)
    scaler = pooled[0]

    def rows_alone(X, y, X_query):
        if len(y) < 2:
            return np.full(len(X_query), y[0] if len(y) else "")
        own = LogisticRegression(C=10, max_iter=1000).fit(scaler.transform(X), y)
        return own.predict(scaler.transform(X_query))

    def meta_learner(X, y, X_query):
        return (meta.adapt(X, y) if len(y) else meta.estimator_).predict(X_query)

    return {
        "MetaLearner": meta_learner,
        "all speakers pooled": lambda X, y, X_query: pooled.predict(X_query),
        "the shown vowels alone": rows_alone,
    }


# %%
# Every speaker is unseen once: three-fold cross-validation over speakers.

accuracy = {}  # (method, number shown) -> accuracy of each speaker
for train, unseen in KFold(3, shuffle=True, random_state=0).split(speakers):
    for name, method in methods(speakers[train]).items():
        rng = np.random.default_rng(0)
        for speaker in unseen:
            X, y = speakers[speaker]
            first = speakers.is_support[speakers.offsets[speaker] :][: len(y)]
            for n_shown in SHOWN:
                right = []
                for _ in range(REPEATS):
                    shown = rng.permutation(np.flatnonzero(first))[:n_shown]
                    right.append(np.mean(method(X[shown], y[shown], X[~first]) == y[~first]))
                accuracy.setdefault((name, n_shown), []).append(np.mean(right))

# %%
# Accuracy on the second round, with 95% intervals over speakers.

names = list(dict.fromkeys(name for name, _ in accuracy))
mean = np.array([[np.mean(accuracy[name, k]) for k in SHOWN] for name in names])
error = np.array([[np.std(accuracy[name, k]) for k in SHOWN] for name in names])
error *= 1.96 / np.sqrt(len(speakers))

print(f"Accuracy on {len(speakers)} unseen speakers, with 95% intervals over speakers\n")
print(f"{'vowels shown':24s}" + "".join(f"{k:^16d}" for k in SHOWN))
for name, means, errors in zip(names, mean, error, strict=True):
    cells = (f"{m:.3f} +- {e:.3f}" for m, e in zip(means, errors, strict=True))
    print(f"{name:24s}" + "".join(f"{cell:^16s}" for cell in cells))

# %%
# The few-shot curve.

figure, ax = plt.subplots(figsize=(7, 4.5), layout="constrained")
for name, means, errors in zip(names, mean, error, strict=True):
    ax.errorbar(SHOWN, means, errors, marker="o", capsize=3, label=name)
ax.set(
    xticks=SHOWN,
    ylim=(0.7, 1),
    xlabel="vowels shown of an unseen speaker",
    ylabel="accuracy on all ten, said again",
    title="Vowels: learning a new speaker",
)
ax.legend(loc="upper left")
figure.savefig("vowels.png", dpi=120)
print("\nThe curve is in vowels.png")
