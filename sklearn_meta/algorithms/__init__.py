"""The algorithms: each a way to learn a task from a handful of rows."""

from ._base import MetaAlgorithm
from .bayesian_head import BayesianHead
from .joint import Joint
from .maml import MAML
from .presets import ANIL, BOIL, FOMAML, MetaSGD
from .prototypes import Prototypes
from .ridge_head import RidgeHead

ALGORITHMS = {
    "bayesian_head": BayesianHead,
    "joint": Joint,
    "maml": MAML,
    "fomaml": FOMAML,
    "anil": ANIL,
    "boil": BOIL,
    "meta_sgd": MetaSGD,
    "prototypes": Prototypes,
    "ridge_head": RidgeHead,
}

__all__ = ["ALGORITHMS", "ANIL", "BOIL", "BayesianHead", "FOMAML", "Joint", "MAML", "MetaAlgorithm", "MetaSGD", "Prototypes", "RidgeHead"]
