"""A whole meta-step of `fit` beside its meta-gradient; time to quality; growth; memory.

    python benchmarks/speed_fit.py [--quick] [--seconds 20]

A meta-step is what `fit` does at each of its iterations: draw an episode, take the
meta-gradient, let Adam move. Time to quality counts the meta-steps, in JAX the compilation too,
and not the judging on 600 unseen sinusoids with 10 shots each. JAX runs the same training
(episodes drawn inside its one jitted step) in a process with one thread and in one with two, the
better median kept; it is left out where it is not installed: `pip install jax`.
"""

import functools
import importlib
import importlib.util
import time
import tracemalloc

import _speed
import numpy as np
from _sinusoids import unseen_tasks
from speed_meta_gradient import Shape, problem
from threadpoolctl import threadpool_limits

from sklearn_meta._evaluation import mean_query_loss
from sklearn_meta.algorithms import MAML, BayesianHead
from sklearn_meta.datasets import Sinusoids
from sklearn_meta.network import MLP
from sklearn_meta.tasks import TaskBatch
from sklearn_meta.tasks._batch import TaskArrays
from sklearn_meta.tasks._episodes import EpisodeSampler
from sklearn_meta.tasks._streams import CollectionStream, Cursor, DistributionStream
from sklearn_meta.training import TrainingState

INNER_LR = 0.01
EVALUATE_EVERY = 50  # meta-steps


class Setting:
    """One way to train on sinusoids, as `fit` would.

    Parameters
    ----------
    algorithm : MetaAlgorithm
    hidden : tuple of int
    n_rows : int
        Of each task.
    options : dict
        `n_shots` and `n_query` of an episode.
    batch_size : int
        Tasks of a meta-step.
    alpha : float
        L2 penalty.
    scale : float
        The targets are divided by it, as `normalize_y` does.
    """

    def __init__(self, algorithm, hidden, n_rows, options, batch_size, alpha, scale):
        self.algorithm, self.alpha, self.scale = algorithm, alpha, scale
        self.network = MLP((1, *hidden, 1), "relu", "squared_error")
        self.tasks, self.batch_size = Sinusoids(n_rows=n_rows), batch_size
        self.options = {"support_order": "random", **options}

    def arrays(self, n_tasks, random_state):
        tasks = self.tasks.sample(n_tasks, random_state)
        y = (tasks.y / self.scale)[:, None]
        return TaskArrays(tasks.X.astype(np.float32), y.astype(np.float32), tasks.offsets)

    def state(self, seed):
        random_state = np.random.RandomState(seed)
        params = self.algorithm.init_params(self.network, random_state, np.float32)
        return TrainingState.start(
            params, self.network, random_state, meta_lr=1e-3, alpha=self.alpha
        )

    def collection_stream(self, n_tasks=1000):
        arrays = self.arrays(n_tasks, np.random.RandomState(0))
        sampler = EpisodeSampler(arrays, **self.options)
        return CollectionStream(sampler, np.arange(n_tasks), self.batch_size)

    def distribution_stream(self):
        return DistributionStream(self.arrays, self.options, self.batch_size)


PAPER = {"n_shots": 10, "n_query": 10}
DEFAULT = {"n_shots": "auto", "n_query": 20}
SETTINGS = {
    "MAML, one step, 40-40": Setting(
        MAML(inner_lr=INNER_LR, inner_steps=1), (40, 40), 20, PAPER, 25, alpha=0, scale=1
    ),
    "default algorithm, 64-64": Setting(
        BayesianHead(), (64, 64), 40, DEFAULT, 16, alpha=1e-4, scale=2
    ),
}
AIMS = dict(zip(SETTINGS, (0.4, 0.05), strict=True))  # mean squared error on unseen tasks
OURS = "sklearn_meta"


def report_meta_step(seconds):
    """The whole meta-step, its episode and its meta-gradient alone."""
    print("\nA meta-step of fit, 1000 tasks")
    for label, setting in SETTINGS.items():
        state, stream = setting.state(0), setting.collection_stream()
        draw = functools.partial(Cursor().draw, stream, state.random_state)
        step = functools.partial(state.step, setting.algorithm, setting.network)
        gradient = functools.partial(
            setting.algorithm.meta_gradient, setting.network, setting.state(0).params
        )
        episodes = [draw() for _ in range(64)]  # their sizes differ
        contestants = {
            "step": lambda step=step, draw=draw: [step(*draw()) for _ in range(64)],
            "episode": lambda draw=draw: [draw() for _ in range(64)],
            "gradient": lambda gradient=gradient, all=episodes: [gradient(*each) for each in all],
        }
        with threadpool_limits(limits=1, user_api="blas"):  # as fit does
            taken = _speed.median_seconds(contestants, seconds)
        step, episode, gradient = (taken[name] / 64 for name in ("step", "episode", "gradient"))
        print(f"  {label}: {1e3 * step:.3f} ms")
        print(f"    over its meta-gradient: {_speed.verdict(step / gradient, 1.3)}")
        print(f"    the episode's share: {_speed.verdict(episode / step, 0.15)}")


def unseen():
    """Support and query of the unseen tasks, (tasks, rows, 1) each, in float32."""
    return [array.astype(np.float32)[..., None] for array in unseen_tasks(10)]


def our_race(setting, seed):
    """Functions that train on for a while, and that evaluate."""
    state, stream, cursor = setting.state(seed), setting.distribution_stream(), Cursor()
    x, y, grid, truth = unseen()
    batches = [
        TaskBatch(X, target / np.float32(setting.scale), np.ones(X.shape[:2], np.float32))
        for X, target in ((x, y), (grid, truth))
    ]

    def advance():
        with threadpool_limits(limits=1, user_api="blas"):  # as fit does
            for _ in range(EVALUATE_EVERY):
                episode = cursor.draw(stream, state.random_state)
                state.step(setting.algorithm, setting.network, *episode)

    def error():
        loss = mean_query_loss(setting.algorithm, setting.network, state.averaged, *batches)
        return loss * setting.scale**2

    return advance, error


def jax_race(setting, seed):
    """The same training in JAX."""
    maml_jax = importlib.import_module("_maml_jax")
    layers = setting.network.layers(setting.state(seed).params.vector)
    held = {"state": maml_jax.start_training(layers, seed)}
    sizes = setting.batch_size, setting.options["n_shots"], INNER_LR

    def advance():
        for _ in range(EVALUATE_EVERY):
            held["state"] = maml_jax.training_step(held["state"], *sizes)
        held["state"][4].block_until_ready()

    return advance, lambda: float(maml_jax.query_error(held["state"][3], *unseen(), INNER_LR))


def seconds_until(aim, advance, error, max_iter):
    """Seconds of training until the error is `aim`, infinite if it takes over `max_iter` steps."""
    seconds = 0.0
    for _ in range(0, max_iter, EVALUATE_EVERY):
        start = time.perf_counter()
        advance()
        seconds += time.perf_counter() - start
        if error() <= aim:
            return seconds
    return np.inf


def race(quick):
    """Seconds to the aim of each seed, {setting: {who: [seconds]}}."""
    max_iter, n_seeds = (EVALUATE_EVERY, 1) if quick else (20_000, 3)
    found = {}
    for label, setting in SETTINGS.items():
        racers = {OURS: our_race}
        if isinstance(setting.algorithm, MAML) and importlib.util.find_spec("jax"):
            racers["JAX"] = jax_race
        found[label] = {who: [] for who in racers}
        for seed in range(n_seeds):
            _speed.progress(f"{label}, seed {seed}")
            for who, start in racers.items():
                taken = seconds_until(AIMS[label], *start(setting, seed), max_iter)
                found[label][who].append(taken)
    return found


def report_quality(options):
    print("\nSeconds of training until the error on unseen sinusoids is reached, 10 shots")
    _speed.print_left_out(("jax",))
    found = _speed.in_workers(__file__, options)
    for label, aim in AIMS.items():
        print(f"  {label}, to {aim}")
        for who in found[1][label]:
            medians = {n: np.median(results[label][who]) for n, results in found.items()}
            _, n_threads = _speed.better(medians)
            seeds = sorted(found[n_threads][label][who])
            told = ", ".join("not reached" if np.isinf(s) else f"{s:.1f}" for s in seeds)
            print(f"    {who:14s} {told}  ({n_threads} thread{'s' * (n_threads > 1)})")


GROWTH = {  # what grows: (values of it, the shape with such a value, its steps)
    "tasks": ((16, 64, 256), lambda n: (Shape((20, 128, 128, 1), n, 10, 10, {}), 1)),
    "rows": ((10, 20, 40), lambda n: (Shape((20, 128, 128, 1), 16, n, n, {}), 1)),
    "width": ((128, 256, 512), lambda n: (Shape((20, n, n, 1), 16, 10, 10, {}), 1)),
    "steps": ((1, 2, 4, 8), lambda n: (Shape((20, 128, 128, 1), 16, 10, 10, {}), n)),
}


def bare_meta_gradient(shape, n_steps):
    algorithm = MAML(inner_lr=INNER_LR, inner_steps=n_steps)
    return functools.partial(algorithm.meta_gradient, *problem(shape, algorithm))


def report_growth(seconds):
    print("\nGrowth of MAML's meta-gradient from 20-128-128-1, 16 tasks of 10+10 rows, one step")
    for what, (values, shape_of) in GROWTH.items():
        contestants = {value: bare_meta_gradient(*shape_of(value)) for value in values}
        with threadpool_limits(limits=1, user_api="blas"):
            taken = _speed.median_seconds(contestants, seconds)
        first = taken[values[0]]
        times = ", ".join(
            f"{value}: {1e3 * taken[value]:.2f} ms (x{taken[value] / first:.1f})"
            for value in values
        )
        print(f"  {what:5s} {times}")


def report_memory(quick):
    """Peak of a meta-gradient beside what its rows need and what weights a task would."""
    print("\nPeak memory of MAML's meta-gradient in dual form, 100-512-512-1, 10+10 rows, one step")
    for n_tasks in (4, 8) if quick else (16, 64, 256):
        shape = Shape((100, 512, 512, 1), n_tasks, 10, 10, {})
        run = bare_meta_gradient(shape, 1)
        tracemalloc.start()
        run()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        rows = 4 * n_tasks * (shape.n_shots + shape.n_queries) * sum(shape.units)
        weights = 4 * n_tasks * MLP(shape.units, "relu", "squared_error").layout.size
        print(
            f"  {n_tasks:3d} tasks: {peak / 1e6:7.1f} MB, {peak / rows:6.1f} times tasks x rows x "
            f"widths, {peak / weights:6.2f} times tasks x weights"
        )


def main():
    options = _speed.parse(__doc__)
    if options.worker:
        _speed.report_from_worker(options.worker, lambda: race(options.quick))
        return
    _speed.print_machine()
    report_meta_step(options.seconds)
    report_quality(options)
    report_growth(options.seconds)
    report_memory(options.quick)


if __name__ == "__main__":
    main()
