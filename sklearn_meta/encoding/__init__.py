"""Between the user's terms and the network's: what is handed over, features, targets."""

from ._encoder import Encoded, Encoder, split_estimator

__all__ = ["Encoded", "Encoder", "split_estimator"]
