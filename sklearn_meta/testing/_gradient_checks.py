"""Checks of the meta-gradient: against central differences, definitions, loops and reorderings."""

import numpy as np

from ..algorithms import MetaAlgorithm
from ..algorithms._definitions import central_difference
from ..network import Params
from ._cases import draw_episode, free_entries, rows_of, tasks_in_order, tasks_of
from ._compare import assert_close, assert_entries_close

FEW_ENTRIES, RANDOM_DIRECTIONS = 200, 20
APPROXIMATE = (
    "\nIf it is an approximation by its nature, the algorithm says so by exact_gradient = False, "
    "and what it is instead by gradient_definition(network, params, support, query)."
)


def check_meta_gradient(algorithm, case):
    """The meta-gradient is the derivative of the loss, or where it is not, what it is said to be.

    By central differences, or by `gradient_definition`. Weights held at 0 get no gradient.
    """
    episode = draw_episode(algorithm, case)
    _check_shape(algorithm, episode)
    _, gradient = algorithm.meta_gradient(*episode)
    if algorithm.exact_gradient:
        _check_derivative(algorithm, episode, gradient)
    else:
        _check_definition(algorithm, episode, gradient)
    held = ~free_entries(episode.network, episode.params)
    assert not gradient[held].any(), (
        "weights that init_params puts at 0 are held there, but the meta-gradient of "
        f"{np.count_nonzero(gradient[held])} of them is not 0"
    )


def check_at_step(algorithm, case):
    """What `at_step` gives is an algorithm, with a meta-gradient as right as the others."""
    for step in (0, 1, 10**6):
        scheduled = algorithm.at_step(step)
        assert isinstance(scheduled, MetaAlgorithm), (
            f"at_step({step}) gives {scheduled!r}, which is no MetaAlgorithm"
        )
        if scheduled is not algorithm:
            check_meta_gradient(scheduled, case)


def _check_shape(algorithm, episode):
    loss, gradient = algorithm.meta_gradient(*episode)
    assert np.ndim(loss) == 0, f"the loss is an array of shape {np.shape(loss)}, not a number"
    size = episode.params.vector.shape
    assert gradient.shape == size, (
        f"the meta-gradient has shape {gradient.shape}, the parameters {size}"
    )


def _check_derivative(algorithm, episode, gradient):
    network, params, support, query = episode
    along, names = directions(network, params)  # (directions, size)
    if not len(along):  # nothing is learned: prototypes of the features as they are
        return

    def loss(way):
        vector = params.vector + way @ along
        return algorithm.meta_gradient(network, Params(vector, params.layout), support, query)[0]

    def compare(eps):
        numeric = central_difference(loss, np.zeros(len(along)), eps)
        what, other = "the meta-gradient", "the central differences of the loss"
        assert_close(along @ gradient, numeric, 1e-6, what, other, names)

    try:
        compare(1e-5)
    except AssertionError as error:
        try:
            compare(1e-7)  # a kink of relu may lie within the larger step
        except AssertionError:
            raise AssertionError(f"{error}{APPROXIMATE}") from None


def directions(network, params):
    """Directions (n, size) to differentiate along, and which are of which array.

    Each learned entry's own, or of a large array a few random ones that move all its entries.
    """
    rng, free = np.random.RandomState(0), free_entries(network, params)
    rows, names = [], []
    for name, part in params.layout.slices.items():
        entries = np.arange(part.start, part.stop)[free[part]]
        if len(entries) <= FEW_ENTRIES:
            own = np.eye(len(entries))
        else:
            own = rng.standard_normal((RANDOM_DIRECTIONS, len(entries))) / np.sqrt(len(entries))
        along = np.zeros((len(own), params.layout.size))
        along[:, entries] = own
        rows.append(along)
        first = sum(map(len, rows[:-1]))
        names.append((name, slice(first, first + len(own))))
    return np.concatenate(rows), names


def _check_definition(algorithm, episode, gradient):
    assert hasattr(algorithm, "gradient_definition"), (
        f"exact_gradient is False, but there is no gradient_definition.{APPROXIMATE}"
    )
    assert_close(
        gradient,
        algorithm.gradient_definition(*episode),
        1e-6,
        "the meta-gradient",
        "gradient_definition",
        list(episode.params.layout.slices.items()),
    )


def check_padded_meta_gradient(algorithm, case):
    """Loss and meta-gradient of a padded batch are the means of a loop over its tasks."""
    network, params, support, query = draw_episode(algorithm, case)
    loss, gradient = algorithm.meta_gradient(network, params, support, query)
    alone = [
        algorithm.meta_gradient(network, params, *episode)
        for episode in zip(tasks_of(support), tasks_of(query), strict=True)
    ]
    losses, gradients = zip(*alone, strict=True)
    loop = "the mean of a loop over its tasks"
    assert_entries_close(
        loss, np.mean(losses), 1e-12, 0, "the loss of a padded batch of tasks", loop
    )
    names = list(params.layout.slices.items())
    what = "the meta-gradient of a padded batch of tasks"
    assert_close(gradient, np.mean(gradients, axis=0), 1e-12, what, loop, names)


def check_padding_in_meta_gradient(algorithm, case):
    """What stands in rows of weight 0 does not matter."""
    network, params, *batches = draw_episode(algorithm, case)
    others = [refill(batch) for batch in batches]
    _check_same(
        algorithm,
        (network, params, *batches),
        (network, params, *others),
        "with other numbers in rows of weight 0",
    )


def check_order_of_tasks(algorithm, case):
    """The order of tasks does not matter."""
    network, params, *batches = draw_episode(algorithm, case)
    moved = [tasks_in_order(batch, np.array([2, 0, 1])) for batch in batches]
    _check_same(
        algorithm,
        (network, params, *batches),
        (network, params, *moved),
        "with the tasks in another order",
    )


def check_order_of_rows_in_meta_gradient(algorithm, case):
    """The order of a task's rows does not matter, unless the algorithm says so."""
    if algorithm.row_order_matters:
        return
    network, params, *batches = draw_episode(algorithm, case)
    rng = np.random.RandomState(1)
    moved = [rows_of(batch, rng.permutation(batch.X.shape[1])) for batch in batches]
    _check_same(
        algorithm,
        (network, params, *batches),
        (network, params, *moved),
        "with the rows in another order",
        1e-10,
    )


def refill(batch):
    """The batch with rows of other tasks, and far away, where the weight is 0."""
    empty = batch.weight == 0
    X, y = 3 * batch.X[::-1] + 1, batch.y.copy()
    X[~empty] = batch.X[~empty]
    y[empty] = y[:, 0].repeat(empty.sum(axis=1), axis=0)  # a target that the task can have
    return batch._replace(X=X, y=y)


def _check_same(algorithm, episode, other, how, tolerance=1e-12):
    loss, gradient = algorithm.meta_gradient(*episode)
    other_loss, other_gradient = algorithm.meta_gradient(*other)
    assert_entries_close(other_loss, loss, tolerance, 0, f"the loss {how}", "what it was")
    what = f"the meta-gradient {how}"
    names = list(episode[1].layout.slices.items())
    assert_close(other_gradient, gradient, tolerance, what, "what it was", names)
