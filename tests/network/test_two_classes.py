import numpy as np
from helpers import central_difference
from scipy.special import expit, softmax

from sklearn_meta.network import both_classes, both_logits, one_logit


def test_the_one_logit_gives_both_classes_their_softmax():
    logits = np.random.RandomState(0).standard_normal((3, 4, 2))
    second = expit(one_logit(logits))
    np.testing.assert_allclose(both_classes(second), softmax(logits, axis=-1), rtol=1e-12)


def test_a_gradient_at_both_logits_is_the_chain_rule():
    logits = np.random.RandomState(0).standard_normal(2)
    gradient = both_logits(3 * np.cos(3 * one_logit(logits)))
    numeric = central_difference(lambda z: np.sum(np.sin(3 * one_logit(z))), logits)
    np.testing.assert_allclose(gradient, numeric, rtol=1e-6)
