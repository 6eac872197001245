"""Checks of an algorithm as an estimator, and in a MetaLearner."""

import inspect
import pickle
import warnings

import numpy as np
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

from .._compat import validate_parameter_constraints
from .._meta_learner import MetaLearner
from ..algorithms import MetaAlgorithm
from ..network import LOSSES
from ._cases import make_estimator, make_tasks
from ._compare import assert_entries_close


def check_estimator_interface(algorithm):
    """It is a scikit-learn estimator with keyword parameters, all of which are constrained."""
    assert isinstance(algorithm, MetaAlgorithm), "it is no subclass of MetaAlgorithm"
    name, parameters = type(algorithm).__name__, algorithm.get_params()
    for copy, how in ((clone(algorithm), "cloned"), (pickled(algorithm), "pickled")):
        assert type(copy) is type(algorithm), f"{how}, it is a {type(copy).__name__}"
        found = copy.get_params()
        assert found == parameters, f"{how}, its parameters are {found}, not {parameters}"
    for parameter in inspect.signature(type(algorithm).__init__).parameters.values():
        if parameter.name in parameters:
            assert parameter.kind is parameter.KEYWORD_ONLY, (
                f"parameter {parameter.name} of {name} is not keyword-only"
            )
    constraints = set(algorithm._parameter_constraints)
    assert constraints == set(parameters), (
        f"_parameter_constraints are of {sorted(constraints)}, the parameters are "
        f"{sorted(parameters)}"
    )
    validate_parameter_constraints(algorithm._parameter_constraints, parameters, name)


def pickled(algorithm):
    return pickle.loads(pickle.dumps(algorithm))


def check_losses(algorithm, case):
    """What cannot learn with a loss says so in `losses`, and raises in `init_params`."""
    unknown = set(algorithm.losses) - set(LOSSES)
    assert not unknown, f"losses has {sorted(unknown)}; there are {sorted(LOSSES)}"
    if case.loss in algorithm.losses:
        return
    try:
        algorithm.init_params(case.network, np.random.RandomState(0), np.float64)
    except ValueError:
        return
    raise AssertionError(f"losses has no {case.loss!r}, but init_params raises no ValueError")


def check_initial_weights(algorithm, case):
    """The network's weights come first, as the network draws them, or 0 where they are held."""
    network = case.network
    for dtype in (np.float32, np.float64):
        params, again = (
            algorithm.init_params(network, np.random.RandomState(3), dtype) for _ in range(2)
        )
        assert np.array_equal(params.vector, again.vector), (
            "init_params draws other numbers from the same random_state"
        )
        names = list(params.layout.shapes)[: 2 * len(network.names)]
        assert names == list(network.layout.shapes), (
            f"the first arrays are {names}, not the network's {list(network.layout.shapes)}"
        )
        assert params.vector.dtype == dtype, f"asked for {dtype}, found {params.vector.dtype}"
        found = params.vector[: network.layout.size]
        expected = network.init_vector(np.random.RandomState(3), dtype) * (found != 0)
        assert np.array_equal(found, expected), (
            "the network's weights are not those that network.init_vector draws first"
        )


def check_export(algorithm, case):
    """An exported task predicts what the meta-learner predicts of it, to 7 digits."""
    tasks = make_tasks(case)
    meta = MetaLearner(make_estimator(case), algorithm, max_iter=2, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # two meta-steps are few
        meta.fit(tasks[1:])
    X, y = tasks[0]
    meta.fit_adapt(X[:6], y[:6])
    task = meta.adapt(X[:6], y[:6])
    what, other = "what adapt(X, y) predicts", "what fit_adapt(X, y) does"
    if not case.is_classifier:
        assert_entries_close(task.predict(X), meta.predict(X), 1e-7, 1e-9, what, other)
        return
    found, expected = task.predict_proba(X), meta.predict_proba(X)
    assert_entries_close(found, expected, 1e-6, 1e-9, what, other)
    assert np.array_equal(task.predict(X), meta.predict(X)), f"{what} is not {other}"
