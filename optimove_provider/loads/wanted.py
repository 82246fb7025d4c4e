"""What is to be done with the rows of a source."""

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal

from optimove_provider.contract.errors import SettingsError
from optimove_provider.loads.flight import Manner
from optimove_provider.loads.guards import Guards
from optimove_provider.loads.modes import check_modes
from optimove_provider.loads.plan import Frozen
from optimove_provider.loads.rejects import check_max_rejected
from optimove_provider.loads.send import OptixTarget
from optimove_provider.loads.spool import Spool


@dataclass(frozen=True, slots=True)
class Wanted:
    """`mode` "full" sends every row that is not stale, "changed" only what the target does not have already.

    `source_is`: a "snapshot" has every key that is to be there, a "delta" some of them. `generation` is the instant
    that the rows stand for; None means the one at which the source is opened. `nulls`: "omit" leaves a null field out,
    "null" sends it, "refuse" rejects the row. `max_rejected`: how many rows may be rejected, or which share of all rows
    if it is below 1. `expected_plan` is the digest of the one plan that may be carried out. `dry_run` is
    set by `load.plan`.
    """

    target: OptixTarget
    mode: Literal["full", "changed"] = "full"
    source_is: Literal["snapshot", "delta"] = "delta"
    on_removed: Literal["report", "expire"] = "report"
    nulls: str = "omit"
    max_rejected: float = 0
    guards: Guards = field(default_factory=Guards)
    generation: datetime | None = None
    expected_plan: str | None = None
    dry_run: bool = False
    manner: Manner = field(default_factory=Manner)

    def __post_init__(self) -> None:
        check_max_rejected(self.max_rejected)
        check_modes(self.mode, self.source_is, self.on_removed)

    @property
    def compares(self) -> bool:
        """Whether the rows' fingerprints matter."""
        return self.mode == "changed" or self.dry_run or bool(self.expected_plan)

    def frozen(self, load_id: str, spool: Spool, opened: datetime) -> Frozen:
        """The frozen rows of a load, as a plan wants them. Where a row's key cannot be told, nothing can be expired."""
        return Frozen(
            load_id,
            spool.parts.folder,
            self.generation or opened,
            self.source_is,
            self.mode,
            "report" if spool.keyless else self.on_removed,
            self.target.ttl_seconds,
            spool.filled,
            self.compares,
        )

    def without_ledger(self) -> "Wanted":
        """The same where there is no ledger. Raises SettingsError for what needs one."""
        if self.mode == "changed" or self.on_removed == "expire" or self.expected_plan:
            raise SettingsError(
                "mode='changed', on_removed='expire' and expected_plan need a ledger, and [optimove] staging is on a "
                "storage without compare-and-swap: use a local folder or S3, or mode='full'"
            )
        return replace(self, source_is="delta")
