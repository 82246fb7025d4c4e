"""Which records a refusal's text seems to name: a hint, never a fact. No I/O here."""

import re

_NAMED_ROWS = re.compile(
    r"""
    \b(?:data|records|items)\[(\d{1,9})\]                        # data[12]
    | \b(?:data|records|items)\.(\d{1,9})\b                      # data.12.x
    | ["']body["']\s*,\s*["']data["']\s*,\s*(\d{1,9})\b          # "loc": ["body", "data", 12, "x"]
    | ["']body["']\s*,\s*(\d{1,9})\s*,                           # "loc": ["body", 12, "ttl"], of a bare array
    | \bindex\b["']?\s*(?:[:=]\s*)?(\d{1,9})\b                   # "index": 12
    """,
    re.VERBOSE,
)


def named_rows(text: str, count: int) -> tuple[int, ...]:
    """The records, counted from 0, that a refusal's text seems to name: ascending, all less than `count`.

    No error body is documented, so every form is a guess, and so is that the vendor counts from 0. "row 12" is not
    read, since it may count from 1; `["body", 37]` alone is not either: it is how a JSON error names a character.
    """
    found = (int(number) for match in _NAMED_ROWS.finditer(text) for number in match.groups() if number)
    return tuple(sorted({number for number in found if number < count}))
