"""Hostile values: what may be handed over in place of a valid argument, by name."""

import datetime
import decimal
import fractions

import numpy as np
import pandas as pd
import polars as pl
from scipy import sparse
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler


class Subclass(np.ndarray):
    """An array of another class."""


class Talkative:
    """An object of many words."""

    def __repr__(self):
        return "x\n" * 3000


class Unequal:
    """Neither hashable nor comparable."""

    __hash__ = None

    def __eq__(self, other):
        raise TypeError("not to be compared")


def _frozen(values):
    values = np.array(values)
    values.flags.writeable = False
    return values


def _strided(values):
    values = np.asarray(values)
    return np.repeat(values, 2, axis=0)[::2]


def _with(values, place, value, dtype=object):
    """A copy with another value in one place."""
    values = np.array(values, dtype=dtype)
    values[place.randint(len(values))] = value
    return values


def _floats(values):
    """Numbers of the same shape, whatever was there."""
    values = np.asarray(values)
    return values.astype(float) if values.dtype.kind in "iufb" else np.zeros(values.shape)


def _frame(values, place, columns=None):
    values = np.asarray(values)
    table = pd.DataFrame(values.reshape(len(values), -1))
    if columns is not None:
        table.columns = columns(table.shape[1])
    return table


def _nullable(values, place):
    table = _frame(_floats(values), place).astype("Float64")
    table.iloc[place.randint(len(table)), 0] = pd.NA
    return table


def _polars_null(values, place):
    columns = np.asarray(_floats(values)).reshape(len(values), -1).T.tolist()
    columns[0][place.randint(len(columns[0]))] = None
    return pl.DataFrame({f"c{i}": column for i, column in enumerate(columns)})


def _structured(values):
    return np.zeros(len(values), dtype=[("a", float), ("b", "U3")])


def _masked(values, place):
    mask = np.zeros(np.shape(values), bool)
    mask[place.randint(len(mask))] = True
    return np.ma.masked_array(values, mask)


# of what may be any value: (valid value, RandomState) -> hostile value
ANYTHING = {
    "None": lambda v, r: None,
    "NaN": lambda v, r: np.nan,
    "infinity": lambda v, r: -np.inf,
    "NA": lambda v, r: pd.NA,
    "NaT": lambda v, r: np.datetime64("NaT"),
    "a text": lambda v, r: "4",
    "a long text": lambda v, r: "x" * 5000,
    "no text": lambda v, r: "",
    "bytes": lambda v, r: b"4",
    "True": lambda v, r: True,
    "0": lambda v, r: 0,
    "-1": lambda v, r: -1,
    "a fraction": lambda v, r: 2.5,
    "tiny": lambda v, r: 5e-324,
    "large": lambda v, r: 1e300,
    "negative": lambda v, r: -1e-9,
    "2**70": lambda v, r: 2**70,
    "-2**70": lambda v, r: -(2**70),
    "complex": lambda v, r: 1 + 2j,
    "a Fraction": lambda v, r: fractions.Fraction(7, 2),
    "a Decimal": lambda v, r: decimal.Decimal("0.5"),
    "a date": lambda v, r: datetime.date(2020, 1, 1),
    "an object": lambda v, r: object(),
    "a class": lambda v, r: StandardScaler,
    "an estimator": lambda v, r: Ridge(),
    "a function": lambda v, r: len,
    "talkative": lambda v, r: Talkative(),
    "uncomparable": lambda v, r: Unequal(),
    "a dict": lambda v, r: {"a": 1},
    "a set": lambda v, r: {1, 2},
    "an empty list": lambda v, r: [],
    "an empty tuple": lambda v, r: (),
    "a long list": lambda v, r: list(range(3000)),
    "a list of fractions": lambda v, r: [2.5, 2.5],
    "a list of texts": lambda v, r: ["4", "x"],
    "a list of None": lambda v, r: [None, None],
    "a list of bools": lambda v, r: [True, False],
    "a pair of negatives": lambda v, r: (-2, -1),
    "a pair of huge numbers": lambda v, r: (2**70, 2**71),
    "a nested list": lambda v, r: [[1, 2], [3, [4]]],
    "a ragged list": lambda v, r: [[1.0, 2.0], [3.0]],
    "a generator": lambda v, r: (i for i in range(3)),
    "a range": lambda v, r: range(3),
    "an iterator of itself": lambda v, r: iter(v) if np.iterable(v) else iter([v]),
    "a 0-d array": lambda v, r: np.array(3),
    "a 0-d array of objects": lambda v, r: np.array(None),
    "an array of numbers": lambda v, r: np.arange(3.0),
    "an empty array": lambda v, r: np.empty((0, 2)),
    "a 3-d array": lambda v, r: np.zeros((3, 2, 2)),
    "a structured array": lambda v, r: np.zeros(3, dtype=[("a", float), ("b", int)]),
    "a sparse array": lambda v, r: sparse.csr_array(np.eye(3)),
    "a frame": lambda v, r: pd.DataFrame({"a": [1.0, 2.0], "b": ["x", "y"]}),
    "a polars frame": lambda v, r: pl.DataFrame({"a": [1.0, 2.0], "b": ["x", "y"]}),
    "a lazy frame": lambda v, r: pl.LazyFrame({"a": [1.0, 2.0]}),
    "a series": lambda v, r: pd.Series([1, 2, 3], index=[5, 5, 5]),
}
# of arrays with an entry, or a row, for each row
ARRAYS = {
    "a list": lambda v, r: np.asarray(v).tolist(),
    "a tuple": lambda v, r: tuple(np.asarray(v).tolist()),
    "read-only": lambda v, r: _frozen(v),
    "strided": lambda v, r: _strided(v),
    "in Fortran's order": lambda v, r: np.asfortranarray(v),
    "of a subclass": lambda v, r: np.array(v).view(Subclass),
    "big-endian": lambda v, r: np.array(v).astype(np.asarray(v).dtype.newbyteorder(">")),
    "objects": lambda v, r: np.array(v, dtype=object),
    "in another order": lambda v, r: np.asarray(v)[::-1],
    "a row less": lambda v, r: v[:-1],
    "a row more": lambda v, r: np.concatenate([v, v[-1:]]),
    "one row": lambda v, r: v[:1],
    "no rows": lambda v, r: v[:0],
    "a column more": lambda v, r: np.column_stack([v, _floats(v)]),
    "columns less": lambda v, r: _floats(v).reshape(len(v), -1)[:, 1:],
    "transposed": lambda v, r: np.asarray(v).reshape(len(v), -1).T,
    "raveled": lambda v, r: np.ravel(v),
    "of 3 dimensions": lambda v, r: np.asarray(v).reshape(len(v), -1)[:, :, None],
    "float16": lambda v, r: _floats(v).astype(np.float16),
    "float32": lambda v, r: _floats(v).astype(np.float32),
    "long double": lambda v, r: _floats(v).astype(np.longdouble),
    "int8": lambda v, r: _floats(v).astype(np.int8),
    "uint64 beyond int64": lambda v, r: np.abs(_floats(v)).astype(np.uint64) + np.uint64(2**63),
    "truth values": lambda v, r: _floats(v) > 0,
    "constant": lambda v, r: np.full_like(np.asarray(v), np.asarray(v).flat[0]),
    "huge": lambda v, r: _floats(v) * 1e300,
    "1e160": lambda v, r: _floats(v) * 1e160,
    "1e9 + itself": lambda v, r: 1e9 + _floats(v),
    "denormal": lambda v, r: _floats(v) * 1e-315,
    "complex": lambda v, r: _floats(v) + 1j,
    "texts": lambda v, r: np.asarray(v).astype(str),
    "texts of objects": lambda v, r: np.asarray(v).astype(str).astype(object),
    "texts of no numbers": lambda v, r: np.full(np.shape(v), "x"),
    "bytes of each": lambda v, r: np.asarray(v).astype(str).astype("S"),
    "dates": lambda v, r: np.full(np.shape(v), "2020-01-01", "M8[D]"),
    "dates with NaT": lambda v, r: _with(np.full(np.shape(v), "2020", "M8[s]"), r, "NaT", "M8[s]"),
    "durations with NaT": lambda v, r: _with(np.zeros(np.shape(v), int), r, "NaT", "m8[s]"),
    "a NaN": lambda v, r: _with(_floats(v), r, np.nan, float),
    "an infinity": lambda v, r: _with(_floats(v), r, -np.inf, float),
    "a None": lambda v, r: _with(v, r, None),
    "an NA": lambda v, r: _with(v, r, pd.NA),
    "a NaT among objects": lambda v, r: _with(v, r, np.datetime64("NaT")),
    "a 2**70": lambda v, r: _with(v, r, 2**70),
    "a 1e300": lambda v, r: _with(_floats(v), r, 1e300, float),
    "a text in it": lambda v, r: _with(v, r, "x"),
    "a long text in it": lambda v, r: _with(v, r, "x" * 5000),
    "an object in it": lambda v, r: _with(v, r, object()),
    "a class in it": lambda v, r: _with(v, r, StandardScaler),
    "an uncomparable in it": lambda v, r: _with(v, r, Unequal()),
    "a complex in it": lambda v, r: _with(v, r, 1j),
    "of records": lambda v, r: _structured(v),
    "of dicts": lambda v, r: [{"a": 1}] * len(v),
    "of lists of lists": lambda v, r: [[[1], [2, 3]]] * len(v),
    "of ragged rows": lambda v, r: [[1.0] * (1 + i % 2) for i in range(len(v))],
    "masked": lambda v, r: _masked(v, r),
    "sparse": lambda v, r: sparse.csr_array(_floats(v).reshape(len(v), -1)),
    "as a frame": lambda v, r: _frame(v, r),
    "with names": lambda v, r: _frame(v, r, lambda k: [f"c{i}" for i in range(k)]),
    "with one name for all": lambda v, r: _frame(v, r, lambda k: ["c"] * k),
    "with names of both kinds": lambda v, r: _frame(v, r, lambda k: ["c", *range(k - 1)]),
    "nullable with NA": _nullable,
    "polars with null": _polars_null,
    "polars": lambda v, r: pl.DataFrame(np.asarray(v).reshape(len(v), -1).tolist(), orient="row"),
    "categories": lambda v, r: pd.Series(pd.Categorical(np.ravel(np.asarray(v)).astype(str))),
    "a series of strings": lambda v, r: pd.Series(np.ravel(np.asarray(v)).astype(str)),
}
# that the valid argument is, too: they must give the same
SAME = {"a list", "read-only", "strided", "in Fortran's order", "of a subclass", "big-endian"}
NOT_ARRAYS = {  # that nothing which is to be an array may be
    "a text", "bytes", "a fraction", "an object", "a class", "a function", "a dict",
    "a 0-d array", "a 0-d array of objects", "NaN", "a lazy frame", "a structured array",
    "a 3-d array", "of 3 dimensions", "of records", "of dicts", "a ragged list", "of ragged rows",
    "of lists of lists", "sparse", "talkative", "uncomparable", "a row less", "a row more",
    "a sparse array",
}  # fmt: skip
NOT_NUMBERS = NOT_ARRAYS | {  # nor what is to be an array of finite numbers
    "complex", "dates", "dates with NaT", "durations with NaT", "a NaN", "an infinity", "a None",
    "an NA", "a NaT among objects", "a text in it", "a long text in it", "an object in it",
    "a class in it", "a complex in it", "texts of no numbers", "nullable with NA",
    "polars with null", "an uncomparable in it", "masked",
}  # fmt: skip
NOT_IDS = NOT_ARRAYS | {  # nor what is to name the task of each row, or its class
    "complex", "dates with NaT", "durations with NaT", "a NaN", "a None", "an NA",
    "a NaT among objects", "nullable with NA", "polars with null",
    "an uncomparable in it", "masked",
}  # fmt: skip
