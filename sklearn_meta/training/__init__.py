"""The outer loop: from episodes to what is meta-learned."""

from ._early_stopping import EarlyStopping
from ._optimizers import Adam
from ._trainer import Trainer, TrainingState

__all__ = ["Adam", "EarlyStopping", "Trainer", "TrainingState"]
