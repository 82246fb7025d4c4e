"""Files that go up in parts, while the rows are still being checked.

What has gone up is remembered in staging, so that a retry sends only what is missing: it makes every part again and
skips those whose digest is the remembered one. Nothing is visible until the upload is completed.
"""

import hashlib
import logging
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from optimove_provider.clients.s3 import NotPermitted, NotTaken, UploadGone
from optimove_provider.contract.cells.datatypes import MAX_IMPORT_BYTES
from optimove_provider.contract.wire.errors import Disagreement, S3Refused
from optimove_provider.loads.upload.destination import Destination
from optimove_provider.loads.upload.file import Sight, UploadFile, UploadLost
from optimove_provider.loads.upload.single_put import PutFile

log = logging.getLogger(__name__)
PART_BYTES = 8 << 20
"""S3 takes parts of 5 MiB and more, and 10,000 of them: far more than a file may hold."""


class MultipartRefused(UploadLost):
    """S3 refuses uploads in parts, which became known too late for this try. The next one puts the files whole."""


@dataclass(slots=True)
class _Multipart:
    """What staging knows of a file. `parts` are [digest, ETag] by number. `asked`: as a try of an older version may
    have asked without a word."""

    upload_id: str
    part_bytes: int
    parts: dict[str, list[str]] = field(default_factory=dict)
    count: int = 0
    size: int = 0
    asked: bool = True
    completed: bool = False
    method: str = "multipart"


class MultipartFile(UploadFile):
    """One file: the bytes that are no part yet, and its upload."""

    repeats_safely = True  # an upload that was completed is gone

    def __init__(self, to: Destination, number: int, progress: _Multipart) -> None:
        super().__init__(to, number, MAX_IMPORT_BYTES)
        self._progress = progress
        self._count, self._held, self._waiting = 0, 0, list[memoryview]()
        self._lock = threading.Lock()

    @classmethod
    def read(cls, to: Destination, number: int, found: Mapping[str, Any]) -> "MultipartFile":
        """The file that staging remembers."""
        return cls(to, number, _Multipart(**found))

    @classmethod
    def begin(cls, to: Destination, number: int, part_bytes: int = PART_BYTES) -> "MultipartFile":
        """A new upload. Staging learns its id before anything else happens to it. Raises NotPermitted."""
        upload_id = to.bucket.begin(to.key(number), to.mark(number))
        file = cls(to, number, _Multipart(upload_id, part_bytes, asked=False))
        file.write_progress()
        return file

    @property
    def progress(self) -> _Multipart:
        """What staging knows of it."""
        return self._progress

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
        self._count += 1
        return self._count, self._take_held()

    def _take_held(self) -> bytes:
        body = b"".join(self._waiting)
        self._waiting.clear()
        self._held = 0
        return body

    def send(self, number: int, body: bytes) -> int:
        """Upload a part unless it has gone up already; returns how many bytes were sent. Raises NotPermitted."""
        digest = hashlib.sha256(body).hexdigest()
        if self.progress.parts.get(str(number), [""])[0] == digest:
            return 0
        if self.progress.completed:
            raise self._other_rows()
        try:
            etag = self.to.bucket.put_part(self.key, self.progress.upload_id, number, body)
        except UploadGone:
            raise self._gone() from None
        with self._lock:
            self.progress.parts[str(number)] = [digest, etag]
            self.write_progress()
        return len(body)

    def _gone(self) -> Exception:
        """What to raise where S3 knows the upload no more, and a part is missing."""
        if not self.progress.asked:
            return self.lost()
        sight = self.look()
        return self._other_rows() if sight is Sight.OWN else self.unknown(sight)

    def _other_rows(self) -> Disagreement:
        return Disagreement(
            f"{self.place} was completed by an earlier try, and the source holds other rows since. Clear the task to "
            "import them under a new name"
        )

    def close(self) -> None:
        """Remember that all parts have gone up, and what they make."""
        self.progress.count, self.progress.size = self._count, self.size
        self.write_progress()

    def ask(self, only_new: bool) -> None:
        """Complete the upload."""
        etags = [self.progress.parts[str(number)][1] for number in range(1, self.progress.count + 1)]
        self.to.bucket.complete(self.key, self.progress.upload_id, etags, only_new)

    @property
    def may_be_visible(self) -> bool:
        """Whether it was completed, or may have been: where S3 knows the upload still, it never was."""
        if self.progress.completed or not self.progress.asked:
            return self.progress.completed
        return self.look() is Sight.OWN or not self.never_was_visible()

    def never_was_visible(self) -> bool:
        """Whether S3 knows the upload still: then no request has completed it."""
        try:
            return self.to.bucket.is_open(self.key, self.progress.upload_id)
        except (S3Refused, NotTaken) as error:
            log.warning("%s. So nobody knows whether the file was there once", error)
            return False

    def lost(self) -> UploadLost:
        """S3 knows the upload no more, which was never completed."""
        self.forget()
        return UploadLost(
            f"{self.place}: S3 knows its upload no more, and nothing of it is visible. A retry begins anew"
        )

    def refused(self, error: NotPermitted | NotTaken) -> Exception:
        """Parts, or their completion, are refused: files of this table go up whole from now on, unless the connection
        says that they must not."""
        if self.to.method != "auto":
            return error
        self.to.remember_put(str(error))
        self.abort()
        return MultipartRefused(
            f"{self.place} cannot be uploaded in parts: {error}. Nothing of it is visible. A retry reads the rows "
            "again, and puts the file whole"
        )

    def continued_whole(self, error: NotPermitted | NotTaken, bodies: Iterable[bytes]) -> PutFile:
        """The same file, put whole, as its first part was refused: `bodies` are that one and all that are cut."""
        log.warning("%s is put whole, since its first part was refused: %s", self.place, error)
        whole = PutFile.begin(self.to, self.number)
        whole.size, whole.reservoir = self.size, self.reservoir
        for body in bodies:
            whole.write(body)
        whole.write(self._take_held())
        self._abort_upload()
        return whole

    def abort(self) -> bool:
        """Throw away what has gone up, unless it is visible; failing to is no failure of the load.

        Tells whether it is certain that the file is not visible, and never will be.
        """
        if self.progress.completed:
            return False
        is_aborted = self._abort_upload()
        if is_aborted is not None:
            self.forget()
        # S3 calls an upload gone, too, that was completed.
        return bool(is_aborted) or not self.progress.asked

    def _abort_upload(self) -> bool | None:
        """Whether S3 has thrown the parts away now; None where they are still there."""
        try:
            self.to.bucket.abort(self.key, self.progress.upload_id)
        except UploadGone:
            return False
        except Exception as error:
            upload = f"--bucket {self.to.bucket.name} --key {self.key} --upload-id {self.progress.upload_id}"
            self.to.note(
                f"the upload {self.progress.upload_id} of {self.place} was not aborted ({error}): its parts are "
                "unseen, and cost room until a rule of the bucket removes them, or this: aws s3api "
                f"abort-multipart-upload {upload}"
            )
            return None
        return True
