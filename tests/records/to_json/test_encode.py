"""Records as JSON: columns give what single values give, and what cannot travel is put aside with its reason."""

import datetime
import json
import math
import uuid
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from optimove_provider.contract.wire.errors import DataError, SettingsError
from optimove_provider.records.to_json.encode import Encoder, Unfit, slice_text
from optimove_provider.records.to_json.scalars import NoForm, nested_text, scalar_text

INTEGERS = [pa.int8(), pa.uint8(), pa.int16(), pa.uint16(), pa.int32(), pa.uint32(), pa.int64(), pa.uint64()]
FIRST, LAST = -62135596800, 253402300799
"""0001-01-01T00:00:00 and 9999-12-31T23:59:59, in seconds since 1970."""

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=10) | st.text('a"\\\n\t\x00\x1f\x7fé😀', max_size=8)


def bounds(type_):
    low = 0 if str(type_).startswith("u") else -(2 ** (type_.bit_width - 1))
    return st.integers(low, low + 2**type_.bit_width - 1)


def raw(storage, type_, values):
    """A column of a type from the integers that it is stored as."""
    return values.map(lambda drawn: pa.array(drawn, storage).view(type_))


def nullable(values):
    return st.lists(st.none() | values, max_size=6)


def instants(unit, zone):
    per_second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    whole = st.integers(-(2**33), 2**33).map(lambda seconds: seconds * per_second)
    low, high = max(FIRST * per_second, -(2**63)), min(LAST * per_second, 2**63 - 1)
    return raw(
        pa.int64(),
        pa.timestamp(unit, zone),
        nullable(whole | st.integers(low, high) | st.integers(-(2**63), 2**63 - 1)),
    )


def of(type_, values):
    return nullable(values).map(lambda drawn: pa.array(drawn, type_))


doubles = st.floats() | st.integers(-(2**60), 2**60).map(float) | st.decimals(-(10**9), 10**9, places=4).map(float)
days = st.integers(-719_200, 2_932_999) | st.integers(0, 20_000)
nested = pa.struct([("z", pa.int64()), ("a", pa.list_(pa.string())), ("d", pa.date32()), ("f", pa.float64())])
members = st.fixed_dictionaries(
    {"z": st.none() | st.integers(-9, 9), "a": st.none() | nullable(text), "d": st.none() | st.dates(), "f": doubles}
)
documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=5,
)
columns = st.one_of(
    *(of(type_, bounds(type_)) for type_ in INTEGERS),
    of(pa.bool_(), st.booleans()),
    of(pa.float64(), doubles),
    of(pa.float32(), st.floats(width=32) | st.integers(-(2**40), 2**40).map(np.float32)),
    nullable(st.floats(width=16)).map(
        lambda drawn: pa.array([v if v is None else np.float16(v) for v in drawn], pa.float16())
    ),
    *(of(type_, text) for type_ in (pa.string(), pa.large_string(), pa.string_view())),
    of(pa.string(), text).map(lambda column: column.dictionary_encode()),
    of(pa.int64(), st.integers(0, 3)).map(lambda column: column.dictionary_encode()),
    of(pa.decimal128(38, 9), st.decimals(-(10**20), 10**20, places=9)),
    of(pa.decimal128(12, 0), st.integers(-(10**12) + 1, 10**12 - 1).map(Decimal)),
    of(pa.decimal256(70, 30), st.decimals(-(10**30), 10**30, places=12)),
    of(pa.decimal128(10, -2), st.integers(-999, 999).map(lambda value: Decimal(value * 100))),
    raw(pa.int32(), pa.date32(), nullable(days)),
    raw(pa.int64(), pa.date64(), nullable(days.map(lambda day: day * 86_400_000))),
    *(instants(unit, zone) for unit in ("s", "ms", "us", "ns") for zone in (None, "UTC", "Europe/Berlin")),
    raw(pa.int32(), pa.time32("s"), nullable(st.integers(0, 86_399))),
    raw(pa.int32(), pa.time32("ms"), nullable(st.integers(0, 86_399_999))),
    raw(pa.int64(), pa.time64("us"), nullable(st.integers(0, 86_399_999_999))),
    raw(pa.int64(), pa.time64("ns"), nullable(st.integers(0, 86_399_999_999_999))),
    of(nested, members),
    of(pa.list_(pa.float64()), nullable(doubles)),
    of(pa.large_list(pa.int64()), nullable(st.integers(0, 9))),
    of(pa.map_(pa.string(), pa.int64()), st.lists(st.tuples(text, st.none() | st.integers(0, 9)), max_size=3)),
    of(pa.json_(), documents.map(nested_text) | text),
    nullable(st.uuids()).map(lambda drawn: pa.array([v and v.bytes for v in drawn], pa.uuid())),
    st.integers(0, 3).map(pa.nulls),
)


def expected(scalar):
    """What a single value gives: its text, None for null, and why it has none."""
    is_null = not scalar.is_valid or (pa.types.is_dictionary(scalar.type) and not scalar.value.is_valid)
    if is_null:
        return None, None
    try:
        return scalar_text(scalar), None
    except NoForm as error:
        return None, str(error)


def encode(column, *, nulls="omit", name="v", offset=0):
    keys = pa.array([f"k{number}" for number in range(len(column))], pa.string())
    batch = pa.RecordBatch.from_arrays([column, keys], names=[name, "id"]).slice(offset)
    return Encoder(batch.schema, "id", nulls=nulls).encode(batch)


def beside_bad_ones(column):
    """Always tried, as chance seldom draws a bad date beside a good one."""
    return example(column=column, name="v", nulls="omit", offset=0)


BEFORE, AFTER, DAY = -719_163, 2_932_897, 86_400_000
"""The days around the years 1 to 9999; a day in milliseconds."""


@settings(max_examples=600)
@beside_bad_ones(pa.array([BEFORE, 7, None, AFTER, BEFORE + 1, AFTER - 1], pa.int32()).view(pa.date32()))
@beside_bad_ones(pa.array([BEFORE * DAY, 7 * DAY, None, AFTER * DAY, 5, BEFORE * DAY + 5]).view(pa.date64()))
@beside_bad_ones(pa.array([-1, 7, None, 86_400], pa.int32()).view(pa.time32("s")))
@beside_bad_ones(pa.array([BEFORE * 86_400, 7, None, AFTER * 86_400]).view(pa.timestamp("s")))
@given(
    column=columns,
    name=st.sampled_from(["a", "v", 'é"']),
    nulls=st.sampled_from(["omit", "null"]),
    offset=st.integers(0, 2),
)
def test_a_column_gives_what_its_values_give(column, name, nulls, offset):
    encoded = encode(column, nulls=nulls, name=name, offset=offset)
    values = [expected(scalar) for scalar in column][offset:]
    assert [(one.position, one.reason) for one in encoded.unfit] == [
        (position, reason) for position, (_, reason) in enumerate(values) if reason
    ]
    fit = [position for position, (_, reason) in enumerate(values) if reason is None]
    assert encoded.positions.tolist() == fit
    assert encoded.keys.to_pylist() == [f'"k{position + offset}"' for position in fit]
    assert encoded.records.to_pylist() == [
        record({"id": f'"k{position + offset}"', name: values[position][0]}, nulls) for position in fit
    ]
    encoded.records.validate(full=True)


def record(members, nulls):
    written = {name: text or "null" for name, text in members.items() if text is not None or nulls == "null"}
    return "{" + ",".join(f"{json.dumps(name, ensure_ascii=False)}:{written[name]}" for name in sorted(written)) + "}"


@given(columns)
def test_a_slice_is_json_that_every_parser_reads(column):
    encoded = encode(column)
    read = json.loads(slice_text(encoded.records), parse_constant=pytest.fail)
    assert [one["id"] for one in read] == [f"k{position}" for position in encoded.positions]


@pytest.mark.parametrize(
    ("value", "type_", "text"),
    [
        (5.0, pa.float64(), "5"),
        (-0.0, pa.float64(), "0"),
        (0.1, pa.float64(), "0.1"),
        (0.1, pa.float32(), "0.1"),
        (42390728.0, pa.float32(), "42390728"),
        (-9999998976.0, pa.float32(), "-9999998976"),
        (1e300, pa.float64(), "1e+300"),
        (1651676123000.0, pa.float64(), "1651676123000"),
        (2**53 + 1, pa.int64(), "9007199254740993"),
        (2**64 - 1, pa.uint64(), "18446744073709551615"),
        (Decimal("1.50"), pa.decimal128(10, 2), "1.5"),
        (Decimal("1E-10"), pa.decimal128(20, 12), "0.0000000001"),
        (Decimal("0"), pa.decimal128(20, 12), "0"),
        ('é "q"\n\x01', pa.string(), '"é \\"q\\"\\n\\u0001"'),
        ("00123", pa.string(), '"00123"'),
        (datetime.date(2022, 5, 2), pa.date32(), '"2022-05-02"'),
        (datetime.datetime(2022, 5, 2, 10, 10, 59), pa.timestamp("ms"), '"2022-05-02T10:10:59Z"'),
        (datetime.datetime(2022, 5, 2, 10, 10, 59, 500), pa.timestamp("ns", "UTC"), '"2022-05-02T10:10:59.0005Z"'),
        (datetime.time(1, 2, 3), pa.time64("us"), '"01:02:03"'),
        ({"b": 1, "a": None}, pa.struct([("b", pa.int64()), ("a", pa.int64())]), '{"a":null,"b":1}'),
        ([("b", 1), ("a", 2)], pa.map_(pa.string(), pa.int64()), '{"a":2,"b":1}'),
        ('{"b": 1.0}', pa.json_(), '{"b": 1.0}'),
        (uuid.UUID(int=1).bytes, pa.uuid(), '"00000000-0000-0000-0000-000000000001"'),
    ],
    ids=str,
)
def test_the_forms(value, type_, text):
    assert encode(pa.array([value], type_)).records.to_pylist() == [f'{{"id":"k0","v":{text}}}']


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_reads_back_the_same(value):
    (written,) = encode(pa.array([value])).records.to_pylist()
    assert float(json.loads(written)["v"]) == value


@given(documents)
def test_a_document_reads_back_the_same(value):
    assert json.loads(nested_text(value)) == value


def keys_of(column, key_type="string"):
    batch = pa.RecordBatch.from_arrays([column], names=["id"])
    encoded = Encoder(batch.schema, "id", key_type).encode(batch)
    assert encoded.records.to_pylist() == [f'{{"id":{key}}}' for key in encoded.keys.to_pylist()]
    return encoded.keys.to_pylist(), [(one.position, one.column, one.reason) for one in encoded.unfit]


MISSING = "a key is missing"


@pytest.mark.parametrize(
    "type_", [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string())], ids=str
)
def test_keys_that_are_text(type_):
    column = pa.array(["001", None, "", " ", 'a"b', "7"]).cast(type_)
    missing = [(1, "id", MISSING), (2, "id", MISSING), (3, "id", f"{MISSING}: nothing can be seen in it")]
    assert keys_of(column) == (['"001"', '"a\\"b"', '"7"'], missing)
    column = pa.array(["001", None, "", "-1", "-00", "9" * 30, "1.0", "+1", " 1", "\u0661", "--1", "a"]).cast(type_)
    keys, unfit = keys_of(column, "integer")
    assert keys == ["1", "-1", "0", "9" * 30]
    assert unfit == [
        *missing[:2],
        *((position, "id", "key_type is integer, and this is none") for position in range(6, 12)),
    ]


@pytest.mark.parametrize("type_", [pa.int32(), pa.uint64(), pa.decimal128(20, 0)], ids=str)
def test_keys_that_are_integers(type_):
    column = pa.array([17, None, 0], type_)
    assert keys_of(column) == (['"17"', '"0"'], [(1, "id", MISSING)])
    assert keys_of(column, "integer") == (["17", "0"], [(1, "id", MISSING)])


def test_keys_that_are_json():
    column = pa.array(["18446744073709551616", '"a"', "null", '""', "1.5", "true", None], pa.json_())
    keys, unfit = keys_of(column)
    assert keys == ['"18446744073709551616"', '"a"']
    assert [position for position, _, _ in unfit] == [2, 3, 4, 5, 6]
    assert keys_of(column.slice(0, 2), "integer")[0] == ["18446744073709551616"]


def test_a_column_of_nulls_has_no_keys():
    assert keys_of(pa.nulls(2)) == ([], [(0, "id", MISSING), (1, "id", MISSING)])


@pytest.mark.parametrize(
    "type_", [pa.float64(), pa.bool_(), pa.date32(), pa.decimal128(9, 2), pa.list_(pa.string())], ids=str
)
def test_another_type_holds_no_keys(type_):
    with pytest.raises(DataError, match=r"the key column 'id': a key must be text or an integer, not .*: cast it"):
        Encoder(pa.schema([("id", type_)]), "id")


def test_a_missing_key_column_names_those_that_are_there():
    with pytest.raises(DataError, match="the key column 'ID' is missing; the source has id, n"):
        Encoder(pa.schema([("id", pa.string()), ("n", pa.int64())]), "ID")


@pytest.mark.parametrize(
    "type_",
    [
        *(pa.binary(), pa.large_binary(), pa.binary(4), pa.duration("s"), pa.month_day_nano_interval()),
        *(pa.list_(pa.binary()), pa.struct([("x", pa.duration("s"))]), pa.map_(pa.int64(), pa.string())),
    ],
    ids=str,
)
def test_a_type_without_a_form_is_refused_by_name(type_):
    with pytest.raises(DataError, match=r"column 'n': the type .* has no form in JSON: cast it in the query"):
        Encoder(pa.schema([("id", pa.string()), ("n", type_)]), "id")


def test_a_choice_that_is_none_is_refused():
    schema = pa.schema([("id", pa.string())])
    with pytest.raises(SettingsError, match="key_type='text' is none of 'string', 'integer'"):
        Encoder(schema, "id", "text")
    with pytest.raises(SettingsError, match="nulls='drop' is none of 'omit', 'null', 'refuse'"):
        Encoder(schema, "id", nulls="drop")


def test_columns_named_twice_or_changed_on_the_way_are_refused():
    with pytest.raises(DataError, match="columns named twice: 'n'"):
        Encoder(pa.schema([("id", pa.string()), ("n", pa.int8()), ("n", pa.int8())]), "id")
    with pytest.raises(DataError, match="the columns changed on the way"):
        Encoder(pa.schema([("id", pa.string())]), "id").encode(pa.RecordBatch.from_pydict({"id": [1]}))


def test_an_unfit_row_is_told_once_with_its_first_column():
    batch = pa.RecordBatch.from_pydict({"id": ["a", None, "c"], "z": [1.0, math.nan, math.inf], "b": [None, 1, 2]})
    encoded = Encoder(batch.schema, "id", nulls="refuse").encode(batch)
    assert encoded.unfit == [
        Unfit(0, "b", "None", "null is refused (nulls='refuse')", '"a"'),
        Unfit(1, "id", "None", MISSING, None),
        Unfit(2, "z", "inf", "NaN and infinities are no JSON numbers", '"c"'),
    ]
    assert (len(encoded.positions), len(encoded.keys), len(encoded.records)) == (0, 0, 0)
    assert slice_text(encoded.records) == b"[]"


def test_an_unfit_row_is_told_with_its_key_unless_that_is_what_is_missing():
    batch = pa.RecordBatch.from_pydict({"a": [math.nan] * 4, "id": ["007", "x", "", None]})
    encoded = Encoder(batch.schema, "id", "integer").encode(batch)
    assert [(one.column, one.key) for one in encoded.unfit] == [("a", "7"), ("a", None), ("a", None), ("a", None)]


@pytest.mark.parametrize(
    "type_", [pa.string(), pa.large_string(), pa.dictionary(pa.int8(), pa.string()), pa.json_()], ids=str
)
@pytest.mark.parametrize("bad", [b"\xff", b"a\x80", b"\xed\xa0\x80", b"\xc3"])
def test_text_that_is_not_unicode_is_unfit(type_, bad):
    plain = pa.array([b'"\xc3\xa9"', bad, b'"b"', None], pa.binary()).view(pa.string())
    if isinstance(type_, pa.DictionaryType):
        column = pa.DictionaryArray.from_arrays(pa.array([0, 1, 2, None], pa.int8()), plain)
    else:
        column = pa.ExtensionArray.from_storage(type_, plain) if type_ == pa.json_() else plain.cast(type_)
    encoded = encode(column)
    assert [(one.position, one.reason) for one in encoded.unfit] == [(1, "text that is not valid Unicode")]
    assert encoded.positions.tolist() == [0, 2, 3]
    assert slice_text(encoded.records).decode()


def test_a_character_cut_in_two_is_seen():
    halves = pa.Array.from_buffers(
        pa.string(), 2, [None, pa.py_buffer(np.array([0, 1, 2], np.int32)), pa.py_buffer("é".encode())]
    )
    assert [one.position for one in encode(halves).unfit] == [0, 1]


@pytest.mark.parametrize("offset", [0, 1, 7, 8, 13])
def test_beside_a_document_without_a_form_the_others_of_a_slice_stay_whole(offset):
    documents = [f'"{number} {"x" * (number * 7 % 20)}"' for number in range(30)]
    documents[offset + 3] = "NaN"
    encoded = encode(pa.array(documents, pa.json_()), offset=offset)
    assert [one.position for one in encoded.unfit] == [3]
    del documents[offset + 3]
    assert [json.loads(one)["v"] for one in encoded.records.to_pylist()] == [
        json.loads(one) for one in documents[offset:]
    ]


def test_a_value_is_cut_in_the_account():
    encoded = encode(pa.array(["x" * 9999], pa.json_()))
    assert len(encoded.unfit[0].value_repr) == 200
