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
_DIGITS = re.compile(r"[0-9]{1,18}")
_UUID = re.compile(
    r"(urn:uuid:)?(?P<open>\{)?[0-9a-f]{8}(?P<hyphen>-?)(?:[0-9a-f]{4}(?P=hyphen)){3}[0-9a-f]{12}(?(open)\})"
)
_TWO_FORMS = frozenset("\u00df\u03c2\u200c\u200d")
"""Of these the older IDNA makes others (faß.de is fass.de), the newer one keeps them: two hosts."""


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
    place = _name(parts.hostname, "[" in parts.netloc) + (
        f":{number}" if number not in (None, _DEFAULT_PORTS[scheme]) else ""
    )
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
    found = str(text).strip().lower()
    if not _UUID.fullmatch(found):  # uuid.UUID takes more: signs, digits of any script, braces anywhere
        raise NoOneForm(f"data_connection_uuid {text!r:.200} is no uuid: take it from the Opti-X UI")
    return str(uuid.UUID(found))


def table_id(text: object) -> str:
    """A table's id, its digits. Raises NoOneForm."""
    return str(id_number("table_id", text))


def id_number(name: str, given: object) -> int:
    """The number of a table, a service or a project, which `name` calls so: a whole one, or its digits.

    Raises NoOneForm: 7.9 is no way to say 7.
    """
    found = str(given).strip()
    if isinstance(given, bool) or not _DIGITS.fullmatch(found) or int(found) == 0:
        raise NoOneForm(f"{name} {given!r:.200}: expected the number of a {name.removesuffix('_id')}")
    return int(found)


def _split(text: str) -> SplitResult:
    if any(character.isspace() or not character.isprintable() for character in text) or "\\" in text:
        raise NoOneForm("has a blank, a backslash, or a character that nobody sees: leave it out")
    if "?" in text or "#" in text:
        raise NoOneForm("has a query or a fragment: give the address alone")
    try:
        return urlsplit(text)
    except ValueError:
        raise NoOneForm("is no URL: what stands where its host should is none; expected https://host") from None


def _port(parts: SplitResult, beside: str) -> int | None:
    # Of what stands before the port only brackets may have colons.
    own = parts.netloc.rpartition("@")[2].rpartition("]")[2].partition(":")[2]
    found = own or str(beside).strip()
    if not found:
        return None
    if not _DIGITS.fullmatch(found) or not 0 < int(found) < 65536:
        raise NoOneForm("is no URL: its port is no number up to 65535; leave it out, or mend it")
    return int(found)


def _name(found: str, is_bracketed: bool) -> str:
    """A host's name in ASCII, or its address."""
    if ":" in found and "%" not in found:
        return f"[{_ipv6(found)}]"
    if is_bracketed:
        raise NoOneForm(f"has a host in brackets that is no IPv6 address: {found!r}; check it")
    name = unicodedata.normalize("NFKC", found).lower().replace("\u3002", ".").removesuffix(".")
    if two := sorted(_TWO_FORMS.intersection(name)):
        raise NoOneForm(f"has a host name with {two[0]!r}, which is two names, by old rules and new: write it as xn--")
    try:
        name = ".".join(label.encode("idna").decode() for label in name.split("."))
    except UnicodeError:
        raise NoOneForm("has a host name that is none: check it") from None
    labels = name.split(".")
    if _NUMERIC.fullmatch(labels[-1]):
        return _ipv4(name)
    if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise NoOneForm("has a host name that is none: check it")
    return name


def _ipv6(found: str) -> str:
    try:
        return ipaddress.IPv6Address(found).compressed
    except ValueError:
        raise NoOneForm("has an address that is none: check it") from None


def _ipv4(found: str) -> str:
    try:
        return str(ipaddress.IPv4Address(found))
    except ValueError:
        raise NoOneForm("has an address that is none: check it") from None


def _path(found: str) -> str:
    """The path without a slash at its end, each character escaped or not as RFC 3986 has it."""
    if _ESCAPE.search(found):
        raise NoOneForm("has a % in its path that escapes nothing: write it as %25")
    segments = found.rstrip("/").split("/")
    if "" in segments[1:] or {".", ".."} & {unquote_to_bytes(one).decode(errors="replace") for one in segments}:
        raise NoOneForm("has an empty segment, or one of dots, in its path: leave it out")
    if any("%2f" in one.lower() for one in segments):
        raise NoOneForm("has an escaped slash in its path: write it as a slash")
    return "/".join(quote(unquote_to_bytes(one), safe=_UNRESERVED) for one in segments)
