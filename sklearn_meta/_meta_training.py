"""From the tasks and parameters of `fit` to a trainer, which may go on from an earlier one."""

import copy
import re
from dataclasses import dataclass, fields, replace
from functools import partial
from hashlib import sha256

import numpy as np
from sklearn.base import clone, is_classifier
from sklearn.utils import check_random_state

from ._conformal import Conformal, Unseen
from ._learned import Learned
from ._messages import shown, warn
from ._parameters import resolve_algorithm
from ._runtime import quiet
from .algorithms import HeldOut
from .encoding import Encoder, split_estimator
from .encoding._encoder import Encoded
from .encoding._input import TaskSource, task_source
from .encoding._learnable import learnable, warn_of_one_task
from .encoding._task_column import names_seen
from .tasks._episodes import EpisodeSampler
from .tasks._streams import CollectionStream, DistributionStream
from .training import Checkpoint, EarlyStopping, Saved, Trainer, TrainingState

VALIDATION_EPISODES = 100  # at least, however few the validation tasks
# parameters that a meta-step does not depend on: training goes on whatever they are
NOT_OF_TRAINING = {
    "adapt_training_tasks",
    "checkpoint",
    "handle_unknown",
    "max_iter",
    "n_jobs",
    "task_feature",
    "verbose",
    "warm_start",
}


@dataclass(frozen=True)
class MetaTraining:
    """Meta-training that was set up, and what it takes to go on with it.

    Parameters
    ----------
    source : TaskSource
    encoder : Encoder
    encoded : Encoded
        The training tasks; of a distribution, a sample.
    trainer : Trainer
    unseen : dict or None
        Of an `Unseen`, what is not of the parameters: tasks that are held out, if any are.
    seed : RandomState
        As it was when training began.
    identity : dict of str to str
        What it is of: data and parameters by name.
    checkpoint : Checkpoint or None
    """

    source: TaskSource
    encoder: Encoder
    encoded: Encoded
    trainer: Trainer
    unseen: dict | None
    seed: np.random.RandomState
    identity: dict
    checkpoint: Checkpoint | None

    @classmethod
    def set_up(cls, meta, X, y, groups, before=None):
        """As the parameters of a meta-learner have it.

        Parameters
        ----------
        meta : MetaLearner
        X, y, groups
            As in `MetaLearner.fit`.
        before : (Learned, Saved) or None
            What a warm start goes on from: the parameters that were kept, and where training
            was. With the tasks and parameters that it was of, it goes on as if it had never
            stopped.
        """
        learned, last = (None, None) if before is None else before
        checkpoint = None if meta.checkpoint is None else Checkpoint(meta.checkpoint)
        saved = None if checkpoint is None else checkpoint.load()
        random_state = _random_state(meta, saved or last)
        seed = copy.deepcopy(random_state)
        source = task_source(meta, X, y, groups, random_state, reset=learned is None)
        encoder, encoded, numbers = encode(meta, source.tasks, learned)
        if source.is_rows:
            warn_of_one_task(source.tasks)
        stream, validation, unseen = _episodes(
            meta, source, encoder, encoded, numbers, random_state
        )
        algorithm, state = first_state(meta, encoder, random_state)
        if learned is not None:
            check_same_layout("warm_start=True", algorithm, state.params, learned.params)
            state.rebase(learned.params)
        trainer = Trainer(algorithm, encoder.network, stream, validation, state, **_options(meta))
        identity = _identity(meta, encoded.arrays, validation, state.params)
        training = cls(source, encoder, encoded, trainer, unseen, seed, identity, checkpoint)
        if last is not None:
            training._go_on_from(last, meta)
        if saved is not None:
            checkpoint.check(saved, identity)
            trainer.progress = saved.progress
        return training

    def _go_on_from(self, last, meta):
        """After an earlier fit: exactly, or with other tasks or parameters from what it kept."""
        trainer, progress = self.trainer, copy.deepcopy(last.progress)
        trainer.max_iter += len(progress.loss_curve)
        if last.identity is not None and _same_training(last.identity, self.identity):
            trainer.progress = progress
        else:
            progress.state.rebase(trainer.state.params)
            trainer.state, trainer.loss_curve = progress.state, progress.loss_curve
        trainer.state.set_rates(**rates(meta))
        if trainer.early_stopping is not None:
            trainer.early_stopping.be_patient_again()

    @property
    def saved(self):
        """What it takes to go on."""
        return Saved(self.identity, self.seed, self.trainer.progress)

    def conclude(self):
        """What was meta-learned."""
        trainer = self.trainer
        learned = conclude(self.encoder, trainer.algorithm, trainer.kept, trainer.validation)
        if self.unseen is None:
            return learned
        unseen = [Unseen(learned.network, learned.params, **self.unseen)]
        return replace(learned, conformal=_conformal(learned.algorithm, unseen))


def _conformal(algorithm, unseen):
    """What stands in the way of intervals costs nothing that was learned."""
    try:
        return Conformal.of(algorithm, unseen)
    except (ValueError, MemoryError, KeyboardInterrupt) as error:
        why = shown(error, str) or "it was interrupted"
        warn(f"fit is done, but there will be no intervals or sets of classes: {why}")


@quiet
def conclude(encoder, algorithm, params, episode):
    """What was meta-learned, with what has a closed form found on the rows of an episode."""
    held_out = [HeldOut(encoder.network, params, *episode)]
    calibrated = algorithm.calibrate(encoder.network, params, held_out)
    if np.isfinite(calibrated.vector).all():
        params = calibrated
    return Learned(encoder, algorithm, params)


def encode(meta, tasks, learned=None, classes=None):
    """An encoder fitted to tasks, or as it was before; these encoded; and which to train on."""
    options = encoder_options(meta, tasks)
    if learned is not None:
        encoder = learned.encoder.renew(meta.estimator, **options)
        return encoder, *encode_training(meta, tasks, encoder)
    own_classes = is_classifier(meta) and not options["shared_labels"]
    tasks, numbers = _learnable(meta, tasks, own_classes)
    encoder, encoded = Encoder.fit_encode(
        meta.estimator, tasks, classes=classes, feature_names=names_seen(meta), **options
    )
    return encoder, encoded, numbers


def encoder_options(meta, tasks):
    """The encoder's, as the parameters and the tasks have them."""
    _, steps = split_estimator(meta.estimator)
    auto = meta.shared_labels == "auto", meta.standardize == "auto"
    return {
        "shared_labels": tasks.shared_labels if auto[0] else meta.shared_labels,
        "normalize_y": meta.normalize_y,
        "standardize": steps is None if auto[1] else meta.standardize,
    }


def encode_training(meta, tasks, encoder):
    """Tasks encoded, and the numbers of those to train on."""
    tasks, numbers = _learnable(meta, tasks, not encoder.shared_labels)
    return encoder.encode(tasks), numbers


def _learnable(meta, tasks, own_classes):
    """Tasks that can be adapted to, and the numbers of those to train on."""
    numbers = np.flatnonzero(learnable(tasks, meta.n_shots, own_classes=own_classes))
    if own_classes:  # a task of one row has one class, which tells nothing apart
        return tasks.take(numbers), np.arange(len(numbers))
    return tasks, numbers


def first_state(meta, encoder, random_state):
    """The algorithm, and training with it before the first meta-step."""
    algorithm = clone(resolve_algorithm(meta.algorithm))
    params = algorithm.init_params(encoder.network, random_state, encoder.dtype)
    state = TrainingState.start(params, encoder.network, random_state, **rates(meta))
    return algorithm, state


def rates(meta):
    """What each meta-step takes of the parameters."""
    mlp, _ = split_estimator(meta.estimator)
    return {"meta_lr": meta.meta_lr, "alpha": mlp.alpha, "max_grad_norm": meta.max_grad_norm}


def episode_options(meta):
    return {
        "n_shots": meta.n_shots,
        "n_query": meta.n_query,
        "max_rows": meta.max_rows_per_task,
        "support_order": meta.support_order,
    }


def check_same_layout(who, algorithm, fresh, kept):
    """Raise where the parameters learned so far are not those that training would begin with."""
    if fresh.layout.shapes != kept.layout.shapes:
        raise ValueError(
            f"{who} goes on from the parameters learned so far, but the network or the algorithm "
            f"has changed: {algorithm} expects {fresh.layout.shapes}, found {kept.layout.shapes}; "
            "fit anew"
        )


def _random_state(meta, earlier):
    """Where training begins: with the split and the episodes of the earlier one, if any."""
    if earlier is None or isinstance(meta.random_state, int | np.integer):
        return check_random_state(meta.random_state)
    return copy.deepcopy(earlier.seed)


def _options(meta):
    """The trainer's."""
    stops = EarlyStopping(meta.tol, meta.n_iter_no_change) if meta.early_stopping else None
    return {
        "early_stopping": stops,
        "max_iter": meta.max_iter,
        "validation_interval": meta.validation_interval,
    }


def _episodes(meta, source, encoder, encoded, numbers, random_state):
    """A stream of episodes to train on, the episode of the validation tasks, and these if they
    are not trained on."""
    options, arrays = episode_options(meta), encoded.arrays
    if source.draw is None:
        sampler = EpisodeSampler(arrays, **options)
        training, validation = _split_tasks(meta, numbers, random_state)
        stream = CollectionStream(sampler, training, meta.meta_batch_size)
        held_out = np.setdiff1d(validation, training)
        return stream, sampler.draw(validation, random_state), _unseen(meta, arrays, held_out)

    sample = partial(_sample, meta, source, encoder)
    task_size = arrays.X.size / len(arrays)
    stream = DistributionStream(sample, options, meta.meta_batch_size, task_size)
    if source.validation is not None:
        encoded, numbers = encode_training(meta, source.validation, encoder)
    sampler = EpisodeSampler(encoded.arrays, **options)
    unseen = _unseen(meta, encoded.arrays, numbers)
    return stream, sampler.draw(numbers, random_state), unseen


def _unseen(meta, arrays, tasks):
    """Tasks that are not trained on, by their numbers, as an `Unseen` has them; None of none."""
    if not len(tasks):
        return None
    return {"arrays": arrays, "tasks": tasks, "support_order": meta.support_order}


def _sample(meta, source, encoder, n_tasks, random_state):
    """Tasks of a distribution to train on, encoded."""
    encoded, numbers = encode_training(meta, source.draw(n_tasks, random_state), encoder)
    if len(numbers) < n_tasks:
        raise ValueError(
            f"sample({n_tasks}, ...) of the distribution gave {n_tasks - len(numbers)} tasks "
            f"of one row, which n_shots={meta.n_shots!r} cannot train on"
        )
    return encoded.arrays


def _split_tasks(meta, tasks, random_state):
    """Tasks to train on, and those to validate on, repeated until their episodes suffice.

    Where there are too few to hold any out, the training tasks validate.
    """
    order = tasks[random_state.permutation(len(tasks))]
    n_held_out = round(meta.validation_fraction * len(tasks)) if meta.early_stopping else 0
    n_held_out = min(n_held_out, len(tasks) - 1)
    validation = order[:n_held_out] if n_held_out else order
    repeats = -(-VALIDATION_EPISODES // len(validation))
    return order[n_held_out:], np.tile(validation, repeats)


def _identity(meta, arrays, validation, params):
    """What training is of: parameters in words, data and start by their digests."""
    told = {
        name: re.sub(r" at 0x[0-9a-fA-F]+", "", repr(value))  # the same in another process
        for name, value in meta.get_params().items()
        if name not in NOT_OF_TRAINING and not hasattr(value, "get_params")
    }
    told["algorithm"] = repr(resolve_algorithm(meta.algorithm))
    tasks = [getattr(arrays, field.name) for field in fields(arrays)]
    return told | {
        "tasks": _digest([*tasks, *validation[0][:3], *validation[1][:3]]),
        "start": _digest([params.vector]),
    }


def _same_training(one, other):
    """Whether these are of the same, wherever it began."""
    return one | {"start": None} == other | {"start": None}


def _digest(arrays):
    digest = sha256()
    for array in arrays:
        if array is not None:
            array = np.ascontiguousarray(array)
            digest.update(f"{array.dtype}{array.shape}".encode())
            digest.update(array.data)
    return digest.hexdigest()
