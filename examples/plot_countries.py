"""
Learn from many countries how to learn a new one
================================================

Life expectancy depends on fertility, infant mortality, population and the year, but in every
country a little differently. Given a few years of a country that was never seen, there are
three usual ways: ignore the country (one pooled model), shift the pooled model by what it
gets wrong on those years, or fit those years alone. A MetaLearner learns from the other
countries how far to move, and in which direction.

The table shows R2 over all other years of the unseen countries, with 95% intervals found by
resampling countries; the picture shows the same.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import GroupKFold, cross_val_predict, train_test_split
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_meta import MetaLearner
from sklearn_meta.datasets import load_countries

SHOTS = (0, 1, 2, 5, 10, 20)
REPEATS = 5  # random choices of the years that are shown

# %%
# Tasks are samples: 70% of the countries to learn from, 30% never seen.

train, unseen = train_test_split(load_countries(), train_size=0.7, random_state=0)

# %%
# The meta-learner, as it comes. It wraps scikit-learn's own MLPRegressor, and standardises the
# features itself.

mlp = MLPRegressor(hidden_layer_sizes=(64, 64))
meta = MetaLearner(mlp, random_state=0)
meta.fit(train.X, train.y, groups=train.groups)

# %%
# The pooled model, and how much of a country's mean residual to believe: of `n` rows the
# share `n / (n + noise / spread)`, from the residuals on countries left out.

pooled = HistGradientBoostingRegressor(random_state=0)
left_out = cross_val_predict(pooled, train.X, train.y, groups=train.groups, cv=GroupKFold(5))
residuals = np.split(train.y - left_out, train.offsets[1:-1])
noise = np.mean([residual.var(ddof=1) for residual in residuals])
spread = np.var([residual.mean() for residual in residuals])
pooled.fit(train.X, train.y)
alone = make_pipeline(StandardScaler(), RidgeCV(np.logspace(-2, 3, 12)))


def pooled_model(X, y, X_query):
    return pooled.predict(X_query)


def pooled_and_shift(X, y, X_query):
    residual = np.sum(y - pooled.predict(X)) if len(y) else 0.0
    return pooled.predict(X_query) + residual / (len(y) + noise / spread)


def rows_alone(X, y, X_query):
    return alone.fit(X, y).predict(X_query) if len(y) > 1 else np.full(len(X_query), np.nan)


def meta_learner(X, y, X_query):
    adapted = meta.adapt(X, y) if len(y) else meta.estimator_
    return adapted.predict(X_query)


METHODS = {
    "MetaLearner": meta_learner,
    "pooled trees + shrunken shift": pooled_and_shift,
    "pooled trees": pooled_model,
    "ridge on the rows alone": rows_alone,
}

# %%
# Show some years of each unseen country, predict the others.


def moments(y, predicted):
    """What R2 is made of, so that countries can be added up: n, sum, squares, error."""
    return len(y), y.sum(), (y**2).sum(), ((y - predicted) ** 2).sum()


def r2(countries):
    n, total, squares, error = countries.sum(axis=(0, 1))
    return 1 - error / (squares - total**2 / n)


def judge(method, n_shots):
    """R2 and its 95% interval; (countries, repeats, 4) moments in between."""
    rng = np.random.default_rng(n_shots)
    table = np.empty((len(unseen), REPEATS, 4))
    for i, (X, y) in enumerate(unseen):
        for repeat in range(REPEATS):
            order = rng.permutation(len(y))
            support, query = order[:n_shots], order[n_shots:]
            predicted = method(X[support], y[support], X[query])
            table[i, repeat] = moments(y[query], predicted)
    draws = np.random.default_rng(0).integers(len(unseen), size=(1000, len(unseen)))
    return r2(table), *np.percentile([r2(table[draw]) for draw in draws], [2.5, 97.5])


results = {name: [judge(method, k) for k in SHOTS] for name, method in METHODS.items()}

print(f"R2 on {len(unseen)} unseen countries, with 95% intervals over countries\n")
print(f"{'rows shown':30s}" + "".join(f"{k:^20d}" for k in SHOTS))
for name, row in results.items():
    cells = (f"{mean:.3f} [{low:.2f}, {high:.2f}]" for mean, low, high in row)
    print(f"{name:30s}" + "".join(f"{'-' if 'nan' in cell else cell:^20s}" for cell in cells))

# %%
# The few-shot curve.

figure, ax = plt.subplots(figsize=(7, 4.5), layout="constrained")
for name, row in results.items():
    mean, low, high = np.array(row).T
    ax.plot(range(len(SHOTS)), mean, marker="o", label=name)
    ax.fill_between(range(len(SHOTS)), low, high, alpha=0.15)
ax.set(
    xticks=range(len(SHOTS)),
    xticklabels=SHOTS,
    ylim=(0.7, 1),
    xlabel="years shown of an unseen country",
    ylabel="R2 on its other years",
    title="Life expectancy: learning a new country",
)
ax.legend(loc="lower right")
figure.savefig("countries.png", dpi=120)
print("\nThe curve is in countries.png")
