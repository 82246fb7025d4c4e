"""A table's attributes as a DAG states them."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from optimove_provider.tasks.sources import open_file

if TYPE_CHECKING:
    from optimove_provider.contract.cells.datatypes import Attribute

Attributes = str | Sequence[Mapping[str, Any]] | Mapping[str, str]
"""A path, a list of {"name", "datatype", "format"}, or a mapping of names to datatypes."""


def read_attributes(attributes: Attributes) -> "list[Attribute]":
    """Attributes as they are listed, or from a path: a JSON file with a list, or a .parquet or .arrow file's types.

    In a mapping a datatype is one word, and for datetime the format follows: {"LTV": "long", "born": "datetime
    yyyy-mm-dd"}. Raises SettingsError, which names everything that is wrong.
    """
    from optimove_provider.records.attributes import attributes_file, listed_attributes, typed_attributes

    if isinstance(attributes, Mapping):
        return listed_attributes("attributes", [_entry(*one) for one in attributes.items()])
    if not isinstance(attributes, str):
        return listed_attributes("attributes", attributes)
    is_typed = attributes.casefold().endswith((".parquet", ".arrow"))
    with open_file(attributes) as stream:
        return typed_attributes(stream, attributes) if is_typed else attributes_file(stream, attributes)


def _entry(name: str, kind: str) -> dict[str, Any]:
    datatype, _, format = str(kind).partition(" ")
    return {"name": name, "datatype": datatype, "format": format or None}
