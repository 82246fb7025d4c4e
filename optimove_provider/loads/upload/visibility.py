"""Making a file visible, once: what is sent again after an answer that was lost, and what is not.

Whether the vendor leaves objects where they are once it has imported them is not documented. So an object that is not
there says nothing: the file may never have arrived, or may be imported and gone.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeGuard

from optimove_provider.clients.s3 import Conflict, InDoubt, NameTaken, NoAnswer, NotPermitted, NotTaken, UploadGone
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


def make_visible(file: UploadFile, right: Right, unanswered: Callable[[], None] = lambda: None) -> None:
    """Make a file visible, if it is not so already. `unanswered` is called after a request without a clear answer.

    Raises MayBeImported, Disagreement for a name that is taken, UploadLost, and what S3 refuses.
    """
    if file.progress.completed:
        return
    if not _is_there_by_earlier_try(file):
        _Asking(file, right, unanswered).run()
    file.remember_completed()


def _is_there_by_earlier_try(file: UploadFile) -> bool:
    """Whether a request of an earlier try has made it visible; the right to write may have been another's since."""
    if not file.progress.asked or file.repeats_safely:
        return False
    sight = file.look()
    if sight is Sight.OWN:
        return True
    raise _taken(file) if sight is Sight.OTHER else file.unknown(sight)


class _Asking:
    """The requests that make one file visible, until there is an answer.

    `is_in_doubt`: one of them may have been carried out; `sight` is what was seen after the last of those. `refusal` is
    why S3 does not check that the name is free, and `failure` why the last request has to be sent again.
    """

    def __init__(self, file: UploadFile, right: Right, unanswered: Callable[[], None]) -> None:
        self._file, self._right, self._is_in_doubt = file, right, file.progress.asked
        self._unanswered = unanswered
        self._sight = Sight.UNSEEN
        self._refusal: Exception | None = None
        self._failure: S3Trouble | None = None

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
        if is_last and self._failure and not isinstance(self._failure, NoAnswer):
            self._refusal = self._refusal or self._failure  # it may be about the condition
        self._file.remember_asked()
        try:
            self._ask(is_last)
        except UploadGone:
            self._accept_gone()
        except InDoubt as error:
            return self._look_after(error, is_last)
        except (S3Refused, S3Trouble) as error:
            return self._not_done(error, is_last)
        return True

    def _ask(self, is_last: bool) -> None:
        """Ask under the condition that the name is free; where S3 does not take that, look, and ask without it."""
        if not self._refusal:
            try:
                self._send(only_new=True)
                return self._tell_second_put()
            except Conflict:
                raise  # which asks for the same once more
            except (NameTaken, NotPermitted, NotTaken) as error:
                self._refusal = error
        return self._ask_unchecked(self._refusal, is_last)

    def _send(self, only_new: bool) -> None:
        """Send the request, if the right is still there: to write down that it will be, or to look, takes as long as it
        takes."""
        self._right.check()
        is_answered = False
        try:
            self._file.ask(only_new)
            is_answered = True
        except (UploadGone, NameTaken, S3Refused, S3Trouble) as error:
            is_answered = not isinstance(error, InDoubt)
            raise
        finally:  # also where this process is told to end
            if not is_answered:
                self._unanswered()

    def _ask_unchecked(self, refusal: Exception, is_last: bool) -> None:
        """As S3 does not check that the name is free; or says that it is not, which a look has to show."""
        file, sight, is_taken = self._file, self._look_before(is_last), isinstance(refusal, NameTaken)
        if sight is Sight.OWN:
            return None
        if sight is Sight.OTHER:
            raise _taken(file)
        if sight is Sight.UNSEEN and is_taken:
            return self._accept_unseen()
        self._send(only_new=False)
        looked = "nobody could look" if sight is Sight.UNSEEN else "a moment before it was"
        file.to.note(
            f"whether the name {file.place} was free is not checked by S3 ({looked}): it refused to: {refusal}"
        )
        return self._tell_second_put()

    def _accept_unseen(self) -> None:
        """The name is taken, says S3, and nobody may look by whom: by this file, if it may have been, or raise."""
        place = self._file.place
        if not self._is_in_doubt:
            raise Disagreement(
                f"{place} exists already, says S3, and nobody may look whose it is: nothing is overwritten. Let the "
                "keys GET objects, and clear the task to import under a new name"
            )
        self._file.to.note(f"{place} is there, and nobody may look whether it is this load's: taken for its own")

    def _look_before(self, is_last: bool) -> Sight:
        """What is under the name. Where nothing was sent that might be there, an upload does not wait for ever until
        somebody can look: the name holds a random id."""
        try:
            return self._file.look()
        except S3Trouble:
            if self._is_in_doubt or not is_last or isinstance(self._refusal, NameTaken):
                raise
            return Sight.UNSEEN

    def _look_after(self, error: InDoubt, is_last: bool) -> bool:
        self._sight = self._file.look()
        if self._sight is Sight.OWN:
            return True
        if self._sight is Sight.OTHER:
            raise _taken(self._file)
        if is_last or not (self._file.repeats_safely or self._right.is_exclusive):
            raise error
        self._is_in_doubt, self._failure = True, error
        return False

    def _not_done(self, error: S3Refused | S3Trouble, is_last: bool) -> bool:
        if self._is_in_doubt and isinstance(error, S3Refused):
            return self._is_there_and_refused(error)
        if not self._is_in_doubt:
            self._file.remember_asked(False)
            if isinstance(error, NotPermitted) or (is_last and _is_for_good(error)):
                raise self._file.refused(error) from None
        if is_last or isinstance(error, S3Refused):
            raise error
        self._failure = error
        return False

    def _is_there_and_refused(self, error: S3Refused) -> bool:
        """Whether an earlier request has made it visible, since a later one is refused; or raise what is known."""
        file, sight = self._file, self._file.look()
        if sight is Sight.OWN:
            return True
        if sight is Sight.OTHER:
            raise _taken(file)
        if not file.never_was_visible():
            raise file.unknown(sight, f" The request was sent again, and refused: {error}")
        file.remember_asked(False)
        raise (file.refused(error) if isinstance(error, NotPermitted) else error) from None

    def _tell_second_put(self) -> None:
        if self._is_in_doubt and not self._file.repeats_safely:
            seen = "no object was there" if self._sight is Sight.ABSENT else "nobody could look whether it was there"
            self._file.to.note(
                f"{self._file.place} may have been imported twice: the answer to the request that put it was lost, "
                f"{seen}, and it was put once more. No other load wrote to the table meanwhile"
            )

    def _accept_gone(self) -> None:
        """The upload is gone: into the file, or raise."""
        file, sight = self._file, self._file.look()
        if sight is Sight.OTHER:
            raise _taken(file)
        if sight is not Sight.OWN and not self._is_in_doubt:
            raise file.lost()
        if sight is Sight.ABSENT:
            raise file.unknown(sight)
        if sight is Sight.UNSEEN:
            file.to.note(
                f"{file.place} was completed by a request without an answer, says its upload, which is gone; nobody "
                "may look whether the file is there"
            )


def _is_for_good(error: Exception) -> TypeGuard[NotTaken]:
    """Whether S3 has not taken a request as it is, and did not ask for the same once more."""
    return isinstance(error, NotTaken) and not isinstance(error, Conflict)


def _taken(file: UploadFile) -> Disagreement:
    return Disagreement(
        f"{file.place} exists already and is not this load's: a name is never used twice, since files of one name may "
        "be imported in any order. Clear the task to import under a new name"
    )
