"""Adapted tasks as fitted scikit-learn objects."""

from ._export import as_steps, export
from ._task_column import ignore_task_feature

__all__ = ["as_steps", "export", "ignore_task_feature"]
