"""The windows of a schedule's consecutive points, by Airflow's own timetables: the whole time, each instant once."""

import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pendulum
import pytest
from airflow.sdk import (
    Asset,
    AssetOrTimeSchedule,
    CronDataIntervalTimetable,
    CronPartitionTimetable,
    CronTriggerTimetable,
    DeltaTriggerTimetable,
    MultipleCronTriggerTimetable,
)
from airflow.serialization.encoders import coerce_to_core_timetable
from airflow.timetables.base import TimeRestriction
from airflow.timetables.events import EventsTimetable

from optimove_provider.contract.wire.errors import SettingsError
from optimove_provider.loads.plan.window import Occasion, resolve
from optimove_provider.tasks.windows.schedule import DagSchedule

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
BEGIN, END = datetime(2024, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)
SPRING = datetime(2025, 4, 15, tzinfo=UTC)
CHANGING = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Havana")
STEADY = ("UTC", "Asia/Kathmandu")
EVENTS = [BEGIN + HOUR * hours for hours in (0, 5, 5, 100, 700, 701, 20_000)]


def made(timetable, begin, end) -> Iterator:
    """What the scheduler makes runs of, with catchup."""
    core = coerce_to_core_timetable(timetable)
    info, within = None, TimeRestriction(pendulum.instance(begin), pendulum.instance(end), catchup=True)
    while (info := core.next_dagrun_info_v2(last_dagrun_info=info, restriction=within)) is not None:
        yield info


def occasion(schedule, info) -> Occasion:
    """A scheduled run, as its worker sees it."""
    interval = (info.data_interval.start, info.data_interval.end) if info.data_interval else (None, None)
    return Occasion(
        {}, interval, info.partition_date, info.run_after, scheduled=True, zone=schedule.zone, schedule=schedule
    )


def by_hand(schedule, at) -> Occasion:
    return Occasion({}, run_after=at, zone=schedule.zone, schedule=schedule)


def utc(window) -> tuple[datetime, datetime]:
    return window.start.astimezone(UTC), window.end.astimezone(UTC)


def windows(timetable, grain, begin, end) -> list[tuple[datetime, datetime]]:
    schedule = DagSchedule(timetable)
    return [utc(resolve(occasion(schedule, info), grain)) for info in made(timetable, begin, end)]


def gaps(found) -> list:
    """Neighbours that do not meet."""
    return [(one, other) for one, other in pairwise(found) if one[1] != other[0]]


def clock_changes(zone) -> list[datetime]:
    """The days of the three years in which a zone's clocks change; some days of spring and autumn if they never do."""
    days = [BEGIN + DAY * number for number in range((END - BEGIN).days)]
    offset = [day.astimezone(ZoneInfo(zone)).utcoffset() for day in days]
    changed = [day for day, one, other in zip(days, offset, offset[1:], strict=False) if one != other]
    return changed or [datetime(year, month, 28, tzinfo=UTC) for year in (2024, 2025, 2026) for month in (2, 12)]


SPARSE = {
    "weekdays": ("0 1 * * 1-5", DAY),
    "weekly": ("10 0 * * 7", DAY),
    "weekly, by weeks": ("30 6 * * 1", 7 * DAY),
    "monthly": ("0 5 1 * *", DAY),
}
DAILY = {"daily": ("0 1 * * *", DAY), "late": ("0 19 * * *", DAY), "in the gap": ("30 2 * * *", HOUR)}
DENSE = {
    "hourly": ("0 * * * *", HOUR),
    "every other hour": ("0 */2 * * *", HOUR),
    "quarters in office hours": ("*/15 5-21 * * MON-FRI", 15 * MINUTE),
    "odd minutes": ("*/27 8-11,14-18 * * 1-5", MINUTE),
    "in the hour that comes twice": ("*/20 1-2 * * *", 10 * MINUTE),
}


DENSEST = ("weekdays", "Europe/Berlin")  # left out: it takes as long as all others, and Berlin's days come below


@pytest.mark.parametrize(
    ("name", "zone"),
    [(name, zone) for name in SPARSE for zone in ("America/New_York", "Europe/Berlin") if (name, zone) != DENSEST],
)
def test_the_windows_of_a_leap_year_and_of_the_next_spring_are_the_whole_time(name, zone):
    cron, grain = SPARSE[name]
    found = windows(CronTriggerTimetable(cron, timezone=zone), grain, BEGIN, SPRING)
    assert len(found) > 12
    assert gaps(found) == []


def test_every_day_of_them_is_the_day_of_one_run():
    found = windows(CronTriggerTimetable("0 1 * * *", timezone="Europe/Berlin"), DAY, BEGIN, SPRING)
    assert gaps(found) == []
    assert {start.astimezone(ZoneInfo("Europe/Berlin")).hour for start, _ in found} == {0}
    assert sorted({(end - start) // HOUR for start, end in found}) == [23, 24, 25]


@pytest.mark.parametrize("zone", CHANGING + STEADY)
@pytest.mark.parametrize("name", DAILY | DENSE)
def test_they_meet_around_each_change_of_the_clocks(name, zone):
    cron, grain = (DAILY | DENSE)[name]
    before, after = (3 * DAY, 4 * DAY) if name in DAILY else (6 * HOUR, 30 * HOUR)
    for day in clock_changes(zone)[-2:]:
        found = windows(CronTriggerTimetable(cron, timezone=zone), grain, day - before, day + after)
        assert gaps(found) == []


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "UTC"])
def test_those_of_several_crons_meet(zone):
    timetable = MultipleCronTriggerTimetable("0 6 * * *", "30 16 * * 1-5", "0 1 1 * *", timezone=zone)
    for day in clock_changes(zone)[-4:]:
        found = windows(timetable, 30 * MINUTE, day - 4 * DAY, day + 4 * DAY)
        assert len(found) > 8
        assert gaps(found) == []


@pytest.mark.parametrize("cron", ["0 0 * * *", "0 1 * * 1-5", "0 * * * *"])
@pytest.mark.parametrize("offset", [-1, 0, 2])
def test_each_partition_lasts_until_the_next_one(cron, offset):
    timetable = CronPartitionTimetable(cron, timezone="America/New_York", run_offset=offset)
    for day in clock_changes("America/New_York")[-2:]:
        around = (6 * HOUR, 30 * HOUR) if cron == "0 * * * *" else (6 * DAY, 6 * DAY)
        found = windows(timetable, DAY, day - around[0], day + around[1])
        assert len(found) > 8
        assert gaps(found) == []


def test_a_partition_of_a_day_has_the_hours_of_that_day():
    timetable = CronPartitionTimetable("0 0 * * *", timezone="America/New_York", run_offset=-1)
    found = windows(timetable, DAY, datetime(2026, 10, 30, tzinfo=UTC), datetime(2026, 11, 4, tzinfo=UTC))
    assert [(end - start) // HOUR for start, end in found] == [24, 24, 24, 25, 24]


LEFT_OUT = {
    "America/Santiago": ("0 0 * * *", datetime(2026, 9, 6, tzinfo=UTC)),  # of 6 September the first hour is left out
    "Australia/Lord_Howe": ("0 * * * *", datetime(2026, 4, 4, 16, tzinfo=UTC)),  # half an hour comes twice
}


@pytest.mark.parametrize("zone", LEFT_OUT)
@pytest.mark.parametrize("offset", [0, 1])
def test_partitions_meet_where_the_clocks_leave_out_a_point(zone, offset):
    cron, around = LEFT_OUT[zone]
    span = 4 * DAY if cron == "0 0 * * *" else 5 * HOUR
    timetable = CronPartitionTimetable(cron, timezone=zone, run_offset=offset)
    assert gaps(windows(timetable, HOUR, around - span, around + span)) == []


@pytest.mark.parametrize("zone", LEFT_OUT)
def test_a_run_to_which_airflow_gave_the_partition_of_another_one_stops(zone):
    cron, around = LEFT_OUT[zone]
    span = 4 * DAY if cron == "0 0 * * *" else 5 * HOUR
    timetable = CronPartitionTimetable(cron, timezone=zone, run_offset=-1)
    schedule, found, told = DagSchedule(timetable), [], []
    for info in made(timetable, around - span, around + span):
        try:
            found.append(utc(resolve(replace(occasion(schedule, info), point=info.run_after), HOUR)))
        except SettingsError as error:
            told.append(str(error))
    assert len(told) <= 2
    assert all("Airflow gave the partition of" in one for one in told)
    assert all(one[1] <= other[0] for one, other in pairwise(found))  # none comes twice
    assert told or gaps(found) == []  # from 3.4 on, each day has its own in some zones


def test_a_schedule_for_a_day_that_never_comes_asks():
    schedule = DagSchedule(CronTriggerTimetable("0 0 30 2 *", timezone="UTC"))
    with pytest.raises(SettingsError, match="does not tell its points"):
        resolve(by_hand(schedule, END), DAY)


def test_data_intervals_are_not_floored_and_meet():
    timetable = CronDataIntervalTimetable("30 1 * * *", timezone="Europe/Berlin")
    found = windows(timetable, DAY, datetime(2026, 3, 20, tzinfo=UTC), datetime(2026, 4, 5, tzinfo=UTC))
    assert gaps(found) == []
    assert {start.astimezone(ZoneInfo("Europe/Berlin")).minute for start, _ in found} == {30}


def test_those_of_events_meet_and_the_first_event_asks():
    timetable = EventsTimetable([pendulum.instance(event) for event in EVENTS])
    schedule = DagSchedule(timetable, UTC)
    first, *rest = made(timetable, BEGIN, END)
    with pytest.raises(SettingsError, match="no point before"):
        resolve(occasion(schedule, first), HOUR)
    found = [utc(resolve(occasion(schedule, info), HOUR)) for info in rest]
    assert [end for _, end in found] == sorted({*EVENTS} - {BEGIN})
    assert gaps(found) == []


BY_HAND = {
    "daily": CronTriggerTimetable("0 19 * * *", timezone="America/New_York"),
    "weekdays": CronTriggerTimetable("0 1 * * 1-5", timezone="Europe/Berlin"),
    "several": MultipleCronTriggerTimetable("0 6 * * *", "0 16 * * 1-5", timezone="Europe/Berlin"),
    "intervals": CronDataIntervalTimetable("0 1 * * *", timezone="America/New_York"),
    "partitions": CronPartitionTimetable("0 0 * * *", timezone="America/New_York", run_offset=-1),
    "assets or time": AssetOrTimeSchedule(
        timetable=CronTriggerTimetable("0 2 * * *", timezone="Australia/Lord_Howe"), assets=[Asset("a")]
    ),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_a_run_by_hand_has_the_window_of_the_last_point(name):
    timetable, chance = BY_HAND[name], random.Random(name)  # noqa: S311
    scheduled = getattr(timetable, "timetable", timetable)
    schedule, grain = DagSchedule(timetable), HOUR if name == "several" else DAY
    for day in chance.sample(clock_changes("Europe/Berlin") + clock_changes("America/New_York"), 4):
        for at in (day + chance.random() * 3 * DAY - DAY for _ in range(3)):
            last = list(made(scheduled, at - 20 * DAY, at + 2 * DAY))
            last = [info for info in last if info.run_after <= at][-1]
            assert utc(resolve(by_hand(schedule, at), grain)) == utc(resolve(occasion(schedule, last), grain))


@pytest.mark.parametrize("timetable", [DeltaTriggerTimetable(90 * MINUTE), None])
def test_a_schedule_that_does_not_tell_its_points_asks(timetable):
    with pytest.raises(SettingsError, match="cannot be told: the schedule of the DAG does not tell its points"):
        resolve(by_hand(DagSchedule(timetable), END), DAY)


def test_a_point_of_a_schedule_that_was_changed_since_asks():
    schedule = DagSchedule(CronTriggerTimetable("0 3 * * *", timezone="UTC"))
    run = Occasion({}, run_after=END + HOUR, scheduled=True, schedule=schedule)
    with pytest.raises(SettingsError, match="at which the schedule, as it is now, has no point"):
        resolve(run, DAY)


def test_a_schedule_that_is_finer_than_the_grain_stops_and_names_it():
    schedule = DagSchedule(CronTriggerTimetable("20 */3 * * *", timezone="UTC"))
    with pytest.raises(SettingsError, match="would be empty: no window_grain of 1 day"):
        resolve(by_hand(schedule, END + 4 * HOUR), DAY)


def test_a_partition_date_that_is_none_of_the_schedule_asks():
    schedule = DagSchedule(CronPartitionTimetable("0 0 * * *", timezone="America/New_York"))
    with pytest.raises(SettingsError, match="no partition of the DAG's schedule begins at"):
        resolve(Occasion({}, partition_date=END, schedule=schedule), DAY)


def test_a_partition_key_alone_counts_where_the_schedule_makes_it():
    schedule = DagSchedule(CronPartitionTimetable("0 0 * * *", timezone="UTC", run_offset=-1))
    run = Occasion({}, run_after=END, partition_key="2026-12-31T00:00:00", schedule=schedule)
    assert utc(resolve(run, DAY)) == (END - DAY, END)
    other = Occasion({}, run_after=END, partition_key="2026-12-30T00:00:00", schedule=schedule)
    with pytest.raises(SettingsError, match="the partition key '2026-12-30T00:00:00' tells no date"):
        resolve(other, DAY)


@pytest.mark.parametrize("cron", ["0 0 29 2 *", "0 12 1 1 *"])
def test_points_that_are_years_apart_meet_too(cron):
    found = windows(CronTriggerTimetable(cron, timezone="UTC"), DAY, datetime(2016, 1, 1, tzinfo=UTC), END)
    assert len(found) > 2
    assert gaps(found) == []
