"""Rows are data: no text in them is a template or the name of a file; only `sql` names files."""

from types import SimpleNamespace

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException
from airflow.sdk import DAG, task

from optimove_provider.operators.dcp import DcpCreateAliasesOperator, DcpWriteProfilesOperator
from optimove_provider.operators.dcp_import import DcpS3ImportOperator
from optimove_provider.operators.optix import OptixUpdateOperator, OptixUploadOperator
from tests.support.running import context

UUID = "0b0a3f0e-4fb1-4a1b-93a1-9f6f0d6f0001"
ROW = {"id": "1", "v": "there.sql", "w": "absent.sql", "{{ x }}": "{{ 1 + 1 }}", "deep": [{"v": "{% bad"}, "there.sql"]}


@pytest.fixture
def dag(tmp_path):
    (tmp_path / "there.sql").write_text("SELECT {{ params.n }} AS id")
    return DAG("d", schedule=None, params={"n": 7}, template_searchpath=str(tmp_path))


def make(operator, **kwargs):
    needed = {"data_connection_uuid": UUID, "primary_key": "id"}
    return operator(task_id="t", **(needed if operator is not DcpS3ImportOperator else {"table_id": 1}), **kwargs)


def rendered(dag, operator, **kwargs):
    """The task as a worker gets it: files resolved when the DAG was parsed, templates filled in."""
    with dag:
        made = make(operator, **kwargs)
    dag.resolve_template_files()
    made.render_template_fields({**context(made), "dag": dag, "params": {"n": 7, "file": "there.sql"}})
    return made


READERS = [OptixUploadOperator, OptixUpdateOperator, DcpS3ImportOperator]


@pytest.mark.parametrize("operator", READERS)
@pytest.mark.parametrize("rows", [[ROW], (ROW, {"id": "2"})], ids=["list", "tuple"])
def test_a_row_is_what_it_is(dag, operator, rows):
    assert rendered(dag, operator, source=rows).source == list(rows)


@pytest.mark.parametrize(
    ("operator", "needed", "field"),
    [(DcpWriteProfilesOperator, {"table_id": 1}, "profiles"), (DcpCreateAliasesOperator, {"service_id": 1}, "aliases")],
)
def test_profiles_and_aliases_are_rows_too(dag, operator, needed, field):
    with dag:
        made = operator(task_id="t", **needed, **{field: [ROW]})
    made.render_template_fields({**context(made), "dag": dag, "params": {}})
    assert getattr(made, field) == [ROW]


@pytest.mark.parametrize("operator", READERS)
def test_paths_are_rendered_and_never_loaded(dag, operator):
    assert rendered(dag, operator, source="there.sql").source == "there.sql"
    assert rendered(DAG("e"), operator, source=["x/{{ params.n }}.sql", "there.sql"]).source == ["x/7.sql", "there.sql"]


@pytest.mark.parametrize("operator", READERS)
@pytest.mark.parametrize("given", [["there.sql", "{{ params.n }}"], {"a": "there.sql", "b": "{{ params.file }}"}])
def test_parameters_are_rendered_and_never_loaded(dag, operator, given):
    task = rendered(dag, operator, sql="SELECT ?", sql_conn_id="db", parameters=given)
    assert task.parameters in (["there.sql", "7"], {"a": "there.sql", "b": "there.sql"})


@pytest.mark.parametrize("operator", READERS)
def test_sql_is_loaded_and_rendered(dag, operator):
    assert rendered(dag, operator, sql="there.sql", sql_conn_id="db").sql == "SELECT 7 AS id"


@pytest.mark.parametrize("operator", READERS)
def test_no_other_field_names_a_file(dag, operator):
    assert rendered(dag, operator, sql="SELECT 1", sql_conn_id="there.sql").sql_conn_id == "there.sql"


def test_a_mapped_task_loads_its_sql_and_leaves_its_rows(dag):
    with dag:
        partial = OptixUploadOperator.partial(task_id="m", data_connection_uuid=UUID, primary_key="id")
        mapped = partial.expand(source=[[ROW], ["there.sql"]])
        queries = OptixUploadOperator.partial(
            task_id="q", data_connection_uuid=UUID, primary_key="id", sql_conn_id="db", sql="there.sql"
        ).expand(parameters=[["there.sql"]])
    dag.resolve_template_files()
    assert [one.source for one in (of_index(mapped, dag, index) for index in (0, 1))] == [[ROW], ["there.sql"]]
    query = of_index(queries, dag, 0)
    assert (query.sql, query.parameters) == ("SELECT 7 AS id", ["there.sql"])


def of_index(mapped, dag, index):
    told = {"dag": dag, "dag_run": SimpleNamespace(conf={"n": 7}), "expanded_ti_count": 2}
    given = {**context(mapped), **told, "ti": SimpleNamespace(map_index=index), "task": mapped}
    mapped.render_template_fields(given)
    return given["task"]


def test_what_another_task_returned_is_resolved_also_within_a_row(dag):
    with dag:

        @task
        def name():
            return "there.sql"

        made = make(OptixUploadOperator, source=[{"id": "1", "v": name()}])
    result = made.source[0]["v"]
    assert result.operator.task_id == "name"
    asked = SimpleNamespace(xcom_pull=lambda **_: "there.sql", task=made)
    made.render_template_fields({**context(made), "dag": dag, "params": {}, "ti": asked, "expanded_ti_count": None})
    assert made.source == [{"id": "1", "v": "there.sql"}]


def test_a_file_that_is_not_there_is_named_with_where_it_was_looked_for(dag, capsys):
    with pytest.raises(
        AirflowFailException, match=r"sql 'absent.sql': the file .* is not there; looked in .*searchpath"
    ):
        rendered(dag, OptixUploadOperator, sql="absent.sql", sql_conn_id="db")
    assert "sql 'absent.sql' is not there" in capsys.readouterr().out
