"""The window of a run: which rule gives it, and that it is half-open and in UTC."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimove_provider.contract.wire.errors import SettingsError
from optimove_provider.loads.plan.window import Occasion, resolve

DAY, HOUR = timedelta(days=1), timedelta(hours=1)


def at(day, hour=0, tzinfo=UTC):
    return datetime(2026, 11, day, hour, tzinfo=tzinfo)


EVERYTHING = Occasion({"since": "2026-11-01", "until": "2026-11-02T12:00:00Z"}, (at(3), at(4)), at(5), at(9, 7))


@pytest.mark.parametrize(
    ("occasion", "start", "end", "rule"),
    [
        (EVERYTHING, at(1), at(2, 12), "params"),
        (Occasion({}, (at(3), at(4)), at(5), at(9, 7)), at(3), at(4), "data interval"),
        (Occasion({"since": None}, (at(3), at(3)), at(5), at(9, 7)), at(5), at(6), "partition date"),
        (Occasion({}, (None, None), None, at(9, 7)), at(8), at(9), "before run_after"),
        (Occasion({}, run_after=at(9)), at(8), at(9), "before run_after"),
    ],
)
def test_the_first_rule_that_gives_a_window_counts(occasion, start, end, rule):
    window = resolve(occasion, DAY)
    assert (window.start, window.end) == (start, end)
    assert rule in str(window)


def test_a_run_of_the_night_gets_the_day_before_and_one_by_the_hour_the_hour_before():
    assert resolve(Occasion({}, run_after=at(9, 7)), HOUR).start == at(9, 6)


def test_other_zones_are_turned_into_utc_and_none_is_utc():
    there = timezone(timedelta(hours=5))
    window = resolve(Occasion({}, (at(3, 0, there), at(4, 0, there))), DAY)
    assert window.start.isoformat() == "2026-11-02T19:00:00+00:00"
    assert resolve(Occasion({}, (at(3, 0, None), at(4, 0, None))), DAY).start == at(3)


@given(st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)), st.integers(1, 90_000))
def test_the_last_whole_grain_ends_before_the_run_and_less_than_a_grain_before_it(run_after, seconds):
    grain = timedelta(seconds=seconds)
    window = resolve(Occasion({}, run_after=run_after), grain)
    assert window.end <= run_after < window.end + grain
    assert window.end - window.start == grain


@pytest.mark.parametrize(
    ("params", "complaint"),
    [
        ({"since": "2026-11-01"}, "give both"),
        ({"until": "2026-11-01"}, "give both"),
        ({"since": "soon", "until": "2026-11-01"}, "param since 'soon'"),
        ({"since": "2026-11-02", "until": "2026-11-02"}, "must start before it ends"),
        ({}, "no date to take a window from"),
    ],
)
def test_what_makes_no_window_is_said(params, complaint):
    with pytest.raises(SettingsError, match=complaint):
        resolve(Occasion(params), DAY)
