"""Reading a vendor's 2xx: what the documentation promises, or an UnreadableAnswer. No I/O here."""

from collections.abc import Callable, Mapping
from typing import Any

from optimove_provider.contract.wire.errors import UnreadableAnswer, succeed
from optimove_provider.contract.wire.messages import Endpoint, Flow, Response, T, json_body


def decoded(endpoint: Endpoint, response: Response, wanted: type) -> Any:
    """The body's JSON value, which must be a list or a dict as `wanted` says."""
    try:
        found = response.json()
    except ValueError:
        found = None
    # Raised outside of any handler, here and below: no error of a parser, which may hold the body, hangs on to it.
    if not isinstance(found, wanted):
        raise UnreadableAnswer(endpoint, response, f"a JSON {'array' if wanted is list else 'object'}")
    return found


def read(endpoint: Endpoint, response: Response, reader: Callable[[Any], T], found: object) -> T:
    """What `reader` makes of a part of the answer."""
    try:
        return reader(found)
    except (KeyError, TypeError, AttributeError, ValueError, ArithmeticError, RecursionError) as error:
        problem = _told(error)
    raise UnreadableAnswer(endpoint, response, f"an object as documented ({problem})")


class OddMember(ValueError):
    """A member of an answer is not what it should be; the message may be shown, as no answer with it holds keys."""


def _told(error: Exception) -> str:
    """What was wrong. Where a value was, only that: it may be the key that a table holds."""
    if isinstance(error, ValueError | ArithmeticError) and not isinstance(error, OddMember):
        return f"{type(error).__name__}: a value in it is of another kind"
    return repr(error)


def ask(endpoint: Endpoint, reader: Callable[[Any], T], **path: object) -> Flow[T]:
    """Ask for one JSON object."""
    response = succeed(endpoint, (yield endpoint.request(None, **path)))
    return read(endpoint, response, reader, decoded(endpoint, response, dict))


def ask_list(endpoint: Endpoint, reader: Callable[[Any], T], **path: object) -> Flow[list[T]]:
    """Ask for a JSON array of objects."""
    response = succeed(endpoint, (yield endpoint.request(None, **path)))
    return [read(endpoint, response, reader, found) for found in decoded(endpoint, response, list)]


def tell(endpoint: Endpoint, wanted: Mapping[str, Any] | None, **path: object) -> Flow[Response]:
    """Send a JSON object, without what is None in it; no body at all for None."""
    body = None if wanted is None else json_body({name: value for name, value in wanted.items() if value is not None})
    return succeed(endpoint, (yield endpoint.request(body, **path)))


def create(endpoint: Endpoint, wanted: Mapping[str, Any], **path: object) -> Flow[int]:
    """Create something; returns its id."""
    response = yield from tell(endpoint, wanted, **path)
    return read(endpoint, response, lambda made: int(made["id"]), decoded(endpoint, response, dict))
