"""What shows that rows which were sent are stored: somebody counted them, a few were read back, or nothing. No I/O.

DCP may store "the successfully processed rows" of a file and tell nobody of the others, and Opti-X may leave out the
update of a key that is not there. So what was not counted is not proven, and whoever reports rows as accepted says on
what evidence.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

Kind = Literal["counted", "sampled", "none"]
COUNTED: Kind = "counted"
SAMPLED: Kind = "sampled"
NONE: Kind = "none"


@dataclass(frozen=True, slots=True)
class Evidence:
    """`read_back` rows of the `of` that were sent were read back and found; `of` is None where nobody knows how many
    were sent. `why` says why nobody counted."""

    kind: Kind = COUNTED
    read_back: int | None = None
    of: int | None = None
    why: str = ""

    def as_json(self) -> dict[str, Any]:
        """As reports and results have it: {"kind": "counted"}, {"kind": "sampled", "read_back": n, "of": m} or
        {"kind": "none", "why": text}."""
        return {name: value for name, value in asdict(self).items() if value not in (None, "")}

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> "Evidence":
        """Read what `as_json` gave."""
        return cls(**found)

    def __str__(self) -> str:
        """As a ledger keeps it: "counted", "sampled 20 of 1000" or "none"."""
        if self.kind != SAMPLED:
            return self.kind
        return f"sampled {self.read_back}" + ("" if self.of is None else f" of {self.of}")

    @property
    def words(self) -> str:
        """The same for people."""
        return self.sentence or COUNTED

    @property
    def sentence(self) -> str:
        """The same for people; "" where there is nothing to warn of."""
        if self.kind == COUNTED:
            return ""
        if self.kind == NONE:
            return f"counted by nobody: {self.why}" if self.why else "counted by nobody"
        of = "" if self.of is None else f" of {self.of}"
        return f"sampled: {self.read_back} rows{of} were read back, and nobody counted the others"


def evidence_in(account: Mapping[str, Any]) -> Evidence | None:
    """What a report, or a task's result, says of its accepted rows; None where there are none, or where a version wrote
    it that knew no evidence."""
    found = account.get("evidence")
    return Evidence.from_json(found) if found and account.get("accepted") else None
