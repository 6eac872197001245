"""The outer loop: draw tasks, meta-gradient, optimiser, the gate on held-out tasks."""

import copy
from dataclasses import dataclass, field
from itertools import chain, pairwise
from math import isfinite

import numpy as np

from ._compat import blas_threads, keep_freed_memory
from ._messages import inner_rate
from ._optimizers import Adam
from .network import Params

EVALUATE_EVERY = 50  # meta-steps
AVERAGING = 0.99  # how much the running average of the parameters keeps at each meta-step
# what overflows is an error of check_finite's, which says more than NumPy's warning
quiet = np.errstate(over="ignore", invalid="ignore")


@dataclass
class TrainingState:
    """Everything a further meta-step depends on: pickled half way, it goes on the same."""

    params: Params
    average: np.ndarray  # (size,), the running average of the parameters
    optimizer: Adam
    decay: np.ndarray | None  # (size,), L2 penalty of each entry; None where there is none
    random_state: np.random.RandomState
    n_iter: int = 0
    loss_curve: list = field(default_factory=list)
    scratch: np.ndarray = field(init=False, repr=False)  # (size,)

    def __post_init__(self):
        self.scratch = np.zeros_like(self.average)

    @classmethod
    def start(cls, params, network, random_state, *, meta_lr, alpha):
        """Before the first meta-step; `alpha` weighs |weights|^2 / 2, biases are free."""
        decay = None
        if alpha:
            decay = np.zeros_like(params.vector)
            for weights, _ in network.names:
                params.layout.view(decay, weights)[...] = alpha
        optimizer = Adam(params.layout.size, params.vector.dtype, meta_lr)
        params = Params(params.vector.copy(), params.layout)
        return cls(params, params.vector.copy(), optimizer, decay, random_state)

    @quiet
    def step(self, algorithm, network, support, query):
        """One meta-step on an episode."""
        vector, scratch = self.params.vector, self.scratch
        params = Params(vector, self.params.layout, self.n_iter)
        loss, gradient = algorithm.meta_gradient(network, params, support, query)
        self.check_finite(algorithm, loss, self.n_iter + 1)
        if self.decay is not None:
            np.multiply(self.decay, vector, out=scratch)
            scratch += gradient
            gradient = scratch
        self.optimizer.step(vector, gradient)
        self.n_iter += 1
        keep = min(AVERAGING, self.n_iter / (self.n_iter + 10))
        np.subtract(vector, self.average, out=scratch)
        scratch *= 1 - keep
        self.average += scratch
        self.loss_curve.append(float(loss))

    def check_finite(self, algorithm, loss, n_iter, of=""):
        if not isfinite(loss):
            raise ValueError(
                f"meta-training diverged: the loss{of} is {loss} in meta-step {n_iter}. "
                f"Lower meta_lr (now {self.optimizer.learning_rate})"
                f"{inner_rate(algorithm, before=' or ')}, or scale the features"
            )

    def copy(self):
        """A state of its own, so that a meta-step of it leaves this one as it was."""
        return copy.deepcopy(self)

    def rebase(self, params):
        """Go on from these parameters, which were kept."""
        self.params = Params(params.vector.copy(), params.layout)
        self.average = params.vector.copy()

    @property
    def averaged(self):
        """What is judged and kept: the averaged parameters, as they are now."""
        return Params(self.average.copy(), self.params.layout)


class Gate:
    """Held-out tasks decide which parameters are kept: those that did best on them.

    Parameters
    ----------
    episode : (TaskBatch, TaskBatch)
        Support and query of the held-out tasks, the same at each evaluation.
    tol : float
        What counts as better.
    n_iter_no_change : int
        Evaluations without anything better after which training stops.
    """

    def __init__(self, episode, tol, n_iter_no_change):
        self.episode, self.tol, self.n_iter_no_change = episode, tol, n_iter_no_change
        self.scores, self.best_score, self.best_iter, self.best = [], -np.inf, 0, None
        self._reference, self._since = -np.inf, 0

    @quiet
    def judge(self, algorithm, network, state):
        """Evaluate the parameters; whether it is time to stop."""
        params = state.averaged
        score = -float(query_losses(algorithm, network, params, *self.episode).mean())
        state.check_finite(algorithm, -score, state.n_iter, of=" of the held-out tasks")
        self.scores.append(score)
        if score > self.best_score:
            self.best_score, self.best_iter, self.best = score, state.n_iter, params
        self._since += 1
        if score > self._reference + self.tol:
            self._reference, self._since = score, 0
        return self._since >= self.n_iter_no_change


def query_losses(algorithm, network, params, support, query):
    """Each task's mean loss on the query rows after adapting to its support, (tasks,)."""
    adapted = algorithm.adapt(network, params, support)
    z = adapted.outputs(network, query.X, query.logit_mask)
    return network.loss.task_losses(z, query)


def train(algorithm, network, state, stream, *, max_iter, gate=None, verbose=False):
    """Take up to `max_iter` meta-steps; the parameters that are kept."""
    episodes = (stream.draw(state.random_state) for _ in range(max_iter))
    first = next(episodes)
    keep_freed_memory()
    with blas_threads(multiplications(network, *first)):
        for n, episode in enumerate(chain([first], episodes), start=1):
            state.step(algorithm, network, *episode)
            if n % EVALUATE_EVERY and n < max_iter:
                continue
            stop = gate is not None and gate.judge(algorithm, network, state)
            if verbose:
                score = "" if gate is None else f", validation score {gate.scores[-1]:.6f}"
                print(f"Meta-step {state.n_iter}, loss {state.loss_curve[-1]:.6f}{score}")
            if stop:
                break
    return state.averaged if gate is None else gate.best


def multiplications(network, support, query):
    """Of the largest matrix product that the tasks of an episode share."""
    rows = support.weight.size + query.weight.size
    return rows * max(fan_in * fan_out for fan_in, fan_out in pairwise(network.layer_units))
