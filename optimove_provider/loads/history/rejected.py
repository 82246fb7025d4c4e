"""The rejected rows of a load, as its file in staging has them: with the reason that the vendor, or we, gave."""

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from optimove_provider.loads.state.staging import Staging
from optimove_provider.records.rejected_lines import REJECTED_ENDING
from optimove_provider.records.validate.row_sink import REASON_COLUMNS


@dataclass(frozen=True, slots=True)
class RejectedRow:
    """A rejected row: its number in the source, why, the status of the answer, if there was one, and what it was."""

    row: str
    reason: str
    status: str
    content: str


def rejected_path(staging: Staging, report: Mapping[str, Any]) -> str | None:
    """Where a load's rejected rows are, if they are in staging still."""
    name = str(report.get("rejected_file", "")).rpartition("/")[2]
    found = staging.files("reports")
    return f"reports/{name}" if name in found and name.startswith(f"{report['load_id']}.") else None


def rejected_rows(staging: Staging, path: str, containing: str = "") -> Iterator[RejectedRow]:
    """The rows one after the other; those whose reason contains a text, whatever its case. Lines of no known form are
    left out."""
    wanted = containing.casefold()
    with staging.open(path) as file:
        lines = (line.decode("utf-8", "replace") for line in file)
        rows = _of_json(lines) if path.endswith(REJECTED_ENDING) else _of_csv(lines, path)
        yield from (row for row in rows if wanted in row.reason.casefold())


def _of_json(lines: Iterator[str]) -> Iterator[RejectedRow]:
    for line in lines:
        try:
            told = json.loads(line)
            content = told["record"] if "record" in told else told.get("text", "")
            shown = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
            yield RejectedRow(_text(told["row"]), str(told["reason"]), _text(told.get("status")), shown)
        except (ValueError, TypeError, KeyError):
            continue


def _of_csv(lines: Iterator[str], path: str) -> Iterator[RejectedRow]:
    """The first columns say which row, which line and why; then come those of the source."""
    cells = csv.reader(lines, delimiter="\t" if path.endswith(".tsv") else ",")
    columns = next(cells, [])[len(REASON_COLUMNS) :]
    for row, _, reason, *values in cells:
        told = dict(zip(columns, values, strict=False))
        yield RejectedRow(row, reason, "", json.dumps(told, ensure_ascii=False))


def _text(value: Any) -> str:
    return "" if value is None else str(value)
