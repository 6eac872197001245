"""N-gram models of the next letter: of every language, of all pooled, of a few words.

Interpolated modified Kneser-Ney (S. F. Chen, J. Goodman. "An empirical study of smoothing
techniques for language modeling". Computer Speech & Language 13, 1999). Everything is asked for
at some places (contexts of `ORDERS[-1]` letters), and gives the probability of each sign.
"""

import numpy as np
from scipy.sparse import csr_array

N_SIGNS = 27  # the end of a word, a to z
ORDERS = range(6)  # letters of context


def keys(X, order):
    """The last `order` letters before each place, as one number."""
    return (
        X[:, X.shape[1] - order :] @ N_SIGNS ** np.arange(order)[::-1]
        if order
        else (np.zeros(len(X), int))
    )


def counted(X, y, order, group=0):
    """What Kneser-Ney counts in each group: contexts, signs, groups, and counts.

    Of all but the longest contexts these are different letters before, where a letter is there.
    """
    key, group = keys(X, order), np.broadcast_to(group, len(X))
    if order < ORDERS[-1]:
        starts = X[:, -order] == 0 if order else np.zeros(len(X), bool)
        before = X[:, X.shape[1] - order - 1]
        before = np.where(starts, np.arange(len(X)) + N_SIGNS, before)  # each row counts
        distinct = np.unique(np.column_stack([group, key, y, before]), axis=0)[:, :3]
    else:
        distinct = np.column_stack([group, key, y])
    (group, key, y), counts = (lambda u: (u[0].T, u[1]))(
        np.unique(distinct, axis=0, return_counts=True)
    )
    return key, y, group, counts


def discounts(counts):
    """Discounts of a count of 1, 2, and more, by how many of each there are."""
    n1, n2, n3, n4 = (max(1, np.sum(counts == n)) for n in (1, 2, 3, 4))
    share = n1 / (n1 + 2 * n2)
    ways = 1 - 2 * share * n2 / n1, 2 - 3 * share * n3 / n2, 3 - 4 * share * n4 / n3
    return np.clip(ways, [0.1, 0.2, 0.3], [0.95, 1.9, 2.85])


def interpolate(counts, D, lower):
    """Kneser-Ney over `lower`, (..., signs); the discounts D are (..., 3)."""
    D = np.asarray(D, np.float32)[..., None, :]
    discount = np.where(counts >= 3, D[..., 2], np.where(counts >= 2, D[..., 1], D[..., 0]))
    discount = np.minimum(discount, counts)
    total = counts.sum(axis=-1, keepdims=True)
    left = discount.sum(axis=-1, keepdims=True)
    mixed = (counts - discount + left * lower) / np.maximum(total, 1e-9)
    return np.where(total > 0, mixed, lower)


class Languages:
    """Counts of the words of all languages, looked up by place.

    Parameters
    ----------
    X, y, language : ndarray of shape (rows, before), (rows,), (rows,)
        Places, the signs there, and the number of the language.
    """

    def __init__(self, X, y, language):
        self.n = language.max() + 1
        self.contexts, self.counts, self.discounts, self.shape = [], [], [], None
        for order in ORDERS:
            key, sign, group, counts = counted(X, y, order, language)
            contexts, row = np.unique(key, return_inverse=True)
            column = group * N_SIGNS + sign
            shape = len(contexts) + 1, self.n * N_SIGNS  # the last is of contexts never seen
            table = csr_array((counts.astype(np.float32), (row, column)), shape=shape)
            self.contexts.append(contexts)
            self.counts.append(table)
            self.discounts.append(
                np.array([discounts(counts[group == each]) for each in range(self.n)])
            )

    def counts_at(self, X, order):
        """Counts of each language at places, (places, languages, signs)."""
        key = keys(X, order)
        at = np.searchsorted(self.contexts[order], key)
        known = at < len(self.contexts[order])
        known[known] = self.contexts[order][at[known]] == key[known]
        at[~known] = len(self.contexts[order])
        unique, back = np.unique(at, return_inverse=True)
        return self.counts[order][unique].toarray().reshape(len(unique), self.n, N_SIGNS)[back]

    def pooled_discounts(self, mask):
        """Of the counts of these languages added up, (orders, 3)."""
        picked = np.flatnonzero(mask)[:, None] * N_SIGNS + np.arange(N_SIGNS)
        add = csr_array(
            (np.ones(picked.size), (picked.ravel(), np.tile(np.arange(N_SIGNS), len(picked)))),
            shape=(self.n * N_SIGNS, N_SIGNS),
        )
        return np.array([discounts((table @ add).data) for table in self.counts])


def few_counts(X, y, places, order):
    """Counts of a few words at places, (places, signs)."""
    out = np.zeros((len(places), N_SIGNS), np.float32)
    if len(X):
        key, sign, _, counts = counted(X, y, order)
        contexts, row = np.unique(key, return_inverse=True)
        table = np.zeros((len(contexts), N_SIGNS), np.float32)
        table[row, sign] = counts
        at = np.searchsorted(contexts, keys(places, order))
        at = np.minimum(at, len(contexts) - 1)
        known = contexts[at] == keys(places, order)
        out[known] = table[at[known]]
    return out


def mixture_weights(likelihood, prior, n_steps=50):
    """Weights of components by EM from a Dirichlet prior, MAP-like, (components,).

    likelihood : (rows, components); prior : (components,), pseudo-counts.
    """
    weights = prior / prior.sum()
    for _ in range(n_steps if len(likelihood) else 0):
        share = likelihood * weights
        weights = (share / share.sum(axis=1, keepdims=True)).sum(axis=0) + prior
        weights /= weights.sum()
    return weights
