"""How old rows are, although clocks differ."""

from datetime import UTC, datetime, timedelta

import pytest

from optimove_provider.loads.state.age import CLOCKS_APART, Age, not_before

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


def test_rows_do_not_stand_for_an_instant_that_had_not_come_when_they_were_read():
    assert Age(NOON + seconds(1), NOON) == Age(NOON, NOON) == Age.of(NOON)
    assert Age.of(NOON, NOON - seconds(1)) == Age(NOON - seconds(1), NOON)


def test_what_rows_stand_for_counts_first_and_when_they_were_read_second():
    early, read_again, late = Age(NOON, NOON), Age(NOON, NOON + seconds(9)), Age(NOON + seconds(1), NOON + seconds(1))
    assert early < read_again < late


def test_an_age_is_not_after_the_instant_of_its_commit():
    age = Age(NOON, NOON + seconds(9))
    assert age.not_after(NOON + seconds(5)) == Age(NOON, NOON + seconds(5))
    assert age.not_after(NOON + seconds(10)) == age
    assert age.not_after(NOON - seconds(1)) == Age(NOON - seconds(1), NOON - seconds(1))


def test_just_before_is_a_microsecond():
    age = Age(NOON, NOON + seconds(9))
    assert age.just_before == Age(NOON, NOON + seconds(8.999999)) < age
    assert Age.of(NOON).just_before == Age.of(NOON - seconds(0.000001))


def test_an_age_in_a_file_is_read_as_it_was():
    age = Age(NOON, NOON + seconds(1.5))
    assert age.as_json() == {
        "generation": "2026-05-02T12:00:00+00:00",
        "opened": "2026-05-02T12:00:01.500000+00:00",
    }
    assert Age.from_json(age.as_json()) == age
    assert str(age) == "2026-05-02 12:00:00 UTC, read at 2026-05-02 12:00:01 UTC"
