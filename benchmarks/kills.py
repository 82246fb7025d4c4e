"""Real Airflow on PostgreSQL whose processes are killed at random moments of each load.

    PYTHONPATH=. python -m benchmarks.kills [--loads 50] [--seed 1]

Scheduler (LocalExecutor), triggerer, API server and DAG processor are processes of their own, and so is each task; the
emulator is a real server, S3 included. The loads go into six targets at once: uploads into Opti-X of what changed or of
everything, imports into DCP of either kind, which wait in the triggerer. In the midst of each load `kill -9` hits the
process of the task, the one that watches over it (the task lives on as an orphan), the scheduler (so do its workers),
the scheduler with all that it started, or the triggerer. What was a service is started again, Airflow retries on its
own, and what a kill takes from other loads comes on top. Then the target is compared with the source, value by value,
and with the emulator's log. The columns of the table:

* kills: of that kind that hit something.
* tries: of Airflow, one a load without any trouble.
* sent again: rows that the server took beyond those that the load has accepted.
* lost: rows of the source that are not in the target as they are.
* doubled: rows that the source does not have; a second batch that was completed in one load, or one that was
  completed before; files of which the load's account does not tell.
* half visible: requests of a batch that came after the one that completed it, and were not that one once more; files
  that are no whole load.
* false: by how many rows the accounts are wrong.
"""

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.support.kills.killer import KINDS
from tests.support.kills.killing import WAYS, Outcome, kinds_for, run_loads, running_field

COLUMNS = (
    "what was killed",
    "loads",
    "kills",
    "tries",
    "rows",
    "sent again",
    "lost",
    "doubled",
    "half visible",
    "false",
)


def plan_of(loads: int, seed: int) -> dict[int, list[str]]:
    """By lane: whom each of its loads is to lose."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    plan: dict[int, list[str]] = {number: [] for number in range(len(WAYS))}
    for load in range(loads):
        lane = load % len(WAYS)
        plan[lane].append(chance.choice(kinds_for(WAYS[lane])))
    return plan


def say(*cells: object) -> None:
    print("| " + " | ".join(str(cell) for cell in cells) + " |", flush=True)


def line(name: str, outcomes: Sequence[Outcome], kills: int) -> list[object]:
    """The sums of some loads."""
    found = [one.verdict for one in outcomes]
    rows, sent, lost, doubled, half, false = (
        sum(getattr(one, column) for one in found)
        for column in ("rows", "sent", "lost", "doubled", "half", "unaccounted")
    )
    again = sent - sum(one.accepted for one in outcomes)
    return [name, len(outcomes), kills, sum(one.tries for one in outcomes), rows, again, lost, doubled, half, false]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--loads", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="kills-") as folder, running_field(Path(folder)) as (field, lanes):
        tell = lambda one: print(f"{time.monotonic() - began:5.0f} s  {one}", file=sys.stderr, flush=True)  # noqa: E731
        run_loads(field, lanes, plan_of(given.loads, given.seed), given.seed, tell)
        violations = list(field.emulator.state.violations)
    outcomes, kills = field.outcomes, field.killer.kills
    say(*COLUMNS)
    say(*["---"] * len(COLUMNS))
    for kind in KINDS:
        say(*line(kind, [one for one in outcomes if one.kind == kind], kills[kind]))
    say(*line("all", outcomes, kills.total()))
    wrong = [one for one in outcomes if one.state != "success" or not one.verdict.is_right]
    print("\n".join([f"{time.monotonic() - began:.0f} s", *map(str, wrong), *violations]))
    return 1 if wrong or violations else 0


if __name__ == "__main__":
    sys.exit(main())
