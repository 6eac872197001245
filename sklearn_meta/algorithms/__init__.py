"""The algorithms: each a way to learn a task from a handful of rows."""

from .._compat import Interval, Options, StrOptions
from ._base import (
    AdaptedTasks,
    HeldOut,
    Jointly,
    MetaAlgorithm,
    PredictsJointly,
    PredictsStd,
    extended_params,
)
from .bayesian_head import BayesianHead
from .cavia import CAVIA
from .deep_kernel_gp import DeepKernelGP
from .implicit_maml import ImplicitMAML
from .joint import Joint
from .maml import MAML
from .neural_process import NeuralProcess
from .presets import ANIL, BOIL, FOMAML, MetaSGD
from .proto_maml import ProtoMAML
from .prototypes import Prototypes
from .reptile import Reptile
from .ridge_head import RidgeHead

#: Every algorithm by its name, as the parameter ``algorithm`` takes it.
ALGORITHMS = {
    "bayesian_head": BayesianHead,
    "deep_kernel_gp": DeepKernelGP,
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
    "neural_process": NeuralProcess,
}

__all__ = [
    "ALGORITHMS",
    "ANIL",
    "BOIL",
    "CAVIA",
    "FOMAML",
    "MAML",
    "AdaptedTasks",
    "BayesianHead",
    "DeepKernelGP",
    "HeldOut",
    "ImplicitMAML",
    "Interval",
    "Joint",
    "Jointly",
    "MetaAlgorithm",
    "MetaSGD",
    "NeuralProcess",
    "Options",
    "PredictsJointly",
    "PredictsStd",
    "ProtoMAML",
    "Prototypes",
    "Reptile",
    "RidgeHead",
    "StrOptions",
    "extended_params",
]
