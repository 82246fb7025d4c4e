"""One writer per target, from plan to commit: the lease that its manifest holds.

It lasts 60 seconds from its last renewal, so a process that is killed holds nobody up for longer. The machines' clocks
must agree within the 30 seconds between the last slice that a load may begin and the end of its lease. What one machine
measures itself is told by two of its clocks: one may be set back, the other stands while the machine sleeps.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from types import TracebackType
from typing import Self

from optimove_provider.contract.next_steps import NextStep
from optimove_provider.contract.wire.errors import OptimoveProviderError
from optimove_provider.loads.ledger.manifest import Holder, Manifest, ManifestFile, reserved_token
from optimove_provider.surroundings import Repetition

log = logging.getLogger(__name__)

LASTS = timedelta(seconds=60)
RENEWED_EVERY = timedelta(seconds=20)
TRUSTED_FOR = timedelta(seconds=30)
_EVER = datetime.min
InDoubtFor = Callable[[], timedelta]
"""For how long a request of the holder's may still be carried out whose answer was lost."""


def at_once() -> timedelta:
    """Nothing is sent, or every answer came."""
    return timedelta()


class LeaseLost(OptimoveProviderError):
    """Another load may be working on the target. Run again, the load waits for it and plans anew."""

    retry_helps = True
    then = NextStep.PLANS_AGAIN


@dataclass(frozen=True, slots=True)
class Held:
    """Somebody else has the lease: who, and until when unless it is renewed."""

    load_id: str
    try_number: int
    until: datetime
    task: str = ""

    def __str__(self) -> str:
        load = f"load {self.load_id}, try {self.try_number}"
        holder = f"{self.task} ({load})" if self.task else load
        return f"{holder}, until {self.until:%Y-%m-%d %H:%M:%S} UTC unless renewed"


class TargetBusy(OptimoveProviderError):
    """Another load works on the target. `acquired` tells which, and until when if it says nothing more."""

    retry_helps = True
    then = NextStep.WAITS_ON

    def __init__(self, held: Held) -> None:
        self.held = held
        super().__init__(f"another load works on this target: {held}. A retry waits for it")


class Lease:
    """A lease that was acquired. As a context manager, it renews itself meanwhile, and is given back at the end."""

    def __init__(self, manifest_file: ManifestFile, holder: Holder, in_doubt_for: InDoubtFor = at_once) -> None:
        self._in_doubt_for = in_doubt_for
        self.manifest_file, self._surroundings = manifest_file, manifest_file.staging.surroundings
        self.load_id, self.token = holder.load_id, holder.token
        self._renewed_at, self._detached = (holder.renewed_at, self._surroundings.monotonic()), False
        self._renewals: Repetition | None = None

    def check(self) -> None:
        """Raise LeaseLost unless the lease was renewed in the last 30 seconds: before each slice and each closing."""
        self.check_clock()
        age = max(self._since_renewal)
        if age > TRUSTED_FOR:
            raise LeaseLost(
                f"load {self.load_id}: its lease of {self._place} was last renewed {age.total_seconds():.0f} s ago, so "
                "another load may be working there. Nothing more is sent; a retry goes on from here"
            )

    def check_clock(self) -> None:
        """Raise LeaseLost if this machine's clock was set back since: for the others, what is renewed now has ended."""
        by_clock, measured = self._since_renewal
        if (back := measured - by_clock) > TRUSTED_FOR:
            raise LeaseLost(
                f"load {self.load_id}: the clock of this machine was set back by about {back.total_seconds():.0f} s "
                f"while it had the lease of {self._place}, so another load may be working there. Nothing more is sent; "
                "a retry goes on from here"
            )

    @property
    def _since_renewal(self) -> tuple[timedelta, timedelta]:
        """How long ago that was, by the clock that everybody shares, and by one that nobody sets."""
        renewed_at, measured_at = self._renewed_at  # another thread may be renewing it: both or neither
        measured = timedelta(seconds=self._surroundings.monotonic() - measured_at)
        return self._surroundings.now() - renewed_at, measured

    def change(self, edit: Callable[[Manifest], Manifest]) -> Manifest:
        """Replace the manifest by `edit` of it, if the lease is still this one. Raises LeaseLost.

        The answer to a swap may be lost, and the lease be renewed before anybody looks: what is there then is not what
        was written, byte for byte, but the edit is made, and is not made again.
        """
        made: list[Manifest] = []

        def once(manifest: Manifest) -> Manifest:
            if made and _but_for_renewals(self.owned(manifest)) == _but_for_renewals(made[-1]):
                return manifest
            made.append(edit(self.owned(manifest)))
            return made[-1]

        return self.manifest_file.change(once)

    def renew(self) -> None:
        """Renew the lease now. Raises LeaseLost if somebody else has acquired it, or may have as this machine's clock
        was set back."""
        self.check_clock()
        now, measured_at = self._surroundings.now(), self._surroundings.monotonic()
        self.change(lambda manifest: _held(manifest, now, now + LASTS))
        self._renewed_at = now, measured_at

    def detach(self, until: datetime) -> None:
        """Keep the lease until an instant without renewing it, for a wait in which this process ends."""
        self._end_renewals()
        now = self._surroundings.now()
        self.change(lambda manifest: _held(manifest, now, until, detached=True))
        self._detached = True

    def reserve(self, until: datetime) -> None:
        """Leave the lease to the load, until an instant, for whichever workers send it: this process has it no more."""
        self._end_renewals()
        now, token = self._surroundings.now(), reserved_token(self.load_id)
        self.change(lambda manifest: _held(manifest, now, until, token=token))
        self.token, self._detached = token, True

    def release(self) -> None:
        """Give the lease back; nothing happens where somebody else has acquired it.

        Where the answer to a request was lost, the lease ends by itself instead, once it may be taken for certain that
        nothing arrives any more: after somebody else's newer rows it would overwrite them.
        """
        wait = self._in_doubt_for()
        try:
            self._end_after(wait) if wait else self.change(lambda manifest: replace(manifest, holder=None))
        except LeaseLost:
            log.info("load %s: its lease of %s had ended before", self.load_id, self._place)

    def _end_after(self, wait: timedelta) -> None:
        now, token = self._surroundings.now(), self.token
        if token == reserved_token(self.load_id):  # workers that still send would renew it
            token = str(self._surroundings.new_id())
        self.change(lambda manifest: _held(manifest, now, now + wait, token=token))
        told = "an answer was lost, and its request may still be carried out: the lease of %s ends in %.0f s"
        log.info(told, self._place, wait.total_seconds())

    def __enter__(self) -> Self:
        self._renewals = self._surroundings.repeat(RENEWED_EVERY, self._still_renewed, "optimove-lease")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._end_renewals()
        if not self._detached:
            self._try_to_release()

    def _try_to_release(self) -> None:
        """What the load did, or failed of, is as it is, though its lease could not be given back."""
        try:
            self.release()
        except Exception:  # a full disk, a storage that does not answer
            log.warning("the lease of %s could not be given back: it ends within 60 s", self._place, exc_info=True)

    @property
    def _place(self) -> str:
        return self.manifest_file.folder

    def owned(self, manifest: Manifest) -> Manifest:
        """The manifest, if it gives the lease to this one. Raises LeaseLost."""
        if manifest.holder is None or manifest.holder.token != self.token:
            now = f"load {manifest.holder.load_id} has" if manifest.holder else "nobody has"
            raise LeaseLost(f"load {self.load_id} lost its lease of {self._place}: {now} it now")
        return manifest

    def _still_renewed(self) -> bool:
        """Renew the lease; tells whether it makes sense to do so again."""
        try:
            self.renew()
        except LeaseLost as lost:
            log.warning("%s", lost)
            return False
        except Exception:  # the storage may answer the next time; until then `check` stops the load
            log.warning("the lease of %s could not be renewed", self._place, exc_info=True)
        return True

    def _end_renewals(self) -> None:
        if self._renewals:
            self._renewals.stop()


def acquire(
    manifest_file: ManifestFile, load_id: str, try_number: int, task: str = "", in_doubt_for: InDoubtFor = at_once
) -> Lease | Held:
    """Acquire the lease of a target, or tell who has it. It never waits.

    The same try of the same load takes its own lease over, as a task does that resumes; another try waits it out,
    unless it is detached: then nothing more is sent under it, and any try may go on. So may another load of the same
    task: the task was cleared, and nobody waits for that import. One that is reserved is there for any try of its load;
    where the task that reserved it was cleared, it is revoked, and waited out.
    """
    surroundings = manifest_file.staging.surroundings
    now, token = surroundings.now(), str(surroundings.new_id())
    wanted = Holder(load_id, try_number, token, now, now + LASTS, task)

    def take(manifest: Manifest) -> Manifest:
        found = manifest.holder
        if found and found.until > now and not _is_own(found, wanted):
            raise _Taken(found)
        return replace(manifest, holder=wanted)

    try:
        manifest_file.change(take)
    except _Taken as taken:
        found = taken.holder
        if found.is_reserved and found.task == task != "" and release_of(manifest_file, found.load_id):
            found = manifest_file.read().holder or found
        return Held(found.load_id, found.try_number, found.until, found.task)
    return Lease(manifest_file, wanted, in_doubt_for)


def release_of(manifest_file: ManifestFile, load_id: str) -> bool:
    """Take the lease from a load that is dead; tells whether it had it.

    One that is detached, as its load waits for an import, is free at once. Any other ends when it would have without
    its load, within a minute: if that lives after all, it cannot renew it any more, and stops before another load
    begins; nor does what it had under way arrive after that. So it is with one that is reserved for hours. Its intent
    stays, so that its rows count as unknown.
    """
    found = manifest_file.read().holder
    if found is None or found.load_id != load_id:
        return False
    surroundings = manifest_file.staging.surroundings
    until = min(found.until, surroundings.now() + LASTS) if found.is_reserved else found.until
    revoked = None if found.detached else replace(found, token=str(surroundings.new_id()), until=until)
    is_done = False

    def free(manifest: Manifest) -> Manifest:
        nonlocal is_done
        is_done = manifest.holder is not None and manifest.holder.token == found.token
        return replace(manifest, holder=revoked) if is_done else manifest

    manifest_file.change(free)
    return is_done


@contextmanager
def acquired(
    manifest_file: ManifestFile, load_id: str, try_number: int, task: str = "", in_doubt_for: InDoubtFor = at_once
) -> Iterator[Lease]:
    """The lease of a target while the block lasts. Raises TargetBusy while another load has it.

    Whoever sends in the block says with `in_doubt_for` how long the lease has to outlast it.
    """
    lease = acquire(manifest_file, load_id, try_number, task, in_doubt_for)
    if isinstance(lease, Held):
        raise TargetBusy(lease)
    with lease:
        yield lease


def acquired_for(manifest_file: ManifestFile, command: str) -> AbstractContextManager[Lease]:
    """The lease for a command that a person gives. Raises TargetBusy while a load has it."""
    return acquired(manifest_file, str(manifest_file.staging.surroundings.new_id()), 1, command)


def _is_own(found: Holder, wanted: Holder) -> bool:
    is_cleared = found.task == wanted.task != ""
    if found.load_id != wanted.load_id:
        return found.detached and is_cleared
    return found.detached or found.is_reserved or found.try_number == wanted.try_number


def _but_for_renewals(manifest: Manifest) -> Manifest:
    """A manifest as it is whenever its lease was renewed last."""
    holder = manifest.holder
    return replace(manifest, holder=holder and replace(holder, renewed_at=_EVER, until=_EVER))


class _Taken(Exception):
    def __init__(self, holder: Holder) -> None:
        self.holder = holder


def _held(
    manifest: Manifest, now: datetime, until: datetime, *, detached: bool = False, token: str | None = None
) -> Manifest:
    assert manifest.holder  # noqa: S101 - `Lease.change` looked
    token = token or manifest.holder.token
    return replace(
        manifest, holder=replace(manifest.holder, token=token, renewed_at=now, until=until, detached=detached)
    )
