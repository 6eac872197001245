"""
How a country may go on from its first years
============================================

Life expectancy over the years, and nothing else: what do a country's first years say of the others?
A prediction for each year with a band around it is not enough to answer "what will the years to
come average?", since a country that does better than expected in one year does so in the next.
:meth:`~sklearn_meta.MetaLearner.sample_y` draws whole courses, from which any such question can be
answered; with no year seen they are countries that might be.
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
# Learn from 124 countries of :func:`~sklearn_meta.datasets.load_countries` how a country goes on.
# The first years are what is known of one, in training as later, from none to 40 of them; all
# others are to be predicted.

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
meta = meta.fit(year[in_training], countries.y[in_training], groups=countries.groups[in_training])

# %%
# Three countries that it has not seen, of which it is shown 15 years (black): bands that hold half
# and nine tenths of the courses drawn, four of these, and what came (grey).

SEEN = 15
fig, axes = plt.subplots(1, 3, figsize=(9, 3.3), layout="constrained", sharey=True)
for ax, name in zip(axes, ("Nepal", "Spain", "Lesotho"), strict=True):
    rows = countries.groups == name
    X, y = year[rows], countries.y[rows]
    courses = meta.fit_adapt(X[:SEEN], y[:SEEN]).sample_y(X[SEEN:], n_samples=500)
    for inner in (0.9, 0.5):
        low, high = np.quantile(courses, [0.5 - inner / 2, 0.5 + inner / 2], axis=1)
        ax.fill_between(X[SEEN:, 0], low, high, color="C0", alpha=0.2, lw=0)
    ax.plot(X[SEEN:, 0], courses[:, :4], color="C0", lw=0.7, alpha=0.8)
    ax.plot(X[:, 0], y, ".", color="0.5", ms=4)
    ax.plot(X[:SEEN, 0], y[:SEEN], ".", color="k", ms=5)
    ax.set(title=name, ylim=(20, 90), xlabel="year")
axes[0].set_ylabel("life expectancy, years")
plt.show()

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
off = {who: np.abs(np.array(below) - 0.5) * 2 for who, below in place.items()}
print(f"Mean of the years after the first {SEEN}, {len(unseen)} unseen countries, inside 90%:")
for who, each in off.items():
    print(f"  {who}: {np.mean(each < 0.9):.2f}")

# %%
# Which countries are unlike the others? The density of all of a country's years together, a year,
# is lowest where history had it that way: :meth:`~sklearn_meta.MetaLearner.score_samples`.

density = meta.score_samples(year, countries.y, groups=countries.groups) / countries.sizes
print("Least likely:", ", ".join(countries.task_ids[np.argsort(density)[:6]]))

# %%
# Countries out of the prior, each draw one that might be, beside real ones; and how often the mean
# of the years to come was inside, for every width of the band.

years = np.arange(1960, 2016.0)[:, None]
might_be = meta.sample_y(years, n_samples=40, groups=["might be"] * len(years), noise=False)
fig, (drawn, real, inside) = plt.subplots(1, 3, figsize=(9, 3.3), layout="constrained")
drawn.plot(years, might_be, color="C0", lw=0.7)
drawn.set(title="40 drawn", ylim=(20, 90), xlabel="year", ylabel="life expectancy, years")
for name in countries.task_ids[unseen[:40]]:
    rows = countries.groups == name
    real.plot(year[rows], countries.y[rows], color="0.4", lw=0.7)
real.set(title="40 real ones, unseen", ylim=(20, 90), xlabel="year")
for color, (who, each) in zip(("C0", "C1"), off.items(), strict=True):
    inside.plot(levels, (each[:, None] < levels).mean(axis=0), color=color, label=who)
inside.axline((0, 0), slope=1, color="0.6", lw=1)
inside.set(title="mean of the years to come", xlabel="width of the band", ylabel="share inside")
inside.set(xlim=(0, 1), ylim=(0, 1))
inside.legend(frameon=False, loc="upper left", fontsize="small")
plt.show()

# %%
# The bands of whole courses hold the mean about as often as they should. From the same draws,
# shuffled, it is far too seldom: what is at fault there is not the model, but bands for single
# years, which do not say that a good year is followed by another. What no first years tell of, as
# Lesotho's epidemic, is in hardly a course that is drawn, and the least likely countries are those
# of wars, famines and other disasters. And not every country that is drawn could be: nothing but
# the training countries tells the model how long people can live.
#
# :doc:`/figures/index` ("Joint predictions") has this measured on the full table, beside
# :class:`~sklearn_meta.algorithms.DeepKernelGP`. That is trained for the density of whole courses,
# and yet the default is better there in density and energy score, because it learns how noise
# differs between countries. Neither foresees a turn in history.
