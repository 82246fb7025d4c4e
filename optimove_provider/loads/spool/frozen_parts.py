"""Rows of a load that others have frozen, a part of its source each: put together without being read again.

Numbers of rows go through all parts, so each part's files have to be given another name only. What nobody can tell of a
part alone is found here: keys that are there twice, and ids that look alike.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Self

import pyarrow as pa

from optimove_provider.loads.spool import row_digests
from optimove_provider.loads.spool.freeze import Frozen, MakeEncoder, OpenRows, Spool, Written, checked, write_rows
from optimove_provider.loads.spool.id_warnings import IdWarnings, keys_of
from optimove_provider.loads.spool.slices import RowFiles, joined
from optimove_provider.loads.state.staging import Staging
from optimove_provider.records.findings.findings import Findings
from optimove_provider.records.read.waiting_rows import AS_READ, WaitingRows
from optimove_provider.records.rejected_lines import REJECTED_FILE
from optimove_provider.records.rows import Rows, Unread

LINKS_AT_ONCE = 8
_COPIED_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class FrozenPart:
    """What was frozen of a part, in a folder of its own: rows, those that cannot travel, and the keys as they came."""

    folder: str
    written: Written

    @property
    def aside(self) -> str:
        """The file with the rows that cannot travel."""
        return f"{self.folder}/{REJECTED_FILE}"

    @property
    def keys(self) -> str:
        """The file with the keys as the source has them, which a warning about ids is about."""
        return _keys_path(self.folder)

    def as_json(self) -> dict[str, Any]:
        """For a file in staging."""
        return asdict(self)

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Self:
        """From such a file."""
        return cls(found["folder"], Written.from_json(found["written"]))


@dataclass(frozen=True, slots=True)
class FrozenParts:
    """A source whose rows are frozen already; `find` tells where the parts are, in their order."""

    find: Callable[[], Sequence[FrozenPart]]

    def put_together(
        self, staging: Staging, primary_key: str, folder: str, aside_path: str, how: Frozen, findings: Findings
    ) -> Spool:
        """The rows of all parts in one folder, as `freeze` would have frozen them in one pass; raises what that does
        where all rows together are wrong."""
        parts = self.find()
        staging.remove_folder(folder)
        with IdWarnings(primary_key) as ids:
            for part in parts:
                with staging.open(part.keys) as file:
                    for keys in WaitingRows(file).take_up():
                        if not isinstance(keys, Unread):
                            ids.add(keys)
            written = _joined(parts, staging, folder)
            _join_aside(parts, staging, aside_path)
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
        keys = WaitingRows(file)

        def see(batch: pa.RecordBatch, row: int) -> None:
            keys.put_aside(keys_of(batch, primary_key, row))

        aside = f"{folder}/{REJECTED_FILE}"
        return FrozenPart(folder, write_rows(rows, staging, folder, aside, make_encoder, how, see))


def _keys_path(folder: str) -> str:
    return f"{folder}/keys{AS_READ}"


def _joined(parts: Sequence[FrozenPart], staging: Staging, folder: str) -> Written:
    links, files = list[tuple[str, str]](), list[RowFiles]()
    every = [part.written for part in parts]
    for kind in ("fit", "refused", "deleted"):
        own, names = joined([getattr(one, kind) for one in every], folder)
        files.append(own)
        links += names
    with staging.surroundings.pool(LINKS_AT_ONCE, "optix-link") as pool:
        for done in [pool.submit(_link, staging, path, new) for path, new in links]:
            done.result()
    columns: dict[str, int] = {}
    for one in every:
        for name, count in one.columns.items():
            columns[name] = columns.get(name, 0) + count
    return Written(sum(one.rows for one in every), sum(one.rejected for one in every), columns, *files)


def _link(staging: Staging, path: str, new: str) -> None:
    staging.link(path, new)
    row_digests.link(staging, path, new)


def _join_aside(parts: Sequence[FrozenPart], staging: Staging, path: str) -> None:
    with staging.open_new(path) as all_of_them:
        for part in parts:
            with staging.open(part.aside) as own:
                for piece in iter(partial(own.read, _COPIED_BYTES), b""):
                    all_of_them.write(piece)
