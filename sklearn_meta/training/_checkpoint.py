"""Training on disk: whatever happens to the process, the last evaluation's state is there."""

import os
import pickle
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from .._messages import shown, warn

NAME = "training.checkpoint"  # of the file
VERSION = b"sklearn_meta checkpoint 1\n"  # another cannot be taken over


class Saved(NamedTuple):
    """What a checkpoint holds."""

    identity: dict  # what training is of, by name: data and parameters
    seed: object  # RandomState, as it was when `fit` began
    progress: list  # of Progress, of each member


class Checkpoint:
    """A directory with the state of one training that is not done yet.

    The file is written beside the last one, forced to the disk and renamed, so that there is
    always a whole one; its digest is checked before it is unpickled.

    Parameters
    ----------
    directory : str or path
        It is made if it is not there.
    """

    def __init__(self, directory):
        self.path = Path(directory) / NAME

    def load(self):
        """What was saved, or None where there is nothing.

        Raises
        ------
        ValueError
            If the file is of another version, or damaged.
        """
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return None
        head = len(VERSION)
        digest, content = data[head : head + 32], data[head + 32 :]
        if data[:head] != VERSION or sha256(content).digest() != digest:
            raise ValueError(
                f"checkpoint: {self.path} is damaged, or of another version of sklearn_meta; "
                "remove it to begin anew"
            )
        return pickle.loads(content)

    def save(self, saved):
        """Replace what was saved."""
        content = pickle.dumps(saved, pickle.HIGHEST_PROTOCOL)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        beside = self.path.with_suffix(".new")
        with open(beside, "wb") as file:
            file.write(VERSION + sha256(content).digest() + content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, self.path)

    def try_to_save(self, saved):
        """The same; a disk that is full does not end training, but is warned of."""
        try:
            self.save(saved)
        except OSError as error:
            warn(f"checkpoint: could not be written, training goes on without: {error}")

    def clear(self):
        """Training is done: nothing is left to go on with."""
        with suppress(OSError):
            self.path.unlink()

    def check(self, saved, identity):
        """Raise where what was saved is of other data or parameters."""
        names = sorted(saved.identity.keys() | identity.keys())
        found = {name: (saved.identity.get(name), identity.get(name)) for name in names}
        differing = [name for name, (then, now) in found.items() if then != now]
        if differing:
            told = ", ".join(_told(name, *found[name]) for name in differing)
            raise ValueError(
                f"checkpoint: {self.path} is of another training ({told}); go on with what it is "
                "of, remove it to begin anew, or name another directory"
            )


def _told(name, then, now):
    if name in ("tasks", "start"):
        return {"tasks": "of other tasks", "start": "from other parameters"}[name]
    return f"{name}={shown(then, str)}, found {shown(now, str)}"
