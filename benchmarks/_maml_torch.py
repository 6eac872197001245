"""MAML in PyTorch, twice: torch.func, and the loop over tasks that learn2learn and higher run.

params: a list of (W (d, h), b (h,)); xs, ys, xq, yq: (tasks, rows, columns).
"""

import torch
from torch.func import grad, grad_and_value, vmap

ACTIVATIONS = {"relu": torch.relu, "tanh": torch.tanh}


def network(params, x, activation):
    for i, (weights, bias) in enumerate(params):
        x = x @ weights + bias
        if i < len(params) - 1:
            x = ACTIVATIONS[activation](x)
    return x


def mean_squared_error(params, x, y, activation):
    return ((network(params, x, activation) - y) ** 2).mean()


def meta_gradient_vmap(params, xs, ys, xq, yq, inner_lr, inner_steps, activation):
    """(loss, gradient) of the mean query loss over the tasks, tasks vectorised."""

    def task_loss(params, xs, ys, xq, yq):
        for _ in range(inner_steps):
            grads = grad(mean_squared_error)(params, xs, ys, activation)
            params = [
                (w - inner_lr * gw, b - inner_lr * gb)
                for (w, b), (gw, gb) in zip(params, grads, strict=True)
            ]
        return mean_squared_error(params, xq, yq, activation)

    def mean_loss(params):
        return vmap(lambda a, b, c, d: task_loss(params, a, b, c, d))(xs, ys, xq, yq).mean()

    grads, loss = grad_and_value(mean_loss)(params)
    return loss, grads


def meta_gradient_loop(params, xs, ys, xq, yq, inner_lr, inner_steps, activation):
    """The same with a Python loop over tasks and create_graph=True."""
    params = [(w.detach().requires_grad_(), b.detach().requires_grad_()) for w, b in params]
    total = 0.0
    for task in range(xs.shape[0]):
        fast = params
        for _ in range(inner_steps):
            loss = mean_squared_error(fast, xs[task], ys[task], activation)
            flat = [p for pair in fast for p in pair]
            grads = torch.autograd.grad(loss, flat, create_graph=True)
            fast = [
                (w - inner_lr * gw, b - inner_lr * gb)
                for (w, b), gw, gb in zip(fast, grads[::2], grads[1::2], strict=True)
            ]
        total = total + mean_squared_error(fast, xq[task], yq[task], activation)
    total = total / xs.shape[0]
    return total.detach(), torch.autograd.grad(total, [p for pair in params for p in pair])


def contestants(layers, arrays, inner_lr, inner_steps, activation="relu"):
    """Functions without arguments -> (loss, gradients)."""
    params = [(torch.tensor(weights), torch.tensor(bias)) for weights, bias in layers]
    problem = params, *map(torch.tensor, arrays), inner_lr, inner_steps, activation
    return {
        "torch vmap": lambda: meta_gradient_vmap(*problem),
        "torch loop": lambda: meta_gradient_loop(*problem),
    }
