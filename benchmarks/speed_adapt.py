"""Adapting: ten thousand tasks at once, one task's latency, and what the import costs.

    python benchmarks/speed_adapt.py [--quick] [--seconds 20]

The default algorithm, 64-64 relu, on sinusoids. The rival of many tasks is scikit-learn's
MLPRegressor of the same size, fitted to each task from scratch with its own defaults, and timed
on a few dozen. Imports are of fresh processes, the two taking turns.
"""

import compileall
import copy
import subprocess
import sys
import time
import warnings
from pathlib import Path

import _speed
import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPRegressor
from threadpoolctl import threadpool_limits

import sklearn_meta
from sklearn_meta import MetaLearner
from sklearn_meta.datasets import Sinusoids

HIDDEN = (64, 64)
N_ROWS = 10


def fitted(quick):
    tasks = Sinusoids(n_rows=40).sample(200, random_state=0)
    meta = MetaLearner(
        MLPRegressor(hidden_layer_sizes=HIDDEN), max_iter=20 if quick else 500, random_state=0
    )
    return meta.fit(tasks)


def seconds_of(run):
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def report_many(meta, options):
    """All new tasks in one call, beside a network fitted to each."""
    n_tasks, n_rivals, rounds = (1000, 3, 2) if options.quick else (10_000, 36, 7)
    tasks = Sinusoids(n_rows=N_ROWS).sample(n_tasks, random_state=1)
    ids = np.repeat(np.arange(n_tasks) + 10**6, N_ROWS)
    ours, rivals = [], []
    for part in np.array_split(np.arange(n_rivals), rounds):
        new = copy.copy(meta)  # adapting adds to the tasks that are known
        ours.append(seconds_of(lambda new=new: new.fit_adapt(tasks.X, tasks.y, groups=ids)))
        with threadpool_limits(limits=1, user_api="blas"):  # its faster way, so small
            for X, y in (tasks[int(number)] for number in part):
                network = MLPRegressor(hidden_layer_sizes=HIDDEN, random_state=0)
                rivals.append(seconds_of(lambda n=network, X=X, y=y: n.fit(X, y)))
    seconds, rival = np.median(ours), np.median(rivals)
    print(f"\n{n_tasks} new tasks of {N_ROWS} rows, fit_adapt in one call")
    print(f"  seconds: {_speed.verdict(seconds, None if options.quick else 1.0)}")
    print(f"  a task: {1e6 * seconds / n_tasks:.0f} us; MLPRegressor.fit: {1e3 * rival:.1f} ms")
    print(f"  times its rate: {_speed.verdict(rival * n_tasks / seconds, 200, at_least=True)}")


def report_latency(meta, seconds):
    """One new task from the user's side."""
    rng = np.random.default_rng(0)
    X, rows = rng.uniform(-5, 5, (5, 1)), rng.uniform(-5, 5, (100, 1))
    y = np.sin(X[:, 0])
    meta.fit_adapt(X, y)
    taken = _speed.median_seconds(
        {
            "fit_adapt on 5 rows": lambda: meta.fit_adapt(X, y),
            "predict of 100 rows": lambda: meta.predict(rows),
            "both": lambda: meta.fit_adapt(X, y).predict(rows),
        },
        seconds,
        rounds=200,
    )
    print("\nOne new task, milliseconds")
    for name, value in taken.items():
        print(f"  {name}: {_speed.verdict(1e3 * value, 2.0 if name == 'both' else None)}")


def report_import(rounds):
    """Importing the package beside importing scikit-learn's networks."""
    compileall.compile_dir(Path(sklearn_meta.__file__).parent, quiet=1)  # as pip does
    code = "import time; start = time.perf_counter(); import {}; print(time.perf_counter() - start)"
    taken = {"sklearn.neural_network": [], "sklearn_meta": []}
    for _ in range(rounds):
        for name, values in taken.items():
            command = [sys.executable, "-c", code.format(name)]
            values.append(float(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout))
    print("\nImport in a fresh process, seconds")
    for name, values in taken.items():
        print(f"  {name}: minimum {min(values):.3f}, median {np.median(values):.3f}")
    least = {name: min(values) for name, values in taken.items()}
    beyond = least["sklearn_meta"] / least["sklearn.neural_network"] - 1
    print(f"  beyond it, of the minima: {_speed.verdict(beyond, 0.1)}")


def main():
    options = _speed.parse(__doc__)
    _speed.print_machine()
    warnings.simplefilter("ignore", ConvergenceWarning)  # MLPRegressor's, after 200 epochs
    meta = fitted(options.quick)
    report_many(meta, options)
    report_latency(meta, options.seconds)
    report_import(2 if options.quick else 25)


if __name__ == "__main__":
    main()
