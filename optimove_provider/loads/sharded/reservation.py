"""The lease of a load that several workers send: the load has it and no process, until a stated deadline.

Whoever sends a part of the load asks before each request whether it is still reserved, and moves the deadline on. It
ends as any lease does: another try of the load takes it over, somebody revokes it, or nobody moves the deadline on.
"""

import logging
import threading
from dataclasses import replace
from datetime import datetime, timedelta

from optimove_provider.contract.next_steps import NextStep
from optimove_provider.loads.ledger.lease import RENEWED_EVERY, TRUSTED_FOR, Held, Lease, LeaseLost, TargetBusy
from optimove_provider.loads.ledger.manifest import Holder, Manifest, ManifestFile, reserved_token

log = logging.getLogger(__name__)

KNOWN_FOR = timedelta(seconds=5)
"""For so long what was read of the manifest is believed: a lease that is revoked lasts a minute longer."""


class ReservationLost(LeaseLost):
    """The lease is not the load's any more. A retry of the shard waits until nobody has it, and looks whether the load
    can still go on."""

    then = NextStep.WAITS_ON


class Reservation:
    """A reserved lease as one worker has it. Threads may share it."""

    def __init__(self, manifest_file: ManifestFile, load_id: str, reserved_for: timedelta) -> None:
        self._manifest_file, self._load_id, self._reserved_for = manifest_file, load_id, reserved_for
        self._surroundings = manifest_file.staging.surroundings
        self._lock, self._read_at = threading.Lock(), float("-inf")

    def check(self) -> None:
        """Raise ReservationLost unless the lease was the load's a few seconds ago; renew it every 20 seconds.

        A storage that does not answer is borne with for as long as the lease can be trusted without it.
        """
        with self._lock:
            now = self._surroundings.monotonic()
            if now - self._read_at < KNOWN_FOR.total_seconds():
                return
            try:
                self._look()
            except LeaseLost:
                raise
            except Exception:
                if now - self._read_at > TRUSTED_FOR.total_seconds():
                    raise
                log.warning("the lease of %s could not be looked at", self._manifest_file.folder, exc_info=True)
            else:
                self._read_at = now

    def _look(self) -> None:
        holder = self._owned(self._manifest_file.read())
        if self._surroundings.now() - holder.renewed_at > RENEWED_EVERY:
            self._manifest_file.change(self._renewed)

    def _renewed(self, manifest: Manifest) -> Manifest:
        """The same manifest, its deadline moved on: never back, by a clock that is behind."""
        holder, now = self._owned(manifest), self._surroundings.now()
        until = max(holder.until, now + self._reserved_for)
        return replace(manifest, holder=replace(holder, renewed_at=max(holder.renewed_at, now), until=until))

    def _owned(self, manifest: Manifest) -> Holder:
        holder = manifest.holder
        if holder is None or holder.token != reserved_token(self._load_id):
            now = f"load {holder.load_id} has" if holder else "nobody has"
            raise ReservationLost(
                f"load {self._load_id}: the lease of {self._manifest_file.folder} is not reserved for it any more, "
                f"{now} it now. Nothing more is sent from here; a retry waits, and looks whether it can go on"
            )
        return holder


def holder_for(manifest_file: ManifestFile, load_id: str) -> Holder | None:
    """The holder of a lease that is reserved for a load; None where it is not, or not any more."""
    holder = manifest_file.read().holder
    return holder if holder and holder.token == reserved_token(load_id) else None


def is_reserved_for(manifest: Manifest, load_id: str, now: datetime) -> bool:
    """Whether the lease is reserved for a load. Raises TargetBusy while somebody else has it, this load's own next task
    included."""
    holder = manifest.holder
    if holder is not None and holder.token == reserved_token(load_id):
        return True
    if holder is not None and holder.until > now:
        raise TargetBusy(Held(holder.load_id, holder.try_number, holder.until, holder.task))
    return False


def reserve_again(
    manifest_file: ManifestFile, load_id: str, try_number: int, task: str, reserved_for: timedelta
) -> Lease:
    """Reserve the lease for a load once more, after it was given back. Raises TargetBusy."""
    now = manifest_file.staging.surroundings.now()
    own = Holder(load_id, try_number, reserved_token(load_id), now, now + reserved_for, task)

    def reserve(manifest: Manifest) -> Manifest:
        return manifest if is_reserved_for(manifest, load_id, now) else replace(manifest, holder=own)

    manifest_file.change(reserve)
    return Lease(manifest_file, own)
