"""What models predict of tasks that they have not seen."""

import numpy as np
from sklearn.dummy import DummyClassifier
from sklearn.model_selection import GroupKFold

from .._compat import safe_indexing
from ._base import fit_rows, in_columns

N_FOLDS = 5


def folds(tasks, n_folds=N_FOLDS):
    """Yields numbers of the tasks to learn from and of those left out, of like numbers of rows.

    A single task is both.
    """
    if len(tasks) < 2:
        yield np.arange(1), np.arange(1)
        return
    task = task_of_row(tasks)
    for _, rows in GroupKFold(min(n_folds, len(tasks))).split(task, groups=task):
        out = np.unique(task[rows])
        yield np.delete(np.arange(len(tasks)), out), out


def predict_left_out(tasks, fit, response):
    """What is predicted of each row by a model that was fitted to other tasks, (rows, outputs).

    Parameters
    ----------
    tasks : TaskCollection
    fit : callable
        ``(X, y) -> fitted model``
    response : callable
        ``(model, X) -> (rows, outputs)``
    """
    found, task = None, task_of_row(tasks)
    for learned, out in folds(tasks):
        training, rows = tasks.take(learned), np.flatnonzero(np.isin(task, out))
        predicted = response(fit(training.X, training.y), safe_indexing(tasks.X, rows))
        if found is None:
            found = np.empty((tasks.n_rows, predicted.shape[1]))
        found[rows] = predicted
    return found


def task_of_row(tasks):
    """The number of each row's task."""
    return np.repeat(np.arange(len(tasks)), tasks.sizes)


def fit_classes(estimator, X, y):
    """The estimator fitted; of rows of one class a model that predicts this."""
    if np.all(y == y[0]):
        return DummyClassifier().fit(np.zeros((len(y), 1)), y)
    return fit_rows(estimator, X, y)


def probabilities(model, X, classes, **options):
    """(rows, outputs): of each class, of two of the second."""
    proba = in_columns(model.predict_proba(X, **options), model.classes_, classes)
    return proba[:, 1:] if len(classes) == 2 else proba
