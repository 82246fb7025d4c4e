"""The start page: every endpoint that is served, what it is, and which of them are assumed. No I/O here."""

from collections.abc import Iterable
from html import escape

from optimove_provider.contract.dcp import config as dcp
from optimove_provider.contract.dcp import subject_access
from optimove_provider.contract.optix import data_connections as optix
from optimove_provider.contract.wire.messages import Endpoint
from optimove_provider.emulator.api.routes import PREFIXES

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>optimove_provider emulator</title>
<style>body{{font-family:sans-serif;margin:2em}}td{{padding:.2em 1em .2em 0;vertical-align:top}}
mark{{background:#fd6}}</style></head><body>
<h1>optimove_provider emulator</h1>
<p>It holds what it was sent since it started, and nothing else.
Rows marked <mark>assumed</mark> are documented nowhere.</p>
<h2>The vendors' APIs</h2><table>{vendor}</table>
<h2>Control</h2><table>{control}</table>
</body></html>
"""


def start_page(control: Iterable[tuple[str, str, str]]) -> str:
    """The page as HTML. `control` has method, path and purpose of each control route."""
    vendor = "".join(map(_vendor_row, (*optix.ENDPOINTS, *dcp.ENDPOINTS, *subject_access.ENDPOINTS)))
    return _PAGE.format(vendor=vendor, control="".join(_cells(*row) for row in control))


def _vendor_row(row: Endpoint) -> str:
    mark = "<mark>assumed</mark> " if row.source.startswith("assumed") else ""
    return _cells(f"{row.api}.{row.name}", row.method, PREFIXES[row.api] + row.path, row.source, mark=mark)


def _cells(*cells: str, mark: str = "") -> str:
    *rest, last = map(escape, cells)
    return "<tr>" + "".join(f"<td><code>{cell}</code></td>" for cell in rest) + f"<td>{mark}{last}</td></tr>\n"
