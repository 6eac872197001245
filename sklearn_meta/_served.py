"""What a fitted MetaLearner predicts with: one immutable state, replaced in a single statement."""

import os
from dataclasses import dataclass, replace
from threading import Lock

from ._learned import KnownTasks, Learned
from ._messages import shown
from .tasks._ids import kinds_of

# of replacing a state by one that was made from it; held by nobody as a process forks
REPLACING = Lock()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=REPLACING.acquire,
        after_in_parent=REPLACING.release,
        after_in_child=REPLACING.release,
    )


@dataclass(frozen=True, eq=False)
class Served:
    """What was meta-learned, and the tasks that were learned with it.

    Parameters
    ----------
    learned : Learned or None
        None where a baseline serves, whose own attributes hold what it learned.
    known : KnownTasks or None
        Those with an id.
    current : KnownTasks or None
        The one without.
    """

    learned: Learned | None
    known: KnownTasks | None = None
    current: KnownTasks | None = None

    def adding(self, tasks):
        """The same with further tasks, which replace those of the same id."""
        if len(tasks) == 1 and tasks.ids[0] is None:
            return replace(self, current=tasks)
        return replace(self, known=tasks if self.known is None else self.known.merge(tasks))

    def check_kinds(self, groups):
        """Ids of another kind than all known ones are a mistake."""
        if self.known is None:
            return
        kinds, known = kinds_of(groups), self.known.kinds
        if kinds.isdisjoint(known):
            raise ValueError(
                f"groups are {' and '.join(sorted(kinds))}, as {shown(groups[0])}, but the "
                f"known tasks are named by {' and '.join(sorted(known))}, as "
                f"{shown(self.known.ids[0])}"
            )

    def among(self, classes):
        """The same, whose task without an id has some of the shared classes; None: any."""
        return replace(self, current=replace(self.current, among=classes))
