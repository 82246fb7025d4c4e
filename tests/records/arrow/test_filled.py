"""Which cells count as filled."""

from datetime import date

import pyarrow as pa
import pytest

from optimove_provider.records.arrow.filled import filled


@pytest.mark.parametrize(
    ("kind", "empty", "held"),
    [
        (pa.string(), [None, "", " ", "\t\n", "\u00a0", "\u3000"], ["a", " a ", "0", "[]"]),
        (pa.large_string(), [None, "", " "], ["a"]),
        (pa.string_view(), [None, ""], ["a"]),
        (pa.dictionary(pa.int8(), pa.string()), [None, "", " "], ["a"]),
        (pa.binary(), [None, b""], [b"a"]),
        (pa.null(), [None, None], []),
        (pa.int64(), [None], [0, 1]),
        (pa.bool_(), [None], [False]),
        (pa.date32(), [None], [date(2026, 5, 2)]),
        (pa.list_(pa.string()), [None, [], [None], ["", " "]], [["", "a"], ["a", None]]),
        (pa.list_(pa.int64(), 2), [None, [None, None]], [[None, 0]]),
        (pa.list_(pa.list_(pa.int64())), [[], [[]], [[None]]], [[[], [1]]]),
        (pa.struct({"q": pa.string(), "r": pa.int64()}), [None, {}, {"q": ""}, {"q": None}], [{"q": "a"}, {"r": 0}]),
        (pa.list_(pa.struct({"q": pa.list_(pa.string())})), [[{}], [{"q": [""]}]], [[{"q": []}, {"q": ["a"]}]]),
        (pa.map_(pa.string(), pa.string()), [None, [], [("k", None)], [("k", " ")]], [[("k", "a")]]),
    ],
    ids=str,
)
def test_only_what_says_something_is_filled(kind, empty, held):
    column = pa.array([*empty, *held], kind)
    assert filled(column).tolist() == [False] * len(empty) + [True] * len(held)
    assert filled(column.slice(1)).tolist() == [False] * (len(empty) - 1) + [True] * len(held)


def test_nothing_is_filled_by_nothing():
    assert filled(pa.array([], pa.struct({}))).tolist() == []
