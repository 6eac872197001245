"""The outer loop: from episodes to what is meta-learned."""

from ._checkpoint import Checkpoint, Saved
from ._committee import Committee
from ._early_stopping import EarlyStopping
from ._loss_curve import LossCurve
from ._optimizers import Adam
from ._state import TrainingState
from ._trainer import Progress, Report, Trainer, multiplications

__all__ = [
    "Adam",
    "Checkpoint",
    "Committee",
    "EarlyStopping",
    "LossCurve",
    "Progress",
    "Report",
    "Saved",
    "Trainer",
    "TrainingState",
    "multiplications",
]
