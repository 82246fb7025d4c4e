"""The upload history, in the form that a connection's `upload_history_url` is to serve. No I/O here.

The vendor documents none: every part of its form is a guess, and ours.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from email.utils import format_datetime
from typing import Any

from optimove_provider.contract.dcp import config as dcp
from optimove_provider.contract.dcp.config import IMPORT_BUCKET
from optimove_provider.contract.wire.messages import Endpoint, Response
from optimove_provider.emulator.api.dcp.config import refuse
from optimove_provider.emulator.api.dcp.lists import table_of
from optimove_provider.emulator.api.routes import PREFIXES, Api, Call, Handler
from optimove_provider.emulator.importer.importer import advance
from optimove_provider.emulator.model.switches import Switches
from optimove_provider.emulator.model.upload import Upload
from optimove_provider.emulator.replies import json_answer


def _admit_everybody(call: Call) -> None:
    """The history is no vendor's: it takes no token."""


def _upload_history(call: Call) -> Response:
    table, switches = table_of(call), call.state.switches
    advance(call.state, polled_table=table.id)
    entries = [_entry(upload, switches) for upload in call.state.uploads if upload.table_id == table.id]
    if len(entries) > 1 and switches.history_order == "newest_first":
        entries.reverse()
    return json_answer(200, entries)


def _entry(upload: Upload, switches: Switches) -> dict[str, Any]:
    entry = upload.entry.as_json()
    if not switches.history_counts:
        del entry["rows_processed"], entry["rows_failed"]
    return entry | {
        "file": _NAMES[switches.history_names](upload.found.key),
        "status": _STATES[switches.history_states](upload.status),
        "created": _TIMES[switches.history_times](datetime.fromisoformat(upload.created)),
    }


_NAMES: Mapping[str, Callable[[str], str]] = {
    "key": lambda key: key,
    "name": lambda key: key.rpartition("/")[2],
    "url": lambda key: f"https://{IMPORT_BUCKET}.s3.amazonaws.com/{key}",
}
_STATES: Mapping[str, Callable[[str], str]] = {
    "lower": lambda status: status,
    "upper": str.upper,
    "other": lambda status: f"import {status}",
}
_TIMES: Mapping[str, Callable[[datetime], Any]] = {
    "iso": lambda created: created.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
    "seconds": lambda created: int(created.timestamp()),
    "milliseconds": lambda created: int(created.timestamp() * 1000),
    "mail": lambda created: format_datetime(created, usegmt=True),
    "none": lambda created: None,
}


HISTORY_HANDLERS: dict[Endpoint, Handler] = {dcp.UPLOAD_HISTORY: _upload_history}
HISTORY = Api(PREFIXES[dcp.HISTORY_API], HISTORY_HANDLERS, _admit_everybody, refuse)
