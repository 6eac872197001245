"""Sinusoids: mean squared error on unseen tasks, beside the published figures.

    python benchmarks/sinusoid.py [--quick]

Amplitude ~ U[0.1, 5], phase ~ U[0, pi], x ~ U[-5, 5], one frequency, no noise. 600 unseen
tasks show 10 random rows and are judged on a grid of 100 points that does not include them.
"""

import argparse
import time

import numpy as np
from sklearn.neural_network import MLPRegressor

from sklearn_meta import MetaLearner
from sklearn_meta.algorithms import MAML
from sklearn_meta.datasets import Sinusoids

N_UNSEEN = 600


def unseen_tasks(seed=12345):
    """Support of 10 rows a task and the query grid, (tasks, rows)."""
    rng = np.random.default_rng(seed)
    amplitude = rng.uniform(0.1, 5, (N_UNSEEN, 1))
    phase = rng.uniform(0, np.pi, (N_UNSEEN, 1))
    x = rng.uniform(-5, 5, (N_UNSEEN, 10))
    grid = np.broadcast_to(np.linspace(-5, 5, 100), (N_UNSEEN, 100))
    return x, amplitude * np.sin(x - phase), grid, amplitude * np.sin(grid - phase)


def mean_squared_error(meta):
    """Mean over unseen tasks, and half the width of its 95% interval."""
    x, y, grid, truth = unseen_tasks()
    ids = np.arange(N_UNSEEN) + 10**6
    meta.fit_adapt(x.reshape(-1, 1), y.ravel(), groups=np.repeat(ids, x.shape[1]))
    predicted = meta.predict(grid.reshape(-1, 1), groups=np.repeat(ids, grid.shape[1]))
    errors = ((predicted.reshape(truth.shape) - truth) ** 2).mean(axis=1)
    return errors.mean(), 1.96 * errors.std() / np.sqrt(N_UNSEEN)


def report(label, meta, distribution):
    start = time.perf_counter()
    meta.fit(distribution)
    seconds = time.perf_counter() - start
    error, half = mean_squared_error(meta)
    print(f"{label:44s} {error:.4f} +- {half:.4f}   {meta.n_iter_} meta-steps, {seconds:.1f} s")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few meta-steps")
    quick = parser.parse_args().quick
    mlp = MLPRegressor(hidden_layer_sizes=(64, 64))
    print(f"10 shots, {N_UNSEEN} unseen tasks, mean squared error +- 95% interval")

    steps = {"max_iter": 50} if quick else {}
    meta = MetaLearner(mlp, random_state=0, **steps)
    report("default, 64-64 (to reach 0.03)", meta, Sinusoids(n_rows=40))
    steps = {"max_iter": 50 if quick else 20_000}
    meta = MetaLearner(mlp, early_stopping=False, random_state=0, **steps)
    report("default, 64-64, 20,000 meta-steps", meta, Sinusoids(n_rows=40))

    mlp = MLPRegressor(hidden_layer_sizes=(40, 40), alpha=0)
    steps = {"max_iter": 50 if quick else 20_000, "early_stopping": False}
    paper = {"n_shots": 10, "n_query": 10, "meta_batch_size": 25, "normalize_y": False}
    for first_order in False, True:
        algorithm = MAML(inner_lr=0.01, inner_steps=1, first_order=first_order)
        meta = MetaLearner(mlp, algorithm, random_state=0, **paper, **steps)
        label = (
            "FOMAML (published 0.420)" if first_order else "MAML (to reach 0.40, published 0.369)"
        )
        report(f"{label}, 40-40", meta, Sinusoids(n_rows=20))


if __name__ == "__main__":
    main()
