"""Sources that move and the targets they are loaded into, and what became of each row, as the emulator's log tells."""

import random
import uuid
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from optimove_provider.clients.dcp import DcpClient
from optimove_provider.clients.settings import DcpSettings
from optimove_provider.contract.cells.datatypes import Attribute
from optimove_provider.emulator.model.optix import Connection
from optimove_provider.emulator.server import EmulatorServer
from tests.support.backfill.postgres import Postgres

WAREHOUSE = "warehouse"
ROWS = {"optix": 12_000, "dcp": 3_000}
CHANGED = 0.45
"""This share of the rows changes from load to load: of more, a guard would stop the load."""

Rows = dict[str, tuple[int, str]]
"""Key -> visits and note."""


@dataclass(frozen=True)
class Verdict:
    """What became of one load. `sent` counts rows that the server took, `doubled` rows and batches that came on top of
    the load or twice with other content, `half` requests and files that came after something was visible already."""

    rows: int
    sent: int
    lost: int
    doubled: int
    half: int
    unaccounted: int

    @property
    def is_right(self) -> bool:
        """Whether no row was lost, doubled, visible early, or reported wrongly."""
        return not (self.lost or self.doubled or self.half or self.unaccounted)


class Lane:
    """A table of the warehouse and the target of its loads, one at a time. `dag_id` is the way of loading; `key` is
    what the target calls the column with the key."""

    key: str

    def __init__(self, dag_id: str, number: int, postgres: Postgres, chance: random.Random) -> None:
        self.dag_id, self.table, self._postgres, self._chance = dag_id, f"{dag_id}_{number}", postgres, chance
        self.rows: Rows = {}
        self.target = ""

    def move(self) -> None:
        """Change the source: all rows at first, then a part of them."""
        keys = [f"{number:06}" for number in range(ROWS[self.dag_id.split("_")[0]])]
        chosen = self._chance.sample(keys, round(len(keys) * CHANGED)) if self.rows else keys
        for key in chosen:
            visits, _ = self.rows.get(key, (0, ""))
            self.rows[key] = (visits + 1, f"{key} for the {visits + 1}. time")
        values = ",".join(f"('{key}',{visits},'{note}')" for key, (visits, note) in self.rows.items())
        with closing(self._postgres.connect(WAREHOUSE)) as connection, connection, connection.cursor() as cursor:
            cursor.execute(f"DROP TABLE IF EXISTS {self.table}")
            cursor.execute(f"CREATE TABLE {self.table} (id text, visits integer, note text)")
            cursor.execute(f"INSERT INTO {self.table} VALUES {values}")  # noqa: S608 - our own words

    def make_target(self, emulator: EmulatorServer, client: DcpClient) -> None:
        """Make the data connection or the table."""
        raise NotImplementedError

    def mark(self, emulator: EmulatorServer) -> None:
        """Before a load: note how far the log is."""
        raise NotImplementedError

    def is_under_way(self, emulator: EmulatorServer) -> bool:
        """Whether the target has got anything since `mark`."""
        raise NotImplementedError

    def judge(self, emulator: EmulatorServer, account: Mapping[str, Any]) -> Verdict:
        """After the load: compare the target with the source, value by value, and with the log since `mark`."""
        raise NotImplementedError

    def _unaccounted(self, account: Mapping[str, Any]) -> int:
        """How far the account of the load is from the truth: every row was accepted, or was there."""
        told = account.get("accepted", 0) + account.get("unchanged", 0)
        return abs(len(self.rows) - account.get("rows", 0)) + abs(len(self.rows) - told)


@dataclass
class _Seen:
    """How far the log of a data connection was."""

    received: int = 0
    batches: dict[str, int] = field(default_factory=dict)


class OptixLane(Lane):
    """Into a data connection of its own."""

    key = "id"

    def make_target(self, emulator: EmulatorServer, client: DcpClient) -> None:
        self.target = str(uuid.uuid5(uuid.NAMESPACE_URL, self.table))
        emulator.state.connections[self.target] = Connection(self.target, self.table, "id")

    def mark(self, emulator: EmulatorServer) -> None:
        connection = emulator.state.connections[self.target]
        self._before = _Seen(connection.records_received, _completions(connection))

    def is_under_way(self, emulator: EmulatorServer) -> bool:
        return emulator.state.connections[self.target].records_received > self._before.received

    def judge(self, emulator: EmulatorServer, account: Mapping[str, Any]) -> Verdict:
        connection = emulator.state.connections[self.target]
        visible = {key: record.data for key, record in connection.visible(emulator.state.clock()).items()}
        right = {key: {"id": key, "visits": visits, "note": note} for key, (visits, note) in self.rows.items()}
        lost = sum(visible.get(key) != row for key, row in right.items())
        new = {
            name: times for name, times in _completions(connection).items() if times != self._before.batches.get(name)
        }
        reopened = sum(name in self._before.batches for name in new)
        extra = len(visible.keys() - right.keys()) + max(len(new) - 1, 0) + reopened
        sent = connection.records_received - self._before.received
        return Verdict(len(right), sent, lost, extra, self._early(emulator), self._unaccounted(account))

    def _early(self, emulator: EmulatorServer) -> int:
        """How many requests, of any batch of this connection that was completed, came after the one that completed it,
        and were another one: the rows of these were not there when the others could be seen."""
        early, closed = 0, dict[str, str]()
        for one in list(emulator.state.requests):
            if self.target not in one["path"] or not one.get("batch_uuid") or not _was_taken(one):
                continue
            closing = closed.get(one["batch_uuid"])
            early += closing is not None and closing != one["sha256"]
            if one["batch_completed"]:
                closed.setdefault(one["batch_uuid"], one["sha256"])
        return early


def _completions(connection: Connection) -> dict[str, int]:
    return {name: batch.completions for name, batch in connection.batches.items() if batch.completions}


def _was_taken(one: Mapping[str, Any]) -> bool:
    return one["status"] == 200 or str(one["lost"] or "").endswith("after the work was done")


class DcpLane(Lane):
    """Into a table of its own, through S3."""

    key = "customerId"

    def make_target(self, emulator: EmulatorServer, client: DcpClient) -> None:
        service = client.ensure_service("Kills").id
        self.target = str(client.ensure_table(service, self.table, "uid").id)
        client.ensure_attributes(int(self.target), [Attribute("visits", "long"), Attribute("note", "string")])

    def mark(self, emulator: EmulatorServer) -> None:
        self._before = {upload.found.key for upload in self._uploads(emulator)}
        self._objects = self._keys(emulator)

    def is_under_way(self, emulator: EmulatorServer) -> bool:
        return self._keys(emulator) > self._objects

    def judge(self, emulator: EmulatorServer, account: Mapping[str, Any]) -> Verdict:
        profiles = emulator.state.tables[int(self.target)].profiles
        right = {key: {"visits": visits, "note": note} for key, (visits, note) in self.rows.items()}
        lost = sum(profiles.get(key) != row for key, row in right.items())
        new = [upload for upload in self._uploads(emulator) if upload.found.key not in self._before]
        unknown = sum(upload.found.key not in account.get("s3_keys", ()) for upload in new)
        extra = len(profiles.keys() - right.keys()) + unknown
        sent = sum(upload.rows_processed for upload in new)
        # A file with fewer rows than the load has accepted would have been visible in part.
        half = sum(upload.status != "completed" for upload in new) + (sent != account.get("accepted", 0))
        return Verdict(len(right), sent, lost, extra, half, self._unaccounted(account))

    def _keys(self, emulator: EmulatorServer) -> set[str]:
        path = emulator.state.tables[int(self.target)].path
        return {one.key for one in list(emulator.state.objects.list()) if one.key.startswith(f"{path}/")}

    def _uploads(self, emulator: EmulatorServer) -> list[Any]:
        return [upload for upload in list(emulator.state.uploads) if upload.table_id == int(self.target)]


def client_of(emulator: EmulatorServer, token: str) -> DcpClient:
    """Who makes tables there."""
    return DcpClient(
        DcpSettings(conn_id="kills", host=f"{emulator.url}/experiment/v1", token=token, requests_per_10s=1000)
    )
