"""Parquet files: what a reader would wrap, drop or guess without an error is told, and rows are counted."""

import datetime
import io
import re
import struct

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimove_provider.contract.wire.errors import DataError
from optimove_provider.records.read.parquet_files import READ_BYTES, parquet_rows
from tests.support.rows.fates import cells, parsed, records

LATE = datetime.datetime(9999, 12, 31)
EARLY = datetime.datetime(1, 1, 1)
EXACT = datetime.datetime(2020, 1, 1, 0, 0, 0, 1)


def written(table, **options):
    out = io.BytesIO()
    pq.write_table(table, out, **options)
    return out.getvalue()


def read(data):
    return list(parquet_rows(io.BytesIO(data), "rows.parquet"))


def fates(data):
    return records(read(data))


def table_of(**columns):
    length = len(next(iter(columns.values())))
    return pa.table({"id": [str(number) for number in range(length)], **columns})


INSTANTS = [LATE, EXACT, None, EARLY]
US = pa.timestamp("us")
TEXTS = ["9999-12-31T00:00:00Z", "2020-01-01T00:00:00.000001Z", None, "0001-01-01T00:00:00Z"]


@pytest.mark.parametrize(
    ("column", "found"),
    [
        (pa.array(INSTANTS, US), TEXTS),
        (pa.array([[one] for one in INSTANTS], pa.list_(US)), [[text] for text in TEXTS]),
        (pa.array([INSTANTS, [], None, [EXACT]], pa.list_(US)), [TEXTS, [], None, [TEXTS[1]]]),
        (pa.array([{"a": one} for one in INSTANTS], pa.struct([("a", US)])), [{"a": text} for text in TEXTS]),
        (pa.array([[("a", one)] for one in INSTANTS], pa.map_(pa.string(), US)), [{"a": text} for text in TEXTS]),
        (
            pa.array([1, None, 1_500_000_000_123_456_789, -2], pa.timestamp("ns")),
            [
                "1970-01-01T00:00:00.000000001Z",
                None,
                "2017-07-14T02:40:00.123456789Z",
                "1969-12-31T23:59:59.999999998Z",
            ],
        ),
    ],
    ids=["plain", "list", "lists", "struct", "map", "nanoseconds"],
)
def test_instants_in_int96_are_exact(column, found):
    data = written(table_of(at=column), use_deprecated_int96_timestamps=True)
    assert [parsed(record).get("at") for record in fates(data)] == found


def int96(day, nanoseconds):
    return struct.pack("<qI", nanoseconds, 2_440_588 + day)


def test_instants_before_1970_that_older_arrows_wrote_are_read():
    """With a negative time of the day, which is read as 2^64 nanoseconds more."""
    some = pa.array([86_400_000_000_000, 172_800_000_000_000, 0], pa.timestamp("ns"))
    data = written(table_of(at=some), use_deprecated_int96_timestamps=True, use_dictionary=False, compression="none")
    data = data.replace(int96(1, 0), struct.pack("<qI", -1_500_000_000, 2_440_588))
    data = data.replace(int96(2, 0), int96(2_932_896, 0))
    assert [parsed(record)["at"] for record in fates(data)] == [
        *("1969-12-31T23:59:58.5Z", "9999-12-31T00:00:00Z", "1970-01-01T00:00:00Z")
    ]


def test_an_instant_that_wraps_beside_nanoseconds_is_read():
    some = pa.array([123, 86_400_000_000_000], pa.timestamp("ns"))
    data = written(table_of(at=some), use_deprecated_int96_timestamps=True, use_dictionary=False, compression="none")
    data = data.replace(int96(1, 0), int96(213_503, 0))  # 2^64 nanoseconds and some hours after 1970
    assert [parsed(record)["at"] for record in fates(data)] == [
        "1970-01-01T00:00:00.000000123Z",
        "2554-07-21T00:00:00Z",
    ]


def test_an_instant_that_no_unit_holds_rejects_its_row_alone():
    # Beside nanoseconds stand: the last day with nanoseconds, and a day that wraps even in microseconds.
    some = pa.array([1_500_000_000_123_456_789, 86_400_000_000_000, 172_800_000_000_000], pa.timestamp("ns"))
    data = written(table_of(at=some), use_deprecated_int96_timestamps=True, use_dictionary=False, compression="none")
    assert int96(1, 0) in data
    data = data.replace(int96(1, 0), int96(2_932_896, 1)).replace(int96(2, 0), int96(2_000_000_000, 0))
    first, second, third = fates(data)
    assert parsed(first)["at"] == "2017-07-14T02:40:00.123456789Z"
    assert second == third
    assert "column 'at': an INT96 instant that neither microseconds nor nanoseconds hold: cast" in second[0]


FIVE = written(pa.table({"id": ["a"] * 5}), compression="none", use_dictionary=False, write_statistics=False)
COUNTS = [place for place in range(len(FIVE) - 1) if FIVE[place : place + 2] == b"\x16\x0a"]
"""Where the footer has the number of rows: of the file, of the row group, and what looks like it."""


@pytest.mark.parametrize("count", [0, 2, 8])
def test_rows_are_counted_against_the_footer(count):
    refused = 0
    for place in COUNTS:
        data = bytearray(FIVE)
        data[place + 1] = 2 * count
        try:
            assert fates(bytes(data)) == ['{"id":"a"}'] * 5
        except DataError as error:
            assert re.search(r"'rows\.parquet'.*its footer says \d rows, but \d came", str(error))  # noqa: PT017
            refused += 1
    assert refused >= 2


def test_a_file_without_columns_has_lost_its_rows():
    data = written(pa.table({"id": ["a"] * 5}).select([]))
    assert [item.num_rows for item in read(data)] == [0]


def damaged(data, old, new):
    assert data.count(old)
    return data.replace(old, new)


PAGES = written(
    pa.table({"id": ["aaaaaa", "bbbbbb"], "n": [1, 2]}),
    write_page_checksum=True,
    compression="none",
    use_dictionary=False,
    write_statistics=False,
)
PLAIN = written(pa.table({"id": ["a"], "other": [1]}))


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"", "no Parquet file, or it is damaged: Parquet file size is 0 bytes; copy it again"),
        (b"PAR1", "no Parquet file, or it is damaged"),
        (PLAIN[:-20], "no Parquet file, or it is damaged"),
        (PLAIN[: len(PLAIN) // 2] + PLAIN[-8:], "no Parquet file, or it is damaged"),
        (b"PARE" + PLAIN[4:-4] + b"PARE", "is encrypted: decrypt it first"),
        (damaged(PLAIN, b"other", b"oth\xff\xfe"), r"the name of a column is not UTF-8: b'oth\\xff\\xfe'"),
        (damaged(PLAIN, b"\x05other", b"\x02ididi"), "source 'rows.parquet'"),
        (
            damaged(PAGES, b"bbbbbb", b"bbbbxb"),
            "column 'id' cannot be read: could not verify page integrity",
        ),
    ],
    ids=["empty", "magic", "cut", "cut inside", "encrypted", "name", "doubled", "checksum"],
)
def test_a_damaged_file_is_an_error_of_ours(data, complaint):
    with pytest.raises(DataError, match=complaint):
        read(data)


def test_columns_named_twice_are_refused():
    table = pa.table([pa.array(["a"]), pa.array([1]), pa.array([2])], names=["id", "n", "n"])
    with pytest.raises(DataError, match="columns named twice: 'n'"):
        read(written(table))


@settings(max_examples=80)
@given(st.lists(st.tuples(st.integers(0, len(PAGES) - 1), st.integers(0, 255)), min_size=1, max_size=3))
def test_whatever_is_damaged_is_read_with_all_rows_or_refused(places):
    data = bytearray(PAGES)
    for place, byte in places:
        data[place] = byte
    try:
        rows = sum(item.num_rows for item in read(bytes(data)))
    except DataError as error:
        assert "rows.parquet" in str(error)  # noqa: PT017
    else:
        said = pq.ParquetFile(io.BytesIO(data)).metadata.num_rows
        assert rows == said


def ticks(storage, type_, low, high):
    return st.lists(st.none() | st.integers(low, high), min_size=1, max_size=5).map(
        lambda drawn: pa.array(drawn, storage).view(type_)
    )


def of(type_, values):
    return st.lists(st.none() | values, min_size=1, max_size=5).map(lambda drawn: pa.array(drawn, type_))


BIG = 2**63 - 1
plain_columns = st.one_of(
    of(pa.uint64(), st.integers(0, 2**64 - 1)),
    of(pa.int8(), st.integers(-128, 127)),
    of(pa.bool_(), st.booleans()),
    of(pa.float64(), st.floats()),
    of(pa.float32(), st.floats(width=32)),
    of(pa.float16(), st.floats(width=16).map(np.float16)),
    of(pa.decimal256(76, 10), st.decimals(-(10**40), 10**40, places=10)),
    of(pa.decimal128(5, 2), st.decimals(-999, 999, places=2)),
    *(
        ticks(pa.int64(), pa.timestamp(unit, zone), -BIG - 1, BIG)
        for unit in ("ms", "us", "ns")
        for zone in (None, "UTC")
    ),
    ticks(pa.int32(), pa.date32(), -(2**31), 2**31 - 1),
    ticks(pa.int64(), pa.time64("us"), 0, 86_400 * 10**6 - 1),
    ticks(pa.int64(), pa.time64("ns"), 0, 86_400 * 10**9 - 1),
    ticks(pa.int32(), pa.time32("ms"), 0, 86_400 * 10**3 - 1),
    *(of(type_, st.text(max_size=4)) for type_ in (pa.string(), pa.large_string(), pa.string_view())),
    of(pa.string(), st.sampled_from("ab")).map(lambda column: column.dictionary_encode()),
    of(pa.date32(), st.dates()).map(lambda column: column.dictionary_encode()),
    of(pa.binary(), st.binary(max_size=2)).map(lambda column: column.view(pa.string())),
    of(pa.uuid(), st.uuids().map(lambda one: one.bytes)),
    of(pa.json_(), st.sampled_from(['{"a":1}', "[", "1", "NaN", "null"])),
)


def nested(plain):
    """The same columns, and what holds them."""
    return st.one_of(
        plain,
        plain.map(lambda column: pa.StructArray.from_arrays([column], ["m"])),
        plain.map(lambda column: pa.ListArray.from_arrays([*range(len(column)), len(column)], column)),
        plain.map(
            lambda column: pa.MapArray.from_arrays(
                [*range(len(column)), len(column)], pa.array(["k"] * len(column)), column
            )
        ),
    )


def as_they_are(table):
    return records(table.combine_chunks().to_batches())


@settings(max_examples=80, deadline=None)
@given(nested(plain_columns))
def test_a_column_is_read_as_it_was_written(column):
    table = table_of(v=column)
    data = written(table)
    assert fates(data) == as_they_are(table)
    assert len(cells(read(data))) == len(column)


# What Arrow can write so: no days before 4713 BC; up to 22 it writes those before 1677 as others, 584 years later.
# So it may with the first day that nanoseconds reach.
IS_EXACT, A_DAY = int(pa.__version__.split(".")[0]) > 22, 86_400 * 10**9
FIRST = -(2 * 10**17) if IS_EXACT else -((BIG - A_DAY) // 1000)
in_int96 = st.one_of(
    ticks(pa.int64(), pa.timestamp("us"), FIRST, BIG),
    ticks(pa.int64(), pa.timestamp("ns"), -BIG - 1 if IS_EXACT else -BIG + A_DAY, BIG),
    ticks(pa.int64(), pa.timestamp("us"), max(FIRST, -62_135_596_800_000_000), 253_402_300_799_999_999),
)


@settings(max_examples=40, deadline=None)
@given(nested(in_int96))
def test_instants_are_read_from_int96_as_they_were_written(column):
    table = table_of(v=column)
    assert fates(written(table, use_deprecated_int96_timestamps=True)) == as_they_are(table)


def test_a_text_that_the_file_has_once_and_each_row_has_makes_small_batches():
    stream = io.BytesIO()
    pq.write_table(pa.table({"id": range(20_000), "page": ["x" * 20_000] * 20_000}), stream)
    assert stream.tell() < 1 << 20
    batches = [batch for batch in parquet_rows(stream, "pages.parquet") if batch.num_rows]
    held = [sum(buffer.size for column in batch.columns for buffer in column.buffers() if buffer) for batch in batches]
    assert max(held) < 1.1 * READ_BYTES
    assert sum(batch.num_rows for batch in batches) == 20_000
