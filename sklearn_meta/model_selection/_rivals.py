"""What one would do without meta-learning: the baselines that few_shot_curve chooses itself."""

import numpy as np
from sklearn.base import clone, is_classifier
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression, PoissonRegressor, Ridge
from sklearn.multioutput import MultiOutputRegressor
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from .._adapt import meta_learner_in
from .._meta_learner import MetaLearner
from ..baselines import Local, Pooled, Shifted, Stacked
from ..encoding import split_estimator

# on new tasks smaller trees do better: with the default of 31 leaves, R2 by pupils' school is .14
# and not .18, and the log-loss of vowels .80 and not .60
TREES = {"max_leaf_nodes": 8}
LINEAR_LR = 1e-2  # a linear model bears it, and at 1e-3 is not done after 3,000 meta-steps


def auto_baselines(estimator, tasks, seed):
    """Estimators by name, for the kind of target that `estimator` learns."""
    meta = meta_learner_in(estimator)
    trees, line = _models(estimator, meta, seed)
    if tasks.y.ndim == 2:
        trees = MultiOutputRegressor(trees)
    steps = [] if meta is None else _steps_of(meta.estimator)
    local = Local(make_pipeline(*steps, StandardScaler(), line))
    if not tasks.shared_labels:
        return {"local": local}
    pooled = make_pipeline(*steps, trees)
    chosen = {
        "pooled": Pooled(pooled),
        "shifted": Shifted(pooled, random_state=seed),
        "mixed": _mixed_model(estimator, meta, seed),
        "local": local,
        "stacked": Stacked(pooled, random_state=seed) if tasks.y.ndim == 1 else None,
    }
    return {name: each for name, each in chosen.items() if each is not None}


def _models(estimator, meta, seed):
    """Boosted trees and a linear model for this kind of target."""
    if is_classifier(estimator):
        return HistGradientBoostingClassifier(**TREES, random_state=seed), LogisticRegression()
    if meta is not None and split_estimator(meta.estimator)[0].loss == "poisson":
        trees = HistGradientBoostingRegressor(loss="poisson", **TREES, random_state=seed)
        return trees, PoissonRegressor()
    return HistGradientBoostingRegressor(**TREES, random_state=seed), Ridge()


def _steps_of(estimator):
    """What comes before the MLP."""
    _, steps = split_estimator(estimator)
    return [] if steps is None else [clone(step) for _, step in steps.steps]


def _mixed_model(estimator, meta, seed):
    """The meta-learner without a hidden layer; None where it is that itself."""
    if meta is None:
        mlp = MLPClassifier if is_classifier(estimator) else MLPRegressor
        return MetaLearner(mlp(hidden_layer_sizes=()), meta_lr=LINEAR_LR, random_state=seed)
    linear, (mlp, _) = clone(meta), split_estimator(meta.estimator)
    sizes = mlp.hidden_layer_sizes
    if meta.algorithm == "bayesian_head" and np.size(sizes) == 0:
        return None
    mlp, _ = split_estimator(linear.estimator)
    mlp.set_params(hidden_layer_sizes=())
    return linear.set_params(
        algorithm="bayesian_head",
        n_members="auto",
        task_feature=None,
        checkpoint=None,
        warm_start=False,
        meta_lr=LINEAR_LR,
        random_state=seed,
    )
