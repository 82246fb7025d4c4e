"""The rows of Arrow files, with the types that the file says; and what is said of damaged files."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import BinaryIO

import pyarrow as pa
import pyarrow.types as types

from optimove_provider.contract.wire.errors import DataError
from optimove_provider.records.rows import Reading, empty_batch, refuse_doubled, small_batches
from optimove_provider.records.to_json.scalars import MAX_DEPTH, TOO_DEEP

_ARROW_FILE = b"ARROW1"
_END = b"\xff\xff\xff\xff\0\0\0\0"
"""The last bytes of a stream, which Arrow does not miss."""


def arrow_rows(stream: BinaryIO, name: str) -> Reading:
    """The rows of an Arrow file or stream; the first batch is empty. Raises DataError for another or a damaged file."""
    with damage(name, "Arrow"):
        begin = stream.read(len(_ARROW_FILE))
        stream.seek(0)
        with pa.ipc.open_file(stream) if begin == _ARROW_FILE else pa.ipc.open_stream(stream) as reader:
            schema = reader.schema.remove_metadata()
            refuse_doubled(checked_names(schema, name), f"source {name!r}")
            yield empty_batch(schema)
            for batch in _read(reader):
                _check_layout(batch, name)
                yield from small_batches(batch.replace_schema_metadata(None))
        if begin != _ARROW_FILE:
            _check_end(stream, name)


def _check_end(stream: BinaryIO, name: str) -> None:
    """Raises DataError unless a stream that was read has its end mark, and ends there: Arrow goes without it."""
    if stream.read(1):
        raise DataError(f"source {name!r} goes on after its end: give the streams in it as files of their own")
    stream.seek(-len(_END), io.SEEK_END)
    if stream.read() != _END:
        raise DataError(f"source {name!r} has no end mark, so rows may be missing: copy it again")


def _read(reader: pa.RecordBatchFileReader | pa.RecordBatchStreamReader) -> Iterator[pa.RecordBatch]:
    if isinstance(reader, pa.RecordBatchFileReader):
        return (reader.get_batch(index) for index in range(reader.num_record_batches))
    return iter(reader)


def _check_layout(batch: pa.RecordBatch, name: str) -> None:
    """Raises DataError for a column that points outside of its own memory. What its values are is judged row by row."""
    for column, array in zip(batch.schema.names, batch.columns, strict=True):
        try:
            array = array.storage if isinstance(array.type, pa.BaseExtensionType) else array
            array.validate()
            array.view(_raw(array.type)).validate(full=True)
        except pa.ArrowInvalid as error:
            raise DataError(f"source {name!r}, column {column!r} is damaged: {error}; write the file again") from error


@cache
def _raw(kind: pa.DataType) -> pa.DataType:
    """A type of the same layout that takes any value."""
    if types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind):
        plain = {pa.string(): pa.binary(), pa.large_string(): pa.large_binary()}
        return plain.get(kind, pa.binary_view())
    if types.is_time(kind) or types.is_date64(kind):
        return pa.int32() if types.is_time32(kind) else pa.int64()
    if types.is_decimal(kind):
        return pa.binary(kind.byte_width)
    if types.is_dictionary(kind):
        return pa.dictionary(kind.index_type, _raw(kind.value_type), kind.ordered)
    if types.is_struct(kind):
        return pa.struct([field.with_type(_raw(field.type)) for field in kind])
    if types.is_list(kind) or types.is_large_list(kind):
        make = pa.list_ if types.is_list(kind) else pa.large_list
        return make(kind.value_field.with_type(_raw(kind.value_type)))
    return kind


def checked_names(schema: pa.Schema, name: str) -> list[str]:
    """The names of the columns. Raises DataError for one that is not UTF-8, and for a column nested too deep."""
    names = []
    for number, field in enumerate(schema, 1):
        where = f"source {name!r}, column {number}"
        try:
            names.append(field.name)
            where += f" ({field.name!r:.100})"
            _check_members(field.type, where, 0)
        except UnicodeDecodeError as error:
            raise DataError(
                f"{where}: its name, or one in it, is not UTF-8: {error.object!r:.100}; rename it"
            ) from error
    return names


def _check_members(kind: pa.DataType, where: str, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise DataError(f"{where}: {TOO_DEEP}; write it flatter, or as JSON text")
    for index in range(kind.num_fields):
        member = kind.field(index)
        _ = member.name
        _check_members(member.type, where, depth + 1)


@contextmanager
def damage(name: str, kind: str) -> Iterator[None]:
    """Turns what Arrow raises about a file into DataError. Errors of the storage, as of a disk, stay as they are."""
    try:
        yield
    except (pa.ArrowNotImplementedError, pa.ArrowMemoryError) as error:
        raise DataError(
            f"source {name!r} holds {kind} that cannot be read here: {error}; write it as another type, or give .csv"
        ) from error
    except UnicodeDecodeError as error:  # values are not decoded here
        raise DataError(
            f"source {name!r}: the name of a column is not UTF-8: {error.object!r:.200}; rename it"
        ) from error
    except (pa.ArrowException, RecursionError) as error:
        raise _damaged(name, kind, error) from error
    except OSError as error:
        if type(error) is not OSError or error.errno is not None:
            raise
        raise _damaged(name, kind, error) from error


def _damaged(name: str, kind: str, error: Exception) -> DataError:
    if "ncrypt" in str(error):
        return DataError(f"source {name!r} is encrypted: decrypt it first ({error})")
    return DataError(f"source {name!r} is no {kind} file, or it is damaged: {error}; copy it again")
