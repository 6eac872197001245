"""The loss of each meta-step, which grows as training goes on."""

from threading import Lock

GROWING = Lock()  # copies in several threads share their beginning


class LossCurve:
    """Losses in a sequence that is never changed: appending gives another.

    The two share their beginning, so that a long curve is not copied for each further loss.

    Parameters
    ----------
    losses : list of float, default=()
    """

    def __init__(self, losses=()):
        self._losses = list(losses)
        self._size = len(self._losses)

    def __len__(self):
        return self._size

    def append(self, loss):
        """The curve with one more loss."""
        longer = LossCurve.__new__(LossCurve)
        with GROWING:
            alone = len(self._losses) == self._size  # nobody else has gone on from here
            longer._losses = self._losses if alone else self.to_list()
            longer._losses.append(loss)
        longer._size = self._size + 1
        return longer

    def to_list(self):
        """The losses as a list of their own."""
        return self._losses[: self._size]

    def __reduce__(self):
        return LossCurve, (self.to_list(),)
