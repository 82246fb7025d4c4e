"""CSV rows: what Python's csv module reads, whatever the blocks; what it would misread is told."""

import csv
import io
import re

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimove_provider.contract.wire.errors import DataError
from optimove_provider.records.csv_syntax.grammar import DOUBT, REPEATED
from optimove_provider.records.read.csv_rows import csv_rows
from optimove_provider.records.rows import BATCH_ROWS, MAX_TEXT_CHARACTERS, Unread

BLOCKS = st.integers(1, 80)


def told(data, block_bytes=1 << 20, name="rows.csv"):
    """The rows as lists, and what could not be read as `Unread`, in order."""
    items = []
    for item in csv_rows(io.BytesIO(data), name, block_bytes):
        if isinstance(item, Unread):
            items.append(item)
        else:
            item.validate(full=True)
            assert item.num_rows <= BATCH_ROWS
            items += [list(row.values()) for row in item.to_pylist()]
    return items


cells = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=6) | st.text(
    'a,"\r\n é', max_size=8
)


@settings(max_examples=100)
@given(
    st.integers(1, 3).flatmap(lambda width: st.lists(st.tuples(*[cells] * width), max_size=8)),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from([",", "\t"]),
    st.booleans(),
    BLOCKS,
)
def test_what_the_csv_module_writes_and_reads_is_read(rows, quoting, line_end, delimiter, ended, block_bytes):
    header = [f"c{index}" for index in range(len(rows[0]) if rows else 1)]
    out = io.StringIO(newline="")
    # The csv module of older Pythons leaves a bare carriage return unquoted.
    quoting = csv.QUOTE_ALL if any("\r" in cell for row in rows for cell in row) else quoting
    csv.writer(out, lineterminator=line_end, quoting=quoting, delimiter=delimiter).writerows([header, *rows])
    text = out.getvalue() if ended else out.getvalue().removesuffix(line_end)
    _, *read = csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=delimiter)
    name = "rows.csv" if delimiter == "," else "rows.tsv"
    assert told(text.encode(), block_bytes, name) == [row for row in read if row]


def outcome(data, block_bytes):
    try:
        return told(data, block_bytes)
    except DataError as error:
        return str(error)


@settings(max_examples=100)
@given(st.text('ab,,""\r\n\n', max_size=40), BLOCKS)
def test_blocks_make_no_difference_to_odd_text(text, block_bytes):
    data = b"a,b\n" + text.encode()
    assert outcome(data, block_bytes) == outcome(data, 1 << 20)


@settings(max_examples=100)
@given(st.text("ab,,\n\n", max_size=40), BLOCKS)
def test_every_line_is_a_row_or_blank(text, block_bytes):
    lines = [line for line in text.split("\n") if line]
    expected = [
        Unread(line, REPEATED)
        if sorted(line.split(",")) == ["a", "b"]
        else line.split(",")
        if line.count(",") == 1
        else Unread(line, f"{line.count(',') + 1} columns, but the header has 2")
        for line in lines
    ]
    assert told(b"a,b\n" + text.encode(), block_bytes) == expected


@pytest.mark.parametrize("block_bytes", [1, 1 << 20])
@pytest.mark.parametrize("line", [b"id,name", b"\xef\xbb\xbfid,name", b'"id","name"', b"ID,Name", b"name,id"])
def test_the_header_once_more_is_no_row(line, block_bytes):
    """Files put together with cat, each with its header, and perhaps with a byte order mark."""
    raw = b"id,name\n1,a\n" + line + b"\nid,b\n3,name\n"
    expected = [["1", "a"], Unread(line.decode(), REPEATED), ["id", "b"], ["3", "name"]]
    assert told(raw, block_bytes) == expected


@pytest.mark.parametrize("block_bytes", [1, 1 << 20])
def test_rows_that_may_be_a_part_of_a_broken_cell_are_no_rows(block_bytes):
    raw = b'id,name\n1, "a\n2,fake\nb"\n3,"real"\n4,b\n'
    rows = told(raw, block_bytes)
    assert Unread("2,fake", DOUBT.format(line=2)) in rows
    assert [one for one in rows if not isinstance(one, Unread)] == [["3", "real"], ["4", "b"]]


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"id;name\n1;a\n", "';' seems to separate its names"),
        (b'"id"|"name"\n"1"|"a"\n', "'|' seems to separate its names"),
        ("id,name\n1,Zoe\n2,Ann\n".encode("utf-16-le"), "UTF-16 without a byte order mark"),
        (b"PAR1\x15\x04\x15", "a Parquet file: give it a name that ends in .parquet"),
        (b"<!doctype html><html><title>Sign in</title>", "a page of HTML"),
    ],
)
def test_a_file_that_is_no_csv_with_commas_is_named(raw, says):
    with pytest.raises(DataError, match="source 'rows.csv'.*" + re.escape(says)):
        told(raw, 1 << 20)


@pytest.mark.parametrize("block_bytes", [1, 7, 1 << 20])
@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"3", "1 columns, but the header has 2"),
        (b"3,4,5", "3 columns, but the header has 2"),
        (b"3,", None),
        (b"3,6'1\"", "a double quote in a cell that is not quoted"),
        (b"3,a\rb", "a carriage return without a line feed"),
        (b"3," + b"x" * 131_073, "the cell is longer than 131072 characters"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_row_that_is_wrong_by_itself_is_told_in_its_place(line, reason, block_bytes):
    first, second, third = told(b"id,n\r\n1,2\r\n" + line + b"\r\n4,5\r\n", block_bytes)
    assert (first, third) == (["1", "2"], ["4", "5"])
    if reason is None:
        assert second == ["3", ""]
    else:
        assert second.text == line.decode()
        assert reason in second.reason


def test_a_block_of_many_columns_has_more_text():
    header = ",".join(f"c{number}" for number in range(20_000)).encode()
    data = header + b"\n" + (b"x" + b",y" * 19_999 + b"\n") * 10
    assert [batch.num_rows for batch in csv_rows(io.BytesIO(data), "rows.csv", 1 << 16)] == [0, 4, 4, 2]


def test_the_text_of_a_huge_row_is_cut():
    _, huge, last = told(b"id\n1\n" + b"x" * (3 << 20) + b"\n2\n")
    assert (len(huge.text), last) == (MAX_TEXT_CHARACTERS, ["2"])


@pytest.mark.parametrize("block_bytes", [1, 7, 1 << 20])
@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"", "'rows.csv' has no header row"),
        (b"\n1,2\n", "'rows.csv' has no header row"),
        (b"id,n,id\n", "'rows.csv': columns named twice: 'id'"),
        (b'id,"n"x\n', "'rows.csv', header, line 1: text after a closing quote"),
        (b"id\r1\r2\r", "'rows.csv', header, line 1: a carriage return without a line feed"),
        (b'id\n1\n"2\n3\n', "'rows.csv', row 2, line 3: a quote opened on line 3 is not closed"),
        (b'id\n\n"1"x\n', "'rows.csv', row 1, line 3: text after a closing quote"),
        (b"id\n1\nM\xfcller\n", "'rows.csv', row 2, line 3: not UTF-8, it looks like Latin-1"),
        (b"id\n1\n\n2,2\na\0b\n", "'rows.csv', row 3, line 5: a NUL character"),
        ("id\n1\n".encode("utf-16"), "'rows.csv', header, line 1: not UTF-8 but UTF-16"),
    ],
)
def test_a_file_that_cannot_be_trusted_is_refused_with_the_place(data, complaint, block_bytes):
    with pytest.raises(DataError, match=complaint):
        told(data, block_bytes)


def test_batches_are_slices_of_at_most_5000_rows_and_the_first_is_empty():
    data = b"id,n\n" + b"1,2\n" * (2 * BATCH_ROWS) + b"1\n" + b"3,4\n" * BATCH_ROWS
    items = list(csv_rows(io.BytesIO(data), "rows.csv"))
    assert [item.num_rows if isinstance(item, pa.RecordBatch) else item.text for item in items] == [
        *(0, BATCH_ROWS, BATCH_ROWS, "1", BATCH_ROWS)
    ]
    assert all(
        item.schema == pa.schema([("id", pa.string()), ("n", pa.string())]) for item in items if item != items[3]
    )


def test_a_file_is_not_read_ahead_of_what_is_asked_for():
    stream = io.BytesIO(b"id\n" + b"0123456789\n" * 1_000_000)
    rows = csv_rows(stream, "rows.csv", 100_000)
    next(rows)
    assert 0 < next(rows).num_rows < BATCH_ROWS
    assert stream.tell() < 400_000


def test_rows_that_are_read_one_by_one_make_batches_of_a_bounded_size():
    row = f'1,{" " * 300}"{"x" * 100_000}"\n'  # so many spaces before a quote are read exactly
    sizes = [item.nbytes for item in csv_rows(io.BytesIO(b"id,text\n" + row.encode() * 60), "rows.csv", 1 << 20)]
    assert sum(sizes) > 6_000_000
    assert max(sizes) < 2 << 20
