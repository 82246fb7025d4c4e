"""A key taken out of what staging keeps of loads for people: reports and their pages, findings, rejected and dropped
rows, proofs, and the samples of imports."""

import csv
import json
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from optimove_provider.contract.wire.messages import json_body
from optimove_provider.loads.erasure.forgotten_key import GONE, PUT, ForgottenKey
from optimove_provider.loads.erasure.proof import ENDING
from optimove_provider.loads.report.html import page
from optimove_provider.loads.state.staging import Staging
from optimove_provider.records.validate.row_sink import REASON_COLUMNS

RejectedRows = Collection[Mapping[str, Any]]
"""The `row` and `reason` of some rejected rows of a load."""
_ROWS = (".jsonl", ".csv", ".tsv")


def forget_in_files(
    staging: Staging,
    key: ForgottenKey,
    is_wanted: Callable[[str], bool],
    primary_key: Callable[[str], str],
    rejected: dict[str, RejectedRows],
    change: bool = True,
) -> Iterator[str]:
    """Tell what has the key, a sentence for each file, and, with `change`, write it again without.

    Of loads whose id is wanted only; `primary_key` tells of a load which field is its key, "" if nobody knows.
    `rejected` learns, by the loads' ids, which rejected rows were the key's.
    """
    for name in sorted(staging.names("reports"), key=lambda one: one.endswith(".json")):  # reports after their rows
        load_id = name[:36]
        path = f"reports/{name}"
        if not is_wanted(load_id):
            continue
        if name.endswith(".json"):
            yield from _of_document(staging, path, key, rejected.get(load_id, ()), change)
        elif name.endswith(ENDING):
            yield from _of_lines(staging, path, lambda line: _proof_line(line, key), change)
        elif name.endswith(".jsonl"):
            lines = _Rejected(key, primary_key(load_id))
            yield from _of_lines(staging, path, lines.clean, change)
            rejected[load_id] = lines.found
        elif name.endswith(_ROWS):
            yield from _of_cells(staging, path, key, change)


def forget_in_samples(staging: Staging, key: ForgottenKey, change: bool = True) -> Iterator[str]:
    """The same of rows of imports that are remembered to be read back; a sample that has the key goes as a whole."""
    for name in staging.names("samples"):
        path = f"samples/{name}"
        found = staging.read_whole(path)
        if found and _mentions(found, key):
            if change:
                staging.remove_folder(path)
            yield f"{path}, a sample of an import: it will be read back by the first rows of its file instead"


def _mentions(found: Any, key: ForgottenKey) -> bool:
    if isinstance(found, dict):
        return key.text in found or any(_mentions(one, key) for one in found.values())
    if isinstance(found, list):
        return any(_mentions(one, key) for one in found)
    return isinstance(found, str) and key.is_meant_by(found)


def _of_document(staging: Staging, path: str, key: ForgottenKey, rejected: RejectedRows, change: bool) -> Iterator[str]:
    """A report, with its page; or findings. Of rows that were rejected, what was said of them goes too."""
    found = staging.read_whole(path)
    cleaned = unsaid(key.without(found), rejected)
    if not found or cleaned == found:
        return
    if change:
        staging.write(path, {} if cleaned is GONE else cleaned)
        html = path.removesuffix(".json") + ".html"
        if html.rpartition("/")[2] in staging.names("reports"):
            staging.write_text(html, page(cleaned))
    yield path


def unsaid(report: Any, rejected: RejectedRows) -> Any:
    """Without the reasons and examples that are about these rejected rows: a reason may quote what is in them."""
    rows, reasons = (
        {f"row {one.get('row')}: " for one in rejected},
        Counter(str(one["reason"])[:200] for one in rejected),
    )
    if not rows or not isinstance(report, dict):
        return report
    counts = report.get("reasons") or {}
    alone = {reason for reason, count in reasons.items() if counts.get(reason, 0) <= count}
    kept = {PUT if reason in alone else reason: count for reason, count in counts.items()}
    examples = [one for one in report.get("examples") or () if not one.startswith(tuple(rows))]
    problem = str(report.get("problem", ""))
    for reason in alone:
        problem = problem.replace(reason, PUT)
    return {**report, "reasons": kept, "examples": examples, "problem": problem}


def _of_lines(staging: Staging, path: str, clean: Callable[[bytes], bytes], change: bool) -> Iterator[str]:
    """A file of JSON lines, read a line at a time; what is cleaned to nothing is gone."""
    with staging.open(path) as lines:
        touched = sum(clean(line) != line for line in lines)
    if not touched:
        return
    if change:
        with staging.open_new(f"{path}.new") as out, staging.open(path) as lines:
            for line in lines:
                out.write(clean(line))
        staging.fs.mv(staging.path(f"{path}.new"), staging.path(path))
    yield f"{path}, {touched} of its lines"


def _proof_line(line: bytes, key: ForgottenKey) -> bytes:
    """The digest stays: who has the key can still tell that the line is its own."""
    told = _parsed(line)
    return json_body({**told, "key": None}) + b"\n" if told and key.is_meant_by(told.get("key")) else line


class _Rejected:
    """Lines of a rejected file; those of the key are `found`, once each."""

    def __init__(self, key: ForgottenKey, primary_key: str) -> None:
        self._key, self._primary_key = key, primary_key
        self.found: list[Mapping[str, Any]] = []

    def clean(self, line: bytes) -> bytes:
        """The line, or nothing."""
        told = _parsed(line)
        content = told.get("record", told.get("text")) if told else line.decode("utf-8", "replace")
        if not self._key.has_row(content, self._primary_key):
            return line
        about = {"row": told.get("row"), "reason": told.get("reason", "")} if told else None
        if about and about not in self.found:
            self.found.append(about)
        return b""


def _parsed(line: bytes) -> Mapping[str, Any] | None:
    try:
        return dict(json.loads(line))
    except (ValueError, TypeError):
        return None


def _of_cells(staging: Staging, path: str, key: ForgottenKey, change: bool) -> Iterator[str]:
    """A file of rows that an import refused or dropped: reasons first, then the cells of the source."""
    delimiter = "\t" if path.endswith(".tsv") else ","
    touched = sum(row is None for row in _cells(staging, path, delimiter, key))
    if not touched:
        return
    if change:
        with staging.open_new(f"{path}.new") as out:
            for row in _cells(staging, path, delimiter, key):
                if row is not None:
                    out.write(_as_line(row, delimiter))
        staging.fs.mv(staging.path(f"{path}.new"), staging.path(path))
    yield f"{path}, {touched} of its rows"


def _cells(staging: Staging, path: str, delimiter: str, key: ForgottenKey) -> Iterator[list[str] | None]:
    """The rows; None for one of the key."""
    with staging.open(path) as file:
        rows = csv.reader((line.decode("utf-8", "surrogateescape") for line in file), delimiter=delimiter)
        header = next(rows, [])
        yield header
        for row in rows:
            record = dict(zip(header[len(REASON_COLUMNS) :], row[len(REASON_COLUMNS) :], strict=False))
            yield None if key.has_row(record, "") else row


def _as_line(row: list[str], delimiter: str) -> bytes:
    text: list[str] = []
    csv.writer(_Lines(text), delimiter=delimiter, lineterminator="\n").writerow(row)
    return "".join(text).encode("utf-8", "surrogateescape")


class _Lines:
    """What `csv` writes to."""

    def __init__(self, lines: list[str]) -> None:
        self._lines = lines

    def write(self, text: str) -> int:
        self._lines.append(text)
        return len(text)
