"""How time and memory grow with classes, tasks, rows and columns.

    python benchmarks/scale.py [--quick] [--before PATH] [--rounds 1] [--timeout 600] [WORD ...]

The table is about growth: fits take few meta-steps, too few to learn anything. Each row is
measured in a process of its own, forked once the package is imported, on one BLAS thread; the
peak is that process's largest resident memory, NumPy and the package among it, as the first row
tells. With `--before`, a checkout of an earlier version takes turns with this one. A row that
raises, or takes longer than the timeout in seconds, says so. Words choose the cases whose names
have one of them. Not for Windows, which cannot fork.
"""

import argparse
import json
import os
import pickle
import resource
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import _speed
import numpy as np
from sklearn.linear_model import Ridge
from sklearn.neural_network import MLPClassifier, MLPRegressor

import sklearn_meta
from sklearn_meta import MetaLearner
from sklearn_meta.baselines import Shifted
from sklearn_meta.model_selection import few_shot_curve

MB = 1e6
HIDDEN = (64, 64)
UNIT = {"linux": 1024}.get(sys.platform, 1)  # of ru_maxrss, in bytes


def data(n_tasks, n_rows, n_features=10, n_classes=None, seed=0):
    """Rows of linear tasks, or of noise about the classes' centres: X, y and task numbers."""
    rng = np.random.RandomState(seed)
    task = np.repeat(np.arange(n_tasks), n_rows)
    X = rng.standard_normal((len(task), n_features)).astype(np.float32)
    if n_classes is None:
        return X, X[:, 0] * rng.standard_normal(n_tasks)[task], task
    y = rng.randint(n_classes, size=len(task))
    X += rng.standard_normal((n_classes, n_features)).astype(np.float32)[y]
    return X, y, task


def beside_small(n_large, n_tasks=100, n_rows=20):
    """One task of so many rows, and small ones."""
    parts = data(n_tasks, n_rows), data(1, n_large, seed=1)
    X, y, _ = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    sizes = [n_rows] * n_tasks + [n_large]
    return X, y, np.repeat(np.arange(n_tasks + 1), sizes)


def learner(mlp=MLPRegressor, algorithm="bayesian_head", **options):
    """With few meta-steps, and no tasks held out or adapted, unless options say so."""
    options = {"max_iter": 1, "early_stopping": False, "adapt_training_tasks": False} | options
    return MetaLearner(mlp(hidden_layer_sizes=HIDDEN), algorithm, random_state=0, **options)


def fitted():
    return learner(max_iter=5).fit(*data(50, 20))


def seconds_of(run):
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def meta_step(rows, n_steps=4, **options):
    """Milliseconds of one: what a fit takes longer for so many more."""
    short, long = (learner(max_iter=n, **options) for n in (1, 1 + n_steps))
    short.fit(*rows)  # warm
    beforehand = seconds_of(lambda: short.fit(*rows))
    return 1e3 * (seconds_of(lambda: long.fit(*rows)) - beforehand) / n_steps


class Sink:
    """A file that only counts what is written to it."""

    size = 0

    def write(self, part):
        self.size += memoryview(part).nbytes


def pickled(meta):
    """Megabytes of a pickle, which is not kept."""
    sink = Sink()
    pickle.dump(meta, sink, protocol=5)
    return sink.size / MB


def resident():
    """Megabytes that the process has now; none where the system does not tell."""
    statm = Path("/proc/self/statm")
    if not statm.exists():
        return {}
    pages = int(statm.read_text().split()[1])
    return {"resident MB": pages * os.sysconf("SC_PAGE_SIZE") / MB}


def nothing(_):
    return {}


def shared_classes(n_classes):
    return {"ms": meta_step(data(32, 200, n_classes=n_classes), mlp=MLPClassifier)}


def scaled_features(factor):
    X, y, task = data(32, 200, n_classes=3)
    return {"ms": meta_step((X * factor, y, task), 20, mlp=MLPClassifier, standardize=False)}


def one_id_after_the_other(n_tasks):
    meta, (X, y, _) = fitted(), data(1, 5)

    def adapt_all():
        for task in range(n_tasks):
            meta.fit_adapt(X, y, groups=[task] * len(y))

    return {"s": seconds_of(adapt_all)}


def one_row_among(n_tasks):
    meta = fitted().fit_adapt(*data(n_tasks, 2))
    X = data(1, 1)[0]
    taken = [seconds_of(lambda i=i: meta.predict(X, groups=[i])) for i in range(20)]
    return {"ms": 1e3 * np.median(taken)}


def own_classes(n_tasks):
    X, y, task = data(n_tasks, 6)
    y = np.array([f"{i}, {j % 3}" for j, i in enumerate(task)])
    few = task < 20
    meta = learner(MLPClassifier, shared_labels=False).fit(X[few], y[few], task[few])
    meta.fit_adapt(X, y, groups=task)
    return {"s": seconds_of(lambda: meta.predict_proba(X[::6], groups=task[::6]))}


def many_training_tasks(n_tasks):
    rows = data(n_tasks, 10)
    meta = learner(algorithm="maml", adapt_training_tasks=True)
    return {"s": seconds_of(lambda: meta.fit(*rows)), "pickle MB": pickled(meta)} | resident()


def many_shared_classes(n_classes):
    rows = data(100, 4 * n_classes, n_classes=n_classes)
    of_each = {"n_shots": 1, "stratify_shots": True}
    meta = learner(MLPClassifier, algorithm="maml", **of_each, meta_batch_size=2)
    return {"s": seconds_of(lambda: meta.fit(*rows)), "pickle MB": pickled(meta)} | resident()


def gaussian_process(n_rows):
    rows = beside_small(n_rows)
    meta = learner(algorithm="deep_kernel_gp", adapt_training_tasks=True)
    return {"s": seconds_of(lambda: meta.fit(*rows))}


def query_rows(n_rows):
    meta = fitted().fit_adapt(*data(1, 20)[:2])
    X = data(1, n_rows)[0]
    return {"s": seconds_of(lambda: meta.predict(X))}


def small_tasks(n_tasks):
    meta, (X, y, task) = fitted(), data(n_tasks, 10)
    adapting = seconds_of(lambda: meta.fit_adapt(X, y, groups=task))
    return {"s": adapting, "s to predict": seconds_of(lambda: meta.predict(X, groups=task))}


def large_task(n_rows):
    options = {"n_shots": 5, "support_order": "first"}
    return {"ms": meta_step(beside_small(n_rows), 200, **options)}


def columns(n_columns):
    rows = data(100, 40, n_columns)
    adapting = seconds_of(lambda: learner().fit(*rows).fit_adapt(*rows))
    return {"ms": meta_step(rows, 20), "s to fit and adapt": adapting}


def judged(n_tasks):
    rows, options = data(n_tasks, 20), {"cv": 3, "n_repeats": 2, "random_state": 0}
    baselines = [Shifted(Ridge())]
    X, y, task = rows
    found = {}

    def judge():
        curve = few_shot_curve(learner(), X, y, groups=task, baselines=baselines, **options)
        found["s in words"] = seconds_of(lambda: repr(curve))

    return {"s": seconds_of(judge)} | found


CASES = {  # name: (function of a value, the values, those of a quick run)
    "the import alone": (nothing, ("",), ("",)),
    "a meta-step, shared classes": (shared_classes, (10, 20, 40, 80, 160), (10,)),
    "a meta-step, 3 classes, features times": (scaled_features, (1, 100, 10_000), (100,)),
    "fit_adapt, one id after the other": (one_id_after_the_other, (2000, 4000, 8000), (50,)),
    "predict of one row, tasks known": (one_row_among, (25_000, 50_000, 100_000), (500,)),
    "predict_proba, tasks with classes of their own": (own_classes, (500, 1000, 2000), (50,)),
    "MAML's fit, training tasks": (many_training_tasks, (5000, 10_000, 20_000), (100,)),
    "MAML's fit, 100 tasks of 4 rows of each class": (many_shared_classes, (50, 500), (10,)),
    "DeepKernelGP, one task of so many rows": (gaussian_process, (3000, 10_000, 30_000), (200,)),
    "predict of one task, rows": (query_rows, (200_000, 2_000_000), (2000,)),
    "fit_adapt and predict, tasks of 10 rows": (small_tasks, (100_000, 1_000_000), (500,)),
    "a meta-step, one task of so many rows": (large_task, (2000, 200_000), (2000,)),
    "few_shot_curve, tasks of 20 rows": (judged, (200, 2000, 20_000), (50,)),
    "a meta-step, columns": (columns, (20, 200, 2000), (20,)),
}


class Version:
    """A process that has imported one version of the package, and forks one for each row."""

    def __init__(self, path, timeout):
        paths = [str(path), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = os.environ | dict.fromkeys(_speed.THREAD_VARIABLES, "1")
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).resolve()), "--timeout", str(timeout), "--serve"],
            env=environment | {"PYTHONPATH": os.pathsep.join(paths)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def measure(self, name, value):
        print(json.dumps([name, value]), file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline()
        return json.loads(answer) if answer else {"error": "cannot be imported"}

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def serve(timeout):
    """Measure each row that is asked for on the standard input, in a process of its own."""
    warnings.simplefilter("ignore")
    for line in sys.stdin:
        name, value = json.loads(line)
        child = os.fork()
        if child == 0:
            signal.alarm(timeout)
            print(json.dumps(measured(CASES[name][0], value)), flush=True)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if status:
            late = status == signal.SIGALRM
            error = f"over {timeout} s" if late else f"ended with status {status}"
            print(json.dumps({"error": error}), flush=True)


def measured(function, value):
    """What a case found and the peak of memory, or how its error begins."""
    try:
        found = function(value)
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"[:60]}
    return found | {"peak MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * UNIT / MB}


def told(rounds):
    """The medians of several rounds in words; of those that failed, the first."""
    failed = [found["error"] for found in rounds if "error" in found]
    if failed:
        return failed[0]
    medians = {name: np.median([found[name] for found in rounds]) for name in rounds[0]}
    return ", ".join(
        f"{value:,.{3 if value < 1 else 1}f} {name}" for name, value in medians.items()
    )


def report(name, values, versions, n_rounds):
    print(f"\n{name}", flush=True)
    for value in values:
        found = {label: [] for label in versions}
        for _ in range(n_rounds):
            for label, version in versions.items():
                found[label].append(version.measure(name, value))
        cells = [f"{label}: {told(rounds)}" for label, rounds in found.items()]
        shown = f"{value:,}" if value else ""
        print(f"  {shown:>10}  " + " | ".join(f"{cell:<60}" for cell in cells).rstrip(), flush=True)


def parse():
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    parser.add_argument("words", nargs="*", metavar="WORD")
    parser.add_argument("--quick", action="store_true", help="one small value of each case")
    parser.add_argument("--before", type=Path, help="a checkout of an earlier version")
    parser.add_argument("--rounds", type=int, default=1, help="of each row, whose medians count")
    parser.add_argument("--timeout", type=int, default=600, help="seconds of one row, at most")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def main():
    options = parse()
    if options.serve:
        serve(options.timeout)
        return
    _speed.print_machine()
    paths = {"now": Path(sklearn_meta.__file__).parents[1]}
    if options.before:
        paths["before"] = options.before.resolve()
    versions = {label: Version(path, options.timeout) for label, path in paths.items()}
    for name, (_, values, quick) in CASES.items():
        if not options.words or any(word in name for word in options.words):
            report(name, quick if options.quick else values, versions, options.rounds)
    for version in versions.values():
        version.close()


if __name__ == "__main__":
    main()
