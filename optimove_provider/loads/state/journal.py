"""The write-ahead log of one load, in staging: how far it came, so that a retry goes on from there.

`loads/<load id>/load.json` holds the load's stage and what it needs from there on, `batch-<k>/<slice>.json` what became
of each slice. One process at a time writes them; each stage is written before the step that it announces.
"""

import hashlib
import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Self

from optimove_provider.contract.next_steps import NextStep
from optimove_provider.contract.wire.errors import DataError, Disagreement, OptimoveProviderError
from optimove_provider.contract.wire.messages import json_body
from optimove_provider.loads.state.age import Age
from optimove_provider.loads.state.staging import Staging, TornFile

_SLICE = re.compile(r"(\d+)\.json")
FORMAT = 1
_AT_ONCE = 1000
"""Outcomes that are read together."""
SOURCE = "source"
"""The folder of what other tasks have read for a load."""
MAX_BATCHES = 5
"""Batches of one load. Each after the first means that nobody knows what became of the one before."""


class TooManyBatches(OptimoveProviderError):
    """A load began batch after batch and could complete none of them."""


class Overtaken(OptimoveProviderError):
    """Another try of the same load has gone on with it, as this one was taken for dead: it has nothing more to say."""

    retry_helps = True
    then = NextStep.GOES_ON

    @classmethod
    def of(cls, load_id: str) -> Self:
        """The error of a try."""
        return cls(
            f"load {load_id}: another try of it has gone on since this one began, which was taken for dead. Nothing "
            "more is sent by this one; what became of the load stands in its report"
        )


class OtherTarget(Disagreement):
    """The task names another target than the one that its load has begun to write into."""

    then = NextStep.CLEAR


class BatchTooOld(OptimoveProviderError):
    """The server has acknowledged nothing of a batch for too long, and this task alone does not send it anew."""

    then = NextStep.CLEAR_GROUP


class Stage(StrEnum):
    """How far a load came. docs/reliability.md draws it."""

    NEW = "new"
    READ = "read"
    PLANNED = "planned"
    SENDING = "sending"
    CLOSING = "closing"
    PREPARED = "prepared"
    COMPLETED = "completed"
    COMMITTED = "committed"
    FINISHED = "finished"


MEANING: Mapping[Stage, str] = {
    Stage.NEW: "nothing is known of the rows",
    Stage.READ: "the rows are frozen; until a request was made, a retry reads the source again",
    Stage.PLANNED: "what will be sent is written down, with the version of the ledger that it was found against",
    Stage.SENDING: "requests of a batch, or parts of files, may have been sent; the rows stay what they are",
    Stage.CLOSING: "the request that completes the batch may have been sent: whether its rows are visible is in doubt",
    Stage.PREPARED: "every row was checked, every part of every file sent (DCP): they are completed, or aborted",
    Stage.COMPLETED: "the batch was completed, or all of its rows were refused",
    Stage.COMMITTED: "the ledger has what was accepted",
    Stage.FINISHED: "the result is kept; the load is never opened again",
}

TRANSITIONS: Mapping[Stage, Mapping[Stage, str]] = {
    Stage.NEW: {
        Stage.READ: "the rows are read",
        Stage.PLANNED: "the records to expire are found",
        Stage.SENDING: "a full import begins its files, in one pass with the check",
        Stage.FINISHED: "a full import is older than the newest snapshot",
    },
    Stage.READ: {
        Stage.READ: "a retry reads again",
        Stage.PLANNED: "compared with the ledger",
        Stage.SENDING: "the first batch is begun, as there is no ledger",
        Stage.FINISHED: "no row can be sent, and there is no plan",
    },
    Stage.PLANNED: {
        Stage.READ: "a retry reads again, as no request was made",
        Stage.PLANNED: "the ledger has changed",
        Stage.SENDING: "a batch, or files of what changed, are begun",
        Stage.COMMITTED: "nothing has to be sent",
        Stage.FINISHED: "nothing is sent",
    },
    Stage.SENDING: {
        Stage.PLANNED: "the ledger has changed",
        Stage.SENDING: "another batch is begun, or the files once more",
        Stage.CLOSING: "about to complete the batch",
        Stage.PREPARED: "every part of every file is sent",
        Stage.COMPLETED: "every row was refused",
        Stage.FINISHED: "an update is done, or a full import is older than the newest snapshot",
    },
    Stage.CLOSING: {
        Stage.PLANNED: "the ledger has changed",
        Stage.SENDING: "surely refused, or in doubt and sent again as another batch",
        Stage.COMPLETED: "answered with success",
    },
    Stage.PREPARED: {
        Stage.SENDING: "the files are aborted, or S3 has lost one",
        Stage.COMMITTED: "the import is confirmed, and entered into the ledger",
        Stage.FINISHED: "a full import is confirmed, nothing shows how an import ended, or there was no row",
    },
    Stage.COMPLETED: {
        Stage.PLANNED: "the ledger has changed before the commit",
        Stage.COMMITTED: "entered into the ledger",
        Stage.FINISHED: "there is no ledger",
    },
    Stage.COMMITTED: {Stage.FINISHED: "what a snapshot lacks is dealt with"},
    Stage.FINISHED: {},
}
"""From each stage, where a load may go next, and by what."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """A row of a slice (`position` counts from 0) that the server refused, with its status and its own words."""

    position: int
    status: int
    reason: str


@dataclass(frozen=True, slots=True)
class SliceOutcome:
    """What became of one slice: how many rows were accepted, and which were refused. `at`, an ISO text in UTC, is when
    the last answer about it came; empty where nobody has written that down."""

    accepted: int
    rejected: tuple[Rejection, ...] = ()
    at: str = field(default="", compare=False)

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> "SliceOutcome":
        """Read what `Journal.record` wrote."""
        return cls(found["accepted"], tuple(Rejection(*one) for one in found["rejected"]), found.get("at", ""))


@dataclass(slots=True)
class LoadState:
    """`load.json`. Times are ISO texts in UTC.

    `opened` is when the source was opened, `generation` the instant that its rows stand for. `spools` numbers the
    frozen rows of tries that came as far as a plan. `batch` is 0 before the first request;
    `batch_opened` is empty where its progress counts no more. `held_back`, the number of a slice and a position in it,
    is the row that completes the batch, and is not sent before. `in_doubt`: a batch of an earlier plan may have been
    completed. `completing_sent`: so may one that was left since, by a request without an answer. `nothing_taken`:
    every row of the batch was refused, so that none completed it. `has_sent`: something
    may have been sent, of whatever plan. `sharded_batch` is the number of the batch that several workers send, 0 if
    none is; `sharded_by` is the task that planned it. `plans` counts how often was planned; `plan` is the last one.
    `invalidated_as` is the version of the ledger in which an update has marked its keys. `prepared` is there from
    PREPARED on: the report, and the age of the rows. `stamp` is what is sent with each record, a JSON object; "" if
    nothing is, None until it is known. `target` is where the rows go, as a report calls it; empty where an older
    version did not say. `writer` is the journal, in one process, that wrote this.
    """

    format: int = FORMAT
    stage: Stage = Stage.NEW
    opened: str = ""
    generation: str = ""
    stamp: str | None = None
    spool: dict[str, Any] | None = None
    spools: int = 1
    batch: int = 0
    batch_opened: str = ""
    held_back: list[int] | None = None
    in_doubt: bool = False
    completing_sent: bool = False
    nothing_taken: bool = False
    has_sent: bool = False
    sharded_batch: int = 0
    sharded_by: str = ""
    plans: int = 0
    plan: dict[str, Any] = field(default_factory=dict)
    invalidated_as: int = 0
    prepared: dict[str, Any] | None = None
    result: dict[str, Any] | None = None
    target: dict[str, Any] = field(default_factory=dict)
    writer: str = ""


def _other(before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Whether two names are of two targets. Under another host it is the same one if the connection says so."""
    ids = [{name: str(told[name]) for name in ("optix", "dcp") if name in told} for told in (before, now)]
    is_same_host = before.get("host") == now.get("host") or now.get("target_alias") == "same"
    return ids[0] != ids[1] or not is_same_host


def _named(target: Mapping[str, Any]) -> str:
    return " ".join(f"{kind}:{target[kind]}" for kind in ("optix", "dcp") if kind in target) + f" at {target['host']}"


def given_up() -> dict[str, Any]:
    """What stands in `load.json` of a load whose rows somebody has removed: it is never taken up again."""
    return {"format": FORMAT, "given_up": True}


def has_ended(staging: Staging, load_id: str) -> bool:
    """Whether nothing can become of a load any more: it is finished or was given up, or has no log, as profiles that
    are written over REST."""
    try:
        found = staging.read(f"loads/{load_id}/load.json")
    except TornFile:
        return False
    return found is None or bool(found.get("given_up")) or found.get("stage") == Stage.FINISHED


class Journal:
    """The write-ahead log of one load; `part` names one of its batches that has a log of its own.

    Each transition is a method, which writes; nobody else assigns.
    """

    def __init__(self, staging: Staging, load_id: str, part: str = "") -> None:
        self.staging, self.load_id, self._part = staging, load_id, part
        self.folder = f"loads/{load_id}/{part}".rstrip("/")
        self._has_begun_batch, self._own = False, ""
        self._state = self._read()

    def _stored(self) -> dict[str, Any] | None:
        try:
            return self.staging.read(f"{self.folder}/load.json")
        except TornFile:
            return {}

    def _read(self) -> LoadState:
        found = self._stored()
        if found is None:
            return LoadState()
        written = found.get("format", 0)
        if isinstance(written, int) and written > FORMAT:
            raise DataError(
                f"{self.staging.url(self.folder)} was written by a newer version of this provider (format "
                f"{written}, this one knows {FORMAT}): upgrade it here, or clear the task to begin a new load"
            )
        if found.get("given_up"):
            raise DataError(
                f"load {self.load_id} did not end, and its frozen rows were removed since, as a key in them was "
                "forgotten: clear the task to begin a new load"
            )
        try:
            return LoadState(**{**found, "stage": Stage(found["stage"])})
        except (KeyError, TypeError, ValueError):
            raise self._unreadable() from None

    def _unreadable(self) -> DataError:
        return DataError(
            f"{self.staging.url(self.folder)}/load.json is empty, cut short or not as this provider writes it, perhaps "
            "after a full disk, so how far this load came is unknown. Make room, and clear the task: a new load reads "
            "the source again. Nothing is lost: rows that this one may have sent count as unknown, and are sent again"
        )

    def _move(self, stage: Stage) -> None:
        """Write the state down with another stage."""
        now = self._state.stage
        if stage not in TRANSITIONS[now]:
            raise AssertionError(f"load {self.load_id} cannot go from {now} to {stage}")
        self._state.stage = stage
        self._write()

    def _write(self) -> None:
        """Write the state down. Raises Overtaken if somebody else has written since it was read, or written here."""
        if self.was_overtaken:
            raise Overtaken.of(self.load_id)
        self._own = self._own or str(self.staging.surroundings.new_id())
        self._state.writer = self._own
        # asdict would copy them deeply
        members = {one.name: getattr(self._state, one.name) for one in fields(LoadState)}
        self.staging.write(f"{self.folder}/load.json", members)

    def take_up(self) -> None:
        """Go on with what an earlier try has written, under the lease: from here on that try writes nothing more."""
        if self.stage is not Stage.NEW and self._state.writer != self._own:
            self._write()

    @property
    def was_overtaken(self) -> bool:
        """Whether somebody else has written since this journal was read, or written here: a try that came after."""
        return ((self._stored() or {}).get("writer") or "") != self._state.writer

    @property
    def result_of_another(self) -> Mapping[str, Any] | None:
        """The report of the load as another try has ended it; None if none has."""
        return (self._stored() or {}).get("result")

    def goes_to(self, target: Mapping[str, Any]) -> None:
        """The load is to go there. Raises OtherTarget if rows may have been sent to another target before, or if it has
        ended there: then nothing is known of this one."""
        before, own = self._state.target, dict(target)
        is_begun = self.has_sent or self.stage in (Stage.COMMITTED, Stage.FINISHED)
        if before and own and is_begun and _other(before, own):
            raise OtherTarget(
                f"load {self.load_id} has begun to write to {_named(before)}, and its task names {_named(own)} now. "
                "Nothing was sent there: what was sent before does not count for another target. Clear the task, which "
                "begins a new load of every row; or name the first one again, and a retry goes on. If another Airflow "
                "has the same [optimove] staging, give each a folder of its own"
            )
        self._state.target = own or before

    @property
    def stage(self) -> Stage:
        """How far the load came."""
        return self._state.stage

    @property
    def opened(self) -> datetime:
        """When the source was opened."""
        return datetime.fromisoformat(self._state.opened)

    @property
    def age(self) -> Age:
        """How old the frozen rows are."""
        return Age.from_json({"generation": self._state.generation, "opened": self._state.opened})

    @property
    def stamp(self) -> str:
        """What is sent with each record, a JSON object; "" if nothing is."""
        return self._state.stamp or ""

    @property
    def held_back(self) -> tuple[int, int] | None:
        """The slice, and a position in it, of the row that completes the batch, and is not sent before; None if it is
        not known which one will."""
        number, row = self._state.held_back or (None, None)
        return None if number is None or row is None else (number, row)

    @property
    def plan(self) -> Mapping[str, Any]:
        """The last plan; empty if there is none."""
        return self._state.plan

    @property
    def result(self) -> Mapping[str, Any] | None:
        """The report of a finished load."""
        return self._state.result

    # Reading

    def rows(self, resumed: bool) -> dict[str, Any] | None:
        """What `rows_read` was given, where that counts: something came of the rows since, or this try itself has read
        them (`resumed`). None if the source is to be read."""
        return self._state.spool if resumed or self.has_sent or self.stage is Stage.COMMITTED else None

    def begin_reading(
        self,
        generation: datetime | None = None,
        opened: datetime | None = None,
        stamp: str = "",
        now: datetime | None = None,
    ) -> str:
        """Begin to read the source; returns the folder for its rows. A plan of other rows says nothing of these.

        They stand for the `generation`, but for nothing later than now, which is `now` where a ledger tells it.
        `opened`: when rows that are sent again were read for the first time. `stamp`: that of the first try whose rows
        were frozen stays, whatever a template gives now.
        """
        state, now = self._state, now or self.staging.surroundings.now()
        if state.plan:
            state.spools += 1  # others may still need the rows that were planned: an intent may name them
        if state.stamp is None:
            state.stamp = stamp
        age = Age.of(min(opened or now, now), generation)
        state.opened, state.generation, state.plan = age.opened.isoformat(), age.generation.isoformat(), {}
        return f"{self.folder}/spool-{state.spools}"

    def rows_read(self, spool: dict[str, Any]) -> dict[str, Any]:
        """The rows are frozen; returns `spool`."""
        self._state.spool = spool
        self._move(Stage.READ)
        return spool

    # Planning

    def begin_planning(self) -> str:
        """Begin to plan; returns the folder for it."""
        self._state.plans += 1
        return f"{self.folder}/plan-{self._state.plans}"

    def planned(self, plan: dict[str, Any]) -> None:
        """Remember a new plan; an open batch of the plan before is left."""
        state = self._state
        state.in_doubt, state.completing_sent = self.may_be_visible, self.completing_may_be_done
        state.plan, state.batch_opened = plan, ""
        self._move(Stage.PLANNED)

    def rebase_plan(self, version: int) -> None:
        """The plan holds against another version of the ledger, which this load itself has made."""
        self._state.plan = {**self._state.plan, "planned_against": version}
        self._write()

    # Sending

    @property
    def has_sent(self) -> bool:
        """Whether a request may have been sent, of whatever plan."""
        return self._state.has_sent

    @property
    def has_sent_before(self) -> bool:
        """Whether a request of a batch before the present one may have been sent."""
        return self._state.batch > 1

    @property
    def may_be_visible(self) -> bool:
        """Whether rows of any batch may be visible: one was to be completed, or was given up without being known."""
        return self.has_sent_before or self._state.in_doubt or self.stage in (Stage.CLOSING, Stage.COMPLETED)

    @property
    def completing_may_be_done(self) -> bool:
        """Whether a request that completes a batch was sent, and not surely refused: what is seen of it then is not
        known, unless it was answered."""
        is_sent = self.stage is Stage.CLOSING or (self.stage is Stage.COMPLETED and not self._state.nothing_taken)
        return self._state.completing_sent or is_sent

    @property
    def is_completed(self) -> bool:
        """Whether the present batch is completed, so that there is nothing left to send."""
        return self.stage in (Stage.COMPLETED, Stage.COMMITTED)

    @property
    def batch(self) -> int:
        """The number of the present batch; 0 before the first."""
        return self._state.batch

    @property
    def rows_digest(self) -> str:
        """What tells the rows that are sent now, by reading and plan, from those of any other try of the load."""
        plan = {name: value for name, value in self._state.plan.items() if name != "planned_against"}
        known = json_body([self._state.opened, self._state.spools, self._state.spool, plan])
        return hashlib.blake2b(known, digest_size=8).hexdigest()

    @property
    def batch_uuid(self) -> str:
        """The uuid of the present batch: the same for every try."""
        return str(uuid.uuid5(uuid.UUID(self.load_id), f"{self._part} batch {self._state.batch}".strip()))

    def begin_batch(self, held_back: tuple[int, int] | None = None) -> None:
        """Begin a new batch, before its first request; outcomes of the old one count no more."""
        state = self._state
        if state.batch == MAX_BATCHES:
            raise TooManyBatches(
                f"load {self.load_id}: {MAX_BATCHES} batches were begun and none was completed. Clear the task to "
                f"begin a new load; {self.staging.url(self.folder)} tells what happened"
            )
        if state.batch:
            self.staging.remove_folder(self._batch_folder)
        state.completing_sent = self.completing_may_be_done
        state.batch, state.has_sent = state.batch + 1, True
        state.held_back = list(held_back) if held_back else None
        state.batch_opened = self.staging.surroundings.now().isoformat()
        self._move(Stage.SENDING)
        self._has_begun_batch = True

    def begin_shards(self, task: str = "") -> None:
        """The present batch is sent by several workers, from now on, each of which records the slices of its own.

        `task` is what planned it. An open batch of another plan is left for a new one.
        """
        if not self._state.batch_opened:
            self.begin_batch()
        self._state.sharded_batch, self._state.sharded_by = self._state.batch, task
        self._state.batch_opened = self.staging.surroundings.now().isoformat()
        self._write()

    @property
    def is_sharded(self) -> bool:
        """Whether several workers send the load, or have sent a batch of it."""
        return self._state.sharded_batch > 0

    @property
    def sharded_by(self) -> str:
        """What people call the task that planned a load which several workers send; "" where nobody said."""
        return self._state.sharded_by

    @property
    def is_sent_by_shards(self) -> bool:
        """Whether the present batch is the one that several workers send."""
        return self._state.sharded_batch == self._state.batch > 0

    def begin_files(self) -> None:
        """Begin to send the parts of files: from here on frozen rows stay what they are."""
        self._state.has_sent = True
        self._move(Stage.SENDING)

    def prepared(self, report: dict[str, Any], age: Age | None) -> None:
        """Remember, with the load's report, that every part of every file was sent: the files are completed, or
        aborted. `age` is that of the rows."""
        self._state.prepared = {"report": report, "age": age and age.as_json()}
        self._move(Stage.PREPARED)

    def unprepared(self) -> None:
        """Some file cannot be completed any more: before any is sent again, another one has to be prepared."""
        self._state.prepared = None
        self._move(Stage.SENDING)

    @property
    def prepared_report(self) -> Mapping[str, Any] | None:
        """The report of a load whose files are all prepared; None if they are not."""
        return self._state.prepared and self._state.prepared["report"]

    @property
    def prepared_age(self) -> Age | None:
        """The age of the rows of a prepared load, where one is known."""
        found = self._state.prepared and self._state.prepared["age"]
        return Age.from_json(found) if found else None

    def invalidated(self, version: int) -> None:
        """Remember the version of the ledger that marks this update's keys: it goes on only while that is the last."""
        self._state.invalidated_as = version
        self._write()

    @property
    def invalidated_as(self) -> int:
        """The version of the ledger in which an update has marked its keys; 0 if it has not."""
        return self._state.invalidated_as

    def resume_or_begin_batch(self, resume_within: timedelta | None, bisected: str = "") -> dict[int, SliceOutcome]:
        """The outcomes of the present batch, by number of slice; after too long a silence a new one begins.

        Nobody knows how long the server keeps a batch that was not completed, so what counts is the last request that
        it acknowledged; `bisected` is when that was, where a slice is taken apart. `resume_within` None: however long.
        Raises BatchTooOld instead where several workers have sent it: it takes all of them to send it anew. Not where
        they have sent nothing, as there was one slice only.
        """
        if self.is_completed or (self.has_sent and self._state.batch_opened):
            outcomes = self.outcomes()
            if self.is_completed or self._may_resume(resume_within, outcomes, bisected):
                return outcomes
            if self.is_sent_by_shards and outcomes:
                silent = self.silent_for(outcomes, bisected)
                raise BatchTooOld(
                    f"load {self.load_id}: Opti-X has acknowledged nothing of batch {self.batch_uuid} for {silent}, "
                    f"which is longer than Sending(resume_within={resume_within}), and nobody knows how long it keeps "
                    "an open batch. It was not completed, so nothing of it is visible: clear the whole group"
                )
        self.begin_batch()
        return {}

    @property
    def has_begun_batch(self) -> bool:
        """Whether the present batch was begun by this try."""
        return self._has_begun_batch

    def _may_resume(self, resume_within: timedelta | None, outcomes: Mapping[int, SliceOutcome], bisected: str) -> bool:
        return resume_within is None or self._has_begun_batch or self.silent_for(outcomes, bisected) <= resume_within

    def silent_for(self, outcomes: Mapping[int, SliceOutcome], bisected: str = "") -> timedelta:
        """How long ago the server acknowledged a request of the present batch, whose `outcomes` these are, or the batch
        was begun."""
        known = [self._state.batch_opened, bisected, *(one.at for one in outcomes.values())]
        return self.staging.surroundings.now() - max(map(datetime.fromisoformat, filter(None, known)))

    def outcomes(self, numbers: Sequence[int] | None = None) -> dict[int, SliceOutcome]:
        """What became of the slices of the present batch, or of those with these `numbers`, by number, as far as it is
        written down."""
        return dict(self._outcomes(self._numbers() if numbers is None else numbers))

    def has_accepted(self) -> bool:
        """Whether the server has accepted rows of the present batch, of whichever worker."""
        return any(one.accepted for _, one in self._outcomes(self._numbers()))

    def _numbers(self) -> list[int]:
        names = self.staging.names(self._batch_folder)
        return [int(found[1]) for name in names if (found := _SLICE.fullmatch(name))]

    def _outcomes(self, numbers: Sequence[int]) -> Iterator[tuple[int, SliceOutcome]]:
        for start in range(0, len(numbers), _AT_ONCE):
            paths = {self._outcome_path(number): number for number in numbers[start : start + _AT_ONCE]}
            for path, found in self.staging.read_together(list(paths)).items():
                if found:
                    yield paths[path], SliceOutcome.from_json(found)

    def record(self, number: int, outcome: SliceOutcome) -> None:
        """Remember what became of a slice, and when the server said so."""
        rejected = [[one.position, one.status, one.reason] for one in outcome.rejected]
        told = {"accepted": outcome.accepted, "rejected": rejected, "at": self.staging.surroundings.now().isoformat()}
        self.staging.write(self._outcome_path(number), told)

    def _outcome_path(self, number: int) -> str:
        return f"{self._batch_folder}/{number:06}.json"

    @property
    def _batch_folder(self) -> str:
        return f"{self.folder}/batch-{self._state.batch}"

    # Ending

    def intend_to_complete(self) -> None:
        """Remember, before it is sent, that a request completes the batch."""
        self._move(Stage.CLOSING)

    def completing_refused(self) -> None:
        """The request to complete the batch was surely refused: the batch is open still."""
        self._move(Stage.SENDING)

    def completed(self, nothing_taken: bool = False) -> None:
        """Remember that nothing of the batch is left to send. `nothing_taken`: every row was refused, so that there was
        none to complete it with."""
        self._state.nothing_taken = nothing_taken
        self._move(Stage.COMPLETED)

    def committed(self) -> None:
        """Remember that the ledger has what the plan made true."""
        if self.stage is not Stage.COMMITTED:
            self._move(Stage.COMMITTED)

    def finish(self, result: dict[str, Any]) -> None:
        """Remember the result: the load is never opened again. The frozen rows go."""
        self._state.result = result
        self._move(Stage.FINISHED)
        self._remove_all_but("load.json")

    def remove_rows(self) -> None:
        """Remove all that a try has left, but for what others have read for it."""
        if not self._remove_all_but(SOURCE):
            self.staging.remove_folder(self.folder)

    def _remove_all_but(self, kept: str) -> bool:
        """Tells whether that is there."""
        names = self.staging.names(self.folder)
        for name in names:
            if name != kept:
                self.staging.remove_folder(f"{self.folder}/{name}")
        return kept in names
