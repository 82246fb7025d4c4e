"""Reading a vendor's 2xx: what the documentation promises, or an UnreadableAnswer. No I/O here."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from optimove_provider.contract.wire.errors import UnreadableAnswer, succeed
from optimove_provider.contract.wire.members import OddMember as OddMember
from optimove_provider.contract.wire.members import identity
from optimove_provider.contract.wire.messages import Answer, Endpoint, Flow, Response, T, json_body
from optimove_provider.contract.wire.paging import next_page


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
    """Ask for a JSON array of objects, to its last page."""
    return read_list(endpoint, reader, (yield from ask_pages(endpoint, path)))


def read_list(endpoint: Endpoint, reader: Callable[[Any], T], pages: Iterable[Response]) -> list[T]:
    """What `reader` makes of each element of an array that was asked for in pages."""
    return [read(endpoint, page, reader, found) for page in pages for found in decoded(endpoint, page, list)]


def ask_pages(endpoint: Endpoint, path: Mapping[str, object], may_be_absent: bool = False) -> Flow[list[Response]]:
    """Ask for a JSON array, and for each next page that a Link header names. `may_be_absent`: then a first answer of
    404, or without a body, is no page.

    Raises UnreadableAnswer where the pages come to no end, or to more than `MAX_LIST_BYTES`.
    """
    request, pages, seen = endpoint.request(None, **path), list[Response](), {""}
    while True:
        answer = yield request
        page = found_or_none(endpoint, answer) if may_be_absent and not pages else succeed(endpoint, answer)
        target = _next(endpoint, page) if page else None
        pages += [page] if page else []
        if page is None or target is None:
            return pages
        if target in seen:
            raise UnreadableAnswer(endpoint, page, "an end: its next page is one that was read before")
        if len(pages) == MAX_PAGES or sum(len(one.body) for one in pages) > MAX_LIST_BYTES:
            raise UnreadableAnswer(endpoint, page, f"an end within {MAX_PAGES} pages and {MAX_LIST_BYTES:,} bytes")
        seen.add(target)
        request = replace(request, page=target)


MAX_PAGES, MAX_LIST_BYTES = 1000, 50_000_000
"""Of one list. No vendor documents pages; whoever has some ends sooner."""


def _next(endpoint: Endpoint, page: Response) -> str | None:
    try:
        return next_page(page.headers.get("link", ""))
    except ValueError:
        pass  # raised below, outside of the handler
    raise UnreadableAnswer(endpoint, page, "a Link header that can be read: it names a next page")


def found_or_none(endpoint: Endpoint, answer: Answer | None) -> Response | None:
    """The response of a success with a body; None where there is nothing: 404, no body, null."""
    if isinstance(answer, Response) and answer.status == 404:
        return None
    response = succeed(endpoint, answer)
    return None if response.text.strip() in ("", "null") else response


def tell(endpoint: Endpoint, wanted: Mapping[str, Any] | None, **path: object) -> Flow[Response]:
    """Send a JSON object, without what is None in it; None sends no body."""
    body = (
        json_body({name: value for name, value in wanted.items() if value is not None}) if wanted is not None else None
    )
    return succeed(endpoint, (yield endpoint.request(body, **path)))


def create(endpoint: Endpoint, wanted: Mapping[str, Any], **path: object) -> Flow[int]:
    """Create something; returns its id."""
    response = yield from tell(endpoint, wanted, **path)
    return read(endpoint, response, identity, decoded(endpoint, response, dict))
