"""A second way to check a CSV file, written from docs/rules.md alone and sharing nothing with the package.

For files of regular text only. Slow, and as plain as it can be: if it and the package agree, both may well be right.
"""

import csv
import io
import math
from collections.abc import Iterator, Mapping
from datetime import datetime

ERROR, WARNING = "error", "warning"
DOUBT = "doubt"
"""A warning in strict mode too."""
MARKERS = {
    *("\\n", "null", "\\null", "(null)", "<null>", "[null]", "#null!", "undefined", "none", "<none>", "nan", "-nan"),
    *("<na>", "#n/a", "#na", "n/a", "1.#qnan", "-1.#qnan", "1.#ind", "-1.#ind"),
    *("#ref!", "#value!", "#div/0!", "#name?", "#num!"),
}
_MOST = 9223372036854775807


def _only_digits(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _padded(digits: str) -> bool:
    return len(digits) > 1 and digits[0] == "0"


def bool_(cell: str) -> str | None:
    if cell in ("true", "false"):
        return None
    return WARNING if cell.isascii() and cell.lower() in ("true", "false") else ERROR


def long(cell: str) -> str | None:
    digits = cell.removeprefix("-")
    if not _only_digits(digits) or _padded(digits) or len(digits) > 19:
        return ERROR
    if int(cell) == -_MOST - 1:
        return WARNING
    return None if -_MOST <= int(cell) <= _MOST else ERROR


def double(cell: str) -> str | None:
    mantissa, has_exponent, exponent = cell.replace("E", "e").partition("e")
    whole, has_point, fraction = mantissa.removeprefix("-").partition(".")
    if exponent[:1] in ("+", "-"):
        exponent = exponent[1:]
    parts = [whole] + [fraction] * bool(has_point) + [exponent] * bool(has_exponent)
    if not all(_only_digits(part) for part in parts) or _padded(whole):
        return ERROR
    is_zero = set(whole + fraction) == {"0"}
    if math.isinf(float(cell)) or (float(cell) == 0) != is_zero:
        return ERROR
    return WARNING if has_exponent or 0 < abs(float(cell)) < 2**-1023 else None


def date(cell: str) -> str | None:
    try:
        return None if datetime.strptime(cell, "%Y-%m-%d").date().isoformat() == cell else ERROR
    except ValueError:
        return ERROR


def datetime_(cell: str) -> str | None:
    bare = cell.removesuffix("Z")
    try:
        if datetime.strptime(bare, "%Y-%m-%dT%H:%M:%S").isoformat() != bare:
            return ERROR
    except ValueError:
        return ERROR
    return None if cell.endswith("Z") else WARNING


def epoch(cell: str) -> str | None:
    if not _only_digits(cell) or _padded(cell) or len(cell) > 19 or int(cell) > _MOST:
        return ERROR
    if int(cell) == 0 or int(cell) >= 100_000_000_000:
        return WARNING
    is_year = cell[:2] in ("19", "20", "21")
    is_day = is_year and len(cell) == 8 and date(f"{cell[:4]}-{cell[4:6]}-{cell[6:]}") is None
    is_month = is_year and len(cell) == 6 and "01" <= cell[4:] <= "12"
    return DOUBT if is_day or is_month or 0 < int(cell) < 100_000 else None


def string(cell: str) -> str | None:
    return DOUBT if cell.lower() in MARKERS or cell == "NaT" else None


JUDGES = {
    "bool": bool_,
    "long": long,
    "double": double,
    "date": date,
    "datetime": datetime_,
    "epoch": epoch,
    "string": string,
}
"""By the name of the rule: what is wrong with a cell that is not empty."""


def check(raw: bytes, rules: Mapping[str, str], strict: bool) -> Iterator[tuple[int, str, str]]:
    """Give (row, column, severity) of each wrong cell, or of the file if it has no row; `rules` has the name of each
    column's rule."""
    number = 0
    for number, row in enumerate(csv.DictReader(io.StringIO(raw.decode(), newline="")), 1):
        for column, cell in row.items():
            if column == "customerId":
                fault = None if cell.strip() else ERROR
            else:
                fault = JUDGES[rules[column]](cell) if cell else None
            if fault:
                yield number, column, WARNING if fault == DOUBT else ERROR if strict else fault
    if not number:
        yield 0, "", WARNING
