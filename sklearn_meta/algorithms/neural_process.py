"""A conditional neural process: an encoder reads the support, and the network knows the task."""

from numbers import Integral

import numpy as np

from .._arguments import LARGEST
from .._compat import Interval
from .._messages import shown
from ..network import MLP, TaskWeights, affine, both_classes, one_logit, product
from ._base import MetaAlgorithm, extended_params, zero_head


class NeuralProcess(MetaAlgorithm):
    """Amortised learning: no steps, no solve, one pass over the support.

    A second network, the encoder, turns each support row (x, y) into a representation; their
    mean r is what is known of the task (0 where it has no rows), and the wrapped network
    takes r as further inputs. Since r is the same for all rows of a task, it comes in as a
    bias of the first layer, ``r @ V``, and the adapted task is again a plain network. All
    is learned at once on the query loss.

    Where each task has classes of its own, class codes mean nothing: the encoder reads x
    alone, each class has the mean of its own rows, and that makes the class's output weights
    (Gordon et al. 2019); a class without rows has the logit 0.

    It learns fastest where adaptation must be cheap and training tasks are many: what the
    encoder did not see in training it cannot read.

    Parameters
    ----------
    encoder_layer_sizes : tuple of int, default=(64, 64)
        Hidden layers of the encoder; their activation is the network's.
    representation_size : int, default=64
        Width of r.

    References
    ----------
    M. Garnelo, D. Rosenbaum, C. J. Maddison, T. Ramalho, D. Saxton, M. Shanahan, Y. W. Teh,
    D. J. Rezende, S. M. A. Eslami. "Conditional Neural Processes". ICML 2018.
    https://arxiv.org/abs/1807.01613

    J. Gordon, J. Bronskill, M. Bauer, S. Nowozin, R. E. Turner. "Meta-Learning Probabilistic
    Inference for Prediction". ICLR 2019. https://arxiv.org/abs/1805.09921

    Examples
    --------
    >>> from sklearn.neural_network import MLPRegressor
    >>> from sklearn_meta import MetaLearner
    >>> from sklearn_meta.algorithms import NeuralProcess
    >>> from sklearn_meta.datasets import Sinusoids
    >>> tasks = Sinusoids(n_rows=20).sample(200, random_state=0)
    >>> mlp = MLPRegressor(hidden_layer_sizes=(40, 40))
    >>> meta = MetaLearner(mlp, NeuralProcess(), max_iter=200, random_state=0).fit(tasks)
    >>> X, y = tasks[0]
    >>> meta.adapt(X[:10], y[:10]).predict(X).shape
    (20,)
    """

    _parameter_constraints = {
        "encoder_layer_sizes": [tuple, list],
        "representation_size": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(self, *, encoder_layer_sizes=(64, 64), representation_size=64):
        self.encoder_layer_sizes = encoder_layer_sizes
        self.representation_size = representation_size

    def init_params(self, network, random_state, dtype):
        self._check_sizes()
        encoder, size = self._encoder(network), self.representation_size
        own_classes = network.exchangeable_outputs
        width = network.n_features + 1 if own_classes else network.layer_units[1]
        own = {"encoder": (encoder.layout.size,), "from_representation": (size, width)}
        params = extended_params(network, own, random_state, dtype)
        if own_classes:
            zero_head(network, params)
        params["encoder"][...] = encoder.init_vector(random_state, dtype)
        bound = np.sqrt(6.0 / (size + width))  # as the network's own inputs are drawn
        params["from_representation"][...] = random_state.uniform(-bound, bound, (size, width))
        return params

    def learn(self, network, params, support):
        _, _, r = self._read(network, params, support)
        return TaskWeights(_generated(network, params, r))

    def meta_gradient(self, network, params, support, query):
        inputs, shares, r = self._read(network, params, support)
        at = network.run(_generated(network, params, r), query)
        deltas = [delta / len(r) for delta in at.deltas]
        gradient = params.gradient(network.gradient(at.inputs, deltas))
        if network.exchangeable_outputs:
            zero_head(network, gradient)
            d_own = _head_gradient(at.inputs[-1], deltas[-1])
        else:
            d_own = deltas[0].sum(axis=1, keepdims=True)  # (tasks, 1, width)
        gradient["from_representation"][...] = np.einsum("tgr,tgw->rw", r, d_own)
        d_rows = shares @ (d_own @ params["from_representation"].T)  # (tasks, n, representation)
        gradient["encoder"][...] = self._backward(network, params, inputs, d_rows)
        return at.losses.mean(), gradient.vector

    def _check_sizes(self):
        sizes = self.encoder_layer_sizes
        if not all(isinstance(size, Integral) and 0 < size <= LARGEST for size in sizes):
            raise ValueError(f"encoder_layer_sizes must be positive integers, got {shown(sizes)}")

    def _encoder(self, network):
        """Of rows (x, y), or of x alone where classes are a task's own."""
        n_targets = 0 if network.exchangeable_outputs else network.n_outputs
        units = network.layer_units[0] + n_targets, *self.encoder_layer_sizes
        return MLP([*units, self.representation_size], network.activation, "squared_error")

    def _read(self, network, params, support):
        """Inputs of the encoder's layers, each row's share in the means, and the means.

        Returns
        -------
        inputs : list of ndarray of shape (tasks, n, fan_in)
        shares : ndarray of shape (tasks, n, groups)
        r : ndarray of shape (tasks, groups, representation)
            Of the task (one group), or of each of its classes.
        """
        encoder = self._encoder(network)
        rows, shares = support.X, support.share[..., None]
        if network.exchangeable_outputs:
            shares = _class_shares(support)
        else:
            rows = np.concatenate([rows, support.y], axis=-1)
        layers = encoder.layers(params["encoder"])
        inputs = encoder.hidden(layers, rows)
        weights, bias = layers[-1]
        return inputs, shares, shares.mT @ affine(inputs[-1], weights, bias)

    def _backward(self, network, params, inputs, d_rows):
        """The encoder's flat gradient, from that at its outputs."""
        encoder = self._encoder(network)
        layers = encoder.layers(params["encoder"])
        deltas = encoder.hidden_deltas(layers, inputs, product(d_rows, layers[-1][0].T))
        return encoder.gradient(inputs, [*deltas, d_rows])


def _generated(network, params, r):
    """The layers of the tasks with representations r (tasks, groups, representation)."""
    own = r @ params["from_representation"]  # (tasks, groups, width)
    layers = network.layers(params.vector)
    if network.exchangeable_outputs:
        return [*layers[:-1], (own[..., :-1].mT, own[..., -1])]
    (weights, bias), *others = layers
    return [(weights, bias + own[:, 0]), *others]


def _head_gradient(features, delta):
    """Gradient of each task's output weights, the bias last, (tasks, outputs, width)."""
    d_weights, d_bias = delta.mT @ features, delta.sum(axis=1)[..., None]
    return np.concatenate([d_weights, d_bias], axis=-1)


def _class_shares(support):
    """Each row's share in the mean of its class, (tasks, n, outputs).

    A single output is the logit of the second class: its mean less the first's.
    """
    single = support.y.shape[-1] == 1
    one_hot = both_classes(support.y) if single else support.y
    mass = support.weight[..., None] * one_hot
    total = mass.sum(axis=1, keepdims=True)
    shares = mass / np.where(total > 0, total, 1)
    return one_logit(shares) if single else shares
