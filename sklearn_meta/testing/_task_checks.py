"""Checks of what `learn` returns: adapted tasks, what they predict and how sure they are."""

import pickle
import warnings

import numpy as np

from ..algorithms import AdaptedTasks, HeldOut, PredictsJointly, PredictsStd
from ..network import MLP, Params, TaskWeights
from ._cases import draw_episode, draw_params, ragged_batch, rows_of, tasks_in_order, tasks_of
from ._compare import assert_close, assert_entries_close
from ._gradient_checks import refill


def learn(algorithm, case, dtype=np.float64):
    """An episode, and its support learned."""
    episode = draw_episode(algorithm, case, dtype)
    return episode, algorithm.learn(*episode[:3])


def outputs(adapted, episode):
    """Of the query rows, (tasks, rows, outputs)."""
    network, _, _, query = episode
    return adapted.outputs(network, query.X, query.logit_mask)


def learned_outputs(algorithm, episode):
    return outputs(algorithm.learn(*episode[:3]), episode)


def check_padded_learn(algorithm, case):
    """A padded batch is learned as its tasks are, one by one."""
    episode, together = learn(algorithm, case)
    network, params, support, query = episode
    z = outputs(together, episode)
    pairs = zip(tasks_of(support), tasks_in_turn(query), strict=True)
    for i, (task, rows) in enumerate(pairs):
        alone = algorithm.learn(network, params, task)
        what, other = f"task {i} of a padded batch", "the task learned by itself"
        expected = alone.outputs(network, rows.X, rows.logit_mask)[0]
        assert_close(z[i], expected, 1e-11, f"what {what} predicts", f"what {other} does")
        if isinstance(alone, TaskWeights):
            parts = arrays_of(together.task(i)), arrays_of(alone.task(0))
            for part, expected in zip(*parts, strict=True):
                assert_close(part, expected, 1e-12, f"a layer of {what}", f"that of {other}")


def tasks_in_turn(batch):
    """Each task with all of its rows, as a batch of one."""
    return (tasks_in_order(batch, [i]) for i in range(len(batch.X)))


def arrays_of(weights):
    return [array for layer in weights.layers for array in layer]


def check_padding_in_learn(algorithm, case):
    """What stands in rows of weight 0 does not matter."""
    episode, adapted = learn(algorithm, case)
    other = episode._replace(support=refill(episode.support))
    assert_close(
        learned_outputs(algorithm, other),
        outputs(adapted, episode),
        1e-12,
        "what is learned with other numbers in support rows of weight 0",
        "what was learned",
    )


def check_row_weights(algorithm, case):
    """A row of weight 2 counts as that row twice, one of weight 0 not at all."""
    episode, adapted = learn(algorithm, case)
    support = episode.support
    everything = range(support.X.shape[1])
    more = rows_of(support, [0, 1, 2, *everything])
    more.weight[:, :3] = 0
    found = learned_outputs(algorithm, episode._replace(support=more))
    what, other = "what is learned with further rows of weight 0", "what is learned without them"
    assert_close(found, outputs(adapted, episode), 1e-12, what, other)
    heavy, once = support.weight.copy(), support.weight.copy()
    heavy[:, 0], once[:, 0] = 2, 1
    twice = rows_of(support._replace(weight=once), [0, *everything])  # the two in a row
    by_weight, by_row = (
        learned_outputs(algorithm, episode._replace(support=batch))
        for batch in (support._replace(weight=heavy), twice)
    )
    what, other = "what is learned from a row of weight 2", "what is learned from the row twice"
    assert_close(by_weight, by_row, 1e-9, what, other)


def check_order_of_rows_in_learn(algorithm, case):
    """The order of a task's support rows does not matter, unless the algorithm says so."""
    if algorithm.row_order_matters:
        return
    episode, adapted = learn(algorithm, case)
    order = np.random.RandomState(1).permutation(episode.support.X.shape[1])
    moved = episode._replace(support=rows_of(episode.support, order))
    what = "what is learned with the rows in another order"
    z = learned_outputs(algorithm, moved)
    assert_close(z, outputs(adapted, episode), 1e-10, what, "what was learned")


def check_no_support_rows(algorithm, case):
    """With no rows, or rows of weight 0 only, a task is what `prior` says."""
    episode = draw_episode(algorithm, case)
    network, params, support, _ = episode
    X = np.random.RandomState(1).standard_normal((3, 7, network.layer_units[0]))
    prior = algorithm.prior(network, params).outputs(network, X)
    empty = rows_of(support, slice(0)), support._replace(weight=0 * support.weight)
    for batch, how in zip(empty, ("no support rows", "support rows of weight 0"), strict=True):
        z = algorithm.learn(network, params, batch).outputs(network, X)
        what, other = f"what is learned from {how}", "prior(network, params)"
        assert_entries_close(z, prior, 1e-13, 0, what, other)


def check_absent_classes(algorithm, case):
    """Classes that a task does not have are as if they were not there.

    Tasks with 2 to 4 of 4 classes, against networks of 2 to 4 outputs.
    """
    for n_classes in ([2, 3, 4], [2, 2, 3]):
        rng = np.random.RandomState(0)
        network = MLP([2, 3, 4], case.activation, case.loss, True)
        params = draw_params(algorithm, network)
        support = ragged_batch(rng, network, [6, 3, 5], n_classes)
        adapted = algorithm.learn(network, params, support)
        X = rng.standard_normal((3, 7, 2))
        z = adapted.outputs(network, X, support.logit_mask)
        for i, task in enumerate(tasks_of(support)):
            k = n_classes[i]
            smaller = MLP([2, 3, k], case.activation, case.loss, True)
            part = task._replace(y=task.y[..., :k], logit_mask=None)
            alone = algorithm.learn(smaller, narrow(algorithm, network, params, smaller), part)
            expected = alone.outputs(smaller, X[[i]])[0]
            what = f"a task with {k} of {network.n_outputs} classes"
            other = f"the task learned by a network of {k} outputs"
            assert_entries_close(z[i, :, :k], expected, 1e-10, 1e-12, what, other)
            assert np.all(z[i, :, k:] < -1e300), (
                "outputs of classes that a task does not have are not lowered by its logit_mask"
            )


def narrow(algorithm, network, params, smaller):
    """Parameters of a network with fewer outputs: of each array, what it has room for.

    An array with an entry for each weight of the network keeps those of the weights that stay.
    """
    layout = algorithm.init_params(smaller, np.random.RandomState(0), params.vector.dtype).layout
    narrowed = Params(np.empty(layout.size, params.vector.dtype), layout)
    place = Params(np.arange(network.layout.size), network.layout)
    kept = [place[name][corner(shape)].ravel() for name, shape in smaller.layout.shapes.items()]
    for name, shape in layout.shapes.items():
        array = params[name]
        if array.shape == place.vector.shape and shape != array.shape:
            narrowed[name][...] = array[np.concatenate(kept)]
        else:
            narrowed[name][...] = array[corner(shape)]
    return narrowed


def corner(shape):
    return tuple(map(slice, shape))


def check_inputs_are_left(algorithm, case):
    """Nothing given is written to: joblib hands its workers arrays that cannot be.

    The same call then gives the same numbers.
    """
    episode = draw_episode(algorithm, case)
    network, params, support, query = episode
    before = repr(algorithm.get_params()), vars(network).copy()
    for array in (params.vector, *support, *query):
        if array is not None:
            array.flags.writeable = False
    _, first = algorithm.meta_gradient(*episode)
    algorithm.learn(network, params, support)
    algorithm.calibrate(network, params, [HeldOut(*episode)])
    algorithm.at_step(0)
    _, second = algorithm.meta_gradient(*episode)
    assert np.array_equal(first, second), "the same meta-gradient, found again, is another"
    after = repr(algorithm.get_params()), vars(network)
    assert after == before, f"hyper-parameters or network are changed: {before} became {after}"


def check_dtype(algorithm, case):
    """Single precision stays single, double stays double; both say the same."""
    exact_loss, exact_gradient = algorithm.meta_gradient(*draw_episode(algorithm, case))
    for dtype in (np.float32, np.float64):
        episode, adapted = learn(algorithm, case, dtype)
        network, params, _, query = episode
        loss, gradient = algorithm.meta_gradient(*episode)
        parts = {
            "parameters of init_params": params.vector,
            "the loss": loss,
            "the meta-gradient": gradient,
            "outputs of adapted tasks": outputs(adapted, episode),
            "outputs of the prior": algorithm.prior(network, params).outputs(network, query.X),
            "parameters of calibrate": algorithm.calibrate(
                network, params, [HeldOut(*episode)]
            ).vector,
        }
        std = std_of(adapted, episode)
        if std is not None:
            parts["std"] = std
        if isinstance(adapted, TaskWeights):  # sums in place may hide it from the outputs
            parts |= {f"array {i} of the layers": part for i, part in enumerate(arrays_of(adapted))}
        for what, part in parts.items():
            if type(part) is float:  # Python's own, which goes with either
                continue
            assert part.dtype == dtype, f"{what}: {part.dtype} for inputs of {np.dtype(dtype)}"
        name = np.dtype(dtype).name
        assert_entries_close(loss, exact_loss, 1e-4, 0, f"the loss in {name}", "that in float64")
        assert_close(
            gradient, exact_gradient, 1e-3, f"the meta-gradient in {name}", "that in float64"
        )


def check_numpy_parameters(algorithm, case):
    """Hyper-parameters that are NumPy's scalars, as grids hold them, change no dtype either."""
    parameters = algorithm.get_params()
    numbers = {key: np.asarray(v)[()] for key, v in parameters.items() if type(v) in (int, float)}
    check_dtype(algorithm.set_params(**numbers), case)


def check_adapted_tasks(algorithm, case):
    """`take`, `concatenate`, `task` and `finite` say the same of the same tasks."""
    episode, adapted = learn(algorithm, case)
    assert isinstance(adapted, AdaptedTasks), (
        f"learn returns {type(adapted).__name__}, which is no AdaptedTasks: "
        "it needs outputs, take, task, finite and concatenate"
    )
    z, order = outputs(adapted, episode), np.array([2, 0, 1, 0])
    picked = outputs(adapted.take(order), of_tasks(episode, order))
    assert_close(picked, z[order], 1e-13, f"outputs of take({order})", "those of these tasks")
    parts = [adapted.take(np.array(some)) for some in ([0], [1, 2])]
    joined = outputs(type(parts[0]).concatenate(parts), episode)
    assert_close(joined, z, 1e-13, "outputs of concatenate", "those of all tasks")
    for i in range(len(z)):
        one = adapted.task(i)
        assert isinstance(one, AdaptedTasks), f"task({i}) gives a {type(one).__name__}"
        found = outputs(one, of_tasks(episode, [i]))
        assert_close(found[0], z[i], 1e-13, f"outputs of task({i})", "those of the task")
    assert np.array_equal(adapted.finite(len(z)), np.ones(len(z), bool)), (
        f"finite({len(z)}) of tasks that are is {adapted.finite(len(z))}"
    )


def of_tasks(episode, tasks):
    network, params, *batches = episode
    return type(episode)(network, params, *(tasks_in_order(batch, tasks) for batch in batches))


def check_diverged_tasks(algorithm, case):
    """A task whose numbers are none is found by `finite`, and spoils no other."""
    episode, adapted = learn(algorithm, case)
    support = episode.support._replace(X=episode.support.X.copy())
    support.X[1, 0] = np.nan
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        spoiled = algorithm.learn(episode.network, episode.params, support)
        z = outputs(spoiled, episode)
    found, expected = spoiled.finite(3), np.isfinite(z).all(axis=(1, 2))
    assert np.array_equal(found, expected), (
        f"finite(3) is {found}, where the outputs of the tasks are finite: {expected}"
    )
    what, other = "what is learned beside a task with a NaN", "what was learned"
    assert_close(z[[0, 2]], outputs(adapted, episode)[[0, 2]], 1e-12, what, other)


def std_of(adapted, episode):
    """Of the query rows; None where there is none."""
    if not isinstance(adapted, PredictsStd):
        return None
    try:
        return adapted.std(episode.network, episode.query.X, episode.query.logit_mask)
    except ValueError as error:
        if "std" in str(error):  # it says that it has none of this kind of target
            return None
        raise


def check_std(algorithm, case):
    """Where there is a standard deviation, it is one: a positive number for each output.

    That of a class is at most 1/2, and 0 at least: of a class that a task does not have.
    """
    episode, adapted = learn(algorithm, case)
    std = std_of(adapted, episode)
    if std is None:
        return
    network, params, support, query = episode
    shape = outputs(adapted, episode).shape
    assert std.shape == shape, f"std has shape {std.shape}, the outputs {shape}"
    assert np.isfinite(std).all(), "std is not finite"
    assert std.min() >= 0, f"std is negative: {std.min()}"
    if case.is_classifier:
        assert std.max() <= 0.5, f"std of a class probability is {std.max()}, more than 1/2"
    else:
        assert std.min() > 0, "std is 0, as if a target were known"
    pairs = zip(tasks_of(support), tasks_in_turn(query), strict=True)
    for i, (task, rows) in enumerate(pairs):
        alone = std_of(algorithm.learn(network, params, task), episode._replace(query=rows))
        what, other = f"std of task {i} of a padded batch", "that of the task learned by itself"
        assert_entries_close(std[i], alone[0], 1e-11, 1e-15, what, other)
    order = np.array([2, 0])
    picked = std_of(adapted.take(order), of_tasks(episode, order))
    assert_close(picked, std[order], 1e-13, f"std of take({order})", "that of these tasks")
    nothing = algorithm.learn(network, params, rows_of(support, slice(0)))
    assert np.isfinite(std_of(nothing, episode)).all(), "std without support rows is not finite"


def check_jointly(algorithm, case):
    """Where tasks are distributions of functions, draws and covariances are those of `std`."""
    if case.loss not in algorithm.joint_losses:
        return
    episode, adapted = learn(algorithm, case)
    network, _, _, query = episode
    assert isinstance(adapted, PredictsJointly), (
        f"joint_losses has {case.loss!r}, but what is learned has no `jointly`"
    )
    mask = None if query.logit_mask is None else query.logit_mask[:1]
    there = query.weight[0] > 0
    X, y = query.X[0, there], query.y[0, there].astype(float)
    jointly = adapted.take(np.array([0])).jointly(network, X, mask)
    drawn = jointly.draw(2, np.random.default_rng(0), True)
    shape = (2, *y.shape)
    assert drawn.shape == shape, f"2 draws have shape {drawn.shape}, expected {shape}"
    again = jointly.draw(2, np.random.default_rng(0), True)
    assert np.array_equal(drawn, again), "draws differ for the same random numbers"
    unit = np.ones(shape[-1]) if case.loss == "poisson" else None
    density = jointly.log_density(y, unit=unit)
    assert np.ndim(density) == 0, f"log_density is {density!r}, expected a number"
    assert np.isfinite(density), f"log_density is {density}"
    if not case.is_classifier:
        variance = np.einsum("mmk->mk", jointly.covariance())
        what, other = "the root of the covariance's diagonal", "std"
        assert_close(np.sqrt(variance), std_of(adapted, episode)[0, there], 1e-9, what, other)


def check_pickle(algorithm, case):
    """What was learned is the same after pickling."""
    episode, adapted = learn(algorithm, case)
    restored = pickle.loads(pickle.dumps(adapted))
    for function, what in ((outputs, "outputs"), (std_of, "std")):
        before, after = function(adapted, episode), function(restored, episode)
        assert np.array_equal(before, after), f"{what} after pickling are not what they were"
