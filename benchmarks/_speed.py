"""Fair timing: contestants take turns, on one thread and on two, and the medians count."""

import argparse
import importlib.util
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import sklearn
from threadpoolctl import threadpool_limits

import sklearn_meta
from sklearn_meta._runtime import keep_freed_memory

SAMPLE_SECONDS = 0.03  # long enough for what a training loop finds: warm caches, memory at hand
SETTLE_SECONDS = 2e-3  # before each sample, so that the last contestant's threads stop spinning
THREAD_VARIABLES = "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"
PEERS = {"jax": "_maml_jax", "torch": "_maml_torch"}  # package: our module that needs it


def parse(description, seconds=20.0):
    """The options all speed benchmarks have."""
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=description, formatter_class=formatter)
    parser.add_argument("--quick", action="store_true", help="few repeats of the small cases")
    parser.add_argument("--seconds", type=float, default=seconds, help="at most, for one case")
    parser.add_argument("--worker", type=int, help=argparse.SUPPRESS)  # how many threads
    options = parser.parse_args()
    if options.quick:
        options.seconds = min(options.seconds, 0.2)
    return options


def median_seconds(contestants, seconds, rounds=15, least=3, clock=time.perf_counter):
    """Median seconds a call, the contestants taking turns.

    Parameters
    ----------
    contestants : dict of str to callable
    seconds : float
        After which no further round starts, once there were `least`.
    rounds, least : int
        Samples of each contestant.
    clock : callable
        What a call takes is measured by it; `time.process_time` counts the processor's.

    Returns
    -------
    dict of str to float
    """
    calls = {name: _calls_in_a_sample(run) for name, run in contestants.items()}
    samples = {name: [] for name in contestants}
    start = time.perf_counter()
    for done in range(rounds):
        if done >= least and time.perf_counter() - start > seconds:
            break
        for name, run in contestants.items():
            samples[name].append(_sample(run, calls[name], clock))
    return {name: float(np.median(taken)) for name, taken in samples.items()}


def _calls_in_a_sample(run):
    run()  # warm-up
    start = time.perf_counter()
    run()
    return max(1, int(SAMPLE_SECONDS / (time.perf_counter() - start)))


def _sample(run, calls, clock):
    time.sleep(SETTLE_SECONDS)
    run()  # the caches are this contestant's again
    start = clock()
    for _ in range(calls):
        run()
    return (clock() - start) / calls


def peers():
    """The peers' modules that can run here, by the package each needs."""
    there = [name for name in PEERS if importlib.util.find_spec(name)]
    return {name: importlib.import_module(PEERS[name]) for name in there}


def print_left_out(packages=tuple(PEERS)):
    for name in packages:
        if not importlib.util.find_spec(name):
            print(f"left out: {name}, which is not installed here (pip install {name})")


def thread_counts():
    """One thread and, where the machine has them, two."""
    return [1, 2] if _n_cores() > 1 else [1]


def in_workers(script, options):
    """Run `script` once for each thread count; what its workers found, by thread count.

    JAX fixes its threads when it starts, hence a process each. All contestants of one
    process take turns in it.
    """
    command = [sys.executable, str(Path(script).resolve()), "--seconds", str(options.seconds)]
    command += ["--quick"] * options.quick
    found = {}
    for n_threads in thread_counts():
        environment = os.environ | dict.fromkeys(THREAD_VARIABLES, str(n_threads))
        if n_threads == 1:
            flags = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
            environment["XLA_FLAGS"] = flags
        ran = subprocess.run(
            [*command, "--worker", str(n_threads)],
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        found[n_threads] = json.loads(ran.stdout)
    return found


def report_from_worker(n_threads, work):
    """In a worker: keep to `n_threads` cores, work, and hand the findings to the parent."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:n_threads])
    keep_freed_memory()  # as `fit` does; NumPy and PyTorch share the allocator
    with threadpool_limits(limits=n_threads, user_api="blas"):
        print(json.dumps(work()))


def progress(what):
    """Tell the waiting user, past the findings on the standard output."""
    print(f"  ... {what}", file=sys.stderr, flush=True)


def better(seconds_by_threads):
    """The shortest time and the thread count it took, of {threads: seconds}."""
    n_threads = min(seconds_by_threads, key=seconds_by_threads.get)
    return seconds_by_threads[n_threads], n_threads


def verdict(value, bar, at_least=False):
    """A value beside its bar."""
    if bar is None:
        return f"{value:.3g}"
    met = value >= bar if at_least else value <= bar
    sign = ">=" if at_least else "<="
    return f"{value:.3g} (bar {sign} {bar:g}: {'met' if met else 'MISSED'})"


def print_machine():
    """What the figures were measured on, and how busy it was."""
    load = f", load {os.getloadavg()[0]:.2f}" if hasattr(os, "getloadavg") else ""
    print(
        f"{_cpu()}, {_n_cores()} cores{load}; Python {platform.python_version()}, "
        f"NumPy {np.__version__}, scikit-learn {sklearn.__version__}, "
        f"sklearn_meta {sklearn_meta.__version__}",
        flush=True,
    )


def _n_cores():
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def _cpu():
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":")[1].strip()
    return platform.processor() or platform.machine()
