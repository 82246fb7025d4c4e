"""Files as they arrive: packed or not, with commas or tabs, in one of four formats."""

import io
from typing import TYPE_CHECKING, BinaryIO

from optimove_provider.contract.wire.errors import DataError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


_CODECS = {".gz": "gzip", ".zst": "zstd"}
_TABBED = ".tsv"
_FORMATS = {".csv": "csv", _TABBED: "csv", ".jsonl": "json", ".parquet": "parquet", ".arrow": "arrow"}
_BUFFER_BYTES = 1 << 20


def decompressed(stream: BinaryIO, name: str) -> BinaryIO:
    """The text of a file as a stream, in constant memory: unpacked if its name ends in .gz or .zst, else as it is.

    Files of several gzip members or zstd frames are read to their end. Where the packed bytes are damaged or cut off,
    reading raises DataError. Closing what is returned leaves `stream` open.
    """
    codec = _CODECS.get(_ending(name))
    return io.BufferedReader(_Unpacked(stream, name, codec), _BUFFER_BYTES) if codec else stream


def delimiter_of(name: str) -> str:
    """A tab for .tsv files, packed or not; else a comma."""
    return "\t" if unpacked_name(name).casefold().endswith(_TABBED) else ","


def check_name(name: str) -> None:
    """Raise DataError unless a file's name says that it holds CSV or TSV text."""
    if not unpacked_name(name).casefold().endswith((".csv", _TABBED)):
        raise DataError(f"source {name!r}: a .csv or .tsv file is expected, also .gz or .zst")


def format_of(name: str) -> str:
    """What a file holds, by its name: csv, json, parquet or arrow. Raises DataError for any other name."""
    unpacked = unpacked_name(name).casefold()
    for ending, format_ in _FORMATS.items():
        if unpacked.endswith(ending) and (unpacked == name.casefold() or format_ in ("csv", "json")):
            return format_
    raise DataError(f"source {name!r}: {', '.join(_FORMATS)} are read; the first three also as .gz or .zst")


def unpacked_name(name: str) -> str:
    """A file's name without the ending that says how it is packed."""
    return name[: -len(_ending(name))] if _ending(name) in _CODECS else name


def _ending(name: str) -> str:
    return "." + name.casefold().rpartition(".")[2]


class _Unpacked(io.RawIOBase):
    """What a packed stream holds. Arrow unpacks twice as fast as the gzip module, and knows zstd on every Python."""

    def __init__(self, stream: BinaryIO, name: str, codec: str) -> None:
        import pyarrow as pa

        self._name, self._codec = name, codec
        self._packed = pa.CompressedInputStream(pa.PythonFile(stream, mode="r"), codec)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        view = memoryview(buffer).cast("B")
        try:
            read: bytes = self._packed.read(len(view))
        except OSError as error:
            raise self._damage(error) from error
        view[: len(read)] = read
        return len(read)

    def _damage(self, error: OSError) -> Exception:
        if error.errno is not None:
            return error  # of the stream below: a disk, a network
        if "runcated" in str(error):
            return DataError(f"{self._name!r} is cut off: its {self._codec} stream has no end; copy the file again")
        return DataError(f"{self._name!r} is no {self._codec} file, or it is damaged: {error}; copy it again")
