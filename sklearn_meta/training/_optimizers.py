"""First-order optimisers on one flat vector."""

from functools import cached_property

import numpy as np

from .._runtime import Cached


class Adam(Cached):
    """Adam, with its state.

    Parameters
    ----------
    size : int
    dtype : numpy dtype
    learning_rate : float
    lr_scales : list of (slice, float), default=()
        Parts of the vector, and what the learning rate is multiplied by there: as if they were
        measured in units of that.
    beta_1, beta_2, epsilon : float
        As in the paper.

    References
    ----------
    D. P. Kingma, J. Ba. "Adam: A Method for Stochastic Optimization". ICLR 2015.
    https://arxiv.org/abs/1412.6980
    """

    def __init__(
        self, size, dtype, learning_rate, lr_scales=(), beta_1=0.9, beta_2=0.999, epsilon=1e-8
    ):
        self.learning_rate, self.lr_scales = learning_rate, lr_scales
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon
        self.n_steps = 0
        self.first = np.zeros(size, dtype)
        self.second = np.zeros(size, dtype)

    def begin_anew(self, learning_rate):
        """Forget all steps: what they have found out is of no use."""
        self.learning_rate, self.n_steps = learning_rate, 0
        self.first[...], self.second[...] = 0, 0

    @cached_property
    def scratch(self):
        return np.zeros_like(self.first)  # reused: large temporaries cost more than the sums

    def step(self, vector, gradient):
        """Move the vector (size,) one step against the gradient, in place."""
        self.n_steps += 1
        change, first, second = self.scratch, self.first, self.second
        np.subtract(gradient, first, out=change)
        change *= 1 - self.beta_1
        first += change
        np.multiply(gradient, gradient, out=change)
        change -= second
        change *= 1 - self.beta_2
        second += change
        unbias = np.sqrt(1 - self.beta_2**self.n_steps) / (1 - self.beta_1**self.n_steps)
        np.sqrt(second, out=change)
        change += self.epsilon
        for part, scale in self.lr_scales:
            change[part] -= self.epsilon * (1 - 1 / scale)
            change[part] /= scale
        np.divide(first, change, out=change)
        change *= float(self.learning_rate * unbias)
        vector -= change
