"""What an upload or an update carries, judged record by record. No I/O here."""

import json
from collections.abc import Callable, Iterable
from typing import Any

from optimove_provider.contract.shapes.optix import MOST_SECONDS
from optimove_provider.emulator.model.optix import Batch, Connection, Key, Record
from optimove_provider.emulator.model.switches import Switches
from optimove_provider.emulator.replies import Refusal, whole_number

Read = Callable[[Any], Record]
# So many bad records are named in one refusal.
_MOST_NAMED = 20


class BadRecord(Exception):
    """What is wrong with one record, and the status that it is refused with. `named`: whether the refusal names it."""

    def __init__(self, status: int, problem: str, *, named: bool = True):
        super().__init__(problem)
        self.status, self.problem, self.named = status, problem, named


class Taken:
    """The keys that came before: in the request, and in the requests of its batch that wait."""

    def __init__(self, switches: Switches, batch: Batch | None = None):
        self._switches, self._here = switches, set[Key]()
        self._before = frozenset(batch.waiting) if batch else frozenset[Key]()

    def take(self, key: Key) -> None:
        """Remember a key. Raises BadRecord where it may not come again."""
        is_here = key in self._here
        if is_here or key in self._before:
            refused = ("refuse_in_request", "refuse_in_batch") if is_here else ("refuse_in_batch",)
            if self._switches.duplicate_keys in refused:
                raise BadRecord(400, "has a primary key that came before")
        self._here.add(key)


def judge(items: Iterable[Any], place: str, read: Read, taken: Taken) -> tuple[list[Record], Refusal | None]:
    """The good records, and the refusal of the bad ones. `place` is what the refusal calls the list they are in."""
    good: list[Record] = []
    bad: dict[int, BadRecord] = {}
    for index, item in enumerate(items):
        try:
            record = read(item)
            taken.take(record.key)
            good.append(record)
        except BadRecord as why:
            bad[index] = why
    return good, _refusal(place, bad) if bad else None


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


def upload_reader(connection: Connection, switches: Switches, ttl: int | None, now: float) -> Read:
    """Reads one member of an upload's `data`: an object that holds the primary key."""

    def read(item: Any) -> Record:
        if not isinstance(item, dict):
            raise BadRecord(400, "is no object")
        if connection.primary_key not in item:
            raise BadRecord(400, f"lacks the primary key {connection.primary_key!r}")
        key = _key(item[connection.primary_key], switches)
        return Record(key, _clean(item, switches), ttl=ttl).from_now(now)

    return read


def update_reader(connection: Connection, switches: Switches, now: float) -> Read:
    """Reads one item of an update: an object with the key's value, the other fields, and its own time to live."""

    def read(item: Any) -> Record:
        if not isinstance(item, dict) or not isinstance(item.get("data"), dict) or "primary_key" not in item:
            raise BadRecord(switches.schema_status, "is no object with primary_key and data, an object")
        key = _key(item["primary_key"], switches)
        if not connection.has(key, now) and switches.absent_key == "404":
            raise BadRecord(404, "has a primary key that is not there")
        try:
            ttl = read_ttl(item.get("ttl"), switches)
        except ValueError as problem:
            raise BadRecord(switches.schema_status, f"has a ttl that {problem}") from None
        # Guess: where `data` names the key too, the item's primary_key counts.
        data = {**_clean(item["data"], switches), connection.primary_key: item["primary_key"]}
        return Record(key, data, ttl=ttl).from_now(now)

    return read


def read_ttl(ttl: Any, switches: Switches) -> int | None:
    """A time to live in seconds, None for ever. Raises ValueError that says what is wrong with it."""
    if ttl is None:
        return None
    seconds = whole_number(ttl)
    # Guess: less than nothing is refused, and what no counter of 64 bits holds.
    if seconds is None or not 0 <= seconds <= MOST_SECONDS or (seconds == 0 and switches.zero_ttl == "refuse"):
        raise ValueError("is neither null nor a whole number of seconds")
    if 0 < (most := switches.max_ttl_seconds) < seconds:
        raise ValueError(f"is more than {most}")
    return seconds


def _key(value: Any, switches: Switches) -> Key:
    # Samples show integers and strings. Guess: everything else, and the empty string, is refused.
    if isinstance(value, bool) or not isinstance(value, str | int | float) or value == "":
        raise BadRecord(switches.schema_status, "has a primary key that is no string or number")
    text = json.dumps(value)
    return json.dumps(text) if not isinstance(value, str) and switches.key_identity == "text" else text


def _clean(data: dict[str, Any], switches: Switches) -> dict[str, Any]:
    if switches.poison and _holds(data, switches.poison):
        raise BadRecord(400, "holds a value that is refused", named=switches.poison_named == "index")
    return {name: value for name, value in data.items() if _is_stored(name, value, switches)}


def _is_stored(name: str, value: Any, switches: Switches) -> bool:
    if isinstance(value, dict | list) and switches.nested_values == "refuse":
        raise BadRecord(switches.schema_status, f"has an object or a list in {name!r}")
    if value is None and switches.null_values == "refuse":
        raise BadRecord(switches.schema_status, f"has a null in {name!r}")
    return value is not None or switches.null_values == "stored"


def _holds(value: Any, text: str) -> bool:
    if isinstance(value, str):
        return text in value
    if isinstance(value, dict):
        return any(_holds(member, text) for member in value.values())
    return isinstance(value, list) and any(_holds(member, text) for member in value)
