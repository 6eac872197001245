import pickle
from math import sqrt

import numpy as np
import pytest
from sklearn.neural_network._stochastic_optimizers import AdamOptimizer

from sklearn_meta.training import Adam


def plain_adam(x, gradients, rate, beta_1=0.9, beta_2=0.999, epsilon=1e-8):
    """Kingma and Ba's algorithm 1 on one number, in the order of the end of section 2."""
    first = second = 0.0
    for t, gradient in enumerate(gradients, start=1):
        first = beta_1 * first + (1 - beta_1) * gradient
        second = beta_2 * second + (1 - beta_2) * gradient**2
        x -= rate * sqrt(1 - beta_2**t) / (1 - beta_1**t) * first / (sqrt(second) + epsilon)
    return x


@pytest.mark.parametrize("options", [{}, {"beta_1": 0.5, "beta_2": 0.9, "epsilon": 1e-3}])
def test_it_is_the_papers_algorithm(options):
    rng = np.random.RandomState(0)
    start, gradients = rng.standard_normal(5), rng.standard_normal((40, 5))
    gradients[:, 4] = 0
    vector, adam = start.copy(), Adam(5, np.float64, 0.03, **options)
    for gradient in gradients:
        adam.step(vector, gradient)
    expected = [plain_adam(x, g, 0.03, **options) for x, g in zip(start, gradients.T, strict=True)]
    np.testing.assert_allclose(vector, expected, rtol=1e-13)
    assert vector[4] == start[4]


def test_it_is_scikit_learns():
    rng = np.random.RandomState(0)
    vector = rng.standard_normal(5)
    expected, adam = vector.copy(), Adam(5, np.float64, 0.03)
    other = AdamOptimizer([expected], 0.03)
    for gradient in rng.standard_normal((40, 5)):
        adam.step(vector, gradient)
        other.update_params([expected], [gradient])
    np.testing.assert_allclose(vector, expected, rtol=1e-13)


def test_a_scaled_part_is_learned_as_if_measured_in_units_of_the_scale():
    """scikit-learn's Adam on the entries over their scales, by the chain rule."""
    rng = np.random.RandomState(0)
    scale = np.array([1, 10, 10, 1, 0.5])
    vector = rng.standard_normal(5)
    expected, adam = vector / scale, Adam(5, float, 0.03, [(slice(1, 3), 10), (slice(4, 5), 0.5)])
    other = AdamOptimizer([expected], 0.03)
    for gradient in 1e-7 * rng.standard_normal((40, 5)):  # where epsilon counts
        adam.step(vector, gradient)
        other.update_params([expected], [gradient * scale])
    np.testing.assert_allclose(vector, expected * scale, rtol=1e-12)


def test_working_memory_is_not_pickled():
    adam = Adam(1000, float, 0.03)
    adam.step(np.zeros(1000), np.ones(1000))
    later = pickle.loads(pickle.dumps(adam))
    assert set(vars(adam)) - set(vars(later)) == {"scratch"}
    vectors = np.zeros((2, 1000))
    for each, vector in zip((adam, later), vectors, strict=True):
        each.step(vector, np.arange(1000.0))
    np.testing.assert_array_equal(*vectors)


def test_the_first_step_is_of_the_learning_rate_whatever_the_gradient():
    vector = np.zeros(4)
    Adam(4, np.float64, 0.03).step(vector, np.array([1e-3, -5.0, 1e6, 0.2]))
    np.testing.assert_allclose(vector, [-0.03, 0.03, -0.03, -0.03], rtol=1e-3)


def test_it_finds_the_minimum_of_a_badly_scaled_quadratic():
    scale, target = np.array([1.0, 100.0, 0.01]), np.array([1.0, -2.0, 3.0])
    vector, adam = np.zeros(3), Adam(3, np.float64, 0.03)
    for _ in range(3000):
        adam.step(vector, scale * (vector - target))
    np.testing.assert_allclose(vector, target, atol=1e-3)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtype_is_kept(dtype):
    vector, adam = np.ones(3, dtype), Adam(3, dtype, 0.03)
    adam.step(vector, np.ones(3, dtype))
    assert {vector.dtype, adam.first.dtype, adam.second.dtype} == {np.dtype(dtype)}
