"""Where checked rows go."""

from typing import Protocol


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
