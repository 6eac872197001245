"""The differentiable multi-layer perceptron: forward and backward.

Rows come in padded batches of tasks; weights are shared by all tasks or one set a task.
"""

from itertools import pairwise
from typing import NamedTuple

import numpy as np

from ._activations import ACTIVATIONS
from ._affine import as_layer, gathered
from ._layout import Layout
from ._losses import LOSSES


class Pass(NamedTuple):
    """What one forward and backward pass over a batch leaves behind.

    Lists have an entry a layer. At the inputs of the first there is no slope, and no gradient
    unless it was asked for.
    """

    network: "MLP"
    batch: NamedTuple  # TaskBatch
    scale: np.ndarray  # what a row's mean - y counts in the loss, (tasks, rows, 1)
    layers: list  # with the methods of `Affine`
    z: np.ndarray  # outputs before the link, (tasks, rows, outputs)
    mean: np.ndarray  # expected targets, (tasks, rows, outputs)
    inputs: list  # (tasks, rows, fan_in)
    slopes: list  # of the activations that made the inputs
    grams_in: list  # that the forward products took
    gradients: list  # of the loss, at the inputs
    deltas: list  # and at the outputs, (tasks, rows, fan_out)
    grams_out: list  # that the backward products took

    @property
    def losses(self):
        """Mean over rows, (tasks,)."""
        return self.network.loss.task_losses(self.z, self.batch)


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

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_meta.network import MLP
    >>> network = MLP([3, 8, 1], "tanh", "squared_error")
    >>> vector = network.init_vector(np.random.RandomState(0), float)
    >>> [(weights.shape, bias.shape) for weights, bias in network.layers(vector)]
    [((3, 8), (8,)), ((8, 1), (1,))]
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
    def cells(self):
        """Numbers that a row makes of itself at most, and those of a task's own weights."""
        return max(self.layer_units), self.layout.size

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
        inputs, apply = [X], ACTIVATIONS[self.activation].apply
        for layer in layers[:-1]:
            z, _ = as_layer(layer).forward(inputs[-1])
            inputs.append(apply(z))
        return inputs

    def outputs(self, layers, X, logit_mask=None):
        """The network's outputs before the link, (tasks, rows, outputs)."""
        z, _ = as_layer(layers[-1]).forward(self.hidden(layers, X)[-1])
        return z if logit_mask is None else z + logit_mask

    def hidden_deltas(self, layers, inputs, feature_gradient):
        """Loss gradients at the hidden layers' outputs, from that at the features."""
        if len(layers) == 1:
            return []
        slopes = [None, *map(ACTIVATIONS[self.activation].slope, inputs[1:])]
        body = [as_layer(layer) for layer in layers[:-1]]
        return self.backward(body, slopes, feature_gradient * slopes[-1])[1]

    def as_plain(self, layers):
        """One task's layers as those of a plain network: as they are."""
        return layers

    def run(self, layers, batch, scale=None, to_inputs=False):
        """Forward and backward over a batch of tasks.

        Parameters
        ----------
        layers : list of (weights, bias), or of what has the methods of `Affine`
        batch : TaskBatch
        scale : ndarray of shape (tasks, rows, 1), optional
            What rows count in the loss; by default as in each task's mean loss.
        to_inputs : bool
            Find the gradient at X, too.

        Returns
        -------
        Pass
        """
        layers = list(map(as_layer, layers))
        inputs, slopes, grams = self.forward(layers[:-1], batch.X)
        z, gram = layers[-1].forward(inputs[-1])
        grams.append(gram)
        if batch.logit_mask is not None:
            z = z + batch.logit_mask
        mean = self.loss.mean(z)
        scale = self.loss.scale(batch) if scale is None else scale
        delta = self.loss.delta(mean, batch, scale)
        backward = self.backward(layers, slopes, delta, to_inputs)
        return Pass(self, batch, scale, layers, z, mean, inputs, slopes, grams, *backward)

    def forward(self, layers, X):
        """Through hidden layers: X and what each makes of it, the slopes, the Gram matrices."""
        with_slope = ACTIVATIONS[self.activation].with_slope
        inputs, slopes, grams = [X], [None], []
        for layer in layers:
            z, gram = layer.forward(inputs[-1])
            a, slope = with_slope(z)
            inputs.append(a)
            slopes.append(slope)
            grams.append(gram)
        return inputs, slopes, grams

    def backward(self, layers, slopes, delta, to_inputs=False):
        """Back from the last layer's delta: the gradients, deltas, Gram matrices of `Pass`."""
        last = len(layers) - 1
        gradients, grams = [None] * (last + 1), [None] * (last + 1)
        deltas = [None] * last + [delta]
        for i in range(last, -1 if to_inputs else 0, -1):
            gradients[i], grams[i] = layers[i].vjp(deltas[i])
            if i > 0:
                deltas[i - 1] = gradients[i] * slopes[i]
        return gradients, deltas, grams

    def gradient(self, inputs, deltas):
        """Weight gradient summed over tasks, flat; 0 for layers that have no deltas."""
        flat = np.zeros(self.layout.size, inputs[0].dtype)
        for (weights, bias), A, D in zip(self.names, inputs, deltas, strict=False):
            A, D = A.reshape(-1, A.shape[-1]), D.reshape(-1, D.shape[-1])
            np.matmul(A.T, D, out=self.layout.view(flat, weights))
            D.sum(axis=0, out=self.layout.view(flat, bias))
        return flat


def weight_gradients(at):
    """The gradient of a pass at each layer's weights.

    Returns
    -------
    list of (weights, bias)
        Summed over tasks where they share the layer, of each where it has its own.
    """
    triples = zip(at.layers, at.inputs, at.deltas, strict=True)
    return [gathered(layer, [(A, D, True)]) for layer, A, D in triples]
