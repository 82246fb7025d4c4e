"""Sending a load to DCP: a CSV file that was found valid is put under the table's import path."""

import tempfile
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa

from optimove_provider.clients.s3 import upload
from optimove_provider.contract.datatypes import Attribute
from optimove_provider.contract.errors import DataError
from optimove_provider.loads.checks import CsvFile, OpenFile, checked
from optimove_provider.loads.report import Report
from optimove_provider.loads.staging import Staging
from optimove_provider.records.csvcheck import Options
from optimove_provider.records.findings import Report as Findings
from optimove_provider.records.payload import write_csv
from optimove_provider.records.pii import PII_RULES, pii_names
from optimove_provider.records.sources import csv_batches
from optimove_provider.records.watchers import watchers_for


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


def import_csv(
    file: CsvFile,
    attributes: Sequence[Attribute],
    target: ImportTarget,
    staging: Staging,
    report: Report,
    allow_pii: Collection[str] = (),
) -> None:
    """Validate a CSV file and upload it, unpacked, under a name never used before; `report` tells the story.

    Nothing is uploaded unless every row is valid and no column but those in `allow_pii` looks like personal data, which
    the vendor's terms forbid. A file with tabs is rewritten with commas: every uploader that is known sends .csv files.
    """
    began = time.monotonic()
    try:
        path = f"reports/{report.load_id}-findings.json"
        options = Options(
            watchers=partial(watchers_for, allowed_pii=allow_pii), about_names=partial(pii_names, allowed=allow_pii)
        )
        findings, url = checked(file, attributes, options, staging, path)
        _refuse_pii(findings, url)
        report.rows = findings.rows
        if findings.rows:
            key = f"{target.s3_path.rstrip('/')}/optimove-{report.load_id}.csv"
            with _with_commas(file) as stream:
                upload(target.s3, stream, target.bucket, key, findings.bytes)
            report.s3_keys, report.accepted, report.state = (key,), findings.rows, "uploaded"
        else:
            report.state = "nothing_to_send"
    except BaseException as error:
        report.state, report.problem = "failed", str(error)
        raise
    finally:
        report.seconds = time.monotonic() - began


def _refuse_pii(findings: Findings, url: str) -> None:
    found = sorted({column for rule, column, _ in findings.groups if rule in PII_RULES})
    if found:
        raise DataError(
            f"{findings.file}: columns {', '.join(map(repr, found))} look like personal data, which the terms of DCP "
            f"forbid to send. Leave them out or hash them; if one is none, name it in allow_pii=. All findings: {url}"
        )


@contextmanager
def _with_commas(file: CsvFile) -> Iterator[BinaryIO]:
    with ExitStack() as stack:
        stream = stack.enter_context(file.opened())
        if file.delimiter != ",":
            batches = stack.enter_context(closing(csv_batches(stream, file.name)))
            rewritten = stack.enter_context(written_csv(batches))
            stream = stack.enter_context(rewritten())
        yield stream
