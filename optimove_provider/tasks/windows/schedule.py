"""The points of a DAG's schedule, asked of its timetable in the worker: nothing here needs Airflow's database."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any

import pendulum

from optimove_provider.contract.wire.errors import SettingsError

if TYPE_CHECKING:
    from airflow.timetables.base import Timetable

    from optimove_provider.loads.plan.window import Point

_NEAR, _FAR = timedelta(hours=2), timedelta(days=6000)  # two leap days may be eight years apart
_ASIDE = timedelta(hours=3, minutes=7)
_MOST = 100_000  # points that are looked at before giving up


class DagSchedule:
    """The schedule of a DAG: of a timetable of Airflow's SDK or core, or of None."""

    def __init__(self, timetable: Any, zone: tzinfo | None = None) -> None:
        # Of "assets or time" the time counts: a run that assets made is told by its type.
        self._given = getattr(timetable, "timetable", None) or timetable
        self._zone = zone or UTC

    @cached_property
    def zone(self) -> tzinfo:
        """The zone that the schedule is written in, or else the DAG's."""
        name = self._core.serialize().get("timezone") if self._core else None
        return self._zone if name is None else pendulum.timezone(name)

    def until(self, at: datetime) -> "tuple[Point | None, Point | None]":
        """The last point at or before `at` and the one before it, the latter first; None for what cannot be told."""
        seen = self._last(at, 2)
        last = self.with_partition(seen[-1]) if seen else None
        return (seen[-2] if len(seen) > 1 else None), last

    def _last(self, at: datetime, count: int) -> "list[Point]":
        """The last points at or before `at`, at least so many where there are."""
        back = _NEAR if self._core else _FAR
        while len(seen := list(self.between(at - back, at))) < count and back <= _FAR:
            back *= 4
        return seen

    def between(self, earliest: datetime, at: datetime) -> "Iterator[Point]":
        """The points from `earliest` until `at`, as Airflow would make them; a partition is not told."""
        from optimove_provider.loads.plan.window import Point

        if self._events is not None:
            return (Point(event) for event in self._events if earliest <= event <= at)
        return _walk(self._points, earliest, at) if self._points else iter(())

    def partition_end(self, date: datetime) -> datetime | None:
        """Where the partition that begins at `date` ends; None if the schedule makes no partitions.

        Raises SettingsError if no partition of the schedule begins there.
        """
        if not self.has_partitions:
            return None
        first, second = islice(self._from(date), 2)
        if first.at != date:
            raise SettingsError(
                f"no partition of the DAG's schedule begins at {date}: the next one does at {first.at}. Give window=, "
                "or the params since and until"
            )
        return second.at

    def partition_of(self, at: datetime) -> datetime | None:
        """Where the partition begins that belongs to the run of a point, by counting points; None if that is not told.

        Airflow counts by the clock, and takes a wrong one where the clock leaves out the time of a point.
        """
        offset = self._core.serialize().get("run_offset") if self._core and self.has_partitions else None
        if not isinstance(offset, int):
            return None
        if offset > 0:
            points = list(islice(self._from(at), offset + 1))
            return points[-1].at if points[0].at == at else None
        points = self._last(at, 1 - offset)
        return points[offset - 1].at if len(points) > -offset and points[-1].at == at else None

    def _from(self, at: datetime) -> "Iterator[Point]":
        """The points from `at` on. Airflow misses a point that it begins at, if the clock leaves out the next one."""
        points = self.between(at - _ASIDE, datetime.max.replace(tzinfo=UTC))
        return (point for point in points if point.at >= at)

    @property
    def has_partitions(self) -> bool:
        """Whether each point makes a partition."""
        return bool(self._core and self._core.partitioned)

    def partition_date_for_backfill(self, date: datetime) -> datetime:
        """What `airflow backfill` takes for the partition that begins at `date`."""
        if not hasattr(self._core, "localize_partition_datetime"):
            return date  # before Airflow 3.3
        return date.astimezone(self.zone).replace(tzinfo=UTC)  # the wall clock's time counts, whatever the offset

    @cached_property
    def _events(self) -> list[datetime] | None:
        """The instants of a list of events. The SDK's list cannot be made one of core's: Airflow has a bug there."""
        dates = getattr(self._given, "event_dates", None)
        return None if dates is None else sorted({_aware(date) for date in dates})

    @cached_property
    def _core(self) -> "Timetable | None":
        """The timetable as the scheduler uses it; None if it has no points, or tells them from the last run only."""
        if self._given is None or self._events is not None:
            return None
        from airflow.serialization.encoders import coerce_to_core_timetable
        from airflow.timetables._delta import DeltaMixin

        core = coerce_to_core_timetable(self._given)
        return core if core.periodic and not isinstance(core, DeltaMixin) else None

    @cached_property
    def _points(self) -> "Timetable | None":
        """A timetable with the same points, that does not log each partition that is computed."""
        if self._core is None or not self._core.partitioned:
            return self._core
        data = self._core.serialize()
        if not {"expression", "timezone"} <= data.keys():
            return self._core
        from airflow.timetables.trigger import CronTriggerTimetable

        return CronTriggerTimetable(data["expression"], timezone=pendulum.timezone(data["timezone"]))

    def with_partition(self, point: "Point") -> "Point":
        """The point, and the partition that it makes."""
        if self._core is None or self._points is self._core:
            return point
        return next(_walk(self._core, point.at, point.at), point)


def _walk(timetable: "Timetable", earliest: datetime, at: datetime) -> "Iterator[Point]":
    """The points from `earliest` until `at`, by the public protocol of timetables."""
    from airflow.timetables.base import TimeRestriction

    within, info = TimeRestriction(pendulum.instance(earliest, tz="UTC"), None, catchup=True), None
    for _ in range(_MOST):
        try:
            info = timetable.next_dagrun_info_v2(last_dagrun_info=info, restriction=within)
        except ValueError:  # a cron for a day that never comes
            return
        if info is None or info.run_after > at:
            return
        yield _point(info)


def _point(info: Any) -> "Point":
    from optimove_provider.loads.plan.window import Point

    interval = (info.data_interval.start, info.data_interval.end) if info.data_interval else None
    return Point(info.run_after, interval, info.partition_date, info.partition_key)


def _aware(date: datetime) -> datetime:
    return (date if date.tzinfo else date.replace(tzinfo=UTC)).astimezone(UTC)
