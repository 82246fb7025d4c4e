"""What an upload or an update carries, judged record by record. No I/O here."""

import json
from collections.abc import Callable, Iterable
from typing import Any

from optimove_provider.emulator.model.optix import Connection, Key, Record
from optimove_provider.emulator.model.switches import Switches
from optimove_provider.emulator.replies import Refusal

Read = Callable[[Any], Record]
# So many bad records are named in one refusal.
_MOST_NAMED = 20


class BadRecord(Exception):
    """What is wrong with one record, and the status that it is refused with. `named`: whether the refusal names it."""

    def __init__(self, status: int, problem: str, *, named: bool = True):
        super().__init__(problem)
        self.status, self.problem, self.named = status, problem, named


def judge(items: Iterable[Any], place: str, read: Read, taken: set[Key] | None) -> tuple[list[Record], Refusal | None]:
    """The good records, and the refusal of the bad ones. `place` is what the refusal calls the list they are in.

    A key among `taken`, or twice, is bad unless `taken` is None.
    """
    good: list[Record] = []
    bad: dict[int, BadRecord] = {}
    for index, item in enumerate(items):
        try:
            record = read(item)
            if taken is not None:
                _take(record.key, taken)
            good.append(record)
        except BadRecord as why:
            bad[index] = why
    return good, _refusal(place, bad) if bad else None


def _take(key: Key, taken: set[Key]) -> None:
    if key in taken:
        raise BadRecord(400, "has a primary key that came before")
    taken.add(key)


def _refusal(place: str, bad: dict[int, BadRecord]) -> Refusal:
    status = next(iter(bad.values())).status
    named = [(index, why) for index, why in bad.items() if why.named][:_MOST_NAMED]
    if not named:
        return Refusal(status, "a value is refused")
    message = "; ".join(f"{place}[{index}] {why.problem}" for index, why in named)
    details = [{"loc": _location(place, index), "msg": why.problem, "type": "value_error"} for index, why in named]
    return Refusal(status, message, details)


def _location(place: str, index: int) -> list[str | int]:
    # As web frameworks name a place in a body: an upload's list is its member "data", an update is a list itself.
    return ["body", place, index] if place == "data" else ["body", index, "data"]


def upload_reader(connection: Connection, switches: Switches, expires: float | None) -> Read:
    """Reads one member of an upload's `data`: an object that holds the primary key."""

    def read(item: Any) -> Record:
        if not isinstance(item, dict):
            raise BadRecord(400, "is no object")
        if connection.primary_key not in item:
            raise BadRecord(400, f"lacks the primary key {connection.primary_key!r}")
        return Record(_key(item[connection.primary_key], switches), _clean(item, switches), expires)

    return read


def update_reader(connection: Connection, switches: Switches, now: float) -> Read:
    """Reads one item of an update: an object with the key's value, the other fields, and its own time to live."""

    def read(item: Any) -> Record:
        if not isinstance(item, dict) or not isinstance(item.get("data"), dict) or "primary_key" not in item:
            raise BadRecord(switches.schema_status, "is no object with primary_key and data, an object")
        key = _key(item["primary_key"], switches)
        if switches.absent_key == "404" and not connection.has(key, now):
            raise BadRecord(404, "has a primary key that is not there")
        if problem := ttl_problem(item.get("ttl"), switches):
            raise BadRecord(switches.schema_status, f"has a ttl that {problem}")
        # Guess: where `data` names the key too, the item's primary_key counts.
        data = {**_clean(item["data"], switches), connection.primary_key: item["primary_key"]}
        return Record(key, data, expiry(item.get("ttl"), now))

    return read


def ttl_problem(ttl: Any, switches: Switches) -> str:
    """What is wrong with a time to live, empty if nothing is."""
    least = 0 if switches.zero_ttl == "expire" else 1
    # Guess: less than nothing is refused.
    if ttl is None or (isinstance(ttl, int) and not isinstance(ttl, bool) and ttl >= least):
        return ""
    return f"is neither null nor a whole number of at least {least}"


def expiry(ttl: int | None, now: float) -> float | None:
    """When a record expires. Guess: the time to live starts with the request, not with the completion of its batch."""
    return None if ttl is None else now + ttl


def _key(value: Any, switches: Switches) -> Key:
    # Samples show integers and strings. Guess: everything else, and the empty string, is refused.
    if isinstance(value, bool) or not isinstance(value, str | int | float) or value == "":
        raise BadRecord(switches.schema_status, "has a primary key that is no string or number")
    text = json.dumps(value)
    return json.dumps(text) if switches.key_identity == "text" and not isinstance(value, str) else text


def _clean(data: dict[str, Any], switches: Switches) -> dict[str, Any]:
    if switches.poison and _holds(data, switches.poison):
        raise BadRecord(400, "holds a value that is refused", named=switches.poison_named == "index")
    return data


def _holds(value: Any, text: str) -> bool:
    if isinstance(value, str):
        return text in value
    if isinstance(value, dict):
        return any(_holds(member, text) for member in value.values())
    return isinstance(value, list) and any(_holds(member, text) for member in value)
