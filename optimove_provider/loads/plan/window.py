"""The span of time that a run is about: half-open, in the DAG's zone, the same whenever and however often it runs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, NoReturn, Protocol

from optimove_provider.contract.wire.errors import SettingsError
from optimove_provider.kinds import GRAIN
from optimove_provider.loads.plan.grain import floored, next_grain


@dataclass(frozen=True, slots=True)
class Window:
    """From `start` up to, but without, `end`; `rule` says where they come from."""

    start: datetime
    end: datetime
    rule: str

    def __post_init__(self) -> None:
        # In UTC: within one zone datetimes are compared by the wall clock, which shows some hours twice.
        if not self.start.astimezone(UTC) < self.end.astimezone(UTC):
            raise SettingsError(
                f"the window ({self.rule}) must start before it ends: {self.start} to {self.end}. Give another end"
            )

    def __str__(self) -> str:
        return f"{self.start.isoformat()} to {self.end.isoformat()}, from {self.rule}"

    def start_before(self, lookback: timedelta) -> datetime:
        """The start, so much earlier. Whole days are days of its zone, the rest is time that passes.

        Raises SettingsError where there is no such instant.
        """
        days = timedelta(days=lookback.days)
        try:
            # Of two aware datetimes in one zone Python counts by the wall clock, which may show no such time.
            start = (self.start - days).astimezone(UTC) - (lookback - days)
            return start.astimezone(self.start.tzinfo)
        except OverflowError:
            raise SettingsError(
                f"window_lookback={lookback}: before the year 1, from {self.start.isoformat()}; give a shorter one"
            ) from None

    def in_zone(self, zone: tzinfo) -> "Window":
        """The same instants, as the clocks of a zone show them."""
        return Window(self.start.astimezone(zone), self.end.astimezone(zone), self.rule)


@dataclass(frozen=True, slots=True)
class Point:
    """An instant at which a schedule makes a run, and what it gives to that run."""

    at: datetime
    interval: tuple[datetime, datetime] | None = None
    partition_date: datetime | None = None
    partition_key: str | None = None


class Schedule(Protocol):
    """The points of a DAG's schedule, whether or not they had runs."""

    def until(self, at: datetime) -> tuple[Point | None, Point | None]:
        """The last point at or before `at` and the one before it, the latter first; None for what cannot be told."""

    def partition_end(self, date: datetime) -> datetime | None:
        """Where the partition that begins at `date` ends; None if the schedule makes no partitions.

        Raises SettingsError if no partition of the schedule begins there.
        """

    def partition_of(self, at: datetime) -> datetime | None:
        """Where the partition begins that belongs to the run of a point; None if that is not told."""


class Unscheduled:
    """The schedule of a DAG that has none."""

    def until(self, at: datetime) -> tuple[Point | None, Point | None]:
        """Nothing."""
        return None, None

    def partition_end(self, date: datetime) -> datetime | None:
        """None."""
        return None

    def partition_of(self, at: datetime) -> datetime | None:
        """None."""
        return None


@dataclass(frozen=True, slots=True)
class Occasion:
    """What Airflow says of a run: what is absent is None, and a manual run lacks most of it.

    `scheduled`: it was made for a point of the schedule; `point`: for this one, by the scheduler. `by_backfill`: by a
    backfill, whose form has the params too: they are the same for all its runs. `by_assets`: it was made because of
    assets. A date or time without a zone is in `zone`, the DAG's.
    """

    params: Mapping[str, Any]
    interval: tuple[datetime | None, datetime | None] = (None, None)
    partition_date: datetime | None = None
    run_after: datetime | None = None
    partition_key: str | None = None
    scheduled: bool = False
    point: datetime | None = None
    by_backfill: bool = False
    by_assets: bool = False
    zone: tzinfo = UTC
    schedule: Schedule = field(default_factory=Unscheduled)


def resolve(occasion: Occasion, grain: timedelta) -> Window:
    """The window of a run, by the first of these rules that gives one.

    The params `since` and `until`, unless it is of a backfill; the data interval, unless it is empty, as with a plain
    cron schedule; the partition, up to the next one; the span from the schedule's point before the last to its last
    one, of which each is floored to the `grain` in the DAG's zone. So the windows of consecutive points meet.

    Raises SettingsError where none of them can be told, and where that span is shorter than the grain.
    """
    GRAIN.literal("window_grain", grain)
    window = _by_params(occasion) or _by_interval(occasion) or _by_partition(occasion, grain)
    return (window or _by_points(occasion, grain)).in_zone(occasion.zone)


def given_window(given: Any, zone: tzinfo = UTC) -> Window:
    """The window {"start": ..., "end": ...}, each a datetime or its ISO text, in `zone` unless it names its own.

    Raises SettingsError for anything else.
    """
    if not isinstance(given, Mapping):
        raise SettingsError(
            f'window={given!r:.200}: expected a mapping with a start and an end, such as {{"start": "2026-11-01", '
            '"end": "2026-11-02"}; a template may stand for each of them'
        )
    start, end = (_instant(given.get(name), f"window[{name!r}]", zone) for name in ("start", "end"))
    if not start or not end:
        raise SettingsError(f"window {dict(given)!r}: expected a start and an end")
    return Window(start, end, "window=").in_zone(zone)


def _by_params(occasion: Occasion) -> Window | None:
    params, zone = occasion.params, occasion.zone
    if occasion.by_backfill:
        return None
    since, until = (_instant(params.get(name), f"param {name}", zone) for name in ("since", "until"))
    if since and until:
        return Window(since, until, "params since and until")
    if since or until:
        raise SettingsError("the params since and until make a window together: give both, or neither")
    return None


def _by_interval(occasion: Occasion) -> Window | None:
    start, end = occasion.interval
    if start and end and _utc(start) < _utc(end):
        return Window(_utc(start), _utc(end), "the data interval")
    return None


def _by_partition(occasion: Occasion, grain: timedelta) -> Window | None:
    if occasion.partition_date:
        date = _utc(occasion.partition_date)
        if occasion.point and (counted := occasion.schedule.partition_of(_utc(occasion.point))) not in (None, date):
            _ask(
                f"Airflow gave the partition of {_local(date, occasion)} to the run of "
                f"{_local(occasion.point, occasion)}, whose own one, by the points of the schedule, is that of "
                f"{_local(counted, occasion)}; it does so where the clocks leave out the time of a point"
            )
        return _partition(date, occasion, grain)
    if occasion.partition_key is None:
        return None
    at = occasion.run_after
    last = occasion.schedule.until(_utc(at))[1] if at else None  # Airflow 3.2 tells the key only
    if last and last.partition_date and last.partition_key == occasion.partition_key:
        return _partition(_utc(last.partition_date), occasion, grain)
    _ask(f"the partition key {occasion.partition_key!r} tells no date")


def _partition(date: datetime, occasion: Occasion, grain: timedelta) -> Window:
    end = occasion.schedule.partition_end(date)
    if end is None:
        if floored(date, grain, occasion.zone) != date:
            _ask(f"no window_grain of {grain} begins at the partition date {date}, in the zone {occasion.zone}")
        end = next_grain(date, grain, occasion.zone)
    return Window(date, _utc(end), "the partition date")


def _by_points(occasion: Occasion, grain: timedelta) -> Window:
    before, last = _last_point(occasion)
    if last.interval and last.interval[0] < last.interval[1]:
        return Window(_utc(last.interval[0]), _utc(last.interval[1]), "the last data interval of the schedule")
    if last.partition_date:
        return _partition(_utc(last.partition_date), occasion, grain)
    if before is None:
        _ask(f"the schedule has no point before {last.at}")
    start, end = (floored(_utc(point.at), grain, occasion.zone) for point in (before, last))
    if start >= end:
        raise SettingsError(
            f"the window of this run would be empty: no window_grain of {grain} ends after "
            f"{_local(before.at, occasion)} and until {_local(last.at, occasion)}, two points of the schedule that "
            "follow each other. Give a smaller window_grain"
        )
    return Window(start, end, f"two points of the schedule, floored to {grain}")


def _last_point(occasion: Occasion) -> tuple[Point | None, Point]:
    """The schedule's last point at or before the run, after the one before it."""
    if occasion.by_assets:
        _ask("this run was triggered by assets, without a partition date")
    at = occasion.interval[1] or occasion.run_after
    if at is None:
        _ask("this run has no date")
    before, last = occasion.schedule.until(_utc(at))
    if last is None:
        _ask("the schedule of the DAG does not tell its points")
    if occasion.scheduled and _utc(last.at) != _utc(at):
        _ask(f"the run is of {_utc(at)}, at which the schedule, as it is now, has no point")
    return before, last


def _ask(reason: str) -> NoReturn:
    raise SettingsError(f"the window of this run cannot be told: {reason}. Give window=, or the params since and until")


def _local(instant: datetime, occasion: Occasion) -> str:
    return _utc(instant).astimezone(occasion.zone).isoformat()


def _instant(value: Any, name: str, zone: tzinfo) -> datetime | None:
    if not value:
        return None
    try:
        instant = value if isinstance(value, datetime) else datetime.fromisoformat(str(value).strip())
    except ValueError:
        raise SettingsError(f"{name} {value!r}: expected a date or time such as 2026-11-01T00:00:00Z") from None
    try:
        found = _utc(instant if instant.tzinfo else instant.replace(tzinfo=zone))
        found.astimezone(zone)
    except (ValueError, OverflowError):
        raise SettingsError(
            f"{name} {value!r}: not within the years 1 to 9999 of UTC and of {zone}; give one that is"
        ) from None
    return found


def _utc(value: datetime) -> datetime:
    """The instant in UTC, as a plain datetime; one without a zone is in UTC."""
    aware = value if value.tzinfo else value.replace(tzinfo=UTC)
    return datetime.fromtimestamp(aware.timestamp(), UTC).replace(microsecond=aware.microsecond)
