"""The warehouse of a world: what each key is on each day. Its versions are hidden from the code under test.

A version counts what ever happened to a key, its deletion too: so of two versions the later one is always higher.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random

from tests.simulation.cut import WHOLE, Cut

POISON = "poison"


@dataclass(frozen=True)
class Cell:
    """What a key is from some day on; gone: it is not in the source. The server refuses `is_poison`."""

    version: int
    is_gone: bool = False
    is_poison: bool = False

    @property
    def mended(self) -> "Cell":
        """The same, as the server takes it."""
        return replace(self, is_poison=False)

    @property
    def text(self) -> str:
        """As a row has it."""
        return f"{self.version} {POISON}" if self.is_poison else f"{self.version} well"


def version_of(text: str) -> int:
    """The version that a stored text tells."""
    return int(text.partition(" ")[0])


class Source:
    """`days` from 1; day 0 is before anything."""

    def __init__(
        self,
        random: Random,
        keys: Sequence[str],
        days: int,
        changes: float,
        deletions: float,
        poison: float,
        cut: Cut = WHOLE,
    ) -> None:
        self.keys = [key for key in keys if cut.keeps(f"key {key}")]
        self._days: list[dict[str, Cell]] = [{}]
        for day in range(1, days + 1):
            today = dict(self._days[-1])
            for key in self.keys:
                before = today.get(key)
                if random.random() < changes:
                    version = before.version + 1 if before else 1
                    is_gone = before is not None and random.random() < deletions
                    today[key] = Cell(version, is_gone, not is_gone and random.random() < poison)
            self._days.append(today if cut.keeps(f"day {day}") else dict(self._days[-1]))

    def snapshot(self, day: int) -> dict[str, Cell]:
        """All that is there at the end of a day."""
        return {key: cell for key, cell in self._days[day].items() if not cell.is_gone}

    def delta(self, day: int) -> dict[str, Cell]:
        """What became another on a day, and is there."""
        before = self._days[day - 1]
        return {key: cell for key, cell in self.snapshot(day).items() if before.get(key) != cell}

    def gone(self, day: int) -> dict[str, Cell]:
        """All that was there once, and is not at the end of a day."""
        return {key: cell for key, cell in self._days[day].items() if cell.is_gone}

    def deleted(self, day: int) -> dict[str, Cell]:
        """What was deleted on a day."""
        before = self._days[day - 1]
        return {key: cell for key, cell in self.gone(day).items() if before.get(key) != cell}

    def mend(self) -> None:
        """One more day, on which nothing is refused any more."""
        last = self._days[-1]
        self._days.append({key: Cell(one.version + 1) if one.is_poison else one for key, one in last.items()})

    def bring_back(self, keys: set[str]) -> None:
        """On the last day these keys are there after all."""
        self._days[-1] |= {key: Cell(self._days[-1][key].version + 1) for key in keys}

    def take_away(self, keys: set[str]) -> None:
        """And they are gone again."""
        self._days[-1] |= {key: Cell(self._days[-1][key].version + 1, is_gone=True) for key in keys}
