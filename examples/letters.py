"""What n-gram models say of the next letter: of every language, of many pooled, of a few words.

Interpolated Kneser-Ney (S. F. Chen, J. Goodman. "An empirical study of smoothing techniques for
language modeling". Computer Speech & Language 13, 1999), of up to five letters before.
"""

from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array
from sklearn.neural_network import MLPClassifier

from sklearn_meta import MetaLearner
from sklearn_meta.algorithms import BayesianHead

N_SIGNS = 27  # the end of a word, a to z
ORDERS = range(6)  # letters before
OF_ROOTS = np.array([1.5] * 3)  # discounts of a pool's counts, whose square roots are taken
OF_FEW = np.array([0.75, 1.3, 1.5])  # of the counts of a few words
WORD = 30.0  # counts, in the pool, of one of a word that is shown
PRIOR = {"pool": 3.0, "plain pool": 1.0, "the words alone": 0.3, "languages": 2.0}  # of EM
N_STEPS, N_PARTS = 25, 5  # of EM; of the words, to say something of each from the others
LEAST = 1e-6  # probability
SCALE = 0.5
ALL = 100_000  # shots: all rows that are marked


class Places(NamedTuple):
    """Places in words of one language, and what is known there of all languages."""

    X: np.ndarray  # (contexts, letters before), each once
    number: np.ndarray  # (rows,), of each row's context
    counts: list  # of each order, (contexts, languages, signs)
    probabilities: np.ndarray  # (contexts, languages, signs)


class Pool(NamedTuple):
    """The counts of some languages added up, at places."""

    languages: np.ndarray  # (languages,) of bool
    counts: list  # of each order, (contexts, signs)
    discounts: list  # of each order, (3,)

    def at(self, contexts):
        return self._replace(counts=[counts[contexts] for counts in self.counts])


class Languages:
    """What Kneser-Ney counts in each language of a task collection of `load_languages`."""

    def __init__(self, tasks):
        self.n = len(tasks)
        self.contexts, self.counts, self.discounts = [], [], []
        language = np.repeat(np.arange(self.n), tasks.sizes)
        for order in ORDERS:
            key, sign, language_of, counts = counted(tasks.X, tasks.y, order, language)
            contexts, row = np.unique(key, return_inverse=True)
            shape = len(contexts) + 1, self.n * N_SIGNS  # the last is of contexts never seen
            column = language_of * N_SIGNS + sign
            self.contexts.append(contexts)
            self.counts.append(csr_array((counts.astype(np.float32), (row, column)), shape=shape))
            of_each = [discounts(counts[language_of == each]) for each in range(self.n)]
            self.discounts.append(np.array(of_each))

    def at(self, X):
        """The places of rows X: what each language counts there, and predicts."""
        contexts, number = np.unique(X[:, -ORDERS[-1] :], axis=0, return_inverse=True)
        counts = [self._counts_at(contexts, order) for order in ORDERS]
        return Places(contexts, number.ravel(), counts, kneser_ney(counts, self.discounts))

    def pool(self, places, languages):
        """The counts of these languages (a mask) added up, at places."""
        weights = languages.astype(np.float32)
        return Pool(languages, [weights @ counts for counts in places.counts], self._of(languages))

    def _of(self, languages):
        """Discounts of the counts of these languages added up."""
        column = np.flatnonzero(np.repeat(languages, N_SIGNS))
        ones = np.ones(len(column), np.float32)
        shape = self.n * N_SIGNS, N_SIGNS
        add = csr_array((ones, (column, column % N_SIGNS)), shape=shape)
        return [discounts((counts @ add).data) for counts in self.counts]

    def _counts_at(self, X, order):
        key, contexts = keys(X, order), self.contexts[order]
        row = np.minimum(np.searchsorted(contexts, key), len(contexts) - 1)
        row[contexts[row] != key] = len(contexts)
        row, number = np.unique(row, return_inverse=True)
        return self.counts[order][row].toarray().reshape(len(row), self.n, N_SIGNS)[number]


class Evidence(NamedTuple):
    """Logarithms of the probability of each sign at some rows, (rows, signs)."""

    words: np.ndarray  # by Kneser-Ney of the words shown alone
    pooled: np.ndarray  # by that of all languages pooled, with the words shown
    mixture: np.ndarray  # by the mixture of all languages, the pool and the words


def evidence(places, pool, y, word, is_shown):
    """What the words shown, and the languages of a pool, say of each row of a task.

    Of a row that is shown it is said without its word: the words are dealt into `N_PARTS`, and
    what is said of a part is learned from the others. (The mixture's weights for a part are by
    how well each component says the other parts, these from all that is shown but themselves.)

    Parameters
    ----------
    places : Places
    pool : Pool
    y, word : ndarray of shape (rows,)
        The letter that is there, and the number of the word.
    is_shown : ndarray of shape (rows,) of bool

    Returns
    -------
    Evidence
        Of the rows shown first, then of the others.
    """
    at, y = places.number, y.astype(int)
    shown, asked = at[is_shown], at[~is_shown]
    X, y, part = places.X[shown], y[is_shown], word[is_shown] % N_PARTS
    each = places.probabilities[:, pool.languages]
    own = np.zeros((3, len(y), N_SIGNS), np.float32)
    for held_out in (part == number for number in np.unique(part)):
        rest = X[~held_out], y[~held_out]
        own[:, held_out] = of_words(X[held_out], pool.at(shown[held_out]), *rest)
    likelihood = np.vstack([own[:, np.arange(len(y)), y], each[shown, :, y].T])
    mixed = np.zeros((len(y), N_SIGNS), np.float32)
    for held_out in (part == number for number in np.unique(part)):
        weights = mixture_weights(likelihood[:, ~held_out])
        mixed[held_out] = mix(weights, own[:, held_out], each[shown[held_out]])
    own_asked = of_words(places.X[asked], pool.at(asked), X, y)
    mixed_asked = mix(mixture_weights(likelihood), own_asked, each[asked])
    of_all = [*np.concatenate([own, own_asked], axis=1), np.concatenate([mixed, mixed_asked])]
    pooled, _, words, mixture = (np.log(np.maximum(part, LEAST)) for part in of_all)
    return Evidence(words, pooled, mixture)


def of_words(contexts, pool, X, y):
    """Of the pool with the words shown, in two ways, and of these words alone, (3, rows, signs).

    The first way takes square roots of the counts: the same name is in many languages.
    """
    few = [few_counts(X, y, contexts, order) for order in ORDERS]
    with_words = [all_ + WORD * own for all_, own in zip(pool.counts, few, strict=True)]
    rooted = [np.sqrt(counts) for counts in with_words]
    return np.stack(
        [
            kneser_ney(rooted, [OF_ROOTS] * len(ORDERS)),
            kneser_ney(with_words, pool.discounts),
            kneser_ney(few, [OF_FEW] * len(ORDERS)),
        ]
    )


def mixture_weights(likelihood):
    """Weights of components (components, rows) by EM, the last of them the languages."""
    pool, plain, words, languages = PRIOR.values()
    n_languages = len(likelihood) - 3
    prior = np.array([pool, plain, words, *[languages / n_languages] * n_languages])
    weights = prior / prior.sum()
    for _ in range(N_STEPS if likelihood.size else 0):
        share = likelihood * weights[:, None]
        weights = (share / share.sum(axis=0)).sum(axis=1) + prior
        weights /= weights.sum()
    return weights


def mix(weights, own, languages):
    """The mixture of `own` (3, rows, signs) and `languages` (rows, languages, signs)."""
    return np.tensordot(weights[:3], own, 1) + weights[3:].astype(np.float32) @ languages


def kneser_ney(counts, discounts_of):
    """Probabilities (..., signs), of the counts (..., signs) and discounts of each order."""
    probability = np.float32(1 / N_SIGNS)
    for own, discount_of in zip(counts, discounts_of, strict=True):
        D = np.asarray(discount_of, np.float32)[..., None, :]
        discount = np.where(own >= 3, D[..., 2], np.where(own >= 2, D[..., 1], D[..., 0]))
        discount = np.minimum(discount, own)
        total, freed = own.sum(axis=-1, keepdims=True), discount.sum(axis=-1, keepdims=True)
        seen = (own - discount + freed * probability) / np.where(total > 0, total, 1)
        probability = np.where(total > 0, seen, probability)
    return probability


def discounts(counts):
    """Discounts of a count of 1, 2, and more, by how many of each there are."""
    n1, n2, n3, n4 = (max(1, np.sum(counts == n)) for n in (1, 2, 3, 4))
    share = n1 / (n1 + 2 * n2)
    found = 1 - 2 * share * n2 / n1, 2 - 3 * share * n3 / n2, 3 - 4 * share * n4 / n3
    return np.clip(found, [0.1, 0.2, 0.3], [0.95, 1.9, 2.85])


def counted(X, y, order, group):
    """What is counted of each group: context, sign, group and count, each (pairs,).

    Of the longest contexts it is how often a sign comes after, of the others after how many
    different letters it does, but at the start of a word, which nothing comes before.
    """
    key, number = keys(X, order), np.arange(len(X))
    if order == ORDERS[-1]:
        before = number
    else:
        starts = X[:, -order] == 0 if order else np.zeros(len(X), bool)
        before = np.where(starts, number + N_SIGNS, X[:, -order - 1])
    each = np.unique(np.column_stack([group, key, y, before]), axis=0)[:, :3]
    (group, key, y), counts = _unique_rows(each)
    return key, y, group, counts


def _unique_rows(rows):
    unique, counts = np.unique(rows, axis=0, return_counts=True)
    return unique.T, counts


def few_counts(X, y, contexts, order):
    """Counts of the rows of a few words, at contexts, (contexts, signs)."""
    found = np.zeros((len(contexts), N_SIGNS), np.float32)
    if len(X):
        key, sign, _, counts = counted(X, y, order, np.zeros(len(X), int))
        known, row = np.unique(key, return_inverse=True)
        table = np.zeros((len(known), N_SIGNS), np.float32)
        table[row, sign] = counts
        asked = keys(contexts, order)
        at = np.minimum(np.searchsorted(known, asked), len(known) - 1)
        there = known[at] == asked
        found[there] = table[at[there]]
    return found


def keys(X, order):
    """The last `order` letters before each place, as one number."""
    return X[:, X.shape[1] - order :] @ N_SIGNS ** np.arange(order)[::-1].astype(int)


def features(said, X):
    """What a head sees of rows: logarithms, about of unit scale, and the last two letters.

    Those of the mixture, then those of the words alone, (rows, 4 * signs).
    """
    logs = np.column_stack([said.mixture, said.words])
    letters = np.eye(N_SIGNS)
    return np.column_stack([SCALE * (logs + 4), letters[X[:, -1]], letters[X[:, -2]]])


class HeadOnLogProbabilities(BayesianHead):
    """A Bayesian head, with no hidden layer, that starts from what its first features predict."""

    def init_params(self, network, random_state, dtype):
        params = super().init_params(network, random_state, dtype)
        weights, bias = network.names[-1]
        params[weights][...], params[bias][...] = 0, 0
        params[weights][:N_SIGNS] = np.eye(N_SIGNS) / SCALE
        return params


def head():
    """A MetaLearner for tasks whose rows are `features`, of those shown and of those asked."""
    return MetaLearner(
        MLPClassifier(hidden_layer_sizes=()),
        HeadOnLogProbabilities(),
        n_shots=ALL,
        n_query=150,
        meta_lr=2e-3,
        meta_batch_size=8,
        max_iter=300,
        n_members=1,
        standardize=False,
        adapt_training_tasks=False,
        random_state=0,
    )
