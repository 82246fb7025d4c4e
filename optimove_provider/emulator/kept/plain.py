"""Dataclasses as plain JSON values, and back. Members that are missing take their defaults, unknown ones are left out,
so that files of other versions can be read. No I/O here."""

from collections import deque
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

_SEQUENCES: Mapping[Any, Any] = {list: list, deque: deque, set: set}


def to_plain(value: Any) -> Any:
    """The value as JSON has it."""
    if is_dataclass(value):
        return {one.name: to_plain(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, Mapping):
        return {name: to_plain(member) for name, member in value.items()}
    if isinstance(value, list | tuple | deque):
        return [to_plain(member) for member in value]
    return sorted(map(to_plain, value)) if isinstance(value, set | frozenset) else value


def from_plain(kind: Any, value: Any) -> Any:
    """The value of a type that `to_plain` made this of. Raises ValueError if it is of another one."""
    if kind is Any:
        return value
    if is_dataclass(kind):
        return _made(kind, value)
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return _one_of(inner, value)
    if origin is Literal:
        return _checked(value, value in inner, kind)
    if origin is tuple:
        _checked(value, isinstance(value, list) and len(value) == len(inner), kind)
        return tuple(map(from_plain, inner, value))
    if origin in _SEQUENCES:
        return _SEQUENCES[origin](from_plain(inner[0], member) for member in _checked(value, type(value) is list, kind))
    if origin in (dict, Mapping):
        _checked(value, isinstance(value, dict), kind)
        return {name: from_plain(inner[1], member) for name, member in value.items()}
    return _checked(value, type(value) is kind or (kind is float and type(value) is int), kind)


def _made(kind: Any, value: Any) -> Any:
    hints = _hints(kind)
    members = _checked(value, isinstance(value, dict), kind).items()
    try:
        return kind(**{name: from_plain(hints[name], member) for name, member in members if name in hints})
    except TypeError as error:
        raise ValueError(str(error)) from None


def _one_of(kinds: tuple[Any, ...], value: Any) -> Any:
    if value is None and NoneType in kinds:
        return None
    for kind in kinds:
        try:
            return from_plain(kind, value)
        except ValueError:
            continue
    raise ValueError(f"{value!r:.80} is none of {kinds}")


def _checked(value: Any, is_right: bool, kind: Any) -> Any:
    if not is_right:
        raise ValueError(f"{value!r:.80} is no {kind}")
    return value


@cache
def _hints(kind: Any) -> dict[str, Any]:
    names = {one.name for one in fields(kind)}
    return {name: hint for name, hint in get_type_hints(kind).items() if name in names}
