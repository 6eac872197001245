"""The worked example of the documentation keeps the contract, as it stands there."""

from pathlib import Path

import bias_maml
import pytest
from bias_maml import BiasMAML
from numpy.testing import assert_allclose

from sklearn_meta.testing import check_algorithm

CHECKS = dict(check_algorithm(BiasMAML(), generate_only=True))


@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
def test_it_keeps_the_contract(check):
    check()


def test_it_is_one_file_of_under_60_lines():
    assert len(Path(bias_maml.__file__).read_text().splitlines()) < 60


def test_a_task_shares_all_weights_and_has_biases_of_its_own(problem):
    """With nothing registered."""
    meta = problem.meta(BiasMAML()).fit(problem.tasks)
    adapted, prior = meta.adapt(*problem.new), meta.estimator_
    for weights, shared in zip(adapted.coefs_[:-1], prior.coefs_[:-1], strict=True):
        assert_allclose(weights, shared)
    assert abs(adapted.intercepts_[0] - prior.intercepts_[0]).max() > 0
