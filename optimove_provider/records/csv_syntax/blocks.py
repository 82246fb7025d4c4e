"""Blocks of CSV text, fast: where the records end.

A block is cut at the end of a record. In the part of it that is called regular, RFC 4180 is kept to the letter: that
Arrow may parse. Whatever is odd about the text itself ends the part, and `reader` reads on from there.

Spaces before opening quotes are odd, but may stand in every row, as in the vendor's sample. So a part may have them,
where it is known which they are: Arrow is given the text without them.
"""

import codecs
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv

from optimove_provider.records.arrow.types import Bytes, Mask, Offsets
from optimove_provider.records.csv_syntax.grammar import MAX_CELL_CHARACTERS, MAX_RECORD_BYTES

_LF, _CR, _SPACE, _QUOTE = 10, 13, 32, 34
_COMMON = 0xFF ^ _LF ^ _QUOTE
"""The bits in which a line feed and a quote are alike: one comparison finds both, and two characters that are rare."""

_BYTE_ORDER_MARK = re.compile(rb"[\r\n]*+(?P<mark>%b)" % codecs.BOM_UTF8)
"""At the start of the first record."""
_SLICE = 1 << 18
"""So many bytes, and what is derived from them, stay in a processor's cache."""
_MOST_SPACES = 256
"""Before a quote. Where there are more, the text is odd."""


def _none() -> Offsets:
    return np.empty((0, 2), np.int64)


@dataclass(frozen=True, slots=True)
class RegularPart:
    """The beginning of a block that is regular: `size` bytes of whole records and blank lines.

    `starts` are the offsets of the records, none of them blank, `ends` those after them, `newlines` those of all line
    feeds; `has_returns` is False if there is no carriage return. `odd` says that a record which is not regular follows;
    otherwise the rest of the block is the beginning of a record. Each in two columns, where they start and end:
    `blanks`, the blank lines; `spaces`, those before an opening quote; `left_out`, both, in their order.
    """

    size: int
    starts: Offsets
    ends: Offsets
    newlines: Offsets
    has_returns: bool
    odd: bool
    blanks: Offsets = field(default_factory=_none)
    spaces: Offsets = field(default_factory=_none)
    left_out: Offsets = field(default_factory=_none)

    def start(self, record: int) -> int:
        """The offset at which a record starts; of the one after the last, where the part ends."""
        return int(self.starts[record]) if record < len(self.starts) else self.size

    def lines_before(self, offsets: Offsets) -> Offsets:
        """How many lines of the block end before some offsets."""
        return np.searchsorted(self.newlines, offsets)

    def first_ending(self, block: bytes, crlf: bool) -> int | None:
        """The first record that ends with CR and LF, or with LF alone, as `crlf` says."""
        if crlf and not self.has_returns:
            return None
        bytes_ = np.frombuffer(block, np.uint8)
        ends = self.ends[bytes_[self.ends - 1] == _LF]
        found = np.flatnonzero((bytes_[np.maximum(ends - 2, 0)] == _CR) == crlf)
        return int(found[0]) if len(found) else None

    @property
    def spaced_records(self) -> Offsets:
        """The record that each of the `spaces` is in."""
        return np.searchsorted(self.ends, self.spaces[:, 0], "right")

    def records(self, block: bytes, first: int, last: int) -> bytes:
        """The text of the records from one on, up to another, as it stands."""
        return _without(self.blanks, block, self.start(first), self.start(last))

    def plain(self, block: bytes, start: int, end: int) -> bytes:
        """The text from one offset to another, without blank lines and without `spaces`, of which none is cut."""
        return _without(self.left_out, block, start, end)


def _without(ranges: Offsets, block: bytes, start: int, end: int) -> bytes:
    first, last = np.searchsorted(ranges[:, 0], (start, end))
    if first == last:
        return block[start:end]
    edges = np.zeros(end - start + 1, np.int8)
    edges[ranges[first:last, 0] - start] += 1
    edges[ranges[first:last, 1] - start] -= 1  # where one range ends, another may start
    kept = np.cumsum(edges[:-1], dtype=np.int8) == 0
    return np.frombuffer(block, np.uint8)[start:end].compress(kept).tobytes()


def regular_part(
    block: bytes, delimiter: str, final: bool, spaced: bool = False, most_marks: int | None = None
) -> RegularPart:
    """Find the regular beginning of a block, which starts where a record does. `final`: the file ends with it.

    `spaced`: it may have spaces before opening quotes. With `most_marks` it ends after about so many line feeds and
    quotes, unless the first record has more: each of them takes some fifty bytes.
    """
    bytes_ = np.frombuffer(block, np.uint8)
    newlines, quotes, ends, looked = _marks(bytes_, most_marks)
    if looked < len(block) and len(ends):
        block, bytes_, final = block[:looked], bytes_[:looked], False
    elif looked < len(block):
        newlines, quotes, ends, _ = _marks(bytes_, None)
    size = int(ends[-1]) if len(ends) else 0
    if final and size < len(block) and len(quotes) % 2 == 0:
        ends, size = np.append(ends, len(block)), len(block)
    has_returns = b"\r" in block
    spaces = _spaces(bytes_, quotes[: np.searchsorted(quotes, size)], ord(delimiter)) if spaced else _none()
    found = _odd_offsets(block, bytes_, quotes, ends, delimiter, has_returns, spaces)
    odd = min((offset for offset in (*found, _lines_after(spaces, ends, newlines)) if offset is not None), default=None)
    if odd is None:
        # What is left is a record without an end: more may come, unless it is too long already or the file is over.
        over = (final and size < len(block)) or len(block) - size > MAX_RECORD_BYTES
        return _part(bytes_, ends, newlines, has_returns, over, spaces)
    ends = ends[: np.searchsorted(ends, odd, "right")]
    before = np.searchsorted(spaces[:, 0], ends[-1] if len(ends) else 0)
    return _part(bytes_, ends, newlines, has_returns, True, spaces[:before])


def _part(
    bytes_: Bytes, ends: Offsets, newlines: Offsets, has_returns: bool, odd: bool, spaces: Offsets
) -> RegularPart:
    """A part of records that end there, of which some may be blank lines."""
    size = int(ends[-1]) if len(ends) else 0
    starts = np.concatenate(([0], ends[:-1])) if len(ends) else ends
    first = bytes_.take(starts)
    blank = (first == _LF) | ((first == _CR) & (ends - starts == 2))
    if not blank.any():
        return RegularPart(size, starts, ends, newlines, has_returns, odd, _none(), spaces, spaces)
    blanks = np.stack([starts[blank], ends[blank]], 1)
    left_out = np.concatenate([blanks, spaces])
    left_out = left_out[np.argsort(left_out[:, 0])] if len(spaces) else blanks
    return RegularPart(size, starts[~blank], ends[~blank], newlines, has_returns, odd, blanks, spaces, left_out)


def _spaces(bytes_: Bytes, quotes: Offsets, delimiter: int) -> Offsets:
    """Where spaces stand between the start of a cell and its opening quote: two columns, as in a `RegularPart`."""
    opening = quotes[0::2]
    opening = opening[(opening > 0) & (bytes_.take(opening - 1, mode="clip") == _SPACE)]
    starts = opening - 1
    longer = np.arange(len(starts))
    for _ in range(_MOST_SPACES - 1):
        before = starts[longer] - 1
        longer = longer[(before >= 0) & (bytes_.take(before, mode="clip") == _SPACE)]
        if not len(longer):
            break
        starts[longer] -= 1
    before = bytes_.take(starts - 1, mode="clip")
    is_start = (starts == 0) | (before == delimiter) | (before == _LF)
    return np.stack([starts[is_start], opening[is_start]], 1)


def _lines_after(spaces: Offsets, ends: Offsets, newlines: Offsets) -> int | None:
    """The first record with such spaces that has a line end in it: readers disagree about where that one ends."""
    records = np.searchsorted(ends, spaces[:, 0], "right")
    starts = np.append(0, ends)[records]
    lines = np.searchsorted(newlines, ends[records] - 1) - np.searchsorted(newlines, starts)
    return _first(starts[lines > 0])


def _marks(bytes_: Bytes, most: int | None) -> tuple[Offsets, Offsets, Offsets, int]:
    """Where the line feeds are, where the quotes, and what comes after each line feed outside of quotes, up to where
    the last number says: there are more than `most` then."""
    found, count, looked = [np.empty(0, np.int64)], 0, 0
    while looked < len(bytes_) and (most is None or count <= most):
        found.append(np.flatnonzero((bytes_[looked : looked + _SLICE] & _COMMON) == (_LF & _COMMON)) + looked)
        count, looked = count + len(found[-1]), min(looked + _SLICE, len(bytes_))
    marks = np.concatenate(found)
    kinds = bytes_.take(marks)
    is_quote, is_newline = kinds == _QUOTE, kinds == _LF
    is_inside = (np.cumsum(is_quote.view(np.uint8), dtype=np.uint8) & 1).view(bool)  # modulo 256, so modulo 2
    return marks.compress(is_newline), marks.compress(is_quote), marks.compress(is_newline & ~is_inside) + 1, looked


def _outside(positions: Offsets, quotes: Offsets) -> Mask:
    """Which positions lie outside of quotes: an even number of quotes comes before."""
    if not len(quotes):
        return np.ones(len(positions), bool)
    return np.asarray(np.searchsorted(quotes, positions) % 2 == 0)


def _odd_offsets(
    block: bytes,
    bytes_: Bytes,
    quotes: Offsets,
    ends: Offsets,
    delimiter: str,
    has_returns: bool,
    spaces: Offsets,
) -> Iterator[int | None]:
    """The offset of the first thing of each kind that is not regular within whole records, if there is one."""
    size = int(ends[-1]) if len(ends) else 0
    if size and (mark := _BYTE_ORDER_MARK.match(block)):
        yield mark.start("mark")  # part of a value here, but Arrow would skip it
    yield _odd_quote(bytes_, quotes, size, ord(delimiter), spaces[:, 1])
    yield _odd_record(bytes_, ends, delimiter)
    if (nul := block.find(b"\0", 0, size)) >= 0:
        yield nul
    if has_returns:
        yield _bare_cr(bytes_, quotes, size)
    yield _not_utf8(block, size)


def _first(positions: Offsets) -> int | None:
    return int(positions[0]) if len(positions) else None


def _odd_quote(bytes_: Bytes, quotes: Offsets, size: int, delimiter: int, spaced: Offsets) -> int | None:
    """The first quote that neither opens a cell, nor closes one, nor is one half of a doubled quote. `spaced` ones open
    a cell."""
    quotes = quotes[: np.searchsorted(quotes, size)]
    opening, closing = quotes[0::2], quotes[1::2]
    before = bytes_[opening[opening > 0] - 1]
    wrong_opening = opening[opening > 0][(before != delimiter) & (before != _LF) & (before != _QUOTE)]
    if len(spaced):
        nearest = spaced.take(np.searchsorted(spaced, wrong_opening), mode="clip")
        wrong_opening = wrong_opening[nearest != wrong_opening]
    inner = closing[closing + 1 < len(bytes_)]
    after = bytes_[inner + 1]
    wrong_closing = inner[(after != delimiter) & (after != _LF) & (after != _CR) & (after != _QUOTE)]
    return min((p for p in (_first(wrong_opening), _first(wrong_closing)) if p is not None), default=None)


def _odd_record(bytes_: Bytes, ends: Offsets, delimiter: str) -> int | None:
    """The start of the first record that is too long, or of which a cell may be."""
    starts = np.concatenate(([0], ends[:-1])) if len(ends) else ends
    lengths = ends - starts
    for start, size in zip(*(each[lengths > MAX_CELL_CHARACTERS].tolist() for each in (starts, lengths)), strict=True):
        borders = _borders(bytes_[start : start + size], delimiter)
        if size > MAX_RECORD_BYTES or np.diff(borders, prepend=-1, append=size).max() > MAX_CELL_CHARACTERS:
            return int(start)
    return None


def _bare_cr(bytes_: Bytes, quotes: Offsets, size: int) -> int | None:
    """The first carriage return outside of quotes that no line feed follows."""
    returns = np.flatnonzero(bytes_[:size] == _CR)
    returns = returns[_outside(returns, quotes)]
    followed = np.append(bytes_, 0)[returns + 1]
    return _first(returns[followed != _LF])


def _not_utf8(block: bytes, size: int) -> int | None:
    """The first byte that is not UTF-8. Arrow checks a whole block many times faster than Python decodes it."""
    if block.isascii():
        return None
    offsets = pa.py_buffer(np.array([0, size], np.int64))
    try:
        pa.Array.from_buffers(pa.large_string(), 1, [None, offsets, pa.py_buffer(block)]).validate(full=True)
    except pa.ArrowInvalid:
        try:
            block[:size].decode()
        except UnicodeDecodeError as error:
            return error.start
    return None


def cell_spans(block: bytes, part: RegularPart, delimiter: str, records: Offsets, columns: Offsets) -> Offsets:
    """Where some cells of a regular part stand, quotes included: two columns, start and end.

    `records` have as many cells as the header, and `columns` says which one of each is meant.
    """
    bytes_ = np.frombuffer(block, np.uint8, part.size)
    borders = _borders(bytes_, delimiter)
    starts, ends = part.starts[records], part.ends[records]
    first = np.searchsorted(borders, starts)
    before, after = first + columns - 1, first + columns
    padded = np.append(borders, part.size)
    is_last = padded[np.minimum(after, len(borders))] >= ends
    start = np.where(columns == 0, starts, padded[np.maximum(before, 0)] + 1)
    return np.stack(
        [start, np.where(is_last, _before_newline(bytes_, ends), padded[np.minimum(after, len(borders))])], 1
    )


def _borders(bytes_: Bytes, delimiter: str) -> Offsets:
    """Where the delimiters between cells are."""
    is_inside = np.cumsum((bytes_ == _QUOTE).view(np.uint8), dtype=np.uint8) & 1  # modulo 256, so modulo 2
    return np.flatnonzero((bytes_ == ord(delimiter)) & ~is_inside.view(bool))


def spaced_cells(block: bytes, part: RegularPart, delimiter: str) -> tuple[Offsets, Offsets]:
    """The cells with spaces before their quotes, in their order: the records that they are in, and the columns."""
    records = part.spaced_records
    if not len(records):
        return records, records
    borders = _borders(np.frombuffer(block, np.uint8, part.size), delimiter)
    starts = part.starts[records]
    return records, np.searchsorted(borders, part.spaces[:, 0]) - np.searchsorted(borders, starts)


def _before_newline(bytes_: Bytes, ends: Offsets) -> Offsets:
    """The ends of records without their line ends; the last one may have none."""
    ends = ends - (bytes_[ends - 1] == _LF)
    return np.asarray(ends - (bytes_[np.maximum(ends - 1, 0)] == _CR))


Parsed = tuple[pa.Table, list[tuple[int, int]]]


def parse_columns(block: bytes, part: RegularPart, delimiter: str, width: int, columns: Sequence[int]) -> Parsed:
    """Some columns of a regular part, as bytes, of the records with `width` cells; and the others, with their cells.

    The table's columns are named by their numbers. Releases the GIL for most of its time.
    """
    ragged: list[tuple[int, int]] = []

    def remember(row: pacsv.InvalidRow) -> str:
        ragged.append((row.number - 1, row.actual_columns))
        return "skip"

    names = [str(column) for column in columns]
    if not len(part.ends):
        return pa.table(dict.fromkeys(names, pa.array([], pa.binary()))), []
    text = pa.py_buffer(part.plain(block, 0, part.size) if len(part.left_out) else block)
    text = text if len(part.left_out) else text.slice(0, part.size)
    table = pacsv.read_csv(
        pa.BufferReader(text),
        read_options=pacsv.ReadOptions(
            column_names=[str(column) for column in range(width)], use_threads=False, block_size=text.size + 1
        ),
        parse_options=pacsv.ParseOptions(
            delimiter=delimiter, newlines_in_values=True, invalid_row_handler=remember, ignore_empty_lines=False
        ),
        convert_options=pacsv.ConvertOptions(
            include_columns=names,
            column_types=dict.fromkeys(names, pa.binary()),
            null_values=[],
            strings_can_be_null=False,
        ),
    )
    if table.num_rows + len(ragged) != len(part.ends):
        raise AssertionError(f"{len(part.ends)} records were cut, {table.num_rows} and {len(ragged)} were parsed")
    return table, ragged
