"""
Learn from many countries how to learn a new one
================================================

Life expectancy depends on fertility, infant mortality, population and the year, but in every
country a little differently. How well is a new country predicted from a few of its years, and is
that worth a :class:`~sklearn_meta.MetaLearner`?

:func:`~sklearn_meta.model_selection.few_shot_curve` holds countries out, shows some years of each,
and asks what one would do otherwise about the others: ignore the country (pooled trees), shift the
pooled model by what it gets wrong on those years, fit those years alone, a linear mixed model, or
trees that see what the shown years say.
"""

from sklearn.neural_network import MLPRegressor

from sklearn_meta import MetaLearner
from sklearn_meta.datasets import load_countries
from sklearn_meta.inspection import FewShotCurveDisplay
from sklearn_meta.model_selection import few_shot_curve

countries = load_countries()
X, y, country = countries.X, countries.y, countries.groups

# %%
# The meta-learner, as it comes. It wraps scikit-learn's own MLPRegressor, and standardises the
# features itself.

meta = MetaLearner(MLPRegressor(hidden_layer_sizes=(64, 64)), random_state=0)

# %%
# The verdict. Every country is held out once; "rows" are years, drawn at random.

curve = few_shot_curve(meta, X, y, groups=country, cv=3, n_jobs=2, random_state=0)
print(curve)

# %%
# The curve, with the share of countries that do worse for having been shown years.

display = FewShotCurveDisplay.from_result(curve, hurt=True)
display.figure_.savefig("countries.png", dpi=120)
print("\nThe curve is in countries.png")

# %%
# With no year shown there is nothing to adapt to, and pooled trees are as good. From one year on
# MetaLearner is better than each of the others, by a hundredth of R2 or two, and most clearly from
# two to five years. With ten or more the linear mixed model is within a hundredth, and a ridge on a
# country's own twenty years is hardly behind: where so much is known of each task, or a few
# thousandths do not matter, these are simpler. Of the countries, some do worse for having been
# shown a year: one year may be a war.
#
# The years here are any years of a country. How it is where the first ones are known and the later
# ones asked is another example, :ref:`sphx_glr_auto_examples_plot_time_order.py`.
