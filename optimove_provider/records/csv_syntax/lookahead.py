"""A stream that can be looked into before it is read."""

from typing import BinaryIO

_CHUNK = 1 << 16


class LookaheadStream:
    """A binary stream of which the next bytes can be looked at, and bytes be given back."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream, self._bytes, self._at, self._read, self.ended = stream, b"", 0, 0, False

    @property
    def _left(self) -> int:
        return len(self._bytes) - self._at

    @property
    def taken(self) -> int:
        """Bytes read from the stream and not given back or only looked at."""
        return self._read - self._left

    def look(self, size: int) -> bytes:
        """The next `size` bytes, fewer only where the stream ends; they stay to be read."""
        if self._left < size and not self.ended:
            chunks, length = [self._bytes[self._at :]], self._left
            while length < size and not self.ended:
                chunks.append(self._fetch(size - length))
                length += len(chunks[-1])
            self._bytes, self._at = b"".join(chunks), 0
        return self._bytes[self._at : self._at + size]

    def begin(self, size: int) -> bytes:
        """What the first read of the stream gives, `size` bytes at most; they stay to be read. No more is read: what
        makes the text may do something else after its beginning."""
        if not self._read and not self.ended:
            self._bytes = self._fetch(size)
        return self._bytes[self._at : self._at + size]

    def is_last(self, block: bytes) -> bool:
        """Whether the stream is known to end with what was looked at."""
        return self.ended and len(block) == self._left

    def skip(self, size: int) -> None:
        """Take bytes that were looked at."""
        self._at += size

    def push(self, rest: bytes) -> None:
        """Give back the bytes that were taken last."""
        self._bytes, self._at = rest + self._bytes[self._at :], 0

    def readline(self, limit: int) -> bytes:
        """Take the next line, or the first `limit` bytes of it."""
        end = self._bytes.find(b"\n", self._at, self._at + limit)
        while end < 0 and self._left < limit and not self.ended:
            searched = self._left
            self._bytes, self._at = self._bytes[self._at :] + self._fetch(_CHUNK), 0
            end = self._bytes.find(b"\n", searched, limit)
        line = self._bytes[self._at : self._at + limit if end < 0 else end + 1]
        self._at += len(line)
        return line

    def drain(self) -> int:
        """Take everything that is left; returns how many bytes there were in all."""
        while not self.ended:
            self._bytes, self._at = self._fetch(_CHUNK), 0
        self._bytes = b""
        return self._read

    def _fetch(self, size: int) -> bytes:
        fetched = self._stream.read(size)
        self._read += len(fetched)
        self.ended = not fetched
        return fetched
