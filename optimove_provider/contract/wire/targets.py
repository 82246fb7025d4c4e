"""The one form of what names a target: the host's URL, a data connection's uuid, a table's id.

Ledger, lease, journal, report and replay know a target by these, so two spellings of one place must not be two places.
What has no such form is refused rather than guessed at.
"""

import ipaddress
import re
import unicodedata
import uuid
from urllib.parse import SplitResult, quote, unquote_to_bytes, urlsplit

from optimove_provider.contract.wire.errors import SettingsError

_DEFAULT_PORTS = {"http": 80, "https": 443}
_UNRESERVED = "!$&'()*+,;=:@-._~"
"""What a path may hold unescaped, beside letters and digits: RFC 3986, section 3.3."""
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_NUMERIC = re.compile(r"(\d+|0x[0-9a-f]*)")


class NoOneForm(SettingsError):
    """A text that names no target, or in more than one way; the message says why."""


def host_url(text: str, port: str = "") -> str:
    """A base URL as `scheme://name[:port][/path]`: lower case, IDNA, no dot or slash at the end, no default port.

    `port` is one that is named beside the URL, and counts where that has none. A user and a password are left out: they
    say who asks, not where. Raises NoOneForm, which shows nothing of the URL.
    """
    parts = _split(text.strip())
    scheme = parts.scheme.lower()
    if scheme not in _DEFAULT_PORTS or not parts.hostname:
        raise NoOneForm("is no URL: begin it with https://")
    number = _port(parts, port)
    place = _name(parts.hostname) + (f":{number}" if number not in (None, _DEFAULT_PORTS[scheme]) else "")
    return f"{scheme}://{place}{_path(parts.path)}"


def names_user(text: str) -> bool:
    """Whether a URL has a user, or a password, before its host."""
    try:
        return "@" in urlsplit(text.strip()).netloc
    except ValueError:
        return "@" in text


def is_loopback(name: str) -> bool:
    """Whether a host's name or address is this machine's own."""
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")


def connection_uuid(text: object) -> str:
    """A data connection's uuid, in lower case with hyphens. Raises NoOneForm."""
    try:
        return str(uuid.UUID(str(text).strip()))
    except ValueError:
        raise NoOneForm(f"data_connection_uuid {text!r:.200} is no uuid") from None


def table_id(text: object) -> str:
    """A table's id, its digits. Raises NoOneForm."""
    found = str(text).strip()
    if isinstance(text, bool) or not found.isdecimal() or int(found) == 0:
        raise NoOneForm(f"table_id {text!r:.200}: expected the number of a table")
    return str(int(found))


def _split(text: str) -> SplitResult:
    if any(character.isspace() or not character.isprintable() for character in text) or "\\" in text:
        raise NoOneForm("has a blank, a backslash, or a character that nobody sees")
    if "?" in text or "#" in text:
        raise NoOneForm("has a query or a fragment: give the address alone")
    try:
        return urlsplit(text)
    except ValueError:
        raise NoOneForm("is no URL: what stands where its host should is none") from None


def _port(parts: SplitResult, beside: str) -> int | None:
    try:
        found = parts.port if parts.port is not None else (int(beside) if beside else None)
    except ValueError:
        raise NoOneForm("is no URL: its port is no number up to 65535") from None
    if found is not None and not 0 < found < 65536:
        raise NoOneForm("is no URL: its port is no number up to 65535")
    return found


def _name(found: str) -> str:
    """A host's name in ASCII, or its address."""
    if ":" in found and "%" not in found:
        return f"[{_ipv6(found)}]"
    name = unicodedata.normalize("NFKC", found).lower().replace("\u3002", ".").removesuffix(".")
    try:
        name = ".".join(label.encode("idna").decode() for label in name.split("."))
    except UnicodeError:
        raise NoOneForm("has a host name that is none") from None
    labels = name.split(".")
    if _NUMERIC.fullmatch(labels[-1]):
        return _ipv4(name)
    if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise NoOneForm("has a host name that is none")
    return name


def _ipv6(found: str) -> str:
    try:
        return ipaddress.IPv6Address(found).compressed
    except ValueError:
        raise NoOneForm("has an address that is none") from None


def _ipv4(found: str) -> str:
    try:
        return str(ipaddress.IPv4Address(found))
    except ValueError:
        raise NoOneForm("has an address that is none") from None


def _path(found: str) -> str:
    """The path without a slash at its end, each character escaped or not as RFC 3986 has it."""
    if _ESCAPE.search(found):
        raise NoOneForm("has a % in its path that escapes nothing")
    segments = found.rstrip("/").split("/")
    if "" in segments[1:] or {".", ".."} & {unquote_to_bytes(one).decode(errors="replace") for one in segments}:
        raise NoOneForm("has an empty segment, or one of dots, in its path")
    if any("%2f" in one.lower() for one in segments):
        raise NoOneForm("has an escaped slash in its path")
    return "/".join(quote(unquote_to_bytes(one), safe=_UNRESERVED) for one in segments)
