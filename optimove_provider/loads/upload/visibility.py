"""Making a file visible, once: what is sent again after an answer that was lost, and what is not.

Whether the vendor leaves objects where they are once it has imported them is not documented. So an object that is not
there says nothing: the file may never have arrived, or may be imported and gone.
"""

from collections.abc import Callable
from dataclasses import dataclass

from optimove_provider.clients.s3 import InDoubt, NameTaken, NotPermitted, NotTaken, UploadGone
from optimove_provider.contract.wire.errors import Disagreement, S3Refused, S3Trouble
from optimove_provider.loads.upload.file import Sight, UploadFile

WAITS = (1.0, 2.0, 4.0)
"""Seconds before each try of the request after the first; boto itself tries it once."""


@dataclass(frozen=True, slots=True)
class Right:
    """The right to make files visible. `check` raises where it was lost. `is_exclusive`: from one check to the next it
    was held without a break, so that nobody else can have written to the table."""

    check: Callable[[], None] = lambda: None
    is_exclusive: bool = False


def make_visible(file: UploadFile, right: Right) -> None:
    """Make a file visible, if it is not so already.

    Raises MayBeImported, Disagreement for a name that is taken, UploadLost, and what S3 refuses.
    """
    if file.progress.completed:
        return
    if not _is_there_by_earlier_try(file):
        _Asking(file, right).run()
    file.remember_completed()


def _is_there_by_earlier_try(file: UploadFile) -> bool:
    """Whether a request of an earlier try has made it visible; the right to write may have been another's since."""
    if not file.progress.asked or file.repeats_safely:
        return False
    sight = file.look()
    if sight is Sight.OWN:
        return True
    raise _taken(file) if sight is Sight.OTHER else file.unknown()


class _Asking:
    """The requests that make one file visible, until there is an answer. `is_in_doubt`: one of them had none."""

    def __init__(self, file: UploadFile, right: Right) -> None:
        self._file, self._right, self._is_in_doubt = file, right, file.progress.asked

    def run(self) -> None:
        """Ask, a few times."""
        for wait in WAITS:
            if self._try(is_last=False):
                return
            self._file.to.staging.surroundings.sleep(wait)
        self._try(is_last=True)

    def _try(self, is_last: bool) -> bool:
        """Whether the file is there."""
        self._right.check()
        self._file.remember_asked()
        try:
            _ask_once(self._file)
        except NameTaken:
            self._accept_name_taken()
        except UploadGone:
            self._accept_gone()
        except InDoubt as error:
            return self._look_after(error, is_last)
        except (S3Refused, S3Trouble) as error:
            return self._not_done(error, is_last)
        else:
            self._tell_second_put()
        return True

    def _look_after(self, error: InDoubt, is_last: bool) -> bool:
        if self._file.look() is Sight.OWN:
            return True
        if is_last or not (self._file.repeats_safely or self._right.is_exclusive):
            raise error
        self._is_in_doubt = True
        return False

    def _not_done(self, error: S3Refused | S3Trouble, is_last: bool) -> bool:
        if not self._is_in_doubt:
            self._file.remember_asked(False)
            if isinstance(error, NotPermitted):
                raise self._file.refused(error) from None
        if is_last or isinstance(error, S3Refused):
            raise error
        return False

    def _tell_second_put(self) -> None:
        if self._is_in_doubt and not self._file.repeats_safely:
            self._file.to.note(
                f"{self._file.place} may have been imported twice: the answer to the request that put it was lost, no "
                "object was there, and it was put once more. No other load wrote to the table meanwhile"
            )

    def _accept_name_taken(self) -> None:
        """The name is taken: by this file itself, or raise."""
        file, sight = self._file, self._file.look()
        if sight is Sight.UNSEEN and self._is_in_doubt:
            file.to.note(f"{file.place} is there, and nobody may look whether it is this load's: taken for its own")
        elif sight is not Sight.OWN:
            raise _taken(file)

    def _accept_gone(self) -> None:
        """The upload is gone: into the file, or raise."""
        file, sight = self._file, self._file.look()
        if sight is Sight.OTHER:
            raise _taken(file)
        if sight is not Sight.OWN and not self._is_in_doubt:
            raise file.lost()
        if sight is Sight.ABSENT:
            raise file.unknown()
        if sight is Sight.UNSEEN:
            file.to.note(
                f"{file.place} was completed by a request without an answer, says its upload, which is gone; nobody "
                "may look whether the file is there"
            )


def _ask_once(file: UploadFile) -> None:
    """Ask under the condition that the name is free; where S3 does not take that, look, and ask without it."""
    try:
        return file.ask(only_new=True)
    except (NotPermitted, NotTaken) as error:
        refused = error
    sight = file.look()
    if sight is Sight.OWN:
        return None
    if sight is Sight.OTHER:
        raise _taken(file)
    file.ask(only_new=False)
    looked = "nobody could look" if sight is Sight.UNSEEN else "a moment before it was"
    file.to.note(f"whether the name {file.place} was free is not checked by S3 ({looked}): it refused to: {refused}")
    return None


def _taken(file: UploadFile) -> Disagreement:
    return Disagreement(
        f"{file.place} exists already and is not this load's: a name is never used twice, since files of one name may "
        "be imported in any order. Clear the task to import under a new name"
    )
