"""The rivals of MetaLearner, as estimators with its face: pooled, shifted, local and stacked."""

from .local import Local
from .pooled import Pooled
from .shifted import Shifted
from .stacked import Stacked

__all__ = ["Local", "Pooled", "Shifted", "Stacked"]
