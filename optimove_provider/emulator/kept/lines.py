"""An emulator's state as lines of JSON, and back: a header, one line for each thing, and a last one that counts them.

No I/O here. Not kept: parts of uploads to S3 that are not completed, and requests that a rate still counts.
"""

import base64
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict
from typing import Any

from optimove_provider.emulator.importer.importer import advance
from optimove_provider.emulator.kept.plain import from_plain, to_plain
from optimove_provider.emulator.model.dcp import Project, Service, Table
from optimove_provider.emulator.model.faults import Fault, ImportFault
from optimove_provider.emulator.model.ids import Ids
from optimove_provider.emulator.model.object_store import StoredObject
from optimove_provider.emulator.model.optix import Connection
from optimove_provider.emulator.model.state import State
from optimove_provider.emulator.model.switches import Switches
from optimove_provider.emulator.model.upload import Upload

WHAT, VERSION = "optimove_provider.emulator", 1
MOST_OBJECT_BYTES = 64 * 2**20
"""Of the objects in the import bucket so many bytes are kept: those that wait for their import, then the newest."""

NOT_KEPT = "the emulator was started anew, and had not kept this file: send it again"


class Unreadable(ValueError):
    """These lines are no state that this version can read."""


def written(state: State, most_object_bytes: int = MOST_OBJECT_BYTES) -> Iterator[str]:
    """The lines, each without a line feed. What was put into the bucket is noticed first."""
    advance(state)
    count = 0
    yield json.dumps({"what": WHAT, "version": VERSION})
    for count, (kind, value) in enumerate(_things(state, most_object_bytes), start=1):  # noqa: B007 - the last one counts them
        yield json.dumps({kind: to_plain(value)}, allow_nan=False)
    yield json.dumps({"end": count})


def _things(state: State, most_object_bytes: int) -> Iterator[tuple[str, Any]]:
    yield "ids", state.ids.position
    plain, default = asdict(state.switches.plain), asdict(Switches())
    yield "switches", {name: value for name, value in plain.items() if value != default[name]}
    yield from (("connection", connection) for connection in state.connections.values())
    yield from (("service", service) for service in state.services.values())
    for table in state.tables.values():
        members = {name: getattr(table, name) for name in Table.__dataclass_fields__ if name != "service"}
        yield "table", {**members, "service_id": table.service.id}
    yield from (("project", project) for project in state.projects.values())
    yield from (("upload", upload) for upload in state.uploads)
    yield from (("fault", fault) for fault in state.faults.answers)
    yield from (("import_fault", fault) for fault in state.faults.imports)
    yield from (("violation", violation) for violation in state.violations)
    yield from (("request", request) for request in state.requests)
    for found in _worth_keeping(state, most_object_bytes):
        with state.objects.read(found) as body:
            yield "object", {"found": found, "etag": state.objects.etag(found), "data": _text(body.read())}


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _worth_keeping(state: State, left: int) -> list[StoredObject]:
    """The objects that clients find, in the order in which they were put, as far as they may be kept."""
    waiting = {upload.found for upload in state.uploads if not upload.finished}
    held = list(state.objects.held())
    kept = set()
    for found in [*(one for one in held if one in waiting), *(one for one in reversed(held) if one not in waiting)]:
        if found.size <= left:
            left -= found.size
            kept.add(found)
    return [one for one in held if one in kept]


def read_into(state: State, lines: Iterable[str]) -> None:
    """Fill a state that is empty. Raises Unreadable; the state is of no use then."""
    reader, last, count = _Reader(state), None, 0
    for number, line in enumerate(lines, start=1):
        try:
            ((kind, value), *more) = json.loads(line).items()
            if number == 1:
                _check_header({kind: value, **dict(more)})
            elif kind == "end":
                last = value
            else:
                count += 1
                reader.take(kind, value)
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise error if isinstance(error, Unreadable) else Unreadable(f"line {number}: {error!r:.200}") from None
    if last != count:
        raise Unreadable("its end is missing")
    reader.finish()


def _check_header(header: Mapping[str, Any]) -> None:
    if header.get("what") != WHAT:
        raise Unreadable("it is no file of this emulator")
    if header.get("version") != VERSION:
        raise Unreadable(f"it is of version {header.get('version')!r:.20}, and this emulator reads {VERSION}")


class _Reader:
    """Takes one thing after the other."""

    def __init__(self, state: State) -> None:
        self._state = state
        state.projects.clear()
        self._take: Mapping[str, Callable[[Any], None]] = {
            "ids": self._ids,
            "switches": self._switches,
            "connection": self._connection,
            "service": self._service,
            "table": self._table,
            "project": self._project,
            "upload": lambda value: state.uploads.append(from_plain(Upload, value)),
            "fault": lambda value: state.faults.restore(from_plain(Fault, value)),
            "import_fault": lambda value: state.faults.restore(from_plain(ImportFault, value)),
            "violation": lambda value: state.violations.append(from_plain(str, value)),
            "request": lambda value: state.requests.append(from_plain(dict[str, Any], value)),
            "object": self._object,
        }

    def take(self, kind: str, value: Any) -> None:
        self._take[kind](value)

    def _ids(self, value: Any) -> None:
        self._state.ids = Ids.at(*from_plain(tuple[str, int, int], value))

    def _switches(self, value: Any) -> None:
        self._state.switches = from_plain(Switches, value)

    def _connection(self, value: Any) -> None:
        connection: Connection = from_plain(Connection, value)
        self._state.connections[connection.data_connection_uuid] = connection

    def _service(self, value: Any) -> None:
        service: Service = from_plain(Service, value)
        self._state.services[service.id] = service

    def _table(self, value: Any) -> None:
        service = to_plain(self._state.services[value.pop("service_id")])
        table: Table = from_plain(Table, {**value, "service": service})
        table.service = self._state.services[table.service.id]
        self._state.tables[table.id] = table

    def _project(self, value: Any) -> None:
        project: Project = from_plain(Project, value)
        self._state.projects[project.id] = project

    def _object(self, value: Any) -> None:
        found: StoredObject = from_plain(StoredObject, value["found"])
        data = base64.b64decode(value["data"], validate=True)
        self._state.objects.restore(found, data, from_plain(str | None, value["etag"]))

    def finish(self) -> None:
        """What is in the bucket was noticed before; what was not kept cannot be imported any more."""
        state = self._state
        state.ignore_present_objects()
        for upload in state.uploads:
            if not upload.finished and upload.found not in state.noticed:
                upload.status, upload.message = "failed", NOT_KEPT
