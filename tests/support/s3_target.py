"""An emulated import bucket, and imports into it."""

import io
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from fsspec.implementations.local import LocalFileSystem

from optimove_provider.clients.s3 import Bucket
from optimove_provider.contract.cells.datatypes import Attribute
from optimove_provider.contract.dcp.config import IMPORT_BUCKET
from optimove_provider.contract.dcp.upload_history import HistoryEntry, Outcome, common_state
from optimove_provider.emulator import AWS_ACCESS_KEY, AWS_SECRET_KEY, EmulatorServer
from optimove_provider.loads.dcp import load
from optimove_provider.loads.dcp.options import TableImport, table_ledger
from optimove_provider.loads.ledger.ledger import Ledger
from optimove_provider.loads.report.report import Report
from optimove_provider.loads.spool.freeze import OpenRows
from optimove_provider.loads.state.staging import Staging
from optimove_provider.loads.upload.destination import Destination
from optimove_provider.loads.validation.csv_file import CsvFile
from optimove_provider.loads.validation.row_check import ImportOptions
from optimove_provider.surroundings import REAL

WITHOUT_WAITS = replace(REAL, sleep=lambda seconds: None)
HOST, TABLE_ID = "https://dcp.test", 1
ATTRIBUTES = (Attribute("ltv", "double"), Attribute("since", "datetime", "yyyy-mm-dd"), Attribute("note", "string"))


def s3_client(url: str) -> Any:
    keys = {"aws_access_key_id": AWS_ACCESS_KEY, "aws_secret_access_key": AWS_SECRET_KEY, "region_name": "us-east-1"}
    return closing(boto3.client("s3", endpoint_url=url, **keys))


@pytest.fixture(scope="module")
def s3() -> Iterator[Any]:
    with EmulatorServer() as server, s3_client(server.s3_url) as client:
        yield client


@pytest.fixture
def target(s3: Any, tmp_path: Path) -> "Target":
    return Target(s3, tmp_path)


def of(data: bytes, name: str = "rows.csv") -> CsvFile:
    return CsvFile(name, lambda: io.BytesIO(data))


def rows_of(*items: Any) -> OpenRows:
    return lambda: nullcontext(iter(items))


def imported(s3_keys: Sequence[str]) -> Outcome:
    """What is said of files that are imported."""
    return common_state([HistoryEntry(key, "completed") for key in s3_keys])


def many(rows: int, first: int = 0) -> Iterator[bytes]:
    """The text of a file: its header, and rows of 100 bytes each."""
    yield b"customerId,ltv,since,note\n"
    for start in range(first, first + rows, 10_000):
        numbers = range(start, min(start + 10_000, first + rows))
        yield b"".join(b"%012d,%d.5,2026-01-31,%s\n" % (number, number % 10, b"n" * 72) for number in numbers)


@dataclass
class Target:
    """A table's place in the bucket, which nobody else uses, and a staging folder."""

    s3: Any
    folder: Path
    load_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    s3_path: str = field(default_factory=lambda: f"dcp/{uuid.uuid4()}")
    method: Any = "auto"

    @property
    def staging(self) -> Staging:
        return Staging(LocalFileSystem(), str(self.folder), WITHOUT_WAITS)

    @property
    def to(self) -> Destination:
        return Destination(Bucket(self.s3, IMPORT_BUCKET), self.s3_path, self.load_id, self.staging, self.method)

    def report(self) -> Report:
        """A report of the load that says nothing yet."""
        return Report(self.load_id, {"dcp": TABLE_ID, "host": HOST})

    @property
    def ledger(self) -> Ledger:
        """The table's."""
        found = table_ledger(self.staging, self.report())
        assert found
        return found

    def load(
        self, source: CsvFile | OpenRows | bytes, report: Report, ledger: Ledger | None, **wanted: Any
    ) -> TableImport:
        """An import of rows; what `wanted` has, and no import has, are options of the check."""
        named = {name: wanted.pop(name) for name in TableImport.__slots__ if name in wanted}
        options = ImportOptions(**{"attributes": ATTRIBUTES, **wanted})
        source = of(source) if isinstance(source, bytes) else source
        return TableImport(source, options, self.to, report, ledger, **{"outcome_of": imported, **named})

    def run(
        self, source: CsvFile | OpenRows | bytes, remember: Callable[..., object] | None = None, **wanted: Any
    ) -> Report:
        """Import all rows, without a ledger; where it fails, the report is the exception's `report`."""
        report = self.report()
        try:
            load.run(self.load(source, report, None, remember=remember, **wanted))
        except BaseException as error:
            error.report = report  # type: ignore[attr-defined]
            raise
        return report

    def stored(self) -> dict[str, bytes]:
        """Every object under the table's path, by key."""
        listed = self.s3.list_objects_v2(Bucket=IMPORT_BUCKET, Prefix=self.s3_path).get("Contents", [])
        keys = [found["Key"] for found in listed]
        return {key: self.s3.get_object(Bucket=IMPORT_BUCKET, Key=key)["Body"].read() for key in keys}

    def open_uploads(self) -> list[str]:
        """The keys of the uploads under the table's path that are neither completed nor aborted."""
        listed = self.s3.list_multipart_uploads(Bucket=IMPORT_BUCKET).get("Uploads", [])
        return [found["Key"] for found in listed if found["Key"].startswith(self.s3_path)]


class Calls:
    """Counts the calls of one kind, or all, that a client makes, while the `with` block lasts; `then` may spoil one.

    `when` is "before" a call is made, or "after" its answer came.
    """

    def __init__(
        self, s3: Any, name: str = "", then: Callable[[int], None] = lambda count: None, when: str = "before"
    ) -> None:
        self._events, self._event = s3.meta.events, f"{when}-call.s3.{name}".rstrip(".")
        self._then, self.count = then, 0

    def __enter__(self) -> "Calls":
        self._events.register(self._event, self._see)
        return self

    def __exit__(self, *_: object) -> None:
        self._events.unregister(self._event, self._see)

    def _see(self, **_: Any) -> None:
        self.count += 1
        self._then(self.count)
