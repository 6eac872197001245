"""Every algorithm on sinusoids in its paper's setting: mean squared error on unseen tasks.

    python benchmarks/sinusoid_algorithms.py [--quick] [--only steps maml meta_sgd ...]

Amplitude ~ U[0.1, 5], phase ~ U[0, pi], x ~ U[-5, 5], no noise; the frequency is 1, for Meta-SGD
and MAML++ U[0.8, 1.2]. 600 unseen tasks show some random rows and are judged on a grid of 100
points that does not include them; errors with 95% intervals over these tasks. Networks are
40-40 relu and a meta-step has 25 tasks, where nothing else is said.
"""

import argparse

import numpy as np
from _sinusoids import VARIED, fit, from_pytorch, report, sinusoids

from sklearn_meta.algorithms import (
    ANIL,
    BOIL,
    CAVIA,
    FOMAML,
    MAML,
    DeepKernelGP,
    ImplicitMAML,
    Joint,
    MetaSGD,
    NeuralProcess,
    Reptile,
    RidgeHead,
)

ONE_STEP = {"inner_lr": 0.01, "inner_steps": 1}
TEN = {"n_shots": 10, "n_query": 10}


def steps(max_iter):
    """MAML paper, table 2: trained with 10 shots and one step, tested with 5 shots."""
    maml = MAML(inner_lr=0.001, inner_steps=1)  # the rate that the reference code runs at
    meta = fit(maml, sinusoids(20), label="MAML", max_iter=max_iter(60_000), **TEN)
    for n_steps, published in ((1, 0.67), (5, 0.38), (10, 0.35)):
        meta.algorithm_.set_params(adapt_steps=n_steps)
        report(f"MAML, 5 shots, {n_steps} steps", meta, f"published {published}", n_shots=5)
    meta = fit(Joint(), sinusoids(20), max_iter=max_iter(20_000), **TEN)
    for n_steps, published in ((1, 2.41), (5, 2.23), (10, 2.19)):
        meta.algorithm_.set_params(adapt_steps=n_steps)
        label = f"pretraining (Joint), 5 shots, {n_steps} steps"
        report(label, meta, f"published {published}", n_shots=5)


def one_step(name, algorithm, published, max_iter, n_seeds, **setting):
    setting |= {"max_iter": max_iter(20_000), **TEN}
    errors = []
    for seed in range(min(n_seeds, max_iter(20_000) // 20)):
        meta = fit(algorithm(**ONE_STEP), sinusoids(20), label=name, random_state=seed, **setting)
        errors.append(report(f"{name}, 10 shots, seed {seed}", meta))
    print(f"  {name}: median of {len(errors)} seeds {np.median(errors):.4f}, published {published}")


def fomaml(max_iter):
    """tensorgrad, FOMAML: 20,000 meta-steps, 10+10 rows.

    Held-out tasks choose the parameters, and do not stop training.
    """
    gate = {"early_stopping": True, "n_iter_no_change": 1000}
    one_step("FOMAML", FOMAML, 0.420, max_iter, n_seeds=5, **gate)


def maml(max_iter):
    """tensorgrad, MAML: the same, but the last parameters."""
    one_step("MAML", MAML, 0.369, max_iter, n_seeds=5)


def meta_sgd(max_iter):
    """Meta-SGD paper: trained with 5 shots and one step."""
    setting = {"n_shots": 5, "n_query": 10, "max_iter": max_iter(60_000)}
    published = {"MetaSGD": (0.90, 0.63, 0.50), "MAML": (1.13, 0.85, 0.71)}
    for algorithm in (MetaSGD(inner_lr=0.01), MAML(**ONE_STEP)):
        meta = fit(algorithm, sinusoids(15, VARIED), **setting)
        name = type(algorithm).__name__
        for n_shots, figure in zip((5, 10, 20), published[name], strict=True):
            report(f"{name}, {n_shots} shots", meta, f"published {figure}", n_shots, VARIED)


def maml_plus_plus(max_iter):
    """PARL: 5 shots, 40-40-40, three steps with learned rates, 1600 fixed tasks of 100 rows."""
    algorithm = from_pytorch(MAML)(
        inner_steps=3, learn_inner_lr="step", multi_step_iter=max_iter(4000)
    )
    tasks = sinusoids(100, VARIED).sample(1600, random_state=0)
    meta = fit(
        algorithm,
        tasks,
        hidden=(40, 40, 40),
        n_shots=5,
        n_query=20,
        label="MAML++",
        meta_batch_size=16,
        max_iter=max_iter(40_000),
    )
    report("MAML++, 5 shots, 3 steps", meta, "published 0.34 (MAML 0.93)", 5, VARIED)


def heads(max_iter):
    """Closed-form output layers on 64-64, and the pretraining that all have to beat."""
    setting = {"hidden": (64, 64), "meta_batch_size": 16, "max_iter": max_iter(20_000)}
    for algorithm in (RidgeHead(), "bayesian_head", DeepKernelGP(kernel="linear")):
        meta = fit(algorithm, sinusoids(20), normalize_y=True, **setting, **TEN)
        report(f"{type(meta.algorithm_).__name__}, 10 shots", meta, "to reach 0.03")


def others(max_iter):
    """Algorithms with no published figure in this setting, and CAVIA with its own."""
    contestants = {
        "ANIL": (ANIL(inner_lr=0.01, inner_steps=5, learn_inner_lr="layer"), 20_000),
        "BOIL": (BOIL(inner_lr=0.01, inner_steps=5), 20_000),
        "Reptile": (Reptile(), 20_000),
        "ImplicitMAML": (ImplicitMAML(), 5_000),
        "NeuralProcess": (NeuralProcess(), 20_000),
        "CAVIA": (CAVIA(n_context=5, inner_lr=1.0, inner_steps=1), 60_000),
        "Joint, 10 steps": (Joint(adapt_steps=10), 20_000),
    }
    for name, (algorithm, n_iter) in contestants.items():
        published = name == "CAVIA"
        setting = {"max_iter": max_iter(n_iter), "normalize_y": not published, **TEN}
        meta = fit(algorithm, sinusoids(20), **setting)
        report(f"{name}, 10 shots", meta, "published 0.19" if published else "")


PARTS = {
    part.__name__: part for part in (fomaml, maml, steps, meta_sgd, maml_plus_plus, heads, others)
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="few meta-steps")
    parser.add_argument("--only", nargs="+", choices=list(PARTS), default=list(PARTS))
    options = parser.parse_args()
    for name in options.only:
        print(f"\n{PARTS[name].__doc__}")
        PARTS[name]((lambda n: min(n, 20)) if options.quick else (lambda n: n))


if __name__ == "__main__":
    main()
