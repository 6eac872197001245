"""How well new tasks are learned from a few rows, and whether it is worth it."""

from ._curve import FewShotCurve
from ._few_shot_curve import few_shot_curve
from ._few_shot_scorer import few_shot_scorer
from ._k_shot_group_k_fold import KShotGroupKFold

__all__ = ["FewShotCurve", "KShotGroupKFold", "few_shot_curve", "few_shot_scorer"]
