"""The members of a JSON object that a vendor, or a file, gave: each is of its kind, or an OddMember. No I/O here.

A member that need not be there may be null as well. Messages name the member and the kind of what was found, and show
nothing of it: what stands beside it may be a key, and what stands in it, too.
"""

from collections.abc import Mapping
from typing import Any

from optimove_provider.contract.wire.errors import SettingsError
from optimove_provider.contract.wire.targets import connection_uuid, id_number

LONGEST = 4096
"""Characters of a text: names, paths and keys are far shorter."""

Object = Mapping[str, Any]


class OddMember(ValueError):
    """A member is not what it should be; the message may be shown."""


def text(found: Object, name: str) -> str:
    """A text that is there and not empty."""
    value = _of(found).get(name)
    if not isinstance(value, str) or not value.strip():
        raise OddMember(f"{name} is {kind_of(value)}; expected text")
    return _short(name, value)


def text_or_none(found: Object, name: str) -> str | None:
    """A text, which may be empty; None where there is none."""
    value = prose(found, name)
    return None if value is None else _short(name, value)


def prose(found: Object, name: str) -> str | None:
    """What people write, of whatever length; None where there is none."""
    value = _of(found).get(name)
    if value is not None and not isinstance(value, str):
        raise OddMember(f"{name} is {kind_of(value)}; expected text or null")
    return value


def remark(found: Object, name: str) -> str | None:
    """The same where nothing depends on it: what is no text is none."""
    try:
        return prose(found, name)
    except OddMember:
        return None


def flag(found: Object, name: str) -> bool:
    """true or false; false where there is neither."""
    value = _of(found).get(name)
    if value is not None and not isinstance(value, bool):
        raise OddMember(f"{name} is {kind_of(value)}; expected true or false")
    return bool(value)


def number(found: Object, name: str) -> int:
    """An id: a whole number above 0, or its digits as text, as the profile host has them."""
    value = _of(found).get(name)
    try:
        return id_number(name, value if isinstance(value, int | str) else None)
    except SettingsError:
        pass  # raised below: the error shows the value
    raise OddMember(f"{name} is {kind_of(value)}; expected the number of an id")


def number_or_none(found: Object, name: str) -> int | None:
    """An id; None where there is none."""
    return None if _of(found).get(name) is None else number(found, name)


def uuid(found: Object, name: str) -> str:
    """A uuid, in its one form."""
    value = _of(found).get(name)
    try:
        return connection_uuid(value if isinstance(value, str) else None)
    except SettingsError:
        pass  # raised below: the error shows the value
    raise OddMember(f"{name} is {kind_of(value)}; expected a uuid")


def customer_id(found: Object, name: str) -> str:
    """A customer's id: text, or a whole number's digits."""
    value = _of(found).get(name)
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else text(found, name)


def values(found: Object, name: str) -> dict[str, Any]:
    """An object within; empty where there is none, or an empty list, which some servers write for one."""
    value = _of(found).get(name)
    if value is not None and value != [] and not isinstance(value, Mapping):
        raise OddMember(f"{name} is {kind_of(value)}; expected an object")
    return dict(value or {})


_KINDS = {bool: "true or false", int: "a whole number", float: "a number with a decimal point", list: "a list"}


def kind_of(value: Any) -> str:
    """What a JSON value is, in words that show nothing of it."""
    if isinstance(value, str):
        return "a text of another form" if value.strip() else "an empty text"
    return "missing or null" if value is None else _KINDS.get(type(value), "an object")


def _of(found: Any) -> Object:
    if not isinstance(found, Mapping):
        raise OddMember(f"it is {kind_of(found)}; expected an object")
    return found


def _short(name: str, value: str) -> str:
    if len(value) > LONGEST:
        raise OddMember(f"{name} is a text of {len(value)} characters; expected at most {LONGEST}")
    return value
