"""Gradient steps on each task from a shared start, and their exact adjoint.

Going backwards from V = the query gradient at the adapted weights, each step is
``V <- V - inner_lr * H V`` with H the Hessian of the support loss at that step: no tape is
kept but the steps' own activations.
"""


def descend(network, start, batch, inner_lr, n_steps):
    """Gradient descent on every task's mean loss.

    Parameters
    ----------
    network : MLP
    start : ndarray of shape (size,)
        The weights that all tasks start from.
    batch : TaskBatch
    inner_lr : float
    n_steps : int

    Returns
    -------
    weights : ndarray of shape (tasks, size)
        `start` itself where `n_steps` is 0.
    passes : list of Pass
        One a step, for `pull_back`.
    """
    weights = start
    passes = []
    for _ in range(n_steps):
        passes.append(network.run(network.layers(weights), batch))
        gradient = network.gradient(passes[-1].inputs, passes[-1].deltas, per_task=True)
        gradient *= -inner_lr
        gradient += weights  # (tasks, size)
        weights = gradient
    return weights, passes


def pull_back(network, passes, batch, inner_lr, gradient):
    """Gradient at the start from the gradient (tasks, size) at the end of `descend`."""
    for at in reversed(passes):
        product = network.hessian_vector_product(at, batch, gradient)
        product *= inner_lr
        gradient = gradient - product
    return gradient
