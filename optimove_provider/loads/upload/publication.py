"""The files of an import, from the first part that goes up until they are visible: all of them, or none."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

from optimove_provider.contract.wire.errors import OptimoveProviderError
from optimove_provider.loads.report.report import Report
from optimove_provider.loads.upload.destination import Destination
from optimove_provider.loads.upload.multipart import UploadLost, files_of
from optimove_provider.loads.upload.uploads import Uploads

log = logging.getLogger(__name__)

Samples = Callable[[str, list[dict[str, str]]], object]
"""Takes a file's S3 key and some of its rows before that file becomes visible."""


class Publication:
    """How far the files of a load came. Staging remembers it, so that a retry goes on from there.

    `given_up` is called when the load was given up, and none of its files can ever become visible any more.
    """

    def __init__(
        self,
        to: Destination,
        report: Report,
        samples: Samples | None = None,
        given_up: Callable[[], None] | None = None,
    ) -> None:
        self._to, self._report, self._samples, self._given_up = to, report, samples, given_up
        self._path = f"loads/{to.load_id}/import.json"
        self.generation: datetime | None = None

    def take_up(self) -> bool:
        """Go on from a try that had checked and sent every row, with its report; tells whether there was one.

        `generation` is the instant that its rows stand for, if it was told.
        """
        decided = self._to.staging.read(self._path)
        if decided:
            log.info("every row was checked and sent by an earlier try of load %s", self._to.load_id)
            self._report.restore(decided)
            told = decided["generation"]
            self.generation = told and datetime.fromisoformat(told)
        return bool(decided)

    @property
    def visible(self) -> int:
        """How many of them are."""
        return sum(file.is_visible() for file in files_of(self._to))

    def decide(self, uploads: Uploads, generation: datetime | None = None) -> None:
        """From here on the load can only be completed, or given up: its rows, of that `generation`, stay the same."""
        if self._samples:
            for file in uploads.files:
                self._samples(file.key, file.sample.rows())
        self._report.s3_keys = tuple(file.key for file in uploads.files)
        told = {"generation": generation and generation.isoformat()}
        self._to.staging.write(self._path, {**self._report.as_json(), **told})

    def complete(self, may_complete: Callable[[], None] = lambda: None) -> None:
        """Make the files visible. `may_complete` is asked before each, and raises where the right to was lost."""
        self._report.s3_keys, files = tuple(self._report.s3_keys), list(files_of(self._to))
        if lost := set(self._report.s3_keys) - {file.key for file in files}:
            raise UploadLost(f"staging knows no more of the uploads of {', '.join(sorted(lost))}. A retry begins anew")
        for file in files:
            if file.key in self._report.s3_keys:
                may_complete()
                file.complete()
            else:  # of an earlier try, when the source held more
                file.abort()

    def give_up(self, abort: bool) -> None:
        """Abort what can never be completed; in any case a retry sends the rows anew."""
        if self._to.staging.read(self._path) is not None:
            self._to.staging.remove(self._path)  # first: it promises that there are uploads to complete
        if abort:
            aborted = [file.abort() for file in list(files_of(self._to))]
            if all(aborted) and self._given_up:
                self._given_up()

    @contextmanager
    def refusable(self) -> Iterator[None]:
        """Give up where something is refused for good, and abort; and where an upload is lost, which has to be made
        anew. After any other failure a retry goes on from here.
        """
        try:
            yield
        except OptimoveProviderError as error:
            if not error.retry_helps or isinstance(error, UploadLost):
                self.give_up(abort=not error.retry_helps)
            raise
