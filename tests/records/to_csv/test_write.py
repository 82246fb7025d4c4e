"""Record batches as CSV text: what every type becomes, and what is refused."""

import csv
import io
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimove_provider.contract.cells.datatypes import Attribute, in_unit
from optimove_provider.contract.wire.errors import DataError
from optimove_provider.records.read.typed_columns import Columns
from optimove_provider.records.rows import Unread
from optimove_provider.records.to_csv.columns import cells_of
from optimove_provider.records.to_csv.write import Chunks, CsvText, with_commas

DATE = Attribute("x", "datetime", "yyyy-mm-dd")
INSTANT = Attribute("x", "datetime", "yyyy-mm-ddThh:mm:ssZ")
EPOCH = Attribute("x", "datetime", "epoch")
(MILLISECONDS,) = in_unit([EPOCH], "milliseconds")
EAST = timezone(timedelta(hours=2))


def column(*values, type=None):
    return pa.record_batch({"id": [str(n) for n in range(len(values))], "x": pa.array(values, type)})


def text(*items, **options):
    return b"".join(CsvText(**options).chunks(items)).decode()


def cells(batch, *attributes):
    """The column x as a reader of CSV sees it."""
    return [row["x"] for row in csv.DictReader(io.StringIO(text(batch, attributes=attributes), newline=""))]


@pytest.mark.parametrize(
    ("value", "type", "cell"),
    [
        (True, None, "true"),
        (False, None, "false"),
        (2**63 - 1, None, "9223372036854775807"),
        (2**64 - 1, pa.uint64(), "18446744073709551615"),
        (2.5, None, "2.5"),
        (0.1, pa.float32(), "0.1"),
        (42390728.0, pa.float32(), "42390728"),
        (1651676123000.0, None, "1651676123000"),
        (-0.5, None, "-0.5"),
        (1.5, pa.float16(), "1.5"),
        (Decimal("1.50"), None, "1.50"),
        (Decimal("1E+3"), pa.decimal128(10, -2), "1000"),
        ("00123", None, "00123"),
        ('say "hi", you\nthere', None, 'say "hi", you\nthere'),
        ("bare\rreturn", None, "bare\rreturn"),
        (" Zoë 日本語 😀 ", pa.large_string(), " Zoë 日本語 😀 "),
        ("view", pa.string_view(), "view"),
        ("word", pa.dictionary(pa.int8(), pa.string()), "word"),
        ('"a"', pa.json_(), '"a"'),
        (date(2022, 5, 2), None, "2022-05-02"),
        (date(2022, 5, 2), pa.date64(), "2022-05-02"),
        (datetime(2022, 5, 2, 10, 10, 59), None, "2022-05-02T10:10:59Z"),
        (datetime(2022, 5, 2, 10, 10, 59, tzinfo=EAST), None, "2022-05-02T08:10:59Z"),
        (datetime(2022, 5, 2, 10, 10, 59), pa.timestamp("ns"), "2022-05-02T10:10:59Z"),
        (datetime(2022, 5, 2, 10, 10, 50, 120_000), None, "2022-05-02T10:10:50.12Z"),
        (datetime(1969, 12, 31, 23, 59, 59), pa.timestamp("s"), "1969-12-31T23:59:59Z"),
        (datetime(1, 1, 1), None, "0001-01-01T00:00:00Z"),
        (datetime(9999, 12, 31, 23, 59, 59), None, "9999-12-31T23:59:59Z"),
        (None, pa.list_(pa.int8()), ""),
        (None, pa.binary(), ""),
        (None, pa.null(), ""),
        (None, None, ""),
    ],
)
def test_a_value_becomes_a_cell(value, type, cell):
    assert cells(column(value, type=type)) == [cell]
    assert cells(column(value, None, value, type=type)) == [cell, "", cell]


@pytest.mark.parametrize(
    ("attribute", "value", "cell"),
    [
        (DATE, datetime(2022, 5, 2), "2022-05-02"),
        (DATE, datetime(2022, 5, 2, 1), "2022-05-02T01:00:00Z"),
        (INSTANT, datetime(2022, 5, 2), "2022-05-02T00:00:00Z"),
        (INSTANT, date(2022, 5, 2), "2022-05-02"),
        (EPOCH, datetime(2022, 5, 4, 14, 55, 23, tzinfo=UTC), "1651676123"),
        (EPOCH, datetime(2022, 5, 4, 14, 55, 23, 500_000), "2022-05-04T14:55:23.5Z"),
        (MILLISECONDS, datetime(2022, 5, 4, 14, 55, 23, 500_000), "1651676123500"),
        (EPOCH, 1651676123, "1651676123"),
    ],
)
def test_the_attribute_decides_what_an_instant_becomes(attribute, value, cell):
    plain = datetime(2020, 1, 1) if isinstance(value, datetime) and not value.tzinfo else None
    assert cells(column(value), attribute) == [cell]
    assert cells(column(None, value, plain), attribute)[:2] == ["", cell]


@pytest.mark.parametrize("unit", ["s", "ms"])
def test_coarse_instants_become_milliseconds(unit):
    batch = column(datetime(2022, 5, 4, 14, 55, 23), type=pa.timestamp(unit))
    assert cells(batch, MILLISECONDS) == ["1651676123000"]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (float("nan"), "row 2, column 'x', value nan: NaN"),
        (float("-inf"), "row 2, column 'x', value -inf: NaN and inf"),
        (b"bytes", "row 2, column 'x', value b'bytes': a binary"),
        ([1], r"row 2, column 'x', value \[1\]: a list"),
        ({"a": 1}, r"row 2, column 'x', value \{'a': 1\}: a struct"),
        (time(10, 10), "row 2, column 'x', value .*: a time64"),
        (timedelta(1), "row 2, column 'x', value .*: a duration"),
    ],
)
def test_what_has_no_form_is_refused_with_row_and_column(value, reason):
    with pytest.raises(DataError, match=reason):
        text(column(None, value))
    left_out = []
    written = CsvText(on_unfit=lambda *row: left_out.append(row))
    assert b"".join(written.chunks([column(None, value), column("more")])).count(b"\n") == 3
    assert [row for row, *_ in left_out] == [2]
    assert (written.rows, written.left_out) == (3, 1)
    assert [written.source_row(row) for row in (1, 2)] == [1, 3]


def test_a_row_that_could_not_be_read_counts_as_one():
    with pytest.raises(DataError, match="row 2, 3 cells"):
        text(column(1), Unread("1,2,3", "3 cells"))
    left_out = []
    written = CsvText(on_unfit=lambda *row: left_out.append(row))
    assert list(written.chunks([column(1), Unread("1,2,3", "3 cells"), column(2)]))[-1] == b'"0",2\n'
    assert left_out == [(2, "3 cells", b"1,2,3")]
    assert [written.source_row(row) for row in (1, 2)] == [1, 3]


def test_nulls_are_counted_by_column():
    written = CsvText()
    list(written.chunks([column(None, 1, None), column(None, type=pa.int64())]))
    assert dict(written.nulls) == {"id": 0, "x": 3}


def test_the_header_is_there_once_and_without_rows_too():
    empty = column(1).slice(0, 0)
    assert text(empty) == "id,x\n"
    assert text(empty, column(1), column(2)) == 'id,x\n"0",1\n"0",2\n'
    assert text(pa.record_batch({'a "b", c': [1], "d\re": [2]})) == '"a ""b"", c","d\re"\n1,2\n'
    assert text() == ""


def test_columns_that_change_are_refused():
    with pytest.raises(DataError, match=r"after row 1 the columns change from \['id', 'x'\] to \['y'\]"):
        text(column(1), pa.record_batch({"y": [1]}))


def test_a_null_alone_in_its_row_is_no_blank_line():
    assert text(pa.record_batch({"id": ["1", None, ""]})) == 'id\n"1"\n""\n""\n'


TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
INSTANTS = st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31)).map(lambda one: one.replace(microsecond=0))


@given(st.lists(st.tuples(TEXTS, st.none() | INSTANTS, st.none() | st.booleans()), min_size=1, max_size=30))
def test_what_is_written_reads_back(rows):
    columns = list(zip(*rows, strict=True))
    types = (pa.string(), pa.timestamp("us"), pa.bool_())
    batch = pa.record_batch([pa.array(c, t) for c, t in zip(columns, types, strict=True)], ["text", "at", "yes"])
    read = list(csv.reader(io.StringIO(text(batch), newline="")))[1:]
    expected = [
        [words, f"{at.isoformat()}Z" if at else "", "" if yes is None else str(yes).lower()] for words, at, yes in rows
    ]
    assert read == expected


@given(st.lists(st.lists(TEXTS, min_size=2, max_size=2), min_size=1))
def test_tabs_become_commas(rows):
    tabbed = io.StringIO()
    csv.writer(tabbed, delimiter="\t", quoting=csv.QUOTE_ALL).writerows(rows)
    read = csv.reader(io.StringIO(with_commas(tabbed.getvalue().encode()).decode(), newline=""))
    assert list(read) == rows


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_pieces_read_as_one_stream(size):
    stream = Chunks(iter([b"ab", b"", b"cdefg", b"h"]))
    read = []
    while piece := stream.read(size):
        read.append(piece)
    assert b"".join(read) == b"abcdefgh"
    assert all(len(piece) <= size for piece in read)
    assert io.BufferedReader(Chunks(iter([b"ab", b"cd"]))).read() == b"abcd"


@pytest.mark.parametrize(
    ("datatype", "cells"),
    [
        ("long", ["5", "1.500000000", "0", "0.000000010", "-3", "100", ""]),
        ("double", ["5.000000000", "1.500000000", "0.000000000", "0.000000010", "-3.000000000", "100.000000000", ""]),
    ],
)
def test_a_whole_decimal_is_a_long_whatever_stands_beside_it_and_none_has_an_exponent(datatype, cells):
    values = [Decimal("5"), Decimal("1.5"), Decimal(0), Decimal("1E-8"), Decimal("-3.00"), Decimal(100), None]
    column = pa.array(values, pa.decimal128(12, 9))
    found, unfit = cells_of(column, Attribute("n", datatype, None))
    assert [one or "" for one in found.cast(pa.string()).to_pylist()] == cells
    assert not unfit


def cells_in(values, datatype):
    """The cells of one column as they stand in the file, without quotes."""
    chunks = CsvText([Attribute("x", datatype, None)]).chunks(
        [pa.record_batch({"customerId": ["a"] * len(values), "x": values})]
    )
    return [row[1] for row in csv.reader(io.StringIO(b"".join(chunks).decode()))][1:]


DOUBLES = st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from(
    [1e-07, 1e16, 5e-324, -0.0, 1.7976931348623157e308, 2.0**53, 1e22, 9.999999e-6, 1e-5]
)


@settings(max_examples=200, deadline=None)
@given(st.lists(DOUBLES, min_size=1, max_size=8), st.sampled_from(["double", "string"]))
def test_a_double_has_plain_digits_and_reads_back_the_same(values, datatype):
    cells = cells_in(pa.array(values, pa.float64()), datatype)
    assert set("".join(cells)) <= set("-.0123456789")
    assert np.array(list(map(float, cells))).tobytes() == np.array(values).tobytes()


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False, width=32), min_size=1, max_size=8))
def test_a_single_has_plain_digits_and_reads_back_the_same(values):
    cells = cells_in(pa.array(values, pa.float32()), "double")
    assert set("".join(cells)) <= set("-.0123456789")
    assert np.array(list(map(np.float32, cells))).tobytes() == np.array(values, np.float32).tobytes()


def test_a_half_has_plain_digits():
    assert cells_in(pa.array(np.array([6e-8, 65504, -1.5], np.float16)), "double") == [
        "0.000000059604645",
        "65504",
        "-1.5",
    ]


@pytest.mark.parametrize("values", [[1e-07, "x"], [Decimal("1E-7"), 1e16], [{"a": 1}, 1e-07, np.float32(1e-7)]])
def test_numbers_among_values_of_other_kinds_have_plain_digits(values):
    (batch,) = [Columns().of_rows([{"x": value} for value in values])]
    cells = cells_of(batch.column(0), Attribute("x", "double", None))[0].cast(pa.string()).to_pylist()
    numbers = [cell for cell in cells if cell and cell[0].isdigit()]
    assert numbers
    assert not any("e" in cell.lower() for cell in numbers)


@pytest.mark.parametrize(("name", "datatype"), [("x", "long"), ("customerId", "")])
def test_a_float_that_may_have_lost_digits_is_no_key_and_no_long(name, datatype):
    attributes = [Attribute("x", datatype, None)] if datatype else []
    rows = pa.record_batch({name: pa.array([1.0, 2.0**53, 2.0**53 - 1])})
    told = []
    list(CsvText(attributes, lambda row, reason, _: told.append((row, reason))).chunks([rows]))
    assert [row for row, _ in told] == [2]
    assert "may have lost digits" in told[0][1]
