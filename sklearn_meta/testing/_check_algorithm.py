"""`check_algorithm`: whether an algorithm keeps the contract of `MetaAlgorithm`."""

import copy
from functools import partial
from itertools import product

import numpy as np

from .._messages import shown
from ..algorithms import MetaAlgorithm
from . import _estimator_checks as of_estimator
from . import _gradient_checks as of_gradient
from . import _task_checks as of_tasks
from ._cases import TARGETS, Case

SHARED = [Case(targets) for targets in TARGETS]
OWN = [Case("binary", own_classes=True), Case("softmax", own_classes=True)]
EVERY = [*SHARED, *OWN]
OTHER_NETWORKS = [
    Case(*targets, hidden=hidden, activation=activation)
    for targets, activation, hidden in product(
        [("two_outputs", False), ("softmax", False), ("softmax", True)],
        ["identity", "relu", "logistic"],
        [(), (5,)],
    )
]
CHECKS = [  # in this order, and the cases that each is run on
    (of_estimator.check_losses, SHARED),
    (of_estimator.check_initial_weights, EVERY),
    (of_gradient.check_meta_gradient, EVERY + OTHER_NETWORKS),
    (of_gradient.check_at_step, EVERY),
    (of_gradient.check_padded_meta_gradient, EVERY),
    (of_gradient.check_padding_in_meta_gradient, EVERY),
    (of_gradient.check_order_of_tasks, EVERY),
    (of_gradient.check_order_of_rows_in_meta_gradient, EVERY),
    (of_tasks.check_padded_learn, EVERY),
    (of_tasks.check_padding_in_learn, EVERY),
    (of_tasks.check_row_weights, EVERY),
    (of_tasks.check_order_of_rows_in_learn, EVERY),
    (of_tasks.check_no_support_rows, EVERY),
    (of_tasks.check_absent_classes, OWN[1:]),
    (of_tasks.check_inputs_are_left, EVERY),
    (of_tasks.check_std, EVERY),
    (of_tasks.check_jointly, EVERY),
    (of_tasks.check_dtype, EVERY),
    (of_tasks.check_numpy_parameters, EVERY),
    (of_tasks.check_adapted_tasks, EVERY),
    (of_tasks.check_diverged_tasks, EVERY),
    (of_tasks.check_pickle, EVERY),
    (of_estimator.check_export, EVERY),
]


def check_algorithm(algorithm, classifier=None, generate_only=False):
    """Check that an algorithm keeps the contract of `MetaAlgorithm`.

    Its meta-gradient against central differences, its padded batches against a loop over tasks,
    its export against its predictions, and more, over losses, depths, activations, and labels
    that tasks share or have of their own. All is small, and drawn with fixed seeds. What the
    algorithm cannot do by its nature is left out: a loss that is not among its `losses`, and
    networks without a hidden layer, if `init_params` raises a ValueError for them.

    A meta-gradient that is an approximation says so by ``exact_gradient = False``, and is
    compared with the algorithm's own ``gradient_definition(network, params, support, query)``.

    Parameters
    ----------
    algorithm : MetaAlgorithm
        An instance: it is checked with these hyper-parameters, and not modified. A fault shows
        best where learning goes far, as with ``inner_lr=0.1``; few parameters of its own make
        the checks fast.
    classifier : bool or None, default=None
        True: classification only; False: regression only; None: both.
    generate_only : bool, default=False
        Yield the checks without running them.

    Yields
    ------
    name : str
    check : callable
        Without arguments. Only with `generate_only`.

    Raises
    ------
    TypeError
        If it is given a class.
    ValueError
        If the algorithm has no loss of the kind that `classifier` asks for.
    AssertionError
        By the first check that fails. It names the algorithm, the check and the case, and says
        by how much it is off.

    See Also
    --------
    sklearn.utils.estimator_checks.check_estimator : The like for estimators. A MetaLearner with
        the algorithm passes it.

    Examples
    --------
    >>> from sklearn_meta.algorithms import Prototypes
    >>> from sklearn_meta.testing import check_algorithm
    >>> check_algorithm(Prototypes())

    As tests of their own, by pytest:

    >>> import pytest
    >>> checks = dict(check_algorithm(Prototypes(), generate_only=True))
    >>> @pytest.mark.parametrize("check", checks.values(), ids=checks)
    ... def test_prototypes(check):
    ...     check()
    """
    if isinstance(algorithm, type):
        raise TypeError(
            "algorithm is a class: check_algorithm takes an instance, got the class "
            f"{algorithm.__name__}"
        )
    if not isinstance(algorithm, MetaAlgorithm):
        raise TypeError(f"algorithm must be a MetaAlgorithm, got {shown(algorithm)}")
    if classifier is not None and not isinstance(classifier, bool | np.bool_):
        raise ValueError(f"classifier must be True, False or None, got {shown(classifier)}")
    kinds = {"log_loss" in loss for loss in algorithm.losses}
    if classifier is not None and classifier not in kinds:
        kind = "classification" if classifier else "regression"
        raise ValueError(f"{algorithm} has no loss of {kind}; its losses are {algorithm.losses}")
    checks = _checks(algorithm, classifier)
    if generate_only:
        return checks
    for _, check in checks:
        check()
    return None


def _checks(algorithm, classifier):
    """Names, and checks that take nothing."""
    interface = of_estimator.check_estimator_interface
    yield _name(interface), partial(_run, interface, algorithm)
    for check, cases in CHECKS:
        for case in cases:
            asked = classifier is None or classifier == case.is_classifier
            if asked and (check is of_estimator.check_losses or _can_learn(algorithm, case)):
                yield f"{_name(check)}[{case.name}]", partial(_run, check, algorithm, case)


def _name(check):
    return check.__name__.removeprefix("check_")


def _can_learn(algorithm, case):
    """Whether the algorithm, by its nature, learns with such a network."""
    if case.loss not in algorithm.losses:
        return False
    if case.hidden:
        return True
    try:
        algorithm.init_params(case.network, np.random.RandomState(0), np.float64)
    except ValueError:
        return False
    return True


def _run(check, algorithm, *case):
    """Run a check, on a copy of the algorithm; whatever goes wrong names all three."""
    try:
        check(copy.deepcopy(algorithm), *case)
    except Exception as error:
        where = "".join(f", {of_case}" for of_case in case)
        what = str(error)
        if not isinstance(error, AssertionError):
            what = f"{type(error).__name__} was raised: {error}"
        raise AssertionError(f"{algorithm}, check {_name(check)}{where}:\n{what}") from error
