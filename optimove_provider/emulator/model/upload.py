"""One file that was put under a table's S3 path, on its way into the table. No I/O here."""

from dataclasses import dataclass
from typing import Literal

from optimove_provider.contract.dcp.upload_history import HistoryEntry
from optimove_provider.emulator.model.object_store import StoredObject

Status = Literal["pending", "processing", "completed", "failed"]


@dataclass(slots=True)
class Upload:
    """A file as the history shows it. `noticed` is when the emulator first saw it, in epoch seconds."""

    found: StoredObject
    table_id: int
    noticed: float
    created: str
    polls: int = 0
    status: Status = "pending"
    rows_processed: int = 0
    rows_failed: int = 0
    message: str = ""

    @property
    def finished(self) -> bool:
        """Whether nothing will happen to it any more."""
        return self.status in ("completed", "failed")

    @property
    def entry(self) -> HistoryEntry:
        """Its entry in the history."""
        return HistoryEntry(
            file=self.found.key,
            status=self.status,
            rows_processed=self.rows_processed,
            rows_failed=self.rows_failed,
            message=self.message,
            created=self.created,
        )
