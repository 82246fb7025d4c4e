"""What OpenLineage's own listener wrote of the run."""

import importlib.util
import json
from datetime import UTC, datetime

import pytest

from optimove_provider.tasks.telling.story import Story
from tests.support.telling.runs import SECRET_VALUE

pytestmark = pytest.mark.skipif(
    not importlib.util.find_spec("openlineage"), reason="the lowest versions are tried without OpenLineage"
)


@pytest.fixture
def ends(all_kinds):
    """Task -> its last event."""
    ended = [event for event in all_kinds.lineage if event["eventType"] != "START"]
    return {event["job"]["name"].partition(".")[2]: event for event in ended}


def test_outputs_have_the_assets_names_rows_and_columns(all_kinds, ends):
    (output,) = ends["queried"]["outputs"]
    assert (output["namespace"], output["name"]) == (
        f"optix://{all_kinds.host}",
        f"data-connections/{all_kinds.connection}",
    )
    assert output["outputFacets"]["outputStatistics"]["rowCount"] == 2
    assert [field["name"] for field in output["facets"]["schema"]["fields"]] == ["id", "n"]
    (table,) = ends["imported"]["outputs"]
    assert table["name"] == f"services/{all_kinds.service}/tables/{all_kinds.table}"
    assert [(one["name"], one["type"]) for one in table["facets"]["schema"]["fields"]] == [("age", "long")]


def test_inputs_are_files_and_a_list_of_rows_is_none(ends):
    (file,) = ends["keyless"]["inputs"]
    assert (file["namespace"], file["name"].rpartition("/")[2]) == ("file", "keyless.jsonl")
    assert ends["written"]["inputs"] == []
    assert ends["planned"]["outputs"] == []


def test_inputs_are_the_tables_that_a_query_names_where_the_hook_can_tell(monkeypatch, postgres_server):
    from optimove_provider.tasks.telling.lineage import lineage_of

    warehouse = {**postgres_server.airflow_connection("postgres"), "password": "s3cret"}
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps(warehouse))
    query = "SELECT o.id FROM sales.orders o JOIN customers c ON c.id = o.customer WHERE c.name = 'Ada-Lovelace-1815'"
    found = lineage_of(Story("load", datetime.now(UTC)), None, query, "warehouse")
    assert sorted(one.name for one in found.inputs) == ["postgres.public.customers", "postgres.sales.orders"]
    assert "s3cret" not in str(found)
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps({**warehouse, "host": "/nowhere"}))
    assert lineage_of(Story("load", datetime.now(UTC)), None, query, "warehouse").inputs == []


@pytest.mark.parametrize(
    ("source", "named"),
    [
        ("s3://lake@bucket/in/customers.parquet", ("s3://bucket", "in/customers.parquet")),
        (["gs://bucket/a.csv"], ("gs://bucket", "a.csv")),
        ("file:///data/a.csv", ("file", "/data/a.csv")),
    ],
)
def test_files_have_the_names_that_openlineage_gives_storages(source, named):
    from optimove_provider.tasks.telling.lineage import lineage_of

    (found,) = lineage_of(Story("load", datetime.now(UTC)), source, None, None).inputs
    assert (found.namespace, found.name) == named


def test_a_failure_tells_counts_and_nothing_of_a_row(all_kinds, ends):
    event = ends["keyless"]
    assert event["eventType"] == "FAIL"
    counts = event["run"]["facets"]["optimove_load"]
    assert (counts["rows"], counts["rejected"], counts["accepted"]) == (2, 1, 0)
    assert counts["loadId"] == all_kinds.xcoms["keyless"]["load_id"]
    error = ends["doubled"]["run"]["facets"]["errorMessage"]
    assert "its report and the task's log say why" in error["message"]
    assert SECRET_VALUE not in json.dumps(all_kinds.lineage)


def test_each_try_and_each_mapped_task_is_an_event(all_kinds):
    types = [(one["job"]["name"].partition(".")[2], one["eventType"]) for one in all_kinds.lineage]
    assert types.count(("retried", "FAIL")) == types.count(("retried", "COMPLETE")) == 1
    assert types.count(("mapped", "COMPLETE")) == 2
