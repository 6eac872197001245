"""Planted faults are found, each by the check that is meant to; what is right passes."""

from numbers import Real

import numpy as np
import pytest
from sklearn.neural_network import MLPRegressor

from sklearn_meta import MetaLearner
from sklearn_meta.algorithms import (
    ALGORITHMS,
    BOIL,
    CAVIA,
    FOMAML,
    MAML,
    BayesianHead,
    ImplicitMAML,
    Interval,
    Joint,
    MetaAlgorithm,
    NeuralProcess,
    Prototypes,
    Reptile,
    RidgeHead,
)
from sklearn_meta.algorithms._bayesian_tasks import BayesianTasks
from sklearn_meta.datasets import Sinusoids
from sklearn_meta.network import TaskWeights
from sklearn_meta.testing import check_algorithm


class Residual(MetaAlgorithm):
    """An outsider's: the last bias moves by the support's mean residual, shrunk."""

    losses = ("squared_error",)
    _parameter_constraints = {"shrinkage": [Interval(Real, 0, None, closed="neither")]}

    def __init__(self, *, shrinkage=1.0):
        self.shrinkage = shrinkage

    def init_params(self, network, random_state, dtype):
        self._check_loss(network, "squared error")
        return super().init_params(network, random_state, dtype)

    def learn(self, network, params, support):
        *hidden, (weights, bias) = network.layers(params.vector)
        z = network.outputs([*hidden, (weights, bias)], support.X)
        moved = (self.shares(support) * (support.y - z)).sum(axis=1)
        return TaskWeights([*hidden, (weights, bias + moved)])

    def meta_gradient(self, network, params, support, query):
        at = network.run(self.learn(network, params, support).layers, query)
        delta = at.deltas[-1] / len(query.X)
        of_support = -self.shares(support) * delta.sum(axis=1, keepdims=True)
        deltas = np.concatenate([of_support, delta], axis=1)
        layers = network.layers(params.vector)
        inputs = network.hidden(layers, support.join(query).X)
        of_hidden = network.hidden_deltas(layers, inputs, deltas @ layers[-1][0].T)
        return at.losses.mean(), network.gradient(inputs, [*of_hidden, deltas])

    def shares(self, support):
        total = support.weight.sum(axis=1, keepdims=True) + float(self.shrinkage)
        return (support.weight / total)[..., None]  # (tasks, rows, 1)


class WrongSign(Residual):
    def meta_gradient(self, *episode):
        loss, gradient = super().meta_gradient(*episode)
        return loss, -gradient


class WrongFactor(Residual):
    def meta_gradient(self, *episode):
        loss, gradient = super().meta_gradient(*episode)
        return loss, 3 * gradient


class WrongArray(MAML):
    """The gradient at the rates is left out."""

    def meta_gradient(self, network, params, support, query):
        loss, gradient = super().meta_gradient(network, params, support, query)
        gradient[network.layout.size :] = 0
        return loss, gradient


class FirstOrderUnsaid(FOMAML):
    exact_gradient = True


class NoDefinition(Residual):
    exact_gradient = False


class WrongDefinition(Reptile):
    def gradient_definition(self, *episode):
        return self.inner_lr * super().gradient_definition(*episode)


class WrongDirection(ImplicitMAML):
    """The solution of another system than it says."""

    def gradient_definition(self, *episode):
        return ImplicitMAML(penalty=2 * self.penalty).gradient_definition(*episode)


class HeldWeightsMove(RidgeHead):
    def meta_gradient(self, network, params, support, query):
        loss, gradient = super().meta_gradient(network, params, support, query)
        gradient[network.layout.slices[network.names[-1][0]]] = 1
        return loss, gradient


class WrongShape(Residual):
    def meta_gradient(self, *episode):
        loss, gradient = super().meta_gradient(*episode)
        return loss, gradient[None]


class WrongSchedule(Residual):
    def at_step(self, step):
        return self if step else WrongSign()


class NoSchedule(Residual):
    def at_step(self, step):
        return None


def all_count(batch):
    return batch._replace(weight=np.ones_like(batch.weight))


class PaddingInLoss(Residual):
    def meta_gradient(self, network, params, support, query):
        return super().meta_gradient(network, params, support, all_count(query))


class PaddingInLearn(Residual):
    def shares(self, support):
        return super().shares(all_count(support))


class PaddingInLearnAlone(Residual):
    """With a gradient that belongs to it: that of what is learned without the padding."""

    def learn(self, network, params, support):
        return super().learn(network, params, all_count(support))

    def meta_gradient(self, *episode):
        return Residual(shrinkage=self.shrinkage).meta_gradient(*episode)


class SumOverTasks(Residual):
    def meta_gradient(self, network, params, support, query):
        loss, gradient = super().meta_gradient(network, params, support, query)
        return loss * len(query.X), gradient * len(query.X)


class FirstTaskIsSpecial(Residual):
    """Of a batch of several, it is the first alone that counts twice."""

    def meta_gradient(self, network, params, support, query):
        loss, gradient = super().meta_gradient(network, params, support, query)
        first = (
            type(batch)(*(p if p is None else p[:1] for p in batch)) for batch in (support, query)
        )
        more, further = super().meta_gradient(network, params, *first)
        return (loss + more) / 2, (gradient + further) / 2


class FirstRowIsSpecial(Residual):
    def shares(self, support):
        shares = super().shares(support)
        shares[:, 0] *= 2
        return shares


class RowsAreCounted(Residual):
    """By their number, not by their weights."""

    def shares(self, support):
        return super().shares(support._replace(weight=(support.weight > 0) * 1.0))


class NoPrior(Residual):
    def prior(self, network, params):
        return TaskWeights(
            [(2 * weights, bias) for weights, bias in super().prior(network, params).layers]
        )


class AbsentClassesCount(RidgeHead):
    """What a class is takes from how many there are."""

    def learn(self, network, params, support):
        *hidden, (weights, bias) = super().learn(network, params, support).layers
        return TaskWeights([*hidden, (weights - weights.mean(axis=-1, keepdims=True), bias)])

    def meta_gradient(self, *episode):
        return RidgeHead(**self.get_params()).meta_gradient(*episode)


class WritesToParams(Residual):
    def meta_gradient(self, network, params, support, query):
        params.vector[:] += 0
        return super().meta_gradient(network, params, support, query)


class ChangesItself(Residual):
    def calibrate(self, network, params, held_out):
        self.shrinkage = 1
        return params


class DoubleGradient(Residual):
    def meta_gradient(self, *episode):
        loss, gradient = super().meta_gradient(*episode)
        return loss, gradient.astype(float)


class DoubleOutputs(Residual):
    def learn(self, *episode):
        *hidden, (weights, bias) = super().learn(*episode).layers
        return TaskWeights([*hidden, (weights.astype(float), bias)])

    def meta_gradient(self, *episode):
        return Residual().meta_gradient(*episode)


class DoubleBias(Residual):
    """Which the outputs, summed in place, do not show."""

    def learn(self, *episode):
        *hidden, (weights, bias) = super().learn(*episode).layers
        return TaskWeights([*hidden, (weights, bias.astype(float))])


class DoubleByParameter(Residual):
    def learn(self, *episode):
        *hidden, (weights, bias) = super().learn(*episode).layers
        return TaskWeights([*hidden, (self.shrinkage * weights, bias)])

    def meta_gradient(self, *episode):
        return Residual().meta_gradient(*episode)

    def prior(self, *given):
        *hidden, (weights, bias) = super().prior(*given).layers
        return TaskWeights([*hidden, (self.shrinkage * weights, bias)])


class Wrapped:
    """Adapted tasks that are all right, for faults to be planted in."""

    def __init__(self, weights):
        self.weights = weights

    def outputs(self, network, X, logit_mask=None):
        return self.weights.outputs(network, X, logit_mask)

    def take(self, tasks):
        return type(self)(self.weights.take(tasks))

    def task(self, number):
        return self.weights.task(number)

    def finite(self, n_tasks):
        return self.weights.finite(n_tasks)

    @classmethod
    def concatenate(cls, parts):
        return cls(TaskWeights.concatenate([part.weights for part in parts]))


class TakesInOrder(Wrapped):
    def take(self, tasks):
        return super().take(np.sort(tasks))


class JoinsBackwards(Wrapped):
    @classmethod
    def concatenate(cls, parts):
        return super().concatenate(parts[::-1])


class NeverDiverges(Wrapped):
    def finite(self, n_tasks):
        return np.ones(n_tasks, bool)


class CannotBePickled(Wrapped):
    def __init__(self, weights):
        super().__init__(weights)
        self.function = lambda: None


class CannotBeTaken:
    def __init__(self, weights):
        self.weights = weights

    def outputs(self, network, X, logit_mask=None):
        return self.weights.outputs(network, X, logit_mask)


class TasksAreTheFirst(Wrapped):
    def task(self, number):
        return super().task(0)


class Unregistered(Wrapped):
    def task(self, number):
        return type(self)(self.weights.task(number))


class Returns(Residual):
    """What is learned in another wrapping."""

    _parameter_constraints = {"kind": [callable]}

    def __init__(self, *, kind=Wrapped):
        super().__init__()
        self.kind = kind

    def learn(self, *episode):
        return self.kind(super().learn(*episode))

    def meta_gradient(self, *episode):
        return Residual().meta_gradient(*episode)


class FlatStd(BayesianTasks):
    def std(self, network, X, logit_mask=None):
        return super().std(network, X, logit_mask)[..., 0]


class NegativeStd(BayesianTasks):
    def std(self, network, X, logit_mask=None):
        return -super().std(network, X, logit_mask)


class StdOfTheBatch(BayesianTasks):
    def std(self, network, X, logit_mask=None):
        std = super().std(network, X, logit_mask)
        return np.broadcast_to(std.max(axis=0), std.shape)


class StdFails(BayesianTasks):
    def std(self, network, X, logit_mask=None):
        raise ValueError("operands could not be broadcast together")


class DoubleStd(BayesianTasks):
    def std(self, network, X, logit_mask=None):
        return super().std(network, X, logit_mask).astype(float)


class Head(BayesianHead):
    """With other adapted tasks."""

    _parameter_constraints = {"kind": [callable]}

    def __init__(self, *, kind=BayesianTasks):
        super().__init__()
        self.kind = kind

    def learn(self, *episode):
        return self.kind(*super().learn(*episode))


class Positional(MetaAlgorithm):
    _parameter_constraints = {"rate": [Interval(Real, 0, None, closed="left")]}

    def __init__(self, rate=1.0):
        self.rate = rate

    learn = meta_gradient = None


class Unconstrained(Residual):
    _parameter_constraints = {}


class OutOfBounds(Residual):
    pass


class SaysNothingOfPoisson(Residual):
    def init_params(self, network, random_state, dtype):
        return MetaAlgorithm.init_params(self, network, random_state, dtype)


class NotTheNetworks(Residual):
    def init_params(self, network, random_state, dtype):
        random_state.uniform()
        return super().init_params(network, random_state, dtype)


class DrawsOfItsOwn(Residual):
    def init_params(self, network, random_state, dtype):
        self._check_loss(network, "squared error")
        return super().init_params(network, np.random.mtrand._rand, dtype)


class RefusesAll(Residual):
    def init_params(self, network, random_state, dtype):
        raise ValueError("not today")


FAULTS = [  # an algorithm, the check that finds it, and what it says
    (WrongSign(), "meta_gradient", "is the negative of .*: is the sign right?"),
    (WrongFactor(), "meta_gradient", "is 3 times .*: a sum for a mean, or a factor left out?"),
    (WrongArray(inner_lr=0.1, learn_inner_lr="step"), "meta_gradient", "of inner_lr"),
    (WrongShape(), "meta_gradient", r"has shape \(1, 31\), the parameters \(31,\)"),
    (FirstOrderUnsaid(inner_lr=0.1), "meta_gradient", "says so by exact_gradient = False"),
    (NoDefinition(), "meta_gradient", "there is no gradient_definition"),
    (WrongDefinition(), "meta_gradient", "is 50 times gradient_definition"),
    (WrongDirection(), "meta_gradient", "off by up to .* from gradient_definition"),
    (HeldWeightsMove(), "meta_gradient", "meta-gradient of 3 of them is not 0"),
    (WrongSchedule(), "at_step", "is the negative of"),
    (NoSchedule(), "at_step", "gives None, which is no MetaAlgorithm"),
    (PaddingInLoss(), "padded_meta_gradient", "the loss of a padded batch of tasks is off"),
    (PaddingInLearn(), "padded_meta_gradient", "the loss of a padded batch of tasks is off"),
    (SumOverTasks(), "padded_meta_gradient", "the loss of a padded batch of tasks is off"),
    (FirstTaskIsSpecial(), "padded_meta_gradient", "the loss of a padded batch"),
    (PaddingInLearnAlone(), "padded_learn", "task 0 of a padded batch"),
    (FirstRowIsSpecial(), "order_of_rows_in_meta_gradient", "with the rows in another order"),
    (RowsAreCounted(), "row_weights", "from a row of weight 2 is off .* from the row twice"),
    (NoPrior(), "no_support_rows", r"from no support rows is off .* from prior\(network, params\)"),
    (AbsentClassesCount(), "absent_classes", "a task with 2 of 4 classes is off"),
    (WritesToParams(), "inputs_are_left", "ValueError was raised: .* read-only"),
    (ChangesItself(), "inputs_are_left", "'shrinkage': 1}"),
    (DoubleGradient(), "dtype", "the meta-gradient: float64 for inputs of float32"),
    (DoubleOutputs(), "dtype", "outputs of adapted tasks: float64 for inputs of float32"),
    (DoubleBias(), "dtype", "array 5 of the layers: float64 for inputs of float32"),
    (DoubleByParameter(), "numpy_parameters", "float64 for inputs of float32"),
    (Returns(kind=TakesInOrder), "adapted_tasks", r"outputs of take\(\[2 0 1 0\]\) is off"),
    (Returns(kind=JoinsBackwards), "adapted_tasks", "outputs of concatenate is off"),
    (Returns(kind=CannotBeTaken), "adapted_tasks", "is no AdaptedTasks: it needs .* take"),
    (Returns(kind=NeverDiverges), "diverged_tasks", r"finite\(3\) is \[ True  True  True\]"),
    (Returns(kind=CannotBePickled), "pickle", "pickle"),
    (Returns(kind=TasksAreTheFirst), "adapted_tasks", r"outputs of task\(1\) is off"),
    (Returns(kind=Unregistered), "export", "cannot be exported; register how"),
    (Head(kind=FlatStd), "std", r"std has shape \(3, 7\), the outputs \(3, 7, 1\)"),
    (Head(kind=NegativeStd), "std", "std is negative"),
    (Head(kind=StdOfTheBatch), "std", "std of task 0 of a padded batch is off"),
    (Head(kind=StdFails), "std", "ValueError was raised: operands could not be broadcast"),
    (Head(kind=DoubleStd), "dtype", "std: float64 for inputs of float32"),
    (Positional(), "estimator_interface", "parameter rate of Positional is not keyword-only"),
    (Unconstrained(), "estimator_interface", r"constraints are of \[\], .* \['shrinkage'\]"),
    (OutOfBounds(shrinkage=-1.0), "estimator_interface", "'shrinkage' parameter of OutOfBounds"),
    (SaysNothingOfPoisson(), "losses", "losses has no 'poisson', but init_params raises no"),
    (NotTheNetworks(), "initial_weights", "are not those that network.init_vector draws first"),
    (DrawsOfItsOwn(), "initial_weights", "other numbers from the same random_state"),
    (RefusesAll(), "initial_weights", "ValueError was raised: not today"),
]


def name_of(algorithm):
    return getattr(algorithm, "kind", type(algorithm)).__name__


@pytest.mark.parametrize(
    ("algorithm", "check", "words"), FAULTS, ids=[name_of(fault) for fault, *_ in FAULTS]
)
def test_a_planted_fault_is_found_by_the_check_that_is_meant_to(algorithm, check, words):
    with pytest.raises(AssertionError, match=words) as raised:
        check_algorithm(algorithm)
    assert f"{algorithm}, check {check}" in str(raised.value)


class ClippedInMetaLearner(Wrapped):
    """What is predicted is not what is exported, to which `task` alone does not witness."""

    def outputs(self, network, X, logit_mask=None):
        z = super().outputs(network, X, logit_mask)
        return z + 1e-3 if X.shape[1] == 12 else z  # the rows of a task that is exported


def test_an_export_that_differs_is_found():
    with pytest.raises(AssertionError, match=r"check export, [^:]*:\nwhat adapt.* is off"):
        check_algorithm(Returns(kind=ClippedInMetaLearner))


@pytest.mark.parametrize("algorithm", [Residual(), Residual(shrinkage=0.1), Returns(), Head()])
def test_what_is_right_passes(algorithm):
    assert check_algorithm(algorithm) is None


@pytest.mark.filterwarnings("error")  # those, too, that other tests let pass
def test_a_check_of_what_is_right_does_not_warn_its_user():
    checks = dict(check_algorithm(MAML(), generate_only=True))
    exports = [check for name, check in checks.items() if "export" in name]
    assert exports
    for check in exports:
        check()


def test_an_outsiders_algorithm_needs_no_registration():
    assert Residual not in ALGORITHMS.values()
    tasks = Sinusoids(n_rows=20).sample(30, random_state=0)
    shifted = [(X, y + 5 * i) for i, (X, y) in enumerate(tasks)]
    mlp = MLPRegressor(hidden_layer_sizes=(10,))
    meta = MetaLearner(mlp, algorithm=Residual(), max_iter=50, random_state=0).fit(shifted)
    X, y = tasks[0]
    y = y + 1000
    exported = meta.adapt(X[:10], y[:10])
    np.testing.assert_allclose(exported.predict(X), meta.fit_adapt(X[:10], y[:10]).predict(X))
    assert abs(exported.predict(X[10:]).mean() - 1000) < 100


def test_an_algorithm_that_changes_itself_is_left_as_it_was():
    algorithm = ChangesItself()
    before = vars(algorithm).copy()
    with pytest.raises(AssertionError):
        check_algorithm(algorithm)
    assert vars(algorithm) == before


def test_checks_are_generated_without_being_run():
    checks = list(check_algorithm(RefusesAll(), generate_only=True))
    names = [name for name, _ in checks]
    assert len(set(names)) == len(names) > 40
    failing = dict(checks)["initial_weights[squared_error-tanh-4x3]"]
    with pytest.raises(AssertionError, match="not today"):
        failing()


def test_a_failure_names_algorithm_check_and_case():
    checks = dict(check_algorithm(WrongSign(shrinkage=0.5), generate_only=True))
    with pytest.raises(AssertionError) as raised:
        checks["meta_gradient[two_outputs-relu-5]"]()
    first, *words = str(raised.value).splitlines()
    assert first == (
        "WrongSign(shrinkage=0.5), check meta_gradient, loss='squared_error', 2 output(s), "
        "hidden_layer_sizes=(5,), activation='relu':"
    )
    assert words[0].startswith("the meta-gradient is off by up to")
    assert "central differences of the loss" in words[0]


def cases_of(algorithm, **options):
    names = [name for name, _ in check_algorithm(algorithm, generate_only=True, **options)]
    return {name.partition("[")[2] for name in names if name.startswith("meta_gradient")}


def test_what_an_algorithm_cannot_do_is_left_out():
    assert not any("linear" in case for case in cases_of(BOIL()))
    assert any("linear" in case for case in cases_of(MAML()))
    assert {case.split("-")[0] for case in cases_of(Residual())} == {"squared_error", "two_outputs"}


@pytest.mark.parametrize("algorithm", [MAML(), CAVIA()])
def test_classifier_asks_for_one_kind(algorithm):
    classes, numbers = (cases_of(algorithm, classifier=kind) for kind in (True, False))
    assert classes | numbers == cases_of(algorithm)
    assert not classes & numbers
    assert {case.split("-")[0] for case in numbers} == {"squared_error", "two_outputs", "poisson"}


@pytest.mark.parametrize(("algorithm", "classifier"), [(Residual(), True), (Prototypes(), False)])
@pytest.mark.parametrize("generate_only", [True, False])
def test_a_kind_that_an_algorithm_does_not_learn_is_an_error(algorithm, classifier, generate_only):
    with pytest.raises(ValueError, match=rf"{algorithm!r}.*has no loss of .*; its losses are"):
        check_algorithm(algorithm, classifier, generate_only)


def test_a_class_is_an_error():
    with pytest.raises(TypeError, match="takes an instance, got the class Joint"):
        check_algorithm(Joint)


class WrongEntry(NeuralProcess):
    """One entry of the encoder's thousands is off."""

    def meta_gradient(self, network, params, support, query):
        loss, gradient = super().meta_gradient(network, params, support, query)
        gradient[params.layout.slices["encoder"].start + 1234] += 0.1
        return loss, gradient


def test_one_entry_of_thousands_is_found():
    with pytest.raises(AssertionError, match="the entries that differ are of encoder"):
        check_algorithm(WrongEntry())


@pytest.mark.parametrize(
    ("algorithm", "options", "error", "match"),
    [
        (None, {}, TypeError, "algorithm must be a MetaAlgorithm, got None"),
        ("maml", {}, TypeError, "algorithm must be a MetaAlgorithm, got 'maml'"),
        (MAML(), {"classifier": "yes"}, ValueError, "classifier must be True, False or None"),
    ],
)
def test_what_cannot_be_checked(algorithm, options, error, match):
    with pytest.raises(error, match=match):
        check_algorithm(algorithm, **options)
