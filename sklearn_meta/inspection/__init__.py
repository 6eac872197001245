"""Looking at what was learned: pictures of training, adaptation and tasks, and a task in words."""

from ._adaptation import AdaptationDisplay
from ._calibration import CalibrationDisplay
from ._explain_task import TaskExplanation, explain_task
from ._few_shot_curve_display import FewShotCurveDisplay
from ._task_map import TaskMap, task_map
from ._task_map_display import TaskMapDisplay
from ._training import TrainingDisplay

__all__ = [
    "AdaptationDisplay",
    "CalibrationDisplay",
    "FewShotCurveDisplay",
    "TaskExplanation",
    "TaskMap",
    "TaskMapDisplay",
    "TrainingDisplay",
    "explain_task",
    "task_map",
]
