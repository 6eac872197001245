"""Features of about unit size, whatever they were measured in."""

from typing import NamedTuple

import numpy as np

FURTHEST = 10.0  # from 0 that a row of training comes out: what is rare is not blown up


class Scaling(NamedTuple):
    """What is taken off each feature, and what it is then divided by.

    Parameters
    ----------
    centre, scale : ndarray of shape (features,)
        In double precision.
    """

    centre: np.ndarray
    scale: np.ndarray

    @classmethod
    def of(cls, X):
        """The mean over rows X (rows, features), and a scale by one of three rules.

        - The standard deviation, but at least a tenth of the furthest that a row is from the
          mean. A count that is 1 in one of 10,000 rows would otherwise come out as 100. A
          feature's own unit and zero change nothing of what comes out.
        - The common range, of features that have one unit: pixels and indicators, of which each
          by its own standard deviation would make the border as loud as the middle.
        - Of a feature that does not vary, as far as X's precision can tell, its own size or the
          typical scale of the others, the larger: in other tasks it may vary.
        """
        low, high = X.min(axis=0).astype(float), X.max(axis=0).astype(float)
        size = np.maximum(high, -low)
        unit = np.where(size > 0, size, 1)  # so that no sum and no square overflows
        Z = np.ascontiguousarray(X) / unit  # sums depend on the order in memory
        centre = Z.mean(axis=0)
        Z -= centre
        furthest = np.maximum(Z.max(axis=0), -Z.min(axis=0))
        std = np.sqrt(np.square(Z, out=Z).mean(axis=0))
        scale = unit * np.maximum(std, furthest / FURTHEST)
        precision = np.finfo(X.dtype)
        varies = (furthest > 10 * precision.eps) & (size > precision.tiny / precision.eps)
        _share_range(scale, low, high, varies)
        typical = np.median(scale[varies]) if varies.any() else 1.0
        return cls(unit * centre, np.where(varies, scale, np.maximum(size, typical)))

    def apply(self, X):
        """Scale rows X (rows, features), in place and in double precision."""
        with np.errstate(over="ignore", invalid="ignore"):  # what overflows is found as infinite
            X -= self.centre
            X /= self.scale

    def fold(self, weights, bias):
        """The first layer that takes the features as they are, in double precision."""
        weights = weights / self.scale[:, None]
        return weights, bias - self.centre @ weights


def _share_range(scale, low, high, varies):
    """Set to the common range the scale of features that have one unit.

    There are such where at least half of the features that vary, and two, have the very same
    least and largest value; others within that range that reach one end of it are of them.
    """
    ranges, counts = np.unique(np.stack([low, high])[:, varies], axis=1, return_counts=True)
    if counts.max(initial=0) < max(2, varies.sum() / 2):
        return
    least, most = ranges[:, counts.argmax()]
    alike = (least <= low) & (high <= most) & ((low == least) | (high == most))
    scale[alike] = most - least
