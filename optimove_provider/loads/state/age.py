"""How old the rows of a load are: what they stand for, and of two that stand for the same, when they were read."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Self

CLOCKS_APART = timedelta(seconds=60)
"""By how much the clocks of two workers may differ, each of which differs from the storage's by 30 seconds at most."""
_INSTANT = timedelta(microseconds=1)


def not_before(now: datetime, seen: datetime | None) -> datetime:
    """The time of whoever has seen that instant written down: later than that, although its own clock may be behind the
    writer's (Lamport). Of several who have seen the same, their clocks say who is later, by microseconds. An instant
    that no clock can have told by now says nothing."""
    if seen is None or not now < seen <= now + CLOCKS_APART:
        return now
    return seen + _INSTANT + (now + CLOCKS_APART - seen) / 1_000_000


@dataclass(frozen=True, slots=True, order=True)
class Age:
    """Compared in this order: `generation`, the instant that rows stand for; `opened`, when their source was opened.

    Nothing stands for an instant that had not come when it was read: a later generation is lowered to `opened`. Rows of
    equal ages are of one load.
    """

    generation: datetime
    opened: datetime

    def __post_init__(self) -> None:
        object.__setattr__(self, "generation", min(self.generation, self.opened))

    @classmethod
    def of(cls, opened: datetime, generation: datetime | None = None) -> Self:
        """The age of rows that were read then; without a generation they stand for that instant."""
        return cls(generation or opened, opened)

    def not_after(self, instant: datetime) -> "Age":
        """This age, but not later than an instant: what is committed then has no later one, whatever clock it had."""
        return Age(self.generation, min(self.opened, instant))

    @property
    def just_before(self) -> "Age":
        """The latest age that is earlier than this one: to the microsecond, which is what files have."""
        return Age(self.generation, self.opened - _INSTANT)

    def as_json(self) -> dict[str, str]:
        """For a file in staging."""
        return {"generation": self.generation.isoformat(), "opened": self.opened.isoformat()}

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Self:
        """Read what `as_json` gave."""
        return cls(*(datetime.fromisoformat(found[name]) for name in ("generation", "opened")))

    def __str__(self) -> str:
        return f"{self.generation:%Y-%m-%d %H:%M:%S} UTC, read at {self.opened:%Y-%m-%d %H:%M:%S} UTC"
