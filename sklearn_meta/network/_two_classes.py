"""Two classes as the one logit of the second, and as a column for each."""

import numpy as np


def both_classes(second):
    """Shares of both classes (..., 2), from those of the second (..., 1)."""
    return np.concatenate([1 - second, second], axis=-1)


def one_logit(logits):
    """The logit of the second class (..., 1): its own less the first's, of (..., 2)."""
    return logits[..., 1:2] - logits[..., :1]


def both_logits(gradient):
    """The gradient at the logits of both classes, from that at `one_logit`'s of them."""
    return np.concatenate([-gradient, gradient], axis=-1)
