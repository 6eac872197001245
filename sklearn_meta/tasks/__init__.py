"""Tasks: collections of small data sets, and the episodes drawn from them."""

from ._batch import TaskArrays, TaskBatch, blocks, offsets_within, pad, ragged_rows
from ._collection import TaskCollection, check_groups, missing_values
from ._episodes import EpisodeSampler
from ._n_way_k_shot import NWayKShot
from ._pseudo_tasks import pseudo_tasks
from ._streams import CollectionStream, DistributionStream

__all__ = [
    "CollectionStream",
    "DistributionStream",
    "EpisodeSampler",
    "NWayKShot",
    "TaskArrays",
    "TaskBatch",
    "TaskCollection",
    "blocks",
    "check_groups",
    "missing_values",
    "offsets_within",
    "pad",
    "pseudo_tasks",
    "ragged_rows",
]
