"""Who may use the side door: no page of another site, whatever it makes a browser on this machine send. No I/O here.

The control routes take no key. A browser sends requests for any page that is open in it (forms, fetch), and a name that
a page's owner lets point to 127.0.0.1 (DNS rebinding) even gives that page the answers. Both show in the headers.
"""

import re
from collections.abc import Callable, Collection

from optimove_provider.contract.wire.targets import is_loopback

Header = Callable[[str], str | None]
"""Gives a header's value, by its name in lower case; None where there is none."""

_HOST = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::[0-9]{1,5})?")
_ANY_ADDRESS = ("0.0.0.0", "::", "")  # noqa: S104 - what is bound to, and no name that anybody calls
_FORM_TYPES = ("application/x-www-form-urlencoded", "multipart/form-data", "text/plain")


class Callers:
    """Knows the names under which this emulator may be called: the loopback's, its own address, `allowed_hosts`."""

    def __init__(self, bound_to: str, allowed_hosts: Collection[str] = ()) -> None:
        bound = () if bound_to in _ANY_ADDRESS else (bound_to,)
        self._names = {name.casefold().strip("[]").rstrip(".") for name in (*allowed_hosts, *bound)}

    def why_refused(self, method: str, header: Header, body: bytes | None, has_host: bool = True) -> str | None:
        """What speaks against a request to a control route; None if nothing does.

        `has_host`: it is of a version of HTTP that has to name the host.
        """
        host = header("host")
        if (has_host or host is not None) and not self._is_own(host or ""):
            return (
                f"the control routes answer to this machine's own names only, not to the host {host or ''!r:.80}: "
                "start the emulator with --allowed-host NAME where it has another one"
            )
        return why_foreign(header, host or "") or _why_form(method, header, body)

    def _is_own(self, host: str) -> bool:
        found = _HOST.fullmatch(host.casefold())
        name = found["name"].strip("[]").rstrip(".") if found else ""
        return name in self._names or is_loopback(name)


def why_foreign(header: Header, host: str) -> str | None:
    """Whether a page of another site has made a browser send this, and how that shows."""
    origin, site = header("origin"), header("sec-fetch-site")
    if origin is not None and origin.casefold() != f"http://{host.casefold()}":
        return f"a page of another origin ({origin!r:.80}) may not ask here"
    if site is not None and site not in ("same-origin", "none"):
        return f"a page of another site (Sec-Fetch-Site: {site!r:.40}) may not ask here"
    return None


def _why_form(method: str, header: Header, body: bytes | None) -> str | None:
    """What a form of any page can send, in a browser that does not say from where: JSON it can send as text only."""
    if header("origin") is not None or header("sec-fetch-site") == "same-origin":
        return None  # our own page: `why_foreign` refuses those of others
    kind = (header("content-type") or "").partition(";")[0].strip().casefold()
    if method == "GET" or kind not in _FORM_TYPES:
        return None
    if kind == _FORM_TYPES[0] and (body or b"").lstrip()[:1] in (b"{", b"["):
        return None  # the default of simple clients; a browser would have escaped the bracket
    return f"a form could send this (Content-Type: {kind}): send JSON, with Content-Type: application/json"
