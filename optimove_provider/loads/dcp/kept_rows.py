"""The rows of a full import that will be read back one by one: it sends them in one pass, and keeps them on the way."""

from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa

from optimove_provider.loads.dcp.csv_spool import Freezer
from optimove_provider.loads.dcp.options import TableImport
from optimove_provider.loads.evidence.verification import is_chosen
from optimove_provider.loads.spool.slices import RowFilesWriter
from optimove_provider.loads.state.journal import Journal
from optimove_provider.loads.upload.sink import Sink


def folder_of(journal: Journal) -> str:
    """Where the rows are that a load has sent, or those of them that were kept: in staging."""
    return str(journal.plan["sent"]) if journal.plan else _folder(journal.load_id)


@contextmanager
def kept_for_verification(load: TableImport, to: Sink) -> Iterator[Sink]:
    """A sink that hands the rows on, and keeps those that will be read back."""
    if not load.verify:
        yield to
        return
    load.staging.remove_folder(_folder(load.load_id))
    with _ChosenRows(load) as writer:
        both = _Both(to, Freezer(writer))
        yield both
        both.freezer.finish()


def _folder(load_id: str) -> str:
    return f"loads/{load_id}/sent"


class _ChosenRows(RowFilesWriter):
    """Writes only rows that are among the share of a load's that is read back. `rows` counts all, by their numbers."""

    def __init__(self, load: TableImport) -> None:
        super().__init__(load.staging, _folder(load.load_id))
        self._load_id, self._share = load.load_id, load.verify

    def add(self, batch: pa.RecordBatch) -> None:
        """Take some rows."""
        before = self.rows
        mask = [is_chosen(self._load_id, key, self._share) for key in batch["_key"].to_pylist()]
        super().add(batch.filter(pa.array(mask, pa.bool_())))
        self.rows = before + batch.num_rows


class _Both:
    def __init__(self, to: Sink, freezer: Freezer) -> None:
        self._to, self.freezer, self.sent = to, freezer, 0

    def write(self, text: bytes, /) -> int:
        self.freezer.write(text)
        taken, self.sent = self._to.write(text), self._to.sent
        return taken

    def discard(self) -> None:
        self.freezer.discard()
        self._to.discard()
