"""What a state in the upload history means: the only place that knows. No I/O here.

The vendor names "Upload History" ("you can check Upload History to confirm that your file has been processed") but
documents neither an endpoint nor states. The states here are those of the history format that a connection's
`upload_history_url` serves: a JSON array of entries.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any


class Verdict(Enum):
    """What to do about a file, given its entry."""

    WAIT = "wait"
    DONE = "done"
    FAILED = "failed"


STATES: Mapping[str, Verdict] = {
    "pending": Verdict.WAIT,
    "processing": Verdict.WAIT,
    "completed": Verdict.DONE,
    "failed": Verdict.FAILED,
}


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One file in the history: `file` is its S3 key, rows are counts, `created` an ISO instant."""

    file: str
    status: str
    rows_processed: int = 0
    rows_failed: int = 0
    message: str = ""
    created: str = ""

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> "HistoryEntry":
        """Read an entry; members that are not known are ignored, a missing `file` or `status` is a KeyError."""
        return cls(
            file=str(entry["file"]),
            status=str(entry["status"]),
            rows_processed=int(entry.get("rows_processed") or 0),
            rows_failed=int(entry.get("rows_failed") or 0),
            message=str(entry.get("message") or ""),
            created=str(entry.get("created") or ""),
        )

    def as_json(self) -> dict[str, Any]:
        """The entry as the history serves it."""
        return {name: getattr(self, name) for name in self.__slots__}

    @property
    def verdict(self) -> Verdict:
        """A completed file with failed rows is a failure; an unknown state is one too, never looped on."""
        verdict = STATES.get(self.status.lower(), Verdict.FAILED)
        return Verdict.FAILED if verdict is Verdict.DONE and self.rows_failed else verdict

    @property
    def sentence(self) -> str:
        """The entry in words, for a log or an error."""
        unknown = "" if self.status.lower() in STATES else " (a state this package does not know)"
        rows = f"{self.rows_processed} rows processed, {self.rows_failed} failed"
        return f"{self.file}: {self.status}{unknown}, {rows}" + (f": {self.message}" if self.message else "")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the history says about the files that are waited for."""

    verdict: Verdict
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
        return cls(Verdict(outcome["verdict"]), entries, tuple(outcome["absent"]))

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
    verdicts = {entry.verdict for entry in entries} | ({Verdict.WAIT} if absent else set())
    for verdict in (Verdict.FAILED, Verdict.WAIT):
        if verdict in verdicts:
            return Outcome(verdict, entries, absent)
    return Outcome(Verdict.DONE, entries, absent)
