"""Values of any kind, as lists of a DAG and drivers bring them: each arrives as it is, or its row is rejected alone."""

import datetime
import enum
import json
import math
import uuid
import zoneinfo
from collections import OrderedDict, namedtuple
from decimal import Decimal
from types import MappingProxyType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimove_provider.contract.cells.datatypes import Attribute
from optimove_provider.records.read.sources import list_batches
from optimove_provider.records.read.typed_columns import Columns
from optimove_provider.records.rows import Unread
from optimove_provider.records.to_json.scalars import JsonText
from tests.support.rows.fates import cells, parsed, records

NOON = datetime.datetime(2026, 1, 1, 12)
NOT_FINITE = "NaN and infinities are no JSON numbers"
NOT_UNICODE = "text that is not valid Unicode"


def fates(values):
    """The JSON text of each value, None for null; or its column and why its row is rejected."""
    found = records(list_batches([{"id": number, "v": value} for number, value in enumerate(values)]))
    return [value_of(fate, number) if isinstance(fate, str) else fate for number, fate in enumerate(found)]


def value_of(record, number):
    rest = record.removeprefix(f'{{"id":"{number}"')
    assert rest != record
    return rest.removeprefix(',"v":').removesuffix("}") or None


def nested_in(value, depth):
    for _ in range(depth):
        value = [value]
    return value


class Odd:
    def __repr__(self):
        raise RuntimeError("not even this")


class Missing(datetime.datetime):
    """As pandas.NaT: a datetime that is not itself."""

    def __ne__(self, other):
        return True

    __hash__ = datetime.datetime.__hash__


class Precise(datetime.datetime):
    """As pandas.Timestamp: with nanoseconds."""

    nanosecond = 7

    def isoformat(self, *_, **__):
        return super().isoformat(timespec="microseconds") + "007"


class Nowhere(datetime.tzinfo):
    """Of which nothing is known."""


class Colour(enum.Enum):
    RED = "red"


class Text(enum.StrEnum):
    RED = "red"


class Size(enum.IntEnum):
    SMALL = 2**60 + 1


Point = namedtuple("Point", "x y")
loop = []
loop.append(loop)

TRAVELS = {
    "an integer beyond 64 bits": (2**64 + 1, "18446744073709551617"),
    "an integer of 400 digits": (10**400 + 1, "1" + "0" * 399 + "1"),
    "an integer that is no double": (2**53 + 1, "9007199254740993"),
    "a huge decimal": (Decimal("1e90"), "1E+90"),
    "a decimal of 100 digits": (Decimal("1" * 100), "1" * 100),
    "a decimal with a huge exponent": (Decimal("1.50E+999999999"), "1.5E+999999999"),
    "a tiny decimal": (Decimal("1e-90"), "1E-90"),
    "a float that is no short decimal": (1e22, "1e+22"),
    "a boolean": (True, "true"),
    "text": ("é", '"é"'),
    "NUL": ("a\0b", '"a\\u0000b"'),
    "a list": ([1, {"a": None}], '[1,{"a":null}]'),
    "100 lists": (nested_in(1, 100), "[" * 100 + "1" + "]" * 100),
    "a tuple with names": (Point(1, 2), "[1,2]"),
    "a mapping of another class": (MappingProxyType({"b": 1, "a": 2}), '{"a":2,"b":1}'),
    "an ordered mapping": (OrderedDict(b=1, a=2), '{"a":2,"b":1}'),
    "an enumerated text": (Text.RED, '"red"'),
    "an enumerated integer": (Size.SMALL, "1152921504606846977"),
    "NumPy's integer": (np.int64(2**62 + 1), "4611686018427387905"),
    "NumPy's float32": (np.float32(0.1), "0.1"),
    "NumPy's float64": (np.float64(0.1), "0.1"),
    "NumPy's boolean": (np.bool_(True), "true"),
    "NumPy's text": (np.str_("é"), '"é"'),
    "NumPy's instant": (np.datetime64("2026-01-01T12:00:00.000000001"), '"2026-01-01T12:00:00.000000001Z"'),
    "NumPy's numbers in a list": ([np.int8(1), np.float16(0.5)], "[1,0.5]"),
    "an instant": (NOON, '"2026-01-01T12:00:00Z"'),
    "the last instant": (datetime.datetime.max, '"9999-12-31T23:59:59.999999Z"'),
    "an instant with an offset": (
        NOON.replace(tzinfo=datetime.timezone(datetime.timedelta(hours=-5))),
        '"2026-01-01T17:00:00Z"',
    ),
    "an offset with parts of a second": (
        NOON.replace(tzinfo=datetime.timezone(datetime.timedelta(microseconds=1))),
        '"2026-01-01T11:59:59.999999Z"',
    ),
    "an instant with nanoseconds": (Precise(2026, 1, 1, 12), '"2026-01-01T12:00:00.000000007Z"'),
    "a date": (datetime.date(1, 1, 1), '"0001-01-01"'),
    "a time": (datetime.time(1, 2, 3, 500_000), '"01:02:03.5"'),
    "a UUID": (uuid.UUID(int=1), '"00000000-0000-0000-0000-000000000001"'),
}

REJECTED = {
    "a decimal NaN": (Decimal("NaN"), NOT_FINITE),
    "a signalling NaN": (Decimal("sNaN"), NOT_FINITE),
    "a decimal infinity": (Decimal("-Infinity"), NOT_FINITE),
    "NaN": (math.nan, NOT_FINITE),
    "infinity in a list": ([1, [math.inf]], NOT_FINITE),
    "NaN in a mapping in a tuple": (({"a": (math.nan,)},), NOT_FINITE),
    "a decimal NaN in a mapping": ({"a": Decimal("NaN")}, NOT_FINITE),
    "NumPy's NaN": (np.float32("nan"), NOT_FINITE),
    "half an emoji": ("\ud83d", NOT_UNICODE),
    "half an emoji in a list": (["a", "\ud83d"], NOT_UNICODE),
    "half an emoji as a name": ({"\ud83d": 1}, NOT_UNICODE),
    "101 lists": (nested_in(1, 101), "nested deeper than 100 lists and objects"),
    "330 lists": (nested_in(1, 330), "nested deeper than 100 lists and objects"),
    "a list that holds itself": (loop, "nested deeper than 100 lists and objects"),
    "an integer of 5000 digits": (10**5000, "an integer of more than 4300 digits"),
    "bytes": (b"a", "a bytes has no form in JSON"),
    "a duration": (datetime.timedelta(1), "a timedelta has no form in JSON"),
    "a set in a list": ([{1}], "a set has no form in JSON"),
    "an object": (object(), "a object has no form in JSON"),
    "an object that cannot be shown": (Odd(), "a Odd has no form in JSON"),
    "a class": (int, "a type has no form in JSON"),
    "a complex number": (1j, "a complex has no form in JSON"),
    "an enumeration": (Colour.RED, "a Colour has no form in JSON"),
    "a name that is no text": ({1: 2}, "the name of a member is no text but a int"),
    "NumPy's missing instant": (np.datetime64("NaT"), "a datetime64 has no form in JSON"),
    "NumPy's array": (np.array([1]), "a ndarray has no form in JSON"),
    "a missing instant": (Missing(2026, 1, 1), "no instant but a missing one: give None"),
    "a time with a zone": (datetime.time(1, tzinfo=datetime.UTC), "a time with a time zone"),
    "an unknown zone": (NOON.replace(tzinfo=Nowhere()), "a datetime that cannot be read: NotImplementedError"),
    "before the first year": (
        datetime.datetime(1, 1, 1, tzinfo=datetime.timezone(datetime.timedelta(hours=1))),
        "the year is not between 0001 and 9999",
    ),
}

ALL = [value for value, _ in TRAVELS.values()] + [value for value, _ in REJECTED.values()]
NEIGHBOURS = [[], [None], [2**53 + 1], ["a"], [1.5], [Decimal("1.5"), 1], [True], [NOON], [[1]], [{"a": 1}], ALL]


@pytest.mark.parametrize("neighbours", NEIGHBOURS, ids=lambda values: repr(values)[:20] if len(values) < 9 else "all")
def test_a_value_travels_exactly_whatever_stands_beside_it(neighbours):
    alone = fates(neighbours)
    for name, (value, text) in TRAVELS.items():
        assert fates([value, *neighbours, value]) == [text, *alone, text], name


@pytest.mark.parametrize("neighbours", NEIGHBOURS, ids=lambda values: repr(values)[:20] if len(values) < 9 else "all")
def test_a_value_without_a_form_rejects_its_row_alone(neighbours):
    alone = fates(neighbours)
    for name, (value, reason) in REJECTED.items():
        *others, fate = fates([*neighbours, value])
        assert fate[0] == "v", name
        assert fate[1].startswith(reason), name
        assert others == alone, name


leaves = st.one_of(
    st.booleans(),
    st.integers(),
    st.integers(2**53 - 2, 2**65),
    st.floats(),
    st.decimals(),
    st.text(max_size=4),
    st.text(st.characters(codec=None), max_size=2),
    st.datetimes(timezones=st.sampled_from([None, datetime.UTC, zoneinfo.ZoneInfo("Asia/Kathmandu")])),
    st.dates(),
    st.times(),
    st.uuids(),
    st.binary(max_size=2),
    st.timedeltas(),
    st.sampled_from([object(), np.float32(1e10), np.int8(1), {1}, 1j]),
)
anything = st.none() | st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("a\ud83d", max_size=1), inner, max_size=2),
    max_leaves=4,
)


def seconds(value):
    text = value.isoformat()
    return text.rstrip("0") if value.microsecond else text


def number(value):
    if not Decimal(str(value)).is_finite():
        raise ValueError(value)
    return Decimal(str(value))


def instant(value):
    return seconds(value.replace(tzinfo=None) - (value.utcoffset() or datetime.timedelta())) + "Z"


EXACT = (
    (bool, lambda value: value),
    ((int, float, Decimal, np.number), number),
    (str, lambda value: value.encode().decode()),
    (datetime.datetime, instant),
    (datetime.date, str),
    (datetime.time, seconds),
    (uuid.UUID, str),
    (list, lambda value: [exact(item) for item in value]),
    (dict, lambda value: {exact(name): exact(item) for name, item in value.items()}),
)


def exact(value):
    """What a reader of JSON has to find, as plain as it can be. Raises ValueError if there is no such thing."""
    if value is None:
        return None
    for kind, form in EXACT:
        if isinstance(value, kind):
            return form(value)
    raise ValueError(value)


@settings(max_examples=100)
@given(st.lists(anything, max_size=6))
def test_every_value_arrives_exactly_or_its_row_is_rejected(values):
    for value, fate in zip(values, fates(values), strict=True):
        try:
            expected = exact(value)
        except (ValueError, OverflowError):
            assert fate[0] == "v"
            continue
        if expected is None:
            assert fate is None
        else:
            assert isinstance(fate, str), fate
            assert parsed(fate) == expected


@settings(max_examples=50)
@given(st.lists(anything, max_size=5), st.lists(anything, max_size=5))
def test_no_value_changes_what_becomes_of_another(some, others):
    assert fates(some + others) == fates(some) + fates(others)


@settings(max_examples=40)
@given(st.lists(anything, max_size=5), st.lists(anything, max_size=5))
def test_nor_its_cell(some, others):
    def found(values):
        return [
            one if isinstance(one, str) else one["v"]
            for one in cells(list_batches([{"v": value, "w": 0} for value in values]))
        ]

    def same(cell):
        try:
            return Decimal(cell)  # 1.50 for 1.5: a decimal has the scale of its batch
        except ArithmeticError:
            return cell.partition(" ")[0] if cell.startswith("column 'v', value") else cell

    assert [*map(same, found(some + others))] == [*map(same, found(some) + found(others))]


DOCUMENTS = {
    '{"a":1,"a":2}': "an object names a member twice",
    '{"b":[{"a":1,"a":1}]}': "an object names a member twice",
    '"\\ud83d"': NOT_UNICODE,
    '{"\\udc00":1}': NOT_UNICODE,
    '{"a":1e99999999999999999999}': (
        "the number '1e99999999999999999999' has an exponent that is beyond all computing"
    ),
    f"[{'1' * 4301}]": "an integer of more than 4300 digits",
    "[NaN]": NOT_FINITE,
}


@pytest.mark.parametrize(("document", "reason"), DOCUMENTS.items(), ids=lambda one: str(one)[:30])
def test_a_document_of_a_database_is_judged_as_a_line_of_json_is(document, reason):
    """They went to the vendor before, and a replay of the row found the fault that the load had not."""
    texts = [JsonText(document), JsonText('{"a":"\\ud83d\\ude00","n":1e999}')]
    assert fates(texts)[0] == fates([*texts, "a text"])[0] == fates([texts[:1]])[0] == ("v", reason)
    assert fates(texts)[1] == texts[1]
    assert fates([*texts, "a text"])[1] == texts[1]


class Tier(str, enum.Enum):  # noqa: UP042 - its str() is not its value
    GOLD = "gold"


TEXTS_OF_OTHER_TYPES = {
    Tier.GOLD: "gold",
    np.datetime64("2026-01-02"): "2026-01-02",
    np.datetime64("9999-12-31"): "9999-12-31",
    np.datetime64("2026-01-02T03:04:05"): "2026-01-02T03:04:05Z",
    np.datetime64("2026-01-02T03:04:05.000001000"): "2026-01-02T03:04:05.000001Z",
    np.datetime64("2026-01-02T03:04:05.000000001"): "2026-01-02T03:04:05.000000001Z",
}


@pytest.mark.parametrize("value", TEXTS_OF_OTHER_TYPES)
def test_json_and_cell_say_the_same_of_texts_of_other_types(value):
    """Enums of texts were their member's name in CSV, instants of NumPy had quotes, its days no form."""
    rows = [{"id": "1", "v": value}]
    assert fates([value]) == [json.dumps(TEXTS_OF_OTHER_TYPES[value])]
    assert [row["v"] for row in cells(list_batches(rows))] == [TEXTS_OF_OTHER_TYPES[value]]


@pytest.mark.parametrize("value", ["10000-01-01", "0000-12-31", "2026", "2026-01", "2026-01-02T03", "NaT"])
def test_other_instants_of_numpy_are_refused_by_name(value):
    ((column, reason),) = fates([np.datetime64(value)])
    assert column == "v"
    assert reason in (
        "the year is not between 0001 and 9999",
        "a datetime64 has no form in JSON: cast it, to text or to a number",
    )


def test_an_instant_of_numpy_is_an_epoch_where_one_is_asked_for():
    rows = list_batches([{"id": "1", "v": np.datetime64("2026-01-02T03:04:05")}])
    assert [row["v"] for row in cells(rows, [Attribute("v", "datetime", "epoch")])] == ["1767323045"]


def test_cells_are_those_of_their_own_kind():
    epoch = Attribute("v", "datetime", "epoch")
    values = [1, "a,b", True, None, Decimal("1.50"), NOON, datetime.date(2026, 1, 2), uuid.UUID(int=1), 2**70]
    rows = list_batches([{"id": "1", "v": value} for value in values])
    assert [row["v"] for row in cells(rows, [epoch])] == [
        *("1", "a,b", "true", "", "1.5", str(int(NOON.replace(tzinfo=datetime.UTC).timestamp())), "2026-01-02"),
        *("00000000-0000-0000-0000-000000000001", str(2**70)),
    ]


def test_a_value_without_a_cell_rejects_its_row_alone():
    values = ["a", math.nan, b"x", datetime.time(1), "\ud83d", "a\0b", 1]
    found = cells(list_batches([{"id": "1", "v": value} for value in values]))
    assert [row if isinstance(row, str) else row["v"] for row in found] == [
        "a",
        "column 'v', value nan: NaN and infinities are no JSON numbers",
        "column 'v', value b'x': a bytes has no form in JSON: cast it, to text or to a number",
        "column 'v', value '01:00:00': a time has no form in CSV: cast it to text",
        "column 'v', value '\\ud83d': text that is not valid Unicode",
        "column 'v', value 'a\\x00b': a NUL character, which no CSV file can have",
        "1",
    ]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (None, "no mapping of fields but a NoneType"),
        ("id", "no mapping of fields but a str"),
        (["id"], "no mapping of fields but a list"),
        (Odd(), "no mapping of fields but a Odd"),
        ({}, "a row without fields"),
        ({"id": 1, 2: 3}, "the name 2 of a column is no text"),
        ({"id": 1, "\ud83d": 3}, r"column '\ud83d': text that is not valid Unicode"),
    ],
    ids=lambda value: str(value) if isinstance(value, str) else "",
)
def test_what_is_no_row_is_told_in_its_place(row, reason):
    assert records(list_batches([{"id": 1}, row, {"id": 2}])) == ['{"id":"1"}', (reason,), '{"id":"2"}']


@pytest.mark.parametrize("key", [1.5, True, None, [1], b"a", math.nan, Decimal("1.5"), {"a": 1}, "", "\ud83d"])
@pytest.mark.parametrize("beside", [[], [1], ["a"], [2.5], [None]])
def test_a_value_that_can_be_no_key_rejects_its_row_alone(key, beside):
    found = records(list_batches([{"id": one, "v": 1} for one in [*beside, key]]))
    assert found[-1][0] == "id"
    assert found[:-1] == records(list_batches([{"id": one, "v": 1} for one in beside]))


def test_a_row_that_lacks_the_key_harms_no_other():
    assert records(list_batches([{"v": 1}])) == [("id", "a key is missing")]
    assert records(list_batches([{"v": 1}, None, {"id": 2}]))[2] == '{"id":"2"}'


def test_keys_of_several_kinds_keep_their_forms():
    assert records(list_batches([{"id": 1}, {"id": "a"}, {"id": 2**70}, {"id": 5.0}])) == [
        *('{"id":"1"}', '{"id":"a"}', f'{{"id":"{2**70}"}}', '{"id":"5"}')
    ]


def test_unread_rows_stand_where_they_stood():
    rows = [{"n": 1}, Unread("x", "?"), Unread("y", "?"), {"n": 2}, {"n": 3}, Unread("z", "?")]
    found = list(Columns().of_items(rows))
    assert [one.text if isinstance(one, Unread) else one.to_pylist() for one in found] == [
        *([{"n": 1}], "x", "y", [{"n": 2}, {"n": 3}], "z")
    ]


@settings(max_examples=30)
@given(st.lists(anything, max_size=4))
def test_batches_of_any_values_can_be_looked_at(values):
    for batch in list_batches([{"id": 1, "v": value} for value in values]):
        json.dumps(batch.to_pylist(), default=repr)
