"""The files of one load, cut from a stream of CSV text and sent with a few parts in flight."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Self

from optimove_provider.clients.s3 import NotPermitted, NotTaken
from optimove_provider.contract.cells.datatypes import MAX_IMPORT_BYTES
from optimove_provider.contract.wire.errors import SettingsError
from optimove_provider.loads.upload.destination import MAX_FILE_BYTES, Destination
from optimove_provider.loads.upload.file import UploadFile
from optimove_provider.loads.upload.files import open_file
from optimove_provider.loads.upload.multipart import PART_BYTES, MultipartFile

MIN_FILE_BYTES = 2 * PART_BYTES
IN_FLIGHT = 3


class Uploads:
    """A sink that uploads: a file ends before `max_file_bytes`, and the next begins with the header again.

    A few parts are in flight at a time; whoever writes faster waits. The first one goes alone: if S3 refuses parts,
    nothing is lost yet, and the file goes up whole.
    """

    def __init__(self, to: Destination, max_file_bytes: int = MAX_FILE_BYTES) -> None:
        if not MIN_FILE_BYTES <= max_file_bytes < MAX_IMPORT_BYTES:
            raise SettingsError(f"max_file_bytes {max_file_bytes}: expected {MIN_FILE_BYTES} to {MAX_IMPORT_BYTES - 1}")
        self.to, self._max_file_bytes = to, max_file_bytes
        self._header = b""
        self._discarding = False
        self._in_flight: deque[Future[int]] = deque()
        self._pool = to.staging.surroundings.pool(IN_FLIGHT, "upload")
        self._parts_are_taken = False
        self.files: list[UploadFile] = []
        self.sent = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)
        for file in self.files:
            file.discard()

    def write(self, text: bytes, /) -> int:
        """Take the header, then rows. No upload begins before there is a row."""
        if not self._header:
            self._header = text
        elif text and not self._discarding:
            if not self.files or self.files[-1].size + len(text) > self._most_bytes:
                self._next_file()
            self._add(text)
        return len(text)

    def discard(self) -> None:
        """Send nothing more."""
        self._discarding = True
        for part in self._in_flight:
            part.cancel()

    def finish(self) -> None:
        """Wait until everything has gone up. Raises what went wrong on the way."""
        if self.files:
            self._send(self.files[-1].end())
        self._await(0)
        for file in self.files:
            file.close()

    @property
    def _most_bytes(self) -> int:
        return min(self._max_file_bytes, self.files[-1].most_bytes)

    def _next_file(self) -> None:
        if self.files:
            self._send(self.files[-1].end())
        self.files.append(open_file(self.to, self.to.first + len(self.files)))
        self._add(self._header)

    def _add(self, text: bytes) -> None:
        self._send(self.files[-1].add(text))

    def _send(self, parts: Iterator[tuple[int, bytes]]) -> None:
        for number, body in parts:
            self._await(IN_FLIGHT - 1)
            if self._parts_are_taken:
                self._in_flight.append(self._pool.submit(self.files[-1].send, number, body))
            else:
                self._try_part(number, body, parts)

    def _try_part(self, number: int, body: bytes, more: Iterator[tuple[int, bytes]]) -> None:
        """Send a part while it is not known whether S3 takes any."""
        file = self.files[-1]
        try:
            sent = file.send(number, body)
        except (NotPermitted, NotTaken) as error:
            if number > 1 or self.to.method != "auto" or not isinstance(file, MultipartFile):
                raise (file.refused(error) if isinstance(error, NotPermitted) else error) from None
            self.files[-1] = file.continued_whole(error, (body, *(later for _, later in more)))
            return
        self.sent += sent
        self._parts_are_taken = sent > 0

    def _await(self, leave: int) -> None:
        """Wait for the oldest parts until `leave` of them are in flight."""
        while len(self._in_flight) > leave:
            try:
                self.sent += self._in_flight.popleft().result()
            except NotPermitted as error:  # those before it were taken
                raise self.files[-1].refused(error) from None
