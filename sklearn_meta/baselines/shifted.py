"""Shifted: the pooled model plus the shrunken mean residual of a task."""

import numpy as np
from sklearn.base import is_classifier
from sklearn.linear_model import PoissonRegressor

from .._compat import StrOptions
from .._messages import shown
from ..encoding import final_step
from ._base import Baseline
from ._left_out import fit_classes, predict_left_out, probabilities, task_of_row
from ._shifts import LINKS, Shifts


class Shifting(Baseline):
    """A base of baselines with a pooled model and a shift of each task against it."""

    _parameter_constraints = Baseline._parameter_constraints | {
        "link": [StrOptions({"auto", *LINKS})]
    }

    def __init__(self, estimator, *, link="auto", adapt_training_tasks=True, random_state=None):
        super().__init__(
            estimator, adapt_training_tasks=adapt_training_tasks, random_state=random_state
        )
        self.link = link

    @property
    def spread_(self):
        """Variance between tasks on the scale of the link, ndarray of shape (n_outputs,)."""
        return self._shifts.spread

    @property
    def noise_(self):
        """Variance within tasks, ndarray of shape (n_outputs,)."""
        return self._shifts.noise

    def _check_parameters(self):
        super()._check_parameters()
        learns_classes, name = is_classifier(self.estimator), type(self).__name__
        if learns_classes and not hasattr(self.estimator, "predict_proba"):
            raise TypeError(
                f"estimator must have predict_proba, from which {name} goes on, got "
                f"{shown(self.estimator)}"
            )
        if self.link != "auto" and (self.link == "logit") != learns_classes:
            raise ValueError(
                f"link={self.link!r} is for {'numbers' if learns_classes else 'classes'}, got "
                f"{shown(self.estimator)}"
            )

    def _fit(self, tasks):
        self._fit_pooled(tasks)

    def _fit_pooled(self, tasks):
        """The pooled model and how tasks differ from it; returns its predictions left out."""
        link = LINKS[_link_of(self.estimator) if self.link == "auto" else self.link]
        Y = self._columns(tasks)
        if link is LINKS["log"] and np.any(Y < 0):
            raise ValueError(f"y has {Y.min()}; link='log' expects numbers of 0 or more")
        self.estimator_ = self._fit_model(tasks.X, tasks.y)
        left_out = predict_left_out(tasks, self._fit_model, self._response)
        self._shifts = Shifts.fit(link, Y, left_out, task_of_row(tasks), len(tasks))
        return left_out

    def _fit_model(self, X, y):
        estimator = self._fresh()
        return fit_classes(estimator, X, y) if self._learns_classes else estimator.fit(X, y)

    def _response(self, model, X):
        """What a model predicts: numbers, or probabilities, (rows, outputs)."""
        if self._learns_classes:
            return probabilities(model, X, self.classes_)
        return model.predict(X).reshape(X.shape[0], -1)

    def _learn_shifts(self, tasks):
        """(tasks, outputs)"""
        if not tasks.n_rows:
            return np.zeros((len(tasks), len(self.spread_)))
        pooled, task = self._response(self.estimator_, tasks.X), task_of_row(tasks)
        return self._shifts.of_tasks(self._columns(tasks), pooled, task, len(tasks))

    def _mean(self, asked):
        """Predictions as numbers (rows, outputs)."""
        raise NotImplementedError

    def _predict(self, asked):
        if self._learns_classes:
            return self.classes_[self._predict_proba(asked).argmax(axis=1)]
        mean = self._mean(asked)
        return mean[:, 0] if self._targets.flat else mean

    def _predict_proba(self, asked):
        mean = self._mean(asked)
        return np.column_stack([1 - mean, mean]) if mean.shape[1] == 1 else mean


class Shifted(Shifting):
    """A pooled model plus the shrunken mean residual of the task.

    What is done most often by hand: correct one model of all tasks by how far it was off on the
    rows of the task, the less the fewer there are. How far is shrunken by variance components:
    residuals of tasks that the model has not seen, cross-fitted, are those of a one-way
    random-effects model, ``residual = mean + shift of the task + noise``, fitted by restricted
    maximum likelihood.

    For classes the shift is one of log-odds, for counts of the logarithm: a random intercept with
    the pooled prediction as offset, its variance by penalised quasi-likelihood, and a task's shift
    is the mode of its penalised likelihood. Of more than two classes each is shifted against all
    others, and probabilities are then made to sum to 1.

    Without rows, the pooled model predicts. Where `fit` had fewer than two tasks, or (but for
    classes) none with two rows, nothing tells how tasks differ, and there is no shift.

    Parameters
    ----------
    estimator : estimator
        A regressor or classifier of scikit-learn, or a Pipeline that ends in one.
    link : {"auto", "identity", "log", "logit"}, default="auto"
        On which scale tasks are shifted: "logit" for classes; "log" for numbers of 0 or more,
        taken for counts; "identity" for numbers. "auto": "log" where the estimator has
        ``loss="poisson"`` or is a `PoissonRegressor`.
    adapt_training_tasks : bool, default=True
        Whether `fit` also learns the shifts of its tasks, so that `predict` serves them by id.
    random_state : int, RandomState or None, default=None
        If given, it sets every `random_state` of the clones of `estimator`.

    Attributes
    ----------
    estimator_ : estimator
        The pooled model, fitted to all rows.
    spread_ : ndarray of shape (n_outputs,)
        Variance of the shift over tasks, on the scale of the link; of more than two classes, for
        each.
    noise_ : ndarray of shape (n_outputs,)
        Variance of a row within its task: of residuals, in the squared units of y; of counts how
        many times that of a Poisson distribution; of classes 1.
    tasks_ : ndarray of shape (n_learned,)
        Ids of the tasks that were learned.
    classes_ : ndarray of shape (n_classes,)
        Of a classifier.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Where X has names.

    See Also
    --------
    Pooled : The same without a shift.
    Stacked : Learns what to make of the residuals.

    References
    ----------
    N. E. Breslow, D. G. Clayton. "Approximate Inference in Generalized Linear Mixed Models".
    Journal of the American Statistical Association 1993.
    https://doi.org/10.1080/01621459.1993.10594284

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.ensemble import HistGradientBoostingRegressor
    >>> from sklearn_meta.baselines import Shifted
    >>> from sklearn_meta.datasets import load_countries
    >>> tasks = load_countries()
    >>> shifted = Shifted(HistGradientBoostingRegressor()).fit(tasks[:100])
    >>> is_support = np.arange(tasks.n_rows) % 2 == 0
    >>> query = tasks.select(~is_support)[100:]
    >>> before = shifted.score(query.X, query.y, groups=query.groups)
    >>> shifted = shifted.fit_adapt(tasks.select(is_support)[100:])
    >>> bool(shifted.score(query.X, query.y, groups=query.groups) > before)
    True
    """

    def _learn(self, tasks):
        return self._learn_shifts(tasks)

    @property
    def _nothing(self):
        return np.zeros(len(self.spread_))

    def _mean(self, asked):
        pooled = self._response(self.estimator_, asked.X)
        return self._shifts.apply(pooled, asked.learned[asked.task])


def _link_of(estimator):
    """By the estimator's kind and loss."""
    if is_classifier(estimator):
        return "logit"
    final = final_step(estimator)
    counts = isinstance(final, PoissonRegressor) or getattr(final, "loss", None) == "poisson"
    return "log" if counts else "identity"
