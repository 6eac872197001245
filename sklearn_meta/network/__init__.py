"""The differentiable network: what every algorithm is written in."""

from ._gaussian_head import posterior_mode
from ._inner_loop import descend, pull_back
from ._layout import Layout, Params
from ._losses import LOSSES
from ._mlp import MLP, Pass, affine, product
from ._weights import TaskWeights

__all__ = [
    "LOSSES",
    "MLP",
    "Layout",
    "Params",
    "Pass",
    "TaskWeights",
    "affine",
    "descend",
    "posterior_mode",
    "product",
    "pull_back",
]
