"""Training that is killed goes on to the same bits; a file that will not do is not taken."""

import multiprocessing
import os
import pickle
import signal
import time
from functools import partial

import numpy as np
import pytest
from conftest import make_problem
from helpers import interrupted_fit
from numpy.testing import assert_array_equal
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from sklearn_meta.algorithms import ALGORITHMS
from sklearn_meta.datasets import Sinusoids
from sklearn_meta.training import Checkpoint
from sklearn_meta.training._checkpoint import NAME

FORK = multiprocessing.get_context("fork")
FIT = {"max_iter": 60, "validation_interval": 3, "n_iter_no_change": 100}


def results(meta):
    return {
        "params": meta._served.learned.params.vector,
        "losses": np.array(meta.loss_curve_),
        "scores": np.array(meta.validation_scores_),
        "counts": [meta.n_iter_, meta.best_iter_],
        "next": meta._training.progress[0].state.random_state.random_sample(3),
    }


def assert_same_bits(found, expected):
    for name, values in expected.items():
        assert_array_equal(found[name], values, err_msg=name)


def fit_in_child(meta, tasks, path):
    meta.fit(tasks)
    path.write_bytes(pickle.dumps(results(meta)))


def killed_after(seconds, target):
    """Run in a process of its own, killed after so many seconds; whether it was."""
    child = FORK.Process(target=target)
    child.start()
    child.join(seconds)
    was_killed = child.is_alive()
    if was_killed:
        os.kill(child.pid, signal.SIGKILL)
        child.join()
    assert child.exitcode == (-signal.SIGKILL if was_killed else 0)
    return was_killed


def survives(meta, tasks, directory, n_kills, rng):
    """Kill a fit again and again at random moments, then let it end: the bits of one left alone."""
    begin = time.monotonic()
    expected, duration = results(meta.fit(tasks)), time.monotonic() - begin
    meta.set_params(checkpoint=directory / "checkpoint")
    target = partial(fit_in_child, meta, tasks, directory / "results")
    moments = rng.uniform(0, duration / 3, n_kills)
    assert sum(killed_after(seconds, target) for seconds in moments) > n_kills // 2
    assert not killed_after(100, target)
    assert_same_bits(pickle.loads((directory / "results").read_bytes()), expected)
    assert list((directory / "checkpoint").glob("*.checkpoint")) == []


@pytest.mark.parametrize("name", ["bayesian_head", "maml"])
@pytest.mark.parametrize("problem", ["regression", "multiclass"], indirect=True)
def test_killed_now_and_then(problem, name, tmp_path):
    survives(problem.meta(name, **FIT), problem.tasks, tmp_path, 3, np.random.RandomState(0))


@pytest.mark.thorough
@pytest.mark.parametrize("name", ["bayesian_head", "maml"])
@pytest.mark.parametrize("problem", ["regression", "multiclass"], indirect=True)
def test_killed_at_fifty_random_moments(problem, name, tmp_path):
    """Together with the others of this test: 52."""
    meta = problem.meta(name, **FIT | {"max_iter": 120})
    survives(meta, problem.tasks, tmp_path, 13, np.random.RandomState(1))


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_killed_while_it_is_written(regression, tmp_path, monkeypatch, call):
    """At each step of writing, the file of the evaluation before is there, and whole."""
    meta = regression.meta(**FIT)
    expected = results(meta.fit(regression.tasks))
    meta.set_params(checkpoint=tmp_path)
    n_saves, real = [], getattr(os, call)

    def deadly(*args, **kwargs):
        n_saves.append(1)
        if len(n_saves) == 5:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*args, **kwargs)

    with monkeypatch.context() as patched:
        patched.setattr(os, call, deadly)
        child = FORK.Process(target=meta.fit, args=(regression.tasks,))
        child.start()
        child.join()
    assert child.exitcode == -signal.SIGKILL
    saved = Checkpoint(tmp_path).load()
    assert saved.progress[0].state.n_iter == 3 * 3  # the first was written before training
    assert_same_bits(results(meta.fit(regression.tasks)), expected)


def test_every_algorithm_goes_on(algorithm, tmp_path, monkeypatch):
    learns_numbers = "squared_error" in ALGORITHMS[algorithm].losses
    problem = make_problem("multi-output" if learns_numbers else "own labels")
    meta = problem.meta(algorithm, **FIT | {"max_iter": 24})
    expected = results(meta.fit(problem.tasks))
    meta.set_params(checkpoint=str(tmp_path / "new" / "directory"))
    interrupted_fit(meta, problem.tasks, monkeypatch)
    assert_same_bits(results(meta.fit(problem.tasks)), expected)
    assert not list(tmp_path.rglob("*.checkpoint"))


def test_a_distribution_goes_on_with_other_tasks(regression, tmp_path, monkeypatch):
    meta = regression.meta(**FIT)
    expected = results(meta.fit(Sinusoids(n_rows=8)))
    meta.set_params(checkpoint=tmp_path)
    interrupted_fit(meta, Sinusoids(n_rows=8), monkeypatch)
    assert (tmp_path / NAME).stat().st_size < 50_000  # no tasks in it
    assert_same_bits(results(meta.fit(Sinusoids(n_rows=8))), expected)


def test_without_a_seed_the_split_is_the_one_that_was_drawn(regression, tmp_path, monkeypatch):
    meta = regression.meta(**FIT, random_state=None, checkpoint=tmp_path)
    interrupted_fit(meta, regression.tasks, monkeypatch)
    (then,) = Checkpoint(tmp_path).load().progress
    meta.fit(regression.tasks)
    assert meta.loss_curve_[:15] == then.loss_curve
    assert meta.validation_scores_[:5] == then.early_stopping.scores


def test_more_meta_steps_are_no_other_training(regression, tmp_path, monkeypatch):
    meta = regression.meta(**FIT)
    expected = results(meta.set_params(max_iter=90).fit(regression.tasks))
    meta.set_params(max_iter=60, checkpoint=tmp_path)
    interrupted_fit(meta, regression.tasks, monkeypatch)
    meta.set_params(max_iter=90, n_jobs=2, verbose=False, handle_unknown="error")
    assert_same_bits(results(meta.fit(regression.tasks)), expected)


OTHERS = {
    "meta_lr": (
        lambda meta, tasks: (meta.set_params(meta_lr=0.01), tasks),
        r"meta_lr=0.002, found",
    ),
    "hidden": (
        lambda meta, tasks: (meta.set_params(estimator__hidden_layer_sizes=(9,)), tasks),
        r"estimator__hidden_layer_sizes=\(8,\), found \(9,\).*from other parameters",
    ),
    "algorithm": (
        lambda meta, tasks: (meta.set_params(algorithm="maml"), tasks),
        r"algorithm=BayesianHead\(\), found MAML\(\)",
    ),
    "one task less": (lambda meta, tasks: (meta, tasks[1:]), "of other tasks"),
    "another seed": (
        lambda meta, tasks: (meta.set_params(random_state=1), tasks),
        "random_state=0, found 1",
    ),
    "one cell": (lambda meta, tasks: (meta, one_cell_off(tasks)), r"\(of other tasks\)"),
}


def one_cell_off(tasks):
    X = tasks.X.copy()
    X[3, 1] = np.nextafter(X[3, 1], np.inf)
    return type(tasks)(X, tasks.y, tasks.offsets, tasks.task_ids)


@pytest.mark.parametrize("other", OTHERS)
def test_a_checkpoint_of_another_training_is_refused(regression, tmp_path, monkeypatch, other):
    change, message = OTHERS[other]
    meta = regression.meta(**FIT, checkpoint=tmp_path)
    interrupted_fit(meta, regression.tasks, monkeypatch)
    content = (tmp_path / NAME).read_bytes()
    meta, tasks = change(meta, regression.tasks)
    with pytest.raises(ValueError, match=f"checkpoint: .*another training.*{message}"):
        meta.fit(tasks)
    assert not hasattr(meta, "n_iter_")
    assert (tmp_path / NAME).read_bytes() == content  # the other one can still go on


@pytest.mark.parametrize("damage", ["cut", "changed", "empty", "of something else"])
def test_a_damaged_file_is_refused(regression, tmp_path, monkeypatch, damage):
    meta = regression.meta(**FIT, checkpoint=tmp_path)
    interrupted_fit(meta, regression.tasks, monkeypatch)
    content = (tmp_path / NAME).read_bytes()
    middle = len(content) // 2
    damaged = {
        "cut": content[:middle],
        "changed": content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :],
        "empty": b"",
        "of something else": pickle.dumps(FailsWhenLoaded()),
    }[damage]
    (tmp_path / NAME).write_bytes(damaged)
    with pytest.raises(ValueError, match=r"checkpoint: .* is damaged, or of another version"):
        meta.fit(regression.tasks)


class FailsWhenLoaded:
    def __reduce__(self):
        return pytest.fail, ("it was unpickled",)


def test_where_nothing_can_be_written_nothing_is_trained(regression, tmp_path):
    (tmp_path / "file").write_text("")
    meta = regression.meta(**FIT, checkpoint=tmp_path / "file")
    with pytest.raises(OSError, match="file"):
        meta.fit(regression.tasks)
    assert not hasattr(meta, "n_iter_")


def test_a_full_disk_does_not_end_training(regression, tmp_path, monkeypatch):
    meta = regression.meta(**FIT)
    expected, n, fsync = results(meta.fit(regression.tasks)), [], os.fsync

    def full(number):
        n.append(1)
        if len(n) > 3:
            raise OSError(28, "No space left on device")
        return fsync(number)

    monkeypatch.setattr("os.fsync", full)
    meta.set_params(checkpoint=tmp_path)
    with pytest.warns(UserWarning, match="checkpoint: could not be written.*No space left"):
        meta.fit(regression.tasks)
    assert_same_bits(results(meta), expected)


def test_functions_in_a_pipeline_are_the_same_in_another_process(regression, tmp_path):
    """Their addresses are not."""
    meta = regression.meta(**FIT)
    meta.set_params(estimator=make_pipeline(FunctionTransformer(np.tanh), meta.estimator))
    survives(meta, regression.tasks, tmp_path, 2, np.random.RandomState(2))


def test_a_warm_start_can_be_killed_too(multiclass, tmp_path, monkeypatch):
    once = multiclass.meta(**FIT).fit(multiclass.tasks).set_params(warm_start=True)
    expected = results(pickle.loads(pickle.dumps(once)).fit(multiclass.tasks))
    once.set_params(checkpoint=tmp_path)
    interrupted_fit(once, multiclass.tasks, monkeypatch)
    assert_same_bits(results(once.fit(multiclass.tasks)), expected)
    assert isinstance(once.estimator, MLPClassifier)
