"""The contract of an algorithm: what a task's learning is, and how it is learned.

The outer loop, `predict`, the export and the gradient check are written once against
the three verbs of `MetaAlgorithm`.
"""

from abc import ABCMeta, abstractmethod

import numpy as np
from sklearn.base import BaseEstimator

from ..network import LOSSES, Params, TaskWeights

SPEED = 10.0  # Adam moves all entries alike, yet the logarithm of a precision has far to go


class MetaAlgorithm(BaseEstimator, metaclass=ABCMeta):
    """A way to learn a task. Subclasses hold their own hyper-parameters only.

    Attributes
    ----------
    losses : tuple of str
        Losses of the networks that it can learn with, of the class: by default all.
    """

    losses = tuple(LOSSES)
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
    def adapt(self, network, params, support):
        """Learn a batch of tasks from their support rows.

        Parameters
        ----------
        network : MLP
        params : Params
        support : TaskBatch

        Returns
        -------
        TaskWeights
            Or what else has its methods, where a learned task is no network.
        """

    @abstractmethod
    def meta_gradient(self, network, params, support, query):
        """Loss on the query rows after learning from the support, and its gradient.

        Parameters
        ----------
        network : MLP
        params : Params
        support, query : TaskBatch

        Returns
        -------
        loss : float
            Mean over tasks of the mean over query rows.
        gradient : ndarray of shape (size,)
            Laid out like `params`.
        """

    def calibrate(self, network, params, support, query):
        """Parameters that have a closed form once training is over, set; the others as is.

        Parameters
        ----------
        network : MLP
        params : Params
        support, query : TaskBatch
            Of held-out tasks, where there are any.

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


def extended_params(network, own, random_state, dtype):
    """The network's weights as drawn, and behind them arrays of these shapes, 0."""
    layout = network.layout.extend(own)
    params = Params(np.zeros(layout.size, dtype), layout)
    params.vector[: network.layout.size] = network.init_vector(random_state, dtype)
    return params


def zero_head(network, params):
    """Hold the output layer at 0."""
    for name in network.names[-1]:
        params[name][...] = 0
