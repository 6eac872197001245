from importlib.resources import files

import numpy as np
import pandas as pd
import pytest
from scipy.stats import kstest

from sklearn_meta.datasets import Sinusoids, load_countries, load_languages, load_vowels


def waves(tasks):
    """Amplitude and phase of each task of frequency 1, by least squares, and what is left."""
    for X, y in tasks:
        basis = np.column_stack([np.sin(X[:, 0]), np.cos(X[:, 0])])
        (a, b), *_ = np.linalg.lstsq(basis, y)
        yield np.hypot(a, b), np.arctan2(-b, a), np.abs(basis @ [a, b] - y).max()


def test_sinusoids_are_sine_waves_drawn_as_in_the_paper():
    tasks = Sinusoids(n_rows=6).sample(2000, random_state=0)
    assert len(tasks) == 2000
    np.testing.assert_array_equal(tasks.sizes, 6)
    amplitude, phase, left = np.array(list(waves(tasks))).T
    assert left.max() < 1e-9
    assert kstest(tasks.X[:, 0], "uniform", (-5, 10)).pvalue > 0.01
    assert kstest(amplitude, "uniform", (0.1, 4.9)).pvalue > 0.01
    assert kstest(np.divide(phase, np.pi), "uniform").pvalue > 0.01


def test_frequency_and_noise():
    tasks = Sinusoids(n_rows=400, frequency=(2.0, 2.0), noise=0.3).sample(50, random_state=0)
    left, phase = [], []
    for X, y in tasks:
        basis = np.column_stack([np.sin(2 * X[:, 0]), np.cos(2 * X[:, 0])])
        (a, b), *_ = np.linalg.lstsq(basis, y)
        left.append(y - basis @ [a, b])
        phase.append(np.arctan2(-b, a) % (2 * np.pi) / 2)
    assert kstest(np.ravel(left) / 0.3, "norm").pvalue > 0.01
    assert kstest(np.divide(phase, np.pi), "uniform").pvalue > 0.01


def test_frequencies_are_drawn_from_their_range():
    tasks = Sinusoids(n_rows=400, frequency=(0.8, 1.2)).sample(30, random_state=0)
    grid = np.linspace(0.8, 1.2, 81)
    best = []
    for X, y in tasks:
        fits = [np.column_stack([np.sin(w * X[:, 0]), np.cos(w * X[:, 0])]) for w in grid]
        left = [np.sum((y - fit @ np.linalg.lstsq(fit, y)[0]) ** 2) for fit in fits]
        assert min(left) < 1e-2 * np.sum(y**2)
        best.append(grid[np.argmin(left)])
    assert kstest(best, "uniform", (0.8, 0.4)).pvalue > 0.01


@pytest.mark.parametrize("seed", [3, "random_state"])
def test_a_seed_gives_the_same_tasks(seed):
    seeds = [np.random.RandomState(3) if seed == "random_state" else seed for _ in range(2)]
    first, second = (Sinusoids(noise=0.1).sample(5, random_state) for random_state in seeds)
    np.testing.assert_array_equal(first.X, second.X)
    np.testing.assert_array_equal(first.y, second.y)
    other = Sinusoids(noise=0.1).sample(5, 4)
    assert np.all(other.y != first.y)


def test_two_parts_of_the_sinusoids_never_give_the_same_task():
    whole = Sinusoids(n_rows=6)
    training, validation = whole.split(0.1, random_state=0)
    _, inner = validation.split(0.1, random_state=0)
    _, again = whole.split(0.1, random_state=0)
    np.testing.assert_array_equal(training.sample(9, 3).X, whole.sample(9, 3).X)
    np.testing.assert_array_equal(validation.sample(9, 3).X, again.sample(9, 3).X)
    drawn = [part.sample(9, seed).X for part in (whole, validation, inner) for seed in (3, 4)]
    assert len(np.unique(drawn)) == np.size(drawn)
    random_state = np.random.RandomState(0)  # goes on from one call to the next
    first, second = (validation.sample(9, random_state) for _ in range(2))
    assert np.all(first.X != second.X)
    amplitude, phase, left = np.array(list(waves(validation.sample(2000, random_state=0)))).T
    assert left.max() < 1e-9
    assert kstest(amplitude, "uniform", (0.1, 4.9)).pvalue > 0.01
    assert kstest(np.divide(phase, np.pi), "uniform").pvalue > 0.01


def read(name):
    with (files("sklearn_meta.datasets") / "data" / name).open("rb") as file:
        return pd.read_csv(file, compression="gzip" if name.endswith("gz") else None)


def test_countries_are_the_complete_rows_of_the_table():
    frame = read("gapminder.csv.gz").dropna(
        subset=["fertility", "infant_mortality", "population", "life_expectancy"]
    )
    tasks = load_countries()
    assert tasks.task_ids.tolist() == sorted(frame["country"].unique())
    for name, (X, y) in zip(tasks.task_ids, tasks, strict=True):
        rows = frame[frame["country"] == name]
        np.testing.assert_array_equal(X[:, :3], rows[["year", "fertility", "infant_mortality"]])
        np.testing.assert_allclose(X[:, 3], np.log(rows["population"]), rtol=1e-14)
        np.testing.assert_array_equal(y, rows["life_expectancy"])


def test_a_country_as_gapminder_has_it():
    """France in 1960: 2.77 children a woman, 70.5 years."""
    tasks = load_countries()
    X, y = tasks[tasks.task_ids.tolist().index("France")]
    first = np.flatnonzero(X[:, 0] == 1960)[0]
    assert X[first, 1] == 2.77
    assert y[first] == 70.49
    assert 44e6 < np.exp(X[first, 3]) < 48e6


def test_vowels_are_each_speakers_first_and_second():
    frame = read("vowels.csv")
    tasks = load_vowels()
    assert len(tasks) == 76
    assert len(np.unique(tasks.y)) == 10
    assert tasks.shared_labels
    for name, (X, y) in zip(tasks.task_ids, tasks, strict=True):
        rows = frame[frame["Speaker"] == name]
        np.testing.assert_allclose(X, np.log(rows[["F0", "F1", "F2", "F3"]]), rtol=1e-14)
        np.testing.assert_array_equal(y, rows["Vowel"])
    first = (
        frame.sort_values("Speaker", kind="stable").groupby(["Speaker", "Vowel"]).cumcount() == 0
    )
    np.testing.assert_array_equal(tasks.is_support, first)
    assert tasks.is_support.sum() == 760


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"n_rows": -1}, "'n_rows'.*-1"),
        ({"n_rows": 2.5}, "'n_rows'.*2.5"),
        ({"noise": -0.1}, "'noise'.*-0.1"),
        ({"frequency": (2.0, 1.0)}, r"frequency must be .*low <= high, got \(2.0, 1.0\)"),
        ({"frequency": 1.0}, r"frequency must be a pair \(low, high\) of numbers"),
        ({"frequency": (0.0, np.inf)}, "frequency must be a pair"),
    ],
)
def test_sinusoids_that_cannot_be(options, match):
    with pytest.raises(ValueError, match=match):
        Sinusoids(**options)


@pytest.mark.parametrize("n_tasks", [0, 2.5, "3"])
def test_numbers_of_sinusoids_that_cannot_be(n_tasks):
    with pytest.raises(ValueError, match="'n_tasks'"):
        Sinusoids().sample(n_tasks)


def spelled(X, y):
    """The words of the rows of one, letter by letter, by a plain loop."""
    words, letters = [], ""
    for before, letter in zip(X.tolist(), y.tolist(), strict=True):
        numbers = [ord(each) - 96 for each in letters]
        assert before == [0] * (8 - len(numbers)) + numbers[-8:] if numbers else not any(before)
        letters += chr(96 + letter) if letter else ""
        if not letter:
            words.append(letters)
            letters = ""
    return words


def test_languages_are_words_letter_by_letter():
    tasks, families = load_languages(return_families=True)
    assert len(tasks) == len(families) > 170
    family = dict(zip(tasks.task_ids.tolist(), families.tolist(), strict=True))
    assert [family[each] for each in ("de", "en", "es", "gl", "eu", "sw")] == [
        *("gem", "gem", "roa", "roa", "euq", "bnt")
    ]
    french = spelled(*tasks[list(tasks.task_ids).index("fr")])
    assert {"adangme", "allemand"} <= set(french)
    assert len(set(french)) == len(french) == 330
    assert french != sorted(french)
    number = tasks.blocks[tasks.groups == "fr"]
    np.testing.assert_array_equal(number, np.repeat(np.arange(330), [len(w) + 1 for w in french]))
    again = load_languages()
    np.testing.assert_array_equal(again.X, tasks.X)


def test_the_languages_come_with_their_licence_and_are_small():
    data = files("sklearn_meta.datasets") / "data"
    assert len((data / "languages.txt.gz").read_bytes()) < 200_000
    assert "UNICODE LICENSE V3" in (data / "languages.LICENSE").read_text()
