"""The window of a run: which rule gives it, and that it is half-open and in the DAG's zone."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimove_provider.contract.wire.errors import SettingsError
from optimove_provider.loads.plan.grain import floored, next_grain
from optimove_provider.loads.plan.window import Occasion, Point, given_window, resolve

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
BERLIN = ZoneInfo("Europe/Berlin")


def at(day, hour=0, tzinfo=UTC):
    return datetime(2026, 11, day, hour, tzinfo=tzinfo)


class Points:
    """A schedule of these points, without partitions."""

    def __init__(self, *points):
        self.points = [Point(point) for point in points]

    def until(self, at):
        past = [point for point in self.points if point.at <= at]
        return (past[-2] if len(past) > 1 else None), (past[-1] if past else None)

    def partition_end(self, date):
        return None

    def partition_of(self, at):
        return None


NIGHTLY = Points(*(at(day, 1) for day in range(1, 20)))
EVERYTHING = Occasion(
    {"since": "2026-11-01", "until": "2026-11-02T12:00:00Z"}, (at(3), at(4)), at(5), at(9, 7), schedule=NIGHTLY
)


@pytest.mark.parametrize(
    ("occasion", "start", "end", "rule"),
    [
        (EVERYTHING, at(1), at(2, 12), "params"),
        (replace(EVERYTHING, by_backfill=True), at(3), at(4), "data interval"),
        (Occasion({"since": "2026-11-01"}, (at(3), at(4)), by_backfill=True), at(3), at(4), "data interval"),
        (Occasion({}, (at(3), at(4)), at(5), at(9, 7), schedule=NIGHTLY), at(3), at(4), "data interval"),
        (Occasion({"since": None}, (at(3), at(3)), at(5), at(9, 7)), at(5), at(6), "partition date"),
        (Occasion({}, (None, None), None, at(9, 7), schedule=NIGHTLY), at(8), at(9), "two points of the schedule"),
        (Occasion({}, (at(7, 1), at(7, 1)), None, at(9), schedule=NIGHTLY), at(6), at(7), "two points of the schedule"),
        (Occasion({}, run_after=at(9), schedule=NIGHTLY), at(7), at(8), "two points of the schedule"),
    ],
)
def test_the_first_rule_that_gives_a_window_counts(occasion, start, end, rule):
    window = resolve(occasion, DAY)
    assert (window.start, window.end) == (start, end)
    assert rule in str(window)


def test_a_finer_grain_cuts_less_off():
    assert resolve(Occasion({}, run_after=at(9, 7), schedule=NIGHTLY), HOUR).start == at(8, 1)


def test_start_and_end_are_told_in_the_zone_of_the_dag():
    there = timezone(timedelta(hours=5))
    window = resolve(Occasion({}, (at(3, 0, there), at(4, 0, there)), zone=BERLIN), DAY)
    assert window.start.isoformat() == "2026-11-02T20:00:00+01:00"
    assert resolve(Occasion({}, (at(3, 0, None), at(4, 0, None))), DAY).start == at(3)
    assert given_window({"start": at(3), "end": at(4)}, BERLIN).start.isoformat() == "2026-11-03T01:00:00+01:00"


def test_a_date_by_hand_is_one_of_the_dags_zone_unless_it_names_its_own():
    params = {"since": "2026-10-24", "until": "2026-10-26T12:00:00Z"}
    window = resolve(Occasion(params, zone=BERLIN), DAY)
    assert window.start.isoformat() == "2026-10-24T00:00:00+02:00"
    assert window.end == datetime(2026, 10, 26, 12, tzinfo=UTC)
    assert given_window({"start": "2026-10-24", "end": at(1)}, BERLIN).start == window.start


def test_the_hour_that_comes_twice_is_no_empty_window():
    first, second = (datetime(2026, 10, 25, hour, tzinfo=UTC) for hour in (0, 1))
    window = given_window({"start": first, "end": second}, BERLIN)
    assert (window.start.isoformat(), window.end.isoformat()) == (
        "2026-10-25T02:00:00+02:00",
        "2026-10-25T02:00:00+01:00",
    )


@pytest.mark.parametrize(
    ("params", "complaint"),
    [
        ({"since": "2026-11-01"}, "give both"),
        ({"until": "2026-11-01"}, "give both"),
        ({"since": "soon", "until": "2026-11-01"}, "param since 'soon'"),
        ({"since": "2026-11-02", "until": "2026-11-02"}, "must start before it ends"),
        ({}, "cannot be told: this run has no date. Give window=, or the params since and until"),
    ],
)
def test_what_makes_no_window_is_said(params, complaint):
    with pytest.raises(SettingsError, match=complaint):
        resolve(Occasion(params), DAY)


@pytest.mark.parametrize(
    ("occasion", "complaint"),
    [
        (Occasion({}, run_after=at(9)), "the schedule of the DAG does not tell its points"),
        (Occasion({}, run_after=at(1, 2), schedule=NIGHTLY), "no point before"),
        (Occasion({}, run_after=at(9, 2), by_assets=True, schedule=NIGHTLY), "triggered by assets"),
        (Occasion({}, run_after=at(9, 2), scheduled=True, schedule=NIGHTLY), "as it is now, has no point"),
        (Occasion({}, run_after=at(9), partition_key="north"), "the partition key 'north' tells no date"),
        (Occasion({}, partition_date=at(9, 4)), "no window_grain of 1 day, 0:00:00 begins at the partition date"),
    ],
)
def test_a_run_whose_window_cannot_be_told_asks_for_it(occasion, complaint):
    with pytest.raises(SettingsError, match=complaint) as error:
        resolve(occasion, DAY)
    assert "Give window=, or the params since and until" in str(error.value)


def test_an_empty_window_names_the_grain():
    hourly = Points(*(at(9, hour) for hour in range(6)))
    with pytest.raises(SettingsError, match="no window_grain of 1 day, 0:00:00 ends after 2026-11-09T02:00:00"):
        resolve(Occasion({}, run_after=at(9, 3), schedule=hourly), DAY)


def test_a_partition_of_an_asset_is_a_day_of_the_dags_zone():
    window = resolve(Occasion({}, partition_date=datetime(2026, 10, 24, 22, tzinfo=UTC), zone=BERLIN), DAY)
    assert window.end - window.start == DAY  # by the wall clock
    assert window.end.astimezone(UTC) - window.start.astimezone(UTC) == 25 * HOUR


@pytest.mark.parametrize("grain", [timedelta(0), -HOUR, timedelta(minutes=27), 7 * HOUR, timedelta(days=1.5)])
def test_a_grain_neither_of_whole_days_nor_a_part_of_one_is_refused(grain):
    with pytest.raises(SettingsError, match="window_grain"):
        resolve(EVERYTHING, grain)


@pytest.mark.parametrize(
    ("grain", "zone", "instant", "beginning"),
    [
        (DAY, "UTC", "2026-11-09T07:00:00Z", "2026-11-09T00:00:00Z"),
        (7 * DAY, "UTC", "2026-11-11T07:00:00Z", "2026-11-09T00:00:00Z"),  # a Monday
        (7 * DAY, "America/New_York", "2026-11-09T04:59:59Z", "2026-11-02T05:00:00Z"),
        (DAY, "Europe/Berlin", "2026-10-25T20:00:00Z", "2026-10-24T22:00:00Z"),
        (6 * HOUR, "Europe/Berlin", "2026-10-25T04:30:00Z", "2026-10-24T22:00:00Z"),
        (6 * HOUR, "Europe/Berlin", "2026-10-25T05:00:00Z", "2026-10-25T05:00:00Z"),
        (HOUR, "Europe/Berlin", "2026-10-25T00:30:00Z", "2026-10-25T00:00:00Z"),  # 2:30, for the first time
        (HOUR, "Europe/Berlin", "2026-10-25T01:30:00Z", "2026-10-25T01:00:00Z"),  # and once more
        (DAY, "America/Havana", "2026-11-01T05:30:00Z", "2026-11-01T04:00:00Z"),  # midnight comes twice there
        (DAY, "America/Santiago", "2026-09-06T12:00:00Z", "2026-09-06T04:00:00Z"),  # and here it does not come
        (HOUR, "Asia/Kathmandu", "2026-11-09T07:00:00Z", "2026-11-09T06:15:00Z"),
    ],
)
def test_where_grains_begin(grain, zone, instant, beginning):
    assert floored(datetime.fromisoformat(instant), grain, ZoneInfo(zone)) == datetime.fromisoformat(beginning)


GRAINS = [timedelta(minutes=minutes) for minutes in (1, 15, 30, 60, 180, 720, 1440, 10_080)]
ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Havana", "America/Scoresbysund"]


@given(
    st.datetimes(datetime(2012, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)),
    st.timedeltas(timedelta(0), 2 * DAY),
    st.sampled_from(GRAINS),
    st.sampled_from([ZoneInfo(zone) for zone in ZONES]),
)
def test_grains_follow_each_other(instant, later, grain, zone):
    beginning = floored(instant, grain, zone)
    following = next_grain(beginning, grain, zone)
    assert beginning <= instant < following
    assert floored(beginning, grain, zone) == beginning
    assert floored(following, grain, zone) == following
    assert floored(instant + later, grain, zone) >= beginning


@pytest.mark.parametrize("given", ["2026-11-01", ["2026-11-01", "2026-11-02"], 5, {"start": "2026-11-01"}, {}])
def test_a_window_that_is_no_mapping_with_both_ends_is_refused(given):
    with pytest.raises(SettingsError, match=r"expected a (mapping with a )?start and an end"):
        given_window(given)


@pytest.mark.parametrize(("start", "end"), [("0001-01-01", "2026-11-01"), ("2026-11-01", "9999-12-31T23:59-12:00")])
def test_an_instant_that_no_clock_of_the_zone_shows_is_refused(start, end):
    with pytest.raises(SettingsError, match="not within the years 1 to 9999 of UTC and of Europe/Berlin"):
        given_window({"start": start, "end": end}, BERLIN)


def test_the_last_day_of_the_calendar_stands_for_ever():
    assert given_window({"start": " 2026-11-01\n", "end": "9999-12-31"}, BERLIN).start == at(1, tzinfo=BERLIN)
