"""Whether an algorithm, one's own or somebody else's, is right."""

from ._check_algorithm import check_algorithm

__all__ = ["check_algorithm"]
