"""scikit-learn's own checks of the baselines, all of them."""

import numpy as np
import pytest
from scipy.sparse import issparse
from sklearn.base import is_classifier
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

from sklearn_meta.baselines import Local, Pooled, Shifted, Stacked, _mixed

ALL = [Pooled, Shifted, Local, Stacked]
INNER = [
    HistGradientBoostingRegressor(max_iter=10, learning_rate=0.5, min_samples_leaf=5),
    HistGradientBoostingClassifier(max_iter=10, learning_rate=0.5, min_samples_leaf=5),
    make_pipeline(StandardScaler(), Ridge()),
    make_pipeline(StandardScaler(), LogisticRegression(max_iter=5000)),
]


@pytest.fixture(autouse=True)
def quick_mixed(monkeypatch):
    """A stack's mixed model takes 5 meta-steps: how well it predicts is not judged here."""
    monkeypatch.setitem(_mixed.TRAINING, "max_iter", 5)


def assert_every_check_passes(baseline):
    results = check_estimator(baseline, on_fail=None, on_skip=None)
    others = {r["check_name"]: r["exception"] for r in results if r["status"] != "passed"}
    assert others == {}
    assert len(results) > (45 if is_classifier(baseline) else 42)


@pytest.mark.parametrize("estimator", INNER[:2], ids=str)
@pytest.mark.parametrize("baseline", ALL)
def test_every_check_passes(baseline, estimator):
    assert_every_check_passes(baseline(estimator))


@pytest.mark.thorough
@pytest.mark.parametrize("estimator", INNER[2:], ids=str)
@pytest.mark.parametrize("baseline", ALL)
def test_every_check_passes_behind_steps(baseline, estimator):
    assert_every_check_passes(baseline(estimator))


class ShiftedInTasks(Shifted):
    """Rows that name no task are tasks of 10 rows, so that the checks see more than one."""

    def fit(self, X, y=None, groups=None):
        return super().fit(X, y, in_tens(X, y, groups))


class StackedInTasks(Stacked):
    def fit(self, X, y=None, groups=None):
        return super().fit(X, y, in_tens(X, y, groups))


def in_tens(X, y, groups):
    if groups is not None or y is None or issparse(X):
        return groups
    n_rows = len(np.asarray(X))
    return np.arange(n_rows) // 10 if n_rows >= 20 else None


@pytest.mark.thorough
@pytest.mark.parametrize("estimator", INNER, ids=str)
@pytest.mark.parametrize("baseline", [ShiftedInTasks, StackedInTasks])
def test_every_check_passes_with_many_tasks(baseline, estimator):
    assert_every_check_passes(baseline(estimator))
