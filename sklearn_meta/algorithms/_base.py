"""The contract of an algorithm: what a task's learning is, and how it is learned.

The outer loop, `predict`, the export and the gradient check are written once against
`MetaAlgorithm`'s three verbs and against `AdaptedTasks`, what `learn` returns.
"""

from abc import ABCMeta, abstractmethod
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from sklearn.base import BaseEstimator

from .._documented import Documented
from ..network import LOSSES, MLP, Params, TaskWeights

LOG_LR_SCALE = 10.0  # of the outer learning rate


@runtime_checkable
class AdaptedTasks(Protocol):
    """A batch of tasks that were learned.

    `sklearn_meta.network.TaskWeights` is one, for tasks that are networks again; its methods
    are these. Another kind is exported by an implementation registered with ``register`` of
    `sklearn_meta.export.as_steps`.
    """

    def outputs(self, network, X, logit_mask=None):
        """Outputs before the link of rows X (tasks, rows, features), (tasks, rows, outputs).

        A `logit_mask`, (tasks, 1, outputs), is added to them.
        """

    def take(self, tasks):
        """Some of the tasks, by an array of their numbers, in that order."""

    def task(self, number):
        """One of them by itself, of the same class: what is exported."""

    def finite(self, n_tasks):
        """Mask of the tasks all of whose numbers are finite, (tasks,)."""

    @classmethod
    def concatenate(cls, parts):
        """The tasks of several batches in one, in their order."""


@runtime_checkable
class PredictsStd(Protocol):
    """Adapted tasks that know how sure they are."""

    def std(self, network, X, logit_mask=None):
        """Predictive standard deviation of rows X (tasks, rows, features).

        Returns
        -------
        ndarray of shape (tasks, rows, outputs)
            Of targets, noise and all, in the units in which the network sees them; or of
            class probabilities.
        """


class Jointly(Protocol):
    """What a task says of several rows at once, in the units in which the network sees them.

    Of a Poisson loss `unit` is an ndarray of shape (outputs,), of which targets are whole
    multiples; None: they are any numbers.
    """

    def draw(self, n_draws, generator, noise, unit=None):
        """Draws, (n_draws, rows, outputs): targets, or of classes outputs before the link.

        Parameters
        ----------
        n_draws : int
        generator : numpy Generator
        noise : bool
            Whether targets have theirs; else they are what is expected.
        unit : ndarray or None
        """

    def covariance(self):
        """Of the targets of regression, noise and all, (rows, rows, outputs)."""

    def log_density(self, y, logit_mask=None, unit=None):
        """Of the targets y (rows, outputs) of these rows together, a float; NaN: not found.

        Poisson targets are given with a unit. A `logit_mask`, (outputs,), is added to the outputs
        of classes that compete.
        """


@runtime_checkable
class PredictsJointly(Protocol):
    """Adapted tasks that are distributions of functions."""

    def jointly(self, network, X, logit_mask=None):
        """The only task at rows X (rows, features).

        Parameters
        ----------
        network : MLP
        X : ndarray of shape (rows, features)
        logit_mask : ndarray of shape (1, 1, outputs), default=None

        Returns
        -------
        Jointly
        """


class HeldOut(NamedTuple):
    """Episodes of tasks from which these parameters were not trained, where any were held out."""

    network: MLP
    params: Params
    support: NamedTuple  # TaskBatch, as is the query
    query: NamedTuple


class MetaAlgorithm(Documented, BaseEstimator, metaclass=ABCMeta):
    """A way to learn a task. Subclasses hold their own hyper-parameters only.

    A parameter `inner_lr`, or what is learned by that name, is the rate at which a task is
    learned: where a task diverges, `learn` is called again with half of it, and half again.

    Attributes
    ----------
    losses : tuple of str
        Losses of the networks that it can learn with, of the class: by default all.
    joint_losses : tuple of str
        Those of them for which `learn` returns PredictsJointly, by default none.
    exact_gradient : bool
        Whether `meta_gradient` is the derivative of the loss that it returns, by default True.
        Where it is not, a method ``gradient_definition(network, params, support, query)`` gives
        what it is instead, (size,), found the plain way.
    row_order_matters : bool
        Whether `learn` takes rows in their order, as minibatches do, by default False. Where it
        does, a row of weight w counts as that row w times in a row.
    most_rows : int or None
        Rows from which a task can be learned at most, where that takes a matrix of rows by rows;
        by default None, any number. More are an error that names the task, before `learn`.

    Examples
    --------
    One that learns nothing of a task: ordinary training of one network over all tasks.

    >>> from sklearn.neural_network import MLPRegressor
    >>> from sklearn_meta import MetaLearner
    >>> from sklearn_meta.algorithms import MetaAlgorithm
    >>> from sklearn_meta.datasets import Sinusoids
    >>> from sklearn_meta.network import TaskWeights
    >>> class Nothing(MetaAlgorithm):
    ...     def learn(self, network, params, support):
    ...         return TaskWeights(network.layers(params.vector))
    ...
    ...     def meta_gradient(self, network, params, support, query):
    ...         at = network.run(network.layers(params.vector), query)
    ...         deltas = [delta / len(query.X) for delta in at.deltas]
    ...         return at.losses.mean(), network.gradient(at.inputs, deltas)
    >>> mlp = MLPRegressor(hidden_layer_sizes=(20,))
    >>> meta = MetaLearner(mlp, Nothing(), max_iter=20, random_state=0).fit(Sinusoids())
    """

    losses = tuple(LOSSES)
    joint_losses = ()
    exact_gradient = True
    row_order_matters = False
    most_rows = None
    _parameter_constraints: dict = {}

    def init_params(self, network, random_state, dtype):
        """Everything that is meta-learned, as drawn before training.

        Parameters
        ----------
        network : MLP
        random_state : RandomState
        dtype : numpy dtype

        Returns
        -------
        Params
            The network's weights first, then the algorithm's own.

        Raises
        ------
        ValueError
            If the algorithm cannot learn with the network's loss.
        """
        return Params(network.init_vector(random_state, dtype), network.layout)

    @abstractmethod
    def learn(self, network, params, support):
        """Learn a batch of tasks from their support rows.

        Parameters
        ----------
        network : MLP
        params : Params
            Not to be written to.
        support : TaskBatch
            A row of weight w counts as w rows, one of weight 0 not at all; a task may have
            no rows.

        Returns
        -------
        AdaptedTasks
            With no rows, what `prior` is.
        """

    @abstractmethod
    def meta_gradient(self, network, params, support, query):
        """Loss on the query rows after learning from the support, and its gradient.

        Parameters
        ----------
        network : MLP
        params : Params
            Not to be written to.
        support, query : TaskBatch

        Returns
        -------
        loss : float
            Mean over tasks of the mean over query rows.
        gradient : ndarray of shape (size,)
            Its derivative by ``params.vector``: the outer optimiser moves against it.
        """

    def at_step(self, step):
        """The algorithm in meta-step `step`, from 0: itself, unless a setting is scheduled."""
        return self

    def calibrate(self, network, params, held_out):
        """Parameters that have a closed form once training is over, set; the others as is.

        Parameters
        ----------
        network : MLP
        params : Params
        held_out : list of HeldOut
            Episodes of validation tasks, where there are any, and the network and parameters
            that were trained without them: these ones, or others that were trained alike.

        Returns
        -------
        Params
        """
        return params

    def prior(self, network, params):
        """The network of a task of which nothing is known: zero shots."""
        return TaskWeights(network.layers(params.vector))

    def _check_loss(self, network, expected):
        if network.loss_name not in self.losses:
            raise ValueError(
                f"algorithm {type(self).__name__} found an MLP with loss={network.loss_name!r}; "
                f"expected {expected}"
            )


def extended_params(network, own, random_state, dtype, logs=()):
    """The network's weights as drawn, and behind them arrays of these shapes, 0.

    Parameters
    ----------
    network : MLP
    own : dict of str to tuple of int
        Shapes of the algorithm's own arrays.
    random_state : RandomState
    dtype : numpy dtype
    logs : sequence of str, default=()
        Those that hold logarithms of positive numbers: they are learned ten times as fast, since
        Adam moves all entries alike, yet the logarithm of a precision has far to go.

    Returns
    -------
    Params

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_meta.algorithms import extended_params
    >>> from sklearn_meta.network import MLP
    >>> network, random_state = MLP([3, 8, 1], "tanh", "squared_error"), np.random.RandomState(0)
    >>> own = {"log_precision": (8, 1)}
    >>> params = extended_params(network, own, random_state, float, logs=["log_precision"])
    >>> params["weights_0"].shape, params["log_precision"].shape
    ((3, 8), (8, 1))
    """
    layout = network.layout.extend(own, dict.fromkeys(logs, LOG_LR_SCALE))
    params = Params(np.zeros(layout.size, dtype), layout)
    params.vector[: network.layout.size] = network.init_vector(random_state, dtype)
    return params


def steps_on_new_task(algorithm):
    """Gradient steps on a new task: `adapt_steps`, or as many as in training."""
    return algorithm.inner_steps if algorithm.adapt_steps is None else algorithm.adapt_steps


def zero_head(network, params):
    """Hold the output layer at 0."""
    for name in network.names[-1]:
        params[name][...] = 0
