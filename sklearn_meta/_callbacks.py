"""scikit-learn's callbacks: each evaluation of meta-training is a task that they are told of."""

from contextlib import nullcontext

from .tasks import TaskCollection


class Callbacks:
    """Those of one `fit`, a context: they are told when it begins and when it has ended well.

    Parameters
    ----------
    context : CallbackContext
        Of the `fit`.
    told : dict
        `estimator`, `X`, `y` and `metadata`.
    """

    def __init__(self, context, told):
        self.context, self.told = context, told

    @classmethod
    def of(cls, meta, X, y, groups):
        """Set up; a context of None where scikit-learn has no callbacks yet (before 1.9).

        What the tasks of a collection were trained on is told as rows, which scorers take.
        """
        if not hasattr(meta, "_init_callback_context"):
            return nullcontext()
        n_evaluations = -(-meta.max_iter // meta.validation_interval) + bool(meta.warm_start)
        context = meta._init_callback_context(max_subtasks=n_evaluations)
        if isinstance(X, TaskCollection):
            X, y, groups = X.X, X.y, X.groups
        metadata = None if groups is None else {"groups": groups}
        return cls(context, {"estimator": meta, "X": X, "y": y, "metadata": metadata})

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

    def end(self, attributes):
        """They ended in an evaluation, were `fit` to end here with these attributes (callable).

        Returns
        -------
        bool
            Whether it is to end here.
        """
        return self.evaluation.call_on_fit_task_end(
            **self.told, reconstruction_attributes=attributes
        )
