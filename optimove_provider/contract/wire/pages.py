"""Lists that come in several pages: each is read, or the list is refused. No I/O here.

Neither vendor documents pages. A server that has them leads from one to the next by a Link header (RFC 8288); the keys
go along, so the next page has to be where the first one was. A server that names a next page in another way is refused.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import SplitResult, unquote, urldefrag, urljoin, urlsplit

from optimove_provider.contract.wire.errors import UnreadableAnswer, succeed
from optimove_provider.contract.wire.messages import MAX_LINK, Answer, Endpoint, Flow, Response
from optimove_provider.contract.wire.success import AnswerMeaning, judge

MAX_PAGES, MAX_ENTRIES, MAX_BYTES = 1000, 100_000, 64_000_000
"""Of one list, over all of its pages."""

_NOTHING = (b"", b"null", b"{}")

Page = tuple[Response, list[Any]]

_TOKEN, _QUOTED = r"[^\s=;,<>\"]{1,100}", r'"(?:[^"\\]|\\.)*"'
_PARAMETER = re.compile(rf";\s{{0,9}}({_TOKEN})\s{{0,9}}(?:=\s{{0,9}}({_QUOTED}|[^\s\";,]*))?\s{{0,9}}")
_LINK = re.compile(rf"<([^<>]*)>\s{{0,9}}((?:{_PARAMETER.pattern})*)(?:,|$)")
_NAME = re.compile(r"[^\W_][\w.:/-]{0,200}", re.ASCII)
_KNOWN = ("next", "next-archive")
_OTHERS = ("x-next-page", "x-next-cursor", "x-next-token", "x-continuation-token", "next-page", "next-cursor")
_PORTS = {"http": 80, "https": 443}


def ask_pages(endpoint: Endpoint, path: Mapping[str, object], may_be_none: bool = False) -> Flow[list[Page]]:
    """Ask for a JSON array, and for its further pages: each answer with its entries. Raises UnreadableAnswer.

    `may_be_none`: where a 404, or a body that holds nothing, says as much as an empty array; there are no pages then.
    """
    request, pages, asked = endpoint.request(None, **path), list[Page](), set[str]()
    while True:
        answer = yield request
        if may_be_none and not pages and _is_nothing(answer):
            return pages
        response = succeed(endpoint, answer)
        pages.append((response, decoded(endpoint, response, list)))
        asked.add(response.url)
        following, problem = _following(response, asked)
        if problem := problem or (_too_much(pages) if following else ""):
            raise UnreadableAnswer(endpoint, response, f"a next page that can be read: {problem}")
        if not following:
            return pages
        request = replace(request, url=following)


def _is_nothing(answer: Answer | None) -> bool:
    if not isinstance(answer, Response):
        return False
    return answer.status == 404 or (judge(answer) is AnswerMeaning.DONE and answer.body.strip() in _NOTHING)


def decoded(endpoint: Endpoint, response: Response, wanted: type) -> Any:
    """The body's JSON value, which must be a list or a dict as `wanted` says."""
    try:
        found = response.json()
    except ValueError:
        found = None
    # Raised outside of any handler: no error of a parser, which may hold the body, hangs on to it.
    if not isinstance(found, wanted):
        raise UnreadableAnswer(endpoint, response, f"a JSON {'array' if wanted is list else 'object'}")
    return found


def _too_much(pages: list[Page]) -> str:
    entries, size = sum(len(found) for _, found in pages), sum(len(response.body) for response, _ in pages)
    if len(pages) < MAX_PAGES and entries < MAX_ENTRIES and size < MAX_BYTES:
        return ""
    return f"no list is so long as this one, of {len(pages)} pages with {entries} entries in {size} bytes, and more"


def _following(response: Response, asked: set[str]) -> tuple[str, str]:
    """The next page's URL, empty where there is none; and why it cannot be asked for."""
    if other := next((name for name in _OTHERS if response.headers.get(name, "").strip()), ""):
        return "", f"its header {other} names one, by which none can be asked for here"
    header = response.headers.get("link", "")
    links = list(_links(header))
    targets = {target for target, names, _ in links if "next" in names}
    rest = links[-1][2] if links else header
    odd = any("next" in name for _, names, _ in links for name in names if name not in _KNOWN)
    if len(header) >= MAX_LINK or odd or (rest and "next" in rest.lower()):
        return "", "its Link header is none that can be understood"
    if len(targets) > 1:
        return "", "its Link header names several"
    return _checked(response.url, targets.pop(), asked) if targets else ("", "")


def _links(header: str) -> Iterator[tuple[str, list[str], str]]:
    """Each link's target and relations, and what of the header comes after it."""
    rest = header.strip(" \t,")
    while found := _LINK.match(rest):
        rest = rest[found.end() :].strip(" \t,")
        yield found[1], _relations(found[2]), rest


def _relations(parameters: str) -> list[str]:
    """The names in `rel` or `rel*`, in whatever quotes; where there are several, the first one counts."""
    for name, value in _PARAMETER.findall(parameters):
        if name.casefold() in ("rel", "rel*"):
            return _NAME.findall(unquote(str(value)).casefold())
    return []


def _checked(asked_for: str, target: str, asked: set[str]) -> tuple[str, str]:
    if any(one.isspace() or not one.isprintable() or one == "\\" for one in target):
        return "", "it is at an address that is none"
    try:
        url = urldefrag(urljoin(asked_for, target.strip())).url
        parts = urlsplit(url)
        is_same = _origin(parts) == _origin(urlsplit(asked_for))
    except ValueError:
        return "", "it is at an address that is none"
    if not is_same:
        return "", f"it is at another host ({parts.scheme}://{parts.hostname}), where the keys must not go"
    return ("", "it is a page that was read before") if url in asked else (url, "")


def _origin(parts: SplitResult) -> tuple[str, str, int, str]:
    """Where a URL leads, and as whom. Raises ValueError for one without a host, or with an odd port."""
    if parts.scheme not in _PORTS or not parts.hostname:
        raise ValueError("no URL")
    return parts.scheme, parts.hostname, parts.port or _PORTS[parts.scheme], parts.username or ""
