"""
How a country may go on from its first years
============================================

Life expectancy over the years, and nothing else: what a country's first years say of the others.
A prediction for each year with a band around it is not enough to answer "what will the years to
come average?", since a country that does better than expected in one year does so in the next.
`sample_y` draws whole courses, from which any such question can be answered; with no year seen
they are countries that might be.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPRegressor

from sklearn_meta import MetaLearner
from sklearn_meta.datasets import load_countries

countries = load_countries()
training, unseen = train_test_split(np.arange(len(countries)), test_size=0.3, random_state=0)

# %%
# Learn from 124 countries how a country goes on. The first years are what is known of one, in
# training as later, from none to 40 of them; all others are to be predicted.

year = countries.X[:, :1]
in_training = np.isin(countries.groups, countries.task_ids[training])
meta = MetaLearner(
    MLPRegressor(hidden_layer_sizes=(64, 64)),
    support_order="first",
    n_shots=(0, 40),
    n_query=None,
    handle_unknown="prior",
    random_state=0,
)
meta.fit(year[in_training], countries.y[in_training], groups=countries.groups[in_training])

# %%
# Three countries that it has not seen, of which it is shown 15 years: bands that hold half and nine
# tenths of the courses drawn, a few of these, and what came.

SEEN = 15
fig, axes = plt.subplots(2, 3, figsize=(11, 6.5), layout="constrained")
for ax, name in zip(axes[0], ("Nepal", "Spain", "Lesotho"), strict=True):
    rows = countries.groups == name
    X, y = year[rows], countries.y[rows]
    courses = meta.fit_adapt(X[:SEEN], y[:SEEN]).sample_y(X[SEEN:], n_samples=500)
    for inner in (0.9, 0.5):
        low, high = np.quantile(courses, [0.5 - inner / 2, 0.5 + inner / 2], axis=1)
        ax.fill_between(X[SEEN:, 0], low, high, color="C0", alpha=0.2, lw=0)
    ax.plot(X[SEEN:, 0], courses[:, :4], color="C0", lw=0.7, alpha=0.8)
    ax.plot(X[:, 0], y, ".", color="0.6", ms=4)
    ax.plot(X[:SEEN, 0], y[:SEEN], ".", color="k", ms=5)
    ax.set(title=name, ylim=(20, 90))
axes[0, 0].set_ylabel("life expectancy, years")

# %%
# Countries out of the prior, and real ones: each draw is a country that might be.

years = np.arange(1960, 2016.0)[:, None]
might_be = meta.sample_y(years, n_samples=40, groups=["might be"] * len(years), noise=False)
axes[1, 0].plot(years, might_be, color="C0", lw=0.7)
axes[1, 0].set(title="40 drawn", ylim=(20, 90), ylabel="life expectancy, years")
for name in countries.task_ids[unseen[:40]]:
    rows = countries.groups == name
    axes[1, 1].plot(year[rows], countries.y[rows], color="0.4", lw=0.7)
axes[1, 1].set(title="40 real ones, unseen", ylim=(20, 90))

# %%
# Can one rely on it? Of each unseen country the mean of the years to come should lie in the
# central 90% of what is drawn for it in nine of ten countries. Draws whose years are shuffled, as
# bands for single years would have it, are sure of what they cannot know.

levels = np.linspace(0.1, 0.95, 18)
place = {"whole courses": [], "years by themselves": []}
rng = np.random.default_rng(0)
for name in countries.task_ids[unseen]:
    rows = countries.groups == name
    X, y = year[rows], countries.y[rows]
    courses = meta.fit_adapt(X[:SEEN], y[:SEEN]).sample_y(X[SEEN:], n_samples=500)
    shuffled = rng.permuted(courses, axis=1)
    for who, drawn in zip(place, (courses, shuffled), strict=True):
        place[who].append((drawn.mean(axis=0) < y[SEEN:].mean()).mean())
print(f"Mean of the years after the first {SEEN}, {len(unseen)} unseen countries, inside 90%:")
for who, below in place.items():
    inside = np.abs(np.array(below) - 0.5)[:, None] < levels / 2
    print(f"  {who}: {(np.abs(np.array(below) - 0.5) < 0.45).mean():.2f}")
    axes[1, 2].plot(levels, inside.mean(axis=0), label=who)
axes[1, 2].axline((0, 0), slope=1, color="0.6", lw=1)
axes[1, 2].set(title="mean of the years to come", xlabel="nominal", ylabel="share inside")
axes[1, 2].legend()
fig.savefig("growth.png", dpi=120)

# %%
# Which countries are unlike the others? The density of all of a country's years together, a year,
# is lowest where history had it that way.

density = meta.score_samples(year, countries.y, groups=countries.groups) / countries.sizes
print("Least likely:", ", ".join(countries.task_ids[np.argsort(density)[:6]]))
print("The picture is in growth.png")
