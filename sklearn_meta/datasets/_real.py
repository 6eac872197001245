"""Small real task collections that come with the package."""

import csv
import gzip
from importlib.resources import files

import numpy as np

from ..tasks import TaskCollection


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


def _read(name):
    """A CSV file of this package as columns of strings."""
    data = (files(__package__) / "data" / name).read_bytes()
    text = (gzip.decompress(data) if name.endswith(".gz") else data).decode()
    header, *rows = csv.reader(text.splitlines())
    return dict(zip(header, np.array(rows).T, strict=True))
