"""Attributes from a list of them, or from the types of a data file's columns: nothing is guessed from values."""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, BinaryIO

import pyarrow as pa

from optimove_provider.contract.cells.datatypes import Attribute, is_key_column
from optimove_provider.contract.cells.registered import one_of_each_name, usable
from optimove_provider.contract.wire.errors import DataError, SettingsError


def listed_attributes(where: str, listed: Any) -> list[Attribute]:
    """Attributes from a list of {"name", "datatype", "format"}; `where` is what errors call it.

    Raises SettingsError, which names everything that is wrong.
    """
    if isinstance(listed, str) or not isinstance(listed, Sequence):
        raise SettingsError(f'{where}: a list of {{"name", "datatype", "format"}} is expected')
    read, complaints = [], []
    for entry in listed:
        try:
            read.append(Attribute.from_json(_mapping(entry)))
        except ValueError as error:
            complaints.append(str(error))
    counts = Counter(attribute.name for attribute in read if not attribute.archived)
    complaints += [f"attribute {name!r} is listed twice: leave one out" for name, count in counts.items() if count > 1]
    if complaints:
        raise SettingsError(f"{where}: " + "; ".join(complaints))
    return usable(one_of_each_name(read))


def attributes_file(stream: BinaryIO, path: str) -> list[Attribute]:
    """The same from a JSON file with such a list."""
    try:
        listed = json.load(stream)
    except (ValueError, RecursionError) as error:
        raise SettingsError(f"attributes file {path!r} is no JSON: {error}; `infer` writes one that is") from None
    return listed_attributes(f"attributes file {path!r}", listed)


def _mapping(entry: Any) -> Mapping[str, Any]:
    if not isinstance(entry, Mapping):
        raise ValueError(f'{entry!r} is no {{"name", "datatype", "format"}}: expected as `infer` writes it')
    return entry


_KINDS: tuple[tuple[Callable[[pa.DataType], bool], str, str | None], ...] = (
    (pa.types.is_boolean, "bool", None),
    (pa.types.is_integer, "long", None),
    (pa.types.is_floating, "double", None),
    (pa.types.is_decimal, "double", None),
    (pa.types.is_date, "datetime", "yyyy-mm-dd"),
    (pa.types.is_timestamp, "datetime", "yyyy-mm-ddThh:mm:ssZ"),
    (pa.types.is_string, "string", None),
    (pa.types.is_large_string, "string", None),
    (pa.types.is_string_view, "string", None),
)


def typed_attributes(stream: BinaryIO, name: str) -> list[Attribute]:
    """The attributes of a .parquet or .arrow file: each column but customerId, by its Arrow type.

    Raises DataError for a file that cannot be read, SettingsError that names every column of another type.
    """
    return attributes_of(_schema(stream, name), name)


def _schema(stream: BinaryIO, name: str) -> pa.Schema:
    import pyarrow.parquet as pq

    try:
        if name.casefold().endswith(".parquet"):
            return pq.read_schema(stream)
        with pa.ipc.open_file(stream) as reader:
            return reader.schema
    except pa.ArrowInvalid as error:
        raise DataError(f"{name!r} is no Parquet or Arrow file, or it is damaged: {error}; write it again") from None


def attributes_of(schema: pa.Schema, name: str) -> list[Attribute]:
    """The attributes of a schema; `name` is what errors call it."""
    found, complaints = [], []
    for column in schema:
        if is_key_column(column.name):
            continue
        dictionary = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
        kind = next(((datatype, format) for fits, datatype, format in _KINDS if fits(dictionary)), None)
        if kind is None:
            complaints.append(
                f"column {column.name!r} is {column.type}, which is no datatype of DCP: cast it, as to text"
            )
        else:
            found.append(Attribute(column.name, *kind))
    if complaints:
        raise SettingsError(f"{name!r}: " + "; ".join(complaints))
    return found
