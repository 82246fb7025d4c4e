"""Where the emulator's made-up ids come from: all different, and the same again for the same seed."""

import hashlib
import uuid
from typing import Self

LEAST_NUMBER = 3_000_000_000
"""Ids of the DCP API are integers, and real ones exceed 2^31: a client with 32 bits for them must fail."""


class Ids:
    """Uuids, numbers and secrets, made from a seed and a counter. No seed means a new one each time."""

    def __init__(self, seed: str | None = None):
        self._seed = uuid.uuid5(uuid.NAMESPACE_OID, seed) if seed is not None else uuid.uuid4()
        self._made = 0
        self._number = LEAST_NUMBER + self._seed.int % LEAST_NUMBER

    @classmethod
    def at(cls, seed: str, made: int, number: int) -> Self:
        """Ids that go on where `position` was these."""
        found = cls()
        found._seed, found._made, found._number = uuid.UUID(seed), made, number
        return found

    @property
    def position(self) -> tuple[str, int, int]:
        """How far it has come: the seed, and two counters."""
        return str(self._seed), self._made, self._number

    def uuid(self) -> str:
        """Another uuid, as text."""
        self._made += 1
        return str(uuid.uuid5(self._seed, str(self._made)))

    def number(self) -> int:
        """Another id, greater than the last one, with gaps so that nobody counts on there being none."""
        self._number += 7
        return self._number

    def secret(self, length: int) -> str:
        """Made-up letters and digits, at most 64 of them."""
        return hashlib.sha256(self.uuid().encode()).hexdigest()[:length].upper()
