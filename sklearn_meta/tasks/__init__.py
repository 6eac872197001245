"""Tasks: collections of small data sets, and the episodes drawn from them."""

from ._batch import TaskArrays, TaskBatch, pad, ragged_rows
from ._collection import TaskCollection, check_groups, missing_values
from ._episodes import EpisodeSampler
from ._streams import CollectionStream, DistributionStream

__all__ = [
    "CollectionStream",
    "DistributionStream",
    "EpisodeSampler",
    "TaskArrays",
    "TaskBatch",
    "TaskCollection",
    "check_groups",
    "missing_values",
    "pad",
    "ragged_rows",
]
