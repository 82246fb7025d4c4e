"""Reading back the profiles of more rows than a sample: of all rows of a load, or a share, to name those that the
vendor has dropped.

The rows come from staging, some thousands at a time, and the client keeps to the rate of its connection. A value may be
read a while after it was stored: what is not seen is looked at again, until nothing more has come for some looks.
"""

import csv
import json
import logging
import zlib
from array import array
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from io import TextIOWrapper
from itertools import islice
from typing import Any

import numpy as np
import pyarrow as pa

from optimove_provider.clients.dcp import DcpClient
from optimove_provider.contract.cells.datatypes import KEY_COLUMN, Attribute
from optimove_provider.contract.cells.registered import usable
from optimove_provider.contract.cells.values import comparable
from optimove_provider.contract.dcp.profiles import MAX_ID, UNADDRESSABLE
from optimove_provider.contract.how_many import how_many
from optimove_provider.contract.wire.errors import Refused
from optimove_provider.loads.progress import Progress
from optimove_provider.loads.spool import row_files
from optimove_provider.loads.spool.row_files import ROWS
from optimove_provider.loads.spool.slices import RowFilesWriter
from optimove_provider.loads.state.staging import Staging
from optimove_provider.records.arrow.duck import temporary_duck
from optimove_provider.records.arrow.types import Mask
from optimove_provider.records.validate.row_sink import REASON_COLUMNS
from optimove_provider.surroundings import after

log = logging.getLogger(__name__)

SILENT_LOOKS = 3
"""After so many looks in a row in which no further row was seen, the others count as dropped."""
IN_FLIGHT = 4
_KEYS_MEMORY = "128MB"
_SHOWN = 3
DROPPED = (
    "the file is imported, and the profile does not hold this row's values: the vendor seems to have dropped it, "
    "unless others have written there since"
)

_State = Enum("_State", ["SEEN", "UNSEEN", "UNTOLD"])
"""UNTOLD: nobody can say, as the row has no values, no URL can name its customer, or the vendor refuses to show him."""


@dataclass(frozen=True, slots=True)
class Verified:
    """How many rows were `read` back and could be judged; the numbers of those that were `dropped`, the URL of the
    `file` that has them, and some of their customers."""

    read: int
    dropped: Collection[int] = ()
    file: str = ""
    examples: tuple[str, ...] = ()


NOT_VERIFIED = Verified(0)


def is_chosen(load_id: str, key: str, share: float) -> bool:
    """Whether a row, by its key as JSON text, is among the share of a load's rows that is read back."""
    return share >= 1 or zlib.crc32(f"{load_id} {key}".encode(errors="surrogatepass")) < share * (1 << 32)


@dataclass(frozen=True, slots=True)
class Verification:
    """Reads a `share` of a load's rows back. A look comes a `pause` after the one before, and none after `wait`."""

    client: DcpClient
    table_id: int
    staging: Staging
    load_id: str
    share: float
    pause: timedelta
    wait: timedelta

    def run(self, folder: str, has_begun: bool = True) -> Verified:
        """Look for the rows that are frozen in a folder. Unless their import `has_begun`, they may come later, and no
        file is written of those that are not there. Raises what reading profiles raises, unless about one customer."""
        looks, surroundings = _Looks(self), self.staging.surroundings
        until, silent = after(surroundings.now(), self.wait), 0
        unseen = looks.look(folder)
        while unseen and silent < SILENT_LOOKS and surroundings.now() + self.pause <= until:
            log.info("%s not seen yet; looking again in %s", how_many(unseen, "row is", "rows are"), self.pause)
            surroundings.sleep(self.pause.total_seconds())
            before, unseen = unseen, looks.look_again()
            silent = silent + 1 if unseen == before else 0
        return looks.result(folder, has_begun)


class _Looks:
    """The rows of a load that were not seen yet: in one folder after the other, each of a look."""

    def __init__(self, how: Verification) -> None:
        self._how, self._staging = how, how.staging
        table_id = how.table_id
        self._service_id = how.client.read_table(table_id).service_id
        attributes = usable(how.client.list_attributes(table_id))
        self._attributes: Mapping[str, Attribute] = {one.name: one for one in attributes if not one.archived}
        self._progress = Progress(how.staging.surroundings.monotonic)
        self._root, self._number, self._told = f"loads/{how.load_id}/looks", 0, 0
        self._staging.remove_folder(self._root)  # of a try that ended while it looked

    def look(self, folder: str) -> int:
        """Read back the chosen ones of these rows; returns how many are not seen."""
        self._number += 1
        with (
            RowFilesWriter(self._staging, self._unseen) as writer,
            self._staging.surroundings.pool(IN_FLIGHT, "verify") as pool,
        ):
            for batch in self._chosen(folder):
                states = list(pool.map(self._state, batch["_key"].to_pylist(), batch["_record"].to_pylist()))
                writer.add(batch.filter(pa.array(state is _State.UNSEEN for state in states)))
                self._told += 0 if self._number > 1 else sum(state is not _State.UNTOLD for state in states)
                if self._progress.due():
                    log.info("%d rows are read back, %d of them are not seen", self._told, writer.rows)
        return writer.rows

    def look_again(self) -> int:
        """Read back what the last look did not see; returns how many still are not."""
        return self.look(self._unseen)

    def result(self, folder: str, has_begun: bool) -> Verified:
        """What all looks at the rows of a folder have found. Of a customer who is there twice, nobody knows which row
        would win."""
        repeated, unseen = self._repeated(folder), array("q")
        for batch in row_files.read_rows(self._staging, self._unseen, ["_row"]):
            unseen.extend(batch["_row"].to_pylist())
        dropped = array("q", (number for number in unseen if not repeated[number]))
        file, examples = self._write_down(repeated) if dropped and has_begun else ("", ())
        return Verified(self._told - (len(unseen) - len(dropped)), dropped, file, examples)

    @property
    def _unseen(self) -> str:
        return f"{self._root}/{self._number}"

    def _chosen(self, folder: str) -> Iterator[pa.RecordBatch]:
        how = self._how
        for path in row_files.sendable_paths(self._staging, folder):
            for batch in row_files.read(self._staging, path, ROWS.names):
                mask = [is_chosen(how.load_id, key, how.share) for key in batch["_key"].to_pylist()]
                yield batch.filter(pa.array(mask, pa.bool_()))

    def _state(self, key: str, record: str) -> _State:
        customer, wanted = json.loads(key), self._values(record)
        if not wanted or customer in UNADDRESSABLE or len(customer) > MAX_ID:
            return _State.UNTOLD
        try:
            found = self._how.client.read_profile(self._service_id, self._how.table_id, customer) or {}
        except Refused:
            return _State.UNTOLD
        same = (comparable(self._attributes[name], found.get(name)) == value for name, value in wanted.items())
        return _State.SEEN if all(same) else _State.UNSEEN

    def _values(self, record: str) -> dict[str, str]:
        """What a row writes, in one form for cells and JSON."""
        cells = {name: cell for name, cell in json.loads(record).items() if cell and name in self._attributes}
        return {name: comparable(self._attributes[name], cell) for name, cell in cells.items()}

    def _repeated(self, folder: str) -> Mask:
        """The rows whose customer is there more than once, by their numbers. Where all were seen, nobody asks."""
        batches = row_files.read_rows(self._staging, folder, ["_row", "_key"])
        mask = row_files.empty_mask(row_files.size(self._staging, folder)[1])
        if not row_files.paths(self._staging, self._unseen):
            return mask
        schema = pa.schema([ROWS.field("_row"), ROWS.field("_key")])
        with temporary_duck(_KEYS_MEMORY, threads=2) as db:
            db.register("found", pa.RecordBatchReader.from_batches(schema, batches))
            query = "SELECT _row FROM found QUALIFY count(*) OVER (PARTITION BY _key) > 1"
            for batch in db.sql(query).to_arrow_reader(1 << 16):
                mask[np.asarray(batch.column(0))] = True
        return mask

    def _write_down(self, repeated: Mask) -> tuple[str, tuple[str, ...]]:
        """Write the dropped rows, with their reasons, as a CSV file beside the report; its URL, and some customers."""
        path = f"reports/{self._how.load_id}.dropped.csv"
        with self._staging.open_new(path) as raw, TextIOWrapper(raw, encoding="utf-8", newline="") as text:
            out, header = csv.writer(text, lineterminator="\n"), None
            for number, record in self._dropped(repeated):
                if header is None:
                    header = [KEY_COLUMN, *(name for name in record if name != KEY_COLUMN)]
                    out.writerow([*REASON_COLUMNS, *header])
                out.writerow([number, 0, DROPPED, *(record[name] for name in header)])
        some = (str(record[KEY_COLUMN]) for _, record in islice(self._dropped(repeated), _SHOWN))
        return self._staging.url(path), tuple(some)

    def _dropped(self, repeated: Mask) -> Iterator[tuple[int, dict[str, Any]]]:
        for batch in row_files.read_rows(self._staging, self._unseen, ["_row", "_record"]):
            for row in batch.to_pylist():
                if not repeated[row["_row"]]:
                    yield row["_row"], json.loads(row["_record"])
