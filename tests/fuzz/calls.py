"""Valid calls of every public function, argument by argument, on tiny data."""

import copy
import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial

import numpy as np
import pandas as pd
from hostile import ANYTHING, ARRAYS, NOT_ARRAYS, NOT_IDS, NOT_NUMBERS
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import sklearn_meta
from sklearn_meta import MetaLearner, TaskCollection
from sklearn_meta._compat import threadpool_controller
from sklearn_meta.algorithms import ALGORITHMS
from sklearn_meta.datasets import Sinusoids
from sklearn_meta.tasks import NWayKShot, pseudo_tasks
from sklearn_meta.testing import check_algorithm

_RANDOM = np.random.RandomState(0)
X = _RANDOM.normal(size=(24, 2))
GROUPS = np.repeat(["a", "b", "c", "d"], 6)
LABELS = np.tile([0, 1, 2], 8)
Y = 3 + X[:, 0] + 0.1 * LABELS
OWN = LABELS % 2 + 10 * np.repeat([0, 1, 2, 3], 6)  # each task has two classes of its own
WEIGHT = 0.5 + np.arange(24) % 2
ROWS = np.column_stack([X[:, 0].astype(object), GROUPS, X[:, 1]])  # with a column of task ids
TABLE = pd.DataFrame({"p": X[:, 0], "store": GROUPS, "q": X[:, 1], "y": Y, "marked": LABELS == 0})
PAIRS = [(X[:6], Y[:6]), (X[6:12], Y[6:12]), (X[12:], Y[12:])]


@dataclass(frozen=True)
class Argument:
    """A valid value, what hostile ones there are, and which of these must be refused."""

    value: object
    kinds: dict
    wrong: frozenset = frozenset()
    words: str = ""  # by which a message may name it


@dataclass(frozen=True)
class Call:
    """A function of keyword arguments, on a copy of `model` if there is one."""

    function: Callable
    arguments: dict
    model: Callable | None = None
    trains: bool = False
    errors: frozenset = frozenset()  # that it may raise beside the usual ones


def array(value, wrong, words):
    wrong = frozenset(wrong) if value is not None else frozenset()
    return Argument(value, ANYTHING | ARRAYS, wrong, words)


FEATURES = r"X|Input X|columns?|features?|rows?|arrays?|prediction"
TARGETS = r"y|Input y|targets?|classe?s?|labels?|rows?"
IDS = r"groups|tasks?|ids?|task_ids"


def rows(X=X, y=Y, groups=GROUPS, labels=False):
    return {
        "X": array(X, NOT_NUMBERS | {"None"}, FEATURES),
        "y": array(y, (NOT_IDS if labels else NOT_NUMBERS) | {"None"}, TARGETS),
        "groups": array(groups, NOT_IDS, IDS),
    }


def tables(y=Y):
    """Rows of whatever a Pipeline takes, and targets of whatever kind."""
    return rows(y=y) | {
        "X": array(X, NOT_ARRAYS | {"None", "masked"}, FEATURES),
        "y": array(y, NOT_ARRAYS - {"of dicts"} | {"None", "masked"}, TARGETS),
    }


def with_steps():
    """Steps before the network may make numbers of dates."""
    wrong = {kind for kind in NOT_NUMBERS | {"None"} if not re.search("date|duration|NaT", kind)}
    return rows() | {"X": array(X, wrong, FEATURES)}


def queries(groups=None):
    """Rows to predict, of which there may be any number where no groups are."""
    wrong = NOT_NUMBERS | {"None"}
    wrong = wrong if groups is not None else wrong - {"a row less", "a row more"}
    return only(rows(groups=groups), "groups") | {"X": array(X, wrong, FEATURES)}


def weight(n_rows=24):
    wrong = NOT_NUMBERS - {"a fraction", "a structured array"}  # one weight for all
    return {"sample_weight": array(WEIGHT[:n_rows], wrong, "sample_weight|[Ss]ample weights?")}


def only(arguments, *names):
    return {name: arguments[name] for name in names}


def parameters(defaults, skip=()):
    """What may be any value; `skip` says which numbers would take ages."""
    kinds = {name: {k: f for k, f in ANYTHING.items() if k != "2**70"} for name in skip}
    return {
        name: Argument(value, kinds.get(name, ANYTHING), words=name)
        for name, value in defaults.items()
    }


def switch(name="return_std"):
    return parameters({name: False})


DRAWN = parameters({"n_samples": 2, "random_state": 0, "noise": True}, skip=["n_samples"])


@cache
def fitted(kind, algorithm="bayesian_head", **options):
    """A small fitted model."""
    options = {"max_iter": 1, "random_state": 0, "handle_unknown": "prior"} | options
    regressor, classifier = (
        MLPRegressor(hidden_layer_sizes=(3,)),
        MLPClassifier(hidden_layer_sizes=(3,)),
    )
    if kind == "regression":
        return MetaLearner(regressor, algorithm, **options).fit(X, Y, GROUPS)
    if kind == "classes":
        return MetaLearner(classifier, algorithm, **options).fit(X, LABELS, GROUPS)
    if kind == "own classes":
        meta = MetaLearner(classifier, algorithm, shared_labels=False, **options)
        return meta.fit(X, OWN, GROUPS)
    if kind == "poisson":
        mlp = MLPRegressor(hidden_layer_sizes=(3,), loss="poisson")
        return MetaLearner(mlp, algorithm, **options).fit(X, np.abs(Y), GROUPS)
    if kind == "pipeline":
        mlp = make_pipeline(StandardScaler(), regressor)
        return MetaLearner(mlp, algorithm, **options).fit(X, Y, GROUPS)
    if kind == "task column":
        return MetaLearner(regressor, algorithm, task_feature=1, **options).fit(ROWS, Y)
    if kind == "float32":
        return MetaLearner(regressor, algorithm, **options).fit(X.astype("f4"), Y, GROUPS)
    raise ValueError(kind)


@cache
def learner(kind):
    n = slice(0, 9)
    return fitted(kind).learner_.fit(X[n], Y[n] if kind == "regression" else LABELS[n])


@cache
def fitted_pipeline():
    meta = MetaLearner(
        MLPRegressor(hidden_layer_sizes=(3,)), max_iter=1, random_state=0, handle_unknown="prior"
    )
    return make_pipeline(StandardScaler(), meta).fit(X, Y, metalearner__groups=GROUPS)


@cache
def fitted_search():
    meta = MetaLearner(
        MLPRegressor(hidden_layer_sizes=(3,)), max_iter=1, random_state=0, handle_unknown="prior"
    )
    return GridSearchCV(meta, {"n_shots": [1, 2]}, cv=2).fit(X, Y, groups=GROUPS)


def method(name):
    return lambda model, **arguments: getattr(model, name)(**arguments)


def fit_with(**options):
    """The parameters are hostile, the data are not."""
    return MetaLearner(**options).fit(X, Y, GROUPS)


def fit_network(**options):
    return MetaLearner(MLPRegressor(**options), max_iter=1).fit(X, Y, GROUPS)


def set_all(model, options):
    """As `set_params` does, which looks for parameters of parameters first."""
    for name, value in options.items():
        setattr(model, name, value)
    return model


def predict_with(model, **options):
    """Parameters that are set after `fit` are of no effect on what was fitted."""
    return set_all(model, options).predict(X, GROUPS)


def adapt_both_ways(model, **support):
    """The exported estimator is scikit-learn's: what it predicts of wild numbers is its own."""
    adapted = model.adapt(**support)
    model = copy.copy(model).fit_adapt(**support)
    assert np.isfinite(model.predict(X)).all()
    return adapted


def fit_algorithm(cls, **options):
    kind = MLPRegressor if "squared_error" in cls.losses else MLPClassifier
    y = Y if kind is MLPRegressor else LABELS
    return MetaLearner(
        kind(hidden_layer_sizes=(3,)), cls(**options), max_iter=1, random_state=0
    ).fit(X, y, GROUPS)


def first_partial_fit(**arguments):
    mlp = MLPClassifier(hidden_layer_sizes=(3,))
    return MetaLearner(mlp, random_state=0, handle_unknown="prior").partial_fit(**arguments)


def index(key):
    return TaskCollection.from_arrays(X, Y, GROUPS)[key]


def draw(cls, n_tasks=2, random_state=0, fraction=0.5, **options):
    """Everything that a distribution does."""
    distribution = cls(**options)
    parts = distribution.split(fraction, random_state)
    repr(distribution)
    return [part.sample(n_tasks, random_state) for part in parts or [distribution]]


def draw_pseudo(n_tasks=2, fraction=0.5, **options):
    with threadpool_controller().limit(limits=1):  # threads that wait for each other take seconds
        distribution = pseudo_tasks(**options)
        distribution.split(fraction, random_state=0)
    return distribution.sample(n_tasks, random_state=0)


def defaults(function, **values):
    """Names and default values of a function's parameters."""
    found = inspect.signature(function).parameters.values()
    return {p.name: values.get(p.name, p.default) for p in found}


SLOW = (
    "max_iter", "inner_steps", "adapt_steps", "cg_steps", "n_jobs", "n_context", "n_partitions",
    "n_jobs",
)  # fmt: skip
MODEL = defaults(
    MetaLearner, estimator=MLPRegressor(hidden_layer_sizes=(3,)), max_iter=1, random_state=0
)
NETWORK = {
    "hidden_layer_sizes": (3,),
    "activation": "relu",
    "loss": "squared_error",
    "alpha": 1e-4,
    "max_iter": 200,
}
COLLECTION = {
    "is_support": array(LABELS == 0, NOT_ARRAYS | {"texts", "dates", "a NaN"}, "is_support"),
    "shared_labels": Argument(True, ANYTHING, words="shared_labels"),
}
SHAPE = {"n_way": 2, "n_shots": 1, "n_query": 1}
NEW = rows(X[:9], Y[:9], None)
NEW_CLASSES = rows(X[:9], LABELS[:9], None, labels=True)
CALLS = {
    "MetaLearner, every parameter": Call(fit_with, parameters(MODEL, SLOW)),
    "MetaLearner, the network's parameters": Call(fit_network, parameters(NETWORK)),
    "MetaLearner, parameters set after fit": Call(
        predict_with, parameters(MODEL, SLOW), lambda: fitted("regression"), trains=True
    ),
    "parameters set after fit, task column": Call(
        lambda model, **options: set_all(model, options).predict(ROWS),
        parameters(MODEL | {"task_feature": 1}, SLOW),
        lambda: fitted("task column"),
        trains=True,
    ),
    "fit": Call(method("fit"), rows(), lambda: fitted("regression"), trains=True),
    "fit, classes": Call(
        method("fit"), rows(y=LABELS, labels=True), lambda: fitted("classes"), trains=True
    ),
    "fit, own classes": Call(
        method("fit"), rows(y=OWN, labels=True), lambda: fitted("own classes"), trains=True
    ),
    "fit, poisson": Call(method("fit"), rows(y=np.abs(Y)), lambda: fitted("poisson"), trains=True),
    "fit, pipeline": Call(method("fit"), with_steps(), lambda: fitted("pipeline"), trains=True),
    "fit, warm start": Call(
        method("fit"), rows(), lambda: fitted("regression", warm_start=True), trains=True
    ),
    "fit, task column": Call(
        method("fit"),
        only(rows(), "y") | {"X": array(ROWS, (), FEATURES + "|groups|task_feature")},
        lambda: fitted("task column"),
        trains=True,
    ),
    "fit, tasks": Call(
        method("fit"),
        {"X": Argument(PAIRS, ANYTHING, words=f"{FEATURES}|{TARGETS}|{IDS}")},
        lambda: fitted("regression"),
        trains=True,
    ),
    "partial_fit": Call(method("partial_fit"), rows(), lambda: fitted("regression"), trains=True),
    "partial_fit, classes": Call(
        method("partial_fit"),
        rows(y=LABELS, labels=True) | {"classes": array([0, 1, 2], (), "classes|y")},
        lambda: fitted("classes"),
        trains=True,
    ),
    "first partial_fit, classes": Call(
        first_partial_fit,
        rows(y=LABELS, labels=True) | {"classes": array([0, 1, 2], (), "classes|y")},
    ),
    "fit_adapt": Call(
        method("fit_adapt"), rows() | weight(), lambda: fitted("regression"), trains=True
    ),
    "fit_adapt, poisson": Call(
        method("fit_adapt"), rows(y=np.abs(Y)), lambda: fitted("poisson"), trains=True
    ),
    "fit_adapt, classes": Call(
        method("fit_adapt"),
        rows(y=LABELS, labels=True) | weight(),
        lambda: fitted("classes"),
        trains=True,
    ),
    "fit_adapt, own classes": Call(
        method("fit_adapt"), rows(y=OWN, labels=True), lambda: fitted("own classes"), trains=True
    ),
    "fit_adapt, task column": Call(
        method("fit_adapt"),
        only(rows(), "y") | {"X": array(ROWS, (), FEATURES + "|groups|task_feature")},
        lambda: fitted("task column"),
        trains=True,
    ),
    "adapt": Call(method("adapt"), only(NEW, "X", "y") | weight(9), lambda: fitted("regression")),
    "adapt, maml in float32": Call(
        method("adapt"), only(NEW, "X", "y"), lambda: fitted("float32", "maml")
    ),
    "predict": Call(
        method("predict"), only(rows(), "X", "groups") | switch(), lambda: fitted("regression")
    ),
    "predict, covariance": Call(
        method("predict"), only(queries(), "X") | switch("return_cov"), lambda: fitted("regression")
    ),
    "sample_y": Call(
        method("sample_y"), only(rows(), "X", "groups") | DRAWN, lambda: fitted("regression")
    ),
    "sample_y, classes": Call(
        method("sample_y"), only(rows(), "X", "groups") | DRAWN, lambda: fitted("classes")
    ),
    "score_samples": Call(method("score_samples"), rows(), lambda: fitted("regression")),
    "score_samples, classes": Call(
        method("score_samples"), rows(y=LABELS, labels=True), lambda: fitted("classes")
    ),
    "predict, pipeline": Call(
        method("predict"), only(with_steps(), "X", "groups"), lambda: fitted("pipeline")
    ),
    "predict, own classes": Call(
        method("predict"), only(rows(), "X", "groups"), lambda: fitted("own classes")
    ),
    "predict, task column": Call(
        method("predict"),
        {"X": array(ROWS, (), FEATURES + "|tasks?|task_feature")},
        lambda: fitted("task column"),
    ),
    "predict_proba": Call(
        method("predict_proba"), only(rows(), "X", "groups") | switch(), lambda: fitted("classes")
    ),
    "predict_log_proba": Call(
        method("predict_log_proba"), only(rows(), "X", "groups"), lambda: fitted("classes")
    ),
    "score": Call(method("score"), rows() | weight(), lambda: fitted("regression")),
    "score, classes": Call(
        method("score"), rows(y=LABELS, labels=True) | weight(), lambda: fitted("classes")
    ),
    "score, tasks": Call(
        method("score"),
        {"X": Argument(PAIRS, ANYTHING, words=f"{FEATURES}|{TARGETS}|{IDS}|classifier")},
        lambda: fitted("regression"),
    ),
    "sklearn_meta.adapt": Call(
        lambda model, **arguments: sklearn_meta.adapt(model, **arguments),
        rows() | weight(),
        lambda: fitted("regression"),
    ),
    "sklearn_meta.adapt, whatever": Call(
        sklearn_meta.adapt,
        parameters({"fitted": lambda: fitted("regression")}) | only(NEW, "X", "y"),
    ),
    "sklearn_meta.adapt, pipeline": Call(
        lambda model, **arguments: sklearn_meta.adapt(model, **arguments),
        with_steps() | weight(),
        fitted_pipeline,
    ),
    "sklearn_meta.adapt, search": Call(
        lambda model, **arguments: sklearn_meta.adapt(model, **arguments), rows(), fitted_search
    ),
    "learner_.fit": Call(
        method("fit"),
        only(NEW, "X", "y") | weight(9),
        lambda: learner("regression"),
        trains=True,
    ),
    "learner_.fit, classes": Call(
        method("fit"), only(NEW_CLASSES, "X", "y") | weight(9), lambda: learner("classes"), True
    ),
    "learner_, its parameters": Call(
        lambda model, **options: set_all(model, options).fit(X[:9], LABELS[:9]),
        {"classes": array([0, 1, 2], (), "class|classes")}
        | parameters({"estimator": lambda: fitted("classes")}),
        lambda: learner("classes"),
        trains=True,
    ),
    "learner_.predict": Call(
        method("predict"), only(queries(), "X") | switch(), lambda: learner("regression")
    ),
    "learner_.predict_proba": Call(
        method("predict_proba"), only(queries(), "X"), lambda: learner("classes")
    ),
    "learner_.score": Call(
        method("score"), only(rows(), "X", "y") | weight(), lambda: learner("regression")
    ),
    "TaskCollection": Call(
        TaskCollection,
        only(tables(), "X", "y")
        | {
            "offsets": array([0, 6, 12, 18, 24], NOT_ARRAYS | {"None"}, "offsets"),
            "task_ids": array(np.array([*"abcd"]), NOT_IDS | {"None"}, "task_ids|offsets"),
        }
        | COLLECTION,
    ),
    "TaskCollection.from_arrays": Call(TaskCollection.from_arrays, tables() | COLLECTION),
    "TaskCollection.from_frame": Call(
        TaskCollection.from_frame,
        {"df": Argument(TABLE, ANYTHING, words="df|dataframe")}
        | parameters({"task": "store", "target": "y"})
        | parameters({"features": ["p", "q"], "is_support": "marked", "shared_labels": True}),
    ),
    "TaskCollection.from_tasks": Call(
        TaskCollection.from_tasks,
        {
            "tasks": Argument(PAIRS, ANYTHING, words=f"tasks?|{FEATURES}|{TARGETS}"),
            "task_ids": array(np.array([*"abc"]), NOT_IDS, "task_ids"),
            "shared_labels": Argument(True, ANYTHING, words="shared_labels"),
        },
    ),
    "TaskCollection.from_tasks, X and y": Call(
        lambda X, y: TaskCollection.from_tasks([(X, y), (X, y)]), only(tables(), "X", "y")
    ),
    "TaskCollection[key]": Call(
        index, parameters({"key": [0, 1]}), errors=frozenset({IndexError})
    ),
    "NWayKShot": Call(
        partial(draw, NWayKShot),
        only(tables(), "X")
        | {"y": array(LABELS, (NOT_IDS | {"None"}) - {"complex"}, TARGETS)}
        | parameters(SHAPE | {"on_small": "error"})
        | parameters({"n_tasks": 2, "fraction": 0.5, "random_state": 0}, ["n_tasks"]),
    ),
    "pseudo_tasks": Call(
        draw_pseudo,
        {"X": array(X, NOT_ARRAYS - {"a row less", "a row more"}, FEATURES)}
        | parameters(SHAPE | {"n_partitions": 2, "n_clusters": 3}, SLOW)
        | parameters({"transformer": "passthrough"})
        | parameters({"clusterer": None, "random_state": 0, "n_tasks": 2}, ["n_tasks"]),
    ),
    "Sinusoids": Call(
        partial(draw, Sinusoids),
        parameters({"n_rows": 3, "frequency": (1.0, 2.0), "noise": 0.0}, ["n_rows"])
        | parameters({"n_tasks": 2, "random_state": 0, "fraction": 0.5}, ["n_tasks"]),
    ),
    "check_algorithm": Call(
        partial(check_algorithm, generate_only=True),
        parameters({"algorithm": ALGORITHMS["maml"](), "classifier": True}),
    ),
} | {
    f"{cls.__name__}": Call(partial(fit_algorithm, cls), parameters(defaults(cls), SLOW))
    for cls in ALGORITHMS.values()
    if defaults(cls)
} | {
    f"adapt, {algorithm}": Call(
        adapt_both_ways,
        only(NEW if kind == "regression" else NEW_CLASSES, "X", "y") | weight(9),
        partial(fitted, kind, algorithm),
    )
    for algorithm, cls in ALGORITHMS.items()
    for kind in ["regression" if "squared_error" in cls.losses else "classes"]
}  # fmt: skip


def arguments_of(name, seed, hostile):
    """The arguments of a call, those that `hostile` names replaced by such a kind."""
    call, random_state = CALLS[name], np.random.RandomState(seed)
    values = {key: _fresh(argument.value) for key, argument in call.arguments.items()}
    for key, kind in hostile.items():
        values[key] = call.arguments[key].kinds[kind](values[key], random_state)
    return values


def _fresh(value):
    return copy.copy(value()) if callable(value) else copy.deepcopy(value)
