"""Early stopping: validation tasks decide which parameters are kept, and when it is enough."""

import numpy as np


class EarlyStopping:
    """Keeps the parameters that did best on validation tasks.

    Parameters
    ----------
    tol : float
        Improvement of the validation score that counts.
    n_iter_no_change : int
        Evaluations without such an improvement after which training stops.
    """

    def __init__(self, tol, n_iter_no_change):
        self.tol, self.n_iter_no_change = tol, n_iter_no_change
        self.scores, self.best_score, self.best_iter, self.best = [], -np.inf, 0, None
        self._reference, self._n_since = -np.inf, 0

    def update(self, score, n_iter, params):
        """Take note of the score of the parameters after `n_iter` meta-steps."""
        self.scores.append(score)
        if score > self.best_score:
            self.best_score, self.best_iter, self.best = score, n_iter, params
        self._n_since += 1
        if score > self._reference + self.tol:
            self._reference, self._n_since = score, 0

    @property
    def has_stopped(self):
        return self._n_since >= self.n_iter_no_change
