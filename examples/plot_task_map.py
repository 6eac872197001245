"""
A map of tasks
==============

Which tasks are alike, which is unlike all others, and what is different about it? A fitted
:class:`~sklearn_meta.MetaLearner` knows, since it has learned each of them.

Two countries may be equally rich and old and yet not go the same way: of a given fertility, infant
mortality and year, life is longer in one than in the other, and falls where it should rise.
:func:`~sklearn_meta.inspection.task_map` compares what was learned, that is what is predicted for
the same rows. Is that more than a look at the mean of each column would have told?
"""

from textwrap import fill

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.decomposition import PCA
from sklearn.neural_network import MLPRegressor
from sklearn.preprocessing import StandardScaler

from sklearn_meta import MetaLearner
from sklearn_meta.datasets import load_countries
from sklearn_meta.inspection import TaskMapDisplay, explain_task, task_map

# %%
# Every other year of each of 178 countries is learned from. The years between will judge, below.

countries = load_countries()
X = pd.DataFrame(countries.X, columns=["year", "fertility", "infant_mortality", "log_population"])
y, country = countries.y, countries.groups
seen = (X["year"] % 2 == 0).to_numpy()
meta = MetaLearner(MLPRegressor(hidden_layer_sizes=(64, 64)), random_state=0)
meta.fit(X[seen], y[seen], groups=country[seen])
mapped = task_map(meta, X[seen], y[seen], country[seen])
print(mapped)

# %%
# Who is alike, and what differs in words. Slopes are what a prediction changes by as one column
# grows by one: of the country, and of one of which nothing is known.

for name in ("Botswana", "Estonia", "Rwanda"):
    print(f"\n{name} is nearest to {', '.join(mapped.nearest(name, n=4))}.")
    print(fill(str(explain_task(meta, X[seen & (country == name)], task=name)), 96))

# %%
# Of rows of any task, new or known, the map says how unlike all others it is before anything is
# learned from them: near 0 most countries are stranger to the prior, near 1 none is.

print("\nAtypicality")
for name in ("Spain", "Japan", "Botswana", "Rwanda"):
    rows = seen & (country == name)
    print(f"  {name:9s} {mapped.atypicality(X[rows], y[rows]):.2f}")

# %%
# The rival: the mean of each column, in standard deviations. Whose neighbours are of more use? For
# the years between, each country borrows what its nearest neighbour has learned, or the mean of
# three. Beside it are the neighbours in the picture, a country drawn at random, what the country
# has learned itself, and the prior, which knows of no country.

ids = mapped.task_ids
means = X[seen].drop(columns="year").assign(life=y[seen]).groupby(country[seen]).mean().loc[ids]
means = StandardScaler().fit_transform(means)
of_means = PCA(2).fit(means)
number = np.searchsorted(ids, country[~seen])  # of each row's country


def neighbours(points):
    distance = np.linalg.norm(points[:, None] - points, axis=2)
    np.fill_diagonal(distance, np.inf)
    return ids[distance.argsort(axis=1)]


def error(names):
    """By what countries (countries, k) have learned, on average; root mean square, in years."""
    borrowed = [meta.predict(X[~seen], groups=each[number]) for each in names.T]
    return np.mean((np.mean(borrowed, axis=0) - y[~seen]) ** 2) ** 0.5


random_state = np.random.RandomState(0)
lenders = {
    "the map": neighbours(mapped.coordinates),
    "the map's picture": neighbours(mapped.embedding),
    "means of columns": neighbours(means),
    "at random": np.array([random_state.permutation(ids) for _ in ids]),
}
print("\nYears off, by what is borrowed from   1     3 countries")
for name, lent in lenders.items():
    print(f"  {name:32s} {error(lent[:, :1]):5.2f} {error(lent[:, :3]):5.2f}")
print(f"  {'nobody: its own':32s} {error(ids[:, None]):5.2f}")
prior = meta.set_params(handle_unknown="prior").predict(X[~seen])
print(f"  {'nobody: the prior':32s} {np.mean((prior - y[~seen]) ** 2) ** 0.5:5.2f}")

# %%
# The map, and that of the means, coloured alike and with the same names.

named = ["Albania", "Botswana", "Cambodia", "China", "Haiti", "Japan", "Rwanda", "Spain"]
aside = {  # where a name would cover points otherwise: its shift
    "left": {"Botswana": (-20, 28), "Spain": (38, -30), "Haiti": (-8, 0)},
    "right": {"Albania": (-12, -34), "Botswana": (20, -55), "Cambodia": (3, 88)}
    | {"Spain": (46, 20), "Haiti": (12, -75), "Rwanda": (15, -42)},
}


def put_names(ax, points, shifts):
    line = {"arrowstyle": "-", "lw": 0.7, "color": "0.4", "shrinkA": 1, "shrinkB": 0}
    for name in named:
        shift = shifts.get(name, (8, 0))
        side = {"ha": "left" if shift[0] > 0 else "right", "va": "center", "arrowprops": line}
        point = points[mapped.place(name)]
        ax.annotate(name, point, shift, textcoords="offset points", fontsize=10, **side)


life = pd.Series(y, name="mean life expectancy, years").groupby(country).mean()
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.8), layout="constrained")
shown = TaskMapDisplay.from_map(mapped, color=life, ax=left, labels=None)
shown.colorbar_.remove()
left.texts[0].remove()  # what names the cross
left.set(
    title="By what was learned (cross: the prior)",
    xlabel="first component",
    ylabel="second component",
)
put_names(left, mapped.embedding, aside["left"])
points = of_means.transform(means)
dots = right.scatter(*points.T, c=life[ids], s=22, alpha=0.85, linewidths=0)
put_names(right, points, aside["right"])
right.set(title="By means of columns", xlabel="first component", ylabel="second component")
figure.colorbar(dots, ax=right, label=life.name, shrink=0.8)
plt.show()

# %%
# By their means countries line up from short lives to long ones, and that is what such a picture is
# good for; it needs no MetaLearner. The map leaves most of that aside, since fertility and infant
# mortality tell of it already. Far from the cross, the prior, lie countries of which these columns
# do not tell how long people live, or that had years unlike all others.
#
# By the table, what neighbours on the map have learned is of use to a country, though no match for
# what its own years tell. A single neighbour by means is hardly better than the prior; three are
# better, and not as good as one of the map. The comparison favours the map, which has learned from
# every row, where the means are no more than averages. And the picture shows two components of
# many: ``nearest``, which uses all of them, finds better neighbours than the eye. A country of few
# rows lies near the cross, whatever it is like.
