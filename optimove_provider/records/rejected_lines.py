"""The file of a load's rejected rows: one JSON object a line, with the row's number, the reason, the status and the
record; or the text, if the row could not be read."""

import json
from collections.abc import Mapping
from typing import Any

from optimove_provider.records.files import unpacked_name
from optimove_provider.records.rows import Unread

REJECTED_FILE = "rejected.jsonl"
"""The file's name, or what the name ends with."""
REJECTED_ENDING = f".{REJECTED_FILE}"
"""What comes after a load's id."""


def is_rejected_file(name: str) -> bool:
    """Whether this is a file of rejected rows that a load of ours has written, packed or not."""
    return unpacked_name(name).casefold().endswith(REJECTED_FILE)


def rejected_line(row: int, reason: str, status: int | None, record: str) -> bytes:
    """A line of a rejected file: `record` is JSON text, as it was sent, or as it could not be."""
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
