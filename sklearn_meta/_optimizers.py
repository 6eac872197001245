"""First-order optimisers on one flat vector."""

import numpy as np


class Adam:
    """Adam, with its state.

    Parameters
    ----------
    size : int
    dtype : numpy dtype
    learning_rate : float
    beta_1, beta_2, epsilon : float
        As in the paper.

    References
    ----------
    D. P. Kingma, J. Ba. "Adam: A Method for Stochastic Optimization". ICLR 2015.
    https://arxiv.org/abs/1412.6980
    """

    def __init__(self, size, dtype, learning_rate, beta_1=0.9, beta_2=0.999, epsilon=1e-8):
        self.learning_rate = learning_rate
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon
        self.n_steps = 0
        self.first = np.zeros(size, dtype)
        self.second = np.zeros(size, dtype)

    def step(self, vector, gradient):
        """Move the vector (size,) one step against the gradient, in place."""
        self.n_steps += 1
        self.first += (1 - self.beta_1) * (gradient - self.first)
        self.second += (1 - self.beta_2) * (gradient * gradient - self.second)
        unbias = np.sqrt(1 - self.beta_2**self.n_steps) / (1 - self.beta_1**self.n_steps)
        rate = float(self.learning_rate * unbias)
        vector -= rate * self.first / (np.sqrt(self.second) + self.epsilon)
