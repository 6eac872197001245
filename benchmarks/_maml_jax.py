"""MAML as a fast user of JAX would write it today: jit, vmap and grad.

params: a list of (W (d, h), b (h,)); xs, ys, xq, yq: (tasks, rows, columns).
"""

from functools import partial

import jax
import jax.numpy as jnp

ACTIVATIONS = {"relu": jax.nn.relu, "tanh": jnp.tanh}


def network(params, x, activation):
    for i, (weights, bias) in enumerate(params):
        x = x @ weights + bias
        if i < len(params) - 1:
            x = ACTIVATIONS[activation](x)
    return x


def mean_squared_error(params, x, y, activation):
    return jnp.mean((network(params, x, activation) - y) ** 2)


def adapt(params, x, y, inner_lr, inner_steps, activation):
    for _ in range(inner_steps):
        grads = jax.grad(mean_squared_error)(params, x, y, activation)
        params = jax.tree.map(lambda p, g: p - inner_lr * g, params, grads)
    return params


@partial(jax.jit, static_argnums=(6, 7))
def meta_gradient(params, xs, ys, xq, yq, inner_lr, inner_steps, activation="relu"):
    """(loss, gradient) of the mean query loss over the tasks."""

    def task_loss(params, xs, ys, xq, yq):
        adapted = adapt(params, xs, ys, inner_lr, inner_steps, activation)
        return mean_squared_error(adapted, xq, yq, activation)

    def mean_loss(params):
        return jnp.mean(jax.vmap(partial(task_loss, params))(xs, ys, xq, yq))

    return jax.value_and_grad(mean_loss)(params)


def contestants(layers, arrays, inner_lr, inner_steps, activation="relu"):
    """Functions without arguments -> (loss, gradients), done when they return."""
    params = [(jnp.asarray(weights), jnp.asarray(bias)) for weights, bias in layers]
    arrays = [jnp.asarray(array) for array in arrays]

    def run():
        return jax.block_until_ready(
            meta_gradient(params, *arrays, inner_lr, inner_steps, activation)
        )

    return {"JAX": run}


def sinusoid_episode(key, n_tasks, n_rows):
    """Sine waves of random amplitude and phase: x and y (tasks, rows, 1)."""
    keys = jax.random.split(key, 3)
    amplitude = jax.random.uniform(keys[0], (n_tasks, 1, 1), minval=0.1, maxval=5.0)
    phase = jax.random.uniform(keys[1], (n_tasks, 1, 1), maxval=jnp.pi)
    x = jax.random.uniform(keys[2], (n_tasks, n_rows, 1), minval=-5.0, maxval=5.0)
    return x, amplitude * jnp.sin(x - phase)


def start_training(layers, seed):
    """The state of training: parameters, both moments of Adam, their average, step, key."""
    params = [(jnp.asarray(weights), jnp.asarray(bias)) for weights, bias in layers]
    zeros = jax.tree.map(jnp.zeros_like, params)
    return params, zeros, zeros, params, jnp.zeros((), int), jax.random.key(seed)


@partial(jax.jit, static_argnums=(1, 2, 3))
def training_step(state, n_tasks, n_shots, inner_lr, meta_lr=1e-3, averaging=0.99):
    """A meta-step on a fresh episode: one-step MAML, Adam, the running average."""
    params, first, second, average, done, key = state
    key, fresh = jax.random.split(key)
    x, y = sinusoid_episode(fresh, n_tasks, 2 * n_shots)
    arrays = x[:, :n_shots], y[:, :n_shots], x[:, n_shots:], y[:, n_shots:]
    _, grads = meta_gradient(params, *arrays, inner_lr, 1)
    done = done + 1
    first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, first, grads)
    second = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, second, grads)
    rate = meta_lr * jnp.sqrt(1 - 0.999**done) / (1 - 0.9**done)
    params = jax.tree.map(
        lambda p, m, v: p - rate * m / (jnp.sqrt(v) + 1e-8), params, first, second
    )
    keep = jnp.minimum(averaging, done / (done + 10))
    average = jax.tree.map(lambda a, p: a + (1 - keep) * (p - a), average, params)
    return params, first, second, average, done, key


@partial(jax.jit, static_argnums=(5,))
def query_error(params, xs, ys, xq, yq, inner_lr):
    """Mean squared error on the query rows after one step on the support of each task."""

    def task_error(xs, ys, xq, yq):
        adapted = adapt(params, xs, ys, inner_lr, 1, "relu")
        return mean_squared_error(adapted, xq, yq, "relu")

    return jnp.mean(jax.vmap(task_error)(xs, ys, xq, yq))
