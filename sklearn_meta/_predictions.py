"""What a fitted MetaLearner says of rows: predictions, how sure they are, draws and densities."""

from numbers import Integral, Real

import numpy as np
from sklearn.base import is_classifier
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from ._arguments import check_values, random_state_of
from ._compat import Interval
from ._jointly import covariance, expected_log_density, log_density, no_functions, sample
from ._learned import UNKNOWN, Asked
from ._messages import shown, warn
from .encoding._input import query_rows, scored_rows
from .network import both_classes

SWITCHES = {"return_std": ["boolean"], "return_cov": ["boolean"]}
COVERAGE = {"coverage": [Interval(Real, 0, 0.999, closed="right")]}
SAMPLES = {"n_samples": [Interval(Integral, 1, None, closed="left")], "noise": ["boolean"]}


def learns_classes(meta):
    """Whether it is a classifier: once fitted, as it was fitted."""
    served = vars(meta).get("_served")
    return is_classifier(meta) if served is None else served.learned.encoder.is_classifier


def _classifies(meta):
    if not learns_classes(meta):
        raise AttributeError("class probabilities are there with an MLPClassifier only")
    return True


def _draws_functions(meta):
    served = vars(meta).get("_served")
    if served is None:  # `fit` says what is wrong with a parameter
        return True
    learned = served.learned
    if learned.network.loss_name not in learned.algorithm.joint_losses:
        raise AttributeError(no_functions(learned.algorithm))
    return True


def _regresses(meta):
    if learns_classes(meta):
        raise AttributeError("intervals are there with an MLPRegressor only, else see predict_set")
    return True


class Predictions:
    """The methods of MetaLearner that ask adapted tasks."""

    def predict(self, X, groups=None, return_std=False, return_cov=False):
        """Predict rows of adapted tasks.

        Parameters
        ----------
        X : {array-like, dataframe} of shape (n_rows, n_features)
        groups : array-like of shape (n_rows,), default=None
            The task of each row. None: the task that was adapted without an id; if there
            is none, as for an unknown task.
        return_std : bool, default=False
            Also the predictive standard deviation (regression, Bayesian algorithms).
        return_cov : bool, default=False
            Also the predictive covariance of the rows, all of one task (regression,
            `BayesianHead` and `DeepKernelGP`).

        Returns
        -------
        y : ndarray of shape (n_rows,) or (n_rows, n_outputs)
            Numbers in double precision, whatever the precision of X.
        std : ndarray like y
            Only with `return_std`, in the units of y.
        cov : ndarray of shape (n_rows, n_rows) or (n_rows, n_rows, n_outputs)
            Only with `return_cov`: of targets, so that the roots of its diagonal are `std`.

        Raises
        ------
        ValueError
            If a task is unknown and `handle_unknown="error"`, or has classes of its own; if both
            `return_std` and `return_cov` are asked for, or `return_cov` of several tasks.
        """
        switches = {"return_std": return_std, "return_cov": return_cov}
        check_values(SWITCHES, switches, "predict")
        asked_for = [name for name, value in switches.items() if value]
        if len(asked_for) > 1:
            raise ValueError("return_std and return_cov are both True; expected one of them")
        if asked_for and learns_classes(self):
            raise ValueError(
                f"{asked_for[0]} is for regression; predict_proba has return_std for classes"
            )
        asked, learned = self._ask(X, groups)
        classes = None if asked.tasks is None else asked.tasks.classes
        predicted = learned.decode(learned.outputs(asked), asked.place, classes)
        if return_cov:
            return predicted, covariance(learned, asked)
        if return_std:
            return predicted, learned.decode_std(learned.std(asked))
        return predicted

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

        Raises
        ------
        ValueError
            If tasks have classes of their own, and the table of all their classes would take more
            than 1 GiB: predict fewer rows at once, or one task's own classes, by `fit_adapt`
            without groups or by `adapt`.
        """
        check_values(SWITCHES, {"return_std": return_std}, "predict_proba")
        asked, learned = self._ask(X, groups)
        proba = learned.network.loss.mean(learned.outputs(asked))
        std = learned.std(asked) if return_std else None
        if proba.shape[1] == 1:
            proba, std = both_classes(proba), std if std is None else np.tile(std, 2)
        proba, std = (learned.in_columns(asked, part) for part in (proba, std))
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

    @available_if(_regresses)
    def predict_interval(self, X, groups=None, coverage=0.9):
        """An interval for each row's target, with a guarantee over tasks.

        If a task is like those of `fit`, exchangeable with them, the target of a row of it lies
        between the bounds with a probability of `coverage` at least: on average over new tasks, not
        in each of them. The bounds come from tasks that training held out, each learned from about
        as many rows as the one that is asked (see Notes).

        Parameters
        ----------
        X, groups
            As in `predict`.
        coverage : float, default=0.9
            Above 0, at most 0.999; what lies between two thousandths counts as the higher.

        Returns
        -------
        lower, upper : ndarrays of shape (n_rows,) or (n_rows, n_outputs)
            Of counts, 0 at least. Of several outputs, each by itself has the coverage.

        Raises
        ------
        ValueError
            If training held no task out, as with `early_stopping=False` and in `partial_fit`, or
            too few: N of them allow a coverage of N / (N + 1), so that 0.9 takes 9. As in
            `predict`, too.

        Notes
        -----
        The conformal method for rows in groups: of N tasks held out, each has a weight of
        1 / (N + 1), spread evenly over its rows' residuals, and infinity has the same; the quantile
        of level `coverage` is how far the bounds are from the prediction. Residuals are in units of
        the predictive standard deviation where the algorithm has one, else of counts in those of
        the root of the prediction, and of other targets as they are.

        That is done for tasks learned from 0, 1, 2, 5, 10, 20, 50 and 100 rows, as long as 19 of
        the tasks (or all) have more rows than that. Between two sizes the larger quantile counts,
        beyond the last that one's. At each size, those tasks count that have more rows; where they
        are too few for the coverage, the quantile is the next smaller size's or, if that is more,
        their highest score. Of rows in `blocks`, tasks are learned from 0, 1, 2, ... blocks, whose
        mean number of rows is the size.

        The promise is for tasks that `fit` has not seen, nor an earlier one that `warm_start` went
        on from. It would be proven to the digit if held-out tasks had no other work, and what
        predicts were what they were held out from. But they also tell when training is to stop;
        and with several members each is scored by those that it was held out from, whereas all
        members together predict, in general better: bounds are then rather too wide.

        References
        ----------
        Y. Lee, R. F. Barber, R. Willett. "Distribution-free inference with hierarchical data".
        2023. https://arxiv.org/abs/2306.06342

        A. Fisch, T. Schuster, T. Jaakkola, R. Barzilay. "Few-shot Conformal Prediction with
        Auxiliary Tasks". ICML 2021. https://arxiv.org/abs/2102.08898
        """
        check_values(COVERAGE, {"coverage": coverage}, "predict_interval")
        asked, learned = self._ask(X, groups)
        return learned.interval(asked, coverage)

    @available_if(_classifies)
    def predict_set(self, X, groups=None, coverage=0.9):
        """The classes that each row may have, with a guarantee over tasks.

        If a task is like those of `fit`, exchangeable with them, the class of a row of it is in
        the set with a probability of `coverage` at least: on average over new tasks. What
        `predict_interval` says of tasks held out and of support sizes holds here, too; the score
        of a row is 1 less the probability of its class. Where each task has classes of its own,
        sizes are rows a class.

        Parameters
        ----------
        X, groups
            As in `predict`.
        coverage : float, default=0.9
            Above 0, at most 0.999.

        Returns
        -------
        is_in_set : ndarray of shape (n_rows, n_classes) of bool
            In the order of `predict_proba`'s columns. The most probable class is always in it.

        Raises
        ------
        ValueError
            As in `predict_interval` and `predict_proba`.

        References
        ----------
        M. Sadinle, J. Lei, L. Wasserman. "Least Ambiguous Set-Valued Classifiers with Bounded
        Error Levels". JASA 2019. https://arxiv.org/abs/1609.00451
        """
        check_values(COVERAGE, {"coverage": coverage}, "predict_set")
        asked, learned = self._ask(X, groups)
        return learned.in_columns(asked, learned.class_set(asked, coverage))

    @available_if(_draws_functions)
    def sample_y(self, X, n_samples=1, groups=None, random_state=0, noise=True):
        """Draw targets of rows from what their tasks may be, all rows of a task together.

        A draw is one function of the task's posterior, at all of its rows, and tasks are
        independent: what the rows of a draw say together, such as their mean or their largest,
        is a draw of that. For a task that was never adapted, each draw is a new task from the
        prior: the meta-learner as a generator of tasks.

        Parameters
        ----------
        X : {array-like, dataframe} of shape (n_rows, n_features)
        n_samples : int, default=1
        groups : array-like of shape (n_rows,), default=None
            As in `predict`; every unknown id is a new task of its own.
        random_state : int, RandomState or None, default=0
            The same number gives the same draws. Tasks have their random numbers in the order in
            which they appear in `groups`; for `BayesianHead`, the same number gives the same
            functions of a task, whichever rows are asked.
        noise : bool, default=True
            Whether targets have their noise: else what is drawn is the task's function, what is
            expected of each row, or of classes their probabilities.

        Returns
        -------
        y : ndarray of shape (n_rows, n_samples) or (n_rows, n_outputs, n_samples)
            Of a classifier, classes, or without `noise` probabilities of shape (n_rows,
            n_classes, n_samples), in the order of `predict_proba`'s columns.

        Raises
        ------
        AttributeError
            If the algorithm is neither `BayesianHead` nor, in regression, `DeepKernelGP`.
        ValueError
            As in `predict`.

        Notes
        -----
        Squared error: a draw of the output layer's posterior, exactly, scaled with a draw of the
        task's noise where that is uncertain, so that each row has the mean, the standard
        deviation and the degrees of freedom of `predict`. Classes and counts: Laplace's
        approximation. Counts have the means of `predict`, and the dispersion that was found in
        training: whole numbers are drawn from the negative binomial distribution of that variance,
        from Poisson's where it is no more than that, and targets that were not all whole in `fit`
        from a gamma distribution. (`predict` takes their standard deviation from the posterior's
        first order; far from what is known, that of the draws is larger.)

        A Pipeline has no such method: ``pipeline[-1].sample_y(pipeline[:-1].transform(X))``.

        References
        ----------
        C. E. Rasmussen, C. K. I. Williams. "Gaussian Processes for Machine Learning", MIT
        Press 2006, sections 2.2 and 3.4.

        Examples
        --------
        >>> from sklearn.neural_network import MLPRegressor
        >>> from sklearn_meta import MetaLearner
        >>> from sklearn_meta.datasets import Sinusoids
        >>> tasks = Sinusoids(n_rows=20).sample(200, random_state=0)
        >>> meta = MetaLearner(MLPRegressor(hidden_layer_sizes=(40, 40)), random_state=0)
        >>> meta = meta.fit(tasks)
        >>> X, y = tasks[0]
        >>> meta.fit_adapt(X[:5], y[:5]).sample_y(X, n_samples=3).shape
        (20, 3)
        """
        check_values(SAMPLES, {"n_samples": n_samples, "noise": noise}, "sample_y")
        seed = random_state_of(random_state, "sample_y").randint(2**31 - 1)
        asked, learned = self._ask(X, groups)
        return sample(learned, asked, n_samples, seed, noise, self._threads())

    @available_if(_draws_functions)
    def score_samples(self, X, y=None, groups=None):
        """Log density of the targets of each task's rows, together, given its support.

        To compare models by, and to find tasks that do not fit: what is unlikely for a task like
        those of `fit` has a low density. Without targets, of each row what it is expected to be:
        where the lowest is, a target would tell most.

        Parameters
        ----------
        X : {array-like, dataframe} of shape (n_rows, n_features)
        y : array-like of shape (n_rows,) or (n_rows, n_outputs), default=None
        groups : array-like of shape (n_rows,), default=None
            As in `predict`.

        Returns
        -------
        log_density : ndarray of shape (n_tasks,), or without y (n_rows,)
            Of the tasks in the order in which they appear in `groups`, or of the only one;
            natural logarithms, of y in its own units. It adds up over the rows of a task, of which
            more have more to say: divide by their number to compare tasks. Without y, minus the
            entropy of each row's predictive distribution (of counts, of a normal distribution of
            that standard deviation).

        Raises
        ------
        AttributeError
            If the algorithm is neither `BayesianHead` nor, in regression, `DeepKernelGP`.
        ValueError
            If y has a class that its task does not have, or of a Poisson loss is no whole number;
            as in `predict`, too.

        Notes
        -----
        Exact for squared error: a multivariate Student's t distribution, or Gaussian where
        tasks' noise does not differ. Classes and counts: Laplace's approximation, given that of the
        task's posterior, which is close near training, and up to .4 off (the logarithm, of one row)
        at ten times its distance. Counts have the probabilities with which `sample_y` draws them;
        other targets of a Poisson loss have none.

        A Pipeline's own `score_samples` takes no y: with y, it is
        ``pipeline[-1].score_samples(pipeline[:-1].transform(X), y)``.

        References
        ----------
        C. E. Rasmussen, C. K. I. Williams. "Gaussian Processes for Machine Learning", MIT
        Press 2006, sections 2.2, 3.4 and 5.4.
        """
        asked, learned = self._ask(X, groups)
        if y is None:
            return expected_log_density(learned, asked)
        y, _ = scored_rows(self._as_fitted(), X, y, None)
        return log_density(learned, asked, y, self._threads())

    def _threads(self):
        self._check_now("n_jobs")
        return self.n_jobs

    def _ask(self, X, groups):
        """Rows to predict, encoded, and where their tasks are found; and what was meta-learned."""
        check_is_fitted(self)
        now = self._as_fitted()
        served, (rows, groups) = now._served, query_rows(now, X, groups)
        X = served.learned.encoder.features.transform(rows)
        tasks = served.current if groups is None else served.known
        if tasks is None:
            place = np.full(len(X), UNKNOWN)
        else:
            place = np.zeros(len(X), int) if groups is None else tasks.find(groups)
        if np.any(place == UNKNOWN):
            now._check_unknown(groups, place)
        return Asked(X, place, tasks, groups), served.learned

    def _check_unknown(self, groups, place):
        """What is to be done about rows of unknown tasks: a warning, an error, or nothing."""
        self._check_now("handle_unknown")
        unknown = place == UNKNOWN
        if groups is None:
            what = "the rows name no task, and fit_adapt was given none without an id"
            served = "" if self._served.known is None else "; pass groups, or their column"
        else:
            self._served.check_kinds(groups)
            what = f"task {shown(groups[unknown][0])} was never adapted"
            served = ""
        if self.handle_unknown == "error":
            raise ValueError(f"{what}; adapt it first{served}, or set handle_unknown='prior'")
        if not self._served.learned.encoder.shared_labels:
            raise ValueError(f"{what}, and the prior knows no classes: each task has its own")
        if self.handle_unknown == "warn":
            warn(
                f"the prior predicts {np.count_nonzero(unknown)} of {len(place)} rows, as for a "
                f"task of which nothing is known: {what}. Adapt it first by fit_adapt{served}; "
                "handle_unknown='prior' says that the prior is meant"
            )
