"""Cursors of SQLite, which keeps in a column of texts whatever bytes it was given."""

from typing import Any

from optimove_provider.records.arrow.text_arrays import NOT_UNICODE
from optimove_provider.records.to_json.scalars import UnfitValue


def sqlite_cursor(connection: Any) -> Any:
    """A cursor whose texts are read one by one: one that is not UTF-8 ends no fetch."""
    connection.text_factory = _text
    return connection.cursor()


def _text(raw: bytes) -> str | UnfitValue:
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        shown = raw.decode(errors="backslashreplace")
        return UnfitValue(
            shown, f"{NOT_UNICODE}: {error.reason} at byte {error.start}; cast it in the query, as hex(it)"
        )
