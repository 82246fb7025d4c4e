"""Digests of keys: whether a key is on a list can be told of a key that one has, and no key of the list alone.

HMAC-SHA-256 (RFC 2104, FIPS 198-1) of the key's text, with a random salt of the target's own: the same person has
another digest in each target. The type of a key counts for nothing, as 1 and "1" may be one record at the vendor.
"""

import hashlib
import hmac
import json
import secrets
from collections.abc import Iterable

SALT_BYTES = DIGEST_BYTES = 32
ALGORITHM = "hmac-sha256"


def new_salt() -> str:
    """A salt, as hexadecimal digits."""
    return secrets.token_hex(SALT_BYTES)


def key_text(key: str) -> str:
    """The text of a key that is JSON text, a string or an integer: of 1 and "1" the same."""
    if not key.startswith('"'):
        return key
    return str(json.loads(key)) if "\\" in key else key[1:-1]


class KeyDigests:
    """Makes digests with one salt, about 2 us each."""

    def __init__(self, salt: str) -> None:
        self._empty = hmac.new(bytes.fromhex(salt), digestmod=hashlib.sha256)

    def of(self, text: str) -> bytes:
        """The digest of a key's text."""
        made = self._empty.copy()
        made.update(text.encode("utf-8", "surrogatepass"))
        return made.digest()

    def of_all(self, keys: Iterable[str]) -> list[bytes]:
        """The digests of keys as JSON texts."""
        return [self.of(key_text(key)) for key in keys]

    def shown(self, text: str) -> str:
        """The digest of a key's text for people and proofs, with how it was made."""
        return f"{ALGORITHM}:{self.of(text).hex()}"
