"""Second-order MAML's meta-gradient beside JAX, PyTorch and plain backpropagation.

    python benchmarks/speed_meta_gradient.py [--quick] [--seconds 20]

All get the same float32 arrays and starting weights and take turns in one process; a process
has one thread on one core, another two, and each contestant keeps its better median. A
contestant whose gradient is not JAX's within 1e-5 (with tanh, away from relu's kinks) has
no time. JAX's compilation is told apart. JAX and PyTorch are left out where they are not
installed: `pip install jax torch`. The rival is the same MAML as a fast user writes it.

"Plain" is ordinary training on the same rows: one forward and one backward pass of one network.
"""

import time
from typing import NamedTuple

import _roofline
import _speed
import numpy as np

from sklearn_meta.algorithms import MAML, BayesianHead
from sklearn_meta.network import MLP
from sklearn_meta.tasks import TaskBatch

INNER_LR = 0.01
TOLERANCE = 1e-5
OURS, PLAIN = "sklearn_meta", "plain"


class Shape(NamedTuple):
    units: tuple
    n_tasks: int
    n_shots: int
    n_queries: int
    jax_bars: dict  # of ours over JAX, by steps
    vmap_bar: float | None = None  # of ours over torch vmap
    plain_bar: float | None = None  # of ours over plain, one step

    @property
    def label(self):
        units = "-".join(map(str, self.units))
        return f"{units}, {self.n_tasks} tasks of {self.n_shots}+{self.n_queries} rows"


DEEP = (784, 256, 128, 64, 64, 5)
SHAPES = [
    Shape((1, 40, 40, 1), 25, 10, 10, {1: 0.9, 5: 1.2}, vmap_bar=0.2),
    Shape((20, 64, 64, 1), 32, 16, 16, {1: 0.6, 5: 1.0}),
    Shape(DEEP, 32, 5, 5, {1: 0.08, 5: 0.15}, vmap_bar=0.12, plain_bar=1.7),
    Shape(DEEP, 32, 5, 75, {}, vmap_bar=0.12, plain_bar=1.7),
    Shape((100, 512, 512, 1), 64, 10, 10, {1: 0.15, 5: 0.35}, vmap_bar=0.12, plain_bar=1.7),
]
WIDE = SHAPES[2:]
HEAD = [Shape((784, 256, 128, 64, 5), 32, 5, n, {}, plain_bar=2.0) for n in (5, 75)]


def cases(quick):
    shapes = [SHAPES[0], SHAPES[2]] if quick else SHAPES
    return [(shape, n_steps) for shape in shapes for n_steps in ((1,) if quick else (1, 5))]


def case_name(shape, n_steps):
    return f"{shape.label}, {n_steps} step{'s' * (n_steps > 1)}"


def problem(shape, algorithm, activation="relu"):
    """Network, parameters, support and query, in float32."""
    rng = np.random.RandomState(0)
    network = MLP(shape.units, activation, "squared_error")
    params = algorithm.init_params(network, rng, np.float32)
    batches = []
    for n_rows in (shape.n_shots, shape.n_queries):
        lead = shape.n_tasks, n_rows
        X, y = (rng.standard_normal((*lead, units)) for units in (shape.units[0], shape.units[-1]))
        weight = np.ones(lead)
        batches.append(TaskBatch(*(part.astype(np.float32) for part in (X, y, weight))))
    return network, params, *batches


def our_contestants(algorithm, network, params, support, query):
    rows, layers = support.join(query), network.layers(params.vector)

    def ours():
        return algorithm.meta_gradient(network, params, support, query)

    def plain():
        at = network.run(layers, rows)
        return at.losses, network.gradient(at.inputs, at.deltas)

    return {OURS: ours, PLAIN: plain}


def maml_contestants(shape, n_steps, rivals, activation="relu"):
    algorithm = MAML(inner_lr=INNER_LR, inner_steps=n_steps)
    network, params, support, query = problem(shape, algorithm, activation)
    contestants = our_contestants(algorithm, network, params, support, query)
    arrays = support.X, support.y, query.X, query.y
    layers = network.layers(params.vector)
    for rival in rivals:
        contestants |= rival.contestants(layers, arrays, INNER_LR, n_steps, activation)
    return contestants


def disagreements(shape, n_steps, rivals):
    """Relative difference of each gradient from the reference's, with tanh, in float32."""
    contestants = maml_contestants(shape, n_steps, rivals, "tanh")
    del contestants[PLAIN]
    gradients = {name: flat(run()[1]).astype(float) for name, run in contestants.items()}
    reference = gradients.pop("JAX", gradients.get("torch vmap"))
    if reference is None:
        return {}
    size = np.linalg.norm(reference)
    return {name: np.linalg.norm(g - reference) / size for name, g in gradients.items()}


def flat(gradients):
    """Arrays, nested in lists and tuples, as one vector."""
    if isinstance(gradients, list | tuple):
        return np.concatenate([flat(part) for part in gradients])
    return np.asarray(gradients).ravel()


def work(options):
    """In a worker: all times, differences and rates of this thread count."""
    modules = _speed.peers()
    if "torch" in modules:
        modules["torch"].torch.set_num_threads(options.worker)
    found = {"cases": {}, "head": {}, "rates": {"matmul": 0.0, "copy": 0.0}}
    for shape, n_steps in cases(options.quick):
        _speed.progress(f"{case_name(shape, n_steps)}, threads: {options.worker}")
        contestants = maml_contestants(shape, n_steps, modules.values())
        found["cases"][case_name(shape, n_steps)] = {
            "compile": first_call_beyond(contestants, "JAX"),
            "seconds": _speed.median_seconds(contestants, options.seconds),
            "differ": disagreements(shape, n_steps, modules.values()),
        }
        found["rates"] = faster(found["rates"], options.seconds)
    for shape in HEAD[:1] if options.quick else HEAD:
        algorithm = BayesianHead()
        contestants = our_contestants(algorithm, *problem(shape, algorithm))
        found["head"][shape.label] = _speed.median_seconds(contestants, options.seconds)
    return found


def faster(rates, seconds):
    """The machine's rates measured anew, each the better of now and before."""
    seconds = min(seconds, 1)  # again after each case, for a busy moment must not lower them
    now = {"matmul": _roofline.matmul_rate(seconds), "copy": _roofline.copy_rate(seconds)}
    return {name: max(rate, now[name]) for name, rate in rates.items()}


def first_call_beyond(contestants, name):
    """Seconds that the first call takes beyond the second."""
    if name not in contestants:
        return None
    taken = []
    for _ in range(2):
        start = time.perf_counter()
        contestants[name]()
        taken.append(time.perf_counter() - start)
    return taken[0] - taken[1]


def print_times(seconds_by_threads, differ=None, compiling=None):
    """A line each; the better times of those whose gradient is right."""
    best, differ = {}, differ or {}
    for name in next(iter(seconds_by_threads.values())):
        by_threads = {n: seconds[name] for n, seconds in seconds_by_threads.items()}
        seconds, n_threads = _speed.better(by_threads)
        notes = [f"{n_threads} thread{'s' * (n_threads > 1)}"]
        if name in differ:
            notes.append(f"gradient differs by {differ[name]:.0e}")
        if name == "JAX" and compiling is not None:
            notes.append(f"beside {compiling:.1f} s of compilation")
        if differ.get(name, 0) <= TOLERANCE:
            best[name] = seconds
            print(f"  {name:14s} {1e3 * seconds:9.3f} ms  {', '.join(notes)}")
        else:
            print(f"  {name:14s} disqualified: its gradient differs by {differ[name]:.1e}")
    return best


def print_ratios(best, bars):
    for rival, bar in bars.items():
        if OURS in best and rival in best:
            print(f"  {OURS} / {rival}: {_speed.verdict(best[OURS] / best[rival], bar)}")


def print_floor(shape, n_steps, best, found):
    """The least a dual form must take on this machine."""
    operations, n_bytes = _roofline.dual_form_needs(*shape[:4], n_steps)
    matmul, copy = (max(of["rates"][rate] for of in found.values()) for rate in ("matmul", "copy"))
    floor = max(operations / matmul, n_bytes / copy)
    taken = f", {best[OURS] / floor:.1f} times of which it takes" if OURS in best else ""
    print(
        f"  dual form's floor: {1e3 * floor:.2f} ms ({operations / 1e9:.2f} G operations, "
        f"{n_bytes / 1e6:.0f} MB){taken}"
    )


def report_case(shape, n_steps, found):
    name = case_name(shape, n_steps)
    of = {n: results["cases"][name] for n, results in found.items()}
    differ = {}
    for results in of.values():
        for who, value in results["differ"].items():
            differ[who] = max(value, differ.get(who, 0))
    print(f"\n{name}" + ("" if differ else " (gradients unchecked: no rival is here)"))
    compiling = min((results["compile"] or np.inf) for results in of.values())
    best = print_times({n: results["seconds"] for n, results in of.items()}, differ, compiling)
    plain_bar = shape.plain_bar if n_steps == 1 else None
    bars = {"JAX": shape.jax_bars.get(n_steps), "torch vmap": shape.vmap_bar, PLAIN: plain_bar}
    print_ratios(best, bars)
    if shape in WIDE:
        print_floor(shape, n_steps, best, found)


def main():
    options = _speed.parse(__doc__)
    if options.worker:
        _speed.report_from_worker(options.worker, lambda: work(options))
        return
    _speed.print_machine()
    _speed.print_left_out()
    found = _speed.in_workers(__file__, options)
    for n_threads, results in found.items():
        matmul, copy = results["rates"]["matmul"], results["rates"]["copy"]
        print(
            f"{n_threads} thread{'s' * (n_threads > 1)}: float32 matrix products "
            f"{matmul / 1e9:.0f} G operations/s, copy {copy / 1e9:.1f} GB/s"
        )
    for shape, n_steps in cases(options.quick):
        report_case(shape, n_steps, found)
    for label in found[1]["head"]:
        print(f"\nBayesianHead, {label}")
        best = print_times({n: results["head"][label] for n, results in found.items()})
        print_ratios(best, {PLAIN: HEAD[0].plain_bar})


if __name__ == "__main__":
    main()
