"""Pairs of held-out rows against a plain loop over tasks, numbers of support rows, and rows."""

import numpy as np
import pytest
from helpers import make_network, make_params, ragged_batch

from sklearn_meta.algorithms import BayesianHead, HeldOut
from sklearn_meta.algorithms import _held_out_pairs as module
from sklearn_meta.algorithms._held_out_pairs import HeldOutPairs
from sklearn_meta.network import Params


def draw(case="two_outputs", support=(6, 1, 0, 3), query=(4, 7, 3, 1), seed=0):
    network = make_network(case, (4,), n_features=3)
    rng = np.random.RandomState(seed)
    batches = [ragged_batch(rng, network, sizes) for sizes in (support, query)]
    return HeldOut(network, make_params(BayesianHead(), network, seed), *batches)


def find(*held_out):
    return HeldOutPairs.of(BayesianHead()._whiten, list(held_out))


def whitened(network, params, X):
    layers = network.layers(params.vector)
    F = network.hidden(layers, X[None])[-1][0]
    scaled = np.column_stack([F, np.ones(len(F))]) * np.exp(-0.5 * params["log_precision"])
    return scaled, F @ layers[-1][0] + layers[-1][1]


def plain_loop(episode):
    """Of each task, by its number of support rows: n, squares, errors, covariance, share."""
    network, params, support, query = episode
    for n in (None, 0, 1, 4):
        for i in range(len(support.X)):
            if n is not None and np.count_nonzero(support.weight[i]) <= n:
                continue
            shown = slice(None) if n is None else slice(n)
            X, y, weight = (part[i][shown] for part in support[:3])
            rest = [part[i][n:] if n is not None else part[i][:0] for part in support[:3]]
            asked = [
                np.concatenate(pair) for pair in zip(rest, [q[i] for q in query[:3]], strict=True)
            ]
            there = asked[2] > 0
            F, base = whitened(network, params, X)
            Q, prior = whitened(network, params, asked[0][there])
            W = np.diag(weight)
            posterior = np.linalg.inv(np.eye(F.shape[1]) + F.T @ W @ F)
            U = posterior @ F.T @ W @ (y - base)
            left = y - base - F @ U
            squares = weight @ left**2 + np.sum(U**2, axis=0)
            share = asked[2][there] / asked[2][there].sum()
            yield weight.sum(), squares, asked[1][there] - prior - Q @ U, Q @ posterior @ Q.T, share


@pytest.mark.parametrize("case", ["squared_error", "two_outputs"])
def test_pairs_are_a_loop(case):
    episode = draw(case)
    found, expected = find(episode), list(plain_loop(episode))
    assert len(found.n) == len(expected)
    for i, (n, squares, error, covariance, share) in enumerate(expected):
        mine, m = found.task == i, len(error)
        following = np.roll(np.arange(m), -1)
        np.testing.assert_allclose(found.n[i], n)
        np.testing.assert_allclose(found.squares[i], squares, rtol=1e-9)
        np.testing.assert_allclose(found.error[0][mine], error, atol=1e-10)
        np.testing.assert_allclose(found.error[1][mine], error[following], atol=1e-10)
        of_two = np.diag(covariance), np.diag(covariance)[following]
        np.testing.assert_allclose(found.width[:2][:, mine], of_two, atol=1e-10)
        between = covariance[np.arange(m), following]
        np.testing.assert_allclose(found.width[2][mine], between, atol=1e-10)
        np.testing.assert_allclose(found.share[mine], share / len(expected), rtol=1e-10)
        np.testing.assert_array_equal(found.lone[mine], m == 1)


def test_those_of_several_networks_lie_one_after_the_other():
    episodes = draw(seed=0), draw(seed=1)
    joined, apart = find(*episodes), [find(episode) for episode in episodes]
    n_tasks = len(apart[0].n)
    for i, part in enumerate(apart):
        mine = joined.task // n_tasks == i
        np.testing.assert_array_equal(joined.task[mine] - i * n_tasks, part.task)
        np.testing.assert_allclose(joined.error[:, mine], part.error)
        np.testing.assert_allclose(joined.share[mine], part.share / 2)


def test_single_precision_is_judged_in_double():
    network, params, *batches = draw()
    batches = [type(b)(*(part.astype(np.float32) for part in b[:3])) for b in batches]
    params = Params(params.vector.astype(np.float32), params.layout)
    found, exact = find(HeldOut(network, params, *batches)), find(draw())
    assert {part.dtype for part in (found.n, *found[3:6])} == {np.dtype(float)}
    np.testing.assert_allclose(found.width, exact.width, atol=1e-4)


def test_of_many_episodes_some_are_taken_evenly(monkeypatch):
    monkeypatch.setattr(module, "MOST_EPISODES", 2)
    episode = draw()
    chosen = [0, len(episode.support.X) - 1]
    few = episode._replace(support=episode.support.take(chosen), query=episode.query.take(chosen))
    np.testing.assert_array_equal(find(episode).error, find(few).error)
