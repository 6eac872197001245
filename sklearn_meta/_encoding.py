"""Between the user's terms and the network's: features, targets and the network itself."""

from dataclasses import dataclass, replace

import numpy as np
from scipy.sparse import issparse
from sklearn.base import clone, is_classifier
from sklearn.pipeline import Pipeline

from ._compat import safe_indexing
from ._messages import plain
from ._targets import ClassTargets, RegressionTargets
from .network import MLP
from .tasks import TaskArrays, TaskCollection


@dataclass(frozen=True)
class Encoder:
    """Turns task collections into arrays for the network.

    Parameters
    ----------
    estimator : MLPRegressor, MLPClassifier or Pipeline
        As the user gave it.
    steps : Pipeline or None
        The fitted steps before the MLP.
    targets : RegressionTargets or ClassTargets
    network : MLP
    dtype : numpy dtype
    feature_names : list of str or None
        Of what the MLP sees.
    options : dict
        `shared_labels` and `normalize_y`, as they were in `fit`.
    """

    estimator: object
    steps: Pipeline | None
    targets: object
    network: MLP
    dtype: np.dtype
    feature_names: list | None
    options: dict

    @classmethod
    def fit(
        cls,
        estimator,
        collection,
        *,
        shared_labels=True,
        normalize_y=True,
        classes=None,
        feature_names=None,
    ):
        """From the pooled rows of the training tasks."""
        estimator = clone(estimator)
        mlp, steps = split_estimator(estimator)
        if steps is not None:
            steps = clone(steps).fit(collection.X, collection.y)
            feature_names = _string_columns(steps.transform(safe_indexing(collection.X, [0])))
        elif feature_names is None:
            feature_names = _string_columns(collection.X)
        options = {"shared_labels": shared_labels, "normalize_y": normalize_y}
        encoder = cls(estimator, steps, None, None, None, None, options)
        X = encoder.transform(collection)
        if is_classifier(mlp):
            targets = ClassTargets.of(collection, shared_labels, classes)
        elif classes is not None:
            raise ValueError(f"classes must be None in regression, got {classes!r}")
        else:
            targets = RegressionTargets(collection.y, mlp.loss, normalize_y)
        return replace(
            encoder,
            targets=targets,
            network=_network(mlp, X.shape[1], targets),
            dtype=X.dtype,
            feature_names=feature_names,
        )

    def renew(self, estimator, **options):
        """For the estimator as it is now: its network, with everything fitted as it was."""
        then, now = _what_stays(self.estimator, self.options), _what_stays(estimator, options)
        if now != then:
            raise ValueError(f"warm_start=True goes on with {then}, found {now}")
        mlp, _ = split_estimator(estimator)
        network = _network(mlp, self.network.layer_units[0], self.targets)
        return replace(self, estimator=clone(estimator), network=network)

    @property
    def is_classifier(self):
        return isinstance(self.targets, ClassTargets)

    @property
    def shared_labels(self):
        return not self.is_classifier or self.targets.classes is not None

    def transform(self, collection):
        """The rows as the network sees them, finite floats (rows, features), a copy."""
        X = collection.X if self.steps is None else self.steps.transform(collection.X)
        X = np.asarray(X.toarray() if issparse(X) else X)
        dtype = self.dtype or (np.float32 if X.dtype == np.float32 else np.float64)
        X = X.astype(dtype)
        check_finite("X", X, collection)
        return X

    def encode(self, collection):
        """Numbers only, and the classes of each task where it has its own (else None)."""
        arrays = {"X": self.transform(collection), "offsets": collection.offsets}
        if not self.is_classifier:
            y = self.targets.encode(collection.y, self.dtype)
            return TaskArrays(y=y, is_support=collection.is_support, **arrays), None
        codes, own = self.targets.encode(collection)
        return TaskArrays(
            y=self.targets.one_hot(codes, self.dtype),
            labels=codes,
            n_classes=None if own is None else np.array([len(c) for c in own]),
            is_support=collection.is_support,
            **arrays,
        ), own

    def encode_rows(self, X):
        """Rows without targets, (rows, features)."""
        n_rows = X.shape[0]
        return self.transform(TaskCollection(X, None, np.array([0, n_rows]), np.array([None])))


def split_estimator(estimator):
    """The MLP, and the Pipeline of the steps before it (None where there are none)."""
    if not isinstance(estimator, Pipeline):
        return estimator, None
    return estimator[-1], estimator[:-1] if len(estimator) > 1 else None


def _what_stays(estimator, options):
    """What a warm start cannot change, in words."""
    mlp, steps = split_estimator(estimator)
    names = [] if steps is None else [name for name, _ in steps.steps]
    options = {"loss": mlp.loss, **options, "steps": names}
    settings = (f"{name}={value!r}" for name, value in options.items())
    return f"{type(mlp).__name__} and {', '.join(settings)}"


def check_finite(name, values, collection):
    """Raise where a row holds NaN or infinity, naming its task."""
    if np.isfinite(values).all():
        return
    row = int(np.flatnonzero(~np.isfinite(values).reshape(len(values), -1).all(axis=1))[0])
    task = plain(collection.groups[row])
    where = f"row {row}" if task is None else f"task {task!r}, its row {_place(collection, row)}"
    kind = "NaN" if np.isnan(values[row]).any() else "infinity"
    raise ValueError(f"Input {name} contains {kind} in {where}; expected finite numbers")


def _place(collection, row):
    return int(row - collection.offsets[np.searchsorted(collection.offsets, row, "right") - 1])


def _network(mlp, n_features, targets):
    hidden = mlp.hidden_layer_sizes
    hidden = list(hidden) if np.iterable(hidden) else [hidden]
    if is_classifier(mlp):
        loss = "binary_log_loss" if targets.n_outputs == 1 else "log_loss"
    else:
        loss = mlp.loss
    exchangeable = is_classifier(mlp) and targets.classes is None
    return MLP([n_features, *hidden, targets.n_outputs], mlp.activation, loss, exchangeable)


def _string_columns(X):
    columns = list(getattr(X, "columns", []))
    return columns if columns and all(isinstance(name, str) for name in columns) else None
