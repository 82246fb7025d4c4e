"""The command about loads: which there were, and what became of the rows of one."""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import islice
from typing import TYPE_CHECKING, Any, TextIO

from optimove_provider.cli.command import FINDINGS, OK, Command, number, option
from optimove_provider.cli.tables import JSON, OUTPUT, write_facts, write_json, write_table
from optimove_provider.contract.outcomes import OUTCOMES, SELDOM
from optimove_provider.contract.wire.errors import DataError
from optimove_provider.contract.wire.evidence import evidence_in

if TYPE_CHECKING:
    from optimove_provider.loads.history.loads import Load
    from optimove_provider.loads.state.staging import Staging


def history(wanted: argparse.Namespace, out: TextIO) -> int:
    """List loads, or tell of one."""
    from optimove_provider.tasks.staging import staging

    return _one(staging(), wanted, out) if wanted.load else _several(staging(), wanted, out)


def _several(place: "Staging", wanted: argparse.Namespace, out: TextIO) -> int:
    from optimove_provider.loads.history.loads import LoadIndex

    found = list(islice(filter(_chooser(wanted), LoadIndex().loads(place)), wanted.limit))
    if wanted.output == JSON:
        write_json([asdict(load) for load in found], out)
    else:
        counts = [name for name in OUTCOMES if name not in SELDOM or any(load.counts[name] for load in found)]
        columns = ("began", "state", "target", "DAG.task", "mode", "rows", *counts, "seconds", "load id")
        rows = (_row(load, counts) for load in found)
        write_table(columns, rows, out, "" if found else f"No such load in {place.url('reports')}")
    return OK


def _chooser(wanted: argparse.Namespace) -> Any:
    def is_wanted(load: "Load") -> bool:
        return (
            wanted.dag in (None, load.dag_id)
            and wanted.state in (None, load.state)
            and wanted.target in (None, load.target.id, load.target.name)
        )

    return is_wanted


def _row(load: "Load", names: Sequence[str]) -> tuple[Any, ...]:
    from optimove_provider.loads.history.words import instant

    task = f"{load.dag_id}.{load.task_id}" if load.dag_id else ""
    counts = (load.counts[name] for name in names)
    began = instant(load.newest)
    return (began, _state(load), load.target.name, task, load.mode, load.rows, *counts, load.seconds, load.load_id)


def _state(load: "Load") -> str:
    """In words; whether the task of a load that has told nothing still runs, only Airflow's pages can say."""
    from optimove_provider.loads.history.loads import BEGUN
    from optimove_provider.loads.history.words import state

    return "running, waiting, or killed" if load.state == BEGUN else state(load.state)


def _one(place: "Staging", wanted: argparse.Namespace, out: TextIO) -> int:
    from optimove_provider.loads.history.loads import Load, report_of

    report = report_of(place, wanted.load)
    if report is None:
        raise DataError(
            f"no load {wanted.load!r} is known in {place.url('reports')}: give the id of one that `history` lists; "
            "reports are kept for [optimove] keep_days"
        )
    if wanted.output == JSON:
        write_json({**report, "rejected_rows": list(_rejected(place, report, wanted.limit))}, out)
    else:
        _tell(Load.of(report), report, out)
        rows = (one.values() for one in _rejected(place, report, wanted.limit))
        if cells := [list(row) for row in rows]:
            write_table(("row", "reason", "status", "content"), cells, out, f"\nRejected rows, {len(cells)} of them")
            print(f"\nSend them again once they are mended: replay {report.get('rejected_file', '')}", file=out)
    return FINDINGS if report.get("rejected") else OK


def _tell(load: "Load", report: dict[str, Any], out: TextIO) -> None:
    from optimove_provider.loads.history.words import instant, seconds

    facts = {
        "load": load.load_id,
        "state": _state(load),
        "problem": report.get("problem"),
        "target": f"{load.target.name} at {load.target.host}",
        "task": report.get("task"),
        "mode": load.mode,
        "rows stand for": instant(load.generation),
        "began": instant(load.began),
        "ended": instant(load.ended),
        "took": seconds(load.seconds) if load.ended else "",
        "batch": report.get("batch_uuid"),
        "ledger version": report.get("ledger_version"),
        "rows": load.rows,
        **load.counts,
        "evidence": found.words if (found := evidence_in(report)) else "",
        "expired": report.get("expired"),
    }
    write_facts(facts, out)
    for title, found in (("Why rows were rejected", report.get("reasons")), ("Findings", report.get("warnings"))):
        if found:
            write_table(("", "rows"), found.items(), out, f"\n{title}")
    for note in report.get("notes") or ():
        print(f"note: {note}", file=out)


def _rejected(place: "Staging", report: dict[str, Any], most: int) -> Iterator[dict[str, Any]]:
    from optimove_provider.loads.history.rejected import rejected_path, rejected_rows

    if path := rejected_path(place, report):
        yield from (asdict(row) for row in islice(rejected_rows(place, path), most))


HISTORY = Command(
    "history",
    "List loads, or tell what became of the rows of one",
    history,
    (
        option("load", metavar="LOAD_ID", nargs="?", help="tell of this one, with its rejected rows"),
        option("--dag", metavar="DAG_ID", help="only loads of this DAG"),
        option("--target", metavar="TARGET", help="only loads into this data connection or table"),
        option("--state", metavar="STATE", help="only loads in this state, such as failed or committed"),
        option("--limit", metavar="N", type=number(1), default=20, help="so many at most (default: %(default)s)"),
        OUTPUT,
    ),
    examples=(
        "history --dag crm_nightly --state failed",
        "history 6f0f5d3a-3a84-4000-8000-2f2f0c3f4a11",
        "history --limit 1000 --output json",
    ),
)
