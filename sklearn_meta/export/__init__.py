"""Adapted tasks as fitted scikit-learn objects."""

from ._export import as_steps, export

__all__ = ["as_steps", "export"]
