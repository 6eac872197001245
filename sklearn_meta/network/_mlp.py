"""The differentiable multi-layer perceptron: forward and backward.

Rows come in padded batches of tasks; weights are shared by all tasks or one set a task.
"""

from itertools import pairwise
from typing import NamedTuple

import numpy as np

from ._activations import ACTIVATIONS
from ._layout import Layout
from ._losses import LOSSES


class Pass(NamedTuple):
    """What one forward and backward pass over a batch leaves behind."""

    layers: list  # of (weights, bias), shared or one a task
    inputs: list  # of each layer, (tasks, rows, fan_in)
    mean: np.ndarray  # expected targets, (tasks, rows, outputs)
    deltas: list  # loss gradient at each layer's outputs, (tasks, rows, fan_out)
    losses: np.ndarray  # mean over rows, (tasks,)


class MLP:
    """A multi-layer perceptron as functions of one flat parameter vector.

    Parameters
    ----------
    layer_units : sequence of int
        Features, hidden widths, outputs.
    activation : {"identity", "relu", "tanh", "logistic"}
        Of the hidden layers.
    loss : {"squared_error", "poisson", "binary_log_loss", "log_loss"}
        With its canonical link at the output.
    exchangeable_outputs : bool, default=False
        True where an output means another class in each task, so that nothing can be
        learned about one output that does not hold for all.
    """

    def __init__(self, layer_units, activation, loss, exchangeable_outputs=False):
        self.layer_units = tuple(layer_units)
        self.activation = activation
        self.loss_name = loss
        self.exchangeable_outputs = exchangeable_outputs
        self.names = [(f"weights_{i}", f"bias_{i}") for i in range(len(self.layer_units) - 1)]
        shapes = {}
        for (weights, bias), (fan_in, fan_out) in zip(
            self.names, pairwise(self.layer_units), strict=True
        ):
            shapes |= {weights: (fan_in, fan_out), bias: (fan_out,)}
        self.layout = Layout(shapes)

    @property
    def loss(self):
        return LOSSES[self.loss_name]

    @property
    def n_layers(self):
        return len(self.names)

    @property
    def n_outputs(self):
        return self.layer_units[-1]

    @property
    def n_features(self):
        """Width of what the output layer sees, without the bias."""
        return self.layer_units[-2]

    def init_vector(self, random_state, dtype):
        """Glorot's uniform initialisation, as scikit-learn's MLP draws it, (size,)."""
        vector = np.empty(self.layout.size, dtype)
        factor = 2.0 if self.activation == "logistic" else 6.0
        for names, (fan_in, fan_out) in zip(self.names, pairwise(self.layer_units), strict=True):
            bound = np.sqrt(factor / (fan_in + fan_out))
            for name in names:
                part = vector[self.layout.slices[name]]
                part[:] = random_state.uniform(-bound, bound, part.size)
        return vector

    def layers(self, vector):
        """(weights, bias) of each layer, as views of a vector (size,) or (tasks, size)."""
        view = self.layout.view
        return [(view(vector, weights), view(vector, bias)) for weights, bias in self.names]

    @staticmethod
    def flat(layers):
        """One vector (size,), or one a task (tasks, size), of what `layers` takes apart."""
        lead = layers[0][1].shape[:-1]
        return np.concatenate([part.reshape(*lead, -1) for W in layers for part in W], axis=-1)

    def hidden(self, layers, X):
        """The inputs of every layer, the last being the features the output layer sees."""
        inputs = [X]
        for weights, bias in layers[:-1]:
            inputs.append(ACTIVATIONS[self.activation].apply(affine(inputs[-1], weights, bias)))
        return inputs

    def outputs(self, layers, X, logit_mask=None):
        """The network's outputs before the link, (tasks, rows, outputs)."""
        z = affine(self.hidden(layers, X)[-1], *layers[-1])
        return z if logit_mask is None else z + logit_mask

    def hidden_deltas(self, layers, inputs, feature_gradient):
        """Loss gradients at the hidden layers' outputs, from that at the features."""
        slope = ACTIVATIONS[self.activation].slope
        deltas = []
        gradient = feature_gradient
        for i in range(len(layers) - 1, 0, -1):
            deltas.insert(0, gradient * slope(inputs[i]))
            if i > 1:
                gradient = product(deltas[0], layers[i - 1][0].mT)
        return deltas

    def run(self, layers, batch):
        """Forward and backward over a batch of tasks."""
        inputs = self.hidden(layers, batch.X)
        z = affine(inputs[-1], *layers[-1])
        if batch.logit_mask is not None:
            z += batch.logit_mask
        losses = self.loss.task_losses(z, batch)
        mean = self.loss.mean(z)
        delta = self.loss.delta(mean, batch)
        deltas = self.hidden_deltas(layers, inputs, product(delta, layers[-1][0].mT))
        return Pass(layers, inputs, mean, [*deltas, delta], losses)

    def gradient(self, inputs, deltas):
        """Weight gradient summed over tasks, flat; 0 for layers that have no deltas."""
        flat = np.zeros(self.layout.size, inputs[0].dtype)
        for (weights, bias), A, D in zip(self.names, inputs, deltas, strict=False):
            A, D = A.reshape(-1, A.shape[-1]), D.reshape(-1, D.shape[-1])
            np.matmul(A.T, D, out=self.layout.view(flat, weights))
            D.sum(axis=0, out=self.layout.view(flat, bias))
        return flat


def product(A, weights):
    """Rows (tasks, rows, d) times weights (d, h), in one product, or (tasks, d, h)."""
    if weights.ndim == 2:
        A, shape = A.reshape(-1, A.shape[-1]), (*A.shape[:-1], weights.shape[-1])
        return np.dot(A, weights).reshape(shape)
    return A * weights if A.shape[-1] == 1 else A @ weights  # BLAS takes no single column


def affine(A, weights, bias):
    z = product(A, weights)
    z += bias if bias.ndim == 1 else bias[:, None]
    return z
