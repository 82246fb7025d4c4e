"""The rows of a load, frozen before the first request, so that nothing is sent of a source that has a bad row."""

import sqlite3
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import BinaryIO

import pyarrow as pa

from optimove_provider.contract.errors import DataError
from optimove_provider.contract.optix import MAX_RECORDS, Records
from optimove_provider.records.payload import json_records


@dataclass(frozen=True, slots=True)
class Spool:
    """Slices of at most 5000 records in a temporary file: one JSON array a line."""

    file: BinaryIO
    counts: tuple[int, ...]

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return sum(self.counts)

    def slices(self) -> Iterator[Records]:
        """The slices, read one at a time."""
        self.file.seek(0)
        for count, line in zip(self.counts, self.file, strict=True):
            yield Records(count, line.rstrip(b"\n"))


@contextmanager
def spooled(batches: Iterable[pa.RecordBatch], primary_key: str, key_type: str) -> Iterator[Spool]:
    """Read all rows, check them, and freeze them; the file is gone afterwards.

    Raises DataError for a missing key column, a missing or doubled key, and a value that JSON cannot carry.
    """
    with tempfile.TemporaryFile(prefix="optimove-") as file, closing(_Keys()) as keys:
        records = _unique(json_records(batches, primary_key, key_type), keys, primary_key)
        counts = []
        while part := list(islice(records, MAX_RECORDS)):
            # JSON escapes line breaks inside text, so a line end only ever ends a slice.
            file.write(f"[{','.join(part)}]\n".encode())
            counts.append(len(part))
        yield Spool(file, tuple(counts))


def _unique(records: Iterable[tuple[int, str, str]], keys: "_Keys", primary_key: str) -> Iterator[str]:
    for row, key, record in records:
        earlier = keys.add(key, row)
        if earlier:
            raise DataError(
                f"rows {earlier} and {row} both have {primary_key} {key}: a record replaces the stored one whole, so "
                "one of the two would be lost. Make the key unique in the source"
            )
        yield record


class _Keys:
    """The keys seen so far. A nameless SQLite database lives in a temporary file, so memory stays bounded."""

    def __init__(self) -> None:
        self._db = sqlite3.connect("", isolation_level=None)
        self._db.execute("PRAGMA journal_mode = OFF")
        self._db.execute("CREATE TABLE keys (key TEXT PRIMARY KEY, row INTEGER) WITHOUT ROWID")
        self._db.execute("BEGIN")

    def add(self, key: str, row: int) -> int:
        """Remember a key; returns the row in which it was seen before, or 0."""
        try:
            self._db.execute("INSERT INTO keys VALUES (?, ?)", (key, row))
        except sqlite3.IntegrityError:
            return int(self._db.execute("SELECT row FROM keys WHERE key = ?", (key,)).fetchone()[0])
        return 0

    def close(self) -> None:
        self._db.close()
