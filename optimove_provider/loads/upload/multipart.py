"""Files on their way to the import bucket: cut into parts that go up while the rows are still being checked.

What has gone up is remembered in staging, so that a retry sends only what is missing: it makes every part again and
skips those whose digest is the remembered one. Nothing is visible until `complete`.
"""

import hashlib
import logging
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field

from optimove_provider.clients.s3 import Found, NameTaken, UploadGone
from optimove_provider.contract.wire.errors import Disagreement, OptimoveProviderError, S3Refused
from optimove_provider.loads.upload.destination import Destination
from optimove_provider.loads.upload.reservoir import ReservoirSample

log = logging.getLogger(__name__)
PART_BYTES = 8 << 20
"""S3 takes parts of 5 MiB and more, and 10,000 of them: far more than a file may hold."""


class UploadLost(OptimoveProviderError):
    """S3 knows the upload no more, and no file of it. The next try begins anew."""

    retry_helps = True


@dataclass(slots=True)
class _Multipart:
    """What staging knows of a file. `parts` are [digest, ETag] by number; `size` is known once the file has its end."""

    upload_id: str
    part_bytes: int
    parts: dict[str, list[str]] = field(default_factory=dict)
    count: int = 0
    size: int = 0
    completed: bool = False


class MultipartFile:
    """One file: the bytes that are no part yet, and its upload."""

    def __init__(self, to: Destination, number: int, progress: _Multipart) -> None:
        self.to, self.number, self.key, self.progress = to, number, to.key(number), progress
        self.reservoir = ReservoirSample()
        self.size = 0
        self._count, self._held, self._waiting = 0, 0, list[memoryview]()
        self._lock = threading.Lock()

    @classmethod
    def resume(cls, to: Destination, number: int) -> "MultipartFile | None":
        """The file that staging remembers, if it does."""
        found = to.staging.read(to.progress_path(number))
        return cls(to, number, _Multipart(**found)) if found else None

    @classmethod
    def begin(cls, to: Destination, number: int, part_bytes: int) -> "MultipartFile":
        """A new upload. Staging learns its id before anything else happens to it."""
        file = cls(to, number, _Multipart(to.bucket.begin(to.key(number), f"{to.load_id}/{number}"), part_bytes))
        file._write_progress()
        return file

    @property
    def place(self) -> str:
        """The file as people name it."""
        return f"s3://{self.to.bucket.name}/{self.key}"

    def add(self, text: bytes) -> Iterator[tuple[int, bytes]]:
        """Take some text; gives every part that is full, with its number."""
        self.size += len(text)
        self.reservoir.see(text)
        left = memoryview(text)
        while self._held + len(left) >= self.progress.part_bytes:
            missing = self.progress.part_bytes - self._held
            self._waiting.append(left[:missing])
            yield self._part()
            left = left[missing:]
        self._waiting.append(left)
        self._held += len(left)

    def end(self) -> Iterator[tuple[int, bytes]]:
        """The last part, which may be small."""
        if self._held:
            yield self._part()

    def _part(self) -> tuple[int, bytes]:
        body = b"".join(self._waiting)
        self._waiting.clear()
        self._held = 0
        self._count += 1
        return self._count, body

    def send(self, number: int, body: bytes) -> int:
        """Upload a part unless it has gone up already; returns how many bytes were sent."""
        digest = hashlib.sha256(body).hexdigest()
        if self.progress.parts.get(str(number), [""])[0] == digest:
            return 0
        if self.progress.completed:
            raise Disagreement(
                f"{self.place} was completed by an earlier try, and the source holds other rows since. Clear the task "
                "to import them under a new name"
            )
        try:
            etag = self.to.bucket.put_part(self.key, self.progress.upload_id, number, body)
        except UploadGone:
            raise self._lost() from None
        with self._lock:
            self.progress.parts[str(number)] = [digest, etag]
            self._write_progress()
        return len(body)

    def close(self) -> None:
        """Remember that all parts have gone up, and what they make."""
        self.progress.count, self.progress.size = self._count, self.size
        self._write_progress()

    def complete(self) -> None:
        """Make the file visible, once: an answer that was lost is no reason for a second one."""
        if self.progress.completed:
            return
        etags = [self.progress.parts[str(number)][1] for number in range(1, self.progress.count + 1)]
        try:
            self.to.bucket.complete(self.key, self.progress.upload_id, etags)
        except (UploadGone, NameTaken) as error:
            self._recognise(error)
        self.progress.completed = True
        self._write_progress()
        log.info("uploaded %s, %d bytes", self.place, self.progress.size)

    def is_visible(self) -> bool:
        """Whether it was completed, be it by a try that did not live to remember that."""
        try:
            return self.progress.completed or self._is_own(self.to.bucket.find(self.key))
        except S3Refused:  # some keys may write, and may not look for what is not there
            return False

    def _is_own(self, found: Found | None) -> bool:
        own = (f"{self.to.load_id}/{self.number}", self.progress.size)
        return found is not None and (found.load, found.size) == own

    def _recognise(self, error: Exception) -> None:
        """Raise unless the object is the one that this upload was to make."""
        found = self.to.bucket.find(self.key)
        if self._is_own(found):
            return
        if found or isinstance(error, NameTaken):
            raise Disagreement(
                f"{self.place} exists already and is not this load's: a name is never used twice, since files of one "
                "name may be imported in any order. Clear the task to import under a new name"
            )
        raise self._lost()

    def _lost(self) -> UploadLost:
        self.to.staging.remove(self.to.progress_path(self.number))
        return UploadLost(
            f"{self.place}: S3 knows its upload no more, and nothing of it is visible. A retry begins anew"
        )

    def abort(self) -> bool:
        """Throw away what has gone up, unless it is visible; failing to is no failure of the load.

        Tells whether it is certain that the file is not visible, and never will be.
        """
        if self.progress.completed:
            return False
        is_aborted = True
        try:
            self.to.bucket.abort(self.key, self.progress.upload_id)
        except UploadGone:
            is_aborted = False  # S3 says so of one that was completed, too
        except Exception as error:
            log.warning("upload %s of %s was not aborted: %s", self.progress.upload_id, self.place, error)
            return False
        self.to.staging.remove(self.to.progress_path(self.number))
        return is_aborted

    def _write_progress(self) -> None:
        self.to.staging.write(self.to.progress_path(self.number), asdict(self.progress))


def files_of(to: Destination) -> Iterator[MultipartFile]:
    """The files that staging remembers of a load."""
    number = 1
    while file := MultipartFile.resume(to, number):
        yield file
        number += 1
