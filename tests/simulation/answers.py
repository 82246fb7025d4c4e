"""Answers of a server that are not the right ones, by the names of `chaos.ANSWERS`."""

from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING

from optimove_provider.contract.wire.messages import Answer, Lost, Response

if TYPE_CHECKING:
    from tests.simulation.world import World

SIGN_IN = Response(200, b"<!DOCTYPE html><html><body>Sign in</body></html>", {"content-type": "text/html"})
REFUSED = {
    "refused": Response(400, b"bad request"),
    "refused by name": Response(400, b'{"message": "data[0] is odd", "detail": [{"loc": ["body", "data", 0]}]}'),
    "too large": Response(413, b"too large"),
}
"""Nothing is done for these, and they say that rows are bad, although they are not."""
ANSWERS = {
    "429": Response(429, b"", {"retry-after": "7"}),
    "429 for long": Response(429, b"", {"retry-after": "90"}),
    "503": Response(503, b"try later"),
    "500 undone": Response(500, b"trouble"),
    "408": Response(408, b""),
    "499": Response(499, b""),
    "sign-in page": SIGN_IN,
    "forbidden": Response(403, b'{"message": "Forbidden"}'),
    "not found": Response(404, b'{"message": "no such data connection"}'),
    "conflict": Response(409, b""),
    **REFUSED,
}
"""Nor is for these."""
DONE = {
    "500 done": Response(500, b"trouble"),
    "408 done": Response(408, b""),
    "499 done": Response(499, b""),
    "202": Response(202, b'{"message": "queued"}'),
    "cut body": Response(200, b'{"success": tr'),
}
ODD_WAITS = (
    "soon",
    "-5",
    "1e3",
    "0.5",
    "1 minute",
    "7, 9",
    "99999999999999999999",
    "Sat, 29 Feb 2020 00:00:00 GMT",
    "Sun, 01 Mar 2020 00:20:00 GMT",
    "2020-03-01T00:10:00Z",
    '"3"',
    "",
)
"""Of Retry-After. A world begins on 2020-03-01."""
LATEST = 50.0
"""Seconds after which a request is carried out, at the latest, whose answer was lost: less than a lease outlasts it."""


def odd_wait(fault: str, random: Random) -> Response:
    """A refusal for now that says in an odd way for how long; `fault` begins with its status."""
    return Response(int(fault[:3]), b"", {"retry-after": random.choice(ODD_WAITS)})


def without_work(world: "World", fault: str, handle_late: Callable[[], object]) -> Answer | None:
    """What a client gets of a server that does nothing, or only later, whatever it was asked for; None where that is
    not the fault."""
    if fault == "lost before":
        return Lost("the connection was refused")
    if fault == "late":
        late = world.chaos.random.random() * LATEST
        world.scheduler.spawn("late request", handle_late, late)
        return Lost("no answer in time")
    return odd_wait(fault, world.chaos.random) if fault.endswith("odd") else None
