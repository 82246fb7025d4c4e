"""Reads members of a vendor's JSON objects: what is documented of them, or an OddMember. No I/O here.

Nothing is turned into what it is not: null is no text "None", true no id 1, "false" no true.
"""

import re
from collections.abc import Mapping
from typing import Any


class OddMember(ValueError):
    """A member of an answer is not what it should be. The message may be shown: it holds no value that may be a key."""


_DIGITS = re.compile(r"[1-9][0-9]{0,17}")
_KINDS = (
    (type(None), "null"),
    (bool, "true or false"),
    (int | float, "a number"),
    (str, "a text"),
    (list, "an array"),
    (Mapping, "an object"),
)


def kind_of(value: Any) -> str:
    """What a JSON value is, in words, without the value: it may be a key."""
    return next((words for kind, words in _KINDS if isinstance(value, kind)), type(value).__name__)


def text(found: Mapping[str, Any], name: str) -> str:
    """A text that must be there, and is not empty."""
    value = found.get(name)
    if not isinstance(value, str) or not value.strip():
        raise OddMember(f"{name} is {_said(found, name)}, where a text is expected")
    return value


def optional_text(found: Mapping[str, Any], name: str) -> str | None:
    """A text, which may be empty; None where it is null or left out."""
    value = found.get(name)
    if value is not None and not isinstance(value, str):
        raise OddMember(f"{name} is {_said(found, name)}, where a text is expected")
    return value


def identity(found: Mapping[str, Any], name: str = "id") -> int:
    """An id: a whole number above 0, or its digits as a text, as the profile host writes the same ids."""
    if (number := as_identity(found.get(name))) is None:
        raise OddMember(f"{name} is {_said(found, name)}, where an id is expected")
    return number


def optional_identity(found: Mapping[str, Any], name: str) -> int | None:
    """An id; None where it is null or left out."""
    return None if found.get(name) is None else identity(found, name)


def as_identity(value: Any) -> int | None:
    """The id that a JSON value is; None if it is none. Neither true nor 7.0 is one."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        return None
    digits = str(value)
    return int(digits) if _DIGITS.fullmatch(digits) else None


def flag(found: Mapping[str, Any], name: str) -> bool:
    """true or false; false where it is null or left out."""
    value = found.get(name)
    if value is not None and not isinstance(value, bool):
        raise OddMember(f"{name} is {_said(found, name)}, where true or false is expected")
    return bool(value)


def _said(found: Mapping[str, Any], name: str) -> str:
    if name not in found:
        return "missing"
    return "an empty text" if found[name] == "" else kind_of(found[name])
