"""What a load did with every row, for machines and for the task's result."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from optimove_provider.loads.staging import Staging

STATES = ("planned", "uploaded", "committed", "nothing_to_send", "failed")


@dataclass(slots=True)
class Report:
    """The account of one load: rows = accepted + rejected + unchanged + stale + unsent, always.

    `accepted` are rows that the vendor took and that are, or will be, visible; rows of a batch that was never
    completed are `unsent`, and `problem` says how many of them had been answered with success.
    """

    load_id: str
    target: Mapping[str, Any]
    state: str = "planned"
    rows: int = 0
    accepted: int = 0
    rejected: int = 0
    unchanged: int = 0
    stale: int = 0
    seconds: float = 0.0
    problem: str = ""
    s3_keys: tuple[str, ...] = field(default=())

    @property
    def unsent(self) -> int:
        """Rows of which none of the other numbers speaks."""
        return self.rows - self.accepted - self.rejected - self.unchanged - self.stale

    @property
    def sentence(self) -> str:
        """The account in words, for the log."""
        counts = ", ".join(f"{getattr(self, name)} {name}" for name in _COUNTS if getattr(self, name))
        return f"load {self.load_id}: {self.state}, {self.rows} rows" + (f": {counts}" if counts else "")

    def file(self, staging: Staging) -> dict[str, Any]:
        """Write the report to staging; returns the task's result: small, JSON-able, with the report's URL."""
        content = {**asdict(self), "unsent": self.unsent}
        url = staging.write(f"reports/{self.load_id}.json", content)
        return {name: content[name] for name in ("load_id", "state", "rows", *_COUNTS)} | {"report": url}


_COUNTS = ("accepted", "rejected", "unchanged", "stale", "unsent")
