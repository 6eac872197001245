"""Between the user's terms and the network's: what is handed over, features, targets."""

from ._encoder import Encoded, Encoder, final_step, split_estimator

__all__ = ["Encoded", "Encoder", "final_step", "split_estimator"]
