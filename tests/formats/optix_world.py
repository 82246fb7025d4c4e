"""A data connection with a past of every kind, and the load into it that is kept at each of its stages.

Time is virtual: a load that is read back years later goes on two minutes after it stopped.
"""

import json

from fsspec.implementations.local import LocalFileSystem

from optimove_provider.clients.optix import OptixClient
from optimove_provider.contract.wire.messages import Request
from optimove_provider.emulator import send
from optimove_provider.emulator.model.optix import Connection
from optimove_provider.emulator.model.switches import Switches
from optimove_provider.records.to_json.stamps import stamp_text
from tests.support.crash.deltas import delta
from tests.support.crash.dying import DyingStaging
from tests.support.optix_target import SETTINGS, Killed
from tests.support.optix_transactions import NO_GUARDS, TransactionTarget, night
from tests.support.virtual_time import START, VirtualTime

LOAD_ID = "6f0f5d3a-0000-4000-8000-00000000f0f0"
UUID = "2f0c6c58-0000-4000-8000-000000000001"
FIRST = dict.fromkeys("uabcdesw", "1")
ROWS = {"a": "9", "u": "1", "d": "4", "p": "poison", "s": "9", "w": "3", "x": "2", "n": "1", "z": "5", "e": None}
LAST = {
    "values": ROWS,
    "night": 5,
    "how": {"deleted_column": "gone", "max_rejected": 1, "resend_rejected": True, "stamp": stamp_text({"run": "kept"})},
}
"""The load that is kept, as its own file tells it to later versions. A value of null is a deletion."""
DAY = 25 * 3600.0
"""A little more, so that a load removes what those before let go."""
SUPPRESSED, LISTED = "s", "listed"
"""The one was loaded before it was put on the list, the other never."""


class OptixWorld(TransactionTarget):
    """An emulated data connection whose `asked` requests can be repeated in another world. It `dies` once its next one
    was carried out."""

    dies = False

    def __init__(self, folder, fate):
        self.fate, self.asked = fate, []
        super().__init__(folder)
        self.asked.clear()
        self.time = VirtualTime()
        self.state.connections = {UUID: Connection(UUID, "customers", "id")}
        self.state.clock = lambda: START.timestamp() + self.time.elapsed
        self.data_connection_uuid = UUID
        surroundings = self.time.surroundings()
        self.staging = DyingStaging(LocalFileSystem(), str(folder), fate, surroundings)
        self.client = OptixClient(SETTINGS, send=self.send, surroundings=surroundings)

    def send(self, request):
        return self.fate.step(self._send, request)

    def _send(self, request):
        at = (self.staging.surroundings.now() - START).total_seconds()
        told = {"at": at, "method": request.method, "url": request.url}
        self.asked.append({**told, "body": json.loads(request.body), "poison": self.state.switches.poison})
        answer = super().send(request)
        if self.dies:
            self.fate.dead, self.dies = True, False
            raise Killed
        return answer

    def as_json(self):
        """What a second world is made of, beside staging."""
        return {"elapsed": self.time.elapsed}

    @classmethod
    def of(cls, folder, fate, point):
        """The world of a point, two minutes later."""
        world = cls(folder, fate)
        for one in point.asked:
            world.time.elapsed = one["at"]
            world.refuse(one["poison"])
            headers = SETTINGS.credentials(None)
            send(world.state, Request(one["method"], one["url"], headers, json.dumps(one["body"]).encode()))
        world.refuse("poison")
        world.time.elapsed = point.world["elapsed"] + 120
        return world

    def refuse(self, word):
        """From now on the server refuses records with this word."""
        self.state.switches = Switches(poison=word)

    def live_through(self):
        """Loads of every kind, one a day, so that the ledger has all that a ledger can have; returns the world."""
        past = [
            lambda: self.sync(FIRST, night(0), stamp=stamp_text({"run": "first"})),
            lambda: self.sync({**FIRST, "a": "2"} | {"c": "1"}, night(1), ttl_seconds=10**8),
            lambda: self.sync({key: "1" for key in "uabdesw"}, night(2), on_removed="expire"),
            lambda: self._delta({"b": ..., "z": "6"}, night(6)),
            self._owe,
            lambda: self.expire([SUPPRESSED, LISTED], night(3), suppress=True),
            lambda: self.update({"w": "2"}, night(3)),
            self._die,
        ]
        for does in past:
            does()
            self.time.sleep(DAY)
        return self

    def _delta(self, values, generation, load_id="", **how):
        self.loads += 1
        how = {"mode": "changed", "source_is": "delta", "deleted_column": "gone", "guards": NO_GUARDS} | how
        load_id = load_id or f"6f0f5d3a-0000-4000-8000-{self.loads:012}"
        return self.load([delta(values)], load_id, generation=generation, **how)

    def _owe(self):
        self.refuse("owed")
        self.sync({"o": "owed", "x": "1"}, night(3), source_is="delta", max_rejected=1, resend_rejected=True)
        self.refuse("poison")

    def _die(self):
        """A load whose process is gone while its request is under way: its intent and its lease stay."""
        self.dies = True
        with self.fate.until(0):
            self.sync({"y": "2", "n": "2"}, night(4), source_is="delta")

    def run(self, last):
        """The load that is kept at each of its stages, or what a later version was told of it; its report."""
        values, how = last["values"], last["how"]
        if "deleted_column" in how:
            return self._delta(
                {key: ... if value is None else value for key, value in values.items()}, **self._of(last)
            )
        return self.sync(values, **self._of(last))

    def _of(self, last):
        return {"generation": night(last["night"]), "load_id": LOAD_ID, **last["how"]}

    @property
    def seen(self):
        """What can be read, by key: once all that was made to expire is gone."""
        found = self.state.connections[UUID].visible(self.state.clock() + 2)
        return {key: record.data for key, record in sorted(found.items())}
