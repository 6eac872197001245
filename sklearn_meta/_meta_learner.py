"""MetaLearner: the scikit-learn estimator. It validates, converts and delegates."""

import numpy as np
from sklearn.base import BaseEstimator, MetaEstimatorMixin, clone, is_classifier
from sklearn.utils import check_random_state, get_tags

from . import _validation as check
from ._encoding import Encoder, split_estimator
from ._export import export
from ._prediction import PredictionMixin
from ._training import Gate, TrainingState, train
from .tasks import CollectionStream, DistributionStream, EpisodeSampler

HELD_OUT_EPISODES = 100  # at least, however few the held-out tasks
HELD_OUT_SAMPLE = 500  # tasks of a distribution, to standardise by and to judge by


class MetaLearner(PredictionMixin, MetaEstimatorMixin, BaseEstimator):
    """Learn from many small related data sets how to learn a new one.

    A task is a small data set: one store, patient, assay, alphabet. `fit` learns from many
    tasks; `fit_adapt` learns a new one from a handful of rows, its support; `predict`
    serves it. With no rows at all the prior learned from all tasks predicts.

    Parameters
    ----------
    estimator : MLPRegressor, MLPClassifier or Pipeline
        A Pipeline must end in an MLP; its other steps are fitted once, on the pooled rows.
        The MLP gives the network: `hidden_layer_sizes`, `activation`, `loss`, and `alpha`,
        the L2 penalty ``alpha / 2 * |weights|^2`` of what is meta-learned. Its own training
        parameters have no work here; a UserWarning names each that was changed.
    algorithm : str or MetaAlgorithm, default="bayesian_head"
        How a task is learned, see `sklearn_meta.algorithms`: a name or an instance.
    task_feature : str or int, default=None
        The column of X that holds the task id; it is taken off before the estimator sees
        X. It works where `groups` cannot be passed, as in `cross_val_score`.
    n_shots : int, (int, int) or "auto", default="auto"
        Support rows of a training episode, in classification of each class: a number, a
        range, or a fresh number for each task and episode, so that the learned algorithm
        serves any number of rows. "auto" draws 0 to 20 rows of whatever class (up to 5 times
        the number of classes, if more); where tasks have classes of their own, 1 or more of
        each class.
    n_query : int or None, default=20
        Query rows of a training episode at most; None takes all that the support left.
    support : {"random", "first"}, default="random"
        Which rows are support; "first" for tasks ordered in time.
    meta_lr : float, default=1e-3
        Learning rate of Adam, in the outer loop.
    meta_batch_size : int, default=16
        Tasks in a meta-step.
    max_iter : int, default=3000
        Meta-steps.
    tol : float, default=1e-4
        Improvement of the validation score that counts.
    n_iter_no_change : int, default=10
        Evaluations (one every 50 meta-steps) without improvement after which to stop.
    early_stopping : bool, default=True
        Hold tasks out as judges: training stops when they stop improving, and the parameters
        that did best on them are the ones kept. False trains on all tasks for `max_iter`
        meta-steps.
    validation_fraction : float, default=0.1
        Share of tasks held out. If that is less than one task, the training tasks judge.
    normalize_y : bool, default=True
        Standardise regression targets over the pooled rows (Poisson: divide by the mean).
    shared_labels : bool or "auto", default="auto"
        True: a label means the same in every task. False: every task has classes of its
        own (N-way few-shot). "auto": as the task collection says; True for rows.
    handle_unknown : {"prior", "error"}, default="prior"
        What `predict` does with a task that was never adapted.
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
        The meta-learned prior, fitted: what predicts for an unknown task.
    learner_ : FewShotLearner
        The learned learning algorithm: an unfitted estimator whose `fit` is adaptation.
    tasks_ : ndarray of shape (n_adapted,)
        Ids of the adapted tasks.
    classes_ : ndarray of shape (n_classes,)
        Of a classifier.
    loss_curve_ : list of float
        Loss of each meta-step.
    validation_scores_ : list of float or None
        Negative mean query loss on the held-out tasks at each evaluation.
    best_iter_ : int
        The meta-step whose parameters were kept.
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
    Losses are means over rows, with no factor 1/2. What is judged, kept and adapted from is
    the running average of the parameters over about the last 100 meta-steps.

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

    _parameter_constraints = check.PARAMETER_CONSTRAINTS

    def __init__(
        self,
        estimator,
        algorithm="bayesian_head",
        *,
        task_feature=None,
        n_shots="auto",
        n_query=20,
        support="random",
        meta_lr=1e-3,
        meta_batch_size=16,
        max_iter=3000,
        tol=1e-4,
        n_iter_no_change=10,
        early_stopping=True,
        validation_fraction=0.1,
        normalize_y=True,
        shared_labels="auto",
        handle_unknown="prior",
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
        self.support = support
        self.meta_lr = meta_lr
        self.meta_batch_size = meta_batch_size
        self.max_iter = max_iter
        self.tol = tol
        self.n_iter_no_change = n_iter_no_change
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.normalize_y = normalize_y
        self.shared_labels = shared_labels
        self.handle_unknown = handle_unknown
        self.warm_start = warm_start
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X, y=None, groups=None):
        """Learn from many tasks how to learn a task.

        Parameters
        ----------
        X : {array-like, dataframe} of shape (n_rows, n_features), or tasks
            Rows; or a TaskCollection, a list of (X, y), or a distribution of tasks, that is
            any object with ``sample(n_tasks, random_state) -> TaskCollection``.
        y : array-like of shape (n_rows,) or (n_rows, n_outputs), default=None
            Targets of the rows; None where X is tasks.
        groups : array-like of shape (n_rows,), default=None
            The task each row belongs to. None, without `task_feature`: all are one task.

        Returns
        -------
        self : MetaLearner
            With every training task adapted, too.

        Raises
        ------
        ValueError
            If the tasks, rows or parameters will not do; nothing is changed then.
        """
        with check.unchanged_on_error(self):
            check.check_parameters(self)
            random_state = check_random_state(self.random_state)
            warm = self.warm_start and hasattr(self, "_params")
            if check.is_distribution(X):
                check.no_rows_besides("a distribution of tasks", y, groups)
                tasks = check.sample_tasks(self, X, HELD_OUT_SAMPLE, random_state, reset=not warm)
            else:
                tasks = check.check_collection(self, X, y, groups, reset=not warm)
            self._encoder = self._fit_encoder(tasks, self._encoder if warm else None)
            arrays, classes = self._encode_training(tasks)
            stream, episode = self._stream(X, arrays, random_state)
            params = self._init_params(random_state)
            if warm:
                params = check.warm_params(params, self._params)
            self._train(params, stream, episode, random_state)
            self._forget(len(tasks))
            if not check.is_distribution(X):
                self._learn(tasks.task_ids, arrays, classes)
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
        with check.unchanged_on_error(self):
            check.check_parameters(self)
            first = not hasattr(self, "_encoder")
            tasks = check.check_collection(self, X, y, groups, reset=first)
            if first:
                self._encoder = self._fit_encoder(tasks, classes=classes)
                random_state = check_random_state(self.random_state)
                self._state = self._start(self._init_params(random_state), random_state)
            elif classes is not None:
                check.same_classes(classes, self._encoder.targets)
            arrays, own_classes = self._encode_training(tasks)
            state = self._state = self._state.copy()
            state.optimizer.learning_rate = self.meta_lr
            sampler = EpisodeSampler(arrays, self.n_shots, self.n_query, self.support)
            episode = sampler.draw(np.arange(len(arrays)), state.random_state)
            state.step(self.algorithm_, self._encoder.network, *episode)
            self._keep(state.averaged, episode)
            self._forget(len(tasks))
            self._learn(tasks.task_ids, arrays, own_classes)
        return self

    def _fit_encoder(self, tasks, before=None, classes=None):
        """What turns tasks into arrays; as it was before, where training goes on."""
        shared = tasks.shared_labels if self.shared_labels == "auto" else self.shared_labels
        options = {"shared_labels": shared, "normalize_y": self.normalize_y}
        if before is not None:
            return before.renew(self.estimator, **options)
        names = check.feature_names(self)
        return Encoder.fit(self.estimator, tasks, classes=classes, feature_names=names, **options)

    def _encode_training(self, tasks):
        check.check_training_tasks(tasks, self._encoder, self.n_shots)
        return self._encoder.encode(tasks)

    def _init_params(self, random_state):
        self.algorithm_ = clone(check.resolve_algorithm(self.algorithm))
        encoder = self._encoder
        return self.algorithm_.init_params(encoder.network, random_state, encoder.dtype)

    def _stream(self, X, arrays, random_state):
        """Episodes to train on, and the one of the tasks that judge."""
        options = {"n_shots": self.n_shots, "n_query": self.n_query, "support": self.support}
        sampler = EpisodeSampler(arrays, **options)
        if not check.is_distribution(X):
            training, judges = self._split_tasks(len(arrays), random_state)
            stream = CollectionStream(sampler, training, self.meta_batch_size)
            return stream, sampler.draw(judges, random_state)

        def sample(n_tasks, random_state):
            tasks = check.sample_tasks(self, X, n_tasks, random_state, reset=False)
            return self._encode_training(tasks)[0]

        task_size = arrays.X.size / len(arrays)
        stream = DistributionStream(sample, options, self.meta_batch_size, task_size)
        return stream, sampler.draw(np.arange(len(arrays)), random_state)

    def _split_tasks(self, n_tasks, random_state):
        """Tasks to train on, and those whose episodes judge, repeated until they suffice.

        Where there are too few to hold any out, the training tasks judge.
        """
        order = random_state.permutation(n_tasks)
        n_held_out = round(self.validation_fraction * n_tasks) if self.early_stopping else 0
        n_held_out = min(n_held_out, n_tasks - 1)
        judges = order[:n_held_out] if n_held_out else order
        return order[n_held_out:], np.tile(judges, -(-HELD_OUT_EPISODES // len(judges)))

    def _start(self, params, random_state):
        mlp, _ = split_estimator(self.estimator)
        return TrainingState.start(
            params, self._encoder.network, random_state, meta_lr=self.meta_lr, alpha=mlp.alpha
        )

    def _train(self, params, stream, episode, random_state):
        state = self._start(params, random_state)
        gate = Gate(episode, self.tol, self.n_iter_no_change) if self.early_stopping else None
        kept = train(
            self.algorithm_,
            self._encoder.network,
            state,
            stream,
            max_iter=self.max_iter,
            gate=gate,
            verbose=self.verbose,
        )
        self._state = state
        self._keep(kept, episode)
        self.validation_scores_ = gate.scores if gate else None
        self.best_iter_ = gate.best_iter if gate else state.n_iter

    def _keep(self, params, episode):
        """Take parameters as the meta-learned ones; training would go on from them."""
        network = self._encoder.network
        self._params = self.algorithm_.calibrate(network, params, *episode)
        self._state.rebase(self._params)
        self.loss_curve_, self.n_iter_ = self._state.loss_curve, self._state.n_iter
        layers = self.algorithm_.prior(network, self._params).layers
        own = None if self._encoder.shared_labels else np.arange(self._encoder.targets.n_classes)
        self.estimator_ = export(self._encoder, layers, own)

    def _forget(self, n_tasks):
        """The parameters have moved on: what was adapted with the old ones is no more."""
        self.n_tasks_ = n_tasks
        self._known = self._current = None

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        inner = get_tags(self.estimator)
        tags.estimator_type = inner.estimator_type
        tags.classifier_tags, tags.regressor_tags = inner.classifier_tags, inner.regressor_tags
        tags.target_tags = inner.target_tags
        tags.target_tags.required = True
        tags.input_tags.sparse = False
        if is_classifier(self.estimator):
            tags.classifier_tags.multi_label = False
            tags.target_tags.multi_output = False
        return tags
