"""Rows that are the header once more: files were put together with `cat`, each with its own."""

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa

_BOM = b"\xef\xbb\xbf"
_MOST = 255


class RepeatedHeader:
    """Knows the header's names, as bytes, and which rows repeat them: in any order, in any case of ASCII letters, the
    first with a byte order mark perhaps."""

    def __init__(self, names: Sequence[str]) -> None:
        self._width = len(names)
        self._names = {_plain(name.encode(errors="surrogateescape")) for name in names}
        self._lengths = np.zeros(_MOST + 2, bool)
        self._ends = np.zeros(1 << 16, bool)
        for name in self._spellings():
            self._lengths[min(len(name), _MOST + 1)] = True
            self._ends[(name[0] << 8) + name[-1]] = True

    def _spellings(self) -> Iterator[bytes]:
        for name in self._names - {b""}:
            cases = (
                one + rest + last for one in _cases(name[:1]) for rest in (name[1:-1],) for last in _cases(name[-1:])
            )
            for case in cases if len(name) > 1 else _cases(name):
                yield case
                yield _BOM + case

    def is_repeat(self, cells: Sequence[bytes]) -> bool:
        """Whether the cells of a row are the header's names."""
        return len(cells) == self._width and any(cells) and {_plain(cell) for cell in cells} == self._names

    def candidates(self, column: pa.BinaryArray) -> Sequence[int]:
        """The few cells of a column that may be one of the names."""
        edges = np.frombuffer(column.buffers()[1], np.int32, len(column) + 1, 4 * column.offset)
        if not len(column) or edges[-1] == edges[0]:
            return ()
        lengths = np.diff(edges)
        maybe = np.flatnonzero(self._lengths.take(lengths, mode="clip"))
        if not len(maybe):
            return ()
        data = np.frombuffer(column.buffers()[2], np.uint8, int(edges[-1]))
        first, last = data.take(edges[maybe], mode="clip"), data.take(edges[maybe + 1] - 1, mode="clip")
        maybe = maybe[self._ends[(first.astype(np.int64) << 8) + last]]
        texts = column.take(pa.array(maybe)).to_pylist() if len(maybe) else []
        return [int(row) for row, text in zip(maybe, texts, strict=True) if _plain(text) in self._names and text]


def _plain(name: bytes) -> bytes:
    return name.removeprefix(_BOM).lower()


def _cases(letter: bytes) -> set[bytes]:
    return {letter.lower(), letter.upper()}
