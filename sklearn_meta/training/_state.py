"""What a meta-step depends on, and the step itself."""

import copy
from dataclasses import dataclass
from functools import cached_property
from math import isfinite, nan

import numpy as np

from .._runtime import Cached, quiet
from ..network import Params
from ._optimizers import Adam

AVERAGING = 0.99  # how much the running average of the parameters keeps at each meta-step
RETREAT = 0.1  # of the learning rate, where training goes back to parameters that did well


@dataclass
class TrainingState(Cached):
    """Everything a further meta-step depends on: pickled half way, it goes on the same."""

    params: Params
    average: np.ndarray  # (size,), the running average of the parameters
    optimizer: Adam
    random_state: np.random.RandomState
    alpha: float  # of the L2 penalty, alpha / 2 * |weights|^2
    penalised: list  # slices of the vector: the network's weights, and no biases
    max_grad_norm: float | None = None  # a longer meta-gradient is shortened to it
    n_iter: int = 0  # meta-steps, those that were skipped among them
    n_skipped: int = 0  # since the last one that was not
    n_retreats: int = 0

    @classmethod
    def start(cls, params, network, random_state, *, meta_lr, alpha, max_grad_norm=None):
        """Before the first meta-step."""
        layout, dtype = params.layout, params.vector.dtype
        scales = [(layout.slices[name], scale) for name, scale in layout.lr_scales.items()]
        optimizer = Adam(layout.size, dtype, meta_lr, scales)
        penalised = [layout.slices[weights] for weights, _ in network.names]
        average = params.vector.copy()
        return cls(params.copy(), average, optimizer, random_state, alpha, penalised, max_grad_norm)

    def set_rates(self, *, meta_lr, alpha, max_grad_norm):
        """Go on with these."""
        self.optimizer.learning_rate, self.max_grad_norm = meta_lr, max_grad_norm
        if alpha != self.alpha:
            self.alpha = alpha
            vars(self).pop("decay", None)

    @cached_property
    def scratch(self):
        return np.zeros_like(self.average)

    @cached_property
    def decay(self):
        """The penalty of each entry, (size,)."""
        decay = np.zeros_like(self.average)
        for part in self.penalised:
            decay[part] = self.alpha
        return decay

    @quiet
    def step(self, algorithm, network, support, query):
        """One meta-step on an episode.

        Returns
        -------
        float
            Its loss; NaN where that or the gradient is not finite, and the step was skipped.
        """
        at_step = algorithm.at_step(self.n_iter)
        loss, gradient = at_step.meta_gradient(network, self.params, support, query)
        self.n_iter += 1
        norm = _norm(gradient)
        if not (isfinite(loss) and isfinite(norm)):
            self.n_skipped += 1
            return nan
        self.n_skipped = 0
        if self.max_grad_norm is not None and norm > self.max_grad_norm:
            gradient = gradient * float(self.max_grad_norm / norm)
        self._move(gradient)
        return float(loss)

    def _move(self, gradient):
        vector, scratch = self.params.vector, self.scratch
        if self.alpha:
            np.multiply(self.decay, vector, out=scratch)
            scratch += gradient
            gradient = scratch
        self.optimizer.step(vector, gradient)
        n_steps = self.optimizer.n_steps
        np.subtract(vector, self.average, out=scratch)
        scratch *= 1 - min(AVERAGING, n_steps / (n_steps + 10))
        self.average += scratch

    def copy(self):
        """A state of its own, so that a meta-step of it leaves this one as it was."""
        return copy.deepcopy(self)

    def rebase(self, params):
        """Go on from these parameters, which were kept."""
        self.params = params.copy()
        self.average = params.vector.copy()

    def retreat(self, params):
        """Go on from these parameters, more slowly: from where training was, no step is finite."""
        self.rebase(params)
        self.optimizer.begin_anew(RETREAT * self.optimizer.learning_rate)
        self.n_skipped, self.n_retreats = 0, self.n_retreats + 1

    @property
    def averaged(self):
        """What is evaluated and kept: the averaged parameters, as they are now."""
        return Params(self.average.copy(), self.params.layout)


def _norm(gradient):
    """Its length, in double precision where the squares overflow single."""
    norm = float(np.linalg.norm(gradient))
    return norm if isfinite(norm) else float(np.linalg.norm(gradient.astype(float)))
