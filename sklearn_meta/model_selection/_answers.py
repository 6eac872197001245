"""What an estimator answers about the query rows of tasks, asked of all of them at once."""

import numpy as np
from sklearn.utils import get_tags
from sklearn.utils.metaestimators import available_if

from .._compat import num_samples

METHODS = "predict", "predict_proba", "predict_log_proba", "decision_function"


class Answers:
    """Answers of fitted estimators about rows, each method called once.

    Parameters
    ----------
    parts : list of (estimator, X, dict)
        Each estimator, the rows that it is asked about, and further arguments of its methods;
        together they are about all query rows, in order.
    """

    def __init__(self, parts):
        self.parts, self._known = parts, {}

    @property
    def estimator(self):
        return self.parts[0][0]

    def of(self, method):
        """What a method says about all rows, ndarray with an entry for each."""
        if method not in self._known:
            answers = [getattr(e, method)(X, **named) for e, X, named in self.parts]
            self._known[method] = np.concatenate([np.asarray(answer) for answer in answers])
        return self._known[method]


def _answered(name):
    def answer(self, X):
        if num_samples(X) != self._rows.stop - self._rows.start:
            raise ValueError(
                "a scorer must ask about all query rows of a task at once: it is handed "
                f"{self._rows.stop - self._rows.start}, and asked about {num_samples(X)}"
            )
        return self._answers.of(name)[self._rows]

    answer.__name__ = name
    return available_if(lambda self: hasattr(self._answers.estimator, name))(answer)


class OfTask:
    """One task's part of the answers, as the estimator that a scorer of scikit-learn asks.

    Parameters
    ----------
    answers : Answers
    rows : slice
        Of the task.
    """

    def __init__(self, answers, rows):
        self._answers, self._rows = answers, rows

    predict, predict_proba, predict_log_proba, decision_function = map(_answered, METHODS)

    def fit(self, X, y=None):
        """It is fitted: scikit-learn asks whether an estimator could be."""
        return self

    @property
    def classes_(self):
        return self._answers.estimator.classes_

    def __sklearn_tags__(self):
        return get_tags(self._answers.estimator)

    def __sklearn_is_fitted__(self):
        return True
