"""
Searching what training is told
===============================

How many rows will be shown, how large the network is, how fast it learns, by which algorithm: all
of it are parameters, which :class:`~sklearn.model_selection.GridSearchCV` finds as those of any
estimator. Which of them matter, and how would one know?

What is held out is tasks, not rows, and what is scored is how well each is predicted from a few of
its rows: that is :func:`~sklearn_meta.model_selection.few_shot_scorer`.
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, KFold, train_test_split
from sklearn.neural_network import MLPRegressor

from sklearn_meta import MetaLearner
from sklearn_meta.algorithms import FOMAML
from sklearn_meta.datasets import load_countries
from sklearn_meta.model_selection import few_shot_scorer

# %%
# A :class:`~sklearn_meta.TaskCollection` is to scikit-learn a list of samples, each of them a task:
# :func:`~sklearn.model_selection.train_test_split` and :class:`~sklearn.model_selection.KFold` deal
# out countries. A third of them is not looked at until the end.

tasks, new = train_test_split(load_countries(), test_size=1 / 3, random_state=0)

# %%
# For a search, a single network and few meta-steps: a fit takes half a second, and not six. Each
# would warn that training ended too soon. What is found so is a hint, which the end of this page
# puts to the test.

quick = MetaLearner(
    MLPRegressor(hidden_layer_sizes=(64, 64)),
    n_members=1,
    max_iter=200,
    adapt_training_tasks=False,
    random_state=0,
)

# %%
# One change at a time: a list of grids, each with a single point. Parameters of the MLP are reached
# by ``estimator__``, those of an algorithm by ``algorithm__``.

changes = {
    "as it comes": {},
    "16 units": {"estimator__hidden_layer_sizes": [(16,)]},
    "64-64-64 units": {"estimator__hidden_layer_sizes": [(64, 64, 64)]},
    "alpha=0.01": {"estimator__alpha": [1e-2]},
    "n_shots=5": {"n_shots": [5]},
    "n_shots=20": {"n_shots": [20]},
    "meta_lr=0.0005": {"meta_lr": [5e-4]},
    "meta_lr=0.005": {"meta_lr": [5e-3]},
    "FOMAML, inner_lr=0.01": {"algorithm": [FOMAML()], "algorithm__inner_lr": [0.01]},
}
SHOWN = 1, 5, 20
scoring = {f"{n}": few_shot_scorer("r2", n_shots=n) for n in SHOWN}
search = GridSearchCV(
    quick,
    list(changes.values()),
    scoring=scoring,
    cv=KFold(5, shuffle=True, random_state=0),
    refit=False,
)
with warnings.catch_warnings():
    warnings.simplefilter("ignore", ConvergenceWarning)
    search.fit(tasks)

# %%
# The same folds for all, so that what counts is the difference on each: R2 less that of the
# defaults, and its 95% interval over folds (which share countries to train on, and are only five).

of_folds = {
    n: np.array([search.cv_results_[f"split{fold}_test_{n}"] for fold in range(5)]).T for n in SHOWN
}
gains = {n: scores - scores[0] for n, scores in of_folds.items()}
print("R2 as it comes, by rows shown:", *(f"{n}: {of_folds[n][0].mean():.3f} " for n in SHOWN))
figure, axes = plt.subplots(1, 3, figsize=(9.5, 4.4), layout="constrained", sharey=True)
for ax, n in zip(axes, SHOWN, strict=True):
    half = 2.78 * gains[n].std(axis=1, ddof=1) / 5**0.5
    rows = np.arange(len(changes))
    ax.errorbar(gains[n].mean(axis=1)[1:], rows[1:], xerr=half[1:], fmt="o", color="C0", capsize=3)
    ax.axvline(0, color="k", lw=0.8, ls=":")
    ax.set(title=f"{n} row{'s' * (n > 1)} shown", xlabel="R2 less that of the defaults")
    ax.set_yticks(rows[1:], list(changes)[1:])
    ax.locator_params(axis="x", nbins=3)
axes[0].invert_yaxis()
plt.show()

# %%
# What is best over the three, now trained for as long as it takes and with five networks, beside
# the defaults, on countries that the search has not seen.

best = np.mean([gains[n].mean(axis=1) for n in SHOWN], axis=0).argmax()
changed = {name: values[0] for name, values in list(changes.values())[best].items()}
usual = MetaLearner(
    MLPRegressor(hidden_layer_sizes=(64, 64)), adapt_training_tasks=False, random_state=0
)
default, best_found = usual.fit(tasks), clone(usual).set_params(**changed).fit(tasks)
print(f"best in the search: {list(changes)[best]}")
for n, scorer in zip(SHOWN, scoring.values(), strict=True):
    of_search, of_new = gains[n][best].mean(), scorer(best_found, new) - scorer(default, new)
    print(f"  {n:2d} shown: {of_search:+.4f} in the search, {of_new:+.4f} on new countries")

# %%
# Look at the scales: with one row shown differences are of hundredths of R2, with twenty of
# thousandths. A network that is too small loses most on average, though not on every fold. A lower
# rate and a larger ``alpha`` are worse, with so few meta-steps; first-order MAML keeps up with one
# row and falls behind with more. ``n_shots=20`` does better than the default with twenty rows, and
# worse with one. The others make no difference that five folds could tell.
#
# And the best of so many is best by chance as well: the last table says what was left of its lead,
# on new countries and after training that was not cut short. The defaults have been chosen on a
# dozen sets (:doc:`/user_guide/settings`). On a table of your own expect little from others, and
# keep tasks aside to see whether it was anything.
