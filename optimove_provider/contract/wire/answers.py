"""Reading a vendor's 2xx: what the documentation promises, or an UnreadableAnswer. No I/O here."""

import logging
from collections.abc import Callable, Mapping
from typing import Any

from optimove_provider.contract.how_many import how_many
from optimove_provider.contract.wire import members
from optimove_provider.contract.wire.errors import UnreadableAnswer, succeed
from optimove_provider.contract.wire.members import OddMember
from optimove_provider.contract.wire.messages import Endpoint, Flow, Response, T, json_body
from optimove_provider.contract.wire.pages import Page, ask_pages, decoded

__all__ = ["Reader", "ask", "ask_list", "ask_pages", "create", "decoded", "read", "read_list", "tell"]

log = logging.getLogger(__name__)

Reader = Callable[[Any], T]
"""Makes something of one JSON value; what it raises says what is odd about that."""

_ODD = (KeyError, TypeError, AttributeError, ValueError, ArithmeticError, RecursionError)


def read(endpoint: Endpoint, response: Response, reader: Reader[T], found: object) -> T:
    """What `reader` makes of a part of the answer."""
    try:
        return reader(found)
    except _ODD as error:
        problem = _told(error)
    raise UnreadableAnswer(endpoint, response, f"an object as documented ({problem})")


def _told(error: Exception) -> str:
    """What was wrong. Where a value was, only that: it may be the key that a table holds."""
    if isinstance(error, OddMember):
        return str(error)
    if isinstance(error, ValueError | ArithmeticError):
        return f"{type(error).__name__}: a value in it is of another kind"
    return repr(error)


def ask(endpoint: Endpoint, reader: Reader[T], **path: object) -> Flow[T]:
    """Ask for one JSON object."""
    response = succeed(endpoint, (yield endpoint.request(None, **path)))
    return read(endpoint, response, reader, decoded(endpoint, response, dict))


def ask_list(endpoint: Endpoint, reader: Reader[T], odd: list[str] | None = None, **path: object) -> Flow[list[T]]:
    """Ask for a JSON array of objects, on however many pages. Odd ones are passed over, with a warning.

    `odd` learns what was wrong with those: who would create what is not listed has to look at it. Raises
    UnreadableAnswer where all of them are odd.
    """
    pages = yield from ask_pages(endpoint, path)
    return read_list(endpoint, pages, reader, [] if odd is None else odd)


def read_list(endpoint: Endpoint, pages: list[Page], reader: Reader[T], odd: list[str]) -> list[T]:
    """The entries of all pages, as `reader` makes them; see `ask_list`.

    What is there twice, as where a list grew between two of its pages, counts once, as it was last.
    """
    listed = dict[object, T]()
    for number, found in enumerate(entry for _, entries in pages for entry in entries):
        try:
            listed[_identity(found) or number] = reader(found)
        except _ODD as error:
            odd.append(_told(error))
    if odd and not listed:
        raise UnreadableAnswer(endpoint, pages[0][0], f"an object as documented ({odd[0]})")
    if odd:
        told = how_many(len(odd), "odd entry is", "odd entries are")
        log.warning("%s: %s passed over: %s", endpoint.name, told, "; ".join(odd[:3]))
    return list(listed.values())


def _identity(found: object) -> tuple[str, str] | None:
    """Id and name of an entry that has both."""
    if not isinstance(found, Mapping):
        return None
    id, name = found.get("id"), found.get("name")
    return (str(id), name) if isinstance(id, int | str) and isinstance(name, str) else None


def tell(endpoint: Endpoint, wanted: Mapping[str, Any] | None, **path: object) -> Flow[Response]:
    """Send a JSON object, without what is None in it; no body at all for None."""
    body = None if wanted is None else json_body({name: value for name, value in wanted.items() if value is not None})
    return succeed(endpoint, (yield endpoint.request(body, **path)))


def create(endpoint: Endpoint, wanted: Mapping[str, Any], **path: object) -> Flow[int]:
    """Create something; returns its id."""
    response = yield from tell(endpoint, wanted, **path)
    return read(endpoint, response, lambda made: members.number(made, "id"), decoded(endpoint, response, dict))
