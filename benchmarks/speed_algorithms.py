"""What a meta-step of each algorithm costs beside ordinary training on the same rows.

    python benchmarks/speed_algorithms.py [--quick] [--seconds 20]

Each takes the meta-gradient of its defaults at its initial parameters, on the same float32 rows of
16 tasks, 10 support and 20 query rows each, and all take turns in one process on one thread, whose
processor time counts: the median of the rounds. The times are over that of `Joint`, which trains
one network on the 30 rows of all tasks: a forward and a backward pass. Classifiers have five
classes and 2 support rows of each. Drawing the tasks and Adam's step, which are the same for all,
are left out.
"""

import time
from typing import NamedTuple

import _speed
import numpy as np
from threadpoolctl import threadpool_limits

from sklearn_meta._runtime import keep_freed_memory
from sklearn_meta.algorithms import ALGORITHMS
from sklearn_meta.network import MLP
from sklearn_meta.tasks import TaskBatch

N_TASKS, N_SHOTS, N_QUERIES, N_CLASSES = 16, 10, 20, 5
BASE = "joint"


class Shape(NamedTuple):
    n_features: int
    hidden: tuple

    @property
    def label(self):
        return f"{self.n_features} features, {'-'.join(map(str, self.hidden))} units"


SHAPES = [Shape(20, (64, 64)), Shape(100, (512, 512))]


def problem(shape, is_classifier):
    """Network, support and query."""
    rng = np.random.RandomState(0)
    n_outputs, loss = (N_CLASSES, "log_loss") if is_classifier else (1, "squared_error")
    network = MLP((shape.n_features, *shape.hidden, n_outputs), "relu", loss)
    batches = []
    for n_rows in (N_SHOTS, N_QUERIES):
        X = rng.standard_normal((N_TASKS, n_rows, shape.n_features))
        if is_classifier:
            y = np.tile(np.eye(N_CLASSES), (N_TASKS, n_rows // N_CLASSES, 1))
        else:
            y = rng.standard_normal((N_TASKS, n_rows, 1))
        parts = X, y, np.ones((N_TASKS, n_rows))
        batches.append(TaskBatch(*(part.astype(np.float32) for part in parts)))
    return network, *batches


def contestants(shape, is_classifier):
    """A meta-gradient of each algorithm that can learn this."""
    network, support, query = problem(shape, is_classifier)
    found = {}
    for name, algorithm in ALGORITHMS.items():
        if network.loss_name not in algorithm.losses:
            continue
        found[name] = meta_gradient(algorithm(), network, support, query)
    return found


def meta_gradient(algorithm, network, support, query):
    params = algorithm.init_params(network, np.random.RandomState(0), np.float32)
    return lambda: algorithm.meta_gradient(network, params, support, query)


def main():
    options = _speed.parse(__doc__)
    _speed.print_machine()
    keep_freed_memory()  # as `fit` does
    for shape in SHAPES[:1] if options.quick else SHAPES:
        for kind in ("regression", "classification"):
            those = contestants(shape, kind == "classification")
            with threadpool_limits(limits=1, user_api="blas"):
                seconds = _speed.median_seconds(those, options.seconds, clock=time.process_time)
            print(f"\n{shape.label}, {kind}")
            for name in sorted(seconds, key=seconds.get):
                ratio = seconds[name] / seconds[BASE]
                print(f"  {name:16s} {1e3 * seconds[name]:9.3f} ms  {ratio:6.2f} times {BASE}")


if __name__ == "__main__":
    main()
