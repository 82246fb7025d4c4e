"""How old rows are, although clocks differ."""

from datetime import UTC, datetime, timedelta

import pytest

from optimove_provider.loads.state.age import CLOCKS_APART, not_before

NOON = datetime(2026, 5, 2, 12, tzinfo=UTC)


def seconds(count):
    return timedelta(seconds=count)


@pytest.mark.parametrize("seen", [None, NOON, NOON - seconds(5), NOON + CLOCKS_APART + seconds(1)])
def test_a_clock_is_right_unless_it_is_behind_what_was_seen(seen):
    assert not_before(NOON, seen) == NOON


@pytest.mark.parametrize("ahead", [0.000001, 1, 59.9, 60])
def test_what_was_seen_is_earlier(ahead):
    seen = NOON + seconds(ahead)
    assert seen < not_before(NOON, seen) < seen + seconds(0.001)


def test_of_two_who_have_seen_the_same_the_clocks_say_who_is_later():
    seen = NOON + seconds(10)
    assert not_before(NOON, seen) < not_before(NOON + seconds(1), seen) < not_before(NOON + seconds(9), seen)
    assert not_before(NOON, seen) < not_before(NOON + seconds(10), seen + seconds(1))
