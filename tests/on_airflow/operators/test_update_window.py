"""An update stands for the window of its run, as an upload does."""

import json

import pytest

from optimove_provider.operators.optix import OptixCreateConnectionOperator, OptixUpdateOperator, OptixUploadOperator
from tests.support.running import context, run

pytestmark = pytest.mark.any_version

DAYS = [{"start": f"2025-05-0{day}", "end": f"2025-05-0{day + 1}"} for day in range(1, 4)]


@pytest.fixture
def connection(emulator):
    return OptixCreateConnectionOperator(task_id="create", name="Customers", primary_key="id").execute({})


def operator(kind, connection, **arguments):
    return kind(task_id="load", data_connection_uuid=connection, primary_key="id", **arguments)


def update(connection, age, **arguments):
    source = [{"id": "1", "age": age}]
    return run(operator(OptixUpdateOperator, connection, source=source, **arguments))


@pytest.fixture
def ages(emulator, connection):
    def now():
        visible = emulator.state.connections[connection].visible(emulator.state.clock())
        return {key: record.data["age"] for key, record in visible.items()}

    return now


@pytest.mark.parametrize("kind", [OptixUploadOperator, OptixUpdateOperator])
def test_of_two_windows_the_later_one_stays_whatever_runs_last(connection, ages, kind):
    run(operator(kind, connection, source=[{"id": "1", "age": 2}], window=DAYS[1]))
    result = update(connection, 1, window=DAYS[0])
    assert (result["state"], result["stale"], ages()) == ("nothing_to_send", 1, {"1": 2})
    assert update(connection, 3, window=DAYS[2])["accepted"] == 1
    assert run(operator(kind, connection, source=[{"id": "1", "age": 2}], window=DAYS[1]))["stale"] == 1
    assert ages() == {"1": 3}


def test_a_template_that_asks_for_the_window_says_what_the_rows_stand_for(emulator, connection, tmp_path):
    (tmp_path / "2025-05-02.jsonl").write_text(json.dumps({"id": "1", "age": 1}))
    update(connection, 2, window=DAYS[1])
    source = f"{tmp_path}/{{{{ window.end | ds }}}}.jsonl"
    older = operator(OptixUpdateOperator, connection, source=source)
    told = context(older) | {"params": {"since": "2025-05-01", "until": "2025-05-02"}, "dag_run": None}
    older.render_template_fields(told)
    assert older.execute(told)["stale"] == 1


@pytest.mark.parametrize("kind", [OptixUploadOperator, OptixUpdateOperator])
def test_what_arrived_late_goes_with_a_later_window_and_is_as_new_as_that(connection, ages, kind):
    looks_back = {"window_lookback": 2 * 86400, "sql_conn_id": "warehouse_default"}
    late = "SELECT 1 AS id, 9 AS age WHERE '2025-05-01' >= '{{ window.start | ds }}'"
    for window, age in ((DAYS[1], 1), (DAYS[2], 9)):
        task = operator(kind, connection, window=window, sql=late.replace("9 AS", f"{age} AS"), **looks_back)
        told = context(task) | {"dag_run": None}
        task.render_template_fields(told)
        assert task.execute(told)["accepted"] == 1
    assert ages() == {"1": 9}
    assert run(operator(kind, connection, source=[{"id": "1", "age": 2}], window=DAYS[1]))["stale"] == 1
