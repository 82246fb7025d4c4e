"""Files on their way to the import bucket: cut into parts that go up while the rows are still being checked.

What has gone up is remembered in staging, so that a retry sends only what is missing: it makes every part again and
skips those whose digest is the remembered one. Nothing is visible until `complete`.
"""

import hashlib
import logging
import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Protocol, Self

from optimove_provider.clients.s3 import Bucket, Found, NameTaken, UploadGone
from optimove_provider.contract.datatypes import MAX_IMPORT_BYTES
from optimove_provider.contract.errors import Disagreement, OptimoveProviderError, S3Refused, SettingsError
from optimove_provider.loads.samples import Sample
from optimove_provider.loads.staging import Staging

log = logging.getLogger(__name__)

PART_BYTES = 8 << 20
"""S3 takes parts of 5 MiB and more, and 10,000 of them: far more than a file may hold."""
MAX_FILE_BYTES = 9_900_000_000
MIN_FILE_BYTES = 2 * PART_BYTES
IN_FLIGHT = 3


class UploadLost(OptimoveProviderError):
    """S3 knows the upload no more, and no file of it. The next try begins anew."""

    retry_helps = True


@dataclass(frozen=True, slots=True)
class Destination:
    """Where the files of a load go, and where it is remembered how far they came."""

    bucket: Bucket
    s3_path: str
    load_id: str
    staging: Staging

    def key(self, number: int) -> str:
        """The key of a file, numbered from 1."""
        return f"{self.s3_path.rstrip('/')}/optimove-{self.load_id}{f'-{number}' if number > 1 else ''}.csv"

    def record(self, number: int) -> str:
        """Where a file's progress is, in staging."""
        return f"loads/{self.load_id}/upload-{number}.json"


@dataclass(slots=True)
class _Progress:
    """What staging knows of a file. `parts` are [digest, ETag] by number; `size` is known once the file has its end."""

    upload_id: str
    part_bytes: int
    parts: dict[str, list[str]] = field(default_factory=dict)
    count: int = 0
    size: int = 0
    completed: bool = False


class _File:
    """One file: the bytes that are no part yet, and its upload."""

    def __init__(self, to: Destination, number: int, progress: _Progress) -> None:
        self.to, self.number, self.key, self.progress = to, number, to.key(number), progress
        self.sample = Sample()
        self.size = 0
        self._count, self._held, self._waiting = 0, 0, list[memoryview]()
        self._lock = threading.Lock()

    @classmethod
    def taken_up(cls, to: Destination, number: int) -> "_File | None":
        """The file that staging remembers, if it does."""
        found = to.staging.read(to.record(number))
        return cls(to, number, _Progress(**found)) if found else None

    @classmethod
    def begun(cls, to: Destination, number: int, part_bytes: int) -> "_File":
        """A new upload. Staging learns its id before anything else happens to it."""
        file = cls(to, number, _Progress(to.bucket.begin(to.key(number), f"{to.load_id}/{number}"), part_bytes))
        file._remember()
        return file

    @property
    def place(self) -> str:
        """The file as people name it."""
        return f"s3://{self.to.bucket.name}/{self.key}"

    def add(self, text: bytes) -> Iterator[tuple[int, bytes]]:
        """Take some text; gives every part that is full, with its number."""
        self.size += len(text)
        self.sample.see(text)
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
            self._remember()
        return len(body)

    def close(self) -> None:
        """Remember that all parts have gone up, and what they make."""
        self.progress.count, self.progress.size = self._count, self.size
        self._remember()

    def complete(self) -> None:
        """Make the file visible, once: an answer that was lost is no reason for a second one."""
        if self.progress.completed:
            return
        etags = [self.progress.parts[str(number)][1] for number in range(1, self.progress.count + 1)]
        try:
            self.to.bucket.complete(self.key, self.progress.upload_id, etags)
        except (UploadGone, NameTaken) as error:
            self._find_own(error)
        self.progress.completed = True
        self._remember()
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

    def _find_own(self, error: Exception) -> None:
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
        self.to.staging.remove(self.to.record(self.number))
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
        self.to.staging.remove(self.to.record(self.number))
        return is_aborted

    def _remember(self) -> None:
        self.to.staging.write(self.to.record(self.number), asdict(self.progress))


def files_of(to: Destination) -> Iterator[_File]:
    """The files that staging remembers of a load."""
    number = 1
    while file := _File.taken_up(to, number):
        yield file
        number += 1


class Sink(Protocol):
    """Takes the text of a file: first its header, then some whole rows at a time. `sent` bytes have gone up."""

    sent: int

    def write(self, text: bytes, /) -> int:
        """Take some text; returns its length."""
        ...

    def discard(self) -> None:
        """Send nothing more: the load will fail."""
        ...


class Nowhere:
    """A sink for rows that are only to be checked."""

    sent = 0

    def write(self, text: bytes, /) -> int:
        return len(text)

    def discard(self) -> None:
        """There is nothing to stop."""


class Uploads:
    """A sink that uploads: a file ends before `max_file_bytes`, and the next begins with the header again.

    A few parts are in flight at a time; whoever writes faster waits.
    """

    def __init__(self, to: Destination, max_file_bytes: int = MAX_FILE_BYTES) -> None:
        if not MIN_FILE_BYTES <= max_file_bytes < MAX_IMPORT_BYTES:
            raise SettingsError(f"max_file_bytes {max_file_bytes}: expected {MIN_FILE_BYTES} to {MAX_IMPORT_BYTES - 1}")
        self.to, self._max_file_bytes = to, max_file_bytes
        self._header = b""
        self._discarding = False
        self._flying: deque[Future[int]] = deque()
        self._senders = ThreadPoolExecutor(IN_FLIGHT, "upload")
        self.files: list[_File] = []
        self.sent = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._senders.shutdown(cancel_futures=True)

    def write(self, text: bytes, /) -> int:
        """Take the header, then rows. No upload begins before there is a row."""
        if not self._header:
            self._header = text
        elif text and not self._discarding:
            if not self.files or self.files[-1].size + len(text) > self._max_file_bytes:
                self._next_file()
            self._add(text)
        return len(text)

    def discard(self) -> None:
        """Send nothing more."""
        self._discarding = True
        for flying in self._flying:
            flying.cancel()

    def finish(self) -> None:
        """Wait until everything has gone up. Raises what went wrong on the way."""
        if self.files:
            self._send(self.files[-1].end())
        self._land(0)
        for file in self.files:
            file.close()

    def _next_file(self) -> None:
        if self.files:
            self._send(self.files[-1].end())
        number = len(self.files) + 1
        self.files.append(_File.taken_up(self.to, number) or _File.begun(self.to, number, PART_BYTES))
        self._add(self._header)

    def _add(self, text: bytes) -> None:
        self._send(self.files[-1].add(text))

    def _send(self, parts: Iterator[tuple[int, bytes]]) -> None:
        for number, body in parts:
            self._land(IN_FLIGHT - 1)
            self._flying.append(self._senders.submit(self.files[-1].send, number, body))

    def _land(self, leave: int) -> None:
        """Wait for the oldest parts until `leave` of them are in flight."""
        while len(self._flying) > leave:
            self.sent += self._flying.popleft().result()
