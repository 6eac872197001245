"""The differentiable network: what every algorithm is written in."""

from ._gaussian_head import posterior_mode
from ._inner_loop import InnerLoop
from ._layout import Layout, Params
from ._losses import LOSSES
from ._mlp import MLP, Pass, affine, product
from ._weights import TaskWeights

__all__ = [
    "LOSSES",
    "MLP",
    "InnerLoop",
    "Layout",
    "Params",
    "Pass",
    "TaskWeights",
    "affine",
    "posterior_mode",
    "product",
]
