"""How long a server asks to be left alone, whatever the form of its Retry-After. No I/O here."""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_UNITS: Mapping[str, float] = {
    **dict.fromkeys(("milliseconds", "millisecond", "ms"), 0.001),
    **dict.fromkeys(("seconds", "second", "secs", "sec", "s", ""), 1.0),
    **dict.fromkeys(("minutes", "minute", "mins", "min", "m"), 60.0),
    **dict.fromkeys(("hours", "hour", "hrs", "hr", "h"), 3600.0),
}
_SPAN = re.compile(rf"(\d{{1,5000}}+(?:\.\d{{0,99}}+)?)\s{{0,9}}+((?:{'|'.join(filter(None, _UNITS))})?)", re.ASCII)
_SPANS = re.compile(rf"\+?(?:{_SPAN.pattern}\s{{0,9}}){{1,4}}", re.ASCII)
_AROUND = " \t\"',;"
_FIRST_EPOCH = 1e9
"""No wait is so long: such a number is a time, in seconds since 1970."""


def seconds_asked_for(headers: Mapping[str, str], now: datetime) -> float:
    """Seconds that a Retry-After asks for; 0 where there is none, or none that can be understood.

    The standard's forms are a number of seconds and a date (RFC 9110, 10.2.3). Others that servers use are a number
    with a unit, several numbers, of which the largest counts, a date of ISO 8601, and any of them in quotes. A date is
    the server's: it counts from the answer's own Date, if there is one, as the clocks may differ.
    """
    text = headers.get("retry-after", "").strip(_AROUND)
    date = _date(text)
    if date is None and (numbers := _numbers(text)):
        largest = max(numbers)
        if not _FIRST_EPOCH <= largest < 4 * _FIRST_EPOCH:
            return largest
        date = datetime.fromtimestamp(largest, UTC)
    return max(0.0, (date - (_date(headers.get("date", "")) or now)).total_seconds()) if date else 0.0


def _numbers(text: str) -> list[float]:
    """The spans between commas, in seconds; none if one of them is no span."""
    parts = [part.strip(_AROUND) for part in text.split(",")]
    if not all(_SPANS.fullmatch(part.lower()) for part in parts):
        return []
    return [sum(float(number) * _UNITS[unit] for number, unit in _SPAN.findall(part.lower())) for part in parts]


def _date(text: str) -> datetime | None:
    return _read(parsedate_to_datetime, text) or _read(datetime.fromisoformat, text.strip().removesuffix(" UTC"))


def _read(reader: Callable[[str], datetime], text: str) -> datetime | None:
    try:
        date = reader(text)
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
