"""Every setting of every switch, and what becomes of the same courses under it.

Which parts of a course meet a switch is seen in a run in which all guesses are right. A world has one thread, one clock
and ids that are always the same: where a switch is not read there, another setting of it changes nothing.
"""

import logging
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any, get_args, get_type_hints

from optimove_provider.emulator import Switches
from tests.support.unknowns.course import Course
from tests.support.unknowns.dcp_course import DcpCourse
from tests.support.unknowns.optix_course import OptixCourse
from tests.support.unknowns.quick import quick

TABLE = Path(__file__).parents[3] / "docs" / "unknowns.toml"
_OPTIX = ("upload", "update", "odd_rows", "wrong_keys")
_DCP = ("tables", "retype", "imports", "read_back", "verified", "files", "profiles", "tokens")
PARTS: Mapping[str, Callable[[Path, Switches, str], Any]] = {
    **dict.fromkeys(_OPTIX, OptixCourse),
    **dict.fromkeys(_DCP, DcpCourse),
}
"""By the name of the method: each begins in a world of its own."""
ON_DEMAND = ("verified", "tokens")
"""Parts that are run only for switches that name them."""
ANY = "*"


@dataclass(frozen=True)
class Unknown:
    """What the table says of a switch.

    `values` are settings besides the default, where its type does not name them. `beside` are other switches without
    which it would not matter. `red` and `told` have for each setting, or for "*", the words of errors, or of notes,
    that are allowed. `unmet` says why nothing that a client does meets it. `parts` are those that are run, where all
    would only say the same more often.
    """

    name: str
    unknown: str
    relies: str
    values: tuple[Any, ...] = ()
    beside: Mapping[str, Any] = field(default_factory=dict)
    red: Mapping[str, str] = field(default_factory=dict)
    told: Mapping[str, str] = field(default_factory=dict)
    unmet: str = ""
    parts: tuple[str, ...] = tuple(part for part in PARTS if part not in ON_DEMAND)

    @property
    def default(self) -> Any:
        """The guess."""
        return getattr(Switches(), self.name)

    @cached_property
    def settings(self) -> tuple[Any, ...]:
        """All of them."""
        kind = get_type_hints(Switches)[self.name]
        found = get_args(kind) or ((True, False) if kind is bool else (self.default, *self.values))
        return tuple(dict.fromkeys(found))

    def words(self, of: Mapping[str, str], setting: Any) -> str:
        """What is allowed under a setting."""
        return of.get(str(setting), of.get(ANY, ""))


@dataclass(frozen=True)
class Ended:
    """How a part ended: each step, notes that were allowed, how many requests it took, what was met."""

    outcomes: Mapping[str, str]
    told: Mapping[str, str]
    asked: int
    met: frozenset[str]


@cache
def table() -> tuple[dict[str, Unknown], list[dict[str, str]]]:
    """What is known of each switch, and the unknowns that need none."""
    found = tomllib.loads(TABLE.read_text("utf-8"))
    lines = found.pop("line")
    return {name: Unknown(name, **content) for name, content in found.items()}, lines


def switch_names() -> list[str]:
    """All switches."""
    return [one.name for one in fields(Switches)]


def cases() -> Iterator[tuple[str, Any]]:
    """Each setting of each switch that has a line."""
    known, _ = table()
    for name in switch_names():
        if name in known:
            yield from ((name, setting) for setting in known[name].settings)


@cache
def run_part(part: str, switches: Switches, tells: str = "") -> Ended:
    """Run one part of a course."""
    with quick() as folder:
        logging.disable(logging.CRITICAL)
        try:
            course: Course = PARTS[part](folder, switches, tells)
            getattr(course, part)()
        finally:
            logging.disable(logging.NOTSET)
    return Ended(course.outcomes, course.told, course.asked, frozenset(course.met))


def run_case(name: str, setting: Any) -> dict[str, Ended]:
    """The parts that meet a switch, under one setting of it."""
    known, _ = table()
    beside = Switches(**known[name].beside)
    meeting = [part for part in known[name].parts if name in run_part(part, beside).met]
    tells = known[name].words(known[name].told, setting)
    return {part: run_part(part, replace(beside, **{name: setting}), tells) for part in meeting}


def objections(known: Unknown, setting: Any, ended: Mapping[str, Ended]) -> list[str]:
    """What speaks against what the table says of a setting; without `red` and `told` it claims that all is right."""
    reds = {f"{part}, {step}": said for part, one in ended.items() for step, said in one.outcomes.items()}
    reds = {step: said for step, said in reds.items() if said != "right"}
    words, found = known.words(known.red, setting), list[str]()
    if not any(known.name in one.met for one in ended.values()):
        found.append("no course meets it")
    found += [f"{step}: {said}" for step, said in reds.items() if not (words and re.search(words, said))]
    if words and not reds:
        found.append("nothing is red any more")
    if (told := any(one.told for one in ended.values())) != bool(known.words(known.told, setting)):
        found.append(f"told: {told}")
    return found


def more_requests(name: str, ended: Mapping[str, Ended]) -> int:
    """How many more requests were sent than where the guess is right."""
    known, _ = table()
    beside = Switches(**known[name].beside)
    return sum(one.asked - run_part(part, beside).asked for part, one in ended.items())
