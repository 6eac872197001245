"""The differentiable network: what every algorithm is written in."""

from ._affine import affine, product
from ._descent import MetaGradient, Trajectory, descend, pull_back, query_loss
from ._gaussian_head import posterior_mode
from ._layout import Layout, Params
from ._losses import LOSSES
from ._mlp import MLP, Pass, weight_gradients
from ._r_operator import hessian_product
from ._weights import TaskWeights

__all__ = [
    "LOSSES",
    "MLP",
    "Layout",
    "MetaGradient",
    "Params",
    "Pass",
    "TaskWeights",
    "Trajectory",
    "affine",
    "descend",
    "hessian_product",
    "posterior_mode",
    "product",
    "pull_back",
    "query_loss",
    "weight_gradients",
]
