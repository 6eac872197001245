from collections import Counter, defaultdict

import numpy as np
import pytest
from letters import ORDERS, Languages, counted, discounts, evidence, few_counts, keys, kneser_ney

from sklearn_meta.datasets import load_languages


@pytest.fixture(scope="module")
def tasks():
    return load_languages()[::40]


def words_of(tasks, task, n):
    word = tasks.blocks[tasks.offsets[task] : tasks.offsets[task + 1]]
    return *(part[word < n] for part in tasks[task]), word[word < n]


def counts_of(X, y, order):
    """Kneser-Ney's counts by a plain loop: {context: {sign: count}}."""
    found = defaultdict(lambda: defaultdict(list))
    for letters, sign in zip(X.tolist(), y.tolist(), strict=True):
        context = tuple(letters[len(letters) - order :])
        found[context][sign].append(letters[-order - 1])
    return {
        context: {
            # nothing comes before the start of a word, so that there each word counts
            sign: len(before) if order == 5 or (order and context[0] == 0) else len(set(before))
            for sign, before in signs.items()
        }
        for context, signs in found.items()
    }


def probability(tables, D, context, sign):
    below = 1 / 27
    for order in ORDERS:
        own = tables[order].get(tuple(context[len(context) - order :]), {})
        if own:
            less = {each: min(D[order][min(n, 3) - 1], n) for each, n in own.items()}
            rest = own[sign] - less[sign] if sign in own else 0
            below = (rest + sum(less.values()) * below) / sum(own.values())
    return below


def test_languages_predict_as_kneser_ney_by_a_plain_loop(tasks):
    languages = Languages(tasks)
    X, y, _ = words_of(tasks, 0, 4)
    places = languages.at(X)
    for language in (0, 2):
        tables = [counts_of(*tasks[language], order) for order in ORDERS]
        D = [
            discounts(np.array([n for signs in table.values() for n in signs.values()]))
            for table in tables
        ]
        expected = [probability(tables, D, x, sign) for x, sign in zip(X.tolist(), y, strict=True)]
        found = places.probabilities[places.number, language, y]
        np.testing.assert_allclose(found, expected, rtol=1e-4)
    np.testing.assert_allclose(places.probabilities.sum(axis=-1), 1, rtol=1e-5)


def test_a_pool_adds_the_counts_of_its_languages_alone(tasks):
    languages = Languages(tasks)
    X, _, _ = words_of(tasks, 0, 4)
    places, chosen = languages.at(X), np.array([False, True, True, False, False, False])
    pool = languages.pool(places, chosen)
    for order in ORDERS:
        total = Counter()
        for task in (1, 2):
            for context, signs in counts_of(*tasks[task], order).items():
                total.update({(context, sign): n for sign, n in signs.items()})
        expected = [
            [total[tuple(x[len(x) - order :]), sign] for sign in range(27)]
            for x in places.X.tolist()
        ]
        np.testing.assert_array_equal(pool.counts[order], expected)


def test_counts_of_a_few_words_are_those_of_a_language_of_these_words(tasks):
    X, y, _ = words_of(tasks, 1, 10)
    for order in ORDERS:
        key, sign, _, counts = counted(X, y, order, np.zeros(len(X), int))
        expected = np.zeros((len(X), 27))
        for k, s, n in zip(key, sign, counts, strict=True):
            expected[keys(X, order) == k, s] = n
        np.testing.assert_array_equal(few_counts(X, y, X, order), expected)
    assert not few_counts(X[:0], y[:0], X, 2).any()
    none = [few_counts(X[:0], y[:0], X, order) for order in ORDERS]
    np.testing.assert_allclose(kneser_ney(none, [np.ones(3)] * 6), 1 / 27, rtol=1e-6)


def test_what_is_said_of_a_word_that_is_shown_is_said_without_it(tasks):
    languages = Languages(tasks[:5])
    X, y, word = words_of(tasks, 5, 14)
    places, is_shown = languages.at(X), word < 10
    pool = languages.pool(places, np.array([True, True, False, True, True]))
    said = evidence(places, pool, y, word, is_shown)
    other = y.copy()
    other[word == 3] = 26 - y[word == 3]
    changed = evidence(places, pool, other, word, is_shown)
    for before, after in zip(said, changed, strict=True):
        np.testing.assert_allclose(np.exp(before).sum(axis=1), 1, rtol=1e-3)
        assert not np.allclose(before[word > 9], after[word > 9])
    for name in ("words", "pooled"):
        before, after = getattr(said, name), getattr(changed, name)
        np.testing.assert_array_equal(before[word == 3], after[word == 3])
    asked = y.copy()
    asked[word > 9] = 0  # of what is asked, the letter that is there is not looked at
    for before, after in zip(said, evidence(places, pool, asked, word, is_shown), strict=True):
        np.testing.assert_array_equal(before, after)
