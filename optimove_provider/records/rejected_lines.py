"""The file of rejected rows: one JSON object a line, with the row's number, the reason and the record."""

import json

from optimove_provider.records.files import _unpacked
from optimove_provider.records.rows import Unread

_REJECTED = "rejected.jsonl"


def is_rejected_file(name: str) -> bool:
    """Whether this is a file of rejected rows that a load of ours has written."""
    return _unpacked(name).casefold().endswith(_REJECTED)


def rejected_line(row: int, reason: str, status: int | None, record: str) -> bytes:
    """A line of a rejected file: `record` is JSON text, as it was sent, or as it could not be."""
    told = f'"row":{row},"reason":{json.dumps(reason, ensure_ascii=False)},"status":{json.dumps(status)}'
    return f'{{{told},"record":{record}}}\n'.encode("utf-8", "surrogateescape")


def unread_line(row: int, unread: Unread) -> bytes:
    """The line of a row that could not be read."""
    told = {"row": row, "reason": unread.reason, "status": None, "text": unread.text}
    return json.dumps(told, ensure_ascii=False).encode("utf-8", "surrogateescape") + b"\n"
