"""Everything that an emulator remembers. No I/O, no threads; the clock and the bucket are handed in."""

import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from optimove_provider.emulator.model.dcp import Project, Service, Table, example_projects
from optimove_provider.emulator.model.faults import Faults
from optimove_provider.emulator.model.ids import Ids
from optimove_provider.emulator.model.object_store import MemoryObjects, ObjectStore, StoredObject
from optimove_provider.emulator.model.optix import Connection
from optimove_provider.emulator.model.switches import NotedSwitches, Switches
from optimove_provider.emulator.model.upload import Upload

API_KEY = "emulator-api-key"
BRAND_KEY = "emulator-brand-key"
TOKEN = "emulator-token"  # noqa: S105 - published: it opens nothing but this emulator
AWS_ACCESS_KEY = "AKIAEMULATOREXAMPLE1"
AWS_SECRET_KEY = "emulator-secret-key"  # noqa: S105 - published, too
REMEMBERED_REQUESTS = 10_000


class State:
    """One emulator. `seed` makes its ids the same again; `objects` is the import bucket.

    `keeping` says whether what it holds is kept, and where.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.time,
        objects: ObjectStore | None = None,
        seed: str | None = None,
    ):
        self.clock = clock
        self.ids = Ids(seed)
        self.objects: ObjectStore = objects if objects is not None else MemoryObjects()
        self.keeping = "Everything is gone when the emulator stops."
        self.reset()

    def reset(self) -> None:
        """Forget everything. Ids go on, so no table is made to which an object in the bucket belongs."""
        self.switches = Switches()
        self.connections: dict[str, Connection] = {}
        self.services: dict[int, Service] = {}
        self.tables: dict[int, Table] = {}
        self.projects: dict[int, Project] = example_projects()
        self.uploads: list[Upload] = []
        self.faults = Faults()
        self.violations: list[str] = []
        # When requests were let in, for as long as a rate counts them: of Opti-X, and of DCP.
        self.recent: deque[float] = deque()
        self.dcp_recent: deque[float] = deque()
        self.requests: deque[dict[str, Any]] = deque(maxlen=REMEMBERED_REQUESTS)
        self.noticed: set[StoredObject] = set()

    @property
    def switches(self) -> NotedSwitches:
        """What the guesses are set to; `met` has those that were read since they were set."""
        return self._switches

    @switches.setter
    def switches(self, switches: Switches) -> None:
        self._switches = NotedSwitches(switches)

    def look_at(self, connection: Connection) -> None:
        """Let the open batches of a connection end whose time is over, and what is on its way arrive."""
        now = self.clock()
        connection.show_accepted(now)
        if connection.open_batches and (seconds := self.switches.open_batch_seconds):
            connection.forget_batches(now - seconds)

    def ignore_present_objects(self) -> None:
        """Take what is in the bucket now for imported long ago."""
        self.noticed.update(self.objects.list())

    def timestamp(self) -> str:
        """Now, as the DCP reference prints instants: 2015-08-20T23:26:08.414110Z."""
        return datetime.fromtimestamp(self.clock(), UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
