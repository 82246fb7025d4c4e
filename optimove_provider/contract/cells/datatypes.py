"""The datatypes of a DCP CSV file, one row each: what a cell must look like, and who says so. No I/O.

`RULES` is the only place that decides about a cell. The validator, the emulator's importer, docs/rules.md and
the tests read it. "Guide" in it is the vendor's page "Customer Profiles", "CSV Datatype Requirements"
(docs.developers.optimizely.com/web-experimentation/docs/customer-profiles). The guide prints quotes,
some curly, around some cells; they are CSV quoting and no part of the value.

Nothing here speaks of empty cells: the guide asks for a value in customerId only and is silent about every
other column, so whoever reads a file allows them there and never asks a rule.
"""

import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar, get_args

from optimove_provider.contract.cells.decided import DECIDED
from optimove_provider.contract.cells.rules import (
    EPOCH_0,
    EXPONENT,
    INVALID,
    LONG_MAX,
    TINY,
    VALID,
    Decision,
    Dispute,
    Rule,
    Verdict,
    decide_bool,
    decide_date,
    decide_datetime,
    decide_double,
    decide_epoch,
    decide_epoch_milliseconds,
    decide_long,
    decide_string,
    explain_double,
    explain_epoch,
    explain_epoch_milliseconds,
    plain_digits,
    with_zulu,
)
from optimove_provider.contract.wire import members
from optimove_provider.contract.wire.errors import SettingsError

__all__ = [
    "EPOCH_MILLISECONDS",
    "KEY_COLUMN",
    "MAX_IMPORT_BYTES",
    "RULES",
    "Attribute",
    "Decision",
    "Dispute",
    "EpochUnit",
    "Rule",
    "Verdict",
    "in_unit",
    "is_key_column",
    "rule_for",
]

KEY_COLUMN = "customerId"
"""Guide: "The header row must include a column named customerId (case-insensitive)."."""

MAX_IMPORT_BYTES = 10 * 10**9
"""Guide: "Files uploaded to optimizely-import S3 bucket must be under 10GB or will not be accepted."

A file of exactly this size is refused. Whether GB or GiB is meant is not said: this is the smaller.
"""

_GREATEST = str(int(sys.float_info.max))
_DAY = "(?P<year>[0-9]{4})-(?P<month>[0-9]{2})-(?P<day>[0-9]{2})"

RULES: tuple[Rule, ...] = (
    Rule(
        name="bool",
        datatype="bool",
        format=None,
        expects="true or false, in lowercase",
        pattern=re.compile("true|false", re.ASCII | re.IGNORECASE),  # ASCII: or the long s would match s
        bounds=None,
        decide=decide_bool,
        valid=("false", "True", "TRUE"),
        invalid=("0", "1", "y", "n"),
        disputed=(
            Dispute(
                ("True", "TRUE", "False", "FALSE", "tRUE"),
                "This datatype is case sensitive and only accepts true and false.",
                'the table under it prints True and "TRUE" as valid',
                "the vendor's text takes true and false in lowercase only, its table other cases too",
            ),
        ),
        decided=DECIDED["bool"],
        source='Guide, Boolean: "This datatype is case sensitive and only accepts true and false."',
        undisputed=str.lower,
    ),
    Rule(
        name="long",
        datatype="long",
        format=None,
        expects="a whole number from -9223372036854775807 to 9223372036854775807, without leading zeros",
        pattern=re.compile("-?(?:0|[1-9][0-9]{0,18})"),
        bounds=(-LONG_MAX, LONG_MAX),
        decide=decide_long,
        valid=("1", "-2", "9223372036854775807", "-9223372036854775807"),
        invalid=("foo", "9223372036854775810"),
        disputed=(
            Dispute(
                ("-9223372036854775808",),
                "integer numbers from -2^63-1 to 2^63-1",
                "(-9223372036854775807 to 9223372036854775807)",
                "-2^63 is in the range that the vendor writes in powers, out of the one it writes in digits",
            ),
            Dispute(
                ("-9223372036854775809",),
                "integer numbers from -2^63-1 to 2^63-1",
                "(-9223372036854775807 to 9223372036854775807)",
                "-2^63-1 read as arithmetic is refused: no 64-bit integer holds it",
                lenient=INVALID,
            ),
        ),
        decided=DECIDED["long"],
        source='Guide, Number (Long): "This datatype allows integer numbers from -2^63-1 to 2^63-1 '
        '(-9223372036854775807 to 9223372036854775807)."',
    ),
    Rule(
        name="double",
        datatype="double",
        format=None,
        expects="a decimal number that a 64-bit float can hold, such as 1, -2.3 or 0.0000001",
        pattern=re.compile(r"-?(?P<digits>(?:0|[1-9][0-9]*)(?:\.[0-9]+)?)(?P<exponent>[eE][+-]?[0-9]+)?"),
        bounds=(-sys.float_info.max, sys.float_info.max),
        decide=decide_double,
        valid=("1", "-2.3"),
        invalid=("foo", "2,3"),
        disputed=(
            Dispute(
                (_GREATEST, f"-{_GREATEST}"),
                "The biggest number is (2-2^52) x 2^1023",
                "which can be positive or negative",
                "as printed the formula is a negative number that no double holds: (2-2^-52) x 2^1023, the "
                "greatest double, is meant",
                lenient=VALID,
                strict=VALID,
            ),
            Dispute(
                ("5e-324", "-1e-320", "1.1125369292536e-308"),
                "the smallest number is 2^-1023",
                "This datatype allows double numbers",
                TINY,
            ),
            Dispute(
                ("1e5", "1E5", "1.5e-7", "2e+3", "0e5", "1e-07", "1e+16", "1.7976931348623157e308", "1.5e-308"),
                "This datatype allows double numbers with a decimal. The biggest number is (2-2^52) x 2^1023",
                "the table under it prints plain digits only, and a number of 309 digits is written so by nobody",
                EXPONENT,
            ),
            Dispute(
                ("1",),
                "This datatype allows double numbers with a decimal.",
                "the table under it prints 1 as valid",
                "no decimal point is needed",
                lenient=VALID,
                strict=VALID,
            ),
        ),
        decided=DECIDED["double"],
        source='Guide, Number (Double): "This datatype allows double numbers with a decimal. The biggest '
        "number is (2-2^52) x 2^1023 which can be positive or negative and the smallest number is "
        '2^-1023."',
        explain=explain_double,
        undisputed=plain_digits,
    ),
    Rule(
        name="date",
        datatype="datetime",
        format="yyyy-mm-dd",
        expects="a day of the calendar written yyyy-mm-dd, such as 2022-05-02",
        pattern=re.compile(_DAY),
        bounds=None,
        decide=decide_date,
        valid=("2022-05-02", "1999-01-02"),
        invalid=("2022-13-01", "2022/05/02"),
        disputed=(),
        decided=DECIDED["date"],
        source='Guide, Date (yyyy-mm-dd): "This datatype is formatted with year, month, and day separated '
        'by a hyphen (“-“). The separator is mandatory."',
    ),
    Rule(
        name="datetime",
        datatype="datetime",
        format="yyyy-mm-ddThh:mm:ssZ",
        expects="a UTC time written yyyy-mm-ddThh:mm:ssZ, such as 2022-05-02T10:10:59Z",
        pattern=re.compile(f"{_DAY}T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?P<zulu>Z?)"),
        bounds=None,
        decide=decide_datetime,
        valid=("2022-05-02T10:10:59Z", "1999-01-01T00:00:00"),
        invalid=(
            "2022-05-02",
            "2022/05/02T10:10:59Z",
            "2022-05-02 10:10:59",
            "2022-05-02t10:10:59z",
            "2022-05-02T55:10:59Z",
        ),
        disputed=(
            Dispute(
                ("1999-01-01T00:00:00", "2022-05-02T10:10:59"),
                'includes time information with the "T" character separator and ending with “Z”',
                "the table under it prints 1999-01-01T00:00:00 as valid",
                "the vendor's text wants a Z at the end, its table takes a time without it",
            ),
        ),
        decided=DECIDED["datetime"],
        source='Guide, Date with Time (yyyy-mm-ddThh:mm:ssZ): "This is similar to the previous datatype '
        'but includes time information with the "T" character separator and ending with “Z”. This is '
        'parsed as UTC."',
        undisputed=with_zulu,
    ),
    Rule(
        name="epoch",
        datatype="datetime",
        format="epoch",
        expects="whole seconds since 1970-01-01 00:00:00 UTC, digits only, such as 1651676123",
        pattern=re.compile("0|[1-9][0-9]{0,18}"),
        bounds=(0, LONG_MAX),
        decide=decide_epoch,
        valid=("0", "1651676123"),
        invalid=("2022-05-02", "2022-05-02T10:10:59Z", "-1651676123"),
        disputed=(
            Dispute(
                ("100000000000", "1651676123000"),
                "represents the number of seconds from 00:00:00 UTC on January 1, 1970",
                "the vendor's API reference, until 2020 at least, gives milliseconds",
                "this looks like milliseconds, which the vendor's API reference gave; its guide to CSV files "
                "says seconds, and nothing is converted",
            ),
            Dispute(
                ("0",),
                "it only accepts positive integers",
                "the table under it prints “0” as valid",
                EPOCH_0,
            ),
        ),
        decided=DECIDED["epoch"],
        source='Guide, Timestamp (epoch): "This datatype is different from the previous date/time as it '
        "only accepts positive integers and represents the number of seconds from 00:00:00 UTC on January "
        '1, 1970."',
        explain=explain_epoch,
    ),
    Rule(
        name="string",
        datatype="string",
        format=None,
        expects="any text",
        pattern=re.compile("(?s:.*)"),
        bounds=None,
        decide=decide_string,
        valid=(),
        invalid=(),
        disputed=(),
        decided=DECIDED["string"],
        source='Guide, CSV format requirements: "Except for double quotes, none of the other symbols or '
        'characters need to be escaped."',
    ),
)

_BY_TYPE = {(rule.datatype, rule.format): rule for rule in RULES}

EpochUnit = Literal["seconds", "milliseconds"]

EPOCH_MILLISECONDS = replace(
    _BY_TYPE["datetime", "epoch"],
    name="epoch_milliseconds",
    expects="whole milliseconds since 1970-01-01 00:00:00 UTC, digits only, such as 1651676123000",
    decide=decide_epoch_milliseconds,
    explain=explain_epoch_milliseconds,
    disputed=(
        Dispute(
            ("0", "1651676123"),
            "the vendor's API reference, until 2020 at least, gives milliseconds",
            "represents the number of seconds from 00:00:00 UTC on January 1, 1970",
            "this looks like seconds, and epoch_unit says milliseconds; nothing is converted",
        ),
    ),
)
"""Judges an epoch attribute whose values somebody declares to be milliseconds: see `in_unit`."""


def rule_for(datatype: str, format: str | None = None) -> Rule:
    """Give the row of an attribute's datatype; `format` counts for datetime only, where it is needed.

    Raises ValueError that names what is unknown or missing, and what there is.
    """
    key = (datatype, format if datatype == "datetime" else None)
    if rule := _BY_TYPE.get(key):
        return rule
    datatypes = list(dict.fromkeys(rule.datatype for rule in RULES))
    if datatype not in datatypes:
        raise ValueError(f"datatype {datatype!r} is unknown: one of {', '.join(datatypes)} is needed")
    wrong = f"format {format!r} is unknown" if format else "format is missing"
    formats = ", ".join(rule.format for rule in RULES if rule.format)
    raise ValueError(f"{wrong}: datatype datetime needs one of {formats}")


def is_key_column(name: str) -> bool:
    """Whether a column is customerId, in any case."""
    return name.casefold() == KEY_COLUMN.casefold()


@dataclass(frozen=True, slots=True)
class Attribute:
    """An attribute of a DCP table; ValueError if no rule has its datatype and format. Some are not registered yet, and
    have no id."""

    name: str
    datatype: str
    format: str | None = None
    description: str | None = None
    archived: bool = False
    epoch_unit: EpochUnit = "seconds"
    id: int | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        try:
            rule_for(self.datatype, self.format)
        except ValueError as error:
            raise ValueError(f"attribute {self.name!r}: {error}") from None

    @classmethod
    def from_json(cls, mapping: Mapping[str, Any]) -> "Attribute":
        """Read one attribute as the attributes endpoint returns it; unknown fields are ignored.

        Raises ValueError that names the field that is missing or wrong.
        """
        for member in ("name", "datatype"):
            if not isinstance(mapping.get(member), str) or not mapping[member]:
                raise ValueError(f"attribute {dict(mapping)!r}: {member} is missing or no text; expected a text")
        try:
            format, description = members.text_or_none(mapping, "format"), members.prose(mapping, "description")
            archived = members.flag(mapping, "archived")
        except members.OddMember as error:
            raise members.OddMember(f"attribute {mapping['name']!r}: {error}") from None
        return cls(mapping["name"], mapping["datatype"], format or None, description, archived)

    def as_json(self) -> dict[str, Any]:
        """The attribute as the API takes it when it is created; what is None is left to the vendor's default."""
        return {name: getattr(self, name) for name in ("name", "datatype", "format", "description")}

    @property
    def kind(self) -> str:
        """Datatype and format in words."""
        return f"{self.datatype} {self.format}" if self.format else self.datatype

    @property
    def rule(self) -> Rule:
        """The row that decides about this attribute's cells."""
        rule = rule_for(self.datatype, self.format)
        return EPOCH_MILLISECONDS if rule.name == "epoch" and self.epoch_unit == "milliseconds" else rule


A = TypeVar("A")


def in_unit(attributes: Iterable[A], epoch_unit: EpochUnit) -> list[A]:
    """The same attributes, with the unit in which epochs are written: the guide says seconds, older pages milliseconds.

    What is no Attribute, since nobody knows its datatype, stays as it is. Raises SettingsError for an unknown unit.
    """
    if epoch_unit not in get_args(EpochUnit):
        raise SettingsError(f"epoch_unit {epoch_unit!r}: one of {', '.join(get_args(EpochUnit))} is needed")
    return [replace(one, epoch_unit=epoch_unit) if isinstance(one, Attribute) else one for one in attributes]
