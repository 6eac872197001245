"""Looking at what was learned: pictures of training, adaptation and tasks, and a task in words."""

from ._adaptation import AdaptationDisplay
from ._calibration import CalibrationDisplay
from ._few_shot_curve import FewShotCurveDisplay
from ._training import TrainingDisplay

__all__ = [
    "AdaptationDisplay",
    "CalibrationDisplay",
    "FewShotCurveDisplay",
    "TrainingDisplay",
]
