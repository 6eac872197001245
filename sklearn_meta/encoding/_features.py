"""Features as the network sees them: the steps before the MLP, then finite floats, scaled."""

from dataclasses import dataclass, replace

import numpy as np
from scipy.sparse import issparse
from sklearn.base import clone
from sklearn.pipeline import Pipeline

from .._arguments import check_no_dates, naming
from .._messages import plain, shown
from ._scaling import Scaling

IMPUTE = (  # with a scaler: steps before an MLP leave the scaling to themselves
    "; where values are missing, fill them in inside the Pipeline, "
    "MetaLearner(make_pipeline(SimpleImputer(), StandardScaler(), mlp))"
)
STEPS = "what the steps before the MLP take"


@dataclass(frozen=True)
class Features:
    """Turns rows into arrays for the network.

    Parameters
    ----------
    steps : Pipeline or None
        The fitted steps before the MLP.
    dtype : numpy dtype
    names : list of str or None
        Of what the MLP sees.
    scaling : Scaling or None
        What is done to the rows then.
    """

    steps: Pipeline | None
    dtype: np.dtype
    names: list | None
    scaling: Scaling | None = None

    @classmethod
    def fit_transform(cls, steps, collection, names=None, standardize=False):
        """Fitted to the rows of a collection, and these as the network sees them.

        Parameters
        ----------
        steps : Pipeline or None
            Cloned, and fitted by its own `fit_transform`: what cross-fits then does.
        collection : TaskCollection
        names : list of str or None
            Of the columns, where X itself has lost them.
        standardize : bool, default=False
        """
        X = collection.X
        if steps is not None:
            steps = clone(steps)
            with naming("X", STEPS):
                X, names = steps.fit_transform(X, collection.y), None
        names = names or _string_columns(X)
        X = np.asarray(X.toarray() if issparse(X) else X)
        features = cls(steps, np.dtype(np.float32 if X.dtype == np.float32 else float), names)
        X = features._finite(X, collection)
        if standardize:
            features = replace(features, scaling=Scaling.of(X))
        return features, features._scaled(X, collection)

    def transform(self, X, collection=None):
        """Rows X, those of the collection if given, as the network sees them, a copy."""
        if self.steps is not None:
            with naming("X", STEPS):
                X = self.steps.transform(X)
        X = self._finite(X.toarray() if issparse(X) else X, collection)
        return self._scaled(X, collection)

    def _finite(self, X, collection):
        with naming("X", "numbers for the MLP"):
            check_no_dates(X, "X")
            X = np.asarray(X).astype(self.dtype, order="C")  # of others `take` copies all rows
        check_finite("X", X, collection)
        return X

    def _scaled(self, X, collection):
        """The copy X itself, scaled in place."""
        if self.scaling is not None:
            self.scaling.apply(X)
            check_finite("X, standardised,", X, collection)
        return X

    def fold(self, layers):
        """Layers (weights, bias) that take rows as the steps leave them."""
        if self.scaling is None:
            return layers
        return [self.scaling.fold(*layers[0]), *layers[1:]]

    @property
    def fitted_steps(self):
        """The (name, estimator) of each step."""
        return [] if self.steps is None else self.steps.steps

    def name_inputs(self, estimator):
        """Tell an estimator that was fitted to arrays what its columns are called."""
        if self.names is not None:
            estimator.feature_names_in_ = np.array(self.names, dtype=object)


def check_finite(name, values, collection=None):
    """Raise where a row holds NaN or infinity, naming its task if it has one.

    What fills in missing features is named, too.
    """
    if np.isfinite(values).all():
        return
    row = int(np.flatnonzero(~np.isfinite(values).reshape(len(values), -1).all(axis=1))[0])
    kind = "NaN" if np.isnan(values[row]).any() else "infinity"
    mend = IMPUTE if (name, kind) == ("X", "NaN") else ""
    raise ValueError(
        f"Input {name} contains {kind} in {_where(row, collection)}; expected finite numbers{mend}"
    )


def _where(row, collection):
    task = None if collection is None else plain(collection.groups[row])
    if task is None:
        return f"row {row}"
    first = collection.offsets[np.searchsorted(collection.offsets, row, "right") - 1]
    return f"task {shown(task)}, its row {int(row - first)}"


def _string_columns(X):
    columns = list(getattr(X, "columns", []))
    return columns if columns and all(isinstance(name, str) for name in columns) else None
