"""The span of time that a run is about: half-open, in UTC, and the same whenever and however often it runs."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from optimove_provider.contract.wire.errors import SettingsError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Window:
    """From `start` up to, but without, `end`; `rule` says where they come from."""

    start: datetime
    end: datetime
    rule: str

    def __post_init__(self) -> None:
        if not self.start < self.end:
            raise SettingsError(f"the window ({self.rule}) must start before it ends: {self.start} to {self.end}")

    def __str__(self) -> str:
        return f"{self.start.isoformat()} to {self.end.isoformat()}, from {self.rule}"


@dataclass(frozen=True, slots=True)
class Occasion:
    """What Airflow says of a run: what is absent is None, and a manual run lacks most of it."""

    params: Mapping[str, Any]
    interval: tuple[datetime | None, datetime | None] = (None, None)
    partition_date: datetime | None = None
    run_after: datetime | None = None


def resolve(occasion: Occasion, grain: timedelta) -> Window:
    """The window of a run, by the first of these rules that gives one.

    The params `since` and `until`; the data interval, unless it is empty, as with a plain cron schedule; the
    partition's date and the `grain`; the last whole `grain` before the run (days and hours begin as in UTC).
    """
    if grain <= timedelta(0):
        raise SettingsError(f"window_grain {grain}: expected more than 0")
    since, until = (_instant(occasion.params.get(name), f"param {name}") for name in ("since", "until"))
    if since and until:
        return Window(since, until, "params since and until")
    if since or until:
        raise SettingsError("the params since and until make a window together: give both, or neither")
    start, end = occasion.interval
    if start and end and start < end:
        return Window(_utc(start), _utc(end), "the data interval")
    if occasion.partition_date:
        start = _utc(occasion.partition_date)
        return Window(start, start + grain, "the partition date")
    if occasion.run_after is None:
        raise SettingsError("this run has no date to take a window from: give the params since and until")
    run_after = _utc(occasion.run_after)
    end = run_after - (run_after - _EPOCH) % grain
    return Window(end - grain, end, f"the last whole {grain} before run_after")


def given_window(given: Mapping[str, Any]) -> Window:
    """The window {"start": ..., "end": ...}, each a datetime or its ISO text."""
    start, end = (_instant(given.get(name), f"window[{name!r}]") for name in ("start", "end"))
    if not start or not end:
        raise SettingsError(f"window {dict(given)!r}: expected a start and an end")
    return Window(start, end, "window=")


def _instant(value: Any, name: str) -> datetime | None:
    if not value:
        return None
    try:
        return _utc(value if isinstance(value, datetime) else datetime.fromisoformat(str(value)))
    except ValueError:
        raise SettingsError(f"{name} {value!r}: expected a date or time such as 2026-11-01T00:00:00Z") from None


def _utc(value: datetime) -> datetime:
    """The instant in UTC, as a plain datetime; one without a zone is in UTC."""
    aware = value if value.tzinfo else value.replace(tzinfo=UTC)
    return datetime.fromtimestamp(aware.timestamp(), UTC).replace(microsecond=aware.microsecond)
