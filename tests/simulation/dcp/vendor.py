"""DCP as a world has it: the emulator, a bucket, an importer that takes its time, trouble on the way, and a judge.

The judge knows nothing of the code under test. Each value bears the hidden version of its customer, and what is visible
of an attribute of a customer may never fall back to an older one, but for what nobody can prevent: see `_may_fall`.
"""

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any

from optimove_provider.contract.wire.messages import Answer, Lost, Request, Response
from optimove_provider.emulator import TOKEN, State, send
from optimove_provider.emulator.importer.importer import advance
from optimove_provider.emulator.model.dcp import Table
from optimove_provider.emulator.model.switches import Switches
from optimove_provider.emulator.model.upload import Upload
from tests.simulation.answers import ANSWERS, DONE, without_work
from tests.simulation.dcp.tasks import ATTRIBUTES
from tests.simulation.dcp.trouble import Trouble
from tests.simulation.source import version_of
from tests.support.crash.memory_s3 import MemoryS3

if TYPE_CHECKING:
    from tests.simulation.airflow import Try
    from tests.simulation.dcp.table import DcpTable

Customer = str
Place = tuple[Customer, str]
"""A customer, and the name of an attribute."""
MOMENT = 0.001
PERMISSIONS = ("all", "get_put_only", "no_part", "no_complete", "no_abort", "no_head", "no_look", "no_if_none_match")
_SWITCHES: Mapping[str, tuple[Any, ...]] = {
    "row_failure": ("row",),
    "object_after_import": ("remove", "move"),
    "history_counts": (False,),
    "history_order": ("newest_first",),
    "history_names": ("name", "url"),
    "history_states": ("upper",),
    "profile_lag_seconds": (20.0,),
    "read_values": ("text",),
    "unknown_profile": ("empty",),
    "profile_write_answer": ("echo",),
}
"""What may be otherwise than guessed."""
_MADE = ("no upload history", *(f"s3_permissions={one}" for one in PERMISSIONS[1:]))
ODDITIES = (*(f"{name}={value}" for name, values in _SWITCHES.items() for value in values), *_MADE)
_REFUSALS = ("refused", "refused by name", "too large", "conflict", "not found")
"""Faults that say of a profile that it is bad, although it is not."""


@dataclass(frozen=True)
class Write:
    """Who wrote, and when he asked for it: a file is imported later than it is put."""

    name: str
    at: float
    waits: bool
    """Whether it is sent only while no file is open that might overwrite it: an import of what changed, unless a person
    has said that there is none."""
    settles: bool = False
    """Whether a person has said so, and may be wrong by now."""
    looking_done: frozenset[int] = frozenset()
    """The files, by their numbers, that were open then, and could not be told from imported ones: there is no history,
    and each profile of them has their values, or newer ones, by others."""


class Vendor:
    """One emulator with one table. `visible` is the version of each value, and who wrote it; `fallen` are the places
    where an older value lies over a newer one, or a newer one was dropped, and nobody could prevent it; `misled` those
    of them of which a ledger cannot know. `doubted` are customers of whom a row was refused that was right."""

    def __init__(self, target: "DcpTable", random: Random) -> None:
        self.target, self.world = target, target.world
        self.state = State(lambda: self.world.now().timestamp(), seed=str(self.world.seed))
        self.trouble = Trouble(self.world.chaos, Random(random.random()))
        self.s3 = MemoryS3(random.choices(PERMISSIONS, (8, 2, 1, 1, 1, 1, 1, 1))[0])
        self._random = Random(random.random())
        self._slow = random.choice((60.0, 600.0, 6000.0))
        self._history_lag = random.choice((0.0, 0.0, 90.0))
        other = {name: random.choice(values) for name, values in _SWITCHES.items() if random.random() < 0.25}
        self.state.switches = Switches(import_after_seconds=MOMENT, **other)
        self.doubted = set[Customer]()
        self.visible = dict[Place, tuple[int, Write]]()
        self.fallen = set[Place]()
        self.misled = set[Place]()
        self._dropped, self._brings = dict[str, list[Customer]](), list[dict[Place, int]]()
        self._writes, self._seen = list[Write](), set[int]()
        self._last_history = b"[]"

    @property
    def oddities(self) -> list[str]:
        """What is not as guessed."""
        set_to = {name: getattr(self.state.switches.plain, name) for name in _SWITCHES}
        found = [f"{name}={value}" for name, value in set_to.items() if value != getattr(Switches(), name)]
        found += ["no upload history"] if not self.target.settings.upload_history_url else []
        return found + ([f"s3_permissions={self.s3.permissions}"] if self.s3.permissions != "all" else [])

    # Requests

    def send(self, request: Request, sender: "Try") -> Answer:
        """What a client gets."""
        world, name = self.world, request.endpoint.name if request.endpoint else ""
        world.step(f"request {name}")
        fault = world.chaos.of_request()
        if fault:
            world.tell(f"{fault}: {name}")
        if answer := without_work(world, fault, lambda: self._handle(request, sender, is_late=True)):
            return answer
        if name == "read_profile" and fault == "not found":
            fault = ""  # which says that nobody has written him: a lie of which nobody can know
        if fault in ANSWERS:
            self.doubted |= {customer_of(request)} if name == "write_profile" and fault in _REFUSALS else set()
            return _telling(ANSWERS[fault])
        answer = self._handle(request, sender)
        world.step(f"answer {name}")
        if fault == "lost after":
            return Lost("the connection was reset")
        return DONE[fault] if fault in DONE and isinstance(answer, Response) and answer.ok else answer

    def _handle(self, request: Request, sender: "Try", is_late: bool = False) -> Answer:
        name = request.endpoint.name if request.endpoint else ""
        is_write = name == "write_profile"
        if is_write and not is_late:
            self.target.check_writer(sender)
        answer = send(self.state, request)
        if name == "upload_history" and isinstance(answer, Response) and answer.ok:
            answer = self._history(answer)
        told = f" {customer_of(request)} {(request.body or b'').decode()}" if is_write else ""
        status = answer.status if isinstance(answer, Response) else "lost"
        self.world.tell(f"{name}: {status}{told}{' late' if is_late else ''}")
        self._look(Write(sender.task.name, self.world.scheduler.clock, waits=False) if is_write else None)
        return answer

    def _history(self, answer: Response) -> Response:
        entries, now = json.loads(answer.body), self.world.scheduler.clock
        late = {one.found.key.rpartition("/")[2] for one, write in self._files if write.at + self._history_lag > now}
        told = [one for one in entries if one["file"].rpartition("/")[2] not in late]
        body = json.dumps(told).encode()
        fault, old = self.trouble.of_history(), self._last_history
        self._last_history = body
        if fault:
            self.world.tell(fault)
        other = {
            "history lacks files": b"[]",
            "history is old": old,
            "history is odd": json.dumps([None, {"file": 7}, {"status": "completed"}, *told]).encode(),
            "history is cut": body[:-1],
        }
        return Response(200, other.get(fault, body), dict(answer.headers))

    # Files

    @property
    def _files(self) -> list[tuple[Upload, Write]]:
        return list(zip(self.state.uploads, self._writes, strict=True))

    def made(self, key: str, sender: "Try") -> None:
        """An object has become visible: some time later it is imported."""
        world, fault = self.world, self.trouble.of_import()
        body = self._spoilt(key, fault)
        self.state.objects.put(key, body)  # type: ignore[attr-defined]  # it is in memory
        waits, looking_done = self.target.waits_for_files(sender.task), self._looking_done()
        settles = sender.task.settles  # type: ignore[attr-defined]  # it is of this table
        self._writes.append(Write(sender.task.name, world.scheduler.clock, waits, settles, looking_done))
        self._brings.append(_brought_by(self.s3.objects[key][0]))
        advance(self.state)
        upload, after = self.state.uploads[-1], self._delay()
        upload.noticed += after
        world.tell(f"made {key.rpartition('/')[2][-8:]} of {sender.task.name}, to be imported in {after:.0f} s {fault}")
        world.scheduler.spawn("importer", partial(self._import, key), after + 2 * MOMENT)

    def _looking_done(self) -> frozenset[int]:
        if self.target.settings.upload_history_url:
            return frozenset()
        there = {place: version for place, (version, _) in self.visible.items()}
        return frozenset(
            number
            for number, (upload, _) in enumerate(self._files)
            if not upload.finished
            and all(there.get(place, 0) >= version for place, version in self._brings[number].items())
        )

    def _delay(self) -> float:
        if self.world.chaos.healed:
            return self._random.random() * 60.0
        return self._random.random() * self._random.choice((1.0, 30.0, self._slow))

    def _spoilt(self, key: str, fault: str) -> bytes:
        body = self.s3.objects[key][0]
        header, *rows = body.splitlines(keepends=True)
        if fault == "row is dropped":
            self._dropped[key] = [_customer_in(rows[0])]
            return b"".join([header, *rows[1:]])
        if fault == "row is refused":
            self._dropped[key] = [_customer_in(rows[-1])]  # where the history counts nothing, nobody can tell that
            return b"".join([header, *rows[:-1], rows[-1].rstrip() + b",more\n"])
        if fault == "import fails":
            return b"no" + body
        return body

    def _import(self, key: str) -> None:
        advance(self.state)
        self._look()
        if self.state.switches.object_after_import != "keep" and all(
            one.finished for one, _ in self._files if one.found.key == key
        ):
            self.s3.objects.pop(key, None)

    @property
    def is_idle(self) -> bool:
        """Whether no file is to be imported any more."""
        return all(upload.finished for upload in self.state.uploads)

    # The judge

    @property
    def table(self) -> Table:
        """It, as the vendor has it."""
        (table,) = (one for one in self.state.tables.values() if not one.is_optimizely)
        return table

    @property
    def secret(self) -> str:
        """The secret key by which files are put."""
        return self.table.service.credentials.secret_key

    @property
    def values(self) -> dict[Place, Any]:
        """What is visible, once it can be read."""
        found: dict[Place, Any] = {}
        for customer, profile in self.table.profiles.items():
            found |= {(customer, name): value for name, value in profile.items()}
        for _, customer, values in self.table.arriving:
            found |= {(customer, name): value for name, value in values.items()}
        return found

    def _look(self, write: Write | None = None) -> None:
        """See what is written now: by a request, or by files whose import is over."""
        for number, (upload, by) in enumerate(self._files):
            if upload.finished and number not in self._seen:
                self._seen.add(number)
                write = by
                self.world.tell(f"{by.name}: {upload.status} {upload.rows_processed} rows {upload.message}")
                dropped = self._dropped.get(upload.found.key, ())
                self.fallen |= {(one, attribute.name) for one in dropped for attribute in ATTRIBUTES}
                if upload.status == "failed" and not self.target.settings.upload_history_url:
                    self.fallen |= self._brings[number].keys()  # where no profile can be read, nothing tells
        for place, value in self.values.items():
            version, before = version_of(str(value)), self.visible.get(place)
            if before and before[0] == version:
                continue
            if write is None:
                self.world.breaks(f"{place} was {before}, and is of version {version}, and nobody has written")
                return
            if before and version < before[0]:
                self._fall(place, before, version, write)
            else:
                self.fallen.discard(place)
                self.misled.discard(place)
            self.visible[place] = (version, write)

    def _fall(self, place: Place, before: tuple[int, Write], version: int, write: Write) -> None:
        newer, number = before[1], next((n for n, (_, by) in enumerate(self._files) if by is write), -1)
        if number in newer.looking_done:
            self.world.coverage.has("files", "one looks imported, and is not")
            self.misled.add(place)
        elif newer.settles:
            self.misled.add(place)
        elif not _may_fall(newer, write):
            self.world.breaks(f"{place} fell from version {before[0]} of {newer} to {version} of {write}")
        self.world.tell(f"{place} fell from version {before[0]} of {newer.name} to {version} of {write.name}")
        self.world.coverage.has("files", "one overtakes what came later")
        self.fallen.add(place)


def _may_fall(newer: Write, older: Write) -> bool:
    """Files are imported in any order, some time after they are put. So what is written while one is open may be
    overwritten by it: by profiles and full imports, which wait for no file that is open. An import of what changed
    does."""
    return older.at < newer.at and not newer.waits


def _customer_in(row: bytes) -> Customer:
    return row.decode().partition(",")[0].strip('"')


def _brought_by(body: bytes) -> dict[Place, int]:
    """The versions that a file has."""
    rows = csv.DictReader(io.StringIO(body.decode()))
    found = ((row.pop("customerId"), row) for row in rows)
    return {(customer, name): version_of(cell) for customer, row in found for name, cell in row.items() if cell}


def _telling(answer: Response) -> Response:
    """The same answer of a server that says in it who has asked."""
    return replace(answer, body=answer.body + f" {TOKEN}".encode()) if answer.status >= 500 else answer


def customer_of(request: Request) -> Customer:
    """Whose profile is read or written."""
    return request.url.rpartition("/")[2]
