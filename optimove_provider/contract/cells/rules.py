"""The shape of a datatype's row, and the functions that decide about a cell, one a datatype. No I/O."""

import datetime
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum


class Verdict(Enum):
    """What a rule says of a cell. DISPUTED: the vendor contradicts itself: a warning, INVALID if strict."""

    VALID = "valid"
    DISPUTED = "disputed"
    INVALID = "invalid"


@dataclass(frozen=True, slots=True)
class Dispute:
    """Cells on which two statements of the vendor differ, both quoted, and our verdict in either mode."""

    cells: tuple[str, ...]
    statement: str
    against: str
    decision: str
    lenient: Verdict = Verdict.DISPUTED
    strict: Verdict = Verdict.INVALID


@dataclass(frozen=True, slots=True)
class Decision:
    """Cells of which the vendor says nothing: the verdict, the same in both modes, is OURS."""

    cells: tuple[str, ...]
    verdict: Verdict
    reason: str


@dataclass(frozen=True, slots=True)
class Rule:
    """One datatype. `name` is the stable id that findings carry; `expects` completes "expected ...".

    `pattern` must match the whole cell; `bounds`, where there are any, hold the least and the greatest value;
    `decide` is asked about cells that match. `valid` and `invalid` are the cells that the vendor prints.
    """

    name: str
    datatype: str
    format: str | None
    expects: str
    pattern: re.Pattern[str]
    bounds: tuple[float, float] | None
    decide: Callable[[re.Match[str]], Verdict]
    valid: tuple[str, ...]
    invalid: tuple[str, ...]
    disputed: tuple[Dispute, ...]
    decided: tuple[Decision, ...]
    source: str

    def judge(self, cell: str, strict: bool = False) -> Verdict:
        """Decide about one cell, unquoted and not empty; never raises. Strict never answers DISPUTED."""
        found = self.pattern.fullmatch(cell)
        verdict = self.decide(found) if found else Verdict.INVALID
        return Verdict.INVALID if strict and verdict is Verdict.DISPUTED else verdict

    @property
    def doubt(self) -> str:
        """Why a cell of this rule is DISPUTED, for people; empty if none ever is."""
        return next((one.decision for one in self.disputed if one.lenient is Verdict.DISPUTED), "")


VALID, DISPUTED, INVALID = Verdict.VALID, Verdict.DISPUTED, Verdict.INVALID

LONG_MAX = 2**63 - 1
EPOCH_LOOKS_LIKE_MILLISECONDS = 10**11
"""As seconds the year 5138, as milliseconds March 1973."""


def decide_bool(found: re.Match[str]) -> Verdict:
    """Lowercase or another case, which is disputed."""
    return VALID if found[0] in ("true", "false") else DISPUTED


def decide_long(found: re.Match[str]) -> Verdict:
    """At most 19 digits, by the pattern: int() refuses very long ones."""
    value = int(found[0])
    if value == -LONG_MAX - 1:
        return DISPUTED
    return VALID if abs(value) <= LONG_MAX else INVALID


def decide_double(found: re.Match[str]) -> Verdict:
    """A double that is finite and no silent 0; nearer to 0 than 2^-1023 is disputed."""
    value = abs(float(found[0]))
    underflows = value == 0 and found["digits"].strip("0.") != ""
    if math.isinf(value) or underflows:
        return INVALID
    return DISPUTED if 0 < value < 2.0**-1023 else VALID


def decide_date(found: re.Match[str]) -> Verdict:
    """A day of the Gregorian calendar, years 1 to 9999."""
    try:
        datetime.date(int(found["year"]), int(found["month"]), int(found["day"]))
    except ValueError:
        return INVALID
    return VALID


def decide_datetime(found: re.Match[str]) -> Verdict:
    """A day and, by the pattern, a time of that day; without Z it is disputed."""
    if decide_date(found) is INVALID:
        return INVALID
    return VALID if found["zulu"] else DISPUTED


def decide_epoch(found: re.Match[str]) -> Verdict:
    """Seconds that fit 64 bits; so many that they look like milliseconds are disputed."""
    value = int(found[0])
    if value > LONG_MAX:
        return INVALID
    return DISPUTED if value >= EPOCH_LOOKS_LIKE_MILLISECONDS else VALID


def decide_epoch_milliseconds(found: re.Match[str]) -> Verdict:
    """Milliseconds that fit 64 bits; so few that they look like seconds are disputed."""
    value = int(found[0])
    if value > LONG_MAX:
        return INVALID
    return DISPUTED if value < EPOCH_LOOKS_LIKE_MILLISECONDS else VALID


def decide_string(found: re.Match[str]) -> Verdict:
    """Any text."""
    return VALID
