"""What every algorithm must do, whatever it is: the contract, by the package's own checker."""

import pytest
from helpers import PRESETS

from sklearn_meta.algorithms import (
    ALGORITHMS,
    ANIL,
    CAVIA,
    MAML,
    DeepKernelGP,
    ImplicitMAML,
    Joint,
    MetaSGD,
    NeuralProcess,
    ProtoMAML,
    Reptile,
)
from sklearn_meta.testing import check_algorithm

SMALL = {  # an inner rate at which adaptation goes far, few parameters, and none that starts at 0
    "inner_lr": 0.1,
    "init_penalty": 0.5,
    "encoder_layer_sizes": (4, 3),
    "representation_size": 3,
}
OTHER_SETTINGS = [  # that go another way through an algorithm
    MAML(inner_lr=0.1, inner_steps=3, learn_inner_lr="step", multi_step_iter=10),
    MAML(inner_lr=0.1, inner_steps=3, first_order=True, multi_step_iter=10),
    MAML(inner_lr=0.1, inner_steps=2, first_order=True, learn_inner_lr="layer", multi_step_iter=10),
    MAML(inner_lr=0.1, inner_steps=2, first_order=True, learn_inner_lr="step", adapt_layers="body"),
    MAML(inner_steps=0, first_order=True, learn_inner_lr="parameter", adapt_steps=2),
    ANIL(inner_lr=0.1, learn_inner_lr="layer", first_order=True),
    MetaSGD(inner_lr=0.1, inner_steps=2, first_order=True),
    ProtoMAML(inner_lr=0.1, first_order=True),
    CAVIA(inner_lr=0.3, inner_steps=3, n_context=2),
    CAVIA(inner_lr=0.3, inner_steps=3, first_order=True),
    Reptile(inner_lr=0.1, inner_steps=5, inner_batch_size=3),
    ImplicitMAML(cg_steps=1),
    ImplicitMAML(penalty=0.1, cg_steps=3),  # systems that are not positive definite
    Joint(adapt_steps=3, inner_lr=0.1),
    DeepKernelGP(kernel="linear"),
    NeuralProcess(encoder_layer_sizes=()),
]


def make_algorithm(name):
    """With those of the small parameters that it has."""
    algorithm = ALGORITHMS[name]()
    own = algorithm.get_params()
    return algorithm.set_params(**{name: SMALL[name] for name in SMALL if name in own})


CHECKS = {
    f"{name}-{check_name}": check
    for name in ALGORITHMS
    for check_name, check in check_algorithm(make_algorithm(name), generate_only=True)
}


@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
def test_it_keeps_the_contract(check):
    check()


@pytest.mark.parametrize("algorithm", OTHER_SETTINGS, ids=str)
def test_it_keeps_the_contract_in_other_settings(algorithm):
    check_algorithm(algorithm)


@pytest.mark.parametrize("name", sorted(set(ALGORITHMS) - set(PRESETS)))
def test_it_keeps_the_contract_as_it_is_by_default(name):
    check_algorithm(ALGORITHMS[name]())


def test_names():
    assert {name: cls.__name__ for name, cls in ALGORITHMS.items()} == {
        "bayesian_head": "BayesianHead",
        "deep_kernel_gp": "DeepKernelGP",
        "joint": "Joint",
        "maml": "MAML",
        "prototypes": "Prototypes",
        "ridge_head": "RidgeHead",
        "neural_process": "NeuralProcess",
        "fomaml": "FOMAML",
        "anil": "ANIL",
        "boil": "BOIL",
        "meta_sgd": "MetaSGD",
        "reptile": "Reptile",
        "implicit_maml": "ImplicitMAML",
        "cavia": "CAVIA",
        "proto_maml": "ProtoMAML",
    }
