"""Everything that an emulator remembers. No I/O, no threads; the clock and the bucket are handed in."""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from optimove_provider.emulator.connections import Connection
from optimove_provider.emulator.faults import Faults
from optimove_provider.emulator.ids import Ids
from optimove_provider.emulator.objects import MemoryObjects, ObjectStore, StoredObject
from optimove_provider.emulator.tables import Service, Table
from optimove_provider.emulator.uploads import Upload

API_KEY = "emulator-api-key"
BRAND_KEY = "emulator-brand-key"
TOKEN = "emulator-token"  # noqa: S105 - published: it opens nothing but this emulator
REMEMBERED_REQUESTS = 10_000


@dataclass(frozen=True, slots=True)
class Switches:
    """What the vendors leave open, or what a test wants to see. Each default is a guess, named beside it."""

    # How long an import takes is documented nowhere. An import is done when the history has been asked this
    # often ...
    import_after_polls: int = 0
    # ... and this long after the emulator noticed the file. Both zero: as soon as the file is noticed.
    import_after_seconds: float = 0.0
    # The guide contradicts itself: "store the successfully processed rows" against "if an attribute value
    # doesn't respect the attribute's datatype/format, the upload will fail". Guess: one bad value fails the
    # whole file, and nothing of it is stored. "row" stores the good rows and counts the bad ones.
    row_failure: Literal["file", "row"] = "file"


class State:
    """One emulator. `seed` makes its ids the same again; `objects` is the import bucket."""

    def __init__(
        self,
        clock: Callable[[], float] = time.time,
        objects: ObjectStore | None = None,
        seed: str | None = None,
    ):
        self.clock = clock
        self.ids = Ids(seed)
        self.objects: ObjectStore = objects if objects is not None else MemoryObjects()
        self.reset()

    def reset(self) -> None:
        """Forget everything. Ids go on, so no table is made to which an object in the bucket belongs."""
        self.switches = Switches()
        self.connections: dict[str, Connection] = {}
        self.services: dict[int, Service] = {}
        self.tables: dict[int, Table] = {}
        self.uploads: list[Upload] = []
        self.faults = Faults()
        self.violations: list[str] = []
        self.requests: deque[dict[str, Any]] = deque(maxlen=REMEMBERED_REQUESTS)
        self.noticed: set[StoredObject] = set()

    def ignore_present_objects(self) -> None:
        """Take what is in the bucket now for imported long ago."""
        self.noticed.update(self.objects.list())

    def timestamp(self) -> str:
        """Now, as the DCP reference prints instants: 2015-08-20T23:26:08.414110Z."""
        return datetime.fromtimestamp(self.clock(), UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
