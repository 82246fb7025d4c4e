"""`limit=`: the first rows of a query that never ends, and of files; refused where it would make records expire."""

import json

import pytest

from optimove_provider.contract.wire.errors import SettingsError
from optimove_provider.operators.optix import OptixCreateConnectionOperator, OptixUploadOperator
from tests.support.running import context, run

ENDLESS = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT n AS id, n * 2 AS twice FROM c"


def upload(**arguments):
    return OptixUploadOperator(task_id="load", primary_key="id", **arguments)


def told(result):
    with open(result["report"].removeprefix("file://")) as report:
        return " ".join(json.load(report)["notes"])


@pytest.mark.parametrize("mode", ["full", "changed"])
def test_of_a_query_that_never_ends_the_first_rows_are_loaded(emulator, mode):
    uuid = OptixCreateConnectionOperator(task_id="create", name="Customers", primary_key="id").execute({})
    result = run(upload(data_connection_uuid=uuid, sql=ENDLESS, sql_conn_id="warehouse_default", mode=mode, limit=12))
    assert (result["state"], result["rows"], result["accepted"]) == ("committed", 12, 12)
    visible = emulator.state.connections[uuid].visible(emulator.state.clock())
    assert {int(key) for key in visible} == set(range(1, 13))
    assert "limited to 12 rows; the source has more" in told(result)


@pytest.mark.parametrize(("limit", "rows"), [("3", 3), ("off", 4)])
def test_a_run_may_decide(emulator, tmp_path, limit, rows):
    uuid = OptixCreateConnectionOperator(task_id="create", name="Customers", primary_key="id").execute({})
    for name in "ab":
        (tmp_path / f"{name}.csv").write_text(f"id,n\n{name}1,1\n{name}2,2\n")
    task = upload(data_connection_uuid=uuid, source=f"{tmp_path}/*.csv", limit="{{ params.limit or 'off' }}")
    given = {**context(task), "params": {"limit": limit}, "dag_run": None}
    task.render_template_fields(given)
    result = task.execute(given)
    assert result["rows"] == rows
    assert ("limited" in told(result)) == (rows == 3)


def test_a_limited_load_that_would_make_records_expire_is_refused_when_the_dag_is_parsed():
    snapshot = {"data_connection_uuid": "x", "source": [{"id": 1}], "mode": "changed", "on_removed": "expire"}
    with pytest.raises(SettingsError, match='limit= and on_removed="expire" contradict each other'):
        upload(**snapshot, limit=10)
    upload(**snapshot, limit="{{ params.limit }}")
