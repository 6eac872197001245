"""Small problems, one of each kind, and the algorithms by name."""

import os

os.environ["SCIPY_ARRAY_API"] = "1"  # read when scipy is imported; check_estimator needs it
if "PYTEST_XDIST_WORKER" in os.environ:  # the workers have the cores between them
    os.environ.setdefault("OMP_NUM_THREADS", "1")

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pytest
from helpers import PRESETS, needs_loss
from sklearn.base import clone
from sklearn.neural_network import MLPClassifier, MLPRegressor

from sklearn_meta import MetaLearner, TaskCollection
from sklearn_meta.algorithms import ALGORITHMS

N_TASKS = 12  # for training; one more is new
ESTIMATORS = {
    "regression": MLPRegressor(hidden_layer_sizes=(8,)),
    "multi-output": MLPRegressor(hidden_layer_sizes=(8,)),
    "poisson": MLPRegressor(hidden_layer_sizes=(8,), loss="poisson"),
    "binary": MLPClassifier(hidden_layer_sizes=(8,)),
    "multiclass": MLPClassifier(hidden_layer_sizes=(8,)),
    "own labels": MLPClassifier(hidden_layer_sizes=(8,)),
}


@dataclass
class Problem:
    """Tasks to train on, a new task, and what learns them."""

    tasks: TaskCollection
    new: tuple
    estimator: object
    params: dict = field(default_factory=dict)

    def meta(self, algorithm="bayesian_head", **params):
        learner = ALGORITHMS[algorithm] if isinstance(algorithm, str) else algorithm
        needs_loss(learner, self.estimator.loss)
        # of a single network, unless the test is of several
        defaults = {"max_iter": 20, "n_members": 1, "random_state": 0, "handle_unknown": "prior"}
        params = defaults | self.params | params
        return MetaLearner(clone(self.estimator), algorithm, **params)

    @property
    def rows(self):
        return self.tasks.X, self.tasks.y, self.tasks.groups


def make_problem(kind):
    """Tasks of 8 to 14 rows, each with slopes of its own, called "t00" to "t11"."""
    rng = np.random.RandomState(0)
    groups = np.repeat(np.arange(N_TASKS + 1), rng.randint(8, 15, N_TASKS + 1))
    X = rng.normal(size=(len(groups), 3))
    slopes = np.eye(3) + rng.normal(size=(N_TASKS + 1, 3, 3))
    z = np.einsum("nd,ndk->nk", X, slopes[groups]) + 0.1 * rng.normal(size=(len(X), 3))
    y = {
        "regression": lambda: 10 + 3 * z[:, 0],
        "multi-output": lambda: z[:, :2] * [1, 50],
        "poisson": lambda: rng.poisson(np.exp(np.clip(z[:, 0], -2, 2))),
        "binary": lambda: np.where(z[:, 0] > 0, "yes", "no"),
        "multiclass": lambda: z.argmax(axis=1),
        "own labels": lambda: _own_labels(groups, z),
    }[kind]()
    shared = kind != "own labels"
    names = np.array([f"t{group:02d}" for group in groups])
    tasks = TaskCollection.from_arrays(X, y, names, shared_labels=shared)
    return Problem(
        tasks[:N_TASKS],
        tasks[N_TASKS],
        ESTIMATORS[kind],
        {} if shared else {"shared_labels": False},
    )


def _own_labels(groups, z):
    """Task 0 has classes 0 and 1, task 1 has 100, 101 and 102, task 2 has 200 to 203, ..."""
    labels = np.empty(len(groups), int)
    for group in np.unique(groups):
        rows = np.flatnonzero(groups == group)
        rank = z[rows, 0].argsort().argsort()
        labels[rows] = 100 * group + rank * (2 + group % 3) // len(rows)
    return labels


@pytest.fixture(params=list(ESTIMATORS))
def problem(request):
    return make_problem(request.param)


@pytest.fixture(params=[kind for kind in ESTIMATORS if kind != "own labels"])
def shared_problem(request):
    """A problem in which a label, if there are any, means the same in every task."""
    return make_problem(request.param)


@pytest.fixture(params=sorted(ALGORITHMS))
def algorithm(request):
    return request.param


@pytest.fixture(params=sorted(n for n, cls in ALGORITHMS.items() if "squared_error" in cls.losses))
def regressing(request):
    """The name of an algorithm that learns regression."""
    return request.param


@pytest.fixture(params=sorted(set(ALGORITHMS) - {"deep_kernel_gp"}))
def network_algorithm(request):
    """Those whose adapted task is a network again, which a Gaussian process is not."""
    return request.param


FEW_KINDS = {  # of the problems, for algorithms that go no way through the package of their own
    "problem": ("multi-output", "own labels"),
    "shared_problem": ("multi-output", "multiclass"),
}
EVERY_KIND = ("bayesian_head", "deep_kernel_gp", "joint", "maml")


def pytest_collection_modifyitems(items):
    """Problems of every kind with a few algorithms, and of a few kinds with the others."""
    items[:] = [item for item in items if adds_something(getattr(item, "callspec", None))]


def adds_something(callspec):
    values = callspec.params if callspec else {}
    name = values.get("algorithm", values.get("network_algorithm"))
    of = "problem" if "problem" in values else "shared_problem"
    if not isinstance(name, str) or of not in values or name in EVERY_KIND:
        return True
    kinds = FEW_KINDS[of]
    return values[of] in (kinds[:1] if name in PRESETS else kinds)


@pytest.fixture
def regression():
    return make_problem("regression")


@pytest.fixture
def multiclass():
    return make_problem("multiclass")


@pytest.fixture
def own_labels():
    return make_problem("own labels")


@pytest.fixture
def task_frame(regression):
    """The regression rows as a dataframe with the task ids and targets as columns."""
    X, y, groups = regression.rows
    return pd.DataFrame(X, columns=["a", "b", "c"]).assign(store=groups, y=y)


@pytest.fixture
def figures():
    """Pictures without a screen, closed after the test."""
    import matplotlib
    import matplotlib.pyplot as plt

    matplotlib.use("agg")
    plt.close("all")
    yield plt
    plt.close("all")
