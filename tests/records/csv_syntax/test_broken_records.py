"""Records with broken quoting, read a line at a time: the same as when each is read to the end by itself."""

import csv
import io
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimove_provider.records.csv_syntax import course, grammar, lines, reader
from optimove_provider.records.csv_syntax.blocks import regular_part
from optimove_provider.records.csv_syntax.grammar import MAX_CELL_CHARACTERS
from optimove_provider.records.csv_syntax.lookahead import LookaheadStream
from optimove_provider.records.findings.findings import MAX_VALUE_CHARACTERS
from tests.support.rows import plain_reader

PIECES = ['x","y\n', "a,b\n", '"a",",\n', '"x\n', '""\n', 'y"\n', 'c,"d\n', "\n", '",\n', ' "x\ny"\n', 'a,"b"c\n']
PIECES += ['"', '"', '""', ",", ",", "\n", "x", " ", "\r\n", "\r", "\0", "é", "xxxxxxx"]
texts = st.lists(st.sampled_from(PIECES), max_size=60).map("".join)


def read(module, raw: bytes, width: int | None) -> list[tuple]:
    records = module.RecordReader(LookaheadStream(io.BytesIO(raw)))
    records.width = width
    return [
        (
            *(one.line, one.byte, one.text, one.cells, one.broken, one.is_cut, records.line, records.byte),
            [fault._replace(value=fault.value[:MAX_VALUE_CHARACTERS]) for fault in one.faults],
        )
        for one in records
    ]


@given(texts, st.none() | st.integers(1, 3), st.booleans())
@settings(max_examples=400, deadline=None)
def test_any_record_ends_where_it_does_when_it_is_read_by_itself(text, width, latin):
    raw = text.encode("latin-1" if latin else "utf-8")
    assert read(reader, raw, width) == read(plain_reader, raw, width)


@pytest.fixture(scope="module")
def small_limits():
    """Of a record and of a cell, here and in the csv module."""
    before = csv.field_size_limit(14)
    with pytest.MonkeyPatch.context() as patched:
        for module in (grammar, plain_reader, lines, course, reader):
            patched.setattr(module, "MAX_RECORD_BYTES", 60, raising=False)
            patched.setattr(module, "MAX_CELL_CHARACTERS", 14, raising=False)
        patched.setattr(reader, "_TOO_LONG", "longer than 60 bytes")
        yield
    csv.field_size_limit(before)


@given(texts, st.none() | st.integers(1, 3))
@settings(max_examples=400, deadline=None)
def test_any_record_that_may_be_too_long_ends_where_it_does_when_it_is_read_by_itself(small_limits, text, width):
    assert read(reader, text.encode(), width) == read(plain_reader, text.encode(), width)


def calls(text: str) -> int:
    """How many functions are called to read a text: what it costs, on any machine."""
    count = 0

    def see(frame, event, argument) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    records = reader.RecordReader(LookaheadStream(io.BytesIO(text.encode())))
    records.width = 2
    sys.setprofile(see)
    try:
        for _ in records:
            pass
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize("line", ['x","y\n', 'c1","x","y\n', '"a",",\n', 'c,"x\n', 'a"b\n', '"x\n" \n', 'x","y\na,b\n'])
def test_reading_takes_twice_as_long_for_twice_as_many_broken_lines(line):
    assert calls(line * 2000) < 2.2 * calls(line * 1000)


def test_a_long_record_of_short_cells_is_regular_and_one_with_a_long_cell_is_not():
    cell = "x" * (MAX_CELL_CHARACTERS // 2)
    row = f'{cell},"{cell}",{cell},{cell},"{cell}"\n'.encode()
    assert regular_part(row, ",", final=True).size == len(row)
    for long in (f"{cell}{cell}x,{cell}\n", f'{cell},"{cell}{cell},"\n'):
        assert regular_part(row + long.encode(), ",", final=True).size == len(row)


@given(
    st.lists(
        st.sampled_from(["a,b\n", "\n", "\r\n", '"\n",\r\n', 'a, "b"\n', '"",""\r\n', 'a,"\r\n\n"\n']), max_size=12
    )
)
def test_blank_lines_are_told_from_records(pieces):
    block = "".join(pieces).encode()
    part = regular_part(block, ",", final=True, spaced=True)
    blanks = [piece in ("\n", "\r\n") for piece in pieces]
    starts = [len("".join(pieces[:index])) for index in range(len(pieces))]
    assert part.size == len(block)
    assert part.starts.tolist() == [start for start, is_blank in zip(starts, blanks, strict=True) if not is_blank]
    assert part.blanks[:, 0].tolist() == [start for start, is_blank in zip(starts, blanks, strict=True) if is_blank]
    kept = [piece for piece in pieces if piece not in ("\n", "\r\n")]
    assert part.records(block, 0, len(kept)) == "".join(kept).encode()
    assert part.plain(block, 0, len(block)) == "".join(kept).replace(', "', ',"').encode()


def test_a_byte_order_mark_after_blank_lines_is_a_part_of_a_value():
    assert regular_part("\n\r\n\ufeffa,b\n".encode(), ",", final=True).size == 3


@pytest.mark.parametrize("record", ["\n", 'a,"b"\n', 'a,"\n\n"\n'])
def test_a_block_ends_after_so_many_marks_and_a_record(record):
    block = record.encode() * (1 << 20)
    part = regular_part(block, ",", final=True, most_marks=1000)
    assert 0 < part.size < len(block) // 2
    assert part.size % len(record) == 0
    assert not part.odd
    one = b'"\n",' * 100_000 + b"\n"
    assert regular_part(one, ",", final=True, most_marks=1000).size == len(one)
