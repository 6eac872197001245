"""The outer loop: draw tasks, meta-gradient, optimiser, early stopping on validation tasks."""

import copy
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from math import isfinite
from typing import NamedTuple

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from .._evaluation import constant_loss, mean_query_loss
from .._messages import inner_rate, warn
from .._runtime import Cached, blas_threads, keep_freed_memory, quiet
from ..network import MLP, Params
from ..tasks._batch import TaskBatch
from ..tasks._streams import Cursor
from ._early_stopping import EarlyStopping
from ._optimizers import Adam

USELESS = 1.5  # times the loss of a constant: that of few validation tasks is noisy
AVERAGING = 0.99  # how much the running average of the parameters keeps at each meta-step


@dataclass
class TrainingState(Cached):
    """Everything a further meta-step depends on: pickled half way, it goes on the same."""

    params: Params
    average: np.ndarray  # (size,), the running average of the parameters
    optimizer: Adam
    random_state: np.random.RandomState
    alpha: float  # of the L2 penalty, alpha / 2 * |weights|^2
    penalised: list  # slices of the vector: the network's weights, and no biases
    n_iter: int = 0

    @classmethod
    def start(cls, params, network, random_state, *, meta_lr, alpha):
        """Before the first meta-step."""
        layout, dtype = params.layout, params.vector.dtype
        scales = [(layout.slices[name], scale) for name, scale in layout.lr_scales.items()]
        optimizer = Adam(layout.size, dtype, meta_lr, scales)
        penalised = [layout.slices[weights] for weights, _ in network.names]
        average = params.vector.copy()
        return cls(params.copy(), average, optimizer, random_state, alpha, penalised)

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
        """One meta-step on an episode; its loss."""
        vector, scratch = self.params.vector, self.scratch
        at_step = algorithm.at_step(self.n_iter)
        loss, gradient = at_step.meta_gradient(network, self.params, support, query)
        self.check_finite(algorithm, loss, self.n_iter + 1)
        if self.alpha:
            np.multiply(self.decay, vector, out=scratch)
            scratch += gradient
            gradient = scratch
        self.optimizer.step(vector, gradient)
        self.n_iter += 1
        keep = min(AVERAGING, self.n_iter / (self.n_iter + 10))
        np.subtract(vector, self.average, out=scratch)
        scratch *= 1 - keep
        self.average += scratch
        return float(loss)

    def check_finite(self, algorithm, loss, n_iter, of=""):
        if not isfinite(loss):
            raise ValueError(
                f"meta-training diverged: the loss{of} is {loss} in meta-step {n_iter}. "
                f"Lower meta_lr (now {self.optimizer.learning_rate})"
                f"{inner_rate(algorithm, before=' or ')}, or scale the features and "
                f"targets. It is of {algorithm}"
            )

    def copy(self):
        """A state of its own, so that a meta-step of it leaves this one as it was."""
        return copy.deepcopy(self)

    def rebase(self, params):
        """Go on from these parameters, which were kept."""
        self.params = params.copy()
        self.average = params.vector.copy()

    @property
    def averaged(self):
        """What is evaluated and kept: the averaged parameters, as they are now."""
        return Params(self.average.copy(), self.params.layout)


class Report(NamedTuple):
    """What an evaluation found."""

    n_iter: int  # meta-steps that the state has taken
    loss: float  # of the last one
    score: float | None  # of the validation tasks, where they decide

    def __str__(self):
        score = "" if self.score is None else f", validation score {self.score:.6f}"
        return f"Meta-step {self.n_iter}, loss {self.loss:.6f}{score}"


@dataclass
class Trainer:
    """Takes meta-steps, from one evaluation to the next.

    All that changes lies in `state`, `early_stopping`, `cursor` and the counts, so that a
    trainer can be pickled after any meta-step and goes on to the same numbers to the bit.

    Parameters
    ----------
    algorithm : MetaAlgorithm
    network : MLP
    stream : CollectionStream or DistributionStream
        Episodes to train on.
    validation : (TaskBatch, TaskBatch)
        Support and query of the validation tasks, the same at each evaluation.
    state : TrainingState
    early_stopping : EarlyStopping or None
        None takes all meta-steps and keeps the last parameters.
    max_iter : int
        Meta-steps at most.
    validation_interval : int
        Meta-steps from one evaluation to the next.
    """

    algorithm: object
    network: MLP
    stream: object
    validation: tuple[TaskBatch, TaskBatch]
    state: TrainingState
    early_stopping: EarlyStopping | None = None
    max_iter: int = 3000
    validation_interval: int = 50
    cursor: Cursor = field(default_factory=Cursor)
    loss_curve: list = field(default_factory=list)

    def __iter__(self):
        """Train to the end: yields a Report at every evaluation."""
        while not self.is_done:
            yield self.advance()

    @property
    def is_done(self):
        stopped = self.early_stopping is not None and self.early_stopping.has_stopped
        return stopped or len(self.loss_curve) >= self.max_iter

    def advance(self):
        """Take the meta-steps up to the next evaluation, and evaluate."""
        n_taken = len(self.loss_curve)
        n_left = self.validation_interval - n_taken % self.validation_interval
        episode = self.draw()
        keep_freed_memory()
        with blas_threads(multiplications(self.network, *episode)):
            self.step(episode)
            for _ in range(min(n_left, self.max_iter - n_taken) - 1):
                self.step(self.draw())
            score = self._evaluate()
        return Report(self.state.n_iter, self.loss_curve[-1], score)

    def step(self, episode):
        """One meta-step on an episode."""
        self.loss_curve.append(self.state.step(self.algorithm, self.network, *episode))

    @property
    def kept(self):
        """The parameters to keep, as of the last evaluation."""
        return self.early_stopping.best if self.early_stopping else self.state.averaged

    @property
    def best_iter(self):
        """The meta-step after which they were found."""
        return self.early_stopping.best_iter if self.early_stopping else self.state.n_iter

    def warn_if_useless(self, mean):
        """Warn where what is kept does clearly worse than the training mean, (outputs,)."""
        if self.early_stopping is None:
            return
        found = -self.early_stopping.best_score
        constant = constant_loss(self.network, mean, self.validation[1])
        if found > USELESS * constant:
            warn(
                f"the loss on the validation tasks is {found:.4g} at its best, in meta-step "
                f"{self.best_iter} of {self.state.n_iter}; predicting the mean of all training "
                f"rows has {constant:.4g}. Train longer (max_iter), scale the features, or lower "
                f"meta_lr{inner_rate(self.algorithm, before=' or ')}",
                ConvergenceWarning,
            )

    @quiet
    def _evaluate(self):
        """The validation score, minus the mean query loss; None where nothing hangs on it."""
        if self.early_stopping is None:
            return None
        params = self.state.averaged
        loss = mean_query_loss(self.algorithm, self.network, params, *self.validation)
        self.state.check_finite(
            self.algorithm, loss, self.state.n_iter, of=" of the validation tasks"
        )
        self.early_stopping.update(-loss, self.state.n_iter, params)
        return -loss

    def draw(self):
        """The next episode to train on."""
        return self.cursor.draw(self.stream, self.state.random_state)


def multiplications(network, support, query):
    """Of the largest matrix product that the tasks of an episode share."""
    rows = support.weight.size + query.weight.size
    return rows * max(fan_in * fan_out for fan_in, fan_out in pairwise(network.layer_units))
