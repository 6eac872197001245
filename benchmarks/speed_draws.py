"""Drawing whole functions of a task with many classes, and how sure its probabilities are.

    python benchmarks/speed_draws.py [--quick] [--seconds 20]

A linear head on 128 features, 28 classes, a task learned from 300 rows, 100 rows asked, on one
thread. Beside it, in turns, the plain way: the Hessian of all 28 * 129 weights formed and
factored.
"""

import _speed
import numpy as np
from sklearn.neural_network import MLPClassifier
from threadpoolctl import threadpool_limits

from sklearn_meta import MetaLearner
from sklearn_meta.algorithms import BayesianHead
from sklearn_meta.network import LOSSES, ClassFactor, precision_factor

N_FEATURES, N_CLASSES, N_ROWS, N_ASKED, N_DRAWS = 128, 28, 300, 100, 100


def learned(quick):
    """A meta-learner adapted to a task, and rows to ask."""
    n_features, n_classes = 8 if quick else N_FEATURES, N_CLASSES
    rng = np.random.default_rng(0)
    X = rng.normal(size=(20 * N_ROWS, n_features))
    group = np.repeat(np.arange(20), N_ROWS)
    heads = rng.normal(size=(20, n_features, n_classes)) / np.sqrt(n_features)
    z = 3 * np.einsum("np,npk->nk", X, heads[group]) + rng.gumbel(size=(len(X), n_classes))
    mlp = MLPClassifier(hidden_layer_sizes=())
    options = {"max_iter": 20, "random_state": 0, "adapt_training_tasks": False}
    meta = MetaLearner(mlp, BayesianHead(), **options).fit(X, z.argmax(axis=1), groups=group)
    return meta.fit_adapt(X[:N_ROWS], z[:N_ROWS].argmax(axis=1)), X[N_ROWS : N_ROWS + N_ASKED]


def plain_ways(meta, X):
    """Draws and covariances by the factor of the whole precision."""
    learned = meta._served.learned
    adapted = meta._served.current.parts[0].batch.adapted
    jointly = adapted.jointly(learned.network, learned.encoder.features.transform(X))
    rows, shape = jointly.posterior, (jointly.Q.shape[1], learned.network.n_outputs)

    def formed():
        factor = precision_factor(LOSSES["log_loss"], *(part[None] for part in rows))
        return ClassFactor(factor[0, 0])

    def draw():
        return jointly.Q @ formed().draw(N_DRAWS, shape, np.random.default_rng(0))

    return {"draws": draw, "std": lambda: formed().covariance(jointly.Q)}


def main():
    options = _speed.parse(__doc__)
    _speed.print_machine()
    meta, X = learned(options.quick)
    ours = {
        "draws": lambda: meta.sample_y(X, N_DRAWS, noise=False),
        "std": lambda: meta.predict_proba(X, return_std=True),
    }
    bar = None if options.quick else 1.0
    with threadpool_limits(limits=1, user_api="blas"):
        for what, plain in plain_ways(meta, X).items():
            contestants = {"ours": ours[what], "plain": plain}
            taken = _speed.median_seconds(contestants, options.seconds, rounds=5, least=1)
            print(f"\n{N_DRAWS} draws" if what == "draws" else "\nreturn_std", f"of {N_ASKED} rows")
            print(f"  seconds: {_speed.verdict(taken['ours'], bar)}")
            print(f"  the plain way: {taken['plain']:.2f} seconds")


if __name__ == "__main__":
    main()
