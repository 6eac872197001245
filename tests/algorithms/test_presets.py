"""The presets are MAML with a setting, and have its other parameters that they mention."""

import pickle

import numpy as np
import pytest
from helpers import CASES, make_network, make_params, ragged_batch
from sklearn.base import clone
from sklearn.neural_network import MLPRegressor

from sklearn_meta import MetaLearner
from sklearn_meta.algorithms import ALGORITHMS, ANIL, BOIL, FOMAML, MAML, MetaSGD

SETTINGS = {
    FOMAML: {"first_order": True},
    ANIL: {"adapt_layers": "head"},
    BOIL: {"adapt_layers": "body"},
    MetaSGD: {"learn_inner_lr": "parameter", "inner_steps": 1},
}
PARAMETERS = {
    FOMAML: {"inner_lr", "inner_steps", "adapt_steps"},
    ANIL: {"inner_lr", "inner_steps", "adapt_steps", "first_order", "learn_inner_lr"},
    BOIL: {"inner_lr", "inner_steps", "adapt_steps", "first_order", "learn_inner_lr"},
    MetaSGD: {"inner_lr", "inner_steps", "adapt_steps", "first_order"},
}
NAMES = {FOMAML: "fomaml", ANIL: "anil", BOIL: "boil", MetaSGD: "meta_sgd"}
OTHERS = {  # than the defaults
    "inner_lr": 0.1,
    "inner_steps": 3,
    "adapt_steps": 4,
    "first_order": True,
    "learn_inner_lr": "step",
}
every_preset = pytest.mark.parametrize("preset", SETTINGS)
every_case = pytest.mark.parametrize("case", CASES)


def options(preset):
    return {name: value for name, value in OTHERS.items() if name in PARAMETERS[preset]}


def results(algorithm, case):
    network = make_network(case)
    rng = np.random.RandomState(0)
    support, query = (ragged_batch(rng, network, part) for part in ((6, 3, 5), (4, 7, 2)))
    params = make_params(algorithm, network)
    layers = algorithm.learn(network, params, support).layers
    loss, gradient = algorithm.meta_gradient(network, params, support, query)
    return [params.vector, loss, gradient, *(part for layer in layers for part in layer)]


@every_preset
def test_it_is_found_by_name(preset):
    assert ALGORITHMS[NAMES[preset]] is preset


@every_preset
@every_case
@pytest.mark.parametrize("default", [True, False])
def test_it_is_maml_with_its_setting(preset, case, default):
    own = {} if default else options(preset)
    algorithm, plain = preset(**own), MAML(**SETTINGS[preset] | own)
    for part, expected in zip(results(algorithm, case), results(plain, case), strict=True):
        np.testing.assert_array_equal(part, expected)


@every_preset
def test_it_has_the_parameters_that_it_names_and_mamls_other_defaults(preset):
    assert set(preset().get_params()) == PARAMETERS[preset]
    everything = MAML(**SETTINGS[preset])
    assert vars(preset()) == vars(everything)
    assert preset().get_params().items() <= everything.get_params().items()


@every_preset
def test_it_is_cloned_pickled_and_set(preset):
    own = options(preset)
    algorithm = preset(**own)
    for copy in (
        clone(algorithm),
        preset().set_params(**own),
        pickle.loads(pickle.dumps(algorithm)),
    ):
        assert type(copy) is preset
        assert copy.get_params() == own
        assert vars(copy) == vars(algorithm)
    for part, expected in zip(
        results(preset().set_params(**own), "softmax"), results(algorithm, "softmax"), strict=True
    ):
        np.testing.assert_array_equal(part, expected)


@every_preset
def test_its_setting_is_no_parameter(preset):
    name = next(iter(SETTINGS[preset]))
    with pytest.raises(TypeError, match=name):
        preset(**{name: SETTINGS[preset][name]})
    with pytest.raises(ValueError, match=f"Invalid parameter '{name}'"):
        preset().set_params(**{name: SETTINGS[preset][name]})


@every_preset
def test_its_parameters_are_checked(preset, regression):
    for name in PARAMETERS[preset]:
        with pytest.raises(ValueError, match=name):
            regression.meta(preset(**{name: -1.5})).fit(regression.tasks)


@every_preset
def test_its_name_and_its_instance_are_the_same(preset, regression):
    by_name = regression.meta(NAMES[preset]).fit(regression.tasks)
    by_instance = regression.meta(preset()).fit(regression.tasks)
    assert type(by_name.algorithm_) is preset
    np.testing.assert_array_equal(by_name.loss_curve_, by_instance.loss_curve_)
    assert regression.meta(preset()).set_params(algorithm__inner_lr=0.5).algorithm.inner_lr == 0.5


def test_boil_needs_a_hidden_layer(regression):
    meta = MetaLearner(MLPRegressor(hidden_layer_sizes=()), "boil")
    with pytest.raises(ValueError, match="hidden_layer_sizes"):
        meta.fit(regression.tasks)


def test_anil_needs_none(regression):
    """Where the output layer is all, it is MAML."""
    anil, maml = (
        MetaLearner(MLPRegressor(hidden_layer_sizes=()), name, max_iter=10, random_state=0).fit(
            regression.tasks
        )
        for name in ("anil", "maml")
    )
    np.testing.assert_array_equal(anil.loss_curve_, maml.loss_curve_)
