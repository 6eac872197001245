"""
An algorithm of one's own: steps on biases alone
================================================

How little does an idea of yours need to become an algorithm of :class:`~sklearn_meta.MetaLearner`,
how do you know that it is right, and where does it stand beside those that are there?

The idea here: a task may shift what each unit of a network computes, and not how. So take the
gradient steps of MAML on the biases alone. The file ``bias_maml.py``, which
:doc:`/algorithms/write_your_own` goes through line by line, has all of it: two hyper-parameters,
and two methods of four lines. Nothing has to be registered.

Whoever runs this example needs :download:`bias_maml.py </../examples/bias_maml.py>` beside it.
"""

from time import perf_counter

import matplotlib.pyplot as plt
import numpy as np
from bias_maml import BiasMAML
from sklearn.neural_network import MLPRegressor

from sklearn_meta import MetaLearner
from sklearn_meta.algorithms import MAML, BayesianHead
from sklearn_meta.datasets import Sinusoids
from sklearn_meta.model_selection import few_shot_scorer
from sklearn_meta.testing import check_algorithm

# %%
# Is it right?
# ------------
#
# :func:`~sklearn_meta.testing.check_algorithm` compares the meta-gradient with central differences,
# a batch of tasks of different sizes with a loop over them, the exported network with the
# predictions, and so on. An algorithm with a mistake in its derivative may well learn, only worse
# than it could; here it fails.

checks = list(check_algorithm(BiasMAML(), generate_only=True))
for _, check in checks:
    check()
print(f"{len(checks)} checks passed")

# %%
# Where does it stand?
# --------------------
#
# The field's standard tasks are sine waves of any amplitude and phase, ever new ones, of which five
# points are shown: :class:`~sklearn_meta.datasets.Sinusoids`. Beside it are
# :class:`~sklearn_meta.algorithms.MAML`, which takes as many steps, on all weights, and the
# default, :class:`~sklearn_meta.algorithms.BayesianHead`, which takes none: it solves for the last
# layer. Each has the same network, its own default settings and as many meta-steps. Two hundred
# other waves judge; the error is the mean square of what is missed.

mlp = MLPRegressor(hidden_layer_sizes=(40, 40), activation="tanh")
algorithms = {"steps on biases": BiasMAML(), "MAML": MAML(), "the default": BayesianHead()}
unseen = Sinusoids().sample(200, random_state=1)
learned = {}
print(f"{'error, points shown:':20s}    0     5    10   seconds to train")
for name, algorithm in algorithms.items():
    start = perf_counter()
    learned[name] = MetaLearner(
        mlp, algorithm, n_shots=5, handle_unknown="prior", random_state=0
    ).fit(Sinusoids())
    seconds = perf_counter() - start
    errors = [
        -few_shot_scorer("neg_mean_squared_error", n_shots=n)(learned[name], unseen)
        for n in (0, 5, 10)
    ]
    print(f"{name:20s}", *(f"{error:5.2f}" for error in errors), f"{seconds:7.0f}")

# %%
# Two waves, five points of each.

x = np.linspace(-5, 5, 200)[:, None]
figure, axes = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained", sharey=True)
for ax, amplitude, phase in zip(axes, (4, 2), (0.5, 2.5), strict=True):
    shown = np.random.RandomState(1).uniform(-5, 5, size=(5, 1))
    ax.plot(x, amplitude * np.sin(x - phase), color="0.7", lw=4, label="the wave")
    for (name, meta), colour in zip(learned.items(), ("C0", "C1", "k"), strict=True):
        meta.fit_adapt(shown, amplitude * np.sin(shown[:, 0] - phase))
        ax.plot(
            x, meta.predict(x), color=colour, lw=1.5, ls="--" if colour == "k" else "-", label=name
        )
    ax.plot(shown, amplitude * np.sin(shown - phase), "ko", label="shown")
    ax.set(xlabel="x")
axes[0].set_ylabel("y")
axes[1].legend(loc="upper right", ncols=2)
plt.show()

# %%
# The idea is not a bad one: steps on the biases come far closer than steps on all weights, in as
# many meta-steps. Beside the default they are behind with the five points that all were trained
# for, and no worse with ten. But it has no rate to be chosen, trains in a fraction of the time, and
# has a standard deviation, so that intervals and draws work. MAML itself gets better with many more
# meta-steps than these (:doc:`/figures/index`). For tables of your own,
# :func:`~sklearn_meta.model_selection.few_shot_curve` takes a MetaLearner with your algorithm as it
# takes any, as the contestant or among the ``baselines``.
