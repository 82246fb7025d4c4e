"""The sync log: what real operators leave in tables of SQLite and of PostgreSQL, over Airflow's own hooks."""

import json
import sqlite3
import sys
from contextlib import closing
from datetime import timedelta
from functools import partial
from types import SimpleNamespace

import psycopg2
import pytest
from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException, TaskDeferred
from airflow.sdk import DAG

from optimove_provider.contract.wire.errors import SettingsError
from optimove_provider.emulator.model.faults import Fault
from optimove_provider.loads.ledger.lease import acquire
from optimove_provider.loads.ledger.ledger import ledger_of
from optimove_provider.operators.dcp import DcpCreateAliasesOperator, DcpS3ImportOperator, DcpWriteProfilesOperator
from optimove_provider.operators.optix import OptixUpdateOperator, OptixUploadOperator
from optimove_provider.options import SyncLog
from optimove_provider.surroundings import REAL
from optimove_provider.tasks.staging import staging
from optimove_provider.tasks.telling.sync_log import in_time
from optimove_provider.tasks.telling.sync_log_tables import BATCH, Database, loads_table, rejected_table
from tests.support.running import context, run
from tests.support.telling import runs

pytestmark = pytest.mark.any_version

LOG = {"conn_id": "log", "table": "sync_log"}
BOTH = {**LOG, "rejected_rows": True}
SECRET = "s3cret-of-the-log"


class Log:
    """The user's database, and a look into it that shares nothing with what writes."""

    def __init__(self, connect, fields):
        self.connect, self.fields = connect, fields

    def __call__(self, sql):
        with closing(self.connect()) as connection, closing(connection.cursor()) as cursor:
            cursor.execute(sql)
            rows = cursor.fetchall() if cursor.description else []
            connection.commit()
        return rows

    def columns(self, table="sync_log"):
        with closing(self.connect()) as connection, closing(connection.cursor()) as cursor:
            cursor.execute(f"SELECT * FROM {table} WHERE 1 = 0")  # noqa: S608 - a test's own name
            return [one[0] for one in cursor.description]


@pytest.fixture(params=["sqlite", "postgres"])
def log(request, tmp_path, monkeypatch):
    if request.param == "sqlite":
        file = tmp_path / "log.db"
        found = Log(lambda: sqlite3.connect(file), {"conn_type": "sqlite", "host": str(file)})
    else:
        server, name = request.getfixturevalue("postgres_server"), f"log_{tmp_path.name}".lower()
        server.create(name)
        fields = {**server.airflow_connection(name), "password": SECRET}
        found = Log(lambda: psycopg2.connect(server.dsn(name)), fields)
    monkeypatch.setenv("AIRFLOW_CONN_LOG", json.dumps(found.fields))
    return found


def upload(connection, **given):
    to = {"data_connection_uuid": connection, "primary_key": "id", "source": [{"id": 1}], "sync_log": LOG}
    return OptixUploadOperator(task_id="upload", **{**to, **given})


def flawed(folder, bad=1, good=1):
    file = folder / "flawed.jsonl"
    rows = [{"id": None, "name": "Ada"}] * bad + [{"id": str(number)} for number in range(good)]
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return str(file)


def test_a_load_is_one_row_with_its_account(emulator, connection, log):
    result = run(upload(connection, window={"start": "2026-01-01T00:00:00Z", "end": "2026-01-02T02:00:00+02:00"}))
    names = (
        "load_id, state, kind, target, dag_id, task_id, rows_total, rows_accepted, rows_unsent, window_end, try_number"
    )
    assert log(f"SELECT {names} FROM sync_log") == [  # noqa: S608 - a test's own names
        (
            *(result["load_id"], "committed", "optix", connection, "dag", "upload", 1, 1, 0),
            *("2026-01-02T00:00:00.000000+00:00", 1),
        )
    ]
    ((report, problem, began, ended),) = log("SELECT report, problem, began, ended FROM sync_log")
    assert (report, problem) == (result["report"], None)
    assert began < ended


@pytest.mark.parametrize("log", ["postgres"], indirect=True)
def test_loads_of_every_kind_and_end_on_real_airflow(
    emulator, airflow_db, connection, table, log, tmp_path, monkeypatch
):
    monkeypatch.setenv("AIRFLOW__OPTIMOVE__SYNC_LOG", json.dumps(BOTH))
    emulator.state.faults.order(Fault("upload_data", status=429, times=1))
    profiles, to = [{"customerId": "1", "age": 3}], {"data_connection_uuid": connection, "primary_key": "id"}
    with DAG("logged_loads") as dag:
        first = OptixUploadOperator(
            task_id="retried", source=[{"id": 1}], retries=1, sending={"give_up_after": 0}, **to
        )
        tasks = [
            OptixUploadOperator.partial(task_id="mapped", sync_log=SyncLog("log", "sync_log"), **to).expand(
                source=[[{"id": 2}], [{"id": 3}]]
            ),
            OptixUploadOperator(task_id="planned", source=[{"id": 4}], dry_run=True, **to),
            OptixUploadOperator(task_id="plan_fails", source="/no/such.csv", dry_run=True, **to),
            OptixUploadOperator(task_id="keyless", source=flawed(tmp_path), **to),
            OptixUploadOperator(task_id="unlogged", source=[{"id": 5}], sync_log=False, **to),
            OptixUpdateOperator(task_id="updated", source=[{"id": 1}], sync_log="log:{{ dag.dag_id }}", **to),
            DcpS3ImportOperator(task_id="imported", table_id=table, source=profiles, wait=True, poke_interval=1),
            DcpWriteProfilesOperator(task_id="written", table_id=table, profiles=profiles),
            DcpWriteProfilesOperator(task_id="no_table", table_id="none", profiles=profiles),
            DcpCreateAliasesOperator(task_id="aliases", service_id=1, aliases=[]),
        ]
        for before, after in zip([first, *tasks], tasks, strict=False):
            after.trigger_rule = "all_done"
            before >> after
    told = runs.run(dag)
    found = log("SELECT task_id, map_index, state, try_number, rows_total, load_id FROM sync_log")
    assert {(task, index): ends for task, index, *ends, _ in found} == {
        ("retried", -1): ["committed", 2, 1],
        ("mapped", 0): ["committed", 1, 1],
        ("mapped", 1): ["committed", 1, 1],
        ("keyless", -1): ["failed", 1, 2],
        ("imported", -1): ["committed", 1, 1],
        ("written", -1): ["committed", 1, 1],
        ("no_table", -1): ["failed", 1, 0],
        ("aliases", -1): [told.xcoms["aliases"]["account"]["state"], 1, 0],
    }
    assert len(found) == 8
    assert log("SELECT task_id, load_mode FROM logged_loads") == [("updated", "update")]
    labels = {task if index < 0 else f"{task}[{index}]": load_id for task, index, *_, load_id in found}
    assert all(told.xcoms[task]["load_id"] == load_id for task, load_id in labels.items())
    assert log("SELECT kind, target FROM sync_log WHERE task_id = 'no_table'") == [("dcp", None)]
    assert log("SELECT task_id, rejected_number, source_row FROM sync_log_rejected") == [("keyless", 1, 1)]


def test_a_retry_takes_the_place_of_the_try_before(emulator, connection, log, tmp_path):
    emulator.state.faults.order(Fault("upload_data", status=429))
    operator = upload(connection, sending={"give_up_after": 0}, sync_log=BOTH, source=flawed(tmp_path), max_rejected=1)
    with pytest.raises(AirflowException):
        run(operator, run_id="r", max_tries=1)
    ((state, failed_with, problem),) = log("SELECT state, failed_with, problem FROM sync_log")
    assert (state, bool(failed_with), problem) == ("failed", True, None)
    run(operator, run_id="r", try_number=2, max_tries=1)
    run(operator, run_id="r", try_number=3, max_tries=1)
    assert log("SELECT state, try_number, failed_with FROM sync_log") == [("committed", 3, None)]
    assert log("SELECT rejected_number FROM sync_log_rejected") == [(1,)]


@pytest.mark.parametrize("shows", [False, True])
def test_rejected_rows_in_batches_and_their_values_only_if_shown(
    emulator, connection, log, tmp_path, monkeypatch, shows
):
    monkeypatch.setenv("AIRFLOW__OPTIMOVE__SHOW_RECORDS", str(shows))
    bad = BATCH + 2
    with pytest.raises(AirflowFailException):
        run(upload(connection, sync_log=BOTH, source=flawed(tmp_path, bad)))
    ((count, least, most),) = log("SELECT count(*), min(rejected_number), max(source_row) FROM sync_log_rejected")
    assert (count, least, most) == (bad, 1, bad)
    ((reason, content),) = log("SELECT reason, content FROM sync_log_rejected WHERE source_row = 1")
    assert "a key is missing" in reason
    assert content == ('{"id": null, "name": "Ada"}' if shows else None)
    ((problem,),) = log("SELECT problem FROM sync_log")
    assert bool(problem) == shows


def test_a_table_of_an_older_version_gets_its_columns_and_keeps_its_rows(emulator, connection, log):
    log("CREATE TABLE sync_log (load_id VARCHAR(64) PRIMARY KEY, state VARCHAR(32), own_remark VARCHAR(9))")
    log("INSERT INTO sync_log VALUES ('old', 'committed', 'mine')")
    run(upload(connection))
    assert log.columns()[:3] == ["load_id", "state", "own_remark"]
    assert set(log.columns()) == {"own_remark", *(one.name for one in loads_table("x").columns)}
    found = {own: (state, rows) for own, state, rows in log("SELECT own_remark, state, rows_total FROM sync_log")}
    assert found == {"mine": ("committed", None), None: ("committed", 1)}


def test_old_rows_go_after_so_many_days_and_no_sooner(emulator, connection, log):
    run(upload(connection))
    for load_id, at in {"old": "2020-01-01T00:00:00.000000+00:00", "new": "2999-01-01T00:00:00.000000+00:00"}.items():
        log(f"INSERT INTO sync_log (load_id, logged_at) VALUES ('{load_id}', '{at}')")  # noqa: S608 - a test's own
    run(upload(connection))
    assert len(log("SELECT 1 FROM sync_log")) == 4
    run(upload(connection, sync_log={**LOG, "keep_days": 1}))
    left = {load_id for (load_id,) in log("SELECT load_id FROM sync_log")}
    assert len(left) == 4
    assert "old" not in left
    assert "new" in left


def test_a_schema_may_stand_before_the_table(emulator, connection, log):
    schema = "main" if log.fields["conn_type"] == "sqlite" else "public"
    run(upload(connection, sync_log=f"log:{schema}.loads"))
    assert len(log("SELECT 1 FROM loads")) == 1


def test_a_deferral_is_told_when_it_ends(emulator, connection, log):
    ledger = ledger_of(staging(), "optix", f"{emulator.url}/api/data-connections/v1", connection)
    other, operator = acquire(ledger.manifest_file, "the other load", 1), upload(connection, lock_timeout=99)
    told = context(operator)
    with pytest.raises(TaskDeferred) as deferred:
        operator.execute(told)
    assert not _is_there(log)
    other.release()
    operator.resume_execution(deferred.value.method_name, {"event": {}, **deferred.value.kwargs}, told)
    assert log("SELECT state FROM sync_log") == [("committed",)]


def _is_there(log, table="sync_log"):
    try:
        return bool(log.columns(table))
    except (sqlite3.Error, psycopg2.Error):
        return False


def test_what_cannot_be_written_is_a_warning_that_names_it(emulator, connection, log, caplog):
    log("CREATE VIEW sync_log AS SELECT 1 AS load_id")
    assert run(upload(connection))["state"] == "committed"
    ((level, text),) = [(one.levelname, one.getMessage()) for one in caplog.records if "sync_log" in one.getMessage()]
    assert level == "WARNING"
    assert "table sync_log of connection log: " in text
    assert "The load itself is committed" in text
    assert SECRET not in caplog.text


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        (None, "connection 'log' is not there"),
        ({"conn_type": "http", "host": "x"}, "no connection to a database"),
        ({"conn_type": "postgres", "host": "/nowhere", "password": SECRET}, "OperationalError"),
    ],
)
def test_a_connection_that_is_none_is_a_warning(emulator, connection, monkeypatch, caplog, fields, told):
    if fields:
        monkeypatch.setenv("AIRFLOW_CONN_LOG", json.dumps(fields))
    assert run(upload(connection))["state"] == "committed"
    assert told in caplog.text
    assert SECRET not in caplog.text


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("nothing", "sync_log='nothing': expected SyncLog"),
        ("log:a b", "sync_log.table='a b'"),
        ('{"conn_id": "log"}', "sync_log.table=''"),
        ("{no json", "expected SyncLog"),
        ("log:t{{ x }}", "sync_log.table='t{{ x }}'"),
        ('{"conn_id": "log", "table": "t", "keep": 3}', "sync_log.keep=3: unknown"),
    ],
)
def test_a_setting_that_is_none_is_a_warning_that_says_where_it_stands(
    emulator, connection, monkeypatch, caplog, value, told
):
    monkeypatch.setenv("AIRFLOW__OPTIMOVE__SYNC_LOG", value)
    assert run(upload(connection, sync_log=None))["state"] == "committed"
    assert told in caplog.text
    assert "mend [optimove] sync_log" in caplog.text


@pytest.mark.parametrize(
    "wrong",
    [
        *({"conn_id": "log", "table": name} for name in ("t; DROP TABLE x", "a.b.c.d", "1t", "t\n", "é", "t" * 51, "")),
        {"conn_id": "", "table": "t"},
        {"table": "t"},
        {"conn_id": "log", "table": "t", "keep_days": 0},
        {"conn_id": "log", "table": "t", "rejected_rows": "yes"},
        True,
        {},
    ],
)
def test_a_wrong_sync_log_fails_when_the_dag_is_parsed(wrong):
    with pytest.raises(SettingsError, match="sync_log"):
        upload("u", sync_log=wrong)


def test_a_value_a_mapping_and_a_text_mean_the_same():
    value = SyncLog("log", "ops.loads")
    assert value == SyncLog.of("log:ops.loads") == SyncLog.of({"conn_id": "log", "table": "ops.loads"})
    assert value == SyncLog.of('{"conn_id": "log", "table": "ops.loads", "keep_days": null}')
    assert upload("u", sync_log=value).sync_log == value.as_dict()


def test_all_tasks_of_a_dag_may_have_it_by_default():
    with DAG("by_default", default_args={"sync_log": "log:t"}):
        by_default, own = upload("u", sync_log=False), DcpWriteProfilesOperator(task_id="w", table_id=1, profiles=[])
    assert by_default.sync_log is False
    assert own.sync_log == SyncLog("log", "t").as_dict()


def test_a_name_is_checked_as_it_is_rendered(emulator, connection, log, caplog):
    operator = upload(connection, sync_log={"conn_id": "log", "table": "{{ params.table }}"})
    operator.sync_log = {**operator.sync_log, "table": "x; DROP TABLE y"}  # as Airflow renders it
    assert run(operator)["state"] == "committed"
    assert "mend sync_log of the task" in caplog.text
    operator.sync_log = {**operator.sync_log, "table": "rendered"}
    run(operator)
    assert len(log("SELECT 1 FROM rendered")) == 1


def test_two_loads_may_make_the_table_at_once(postgres_server):
    postgres_server.create("at_once")
    with closing(postgres_server.connect("at_once")) as one, closing(postgres_server.connect("at_once")) as other:
        with other.cursor() as cursor:
            cursor.execute(loads_table("t").create)
        waits = _in_thread(lambda: Database(one).ensure(loads_table("t")))
        other.commit()
        waits.result(timeout=60)
        Database(other).replace(loads_table("t"), "x", [{"load_id": "x"}], None)


def test_a_lock_is_not_waited_for_for_ever(postgres_server):
    postgres_server.create("locked")
    table = loads_table("t")
    with closing(postgres_server.connect("locked")) as one, closing(postgres_server.connect("locked")) as other:
        Database(one).ensure(table)
        with other.cursor() as cursor:
            cursor.execute("LOCK TABLE t")
        writes = partial(Database(one).replace, table, "x", [{"load_id": "x"}], None)
        with pytest.raises(TimeoutError, match=r"took longer than 0:00:00\.2"):
            in_time(REAL, writes, timedelta(seconds=0.2))
        other.commit()


def test_an_error_of_what_is_done_in_time_is_its_own():
    def fails():
        raise TimeoutError("the driver's own")

    with pytest.raises(TimeoutError, match="the driver's own"):
        in_time(REAL, fails)


def _in_thread(do):
    from concurrent.futures import ThreadPoolExecutor

    pool = ThreadPoolExecutor(1)
    future = pool.submit(do)
    pool.shutdown(wait=False)
    return future


@pytest.mark.parametrize("style", ["qmark", "named", "odd"])
def test_values_are_bound_in_the_drivers_way(monkeypatch, style):
    monkeypatch.setitem(sys.modules, "some_driver", SimpleNamespace(paramstyle=style))
    driver = type("Connection", (sqlite3.Connection,), {"__module__": "some_driver.inner"})
    table, hostile = rejected_table("t"), "'); DROP TABLE t; --\0\ud800 é"
    with closing(sqlite3.connect(":memory:", factory=driver)) as connection:
        database = Database(connection, "?")
        database.ensure(table)
        rows = [{"load_id": "x", "rejected_number": 1, "reason": hostile, "content": "é" * 3000, "status": ""}]
        database.replace(table, "x", rows, None)
        found = connection.execute("SELECT reason, length(content), status FROM t_rejected").fetchall()
    assert found == [("'); DROP TABLE t; --\ufffd? é", 2000, None)]


def test_all_rows_of_a_load_are_replaced_or_none(tmp_path):
    def broken():
        yield {"load_id": "x", "rejected_number": 1}
        raise RuntimeError("the file is gone")

    table = rejected_table("t")
    with closing(sqlite3.connect(tmp_path / "db")) as connection:
        database = Database(connection)
        database.ensure(table)
        database.replace(table, "x", [{"load_id": "x", "rejected_number": 7}], None)
        with pytest.raises(RuntimeError):
            database.replace(table, "x", broken(), None)
        assert connection.execute("SELECT rejected_number FROM t_rejected").fetchall() == [(7,)]
