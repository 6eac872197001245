"""The outer loop: draw tasks, meta-gradient, optimiser, early stopping on validation tasks."""

from dataclasses import dataclass, field
from itertools import pairwise
from math import isfinite
from typing import NamedTuple

import numpy as np

from .._evaluation import mean_query_loss
from .._runtime import blas_threads, keep_freed_memory, quiet
from ..network import MLP
from ..tasks._batch import TaskBatch
from ..tasks._streams import Cursor
from ._early_stopping import EarlyStopping
from ._state import TrainingState

MOST_SKIPPED = 20  # meta-steps in a row, after which no further one will be finite
MOST_RETREATS = 5


class Report(NamedTuple):
    """What an evaluation found."""

    n_iter: int  # meta-steps that the state has taken
    loss: float  # of the last one
    score: float | None  # of the validation tasks, where they decide
    n_skipped: int  # meta-steps since the last evaluation that were not finite

    def __str__(self):
        score = "" if self.score is None else f", validation score {self.score:.6f}"
        skipped = f", {self.n_skipped} skipped (not finite)" if self.n_skipped else ""
        return f"Meta-step {self.n_iter}, loss {self.loss:.6f}{score}{skipped}"


class Progress(NamedTuple):
    """How far a trainer has come: all of it that changes."""

    state: TrainingState
    early_stopping: EarlyStopping | None
    cursor: Cursor
    loss_curve: list


@dataclass
class Trainer:
    """Takes meta-steps, from one evaluation to the next.

    All that changes lies in its `progress`, so that a trainer can be pickled after any
    meta-step and goes on to the same numbers to the bit.

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
        Meta-steps at most, from the first on.
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

    def __post_init__(self):
        self.start = self.state.params.copy()

    def __iter__(self):
        """Train to the end: yields a Report at every evaluation."""
        while not self.is_done:
            yield self.advance()

    @property
    def progress(self):
        return Progress(self.state, self.early_stopping, self.cursor, self.loss_curve)

    @progress.setter
    def progress(self, progress):
        self.state, self.early_stopping, self.cursor, self.loss_curve = progress

    @property
    def is_done(self):
        return self.has_stopped or self.has_diverged or len(self.loss_curve) >= self.max_iter

    @property
    def has_stopped(self):
        """Validation tasks have not improved for long."""
        return self.early_stopping is not None and self.early_stopping.has_stopped

    @property
    def has_diverged(self):
        """No meta-step is finite, however slow."""
        return self.state.n_skipped >= MOST_SKIPPED

    @property
    def n_skipped(self):
        """Meta-steps that were not finite."""
        return int(np.isnan(self.loss_curve).sum())

    def advance(self):
        """Take the meta-steps up to the next evaluation, and evaluate."""
        n_taken = len(self.loss_curve)
        n_left = self.validation_interval - n_taken % self.validation_interval
        episode = self.draw()
        keep_freed_memory()
        with blas_threads(multiplications(self.network, *episode)):
            self.step(episode)
            for _ in range(min(n_left, self.max_iter - n_taken) - 1):
                if self.has_diverged:
                    break
                self.step(self.draw())
            score = self._evaluate()
        n_skipped = int(np.isnan(self.loss_curve[n_taken:]).sum())
        return Report(self.state.n_iter, self.loss_curve[-1], score, n_skipped)

    def step(self, episode):
        """One meta-step on an episode; where no more is finite, back to what did best."""
        self.loss_curve.append(self.state.step(self.algorithm, self.network, *episode))
        if self.state.n_skipped == MOST_SKIPPED:
            self._retreat()

    def _retreat(self):
        if self.state.n_retreats < MOST_RETREATS:
            self.state.retreat(self.start if self._best is None else self._best)

    @property
    def has_learned(self):
        """Whether there is anything to keep: a meta-step was taken, and evaluated as finite."""
        evaluated = self.early_stopping is not None and len(self.early_stopping.scores) > 0
        was_moved = np.isfinite(self.loss_curve).any()
        return bool(was_moved) and not (evaluated and self._best is None)

    @property
    def is_improving(self):
        """Whether the end comes while validation tasks still improve by much."""
        stopping = self.early_stopping
        return stopping is not None and not stopping.has_stopped and stopping.is_improving

    @property
    def kept(self):
        """The parameters to keep: the best of all evaluations; where there was none, the last."""
        return self.state.averaged if self._best is None else self._best

    @property
    def best_iter(self):
        """The meta-step after which they were found."""
        return self.state.n_iter if self._best is None else self.early_stopping.best_iter

    @property
    def _best(self):
        return self.early_stopping and self.early_stopping.best

    @quiet
    def _evaluate(self):
        """The validation score, minus the mean query loss; None where nothing hangs on it."""
        if self.early_stopping is None:
            return None
        params = self.state.averaged
        score = -mean_query_loss(self.algorithm, self.network, params, *self.validation)
        self.early_stopping.update(score, self.state.n_iter, params)
        if not isfinite(score):
            self._retreat()
        return score

    def draw(self):
        """The next episode to train on."""
        return self.cursor.draw(self.stream, self.state.random_state)


def multiplications(network, support, query):
    """Of the largest matrix product that the tasks of an episode share."""
    rows = support.weight.size + query.weight.size
    return rows * max(fan_in * fan_out for fan_in, fan_out in pairwise(network.layer_units))
