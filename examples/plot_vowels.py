"""
Learn a new speaker's vowels from a few of them
===============================================

The same vowel has other formants in every mouth. How well are a new speaker's vowels recognised
after a few of them have been heard, and is that better than one model of all speakers, or one of
this speaker alone?

A model pooled over speakers ignores whose mouth it is; one trained on a single speaker needs each
vowel to be heard. A :class:`~sklearn_meta.MetaLearner` learns from many speakers how speakers
differ, so that a few vowels of a new one tell it about the others, too.
"""

import matplotlib.pyplot as plt
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_meta import MetaLearner
from sklearn_meta.baselines import Local, Pooled
from sklearn_meta.datasets import load_vowels
from sklearn_meta.inspection import FewShotCurveDisplay
from sklearn_meta.model_selection import few_shot_curve

# %%
# Each of 76 speakers says ten vowels twice. The collection marks the first round: its rows are
# shown, some or all of them, and all ten of the second round are to be recognised.


speakers = load_vowels()
print(speakers)

# %%
# Three contestants. The two rivals are the same logistic regression, once
# :class:`~sklearn_meta.baselines.Pooled` over all speakers and once
# :class:`~sklearn_meta.baselines.Local` to the vowels shown. The MetaLearner is as it comes, but
# for a single network: the default, five of them, takes some four times as long, and is right
# a little more often.


meta = MetaLearner(MLPClassifier(hidden_layer_sizes=(64, 64)), n_members=1, random_state=0)
logistic = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
few = make_pipeline(StandardScaler(), LogisticRegression(C=10, max_iter=1000))
baselines = {"all speakers pooled": Pooled(logistic), "the shown vowels alone": Local(few)}

# %%
# :func:`~sklearn_meta.model_selection.few_shot_curve` holds every speaker out once and shows all
# contestants the same vowels. They are scored by how often they are right, and by the logarithm of
# the probability that they give to the vowel that was said.


curve = few_shot_curve(
    meta,
    speakers,
    n_shots=(0, 1, 3, 5, 10),
    cv=3,
    baselines=baselines,
    scoring=["accuracy", "neg_log_loss"],
    random_state=0,
)
for scoring in curve.scoring:
    for shown in (1, 10):
        gain = curve.difference(other="all speakers pooled", n_shots=shown, scoring=scoring)
        word = f"{gain.word} than the pooled model" if gain.word != "no different" else gain.word
        print(
            f"{scoring}, {shown} shown: {gain.mean:+.3f} [{gain.low:.3f}, {gain.high:.3f}], {word}"
        )

# %%
# Both scores, with 95% intervals over speakers. By the logarithm the vowels alone are so far off
# that they are below the picture.


figure, axes = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
for ax, scoring in zip(axes, curve.scoring, strict=True):
    FewShotCurveDisplay.from_result(curve, ax=ax, scoring=scoring)
axes[1].get_legend().remove()
best = curve.mean("neg_log_loss")[curve.contestants.index("the shown vowels alone")].max()
below = f"the shown vowels alone: {best:.2f} at best"
axes[1].text(0.03, 0.04, below, transform=axes[1].transAxes, color="#009E73")
axes[1].set_ylim(-0.56, -0.15)
plt.show()

# %%
# A model of the new speaker alone has no chance before all ten vowels have been heard. By its best
# guess the pooled logistic regression is no worse than the MetaLearner as long as half of the
# vowels or fewer have been heard, which tell little of the others; with all ten the MetaLearner is
# better. By the probabilities it is better from the start: before any vowel is heard that is its
# network, which bends where the regression is linear; what rises from there on is what it learns
# of the speaker. If all that counts is the best guess, and a few vowels are all that will be heard,
# take the regression.
