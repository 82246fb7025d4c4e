"""The commands that load rows, tell what a load would do, or send rejected rows again.

A load is what its operator makes of it: the same checks, guards, words and defaults as in a DAG, without a task.
"""

import argparse
import getpass
import inspect
import json
import sys
import time
import uuid
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, TextIO

from optimove_provider.cli.command import FINDINGS, OK, Command, option
from optimove_provider.cli.tables import JSON, OUTPUT, write_facts, write_json, write_table
from optimove_provider.contract.wire.errors import SettingsError
from optimove_provider.contract.wire.evidence import evidence_in
from optimove_provider.contract.wire.targets import connection_uuid, id_number
from optimove_provider.options import Guards, Sending

if TYPE_CHECKING:
    from optimove_provider.loads.state.staging import Staging
    from optimove_provider.tasks.deferral import LoadingOperator

_AGAIN_SECONDS = 5.0
_PLAN = (
    *("new", "changed", "unknown", "expiring", "reverified", "removed", "absent", "unchanged", "stale", "suppressed"),
    "owed_to_send",
)


def load(wanted: argparse.Namespace, out: TextIO) -> int:
    """Load rows, and print the account."""
    return _run(wanted, out, {} if wanted.table is None else {"wait": not wanted.no_wait}, wanted.load_id)


def plan(wanted: argparse.Namespace, out: TextIO) -> int:
    """Print what a load would do, and do nothing."""
    return _run(wanted, out, {"dry_run": True})


def _run(wanted: argparse.Namespace, out: TextIO, more: Mapping[str, Any], load_id: str | None = None) -> int:
    from optimove_provider.tasks.staging import staging

    operator, place = _operator(wanted, more), staging()
    load_id = _interrupted(place, load_id, wanted) if load_id else str(place.surroundings.new_id())
    if "dry_run" not in more:
        print(f"load {load_id}: if this is interrupted, --load-id {load_id} goes on with it", file=sys.stderr)
    result = _load(operator, load_id)
    report = place.read_whole(f"reports/{load_id}.json") or {}
    if wanted.output == JSON:
        write_json({**result, "plan": report.get("plan") or {}}, out)
    else:
        _tell(result, report, out)
    return FINDINGS if result.get("rejected") else OK


def _interrupted(place: "Staging", load_id: str, wanted: argparse.Namespace) -> str:
    """The id of a load into the same target, in its one form, by which files are named. Raises SettingsError."""
    from optimove_provider.loads.history.loads import Target, report_of

    try:
        own = str(uuid.UUID(load_id))
    except ValueError:
        raise SettingsError(
            f"--load-id {load_id!r:.100}: expected the uuid that the interrupted load told: give that, or leave it out"
        ) from None
    before = Target.of((report_of(place, own) or {}).get("target") or {})
    named = (
        connection_uuid(wanted.data_connection) if wanted.data_connection else str(id_number("--table", wanted.table))
    )
    if before.id not in ("", named):
        raise SettingsError(
            f"--load-id {own}: that load went into {before.name}, and this one is for {named}: leave --load-id out"
        )
    return own


def _load(operator: "LoadingOperator", load_id: str) -> dict[str, Any]:
    """One load, as soon as no other one works on its target."""
    from optimove_provider.loads.ledger.lease import TargetBusy
    from optimove_provider.tasks.deferral import Waiting, as_timedelta

    by = SimpleNamespace(
        dag_id="", task_id=f"command line of {_user()}", run_id="", map_index=-1, try_number=1, max_tries=0
    )
    until = time.monotonic() + as_timedelta("lock_timeout", operator.lock_timeout).total_seconds()
    operator.read_rendered()
    waiting = Waiting.begin(load_id, operator.surroundings)
    while True:
        try:
            return operator.load({"ti": by}, waiting)  # type: ignore[typeddict-item]  # all that a load reads of it
        except TargetBusy as busy:
            if time.monotonic() > until:
                raise
            print(f"{busy}; trying again", file=sys.stderr)
            time.sleep(_AGAIN_SECONDS)
            waiting = Waiting(load_id, waiting.since, waiting.times + 1)


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user has no name
        return "somebody"


def _operator(wanted: argparse.Namespace, more: Mapping[str, Any]) -> "LoadingOperator":
    from optimove_provider.operators.dcp_import import DcpS3ImportOperator
    from optimove_provider.operators.optix import OptixUploadOperator

    if (wanted.data_connection is None) == (wanted.table is None):
        raise SettingsError("give either --data-connection UUID, for Opti-X, or --table ID, for DCP")
    kind: type[LoadingOperator]
    if wanted.table is None:
        if wanted.primary_key is None:
            raise SettingsError("--primary-key is lacking: give the column that holds the key of the data connection")
        kind, conn_id = OptixUploadOperator, "optix_conn_id"
        target = {"data_connection_uuid": wanted.data_connection, "primary_key": wanted.primary_key}
    else:
        if wanted.primary_key is not None:
            raise SettingsError(
                "--primary-key is for Opti-X: leave it out, as the key of a DCP table is always customerId"
            )
        kind, conn_id, target = DcpS3ImportOperator, "dcp_conn_id", {"table_id": wanted.table}
    window = dict(zip(("start", "end"), wanted.window, strict=True)) if wanted.window else None
    given = {
        "source": wanted.source,
        "sql": wanted.sql,
        "sql_conn_id": wanted.sql_conn_id,
        "mode": wanted.mode,
        "window": window,
        conn_id: wanted.conn_id,
    }
    own = {**target, **{name: value for name, value in given.items() if value is not None}, **more}
    return kind(task_id="load", **own, **_others(kind, wanted.set, own))


def _others(kind: "type[LoadingOperator]", texts: Sequence[str], own: Mapping[str, Any]) -> dict[str, Any]:
    """The operator's other parameters, as NAME=VALUE; a value is JSON where it can be read as that."""
    known = set(inspect.signature(kind).parameters) - {"kwargs", *own}
    found = members(texts)
    if unknown := found.keys() - known:
        raise SettingsError(f"--set {sorted(unknown)[0]}: expected one of {', '.join(sorted(known))}")
    return {name: _value(text) for name, text in found.items()}


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _tell(result: Mapping[str, Any], report: Mapping[str, Any], out: TextIO) -> None:
    planned = report.get("plan") or {}
    if counts := {name: planned[name] for name in _PLAN if planned.get(name)}:
        write_table(("plan", "rows"), counts.items(), out)
        print(file=out)
    facts = {name: value for name, value in result.items() if not isinstance(value, list | dict)}
    found = evidence_in(result)
    write_facts({**facts, "evidence": found.words if found else ""}, out)
    for note in report.get("notes") or ():
        print(f"note: {note}", file=out)


def replay(wanted: argparse.Namespace, out: TextIO) -> int:
    """Send a load's rejected rows again, and print the account."""
    from airflow.providers.common.compat.sdk import AirflowException

    from optimove_provider.tasks.replay import replay as again

    guards = Guards.read({"max_changed_share": "off", **members(wanted.guards)})  # judged when their load was
    sending = Sending.read(members(wanted.sending))
    try:
        account = again(wanted.file, wanted.optix_conn_id, wanted.dry_run, guards, sending)
    except AirflowException as error:  # there is no such connection
        raise SettingsError(f"{error}; look at the Airflow connection {wanted.optix_conn_id!r}") from error
    write_json(account, out) if wanted.output == JSON else _tell(account, {}, out)
    if account["message"]:
        print(account["message"], file=sys.stderr)
    return FINDINGS if account["rejected"] or account["message"] else OK


def members(texts: Sequence[str]) -> dict[str, str]:
    """{"max_in_flight": "8"} of ["max_in_flight=8"]."""
    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise SettingsError(f"{text!r}: expected NAME=VALUE")
        found[name] = value
    return found


_LOADING = (
    option("source", metavar="FILE", nargs="?", help="a file, or a URL of Airflow's object storage; or give --sql"),
    option("--data-connection", metavar="UUID", help="the data connection of Opti-X that the rows go to"),
    option("--primary-key", metavar="COLUMN", help="the column that holds its key"),
    option("--table", metavar="ID", help="the table of DCP that the rows go to, instead"),
    option("--sql", metavar="QUERY", help="the rows of a query, instead of a file"),
    option("--sql-conn-id", metavar="CONN_ID", help="the Airflow connection on which it runs"),
    option("--mode", choices=("full", "changed"), help="send every row, or what changed (default: the operator's)"),
    option("--window", metavar=("START", "END"), nargs=2, help="the window that the rows stand for"),
    option("--conn-id", metavar="CONN_ID", help="the Airflow connection (default: optix_default or dcp_default)"),
    option(
        "--set",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="another parameter of the operator for this target, such as max_rejected=10; may be repeated",
    ),
)
_TO_OPTIX = "customers.csv --data-connection 34f8cfca-85fa-444f-97b2-a5b8cbff6907 --primary-key customer_id"
LOAD = Command(
    "load",
    "Load rows into a data connection or a table",
    load,
    (
        *_LOADING,
        option("--no-wait", action="store_true", help="of DCP: do not wait until the files are imported"),
        option("--load-id", metavar="LOAD_ID", help="go on with a load that was interrupted"),
        OUTPUT,
    ),
    examples=(f"load {_TO_OPTIX} --mode changed", "load customers.csv --table 4161712130 --set on_invalid=split"),
)
PLAN = Command(
    "plan",
    "Tell what a load would do, and send nothing",
    plan,
    (*_LOADING, OUTPUT),
    examples=(f"plan {_TO_OPTIX} --mode changed",),
)
REPLAY = Command(
    "replay",
    "Send the rejected rows of an Opti-X load again",
    replay,
    (
        option("file", metavar="FILE", help="the .rejected.jsonl file of a load, beside its report"),
        option(
            "--optix-conn-id",
            metavar="CONN_ID",
            default="optix_default",
            help="the Airflow connection that the load used (default: %(default)s)",
        ),
        option("--dry-run", action="store_true", help="tell what would be sent, and send nothing"),
        option(
            "--guards",
            metavar="NAME=VALUE",
            action="append",
            default=[],
            help=f"change a guard, of {', '.join(Guards.kinds())}; 'off' switches one off; may be repeated",
        ),
        option(
            "--sending",
            metavar="NAME=VALUE",
            action="append",
            default=[],
            help=f"how it is sent: {', '.join(Sending.kinds())}; may be repeated",
        ),
        OUTPUT,
    ),
    examples=("replay reports/6f0f5d3a-3a84-4000-8000-2f2f0c3f4a11.rejected.jsonl --dry-run",),
)
