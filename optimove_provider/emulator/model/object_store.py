"""What the importer sees of S3: a few methods. `MemoryObjects` serves tests that need no socket."""

import io
from collections.abc import Iterable
from dataclasses import dataclass
from typing import BinaryIO, Protocol


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One version of one object. A key that is put again has another version. `size` is in bytes."""

    key: str
    version: str
    size: int


class ObjectStore(Protocol):
    """The import bucket."""

    def list(self) -> Iterable[StoredObject]:
        """Every version of every object, those put first coming first."""
        ...

    def read(self, found: StoredObject) -> BinaryIO:
        """That version's bytes, from its beginning. Whoever asks closes it."""
        ...

    def take_away(self, found: StoredObject, moved: str | None) -> None:
        """Remove the object from its key, where it can still be listed as a version; `moved` is the key that it gets
        instead, if any."""
        ...

    def held(self) -> Iterable[StoredObject]:
        """The objects that a client finds, those put first coming first."""
        ...

    def etag(self, found: StoredObject) -> str | None:
        """The ETag of an object, without quotation marks; None where there is none."""
        ...

    def restore(self, found: StoredObject, data: bytes, etag: str | None) -> None:
        """Put an object that another bucket held, as that version, unless it is there already."""
        ...


class MemoryObjects:
    """A bucket in memory."""

    def __init__(self) -> None:
        self._stored: dict[StoredObject, bytes] = {}
        self.taken_away: list[StoredObject] = []

    def put(self, key: str, data: bytes) -> StoredObject:
        """Put an object, as a client would over S3. The version it replaces is kept."""
        stored = StoredObject(key, str(len(self._stored)), len(data))
        self._stored[stored] = data
        return stored

    def list(self) -> Iterable[StoredObject]:
        """As ObjectStore says."""
        return tuple(self._stored)

    def read(self, found: StoredObject) -> BinaryIO:
        """As ObjectStore says."""
        return io.BytesIO(self._stored[found])

    def take_away(self, found: StoredObject, moved: str | None) -> None:
        """As ObjectStore says."""
        self.taken_away.append(found)
        if moved:
            self.put(moved, self._stored[found])

    def held(self) -> Iterable[StoredObject]:
        """As ObjectStore says."""
        newest = {found.key: found for found in self._stored}
        return [found for found in self._stored if found == newest[found.key] and found not in self.taken_away]

    def etag(self, found: StoredObject) -> None:
        """As ObjectStore says."""

    def restore(self, found: StoredObject, data: bytes, etag: str | None) -> None:
        """As ObjectStore says."""
        self._stored[found] = data
