"""What a target has accepted: optimistic commits, each of new layers and one replaced manifest.

    read            the manifest, at version v. The lease is held from here to the end
      |
    plan            against v; may be kept for a retry
      |
    write_intent    write-ahead, before the first request: rows that may be sent    (v+1)
      |
    send            no part of the ledger
      |
    commit          optimistic: is the version still v+1?                           (v+2)
      |-- yes                        layers on top, the intent goes
      |-- no                         CommitConflict: nothing is entered, the intent stays, a retry plans again
      |-- this plan was applied      the answer was lost: nothing is done again
      '-- another has the lease      LeaseLost: as with a conflict

The newest layer wins, and layers never change: key, record, fingerprint, age, expiry, state. The rows of intents
lie above all layers, as unknown, and become a layer with the next commit of another load: so a load that died costs
another one no more than to send those rows again.

A row's age is not raised when a newer snapshot holds it unchanged: nothing older than the newest committed
snapshot is sent at all, and a key that a snapshot lacks is rewritten as removed. For the same reason the keys that a
snapshot had and that were rejected need no row of their own; those of any other load get one, of that load's age.
"""

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from optimove_provider.loads.ledger.key_type import KeyType
from optimove_provider.loads.ledger.keys import Rejected
from optimove_provider.loads.ledger.layer_writer import LayerWriter
from optimove_provider.loads.ledger.lease import Lease
from optimove_provider.loads.ledger.manifest import (
    CommitConflict,
    Intent,
    KeyDigest,
    Layer,
    Manifest,
    ManifestFile,
    Origin,
    Owed,
    PlanRef,
    SourceSnapshot,
)
from optimove_provider.loads.ledger.places import folder_of
from optimove_provider.loads.spool import row_files
from optimove_provider.loads.spool.row_files import Batches
from optimove_provider.loads.state import compare_and_swap
from optimove_provider.loads.state.age import Age, not_before
from optimove_provider.loads.state.staging import Staging

NO_LEDGER = (
    "[optimove] staging is on a storage without compare-and-swap: this load has no ledger, so nothing keeps an older "
    "load from overwriting a newer one, nor two loads from running at once"
)


@dataclass(frozen=True, slots=True)
class Commit:
    """What a completed batch made true of a target. Folders are in staging.

    `sent` has rows of the load, of the one `origin`; `kept` rows of the ledger that change without being sent.
    `removed`: rows that are to be expired next, an intent until that is committed too. `snapshot`: what the load was,
    if it had every key of its source. `frozen` has all rows of the load, with the keys of those that could not travel.
    """

    origin: Origin
    committed_at: datetime
    sent: str
    kept: str
    removed: str | None = None
    snapshot: SourceSnapshot | None = None
    frozen: str | None = None

    def __post_init__(self) -> None:
        """No age is later than the commit, even if a clock went wrong."""
        age = self.origin.age.not_after(self.committed_at)
        object.__setattr__(self, "origin", replace(self.origin, age=age))
        object.__setattr__(self, "snapshot", self.snapshot and replace(self.snapshot, age=age))


@dataclass(frozen=True, slots=True)
class Refusals:
    """The `rows`, by their numbers, that the server refused of those that were sent to expire. `sent_before`: nobody
    knows what became of an earlier batch of the same rows."""

    rows: Collection[int] = ()
    sent_before: bool = False


NO_REFUSALS = Refusals()


@dataclass(frozen=True, slots=True)
class OwedCommit:
    """What a commit makes of the rows that are owed, all of which are `left` owed afterwards.

    `paid`: rows of the ledger, each of its own age, of those that were accepted; `doubtful` ones of which an earlier
    batch may have brought the rows that are refused now. `adds`: the load's own refused rows are among those left.
    """

    left: Owed | None
    paid: Batches | None = None
    doubtful: Batches | None = None
    adds: bool = False


class Ledger:
    """The ledger of one target. `key_type` is that of whoever writes to it; None where keys have one type only."""

    def __init__(self, staging: Staging, target: str, key_type: KeyType | None = None) -> None:
        self.staging, self._key_type = staging, key_type
        self.manifest_file = ManifestFile(staging, target)
        self.layers = LayerWriter(staging, f"{self.manifest_file.folder}/layers")
        self.owed_folder = f"{self.manifest_file.folder}/owed"
        self.suppressions = f"{self.manifest_file.folder}/suppressions"

    def read(self) -> Manifest:
        """The manifest as it is now."""
        return self.manifest_file.read()

    def check_key_type(self) -> str:
        """Raise OtherKeyType where the ledger has keys of another type; in words, what is odd about its keys."""
        return self._key_type.check(self.staging, self.read()) if self._key_type else ""

    def write_intent(
        self,
        lease: Lease,
        planned_against: int,
        age: Age,
        folder: str,
        state: Literal["live", "removed"] = "live",
        owed: str = "",
    ) -> Manifest:
        """Write the intent of a load, which is write-ahead: before its first request, the rows that it may send; and
        the folder of owed ones that it may send too.

        Raises CommitConflict where the ledger is no longer what was planned against, LeaseLost, and OtherKeyType.
        """

        def edit(manifest: Manifest) -> Manifest:
            manifest.check_base_of(PlanRef(lease.load_id, planned_against))
            own = Intent(
                folder, age.not_after(self.after(manifest)), state, planned_against, manifest.version + 1, owed
            )
            return self._keyed(manifest).changed(intents={**manifest.intents, lease.load_id: own})

        return lease.change(edit)

    def withdraw_intent(self, lease: Lease) -> Manifest:
        """Withdraw the intent of a load of which certainly nothing arrived. Raises LeaseLost."""

        def edit(manifest: Manifest) -> Manifest:
            others = {load_id: intent for load_id, intent in manifest.intents.items() if load_id != lease.load_id}
            has_keys = manifest.layers or others or manifest.owed
            key_type = manifest.key_type if has_keys else ""
            return manifest.changed(intents=others, key_type=key_type)

        return lease.change(edit)

    def commit(
        self,
        lease: Lease,
        commit: Commit,
        rejected: Collection[int] = (),
        sent_before: bool = False,
        owed: OwedCommit | None = None,
    ) -> Manifest:
        """Enter what was acknowledged; `rejected` rows, by their numbers, were not.

        `sent_before`: nobody knows what became of an earlier batch of the same rows, so the rejected ones are unknown.
        `owed`: what becomes of the rows that are owed; None leaves them as they are.

        Raises CommitConflict where the ledger is no longer what was planned against, and LeaseLost where another load
        has the lease: then nothing is entered, and the load's intent stays.
        """
        plan = commit.origin.plan
        before = lease.owned(self.read())
        if before.has_applied(plan):
            return before  # the process ended between the commit and remembering it
        before.check_base_of(plan)  # before the work; what counts is the check in `edit`

        def edit(manifest: Manifest) -> Manifest:
            manifest.check_base_of(plan)
            return replace(
                manifest.owing(owed.left, self.after(manifest)) if owed else manifest,
                newest_snapshot=commit.snapshot or manifest.newest_snapshot,
                committed_at=commit.committed_at,
                committed=plan,
                intents=_intent_to_expire(commit, manifest.version + 1),
            )

        adds = owed is not None and owed.adds
        added = [*self.layers.copy(commit.kept), *self._sent(commit, rejected, sent_before, adds)]
        if owed:
            added += [self.layers.write(rows) for rows in (owed.doubtful, owed.paid) if rows is not None]
        return self._put_on_top(lease, added, edit, plan.load_id, self._rejected(commit, rejected, adds))

    def commit_expired(
        self,
        lease: Lease,
        written_as: int,
        age: Age,
        expired: str,
        refused: Refusals,
        plan: PlanRef | None = None,
    ) -> Manifest:
        """Enter tombstones for the rows in a folder, sent again to expire by the intent of version `written_as`.

        Those that were refused stay as they were; where a batch before may have made them expire, nobody knows. `plan`:
        what is carried out by this, if it is a load of its own. Raises as `commit`.
        """

        def edit(manifest: Manifest) -> Manifest:
            if manifest.version != written_as:
                raise CommitConflict.of(PlanRef(lease.load_id, written_as), manifest.version)
            return replace(manifest, intents={}, committed=plan or manifest.committed)

        before = self.read()
        now = self.after(before)
        age = age.not_after(now)
        layers = [self.layers.tombstones(expired, age, refused.rows)]
        if refused.rows and refused.sent_before:
            keys = (key for batch in self.layers.keys(expired, refused.rows) for key in batch["_key"].to_pylist())
            layers.append(self.layers.unknown(before, ((key, None) for key in keys), age, now))
        return self._put_on_top(lease, layers, edit, lease.load_id)

    def invalidate(
        self,
        lease: Lease,
        rows: Iterable[tuple[str, str | None]],
        age: Age,
        rejected: Batches | None = None,
        until: datetime | None = None,
    ) -> Manifest:
        """Invalidate the keys that another way of writing concerns, before it sends: the next load sends them again.

        `rows` are keys as JSON text, each with its record, canonical JSON text, or None where that is not known: then a
        guard judges the key by what was last known of it. `rejected` has the keys, as `_key`, that will not be sent
        since they are unfit: what is known of them stays true, of this age. `until`: records that are there, and are
        written to now, expire then, or later.
        Raises LeaseLost.
        """
        age = age.not_after(self.now)
        unknown = self.layers.unknown(self.read(), rows, age, until)
        return self._put_on_top(
            lease, [unknown], _without_intents, rejected=[Rejected(rejected, age)] if rejected else ()
        )

    def resolve_as_unknown(self, lease: Lease) -> Manifest:
        """Resolve all intents, this load's included, without knowing what arrived: their rows are unknown from now on.

        For an import that nobody could confirm, or that nobody waits for. Raises LeaseLost.
        """
        return self._put_on_top(lease, [], _without_intents)

    @property
    def now(self) -> datetime:
        """The time, later than whatever stands in the ledger: what is read or done now comes after that, although this
        worker's clock may be behind that of who wrote it."""
        return self.after(self.read())

    def after(self, manifest: Manifest) -> datetime:
        """The same, of a manifest that was just read."""
        return not_before(self.staging.surroundings.now(), manifest.latest)

    def _sent(self, commit: Commit, rejected: Collection[int], sent_before: bool, owed: bool) -> list[Layer]:
        if not rejected:
            return self.layers.link(commit.sent, commit.origin)
        refused = replace(commit.origin, age=_age_of_refused(commit, owed))
        doubtful = [self.layers.doubtful(commit.sent, refused, rejected)] if sent_before else []
        return [*doubtful, self.layers.accepted(commit.sent, commit.origin, rejected)]

    def _rejected(self, commit: Commit, refused: Collection[int], owed: bool) -> Iterator[Rejected]:
        """The keys that a load had and that were rejected, here or by the server. Of a snapshot none are needed."""
        if commit.snapshot:
            return
        if unfit := row_files.refused_keys(self.staging, commit.frozen) if commit.frozen else None:
            yield Rejected(unfit, commit.origin.age)
        if refused:
            yield Rejected(self.layers.keys(commit.sent, refused), _age_of_refused(commit, owed))

    def _put_on_top(
        self,
        lease: Lease,
        added: list[Layer],
        edit: Callable[[Manifest], Manifest],
        load_id: str = "",
        rejected: Iterable[Rejected] = (),
    ) -> Manifest:
        """Put layers on top, and resolve the intents of all loads but `load_id`: their rows go below, as unknown.

        What was rejected is raised to its load's age where it is older even with these layers. The type of the keys is
        fixed with those that may be at the target: a load that sends nothing fixes none.
        """
        before = lease.owned(self.read())
        stack, now = [*self.layers.resolved(before, without=load_id), *added], self.after(before)
        may_be_there = any(layer.rows for layer in stack)
        for one in rejected:
            base = replace(before, layers=(*before.layers, *(layer for layer in stack if layer.rows)), intents={})
            stack.append(self.layers.rejected(base, one))
        layers = tuple(replace(layer, committed_at=now) for layer in stack if layer.rows)
        seed = before.key_digest.seed or self.staging.surroundings.new_id().hex
        if not before.layers:
            self.layers.keep_digests(layers, seed)

        def add(manifest: Manifest) -> Manifest:
            if (manifest.version, manifest.layers) != (before.version, before.layers):
                raise CommitConflict.of(PlanRef(lease.load_id, before.version), manifest.version)
            edited = edit(manifest)
            if may_be_there or edited.intents or edited.owed:
                edited = self._keyed(edited)
            if layers and not edited.key_digest.seed:
                edited = replace(edited, key_digest=KeyDigest(seed=seed))
            return edited.changed(layers=(*manifest.layers, *layers))

        return lease.change(add)

    def _keyed(self, manifest: Manifest) -> Manifest:
        return self._key_type.fixed_in(manifest) if self._key_type else manifest


def _age_of_refused(commit: Commit, owed: bool) -> Age:
    """How old what is entered of refused keys is. If they are owed, it is just older than they are: so whatever else is
    of their age, or newer, is a later word on their key, and no owed row outdates itself."""
    age = commit.origin.age
    return age.just_before if owed else age


def _intent_to_expire(commit: Commit, version: int) -> dict[str, Intent]:
    """The intent that is left after a commit, which makes a version: of the rows that are to be expired next."""
    if not commit.removed:
        return {}
    return {commit.origin.plan.load_id: Intent(commit.removed, commit.origin.age, "removed", version, version)}


def _without_intents(manifest: Manifest) -> Manifest:
    return replace(manifest, intents={})


def ledger_of(
    staging: Staging, kind: str, host: str, target: str, alias: str = "", key_type: str = ""
) -> Ledger | None:
    """The ledger of a target, as `folder_of` finds it; None where staging cannot hold one. Raises SettingsError.

    `key_type` is that of the keys which are written, if there are several.
    """
    if not compare_and_swap.supports_compare_and_swap(staging.fs):
        return None
    folder = folder_of(staging, kind, host, target, alias)
    return Ledger(staging, folder, KeyType(key_type, target) if key_type else None)
