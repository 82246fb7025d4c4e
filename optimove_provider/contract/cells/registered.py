"""The attributes that a table has, also those that cannot be used: each says why, and blocks its own column only."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from optimove_provider.contract.cells.datatypes import RULES, Attribute
from optimove_provider.contract.wire import members
from optimove_provider.contract.wire.shown import shown

_DATATYPES = ", ".join(dict.fromkeys(rule.datatype for rule in RULES))
_FORMATS = ", ".join(rule.format for rule in RULES if rule.format)
_SHOWN = 60


@dataclass(frozen=True, slots=True)
class UnusableAttribute:
    """An attribute whose values nobody can check. It has no rule, so nothing can be done with it but name it.

    `problem` names it, says what is wrong and what to do.
    """

    name: str
    problem: str
    archived: bool = False
    id: int | None = None


Registered = Attribute | UnusableAttribute


def registered(entry: Mapping[str, Any]) -> Registered:
    """One attribute as the attributes endpoint lists it. Raises OddMember for one without a name."""
    name = members.text(entry, "name")
    try:
        needed = {**entry, "description": members.remark(entry, "description")}
        return replace(Attribute.from_json(needed), id=members.number_or_none(entry, "id"))
    except ValueError as error:
        odd = error if isinstance(error, members.OddMember) else None
    # An odd flag, too, is found here: then it is not archived.
    archived, number = entry.get("archived") is True, _id(entry)
    problem = f"{odd} (id {number})" if odd else f"{_named(name, [number])} has {_kind(entry)}"
    advice = "leave it out, or archive it and create a replacement of another datatype"
    return UnusableAttribute(name, f"{problem}: {advice}", archived, number)


def _id(entry: Mapping[str, Any]) -> int | None:
    """The id, as every other attribute has it; an odd one is none."""
    try:
        return members.number_or_none(entry, "id")
    except members.OddMember:
        return None


def _kind(entry: Mapping[str, Any]) -> str:
    datatype, format = (shown(str(entry.get(member)), _SHOWN) for member in ("datatype", "format"))
    if datatype == "datetime":
        return f"datatype 'datetime' and format {format!r}, which is unknown here ({_FORMATS} are known)"
    return f"datatype {datatype!r}, which is unknown here ({_DATATYPES} are known)"


def _named(name: str, ids: Iterable[int | None]) -> str:
    return f"attribute {shown(name, _SHOWN)!r} (id {' and '.join(str(id) for id in ids)})"


def one_of_each_name(listed: Iterable[Registered]) -> list[Registered]:
    """One attribute of each name, in the order in which their names come first.

    The vendor's way to retype is to archive an attribute and to create a replacement, so a live one wins over archived
    ones of its name, in whichever order they are listed. Two live ones are an UnusableAttribute that names both ids.
    """
    by_name: dict[str, list[Registered]] = {}
    for one in listed:
        by_name.setdefault(one.name, []).append(one)
    return [_the_one(same) for same in by_name.values()]


def _the_one(same: Sequence[Registered]) -> Registered:
    live = [one for one in same if not one.archived]
    if len(live) < 2:
        return (*live, same[-1])[0]
    name, ids = same[0].name, [one.id for one in live]
    return UnusableAttribute(name, f"{_named(name, ids)} is there {len(live)} times: archive all but one of them")


def usable(attributes: Iterable[Registered]) -> list[Attribute]:
    """Those that have a rule, archived ones included."""
    return [one for one in attributes if isinstance(one, Attribute)]


def problems(attributes: Iterable[Registered]) -> dict[str, str]:
    """What is wrong with those that cannot be used, by name; archived ones are of no use to anybody anyway."""
    return {one.name: one.problem for one in attributes if isinstance(one, UnusableAttribute) and not one.archived}
