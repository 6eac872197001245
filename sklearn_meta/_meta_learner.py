"""MetaLearner: the scikit-learn estimator. It validates, converts and delegates."""

import copy
from functools import partial

import numpy as np
from sklearn.base import BaseEstimator, MetaEstimatorMixin, clone, is_classifier
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import accuracy_score, r2_score
from sklearn.utils import check_random_state, get_tags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from ._arguments import check_values
from ._evaluation import evaluate
from ._few_shot_learner import FewShotLearner, agreement
from ._learned import UNKNOWN, Asked, Learned
from ._messages import shown, warn
from ._parameters import PARAMETER_CONSTRAINTS, check_parameters, resolve_algorithm
from ._runtime import blas_threads
from .encoding import Encoder, final_step, split_estimator
from .encoding._input import (
    check_same_classes,
    is_rows,
    query_rows,
    scored_rows,
    support_tasks,
    task_collection,
    task_source,
)
from .encoding._learnable import learnable, warn_of_one_task
from .encoding._task_column import names_seen
from .export import ignore_task_feature
from .network import both_classes
from .tasks._episodes import EpisodeSampler
from .tasks._ids import kinds_of
from .tasks._streams import CollectionStream, DistributionStream
from .training import EarlyStopping, LossCurve, Trainer, TrainingState, multiplications

# of scikit-learn's HTML representation: the page of the class in the reference
DOC_LINK = (
    "https://sklearn-meta.readthedocs.io/en/latest/api/generated/"
    "{estimator_module}.{estimator_name}.html"
)
STATE_VERSION = 1  # of what a pickle holds; another cannot be taken over
SWITCH = {"return_std": ["boolean"]}
TAKING_GROUPS = "fit", "partial_fit", "predict", "predict_proba", "predict_log_proba", "score"
VALIDATION_EPISODES = 100  # at least, however few the validation tasks


def _learns_classes(meta):
    """Whether it is a classifier: once fitted, as it was fitted."""
    learned = vars(meta).get("_learned")
    return is_classifier(meta) if learned is None else learned.encoder.is_classifier


def _classifies(meta):
    if not _learns_classes(meta):
        raise AttributeError("class probabilities are there with an MLPClassifier only")
    return True


class MetaLearner(MetaEstimatorMixin, BaseEstimator):
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
        How a task is learned, see `sklearn_meta.algorithms`: a name or an instance.
    task_feature : str or int, default=None
        The column of X that holds the task id, never scaled; it is taken off before the
        estimator sees X. It works where `groups` cannot be passed, as in `cross_val_score`. Once
        fitted, rows without it are those of a task without an id.
    n_shots : int, (int, int) or "auto", default="auto"
        Support rows of a training episode, in classification of each class: a number, a
        range from which each task and episode draws one anew, or "auto", so that the learned
        algorithm serves any number of rows. "auto" draws 0 to 20 rows of whatever class (up to
        5 times the number of classes, if more, and 100 at most); where tasks have classes of
        their own, 1 or more of each class.
    n_query : int or None, default=20
        Query rows of a training episode at most; None takes all that the support left.
    support_order : {"random", "first"}, default="random"
        Which rows of a task are its support: any, or its first, for tasks ordered in time.
    meta_lr : float, default=1e-3
        Learning rate of Adam, in the outer loop.
    meta_batch_size : int, default=16
        Tasks in a meta-step.
    max_iter : int, default=3000
        Meta-steps.
    tol : float, default=1e-4
        Improvement of the validation score that counts.
    validation_interval : int, default=50
        Meta-steps from one evaluation on the validation tasks to the next.
    n_iter_no_change : int, default=10
        Evaluations without improvement after which to stop.
    early_stopping : bool, default=True
        Hold tasks out for validation: training stops when they stop improving, and the
        parameters that did best on them are the ones kept. False trains on all tasks for
        `max_iter` meta-steps.
    validation_fraction : float, default=0.1
        Share of tasks held out; of a distribution, of what its tasks are drawn from (see `fit`).
        If that is less than one task, the training tasks validate.
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
        Whether `fit` goes on from the last fit's parameters, features and targets
        standardised as they were.
    n_jobs : int, default=None
        Threads over which many tasks are adapted.
    random_state : int, RandomState or None, default=None
        Of initial weights, held-out tasks and episodes. An int makes `fit` repeatable to the
        bit.
    verbose : bool, default=False
        Print the progress of training.

    Attributes
    ----------
    algorithm_ : MetaAlgorithm
        How a task is learned.
    estimator_ : MLPRegressor, MLPClassifier or Pipeline
        The meta-learned prior, fitted: what predicts for an unknown task. With `task_feature` a
        Pipeline, which ignores that column where it is there.
    tasks_ : ndarray of shape (n_adapted,)
        Ids of the adapted tasks.
    classes_ : ndarray of shape (n_classes,)
        Of a classifier.
    loss_curve_ : list of float
        Loss of each meta-step.
    validation_scores_ : list of float or None
        Negative mean query loss on the validation tasks at each evaluation of `fit`.
    best_iter_ : int
        The meta-step whose parameters were kept, in `fit`.
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

    Losses are means over rows, with no factor 1/2. What is validated, kept and adapted from is
    the running average of the parameters over about the last 100 meta-steps.

    A pickle holds what was meta-learned, the state of the optimiser, and of each adapted task
    what its predictions need: weights of its own; for `BayesianHead` also its support rows
    without their targets, or the factor of its posterior's precision, whichever has fewer
    numbers; for `DeepKernelGP` the features and residuals of its support rows. Training rows
    are kept for nothing else; `adapt_training_tasks=False` keeps none.

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
    """

    _parameter_constraints = PARAMETER_CONSTRAINTS
    _doc_link_module = "sklearn_meta"
    _doc_link_template = DOC_LINK

    __metadata_request__fit = {"groups": True}
    __metadata_request__partial_fit = {"groups": True}
    __metadata_request__predict = {"groups": True, "return_std": True}
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
        n_query=20,
        support_order="random",
        meta_lr=1e-3,
        meta_batch_size=16,
        max_iter=3000,
        tol=1e-4,
        validation_interval=50,
        n_iter_no_change=10,
        early_stopping=True,
        validation_fraction=0.1,
        normalize_y=True,
        standardize="auto",
        shared_labels="auto",
        adapt_training_tasks=True,
        handle_unknown="warn",
        warm_start=False,
        n_jobs=None,
        random_state=None,
        verbose=False,
    ):
        self.estimator = estimator
        self.algorithm = algorithm
        self.task_feature = task_feature
        self.n_shots = n_shots
        self.n_query = n_query
        self.support_order = support_order
        self.meta_lr = meta_lr
        self.meta_batch_size = meta_batch_size
        self.max_iter = max_iter
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

    def fit(self, X, y=None, groups=None):
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

        Returns
        -------
        self : MetaLearner
            With every training task adapted, too, unless `adapt_training_tasks=False`.

        Raises
        ------
        ValueError
            If the tasks, rows or parameters will not do; nothing is changed then.

        Warns
        -----
        UserWarning
            If a distribution has too little to split, and early stopping so validates on what
            is trained on.
        """
        check_parameters(self)
        fitted = copy.copy(self)  # self stays as it is if anything goes wrong
        fitted._fit(X, y, groups)
        self.__dict__ = vars(fitted)
        return self

    def partial_fit(self, X, y=None, groups=None, classes=None):
        """Take one meta-step on the given tasks: streaming, or resuming after `fit`.

        Features and targets are standardised as in the first call. The tasks given are
        adapted; those of earlier calls are forgotten, as the parameters have moved on.

        Parameters
        ----------
        X, y, groups
            As in `fit`, but no distribution.
        classes : array-like of shape (n_classes,), default=None
            In the first call, all classes there will be; None: those in y.

        Returns
        -------
        self : MetaLearner
        """
        check_parameters(self)
        fitted = copy.copy(self)
        fitted._partial_fit(X, y, groups, classes)
        self.__dict__ = vars(fitted)
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
            If rows, tasks or weights will not do; nothing is changed then.
        """
        check_is_fitted(self)
        self._serve(self._encode_support(X, y, groups, sample_weight))
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
            A fitted clone of `estimator` for this task; of `DeepKernelGP`, a Pipeline that
            ends in a Gaussian process. With `task_feature` a Pipeline, too, which takes rows
            with that column, ignored, or without it.

        Raises
        ------
        ValueError
            If rows or weights will not do, or are of more than one task.
        """
        check_is_fitted(self)
        encoded, learned = self._encode_support(X, y, None, sample_weight), self._learned
        if len(encoded.ids) != 1:
            raise ValueError(f"adapt takes the rows of one task, got {len(encoded.ids)} tasks")
        if not len(encoded.arrays.X):
            return self._take_ids_too(learned.export_prior())
        return self._take_ids_too(learned.export(learned.learn(encoded), 0))

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
        return np.array([]) if self._known is None else self._known.ids

    @property
    def classes_(self):
        """The classes, in the order of `predict_proba`'s columns.

        Where each task has classes of its own: those of the task that was adapted without an
        id, or if there is none, of all adapted tasks.
        """
        if "_learned" not in vars(self) or not self._learned.encoder.is_classifier:
            raise AttributeError(f"{type(self).__name__} has no classes_")
        if self._learned.encoder.shared_labels:
            among = None if self._current is None else self._current.among
            return self._learned.encoder.targets.classes if among is None else among
        tasks = self._current or self._known
        if tasks is None:
            raise AttributeError("each task has classes of its own, and none was adapted yet")
        return tasks.all_classes

    def predict(self, X, groups=None, return_std=False):
        """Predict rows of adapted tasks.

        Parameters
        ----------
        X : {array-like, dataframe} of shape (n_rows, n_features)
        groups : array-like of shape (n_rows,), default=None
            The task of each row. None: the task that was adapted without an id; if there
            is none, as for an unknown task.
        return_std : bool, default=False
            Also the predictive standard deviation (regression, Bayesian algorithms).

        Returns
        -------
        y : ndarray of shape (n_rows,) or (n_rows, n_outputs)
            Numbers in double precision, whatever the precision of X.
        std : ndarray like y
            Only with `return_std`, in the units of y.

        Raises
        ------
        ValueError
            If a task is unknown and `handle_unknown="error"`, or has classes of its own.
        """
        check_values(SWITCH, {"return_std": return_std}, "predict")
        if return_std and _learns_classes(self):
            raise ValueError("return_std is for regression; predict_proba has one for classes")
        asked, learned = self._ask(X, groups), self._learned
        classes = None if asked.tasks is None else asked.tasks.classes
        predicted = learned.decode(learned.outputs(asked), asked.place, classes)
        if not return_std:
            return predicted
        return predicted, learned.decode_std(learned.std(asked))

    @available_if(_classifies)
    def predict_proba(self, X, groups=None, return_std=False):
        """Class probabilities of rows of adapted tasks.

        Parameters
        ----------
        X, groups
            As in `predict`.
        return_std : bool, default=False
            Also their posterior standard deviation (Bayesian algorithms).

        Returns
        -------
        proba : ndarray of shape (n_rows, n_classes)
            In the order of `classes_`; with groups, where each task has classes of its own,
            in that of all adapted tasks' classes, sorted.
        std : ndarray of shape (n_rows, n_classes)
            Only with `return_std`.
        """
        check_values(SWITCH, {"return_std": return_std}, "predict_proba")
        asked, learned = self._ask(X, groups), self._learned
        proba = learned.network.loss.mean(learned.outputs(asked))
        std = learned.std(asked) if return_std else None
        if proba.shape[1] == 1:
            proba, std = both_classes(proba), std if std is None else np.tile(std, 2)
        if not learned.encoder.shared_labels:
            proba, std = (asked.tasks.in_columns(part, asked.place) for part in (proba, std))
        elif asked.tasks is not None and asked.tasks.among is not None:
            columns = np.isin(learned.encoder.targets.classes, asked.tasks.among)
            proba, std = proba[:, columns], std if std is None else std[:, columns]
        return (proba, std) if return_std else proba

    @available_if(_classifies)
    def predict_log_proba(self, X, groups=None):
        """Logarithm of `predict_proba`.

        Parameters
        ----------
        X, groups
            As in `predict`.

        Returns
        -------
        log_proba : ndarray of shape (n_rows, n_classes)
        """
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X, groups))

    def score(self, X, y=None, sample_weight=None, groups=None):
        """Accuracy, or R2, of predicted rows; of a task collection, of adaptation.

        Parameters
        ----------
        X, y, groups
            Rows: `predict(X, groups)` is compared with y. A TaskCollection or a list of
            (X, y): every task is split into support and query, adapted and scored. The support
            is its marked rows, else half of its rows, by `support_order`; a random split is the
            same at every call, so that scores can be compared.
        sample_weight : array-like of shape (n_rows,), default=None
            Of rows. It stands before `groups`, as scikit-learn's scores have it: pass both by name.

        Returns
        -------
        score : float
            Of tasks, the mean over tasks; where targets hardly vary, R2 may be far below 0.
        """
        check_is_fitted(self)
        metric = accuracy_score if _learns_classes(self) else r2_score
        if is_rows(X):
            if y is None:
                raise ValueError("score of rows requires y, got None")
            y, sample_weight = scored_rows(self._as_fitted(), X, y, sample_weight)
            return agreement(metric, y, self.predict(X, groups=groups), sample_weight)
        if sample_weight is not None:
            raise ValueError("sample_weight weighs rows; with a task collection it must be None")
        self._check_now("support_order", "n_jobs")
        tasks = task_collection(self._as_fitted(), X, y, groups)
        own_classes = not self._learned.encoder.shared_labels
        tasks = tasks.take(np.flatnonzero(learnable(tasks, "half", own_classes=own_classes)))
        found = evaluate(self._learned, tasks, support_order=self.support_order, n_jobs=self.n_jobs)
        starts = np.searchsorted(found.task, np.arange(1, len(tasks)))
        pairs = zip(
            *(np.split(v, starts) for v in (tasks.y[found.row], found.predicted)), strict=True
        )
        scores = [
            agreement(metric, *pair) for pair in pairs if len(pair[0]) > 1 or _learns_classes(self)
        ]
        if not scores:
            raise ValueError("R2 needs a task with 2 or more query rows; found none")
        return float(np.mean(scores))

    def _fit(self, X, y, groups):
        random_state = check_random_state(self.random_state)
        before = getattr(self, "_learned", None) if self.warm_start else None
        if before is not None:
            self._check_task_feature("warm_start=True")
        source = task_source(self, X, y, groups, random_state, reset=before is None)
        encoder, encoded, trained = self._encode(source.tasks, before)
        if source.is_rows:
            warn_of_one_task(source.tasks)
        stream, validation = self._episodes(source, encoder, encoded, trained, random_state)
        algorithm = clone(resolve_algorithm(self.algorithm))
        params = algorithm.init_params(encoder.network, random_state, encoder.dtype)
        if before is not None:
            params = _warm_params(params, before.params)
        state = self._start(params, encoder.network, random_state)
        trainer = self._train(algorithm, encoder.network, stream, validation, state)
        trainer.warn_if_useless(encoded.arrays.y.mean(axis=0))
        self._keep(encoder, algorithm, trainer.kept, validation, state)
        state.rebase(self._learned.params)
        self._forget(len(source.tasks))
        if source.draw is None and self.adapt_training_tasks:
            self._serve(encoded)

    def _partial_fit(self, X, y, groups, classes):
        before = getattr(self, "_learned", None)
        if before is not None:
            before.encoder.check_same(self.estimator, **before.encoder.options)
            self._check_task_feature("partial_fit")
        tasks = task_collection(self, X, y, groups, reset=before is None)
        if before is None:
            encoder, encoded, trained = self._encode(tasks, classes=classes)
            algorithm = clone(resolve_algorithm(self.algorithm))
            random_state = check_random_state(self.random_state)
            params = algorithm.init_params(encoder.network, random_state, encoder.dtype)
            state, curve = self._start(params, encoder.network, random_state), LossCurve()
        else:
            encoder, algorithm = before.encoder, self._same_kind(before)
            encoder.check_same(self.estimator, **self._options(tasks))
            state, curve = self._training.copy(), self._loss_curve
            state.alpha = split_estimator(self.estimator)[0].alpha
            if classes is not None:
                check_same_classes(classes, encoder.targets)
            encoded, trained = self._encode_training(tasks, encoder)
            state.optimizer.learning_rate = self.meta_lr
        sampler = EpisodeSampler(encoded.arrays, **self._episode_options())
        episode = sampler.draw(trained, state.random_state)
        with blas_threads(multiplications(encoder.network, *episode)):
            loss = state.step(algorithm, encoder.network, *episode)
        self._loss_curve = curve.append(loss)
        self._keep(encoder, algorithm, state.averaged, episode, state)
        self._forget(len(tasks))
        if self.adapt_training_tasks:
            self._serve(encoded)

    def _as_fitted(self):
        """As it was fitted: what rows are does not change with parameters that are set later."""
        fitted = object.__new__(type(self))
        vars(fitted).update(vars(self) | self._fitted_with)
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
        shapes = before.params.layout.shapes
        fresh = algorithm.init_params(
            before.network, np.random.RandomState(0), before.encoder.dtype
        )
        if type(algorithm) is not type(before.algorithm) or fresh.layout.shapes != shapes:
            raise ValueError(
                f"partial_fit goes on with algorithm={before.algorithm}, found {algorithm}, whose "
                "parameters are others; fit anew"
            )
        return algorithm

    def _encode(self, tasks, before=None, classes=None):
        """An encoder fitted to tasks, or as it was before; these encoded; and which to train on."""
        options = self._options(tasks)
        if before is not None:
            encoder = before.encoder.renew(self.estimator, **options)
            return encoder, *self._encode_training(tasks, encoder)
        own_classes = is_classifier(self) and not options["shared_labels"]
        tasks, trained = self._learnable(tasks, own_classes)
        encoder, encoded = Encoder.fit_encode(
            self.estimator, tasks, classes=classes, feature_names=names_seen(self), **options
        )
        return encoder, encoded, trained

    def _options(self, tasks):
        """The encoder's, as the parameters and the tasks have them."""
        _, steps = split_estimator(self.estimator)
        auto = self.shared_labels == "auto", self.standardize == "auto"
        return {
            "shared_labels": tasks.shared_labels if auto[0] else self.shared_labels,
            "normalize_y": self.normalize_y,
            "standardize": steps is None if auto[1] else self.standardize,
        }

    def _encode_training(self, tasks, encoder):
        """Tasks encoded, and the numbers of those to train on."""
        tasks, trained = self._learnable(tasks, not encoder.shared_labels)
        return encoder.encode(tasks), trained

    def _learnable(self, tasks, own_classes):
        """Tasks that can be adapted to, and the numbers of those to train on."""
        numbers = np.flatnonzero(learnable(tasks, self.n_shots, own_classes=own_classes))
        if own_classes:  # a task of one row has one class, which tells nothing apart
            return tasks.take(numbers), np.arange(len(numbers))
        return tasks, numbers

    def _episodes(self, source, encoder, encoded, trained, random_state):
        """A stream of episodes to train on, and the episode of the validation tasks."""
        options, arrays = self._episode_options(), encoded.arrays
        if source.draw is None:
            sampler = EpisodeSampler(arrays, **options)
            training, validation = self._split_tasks(trained, random_state)
            stream = CollectionStream(sampler, training, self.meta_batch_size)
            return stream, sampler.draw(validation, random_state)

        sample = partial(self._sample, source, encoder)
        task_size = arrays.X.size / len(arrays)
        stream = DistributionStream(sample, options, self.meta_batch_size, task_size)
        if source.validation is not None:
            encoded, trained = self._encode_training(source.validation, encoder)
        sampler = EpisodeSampler(encoded.arrays, **options)
        return stream, sampler.draw(trained, random_state)

    def _sample(self, source, encoder, n_tasks, random_state):
        """Tasks of a distribution to train on, encoded."""
        encoded, trained = self._encode_training(source.draw(n_tasks, random_state), encoder)
        if len(trained) < n_tasks:
            raise ValueError(
                f"sample({n_tasks}, ...) of the distribution gave {n_tasks - len(trained)} tasks "
                f"of one row, which n_shots={self.n_shots!r} cannot train on"
            )
        return encoded.arrays

    def _episode_options(self):
        return {
            "n_shots": self.n_shots,
            "n_query": self.n_query,
            "support_order": self.support_order,
        }

    def _split_tasks(self, tasks, random_state):
        """Tasks to train on, and those to validate on, repeated until their episodes suffice.

        Where there are too few to hold any out, the training tasks validate.
        """
        order = tasks[random_state.permutation(len(tasks))]
        n_held_out = round(self.validation_fraction * len(tasks)) if self.early_stopping else 0
        n_held_out = min(n_held_out, len(tasks) - 1)
        validation = order[:n_held_out] if n_held_out else order
        repeats = -(-VALIDATION_EPISODES // len(validation))
        return order[n_held_out:], np.tile(validation, repeats)

    def _start(self, params, network, random_state):
        mlp, _ = split_estimator(self.estimator)
        return TrainingState.start(
            params, network, random_state, meta_lr=self.meta_lr, alpha=mlp.alpha
        )

    def _train(self, *parts):
        """A trainer made of these parts that has done its work, and its history as attributes."""
        stopping = EarlyStopping(self.tol, self.n_iter_no_change) if self.early_stopping else None
        options = {"max_iter": self.max_iter, "validation_interval": self.validation_interval}
        trainer = Trainer(*parts, stopping, **options)
        for report in trainer:
            if self.verbose:
                print(report)
        self._loss_curve, self.best_iter_ = LossCurve(trainer.loss_curve), trainer.best_iter
        self.validation_scores_ = stopping and stopping.scores
        return trainer

    def _keep(self, encoder, algorithm, params, validation, state):
        """Take parameters as the meta-learned ones; training would go on from them."""
        params = algorithm.calibrate(encoder.network, params, *validation)
        self._learned, self._training = Learned(encoder, algorithm, params), state
        self.algorithm_ = algorithm
        self._fitted_with = {"estimator": encoder.estimator, "task_feature": self.task_feature}
        self.estimator_ = self._take_ids_too(self._learned.export_prior())
        self.n_iter_ = state.n_iter

    def _forget(self, n_tasks):
        """The parameters have moved on: what was adapted with the old ones is no more."""
        self.n_tasks_ = n_tasks
        self._known = self._current = None

    def _encode_support(self, X, y, groups, sample_weight):
        """Support rows in numbers."""
        tasks, weight = support_tasks(self._as_fitted(), X, y, groups, sample_weight)
        encoder = self._learned.encoder
        return encoder.nothing() if tasks is None else encoder.encode(tasks, weight)

    def _adapt_to_nothing(self):
        """As `fit_adapt` without rows."""
        self._serve(self._learned.encoder.nothing())
        return self

    def _take_ids_too(self, exported):
        fitted = self._as_fitted()
        return exported if fitted.task_feature is None else ignore_task_feature(exported, fitted)

    def _serve(self, encoded):
        """Learn tasks and serve them from now on."""
        self._check_now("n_jobs")
        tasks = self._learned.learn(encoded, self.n_jobs)
        if len(tasks) == 1 and tasks.ids[0] is None:
            self._current = tasks
        else:
            self._known = tasks if self._known is None else self._known.merge(tasks)

    def _ask(self, X, groups):
        """Rows to predict, encoded, and where their tasks are found."""
        check_is_fitted(self)
        rows, groups = query_rows(self._as_fitted(), X, groups)
        X = self._learned.encoder.features.transform(rows)
        tasks = self._current if groups is None else self._known
        if tasks is None:
            place = np.full(len(X), UNKNOWN)
        else:
            place = np.zeros(len(X), int) if groups is None else tasks.find(groups)
        if np.any(place == UNKNOWN):
            self._check_unknown(groups, place)
        return Asked(X, place, tasks)

    def _check_unknown(self, groups, place):
        """What is to be done about rows of unknown tasks: a warning, an error, or nothing."""
        self._check_now("handle_unknown")
        unknown = place == UNKNOWN
        if groups is None:
            what = "the rows name no task, and fit_adapt was given none without an id"
            served = "" if self._known is None else "; pass groups, or their column"
        else:
            self._check_kinds(groups)
            what = f"task {shown(groups[unknown][0])} was never adapted"
            served = ""
        if self.handle_unknown == "error":
            raise ValueError(f"{what}; adapt it first{served}, or set handle_unknown='prior'")
        if not self._learned.encoder.shared_labels:
            raise ValueError(f"{what}, and the prior knows no classes: each task has its own")
        if self.handle_unknown == "warn":
            warn(
                f"the prior predicts {np.count_nonzero(unknown)} of {len(place)} rows, as for a "
                f"task of which nothing is known: {what}. Adapt it first by fit_adapt{served}; "
                "handle_unknown='prior' says that the prior is meant"
            )

    def _check_kinds(self, groups):
        """Ids of another kind than all known ones are a mistake."""
        if self._known is None:
            return
        kinds, known = kinds_of(groups), kinds_of(self._known.ids)
        if kinds.isdisjoint(known):
            raise ValueError(
                f"groups are {' and '.join(sorted(kinds))}, as {shown(groups[0])}, but the "
                f"known tasks are named by {' and '.join(sorted(known))}, as "
                f"{shown(self._known.ids[0])}"
            )

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


def _warm_params(fresh, kept):
    """The parameters that a warm start goes on from, if they still fit."""
    if fresh.layout.shapes != kept.layout.shapes:
        raise ValueError(
            "warm_start=True goes on from the last fit's parameters, but the network or the "
            f"algorithm has changed: expected {fresh.layout.shapes}, found {kept.layout.shapes}"
        )
    return kept
