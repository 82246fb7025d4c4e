"""Who sees which loads."""

import re

import pytest

from tests.on_airflow.ui.conftest import DAGS
from tests.support.ui.pages import VIEWER, Browser, who_reads

ROWS = [{"id": n, "name": "poison" if n == 2 else "well"} for n in range(1, 4)]


@pytest.fixture
def reader(server):
    return Browser(server, who_reads(DAGS[0]))


@pytest.mark.parametrize(
    "path", ["", "load?id=1", "rejected?id=1", "rejected.csv?id=1", "target?kind=optix&id=1&host=h"]
)
def test_nobody_sees_anything_without_logging_in(server, path):
    answer = Browser(server, None).get(f"/optimove/{path}")
    assert answer.status_code == 401


def test_only_who_may_read_a_dag_sees_its_loads(reader, server, upload):
    mine, other = upload(ROWS, dag_id=DAGS[0]), upload(ROWS, dag_id=DAGS[1])
    assert mine["load_id"] in reader.page()
    assert other["load_id"] not in reader.page()
    assert "sync_people" not in reader.page()
    for page in ("load", "rejected", "rejected.csv"):
        assert reader.get(f"/optimove/{page}", id=mine["load_id"]).status_code == 200
        assert reader.get(f"/optimove/{page}", id=other["load_id"]).status_code == 404
    assert reader.get("/optimove/", dag_id=DAGS[1]).status_code == 403
    assert other["load_id"] in Browser(server, VIEWER).page()


def test_a_load_of_no_known_dag_is_seen_by_who_may_read_all(reader, server, upload):
    result = upload(ROWS, dag_id="gone")
    assert reader.get("/optimove/load", id=result["load_id"]).status_code == 404
    assert Browser(server, VIEWER).get("/optimove/load", id=result["load_id"]).status_code == 200


@pytest.mark.parametrize(("others", "status"), [([], 200), ([DAGS[1]], 403)])
def test_a_record_needs_every_dag_that_wrote_to_its_target(
    reader, server, upload, connection, others, status, monkeypatch
):
    for dag_id in (DAGS[0], *others):
        upload(ROWS, dag_id=dag_id)
    host = re.search(r"host=([^\"&]+)", reader.page())[1]
    path = f"/optimove/record?kind=optix&id={connection}&host={host}&key=1"
    assert reader.get(path).status_code == 403  # no setting says that values may be shown
    monkeypatch.setenv("AIRFLOW__OPTIMOVE__SHOW_RECORDS", "True")
    assert reader.get(path).status_code == status
    assert Browser(server, VIEWER).get(path).status_code == 200


@pytest.mark.parametrize("name", ["../../connections/x", "..%2f..%2fairflow.cfg", "1/../../x"])
def test_no_name_leads_out_of_the_folder_of_reports(server, upload, name):
    upload(ROWS)
    for page in ("load", "rejected", "rejected.csv"):
        assert Browser(server, VIEWER).get(f"/optimove/{page}?id={name}").status_code == 404
