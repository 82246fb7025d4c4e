"""The source of a load in shards, read by several tasks before another one plans."""

import json
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from airflow.providers.common.compat.sdk import DAG, AirflowFailException, AirflowSkipException
from airflow.providers.standard.operators.python import PythonOperator

from optimove_provider.contract.wire.errors import SettingsError
from optimove_provider.demo import journey
from optimove_provider.operators.optix import OptixCreateConnectionOperator, OptixUploadOperator
from optimove_provider.operators.sharded import (
    OptixCommitOperator,
    OptixGiveUpOperator,
    OptixPlanOperator,
    OptixSendShardOperator,
    sync_in_shards,
)
from optimove_provider.operators.source_parts import (
    OptixFreezePartOperator,
    OptixListPartsOperator,
    OptixReadPartOperator,
)
from optimove_provider.surroundings import REAL
from optimove_provider.tasks.staging import staging
from tests.support.running import context, run

pytestmark = pytest.mark.any_version

ROWS = 12_000  # three slices


@pytest.fixture
def uuid(emulator):
    return OptixCreateConnectionOperator(task_id="create", name="Customers", primary_key="id").execute({})


@pytest.fixture
def other(emulator):
    return OptixCreateConnectionOperator(task_id="other", name="Others", primary_key="id").execute({})


@pytest.fixture
def csv_files(tmp_path):
    """Three of different sizes, in which two rows cannot be sent."""
    for number, count in enumerate((7000, 4000, 1000)):
        lines = [f"{number}-{row},{row},{'x' * (row % 7)}" for row in range(count)]
        lines[count // 2] = ",none,"
        (tmp_path / f"customers-{number}.csv").write_text("\n".join(["id,n,text", *lines]) + "\n")
    return str(tmp_path / "customers-*.csv")


@pytest.fixture
def parquet(tmp_path):
    path = tmp_path / "customers.parquet"
    numbers = pa.array(range(ROWS), pa.int64())
    pq.write_table(pa.table({"id": numbers.cast(pa.string()), "n": numbers}), path, row_group_size=1000)
    return str(path)


@pytest.fixture
def warehouse(tmp_path, monkeypatch):
    """A database, whose connection is `sharded_db`."""
    path = tmp_path / "warehouse.db"
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT, shop INTEGER)")
        rows = [(row, f"name {row}", None if row % 3 else row % 10) for row in range(1, ROWS + 1)]
        db.executemany("INSERT INTO customers VALUES (?, ?, ?)", rows)
        db.commit()
        monkeypatch.setenv("AIRFLOW_CONN_SHARDED_DB", json.dumps({"conn_type": "sqlite", "host": str(path)}))
        yield db


def visible(emulator, uuid):
    return emulator.state.connections[uuid].visible(emulator.state.clock() + 2)


def group(name, uuid, **settings):
    settings = {"readers": 3, "shards": 2, "workers": 2, **settings}
    with DAG(name, schedule=None, default_args={"retries": 0}) as dag:
        sync_in_shards("customers", data_connection_uuid=uuid, primary_key="id", **settings)
    return dag


def ran(dag):
    journey.register(dag)
    return journey.run(dag)


def rejected_file(account):
    return json.loads(Path(account["report"].removeprefix("file://")).read_text())["rejected_file"]


def rejected_lines(account):
    return Path(rejected_file(account).removeprefix("file://")).read_text().splitlines()


class Group:
    """The tasks of a group one by one, as a person who clears some of them has them run."""

    def __init__(self, uuid, readers=3, **source):
        self.to = {"data_connection_uuid": uuid, "primary_key": "id"}
        self.source, self.readers = source, readers

    def list(self, **settings):
        operator = OptixListPartsOperator(task_id="parts", readers=self.readers, **self.to, **self.source, **settings)
        told = context(operator)
        self.parts = operator.execute(told)
        self.told = told["ti"].pushed["parts"]
        return self.parts

    def read(self, number, **try_):
        source = {name: value for name, value in self.source.items() if name in ("sql", "sql_conn_id", "parameters")}
        return run(OptixReadPartOperator(task_id="read", part=self.parts[number], **source), **try_)

    def freeze(self, number):
        return run(OptixFreezePartOperator(task_id="freeze", part=self.parts[number]))

    def read_all(self, **settings):
        self.list(**{name: value for name, value in settings.items() if name in ("nulls", "deleted_column", "stamp")})
        for number in range(len(self.parts)):
            self.read(number)

    def freeze_all(self, **settings):
        self.read_all(**settings)
        for number in range(len(self.parts)):
            self.freeze(number)

    def plan(self, **settings):
        source = {name: value for name, value in self.source.items() if not name.startswith("shard_")}
        operator = OptixPlanOperator(task_id="plan", parts=self.told, **self.to, **source, **settings)
        told = context(operator)
        try:
            self.shards = operator.execute(told)
        finally:
            self.load = told["ti"].pushed.get("load")
        return self.shards

    def send(self, shard):
        return run(OptixSendShardOperator(task_id="send", shard=shard, **self.to))

    def commit(self, **settings):
        source = {name: value for name, value in self.source.items() if not name.startswith("shard_")}
        return run(OptixCommitOperator(task_id="commit", planned=self.load, **self.to, **source, **settings))

    def give_up(self):
        load = getattr(self, "load", None)
        return run(OptixGiveUpOperator(task_id="give_up", planned=load, parts=self.told, **self.to))


def whole(group, **settings):
    group.freeze_all(**settings)
    for shard in group.plan(**settings):
        group.send(shard)
    return group.commit(**settings)


def test_files_that_several_tasks_read_become_what_one_task_makes_of_them(emulator, airflow_db, uuid, other, csv_files):
    done = ran(group("of_files", uuid, source=csv_files, max_rejected=3))
    assert (done.state, {name for name in done.tasks if "read" in name or "parts" in name}) == (
        "success",
        {"customers.parts", "customers.read[0]", "customers.read[1]", "customers.read[2]"},
    )
    frozen = [done.results[f"customers.freeze[{number}]"] for number in range(3)]
    assert [(one["rows"], one["frozen"], one["rejected"]) for one in frozen] == [
        (7000, 6999, 1), (4000, 3999, 1), (1000, 999, 1)
    ]  # fmt: skip
    alone = run(
        OptixUploadOperator(
            task_id="alone", data_connection_uuid=other, primary_key="id", source=csv_files, max_rejected=3
        )
    )
    told = done.results["customers.commit"]
    assert [told[name] for name in ("rows", "accepted", "rejected")] == [12_000, 11_997, 3]
    assert [alone[name] for name in ("rows", "accepted", "rejected")] == [12_000, 11_997, 3]
    assert visible(emulator, uuid) == visible(emulator, other)
    # Rows are numbered through all parts, as one task numbers them.
    lines = [rejected_lines(one) for one in (told, alone)]
    assert [[json.loads(line)["row"] for line in own] for own in lines] == [[3501, 9001, 11_501]] * 2


def test_row_groups_of_one_file_are_read_side_by_side(emulator, airflow_db, uuid, parquet):
    done = ran(group("of_row_groups", uuid, source=parquet, readers=4))
    read = [done.results[f"customers.read[{number}]"]["rows"] for number in range(4)]
    assert (done.state, read) == ("success", [3000] * 4)
    assert done.results["customers.commit"]["accepted"] == len(visible(emulator, uuid)) == ROWS


def test_ranges_of_a_query_are_read_side_by_side(emulator, airflow_db, uuid, warehouse):
    query = {"sql": "SELECT id, name FROM customers ORDER BY id;", "sql_conn_id": "sharded_db"}
    done = ran(group("of_ranges", uuid, readers=4, shard_by="id", **query))
    read = [done.results[f"customers.read[{number}]"]["rows"] for number in range(4)]
    assert (done.state, read) == ("success", [3000] * 4)
    assert done.results["customers.commit"]["accepted"] == len(visible(emulator, uuid)) == ROWS


def test_rows_without_a_value_in_the_column_are_read_too_and_once(emulator, uuid, warehouse):
    query = {"sql": "SELECT id, shop FROM customers WHERE id > ?", "sql_conn_id": "sharded_db", "parameters": [12]}
    tasks = Group(uuid, **query, shard_by="shop", shard_bounds=[3, 4, 8])
    assert whole(tasks)["accepted"] == len(visible(emulator, uuid)) == ROWS - 12
    assert len(tasks.parts) == 4


def test_a_parameter_of_the_query_is_given_to_what_asks_for_its_ranges(emulator, uuid, warehouse):
    query = {"sql": "SELECT id FROM customers WHERE id > ?", "sql_conn_id": "sharded_db", "parameters": [11_990]}
    tasks = Group(uuid, **query, shard_by="id")
    assert whole(tasks)["accepted"] == 10
    assert [tasks.read(number)["state"] for number in range(3)] == ["planned before"] * 3


def test_a_reader_that_failed_is_cleared_alone_and_the_load_goes_on(emulator, uuid, csv_files, tmp_path):
    tasks = Group(uuid, source=csv_files)
    tasks.list()
    (tmp_path / "customers-1.csv").rename(tmp_path / "gone")
    tasks.read(0), tasks.read(2)
    with pytest.raises(AirflowFailException, match=r"customers-1.csv' is not there"):
        tasks.read(1)
    for early in (lambda: tasks.freeze(0), lambda: tasks.plan(max_rejected=3)):
        with pytest.raises(
            AirflowFailException, match=r"of 1 part of the source \(map index 1\) nothing is there.*whole group"
        ):
            early()
    assert [one for one in emulator.state.requests if one["endpoint"] == "upload_data"] == []

    (tmp_path / "gone").rename(tmp_path / "customers-1.csv")
    assert tasks.read(1, try_number=2)["rows"] == 4000
    with pytest.raises(AirflowFailException, match=r"not frozen since .*: 3 parts \(map index 0, 1, 2\)"):
        tasks.plan(max_rejected=3)
    for number in range(3):
        tasks.freeze(number)
    for shard in tasks.plan(max_rejected=3):
        tasks.send(shard)
    assert tasks.commit(max_rejected=3)["accepted"] == len(visible(emulator, uuid)) == 11_997


def test_where_a_reader_failed_for_good_there_is_a_report(emulator, airflow_db, uuid, csv_files, tmp_path):
    (tmp_path / "customers-2.csv").write_bytes("id,n,text\n1,2,3\n".encode("utf-16"))
    done = ran(group("of_failing_files", uuid, source=csv_files))
    assert (done.state, done.tasks["customers.plan"]) == ("failed", "upstream_failed")
    assert done.results.get("customers.give_up") is True, done.tasks
    tasks = Group(uuid, source=csv_files)
    tasks.list()
    tasks.read(0)
    assert tasks.give_up() is True
    report = staging().read(f"reports/{tasks.told['load_id']}.json")
    assert (report["state"], report["rows"]) == ("failed", 7000)
    assert "1 of 3 parts of the source had been read, 0 of them frozen, and nothing was sent" in report["problem"]


def test_files_of_other_columns_are_refused_as_one_task_refuses_them(uuid, csv_files, tmp_path):
    (tmp_path / "customers-1.csv").write_text("id,other\n1,2\n")
    tasks = Group(uuid, source=csv_files)
    tasks.read_all()
    tasks.freeze(0)
    with pytest.raises(AirflowFailException, match=r"customers-1.csv' lacks 'n', 'text' and has also 'other'"):
        tasks.freeze(1)


def test_a_key_that_two_parts_have_is_found(uuid, csv_files, tmp_path):
    (tmp_path / "customers-2.csv").write_text("id,n,text\n0-17,1,\n")
    tasks = Group(uuid, source=csv_files)
    tasks.freeze_all()
    with pytest.raises(AirflowFailException, match=r'"0-17" in rows 18 and 11001 \(2 times\)'):
        tasks.plan(max_rejected=3)


def test_rows_are_as_old_as_the_first_that_was_read(emulator, uuid, csv_files, parquet):
    """Another load that read later has the last word, though this one is planned after it."""
    early = Group(uuid, source=parquet)
    early.freeze_all()
    newer = [{"id": str(number), "n": -1} for number in range(100)]
    run(OptixUploadOperator(task_id="late", data_connection_uuid=uuid, primary_key="id", source=newer))
    for shard in early.plan():
        early.send(shard)
    told = early.commit()
    assert (told["accepted"], told["stale"]) == (ROWS - 100, 100)
    assert visible(emulator, uuid)["7"].data["n"] == -1


def test_a_list_that_is_made_on_a_clock_that_is_behind_is_no_older_than_what_stands_there(
    emulator, uuid, parquet, monkeypatch
):
    rows = [{"id": str(number), "n": -1} for number in range(100)]
    run(OptixUploadOperator(task_id="before", data_connection_uuid=uuid, primary_key="id", source=rows))
    guards = {"max_changed_share": None}
    behind = replace(REAL, now=lambda: REAL.now() - timedelta(seconds=20))
    monkeypatch.setattr(OptixListPartsOperator, "surroundings", behind)
    assert whole(Group(uuid, source=parquet), guards=guards)["accepted"] == ROWS
    assert visible(emulator, uuid)["7"].data["n"] == 7


def test_a_part_that_is_cleared_after_the_load_was_sent_does_nothing(emulator, uuid, csv_files):
    tasks = Group(uuid, source=csv_files)
    whole(tasks, max_rejected=3)
    assert tasks.read(0)["state"] == tasks.freeze(0)["state"] == "planned before"


def test_what_was_read_anew_is_frozen_anew(emulator, uuid, csv_files, tmp_path):
    """And so are the parts after it, as their rows have other numbers now."""
    tasks = Group(uuid, source=csv_files)
    tasks.freeze_all()
    (tmp_path / "customers-1.csv").write_text("id,n,text\n1-new,1,\n")
    tasks.read(1, try_number=2)
    with pytest.raises(AirflowFailException, match=r": 2 parts \(map index 1, 2\).*\(Downstream\)"):
        tasks.plan(max_rejected=3)
    tasks.freeze(1)
    with pytest.raises(AirflowFailException, match=r": 1 part \(map index 2\).*\(Downstream\)"):
        tasks.plan(max_rejected=3)
    assert tasks.freeze(2) == {**tasks.parts[2], "state": "frozen", "rows": 1000, "frozen": 999, "rejected": 1}
    for shard in tasks.plan(max_rejected=3):
        tasks.send(shard)
    told = tasks.commit(max_rejected=3)
    assert (told["accepted"], len(visible(emulator, uuid))) == (7999, 7999)
    assert [json.loads(line)["row"] for line in rejected_lines(told)] == [3501, 7502]


def test_a_field_that_came_with_a_part_that_was_read_anew_is_null_in_the_others(emulator, uuid, tmp_path):
    for number in range(2):
        (tmp_path / f"{number}.jsonl").write_text(f'{{"id": "{number}", "n": 1}}\n')
    tasks = Group(uuid, readers=2, source=str(tmp_path / "*.jsonl"))
    tasks.freeze_all(nulls="null")
    (tmp_path / "1.jsonl").write_text('{"id": "1", "n": 1, "new": 2}\n')
    tasks.read(1, try_number=2)
    with pytest.raises(AirflowFailException, match=r": 2 parts \(map index 0, 1\)"):
        tasks.plan(nulls="null")
    for number in range(2):
        tasks.freeze(number)
    tasks.plan(nulls="null")
    tasks.commit(nulls="null")
    found = {key: one.data for key, one in visible(emulator, uuid).items()}
    assert found == {"0": {"id": "0", "n": 1, "new": None}, "1": {"id": "1", "n": 1, "new": 2}}


def test_a_type_that_changes_after_files_without_a_value_is_refused_as_one_task_refuses_it(uuid, tmp_path):
    """The first two files are one part."""
    types = (pa.null(), pa.int64(), pa.string())
    for number, (type_, value) in enumerate(zip(types, (None, 1, "x"), strict=True)):
        ids = pa.array([f"{number}-{row}" for row in range(1 if number < 2 else 2000)])
        pq.write_table(pa.table({"id": ids, "v": pa.array([value] * len(ids), type_)}), tmp_path / f"{number}.parquet")
    tasks = Group(uuid, readers=2, source=str(tmp_path / "*.parquet"))
    tasks.read_all()
    assert len(tasks.parts) == 2
    tasks.freeze(0)
    with pytest.raises(
        AirflowFailException, match=r"2.parquet', row 1, column 'v' is string, but it is int64 in .*1.parquet"
    ):
        tasks.freeze(1)


def test_a_dry_run_that_failed_is_tried_again_with_what_was_frozen(emulator, uuid, csv_files, monkeypatch):
    tasks = Group(uuid, source=csv_files)
    tasks.freeze_all()
    with pytest.raises(AirflowFailException, match="3 of 12000 rows"):
        tasks.plan(dry_run=True)
    assert staging().names(f"loads/{tasks.told['load_id']}") == ["source"]
    assert tasks.plan(max_rejected=3, dry_run=True) == []
    assert staging().names(f"loads/{tasks.told['load_id']}") == []


def test_rows_are_not_sent_as_another_plan_would_have_frozen_them(emulator, uuid, csv_files):
    """Somebody changes the DAG, and clears the plan alone."""
    tasks = Group(uuid, source=csv_files)
    tasks.freeze_all()
    for changed in ({"nulls": "null"}, {"key_type": "integer"}, {"deleted_column": "n"}):
        with pytest.raises(AirflowFailException, match=r"is another one than when the parts .* Clear the whole group"):
            tasks.plan(max_rejected=3, **changed)
    assert visible(emulator, uuid) == {}


def test_a_stamp_is_what_it_was_when_the_parts_were_listed(emulator, uuid, csv_files):
    tasks = Group(uuid, source=csv_files)
    tasks.freeze_all(stamp={"at": "noon"})
    for shard in tasks.plan(max_rejected=3, stamp={"at": "one"}):
        tasks.send(shard)
    tasks.commit(max_rejected=3, stamp={"at": "two"})
    assert {one.data["at"] for one in visible(emulator, uuid).values()} == {"noon"}


def test_deletions_in_parts_are_those_of_one_task(emulator, uuid, tmp_path):
    rows = [{"id": str(number), "n": 1} for number in range(9)]
    run(OptixUploadOperator(task_id="before", data_connection_uuid=uuid, primary_key="id", source=rows))
    for number in range(3):
        lines = [f"{number},2,true", f"{number + 3},2,false", f"new-{number},2,true"]
        (tmp_path / f"{number}.csv").write_text("\n".join(["id,n,is_gone", *lines]) + "\n")
    guards = {"max_changed_share": None, "max_removed_share": None}
    told = whole(Group(uuid, source=str(tmp_path / "*.csv")), deleted_column="is_gone", guards=guards)
    assert (told["rows"], told["deleted"]) == (9, 6)  # of three there was nothing
    there = {key: one.data["n"] for key, one in visible(emulator, uuid).items()}
    assert there == {"3": "2", "4": "2", "5": "2", "6": 1, "7": 1, "8": 1}


def test_ids_of_two_parts_that_look_alike_are_told(uuid, tmp_path):
    for number, ids in enumerate((["ann", "bob"], ["eve", "Ann"])):
        (tmp_path / f"{number}.csv").write_text("\n".join(["id,n", *(f"{one},1" for one in ids)]) + "\n")
    told = whole(Group(uuid, readers=2, source=str(tmp_path / "*.csv")))
    report = json.loads(Path(told["report"].removeprefix("file://")).read_text())
    assert report["warnings"] == {"id-case": 1}
    assert "row 4" in " ".join(report["notes"])


def test_a_plan_that_is_retried_needs_no_part_any_more_and_one_of_a_load_that_is_over_asks_to_clear_all(
    uuid, csv_files
):
    tasks = Group(uuid, source=csv_files)
    tasks.freeze_all()
    first = tasks.plan(max_rejected=3)
    assert tasks.plan(max_rejected=3) == first
    for shard in first:
        tasks.send(shard)
    assert tasks.commit(max_rejected=3)["accepted"] == 11_997
    with pytest.raises(AirflowFailException, match=r"needed no more, as the load is over.*Clear the whole group"):
        tasks.plan(max_rejected=3)


def test_what_was_read_is_removed_once_its_rows_are_frozen(uuid, csv_files):
    tasks = Group(uuid, source=csv_files)
    tasks.freeze_all()
    folder = f"loads/{tasks.told['load_id']}/source"
    assert len(staging().names(folder)) == 1 + 4 * 3
    tasks.plan(max_rejected=3)
    assert staging().names(folder) == ["parts.json"]


def test_a_part_whose_file_is_damaged_is_named(uuid, csv_files):
    tasks = Group(uuid, source=csv_files)
    tasks.read_all()
    place, folder = staging(), f"loads/{tasks.told['load_id']}/source"
    found = place.read(f"{folder}/{tasks.told['listing']}-0002.json")
    path = place.path(found["file"])
    whole_file = Path(path).read_bytes()
    for damaged in (whole_file[:-100], whole_file[: len(whole_file) // 2], b"", whole_file[:-1]):
        with open(path, "wb") as file:
            file.write(damaged)
        with pytest.raises(AirflowFailException, match=r"what was read of part 2 of 3 .* damaged or gone"):
            tasks.freeze(1)


def test_a_dry_run_plans_what_was_read_and_leaves_nothing(emulator, uuid, csv_files):
    tasks = Group(uuid, source=csv_files)
    tasks.freeze_all()
    assert tasks.plan(max_rejected=3, dry_run=True) == []
    assert tasks.commit(max_rejected=3, dry_run=True)["new"] == 11_997
    assert staging().names(f"loads/{tasks.told['load_id']}") == []
    assert visible(emulator, uuid) == {}


def test_a_replay_of_rejected_rows_is_for_one_task(uuid, tmp_path):
    rows = [{"id": "1"}, {"id": None}]
    load = OptixUploadOperator(
        task_id="first", data_connection_uuid=uuid, primary_key="id", source=rows, max_rejected=1
    )
    rejected = rejected_file(run(load))
    with pytest.raises(AirflowFailException, match="replayed by one task: leave readers=1"):
        Group(uuid, source=rejected).list()


def test_rejected_rows_among_other_files_are_refused_before_any_is_read(uuid, tmp_path):
    """They would be taken for rows of now, each part being one file."""
    rows = [{"id": "1"}, {"id": None}]
    load = OptixUploadOperator(
        task_id="first", data_connection_uuid=uuid, primary_key="id", source=rows, max_rejected=1
    )
    Path(tmp_path / "rejected.jsonl").write_text(Path(rejected_file(run(load)).removeprefix("file://")).read_text())
    (tmp_path / "more.jsonl").write_text('{"id": "2"}\n')
    with pytest.raises(AirflowFailException, match=r"rejected.jsonl' has rejected rows of a load.* load it alone"):
        Group(uuid, source=str(tmp_path / "*.jsonl")).list()


def test_files_of_several_formats_are_refused_before_any_is_read(uuid, csv_files, parquet):
    with pytest.raises(AirflowFailException, match="give files of one format"):
        Group(uuid, source=[csv_files, parquet]).list()


def test_files_of_records_that_have_not_the_same_fields_become_what_one_task_makes_of_them(
    emulator, uuid, other, tmp_path
):
    lines = [
        '{"id": "1", "n": 1}',
        '{"id": "2", "n": 1.5, "b": [1, {"c": null}]}',
        '{"id": "3", "b": "text", "n": null}',
    ]
    for number, line in enumerate(lines):
        (tmp_path / f"{number}.jsonl").write_text(line + "\n")
    source = str(tmp_path / "*.jsonl")
    for nulls in ("omit", "null"):
        assert whole(Group(uuid, source=source), nulls=nulls)["accepted"] == 3
        run(
            OptixUploadOperator(
                task_id="alone", data_connection_uuid=other, primary_key="id", source=source, nulls=nulls
            )
        )
        found = [{key: one.data for key, one in visible(emulator, target).items()} for target in (uuid, other)]
        assert found[0] == found[1]


def test_where_the_list_was_skipped_so_is_the_plan(uuid, csv_files):
    with DAG("skipped", schedule=None) as dag:
        sync_in_shards("customers", data_connection_uuid=uuid, primary_key="id", source=csv_files, readers=2)
    for name in ("customers.plan", "customers.give_up"):
        dag.get_task(name).parts = None
    dag.get_task("customers.give_up").planned = None
    with pytest.raises(AirflowSkipException, match="nothing was read"):
        run(dag.get_task("customers.plan"))
    assert run(dag.get_task("customers.give_up")) is False


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sql": "SELECT 1 AS id", "sql_conn_id": "db"}, r"readers= of a query: give shard_by="),
        ({"source": "x.csv", "shard_by": "id"}, r"are of a query: leave them out, as files are shared out"),
        ({"source": "x.csv", "readers": 1, "shard_by": "id"}, r"are for several readers"),
        ({"source": "x.csv", "readers": 0}, r"readers=0: expected a whole number from 1 to 1024"),
        ({"source": "x.csv", "readers": "{{ params.readers }}"}, r"readers=.*no template"),
        ({"source": "x.csv", "limit": 5}, r"limit=5: .*readers=1"),
        (
            {"sql": "SELECT 1", "sql_conn_id": "db", "shard_by": "n", "mode": "changed", "on_removed": "expire"},
            r"shard_by='n' with on_removed=\"expire\".*Name the primary key, 'id'",
        ),
    ],
)
def test_what_several_readers_cannot_do_is_refused_when_the_dag_is_parsed(uuid, settings, message):
    with pytest.raises(SettingsError, match=message):
        group("refused", uuid, **settings)


def test_a_list_of_rows_is_for_one_task(uuid):
    with pytest.raises(AirflowFailException, match=r"a list of rows, which one task reads: leave readers=1"):
        Group(uuid, source=[{"id": "1"}]).list()


def test_the_key_may_be_quoted_where_what_is_gone_expires(uuid):
    query = {"sql": "SELECT 1", "sql_conn_id": "db", "mode": "changed", "on_removed": "expire"}
    group("by_quoted_key", uuid, shard_by='"ID"', **query)


def test_what_is_no_part_is_refused_by_name():
    with pytest.raises(AirflowFailException, match=r"part=.* is none: pass what OptixListPartsOperator returns"):
        run(OptixReadPartOperator(task_id="read", part={"rows": 1}))


def raises(error):
    def called():
        raise error("said so")

    return called


@pytest.mark.parametrize("readers", [1, 3])
def test_where_nothing_was_planned_the_end_of_a_group_is_no_failure_of_its_own(
    emulator, airflow_db, uuid, parquet, readers
):
    """What comes before the group has failed."""
    with DAG(f"not_planned_{readers}", schedule=None, default_args={"retries": 0}) as dag:
        before = PythonOperator(task_id="before", python_callable=raises(AirflowFailException))
        before >> sync_in_shards(
            "customers", data_connection_uuid=uuid, primary_key="id", source=parquet, readers=readers
        )
    done = ran(dag)
    assert (done.state, done.tasks["customers.plan"]) == ("failed", "upstream_failed")
    assert (done.tasks["customers.give_up"], done.results["customers.give_up"]) == ("success", False)


def test_where_the_plan_was_skipped_the_group_is(emulator, airflow_db, uuid, parquet):
    with DAG("skipped_before", schedule=None, default_args={"retries": 0}) as dag:
        before = PythonOperator(task_id="before", python_callable=raises(AirflowSkipException))
        before >> sync_in_shards("customers", data_connection_uuid=uuid, primary_key="id", source=parquet)
    done = ran(dag)
    states = {name: state for name, state in done.tasks.items() if name != "customers.give_up"}
    assert (done.state, set(states.values())) == ("success", {"skipped"})
