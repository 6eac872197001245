"""The algorithms: each a way to learn a task from a handful of rows."""

from ._base import MetaAlgorithm
from .bayesian_head import BayesianHead
from .deep_kernel_gp import DeepKernelGP
from .joint import Joint
from .maml import MAML
from .neural_process import NeuralProcess

ALGORITHMS = {
    "bayesian_head": BayesianHead,
    "deep_kernel_gp": DeepKernelGP,
    "joint": Joint,
    "maml": MAML,
    "neural_process": NeuralProcess,
}

__all__ = [
    "ALGORITHMS",
    "MAML",
    "BayesianHead",
    "DeepKernelGP",
    "Joint",
    "MetaAlgorithm",
    "NeuralProcess",
]
