"""The source of a load, read in parts by several tasks before another one plans: each leaves its rows in staging, as
they came, and the plan reads them there, one part after the other, as it would have read the source.

list_parts      what the parts are, and when the first of them may have been opened
  |
read_part       once for each part, side by side: its rows, in a file
  |
opened_parts    all rows, for the plan
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Self

import pyarrow as pa

from optimove_provider.contract.how_many import how_many
from optimove_provider.contract.next_steps import NextStep
from optimove_provider.contract.wire.errors import OptimoveProviderError, SettingsError
from optimove_provider.loads.report.report import Report
from optimove_provider.loads.report.visibility import Visibility
from optimove_provider.loads.sharded.shard import MAX_SHARDS
from optimove_provider.loads.state.journal import Journal, Stage
from optimove_provider.loads.state.staging import Staging
from optimove_provider.records.read.parts import Part
from optimove_provider.records.read.sources import Alike
from optimove_provider.records.read.waiting_rows import AS_READ, WaitingRows
from optimove_provider.records.rows import Reading, Rows

log = logging.getLogger(__name__)

_LISTED = "parts.json"
OpenPart = Callable[[Part], AbstractContextManager[Rows]]


class PartsListedAnew(OptimoveProviderError):
    """The parts of the source were listed once more since this one was cut, or the load is over."""

    then = NextStep.CLEAR_GROUP


class PartMissing(OptimoveProviderError):
    """A part of the source was not read, or what was read of it is damaged."""

    then = NextStep.CLEAR_GROUP


@dataclass(frozen=True, slots=True)
class SourcePart:
    """The `number`-th of as many parts of a load's source, from 1; `listing` tells them from those of any other try."""

    load_id: str
    listing: str
    number: int
    of: int

    def __str__(self) -> str:
        return f"part {self.number} of {self.of}"

    @property
    def path(self) -> str:
        """What was read of it."""
        return f"{_folder(self.load_id)}/{self.listing}-{self.number:04}.json"

    def as_json(self) -> dict[str, Any]:
        """For an XCom: small."""
        return asdict(self)

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Self:
        """Read what `as_json` gave. Raises SettingsError for anything else."""
        try:
            return cls(**found)
        except TypeError:
            raise SettingsError(
                f"part={found!r:.200} is none: pass what OptixListPartsOperator returns to .expand(part=parts.output)"
            ) from None


def list_parts(staging: Staging, load_id: str, parts: Sequence[Part], now: datetime) -> list[SourcePart]:
    """Write down what the parts of a load's source are; `now`, as its ledger knows it: its rows are no newer.

    Raises SettingsError for more parts than Airflow maps.
    """
    if len(parts) > MAX_SHARDS:
        raise SettingsError(
            f"the source has {len(parts)} parts, and Airflow maps a task {MAX_SHARDS} times at most: give fewer bounds"
        )
    listing = str(staging.surroundings.new_id())
    listed = {"listing": listing, "opened": now.isoformat(), "parts": [part.as_json() for part in parts]}
    staging.write(_listed_path(load_id), listed)
    for number, part in enumerate(parts, 1):
        log.info("part %d of %d: %s", number, len(parts), part)
    return _all_parts(load_id, listed)


def read_part(staging: Staging, part: SourcePart, open_part: OpenPart) -> dict[str, Any]:
    """Read a part of the source into staging; returns how many rows it has. Once something of the load may have been
    sent, nothing is read. Raises PartsListedAnew, and what reading raises."""
    journal = Journal(staging, part.load_id)
    if journal.has_sent or journal.stage in (Stage.COMMITTED, Stage.FINISHED):
        log.info("%s: load %s has been planned with what was read before; there is nothing to do", part, part.load_id)
        return {**part.as_json(), "state": "planned before"}
    wanted = Part.from_json(_listed(staging, part.load_id, part.listing)["parts"][part.number - 1])
    # A name of its own: the plan may be reading what an earlier try has left.
    path = f"{_folder(part.load_id)}/{staging.surroundings.new_id()}{AS_READ}"
    with open_part(wanted) as rows, staging.open_new(path) as file:
        waiting = WaitingRows(file)
        waiting.put_aside(rows)
    staging.write(part.path, {"rows": waiting.rows, "file": path})
    log.info("%s, %s: %s", part, wanted, how_many(waiting.rows, "row"))
    return {**part.as_json(), "state": "read", "rows": waiting.rows}


def opened_at(staging: Staging, load_id: str, listing: str) -> datetime:
    """When the first part may have been opened. Raises PartsListedAnew."""
    return datetime.fromisoformat(_listed(staging, load_id, listing)["opened"])


@contextmanager
def opened_parts(staging: Staging, load_id: str, listing: str) -> Iterator[Rows]:
    """The rows of all parts, in their order, held to one another as those of several files are. Raises PartMissing,
    PartsListedAnew, DataError."""
    with closing(_rows(staging, load_id, listing)) as rows:
        yield rows


def _rows(staging: Staging, load_id: str, listing: str) -> Reading:
    listed = _listed(staging, load_id, listing)
    wanted, parts = [Part.from_json(one) for one in listed["parts"]], _all_parts(load_id, listed)
    results = staging.read_together([part.path for part in parts])
    if missing := [part for part in parts if not results.get(part.path)]:
        raise PartMissing(
            f"load {load_id}: of {how_many(len(missing), 'part')} of the source (map index "
            f"{', '.join(str(part.number - 1) for part in missing[:10])}) nothing is there: it was not read, or was "
            "needed no more, as the load was planned before. Nothing was sent from here. Clear the whole group"
        )
    files = [name for one in wanted for name in one.files]
    alike = Alike.of_files(files) if files else None
    for one, part in zip(wanted, parts, strict=True):
        rows = _read(staging, part, results[part.path])
        yield from alike.of(one.files[0], rows) if alike else rows


def _read(staging: Staging, part: SourcePart, found: Mapping[str, Any]) -> Rows:
    damaged = PartMissing(
        f"load {part.load_id}: what was read of {part} of the source is damaged or gone. Nothing was sent. Clear the "
        f"task that read it (map index {part.number - 1}), with what comes after it (Downstream)"
    )
    given = 0
    try:
        with staging.open(found["file"]) as file:
            for item in WaitingRows(file).take_up():
                given += item.num_rows if isinstance(item, pa.RecordBatch) else 1
                yield item
    except (FileNotFoundError, EOFError, pa.ArrowInvalid):
        raise damaged from None
    if given != found["rows"]:
        raise damaged


def remove_parts(staging: Staging, load_id: str) -> None:
    """Their rows are frozen: what was read of the parts is needed no more, but that they were listed is."""
    for name in staging.names(_folder(load_id)):
        if name != _LISTED:
            staging.remove(f"{_folder(load_id)}/{name}")


def give_up_reading(staging: Staging, load_id: str, report: Report) -> None:
    """File the report of a load whose source could not be read whole. What was read of it stays, so that who failed can
    be cleared alone."""
    listed = staging.read(_listed_path(load_id)) or {"parts": (), "listing": ""}
    paths = [part.path for part in _all_parts(load_id, listed)]
    results = [found for found in staging.read_together(paths).values() if found]
    report.rows = sum(found["rows"] for found in results)
    report.state, report.visibility, report.next_step = "failed", Visibility.NOT_VISIBLE, NextStep.CLEAR_FAILED
    report.problem = (
        f"a task before the one that plans has failed for good: {len(results)} of {how_many(len(paths), 'part')} of "
        "the source had been read, and nothing was sent"
    )
    log.error("load %s: %s. %s", load_id, report.problem, report.next_step)
    report.file(staging)


def _listed(staging: Staging, load_id: str, listing: str) -> dict[str, Any]:
    listed = staging.read(_listed_path(load_id))
    if not listed or listed["listing"] != listing:
        raise PartsListedAnew(
            f"load {load_id}: the parts of its source were listed anew since, or are needed no more, as the load is "
            "over. Nothing was sent from here. Clear the whole group"
        )
    return listed


def _all_parts(load_id: str, listed: Mapping[str, Any]) -> list[SourcePart]:
    count = len(listed["parts"])
    return [SourcePart(load_id, listed["listing"], number, count) for number in range(1, count + 1)]


def _folder(load_id: str) -> str:
    return f"loads/{load_id}/source"


def _listed_path(load_id: str) -> str:
    return f"{_folder(load_id)}/{_LISTED}"
