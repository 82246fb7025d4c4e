"""What a commit makes of the rows that are owed: those that were accepted are no more, and others are from now on."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain

import pyarrow as pa

from optimove_provider.loads.ledger.ledger import Commit, Ledger, OwedCommit
from optimove_provider.loads.owed import rows
from optimove_provider.loads.owed.choice import OwedPlan
from optimove_provider.loads.owed.rows import OWED, SENT
from optimove_provider.loads.spool import row_files
from optimove_provider.loads.state.journal import Rejection


@dataclass(frozen=True, slots=True)
class RefusedRows:
    """What the server refused, by row number: of a load's own rows, and of the owed ones that it sent."""

    own: Mapping[int, Rejection] = field(default_factory=dict)
    owed: Mapping[int, Rejection] = field(default_factory=dict)


def settle(
    ledger: Ledger, plan: OwedPlan, adds: bool, commit: Commit, refused: RefusedRows, sent_before: bool
) -> OwedCommit:
    """What a commit is to enter. `adds`: the load's own refused rows are owed. `sent_before`: nobody knows what became
    of an earlier batch of the same rows."""
    staging, before = ledger.staging, ledger.read().owed
    added = refused.own if adds else {}

    def sent() -> Iterator[pa.RecordBatch]:
        return row_files.read_rows(staging, plan.sent, SENT.names)

    def unchanged() -> Iterator[pa.RecordBatch]:
        if not plan.has_changes:
            return rows.read_owed(staging, before)
        return row_files.read_rows(staging, plan.waiting, OWED.names) if plan.waiting else iter(())

    left = before
    if plan.has_changes or added:
        own, origin = (ledger.layers.rows_of(commit.sent) if added else ()), commit.origin
        found = chain(
            unchanged(),
            rows.refused_again(sent() if refused.owed else (), refused.owed),
            rows.newly_owed(own, added, origin.age, origin.plan.load_id, commit.committed_at),
        )
        left = rows.write_owed(staging, ledger.owed_folder, found)
    is_any_paid, in_doubt = plan.rows > len(refused.owed), sent_before and bool(refused.owed)
    return OwedCommit(
        left,
        paid=rows.paid(sent(), refused.owed, commit.origin.expires, commit.origin.evidence) if is_any_paid else None,
        doubtful=rows.doubtful(sent(), refused.owed) if in_doubt else None,
        adds=bool(added),
    )
