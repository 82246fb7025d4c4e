"""A table with a past, and the import of what changed that is kept at each of its stages."""

import uuid

from fsspec.implementations.local import LocalFileSystem

from tests.support.crash.dying import DyingStaging
from tests.support.crash.dying_table import DyingTable
from tests.support.crash.memory_s3 import MemoryS3
from tests.support.optix_transactions import night
from tests.support.virtual_time import VirtualTime

LOAD_ID = "6f0f5d3a-0000-4000-8000-00000000d0c0"
TABLE_ID = 27
DAY = 25 * 3600.0
LTV = ["ltv"]
FIRST = {"1": "1", "2": "1", "3": "1", "4": "1"}
SECOND = {"1": "2", "2": "1", "4": "1"}
ROWS = {"1": "3", "2": "1", "3": "no number", "5": "3", "6": "1"}
LAST = {"values": ROWS, "columns": LTV, "night": 3, "source_is": "delta"}
"""The import that is kept, as its own file tells it to later versions."""


class DcpWorld(DyingTable):
    """A table and its bucket on a virtual clock; `loads` counts its loads, so that each has an id of its own. What was
    asked of the vendor need not be repeated: its world has what came of it."""

    asked = ()

    def __init__(self, folder, fate, time=None, loads=0, **known):
        self.time, self.loads = time or VirtualTime(), loads
        super().__init__(folder, fate, **known)
        if not known:
            self._rename(TABLE_ID)
        self.load_id = str(uuid.UUID(int=loads, version=4))

    def _rename(self, table_id):
        table = self.state.tables.pop(self.table.id)
        table.id = table_id
        self.state.tables[table_id] = table

    @property
    def staging(self):
        return DyingStaging(LocalFileSystem(), str(self.folder), self.fate, self.time.surroundings())

    def another(self, load_id=""):
        """The same table, a day later, for another load."""
        self.time.sleep(DAY)
        known = {"s3": self.s3, "state": self.state, "newest": self.newest}
        other = DcpWorld(self.folder, self.fate, self.time, self.loads + 1, **known)
        other.load_id = load_id or other.load_id
        return other

    def as_json(self):
        """What a second world is made of, beside staging."""
        uploads = {
            name: [key, metadata, {str(number): body.decode() for number, body in parts.items()}]
            for name, (key, metadata, parts) in self.s3.uploads.items()
        }
        objects = {key: [body.decode(), metadata] for key, (body, metadata) in self.s3.objects.items()}
        bucket = {"objects": objects, "uploads": uploads, "begun": self.s3.begun}
        profiles = {customer: dict(values) for customer, values in self.table.profiles.items()}
        return {"elapsed": self.time.elapsed, "load_id": self.load_id, "bucket": bucket, "profiles": profiles}

    @classmethod
    def of(cls, folder, fate, point):
        """The world of a point, two minutes after its lease has ended."""
        told, bucket = point.world, point.world["bucket"]
        objects = {key: (body.encode(), metadata) for key, (body, metadata) in bucket["objects"].items()}
        uploads = {
            name: (key, metadata, {int(number): body.encode() for number, body in parts.items()})
            for name, (key, metadata, parts) in bucket["uploads"].items()
        }
        world = cls(folder, fate)
        world.s3 = MemoryS3(objects=objects, uploads=uploads, begun=bucket["begun"])
        world.table.profiles.update(told["profiles"])
        world.time.elapsed, world.load_id = told["elapsed"] + 3720, LOAD_ID
        return world

    def live_through(self):
        """Imports of what changed, a full one, and a profile write; returns the table for the next load."""
        self.changed(FIRST, LTV, night(0))
        second = self.another()
        second.changed(SECOND, LTV, night(1))
        third = second.another()
        third.full({"6": "2"}, LTV, night(2))
        fourth = third.another()
        fourth.write({"4": "4"}, ["ltv", "note"], night(2))
        return fourth.another(LOAD_ID)

    def run(self, last):
        """The import that is kept at each of its stages, or what a later version was told of it; its report."""
        return self.changed(last["values"], last["columns"], night(last["night"]), source_is=last["source_is"])

    @property
    def seen(self):
        """What can be read, by customer and attribute."""
        return {" ".join(cell): value for cell, value in sorted(self.values.items())}
