"""What a snapshot lacks is made to expire: a second batch after the load's commit, and a second commit after that."""

from dataclasses import asdict, dataclass
from typing import Any

from optimove_provider.loads.ledger.lease import Lease
from optimove_provider.loads.ledger.ledger import NO_REFUSALS, Ledger, Refusals
from optimove_provider.loads.ledger.query import MAX_MEMORY
from optimove_provider.loads.plan import diff
from optimove_provider.loads.plan.plan import Plan
from optimove_provider.loads.spool import row_files
from optimove_provider.loads.spool.row_files import ROWS
from optimove_provider.loads.state.age import Age

TTL_SECONDS = 1
"""Documented expiry is the only way to remove a record: it is sent once more, to be gone at once."""


@dataclass(frozen=True, slots=True)
class Expiry:
    """Rows to be sent again with a TTL of one second: how many, and their folder in staging.

    Their intent made version `written_as` of the manifest.
    """

    rows: int
    sent: str
    written_as: int
    age: Age

    def as_json(self) -> dict[str, Any]:
        """For the journal."""
        return {**asdict(self), "age": self.age.as_json()}


def begin_expiry(ledger: Ledger, lease: Lease, plan: Plan, folder: str, max_memory: str = MAX_MEMORY) -> Expiry:
    """The rows of a committed plan that are to expire and that nobody has written since, with their intent written."""
    staging, manifest = ledger.staging, ledger.read()
    has_intent = plan.load.load_id in manifest.intents  # by its commit, unless another load has committed since
    written_as = manifest.version if has_intent else manifest.version + 1
    sent, rows = f"{folder}/rows-{written_as}", 0
    if plan.removed:
        _, last = row_files.size(staging, plan.removed)
        wanted = diff.still_removed(staging, manifest, plan.removed, last, plan.load.age, max_memory)
        rows = row_files.write(
            staging, f"{sent}/rows.parquet", row_files.pick_rows(staging, plan.removed, wanted), ROWS
        )
    if rows and not has_intent:
        ledger.write_intent(lease, manifest.version, plan.load.age, sent, "removed")
    return Expiry(rows, sent, written_as, plan.load.age)


def commit_expiry(ledger: Ledger, lease: Lease, expiry: Expiry, refused: Refusals = NO_REFUSALS) -> None:
    """Make tombstones of what expires, once the batch is acknowledged; of rows that were refused, none.

    Raises as a commit does.
    """
    if not expiry.rows and lease.load_id not in ledger.read().intents:
        return  # an earlier try has done it
    ledger.commit_expired(lease, expiry.written_as, expiry.age, expiry.sent, refused)
