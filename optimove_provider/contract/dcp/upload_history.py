"""What a state in the upload history means: the only place that knows. No I/O here.

The vendor names "Upload History" ("you can check Upload History to confirm that your file has been processed") but
documents neither an endpoint nor states. The states here are those of the history format that a connection's
`upload_history_url` serves: a JSON array of entries. `contract.dcp.readback` tells what it sees in the same form.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any


class ImportState(Enum):
    """What to do about a file, given its entry."""

    WAIT = "wait"
    DONE = "done"
    FAILED = "failed"


STATES: Mapping[str, ImportState] = {
    "pending": ImportState.WAIT,
    "processing": ImportState.WAIT,
    "completed": ImportState.DONE,
    "failed": ImportState.FAILED,
}


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One file in the history: `file` is its S3 key, `created` an ISO instant.

    Rows are counts, None where nobody counted. `evidence` says what shows it, where no history does: see
    `contract.dcp.readback`.
    """

    file: str
    status: str
    rows_processed: int | None = 0
    rows_failed: int | None = 0
    message: str = ""
    created: str = ""
    evidence: str = ""

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> "HistoryEntry":
        """Read an entry; members that are not known are ignored, a missing `file` or `status` is a KeyError."""
        return cls(
            file=str(entry["file"]),
            status=str(entry["status"]),
            rows_processed=_count(entry, "rows_processed"),
            rows_failed=_count(entry, "rows_failed"),
            message=str(entry.get("message") or ""),
            created=str(entry.get("created") or ""),
            evidence=str(entry.get("evidence") or ""),
        )

    def as_json(self) -> dict[str, Any]:
        """The entry as the history serves it; without `evidence`, where a history is the evidence."""
        content = {name: getattr(self, name) for name in self.__slots__}
        return content if self.evidence else {name: content[name] for name in content if name != "evidence"}

    @property
    def verdict(self) -> ImportState:
        """A completed file with failed rows is a failure; an unknown state is one too, never looped on."""
        verdict = STATES.get(self.status.lower(), ImportState.FAILED)
        return ImportState.FAILED if verdict is ImportState.DONE and self.rows_failed else verdict

    @property
    def sentence(self) -> str:
        """The entry in words, for a log or an error."""
        unknown = "" if self.status.lower() in STATES else " (a state this package does not know)"
        counted = self.rows_processed is not None
        rows = f", {self.rows_processed} rows processed, {self.rows_failed or 0} failed" if counted else ""
        evidence = f" ({self.evidence})" if self.evidence else ""
        return f"{self.file}: {self.status}{unknown}{evidence}{rows}" + (f": {self.message}" if self.message else "")


def _count(entry: Mapping[str, Any], name: str) -> int | None:
    """A count; null where nobody counted, 0 where it is left out."""
    count = entry.get(name, 0)
    return None if count is None else int(count)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the history says about the files that are waited for."""

    verdict: ImportState
    entries: tuple[HistoryEntry, ...]
    absent: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """The outcome as a trigger's event carries it."""
        entries = [entry.as_json() for entry in self.entries]
        return {"verdict": self.verdict.value, "entries": entries, "absent": list(self.absent)}

    @classmethod
    def from_json(cls, outcome: Mapping[str, Any]) -> "Outcome":
        """Read what `as_json` wrote."""
        entries = tuple(HistoryEntry.from_json(entry) for entry in outcome["entries"])
        return cls(ImportState(outcome["verdict"]), entries, tuple(outcome["absent"]))

    @property
    def is_over(self) -> bool:
        """Whether every file was processed, well or not: one that failed says nothing of another."""
        return not self.absent and all(entry.verdict is not ImportState.WAIT for entry in self.entries)

    @property
    def sentence(self) -> str:
        """The outcome in words, one file after the other."""
        missing = [f"{file}: not in the history yet" for file in self.absent]
        return "; ".join([*(entry.sentence for entry in self.entries), *missing])


def judge(history: Iterable[HistoryEntry], files: Iterable[str]) -> Outcome:
    """The common verdict on `files`: failed if one failed, done if all are done, else wait.

    The newest entry of a file counts; a file that is not listed yet is waited for.
    """
    newest: dict[str, HistoryEntry] = {}
    for entry in sorted(history, key=lambda entry: entry.created):
        newest[entry.file] = entry
    wanted = tuple(dict.fromkeys(files))
    entries = tuple(newest[file] for file in wanted if file in newest)
    absent = tuple(file for file in wanted if file not in newest)
    return common_verdict(entries, absent)


def common_verdict(entries: Iterable[HistoryEntry], absent: Iterable[str] = ()) -> Outcome:
    """The verdict on several files, of which those in `absent` are not known yet: failed if one failed, else wait."""
    entries, absent = tuple(entries), tuple(absent)
    verdicts = {entry.verdict for entry in entries} | ({ImportState.WAIT} if absent else set())
    for verdict in (ImportState.FAILED, ImportState.WAIT):
        if verdict in verdicts:
            return Outcome(verdict, entries, absent)
    return Outcome(ImportState.DONE, entries, absent)
