"""A report of findings, written for people (text, html) and for programs (json, csv)."""

import csv
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any, TextIO

from optimove_provider.contract.wire.shown import shown
from optimove_provider.records.findings.findings import ERROR, Finding, Findings

if TYPE_CHECKING:
    from rich.console import Console

MANY = 20
"""With more findings than this, people see them by rule and column first."""

SHOWN = 50
"""So many findings are printed as text, if there are many, and so many groups of them."""

_SAMPLES = 3
_WIDTH = 120
_GROUPED = ("severity", "rule", "column", "findings", "such as")
_LISTED = ("severity", "row", "line", "column", "rule", "value", "message")
_NUMBERS = {"row", "line", "findings"}


def write(report: Findings, format: str, out: TextIO) -> None:
    """Write a report to `out`, which should take UTF-8; `format` is one of FORMATS."""
    _WRITERS[format](report, out)


@dataclass(frozen=True, slots=True)
class Group:
    """Findings of one rule in one column; `samples` are the first different values among those that were kept."""

    severity: str
    rule: str
    column: str
    count: int
    samples: tuple[str, ...]


def groups(report: Findings) -> list[Group]:
    """What was found by rule and column, errors first, the most frequent first."""
    samples: dict[tuple[str, str, str], list[str]] = {}
    for finding in report.findings:
        values = samples.setdefault((finding.rule, finding.column, finding.severity), [])
        if len(values) < _SAMPLES and finding.value not in values:
            values.append(finding.value)
    counted = [
        Group(severity, rule, column, count, tuple(samples.get((rule, column, severity), ())))
        for (rule, column, severity), count in report.groups.items()
    ]
    return sorted(counted, key=lambda group: (group.severity != ERROR, -group.count))


def visible(value: str) -> str:
    """A value as people can see it: quoted and escaped where its ends or some of its characters would not show."""
    return value if value and value.isprintable() and value.strip() == value else repr(value)


def _totals(report: Findings) -> list[tuple[str, int]]:
    warnings = report.total - report.errors
    counts = (report.rows, "row"), (report.valid_rows, "valid row"), (report.errors, "error"), (warnings, "warning")
    return [(word if count == 1 else f"{word}s", count) for count, word in counts]


def _verdict(report: Findings) -> str:
    if not report.total:
        return "nothing is wrong"
    return "not valid: there are errors" if report.errors else "valid, with warnings"


def _group_cells(group: Group) -> tuple[str, ...]:
    samples = "  ".join(visible(value) for value in group.samples if value or group.column)
    return group.severity, group.rule, visible(group.column) if group.column else "", f"{group.count:,}", samples


def _finding_cells(finding: Finding) -> tuple[str, ...]:
    column = visible(finding.column) if finding.column else ""
    value = visible(finding.value) if finding.value or finding.column else ""
    row = str(finding.row) if finding.row else ""
    return finding.severity, row, str(finding.line), column, finding.rule, value, shown(finding.message)


def _json(report: Findings, out: TextIO) -> None:
    json.dump(report.as_json(), out, ensure_ascii=False, indent=1)
    out.write("\n")


def _csv(report: Findings, out: TextIO) -> None:
    writer = csv.DictWriter(out, list(Finding.__slots__), lineterminator="\n")
    writer.writeheader()
    for finding in report.findings:
        writer.writerow({name: _inert(cell) for name, cell in finding.as_json().items()})


_BEGINS_A_FORMULA = tuple("=+-@\uff1d\uff0b\uff0d\uff20")  # the wide ones too
_NUMBER = re.compile(r"[+-]?[0-9.,]+")


def _inert(cell: Any) -> Any:
    """A text that a spreadsheet shows and does not carry out: what begins like a formula gets an apostrophe."""
    if not isinstance(cell, str):
        return cell
    text = shown(cell)
    begins = text.lstrip().startswith(_BEGINS_A_FORMULA) and not _NUMBER.fullmatch(text)
    return f"'{text}" if begins else text


def _text(report: Findings, out: TextIO) -> None:
    from rich.console import Console

    console = Console(file=out, width=None if out.isatty() else _WIDTH, highlight=False, markup=False, emoji=False)
    totals = ", ".join(f"{count:,} {name}" for name, count in _totals(report))
    style = "bold red" if report.errors else "bold green"
    console.print(f"{visible(report.file or 'input')}: {_verdict(report)}", style=style, soft_wrap=True)
    console.print(f"{totals} in {report.bytes:,} {'byte' if report.bytes == 1 else 'bytes'}", soft_wrap=True)
    many = report.total > MANY or report.truncated
    if many:
        grouped = groups(report)
        _table(console, _GROUPED, map(_group_cells, grouped[:SHOWN]))
        if len(grouped) > SHOWN:
            more = "rules and columns with findings; the format html lists them all."
            console.print(f"Shown: the first {SHOWN:,} of {len(grouped):,} {more}", soft_wrap=True)
    shown = report.findings[:SHOWN] if many else report.findings
    if shown:
        _table(console, _LISTED, map(_finding_cells, shown))
    if note := _left_out(report, len(shown)):
        console.print(note, soft_wrap=True)


def _left_out(report: Findings, shown: int) -> str:
    """Say that findings are missing, and where they are; empty if none is."""
    if shown == report.total:
        return ""
    kept = len(report.findings)
    others = "the formats json, csv and html list them all" if kept == report.total else f"{kept:,} were kept"
    return f"Shown: the first {shown:,} of {report.total:,} findings; {others}."


def _table(console: "Console", names: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1), show_edge=False)
    for name in names:
        options: dict[str, Any] = {"justify": "right", "no_wrap": True} if name in _NUMBERS else {"overflow": "fold"}
        table.add_column(name, **options)
    for severity, *cells in rows:
        # As Text: a value may look like rich's markup.
        table.add_row(Text(severity, "red" if severity == ERROR else "yellow"), *map(Text, cells))
    console.print()
    console.print(table)
    console.print()


def _html(report: Findings, out: TextIO) -> None:
    title = escape(visible(report.file or "input"))
    state = "bad" if report.errors else "good"
    out.write(_HEAD.format(title=title, style=_STYLE, state=state, verdict=escape(_verdict(report))))
    for name, count in [*_totals(report), ("bytes", report.bytes)]:
        out.write(f"<div><b>{count:,}</b>{escape(name)}</div>\n")
    out.write("</section>\n")
    if report.groups:
        out.write("<h2>By rule and column</h2>\n")
        _html_table(out, _GROUPED, map(_group_cells, groups(report)))
        out.write("<h2>Findings</h2>\n")
        if report.truncated:
            kept, total = len(report.findings), report.total
            out.write(f"<p class=note>Only the first {kept:,} of {total:,} findings are listed; all are counted.</p>\n")
        _html_table(out, _LISTED, map(_finding_cells, report.findings))
    out.write("</main>\n</html>\n")


def _html_table(out: TextIO, names: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> None:
    kinds = [f' class="{name.replace(" ", "-")}{" number" if name in _NUMBERS else ""}"' for name in names]
    heads = "".join(f"<th{kind}>{name}</th>" for kind, name in zip(kinds, names, strict=True))
    out.write(f'<div class="scroll"><table>\n<thead><tr>{heads}</tr></thead>\n<tbody>\n')
    for row in rows:
        cells = "".join(f"<td{kind}>{escape(cell)}</td>" for kind, cell in zip(kinds, row, strict=True))
        out.write(f'<tr class="{row[0]}">{cells}</tr>\n')
    out.write("</tbody></table></div>\n")


_HEAD = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}: findings</title>
<style>{style}</style>
<main>
<h1>{title}</h1>
<p class="verdict {state}">{verdict}</p>
<section class="totals">
"""

_STYLE = """
:root { --ink: #1c2330; --soft: #667085; --line: #e3e7ee; --page: #f6f7f9; --sheet: #fff;
        --error: #b42318; --warning: #935b00; --good: #1a7f4b; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e9ef; --soft: #98a2b3; --line: #333b4a; --page: #12161d; --sheet: #1a2029;
          --error: #ff8a7d; --warning: #f0b429; --good: #5fd39a; } }
body { margin: 0; background: var(--page); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 1200px; margin: 0 auto; padding: 32px 24px 64px; }
h1 { font-size: 24px; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 17px; margin: 36px 0 12px; }
.verdict { margin: 4px 0 24px; font-weight: 600; }
.verdict.bad { color: var(--error); } .verdict.good { color: var(--good); }
.totals { display: flex; flex-wrap: wrap; gap: 12px; }
.totals div { background: var(--sheet); border: 1px solid var(--line); border-radius: 8px; padding: 12px 20px;
              min-width: 96px; color: var(--soft); }
.totals b { display: block; font-size: 22px; color: var(--ink); font-variant-numeric: tabular-nums; }
.note { border-left: 3px solid var(--warning); padding: 4px 12px; background: var(--sheet); }
.scroll { overflow-x: auto; background: var(--sheet); border: 1px solid var(--line); border-radius: 8px; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: 7px 14px; border-bottom: 1px solid var(--line); }
tbody tr:last-child td { border-bottom: 0; }
th { color: var(--soft); font-size: 13px; font-weight: 600; white-space: nowrap; }
.number { text-align: right; font-variant-numeric: tabular-nums; }
td.column, td.value, td.rule, td.such-as { font-family: ui-monospace, monospace; font-size: 13px; }
td.value, td.such-as { max-width: 360px; overflow-wrap: anywhere; white-space: pre-wrap; }
td.rule { white-space: nowrap; } td.value { min-width: 140px; }
tr.error td.severity { color: var(--error); } tr.warning td.severity { color: var(--warning); }
td.severity { font-weight: 600; }
"""

_WRITERS: Mapping[str, Callable[[Findings, TextIO], None]] = {"text": _text, "json": _json, "csv": _csv, "html": _html}
FORMATS = tuple(_WRITERS)
