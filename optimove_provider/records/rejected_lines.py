"""The file of a load's rejected rows: one JSON object a line, with the load and the age of its rows, the row's number,
the reason, the status and the record; or the text, if the row could not be read."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from optimove_provider.contract.wire.errors import DataError
from optimove_provider.records.files import unpacked_name
from optimove_provider.records.rows import Unread

REJECTED_FILE = "rejected.jsonl"
"""The file's name, or what the name ends with."""
REJECTED_ENDING = f".{REJECTED_FILE}"
"""What comes after a load's id."""


@dataclass(frozen=True, slots=True)
class Marker:
    """What each line says of its load: its id, the instant that its rows stand for, and when they were read."""

    load: str
    generation: datetime
    opened: datetime


def marked(line: bytes, marker: Marker) -> bytes:
    """A line with the marker in it."""
    age = f'"generation":"{marker.generation.isoformat()}","opened":"{marker.opened.isoformat()}"'
    return f'{{"load":{json.dumps(marker.load)},{age},'.encode() + line.removeprefix(b"{")


_MARKER, _ABOUT, _ROW = ("load", "generation", "opened"), frozenset({"row", "reason", "status"}), ("record", "text")


def marker_of(members: Mapping[str, Any]) -> Marker | None:
    """The marker of a line, its members given; None if it is no line of a rejected file.

    Raises DataError for a line that is one, and whose marker is damaged: without it the rows would stand for now.
    """
    if not _is_ours(members):
        return None
    told = [members.get(name) for name in _MARKER]
    try:
        generation, opened = (datetime.fromisoformat(str(one)) for one in told[1:])
        if isinstance(told[0], str) and generation.tzinfo and opened.tzinfo:
            return Marker(told[0], generation, opened)
    except ValueError:
        pass
    shown = ", ".join(f"{name} {one!r:.100}" for name, one in zip(_MARKER, told, strict=True))
    raise DataError(
        f"row {members.get('row', '?')!r:.50} of a file of rejected rows has a damaged marker, {shown}: the load, "
        "and two instants with their offset, say how old its rows are. Take them from the file that the load wrote; or "
        "load the records alone, as rows of now"
    )


def _is_ours(members: Mapping[str, Any]) -> bool:
    """Whether a line was written as one of a rejected file, also if somebody has taken some members out since."""
    marks = sum(name in members for name in _MARKER)
    if marks < len(_MARKER) - 1:  # of nearly every line, so it is asked first
        return False
    rest, has_row = members.keys() - {*_MARKER, *_ROW}, any(name in members for name in _ROW)
    if rest >= _ABOUT and marks == len(_MARKER):
        return True
    return (rest >= _ABOUT or rest <= _ABOUT) and has_row


def is_rejected_file(name: str) -> bool:
    """Whether this is called like a file of rejected rows, packed or not: those of older loads have no marker."""
    return unpacked_name(name).casefold().endswith(REJECTED_FILE)


def rejected_line(row: int, reason: str, status: int | None, record: str) -> bytes:
    """A line of a rejected file: `record` is JSON text, as it was sent, or as it could not be."""
    # A document of a database may stand on several lines: outside of its strings, where a blank does as well.
    record = record.replace("\r", " ").replace("\n", " ")
    members = f'"row":{row},"reason":{json.dumps(reason, ensure_ascii=False)},"status":{json.dumps(status)}'
    return f'{{{members},"record":{record}}}\n'.encode("utf-8", "surrogateescape")


def unread_line(row: int, unread: Unread) -> bytes:
    """The line of a row that could not be read."""
    members = {"row": row, "reason": unread.reason, "status": None, "text": unread.text}
    return json.dumps(members, ensure_ascii=False).encode("utf-8", "surrogateescape") + b"\n"


def rejected_row(members: Mapping[str, Any]) -> dict[str, Any] | Unread | None:
    """The row that a line holds, its members given: a record, or what could not be read then and is not read now.

    None if it is no line of a rejected file.
    """
    text, record = members.get("text"), members.get("record")
    if isinstance(text, str):
        return Unread(text, str(members.get("reason", "")))
    return record if isinstance(record, dict) else None
