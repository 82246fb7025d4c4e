"""An emulated data connection, and loads into it."""

import hashlib
import json
from collections.abc import Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
from fsspec.implementations.local import LocalFileSystem

from optimove_provider.clients.optix import OptixClient
from optimove_provider.clients.settings import OptixSettings
from optimove_provider.emulator import API_KEY, BRAND_KEY, State, send
from optimove_provider.loads.ledger.ledger import ledger_of
from optimove_provider.loads.optix.load import load
from optimove_provider.loads.optix.options import OptixTarget, UploadOptions
from optimove_provider.loads.report.report import Report
from optimove_provider.loads.state.staging import Staging
from optimove_provider.options import Sending
from tests.support.ledgers import let_lease_end
from tests.support.virtual_time import ClientTime

SETTINGS = OptixSettings(
    conn_id="optix_default",
    host="http://emulator/api/data-connections/v1",
    api_key=API_KEY,
    brand_api_key=BRAND_KEY,
    requests_per_10s=100_000,
)
LOAD_ID = "6f0f5d3a-0000-4000-8000-000000000000"


class Killed(BaseException):
    """The process is gone: nothing after it runs."""


class Target:
    """`kill_at` is the number of the request, from 1, at which the process dies: before it is answered, or after."""

    def __init__(self, folder: Path) -> None:
        self.state, self.bodies, self.time = State(), [], ClientTime()
        self.kill_at, self.killed_after = 0, False
        self.staging = Staging(LocalFileSystem(), str(folder))
        self.client = OptixClient(SETTINGS, send=self.send, surroundings=self.time.surroundings)
        self.data_connection_uuid = self.client.create_connection("customers", "id")
        self.state.requests.clear()
        self.bodies.clear()

    def send(self, request: Any) -> Any:
        self.bodies.append(request.body)
        dies = len(self.bodies) == self.kill_at
        if dies and not self.killed_after:
            raise Killed
        answer = send(self.state, request)
        if dies:
            raise Killed
        return answer

    def load(self, rows: Iterable[Any], load_id: str = LOAD_ID, **settings: Any) -> Report:
        """Settings are those of OptixTarget, Sending and UploadOptions together."""
        resumed, report = settings.pop("resumed", False), Report(load_id, self.named)
        self.report = report
        load(self.client, lambda: opened(rows), self.staging, report, self.wanted(**settings), resumed=resumed)
        return report

    def wanted(self, **settings: Any) -> UploadOptions:
        target = {name: settings.pop(name) for name in ("key_type", "ttl_seconds") if name in settings}
        sending = {name: settings.pop(name) for name in Sending.kinds() if name in settings}
        sending = {"max_in_flight": 1, **sending}
        return UploadOptions(
            OptixTarget(self.data_connection_uuid, "id", **target), sending=Sending(**sending), **settings
        )

    def let_a_minute_pass(self) -> None:
        """Nobody has the lease then, nor is anything on its way any more whose answer was lost."""
        self.time.sleep(60)
        let_lease_end(self.ledger)

    @property
    def ledger(self) -> Any:
        return ledger_of(self.staging, "optix", self.client.settings.host, self.data_connection_uuid)

    @property
    def named(self) -> dict[str, Any]:
        """What a report calls it."""
        return self.client.settings.target("optix", self.data_connection_uuid)

    @property
    def requests(self) -> list[tuple[int, bool, str]]:
        return [(one["records"], one["batch_completed"], one["batch_uuid"]) for one in self.state.requests]

    @property
    def digests(self) -> list[str]:
        return [hashlib.sha256(body).hexdigest() for body in self.bodies]

    @property
    def visible(self) -> dict[str, Any]:
        found = self.state.connections[self.data_connection_uuid].visible(self.state.clock())
        return {key: record.data for key, record in found.items()}

    @property
    def completed(self) -> set[str]:
        return self.state.connections[self.data_connection_uuid].completed_batches

    @property
    def rejected(self) -> list[dict[str, Any]]:
        """The rejected file of the last load, without what each line says of that load."""
        with self.staging.open(f"reports/{self.report.load_id}.rejected.jsonl") as lines:
            return [_without_marker(json.loads(line)) for line in lines]


def _without_marker(line: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in line.items() if name not in ("load", "generation", "opened")}


@contextmanager
def opened(rows: Iterable[Any]) -> Any:
    yield iter(rows)


def numbered(count: int, bad: Iterable[int] = (), poison: Iterable[int] = ()) -> Any:
    """Rows in batches of 4000: those in `bad` (counted from 1) hold a NaN, those in `poison` the word."""
    bad, poison = set(bad), set(poison)
    for first in range(0, count, 4000):
        rows = range(first + 1, min(first + 4000, count) + 1)
        values = [float("nan") if row in bad else row / 4 for row in rows]
        words = ["poison" if row in poison else "well" for row in rows]
        yield pa.RecordBatch.from_pydict({"id": list(rows), "n": values, "word": words})


def record(row: int) -> dict[str, Any]:
    """What of `numbered` is to be visible."""
    return {"id": str(row), "n": row / 4, "word": "well"}
