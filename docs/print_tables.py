"""Prints docs that come from tables in the code: `python docs/print_tables.py`.

A test compares what is printed here with what is in the repository.
"""

import re
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

# A program finds what lies beside it; the package lies above.
sys.path.insert(0, str(Path(__file__).parents[1]))

from optimove_provider import get_provider_info
from optimove_provider.contract.cells.datatypes import RULES, Decision, Dispute, Rule
from optimove_provider.contract.dcp import config as dcp
from optimove_provider.contract.dcp import profiles, subject_access
from optimove_provider.contract.optix import data_connections as optix
from optimove_provider.contract.wire.messages import Endpoint
from optimove_provider.emulator import Switches
from optimove_provider.emulator.api.described.openapi import as_text, document
from optimove_provider.loads.state.journal import MEANING, TRANSITIONS, Stage
from optimove_provider.records.findings.file_rules import FILE_RULES
from optimove_provider.tasks.telling.sync_log_tables import OF_LOADS, OF_REJECTED, Column

DOCS = Path(__file__).parent
MUTANTS = DOCS.parent / "tests/simulation/mutants/found_by.toml"


def rules() -> str:
    """The text of docs/rules.md: one section for each datatype of a DCP CSV file, and one of the other rules."""
    return "\n".join([_RULES_HEAD, *(line for rule in RULES for line in _rule(rule)), _FILE_RULES_HEAD, *_file_rules()])


_RULES_HEAD = """\
# What a cell of a DCP CSV file may hold

Printed from `optimove_provider/contract/cells/datatypes.py` by `docs/print_tables.py`; change the table, not this page.
*Guide* is the vendor's page [Customer Profiles](https://docs.developers.optimizely.com/web-experimentation/docs/customer-profiles).

A cell is judged without its CSV quotes. *Here* is the default, *strict* the strict mode; `disputed` means that the
vendor contradicts itself: a warning, which strict mode makes an error. `implausible` is right by the vendor's words and
hardly meant: a warning in either mode. An empty cell is accepted in every column
but `customerId`: nothing is documented about it. Cells with outer spaces, line ends or characters that are not ASCII
are shown as Python string literals.
"""


_FILE_RULES_HEAD = """\
## All other rules

Printed from `optimove_provider/records/findings/file_rules.py`. What lies behind the warnings about ids and
personal data is in [identifiers-and-pii.md](identifiers-and-pii.md).
"""


def _file_rules() -> Iterator[str]:
    for title, rules in FILE_RULES.items():
        yield from _table(title, ("rule", "severity", "finds"))
        yield from (_row(f"`{rule.name}`", rule.severity, rule.finds) for rule in rules)
        yield ""


def _rule(rule: Rule) -> Iterator[str]:
    form = f", format `{rule.format}`" if rule.format else ""
    yield f"## {rule.name}: datatype `{rule.datatype}`{form}\n"
    yield f"Expected: {rule.expects}.\n"
    yield f"Source: {rule.source}\n"
    printed = [(cell, "valid") for cell in rule.valid] + [(cell, "invalid") for cell in rule.invalid]
    if printed:
        yield from _table("Printed by the vendor", ("cell", "printed as", "here", "strict"))
        yield from (_row(_cells([cell]), said, *_judged(rule, cell)) for cell, said in printed)
        yield ""
    if rule.disputed:
        yield from _table("Where the vendor contradicts itself", ("cells", "it says", "and", "so", "here", "strict"))
        yield from (_dispute(dispute) for dispute in rule.disputed)
        yield ""
    yield from _table("Decided by us: the vendor says nothing", ("cells", "here", "because"))
    yield from (_decision(decision) for decision in rule.decided)
    yield ""


def _judged(rule: Rule, cell: str) -> tuple[str, str]:
    return rule.judge(cell).value, rule.judge(cell, strict=True).value


def _dispute(dispute: Dispute) -> str:
    verdicts = (dispute.lenient.value, dispute.strict.value)
    return _row(_cells(dispute.cells), dispute.statement, dispute.against, dispute.decision, *verdicts)


def _decision(decision: Decision) -> str:
    return _row(_cells(decision.cells), decision.verdict.value, decision.reason)


def _table(title: str, columns: tuple[str, ...]) -> Iterator[str]:
    yield f"**{title}**\n"
    yield _row(*columns)
    yield _row(*("---" for _ in columns))


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _cells(cells: Iterable[str]) -> str:
    return " ".join(f"`{_visible(cell)}`" for cell in cells)


def _visible(cell: str) -> str:
    plain = cell.isascii() and cell.isprintable() and cell == cell.strip()
    return cell if plain else ascii(cell)


def endpoints() -> str:
    """The text of docs/endpoints.md: one row for each endpoint that the package calls."""
    return "\n".join([_ENDPOINTS_HEAD, *_apis(), ""])


_ENDPOINTS_HEAD = """\
# The endpoints that this package calls

Printed from `optimove_provider/contract/` by `docs/print_tables.py`; change the tables, not this page. Nothing here was
tried against the vendors' services. A request is sent again after a lost connection, a 408, a 429 or a 5xx only
where *again* says yes: there, sending twice leaves the same state as sending once. A request that certainly never left
is sent again anywhere. *Waits* is the least wait after a 429 or 503.
"""


def _apis() -> Iterator[str]:
    for title, base, rows in (
        ("Opti-X Data Connections", optix.BASE_URL, optix.ENDPOINTS),
        ("Dynamic Customer Profiles", dcp.BASE_URL, [row for row in dcp.ENDPOINTS if row.api != profiles.API]),
        ("Dynamic Customer Profiles: profiles and aliases", profiles.BASE_URL, profiles.ENDPOINTS),
        ("Optimizely's REST API v2: subject access requests", subject_access.BASE_URL, subject_access.ENDPOINTS),
    ):
        host = {profiles.BASE_URL: "profile_host", subject_access.BASE_URL: "rest_host"}.get(base, "host")
        yield f"## {title}\n\nPaths are relative to the connection's {host}, by default `{base}`.\n"
        yield _row("name", "request", "again", "waits", "source")
        yield _row(*("---" for _ in range(5)))
        yield from (_endpoint(endpoint) for endpoint in rows)
        yield ""


def _endpoint(endpoint: Endpoint) -> str:
    again = "yes" if endpoint.retry_safe else "no"
    waits = f"{endpoint.least_wait_seconds:.0f} s" if endpoint.least_wait_seconds else ""
    path = "the connection's `upload_history_url`" if endpoint is dcp.UPLOAD_HISTORY else f"`{endpoint.path or '/'}`"
    source = re.sub(r"https://\S+", r"[page](\g<0>)", endpoint.source)
    return _row(f"`{endpoint.name}`", f"{endpoint.method} {path}", again, waits, source)


def connections() -> str:
    """The fields of the connection types, for docs/reference/connections.md: what the forms in Airflow's UI say."""
    return "\n".join(line for kind in get_provider_info()["connection-types"] for line in _connection(kind)).rstrip()


def _connection(kind: Mapping[str, Any]) -> Iterator[str]:
    form, default = kind["ui-field-behaviour"], _DEFAULT_IDS[kind["connection-type"]]
    yield f"## {kind['hook-name']}: `{kind['connection-type']}`\n"
    yield f"The id that operators take if you name none: `{default}`.\n"
    yield _row("field", "in the form", "what it is")
    yield _row(*("---" for _ in range(3)))
    yield _row("`host`", form["relabeling"]["host"], f"Blank for `{form['placeholders']['host']}`.")
    yield _row("`password`", form["relabeling"]["password"], "The key. Airflow masks it.")
    yield _row("`port`", form["relabeling"]["port"], "0 is no port.")
    for name, field in kind["conn-fields"].items():
        schema = field["schema"]
        default = f" Default: {schema['default']}." if "default" in schema else ""
        masked = " Airflow masks it." if schema.get("format") == "password" else ""
        yield _row(f"extra `{name}`", field["label"], f"{field['description']}{default}{masked}")
    yield ""


_DEFAULT_IDS = {"optimove_optix": "optix_default", "optimizely_dcp": "dcp_default"}


def configuration() -> str:
    """Airflow's section `[optimove]`, for docs/reference/configuration.md."""
    options = get_provider_info()["config"]["optimove"]["options"]
    told = (
        _row(f"`{name}`", f"`{one['default']}`" if one["default"] else "empty", one["description"])
        for name, one in options.items()
    )
    return "\n".join([_row("option", "default", "what it is"), _row("---", "---", "---"), *told])


def stages() -> str:
    """The stages of a load, as a diagram and as a table, for docs/reliability.md."""
    return "\n".join([*_stage_diagram(), "", *_stage_table()])


def _stage_diagram() -> Iterator[str]:
    yield "```mermaid"
    yield "stateDiagram-v2"
    yield f"    [*] --> {Stage.NEW}"
    for stage, following in TRANSITIONS.items():
        yield from (f"    {stage} --> {after}: {cause}" for after, cause in following.items() if after is not stage)
    yield f"    {Stage.FINISHED} --> [*]"
    yield "```"


def _stage_table() -> Iterator[str]:
    yield _row("stage", "what it means", "and goes on to")
    yield _row("---", "---", "---")
    for stage, meaning in MEANING.items():
        following = "; ".join(f"`{after}`: {cause}" for after, cause in TRANSITIONS[stage].items())
        yield _row(f"`{stage}`", meaning, following)


def mutants() -> str:
    """The faults that are planted to be found, with the seeds that find them, for docs/reliability.md."""
    found = tomllib.loads(MUTANTS.read_text("utf-8"))
    told = (
        _row(one["what"], f"`{name}`", str(one["seed"] or "none of 1 to 100")) for name, one in sorted(found.items())
    )
    return "\n".join([_row("planted fault", "patch", "seed"), _row("---", "---", "---"), *told])


def sync_log(columns: tuple[Column, ...]) -> str:
    """The columns of a table of the sync log, for docs/sync-log.md."""
    told = (_row(f"`{one.name}`", f"`{one.sql_type}`", one.says) for one in columns)
    return "\n".join([_row("column", "type", "what it says"), _row("---", "---", "---"), *told])


def with_section(page: str, name: str, text: str) -> str:
    """A page in which a printed section, between two comments that name it, is this text."""
    begin, end = f"<!-- printed: {name} -->\n", f"\n<!-- end of {name} -->"
    before, _, rest = page.partition(begin)
    return f"{before}{begin}{text}{rest[rest.index(end) :]}"


def openapi() -> str:
    """The text of docs/openapi.json: both APIs, under the emulator's guesses."""
    return as_text(document(Switches()))


PAGES = {"rules.md": rules, "endpoints.md": endpoints, "openapi.json": openapi}
SECTIONS = {
    ("reference/connections", "fields"): connections,
    ("reference/configuration", "options"): configuration,
    ("reliability", "stages"): stages,
    ("reliability", "mutants"): mutants,
    ("sync-log", "loads"): lambda: sync_log(OF_LOADS),
    ("sync-log", "rejected rows"): lambda: sync_log(OF_REJECTED),
}


def main() -> None:
    """Print all pages and sections."""
    for name, page in PAGES.items():
        DOCS.joinpath(name).write_text(page(), encoding="utf-8")
    for (name, section), text in SECTIONS.items():
        path = DOCS / f"{name}.md"
        path.write_text(with_section(path.read_text("utf-8"), section, text()), encoding="utf-8")


if __name__ == "__main__":
    main()
