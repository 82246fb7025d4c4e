"""What all files of a load have in common, however they are uploaded."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import asdict
from enum import Enum
from typing import Any, ClassVar, Protocol

from optimove_provider.clients.s3 import NotPermitted, NotTaken
from optimove_provider.contract.next_steps import NextStep
from optimove_provider.contract.wire.errors import OptimoveProviderError, S3Refused
from optimove_provider.loads.upload.destination import Destination
from optimove_provider.loads.upload.reservoir import ReservoirSample

log = logging.getLogger(__name__)


class UploadLost(OptimoveProviderError):
    """What has gone up is gone, and no file of it is visible, nor ever will be. The next try begins anew."""

    retry_helps = True
    then = NextStep.BEGINS_ANEW


class MayBeImported(OptimoveProviderError):
    """Nobody knows whether a file arrived, and it is not sent again: that might be a second import of it."""

    then = NextStep.LOOK_AT_HISTORY


class Sight(Enum):
    """What is seen under a file's name: it, another object, none, or that nobody may look; in words."""

    OWN = "it is there"
    OTHER = "another object is there now"
    ABSENT = "it is not there now"
    UNSEEN = "nobody may look whether it is there"


class Progress(Protocol):
    """What staging knows of a file. `asked`: the request that makes it visible may have been sent, and was not refused;
    `size` is known once the file has its end."""

    __dataclass_fields__: ClassVar[dict[str, Any]]
    size: int
    asked: bool
    completed: bool


class UploadFile(ABC):
    """One file: takes text, goes up unseen, and becomes visible with one last request."""

    repeats_safely = False
    """Whether that request, sent once more, makes no second object, whatever became of the first one."""

    def __init__(self, to: Destination, number: int, most_bytes: int) -> None:
        self.to, self.number, self.key, self.place = to, number, to.key(number), to.place(number)
        self.most_bytes, self.size, self.reservoir = most_bytes, 0, ReservoirSample()

    @property
    @abstractmethod
    def progress(self) -> Progress: ...

    @abstractmethod
    def add(self, text: bytes) -> Iterator[tuple[int, bytes]]:
        """Take some text; gives every part that can be sent, with its number."""

    @abstractmethod
    def end(self) -> Iterator[tuple[int, bytes]]:
        """The last part, if there is one."""

    @abstractmethod
    def send(self, number: int, body: bytes) -> int:
        """Send a part unless it has gone up already; returns how many bytes were sent."""

    @abstractmethod
    def close(self) -> None:
        """Remember that the text has ended."""

    def discard(self) -> None:  # noqa: B027 - most hold nothing
        """Let go of what a file that has no end holds."""

    @abstractmethod
    def ask(self, only_new: bool) -> None:
        """Send the request that makes it visible; if `only_new`, S3 is to refuse a name that is taken."""

    @abstractmethod
    def abort(self) -> bool:
        """Throw away what has gone up, unless it is visible; failing to is no failure of the load.

        Tells whether it is certain that the file is not visible, and never will be.
        """

    @property
    @abstractmethod
    def may_be_visible(self) -> bool:
        """Whether it is visible or may have been, be it by a try that did not live to remember that."""

    def lost(self) -> UploadLost:
        """What to raise where S3 has lost what had gone up."""
        raise NotImplementedError

    def refused(self, error: NotPermitted | NotTaken) -> Exception:
        """What to raise where the request was refused for good."""
        return error

    def never_was_visible(self) -> bool:
        """Whether it is certain that no request has made it visible so far."""
        return False

    def unknown(self, sight: Sight, then: str = "") -> MayBeImported:
        """What to raise where the answer to the request was lost, no object is seen, and `then` something happened."""
        return MayBeImported(
            f"{self.place}: the answer to the request that makes it visible was lost, and {sight.value}: it never "
            f"arrived, or it did, and the vendor may have imported it, and taken it away.{then} It is not sent "
            "again: that might overwrite what others have written since; what the table holds of this load's keys is "
            "unknown. Look at the upload history in the vendor's pages, and clear the task to import under a new name"
        )

    def look(self) -> Sight:
        """Look what is under its name. Raises S3Trouble where somebody may look, and the answer does not come."""
        try:
            found = self.to.bucket.find(self.key)
        except (S3Refused, NotTaken) as error:  # some keys may write, and may not look
            self.to.note(f"{error}. So nobody looks whether the file is there")
            return Sight.UNSEEN
        if found is None:
            return Sight.ABSENT
        is_own = (found.load, found.size) == (self.to.mark(self.number), self.progress.size)
        return Sight.OWN if is_own else Sight.OTHER

    def remember_asked(self, is_asked: bool = True) -> None:
        """Remember, before it is sent, that the request may have been; or that it surely was not carried out."""
        if self.progress.asked != is_asked:
            self.progress.asked = is_asked
            self.write_progress()

    def remember_completed(self) -> None:
        """Remember that it is visible."""
        self.progress.completed = True
        self.write_progress()
        log.info("uploaded %s, %d bytes", self.place, self.progress.size)

    def write_progress(self) -> None:
        """Write down how far it came."""
        self.to.staging.write(self.to.progress_path(self.number), asdict(self.progress))

    def forget(self) -> None:
        """Remove what staging knows of it."""
        self.to.staging.remove_folder(self.to.progress_path(self.number))
