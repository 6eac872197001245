"""Several networks side by side under one output layer, the inputs among its features."""

import numpy as np
from scipy.linalg import block_diag

from ._activations import ACTIVATIONS
from ._affine import affine
from ._layout import Layout
from ._mlp import MLP

PASSED_ON = "relu", "identity"  # activations through which an input can go as it is


class MergedMLP(MLP):
    """Networks of one shape side by side, whose last hidden layers feed one output layer.

    It predicts and is exported; what is trained are its members.

    Parameters
    ----------
    member : MLP
        The shape of each, with one hidden layer at least.
    n_members : int
    with_inputs : bool
        Whether the inputs themselves are features too, behind those of the members.

    Notes
    -----
    In `layers`, members stand side by side: weights are (fan_in, members * fan_out), where `fan_in`
    is that of one member.
    """

    def __init__(self, member, n_members, with_inputs):
        n_inputs, *hidden, n_outputs = member.layer_units
        n_features = n_members * hidden[-1] + with_inputs * n_inputs
        super().__init__(
            [n_inputs, *(n_members * width for width in hidden[:-1]), n_features, n_outputs],
            member.activation,
            member.loss_name,
            member.exchangeable_outputs,
        )
        self.member, self.n_members, self.with_inputs = member, n_members, with_inputs
        fans_in = [*member.layer_units[:-2], n_features]
        fans_out = [*(n_members * width for width in hidden), n_outputs]
        shapes = {}
        for (weights, bias), fan_in, fan_out in zip(member.names, fans_in, fans_out, strict=True):
            shapes |= {weights: (fan_in, fan_out), bias: (fan_out,)}
        self.layout = Layout(shapes)

    def hidden(self, layers, X):
        """The inputs of every layer, the last being the features the output layer sees."""
        inputs, apply = [X], ACTIVATIONS[self.activation].apply
        for number, layer in enumerate(layers[:-1]):
            inputs.append(
                apply(self._side_by_side(inputs[-1], *layer) if number else affine(X, *layer))
            )
        if self.with_inputs:
            inputs[-1] = np.concatenate([inputs[-1], X], axis=-1)
        return inputs

    def _side_by_side(self, A, weights, bias):
        """Outputs (tasks, rows, members * fan_out) of each member's own inputs."""
        n, lead, (fan_in, width) = self.n_members, A.shape[:-1], weights.shape
        rows = A.reshape(np.prod(lead), n, fan_in).swapaxes(0, 1)  # (members, tasks * rows, fan_in)
        z = rows @ weights.reshape(fan_in, n, width // n).swapaxes(0, 1)
        return z.swapaxes(0, 1).reshape(*lead, width) + bias

    def as_plain(self, layers):
        """One task's layers as those of a plain network that computes the same.

        Members are blocks on the diagonal, the inputs are passed on from layer to layer.
        """
        n, n_inputs = self.n_members, self.layer_units[0] * self.with_inputs
        signs = [1, -1] if self.activation == "relu" else [1]  # x = relu(x) - relu(-x)
        (W, bias), *others = layers[:-1]
        passed = np.concatenate([sign * np.eye(len(W), n_inputs) for sign in signs], axis=1)
        beside = np.eye(passed.shape[1], dtype=W.dtype)  # from then on they go as they are
        plain = [(np.concatenate([W, passed.astype(W.dtype)], axis=1), _longer(bias, beside))]
        for W, bias in others:
            blocks = np.split(W, n, axis=1)
            plain.append((block_diag(*blocks, beside), _longer(bias, beside)))
        weights, bias = layers[-1]
        n_features = len(weights) - n_inputs
        head = [weights[:n_features], *(sign * weights[n_features:] for sign in signs)]
        return [*plain, (np.concatenate(head), bias)]


def _longer(bias, beside):
    return np.concatenate([bias, np.zeros(len(beside), bias.dtype)])
