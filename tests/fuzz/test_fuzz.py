"""Calls with one or two hostile arguments: an error that helps, or an answer that holds.

Each call starts from a valid one. Whatever was handed over: only documented errors come out, their
messages short and naming the culprit; arguments stay as they were; a model that an error came
out of predicts as before, no number that is not finite is predicted, NumPy does not warn.

A violation prints the call, ``run("predict", 0, X="a NaN")``; run it from this folder by
``python -c 'from test_fuzz import *; run("predict", 0, X="a NaN")'``.
"""

import copy
import pickle
import re
import warnings
from collections.abc import Iterator
from functools import cache

import numpy as np
import pytest
from calls import CALLS, ROWS, X, arguments_of
from hostile import SAME
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sklearn.exceptions import NotFittedError
from sklearn.utils._param_validation import InvalidParameterError
from sklearn.utils.validation import check_is_fitted

from sklearn_meta import MetaLearner, TaskCollection

EXAMPLES = 65  # of each call
LONGEST = 1000  # of a message
ERRORS = {ValueError, TypeError, NotFittedError, InvalidParameterError}
BEYOND_REASON = {"huge", "1e160", "denormal", "a 1e300", "large", "tiny", "2**70", "a 2**70"}
# of scikit-learn, which do not name the argument, yet tell what to do
GOOD_ENOUGH = [
    "Expected 2D array, got",  # shows the array, and how to reshape it
    r"Found array with (dim \d|0 sample|0 feature)",  # only X is to have two dimensions
    "Complex data not supported",  # shows the data
    "Unknown label type",  # of y, a classifier's only
    "y should be a 1d array",
    "diverged",  # names the task, or the meta-step, and what to do about it
]


def run(name, seed=0, **hostile):
    """One call, and everything that must hold of it."""
    call, values = CALLS[name], arguments_of(name, seed, hostile)
    before = _frozen(values)
    model = None if call.model is None else copy.copy(_model(call.model))
    state = None if model is None else dict(vars(model))
    on = {} if model is None else {"model": model}
    result, error, seen = _outcome(lambda: call.function(**on, **values))
    if before is not None:
        assert _frozen(values) == before, "an argument was changed"
    if error is not None:
        _check_error(error, call, hostile)
    else:
        _check_answer(name, result, call, hostile)
    if model is not None and (error is not None or not call.trains):
        changed = {k for k, v in vars(model).items() if state.get(k) is not v}
        assert changed <= set(model.get_params(deep=False)), f"changed: {changed}"
        vars(model).update(state)
        assert np.array_equal(_behaviour(model), _reference(call.model)), "it predicts otherwise"
    _check_warnings(seen, error, hostile)


@cache
def _model(make):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return make()


def _outcome(function):
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        try:
            return function(), None, seen
        except Exception as error:
            return None, error, seen


def _frozen(values):
    """What tells whether values change; None of what cannot be told."""
    try:
        return pickle.dumps({k: v for k, v in values.items() if not isinstance(v, Iterator)})
    except Exception:
        return None


def _check_error(error, call, hostile):
    message = str(error)
    shown = f"{type(error).__name__}: {message[:1500]}"
    assert type(error) in ERRORS | call.errors, f"undocumented {shown}"
    assert 0 < len(message) <= LONGEST, f"{len(message)} characters: {shown}"
    assert not set(hostile.values()) <= SAME, f"valid, yet {shown}"
    words = "|".join(call.arguments[key].words for key in hostile)
    assert re.search(rf"\b({words})\b", message) or any(
        re.search(pattern, message) for pattern in GOOD_ENOUGH
    ), f"names none of {words}: {shown}"


def _check_answer(name, result, call, hostile):
    wrong = [k for k, kind in hostile.items() if kind in call.arguments[k].wrong]
    if len(wrong) == 2 and set(hostile.values()) < {"a row less", "a row more"}:
        wrong = []  # of both
    assert not wrong, f"{wrong[0]} was accepted: {result!r:.200}"
    if isinstance(result, MetaLearner):
        _predicts(result)
    for values in result if isinstance(result, tuple) else [result]:
        if isinstance(values, np.ndarray) and values.dtype.kind == "f" and "log" not in name:
            assert np.isfinite(values).all(), f"not finite: {values}"
    if set(hostile.values()) <= SAME:
        expected = _outcome_of_valid(name)
        assert _alike(_summary(result), expected), f"{_summary(result)} is not {expected}"


def _check_warnings(seen, error, hostile):
    reasonable = not BEYOND_REASON & set(hostile.values())
    for warning in seen:
        text = f"{warning.category.__name__}: {warning.message}"
        allowed = issubclass(warning.category, UserWarning) or (
            error is not None and not reasonable
        )
        assert allowed, f"leaked {text} ({warning.filename}:{warning.lineno})"
        assert len(str(warning.message)) <= LONGEST, f"long warning {text}"


def _behaviour(model):
    """What a fitted model predicts, of rows without a task."""
    meta = getattr(model, "meta_learner_", model)
    check_is_fitted(meta)
    meta = getattr(meta, "best_estimator_", meta)
    rows = X if getattr(meta, "task_feature", None) is None else ROWS
    tasks = meta._served.known if hasattr(meta, "_served") else None
    if tasks is not None and rows is X:
        return meta.predict(rows, np.resize(tasks.ids, len(rows)))
    return meta.predict(rows)


def _predicts(model):
    """It predicts finite numbers of rows like those it was trained on, or says why not."""
    if model.n_features_in_ != (2 if model.task_feature is None else 3):
        return
    _, error, _ = _outcome(lambda: _behaviour(model))
    assert error is None or type(error) in ERRORS, f"then {type(error).__name__}: {error}"


@cache
def _reference(model):
    return _behaviour(_model(model))


def _summary(result):
    """Arrays that tell what came out."""
    if isinstance(result, TaskCollection):
        return [np.asarray(result.X), result.y, result.groups]
    if isinstance(result, list | tuple):
        return [array for part in result for array in _summary(part)]
    if hasattr(result, "predict"):
        return [_behaviour(result) if hasattr(result, "_served") else result.predict(X)]
    return [np.asarray(result)]


@cache
def _outcome_of_valid(name):
    call, values = CALLS[name], arguments_of(name, 0, {})
    on = {} if call.model is None else {"model": copy.copy(_model(call.model))}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _summary(call.function(**on, **values))


def _alike(found, expected):
    """The same up to rounding, whose order depends on the order in memory."""
    for a, b in zip(found, expected, strict=True):
        if a.dtype.kind == "f":
            np.testing.assert_allclose(a, b, rtol=1e-8)
        elif not np.array_equal(a, b):
            return False
    return True


def hostile_arguments(name):
    """One or two arguments of the call, and of what kind they are."""
    kinds = {key: st.sampled_from(sorted(a.kinds)) for key, a in CALLS[name].arguments.items()}
    keys = st.lists(st.sampled_from(sorted(kinds)), min_size=1, max_size=2, unique=True)
    return keys.flatmap(lambda chosen: st.fixed_dictionaries({k: kinds[k] for k in chosen}))


@pytest.mark.parametrize("name", CALLS)
def test_hostile_arguments(name):
    calls = []

    @settings(
        derandomize=True,
        database=None,
        deadline=None,
        max_examples=EXAMPLES,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(hostile_arguments(name), st.integers(0, 3))
    def check(hostile, seed):
        calls.append(hostile)
        try:
            run(name, seed, **hostile)
        except AssertionError as error:
            asked = ", ".join(f"{key}={kind!r}" for key, kind in hostile.items())
            raise AssertionError(f"run({name!r}, {seed}, {asked}): {error}") from error

    check()
    assert len(calls) >= EXAMPLES


def test_there_are_enough_calls():
    assert EXAMPLES * len(CALLS) >= 5000


def test_valid_calls():
    """Which the hostile ones are made from."""
    for name in CALLS:
        assert _outcome_of_valid(name) is not None
