"""The hierarchical linear model, and splits of tasks that are made again and again."""

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin


def splits(n_tasks, n_splits, train_fraction=0.7):
    """(training tasks, unseen ones) of each seed, by their numbers."""
    n_train = int(train_fraction * n_tasks)
    orders = [np.random.default_rng(seed).permutation(n_tasks) for seed in range(n_splits)]
    return [(order[:n_train], order[n_train:]) for order in orders]


class HierarchicalLinear(RegressorMixin, BaseEstimator):
    """Linear mixed model with correlated random slopes, fitted by EM.

    Laird and Ware, "Random-effects models for longitudinal data", Biometrics 1982.
    """

    def __init__(self, n_iter=300):
        self.n_iter = n_iter

    def fit(self, X, y, groups):
        self.mean_, self.std_ = X.mean(axis=0), X.std(axis=0)
        _, grams, moments, squares = self._sums(X, y, groups)
        p = moments.shape[1]
        self.fixed_ = np.linalg.solve(grams.sum(0), moments.sum(0))
        self.covariance_, self.noise_ = np.eye(p) * y.var(), y.var()
        for _ in range(self.n_iter):
            effects, spread = self._posterior(grams, moments)
            left = moments - np.einsum("tpq,tq->tp", grams, effects)
            self.fixed_ = np.linalg.solve(grams.sum(0), left.sum(0))
            second = np.einsum("tp,tq->pq", effects, effects) + spread.sum(0)
            self.covariance_ = second / len(grams)
            weights = self.fixed_ + effects
            error = (
                squares
                - 2 * np.einsum("tp,tp->t", weights, moments)
                + np.einsum("tp,tpq,tq->t", weights, grams, weights)
                + np.einsum("tpq,tqp->t", grams, spread)
            )
            self.noise_ = error.sum() / len(y)
        self.effects_ = {}
        return self

    def fit_adapt(self, X, y, groups):
        ids, grams, moments, _ = self._sums(X, y, groups)
        effects, _ = self._posterior(grams, moments)
        self.effects_ |= dict(zip(ids, effects, strict=True))
        return self

    def predict(self, X, groups):
        ids, task = np.unique(groups, return_inverse=True)
        none = np.zeros(len(self.fixed_))
        weights = self.fixed_ + np.array([self.effects_.get(i, none) for i in ids.tolist()])
        return np.einsum("np,np->n", self._design(X), weights[task])

    def _sums(self, X, y, groups):
        """Ids of tasks, and of each the sums of products of its rows."""
        ids, task = np.unique(groups, return_inverse=True)
        rows = [np.flatnonzero(task == i) for i in range(len(ids))]
        designs, ys = [self._design(X[r]) for r in rows], [y[r] for r in rows]
        grams = np.array([Z.T @ Z for Z in designs])  # (tasks, p, p)
        moments = np.array([Z.T @ v for Z, v in zip(designs, ys, strict=True)])  # (tasks, p)
        return ids.tolist(), grams, moments, np.array([v @ v for v in ys])

    def _posterior(self, grams, moments):
        spread = np.linalg.inv(grams / self.noise_ + np.linalg.inv(self.covariance_))
        centred = moments - grams @ self.fixed_
        return np.einsum("tpq,tq->tp", spread, centred) / self.noise_, spread

    def _design(self, X):
        return np.column_stack([np.ones(len(X)), (X - self.mean_) / self.std_])
