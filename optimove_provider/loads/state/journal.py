"""What staging knows of one load: how far it came, so that a retry goes on from there.

`loads/<load id>/load.json` tells the course of the load, `batch-<k>/<slice>.json` what became of each slice. One
process at a time writes them.
"""

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from optimove_provider.contract.wire.errors import DataError, OptimoveProviderError
from optimove_provider.loads.state.staging import Staging

FORMAT = 1
MAX_BATCHES = 5
"""Batches of one load. Each after the first means that nobody knows what became of the one before."""


class TooManyBatches(OptimoveProviderError):
    """A load began batch after batch and could complete none of them."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """A row of a slice (`position` counts from 0) that the server refused, with its status and its own words."""

    position: int
    status: int
    reason: str


@dataclass(frozen=True, slots=True)
class SliceOutcome:
    """What became of one slice: how many rows were accepted, and which were refused."""

    accepted: int
    rejected: tuple[Rejection, ...] = ()

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> "SliceOutcome":
        """Read what `Journal.settle` wrote."""
        return cls(found["accepted"], tuple(Rejection(*one) for one in found["rejected"]))


@dataclass(slots=True)
class LoadState:
    """`load.json`. Times are ISO texts in UTC.

    `spools` numbers the frozen rows of tries that came as far as a plan. `batch` is 0 before the first request;
    `batch_opened` is empty where its progress counts no more. `closing` says that a request which completes the batch
    may have been sent. `plans` counts how often was planned; `plan` is the last one, and `committed` says that the
    ledger has what it made true.
    """

    format: int = FORMAT
    opened: str = ""
    spool: dict[str, Any] | None = None
    spools: int = 1
    batch: int = 0
    batch_opened: str = ""
    closing: bool = False
    completed: bool = False
    result: dict[str, Any] | None = None
    plans: int = 0
    plan: dict[str, Any] = field(default_factory=dict)
    committed: bool = False


class Journal:
    """The course of one load, kept in staging; `part` names one of its batches that has a course of its own."""

    def __init__(self, staging: Staging, load_id: str, part: str = "") -> None:
        self.staging, self.load_id, self._part = staging, load_id, part
        self.folder = f"loads/{load_id}/{part}".rstrip("/")
        self.course = self._read()

    def _read(self) -> LoadState:
        found = self.staging.read(f"{self.folder}/load.json") or {}
        if found.get("format", FORMAT) > FORMAT:
            raise DataError(
                f"{self.staging.url(self.folder)} was written by a newer version of this provider (format "
                f"{found['format']}, this one knows {FORMAT}): upgrade it here, or clear the task to begin a new load"
            )
        return LoadState(**found)

    def save(self) -> None:
        """Write the course down."""
        self.staging.write(f"{self.folder}/load.json", asdict(self.course))

    @property
    def opened(self) -> datetime:
        """When the source was opened."""
        return datetime.fromisoformat(self.course.opened)

    def is_read(self, resumed: bool) -> bool:
        """Whether the rows are read: something came of them since, or this try itself has read them (`resumed`)."""
        course = self.course
        return course.spool is not None and (bool(course.batch) or course.committed or resumed)

    def read_again(self) -> str:
        """Begin to read the source; returns the folder for its rows. A plan of other rows says nothing of these."""
        course = self.course
        if course.plan:
            course.spools += 1  # others may still need the rows that were planned: they were marked as pending
        course.opened, course.plan = datetime.now(UTC).isoformat(), {}
        return f"{self.folder}/spool-{course.spools}"

    @property
    def batch_uuid(self) -> str:
        """The uuid of the present batch: the same for every try."""
        return str(uuid.uuid5(uuid.UUID(self.load_id), f"{self._part} batch {self.course.batch}".strip()))

    def planned(self, plan: dict[str, Any]) -> None:
        """Remember a new plan; an open batch of the plan before is left."""
        self.course.plan, self.course.batch_opened, self.course.completed = plan, "", False
        self.save()

    def next_batch(self, now: datetime) -> None:
        """Begin a new batch, before its first request; what was settled in the old one counts no more."""
        if self.course.batch == MAX_BATCHES:
            raise TooManyBatches(
                f"load {self.load_id}: {MAX_BATCHES} batches were begun and none was completed. Clear the task to "
                f"begin a new load; {self.staging.url(self.folder)} tells what happened"
            )
        if self.course.batch:
            self.staging.remove_folder(self._batch_folder)
        self.course.batch += 1
        self.course.batch_opened, self.course.closing, self.course.completed = now.isoformat(), False, False
        self.save()

    def resume_or_begin(self, now: datetime, resume_within: timedelta | None) -> dict[int, SliceOutcome]:
        """The slices that are settled in the present batch, by number; a batch too old gives way to a new one.

        Nobody knows how long the server keeps a batch that was not completed. `resume_within` None: however old it is.
        """
        if self.course.completed or (self.course.batch and self._may_resume(now, resume_within)):
            return self.settled()
        self.next_batch(now)
        return {}

    def _may_resume(self, now: datetime, resume_within: timedelta | None) -> bool:
        opened = self.course.batch_opened
        return bool(opened) and (resume_within is None or now - datetime.fromisoformat(opened) <= resume_within)

    def settled(self) -> dict[int, SliceOutcome]:
        """What became of the slices of the present batch, by number, as far as it is written down."""
        return dict(self._settled())

    def _settled(self) -> Iterator[tuple[int, SliceOutcome]]:
        for name in self.staging.names(self._batch_folder):
            found = self.staging.read(f"{self._batch_folder}/{name}")
            if found and name.endswith(".json"):
                yield int(name.removesuffix(".json")), SliceOutcome.from_json(found)

    def settle(self, number: int, settled: SliceOutcome) -> None:
        """Remember what became of a slice."""
        rejected = [[one.position, one.status, one.reason] for one in settled.rejected]
        self.staging.write(
            f"{self._batch_folder}/{number:06}.json", {"accepted": settled.accepted, "rejected": rejected}
        )

    def intend_to_close(self, intended: bool) -> None:
        """Remember, before it is sent, that a request completes the batch; or that it was surely refused."""
        self.course.closing = intended
        self.save()

    def close(self) -> None:
        """Remember that the batch is completed."""
        self.course.completed = True
        self.save()

    def finish(self, result: dict[str, Any]) -> None:
        """Remember the result: the load is never opened again. The frozen rows go."""
        self.course.result = result
        self.save()
        for name in self.staging.names(self.folder):
            if name != "load.json":
                self.staging.remove_folder(f"{self.folder}/{name}")

    @property
    def _batch_folder(self) -> str:
        return f"{self.folder}/batch-{self.course.batch}"
