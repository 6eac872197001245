"""MetaLearner: the scikit-learn estimator. It validates, converts and delegates."""

import copy
from functools import partial

import numpy as np
from sklearn.base import BaseEstimator, MetaEstimatorMixin, clone
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import accuracy_score, r2_score
from sklearn.utils import check_random_state, get_tags
from sklearn.utils.validation import check_is_fitted

from ._arguments import check_values
from ._callbacks import Callbacks
from ._compat import CallbackSupportMixin, with_callbacks
from ._documented import Documented
from ._evaluation import evaluate
from ._few_shot_learner import FewShotLearner, agreement
from ._members import first_state, kept_of, network_of, rates
from ._messages import shown, warn
from ._meta_training import (
    MetaTraining,
    check_same_layout,
    conclude,
    encode,
    encode_training,
    encoder_options,
    episode_options,
)
from ._parameters import PARAMETER_CONSTRAINTS, check_parameters, resolve_algorithm
from ._predictions import Predictions, learns_classes
from ._runtime import blas_threads
from ._served import REPLACING, Served
from ._training_run import INTERRUPTED, run, warn_of_skipped_step, without_large
from .algorithms import HeldOut
from .encoding import final_step
from .encoding._input import (
    check_same_classes,
    is_rows,
    scored_rows,
    support_tasks,
    task_collection,
)
from .encoding._learnable import learnable
from .export import ignore_task_feature
from .tasks._episodes import EpisodeSampler
from .training import LossCurve, Progress, Saved, multiplications

STATE_VERSION = 5  # of what a pickle holds; another cannot be taken over
TAKING_GROUPS = "fit", "partial_fit", "predict", "predict_proba", "predict_log_proba", "score"


class MetaLearner(Documented, Predictions, CallbackSupportMixin, MetaEstimatorMixin, BaseEstimator):
    """Learn from many small related data sets how to learn a new one.

    A task is a small data set: one store, patient, assay, alphabet. `fit` learns from many
    tasks; `fit_adapt` learns a new one from a handful of rows, its support; `predict`
    serves it. With no rows at all the prior learned from all tasks predicts.

    Parameters
    ----------
    estimator : MLPRegressor, MLPClassifier or Pipeline
        A Pipeline must end in an MLP; its other steps are fitted once, on the pooled rows. The
        MLP takes finite numbers: `SimpleImputer` and `OneHotEncoder` are such steps.
        The MLP gives the network: `hidden_layer_sizes`, `activation`, `loss`, and `alpha`,
        the L2 penalty ``alpha / 2 * |weights|^2`` of what is meta-learned. Its own training
        parameters have no work here; a UserWarning names each that was changed.
    algorithm : str or MetaAlgorithm, default="bayesian_head"
        How a task is learned, see :mod:`sklearn_meta.algorithms`: a name or an instance.
    task_feature : str or int, default=None
        The column of X that holds the task id, never scaled; it is taken off before the
        estimator sees X. It works where `groups` cannot be passed, as in `cross_val_score`. Once
        fitted, rows without it are those of a task without an id.
    n_shots : int, (int, int) or "auto", default="auto"
        Support rows of a training episode: a number, a range from which each task and episode
        draws one anew, or "auto", so that the learned algorithm serves any number of rows. "auto"
        draws 0 to 20 rows (up to 5 times the number of classes, if more, and 100 at most); where
        tasks have classes of their own, 1 or more of each class. Of rows in `blocks`, blocks are
        counted.
    stratify_shots : bool or "auto", default="auto"
        Whether shots are of each class; of a class with fewer rows as many as there are. False:
        rows of whatever class, as they come. "auto": of each class where tasks have classes of
        their own (there False is an error, since a class without a row cannot be learned), else of
        whatever class.
    n_query : int or None, default=20
        Query rows of a training episode at most, of rows in `blocks` query blocks; None takes all
        that the support left.
    max_rows_per_task : int or None, default=None
        Rows of a task that an episode has at most, support and query together, drawn anew for
        each episode; None: no cap. It matters with `n_query=None` or many shots, where one large
        task makes the whole episode as large: of a task with more rows, at least half of the cap
        are query rows (if `n_query` asks for so many), and support rows too many are left out
        evenly by class. Of rows in `blocks` whole ones are left out: a task with larger blocks has
        as many as would fit if all were as large as its largest, but 2 at least. `fit_adapt` and
        the adaptation of training tasks take all rows.
    support_order : {"random", "first"}, default="random"
        Which rows of a task are its support: any, or its first, for tasks ordered in time.
    meta_lr : float, default=2e-3
        Learning rate of Adam, in the outer loop.
    meta_batch_size : int, default=16
        Tasks in a meta-step.
    max_iter : int, default=3000
        Meta-steps.
    n_members : int or "auto", default="auto"
        Networks that are trained, each with another fold of the tasks held out to stop it, and
        merged into one that is as many times as wide: what they agree on is what predicts, and
        every task has judged one of them. "auto": 5 (of fewer than 10 tasks, half as many as
        tasks) where they can be merged (`BayesianHead`, with a hidden layer), the tasks are no
        distribution, and `early_stopping` holds tasks out; else 1.
    max_grad_norm : float or None, default=10.0
        A meta-gradient that is longer is shortened to this length, its direction kept, so that one
        task cannot throw training off; None: never. On standardised data lengths are 0.1 to 5.
    tol : float, default=1e-4
        Improvement of the validation score that counts.
    validation_interval : int, default=50
        Meta-steps from one evaluation on the validation tasks to the next.
    n_iter_no_change : int, default=5
        Evaluations without improvement after which to stop.
    early_stopping : bool, default=True
        Hold tasks out for validation: training stops when they stop improving, and the
        parameters that did best on them are the ones kept. False trains on all tasks for
        `max_iter` meta-steps.
    validation_fraction : float, default=0.1
        Share of tasks held out where a single network is trained; of a distribution, of what its
        tasks are drawn from (see `fit`). If that is less than one task, the training tasks
        validate.
    normalize_y : bool, default=True
        Standardise regression targets over the pooled rows (Poisson: divide by the mean).
    standardize : bool or "auto", default="auto"
        Standardise the features that the MLP sees, over the pooled rows (pixels and indicators:
        by the range that they share). What `adapt` returns, and `estimator_`, take rows as
        they are: it is folded into the first layer. "auto": True for an MLP alone, False where
        a Pipeline has steps of its own before it.
    shared_labels : bool or "auto", default="auto"
        True: a label means the same in every task. False: every task has classes of its
        own (N-way few-shot). "auto": as the task collection says; True for rows.
    adapt_training_tasks : bool, default=True
        Whether `fit` and `partial_fit` also adapt the tasks that they are given, so that `predict`
        serves them by id. False saves the time, and the memory of what each has learned.
    handle_unknown : {"warn", "prior", "error"}, default="warn"
        What `predict` does with rows of a task that was never adapted: the prior, with a warning
        that counts them or without; or an error.
    warm_start : bool, default=False
        Whether `fit` goes on from the last fit, features and targets standardised as they were:
        with the same tasks and parameters as if it had never stopped, so that twice 100 meta-steps
        are 200 to the bit; with others from the parameters that were kept, judged anew.
    checkpoint : str, path or None, default=None
        A directory in which `fit` saves its state at every evaluation, until it is done. Killed at
        whatever moment, the same `fit` goes on from there and ends with the same numbers to the
        bit; with other tasks or parameters it raises. The file is a pickle: load no one else's.
    n_jobs : int, default=None
        Threads over which many tasks are adapted.
    random_state : int, RandomState or None, default=None
        Of initial weights, held-out tasks and episodes. An int makes `fit` repeatable to the
        bit.
    verbose : bool, default=False
        Print a line an evaluation, and in the end why training ended and what was kept.

    Attributes
    ----------
    algorithm_ : MetaAlgorithm
        How a task is learned.
    estimator_ : MLPRegressor, MLPClassifier or Pipeline
        The meta-learned prior, fitted: what predicts for an unknown task. Wider than `estimator`
        where networks were merged. With `task_feature` a
        Pipeline, which ignores that column where it is there.
    tasks_ : ndarray of shape (n_adapted,)
        Ids of the adapted tasks.
    classes_ : ndarray of shape (n_classes,)
        Of a classifier.
    loss_curve_ : list of float
        Loss of each meta-step, of several networks the mean; NaN where that or its gradient was
        not finite, and it was skipped.
    validation_scores_ : list of float or None
        Negative mean query loss on the validation tasks at each evaluation of `fit`, the mean of
        several networks, of which one that is done stays at what was kept; None without
        `early_stopping`.
    best_iter_ : int
        The meta-step whose parameters were kept, in `fit`; of several networks the last of these.
    n_iter_ : int
        Meta-steps taken.
    n_tasks_ : int
        Tasks that were given.
    n_features_in_ : int
        Columns of X, the task id among them where `task_feature` names one.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Where X has names.

    See Also
    --------
    TaskCollection : Many tasks as samples.
    FewShotLearner : Adaptation as an estimator.
    adapt : Adapt a Pipeline or search that ends in a MetaLearner.

    Notes
    -----
    `sample_weight` weighs the rows that a task is adapted to, in `fit_adapt`, `adapt` and
    `learner_`: a row of weight 2 counts as that row twice. `fit` takes none, since it draws
    episodes of rows at random: there, a weight could not be the same as repetition.

    A fitted MetaLearner can be used from any number of threads: `predict`, `adapt`, `score` and
    `fit_adapt` see the state of one moment, and no call undoes what another has done.

    With scikit-learn 1.9, `set_callbacks` takes its callbacks: each evaluation is a task of `fit`.

    Losses are means over rows, with no factor 1/2. What is validated, kept and adapted from is
    the running average of the parameters over about the last 100 meta-steps.

    A pickle holds what was meta-learned, the state of training, and of each adapted task what its
    predictions need: weights of its own; for `BayesianHead` also its support rows without their
    targets, or the factor of its posterior's precision, whichever has fewer numbers; for
    `DeepKernelGP` the features and residuals of its support rows. Where the adapted tasks would
    take more than about 64 MB and their rows less, the rows are kept instead, features and
    targets, and a task is adapted anew whenever it is asked. Rows that take less than a quarter
    of a task's own weights (`MAML`) are kept beside these from the start, for tasks with an id.
    `adapt_training_tasks=False` keeps no training row. `fit_adapt` and `predict` of one task take
    the same time among any number of known tasks.

    References
    ----------
    T. Hospedales, A. Antoniou, P. Micaelli, A. Storkey. "Meta-Learning in Neural Networks: A
    Survey". IEEE TPAMI 2021. https://arxiv.org/abs/2004.05439

    Examples
    --------
    >>> from sklearn.neural_network import MLPRegressor
    >>> from sklearn_meta import MetaLearner
    >>> from sklearn_meta.datasets import Sinusoids
    >>> tasks = Sinusoids(n_rows=20).sample(201, random_state=0)
    >>> meta = MetaLearner(MLPRegressor(hidden_layer_sizes=(40, 40)), random_state=0)
    >>> meta = meta.fit(tasks[:200])
    >>> X, y = tasks[200]
    >>> bool(meta.fit_adapt(X[:10], y[:10]).score(X[10:], y[10:]) > 0.9)
    True
    >>> lower, upper = meta.predict_interval(X[10:], coverage=0.9)
    >>> lower.shape
    (10,)
    """

    _parameter_constraints = PARAMETER_CONSTRAINTS

    __metadata_request__fit = {"groups": True, "blocks": True}
    __metadata_request__partial_fit = {"groups": True, "blocks": True}
    __metadata_request__predict = {"groups": True, "return_std": True, "return_cov": True}
    __metadata_request__predict_proba = {"groups": True, "return_std": True}
    __metadata_request__predict_log_proba = {"groups": True}
    __metadata_request__score = {"groups": True}

    def __init__(
        self,
        estimator,
        algorithm="bayesian_head",
        *,
        task_feature=None,
        n_shots="auto",
        stratify_shots="auto",
        n_query=20,
        max_rows_per_task=None,
        support_order="random",
        meta_lr=2e-3,
        meta_batch_size=16,
        max_iter=3000,
        n_members="auto",
        max_grad_norm=10.0,
        tol=1e-4,
        validation_interval=50,
        n_iter_no_change=5,
        early_stopping=True,
        validation_fraction=0.1,
        normalize_y=True,
        standardize="auto",
        shared_labels="auto",
        adapt_training_tasks=True,
        handle_unknown="warn",
        warm_start=False,
        checkpoint=None,
        n_jobs=None,
        random_state=None,
        verbose=False,
    ):
        self.estimator = estimator
        self.algorithm = algorithm
        self.task_feature = task_feature
        self.n_shots = n_shots
        self.stratify_shots = stratify_shots
        self.n_query = n_query
        self.max_rows_per_task = max_rows_per_task
        self.support_order = support_order
        self.meta_lr = meta_lr
        self.meta_batch_size = meta_batch_size
        self.max_iter = max_iter
        self.n_members = n_members
        self.max_grad_norm = max_grad_norm
        self.tol = tol
        self.validation_interval = validation_interval
        self.n_iter_no_change = n_iter_no_change
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.normalize_y = normalize_y
        self.standardize = standardize
        self.shared_labels = shared_labels
        self.adapt_training_tasks = adapt_training_tasks
        self.handle_unknown = handle_unknown
        self.warm_start = warm_start
        self.checkpoint = checkpoint
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose

    def get_metadata_routing(self):
        """What is requested of metadata: `groups`, unless `task_feature` says where they are.

        Returns
        -------
        routing : MetadataRequest
        """
        routing = super().get_metadata_routing()
        if self.task_feature is not None:
            for method in TAKING_GROUPS:
                getattr(routing, method).add_request(param="groups", alias=False)
        return routing

    def __sklearn_is_fitted__(self):
        # scikit-learn would go through all attributes, which may grow as another thread fits
        return "_served" in vars(self)

    def __getstate__(self):
        return super().__getstate__() | {"_state_version": STATE_VERSION}

    def __setstate__(self, state):
        state = dict(state)
        version = state.pop("_state_version", None)
        if version != STATE_VERSION and "n_iter_" in state:  # fitted
            raise ValueError(
                "this MetaLearner was fitted and pickled by another version of sklearn_meta "
                f"(state {version}, expected {STATE_VERSION}), whose state cannot be taken over: "
                "fit it anew, or load it with that version"
            )
        super().__setstate__(state)

    @with_callbacks
    def fit(self, X, y=None, groups=None, blocks=None):
        """Learn from many tasks how to learn a task.

        Parameters
        ----------
        X : {array-like, dataframe} of shape (n_rows, n_features), or tasks
            Rows; or a TaskCollection, a list of (X, y), or a distribution of tasks, that is
            any object with ``sample(n_tasks, random_state) -> TaskCollection``. It may also have
            ``split(fraction, random_state) -> (training, validation)``, two distributions that
            share nothing (classes, rows), the second with about that fraction, or None where it
            has too little: with `early_stopping` the second validates. Without a `split`, a
            sample of it validates, which cannot show when its classes are learned by heart.
        y : array-like of shape (n_rows,) or (n_rows, n_outputs), default=None
            Targets of the rows; None where X is tasks.
        groups : array-like of shape (n_rows,), default=None
            The task each row belongs to. None, without `task_feature`: all are one task.
        blocks : array-like of shape (n_rows,), default=None
            Labels of rows that belong together, such as those of one word, visit or day; a label
            means something within its task only. All rows of a block go into the support of an
            episode, or all into its query, and shots count blocks. None: rows are dealt one by
            one. A task collection has `blocks` of its own.

        Returns
        -------
        self : MetaLearner
            With every training task adapted, too, unless `adapt_training_tasks=False`.

        Raises
        ------
        ValueError
            If the tasks, rows or parameters will not do (shots of each class, and a block with
            rows of several), the checkpoint is of another training,
            or training diverged before there was anything to keep; nothing is changed then.

        Warns
        -----
        ConvergenceWarning
            If training diverged, and went on from the best parameters until then with a lower
            `meta_lr`, or kept them; if what is kept does worse than the mean of the training rows;
            if `max_iter` ended training that still improved.
        UserWarning
            If training was interrupted (Ctrl-C), and the best parameters until then are kept; if
            the training tasks could not be adapted; if a distribution has too little to split, and
            early stopping so validates on what is trained on.
        """
        check_parameters(self)
        with Callbacks.of(self, X, y, groups) as callbacks:
            fitted = copy.copy(self)  # self stays as it is if anything goes wrong
            checkpoint = fitted._fit(X, y, groups, blocks, callbacks)
            self._become(fitted)
        if checkpoint is not None:
            checkpoint.clear()
        return self

    def partial_fit(self, X, y=None, groups=None, classes=None, blocks=None):
        """Take one meta-step on the given tasks: streaming, or resuming after `fit`.

        Features and targets are standardised as in the first call. The tasks given are
        adapted; those of earlier calls are forgotten, as the parameters have moved on.

        Parameters
        ----------
        X, y, groups
            As in `fit`, but no distribution.
        classes : array-like of shape (n_classes,), default=None
            In the first call, all classes there will be; None: those in y.
        blocks : array-like of shape (n_rows,), default=None
            As in `fit`.

        Returns
        -------
        self : MetaLearner

        Warns
        -----
        ConvergenceWarning
            If the meta-step was skipped, since its loss or gradient was not finite.
        """
        check_parameters(self)
        fitted = copy.copy(self)
        fitted._partial_fit(X, y, groups, classes, blocks)
        self._become(fitted)
        return self

    def fit_adapt(self, X, y=None, groups=None, sample_weight=None):
        """Learn a new task from its support rows, or with task ids many at once.

        What is meta-learned stays as it is. Rows that name no task are the task that
        `predict` without groups then serves; tasks with an id join those already known. With no
        rows at all, or none that counts, the task without an id gets the prior.

        Parameters
        ----------
        X, y, groups
            As in `fit`, but no distribution. Of a TaskCollection with `is_support`, the
            support rows. With `task_feature`, rows may also lack that column: they name no task.
        sample_weight : array-like of shape (n_rows,), default=None
            A row of weight w counts as w rows, of weight 0 not at all; None: each as one.
            (With `Reptile`, see there.)

        Returns
        -------
        self : MetaLearner

        Raises
        ------
        ValueError
            If rows, tasks or weights will not do, or a task has more rows than the algorithm can
            learn from (`DeepKernelGP`: 16,384); nothing is changed then.

        Warns
        -----
        UserWarning
            Where adaptation diverged, and was repeated at half the inner rate until it did not.
        """
        check_is_fitted(self)
        while True:  # once more, where another thread has fitted anew meanwhile
            now = self._as_fitted()
            tasks = now._learn(now._encode_support(X, y, groups, sample_weight))
            with REPLACING:
                if self._served.learned is now._served.learned:
                    self._served = self._served.adding(tasks)
                    return self

    def adapt(self, X, y, sample_weight=None):
        """Learn a new task without changing self.

        Parameters
        ----------
        X : {array-like, dataframe} of shape (n_rows, n_features)
            Support rows of one task; none: what predicts is the prior.
        y : array-like of shape (n_rows,) or (n_rows, n_outputs)
        sample_weight : array-like of shape (n_rows,), default=None
            As in `fit_adapt`.

        Returns
        -------
        MLPRegressor, MLPClassifier or Pipeline
            A fitted clone of `estimator` for this task, its hidden layers as wide as those of
            all members together (`n_members`), and of relu networks with room to pass the
            features on; of `DeepKernelGP`, a Pipeline that ends in a Gaussian process. With
            `task_feature` a Pipeline, too, which takes rows with that column, ignored, or without
            it.

        Raises
        ------
        ValueError
            If rows or weights will not do, are of more than one task, or are more than the
            algorithm can learn from.
        """
        check_is_fitted(self)
        now = self._as_fitted()
        encoded, learned = now._encode_support(X, y, None, sample_weight), now._served.learned
        if len(encoded.ids) != 1:
            raise ValueError(f"adapt takes the rows of one task, got {len(encoded.ids)} tasks")
        if not len(encoded.arrays.X):
            return now._take_ids_too(learned.export_prior())
        return now._take_ids_too(learned.export(learned.learn(encoded), 0))

    @property
    def learner_(self):
        """The learned learning algorithm, a FewShotLearner: an estimator whose fit is adaptation.

        It is unfitted, and holds this meta-learner as it is now.
        """
        check_is_fitted(self)
        return FewShotLearner(FrozenEstimator(copy.copy(self)))

    @property
    def loss_curve_(self):
        """Loss of each meta-step, list of float."""
        check_is_fitted(self)
        return self._loss_curve.to_list()

    @property
    def tasks_(self):
        """Ids of the tasks that `predict` serves by id."""
        check_is_fitted(self)
        known = self._served.known
        return np.array([]) if known is None else known.ids

    @property
    def classes_(self):
        """The classes, in the order of `predict_proba`'s columns.

        Where each task has classes of its own: those of the task that was adapted without an
        id, or if there is none, of all adapted tasks.
        """
        served = vars(self).get("_served")
        if served is None or not served.learned.encoder.is_classifier:
            raise AttributeError(f"{type(self).__name__} has no classes_")
        if served.learned.encoder.shared_labels:
            among = None if served.current is None else served.current.among
            return served.learned.encoder.targets.classes if among is None else among
        tasks = served.current or served.known
        if tasks is None:
            raise AttributeError("each task has classes of its own, and none was adapted yet")
        return tasks.all_classes

    def score(self, X, y=None, sample_weight=None, groups=None):
        """Accuracy, or R2, of predicted rows; of a task collection, of adaptation.

        Parameters
        ----------
        X, y, groups
            Rows: `predict(X, groups)` is compared with y. A TaskCollection or a list of
            (X, y): every task is split into support and query, adapted and scored. The support
            is its marked rows, else half of its rows (or blocks), by `support_order`; a random
            split is the same at every call, so that scores can be compared.
        sample_weight : array-like of shape (n_rows,), default=None
            Of rows. It stands before `groups`, as scikit-learn's scores have it: pass both by name.

        Returns
        -------
        score : float
            Of tasks, the mean over tasks; where targets hardly vary, R2 may be far below 0.
        """
        check_is_fitted(self)
        now = self._as_fitted()
        metric = accuracy_score if learns_classes(now) else r2_score
        if is_rows(X):
            if y is None:
                raise ValueError("score of rows requires y, got None")
            y, sample_weight = scored_rows(now, X, y, sample_weight)
            return agreement(metric, y, now.predict(X, groups=groups), sample_weight)
        if sample_weight is not None:
            raise ValueError("sample_weight weighs rows; with a task collection it must be None")
        self._check_now("support_order", "n_jobs")
        tasks, learned = task_collection(now, X, y, groups), now._served.learned
        own_classes = not learned.encoder.shared_labels
        tasks = tasks.take(np.flatnonzero(learnable(tasks, "half", own_classes=own_classes)))
        found = evaluate(learned, tasks, support_order=self.support_order, n_jobs=self.n_jobs)
        starts = np.searchsorted(found.task, np.arange(1, len(tasks)))
        pairs = zip(
            *(np.split(v, starts) for v in (tasks.y[found.row], found.predicted)), strict=True
        )
        scores = [
            agreement(metric, *pair) for pair in pairs if len(pair[0]) > 1 or learns_classes(now)
        ]
        if not scores:
            raise ValueError("R2 needs a task with 2 or more query rows; found none")
        return float(np.mean(scores))

    def _fit(self, X, y, groups, blocks, callbacks):
        """Fit; the checkpoint that is of no further use."""
        before = self._before_warm_start()
        training = MetaTraining.set_up(self, X, y, groups, blocks, before)
        ended = run(training, self.verbose, callbacks, partial(self._as_if_fitted, training))
        self._take(training)
        if self.adapt_training_tasks:
            self._adapt_training_tasks(training)
        return None if ended == INTERRUPTED else training.checkpoint

    def _before_warm_start(self):
        """What a warm start goes on from; None where there is none."""
        if not self.warm_start or not hasattr(self, "_served"):
            return None
        self._check_task_feature("warm_start=True")
        progress = [
            each if each.loss_curve is not None else each._replace(loss_curve=self.loss_curve_)
            for each in self._training.progress
        ]
        return self._served.learned, self._training._replace(progress=progress)

    def _take(self, training):
        """What was trained, as attributes."""
        trainer, saved = training.trainer, training.saved
        self.validation_scores_ = trainer.scores
        self.best_iter_ = trainer.best_iter
        curve = LossCurve(trainer.loss_curve)
        self._keep(training.conclude(), saved, curve, len(training.source.tasks))

    def _adapt_training_tasks(self, training):
        """Serve them, too. What stands in the way of that costs nothing that was learned."""
        if training.source.draw is not None:
            return
        try:
            encoded = without_large(training.encoded, self.algorithm_)
            self._served = self._served.adding(self._learn(encoded))
        except (ValueError, MemoryError, KeyboardInterrupt) as error:
            why = shown(error, str) or "it was interrupted"
            warn(f"fit is done, but the training tasks were not adapted: {why}")

    def _partial_fit(self, X, y, groups, classes, blocks):
        served = getattr(self, "_served", None)
        before = None if served is None else served.learned
        if before is not None:
            before.encoder.check_same(self.estimator, **before.encoder.options)
            self._check_task_feature("partial_fit")
        tasks = task_collection(self, X, y, groups, reset=before is None, blocks=blocks)
        if before is None:
            encoder, encoded, numbers = encode(self, tasks, classes=classes)
            random_state = check_random_state(self.random_state)
            seed = copy.deepcopy(random_state)
            algorithm, curve = clone(resolve_algorithm(self.algorithm)), LossCurve()
            states = [first_state(self, algorithm, encoder.network, encoder.dtype, random_state)]
            n_folds, share = 1, None
        else:
            encoder, algorithm = before.encoder, self._same_kind(before)
            encoder.check_same(self.estimator, **encoder_options(self, tasks))
            if classes is not None:
                check_same_classes(classes, encoder.targets)
            encoded, numbers = encode_training(self, tasks, encoder)
            states, seed, curve = self._states_to_go_on(), self._training.seed, self._loss_curve
            n_folds, share = before.n_folds, before.share
        arrays = encoded.arrays.astype(states[0].params.vector.dtype)
        sampler = EpisodeSampler(arrays, **episode_options(self))
        episode = sampler.draw(numbers, states[0].random_state)
        trained, losses = [], []
        with blas_threads(multiplications(encoder.network, *episode)):
            for state in states:
                network = network_of(encoder.network, state.params)
                losses.append(state.step(algorithm, network, *episode))
                trained.append(HeldOut(network, state.averaged, *episode))
        if np.isnan(losses).any():
            warn_of_skipped_step(algorithm, states[int(np.argmax(np.isnan(losses)))])
        learned = conclude(encoder, algorithm, trained, n_folds, share)
        memory = Saved(None, seed, [Progress(state, None, None, None) for state in states])
        self._keep(learned, memory, curve.append(losses[0]), len(tasks))
        if self.adapt_training_tasks:
            self._served = self._served.adding(self._learn(encoded))

    def _states_to_go_on(self):
        """States of one's own, after `fit` with the parameters that were kept."""
        states, network = [], self._served.learned.encoder.network
        for progress in self._training.progress:
            state = progress.state.copy()
            if self._training.identity is not None:
                state.rebase(kept_of(progress, True))
            state.set_rates(**rates(self, network_of(network, state.params)))
            states.append(state)
        return states

    def _as_fitted(self):
        """As it was fitted, and is at this moment: a copy of which other threads know nothing.

        What rows are does not change with parameters that are set later.
        """
        state, fitted = dict(vars(self)), object.__new__(type(self))
        vars(fitted).update(state | state["_fitted_with"])
        return fitted

    def _become(self, fitted):
        """Take everything over in a single statement, which other threads see or do not."""
        with REPLACING:
            self.__dict__ = vars(fitted)

    def _as_if_fitted(self, training):
        """A model, were training to end now."""
        fitted = copy.copy(self)
        fitted._take(training)
        if self.adapt_training_tasks:
            fitted._adapt_training_tasks(training)
        return fitted

    def _check_now(self, *names):
        """Parameters that count after `fit` may have been set since."""
        check_values(PARAMETER_CONSTRAINTS, {n: getattr(self, n) for n in names}, "MetaLearner")

    def _check_task_feature(self, what):
        then = self._fitted_with["task_feature"]
        if self.task_feature != then:
            raise ValueError(
                f"{what} goes on with task_feature={then!r}, found {self.task_feature!r}; fit anew"
            )

    def _same_kind(self, before):
        """The algorithm as its parameters are now, which takes the parameters learned so far."""
        algorithm = clone(resolve_algorithm(self.algorithm))
        if repr(algorithm) == repr(before.algorithm):
            return before.algorithm
        if type(algorithm) is not type(before.algorithm):
            raise ValueError(
                f"partial_fit goes on with algorithm={before.algorithm}, found {algorithm}; fit "
                "anew"
            )
        random_state, encoder = np.random.RandomState(0), before.encoder
        fresh = algorithm.init_params(encoder.network, random_state, encoder.dtype)
        kept = self._training.progress[0].state.params
        check_same_layout("partial_fit", algorithm, fresh, kept)
        return algorithm

    def _keep(self, learned, memory, curve, n_tasks):
        """What was learned, and where training was; what was adapted with the old is no more."""
        self._served, self._training, self._loss_curve = Served(learned), memory, curve
        self._fitted_with = {
            "estimator": learned.encoder.estimator,
            "task_feature": self.task_feature,
        }
        self.algorithm_, self.n_tasks_ = learned.algorithm, n_tasks
        self.estimator_ = self._take_ids_too(learned.export_prior())
        self.n_iter_ = max(each.state.n_iter for each in memory.progress)

    def _encode_support(self, X, y, groups, sample_weight):
        """Support rows in numbers."""
        tasks, weight = support_tasks(self, X, y, groups, sample_weight)
        encoder = self._served.learned.encoder
        return encoder.nothing() if tasks is None else encoder.encode(tasks, weight)

    def _adapt_to_nothing(self):
        """As `fit_adapt` without rows."""
        self._served = self._served.adding(self._learn(self._served.learned.encoder.nothing()))
        return self

    def _take_ids_too(self, exported):
        fitted = self._as_fitted()
        return exported if fitted.task_feature is None else ignore_task_feature(exported, fitted)

    def _learn(self, encoded):
        """Encoded tasks, learned."""
        self._check_now("n_jobs")
        return self._served.learned.learn(encoded, self.n_jobs)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        final = final_step(self.estimator)
        if isinstance(final, type) or not hasattr(final, "__sklearn_tags__"):
            return tags  # `fit` says what is wrong
        inner = get_tags(final)
        tags.estimator_type = inner.estimator_type
        tags.classifier_tags, tags.regressor_tags = inner.classifier_tags, inner.regressor_tags
        tags.target_tags = inner.target_tags
        tags.target_tags.required = True
        tags.input_tags.sparse = False
        if tags.classifier_tags is not None:
            tags.classifier_tags.multi_label = False
            tags.target_tags.multi_output = False
        return tags
