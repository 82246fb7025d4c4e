"""Rejected rows: kept in one file with their reasons, which a replay reads, and judged by `max_rejected`."""

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain

from optimove_provider.loads.report.max_rejected import count
from optimove_provider.loads.report.report import Report
from optimove_provider.loads.spool.freeze import Spool
from optimove_provider.loads.spool.slices import RowFiles
from optimove_provider.loads.state.journal import Journal, Rejection, SliceOutcome
from optimove_provider.loads.state.staging import Staging
from optimove_provider.records.rejected_lines import REJECTED_ENDING, REJECTED_FILE, Marker, marked, rejected_line

RefusedRow = tuple[int, str, Rejection]
"""A row's number, its record, and what the server said of it."""


@dataclass(slots=True)
class SliceOutcomes:
    """What became of the slices of a load so far, by number."""

    by_slice: dict[int, SliceOutcome] = field(default_factory=dict)

    @property
    def accepted(self) -> int:
        """Rows that the server took."""
        return sum(one.accepted for one in self._settled)

    @property
    def rejected(self) -> int:
        """Rows that the server refused."""
        return sum(len(one.rejected) for one in self._settled)

    @property
    def _settled(self) -> Collection[SliceOutcome]:
        """A copy, made at once: threads add to the outcomes while others count them."""
        return self.by_slice.copy().values()

    @property
    def rows(self) -> int:
        """Rows whose outcome is known."""
        return self.accepted + self.rejected

    def refused(self, staging: Staging, parts: RowFiles) -> Iterator[RefusedRow]:
        """The rows that the server refused, in order: number and record of each, and what the server said."""
        numbers = sorted(number for number, outcome in self.by_slice.items() if outcome.rejected)
        for slice_ in parts.read(staging, numbers):
            for one in self.by_slice[slice_.number].rejected:
                yield slice_.rows[one.position].as_py(), slice_.records[one.position].as_py(), one


def keep_rejected(
    journal: Journal,
    spool: Spool,
    outcomes: SliceOutcomes,
    report: Report,
    parts: RowFiles,
    as_source: Callable[[str], str] = str,
    others: Sequence[RefusedRow] = (),
) -> None:
    """Write all rejected rows to `reports/<load id>.rejected.jsonl`, if there are any, and count them in the report.

    `parts` are those that `outcomes` speaks of; `as_source` makes a row of the source of what was sent of it. `others`:
    rows that were refused in another batch, each with its number and record.
    """
    report.rejected = spool.rejected + outcomes.rejected + len(others)
    if not report.rejected:
        return
    path, marker = f"reports/{report.load_id}{REJECTED_ENDING}", _marker(journal, report)
    report.reasons, report.examples = {}, []
    with journal.staging.open_new(path) as out:
        for line in _put_aside(journal, spool, report):
            out.write(marked(line, marker))
        for line in _lines(chain(outcomes.refused(journal.staging, parts), others), report, as_source):
            out.write(marked(line, marker))
    report.rejected_file = journal.staging.url(path)


def _marker(journal: Journal, report: Report) -> Marker:
    return Marker(report.load_id, journal.age.generation, journal.age.opened)


def _put_aside(journal: Journal, spool: Spool, report: Report) -> Iterator[bytes]:
    if spool.rejected:
        with journal.staging.open(f"{journal.folder}/{REJECTED_FILE}") as lines:
            for line in lines:
                told = json.loads(line)
                count(report, told["row"], told["reason"])
                yield line


def _lines(refused: Iterable[RefusedRow], report: Report, as_source: Callable[[str], str]) -> Iterator[bytes]:
    for row, record, one in refused:
        count(report, row, one.reason)
        yield rejected_line(row, one.reason, one.status, as_source(record))
