"""Sending a load to DCP: a CSV file that was found valid is put under the table's import path."""

import logging
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa

from optimove_provider.clients.s3 import upload
from optimove_provider.contract.datatypes import Attribute
from optimove_provider.contract.errors import DataError
from optimove_provider.loads.report import Report
from optimove_provider.loads.staging import Staging
from optimove_provider.records.csvcheck import Options, check_csv
from optimove_provider.records.findings import Report as Findings
from optimove_provider.records.payload import write_csv

log = logging.getLogger(__name__)

PROGRESS_SECONDS = 5.0
SHOWN_FINDINGS = 10

OpenFile = Callable[[], AbstractContextManager[BinaryIO]]
"""Opens the same file, from its beginning, each time it is called."""


@dataclass(frozen=True, slots=True)
class ImportTarget:
    """Where a file goes: a boto3 S3 client, and the bucket and prefix of the table."""

    s3: Any
    bucket: str
    s3_path: str


@contextmanager
def written_csv(batches: Iterable[pa.RecordBatch]) -> Iterator[OpenFile]:
    """The rows as a CSV file on the local disk, which is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="optimove-") as folder:
        path = Path(folder, "rows.csv")
        with path.open("w", encoding="utf-8", newline="") as file:
            write_csv(batches, file)
        yield lambda: path.open("rb")


def checked(
    open_csv: OpenFile,
    name: str,
    attributes: Sequence[Attribute],
    staging: Staging,
    report_path: str,
    *,
    strict: bool,
) -> tuple[Findings, str]:
    """Validate a whole CSV file; returns what was found and the URL of the full report in staging.

    Raises DataError, with the first findings in its text, if there is an error among them.
    """
    with open_csv() as stream:
        findings = check_csv(stream, attributes, Options(file=name, strict=strict), _progress())
    url = staging.write(report_path, findings.as_json())
    if findings.errors:
        raise DataError(f"{findings.describe(SHOWN_FINDINGS)}\nAll findings: {url}")
    log.info("%s\nFull report: %s", findings.describe(SHOWN_FINDINGS), url)
    return findings, url


def _progress() -> Callable[[int, int], None]:
    told = time.monotonic()

    def tell(rows: int, size: int) -> None:
        nonlocal told
        if time.monotonic() - told > PROGRESS_SECONDS:
            told = time.monotonic()
            log.info("%d rows validated, %d bytes", rows, size)

    return tell


def import_csv(
    open_csv: OpenFile,
    name: str,
    attributes: Sequence[Attribute],
    target: ImportTarget,
    staging: Staging,
    report: Report,
) -> None:
    """Validate a CSV file and upload it under a name never used before; `report` tells the story.

    Nothing is uploaded unless every row is valid. An upload is visible whole or not at all.
    """
    began = time.monotonic()
    try:
        path = f"reports/{report.load_id}-findings.json"
        findings, _ = checked(open_csv, name, attributes, staging, path, strict=False)
        report.rows = findings.rows
        if findings.rows:
            key = f"{target.s3_path.rstrip('/')}/optimove-{report.load_id}.csv"
            with open_csv() as stream:
                upload(target.s3, stream, target.bucket, key, findings.bytes)
            report.s3_keys, report.accepted, report.state = (key,), findings.rows, "uploaded"
        else:
            report.state = "nothing_to_send"
    except BaseException as error:
        report.state, report.problem = "failed", str(error)
        raise
    finally:
        report.seconds = time.monotonic() - began
