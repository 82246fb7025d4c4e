"""What WE decided about cells of which the vendor says nothing, by rule: none of it is documented. No I/O.

We refuse what a strict reader may refuse: a refused cell costs a correction here, a misread one a failed or,
worse, a silently different import there. Numbers follow JSON's grammar (RFC 8259), in which the same values
are written over REST.
"""

from collections.abc import Mapping

from optimove_provider.contract.cells.rules import Decision, Verdict

VALID, INVALID, IMPLAUSIBLE = Verdict.VALID, Verdict.INVALID, Verdict.IMPLAUSIBLE

_DIGITS = Decision(("\u0661\u0662", "\uff11", "1_000"), INVALID, "only the digits 0 to 9 are digits")
_SPACES = Decision((" 1", "1 ", "1\n", "\u00a01"), INVALID, "readers that do not trim see no number")
_ZEROS = Decision(
    ("007", "00", "01"),
    INVALID,
    "the zeros would be lost (007 is stored as 7): an identifier belongs in a string, a number needs none",
)
_PLUS = Decision(("+5", "+0"), INVALID, "the vendor prints no plus sign, and JSON has none")

DECIDED: Mapping[str, tuple[Decision, ...]] = {
    "bool": (
        Decision(("t", "f", "yes", "no", "on", "off", "null"), INVALID, "words other than true and false"),
        Decision((" true", "false ", "true\n"), INVALID, "readers that do not trim see another word"),
        Decision(("fal\u017fe",), INVALID, "only ASCII letters, though a long s folds to s"),
    ),
    "long": (
        Decision(("0", "-0"), VALID, "in the range, and nothing is lost"),
        Decision(("9223372036854775808",), INVALID, "beyond the greatest number stated"),
        Decision(("1.0", "1e3", "1,000", "0x1F", "--1", "-"), INVALID, "no integer as it stands"),
        _ZEROS,
        _PLUS,
        _SPACES,
        _DIGITS,
    ),
    "double": (
        Decision(("0", "-0", "0.0"), VALID, "zero is a double, though below the smallest number stated"),
        Decision(("1e309", "-1e400"), INVALID, "beyond the greatest finite double"),
        Decision(("1e-400", "-0.1e-400"), INVALID, "would be stored as 0"),
        Decision(("NaN", "nan", "Infinity", "inf", "-inf"), INVALID, "no number, and JSON has no form for it"),
        Decision((".5", "5.", "1.e5", "e5", "1e"), INVALID, "readers differ; JSON wants digits on both sides"),
        Decision(("1,000.5", "1.000,5", "1.5f", "0x1p3"), INVALID, "no separators, suffixes or other bases"),
        Decision(("01.5", "-01"), INVALID, _ZEROS.reason),
        _ZEROS,
        _PLUS,
        _SPACES,
        _DIGITS,
    ),
    "date": (
        Decision(("2024-02-29", "0001-01-01", "9999-12-31"), VALID, "days of the calendar"),
        Decision(("2022-02-30", "2023-02-29", "1900-02-29", "2022-00-10"), INVALID, "no such day"),
        Decision(("0000-01-01",), INVALID, "the calendar starts with year 1"),
        Decision(("2022-5-2", "22-05-02", "20220502"), INVALID, "year, month and day are padded and separated"),
        Decision(("2022-05-02T10:10:59Z", "2022-05-02Z"), INVALID, "a time or a zone is another format"),
        Decision((" 2022-05-02", "2022-05-02 ", "2022-05-02\n"), INVALID, "spaces are not in the format"),
        Decision(("2022-05-0\u0662", "+2022-05-02"), INVALID, "digits 0 to 9 only, and no sign"),
    ),
    "datetime": (
        Decision(("2022-05-02T10:10:59.5Z", "2022-05-02T10:10:59,5Z"), INVALID, "the format has no fractions"),
        Decision(("2022-05-02T10:10:59+00:00", "2022-05-02T10:10:59-05"), INVALID, "Z is the only zone"),
        Decision(("2016-12-31T23:59:60Z",), INVALID, "a leap second, which many readers refuse"),
        Decision(("2022-05-02T24:00:00Z",), INVALID, "midnight is 00:00:00 of the next day"),
        Decision(("2022-05-02T10:60:59Z", "2022-02-30T00:00:00Z"), INVALID, "no such minute, no such day"),
        Decision(("2022-05-02T10:10Z", "2022-5-2T1:1:1Z"), INVALID, "every part is there, and padded"),
        Decision(("0000-01-01T00:00:00Z",), INVALID, "the calendar starts with year 1"),
        Decision((" 2022-05-02T10:10:59Z", "2022-05-02T10:10:59Z\n"), INVALID, "the format has no spaces"),
        Decision(("2022-05-02T10:10:59ZZ", "2022-05-02T10:10:5\u0669Z"), INVALID, "not the format"),
    ),
    "epoch": (
        Decision(("99999999999",), VALID, "seconds until the year 5138"),
        Decision(("100000", "44582400"), VALID, "the second and the 517th day of 1970"),
        Decision(
            ("2022", "44683", "7"), IMPLAUSIBLE, "a year, a spreadsheet's days, a number: within 28 hours of 1970"
        ),
        Decision(("20220502", "202205"), IMPLAUSIBLE, "a date of the years 1900 to 2199, written in digits"),
        Decision(("9223372036854775808", "99999999999999999999"), INVALID, "beyond a 64-bit integer"),
        Decision(("1651676123.0", "1.5", "1e9"), INVALID, "no integer as it stands"),
        Decision(("-0",), INVALID, "a number that is not negative needs no sign"),
        _ZEROS,
        _PLUS,
        _SPACES,
        _DIGITS,
    ),
    "string": (Decision((" ", "a\nb", "Height: 6'1\"", "\u00fc", "007"), VALID, "the vendor states no limit at all"),),
}
