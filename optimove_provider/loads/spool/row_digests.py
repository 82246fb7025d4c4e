"""Digests of the rows of a file, of key and fingerprint, kept beside it: so a plan finds the rows that are the same
without reading either.

A row is its digest, of 96 bits, its place in its file, and its number. A file has chunks of rows; in each, they are
dealt into ranges of the digest. What is said here may be missing: then the rows themselves are read.
"""

import os
import shutil
import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from optimove_provider.loads.spool import row_files
from optimove_provider.loads.state.staging import Staging
from optimove_provider.records.arrow.types import Integers
from optimove_provider.records.repeated.text_hashes import hash_key, text_hashes

FROM_ROWS = 1_000_000
"""Of fewer rows, keys are joined as soon."""
ENDING = ".digests"
RANGES = 256
"""By the digest's last byte."""
CHUNK = 1 << 18
"""Rows that are dealt, and written, together."""
MOST = 1 << 32
"""Numbers and places of rows are less than this."""
_WORD, _NUMBER = np.uint64(32), np.uint64(MOST - 1)
_FINGERPRINT_WORDS = row_files.FINGERPRINT_BYTES // 4
_BYTES = 8 + 8 + 4
"""Of a row: first and rest, as in `Digests`, and its number."""
_READ = 1 << 20
_END = struct.Struct("<II8s8s")
"""How many chunks there are, a checksum of all before, what the seed is known by, and what this file is: at its end, so
that one that was cut short has none."""
_MAGIC = b"digests1"

Words = npt.NDArray[np.uint64]


class Digests(NamedTuple):
    """Rows: the first 64 bits of each one's digest; and the other 32, above the number of the row, or its place."""

    first: Words
    rest: Words

    @property
    def numbers(self) -> Integers:
        """The numbers of the rows."""
        return (self.rest & _NUMBER).astype(np.int64)

    def take(self, places: npt.NDArray[np.integer[Any]]) -> "Digests":
        """Some of the rows."""
        return Digests(self.first.take(places), self.rest.take(places))


def digests_of(fingerprints: pa.BinaryArray, key_hashes: Words, places: Integers) -> Digests:
    """Digests of rows by fingerprints, of 12 bytes each and none null, and hashes of their keys."""
    first = np.frombuffer(fingerprints.buffers()[1], np.int32)[fingerprints.offset]
    size = len(fingerprints) * _FINGERPRINT_WORDS
    words = np.frombuffer(fingerprints.buffers()[2], "<u4", size, int(first)).reshape(-1, _FINGERPRINT_WORDS)
    low, middle, high = (words[:, place].astype(np.uint64) for place in range(_FINGERPRINT_WORDS))
    low |= middle << _WORD
    return Digests(low ^ key_hashes, high << _WORD | places.astype(np.uint64))


class DigestsWriter:
    """Writes digests of rows to a file; the seed is the secret of their ledger."""

    def __init__(self, out: BinaryIO, seed: str) -> None:
        self._out, self._seed, self._key = out, seed, hash_key(seed.encode())
        self._waiting: list[tuple[Words, Words, npt.NDArray[np.uint32]]] = []
        self._rows, self._checksum = 0, 0
        self._starts: list[npt.NDArray[np.uint32]] = []  # where in a chunk each range begins, and where it ends

    def add(self, keys: pa.Array, fingerprints: pa.Array, places: Integers, numbers: Integers) -> None:
        """Add some rows; those without a fingerprint are no rows."""
        known = pc.fill_null(pc.equal(pc.binary_length(fingerprints), row_files.FINGERPRINT_BYTES), False)
        if not pc.all(known, min_count=0).as_py():
            mask = known.to_numpy(zero_copy_only=False)
            keys, fingerprints = keys.filter(known), fingerprints.filter(known)
            places, numbers = places[mask], numbers[mask]
        if not len(places):
            return
        made = digests_of(fingerprints, text_hashes(keys.cast(pa.binary()), self._key), places)
        self._waiting.append((*made, numbers.astype(np.uint32)))
        self._rows += len(places)
        if self._rows >= CHUNK:
            self._flush()

    def _flush(self) -> None:
        if not self._rows:
            return
        columns = [np.concatenate(column) for column in zip(*self._waiting, strict=True)]
        self._waiting, self._rows = [], 0
        ranges = columns[0].astype(np.uint8)
        order = np.argsort(ranges, kind="stable")
        counts = np.bincount(ranges, minlength=RANGES)
        self._starts.append(np.concatenate([[0], np.cumsum(counts)]).astype(np.uint32))
        for column in columns:
            self._write(column.take(order).data)

    def finish(self) -> None:
        """Write the last rows, and that these are all."""
        self._flush()
        for starts in self._starts:
            self._write(starts.data)
        self._out.write(_END.pack(len(self._starts), self._checksum, _known_by(self._seed), _MAGIC))

    def written(self, path: Path, begin: int | None) -> "DigestsFile":
        """What was written, which is at `path`."""
        return DigestsFile(path, [starts.astype(np.int64) for starts in self._starts], begin)

    def _write(self, data: memoryview) -> None:
        self._checksum = zlib.crc32(data, self._checksum)
        self._out.write(data)


def _known_by(seed: str) -> bytes:
    return sha256(f"digests {seed}".encode()).digest()[:8]


class DigestsFile:
    """Such a file on this machine. `begin`: the position of the first row of the file that it is about, in a ledger; or
    None, and its rows are known by their numbers."""

    def __init__(self, path: Path, starts: Sequence[Integers], begin: int | None) -> None:
        self._path, self._starts, self._begin = path, starts, begin

    def sizes(self) -> Integers:
        """How many rows each range has."""
        return sum((np.diff(starts) for starts in self._starts), np.zeros(RANGES, np.int64))

    def read(self, first: int, end: int) -> Iterator[Digests]:
        """The rows of neighbouring ranges."""
        begin = 0
        with self._path.open("rb", buffering=0) as file:
            for starts in self._starts:
                at, count, rows = int(starts[first]), int(starts[end] - starts[first]), int(starts[-1])
                low = _read(file, "<u8", begin + 8 * at, count)
                rest = _read(file, "<u8", begin + 8 * (rows + at), count)
                if self._begin is None:
                    rest = rest & ~_NUMBER | _read(file, "<u4", begin + 16 * rows + 4 * at, count)
                else:
                    rest += np.uint64(self._begin)
                yield Digests(low, rest)
                begin += _BYTES * rows


def _read(file: BinaryIO, kind: str, offset: int, count: int) -> npt.NDArray[Any]:
    found = np.empty(count, kind)
    if os.preadv(file.fileno(), [found.data], offset) != found.nbytes:
        raise EOFError(f"{file.name} is shorter than it was")
    return found


def opened(path: Path, seed: str, begin: int | None) -> DigestsFile | None:
    """The file with digests at `path`; None for one that is damaged, of another seed, or of another version."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        if size < _END.size:
            return None
        file.seek(size - _END.size)
        chunks, checksum, known_by, magic = _END.unpack(file.read(_END.size))
        body = size - _END.size - 4 * (RANGES + 1) * chunks
        if (known_by, magic) != (_known_by(seed), _MAGIC) or body < 0:
            return None
        file.seek(0)
        if _checksum(file, size - _END.size) != checksum:
            return None
        file.seek(body)
        found = np.frombuffer(file.read(size - _END.size - body), "<u4").astype(np.int64).reshape(chunks, RANGES + 1)
    return DigestsFile(path, list(found), begin)


def _checksum(file: BinaryIO, size: int) -> int:
    found = 0
    while size and (data := file.read(min(size, _READ))):
        found, size = zlib.crc32(data, found), size - len(data)
    return found


class DigestsOfFiles:
    """Makes digests of rows of a load while these are written, to one file after the other, and writes them beside the
    files once there are enough rows, here or `in_all`. Without a seed it does nothing."""

    def __init__(self, staging: Staging, seed: str, in_all: int = 0) -> None:
        self._staging, self._seed = staging, seed
        self._rows = self._place = 0
        self._are_many = in_all >= FROM_ROWS
        self._writer: DigestsWriter | None = None
        self._out = BytesIO()
        self._waiting: list[tuple[str, BytesIO]] = []

    def begin(self) -> None:
        """Another file is begun."""
        if self._seed:
            self._out, self._place = BytesIO(), 0
            self._writer = DigestsWriter(self._out, self._seed)

    def add(self, rows: pa.Table) -> None:
        """Rows are written to it."""
        if self._writer:
            for batch in rows.to_batches():
                places = np.arange(self._place, self._place + batch.num_rows)
                self._writer.add(batch["_key"], batch["_fingerprint"], places, batch["_row"].to_numpy())
                self._place += batch.num_rows

    def end(self, path: str) -> None:
        """It is whole."""
        if not self._writer:
            return
        self._writer.finish()
        self._waiting.append((path, self._out))
        self._rows += self._place
        if self._are_many or self._rows >= FROM_ROWS:
            for own, out in self._waiting:
                with self._staging.open_new(own + ENDING) as file:
                    file.write(out.getbuffer())
            self._waiting = []


def keep(staging: Staging, paths: Iterable[str], seed: str) -> None:
    """Write the digests of rows, of loads or of a ledger, beside their files, where there are none."""
    for path in paths:
        if not is_kept(staging, path):
            names = ("_key", "_fingerprint", "_row") if _is_of_load(staging, path) else ("key", "fingerprint")
            with staging.open_new(path + ENDING) as out:
                writer, place = DigestsWriter(out, seed), 0
                for batch in row_files.read(staging, path, names):
                    places = np.arange(place, place + batch.num_rows)
                    place += batch.num_rows
                    writer.add(batch[0], batch[1], places, batch[2].to_numpy() if len(names) > 2 else places)
                writer.finish()


def _is_of_load(staging: Staging, path: str) -> bool:
    return "_key" in row_files.columns(staging, path)


def link(staging: Staging, path: str, new: str) -> None:
    """A file got another name, and so does what may lie beside it."""
    with suppress(FileNotFoundError):
        staging.link(path + ENDING, new + ENDING)


def is_kept(staging: Staging, path: str) -> bool:
    """Whether digests lie beside a file."""
    folder, _, name = path.rpartition("/")
    return name + ENDING in staging.names(folder)


def kept(
    staging: Staging, files: Iterable[tuple[str, int | None]], seed: str, folder: Path
) -> list[DigestsFile] | None:
    """What lies beside files, each with its `begin`; copied to `folder` from a storage that is no disk. None where that
    of any is missing, or of no use."""
    found: list[DigestsFile] = []
    for path, begin in files:
        try:
            own = opened(_local(staging, path + ENDING, folder), seed, begin)
        except FileNotFoundError:
            own = None
        if own is None:
            return None
        found.append(own)
    return found


def _local(staging: Staging, path: str, folder: Path) -> Path:
    if staging.is_local:
        return Path(staging.path(path))
    copied = folder / path.replace("/", "-")
    with staging.open(path) as there, copied.open("wb") as here:
        shutil.copyfileobj(there, here, _READ)
    return copied
