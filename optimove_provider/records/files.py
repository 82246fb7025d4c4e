"""Files as they arrive: packed or not, with commas or tabs, in one of four formats, in whatever encoding."""

import codecs
import io
from typing import TYPE_CHECKING, BinaryIO

from optimove_provider.contract.wire.errors import DataError, SettingsError

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


def transcoded(stream: BinaryIO, name: str, encoding: str | None) -> BinaryIO:
    """A text in another encoding as UTF-8, in constant memory; as it is if `encoding` is None.

    Reading raises DataError where the bytes are none of that encoding. SettingsError if nobody knows it.
    """
    if encoding is None:
        return stream
    return io.BufferedReader(_Transcoded(stream, name, encoding, _decoder(encoding)), _BUFFER_BYTES)


def _decoder(encoding: str) -> codecs.IncrementalDecoder:
    """What decodes the text. SettingsError for what is no encoding of texts."""
    try:
        decoder = codecs.getincrementaldecoder(encoding)()
        decoder.decode(b"").encode()
    except (LookupError, AttributeError, TypeError, ValueError):
        raise SettingsError(
            f"encoding {encoding!r}: the name of a text encoding is expected, such as utf-8, cp1252 or utf-16"
        ) from None
    return decoder


def check_delimiter(delimiter: str) -> str:
    """A delimiter as it is meant: "tab" and "\\t" are the tab. Raises SettingsError for what can be none."""
    meant = "\t" if delimiter.casefold() in ("tab", "\\t") else delimiter
    if len(meant) != 1 or not meant.isascii() or meant in '"\r\n\0 ' or meant.isalnum():
        raise SettingsError(f"delimiter {delimiter!r}: one character such as ',', ';' or '|' is expected, or tab")
    return meant


def converted(name: str, delimiter: str, encoding: str | None) -> str:
    """How a file is read that is not as its name says, for people; "" if it is."""
    read = [f"in the encoding {encoding}"] if encoding is not None and _is_other(encoding) else []
    read += [f"with {delimiter!r} between cells"] if delimiter not in (delimiter_of(name), ",", "\t") else []
    return f"the file was read {' and '.join(read)}" if read else ""


def _is_other(encoding: str) -> bool:
    """Whether this is not UTF-8. SettingsError for what is no encoding of texts."""
    _decoder(encoding)
    return codecs.lookup(encoding).name not in ("utf-8", "ascii")


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
    raise DataError(
        f"source {name!r}: {', '.join(_FORMATS)} are read; the first three also as .gz or .zst: rename it, or write one"
    )


def unpacked_name(name: str) -> str:
    """A file's name without the ending that says how it is packed."""
    return name[: -len(_ending(name))] if _ending(name) in _CODECS else name


def _ending(name: str) -> str:
    return "." + name.casefold().rpartition(".")[2]


class _Transcoded(io.RawIOBase):
    """The UTF-8 of a text in another encoding."""

    def __init__(self, stream: BinaryIO, name: str, encoding: str, decoder: codecs.IncrementalDecoder) -> None:
        self._stream, self._name, self._encoding, self._decoder = stream, name, encoding, decoder
        self._left, self._read, self._ended = b"", 0, False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        view = memoryview(buffer).cast("B")
        while not self._left and not self._ended:
            chunk = self._stream.read(_BUFFER_BYTES)
            self._ended = not chunk
            self._left = self._decoded(chunk)
        taken, self._left = self._left[: len(view)], self._left[len(view) :]
        view[: len(taken)] = taken
        return len(taken)

    def _decoded(self, chunk: bytes) -> bytes:
        try:
            text = self._decoder.decode(chunk, final=self._ended).encode()
        except UnicodeError as error:
            start = getattr(error, "start", 0)
            raise DataError(
                f"{self._name!r} is not {self._encoding}: what cannot be read is near the offset {self._read + start}; "
                "give the encoding that it was saved in, or save it as UTF-8"
            ) from None
        self._read += len(chunk)
        return text


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
