import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.dummy import DummyRegressor
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted

from sklearn_meta import TaskCollection
from sklearn_meta._known_tasks import KnownTasks
from sklearn_meta._learned import Learned
from sklearn_meta._tasks_on_demand import on_demand
from sklearn_meta.algorithms import MAML, BayesianHead
from sklearn_meta.encoding import Encoder
from sklearn_meta.export import as_steps, export
from sklearn_meta.network import TaskWeights

SETTINGS = {  # the estimator, the targets of 12 rows, whether labels are shared
    "one output": (MLPRegressor(hidden_layer_sizes=(5, 4)), 40 + 7 * np.arange(12.0), True),
    "two outputs": (MLPRegressor(hidden_layer_sizes=(5,)), np.arange(24.0).reshape(12, 2), True),
    "no hidden layer": (MLPRegressor(hidden_layer_sizes=()), np.arange(12.0), True),
    "poisson": (MLPRegressor(hidden_layer_sizes=(5,), loss="poisson"), np.arange(12.0), True),
    "two counts": (
        MLPRegressor(hidden_layer_sizes=(5,), loss="poisson"),
        np.arange(24.0).reshape(12, 2),
        True,
    ),
    "binary": (MLPClassifier(hidden_layer_sizes=(5,)), np.array(["no", "yes"] * 6), True),
    "multiclass": (MLPClassifier(hidden_layer_sizes=(5,)), np.array([7, 8, 9] * 4), True),
    "own 5": (MLPClassifier(hidden_layer_sizes=(5,)), np.array([*"abcdeapqapqp"]), False),
    "own 2": (MLPClassifier(hidden_layer_sizes=(5,)), np.array([*"ababababpqpq"]), False),
}
every_setting = pytest.mark.parametrize("setting", SETTINGS)
GROUPS = [0] * 8 + [1] * 4  # with classes of its own, task 0 has 5 of 5, task 1 has 3 of 5
both_algorithms = pytest.mark.parametrize(
    "algorithm", [BayesianHead(), MAML()], ids=["bayes", "maml"]
)


def learn(algorithm, estimator, y, shared, dtype=np.float64, scale=None, **options):
    """The encoder, each task's layers, classes and outputs, and the rows they are of."""
    X = np.random.RandomState(0).standard_normal((12, 3))
    X = (X if scale is None else scale * (X + 1)).astype(dtype)
    tasks = TaskCollection.from_arrays(X, y, GROUPS)
    options |= {"shared_labels": shared}
    encoder, (_, arrays, own) = Encoder.fit_encode(estimator, tasks, **options)
    params = algorithm.init_params(encoder.network, np.random.RandomState(0), encoder.dtype)
    batch = arrays.full_batch(np.arange(2))
    weights = algorithm.learn(encoder.network, params, batch)
    rows = arrays.X  # as the network sees them
    for i in range(2):
        layers = weights.task(i).layers
        mask = None if batch.logit_mask is None else batch.logit_mask[[i]]
        z = encoder.network.outputs(layers, rows[None], mask)[0]
        yield encoder, layers, None if own is None else own[i], z, X


def expected_prediction(encoder, classes, z):
    """What a network's outputs (rows, outputs) say, in the user's terms."""
    mean = encoder.network.loss.mean(z)
    if not encoder.is_classifier:
        return encoder.targets.decode(mean), None
    classes = encoder.targets.classes if classes is None else classes
    proba = np.hstack([1 - mean, mean]) if mean.shape[1] == 1 else mean[:, : len(classes)]
    return classes[proba.argmax(axis=1)], proba


@both_algorithms
@every_setting
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("scale", [None, (7.0, 1e-5, 1e6)], ids=["as they are", "standardised"])
def test_the_exported_mlp_predicts_what_the_network_does(algorithm, setting, dtype, scale):
    """From the rows as they were handed over, whatever the network itself saw."""
    tolerance = 1e-4 if dtype == np.float32 else 1e-10
    options = {} if scale is None else {"scale": scale, "standardize": True}
    for encoder, layers, classes, z, X in learn(algorithm, *SETTINGS[setting], dtype, **options):
        mlp = export(TaskWeights(layers), encoder, classes)
        expected, proba = expected_prediction(encoder, classes, z)
        if proba is None:
            assert mlp.predict(X).shape == expected.shape
            np.testing.assert_allclose(mlp.predict(X), expected, rtol=tolerance)
        else:
            np.testing.assert_array_equal(mlp.predict(X), expected)
            np.testing.assert_allclose(mlp.predict_proba(X), proba, rtol=tolerance, atol=tolerance)
        *hidden, head = (coefs.dtype for coefs in mlp.coefs_)
        assert set(hidden) <= {np.dtype(dtype)}
        assert head == (np.float64 if proba is None else dtype)


@both_algorithms
@every_setting
def test_of_a_task_that_is_kept_as_its_rows(algorithm, setting):
    estimator, y, shared = SETTINGS[setting]
    X = np.random.RandomState(0).standard_normal((12, 3))
    tasks = TaskCollection.from_arrays(X, y, GROUPS)
    encoder, encoded = Encoder.fit_encode(estimator, tasks, shared_labels=shared)
    params = algorithm.init_params(encoder.network, np.random.RandomState(0), encoder.dtype)
    learned = Learned(encoder, algorithm, params, encoder.network)
    known = learned.learn(encoded)
    ids, arrays, classes = encoded
    rows = on_demand(learned, arrays, known.parts[0].batch.adapted)
    for i in range(2):
        found = learned.export(KnownTasks.of(ids, rows, classes), i)
        expected = learned.export(known, i)
        pairs = zip(found.coefs_, expected.coefs_, strict=True)
        for coefs, others in pairs:
            np.testing.assert_allclose(coefs, others, rtol=1e-9, atol=1e-12)
        assert getattr(found, "classes_", [0])[0] == getattr(expected, "classes_", [0])[0]


def test_two_of_five_own_classes():
    """A logit for the second of the two, as scikit-learn's MLPClassifier has it."""
    y = np.array([*"abcdeabcpqpq"])
    estimator = MLPClassifier(hidden_layer_sizes=(5,))
    (_, second) = learn(BayesianHead(), estimator, y, False)
    encoder, layers, classes, z, X = second
    mlp = export(TaskWeights(layers), encoder, classes)
    assert encoder.network.n_outputs == 5
    assert mlp.classes_.tolist() == ["p", "q"]
    assert mlp.coefs_[-1].shape == (5, 1)
    odds = np.exp(z[:, 0] - z[:, 1])
    np.testing.assert_allclose(mlp.predict_proba(X)[:, 0], odds / (1 + odds), rtol=1e-10)


@every_setting
def test_it_is_a_fitted_clone_of_its_own(setting):
    estimator, y, shared = SETTINGS[setting]
    parameters = estimator.get_params()
    exports = []
    for encoder, layers, classes, *_ in learn(MAML(), estimator, y, shared):
        before = [(weights.copy(), bias.copy()) for weights, bias in layers]
        mlp = export(TaskWeights(layers), encoder, classes)
        exports.append(mlp)
        check_is_fitted(mlp)
        assert type(mlp) is type(estimator)
        assert mlp is not estimator
        assert mlp.get_params() == parameters
        assert mlp.n_features_in_ == 3
        for coefs, intercepts, layer in zip(mlp.coefs_, mlp.intercepts_, layers, strict=True):
            assert not np.shares_memory(coefs, layer[0])
            assert not np.shares_memory(intercepts, layer[1])
            coefs[...], intercepts[...] = 0, 0
        for layer, kept in zip(layers, before, strict=True):
            np.testing.assert_array_equal(layer[0], kept[0])
            np.testing.assert_array_equal(layer[1], kept[1])
    first, second = exports
    assert not any(map(np.shares_memory, first.coefs_, second.coefs_))
    assert not hasattr(estimator, "coefs_")


@every_setting
def test_it_has_what_a_fitted_mlp_has(setting):
    estimator, y, shared = SETTINGS[setting]
    encoder, layers, classes, _, X = next(learn(MAML(), estimator, y, shared))
    mlp = export(TaskWeights(layers), encoder, classes)
    fitted = clone(estimator).set_params(solver="sgd", learning_rate_init=1e-9)
    rows = slice(None) if classes is None else np.isin(y, classes)
    options = {"classes": np.unique(y[rows])} if encoder.is_classifier else {}
    fitted.partial_fit(X[rows], y[rows], **options)
    for name in ("n_layers_", "n_outputs_", "out_activation_", "n_features_in_"):
        assert getattr(mlp, name) == getattr(fitted, name)
    assert [coefs.shape for coefs in mlp.coefs_] == [coefs.shape for coefs in fitted.coefs_]
    if encoder.is_classifier:
        np.testing.assert_array_equal(mlp.classes_, fitted.classes_)


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
@pytest.mark.parametrize(
    "options",
    [{}, {"batch_size": 32}, {"early_stopping": True}, {"warm_start": True}, {"verbose": True}],
    ids=str,
)
@pytest.mark.parametrize("Estimator", [MLPRegressor, MLPClassifier])
def test_it_warns_and_prints_nothing_whatever_the_parameters(Estimator, options, solver, capsys):
    estimator = Estimator(hidden_layer_sizes=(5,), solver=solver, **options)
    y = np.array([7, 8, 9] * 4)
    for encoder, layers, classes, _, X in learn(MAML(), estimator, y, True):
        mlp = export(TaskWeights(layers), encoder, classes)
        assert mlp.get_params() == estimator.get_params()
        assert mlp.predict(X).shape == (12,)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    "setting", ["one output", "two outputs", "poisson", "binary", "multiclass"]
)
@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_training_can_go_on_from_the_exported_weights(setting, solver):
    """One gradient step of scikit-learn's own, from where the network is."""
    estimator, y, shared = SETTINGS[setting]
    estimator = clone(estimator).set_params(solver=solver, learning_rate_init=1e-6, alpha=0)
    encoder, layers, classes, _, X = next(learn(MAML(), estimator, y, shared))
    mlp = export(TaskWeights(layers), encoder, classes)
    before = [coefs.copy() for coefs in mlp.coefs_]
    mlp.partial_fit(X, y)
    for coefs, old in zip(mlp.coefs_, before, strict=True):
        np.testing.assert_allclose(coefs, old, atol=1e-3)
    assert any(np.any(coefs != old) for coefs, old in zip(mlp.coefs_, before, strict=True))


def test_exporting_leaves_numpys_global_random_state():
    encoder, layers, classes, *_ = next(learn(MAML(), *SETTINGS["one output"]))
    np.random.seed(0)  # noqa: NPY002
    expected = np.random.random_sample()  # noqa: NPY002
    np.random.seed(0)  # noqa: NPY002
    export(TaskWeights(layers), encoder, classes)
    assert np.random.random_sample() == expected  # noqa: NPY002


def make_pipeline_problem():
    frame = pd.DataFrame(
        5 + 2 * np.random.RandomState(0).standard_normal((12, 3)), columns=[*"uvw"]
    )
    scaler = StandardScaler().set_output(transform="pandas")
    pipeline = Pipeline([("scale", scaler), ("net", MLPRegressor(hidden_layer_sizes=(5,)))])
    tasks = TaskCollection.from_arrays(frame, 40 + 7 * np.arange(12.0), GROUPS)
    encoder, _ = Encoder.fit_encode(pipeline, tasks, feature_names=[*"uvw"])
    params = MAML().init_params(encoder.network, np.random.RandomState(0), encoder.dtype)
    return frame, pipeline, encoder, encoder.network.layers(params.vector)


def test_a_pipeline_takes_the_users_rows():
    frame, pipeline, encoder, layers = make_pipeline_problem()
    fitted = export(TaskWeights(layers), encoder)
    assert isinstance(fitted, Pipeline)
    assert list(fitted.named_steps) == ["scale", "net"]
    rows = StandardScaler().fit_transform(frame)
    z = encoder.network.outputs(layers, rows[None])[0]
    expected = encoder.targets.decode(z)
    np.testing.assert_allclose(fitted.predict(frame), expected, rtol=1e-12)
    assert fitted["net"].feature_names_in_.tolist() == ["u", "v", "w"]
    assert not hasattr(pipeline["scale"], "mean_")


def test_a_pipeline_shares_no_step_with_the_encoder_or_another_export():
    _, _, encoder, layers = make_pipeline_problem()
    first, second = export(TaskWeights(layers), encoder), export(TaskWeights(layers), encoder)
    scalers = [encoder.features.steps["scale"], first["scale"], second["scale"]]
    assert len(set(map(id, scalers))) == 3
    assert not np.shares_memory(first["scale"].mean_, second["scale"].mean_)


def test_a_pipeline_of_the_mlp_alone_stays_one():
    pipeline = make_pipeline(MLPRegressor(hidden_layer_sizes=(5,)))
    encoder, layers, classes, z, X = next(learn(MAML(), pipeline, np.arange(12.0), True))
    fitted = export(TaskWeights(layers), encoder, classes)
    assert isinstance(fitted, Pipeline)
    np.testing.assert_allclose(fitted.predict(X), encoder.targets.decode(z), rtol=1e-12)


class Constant:
    """A task of another kind."""

    value = 7.0


def test_tasks_of_another_kind_are_exported_once_it_is_said_how():
    _, _, encoder, _ = make_pipeline_problem()
    with pytest.raises(TypeError, match="tasks of type Constant cannot be exported; register"):
        export(Constant(), encoder)
    as_steps.register(
        Constant,
        lambda task, encoder, classes: [
            (encoder.step_name, DummyRegressor(strategy="constant", constant=task.value))
        ],
    )
    fitted = export(Constant(), encoder)
    assert list(fitted.named_steps) == ["scale", "net"]
    assert fitted["net"].constant == 7
