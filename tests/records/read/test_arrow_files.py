"""Arrow files: all their types, and what Arrow reads of damaged ones without an error."""

import datetime
import io
import re
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimove_provider.contract.wire.errors import DataError
from optimove_provider.records.arrow.filled import filled
from optimove_provider.records.read.arrow_files import arrow_rows
from optimove_provider.records.read.parquet_files import parquet_rows
from tests.support.rows.fates import cells, records

DAY = datetime.date(2026, 1, 2)
UUID = b"0123456789abcdef"


def written(batch, make=pa.ipc.new_file, times=1):
    out = io.BytesIO()
    with make(out, batch.schema) as writer:
        for _ in range(times):
            writer.write_batch(batch)
    return out.getvalue()


def read(data):
    return list(arrow_rows(io.BytesIO(data), "rows.arrow"))


def batch_of(column):
    return pa.record_batch({"id": [str(number) for number in range(len(column))], "v": column})


def fates(data):
    return records(read(data))


def raw(type_, *stored, width=64):
    return pa.array(stored, pa.int64() if width == 64 else pa.int32()).view(type_)


VALUES = {
    "dates": pa.array([DAY, None, DAY]),
    "UUIDs": pa.array([UUID, None, UUID], pa.uuid()),
    "JSON": pa.array(['{"a":1}', None, "[1]"], pa.json_()),
    "structs": pa.array([{"a": 1}, None, {"a": 2}]),
    "no members": pa.array([{}, None, {}], pa.struct([])),
    "lists": pa.array([[1], None, [2]]),
    "maps": pa.array([[("a", 1)], None, []], pa.map_(pa.string(), pa.int8())),
    "half floats": pa.array([np.float16(1.5), None, np.float16(2)], pa.float16()),
    "views": pa.array(["a", None, "b"], pa.string_view()),
    "lists of views": pa.array([["a"], None, ["b"]], pa.list_view(pa.string())),
    "nanoseconds": pa.array([1, None, 2], pa.timestamp("ns", "Mars/Phobos")),
    "times": pa.array([1, None, 2], pa.time64("ns")),
    "decimals": pa.array([Decimal(10) ** 70, None, Decimal("1.5")], pa.decimal256(76, 3)),
}


def holders(column):
    """The column, stored in other ways, and what holds it."""
    codes = pa.DictionaryArray.from_arrays(pa.array([0, 1, 2, None, 0], pa.int8()), column)
    yield from (column, codes, pa.RunEndEncodedArray.from_arrays(pa.array([2, 4, 5], pa.int32()), column))
    for held in (column, codes):
        yield pa.ListArray.from_arrays([0, 2, 3], held)
        yield pa.LargeListArray.from_arrays([0, 2, 3], held)
        yield pa.StructArray.from_arrays([held], ["m"])
        yield pa.MapArray.from_arrays([0, 1, 2], pa.array(["a", "b"]), held.slice(0, 2))


@pytest.mark.parametrize("kind", VALUES)
def test_a_column_is_the_same_however_it_is_stored(kind):
    plain = fates(written(batch_of(VALUES[kind])))
    for column in holders(VALUES[kind]):
        for part in (column, column.slice(1)):
            batch = batch_of(part)
            # Arrow writes codes of UUIDs or JSON to a file, and does not read them again.
            is_unreadable = {"dictionary<", "extension<"} <= set(re.findall(r"\w+<", str(part.type)))
            found = records([batch]) if is_unreadable else fates(written(batch))
            assert all(isinstance(fate, str) for fate in found), column.type
            assert len(filled(part)) == len(part)
            assert len(cells([batch_of(part)])) == len(part)
    codes = list(holders(VALUES[kind]))[1]
    value = [fate.partition(",")[2] for fate in plain]
    again = [fate.partition(",")[2] for fate in records([batch_of(codes)])]
    assert again == [value[0], value[1], value[2], value[1], value[0]]


@pytest.mark.parametrize(
    ("column", "reason"),
    [
        (raw(pa.date64(), 1, 0), "a date with a time of day in it"),
        (raw(pa.date64(), 2**32 * 86_400_000, 0), "the year is not between 0001 and 9999"),
        (raw(pa.date32(), 2_932_897, 0, width=32), "the year is not between 0001 and 9999"),
        (raw(pa.time64("us"), 86_400_000_000, 0), "the time is not between 00:00:00 and 24:00:00"),
        (raw(pa.time64("ns"), -1, 0), "the time is not between 00:00:00 and 24:00:00"),
        (raw(pa.time32("s"), 90_000, 0, width=32), "the time is not between 00:00:00 and 24:00:00"),
        (raw(pa.timestamp("us"), 253_402_300_800_000_000, 0), "the year is not between 0001 and 9999"),
        (pa.array([b"\xff", b"a"]).view(pa.string()), "text that is not valid Unicode"),
        (pa.array(["[1", "1"], pa.json_()), "the text is not JSON: Expecting ',' delimiter: line 1 column 3 (char 2)"),
        (pa.array(["[" * 101 + "]" * 101, "1"], pa.json_()), "nested deeper than 100 lists and objects"),
        (pa.array(["[" * 9999 + "]" * 9999, "1"], pa.json_()), "nested deeper than 100 lists and objects"),
        (pa.array([[("a", 1), ("a", 2)], []], pa.map_(pa.string(), pa.int8())), "the member 'a' is there twice"),
        (pa.array([float("nan"), 1]), "NaN and infinities are no JSON numbers"),
    ],
    ids=lambda value: value if isinstance(value, str) else str(value.type),
)
def test_a_value_without_a_form_rejects_its_row_alone(column, reason):
    codes = pa.DictionaryArray.from_arrays(pa.array([0, 1], pa.int8()), column)
    for part in (column, pa.StructArray.from_arrays([column], ["m"]), codes):
        first, second = records([batch_of(part)]) if part is codes else fates(written(batch_of(part)))
        assert first == ("v", reason)
        assert isinstance(second, str)


@pytest.mark.parametrize(
    ("column", "reason"),
    [
        (raw(pa.date64(), 1, 0), "a date with a time of day in it"),
        (raw(pa.date32(), 2_932_897, 0, width=32), "the year is not between 0001 and 9999"),
        (raw(pa.timestamp("us"), 253_402_300_800_000_000, 0), "the year is not between 0001 and 9999"),
        (raw(pa.timestamp("s"), -(2**62), 0), "the year is not between 0001 and 9999"),
        (pa.array([b"\xff", b"a"]).view(pa.string()), "text that is not valid Unicode"),
        (pa.array(["a\0b", "c"], pa.string_view()), "a NUL character, which no CSV file can have"),
        (raw(pa.time64("ns"), 1, None), "a time64[ns] has no form in CSV"),
        (pa.array([1, None], pa.duration("ns")), "a duration[ns] has no form in CSV"),
    ],
    ids=lambda value: value if isinstance(value, str) else str(value.type),
)
def test_a_value_without_a_cell_rejects_its_row_alone(column, reason):
    first, second = cells(read(written(batch_of(column))))
    assert first.startswith("column 'v', value ")
    assert reason in first
    assert second["id"] == "1"


def test_rows_without_a_cell_are_told_in_their_order():
    table = pa.record_batch({"a": [1.0, 2.0, float("nan")], "b": [1.0, float("nan"), 2.0]})
    assert ["nan" in row if isinstance(row, str) else row for row in cells([table])] == [
        {"a": "1", "b": "1"},
        True,
        True,
    ]


PLAIN = batch_of(pa.array([["a"], ["b"]]))
TEXTS = batch_of(pa.array(["a", "b", "a"]).dictionary_encode())


def deep(kind):
    for _ in range(120):
        kind = pa.struct([("m", kind)]) if pa.types.is_list(kind) else pa.list_(kind)
    return kind


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"", "is no Arrow file, or it is damaged"),
        (written(PLAIN)[:-9], "is no Arrow file, or it is damaged"),
        (written(PLAIN, pa.ipc.new_stream, 3)[:-8], "has no end mark, so rows may be missing: copy it again"),
        (written(PLAIN, pa.ipc.new_stream) * 2, "goes on after its end: give the streams in it as files of their own"),
        (
            written(TEXTS).replace(b"\0\0\0\0\1\0\0\0\0\0\0\0", b"\0\0\0\0\7\0\0\0\0\0\0\0"),
            "column 'v' is damaged: Dictionary",
        ),
        (
            written(pa.record_batch({"vv": [1]})).replace(b"vv", b"\xffv"),
            "column 1: its name, or one in it, is not UTF-8",
        ),
    ],
    ids=["empty", "cut", "cut at a batch", "two", "codes", "name"],
)
def test_a_damaged_file_is_an_error_of_ours(data, complaint):
    with pytest.raises(DataError, match=f"source 'rows.arrow'.*{complaint}"):
        read(data)


def test_a_schema_that_is_nested_too_deep_is_refused():
    batch = pa.RecordBatch.from_arrays([pa.nulls(0, deep(pa.int8()))], ["v"])
    try:
        data = written(batch)
    except pa.ArrowInvalid:  # Arrow writes no such file itself
        return
    with pytest.raises(DataError, match="nested deeper than 100"):
        read(data)


FILE = written(pa.record_batch({"id": ["a", "b"], "l": [[1], [2]], "c": pa.array(["x", "x"]).dictionary_encode()}))


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(FILE) - 1), st.integers(0, 255)), min_size=1, max_size=3))
def test_whatever_is_damaged_is_read_or_refused(places):
    data = bytearray(FILE)
    for place, byte in places:
        data[place] = byte
    try:
        items = read(bytes(data))
        for item in items:
            item.validate()
        cells(items)
    except DataError as error:
        assert error.args  # noqa: PT017


@pytest.mark.parametrize("reader", [arrow_rows, parquet_rows])
@pytest.mark.parametrize("error", [OSError(5, "broken"), TimeoutError("slow"), ConnectionResetError("gone")])
def test_errors_of_the_storage_stay_what_they_are(reader, error):
    class Broken(io.BytesIO):
        def read(self, *_):
            raise error

    with pytest.raises(type(error)):
        list(reader(Broken(FILE), "rows"))
