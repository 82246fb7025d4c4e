"""A load's report as one HTML page that a colleague can open."""

from collections.abc import Mapping
from html import escape
from typing import Any

from optimove_provider.contract.wire.evidence import Evidence
from optimove_provider.loads.report.owed import owed_counts
from optimove_provider.loads.report.visibility import sentence

_STYLE = """
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; margin: 1rem 0 } th, td { text-align: left; padding: .25rem 1rem .25rem 0 }
td.number { text-align: right; font-variant-numeric: tabular-nums }
.failed { color: #b00020 } code { font-size: .9em }
"""
_COUNTS = (
    ("rows", "rows of the source"),
    ("accepted", "accepted: taken by the vendor"),
    ("rejected", "rejected: kept with their reasons"),
    ("unchanged", "unchanged: the vendor has them already"),
    ("stale", "stale: the vendor has newer values"),
    ("deleted", "deleted: the source says so, and the record expired or was not there"),
    ("suppressed", "suppressed: left out, as their keys are on the suppression list"),
    ("unsent", "unsent: not accounted for as any of these"),
    ("expired", "expired: records that the source lacks or deletes, made to go"),
    ("not_expired", "not expired: records that the source lacks, and that the vendor refused to take once more"),
)


def page(report: Mapping[str, Any]) -> str:
    """The page; everything that came from data is escaped."""
    state = escape(report["state"])
    target = ", ".join(f"{escape(name)} {escape(str(value))}" for name, value in report["target"].items())
    body = [
        f'<h1>Load <span class="{state}">{state}</span></h1>',
        f"<p><code>{escape(report['load_id'])}</code> into {target}, {report['seconds']:.1f} s</p>",
        f"<p>{escape(report['task'])}</p>" if report["task"] else "",
        f'<p class="failed">{escape(report["problem"])}</p>' if report["problem"] else "",
        f"<p>Next: {escape(report['next_step'])}.</p>" if report.get("next_step") else "",
        f"<p>{escape(seen)}.</p>" if (seen := sentence(report)) else "",
        _counts(report),
        f"<p>The accepted rows are {escape(_evidence(report))}.</p>" if report["accepted"] else "",
        _section("Why rows were rejected", ("reason", "rows"), report["reasons"].items()),
        _section(
            "Owed rows: refused by the vendor, of this load or earlier ones",
            ("", "rows"),
            owed_counts(report.get("owed") or {}),
        ),
        f"<p>Rejected rows: <code>{escape(report['rejected_file'])}</code></p>" if report["rejected_file"] else "",
        f"<p>What was made to expire, key by key: <code>{escape(report['proof'])}</code></p>"
        if report.get("proof")
        else "",
        _section("Warnings", ("rule", "findings"), report.get("warnings", {}).items()),
        _list("Notes", report["notes"]),
        _list("Files", report["s3_keys"]),
        _section(
            "How a campaign reads a column (inferred from the vendor's one example)",
            ("column", "formula"),
            report["formulas"].items(),
        ),
    ]
    head = f"<meta charset=utf-8><title>Load {state}</title><style>{_STYLE}</style>"
    return f"<!doctype html><html lang=en>{head}<body>{''.join(body)}</body></html>\n"


def _counts(report: Mapping[str, Any]) -> str:
    if report["state"] == "failed" and not report["rows"]:
        return "<p>It failed before its rows were counted.</p>"
    return _table(
        ("", "rows"), [(words, report.get(name, 0)) for name, words in _COUNTS if report.get(name) or name == "rows"]
    )


def _evidence(report: Mapping[str, Any]) -> str:
    return Evidence.from_json(report.get("evidence", {})).words


def _section(title: str, names: tuple[str, ...], rows: Any) -> str:
    rows = list(rows)
    return f"<h2>{escape(title)}</h2>{_table(names, rows)}" if rows else ""


def _table(names: tuple[str, ...], rows: Any) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    return f"<table><tr>{head}</tr>{''.join(_row(row) for row in rows)}</table>"


def _row(cells: tuple[Any, ...]) -> str:
    written = (
        f'<td class="number">{cell:,}</td>' if isinstance(cell, int) else f"<td>{escape(str(cell))}</td>"
        for cell in cells
    )
    return f"<tr>{''.join(written)}</tr>"


def _list(title: str, items: Any) -> str:
    written = "".join(f"<li>{escape(str(item))}</li>" for item in items)
    return f"<h2>{escape(title)}</h2><ul>{written}</ul>" if written else ""
