"""The differentiable network: what every algorithm is written in."""

from ._affine import affine, product
from ._class_posterior import ClassFactor, ClassRows
from ._descent import MetaGradient, Trajectory, descend, pull_back, query_loss
from ._gaussian_head import add_to_diagonal, posterior_mode
from ._layout import Layout, Params
from ._losses import LOSSES, Loss
from ._merged import PASSED_ON, MergedMLP
from ._mlp import MLP, Pass, weight_gradients
from ._posterior_covariance import (
    covariance_from_rows,
    factor_shape,
    output_covariance,
    precision_factor,
    variance_from_rows,
)
from ._posterior_root import root_from_factor, root_from_rows
from ._r_operator import hessian_product
from ._solve import solve
from ._two_classes import both_classes, both_logits, one_logit
from ._weights import TaskWeights

__all__ = [
    "LOSSES",
    "MLP",
    "PASSED_ON",
    "ClassFactor",
    "ClassRows",
    "Layout",
    "Loss",
    "MergedMLP",
    "MetaGradient",
    "Params",
    "Pass",
    "TaskWeights",
    "Trajectory",
    "add_to_diagonal",
    "affine",
    "both_classes",
    "both_logits",
    "covariance_from_rows",
    "descend",
    "factor_shape",
    "hessian_product",
    "one_logit",
    "output_covariance",
    "posterior_mode",
    "precision_factor",
    "product",
    "pull_back",
    "query_loss",
    "root_from_factor",
    "root_from_rows",
    "solve",
    "variance_from_rows",
    "weight_gradients",
]
