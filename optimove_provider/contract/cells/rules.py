"""The shape of a datatype's row, and the functions that decide about a cell, one a datatype. No I/O."""

import datetime
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from enum import Enum


class Verdict(Enum):
    """What a rule says of a cell. DISPUTED: the vendor contradicts itself: a warning, INVALID if strict. IMPLAUSIBLE:
    right by the vendor's words, and hardly meant: a warning, in strict mode too."""

    VALID = "valid"
    DISPUTED = "disputed"
    IMPLAUSIBLE = "implausible"
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
    `decide` is asked about cells that match, `explain` why one of those is doubtful: "" says no more than `doubt`.
    `undisputed` writes the value of a DISPUTED cell as the vendor disputes it nowhere, if there is such a form, and
    gives any other cell as it is. `valid` and `invalid` are the cells that the vendor prints.
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
    explain: Callable[[str], str] = lambda cell: ""
    undisputed: Callable[[str], str] = lambda cell: cell

    def judge(self, cell: str, strict: bool = False) -> Verdict:
        """Decide about one cell, unquoted and not empty; never raises. Strict never answers DISPUTED."""
        found = self.pattern.fullmatch(cell)
        verdict = self.decide(found) if found else Verdict.INVALID
        return Verdict.INVALID if strict and verdict is Verdict.DISPUTED else verdict

    @property
    def doubt(self) -> str:
        """Why a cell of this rule is DISPUTED, for people; empty if none ever is."""
        return next((one.decision for one in self.disputed if one.lenient is Verdict.DISPUTED), "")

    def doubt_about(self, cell: str) -> str:
        """Why a cell of this rule is DISPUTED or IMPLAUSIBLE, for people."""
        return self.explain(cell) or self.doubt


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
    """A double that is finite and no silent 0; an exponent is disputed, and what is nearer to 0 than 2^-1023."""
    value = abs(float(found[0]))
    underflows = value == 0 and found["digits"].strip("0.-") != ""
    if math.isinf(value) or underflows:
        return INVALID
    return DISPUTED if found["exponent"] or _is_tiny(value) else VALID


def _is_tiny(value: float) -> bool:
    return 0 < abs(value) < 2.0**-1023


TINY = "nearer to 0 than 2^-1023, the smallest number that the vendor states, though doubles go on down to 2^-1074"
EXPONENT = "an exponent, and the vendor prints plain digits only: an import writes it so, as the same number"


def explain_double(cell: str) -> str:
    """What is doubtful about a double."""
    return TINY if _is_tiny(float(cell)) else EXPONENT


_MOST_PLACES = 400
"""Before the point, or behind it up to the first digit: no double needs more."""


def plain_digits(text: str) -> str:
    """A finite number without an exponent, exactly the same: 0.0000001 for 1e-7. As it is if no double has its size."""
    mantissa, *exponent = re.split("[eE]", text)
    if not exponent:
        return text
    if not mantissa.strip("-0."):  # whatever the exponent, which may be greater than any that Decimal holds
        return "-0" if mantissa.startswith("-") else "0"
    try:
        number = Decimal(text)
    except InvalidOperation:
        return text
    return format(number, "f") if abs(number.adjusted()) <= _MOST_PLACES else text


def with_zulu(cell: str) -> str:
    """A time with its Z."""
    return cell if cell.endswith("Z") else f"{cell}Z"


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
    """Seconds that fit 64 bits; so many that they look like milliseconds are disputed, and none."""
    value = int(found[0])
    if value > LONG_MAX:
        return INVALID
    if value == 0 or value >= EPOCH_LOOKS_LIKE_MILLISECONDS:
        return DISPUTED
    return Verdict.IMPLAUSIBLE if value < FIRST_PLAUSIBLE_SECOND or _written_date(found[0]) else VALID


def decide_epoch_milliseconds(found: re.Match[str]) -> Verdict:
    """Milliseconds that fit 64 bits; so few that they look like seconds are disputed."""
    value = int(found[0])
    if value > LONG_MAX:
        return INVALID
    if value < EPOCH_LOOKS_LIKE_MILLISECONDS:
        return DISPUTED
    return Verdict.IMPLAUSIBLE if value >= EPOCH_LOOKS_LIKE_MICROSECONDS or _written_date(found[0], 14) else VALID


FIRST_PLAUSIBLE_SECOND = 100_000
"""Less is a year, a spreadsheet's days or a counter, and hardly an instant within 28 hours of 1970."""
EPOCH_LOOKS_LIKE_MICROSECONDS = 10**14
"""As milliseconds the year 5138, as microseconds March 1973."""
_FORMS = {6: "yyyymm", 8: "yyyymmdd", 12: "yyyymmddhhmm", 14: "yyyymmddhhmmss"}
_DAYS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def _written_date(digits: str, only: int | None = None) -> bool:
    """Whether these are the digits of a date of the years 1900 to 2199, such as yyyymmdd."""
    if len(digits) not in (_FORMS if only is None else (only,)) or digits[:2] not in ("19", "20", "21"):
        return False
    year, month, *rest = int(digits[:4]), *(int(digits[at : at + 2]) for at in range(4, len(digits), 2))
    if not 1 <= month <= 12:
        return False
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    days = 28 if month == 2 and not leap else _DAYS[month - 1]
    limits = ((1, days), (0, 23), (0, 59), (0, 59))
    return all(least <= part <= most for part, (least, most) in zip(rest, limits, strict=False))


EPOCH_0 = (
    "the vendor's text takes positive integers only, its table 0 too; it is the first second of 1970, if it is meant"
)


def explain_epoch(cell: str) -> str:
    """What digits look like that are no plausible seconds; "" for milliseconds, of which the vendor itself speaks."""
    value = int(cell)
    if value == 0:
        return EPOCH_0
    if looks := _looks_like(cell, value):
        return f"this looks like {looks}{_as_seconds(value)}; nothing is converted"
    return ""


def explain_epoch_milliseconds(cell: str) -> str:
    """What digits look like that are no plausible milliseconds; "" for seconds."""
    value = int(cell)
    if value >= EPOCH_LOOKS_LIKE_MILLISECONDS and (looks := _looks_like(cell, value)):
        return f"this looks like {looks}; nothing is converted"
    return ""


def _looks_like(cell: str, value: int) -> str:
    if _written_date(cell):
        return f"a date written {_FORMS[len(cell)]}"
    if value >= EPOCH_LOOKS_LIKE_MILLISECONDS:
        return "nanoseconds" if value >= 10**17 else "microseconds" if value >= EPOCH_LOOKS_LIKE_MICROSECONDS else ""
    if value >= FIRST_PLAUSIBLE_SECOND:
        return ""
    return "a year" if 1900 <= value < 2200 else "a spreadsheet's days since 1900" if value >= 10_000 else "no instant"


def _as_seconds(value: int) -> str:
    if value >= EPOCH_LOOKS_LIKE_MILLISECONDS:
        return ""
    return f", and as seconds it is {datetime.datetime.fromtimestamp(value, datetime.UTC):%Y-%m-%dT%H:%M:%SZ}"


def decide_string(found: re.Match[str]) -> Verdict:
    """Any text."""
    return VALID
