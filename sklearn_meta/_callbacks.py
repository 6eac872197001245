"""scikit-learn's callbacks: each evaluation of meta-training is a task that they are told of."""

from contextlib import nullcontext
from functools import wraps

from .tasks import TaskCollection

PREDICTING = "predict", "predict_proba", "predict_log_proba"


class Callbacks:
    """Those of one `fit`, a context: they are told when it begins and when it has ended well.

    Parameters
    ----------
    context : CallbackContext
        Of the `fit`.
    meta : MetaLearner
    X, y, groups
        The rows that it is fitted to. Scorers predict these with no `groups`, which
        scikit-learn does not hand to `predict`: the model that callbacks are given knows them.
    """

    def __init__(self, context, meta, X, y, groups):
        self.context, self.groups = context, groups
        self.told = {"estimator": meta, "X": X, "y": y}

    @classmethod
    def of(cls, meta, X, y, groups):
        """Set up; a context of None where scikit-learn has no callbacks yet (before 1.9)."""
        if not hasattr(meta, "_init_callback_context"):
            return nullcontext()
        n_evaluations = -(-meta.max_iter // meta.validation_interval) + bool(meta.warm_start)
        context = meta._init_callback_context(max_subtasks=n_evaluations)
        if isinstance(X, TaskCollection):
            X, y, groups = X.X, X.y, X.groups
        return cls(context, meta, X, y, groups)

    def __enter__(self):
        self.context.call_on_fit_task_begin(**self.told)
        return self

    def __exit__(self, kind, error, traceback):
        if kind is None:
            self.context.call_on_fit_task_end(**self.told)

    def begin(self):
        """The meta-steps up to the next evaluation begin."""
        self.evaluation = self.context.subcontext(task_name="evaluation")
        self.evaluation.call_on_fit_task_begin(**self.told)

    def end(self, as_if_fitted):
        """They ended in an evaluation, were `fit` to end here as a model (a callable gives it).

        Returns
        -------
        bool
            Whether it is to end here.
        """
        return self.evaluation.call_on_fit_task_end(
            **self.told, reconstruction_attributes=lambda: self._attributes(as_if_fitted())
        )

    def _attributes(self, model):
        """The model's, and methods that know the tasks of the rows it was fitted to."""
        if self.groups is None:
            return vars(model)
        names = [name for name in PREDICTING if hasattr(model, name)]
        return vars(model) | {name: self._knowing(getattr(model, name)) for name in names}

    def _knowing(self, method):
        @wraps(method)
        def knowing(X, groups=None, **options):
            of_rows = self.groups if X is self.told["X"] and groups is None else groups
            return method(X, of_rows, **options)

        return knowing
