"""The hierarchical linear model, splits of tasks and rows, and R2 over unseen tasks."""

import numpy as np


def split_tasks(tasks, seed, train_fraction=0.7):
    """Training tasks and unseen ones."""
    order = np.random.default_rng(seed).permutation(len(tasks))
    n_train = int(train_fraction * len(tasks))
    return tasks[order[:n_train]], tasks[order[n_train:]]


def split_rows(tasks, n_shots, seed):
    """Masks of `n_shots` random support rows of each task, and of the others."""
    rng = np.random.default_rng(seed)
    order = np.lexsort((rng.random(tasks.n_rows), np.repeat(np.arange(len(tasks)), tasks.sizes)))
    rank = np.empty(tasks.n_rows, int)
    rank[order] = np.arange(tasks.n_rows) - np.repeat(tasks.offsets[:-1], tasks.sizes)
    return rank < n_shots, rank >= n_shots


def r2_interval(errors, n_bootstrap=1000):
    """R2 over all rows of all tasks, and its 95% interval by resampling tasks.

    Parameters
    ----------
    errors : list of (y, predicted)
        One a task.

    Returns
    -------
    (r2, low, high)
    """
    moments = np.array(
        [(len(y), y.sum(), (y**2).sum(), ((y - predicted) ** 2).sum()) for y, predicted in errors]
    )
    draws = np.random.default_rng(0).integers(len(errors), size=(n_bootstrap, len(errors)))
    low, high = np.percentile([_r2(moments[draw]) for draw in draws], [2.5, 97.5])
    return _r2(moments), low, high


def _r2(moments):
    n, total, squares, error = moments.sum(axis=0)
    return 1 - error / (squares - total**2 / n)


class HierarchicalLinear:
    """Linear mixed model with correlated random slopes, fitted by EM.

    Laird and Ware, "Random-effects models for longitudinal data", Biometrics 1982.
    """

    def fit(self, tasks, n_iter=300):
        self.mean_, self.std_ = tasks.X.mean(axis=0), tasks.X.std(axis=0)
        Xs = np.split(self._design(tasks.X), tasks.offsets[1:-1])
        ys = np.split(tasks.y, tasks.offsets[1:-1])
        self._grams = np.array([X.T @ X for X in Xs])  # (tasks, p, p)
        moments = np.array([X.T @ y for X, y in zip(Xs, ys, strict=True)])  # (tasks, p)
        squares = np.array([y @ y for y in ys])
        p = moments.shape[1]
        self.fixed_ = np.linalg.solve(self._grams.sum(0), moments.sum(0))
        self.covariance_, self.noise_ = np.eye(p) * tasks.y.var(), tasks.y.var()
        for _ in range(n_iter):
            effects, spread = self._posterior(self._grams, moments)
            left = moments - np.einsum("tpq,tq->tp", self._grams, effects)
            self.fixed_ = np.linalg.solve(self._grams.sum(0), left.sum(0))
            self.covariance_ = (np.einsum("tp,tq->pq", effects, effects) + spread.sum(0)) / len(ys)
            weights = self.fixed_ + effects
            error = (
                squares
                - 2 * np.einsum("tp,tp->t", weights, moments)
                + np.einsum("tp,tpq,tq->t", weights, self._grams, weights)
                + np.einsum("tpq,tqp->t", self._grams, spread)
            )
            self.noise_ = error.sum() / tasks.n_rows
        return self

    def adapt(self, X, y):
        """The function that predicts rows of the task with these support rows."""
        design = self._design(X)
        effects, _ = self._posterior((design.T @ design)[None], (design.T @ y)[None])
        return lambda rows: self._design(rows) @ (self.fixed_ + effects[0])

    def _posterior(self, grams, moments):
        spread = np.linalg.inv(grams / self.noise_ + np.linalg.inv(self.covariance_))
        centred = moments - grams @ self.fixed_
        return np.einsum("tpq,tq->tp", spread, centred) / self.noise_, spread

    def _design(self, X):
        return np.column_stack([np.ones(len(X)), (X - self.mean_) / self.std_])
