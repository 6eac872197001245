"""scikit-learn's own callbacks, on the estimator, in a Pipeline, through a search."""

import threading

import numpy as np
import pytest
import sklearn
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_meta.datasets import Sinusoids

callback = pytest.importorskip("sklearn.callback", reason="callbacks came with scikit-learn 1.9")

FIT = {"max_iter": 20, "validation_interval": 5}  # 4 evaluations


class Recorder:
    """What it is told, in order."""

    def __init__(self, stop_after=None, fail_after=None):
        self.told, self.models, self.handed = [], [], []
        self.stop_after, self.fail_after = stop_after, fail_after

    def setup(self, estimator, context):
        self.told.append("setup")

    def teardown(self, estimator, context):
        self.told.append("teardown")

    def on_fit_task_begin(self, estimator, context):
        self.told.append(f"begin {context.task_name} {context.task_id}")

    def on_fit_task_end(self, estimator, context, *, X=None, y=None, fitted_estimator=None):
        self.told.append(f"end {context.task_name} {context.task_id}")
        self.handed.append((X, y))
        if fitted_estimator is None:
            return False
        self.models.append(fitted_estimator)
        if len(self.models) == self.fail_after:
            raise RuntimeError("the callback's own")
        return len(self.models) == self.stop_after


def evaluations(monitor):
    """What a scoring monitor has logged of them."""
    return [row for row in monitor.get_logs().data if row["task_name"] == "evaluation"]


def test_every_evaluation_is_a_task(regression):
    recorder, expected = Recorder(), regression.meta(**FIT).fit(regression.tasks)
    X, y, groups = regression.rows
    meta = regression.meta(**FIT).set_callbacks(recorder).fit(X, y, groups=groups)
    told = ["setup", "begin fit 0"]
    for number in range(4):
        told += [f"begin evaluation {number}", f"end evaluation {number}"]
    assert recorder.told == [*told, "end fit 0", "teardown"]
    for found_X, found_y in recorder.handed:
        assert found_X is X
        assert found_y is y
    assert meta.loss_curve_ == expected.loss_curve_
    assert not hasattr(meta, "_callback_fit_ctx")


def test_an_estimator_as_if_training_had_ended_there(regression):
    recorder = Recorder()
    meta = regression.meta(**FIT).set_callbacks(recorder).fit(regression.tasks)
    for number, model in enumerate(recorder.models, start=1):
        alone = regression.meta(**FIT | {"max_iter": 5 * number}).fit(regression.tasks)
        rows = regression.tasks.X, regression.tasks.groups
        np.testing.assert_array_equal(model.predict(*rows), alone.predict(*rows))
        assert model.n_iter_ == 5 * number
    assert meta.n_iter_ == 20


def test_a_callback_can_end_training(regression, capsys):
    recorder = Recorder(stop_after=2)
    meta = regression.meta(**FIT, verbose=True).set_callbacks(recorder).fit(regression.tasks)
    assert meta.n_iter_ == 10
    assert recorder.told[-2:] == ["end fit 0", "teardown"]
    assert "s: a callback called it off. Kept: meta-step" in capsys.readouterr().out


def test_whatever_goes_wrong_it_is_torn_down(regression):
    recorder = Recorder(fail_after=2)
    meta = regression.meta(**FIT).set_callbacks(recorder)
    before = set(vars(meta))
    with pytest.raises(RuntimeError, match="the callback's own"):
        meta.fit(regression.tasks)
    assert recorder.told[-1] == "teardown"
    assert set(vars(meta)) == before
    recorder.told.clear()
    with pytest.raises(ValueError, match="NaN"):
        meta.fit(regression.tasks.X * np.nan, regression.tasks.y)
    assert recorder.told == ["setup", "begin fit 0", "teardown"]


def test_a_progress_bar(regression, capsys):
    before = threading.enumerate()  # of joblib, where other tests have used processes
    regression.meta(**FIT).set_callbacks(callback.ProgressBar()).fit(regression.tasks)
    assert "MetaLearner - fit" in capsys.readouterr().out
    with pytest.raises(ValueError, match="NaN"):
        regression.meta(**FIT).set_callbacks(callback.ProgressBar()).fit(
            regression.tasks.X * np.nan, regression.tasks.y
        )
    for thread in threading.enumerate():
        # scikit-learn's own listens, one a bar, for as long as the process lasts
        if thread not in before and "_accept" not in thread.name:
            thread.join(20)  # what draws a bar ends once it has drawn the end
            assert not thread.is_alive()


@pytest.mark.parametrize("form", ["rows", "collection", "task_feature"])
@pytest.mark.parametrize("routing", [False, True])
def test_a_scoring_monitor(regression, task_frame, form, routing):
    """The scores of training rows, each predicted as of its task."""
    X, y, groups = regression.rows
    monitor = callback.ScoringMonitor(scoring=["r2", "neg_mean_absolute_error"])
    meta = regression.meta(**FIT).set_callbacks(monitor)
    if form == "task_feature":
        meta.set_params(task_feature="store")
        tasks = task_frame.drop(columns="y"), task_frame["y"]
    else:
        tasks = (X, y, groups) if form == "rows" else (regression.tasks,)
    with sklearn.config_context(enable_metadata_routing=routing):
        meta.fit(*tasks)
    logged = evaluations(monitor)
    assert len(logged) == 4
    kept, plain = logged[meta.best_iter_ // 5 - 1], regression.meta(**FIT).fit(X, y, groups)
    assert kept["r2"] == pytest.approx(plain.score(X, y, groups=groups), rel=1e-12)


def test_a_scoring_monitor_of_classes(multiclass):
    X, y, groups = multiclass.rows
    monitor = callback.ScoringMonitor(scoring=["accuracy", "neg_log_loss"])
    meta = multiclass.meta(**FIT).set_callbacks(monitor).fit(X, y, groups)
    kept = evaluations(monitor)[meta.best_iter_ // 5 - 1]
    assert kept["accuracy"] == pytest.approx(meta.score(X, y, groups=groups), rel=1e-12)
    expected = -log_loss(y, meta.predict_proba(X, groups))
    assert kept["neg_log_loss"] == pytest.approx(expected, rel=1e-12)


def test_a_scoring_monitor_of_a_distribution_has_no_rows_to_score(regression):
    monitor = callback.ScoringMonitor(scoring="r2")
    regression.meta(**FIT).set_callbacks(monitor).fit(Sinusoids(n_rows=8))
    assert len(monitor.get_logs().data) == 4


def test_through_a_search(task_frame, regression, capsys):
    """In two processes: each evaluation of each candidate and split, and of the refit."""
    X, y = task_frame.drop(columns="y"), task_frame["y"]
    monitor = callback.ScoringMonitor(scoring="r2")
    meta = regression.meta(**FIT, task_feature="store").set_callbacks(monitor)
    search = GridSearchCV(meta, {"n_shots": [2, 4]}, cv=GroupKFold(2), n_jobs=2)
    search.set_callbacks(callback.ProgressBar()).fit(X, y, groups=X["store"])
    assert len(evaluations(monitor)) == (4 + 1) * 4
    assert "GridSearchCV" in capsys.readouterr().out


def test_in_a_pipeline(regression, capsys):
    monitor = callback.ScoringMonitor(scoring="r2")
    meta = regression.meta(**FIT).set_callbacks(monitor)
    model = make_pipeline(StandardScaler(), meta).set_callbacks(callback.ProgressBar())
    with pytest.warns(UserWarning, match="all rows are of one task"):
        model.fit(regression.tasks.X, regression.tasks.y)
    assert len(evaluations(monitor)) == 4
    assert "MetaLearner" in capsys.readouterr().out


def test_callbacks_stay_with_a_clone_and_out_of_other_calls(regression):
    recorder = Recorder()
    meta = regression.meta(**FIT).set_callbacks(recorder).fit(regression.tasks)
    n_told = len(recorder.told)
    X, y = regression.new
    meta.fit_adapt(X, y).predict(X)
    meta.partial_fit(regression.tasks)
    assert len(recorder.told) == n_told
