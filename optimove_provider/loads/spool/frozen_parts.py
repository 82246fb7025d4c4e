"""Rows of a load that others have frozen, a part of its source each: put together without being encoded again.

Numbers of rows go through all parts, so each part's files have to be given another name only. What nobody can tell of a
part alone is found in the keys: those that are there twice, and ids that look alike.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, BinaryIO, Self

import pyarrow as pa

from optimove_provider.contract.next_steps import NextStep
from optimove_provider.contract.wire.errors import OptimoveProviderError
from optimove_provider.loads.spool import row_digests, row_files
from optimove_provider.loads.spool.freeze import Frozen, MakeEncoder, OpenRows, Spool, Written, checked, write_rows
from optimove_provider.loads.spool.id_warnings import IdWarnings, keys_of
from optimove_provider.loads.spool.lost_rows import LostRows
from optimove_provider.loads.spool.slices import RowFiles, joined
from optimove_provider.loads.state.staging import Staging
from optimove_provider.records.findings.findings import Findings
from optimove_provider.records.read.waiting_rows import WaitingRows
from optimove_provider.records.rejected_lines import REJECTED_FILE
from optimove_provider.records.rows import Rows, Unread

KEYS = ".keys"
"""With what the name of a file of keys ends."""
LINKS_AT_ONCE = 8
_COPIED_BYTES = 1 << 20


class PartLost(OptimoveProviderError):
    """What a task has left of a part is damaged or gone, or was made of another source than there is now."""

    then = NextStep.CLEAR_NAMED


@dataclass(frozen=True, slots=True)
class FrozenPart:
    """What was frozen of a part, in a folder of its own: rows, those that cannot travel, and so many `keys` as they
    came, which are `all_keys`, or only those that are text."""

    folder: str
    written: Written
    keys: int
    all_keys: bool

    @property
    def files(self) -> tuple[RowFiles, RowFiles, RowFiles]:
        """Its rows: those that can be sent, refused ones, and deletions."""
        return self.written.fit, self.written.refused, self.written.deleted

    def as_json(self) -> dict[str, Any]:
        """For a file in staging."""
        return asdict(self)

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Self:
        """From such a file."""
        return cls(found["folder"], Written.from_json(found["written"]), found["keys"], found["all_keys"])


@dataclass(frozen=True, slots=True)
class FrozenParts:
    """A source whose rows are frozen already; `find` tells where the parts are, in their order."""

    find: Callable[[], Sequence[FrozenPart]]

    def put_together(
        self, staging: Staging, primary_key: str, folder: str, aside_path: str, how: Frozen, findings: Findings
    ) -> Spool:
        """The rows of all parts in one folder, as `freeze` would have frozen them in one pass; raises what that does
        where all rows together are wrong, and PartLost."""
        parts = self.find()
        own = f"{folder}-{staging.surroundings.new_id()}"  # another try, taken for dead, may put them together, too
        with IdWarnings(primary_key) as ids:
            with staging.open_new(aside_path) as aside:
                for number, part in enumerate(parts, 1):
                    with _lost(f"part {number} of {len(parts)}", number - 1):
                        _see_keys(part, staging, ids)
                        _copy_aside(part, staging, aside)
                        _check_files(part, staging)
            written = _joined(parts, staging, own)
            return checked(written, staging, primary_key, how, ids, findings)


RowSource = OpenRows | FrozenParts
"""Where the rows of a load come from: they are read, or others have frozen them."""


def freeze_part(
    rows: Rows,
    staging: Staging,
    folder: str,
    make_encoder: MakeEncoder,
    primary_key: str,
    how: Frozen,
) -> FrozenPart:
    """Freeze one part of a source in a folder of its own."""
    with staging.open_new(_keys_path(folder)) as file:
        keys, all_keys = WaitingRows(file), True

        def see(batch: pa.RecordBatch, row: int) -> None:
            nonlocal all_keys
            found, are_all = keys_of(batch, primary_key, row)
            all_keys = all_keys and are_all
            keys.put_aside(iter([found]))

        written = write_rows(rows, staging, folder, _aside_path(folder), make_encoder, how, see)
    return FrozenPart(folder, written, keys.rows, all_keys)


def _keys_path(folder: str) -> str:
    """The keys as the source has them, which a warning about ids is about."""
    return f"{folder}/text{KEYS}"


def _aside_path(folder: str) -> str:
    """The rows that cannot travel."""
    return f"{folder}/{REJECTED_FILE}"


@contextmanager
def _lost(part: str, map_index: int) -> Iterator[None]:
    try:
        yield
    except (FileNotFoundError, EOFError, pa.ArrowInvalid, LostRows):
        raise PartLost(
            f"what was frozen of {part} of the source is damaged or gone. Nothing was sent. Clear the task that froze "
            f"it (map index {map_index}), with what comes after it (Downstream)"
        ) from None


def _see_keys(part: FrozenPart, staging: Staging, ids: IdWarnings) -> None:
    ids.all_seen, seen = ids.all_seen and part.all_keys, 0
    with staging.open(_keys_path(part.folder)) as file:
        for found in WaitingRows(file).take_up():
            if not isinstance(found, Unread):
                seen += found.num_rows
                ids.add(found)
    if seen != part.keys:
        raise EOFError("a file of keys is shorter than it was")


def _copy_aside(part: FrozenPart, staging: Staging, aside: BinaryIO) -> None:
    lines = 0
    with staging.open(_aside_path(part.folder)) as own:
        for piece in iter(partial(own.read, _COPIED_BYTES), b""):
            lines += piece.count(b"\n")
            aside.write(piece)
    if lines != part.written.rejected:
        raise EOFError("a file of rejected rows is shorter than it was")


def _check_files(part: FrozenPart, staging: Staging) -> None:
    for files in part.files:
        if sum(row_files.describe(staging, path)[0] for path in files.paths) != files.rows:
            raise EOFError("a file of rows is shorter than it was")


def _joined(parts: Sequence[FrozenPart], staging: Staging, folder: str) -> Written:
    links, files = list[tuple[str, str]](), list[RowFiles]()
    for kind in zip(*(part.files for part in parts), strict=True):
        own, names = joined(kind, folder)
        files.append(own)
        links += names
    with staging.surroundings.pool(LINKS_AT_ONCE, "optix-link") as pool:
        for done in [pool.submit(_link, staging, path, new) for path, new in links]:
            done.result()
    every, columns = [part.written for part in parts], Counter[str]()
    for one in every:
        columns.update(one.columns)
    return Written(sum(one.rows for one in every), sum(one.rejected for one in every), dict(columns), *files)


def _link(staging: Staging, path: str, new: str) -> None:
    staging.link(path, new)
    row_digests.link(staging, path, new)
