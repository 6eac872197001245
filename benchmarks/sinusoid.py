"""Sinusoids with the default algorithm: mean squared error on unseen tasks.

    python benchmarks/sinusoid.py [--quick]

Amplitude ~ U[0.1, 5], phase ~ U[0, pi], x ~ U[-5, 5], one frequency, no noise. 600 unseen
tasks show 10 random rows and are judged on a grid of 100 points that does not include them.
The other algorithms are in `sinusoid_algorithms.py`.
"""

import argparse

from _sinusoids import fit, report, sinusoids


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few meta-steps")
    quick = parser.parse_args().quick
    default = {"hidden": (64, 64), "alpha": 1e-4, "meta_batch_size": 16}
    default |= {"normalize_y": True, "standardize": "auto"}
    for label, options in {
        "default": {"max_iter": 3000, "early_stopping": True},
        "default, more meta-steps": {"max_iter": 20_000},
    }.items():
        options |= {"max_iter": 50} if quick else {}
        meta = fit("bayesian_head", sinusoids(40), label=label, **default, **options)
        report(f"{label}, 10 shots", meta, "to reach 0.03")


if __name__ == "__main__":
    main()
