"""Task distributions whose tasks are made, endlessly."""

import copy
from math import isfinite
from numbers import Integral, Real

import numpy as np

from .._arguments import check_values, random_state_of
from .._compat import Interval
from .._messages import shown
from ..tasks import TaskCollection
from ..tasks._n_way_k_shot import FRACTION_CONSTRAINTS, N_TASKS_CONSTRAINTS

CONSTRAINTS = {
    "n_rows": [Interval(Integral, 1, None, closed="left")],
    "noise": [Interval(Real, 0, None, closed="left")],
}
MAX_SEED = np.iinfo(np.int32).max


class Sinusoids:
    """Sine waves of random amplitude and phase: the field's standard regression tasks.

    ``y = A sin(w (x - phase))`` with x ~ U[-5, 5], A ~ U[0.1, 5], phase ~ U[0, pi].

    Parameters
    ----------
    n_rows : int, default=20
        Rows a task.
    frequency : (float, float), default=(1.0, 1.0)
        Range of w; (0.8, 1.2) gives the tasks of the Meta-SGD paper.
    noise : float, default=0.0
        Standard deviation of noise on y.

    Raises
    ------
    ValueError
        If a parameter is out of its range.

    References
    ----------
    C. Finn, P. Abbeel, S. Levine. "Model-Agnostic Meta-Learning for Fast Adaptation of
    Deep Networks". ICML 2017, section 5.1. https://arxiv.org/abs/1703.03400

    Examples
    --------
    >>> from sklearn_meta.datasets import Sinusoids
    >>> Sinusoids(n_rows=10).sample(3, random_state=0)
    TaskCollection(n_tasks=3, n_rows=30, n_features=1, rows_per_task=10)
    """

    def __init__(self, n_rows=20, frequency=(1.0, 1.0), noise=0.0):
        check_values(CONSTRAINTS, {"n_rows": n_rows, "noise": noise}, type(self).__name__)
        _check_range(frequency)
        self.n_rows, self.frequency, self.noise = n_rows, frequency, noise
        self._seeds = ()  # that set a part's tasks apart from those of the others

    def sample(self, n_tasks, random_state=None):
        """Draw tasks.

        Parameters
        ----------
        n_tasks : int
        random_state : int, RandomState or None, default=None

        Returns
        -------
        TaskCollection
        """
        check_values(N_TASKS_CONSTRAINTS, {"n_tasks": n_tasks}, "sample")
        random_state = random_state_of(random_state)
        if self._seeds:
            random_state = np.random.RandomState([*self._seeds, random_state.randint(MAX_SEED)])
        amplitude, phase, frequency = (
            random_state.uniform(low, high, (n_tasks, 1))
            for low, high in ((0.1, 5.0), (0.0, np.pi), self.frequency)
        )
        x = random_state.uniform(-5, 5, (n_tasks, self.n_rows))
        y = amplitude * np.sin(frequency * (x - phase))
        y += self.noise * random_state.standard_normal(y.shape)
        offsets = np.arange(n_tasks + 1) * self.n_rows
        return TaskCollection(x.reshape(-1, 1), y.ravel(), offsets, np.arange(n_tasks))

    def split(self, fraction, random_state=None):
        """Two distributions of the same tasks that never give the same one.

        Parameters
        ----------
        fraction : float
            Of no effect: there are endless tasks for both.
        random_state : int, RandomState or None, default=None
            Sets the second apart: of the same seed it draws other tasks than the first.

        Returns
        -------
        training, validation : Sinusoids
        """
        check_values(FRACTION_CONSTRAINTS, {"fraction": fraction}, "split")
        validation = copy.copy(self)
        validation._seeds = *self._seeds, random_state_of(random_state).randint(MAX_SEED)
        return self, validation


def _check_range(frequency):
    ends = list(frequency) if isinstance(frequency, tuple | list) else []
    numbers = all(isinstance(end, Real) and not isinstance(end, bool) for end in ends)
    if len(ends) != 2 or not numbers or not ends[0] <= ends[1] or not isfinite(ends[1] - ends[0]):
        raise ValueError(
            f"frequency must be a pair (low, high) of numbers, low <= high, got {shown(frequency)}"
        )
