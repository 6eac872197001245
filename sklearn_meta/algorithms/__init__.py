"""The algorithms: each a way to learn a task from a handful of rows."""

from ._base import MetaAlgorithm
from .bayesian_head import BayesianHead
from .cavia import CAVIA
from .implicit_maml import ImplicitMAML
from .joint import Joint
from .maml import MAML
from .presets import ANIL, BOIL, FOMAML, MetaSGD
from .proto_maml import ProtoMAML
from .prototypes import Prototypes
from .reptile import Reptile
from .ridge_head import RidgeHead

ALGORITHMS = {
    "bayesian_head": BayesianHead,
    "joint": Joint,
    "maml": MAML,
    "fomaml": FOMAML,
    "anil": ANIL,
    "boil": BOIL,
    "meta_sgd": MetaSGD,
    "reptile": Reptile,
    "implicit_maml": ImplicitMAML,
    "cavia": CAVIA,
    "prototypes": Prototypes,
    "proto_maml": ProtoMAML,
    "ridge_head": RidgeHead,
}

__all__ = [
    "ALGORITHMS",
    "ANIL",
    "BOIL",
    "CAVIA",
    "FOMAML",
    "MAML",
    "BayesianHead",
    "ImplicitMAML",
    "Joint",
    "MetaAlgorithm",
    "MetaSGD",
    "ProtoMAML",
    "Prototypes",
    "Reptile",
    "RidgeHead",
]
