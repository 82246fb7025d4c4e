"""A table's attributes as a DAG states them."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from optimove_provider.contract.cells.datatypes import Attribute
from optimove_provider.contract.wire.errors import SettingsError
from optimove_provider.tasks.sources import open_file

Attributes = str | Sequence[Mapping[str, Any]] | Mapping[str, str]
"""A path, a list of {"name", "datatype", "format"}, or a mapping of names to datatypes."""


def read_attributes(attributes: Attributes) -> list[Attribute]:
    """Attributes as they are listed, or from a path: a JSON file with a list, or a .parquet or .arrow file's types.

    In a mapping a datatype is one word, and for datetime the format follows: {"LTV": "long", "born": "datetime
    yyyy-mm-dd"}. Raises SettingsError, which names everything that is wrong.
    """
    from optimove_provider.records.attributes import listed_attributes

    if isinstance(attributes, Mapping):
        return listed_attributes("attributes", [_entry(*one) for one in attributes.items()])
    if isinstance(attributes, str) and attributes.casefold().endswith((".parquet", ".arrow")):
        return _typed(attributes)
    where, listed = ("attributes", attributes) if not isinstance(attributes, str) else _file(attributes)
    return listed_attributes(where, listed)


def _entry(name: str, kind: str) -> dict[str, Any]:
    datatype, _, format = str(kind).partition(" ")
    return {"name": name, "datatype": datatype, "format": format or None}


def _typed(path: str) -> list[Attribute]:
    from optimove_provider.records.attributes import typed_attributes

    with open_file(path) as stream:
        return typed_attributes(stream, path)


def _file(path: str) -> tuple[str, Any]:
    with open_file(path) as stream:
        try:
            return f"attributes file {path!r}", json.load(stream)
        except ValueError as error:
            raise SettingsError(f"attributes file {path!r} is no JSON: {error}; `infer` writes one that is") from None
