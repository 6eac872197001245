"""MAML's relatives that are one of its settings, so that they are found by name."""

from .maml import MAML


def _constraints(*names):
    return {name: MAML._parameter_constraints[name] for name in names}


class FOMAML(MAML):
    """First-order MAML: the meta-gradient without the Hessians.

    ``MAML(first_order=True)``: what is learned and what is adapted are MAML's.

    Parameters
    ----------
    inner_lr : float, default=0.01
    inner_steps : int, default=5
    adapt_steps : int or None, default=None
        As in `MAML`.

    References
    ----------
    C. Finn, P. Abbeel, S. Levine. "Model-Agnostic Meta-Learning for Fast Adaptation of
    Deep Networks". ICML 2017, section 5.2. https://arxiv.org/abs/1703.03400

    Examples
    --------
    >>> from sklearn_meta.algorithms import FOMAML
    >>> FOMAML(inner_steps=1).first_order
    True
    """

    _parameter_constraints = _constraints("inner_lr", "inner_steps", "adapt_steps")

    def __init__(self, *, inner_lr=0.01, inner_steps=5, adapt_steps=None):
        super().__init__(
            inner_lr=inner_lr, inner_steps=inner_steps, adapt_steps=adapt_steps, first_order=True
        )


class _PartOfMAML(MAML):
    """MAML that adapts some of the layers, named by the class."""

    _adapted = None
    _parameter_constraints = _constraints(
        "inner_lr", "inner_steps", "adapt_steps", "first_order", "learn_inner_lr"
    )

    def __init__(
        self,
        *,
        inner_lr=0.01,
        inner_steps=5,
        adapt_steps=None,
        first_order=False,
        learn_inner_lr=False,
    ):
        super().__init__(
            inner_lr=inner_lr,
            inner_steps=inner_steps,
            adapt_steps=adapt_steps,
            first_order=first_order,
            adapt_layers=self._adapted,
            learn_inner_lr=learn_inner_lr,
        )


class ANIL(_PartOfMAML):
    """Almost no inner loop: only the output layer is adapted, on learned features.

    ``MAML(adapt_layers="head")``: start and features are learned over all tasks.

    Parameters
    ----------
    inner_lr : float, default=0.01
    inner_steps : int, default=5
    adapt_steps : int or None, default=None
    first_order : bool, default=False
    learn_inner_lr : {False, "layer", "step", "parameter"}, default=False
        As in `MAML`.

    References
    ----------
    A. Raghu, M. Raghu, S. Bengio, O. Vinyals. "Rapid Learning or Feature Reuse? Towards
    Understanding the Effectiveness of MAML". ICLR 2020. https://arxiv.org/abs/1909.09157

    Examples
    --------
    >>> from sklearn_meta.algorithms import ANIL
    >>> ANIL().adapt_layers
    'head'
    """

    _adapted = "head"


class BOIL(_PartOfMAML):
    """Body only update in inner loop: all layers but the output layer are adapted.

    ``MAML(adapt_layers="body")``: the output layer is learned over all tasks and stays.

    Parameters
    ----------
    inner_lr : float, default=0.01
    inner_steps : int, default=5
    adapt_steps : int or None, default=None
    first_order : bool, default=False
    learn_inner_lr : {False, "layer", "step", "parameter"}, default=False
        As in `MAML`.

    References
    ----------
    J. Oh, H. Yoo, C. Kim, S.-Y. Yun. "BOIL: Towards Representation Change for Few-shot
    Learning". ICLR 2021. https://arxiv.org/abs/2008.08882

    Examples
    --------
    >>> from sklearn_meta.algorithms import BOIL
    >>> BOIL().adapt_layers
    'body'
    """

    _adapted = "body"


class MetaSGD(MAML):
    """Meta-SGD: start, direction and rate of the steps are learned, a rate for each weight.

    ``MAML(learn_inner_lr="parameter")``, with one step as in the paper.

    Parameters
    ----------
    inner_lr : float, default=0.01
        What all rates start from.
    inner_steps : int, default=1
    adapt_steps : int or None, default=None
    first_order : bool, default=False
        As in `MAML`.

    References
    ----------
    Z. Li, F. Zhou, F. Chen, H. Li. "Meta-SGD: Learning to Learn Quickly for Few-Shot
    Learning". 2017. https://arxiv.org/abs/1707.09835

    Examples
    --------
    >>> from sklearn_meta.algorithms import MetaSGD
    >>> MetaSGD().learn_inner_lr
    'parameter'
    """

    _parameter_constraints = _constraints("inner_lr", "inner_steps", "adapt_steps", "first_order")

    def __init__(self, *, inner_lr=0.01, inner_steps=1, adapt_steps=None, first_order=False):
        super().__init__(
            inner_lr=inner_lr,
            inner_steps=inner_steps,
            adapt_steps=adapt_steps,
            first_order=first_order,
            learn_inner_lr="parameter",
        )
