"""Rows from where they are, as a stream of Arrow record batches: never a whole file, never a whole result set.

A stream begins with an empty batch, so that its columns are known even if it has no rows. The batches that follow hold
at most `BATCH_ROWS` rows. A row that could not be read comes as `Unread` in its place, so that rows can be numbered by
counting both. In files that have types a column keeps its own, or has none where all values are null; elsewhere its
type is that of its values in the batch.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing
from functools import partial
from typing import Any, BinaryIO

import pyarrow as pa

from optimove_provider.contract.wire.errors import DataError
from optimove_provider.records.arrow.text_arrays import NOT_UNICODE
from optimove_provider.records.files import check_name, decompressed, format_of
from optimove_provider.records.read.arrow_files import arrow_rows
from optimove_provider.records.read.csv_rows import csv_rows
from optimove_provider.records.read.cursors import cursor_rows as cursor_batches
from optimove_provider.records.read.cursors import opened_cursor, rows_read_ahead
from optimove_provider.records.read.drivers.refusals import refusals
from optimove_provider.records.read.json_lines import first_marker, json_rows
from optimove_provider.records.read.parquet_files import parquet_footer, parquet_rows
from optimove_provider.records.read.typed_columns import Columns
from optimove_provider.records.read.values import is_unicode, shown_value
from optimove_provider.records.rejected_lines import Marker
from optimove_provider.records.rows import BATCH_ROWS, Reading, Rows, Unread, only_batches
from optimove_provider.records.to_json.scalars import is_text

__all__ = [
    "BATCH_ROWS",
    "MAX_LIST_ROWS",
    "Rows",
    "Unread",
    "csv_batches",
    "cursor_batches",
    "file_rows",
    "list_batches",
    "only_batches",
    "opened_cursor",
    "refusals",
    "rows_read_ahead",
]

MAX_LIST_ROWS = 5000
"""A list is held in memory, and in the task's rendered fields: what is longer belongs in a file or a query."""

Opened = AbstractContextManager[BinaryIO]


def csv_batches(stream: BinaryIO, name: str) -> Iterator[pa.RecordBatch]:
    """The rows of an unpacked CSV file of which each must be readable. Raises DataError."""
    check_name(name)
    return only_batches(csv_rows(stream, name))


def file_rows(names: Sequence[str], open_file: Callable[[str], Opened]) -> Reading:
    """The rows of one or more files, one after the other, with the columns in the order of the first file.

    `open_file` gives a file's bytes as they are; by its name they are unpacked and read. Raises DataError if the files
    are not of one format, have not the same columns, or if a column's type differs between them.
    """
    format_ = check_together(names, open_file)
    read = _READERS.get(format_) or partial(json_rows, columns=Columns(one_number=True))
    alike = Alike.of_files(names)
    for name in names:
        # A reader is closed before its stream, whoever stops reading first.
        with open_file(name) as stream, closing(read(decompressed(stream, name), name)) as rows:
            yield from alike.of(name, rows) if alike else rows


def check_together(names: Sequence[str], open_file: Callable[[str], Opened]) -> str:
    """The format of files that are read as one source. Raises DataError where they have several, or where one of
    several has rejected rows of a load."""
    formats = {name: format_of(name) for name in names}
    first = names[0]
    for name, format_ in formats.items():
        if format_ != formats[first]:
            raise DataError(
                f"source {name!r} is {format_}, but {first!r} is {formats[first]}: give files of one format"
            )
    if len(names) > 1 and formats[first] == "json":
        refuse_rejected(names, open_file)
    return formats[first]


def row_groups(name: str, open_file: Callable[[str], Opened], groups: range, footer: str) -> Reading:
    """The rows of some row groups of a Parquet file, whose footer was listed under that digest. Raises DataError."""
    with open_file(name) as stream:
        if parquet_footer(stream, name).digest != footer:
            raise DataError(
                f"source {name!r} was written anew since its row groups were listed, and others may have been read "
                "before: nothing of it is sent. Clear the whole group, which lists them again"
            )
        stream.seek(0)
        with closing(parquet_rows(stream, name, groups)) as rows:
            yield from rows


def file_marker(name: str, open_file: Callable[[str], Opened]) -> Marker | None:
    """The marker of a file of a load's rejected rows; None of any other file."""
    if format_of(name) != "json":
        return None
    with open_file(name) as stream:
        return first_marker(decompressed(stream, name))


def refuse_rejected(names: Sequence[str], open_file: Callable[[str], Opened]) -> None:
    """Raise DataError for a file of a load's rejected rows among several files."""
    for name in names:
        if file_marker(name, open_file):
            raise DataError(
                f"source {name!r} has rejected rows of a load, which are as old as that load: load it alone, not with "
                "other files"
            )


_READERS: Mapping[str, Callable[[BinaryIO, str], Reading]] = {
    "csv": csv_rows,
    "parquet": parquet_rows,
    "arrow": arrow_rows,
}


class Alike:
    """Holds the files of a load to the columns of the first one, and to the first type of each."""

    @classmethod
    def of_files(cls, names: Sequence[str]) -> "Alike | None":
        """What files are held to; None for those whose rows may have each their own fields."""
        return None if format_of(names[0]) == "json" else cls(names[0])

    def __init__(self, first: str) -> None:
        self._first, self._names = first, list[str]()
        self._types: dict[str, tuple[pa.DataType, str]] = {}

    def of(self, name: str, rows: Rows) -> Reading:
        """The rows of a file, its columns in the order of the first file's."""
        begun = False
        for item in rows:
            if not begun and isinstance(item, pa.RecordBatch):
                self.hold(name, item.schema)
                begun = True
            yield item if isinstance(item, Unread) else item.select(self._names)

    def hold(self, name: str, schema: pa.Schema) -> None:
        """Hold a file to those before, and those after to it. Raises DataError."""
        names = schema.names
        self._names = self._names or names
        known, there = set(self._names), set(names)
        missing = [column for column in self._names if column not in there]
        more = [column for column in names if column not in known]
        if missing or more:
            differs = [f"lacks {', '.join(map(repr, missing))}"] * bool(missing)
            differs += [f"has also {', '.join(map(repr, more))}"] * bool(more)
            raise DataError(f"source {name!r} {' and '.join(differs)}: the columns of {self._first!r} are expected")
        for field in schema:
            type_, where = self._types.setdefault(field.name, (field.type, name))
            if pa.types.is_null(type_):
                self._types[field.name] = (field.type, name)
            elif _kind(field.type) != _kind(type_) and not pa.types.is_null(field.type):
                raise DataError(
                    f"source {name!r}, row 1, column {field.name!r} is {field.type}, but it is {type_} in {where!r}: "
                    "cast the column to one type"
                )


def _kind(type_: pa.DataType) -> str:
    """The type as JSON sees it: how text is laid out makes no difference."""
    if pa.types.is_dictionary(type_):
        return _kind(type_.value_type)
    return "text" if is_text(type_) else str(type_)


def list_batches(rows: Sequence[Mapping[str, Any]]) -> Rows:
    """A short list of rows as one batch; what is no row comes in its place. A field that a row lacks is null there."""
    if len(rows) > MAX_LIST_ROWS:
        raise DataError(f"{len(rows)} records in a list: at most {MAX_LIST_ROWS}; give a file or a query instead")
    yield from Columns().of_items([_row(row) for row in rows])


def _row(row: object) -> Mapping[str, Any] | Unread:
    """An item of a list as a row: a mapping of which each name is text."""
    try:
        members = dict(row) if isinstance(row, Mapping) else None
    except Exception as error:  # a foreign object, and what it raises
        return Unread(shown_value(row), f"a {type(row).__name__} that cannot be read: {type(error).__name__}")
    if members is None:
        return Unread(shown_value(row), f"no mapping of fields but a {type(row).__name__}")
    if not members:
        return Unread(shown_value(row), "a row without fields")
    for name in members:
        if not isinstance(name, str):
            return Unread(shown_value(row), f"the name {shown_value(name)} of a column is no text")
        if not is_unicode(name):
            return Unread(shown_value(row), f"column {shown_value(name)}: {NOT_UNICODE}")
    return members
