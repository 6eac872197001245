"""The outer loop: from episodes to what is meta-learned."""

from ._early_stopping import EarlyStopping
from ._loss_curve import LossCurve
from ._optimizers import Adam
from ._trainer import Trainer, TrainingState, multiplications

__all__ = ["Adam", "EarlyStopping", "LossCurve", "Trainer", "TrainingState", "multiplications"]
