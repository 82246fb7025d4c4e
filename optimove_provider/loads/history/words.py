"""How numbers, times and states are written for people."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

STATES: Mapping[str, str] = {
    "committed": "committed",
    "nothing_to_send": "nothing to send",
    "planned": "planned only",
    "uploaded": "uploaded, import not confirmed",
    "failed": "failed",
    "running": "running",
    "waiting": "waiting",
    "died": "killed before it could write a report",
    "untold": "begun, and nothing told since",
}
_UNITS = (
    (timedelta(days=2), 86400, "days"),
    (timedelta(hours=2), 3600, "hours"),
    (timedelta(minutes=2), 60, "minutes"),
)


def number(value: float | None) -> str:
    """1234567 as 1,234,567; nothing for what is not known."""
    return "" if value is None else f"{value:,.0f}"


def seconds(value: float) -> str:
    """A duration: 0.42 s, 12.3 s, 3 min 20 s."""
    if value < 60:
        return f"{value:.2f} s" if value < 10 else f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    return f"{minutes} min {rest} s"


def instant(value: str | datetime | None) -> str:
    """An instant in UTC, to the second; nothing for what is not known or is no instant."""
    found = _instant(value)
    return f"{found:%Y-%m-%d %H:%M:%S} UTC" if found else ""


def later(value: str, passed: float) -> str:
    """An instant so many seconds after another one."""
    found = _instant(value)
    return instant(found + timedelta(seconds=passed)) if found else ""


def age(value: str | datetime | None, now: datetime) -> str:
    """How long ago an instant is, roughly."""
    found = _instant(value)
    if found is None:
        return ""
    passed = now - found
    for least, length, name in _UNITS:
        if passed >= least:
            return f"{passed.total_seconds() / length:.0f} {name} ago"
    return "just now"


def state(value: str) -> str:
    """A state in words."""
    return STATES.get(value, value)


def _instant(value: str | datetime | None) -> datetime | None:
    if not value:
        return None
    try:
        found = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    except ValueError:
        return None
    return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
