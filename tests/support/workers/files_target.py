"""Imports of several files into an emulated table that several workers upload: each call is one task's try."""

import csv
import io
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pyarrow as pa

from optimove_provider.loads.report.report import Report
from optimove_provider.loads.sharded.files import (
    FilesShard,
    commit_files,
    give_up_files,
    is_left,
    plan_files,
    upload_shard,
)
from optimove_provider.loads.state.journal import Journal
from optimove_provider.loads.upload.files import files_of
from tests.support.s3_target import HOST, TABLE_ID, Target

AN_HOUR = timedelta(hours=1)


class Files:
    """The files of a source, by name, and the tasks of loads of them into one table."""

    def __init__(self, target: Target, **files: str) -> None:
        self.target, self.files, self.wanted = target, files, dict[str, Any]()
        self.read = list[str]()

    def load(self, report: Report | None = None, try_number: int = 1, **wanted: Any) -> Any:
        target = self.target
        wanted = {**self.wanted, **wanted}
        return target.load(b"", report or target.report(), target.ledger, try_number=try_number, **wanted)

    def plan(self, try_number: int = 1, **wanted: Any) -> list[FilesShard]:
        self.wanted = wanted
        return plan_files(self.load(try_number=try_number), list(self.files), AN_HOUR)

    def upload(self, shard: FilesShard, try_number: int = 1, **wanted: Any) -> dict[str, Any]:
        load = self.load(Report("none", {"dcp": TABLE_ID, "host": HOST}), try_number, **wanted)
        return upload_shard(load, FilesShard.from_json(shard.as_json()), self._opener, AN_HOUR)

    def commit(self, try_number: int = 1, **wanted: Any) -> Report:
        self.report = self.target.report()
        commit_files(self.load(self.report, try_number, **wanted))
        return self.report

    def give_up(self) -> bool:
        self.report = self.target.report()
        load = self.load(self.report)
        if not is_left(load):
            return False
        give_up_files(load)
        return True

    def another(self) -> "Files":
        """The same table and source, for another load."""
        return Files(replace(self.target, load_id=self.target.load_id[:-1] + "x"), **self.files)

    @property
    def journal(self) -> Journal:
        return Journal(self.target.staging, self.target.load_id)

    @property
    def holder(self) -> Any:
        return self.target.ledger.read().holder

    def stored(self) -> list[str]:
        """The texts of all objects, in the order of the files."""
        stored = self.target.stored()
        return [stored[key].decode().replace('"', "") for key in sorted(stored, key=lambda key: (len(key), key))]

    def batches(self, name: str) -> Any:
        """The rows of a file."""
        return _batches(self.files[name])

    def plan_of(self, number: int) -> FilesShard:
        """A shard of what was planned."""
        planned = self.target.staging.read(f"loads/{self.target.load_id}/shards.json")
        assert planned
        return FilesShard(self.target.load_id, planned["plan"], number, planned["shards"])

    def abort_upload(self, position: int) -> None:
        """An upload of the load is gone, as by a rule of the bucket."""
        file = list(files_of(self.target.to))[position]
        self.target.to.bucket.abort(file.key, file.progress.upload_id)  # type: ignore[attr-defined]

    def let_the_lease_end(self) -> None:
        """The minute of a lease that was revoked is over."""
        self.target.ledger.manifest_file.change(lambda manifest: replace(manifest, holder=None))

    def _opener(self, names: Any) -> Any:
        @contextmanager
        def opened() -> Any:
            self.read.extend(names)
            yield (batch for name in names for batch in self.batches(name))

        return opened


def _batches(text: str) -> Any:
    header, *rows = csv.reader(io.StringIO(text))
    columns = list(zip(*rows, strict=True)) or [()] * len(header)
    yield pa.record_batch({name: pa.array(cells, pa.string()) for name, cells in zip(header, columns, strict=True)})
