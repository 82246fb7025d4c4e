"""Where grains of time begin: days at midnight of a zone, longer ones on a Monday, shorter ones within the day."""

from datetime import UTC, datetime, timedelta, tzinfo

_DAY = timedelta(days=1)
_MONDAY = datetime(1970, 1, 5)  # a wall clock's time; grains are counted from here
_FINEST = timedelta(seconds=1)


def floored(instant: datetime, grain: timedelta, zone: tzinfo) -> datetime:
    """The latest beginning of a grain at or before `instant`, in UTC.

    Beginnings are read off the zone's wall clock, so that a day may have 23 or 25 hours. A day begins once; of an hour
    that comes twice, both are hours.
    """
    wall = _wall(instant, zone)
    at_or_before = wall - (wall - _MONDAY) % grain
    # After the clock was put back, the next grain may have begun already.
    either = [_begins(each, zone, instant, once=grain >= _DAY) for each in (at_or_before, at_or_before + grain)]
    begins = max(each for each in either if each <= instant)
    return begins if grain >= _DAY else _put_back(begins, instant, grain, zone)


def next_grain(beginning: datetime, grain: timedelta, zone: tzinfo) -> datetime:
    """The beginning of the grain after the one that begins there, in UTC."""
    following = floored(beginning + grain, grain, zone)
    if following > beginning:
        return following
    # A grain that is longer than usual.
    return _begins(_wall(beginning, zone) + grain, zone, datetime.max.replace(tzinfo=UTC), once=True)


def _wall(instant: datetime, zone: tzinfo) -> datetime:
    return instant.astimezone(zone).replace(tzinfo=None, fold=0)


def _put_back(begins: datetime, instant: datetime, grain: timedelta, zone: tzinfo) -> datetime:
    """`begins`, or where the clock was put back after it, just when it would have shown the next beginning."""
    before, after = (each.astimezone(zone).utcoffset() or timedelta(0) for each in (begins, instant))
    if after >= before:
        return begins
    change = _clock_change(begins, instant, zone)
    old_clock = (change + before).replace(tzinfo=None)
    return begins if (old_clock - _MONDAY) % grain else change


def _begins(wall: datetime, zone: tzinfo, latest: datetime, *, once: bool) -> datetime:
    """The instant at which a wall clock shows `wall`: if twice, the second one that is not after `latest`."""
    first, second = (wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    if first > second:  # the clock never shows it
        return _clock_change(second, first, zone)
    return second if not once and second <= latest else first


def _clock_change(before: datetime, after: datetime, zone: tzinfo) -> datetime:
    """The first instant of the new time, between two instants around it."""
    old = before.astimezone(zone).utcoffset()
    while after - before > _FINEST:
        middle = before + (after - before) // 2
        before, after = (middle, after) if middle.astimezone(zone).utcoffset() == old else (before, middle)
    return after.replace(microsecond=0)
