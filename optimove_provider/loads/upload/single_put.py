"""Files that go up whole, with one PUT: the only way to write that the vendor's guide names.

Their text waits in staging, of which each file is below what one PUT may bring, until the last row was checked.
"""

import base64
import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from optimove_provider.contract.wire.errors import Disagreement
from optimove_provider.loads.upload.destination import Destination
from optimove_provider.loads.upload.file import UploadFile, UploadLost

MAX_PUT_BYTES = 4_900_000_000
"""S3 takes less than 5 GB with one PUT."""


@dataclass(slots=True)
class _Put:
    """What staging knows of a file. `md5` is base64, and that of its text once that has ended."""

    md5: str = ""
    size: int = 0
    asked: bool = False
    completed: bool = False
    method: str = "put"


class PutFile(UploadFile):
    """One file: its text in staging, and the PUT that makes it visible."""

    def __init__(self, to: Destination, number: int, progress: _Put) -> None:
        super().__init__(to, number, MAX_PUT_BYTES)
        self._progress = progress
        self._stack = ExitStack()
        self._md5 = hashlib.md5(usedforsecurity=False)  # S3 compares it with what arrives
        self._out: Any = None

    @classmethod
    def read(cls, to: Destination, number: int, found: Mapping[str, Any]) -> "PutFile":
        """The file that staging remembers."""
        return cls(to, number, _Put(**found))

    @classmethod
    def begin(cls, to: Destination, number: int, earlier: "PutFile | None" = None) -> "PutFile":
        """A new text. Where an `earlier` try may have put the file, this one has to come to the same."""
        file = cls(to, number, earlier._progress if earlier and earlier.may_be_visible else _Put())
        file.write_progress()
        file._out = file._stack.enter_context(to.staging.open_new(to.text_path(number)))
        return file

    @property
    def progress(self) -> _Put:
        """What staging knows of it."""
        return self._progress

    def add(self, text: bytes) -> Iterator[tuple[int, bytes]]:
        """Take some text, which stays here: there are no parts."""
        self.size += len(text)
        self.reservoir.see(text)
        self.write(text)
        return iter(())

    def write(self, text: bytes) -> None:
        """Write text down."""
        self._md5.update(text)
        self._out.write(text)

    def end(self) -> Iterator[tuple[int, bytes]]:
        """Nothing is left to be sent. The text has its end."""
        self.discard()
        return iter(())

    def send(self, number: int, body: bytes) -> int:
        """There are no parts."""
        raise AssertionError("a file that is put whole has no parts")

    def close(self) -> None:
        """Remember what the text makes. Raises Disagreement if an earlier try may have put another one."""
        found = (base64.b64encode(self._md5.digest()).decode(), self.size)
        if self.may_be_visible and found != (self.progress.md5, self.progress.size):
            raise Disagreement(
                f"{self.place} was put by an earlier try, and the source holds other rows since. Clear the task to "
                "import them under a new name"
            )
        self.progress.md5, self.progress.size = found
        self.write_progress()

    def discard(self) -> None:
        """Close the text."""
        self._stack.close()
        self._out = None

    def ask(self, only_new: bool) -> None:
        """Put it. Raises UploadLost if staging has its text no more."""
        progress, path = self.progress, self.to.text_path(self.number)
        try:
            body = self.to.staging.open(path)
        except FileNotFoundError:
            raise self.lost() from None
        with body:
            if body.seek(0, os.SEEK_END) != progress.size:
                raise self.lost()
            body.seek(0)
            self.to.bucket.put(self.key, self.to.mark(self.number), body, progress.size, progress.md5, only_new)

    @property
    def may_be_visible(self) -> bool:
        """Whether it was put, or may have been: an object that is not there may be imported and gone."""
        return self.progress.completed or self.progress.asked

    def lost(self) -> UploadLost:
        """Staging does not have the text any more, which was never sent."""
        self.forget()
        return UploadLost(
            f"{self.place}: staging does not have its text any more, and nothing of it is visible. A retry begins anew"
        )

    def remember_completed(self) -> None:
        """Remember that it is visible. Its text is not needed any more."""
        super().remember_completed()
        self.to.staging.remove_folder(self.to.text_path(self.number))

    def abort(self) -> bool:
        """Throw the text away, unless it was put; tells whether it never was, and never will be."""
        if self.progress.completed:
            return False
        self.to.staging.remove_folder(self.to.text_path(self.number))
        if not self.progress.asked:
            self.forget()
        return not self.progress.asked
