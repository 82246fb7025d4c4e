"""Options that belong together, as one value each: `from optimove_provider.options import Guards, Sending, SyncLog`.

Operators, the command line and a replay take the same values, so a default stands here and nowhere else. DAG files
import this module: standard library and the contract's errors only.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from typing import Any, Self, cast

from optimove_provider.contract.wire.errors import SettingsError
from optimove_provider.kinds import CONN_ID, FLAG, SHARE, SPAN, TABLE, Kind, is_template, whole_number


@dataclass(frozen=True, slots=True)
class Group:
    """Options that are one value. Members are checked when it is made; SettingsError names the one that is wrong."""

    def __post_init__(self) -> None:
        for name, kind in self.kinds().items():
            object.__setattr__(self, name, kind.literal(self._full(name), getattr(self, name)))

    @classmethod
    def of(cls, given: Self | Mapping[str, Any]) -> Self:
        """The value itself, or that of a mapping of members. Raises SettingsError."""
        return given if isinstance(given, cls) else cls(**cls._members(given))

    @classmethod
    def read(cls, texts: Mapping[str, Any]) -> Self:
        """The value of members that are texts, as templates and command lines give them. Raises SettingsError."""
        kinds = cls.kinds()
        return cls(**{name: kinds[name].read(cls._full(name), text) for name, text in cls._members(texts).items()})

    @classmethod
    def kinds(cls) -> dict[str, Kind]:
        """What each member may be."""
        return {one.name: one.metadata["kind"] for one in fields(cls)}

    def as_dict(self) -> dict[str, Any]:
        """All members as plain values, spans in seconds."""
        values = {name: getattr(self, name) for name in self.kinds()}
        return {name: one.total_seconds() if isinstance(one, timedelta) else one for name, one in values.items()}

    @classmethod
    def literal(cls, name: str, given: Any) -> Any:
        """What an operator keeps: a plain dict of all members, in which templates may stand; a template as it is."""
        return given if is_template(given) else cls.of(given).as_dict()

    @classmethod
    def rendered(cls, name: str, now: Any, given: Any) -> dict[str, Any]:
        """The plain dict at execute, of an option that the DAG stated as `given`. Raises SettingsError."""
        if is_template(given):
            return cls.read(now).as_dict()
        kinds, was = cls.kinds(), cls.of(given).as_dict()
        members = cls._members(now.as_dict() if isinstance(now, cls) else now).items()
        return cls(**{one: kinds[one].rendered(cls._full(one), value, was[one]) for one, value in members}).as_dict()

    @classmethod
    def _full(cls, member: str) -> str:
        return f"{cls._option()}.{member}"

    @classmethod
    def _option(cls) -> str:
        """What a parameter is called that takes such a value."""
        return re.sub("(?<=[a-z])(?=[A-Z])", "_", cls.__name__).lower()

    @classmethod
    def _untexted(cls, given: Any) -> Any:
        """The mapping that a text means, where the group has such a form; anything else as it is."""
        return given

    @classmethod
    def _members(cls, given: Any) -> Mapping[str, Any]:
        """The mapping itself. Raises SettingsError if it is none, or has unknown members."""
        given = cls._untexted(given)
        name, known = cls.__name__, ", ".join(cls.kinds())
        if not isinstance(given, Mapping):
            raise SettingsError(f"{cls._option()}={given!r:.200}: expected {name}(...), or a mapping of {known}")
        if unknown := [name for name in given if name not in cls.kinds()]:
            told = ", ".join(f"{cls._full(name)}={given[name]!r:.200}" for name in unknown)
            raise SettingsError(f"{told}: unknown; expected some of {known}")
        return given


@dataclass(frozen=True, slots=True)
class Guards(Group):
    """How far a load may go before it is taken for an accident and stopped; None switches a guard off.

    In a DAG a member may be a template; it switches its guard off with the text "off".

    :param allow_empty: a snapshot may be empty.
    :param min_rows_share: a snapshot must have this share of the rows of the newest one.
    :param min_filled_share: a column that was filled in more than this share of the newest snapshot's rows must be so
        still. Blanks, and lists or objects of nothing else, do not fill it.
    :param max_changed_share: of all keys that the target is known to have, at most this share may change; also for
        deltas.
    :param max_removed_share: of all keys that the target has, a snapshot with on_removed="expire", or the deletions of
        a delta, may make at most this share expire, those counted that were reported as removed before. With "report"
        it is only said.
    """

    allow_empty: bool = field(default=False, metadata={"kind": FLAG})
    min_rows_share: float | None = field(default=0.5, metadata={"kind": SHARE})
    min_filled_share: float | None = field(default=0.1, metadata={"kind": SHARE})
    max_changed_share: float | None = field(default=0.5, metadata={"kind": SHARE})
    max_removed_share: float | None = field(default=0.2, metadata={"kind": SHARE})


@dataclass(frozen=True, slots=True)
class Sending(Group):
    """How a load is sent.

    :param max_in_flight: how many requests may be under way at once.
    :param max_bisect_requests: how many requests may be spent on finding the rows that the server refuses.
    :param resume_within: how long ago the server may have acknowledged the last request of an open batch that a retry
        goes on with, a timedelta or seconds; 0 sends everything again. Nobody knows how long the server keeps an open
        batch. An update has none, and no use for it.
    :param owed_tries: how often a row that the server refused goes again, with resend_rejected=True of an upload; 0
        only keeps such rows. An update has none.
    :param give_up_after: the load goes on for as long as requests succeed, and gives up when none has for so long, a
        timedelta or seconds; a single request is given up after three times that in any case.
    """

    max_in_flight: int = field(default=4, metadata={"kind": whole_number(1)})
    max_bisect_requests: int = field(default=10_000, metadata={"kind": whole_number(0)})
    resume_within: timedelta | float = field(default=timedelta(minutes=15), metadata={"kind": SPAN})
    owed_tries: int = field(default=5, metadata={"kind": whole_number(0)})
    give_up_after: timedelta | float = field(default=timedelta(minutes=10), metadata={"kind": SPAN})

    @property
    def resume_span(self) -> timedelta:
        """`resume_within`, however it was given."""
        return cast(timedelta, self.resume_within)

    @property
    def patience(self) -> timedelta:
        """`give_up_after`, however it was given."""
        return cast(timedelta, self.give_up_after)


@dataclass(frozen=True, slots=True)
class SyncLog(Group):
    """The table of the user's own database that each load leaves a row in. A text of `conn_id:table` stands for it too.

    :param conn_id: the connection of the database.
    :param table: the table's name, or schema.table; it is created if it is missing.
    :param rejected_rows: each rejected row leaves a row too, in the table `<table>_rejected`.
    :param keep_days: rows that are older are deleted; None keeps them.
    """

    conn_id: str = field(default="", metadata={"kind": CONN_ID})
    table: str = field(default="", metadata={"kind": TABLE})
    rejected_rows: bool = field(default=False, metadata={"kind": FLAG})
    keep_days: int | None = field(default=None, metadata={"kind": whole_number(1, "for good", 100_000)})

    @classmethod
    def _untexted(cls, given: Any) -> Any:
        return _log_of(given) if isinstance(given, str) else given


def _log_of(text: str) -> Any:
    """The members that a text names: conn_id:table, or JSON; the text itself if it is neither."""
    if text.lstrip().startswith("{"):
        try:
            return {name: value for name, value in json.loads(text).items() if value is not None}
        except ValueError:
            return text
    conn_id, colon, table = text.partition(":")
    return {"conn_id": conn_id.strip(), "table": table.strip()} if colon else text
