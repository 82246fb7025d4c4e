"""What a state in the upload history means: the only place that knows. No I/O here.

The vendor names "Upload History" ("you can check Upload History to confirm that your file has been processed") but
documents neither an endpoint nor states. The states here are those of the history format that a connection's
`upload_history_url` serves: a JSON array of entries. `contract.dcp.readback` tells what it sees in the same form.
"""

import logging
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import Enum
from typing import Any
from urllib.parse import unquote

from optimove_provider.contract.how_many import how_many
from optimove_provider.contract.wire.members import OddMember
from optimove_provider.contract.wire.messages import Response
from optimove_provider.contract.wire.outside import MAX_TEXT, cut

log = logging.getLogger(__name__)


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


_LIMITS = {"file": 4096, "status": 100, "message": MAX_TEXT, "created": 100, "evidence": 100}
"""Characters that are kept. A key has 1024 bytes at most, each three when escaped, and a bucket may stand before it."""


_NOT_SERVED = ("evidence", "read_back")
UNREADABLE = "unreadable"
"""The `evidence` of a file of which nothing can be seen: its profiles cannot be read, and there is no history."""


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One file in the history: `file` is its S3 key, or the end of it; `created` an ISO instant, or seconds since 1970.

    Rows are counts, None where nobody counted. Where no history tells, `evidence` says what shows it, and `read_back`
    in how many profiles: see `contract.dcp.readback`.
    """

    file: str
    status: str
    rows_processed: int | None = None
    rows_failed: int | None = None
    message: str = ""
    created: str = ""
    evidence: str = ""
    read_back: int | None = None

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> "HistoryEntry":
        """Read an entry; members that are not known are ignored. A missing `file` or `status` is a KeyError, what is no
        text or no count a ValueError."""
        return cls(
            file=_text(entry, "file"),
            status=_text(entry, "status"),
            rows_processed=_count(entry, "rows_processed"),
            rows_failed=_count(entry, "rows_failed"),
            message=str(entry.get("message") or ""),
            created=str(entry.get("created") or ""),
            evidence=str(entry.get("evidence") or ""),
            read_back=_count(entry, "read_back"),
        )

    def told_by(self, response: Response) -> "HistoryEntry":
        """The entry as it may be told: not too long, and without the secrets that the answer may have echoed."""
        told: dict[str, Any] = {
            name: cut(response.shown(getattr(self, name), limit)) for name, limit in _LIMITS.items()
        }
        return replace(self, **told)

    def as_json(self) -> dict[str, Any]:
        """The entry as the history serves it; without what only reading back tells, where a history is the evidence."""
        content = {name: getattr(self, name) for name in self.__slots__}
        return {name: value for name, value in content.items() if name not in _NOT_SERVED or value not in (None, "")}

    @property
    def state(self) -> ImportState:
        """A completed file with failed rows is a failure; an unknown state is one too, never looped on. What cannot be
        seen is not waited for."""
        if self.evidence == UNREADABLE:
            return ImportState.DONE
        state = STATES.get(self.status.lower(), ImportState.FAILED)
        return ImportState.FAILED if state is ImportState.DONE and self.rows_failed else state

    @property
    def sentence(self) -> str:
        """The entry in words, for a log or an error."""
        is_known = self.status.lower() in STATES or self.evidence == UNREADABLE
        unknown = "" if is_known else " (a state this package does not know)"
        done, failed = self.rows_processed, self.rows_failed or 0
        rows = "" if done is None else f", {how_many(done, 'row')} processed, {failed} failed"
        evidence = f" ({self.evidence})" if self.evidence else ""
        return f"{self.file}: {self.status}{unknown}{evidence}{rows}" + (f": {self.message}" if self.message else "")


def _text(entry: Mapping[str, Any], name: str) -> str:
    if not isinstance(entry[name], str):
        raise OddMember(f"{name} is {_said(entry[name])}, which is no text")
    return str(entry[name]).strip()


def _count(entry: Mapping[str, Any], name: str) -> int | None:
    """A count; None where nobody counted, so also where it is left out."""
    count = entry.get(name)
    if count is None:
        return None
    if isinstance(count, bool) or not re.fullmatch(r"\d{1,18}(\.0+)?", str(count).strip(), re.ASCII):
        raise OddMember(f"{name} is {_said(count)}, which is no count")
    return int(float(count)) if isinstance(count, float) else int(str(count).strip().partition(".")[0])


def _said(value: Any) -> str:
    """A short value as it is; of a longer one the type, since what is cut may show half of a secret."""
    text = repr(value)
    return text if len(text) <= _MAX_VALUE else f"a long {type(value).__name__}"


_MAX_VALUE = 100


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the history says about the files that are waited for."""

    state: ImportState
    entries: tuple[HistoryEntry, ...]
    absent: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """The outcome as a trigger's event carries it."""
        entries = [entry.as_json() for entry in self.entries]
        return {"state": self.state.value, "entries": entries, "absent": list(self.absent)}

    @classmethod
    def from_json(cls, outcome: Mapping[str, Any]) -> "Outcome":
        """Read what `as_json` wrote."""
        entries = tuple(HistoryEntry.from_json(entry) for entry in outcome["entries"])
        return cls(ImportState(outcome["state"]), entries, tuple(outcome["absent"]))

    @property
    def is_over(self) -> bool:
        """Whether every file was processed, well or not: one that failed says nothing of another."""
        return not self.absent and all(entry.state is not ImportState.WAIT for entry in self.entries)

    @property
    def sentence(self) -> str:
        """The outcome in words, one file after the other."""
        missing = [f"{file}: not in the history yet" for file in self.absent]
        return "; ".join([*(entry.sentence for entry in self.entries), *missing])


def read_history(
    found: Sequence[Any],
    files: Iterable[str],
    told: set[str] | None = None,
    shown: Callable[[str, int], str] = cut,
) -> list[HistoryEntry]:
    """Read the entries of a history. Odd ones of other files than these are passed over, with one warning.

    `told` holds what an earlier reading has warned of, which is not said again; `shown` makes what may be told of a
    text, at most so long.

    Raises what `HistoryEntry.from_json` does for an odd one that may be about one of the `files`.
    """
    wanted, entries, passed_over = tuple(files), list[HistoryEntry](), list[str]()
    for entry in found:
        try:
            entries.append(HistoryEntry.from_json(entry))
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
            name = entry.get("file") if isinstance(entry, Mapping) else None
            if isinstance(name, str) and any(_depth(name, file) for file in wanted):
                raise
            passed_over.append(shown(f"{name!r} ({error!r})", _MAX_ODD))
    _warn_once(passed_over, set() if told is None else told)
    return entries


_MOST_TOLD, _MAX_ODD = 1000, 300


def _warn_once(passed_over: Sequence[str], told: set[str]) -> None:
    news = [one for one in passed_over if one not in told]
    if not news or len(told) >= _MOST_TOLD:
        return
    told.update(news[:_MOST_TOLD])
    shown = "; ".join(news[:3]) + ("; ..." if len(news) > 3 else "")
    log.warning("%d odd entries of other files in the upload history are passed over: %s", len(news), shown)


def judge(history: Iterable[HistoryEntry], files: Iterable[str]) -> Outcome:
    """The common state of `files`: failed if one failed, done if all are done, else wait.

    A history may name a file by its key, by the end of it after a slash, or by its bare name; what names the key best
    counts, unless it names several of the files. The newest entry of a file counts, of equally new ones the last that
    is listed; a file that is not listed yet is waited for.
    """
    wanted, entries = tuple(dict.fromkeys(files)), list(history)
    found = {file: _newest(_about(file, wanted, entries)) for file in wanted}
    absent = tuple(file for file in wanted if found[file] is None)
    return common_state([entry for entry in found.values() if entry], absent)


def _about(file: str, wanted: Sequence[str], history: Iterable[HistoryEntry]) -> list[HistoryEntry]:
    """The entries about one of the files, those that name it best."""
    depths = [(_depth(entry.file, file), entry) for entry in history]
    best = max((depth for depth, _ in depths), default=0)
    named = [entry for depth, entry in depths if depth == best > 0]
    return [
        entry for entry in named if sum(_depth(entry.file, one) == best for one in wanted) == 1 or entry.file == file
    ]


_BUCKET = re.compile(r"(?:[a-z][a-z0-9+.-]*://[^/]*)?/+", re.IGNORECASE)


def _depth(named: str, key: str) -> int:
    """How many parts of an S3 key a history's name for a file agrees with, from the end; 0 if it is another file's."""
    bare = named.strip()
    is_url = bare.lower().startswith(("http://", "https://"))
    unsigned = bare.partition("?")[0] if is_url else bare
    for name in (bare, unquote(bare), unsigned, unquote(unsigned)):
        bucket = _BUCKET.match(name)
        name = name[bucket.end() :] if bucket else name
        if name and (key == name or key.endswith(f"/{name}")):
            return name.count("/") + 1
        if is_url and name.partition("/")[2] == key:  # its path begins with the bucket
            return key.count("/") + 1
    return 0


def _newest(entries: Sequence[HistoryEntry]) -> HistoryEntry | None:
    newest: HistoryEntry | None = None
    for entry in entries:
        if newest is None or _instant(entry.created) >= _instant(newest.created):
            newest = entry
    return newest


_NEVER = datetime.min.replace(tzinfo=UTC)
_MILLISECONDS_FROM = 10**11
"""As seconds that would be the year 5138."""


def _instant(created: str) -> datetime:
    """When an entry was made: an instant as in ISO or in mail, of UTC unless it says otherwise, or a number since 1970;
    else never."""
    try:
        if re.fullmatch(r"\d+(\.\d+)?", created, re.ASCII):
            seconds = float(created)
            return _1970 + timedelta(seconds=seconds / 1000 if seconds >= _MILLISECONDS_FROM else seconds)
        found = parsedate_to_datetime(created) if "," in created else datetime.fromisoformat(created)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return _NEVER


_1970 = datetime(1970, 1, 1, tzinfo=UTC)


def common_state(entries: Iterable[HistoryEntry], absent: Iterable[str] = ()) -> Outcome:
    """The state of several files, of which those in `absent` are not known yet: failed if one failed, else wait."""
    entries, absent = tuple(entries), tuple(absent)
    states = {entry.state for entry in entries} | ({ImportState.WAIT} if absent else set())
    for state in (ImportState.FAILED, ImportState.WAIT):
        if state in states:
            return Outcome(state, entries, absent)
    return Outcome(ImportState.DONE, entries, absent)


def counted(outcome: Outcome, rows: int) -> Outcome:
    """The outcome, given how many rows were sent in all of its files: fewer that were imported are a failure.

    Where nobody counted, the outcome stays.
    """
    counts = [entry.rows_processed for entry in outcome.entries]
    if outcome.state is not ImportState.DONE or not counts or None in counts:
        return outcome
    missing = rows - sum(count for count in counts if count is not None)
    if missing <= 0:
        return outcome
    told = f"{missing} of the {rows} rows that were sent are missing"
    last = outcome.entries[-1]
    entries = (*outcome.entries[:-1], replace(last, message="; ".join(filter(None, [last.message, told]))))
    return Outcome(ImportState.FAILED, entries, outcome.absent)
