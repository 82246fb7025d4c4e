"""What an id may look like, and what of it nobody sees: the one rule book of validator, uploads and imports. No I/O.

The vendors ask for an id in every row and say nothing else about its text, so all of this is ours. Nothing is changed
on the way: an id travels as it is, and what looks like damage is told.
"""

import re
import unicodedata
from functools import lru_cache

_BLANKS = "\u2800\u3164\uffa0\u115f\u1160"
"""The blank of Braille and the fillers of Hangul: white space to an eye, letters or signs to Unicode."""
_IGNORABLE = (
    (0x034F, 0x034F),
    (0x17B4, 0x17B5),
    (0x180B, 0x180F),
    (0x2065, 0x2065),
    (0xFE00, 0xFE0F),
    (0xFFF0, 0xFFF8),
    (0xE0000, 0xE0FFF),
)
"""Marks and unassigned code points that Unicode calls default ignorable although they are no format characters."""

NULL_MARKERS = frozenset(
    {
        *("\\n", "null", "\\null", "(null)", "<null>", "[null]", "#null!", "undefined"),
        *("none", "<none>", "nan", "-nan", "nat", "<na>", "#n/a", "#na", "n/a"),
        *("1.#qnan", "-1.#qnan", "1.#ind", "-1.#ind", "#ref!", "#value!", "#div/0!", "#name?", "#num!"),
    }
)
"""What programs write where there is no value, and spreadsheets where there is an error, in lowercase: PostgreSQL and
MySQL write \\N, Python None, pandas nan and NaT. A lone NA is none: it is Namibia too."""
_CASED = {"nat": "NaT"}
"""A marker in this case only: in another it is a name."""


def is_null_marker(text: str) -> bool:
    """Whether a text is one of NULL_MARKERS, in any case, and nothing else."""
    lower = text.lower() if len(text) < 16 else ""
    return lower in NULL_MARKERS and _CASED.get(lower, text) == text


def is_empty_id(text: str) -> bool:
    """Whether there is nothing to be seen in an id: an empty text, white space, characters without a form."""
    return not seen(text)


@lru_cache(maxsize=4096)
def _form(character: str) -> str:
    """How a character shows: as itself, as a space, or not at all."""
    if character.isspace() or character in _BLANKS:
        return " "
    if unicodedata.category(character) in ("Cc", "Cf"):
        return ""
    code = ord(character)
    return "" if any(first <= code <= last for first, last in _IGNORABLE) else character


_PLAIN = re.compile("[!-~]+(?: +[!-~]+)*")
"""Visible ASCII, with spaces inside."""


def seen(text: str) -> str:
    """The text as people see it: without format and control characters, every white space a space and none around
    it, in Unicode's composed form (NFC)."""
    if _PLAIN.fullmatch(text):
        return text
    shown = "".join(map(_form, text.replace("\r\n", "\n")))
    return unicodedata.normalize("NFC", shown.strip(" "))


def without_case(text: str) -> str:
    """What ids that differ only in case share, given what is seen of one."""
    return unicodedata.normalize("NFC", text.casefold())


def is_padded(text: str) -> bool:
    """Whether white space, of any kind, stands around an id."""
    return bool(text) and " " in (_form(text[0]), _form(text[-1]))


def has_unseen(text: str) -> bool:
    """Whether an id has something that nobody sees, besides white space around it; or is in another form than NFC."""
    if _PLAIN.fullmatch(text):
        return False
    inner = _trimmed(text)
    return seen(inner) != inner


def _trimmed(text: str) -> str:
    start, end = 0, len(text)
    while start < end and _form(text[start]) == " ":
        start += 1
    while end > start and _form(text[end - 1]) == " ":
        end -= 1
    return text[start:end]
