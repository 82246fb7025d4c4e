"""Who sees what a data connection accepts, record by record, and knows nothing of the code under test.

Each record bears the hidden version of its key. What was accepted of a key may never fall back to an older version, nor
come back by a word that is older than one by which it went.
"""

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from optimove_provider.emulator.model.optix import Connection, Record
from tests.simulation.optix.tasks import AT_ONCE, STAMP
from tests.simulation.source import Cell, version_of
from tests.simulation.target import WrongWorld

if TYPE_CHECKING:
    from tests.simulation.airflow import Try
    from tests.simulation.optix.connection import OptixConnection


class Watched(Connection):
    """A data connection that tells the judge what it accepts."""

    judge: "Judge"

    def accept(self, records: dict[str, Record], readable: float, now: float) -> None:
        super().accept(records, readable, now)
        self.judge.heard.update(records)


class Judge:
    """`highest` is the highest version that was accepted of each key, `floor` that of which a load has said that it is
    there now, and `gone` that by which the key went; `suppressed` are keys that no load brings any more.

    `brought`: by load, then by batch, the keys that became visible; those that were made to expire apart.
    """

    def __init__(self, target: "OptixConnection") -> None:
        self._target, self.heard = target, dict[str, Record]()
        self.highest, self.floor, self.gone = dict[str, int](), dict[str, int](), dict[str, int]()
        self.suppressed = set[str]()
        self.brought = defaultdict[str, dict[str, set[str]]](lambda: defaultdict(set))
        self.expired = defaultdict[str, set[str]](set)
        self._stamps = defaultdict[str, set[str]](set)

    def accepted(self, sender: "Try", batch: str) -> None:
        """A request was answered with success, after which what was heard is there. Raises WrongWorld where a key falls
        back, or comes back."""
        records, self.heard = self.heard, {}
        said = self._target.said[sender.load_id]
        for record in records.values():
            key = record.data["id"]
            if record.ttl == AT_ONCE:
                self.expired[sender.load_id].add(key)
                self._expires(sender, key, said.get(key))
            else:
                self.brought[sender.load_id][batch].add(key)
                self._is_there(sender, key, record.data)

    def refused(self, sender: "Try", batch: str) -> set[str]:
        """The keys that are there after a request although it was refused: nobody can know."""
        records, self.heard = self.heard, {}
        keys = {record.data["id"] for record in records.values()}
        if keys:
            self.brought[sender.load_id][batch] |= keys
        return keys

    def _expires(self, sender: "Try", key: str, word: Cell | None) -> None:
        if key in self.suppressed or sender.task.kind == "suppress":
            return
        if word is None or not word.is_gone:
            raise self._wrong(f"{sender.task.name} makes {key} expire, and says nothing of the kind: {word}")
        if word.version < self.highest.get(key, 0):
            raise self._wrong(
                f"{sender.task.name} makes {key} expire in version {self.highest[key]}, and knows {word.version}"
            )
        self.gone[key] = max(word.version, self.gone.get(key, 0))

    def _is_there(self, sender: "Try", key: str, data: dict[str, Any]) -> None:
        version = version_of(data["value"])
        if key in self.suppressed:
            raise self._wrong(f"{key} of version {version} is there again, although it is suppressed")
        if version < max(self.highest.get(key, 0), self.floor.get(key, 0)):
            raise self._wrong(f"{key} fell to version {version} from {self.highest.get(key)}, {self.floor.get(key)}")
        if version <= self.gone.get(key, 0):
            raise self._wrong(f"{key} of version {version} is there again, although it had gone")
        self.highest[key] = version
        self._stamps[sender.load_id].add(data.get(STAMP, ""))
        if len(self._stamps[sender.load_id]) > 1:
            raise self._wrong(f"{sender.task.name} sends several stamps: {self._stamps[sender.load_id]}")

    def said(self, words: dict[str, Cell]) -> None:
        """A load that had these words is through: nothing that is older than one of them is taken from now on."""
        for key, cell in words.items():
            if cell.is_gone:
                self.gone[key] = max(cell.version, self.gone.get(key, 0))
            else:
                self.floor[key] = max(cell.version, self.floor.get(key, 0))

    def _wrong(self, promise: str) -> WrongWorld:
        """Kept, too, whatever the code under test does about an exception."""
        self._target.world.breaks(promise)
        return WrongWorld(promise)
