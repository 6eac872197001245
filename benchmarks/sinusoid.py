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


def report(label, estimator, *args, n_rows, seeds=1, **parameters):
    """Train and judge, once a seed; a line for each, and the median of several."""
    errors = []
    for seed in range(seeds):
        meta = MetaLearner(estimator, *args, random_state=seed, **parameters)
        start = time.perf_counter()
        meta.fit(Sinusoids(n_rows=n_rows))
        seconds = time.perf_counter() - start
        error, half = mean_squared_error(meta)
        errors.append(error)
        print(
            f"{label:46s} seed {seed}: {error:.4f} +- {half:.4f}   "
            f"{meta.n_iter_} meta-steps, {seconds:.1f} s",
            flush=True,
        )
    if seeds > 1:
        print(f"{label:46s} median of {seeds} seeds: {np.median(errors):.4f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one seed, few meta-steps")
    quick = parser.parse_args().quick
    print(f"10 shots, {N_UNSEEN} unseen tasks, mean squared error +- 95% interval")

    mlp = MLPRegressor(hidden_layer_sizes=(64, 64))
    steps = {"max_iter": 50} if quick else {}
    report("default, 64-64 (to reach 0.03)", mlp, n_rows=40, **steps)
    steps = {"max_iter": 50 if quick else 20_000, "early_stopping": False}
    report("default, 64-64, more meta-steps", mlp, n_rows=40, **steps)

    mlp = MLPRegressor(hidden_layer_sizes=(40, 40), alpha=0)
    paper = {"n_shots": 10, "n_query": 10, "meta_batch_size": 25, "normalize_y": False}
    seeds = 1 if quick else 5
    maml = MAML(inner_lr=0.01, inner_steps=1)
    label = "MAML, 40-40 (to reach 0.40, published 0.369)"
    report(label, mlp, maml, n_rows=20, seeds=seeds, **paper, **steps)


if __name__ == "__main__":
    main()
