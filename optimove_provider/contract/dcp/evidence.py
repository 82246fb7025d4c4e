"""What shows that the rows of imported files are stored. No I/O here."""

from optimove_provider.contract.dcp.upload_history import Outcome
from optimove_provider.contract.wire.evidence import NONE, SAMPLED, Evidence

NOT_SEEN = Evidence(NONE, why="the files are uploaded, and nobody has seen yet that they are imported")


def evidence_of(outcome: Outcome, sent: int | None) -> Evidence:
    """What an outcome shows of the rows of its files, of which so many were `sent`: None where that is not known."""
    entries = outcome.entries
    if all(entry.rows_processed is not None for entry in entries):
        return Evidence()
    if read_back := sum(entry.read_back or 0 for entry in entries):
        return Evidence(SAMPLED, read_back, sent)
    told = "; ".join(filter(None, (entry.message for entry in entries if entry.evidence)))
    return Evidence(NONE, why=told or "the upload history counts no rows")
