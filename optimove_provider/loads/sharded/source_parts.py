"""The source of a load, read and frozen in parts by several tasks before another one plans.

list_parts      what the parts are, and what all tasks have to do alike
  |
read_part       once for each part, side by side: its rows as they come, in a file
  |
freeze_part     once for each part, side by side: its rows, numbered through all parts, as records in files of their own
  |
frozen_parts    all rows, for the plan
"""

import logging
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import asdict, dataclass, field
from datetime import datetime
from hashlib import blake2b
from typing import Any, Self

import pyarrow as pa

from optimove_provider.contract.how_many import how_many
from optimove_provider.contract.next_steps import NextStep
from optimove_provider.contract.wire.errors import OptimoveProviderError, SettingsError
from optimove_provider.contract.wire.messages import json_body
from optimove_provider.loads.report.report import Report
from optimove_provider.loads.report.visibility import Visibility
from optimove_provider.loads.sharded.shard import MAX_SHARDS
from optimove_provider.loads.spool.every_column import completed
from optimove_provider.loads.spool.freeze import NOW, Frozen
from optimove_provider.loads.spool.frozen_parts import FrozenPart, PartLost
from optimove_provider.loads.spool.frozen_parts import freeze_part as freeze
from optimove_provider.loads.state.journal import SOURCE, Journal, Stage
from optimove_provider.loads.state.staging import Staging
from optimove_provider.records.read.parts import Part
from optimove_provider.records.read.sources import Alike
from optimove_provider.records.read.waiting_rows import AS_READ, WaitingRows
from optimove_provider.records.rows import Reading, Rows
from optimove_provider.records.to_json.encoding import Encoding

log = logging.getLogger(__name__)

_LISTED = "parts.json"
OpenPart = Callable[[Part], AbstractContextManager[Rows]]


class PartsListedAnew(OptimoveProviderError):
    """The parts of the source were listed once more since this one was cut, or the load is over."""

    then = NextStep.CLEAR_GROUP


class PartMissing(OptimoveProviderError):
    """A part of the source was not read."""

    then = NextStep.CLEAR_GROUP


@dataclass(frozen=True, slots=True)
class Settled:
    """What is settled when the parts are listed: when the first of them may have been opened, how rows become records,
    what is sent with each of them, and what the ledger makes digests of keys by."""

    opened: datetime
    encoding: Encoding
    stamp: str = ""
    seed: str = field(default="", repr=False)

    def as_json(self) -> dict[str, Any]:
        """For a file in staging."""
        return {**asdict(self), "opened": self.opened.isoformat()}

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Self:
        """From such a file."""
        return cls(
            datetime.fromisoformat(found["opened"]), Encoding(**found["encoding"]), found["stamp"], found["seed"]
        )


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
    def read_path(self) -> str:
        """What is known of what was read of it."""
        return f"{_folder(self.load_id)}/{self.listing}-{self.number:04}.json"

    @property
    def frozen_path(self) -> str:
        """What is known of what was frozen of it."""
        return f"{_folder(self.load_id)}/{self.listing}-{self.number:04}-frozen.json"

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


def list_parts(staging: Staging, load_id: str, parts: Sequence[Part], settled: Settled) -> list[SourcePart]:
    """Write down what the parts of a load's source are, and what is settled for all of them.

    Raises SettingsError for more parts than Airflow maps.
    """
    if len(parts) > MAX_SHARDS:
        raise SettingsError(
            f"the source has {len(parts)} parts, and Airflow maps a task {MAX_SHARDS} times at most: give fewer bounds"
        )
    listing = str(staging.surroundings.new_id())
    listed = {"listing": listing, "settled": settled.as_json(), "parts": [part.as_json() for part in parts]}
    staging.write(_listed_path(load_id), listed)
    for number, part in enumerate(parts, 1):
        log.info("part %d of %d: %s", number, len(parts), part)
    return _all_parts(load_id, listed)


def settled(staging: Staging, load_id: str, listing: str) -> Settled:
    """What is settled for all parts. Raises PartsListedAnew."""
    return Settled.from_json(_listed(staging, load_id, listing)["settled"])


def read_part(staging: Staging, part: SourcePart, open_part: OpenPart) -> dict[str, Any]:
    """Read a part of the source into staging; returns how many rows it has. Once something of the load may have been
    sent, nothing is read. Raises PartsListedAnew, and what reading raises."""
    if _is_planned(staging, part):
        return {**part.as_json(), "state": "planned before"}
    wanted = Part.from_json(_listed(staging, part.load_id, part.listing)["parts"][part.number - 1])
    # A name of its own: who freezes may be reading what an earlier try has left.
    path = f"{_folder(part.load_id)}/{staging.surroundings.new_id()}{AS_READ}"
    with open_part(wanted) as rows, staging.open_new(path) as file:
        waiting = WaitingRows(file)
        waiting.put_aside(rows)
    schema = b64encode(waiting.schema.serialize()).decode()
    staging.write(part.read_path, {"rows": waiting.rows, "file": path, "columns": waiting.names, "schema": schema})
    _withdraw_if_late(staging, part, path, part.read_path)
    log.info("%s, %s: %s", part, wanted, how_many(waiting.rows, "row"))
    return {**part.as_json(), "state": "read", "rows": waiting.rows}


def freeze_part(staging: Staging, part: SourcePart) -> dict[str, Any]:
    """Freeze what was read of a part; returns how many of its rows can be sent, and how many cannot. Once something of
    the load may have been sent, nothing is done. Raises PartsListedAnew, PartMissing, and DataError where the part is
    wrong as a whole, or has not the columns of those before it."""
    if _is_planned(staging, part):
        return {**part.as_json(), "state": "planned before"}
    listed = _listed(staging, part.load_id, part.listing)
    own = Settled.from_json(listed["settled"])
    parts = _read_parts(staging, part.load_id, listed)
    wanted, encoding = parts[part.number - 1], own.encoding
    before, in_all = (sum(one.rows for one in some) for some in (parts[: part.number - 1], parts))
    how = Frozen(NOW, True, own.stamp, encoding.deleted, seed=own.seed, before=before, in_all=in_all)
    # A name of its own: the plan may be linking what an earlier try has left.
    folder = f"{_folder(part.load_id)}/{staging.surroundings.new_id()}"
    with closing(_rows(staging, parts, wanted, encoding)) as rows:
        frozen = freeze(rows, staging, folder, encoding.encoder, encoding.primary_key, how)
    made_of = _made_of(parts, encoding)[part.number - 1]
    staging.write(part.frozen_path, {**frozen.as_json(), "made_of": made_of})
    _withdraw_if_late(staging, part, folder, part.frozen_path)
    written = frozen.written
    log.info("%s: %s frozen, %d put aside", part, how_many(written.rows, "row"), written.rejected)
    told = {"rows": written.rows, "frozen": written.fit.rows, "rejected": written.rejected}
    return {**part.as_json(), "state": "frozen", **told}


def frozen_parts(staging: Staging, load_id: str, listing: str, encoding: Encoding) -> list[FrozenPart]:
    """What was frozen of all parts, in their order. Raises PartLost, PartMissing, PartsListedAnew; the last also where
    they were frozen for another `encoding`."""
    listed = _listed(staging, load_id, listing)
    if Settled.from_json(listed["settled"]).encoding != encoding:
        raise PartsListedAnew(
            f"load {load_id}: primary_key, key_type, nulls or deleted_column is another one than when the parts of its "
            "source were listed, and rows were frozen as it was then. Nothing was sent. Clear the whole group"
        )
    parts = _read_parts(staging, load_id, listed)
    results = staging.read_together([one.part.frozen_path for one in parts])
    made_of = _made_of(parts, encoding)
    stale = [
        one.part
        for one, wanted in zip(parts, made_of, strict=True)
        if results.get(one.part.frozen_path, {}).get("made_of") != wanted
    ]
    if stale:
        raise PartLost(
            f"load {load_id}: not frozen since all parts of the source were read as they are now: "
            f"{how_many(len(stale), 'part')} (map index {_map_indexes(stale)}). Nothing was sent. Clear these tasks "
            "that freeze, with what comes after them (Downstream)"
        )
    return [FrozenPart.from_json(results[one.part.frozen_path]) for one in parts]


def _made_of(parts: Sequence["_ReadPart"], encoding: Encoding) -> list[str]:
    """A digest, for each part, of all that decides what is frozen of it, its own file and what is known of others."""
    columns = _columns(parts) if encoding.nulls != "omit" else ()
    found, before, held = list[str](), 0, ""
    for one in parts:
        found.append(_digest(one.file, before, held, columns))
        before, held = before + one.rows, _digest(held, one.schema)
    return found


def _digest(*known: Any) -> str:
    return blake2b(json_body(known), digest_size=8).hexdigest()


def _columns(parts: Sequence["_ReadPart"]) -> list[str]:
    """The columns that any part has."""
    return list(dict.fromkeys(name for one in parts for name in one.columns))


def _map_indexes(parts: Sequence[SourcePart]) -> str:
    shown = ", ".join(str(part.number - 1) for part in parts[:10])
    return f"{shown}, and others" if len(parts) > 10 else shown


def _is_planned(staging: Staging, part: SourcePart) -> bool:
    """Whether something of the load may have been sent, so that its rows stay what they are."""
    journal = Journal(staging, part.load_id)
    is_planned = journal.has_sent or journal.stage in (Stage.COMMITTED, Stage.FINISHED)
    if is_planned:
        log.info("%s: load %s has been planned with what was read before; there is nothing to do", part, part.load_id)
    return is_planned


def _withdraw_if_late(staging: Staging, part: SourcePart, *paths: str) -> None:
    """Remove what this try has left of a part if the load was planned meanwhile, as it was taken for dead."""
    if _is_planned(staging, part):
        for path in paths:
            staging.remove_folder(path)


@dataclass(frozen=True, slots=True)
class _ReadPart:
    """What was read of a part: `rows` in a file, of these columns, whose types are in `schema`."""

    part: SourcePart
    wanted: Part
    rows: int
    file: str
    columns: Sequence[str]
    schema: str


def _read_parts(staging: Staging, load_id: str, listed: Mapping[str, Any]) -> list[_ReadPart]:
    """All parts, which are read. Raises PartMissing."""
    parts = _all_parts(load_id, listed)
    results = staging.read_together([part.read_path for part in parts])
    if missing := [part for part in parts if not results.get(part.read_path)]:
        raise PartMissing(
            f"load {load_id}: of {how_many(len(missing), 'part')} of the source (map index "
            f"{_map_indexes(missing)}) nothing is there: it was not read, or was "
            "needed no more, as the load was planned before. Nothing was sent from here. Clear the whole group"
        )
    wanted = [Part.from_json(one) for one in listed["parts"]]
    return [_ReadPart(part, one, **results[part.read_path]) for part, one in zip(parts, wanted, strict=True)]


def _rows(staging: Staging, parts: Sequence[_ReadPart], wanted: _ReadPart, encoding: Encoding) -> Reading:
    """The rows of a part as it has to be frozen: files are held to those before, as in one pass, and where a null
    counts, every row has the columns of all parts."""
    rows = _read(staging, wanted)
    files = [name for one in parts for name in one.wanted.files]
    if alike := Alike.of_files(files) if files else None:
        for one in parts[: wanted.part.number - 1]:
            if one.columns:
                alike.hold(str(one.wanted), pa.ipc.read_schema(pa.py_buffer(b64decode(one.schema))))
        rows = alike.of(wanted.wanted.files[0], rows)
    if encoding.nulls == "omit":
        return rows
    return completed(rows, _columns(parts))


def _read(staging: Staging, one: _ReadPart) -> Reading:
    part = one.part
    damaged = PartLost(
        f"load {part.load_id}: what was read of {part} of the source is damaged or gone. Nothing was sent. Clear the "
        f"task that read it (map index {part.number - 1}), with what comes after it (Downstream)"
    )
    given = 0
    try:
        with staging.open(one.file) as file:
            for item in WaitingRows(file).take_up():
                given += item.num_rows if isinstance(item, pa.RecordBatch) else 1
                yield item
    except (FileNotFoundError, EOFError, pa.ArrowInvalid):
        raise damaged from None
    if given != one.rows:
        raise damaged


def remove_parts(staging: Staging, load_id: str) -> None:
    """The rows of the parts are put together: what was read and frozen of them is needed no more, but that they were
    listed is."""
    for name in staging.names(_folder(load_id)):
        if name != _LISTED:
            staging.remove_folder(f"{_folder(load_id)}/{name}")


def give_up_reading(staging: Staging, load_id: str, report: Report) -> None:
    """File the report of a load whose source could not be read, or frozen, whole. What is there of it stays, so that
    who failed can be cleared alone."""
    listed = staging.read(_listed_path(load_id)) or {"parts": (), "listing": ""}
    parts = _all_parts(load_id, listed)
    read, frozen = (
        [found for found in staging.read_together(paths).values() if found]
        for paths in ([part.read_path for part in parts], [part.frozen_path for part in parts])
    )
    report.rows = sum(found["rows"] for found in read)
    report.state, report.visibility, report.next_step = "failed", Visibility.NOT_VISIBLE, NextStep.CLEAR_FAILED
    report.problem = (
        f"a task before the one that plans has failed for good: {len(read)} of {how_many(len(parts), 'part')} of the "
        f"source had been read, {len(frozen)} of them frozen, and nothing was sent"
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
    return f"loads/{load_id}/{SOURCE}"


def _listed_path(load_id: str) -> str:
    return f"{_folder(load_id)}/{_LISTED}"
