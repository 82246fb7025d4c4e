"""Where a list goes on: the Link header of RFC 8288. No I/O here.

Neither vendor documents pages. A list that is given in pages all the same is read to its end or refused: what stands on
a second page would be created twice.
"""

import re
from collections.abc import Iterator

from optimove_provider.contract.wire.outside import MAX_TEXT

_PARAMETER = r""";\s*(?P<name>[^\s=;,"<>]+)(?:\s*=\s*(?:"(?P<quoted>[^"]*)"|(?P<bare>[^\s;,"<>]*)))?"""
_LINK = re.compile(rf"\s*<(?P<target>[^<>]*)>(?P<parameters>(?:\s*{re.sub('P<[a-z]+>', ':', _PARAMETER)})*)\s*")
_PARAMETERS = re.compile(_PARAMETER)


def next_page(link: str) -> str | None:
    """The target of the link whose relation is `next`, as it stands there; None where there is none.

    Raises ValueError for a header that cannot be read and may hold one, that is cut, or that names several.
    """
    targets = dict.fromkeys(target for target, relations in _links(link) if "next" in relations)
    if len(targets) > 1 or "" in targets or len(link) >= MAX_TEXT:
        raise ValueError("no one next page")
    return next(iter(targets), None)


def _links(link: str) -> Iterator[tuple[str, list[str]]]:
    at = 0
    while at < len(link):
        found = _LINK.match(link, at)
        if not found or (found.end() < len(link) and link[found.end()] != ","):
            if "next" in link[at:].lower():
                raise ValueError("no link")
            return
        yield found["target"], _relations(found["parameters"])
        at = found.end() + 1


def _relations(parameters: str) -> list[str]:
    """The relations that a link names; of several such parameters the first counts."""
    for found in _PARAMETERS.finditer(parameters):
        if found["name"].lower() == "rel":
            return (found["quoted"] or found["bare"] or "").lower().split()
    return []
