"""Stamps: fields that a load adds to each record that it sends, such as when it was synced.

They are kept beside the records, as one JSON object a row, since they are no part of what a row says: no fingerprint
has them. They join the record where a request is made.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pyarrow as pa

from optimove_provider.contract.wire.errors import SettingsError
from optimove_provider.records.to_json.columns import texts
from optimove_provider.records.to_json.scalars import NoForm, check_type, string_text

MAX_BYTES = 4096
"""Of a stamp as JSON: each record carries it."""
_NO_VALUES = (Mapping, list, tuple, set, frozenset)


def stamp_text(fields: Mapping[str, Any] | None) -> str:
    """The fields as one JSON object, in the order of their names; "" if there are none.

    Raises SettingsError for a value that could be none of a row, or is no single one.
    """
    if not fields:
        return ""
    members = (f"{string_text(name)}:{_value_text(name, fields[name])}" for name in sorted(fields))
    text = "{" + ",".join(members) + "}"
    if (size := len(text.encode())) > MAX_BYTES:
        raise SettingsError(
            f"stamp= has {size} bytes as JSON; at most {MAX_BYTES} are taken, as each record carries them: leave "
            "fields out"
        )
    return text


def _value_text(name: str, value: Any) -> str:
    if value is None or isinstance(value, _NO_VALUES):
        raise SettingsError(
            f"stamp={{{name!r}: {value!r:.200}}}: expected a text, a number, a truth value or an instant"
        )
    try:
        column = pa.array([value])
        check_type(column.type)
        found = texts(column)
    except (NoForm, pa.ArrowException, OverflowError, TypeError, ValueError) as error:
        raise SettingsError(
            f"stamp={{{name!r}: {value!r:.200}}} has no form in JSON: {error}; give another value"
        ) from None
    if found.unfit:
        raise SettingsError(f"stamp={{{name!r}: {value!r:.200}}} cannot be sent: {found.unfit[0]}; give another value")
    return str(found.whole()[0].as_py())


def fields_of(stamp: str) -> dict[str, Any]:
    """The fields of a stamp as values of Python's; none of ""."""
    return dict(json.loads(stamp)) if stamp else {}


def refuse_collision(stamp: Iterable[str], columns: Iterable[str]) -> None:
    """Raise SettingsError, naming both, for a stamp that is called like a column: the one would hide the other.

    Names that differ in capitals only collide too: whether Opti-X tells them apart is documented nowhere.
    """
    known = {name.casefold(): name for name in columns}
    for name in stamp:
        if (column := known.get(name.casefold())) is not None:
            raise SettingsError(
                f"the stamp {name!r} collides with the column {column!r} of the source, and nothing was sent: call the "
                "stamp something else, or leave the column out of the source"
            )


def stamped_records(records: pa.StringArray, stamps: pa.StringArray) -> pa.StringArray:
    """Records as they are sent, each with the fields of its stamp at its end; those without one as they are."""
    return _joined(records, stamps, lambda record, stamp: f"{record[:-1]},{stamp[1:]}")


_AFTER_DATA = '},"ttl":'


def stamped_items(items: pa.StringArray, stamps: pa.StringArray) -> pa.StringArray:
    """The same of the items of an update, whose fields lie in `data`, which only `ttl` comes after."""
    return _joined(items, stamps, _stamped_item)


def _joined(records: pa.StringArray, stamps: pa.StringArray, join: Callable[[str, str], str]) -> pa.StringArray:
    if stamps.null_count == len(stamps):
        return records
    pairs = zip(records.to_pylist(), stamps.to_pylist(), strict=True)
    return pa.array([join(record, stamp) if stamp else record for record, stamp in pairs], pa.string())


def _stamped_item(item: str, stamp: str) -> str:
    end = item.rindex(_AFTER_DATA)
    comma = "" if item[end - 1] == "{" else ","
    return f"{item[:end]}{comma}{stamp[1:-1]}{item[end:]}"
