"""
Tasks that grow in time
=======================

Of a new country its *first* years are known, and later ones are asked. Training draws the years it
shows at random, unless ``support_order="first"`` says otherwise. What does it cost to train for one
and to be asked the other?

Years drawn at random have neighbours on both sides; what comes after the first ones has them on one
side only, and the further off it is, the less they say. A :class:`~sklearn_meta.MetaLearner` that
never had to go on from first years cannot know how unsure it should be.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPRegressor

from sklearn_meta import MetaLearner
from sklearn_meta.datasets import load_countries

# %%
# Life expectancy by the year and nothing else: what the future's fertility will be, nobody knows
# either. Two that differ in one argument learn from the same 106 countries.

countries = load_countries()
year, life, name = countries.X[:, :1], countries.y, countries.groups
known, new = train_test_split(countries.task_ids, test_size=0.4, random_state=0)
is_known = np.isin(name, known)

mlp = MLPRegressor(hidden_layer_sizes=(64, 64))
learned = {
    "trained on first years": MetaLearner(mlp, support_order="first", random_state=0),
    "trained on years at random": MetaLearner(mlp, random_state=0),
}
for meta in learned.values():
    meta.fit(year[is_known], life[is_known], groups=name[is_known])

# %%
# Of each of 72 new countries some years are shown, the first or as many at random; others
# are predicted, with intervals that promise to hold 90% over new countries. Two forecasts that need
# no other country: the last value shown goes on as it is, or the straight line through the years
# shown does.

N_SHOWN, FROM = (5, 10, 20), 20


def last_value(X, y, asked):
    return np.full(len(asked), y[X[:, 0].argmax()])


def own_trend(X, y, asked):
    return np.polyval(np.polyfit(X[:, 0], y, 1), asked[:, 0])


def judge(order, n_shown):
    """Of each contestant, for each country: errors (rows,), and the coverage and width."""
    errors, intervals = {}, {}
    for number, country in enumerate(new):
        rows = np.flatnonzero(name == country)
        if order == "at random":
            rows = np.random.RandomState(number).permutation(rows)
        shown, asked = rows[:n_shown], rows[FROM:]
        for contestant, meta in learned.items():
            meta.fit_adapt(year[shown], life[shown])
            off = meta.predict(year[asked]) - life[asked]
            errors.setdefault(contestant, []).append(off)
            lower, upper = meta.predict_interval(year[asked])
            inside = (lower <= life[asked]) & (life[asked] <= upper)
            found = inside.mean(), (upper - lower).mean()
            intervals.setdefault(contestant, []).append(found)
        for forecast in (last_value, own_trend):
            off = forecast(year[shown], life[shown], year[asked]) - life[asked]
            errors.setdefault(forecast.__name__.replace("_", " "), []).append(off)
    return errors, intervals


def rmse(errors):
    """Over countries, which count alike."""
    return np.mean([np.mean(off**2) for off in errors]) ** 0.5


judged = {(order, n): judge(order, n) for order in ("first", "at random") for n in N_SHOWN}
for order in ("first", "at random"):
    print(f"{'shown, ' + order:28s}", "".join(f"{n:14d}" for n in N_SHOWN))
    for contestant in judged[order, 5][0]:
        found = [rmse(judged[order, n][0][contestant]) for n in N_SHOWN]
        print(f"  {contestant:26s}", "".join(f"{each:14.1f}" for each in found), "years off")
    for contestant in learned:
        found = [np.mean(judged[order, n][1][contestant], axis=0) for n in N_SHOWN]
        text = "".join(f"{inside:8.0%}, {width:4.1f}" for inside, width in found)
        print(f"  {contestant:26s}", text, "inside, width")

# %%
# One country that is new, twenty years of it shown; how much is within the intervals; and how far
# off the forecasts are, by how far they look ahead.

figure = plt.figure(figsize=(9, 6.8), layout="constrained")
above, below = figure.subfigures(2, 1)
rows = np.flatnonzero(name == "Senegal")
X, y = year[rows], life[rows]
colours = dict(zip(learned, ("C0", "C1"), strict=True))
for ax, (contestant, meta) in zip(above.subplots(1, 2, sharey=True), learned.items(), strict=True):
    meta.fit_adapt(X[:FROM], y[:FROM])
    lower, upper = meta.predict_interval(X[FROM:])
    ax.fill_between(X[FROM:, 0], lower, upper, color=colours[contestant], alpha=0.3, lw=0)
    ax.plot(X[FROM:], meta.predict(X[FROM:]), color=colours[contestant])
    ax.plot(X[:, 0], y, ".", color="0.6", ms=4)
    ax.plot(X[:FROM, 0], y[:FROM], ".", color="k", ms=6)
    ax.set(title=f"Senegal, {contestant}", xlabel="year")
above.axes[0].set_ylabel("life expectancy, years")

inside_ax, ahead_ax = below.subplots(1, 2)
for contestant, colour in colours.items():
    shares = np.array([[each[0] for each in judged["first", n][1][contestant]] for n in N_SHOWN])
    half = 1.96 * shares.std(axis=1) / len(new) ** 0.5
    inside_ax.errorbar(N_SHOWN, shares.mean(axis=1), half, color=colour, marker="o", capsize=3)
inside_ax.axhline(0.9, color="k", lw=0.8, ls=":")
inside_ax.set(xlabel="first years shown", ylabel="within intervals of 90%", ylim=(0, 1.05))
inside_ax.set_xticks(N_SHOWN)
errors, ahead = judged["first", FROM][0], np.arange(1, 31)
looks = [*colours.values(), "0.5", "0.5"]
for (contestant, of_countries), colour in zip(errors.items(), looks, strict=True):
    found = [
        np.mean([off[k - 1] ** 2 for off in of_countries if len(off) >= k]) ** 0.5 for k in ahead
    ]
    style = "--" if contestant == "own trend" else "-"
    ahead_ax.plot(ahead, found, color=colour, ls=style, label=contestant)
ahead_ax.set(
    xlabel="years ahead, of twenty shown", ylabel="root mean square error, years", ylim=(0, 15)
)
ahead_ax.legend(loc="upper left")
plt.show()

# %%
# The predictions are hardly any better for being trained in the order of time: both go on as other
# countries did, and are about as far off. The intervals differ. With years at random in training,
# their widths come from between known years, and when they are to look ahead they hold far less
# than they promise, the less the more years are shown. With first years in training they hold what
# they promise, and more. Asked about years at random, it is the other way round: these are several
# times wider than they need be. So say in training what will be asked, and judge by it:
# :func:`~sklearn_meta.model_selection.few_shot_curve` and
# :func:`~sklearn_meta.model_selection.few_shot_scorer` take ``support_order="first"``, too.
#
# A year or two ahead nothing beats the last value; a few years on it falls behind, and the straight
# line through a country's own years is worse throughout. The peak is Rwanda in 1994, which no first
# years tell of.
