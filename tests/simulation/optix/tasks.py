"""Which kinds of tasks a data connection has in a world, and the options of each."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from random import Random
from typing import Literal, cast

from optimove_provider.loads.optix.options import OptixTarget, UploadOptions
from optimove_provider.options import Sending
from tests.simulation.airflow import Task
from tests.simulation.worker import BEGAN
from tests.support.optix_transactions import NO_GUARDS

DAYS = 5
"""Of the source. They are over when the world begins."""
KINDS = {
    "snapshot": 3,
    "delta": 3,
    "full snapshot": 2,
    "full delta": 2,
    "delta with deletions": 3,
    "full delta with deletions": 2,
    "update": 2,
    "dry run": 2,
    "approved snapshot": 2,
    "approved delta with deletions": 2,
    "expire": 2,
    "suppress": 2,
    "replay": 3,
}
"""How often each is. Approved: a person looks at the plan of a dry run, and lets that one be carried out. Replay: the
rejected rows of another task's load are mended, and sent again."""
IN_SHARDS = {"full snapshot": 0.15, "snapshot": 0.15, "full delta": 0.1, "delta": 0.1, "delta with deletions": 0.1}
"""How often one of these is a group of tasks instead, of which many send."""
DELETED = "is_deleted"
STAMP = "synced_by"
AT_ONCE = 1
"""The time to live of a record that is made to expire."""
NOT_LOADED = ("dry run", "replay", "expire", "suppress")
"""Kinds whose rows are not those of a day of the source."""


@dataclass(frozen=True)
class How:
    """What a DAG states of a task. `suppressed`: the keys that a task of that kind puts on the list."""

    resend_rejected: bool = False
    is_stamped: bool = False
    max_rejected: float = 99
    ttl_seconds: int | None = None
    suppressed: tuple[str, ...] = ()
    is_ahead: bool = False
    sending: Sending = Sending(max_in_flight=1, owed_tries=50)


@dataclass(frozen=True)
class Habits:
    """What the DAGs of one world have in common. `is_ahead`: windows of the last day end tomorrow, so that their rows
    stand for now."""

    resends: float
    ttls: Sequence[int | None]
    is_ahead: bool

    @classmethod
    def drawn(cls, random: Random) -> "Habits":
        ttls = random.choice(((None,), (None,), (None, 4000), (20_000,)))
        return cls(random.choice((0.0, 0.5, 1.0)), ttls, random.random() < 0.3)

    def how(self, random: Random, kind: str, keys: Sequence[str]) -> How:
        """The options of one task."""
        return How(
            random.random() < self.resends,
            random.random() < 0.3,
            random.choice((99, 99, 99, 0.5, 0)),
            random.choice(self.ttls),
            tuple(random.sample(keys, min(len(keys), random.randint(1, 2)))) if kind == "suppress" else (),
            self.is_ahead,
            Sending(
                max_in_flight=random.choice((1, 1, 2, 3)),
                max_bisect_requests=random.choice((10_000, 10_000, 10_000, 4)),
                resume_within=random.choice((900, 900, 60, 0)),
                owed_tries=random.choice((50, 50, 1, 0)),
                give_up_after=random.choice((600, 600, 60)),
            ),
        )


def is_snapshot(task: Task) -> bool:
    """Whether its rows are all that is to be there."""
    return "snapshot" in task.kind


def options_of(task: Task, uuid: str, stamp: str, expected_plan: str | None = None) -> UploadOptions:
    """As its DAG states them."""
    how = cast(How, task.how)
    mode: Literal["full", "changed"] = "full" if "full" in task.kind or task.kind == "update" else "changed"
    return UploadOptions(
        OptixTarget(uuid, "id", ttl_seconds=how.ttl_seconds),
        mode=mode,
        source_is="snapshot" if is_snapshot(task) else "delta",
        on_removed="expire" if is_snapshot(task) else "report",
        max_rejected=how.max_rejected,
        guards=NO_GUARDS,
        generation=BEGAN + timedelta(days=task.day - DAYS - 2 + 4 * (how.is_ahead and task.day >= DAYS)),
        expected_plan=expected_plan,
        resend_rejected=how.resend_rejected,
        stamp=stamp,
        deleted_column=DELETED if "deletions" in task.kind else None,
        sending=how.sending,
    )
