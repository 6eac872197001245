"""Small real task collections that come with the package."""

import csv
import gzip
import zlib
from importlib.resources import files

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from ..tasks import TaskCollection

LETTERS_BEFORE = 8


def load_countries():
    """Life expectancy of countries over the years.

    A task is a country, a row one of its years. Features: year, fertility (children a
    woman), infant mortality (deaths before the age of one per 1000 births), natural
    logarithm of the population. Target: life expectancy at birth in years. Rows with a
    missing value are left out.

    Returns
    -------
    TaskCollection

    Notes
    -----
    Source: Gapminder (https://www.gapminder.org), CC BY 4.0, by way of the R package
    dslabs.

    Examples
    --------
    >>> from sklearn_meta.datasets import load_countries
    >>> load_countries()
    TaskCollection(n_tasks=178, n_rows=9092, n_features=4, rows_per_task=26..56)
    """
    table = _read("gapminder.csv.gz")
    names = "year", "fertility", "infant_mortality", "population", "life_expectancy"
    columns = np.column_stack([table[name] for name in names])
    complete = (columns != "").all(axis=1)
    *X, population, y = columns[complete].astype(float).T
    return TaskCollection.from_arrays(
        np.column_stack([*X, np.log(population)]), y, table["country"][complete]
    )


def load_vowels():
    """Vowels of American English, by their formants.

    A task is a speaker, a row a spoken vowel. Features: natural logarithm of the fundamental
    frequency F0 and of the formants F1, F2, F3 in Hz. Target: one of 10 vowels, the same for
    all speakers. Each speaker says each vowel twice: the first time is support, the second
    is query.

    Returns
    -------
    TaskCollection

    Notes
    -----
    Source: G. E. Peterson, H. L. Barney. "Control methods used in a study of the vowels".
    JASA 24, 1952; the published measurements, by way of Praat.

    Examples
    --------
    >>> from sklearn_meta.datasets import load_vowels
    >>> load_vowels()
    TaskCollection(n_tasks=76, n_rows=1520, n_features=4, rows_per_task=20)
    """
    table = _read("vowels.csv")
    X = np.log(np.column_stack([table[name] for name in ("F0", "F1", "F2", "F3")]).astype(float))
    speaker, vowel = table["Speaker"].astype(int), table["Vowel"]
    seen = set()
    first = [not (pair in seen or seen.add(pair)) for pair in zip(speaker, vowel, strict=True)]
    return TaskCollection.from_arrays(X, vowel, speaker, is_support=first)


def load_languages(*, return_families=False):
    """Words of languages, letter by letter.

    A task is a language, a row a place in one of its words. Features: the `LETTERS_BEFORE`
    letters before that place, the nearest last, as numbers: 1 to 26 for a to z, 0 for what is
    before the word. Target: the letter that comes next, or 0 at the end of the word. The words
    are those of the names of territories and languages, each once, in a random order, so that
    the first ones of a language are some of them.

    Parameters
    ----------
    return_families : bool, default=False
        Whether the family of each task is given, too.

    Returns
    -------
    tasks : TaskCollection
        Task ids are the codes of languages in Unicode CLDR; `blocks` numbers the words.
    families : ndarray of shape (n_tasks,)
        The family of each language as ISO 639-5 has it: `GroupKFold` over tasks holds whole
        families out, as random folds of languages do not: Spanish gives Galician away. Only if
        `return_families`.

    Notes
    -----
    Source: the names of Unicode CLDR (https://cldr.unicode.org), Copyright 2004-2025 Unicode,
    Inc., Unicode License v3 (it comes along, beside the data), by way of Babel 2.19, in Latin
    letters by anyascii. The families were added by hand. ``benchmarks/_language_names.py`` made the
    file, and says what is left out.

    Examples
    --------
    >>> from sklearn_meta.datasets import load_languages
    >>> load_languages()
    TaskCollection(n_tasks=203, n_rows=516563, n_features=8, rows_per_task=855..3370,
        blocks_per_task=140..330)
    """
    lines = [line.split() for line in _text("languages.txt.gz").splitlines()]
    lines.sort()  # as the tasks of a collection are, by id
    languages, families, *_ = zip(*lines, strict=False)
    texts = [_shuffled(words, language) for language, _, *words in lines]
    lengths = [np.array([len(word) + 1 for word in words]) for words in texts]
    rows = _places([word for words in texts for word in words])  # (n_rows, LETTERS_BEFORE + 1)
    groups = np.repeat(languages, [sum(each) for each in lengths])
    blocks = np.concatenate([np.repeat(np.arange(len(each)), each) for each in lengths])
    tasks = TaskCollection.from_arrays(rows[:, :-1], rows[:, -1], groups, blocks=blocks)
    return (tasks, np.array(families)) if return_families else tasks


def _shuffled(words, language):
    """In the same random order each time."""
    return np.random.RandomState(zlib.crc32(language.encode())).permutation(words)


def _places(words):
    """The letters before each place of each word, and the one there, (places, before + 1)."""
    before = "`" * LETTERS_BEFORE  # the sign before a
    letters = "".join(f"{before}{word}`" for word in words).encode()
    windows = sliding_window_view(
        np.frombuffer(letters, np.uint8).astype(int) - ord("`"), LETTERS_BEFORE + 1
    )
    is_place = (windows[:, -1] > 0) | (windows[:, -2] > 0)
    return windows[is_place]


def _read(name):
    """A CSV file of this package as columns of strings."""
    header, *rows = csv.reader(_text(name).splitlines())
    return dict(zip(header, np.array(rows).T, strict=True))


def _text(name):
    """A text file of this package, packed or not."""
    data = (files(__package__) / "data" / name).read_bytes()
    return (gzip.decompress(data) if name.endswith(".gz") else data).decode()
