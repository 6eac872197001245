"""The algorithms: each a way to learn a task from a handful of rows."""

from ._base import MetaAlgorithm
from .bayesian_head import BayesianHead
from .joint import Joint
from .maml import MAML
from .prototypes import Prototypes
from .ridge_head import RidgeHead

ALGORITHMS = {
    "bayesian_head": BayesianHead,
    "joint": Joint,
    "maml": MAML,
    "prototypes": Prototypes,
    "ridge_head": RidgeHead,
}

__all__ = [
    "ALGORITHMS",
    "MAML",
    "BayesianHead",
    "Joint",
    "MetaAlgorithm",
    "Prototypes",
    "RidgeHead",
]
