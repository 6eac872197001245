"""scikit-learn's own checks of `MetaLearner.learner_`, all of them."""

from functools import cache

import numpy as np
import pytest
import sklearn
from helpers import needs_loss
from sklearn.base import is_classifier
from sklearn.frozen import FrozenEstimator
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.utils.estimator_checks import (
    check_estimator,
    check_sample_weight_equivalence_on_dense_data,
)
from sklearn.utils.fixes import parse_version

from sklearn_meta import FewShotLearner, MetaLearner
from sklearn_meta.algorithms import ALGORITHMS, Reptile

N_CHECKS = {"regressor": 59, "classifier": 62}  # of scikit-learn 1.9


def meta_learn(estimator, n_features, targets=1, algorithm="bayesian_head", shared_labels=True):
    """From tasks with rows of that width; `targets` is the classes, or the number of outputs."""
    rng = np.random.RandomState(0)
    X, groups = rng.normal(size=(400, n_features)), np.arange(400) // 20
    z = np.einsum("nd,ndk->nk", X, rng.normal(size=(20, n_features, np.size(targets)))[groups])
    y = np.asarray(targets)[z.argmax(axis=1)] if is_classifier(estimator) else z[:, 0]
    if not is_classifier(estimator) and targets > 1:
        y = np.column_stack([z[:, 0]] * targets)
    options = {"n_members": 2} if algorithm == "bayesian_head" else {}
    meta = MetaLearner(estimator, algorithm, max_iter=100, random_state=0, **options)
    return meta.set_params(shared_labels=shared_labels).fit(X, y, groups)


cached = cache(meta_learn)
REGRESSOR, CLASSIFIER = MLPRegressor(), MLPClassifier()


class OfAnyWidth(FewShotLearner):
    """A learner as meta-learned for rows and classes like those that its `fit` is given.

    The checks are of many widths and kinds of labels, a meta-learner is of those that it was
    trained on.
    """

    def fit(self, X, y, sample_weight=None):
        self._like = np.asarray(X).shape, y
        return super().fit(X, y, sample_weight)

    def _inner_meta_learner(self):
        template = super()._inner_meta_learner()
        shape, y = self._like
        if len(shape) != 2 or 0 in shape or y is None:
            return template
        y, options = np.asarray(y), (template.algorithm, template.shared_labels)
        if not is_classifier(template):
            return cached(REGRESSOR, shape[1], y.shape[1] if y.ndim == 2 else 1, *options)
        is_label = y.dtype.kind != "f" or (np.isfinite(y).all() and np.all(y == np.round(y)))
        classes = [*np.unique(y), 7] if is_label else [0, 1, 7]
        classes = classes[: max(2, len(classes) - 1)]
        return cached(CLASSIFIER, shape[1], tuple(classes), *options)


@pytest.mark.parametrize(
    ("estimator", "shared"), [(REGRESSOR, True), (CLASSIFIER, True), (CLASSIFIER, False)]
)
def test_every_check_passes(estimator, shared):
    template = cached(estimator, 3, (0, 1) if is_classifier(estimator) else 1, shared_labels=shared)
    learner = OfAnyWidth(FrozenEstimator(template))
    results = check_estimator(learner, on_fail=None, on_skip=None)
    others = {r["check_name"]: r["exception"] for r in results if r["status"] != "passed"}
    assert others == {}
    if parse_version(sklearn.__version__).release[:2] == (1, 9):
        assert len(results) == N_CHECKS["classifier" if is_classifier(estimator) else "regressor"]


@pytest.mark.parametrize("estimator", [REGRESSOR, CLASSIFIER], ids=type)
def test_weights_are_repetition(estimator, algorithm):
    """The check shuffles rows: minibatches, which their order decides, take all at once."""
    needs_loss(ALGORITHMS[algorithm], estimator.loss)
    learns = Reptile(inner_batch_size=1000) if algorithm == "reptile" else algorithm
    targets = (0, 1, 2) if is_classifier(estimator) else 1
    learner = meta_learn(estimator, 30, targets, learns).learner_
    check_sample_weight_equivalence_on_dense_data("learner_", learner)
