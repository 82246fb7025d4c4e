"""How long it takes until all loads are done, once nothing goes wrong any more, and how much is sent again on the way.

`python -m tests.simulation.liveness` prints the table of docs/reliability.md.
"""

import argparse
import os
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from optimove_provider.loads.report.report import Report
from tests.simulation.chaos import CLASSES, classes_of
from tests.simulation.cut import Cut

if TYPE_CHECKING:
    from tests.simulation.airflow import Task
    from tests.simulation.life import Life
    from tests.simulation.world import World

_SENT = re.compile(r"(?:upload|update)_data: \S+ \[(.*?)\]")


@dataclass(frozen=True)
class Ended:
    """How the tasks of a world came to their end: so many `hours` after the last trouble; rows that a vendor got, those
    that its loads needed, and batches that were begun for nothing."""

    hours: float
    sent: int
    needed: int
    batches_again: int

    @property
    def rows_again(self) -> int:
        """Rows that were sent, and need not have been."""
        return max(0, self.sent - self.needed)


@dataclass(frozen=True)
class Bound:
    """At most so many, in one world."""

    hours: float
    rows_again: int
    batches_again: int


BOUNDS = {
    "nothing": Bound(2.0, 20, 5),
    "answers": Bound(4.0, 100, 20),
    "storage": Bound(4.0, 100, 20),
    "deaths": Bound(4.0, 100, 20),
    "files": Bound(4.0, 100, 20),
    "halts": Bound(4.0, 100, 20),
    "moves": Bound(4.0, 100, 20),
    "all": Bound(6.0, 200, 30),
}
"""By what went wrong in a world; with several kinds of trouble, that of all."""


def ended(world: "World", tasks: Sequence["Task"]) -> Ended:
    """How the tasks of a world, all of them green, came to that."""
    last_trouble = max([world.chaos.last_at, *world.starts])
    last_green = max((task.green_at for task in tasks), default=0.0)
    return Ended(
        hours=max(0.0, last_green - last_trouble) / 3600,
        sent=sum(len(found[1].split()) for line in world.scheduler.trace for found in _SENT.finditer(line)),
        needed=sum(_needed([*task.accounts, *task.done_in_vain]) for task in tasks),
        batches_again=world.coverage.batches_begun - world.coverage.batches_completed,
    )


def _needed(reports: Iterable[Report]) -> int:
    """Rows that requests had to have: those of imports are in files."""
    of_requests = [report for report in reports if "optix" in report.target]
    return sum(report.accepted + report.rejected + report.expired for report in of_requests)


def too_slow(found: Ended, met: Iterable[str], waits: float = 0.0, times: int = 1) -> str:
    """What of a bound is not kept where these faults and moves were met, in words; empty if it is. `waits`: hours that
    are not the loads' own, as targets take them. `times`: how much more may be sent again, as slices are smaller."""
    classes = classes_of(met)
    mix = "all" if len(classes) > 1 else next(iter(classes), "nothing")
    for name, what in _WORDS.items():
        is_so, bound = getattr(found, name), getattr(BOUNDS[mix], name)
        bound = bound + waits if name == "hours" else bound * times
        if is_so > bound:
            return f"{is_so:.4g} {what}, where {mix} went wrong: {bound} at most are promised"
    return ""


_HEAD = (
    "what goes wrong",
    "hours from the last trouble until all is done: in half of the worlds, at most, bound",
    "rows sent for each that had to be",
    "rows sent again in a world: at most, bound",
    "batches begun for nothing: at most, bound",
)
_WORDS = {
    "hours": "hours after the last trouble all loads were done",
    "rows_again": "rows were sent that need not have been",
    "batches_again": "batches were begun for nothing",
}


def main() -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.liveness", description=__doc__)
    parser.add_argument("--seeds", type=int, default=200, help="how many worlds of each mix")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="how many processes")
    from tests.simulation.life import lives

    given = parser.parse_args()
    print(f"| {' | '.join(_HEAD)} |")
    print("| --- | --- | --- | --- | --- |")
    for mix in BOUNDS:
        wanted = frozenset(CLASSES) if mix == "all" else frozenset((mix,)) - {"nothing"}
        print(_line(mix, list(lives(range(1, given.seeds + 1), given.jobs, Cut(classes=wanted)))))
    return 0


def _line(mix: str, found: "Sequence[Life]") -> str:
    ends, bound = [life.ended for life in found if life.ended], BOUNDS[mix]
    hours, rows, batches = ([getattr(one, name) for one in ends] for name in _WORDS)
    each = sum(one.sent for one in ends) / max(1, sum(one.needed for one in ends))
    told = (
        f"{median(hours):.1f}, {max(hours):.1f}, {bound.hours:.1f}",
        f"{each:.2f}",
        f"{max(rows)}, {bound.rows_again}",
        f"{max(batches)}, {bound.batches_again}",
    )
    return f"| {' | '.join((mix, *told))} |"


if __name__ == "__main__":
    sys.exit(main())
