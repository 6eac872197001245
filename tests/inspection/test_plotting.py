import subprocess
import sys

import numpy as np
import pytest
from conftest import make_problem
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import Ridge

from sklearn_meta.inspection import (
    AdaptationDisplay,
    CalibrationDisplay,
    TaskMapDisplay,
    TrainingDisplay,
    explain_task,
    task_map,
)
from sklearn_meta.inspection._plotting import merged, several_axes

CALLS = {
    "AdaptationDisplay": lambda meta, tasks: AdaptationDisplay.from_estimator(
        meta, *tasks[0], feature=0
    ),
    "CalibrationDisplay": lambda meta, tasks: CalibrationDisplay.from_estimator(meta, tasks),
    "TaskMapDisplay": lambda meta, tasks: TaskMapDisplay.from_estimator(meta, tasks),
    "TrainingDisplay": lambda meta, tasks: TrainingDisplay.from_estimator(meta),
    "explain_task": lambda meta, tasks: explain_task(meta, tasks[0][0], task="t00"),
    "task_map": lambda meta, tasks: task_map(meta, tasks),
}
every_call = pytest.mark.parametrize("name", CALLS)
every_display = pytest.mark.parametrize("name", [name for name in CALLS if "Display" in name])


@every_call
def test_not_fitted(name, regression, figures):
    with pytest.raises(NotFittedError, match="MetaLearner"):
        CALLS[name](regression.meta(), regression.tasks)
    assert not figures.get_fignums()


@every_call
def test_another_estimator(name, regression):
    with pytest.raises(TypeError, match="takes a fitted MetaLearner, got Ridge"):
        CALLS[name](Ridge(), regression.tasks)


@every_display
def test_without_matplotlib_the_extra_is_named(name, regression, monkeypatch):
    meta = regression.meta(max_iter=2).fit(regression.tasks)
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=rf'{name}.*pip install "sklearn_meta\[plot\]"'):
        CALLS[name](meta, regression.tasks)


@every_call
@pytest.mark.parametrize("kind", ["regression", "multiclass"])
def test_the_meta_learner_stays_as_it_is(name, kind, figures):
    problem = make_problem(kind)
    meta = problem.meta(max_iter=2, handle_unknown="error").fit(problem.tasks)
    meta.fit_adapt(*problem.new)
    before, served = dict(vars(meta)), meta._served
    predicted = meta.predict(problem.new[0])
    if kind == "multiclass" and name in ("AdaptationDisplay", "explain_task"):
        with pytest.raises(ValueError, match="target=None; expected one of the classes"):
            CALLS[name](meta, problem.tasks)
    else:
        CALLS[name](meta, problem.tasks)
    assert vars(meta).keys() == before.keys()
    assert all(value is before[key] for key, value in vars(meta).items())
    assert meta._served is served
    np.testing.assert_array_equal(meta.predict(problem.new[0]), predicted)


@every_call
def test_classes_of_their_own(name, own_labels, figures):
    meta = own_labels.meta(max_iter=2).fit(own_labels.tasks)
    if name in ("CalibrationDisplay", "TrainingDisplay"):
        CALLS[name](meta, own_labels.tasks)
    else:
        with pytest.raises(ValueError, match="each task has classes of its own"):
            CALLS[name](meta, own_labels.tasks)


def test_axes_that_are_none(figures):
    with pytest.raises(ValueError, match="ax must be 2 matplotlib Axes here"):
        several_axes("plot", figures.gca(), 2)


def test_keywords_that_are_none():
    assert merged({"a": 1, "b": 2}, {"b": 3}, "line_kw") == {"a": 1, "b": 3}
    with pytest.raises(ValueError, match="line_kw must be a dict of keywords or None, got 'red'"):
        merged({}, "red", "line_kw")


def test_matplotlib_is_not_imported_before_it_is_needed():
    code = "import sys, sklearn_meta.inspection; print('matplotlib' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"
