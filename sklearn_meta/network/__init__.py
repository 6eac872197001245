"""The differentiable network: what every algorithm is written in."""

from ._gaussian_head import posterior_mode
from ._inner_loop import InnerLoop
from ._layout import Layout, Params
from ._losses import LOSSES
from ._mlp import MLP, Pass, affine, product
from ._posterior_covariance import (
    factor_shape,
    output_covariance,
    precision_factor,
    variance_from_rows,
)
from ._solve import solve
from ._two_classes import both_classes, both_logits, one_logit
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
    "both_classes",
    "both_logits",
    "factor_shape",
    "one_logit",
    "output_covariance",
    "posterior_mode",
    "precision_factor",
    "product",
    "solve",
    "variance_from_rows",
]
