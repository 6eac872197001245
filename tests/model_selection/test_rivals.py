import numpy as np
import pytest
from conftest import make_problem
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from sklearn_meta import MetaLearner
from sklearn_meta.baselines import _mixed
from sklearn_meta.model_selection import few_shot_curve
from sklearn_meta.model_selection._rivals import auto_baselines

ALL = ["pooled", "shifted", "mixed", "local", "stacked"]
EXPECTED = {
    "regression": ALL,
    "multi-output": [name for name in ALL if name != "stacked"],
    "poisson": ALL,
    "binary": ALL,
    "multiclass": ALL,
    "own labels": ["local"],
}


@pytest.fixture(autouse=True)
def quick_mixed(monkeypatch):
    """A stack's mixed model takes 5 meta-steps: how well it predicts is not judged here."""
    monkeypatch.setitem(_mixed.TRAINING, "max_iter", 5)


@pytest.mark.parametrize("kind", EXPECTED)
def test_every_kind_of_target_has_its_baselines(kind):
    problem = make_problem(kind)
    found = auto_baselines(problem.meta(), problem.tasks, 0)
    assert list(found) == EXPECTED[kind]


@pytest.mark.parametrize("kind", [kind for kind in EXPECTED if kind != "own labels"])
def test_each_of_them_learns(kind):
    problem = make_problem(kind)
    baselines = auto_baselines(problem.meta(), problem.tasks, 0)
    for each in baselines.values():  # quickly: how well is not judged here
        names = [n for n in each.get_params() if n.endswith("max_iter")]
        few = {n: 20 for n in names if n == "max_iter" or "boosting" in n}
        each.set_params(**few)
    curve = few_shot_curve(
        problem.meta(),
        problem.tasks,
        n_shots=(0, 5),
        cv=2,
        n_repeats=1,
        baselines=baselines,
        random_state=0,
    )
    assert np.isfinite(curve.scores[curve.scoring[0]]).all()


def test_the_mixed_model_is_the_meta_learner_without_a_hidden_layer():
    problem = make_problem("regression")
    meta = problem.meta("maml", meta_batch_size=5, n_shots=3, task_feature="store")
    mixed = auto_baselines(meta, problem.tasks, 7)["mixed"]
    assert mixed.estimator.hidden_layer_sizes == ()
    assert (mixed.algorithm, mixed.task_feature, mixed.random_state) == ("bayesian_head", None, 7)
    assert (mixed.meta_batch_size, mixed.n_shots) == (5, 3)
    assert meta.estimator.hidden_layer_sizes == (8,)
    linear = MetaLearner(MLPRegressor(hidden_layer_sizes=()))
    assert "mixed" not in auto_baselines(linear, problem.tasks, 0)
    piped = MetaLearner(make_pipeline(StandardScaler(), MLPRegressor()))
    assert auto_baselines(piped, problem.tasks, 0)["mixed"].estimator[-1].hidden_layer_sizes == ()


@pytest.mark.parametrize("estimator", [LinearRegression(), LogisticRegression()])
def test_what_is_no_meta_learner_has_them_too(estimator):
    problem = make_problem("binary" if isinstance(estimator, LogisticRegression) else "regression")
    assert list(auto_baselines(estimator, problem.tasks, 0)) == ALL


def test_the_steps_before_the_network_are_before_every_baseline(task_frame, regression):
    frame = task_frame.assign(word=np.where(task_frame["a"] > 0, "warm", "cold"))
    frame.loc[::7, "b"] = np.nan
    columns = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["word"]), remainder=SimpleImputer()
    )
    meta = clone(regression.meta())
    meta.set_params(
        estimator=make_pipeline(columns, StandardScaler(), MLPRegressor(hidden_layer_sizes=(8,)))
    )
    X, y, groups = frame[["a", "b", "c", "word"]], frame["y"], frame["store"]
    curve = few_shot_curve(meta, X, y, groups=groups, n_shots=(0, 3), cv=2, n_repeats=1)
    assert curve.contestants == ["MetaLearner", *ALL]
    assert np.isfinite(curve.scores["r2"]).all()


def test_a_classifier_is_beside_classifiers():
    problem = make_problem("multiclass")
    found = auto_baselines(MetaLearner(MLPClassifier()), problem.tasks, 0)
    assert all(hasattr(each, "predict_proba") or name == "mixed" for name, each in found.items())
