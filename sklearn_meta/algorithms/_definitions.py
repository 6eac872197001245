"""What approximate meta-gradients are defined by: plain passes over one task at a time.

Nothing here is fast. A `gradient_definition` written with it shares no code with the
`meta_gradient` that it is compared with.
"""

import numpy as np


def single_tasks(*batches):
    """Of batches of the same tasks, each task's part as batches of one."""
    for i in range(len(batches[0].X)):
        yield [
            type(batch)(*(None if part is None else part[i : i + 1] for part in batch))
            for batch in batches
        ]


def loss_gradient(network, vector, task):
    """Gradient of one task's mean loss at the weights `vector`, (size,)."""
    at = network.run(network.layers(vector), task)
    return network.gradient(at.inputs, at.deltas)


def central_difference(function, vector, eps=1e-5):
    """Derivative of the function's values by each entry on the vector's last axis, put last."""
    columns = []
    for i in range(vector.shape[-1]):
        ahead, behind = vector.copy(), vector.copy()
        ahead[..., i] += eps
        behind[..., i] -= eps
        columns.append((function(ahead) - function(behind)) / (2 * eps))
    return np.stack(columns, axis=-1)
