"""The contract of an algorithm: what a task's learning is, and how it is learned.

The outer loop, `predict`, the export and the gradient check are written once against
the three verbs of `MetaAlgorithm`.
"""

from abc import ABCMeta, abstractmethod

from sklearn.base import BaseEstimator

from ..network import Params, TaskWeights


class MetaAlgorithm(BaseEstimator, metaclass=ABCMeta):
    """A way to learn a task. Subclasses hold their own hyper-parameters only."""

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
