"""The vendor's archived REST reference of DCP, of 2020, as the source of endpoint rows. No I/O here."""

from optimove_provider.contract.wire.messages import Endpoint

REFERENCE = (
    "https://github.com/optimizely/classic-documentation/blob/310e00b81d805e83d4ed4c3f14f9787b339522b3/classic/rest/v1"
)
"""One page for each endpoint, in a folder for each kind of object."""

LEAST_WAIT_SECONDS = 60.0
"""After a 429 or 503: "we recommend waiting at least 60 seconds before re-attempting the request" (overview,
responses). It speaks of the config host; for the profile host the same is assumed."""


def row(
    api: str, name: str, method: str, path: str, page: str, quote: str, *, retry_safe: bool, note: str = ""
) -> Endpoint:
    """An endpoint of a page, with what the page says of it, and what follows from that."""
    source = f'REST reference: "{quote}"' + (f" {note}" if note else "") + f" {REFERENCE}/{page}.md"
    return Endpoint(name, api, method, path, retry_safe, source, LEAST_WAIT_SECONDS)
