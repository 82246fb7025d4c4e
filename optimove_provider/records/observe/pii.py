"""Warnings about columns that look like personal data, by their names and by their values.

Findings travel in logs and reports, so a value is never shown in clear. The vendor's terms forbid names, e-mail
addresses, social-security numbers and the like in a DCP table: whoever imports takes PII_RULES for refusals.
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from optimove_provider.records.arrow.types import Bytes, Integers, Mask
from optimove_provider.records.csv_syntax.locations import Locations
from optimove_provider.records.findings import file_rules
from optimove_provider.records.findings.findings import WARNING, Finding
from optimove_provider.records.observe.cell_bytes import CellBytes
from optimove_provider.records.observe.observer import CellBuffer
from optimove_provider.records.observe.sampled_rows import SampledRows

PII_RULES = tuple(rule.name for rule in file_rules.FILE_RULES["Personal data"])
MIN_SHARE = 0.1
"""Of the cells that are not empty. A text that mentions an address now and then is no column of addresses."""
MIN_HITS = 5
LUHN_SHARE = 0.5
"""Of the numbers that could be of cards. One in ten of any numbers has a right check digit."""
# Words of a column's name, in this order and side by side. "Alone" words are the whole name: with others they say more
# often something else (mobile_app, pan_size, name_of_shop).
WORDS: Mapping[str, tuple[str, ...]] = {
    "pii-email": ("email address", "email", "e mail address", "e mail", "emails", "mail address", "emailaddress"),
    "pii-phone": (
        *("phone", "phones", "telephone", "telephone number", "tel", "phonenumber", "cellphone", "msisdn", "whatsapp"),
        *("mobile number", "mobile no", "cell number", "fax", "fax number"),
    ),
    "pii-card": (
        *("card number", "card no", "cardnumber", "credit card", "creditcard", "debit card", "cc number", "ccnumber"),
        *("iban", "bank account", "cvv", "cvc"),  # what one pays with, though an IBAN is no card
    ),
    "pii-ssn": (
        *("ssn", "social security", "socialsecurity", "national insurance", "national id", "tax id", "tax number"),
        *("passport", "driver license", "drivers license", "driving licence", "identity card", "personnummer"),
    ),
    "pii-name": (
        *(
            "first name",
            "firstname",
            "fname",
            "lname",
            "last name",
            "lastname",
            "full name",
            "fullname",
            "middle name",
            "given name",
        ),
        *("family name", "maiden name", "birth name", "legal name", "surname", "forename", "name first", "name last"),
        *("customer name", "client name", "contact name", "person name", "patient name", "member name", "guest name"),
        *("subscriber name", "employee name", "recipient name", "cardholder", "cardholder name", "holder name"),
        *("billing name", "shipping name", "nickname"),
        # Where somebody lives names them as well as a name does.
        *("address", "street", "home address", "postal address"),
    ),
}
ALONE: Mapping[str, tuple[str, ...]] = {
    "pii-email": ("mail",),
    "pii-phone": ("mobile", "cell"),
    "pii-card": ("pan", "card", "cc"),
    "pii-name": ("name",),
}

# Why a name with one of these words is no such thing:
HARMLESS: Mapping[str, str] = {
    **dict.fromkeys(("has", "is", "can", "opt", "optin", "optout", "opted", "consent", "allowed"), "a yes or no"),
    **dict.fromkeys(("verified", "valid", "validated", "confirmed", "subscribed", "unsubscribed"), "a yes or no"),
    **dict.fromkeys(("count", "counts", "total", "rate", "score", "frequency", "days"), "a number about it"),
    **dict.fromkeys(("sent", "opens", "opened", "clicks", "clicked", "bounces", "bounced", "calls"), "what happened"),
    **dict.fromkeys(("date", "time", "at", "day", "month", "year", "since", "timestamp"), "when it happened"),
    **dict.fromkeys(
        ("type", "status", "state", "kind", "brand", "model", "os", "provider", "domain"), "of many people"
    ),
    **dict.fromkeys(("campaign", "template", "subject", "language", "country", "city", "region"), "of many people"),
    **dict.fromkeys(("hash", "hashed", "sha1", "sha256", "md5", "encrypted", "token"), "opaque, as the terms ask"),
    **dict.fromkeys(("ip", "mac", "web", "url", "site", "wallet"), "an address of a machine"),
    **dict.fromkeys(("loyalty", "gift", "membership", "rewards", "bonus", "library", "sim"), "no card to pay with"),
    **dict.fromkeys(("product", "shop", "store", "event", "file"), "of a thing"),
}
"""`username`, `login` and `user_name` are not in the tables: mostly an opaque handle, and one that is an e-mail address
shows by its values. Birth dates, towns and post codes are not either: they are what profiles are made of."""

_LOOKS_LIKE = {
    "pii-name": "people's names or addresses",
    "pii-email": "e-mail addresses",
    "pii-phone": "phone numbers",
    "pii-card": "card or bank account numbers",
    "pii-ssn": "social-security or other identity numbers",
}
_ADVICE = "leave it out, hash it, or allow the column if it is something else"


def pii_names(names: Sequence[str], allowed: Collection[str] = ()) -> Iterator[Finding]:
    """Columns whose names look like personal data: a finding for each kind, on row 0. `allowed` names exceptions."""
    for name in names:
        for rule in kinds_of(name) if name not in allowed else ():
            message = f"by its name, the column holds {_LOOKS_LIKE[rule]}: {_ADVICE}"
            yield Finding(0, 1, 0, name, rule, name, message, WARNING)


def kinds_of(name: str) -> list[str]:
    """The rules that a column's name breaks, by its words: those between spaces, signs, and changes of case."""
    words = _words(name)
    if not HARMLESS.keys().isdisjoint(words):
        return []
    rest = whole = f" {' '.join(word for word in words if not word.isdigit())} "
    found = []
    for rule, phrases in WORDS.items():
        present = [f" {one} " for one in phrases if f" {one} " in rest]
        if present or whole.strip() in ALONE.get(rule, ()):
            found.append(rule)
        for one in present:
            rest = rest.replace(one, " ")  # the address in "email address" is not where somebody lives
    return found


def _words(name: str) -> list[str]:
    spaced = re.sub(r"([a-z])([A-Z])|([A-Z])([A-Z][a-z])", r"\1\3 \2\4", name)
    return re.findall(r"sha1|sha256|md5|[^\W\d_]+|\d+", spaced.casefold())


_EDGE_LEFT, _EDGE_RIGHT = r"""(?:^|[\s<"'(:;,\[])""", r"""(?:$|[\s>"'):;,.\]])"""
_EMAIL = _EDGE_LEFT + r"""[^\s<>"'()\[\]:;,@]{1,64}@(?:[A-Za-z0-9\x80-\xff-]{1,63}\.)+[A-Za-z]{2,24}""" + _EDGE_RIGHT
_PHONES = (
    r"(?:tel:)?\+[1-9](?:[ ()/-]{0,2}[0-9]){7,14}",  # +49 (0)30 123456, +14155550123
    r"\+[1-9][0-9]{0,2}(?:\.[0-9]{2,4}){2,5}",  # +33.612.345.678
    r"00[1-9][0-9]{0,2}(?:[ /-]\(?[0-9]{2,5}\)?){3,5}",  # 0044 20 7946 0018
    r"(?:1[ .-])?(?:\([2-9][0-9]{2}\) ?|[2-9][0-9]{2}[ .-])[2-9][0-9]{2}[ .-][0-9]{4}",  # (212) 555-0187
    r"\(?0[1-9][0-9]{1,4}(?:[ /]|\) ?)[0-9]{3,4}[ -]?[0-9]{3,5}",  # 020 7946 0018, 030/123456
    r"0[1-9](?:[ .-][0-9]{2}){4}",  # 06 12 34 56 78
)
_PHONE = rf"^\s*(?:{'|'.join(_PHONES)})\s*$"
_SSN = r"^\s*(?:00[1-9]|0[1-9][0-9]|[1-578][0-9]{2}|6(?:[0-57-9][0-9]|6[0-57-9]))([ -])(?:0[1-9]|[1-9][0-9])[ -]"
_SSN += r"(?:000[1-9]|00[1-9][0-9]|0[1-9][0-9]{2}|[1-9][0-9]{3})\s*$"
_CARD_SHAPE = r"^\s*[2-6](?:[ -]?[0-9]){13,18}\s*$"
# Visa, Mastercard, American Express, Diners Club, JCB, Maestro and Discover and UnionPay. Thirteen digits are rather an
# article number, or a time in milliseconds.
_CARD = (
    r"^(?:4(?:[0-9]{15}|[0-9]{18})|(?:5[1-5]|2[2-7])[0-9]{14}|3[47][0-9]{13}|3[0689][0-9]{12}|35[0-9]{14}"
    r"|(?:50|5[6-8]|6[0-9])[0-9]{14,17})$"
)
_NUMBER_SHAPE = r"^\s*(?:tel:)?[+(]?[0-9][0-9 ()./+-]{8,28}\s*$"


def _mask(cells: pa.BinaryArray, pattern: str) -> Mask:
    return np.asarray(pc.match_substring_regex(cells, pattern).to_numpy(zero_copy_only=False))


_NUMBER_FIRST, _NUMBER_LAST = np.zeros(256, bool), np.zeros(256, bool)
_NUMBER_FIRST[list(b"0123456789+(t \t\n\v\f\r")] = True
_NUMBER_LAST[list(b"0123456789 ()./+-\t\n\v\f\r")] = True
_NUMBER_LEAST, _CARD_LEAST, _CARD_MOST = 9, 14, 19


def _may_be_emails(column: CellBytes) -> Integers:
    return column.rows_of(np.flatnonzero(column.data == ord("@")))


def _may_be_numbers(column: CellBytes) -> Integers:
    """The cells that begin, end and are as long as _NUMBER_SHAPE asks: few others. Digits alone are a card's if any."""
    maybe = _NUMBER_FIRST.take(column.first) & _NUMBER_LAST.take(column.last) & (column.lengths >= _NUMBER_LEAST)
    if maybe.any():
        maybe &= ~column.digits_alone() | (column.lengths >= _CARD_LEAST) & (column.lengths <= _CARD_MOST)
    return np.flatnonzero(maybe)


def is_card(digits: pa.BinaryArray) -> Mask:
    """Which numbers have the beginning, the length and the check digit (Luhn) of a card. Digits only."""
    mask = _mask(digits, _CARD)
    lengths = pc.binary_length(digits).to_numpy(zero_copy_only=False)
    for length in np.unique(lengths[mask]):
        rows = np.flatnonzero(mask & (lengths == length))
        text = b"".join(digits.take(pa.array(rows)).to_pylist())
        mask[rows] = _luhn(np.frombuffer(text, np.uint8).reshape(len(rows), length) - ord("0"))
    return mask


def _luhn(digits: Bytes) -> Mask:
    """Check digits of numbers of one length, a row each: every second digit from the right is doubled."""
    doubled = digits[:, -2::-2] * 2
    doubled -= 9 * (doubled > 9).astype(np.uint8)
    total = digits[:, -1::-2].sum(axis=1, dtype=np.int64) + doubled.sum(axis=1, dtype=np.int64)
    return np.asarray(total % 10 == 0)


@dataclass(frozen=True, slots=True)
class _Some:
    """Some of the cells that have locations: which, by index, and what is in them."""

    locations: Locations
    rows: Integers
    cells: pa.BinaryArray

    def filter(self, mask: Mask) -> "_Some":
        return _Some(self.locations, self.rows[mask], self.cells.filter(pa.array(mask)))


@dataclass(slots=True)
class _Kind:
    """What was found of one kind: `hits` among `candidates`, for how many cells the hits stand, and the first one."""

    hits: int = 0
    candidates: int = 0
    stand_for: int = 0
    first: tuple[int, int, int, str] | None = None

    def add(self, some: _Some, hide: Callable[[str], str], weight: int) -> None:
        self.hits += len(some.rows)
        self.stand_for += len(some.rows) * weight
        if self.first is None and len(some.rows):
            at, cell = int(some.rows[0]), some.cells[0].as_py()
            row, line, byte = (
                int(one[at]) for one in (some.locations.rows, some.locations.lines, some.locations.bytes)
            )
            self.first = row, line, byte, hide(cell.decode("utf-8", "replace"))


@dataclass(slots=True)
class PiiObserver:
    """Warns if the cells of one column, `column` (from 0), which has the name `name`, look like personal data.

    They do if at least `min_hits` of them, and the share `min_share` of those not empty, have the form of an e-mail
    address, of a phone number as people write it (a plus sign or separators: digits alone are none), of a US
    social-security number with its separators, or of a card number with a right check digit. One finding a kind, with
    the location of the first such cell; its value is masked.

    Where many cells look like it at first sight, not all are looked at (`SampledRows`).
    """

    column: int
    name: str
    min_share: float = MIN_SHARE
    min_hits: int = MIN_HITS
    _filled: int = field(default=0, init=False)
    _stand_for: int = field(default=0, init=False)
    _sample: SampledRows = field(default_factory=SampledRows, init=False)
    _buffer: CellBuffer = field(default_factory=CellBuffer, init=False)
    _kinds: dict[str, _Kind] = field(default_factory=lambda: {rule: _Kind() for rule in PII_RULES}, init=False)

    def see(self, locations: Locations, cells: pa.BinaryArray) -> None:
        """Look at the next cells."""
        if self._buffer.add(locations, cells):
            self._check()

    def _check(self) -> None:
        locations, cells = self._buffer.take()
        for part in self._sample.parts(locations.rows):
            places = Locations(locations.rows[part], locations.lines[part], locations.bytes[part])
            self._look(places, cells.slice(part.start, part.stop - part.start))

    def _look(self, locations: Locations, cells: pa.BinaryArray) -> None:
        column = CellBytes(cells)
        filled = int(np.count_nonzero(column.lengths))
        self._filled += filled
        self._stand_for += filled * self._sample.weight
        emails, numbers = _may_be_emails(column), _may_be_numbers(column)
        self._sample.cost(len(cells), len(emails) + len(numbers))
        if len(emails):
            some = _Some(locations, emails, cells.take(pa.array(emails)))
            self._add("pii-email", some.filter(_mask(some.cells, _EMAIL)), mask_email)
        if len(numbers):
            some = _Some(locations, numbers, cells.take(pa.array(numbers)))
            self._check_numbers(some.filter(_mask(some.cells, _NUMBER_SHAPE)))

    def _check_numbers(self, some: _Some) -> None:
        self._add("pii-phone", some.filter(_mask(some.cells, _PHONE)), mask_digits)
        self._add("pii-ssn", some.filter(_mask(some.cells, _SSN)), mask_digits)
        some = some.filter(_mask(some.cells, _CARD_SHAPE))
        self._kinds["pii-card"].candidates += len(some.rows)
        digits = pc.replace_substring_regex(some.cells, r"[\s-]", "")
        self._add("pii-card", some.filter(is_card(digits)), mask_digits)

    def _add(self, rule: str, some: _Some, hide: Callable[[str], str]) -> None:
        self._kinds[rule].add(some, hide, self._sample.weight)

    def counts(self) -> Iterator[tuple[str, int]]:
        """One for each kind that was found."""
        return ((finding.rule, 1) for finding in self.findings())

    def findings(self) -> Iterator[Finding]:
        """What the cells look like, in the order of the first of each kind."""
        self._check()
        found = [self._finding(rule, kind) for rule, kind in self._kinds.items() if self._is_found(rule, kind)]
        return iter(sorted(found, key=lambda finding: finding.row))

    def _is_found(self, rule: str, kind: _Kind) -> bool:
        if rule == "pii-card" and kind.hits < LUHN_SHARE * kind.candidates:
            return False
        return kind.hits >= self.min_hits and kind.stand_for >= self.min_share * self._stand_for

    def _finding(self, rule: str, kind: _Kind) -> Finding:
        row, line, byte, value = kind.first or (0, 0, 0, "")
        share = kind.stand_for / self._stand_for
        said = f"{kind.hits} of {self._filled} cells that are not empty ({share:.1%})"
        if self._sample.is_sampled:
            said = f"{kind.hits} of the {self._filled} cells looked at, about {share:.1%} of all that are not empty,"
        message = f"{said} look like {_LOOKS_LIKE[rule]}, this one is the first: {_ADVICE}"
        return Finding(row, line, byte, self.name, rule, value, message, WARNING)

    def cost(self) -> str:
        """Nothing."""
        return ""

    def close(self) -> None:
        """Nothing is held."""


# Every repetition has an end: without one, each character of a long cell is tried with all that follow it.
_MASKED_EMAIL = re.compile(
    r"""([^\s<>"'()\[\]:;,@])[^\s<>"'()\[\]:;,@]{0,63}+@([^\n])[^\s@]{0,255}\.([A-Za-z]{2,24})"""
)


def mask_email(text: str) -> str:
    """The first e-mail address in a text, as a***@e***.com; what is around it is not shown."""
    found = _MASKED_EMAIL.search(text)
    return f"{found[1]}***@{found[2]}***.{found[3]}" if found else "***"


def mask_digits(text: str) -> str:
    """The text with a star for each digit except the last two."""
    return re.sub(r"[0-9](?=(?:[^0-9]*[0-9]){2})", "*", text)
