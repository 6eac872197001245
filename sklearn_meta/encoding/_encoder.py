"""Task collections as arrays for the network: features, targets and the network itself."""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from sklearn.base import clone, is_classifier
from sklearn.pipeline import Pipeline

from .._messages import shown
from ..network import MLP
from ..tasks._batch import TaskArrays
from ..tasks._blocks import block_codes
from ._features import Features
from ._targets import ClassTargets, RegressionTargets


class Encoded(NamedTuple):
    """A task collection in numbers."""

    ids: np.ndarray  # (tasks,)
    arrays: TaskArrays
    classes: list | None  # of each task, where each has its own


@dataclass(frozen=True, eq=False)
class Encoder:
    """Turns task collections into arrays for the network.

    Parameters
    ----------
    estimator : MLPRegressor, MLPClassifier or Pipeline
        As the user gave it.
    features : Features
    targets : RegressionTargets or ClassTargets
    network : MLP
    options : dict
        `shared_labels`, `normalize_y` and `standardize`, as they were in `fit`.
    """

    estimator: object
    features: Features
    targets: RegressionTargets | ClassTargets
    network: MLP
    options: dict

    @classmethod
    def fit_encode(
        cls,
        estimator,
        collection,
        *,
        shared_labels=True,
        normalize_y=True,
        standardize=False,
        classes=None,
        feature_names=None,
    ):
        """Fitted to the pooled rows of training tasks, and these encoded.

        Returns
        -------
        encoder : Encoder
        encoded : Encoded
        """
        estimator = clone(estimator)
        mlp, steps = split_estimator(estimator)
        features, X = Features.fit_transform(steps, collection, feature_names, standardize)
        if is_classifier(mlp):
            targets = ClassTargets.of(collection, shared_labels, classes)
        elif classes is not None:
            raise ValueError(f"classes must be None in regression, got {shown(classes)}")
        else:
            targets = RegressionTargets(collection.y, mlp.loss, normalize_y)
        options = {
            "shared_labels": shared_labels,
            "normalize_y": normalize_y,
            "standardize": standardize,
        }
        network = _network(mlp, X.shape[1], targets)
        encoder = cls(estimator, features, targets, network, options)
        return encoder, encoder._with_targets(X, collection)

    def renew(self, estimator, **options):
        """For the estimator as it is now: its network, with everything fitted as it was."""
        self._check_same("warm_start=True", estimator, options)
        network = self._network_of(estimator)
        return replace(self, estimator=clone(estimator), network=network)

    def check_same(self, estimator, **options):
        """The estimator would make the network that there is; its `alpha` may be another."""
        self._check_same("partial_fit", estimator, options)
        then, now = (_in_words(each) for each in (self.network, self._network_of(estimator)))
        if now != then:
            raise ValueError(f"partial_fit goes on with {then}, found {now}; fit anew")

    def _check_same(self, who, estimator, options):
        then, now = _what_stays(self.estimator, self.options), _what_stays(estimator, options)
        if now != then:
            raise ValueError(f"{who} goes on with {then}, found {now}; fit anew")

    def _network_of(self, estimator):
        mlp, _ = split_estimator(estimator)
        return _network(mlp, self.network.layer_units[0], self.targets)

    @property
    def dtype(self):
        return self.features.dtype

    @property
    def step_name(self):
        """The MLP's in the user's Pipeline; None where there is no Pipeline."""
        is_pipeline = isinstance(self.estimator, Pipeline)
        return self.estimator.steps[-1][0] if is_pipeline else None

    @property
    def is_classifier(self):
        return isinstance(self.targets, ClassTargets)

    @property
    def shared_labels(self):
        return not self.is_classifier or self.targets.classes is not None

    def encode(self, collection, weight=None):
        """The collection in numbers, its rows of these weights (rows,); None: of weight 1."""
        X = self.features.transform(collection.X, collection)
        return self._with_targets(X, collection, weight)

    def nothing(self):
        """The task without an id, of which there are no rows."""
        if not self.shared_labels:
            raise ValueError(
                "there are no rows to adapt to, and the prior knows no classes: each task has its "
                "own"
            )
        X = np.empty((0, self.network.layer_units[0]), self.dtype)
        n_outputs, offsets = self.network.n_outputs, np.array([0, 0])
        if self.is_classifier:
            arrays = TaskArrays(X, np.empty(0, np.intp), offsets, n_outputs)
        else:
            arrays = TaskArrays(X, np.empty((0, n_outputs), self.dtype), offsets)
        return Encoded(np.array([None]), arrays, None)

    def _with_targets(self, X, collection, weight=None):
        rows = {
            "X": X,
            "offsets": collection.offsets,
            "is_support": collection.is_support,
            "blocks": block_codes(collection.blocks),
            "weight": None if weight is None else weight.astype(self.dtype),
        }
        if not self.is_classifier:
            y = self.targets.encode(collection.y, self.dtype)
            return Encoded(collection.task_ids, TaskArrays(y=y, **rows), None)
        codes, own = self.targets.encode(collection)
        arrays = TaskArrays(
            y=codes,
            n_outputs=self.targets.n_outputs,
            n_classes=None if own is None else np.array([len(c) for c in own]),
            **rows,
        )
        return Encoded(collection.task_ids, arrays, own)


def split_estimator(estimator):
    """The MLP, and the Pipeline of the steps before it (None where there are none)."""
    if not isinstance(estimator, Pipeline):
        return estimator, None
    return estimator[-1], estimator[:-1] if len(estimator) > 1 else None


def final_step(estimator):
    """The last of a Pipeline, whose tags are costly, or the estimator that is none."""
    has_steps = isinstance(estimator, Pipeline) and estimator.steps
    return estimator.steps[-1][1] if has_steps else estimator


def _what_stays(estimator, options):
    """What training that goes on cannot change, in words."""
    mlp, steps = split_estimator(estimator)
    names = [] if steps is None else [name for name, _ in steps.steps]
    options = {"loss": mlp.loss, **options, "steps": names}
    settings = (f"{name}={value!r}" for name, value in options.items())
    return f"{type(mlp).__name__} and {', '.join(settings)}"


def _in_words(network):
    return f"{len(network.names) - 1} hidden layers of {network.layer_units[1:-1]} units, " + (
        f"activation={network.activation!r}"
    )


def _network(mlp, n_features, targets):
    hidden = mlp.hidden_layer_sizes
    hidden = list(hidden) if np.iterable(hidden) else [hidden]
    if is_classifier(mlp):
        loss = "binary_log_loss" if targets.n_outputs == 1 else "log_loss"
    else:
        loss = mlp.loss
    exchangeable = is_classifier(mlp) and targets.classes is None
    return MLP([n_features, *hidden, targets.n_outputs], mlp.activation, loss, exchangeable)
