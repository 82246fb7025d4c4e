"""Which kinds of tasks a table has in a world, and what each of them reads."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random

from optimove_provider.contract.cells.datatypes import Attribute
from optimove_provider.loads.dcp.options import REVERIFY_AFTER
from tests.simulation.airflow import Task
from tests.simulation.source import Cell
from tests.simulation.target import Target
from tests.simulation.worker import BEGAN

DAYS = 5
"""Of the source. They are over when the world begins."""
ATTRIBUTES = (Attribute("value", "string"), Attribute("number", "long"), Attribute("note", "string"))
KINDS = {
    "changed import of a snapshot": 4,
    "changed import of a delta": 4,
    "full import of a snapshot": 2,
    "full import of a delta": 2,
    "unwaited import of a snapshot": 2,
    "unwaited import of a delta": 2,
    "profile write": 4,
    "dry run of an import": 2,
}
"""How often each is. Unwaited: a full import, after which a sensor looks for its files."""
PROFILES = "profile write"
COLUMNS = (("value", "number"), ("value", "number"), ("value",))
"""Of all imports of a world: of each, customerId besides."""
WRITTEN = (("value",), ("number",), ("value", "number"), ("note",))
"""Attributes of a profile write: no import has the last one, nor some of the others in some worlds."""
Rows = dict[str, dict[str, str]]
"""The cells of each customer, by attribute."""


@dataclass
class TableTask(Task):
    """A task of a table. `settles`: a person has seen that all files are imported, and says so in the DAG. `given_up`:
    attributes that a person has taken from it, after some tries."""

    columns: tuple[str, ...] = ()
    given_up: tuple[str, ...] = ()
    verify: float = 0.0
    defers: bool = False
    is_file: bool = False
    settles: bool = False
    reverify_after: timedelta | None = REVERIFY_AFTER

    @property
    def compares(self) -> bool:
        """Whether only what changed is imported."""
        return self.kind.startswith(("changed", "dry run"))

    @property
    def sends(self) -> bool:
        """Whether anything comes of it."""
        return not self.kind.startswith("dry run")

    @property
    def generation(self) -> datetime:
        """The instant that its rows stand for."""
        return BEGAN + timedelta(days=self.day - DAYS - 2)

    @property
    def is_snapshot(self) -> bool:
        """Whether it reads all that is there."""
        return self.kind.endswith("snapshot") or not self.sends

    def rows_of(self, cells: dict[str, Cell]) -> Rows:
        """What it reads where the source has these cells."""
        return {key: {name: _text(name, cell) for name in self.columns} for key, cell in cells.items()}

    def is_refused(self, cell: Cell) -> bool:
        """Whether such a row is put aside before anything is sent: it has no number."""
        return cell.is_poison and "number" in self.columns


def drawn(name: str, target: Target, kind: str, columns: tuple[str, ...], random: Random) -> TableTask:
    """A task of a kind."""
    return TableTask(
        f"{name} {kind}",
        kind,
        random.randint(1, DAYS),
        target,
        columns=random.choice(WRITTEN) if kind == PROFILES else columns,
        verify=random.choice((0.0, 0.0, 0.0, 1.0)),
        defers=random.random() < 0.5,
        is_file=random.random() < 0.5,
    )


def _text(name: str, cell: Cell) -> str:
    return cell.text.removesuffix(" well") if name == "number" else cell.text
