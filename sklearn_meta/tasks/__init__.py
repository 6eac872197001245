"""Tasks: collections of small data sets, and distributions to draw them from."""

from ._batch import TaskBatch
from ._collection import TaskCollection
from ._image_jitter import ImageJitter
from ._n_way_k_shot import NWayKShot
from ._pseudo_tasks import pseudo_tasks

__all__ = ["ImageJitter", "NWayKShot", "TaskBatch", "TaskCollection", "pseudo_tasks"]
