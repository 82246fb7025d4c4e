"""Two-phase commit of the files of an import: prepared when every part is sent, then made visible, all of them or none.

| phase | what is true | a process that dies here |
| --- | --- | --- |
| sending | some parts of some files are sent, or in staging | a retry makes them again, and sends what is missing |
| prepared | every row was checked, every part sent; the journal has the report | a retry commits, and reads no row |
| committing | some files are visible | the same; a file that is visible, or may have been, is not made so twice |
| aborted | no file that was not visible will ever be | a retry begins anew |
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta

from optimove_provider.clients.http.in_doubt import ChangesInDoubt
from optimove_provider.contract.wire.errors import OptimoveProviderError
from optimove_provider.disk.room import keeping
from optimove_provider.loads.report.report import Report
from optimove_provider.loads.state.age import Age
from optimove_provider.loads.state.journal import Journal, Stage
from optimove_provider.loads.upload.destination import Destination
from optimove_provider.loads.upload.file import UploadLost
from optimove_provider.loads.upload.files import files_of
from optimove_provider.loads.upload.uploads import Uploads
from optimove_provider.loads.upload.visibility import Right, make_visible

log = logging.getLogger(__name__)

_ANYBODYS = Right()
RememberRows = Callable[[str, list[dict[str, str]]], object]
"""Takes a file's S3 key and some of its rows before that file becomes visible."""


def remember_rows(uploads: Uploads, remember: RememberRows | None) -> None:
    """Hand on some rows of each file, before any is visible."""
    if remember:
        for file in uploads.files:
            remember(file.key, file.reservoir.rows())


class Publication:
    """The files of a load, and how far they are from being visible.

    `on_aborted` is called when the files were aborted, or lost, and none of them was or ever will be visible.
    """

    def __init__(
        self,
        to: Destination,
        journal: Journal,
        report: Report,
        remember: RememberRows | None = None,
        on_aborted: Callable[[], None] = lambda: None,
    ) -> None:
        self._to, self._journal, self._report = to, journal, report
        self._remember, self._on_aborted = remember, on_aborted
        self._late = ChangesInDoubt(to.staging.surroundings)

    def resume(self) -> bool:
        """Go on from a try that had prepared the files, with its report; tells whether there was one."""
        prepared = self._journal.prepared_report
        if prepared:
            log.info("every row was checked and sent by an earlier try of load %s", self._to.load_id)
            self._report.restore(prepared)
        return prepared is not None

    @property
    def visible(self) -> int:
        """How many files are visible, or may have been."""
        return sum(file.may_be_visible for file in files_of(self._to))

    def in_doubt(self, error: BaseException | None) -> bool:
        """Whether the request that makes a file visible may have been carried out, as far as staging knows."""
        return any(file.progress.asked or file.progress.completed for file in files_of(self._to))

    def in_doubt_for(self) -> timedelta:
        """For how long a request may still make a file visible whose answer did not come; zero mostly."""
        return self._late.left

    def prepare(self, uploads: Uploads, age: Age | None = None) -> None:
        """From here on the files can only be committed, or aborted: their rows, of that `age`, stay the same."""
        remember_rows(uploads, self._remember)
        self.prepare_sent([file.key for file in uploads.files], age)

    def prepare_sent(self, s3_keys: Sequence[str], age: Age | None) -> None:
        """The same of files that others have sent, and of which rows are remembered."""
        self._report.s3_keys = tuple(s3_keys)
        self._journal.prepared(self._report.as_json(), age)

    def commit(self, right: Right = _ANYBODYS) -> None:
        """Make the files visible, each only while the `right` to is there."""
        self._report.s3_keys, files = tuple(self._report.s3_keys), list(files_of(self._to))
        if lost := set(self._report.s3_keys) - {file.key for file in files}:
            raise UploadLost(f"staging knows no more of the uploads of {', '.join(sorted(lost))}. A retry begins anew")
        for file in files:
            if file.key in self._report.s3_keys:
                make_visible(file, right, self._late.begin)
            else:  # of an earlier try, when the source held more
                file.abort()

    def abort(self) -> None:
        """Throw away what is not visible: a retry sends the rows anew."""
        self._unprepare()  # first: prepared means that there are uploads to complete
        if all([file.abort() for file in list(files_of(self._to))]):
            self._on_aborted()

    def _begin_anew(self) -> None:
        """A file was lost, and was never visible; if no other one was, none of them is in doubt."""
        self._unprepare()
        if not self.visible:
            self._on_aborted()

    def _unprepare(self) -> None:
        if self._journal.stage is Stage.PREPARED:
            self._journal.unprepared()

    @contextmanager
    def abort_if_refused(self) -> Iterator[None]:
        """Abort where something is refused for good; where S3 has lost an upload, a retry begins anew. After any other
        failure it goes on from here.
        """
        try:
            yield
        except OptimoveProviderError as error:
            with keeping(error, "to abort the upload"):
                if not error.retry_helps:
                    self.abort()
                elif isinstance(error, UploadLost):
                    self._begin_anew()
            raise
