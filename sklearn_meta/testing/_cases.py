"""The networks and episodes that algorithms are checked with: small, ragged, weighted."""

from typing import NamedTuple

import numpy as np
from sklearn.neural_network import MLPClassifier, MLPRegressor

from ..network import MLP, Params
from ..tasks import TaskBatch, TaskCollection

TARGETS = {  # loss, outputs
    "squared_error": ("squared_error", 1),
    "two_outputs": ("squared_error", 2),
    "poisson": ("poisson", 1),
    "binary": ("binary_log_loss", 1),
    "softmax": ("log_loss", 3),
}
SIZES = (6, 3, 5), (4, 7, 2)  # of the tasks' support and query
OWN_CLASSES = [2, 3, 2]  # of each task, of three, where these are a task's own


class Case(NamedTuple):
    """A network, and what its tasks are like."""

    targets: str  # a key of `TARGETS`
    own_classes: bool = False
    hidden: tuple = (4, 3)
    activation: str = "tanh"

    @property
    def loss(self):
        return TARGETS[self.targets][0]

    @property
    def is_classifier(self):
        return "log_loss" in self.loss

    @property
    def name(self):
        targets = f"own_{self.targets}" if self.own_classes else self.targets
        layers = "x".join(map(str, self.hidden)) or "linear"
        return f"{targets}-{self.activation}-{layers}"

    @property
    def network(self):
        return make_network(
            self.targets, self.hidden, self.activation, exchangeable=self.own_classes
        )

    def __str__(self):
        labels = ", classes of each task's own" if self.own_classes else ""
        if self.is_classifier and not self.own_classes:
            labels = ", labels shared by all tasks"
        return (
            f"loss={self.loss!r}, {TARGETS[self.targets][1]} output(s), "
            f"hidden_layer_sizes={self.hidden}, activation={self.activation!r}{labels}"
        )


class Episode(NamedTuple):
    """What an algorithm learns from, and is judged by."""

    network: MLP
    params: Params
    support: TaskBatch
    query: TaskBatch


def draw_episode(algorithm, case, dtype=np.float64):
    """Parameters as in the midst of training, and ragged weighted tasks; always the same."""
    rng, network = np.random.RandomState(0), case.network
    n_classes = OWN_CLASSES if case.own_classes and network.n_outputs > 1 else None
    batches = [cast(ragged_batch(rng, network, sizes, n_classes), dtype) for sizes in SIZES]
    return Episode(network, draw_params(algorithm, network, dtype=dtype), *batches)


def make_network(targets, hidden=(4, 3), activation="tanh", n_features=2, exchangeable=False):
    loss, n_outputs = TARGETS[targets]
    return MLP([n_features, *hidden, n_outputs], activation, loss, exchangeable)


def draw_params(algorithm, network, seed=0, dtype=np.float64):
    """Parameters off their starting values; what is held at 0 stays there."""
    rng = np.random.RandomState(seed)
    params = algorithm.init_params(network, rng, dtype)
    moved = 0.1 * rng.standard_normal(params.layout.size) * free_entries(network, params)
    for name, scale in params.layout.lr_scales.items():  # what has far to go has gone far
        moved[params.layout.slices[name]] *= scale
    return Params((params.vector + moved).astype(dtype), params.layout)


def free_entries(network, params):
    """Entries that are learned: all but the weights that `init_params` has put at 0."""
    free = params.vector != 0
    free[network.layout.size :] = True
    return free


def draw_targets(rng, loss, shape, n_outputs):
    """Targets (*shape, outputs) that the loss can have."""
    if loss == "squared_error":
        return rng.standard_normal((*shape, n_outputs))
    if loss == "poisson":
        return rng.poisson(2.0, (*shape, n_outputs)).astype(float)
    if loss == "binary_log_loss":
        return rng.randint(2, size=(*shape, n_outputs)).astype(float)
    return np.eye(n_outputs)[rng.randint(n_outputs, size=shape)]


def ragged_batch(rng, network, sizes, n_classes=None):
    """Random row weights, every fifth row 0; the padding holds rows that must not matter."""
    shape = len(sizes), max(sizes)
    X = rng.standard_normal((*shape, network.layer_units[0]))
    y = draw_targets(rng, network.loss_name, shape, network.n_outputs)
    filled = np.arange(shape[1]) < np.array(sizes)[:, None]
    weight = rng.uniform(0.5, 2, shape) * filled
    weight[:, 4::5] = 0
    if n_classes is None:
        return TaskBatch(X, y, weight)
    absent = np.arange(network.n_outputs) >= np.array(n_classes)[:, None]  # (tasks, outputs)
    codes = rng.randint(10**6, size=shape) % np.array(n_classes)[:, None]
    y[filled] = np.eye(network.n_outputs)[codes][filled]
    return TaskBatch(X, y, weight, np.where(absent, np.finfo(float).min / 8, 0.0)[:, None])


def cast(batch, dtype):
    """The batch in another precision, its mask as large as that precision has it."""
    mask = batch.logit_mask
    if mask is not None:
        mask = np.where(mask < 0, np.finfo(dtype).min / 8, 0)
    parts = batch._replace(logit_mask=mask)
    return TaskBatch(*(None if part is None else part.astype(dtype) for part in parts))


def tasks_of(batch):
    """Each task as a batch of its own, without its padding and rows of weight 0."""
    for i, weight in enumerate(batch.weight):
        rows = weight > 0
        mask = None if batch.logit_mask is None else batch.logit_mask[i : i + 1]
        parts = (part[i : i + 1, rows] for part in batch[:3])
        yield TaskBatch(*parts, mask)


def rows_of(batch, rows):
    """The batch with some of its rows only, of every task the same (a slice or numbers)."""
    return TaskBatch(*(part[:, rows] for part in batch[:3]), batch.logit_mask)


def tasks_in_order(batch, order):
    return TaskBatch(*(None if part is None else part[order] for part in batch))


def make_estimator(case):
    """The MLP of scikit-learn that makes a network like the case's."""
    options = {"hidden_layer_sizes": case.hidden, "activation": case.activation}
    if case.is_classifier:
        return MLPClassifier(**options)
    return MLPRegressor(loss=case.loss, **options)


def make_tasks(case, n_tasks=8, n_rows=12):
    """Tasks in a user's terms, each with slopes of its own."""
    rng = np.random.RandomState(0)
    groups = np.repeat(np.arange(n_tasks), n_rows)
    X = rng.standard_normal((len(groups), 2))
    slopes = 1 + rng.standard_normal((n_tasks, 2, 3))
    z = np.einsum("nd,ndk->nk", X, slopes[groups])
    y = {
        "squared_error": lambda: 10 + 3 * z[:, 0],
        "two_outputs": lambda: z[:, :2] * [1, 50],
        "poisson": lambda: rng.poisson(np.exp(np.clip(z[:, 0], -2, 2))),
        "binary": lambda: np.where(z[:, 0] > 0, "yes", "no"),
        "softmax": lambda: z.argmax(axis=1),
    }[case.targets]()
    if case.own_classes:  # 2, or by turns 2 and 3, in every task from the first rows on
        n_classes = 2 + (groups % 2) * (case.targets == "softmax")
        y = 100 * groups + np.arange(len(groups)) % n_classes
    return TaskCollection.from_arrays(X, y, groups, shared_labels=not case.own_classes)
