"""Early stopping: validation tasks decide which parameters are kept, and when it is enough."""

import numpy as np

STILL_IMPROVING = 0.1  # share of the loss by which it fell over the last evaluations


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
        """Take note of the score of the parameters after `n_iter` meta-steps.

        One that is not finite is no improvement, and never the best.
        """
        self.scores.append(score)
        if score > self.best_score:
            self.best_score, self.best_iter, self.best = score, n_iter, params
        self._n_since += 1
        if score > self._reference + self.tol:
            self._reference, self._n_since = score, 0

    def be_patient_again(self):
        """Training that has stopped is to go on."""
        if self.has_stopped:
            self._n_since = 0

    @property
    def has_stopped(self):
        return self._n_since >= self.n_iter_no_change

    @property
    def is_improving(self):
        """Whether the last `n_iter_no_change` evaluations brought the loss down by much."""
        earlier = self.scores[: max(1, len(self.scores) - self.n_iter_no_change)]
        then = np.nanmax([-np.inf, *earlier])
        return bool(self.best_score - then > STILL_IMPROVING * abs(then))
