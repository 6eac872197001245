import numpy as np
import pytest

from sklearn_meta.training import EarlyStopping


def test_it_keeps_the_best():
    stopping = EarlyStopping(tol=0.0, n_iter_no_change=100)
    scores = [-9.0, -4.0, -1.0, -2.25, -0.25, -4.0, -0.49]
    for i, score in enumerate(scores, start=1):
        assert not stopping.has_stopped
        stopping.update(score, 10 * i, f"the parameters after {10 * i}")
    assert stopping.scores == scores
    assert stopping.best_score == max(scores)
    assert stopping.best_iter == 50
    assert stopping.best == "the parameters after 50"


@pytest.mark.parametrize(
    ("biases", "tol", "stop"),
    [
        ([3, 2, 2, 2, 1], 0.0, 4),  # two evaluations without anything better
        ([3, 2, 2.5, 1, 1.5, 1.2], 0.0, 6),
        ([3, 2.99, 2.98, 2.97], 1.0, 3),  # better, though not by as much as counts
        ([3, 2.9, 2.8, 2.7, 2.65], 1.0, 5),  # slow, but 9 - 2.8 ** 2 does count
        ([4, 3, 2, 1], 0.0, None),
    ],
)
def test_it_stops_when_nothing_gets_better(biases, tol, stop):
    stopping, stops = EarlyStopping(tol, n_iter_no_change=2), []
    for i, score in enumerate(-np.square(biases), start=1):
        stopping.update(score, i, None)
        if stopping.has_stopped:
            stops.append(i)
            break
    assert stops == ([] if stop is None else [stop])
