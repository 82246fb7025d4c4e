"""Trouble made on order: answers that the vendor did not choose, lost connections, imports that fail."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from optimove_provider.contract.dcp import config as dcp
from optimove_provider.contract.dcp import subject_access
from optimove_provider.contract.optix import data_connections as optix
from optimove_provider.emulator.replies import Refusal, json_object

ANY = "*"
ENDPOINT_NAMES = tuple(row.name for row in (*optix.ENDPOINTS, *dcp.ENDPOINTS, *subject_access.ENDPOINTS))


@dataclass(slots=True)
class Fault:
    """An answer instead of the right one, or none at all.

    It leaves the first `skip` requests to `endpoint` (a contract row's name, or "*") alone and meets `times` of
    the next: all, or with `every` only each n-th. Requests that an earlier order meets are not counted. Either
    `status`, `headers` and `body` are answered and nothing is done, or the connection is lost: `lost` says
    whether before or after the work was done.
    """

    endpoint: str = ANY
    times: int = 1
    skip: int = 0
    every: int = 1
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    body: str = ""
    lost: Literal["before", "after"] | None = None
    number: int = field(default=0, compare=False)
    """Which order it is, once it is one."""


@dataclass(slots=True)
class ImportFault:
    """The next `times` imports whose key contains `key_contains` fail with `message`. Empty: any import."""

    key_contains: str = ""
    message: str = "the import failed on order"
    times: int = 1
    number: int = field(default=0, compare=False)


class Faults:
    """The orders that are still open, oldest first. Their `times` and `skip` are what is left of them."""

    def __init__(self) -> None:
        self.answers: list[Fault] = []
        self.imports: list[ImportFault] = []
        self._last = 0

    @property
    def open(self) -> list[Fault | ImportFault]:
        """All of them."""
        return [*self.answers, *self.imports]

    def order(self, *ordered: Fault | ImportFault) -> None:
        """Add orders. Raises Refusal 400 for the first that makes no sense, and adds none then."""
        for fault in ordered:
            _check(fault)
        for fault in ordered:
            self._last = fault.number = self._last + 1
            if isinstance(fault, Fault):
                fault.skip += fault.every - 1
        self.answers += [fault for fault in ordered if isinstance(fault, Fault)]
        self.imports += [fault for fault in ordered if isinstance(fault, ImportFault)]

    def restore(self, fault: Fault | ImportFault) -> None:
        """Add what is left of an order that was open before."""
        self._last = max(self._last, fault.number)
        if isinstance(fault, Fault):
            self.answers.append(fault)
        else:
            self.imports.append(fault)

    def withdraw(self, number: int) -> None:
        """Take an order back. Raises Refusal 404 if it is not open."""
        if number not in [one.number for one in self.open]:
            raise Refusal(404, f"there is no open order {number}: perhaps it has met all that it was for")
        self.answers = [one for one in self.answers if one.number != number]
        self.imports = [one for one in self.imports if one.number != number]

    def meet(self, endpoint: str) -> Fault | None:
        """The fault that this request meets, if any. Requests that a fault skips are counted here."""
        for fault in self.answers:
            if fault.endpoint not in (ANY, endpoint):
                continue
            if fault.skip:
                fault.skip -= 1
                continue
            fault.times -= 1
            fault.skip = fault.every - 1
            self.answers = [fault for fault in self.answers if fault.times]
            return fault
        return None

    def meet_import(self, key: str) -> ImportFault | None:
        """The fault that the import of this key meets, if any."""
        for fault in self.imports:
            if fault.key_contains in key:
                fault.times -= 1
                self.imports = [fault for fault in self.imports if fault.times]
                return fault
        return None


def read_fault(order: Any) -> Fault | ImportFault:
    """Read one order: `{"import": text in the key, "message", "times"}`, or the members of a Fault."""
    members = dict(json_object(order))
    kind: type[Fault] | type[ImportFault] = Fault
    if "import" in members:
        kind, members["key_contains"] = ImportFault, members.pop("import")
    known = [member.name for member in fields(kind) if member.name != "number"]
    if unknown := [name for name in members if name not in known]:
        raise Refusal(400, f"unknown members: {', '.join(unknown)}; known: {', '.join(known)}")
    return kind(**members)


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _whole(least: int, most: int) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e\xa0-\xff]*")
_FRAMING = ("content-length", "transfer-encoding")


def _headers(value: Any) -> bool:
    """A line feed in one would end the answer's headers, or the answer; so would another length than its own."""
    return isinstance(value, dict) and all(
        _HEADER_NAME.fullmatch(name)
        and name.casefold() not in _FRAMING
        and isinstance(text, str)
        and _HEADER_VALUE.fullmatch(text)
        for name, text in value.items()
    )


_MANY = 10**9
_MEMBERS: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "endpoint": (
        lambda value: value in (ANY, *ENDPOINT_NAMES),
        f"{ANY} or one of {', '.join(ENDPOINT_NAMES)}",
    ),
    "times": (_whole(1, _MANY), "a whole number, at least 1"),
    "every": (_whole(1, _MANY), "a whole number, at least 1"),
    "skip": (_whole(0, _MANY), "a whole number, at least 0"),
    "status": (lambda value: value is None or _whole(200, 599)(value), "a number from 200 to 599"),
    "headers": (
        _headers,
        f"an object of names and strings, of printable Latin-1 characters and without {' and '.join(_FRAMING)}, "
        "which the server sets",
    ),
    "body": (_text, "a string"),
    "lost": (lambda value: value in (None, "before", "after"), "before or after"),
    "key_contains": (_text, "a string (here: import)"),
    "message": (_text, "a string"),
}


def _check(fault: Fault | ImportFault) -> None:
    """Raise Refusal 400 unless this order can be met: a typing error in one must not pass unnoticed."""
    for name, (right, words) in _MEMBERS.items():
        if hasattr(fault, name) and not right(getattr(fault, name)):
            raise Refusal(400, f"{name} must be {words}")
    if isinstance(fault, Fault) and (fault.status is None) == (fault.lost is None):
        raise Refusal(400, "a fault has either a status or lost")
