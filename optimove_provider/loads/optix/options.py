"""What is to be done with the rows of a source."""

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal

from optimove_provider.contract.wire.errors import SettingsError
from optimove_provider.contract.wire.targets import connection_uuid
from optimove_provider.kinds import LONGEST_TTL_SECONDS
from optimove_provider.loads.owed.choice import OwedLimits
from optimove_provider.loads.plan.modes import check_deletes, check_limit, check_modes
from optimove_provider.loads.plan.plan import PlanInput
from optimove_provider.loads.report.max_rejected import check_max_rejected
from optimove_provider.loads.spool.freeze import Spool, StandsFor
from optimove_provider.loads.state.age import Age
from optimove_provider.options import Guards, Sending
from optimove_provider.records.to_json.encode import KEY_TYPES
from optimove_provider.records.to_json.encoding import Encoding


@dataclass(frozen=True, slots=True)
class OptixTarget:
    """Where the rows go. `ttl_seconds` None means that they never expire."""

    data_connection_uuid: str
    primary_key: str
    key_type: str = "string"
    ttl_seconds: int | None = None

    def __post_init__(self) -> None:
        if self.key_type not in KEY_TYPES:
            raise SettingsError(f"key_type {self.key_type!r}: expected {' or '.join(KEY_TYPES)}")
        if self.ttl_seconds is not None and not 0 < self.ttl_seconds <= LONGEST_TTL_SECONDS:
            raise SettingsError(
                f"ttl_seconds {self.ttl_seconds}: expected more than 0 and at most {LONGEST_TTL_SECONDS}, or None for "
                "never"
            )
        object.__setattr__(self, "data_connection_uuid", connection_uuid(self.data_connection_uuid))

    def with_ttl(self, ttl_seconds: int) -> "OptixTarget":
        """The same target for rows that expire after so many seconds."""
        return replace(self, ttl_seconds=ttl_seconds)


@dataclass(frozen=True, slots=True)
class UploadOptions:
    """`mode` "full" sends every row that is not stale, "changed" only what the target does not have already.

    `source_is`: a "snapshot" has every key that is to be there, a "delta" some of them. `generation` is the instant
    that the rows stand for, if that is earlier than the one at which the source is opened; `opened` when they were read
    for the first time, if they are sent again; `read_from` since when others have read the source, whose rows a load
    takes. `nulls`: "omit" leaves a null field out,
    "null" sends it, "refuse" rejects the row. `max_rejected`: how many rows may be rejected, or which share of all rows
    if it is below 1. `expected_plan` is the digest of the one plan that may be carried out. `dry_run` is
    set by `load.plan`. `all_may_be_bad`: each row may be refused in the same words, since each was before: that is no
    failure of the load, as long as `max_rejected` allows it. `limit`: so many rows of the source are read, and the
    load is a delta, whatever the source is. `resend_rejected`: what the server refuses is owed to the target, and goes
    again with later loads, `sending.owed_tries` times. `stamp`, a JSON object, is sent with each record.
    `deleted_column` says which rows of a delta are deletions.
    """

    target: OptixTarget
    mode: Literal["full", "changed"] = "full"
    source_is: Literal["snapshot", "delta"] = "delta"
    on_removed: Literal["report", "expire"] = "report"
    nulls: str = "omit"
    max_rejected: float = 0
    guards: Guards = field(default_factory=Guards)
    generation: datetime | None = None
    opened: datetime | None = None
    read_from: datetime | None = None
    expected_plan: str | None = None
    dry_run: bool = False
    all_may_be_bad: bool = False
    limit: int | None = None
    resend_rejected: bool = False
    stamp: str = ""
    deleted_column: str | None = None
    sending: Sending = field(default_factory=Sending)

    def __post_init__(self) -> None:
        check_max_rejected(self.max_rejected)
        check_modes(self.mode, self.source_is, self.on_removed)
        check_limit(self.limit, self.on_removed)
        check_deletes(self.deleted_column, self.source_is, self.target.primary_key)
        if self.limit is not None:
            object.__setattr__(self, "source_is", "delta")

    @property
    def compares(self) -> bool:
        """Whether it is asked for what changes, besides by a guard."""
        return self.mode == "changed" or self.dry_run or bool(self.expected_plan)

    @property
    def encoding(self) -> Encoding:
        """How rows become records."""
        target = self.target
        return Encoding(target.primary_key, target.key_type, self.nulls, self.deleted_column, bool(self.opened))

    @property
    def stands_for(self) -> StandsFor:
        """How old the rows are, if they are older than now."""
        return self.generation, self.opened or self.read_from

    def frozen(self, load_id: str, spool: Spool, age: Age, stamp: str = "") -> PlanInput:
        """The frozen rows of a load and their stamp, as a plan wants them. Where a row's key cannot be told, nothing
        is gone."""
        return PlanInput(
            load_id,
            spool.parts.folder,
            age,
            self.source_is,
            self.mode,
            self.on_removed,
            self.target.ttl_seconds,
            spool.filled,
            self.compares,
            self.guards.max_changed_share is not None,
            not spool.keyless,
            owed=self._owed_limits(stamp),
            deletes_by=self.target.primary_key if self.deleted_column else "",
        )

    def _owed_limits(self, stamp: str) -> OwedLimits:
        """A row that is refused again costs up to two requests to find: so many as `max_bisect_requests` allows."""
        if not self.resend_rejected:
            return OwedLimits()
        return OwedLimits(True, self.sending.owed_tries, self.sending.max_bisect_requests // 2, stamp)

    def without_ledger(self) -> "UploadOptions":
        """The same where there is no ledger. Raises SettingsError for what needs one."""
        needs = self.mode == "changed" or self.on_removed == "expire" or self.expected_plan
        if needs or self.deleted_column or self.resend_rejected:
            raise SettingsError(
                "mode='changed', on_removed='expire', deleted_column, expected_plan and resend_rejected=True need a "
                "ledger, and [optimove] staging is on a storage without compare-and-swap: use a local folder or S3, or "
                "mode='full' without the others"
            )
        return replace(self, source_is="delta")
