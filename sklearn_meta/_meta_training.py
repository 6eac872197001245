"""From the tasks and parameters of `fit` to a trainer, which may go on from an earlier one."""

import copy
import re
from dataclasses import dataclass, fields
from functools import partial
from hashlib import sha256

import numpy as np
from sklearn.base import is_classifier
from sklearn.utils import check_random_state

from ._conformal import Conformal, Unseen
from ._learned import Learned
from ._members import (
    Members,
    first_state,
    folds_of,
    kept_of,
    max_iter,
    merge,
    rates,
    training_dtype,
)
from ._messages import shown, warn
from ._parameters import resolve_algorithm
from ._runtime import blas_threads, quiet
from .algorithms import HeldOut
from .encoding import Encoder, split_estimator
from .encoding._encoder import Encoded
from .encoding._input import TaskSource, task_source
from .encoding._learnable import learnable, warn_of_one_task
from .encoding._task_column import names_seen
from .tasks._episodes import EpisodeSampler
from .tasks._streams import CollectionStream, DistributionStream
from .training import Checkpoint, Committee, EarlyStopping, Saved, Trainer

MOST_JUDGES = 500  # episodes of a fold, by which members are weighed and the noise is found
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
    trainer : Committee
    unseen : list of (TaskArrays, ndarray, str)
        Of each fold, what an `Unseen` has beside parameters; none where no task is held out.
    seed : RandomState
        As it was when training began.
    identity : dict of str to str
        What it is of: data and parameters by name.
    checkpoint : Checkpoint or None
    """

    source: TaskSource
    encoder: Encoder
    encoded: Encoded
    trainer: Committee
    unseen: list
    seed: np.random.RandomState
    identity: dict
    checkpoint: Checkpoint | None

    @classmethod
    def set_up(cls, meta, X, y, groups, blocks=None, before=None):
        """As the parameters of a meta-learner have it.

        Parameters
        ----------
        meta : MetaLearner
        X, y, groups, blocks
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
        rows = {"groups": groups, "random_state": random_state, "blocks": blocks}
        source = task_source(meta, X, y, **rows, reset=learned is None)
        encoder, encoded, numbers = encode(meta, source.tasks, learned)
        if source.is_rows:
            warn_of_one_task(source.tasks)
        members = Members.of(meta, source, encoder.network, len(numbers))
        trainers, unseen = _trainers(meta, members, source, encoder, encoded, numbers, random_state)
        earlier = [None] * len(trainers) if last is None else _earlier(last, trainers)
        for trainer, then in zip(trainers, earlier, strict=True):
            if then is not None:
                kept = kept_of(then, last.identity is not None)
                check_same_layout("warm_start=True", trainer.algorithm, trainer.state.params, kept)
                trainer.state.rebase(kept)
        identity = _identity(meta, encoded.arrays, trainers)
        trainer = Committee(trainers, members.n_linear)
        training = cls(source, encoder, encoded, trainer, unseen, seed, identity, checkpoint)
        if last is not None:
            training._go_on_from(earlier, _same_training(last.identity, identity), meta)
        if saved is not None:
            checkpoint.check(saved, identity)
            trainer.progress = saved.progress
        return training

    def _go_on_from(self, earlier, same, meta):
        """After an earlier fit: exactly, or with other tasks or parameters from what it kept."""
        for trainer, then in zip(self.trainer.trainers, earlier, strict=True):
            if then is None:
                continue
            trainer.max_iter += len(then.loss_curve)
            if same:
                trainer.progress = then
            else:
                then.state.rebase(trainer.state.params)
                trainer.state, trainer.loss_curve = then.state, then.loss_curve
            trainer.state.set_rates(**rates(meta, trainer.network))
            if trainer.early_stopping is not None:
                trainer.early_stopping.be_patient_again()

    @property
    def saved(self):
        """What it takes to go on."""
        return Saved(self.identity, self.seed, self.trainer.progress)

    def conclude(self):
        """What was meta-learned."""
        trainers = self.trainer.trainers
        held_out = [HeldOut(each.network, each.kept, *each.validation) for each in trainers]
        n_folds = len(trainers) - self.trainer.n_linear
        return conclude(self.encoder, trainers[0].algorithm, held_out, n_folds, unseen=self.unseen)


@quiet
def conclude(encoder, algorithm, held_out, n_folds=1, share=None, unseen=()):
    """What was meta-learned, with what has a closed form found on the rows of episodes.

    Parameters
    ----------
    encoder : Encoder
    algorithm : MetaAlgorithm
    held_out : list of HeldOut
        Of each member.
    n_folds : int, default=1
        More are merged.
    share : float or None, default=None
        Of the linear members; None: found on the episodes.
    unseen : sequence of (TaskArrays, ndarray, str), default=()
        The tasks that each fold held out, as in a `MetaTraining`.
    """
    held_out = [_some(each, encoder.dtype) for each in held_out]
    network, params, _, _ = held_out[0]
    with blas_threads():
        if n_folds > 1:
            network, params, held_out, share = merge(algorithm, held_out, n_folds, share)
        calibrated = algorithm.calibrate(network, params, held_out)
    if not np.isfinite(calibrated.vector).all():
        calibrated = params
    found = _changed(params, calibrated)
    conformal = _conformal(algorithm, held_out, found, unseen) if unseen else None
    return Learned(encoder, algorithm, calibrated, network, n_folds, share, conformal)


def _changed(params, calibrated):
    """The entries that calibration has set, by name."""
    names = params.layout.shapes
    return {n: calibrated[n] for n in names if not np.array_equal(params[n], calibrated[n])}


def _conformal(algorithm, held_out, calibrated, unseen):
    """Each fold calibrated alike; what stands in the way of it costs nothing that was learned."""
    try:
        folds = []
        for fold, where in zip(held_out, unseen, strict=True):
            params = fold.params.copy()
            for name, value in calibrated.items():
                params[name][...] = value
            folds.append(Unseen(fold.network, params, *where))
        return Conformal.of(algorithm, folds)
    except (ValueError, MemoryError, KeyboardInterrupt) as error:
        why = shown(error, str) or "it was interrupted"
        warn(f"fit is done, but there will be no intervals or sets of classes: {why}")


def _some(held_out, dtype):
    """Some of the episodes, which are enough to judge by, in the precision of predictions."""
    network, params, *episode = held_out
    batches = (batch.take(slice(MOST_JUDGES)).astype(dtype) for batch in episode)
    return HeldOut(network, params.astype(dtype), *batches)


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
    if own_classes and not meta.stratify_shots:
        raise ValueError(
            "stratify_shots is False, but tasks have classes of their own, each of which takes "
            "support rows: expected 'auto' or True"
        )
    by_class = meta.stratify_shots != "auto" and meta.stratify_shots
    options = {"own_classes": own_classes, "by_class": by_class}
    numbers = np.flatnonzero(learnable(tasks, meta.n_shots, **options))
    if own_classes:  # a task of one row has one class, which tells nothing apart
        return tasks.take(numbers), np.arange(len(numbers))
    return tasks, numbers


def episode_options(meta):
    return {
        "n_shots": meta.n_shots,
        "n_query": meta.n_query,
        "max_rows": meta.max_rows_per_task,
        "support_order": meta.support_order,
        "stratify": meta.stratify_shots,
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


def _trainers(meta, members, source, encoder, encoded, numbers, random_state):
    """Of each member; and the tasks that each fold holds out."""
    if members.n_folds == 1:
        stream, validation, unseen = _episodes(
            meta, source, encoder, encoded, numbers, random_state
        )
        trainer = _trainer(meta, members, 0, encoder.dtype, stream, validation, random_state)
        return [trainer], unseen
    dtype = training_dtype(encoded.arrays)
    sampler = EpisodeSampler(encoded.arrays.astype(dtype), **episode_options(meta))
    folds = folds_of(numbers, members.n_folds, random_state)
    seeds = random_state.randint(2**31 - 1, size=len(members.networks))
    episodes, trainers = [], []
    for number, seed in enumerate(seeds):
        own = np.random.RandomState(seed)
        training, validation = folds[number % members.n_folds]
        if number < members.n_folds:  # those on the same tasks are judged by the same episodes
            episodes.append(sampler.draw(_repeated(validation), own))
        stream = CollectionStream(sampler, training, meta.meta_batch_size)
        episode = episodes[number % members.n_folds]
        trainers.append(_trainer(meta, members, number, dtype, stream, episode, own))
    return trainers, [(encoded.arrays, fold[1], meta.support_order) for fold in folds]


def _trainer(meta, members, number, dtype, stream, validation, random_state):
    algorithm, network = members.algorithm, members.networks[number]
    state = first_state(meta, algorithm, network, dtype, random_state)
    return Trainer(
        algorithm,
        network,
        stream,
        validation,
        state,
        early_stopping=EarlyStopping(meta.tol, meta.n_iter_no_change)
        if meta.early_stopping
        else None,
        max_iter=max_iter(meta, network),
        validation_interval=meta.validation_interval,
    )


def _earlier(last, trainers):
    """How far each one's like had come in an earlier fit; None where there was none.

    Of another number of members, some go on from the same.
    """
    progress = copy.deepcopy(last.progress)
    if len(progress) == len(trainers):
        return progress
    of_kind = {
        is_deep: [each for each in progress if _is_deep(each) == is_deep] for is_deep in (0, 1)
    }
    place, found = [0, 0], []
    for trainer in trainers:
        is_deep = trainer.network.n_layers > 1
        then = of_kind[is_deep]
        found.append(copy.deepcopy(then[place[is_deep] % len(then)]) if then else None)
        if then:
            found[-1].state.random_state = trainer.state.random_state
        place[is_deep] += 1
    return found


def _is_deep(progress):
    return "weights_1" in progress.state.params.layout.shapes


def _episodes(meta, source, encoder, encoded, numbers, random_state):
    """A stream of episodes to train on; the episode of the validation tasks; and these, if they
    are not trained on."""
    options, arrays = episode_options(meta), encoded.arrays
    if source.draw is None:
        sampler = EpisodeSampler(arrays, **options)
        training, validation = _split_tasks(meta, numbers, random_state)
        stream = CollectionStream(sampler, training, meta.meta_batch_size)
        held_out = np.setdiff1d(validation, training)
        unseen = [(arrays, held_out, meta.support_order)] if len(held_out) else []
        return stream, sampler.draw(validation, random_state), unseen

    sample = partial(_sample, meta, source, encoder)
    task_size = arrays.X.size / len(arrays)
    stream = DistributionStream(sample, options, meta.meta_batch_size, task_size)
    if source.validation is not None:
        encoded, numbers = encode_training(meta, source.validation, encoder)
    sampler = EpisodeSampler(encoded.arrays, **options)
    unseen = [(encoded.arrays, numbers, meta.support_order)]
    return stream, sampler.draw(numbers, random_state), unseen


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
    return order[n_held_out:], _repeated(validation)


def _repeated(validation):
    """Tasks as often as it takes for enough episodes."""
    return np.tile(validation, -(-VALIDATION_EPISODES // len(validation)))


def _identity(meta, arrays, trainers):
    """What training is of: parameters in words, data and start by their digests."""
    told = {
        name: re.sub(r" at 0x[0-9a-fA-F]+", "", repr(value))  # the same in another process
        for name, value in meta.get_params().items()
        if name not in NOT_OF_TRAINING and not hasattr(value, "get_params")
    }
    told["algorithm"] = repr(resolve_algorithm(meta.algorithm))
    tasks = [getattr(arrays, field.name) for field in fields(arrays)]
    for trainer in trainers:
        tasks += [array for batch in trainer.validation for array in batch[:3]]
    return told | {
        "tasks": _digest(tasks),
        "start": _digest([trainer.state.params.vector for trainer in trainers]),
    }


def _same_training(one, other):
    """Whether these are of the same, wherever it began."""
    return one is not None and one | {"start": None} == other | {"start": None}


def _digest(arrays):
    digest = sha256()
    for array in arrays:
        if array is not None:
            array = np.ascontiguousarray(array)
            digest.update(f"{array.dtype}{array.shape}".encode())
            digest.update(array.data)
    return digest.hexdigest()
