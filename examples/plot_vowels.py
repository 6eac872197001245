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
# The collection marks the first round of each speaker: its rows are shown, the others judge.

speakers = load_vowels()

# %%
# Three contestants: the meta-learner as it comes, one model of all speakers, and one of the
# speaker's shown vowels alone.

meta = MetaLearner(MLPClassifier(hidden_layer_sizes=(64, 64)), random_state=0)
baselines = {
    "all speakers pooled": Pooled(
        make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    ),
    "the shown vowels alone": Local(
        make_pipeline(StandardScaler(), LogisticRegression(C=10, max_iter=1000))
    ),
}
curve = few_shot_curve(
    meta,
    speakers,
    n_shots=(0, 1, 2, 3, 5, 10),
    cv=3,
    baselines=baselines,
    n_jobs=2,
    random_state=0,
)
print(curve)

# %%
# The few-shot curve.

display = FewShotCurveDisplay.from_result(curve)
display.figure_.savefig("vowels.png", dpi=120)
print("\nThe curve is in vowels.png")
