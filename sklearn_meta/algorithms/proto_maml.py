"""Proto-MAML: gradient steps from an output layer of prototypes."""

from numbers import Integral, Real

from .._compat import Interval
from ..network import Params, TaskWeights, both_logits
from ._definitions import central_difference
from .maml import MAML
from .prototypes import Prototypes, backward, class_means, distance_head


class ProtoMAML(MAML):
    """MAML whose output layer starts, in each task, from the task's own prototypes.

    A task first takes its class means in the learned space as an output layer, as in
    `Prototypes`, and then gradient steps on all layers. The number of classes is free, and the
    start is already a good one. The meta-gradient goes through the steps and the
    prototypes. It classifies only.

    Parameters
    ----------
    inner_lr : float, default=0.01
    inner_steps : int, default=5
    adapt_steps : int or None, default=None
    first_order : bool, default=False
        As in `MAML`. The prototypes are differentiated in any case.
    init_kappa : float, default=0.1
        As in `Prototypes`: where labels are shared, what a learned prototype counts as.

    References
    ----------
    E. Triantafillou et al. "Meta-Dataset: A Dataset of Datasets for Learning to Learn from Few
    Examples". ICLR 2020. https://arxiv.org/abs/1903.03096

    Examples
    --------
    >>> from sklearn.neural_network import MLPClassifier
    >>> from sklearn_meta import MetaLearner
    >>> from sklearn_meta.algorithms import ProtoMAML
    >>> from sklearn_meta.datasets import load_vowels
    >>> tasks = load_vowels()
    >>> meta = MetaLearner(MLPClassifier(), ProtoMAML(), shared_labels=False, max_iter=20)
    >>> X, y = tasks[0]
    >>> meta.fit(tasks[1:]).adapt(X[:10], y[:10]).predict(X).shape
    (20,)
    """

    losses = Prototypes.losses
    _parameter_constraints = {
        "inner_lr": [Interval(Real, 0, None, closed="left")],
        "inner_steps": [Interval(Integral, 0, None, closed="left")],
        "adapt_steps": [Interval(Integral, 0, None, closed="left"), None],
        "first_order": ["boolean"],
        "init_kappa": [Interval(Real, 0, None, closed="neither")],
    }

    def __init__(
        self,
        *,
        inner_lr=0.01,
        inner_steps=5,
        adapt_steps=None,
        first_order=False,
        init_kappa=0.1,
    ):
        super().__init__(
            inner_lr=inner_lr,
            inner_steps=inner_steps,
            adapt_steps=adapt_steps,
            first_order=first_order,
        )
        self.init_kappa = init_kappa

    init_params = Prototypes.init_params
    prior = Prototypes.prior

    def _start(self, network, params, support):
        layers = network.layers(params.vector)
        inputs = network.hidden(layers, support.X)
        means = class_means(network, params, inputs[-1], support)
        return [*layers[:-1], distance_head(means.C, network)], (inputs, means)

    def _start_gradient(self, network, params, origin, gradients):
        inputs, means = origin
        V, v = gradients[-1]  # (tasks, p, outputs), (tasks, outputs)
        if network.n_outputs == 1:  # the logit is the second class's minus the first's
            V, v = both_logits(V), both_logits(v)
        d_sums = 2 * (V.mT - v[..., None] * means.C) / means.total  # (tasks, classes, p)
        gradient = backward(network, params, inputs, means, d_sums, means.members @ d_sums)
        for name, part in zip(network.names[:-1], gradients[:-1], strict=True):
            for key, value in zip(name, part, strict=True):
                gradient[key][...] += value
        return gradient

    def _start_definition(self, network, params, task, direction):
        """By central differences: the prototypes are differentiated with `first_order`, too."""

        def along(vector):
            layers, _ = self._start(network, Params(vector, params.layout), task)
            return direction @ network.flat(TaskWeights(layers).task(0).layers)

        return central_difference(along, params.vector)
