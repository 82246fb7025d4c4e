"""A table's attributes as a DAG states them."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from optimove_provider.contract.datatypes import Attribute
from optimove_provider.contract.errors import SettingsError
from optimove_provider.hooks.storage import open_file
from optimove_provider.records.reading import listed_attributes


def read_attributes(attributes: str | Sequence[Mapping[str, Any]]) -> list[Attribute]:
    """Attributes from a list of {"name", "datatype", "format"}, or from the JSON file at a path.

    Raises SettingsError, which names everything that is wrong.
    """
    where, listed = ("attributes", attributes) if not isinstance(attributes, str) else _file(attributes)
    return listed_attributes(where, listed)


def _file(path: str) -> tuple[str, Any]:
    with open_file(path) as stream:
        try:
            return f"attributes file {path!r}", json.load(stream)
        except ValueError as error:
            raise SettingsError(f"attributes file {path!r} is no JSON: {error}") from None
