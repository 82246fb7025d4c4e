"""Texts that come from outside: how much of one is shown, and what is struck out of it. No I/O here.

Every message, event and report says what servers, libraries and files said only through these two functions, so the
limits stand here and nowhere else.
"""

import base64
import re
from collections.abc import Iterable
from functools import lru_cache

MAX_TEXT = 2000
"""How much of one text from outside is shown, in characters."""
MAX_MESSAGE = 20_000
"""How long a whole message, of an error or an event, may be, in characters: Airflow keeps them in its database."""
STRUCK_OUT = "***"

_BETWEEN = r"""(?:["'\\]|&(?:amp;){0,4}#?\w{1,6};){0,16}"""
_NAMED_KEY = re.compile(
    rf"(aws_?(?:secret_?|access_?){{1,2}}key(?:_?id)?{_BETWEEN}\s{{0,4}}[:=>]\s{{0,4}}{_BETWEEN})"
    r"(?!\\)[^\s\"'<>,;&}*]+",
    re.IGNORECASE,
)
_LONGEST_VALUE = 1000
_NAMED = {"&": "amp", "<": "lt", ">": "gt", '"': "quot", "'": "apos"}
_BACKSLASHES, _AMPERSAND = r"\\{1,8}", "&(?:amp;){0,4}"
"""What an escape begins with, how often soever it was escaped again; bounded, so that no text takes long."""
_WRAPPED = rf"(?:\s|{_BACKSLASHES}[nrt]){{0,4}}"
"""What may stand between two characters of a secret that was broken into lines or groups."""
_LEAST_WRAPPED = 8
"""Characters of a secret that is looked for so: of fewer, any words might be made."""
_BASE64_LEAST = 8
"""Characters of Basic authentication that are a secret's own: fewer might be anything's."""
_LONGEST_FORM = 84
"""Characters that one character of a secret may take, escaped and wrapped: so far redaction looks beyond the shown."""


_LONGEST_SIGNATURE = 4000
_LOGIN = re.compile(r"(://[^\s/?#@'\":]{0,200}:)[^\s/?#@'\"]{1,1000}@")
_SIGNATURE = re.compile(
    r"([?&](?:sig|signature|token|access_token|x-amz-(?:signature|credential|security-token)|awsaccesskeyid"
    rf"|x-goog-(?:signature|credential))=)[^\s&#'\"]{{1,{_LONGEST_SIGNATURE}}}",
    re.IGNORECASE,
)
"""What opens a URL for whoever has it: the names that S3, Google's storage and Azure's give it."""


def cut(text: str, limit: int = MAX_MESSAGE) -> str:
    """The text's beginning, and how much more there is; without what no database takes: NUL, and half characters.

    Passwords and signatures in URLs are struck out: a source may be named by one, and libraries say it again.
    """
    left_out = len(text) - limit
    text = _SIGNATURE.sub(rf"\1{STRUCK_OUT}", _LOGIN.sub(rf"\1{STRUCK_OUT}@", text[: limit + _LONGEST_SIGNATURE]))
    if left_out > 0:
        text = f"{text[:limit]} ... ({left_out} characters more)"
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def redact(text: str, secrets: Iterable[str], limit: int | None = None) -> str:
    """The text, at most so many characters of it, with *** for every secret, however it is escaped, in capitals or not,
    and in however many lines.

    Where one secret holds another, the longer one counts. None of a secret is shown where the limit cuts through it. A
    table's AWS keys are struck out by their names as well: a vendor may tell of them before anybody knows them.
    """
    known = tuple(sorted({secret for secret in secrets if secret}, key=lambda one: (-len(one), one)))
    reach = _LONGEST_FORM * len(known[0]) if known else 0
    seen = text if limit is None else text[: limit + 50 * reach + _LONGEST_VALUE]
    struck = _pattern(known).sub(STRUCK_OUT, seen) if known else seen
    struck = _NAMED_KEY.sub(rf"\1{STRUCK_OUT}", struck)
    if len(seen) < len(text):
        struck = struck[: max(0, len(struck) - reach)]
    return struck if limit is None else struck[:limit]


@lru_cache(maxsize=64)
def _pattern(secrets: tuple[str, ...]) -> re.Pattern[str]:
    """What finds the secrets: whole ones first, then their Base64, the longest first."""
    plain = [(_WRAPPED if len(secret) >= _LEAST_WRAPPED else "").join(map(_forms, secret)) for secret in secrets]
    packed = sorted({form for secret in secrets for form in _base64(secret)}, key=len, reverse=True)
    return re.compile("|".join([*plain, *(f"{re.escape(form)}[\\w+/-]{{0,2}}=*" for form in packed)]), re.IGNORECASE)


def _forms(character: str) -> str:
    """One character in each of its cases, and in each way to write it."""
    cases = {character, *(one for one in (character.lower(), character.upper()) if len(one) == 1)}
    return f"(?:{'|'.join(dict.fromkeys(form for one in sorted(cases) for form in _written(one)))})"


def _written(character: str) -> list[str]:
    """One character as it stands, or percent-encoded, or as JSON, Python or HTML escape it; escaped twice, too."""
    code = ord(character)
    bytes_ = character.encode("utf-8", "surrogatepass")
    percent = "".join(f"%(?:25){{0,4}}{byte:02x}" for byte in bytes_)
    units = character.encode("utf-16-be", "surrogatepass")
    utf16 = "".join(rf"{_BACKSLASHES}u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))
    html = f"{_AMPERSAND}#(?:0{{0,4}}{code}|x0{{0,4}}{code:x});"
    forms = [re.escape(character), percent, utf16, html]
    if code < 256:
        forms.append(rf"{_BACKSLASHES}x{code:02x}")
    if character in "\"'/\\":
        forms.append(rf"{_BACKSLASHES}{re.escape(character)}")
    if character in _NAMED:
        forms.append(f"{_AMPERSAND}{_NAMED[character]};")
    if character == " ":
        forms.append(r"\+")
    return forms


def _base64(secret: str) -> Iterable[str]:
    """What Base64 makes of the secret wherever it begins in what is packed, as `user:secret` is."""
    raw = secret.encode("utf-8", "surrogatepass")
    for before in range(3):
        whole = base64.b64encode(b"\0" * before + raw).decode().rstrip("=")
        # The first characters depend on what stands before it, the last one on what comes after.
        first, last = -(-before * 4 // 3), (before + len(raw)) * 4 // 3
        own = whole[first:last]
        if len(own) >= _BASE64_LEAST:
            yield own
            yield own.replace("+", "-").replace("/", "_")
